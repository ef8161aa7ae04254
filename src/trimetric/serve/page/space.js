// The canvas of the map: what is where on the screen, moving about, pointing, labels.

const MOST_LABELS = 60;
const REACH = 12; // pixels

/**
 * Draw points that can be walked through.
 *
 * `points`: {x, y, size (0..1), group, kind ("item" | "user"), name}, most important first.
 * Calls `hover(index, place)`, `pick(index)` and `moved()`. Returns what the view steers it by.
 */
export function space(canvas, points, { hover, pick, signal }) {
  const pen = canvas.getContext("2d");
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const bounds = extent(points);
  const marks = { liked: new Set(), next: new Map(), near: new Map(), me: null, focus: -1, over: -1 };
  const state = { width: 0, height: 0, x: 0, y: 0, zoom: 1, least: 1, users: true, groups: null, keyed: false };
  let colours = {};
  let waiting = 0;
  let flight = 0;

  const sx = (x) => (x - state.x) * state.zoom + state.width / 2;
  const sy = (y) => (y - state.y) * state.zoom + state.height / 2;
  const later = () => {
    if (!waiting) waiting = requestAnimationFrame(() => { waiting = 0; draw(); });
  };

  function resize() {
    const { clientWidth: width, clientHeight: height } = canvas;
    if (!width || !height) return;
    const first = !state.width;
    const density = devicePixelRatio || 1;
    canvas.width = Math.round(width * density);
    canvas.height = Math.round(height * density);
    pen.setTransform(density, 0, 0, density, 0, 0);
    Object.assign(state, { width, height });
    state.least = 0.92 * Math.min(width / bounds.width, height / bounds.height);
    if (first) fit(true);
    later();
  }

  function fit(now = false) {
    fly(bounds.x, bounds.y, state.least, now);
  }

  function fly(x, y, zoom = Math.max(state.zoom, state.least * 6), now = false) {
    cancelAnimationFrame(flight);
    const to = { x, y, zoom: clamp(zoom) };
    if (now || still.matches) {
      Object.assign(state, to);
      return later();
    }
    const from = { x: state.x, y: state.y, zoom: state.zoom };
    const began = performance.now();
    const step = (time) => {
      const t = Math.min(1, Math.max(0, (time - began) / 450));
      const e = t * t * (3 - 2 * t);
      state.zoom = from.zoom * (to.zoom / from.zoom) ** e;
      state.x = from.x + (to.x - from.x) * e;
      state.y = from.y + (to.y - from.y) * e;
      later();
      if (t < 1) flight = requestAnimationFrame(step);
    };
    flight = requestAnimationFrame(step);
  }

  const clamp = (zoom) => Math.min(Math.max(zoom, state.least * 0.6), state.least * 120);

  function zoomBy(factor, px = state.width / 2, py = state.height / 2) {
    cancelAnimationFrame(flight);
    const zoom = clamp(state.zoom * factor);
    state.x += (px - state.width / 2) * (1 / state.zoom - 1 / zoom);
    state.y += (py - state.height / 2) * (1 / state.zoom - 1 / zoom);
    state.zoom = zoom;
    later();
  }

  function pan(dx, dy) {
    cancelAnimationFrame(flight);
    state.x = Math.min(Math.max(state.x - dx / state.zoom, bounds.left), bounds.right);
    state.y = Math.min(Math.max(state.y - dy / state.zoom, bounds.top), bounds.bottom);
    later();
  }

  function at(px, py, kinds = state.users ? null : "item", reach = REACH) {
    let best = -1;
    let nearest = reach * reach;
    for (let i = 0; i < points.length; i++) {
      const one = points[i];
      if (kinds && one.kind !== kinds) continue;
      const special = one.kind === "item" && (marks.next.has(i) || marks.liked.has(i));
      const d = ((sx(one.x) - px) ** 2 + (sy(one.y) - py) ** 2) * (special ? 0.5 : one.kind === "user" ? 1.6 : 1);
      if (d < nearest) [nearest, best] = [d, i];
    }
    return best;
  }

  const radius = (one) => (1.2 + 4.2 * one.size) * Math.min(2.2, Math.max(0.75, (state.zoom / state.least) ** 0.35));
  const inside = (px, py, by = 20) => px > -by && py > -by && px < state.width + by && py < state.height + by;

  function draw() {
    const { width, height } = state;
    if (!width) return;
    pen.clearRect(0, 0, width, height);
    const someone = marks.me || marks.next.size || marks.liked.size;
    pen.globalAlpha = someone ? 0.35 : 0.55;
    pen.fillStyle = colours.user;
    if (state.users) {
      const side = Math.min(3.5, 1.4 * Math.max(1, (state.zoom / state.least) ** 0.4));
      for (const one of points) {
        if (one.kind !== "user") continue;
        const [px, py] = [sx(one.x), sy(one.y)];
        if (inside(px, py)) pen.fillRect(px - side / 2, py - side / 2, side, side);
      }
    }
    pen.globalAlpha = someone ? 0.3 : 0.85;
    for (let i = points.length - 1; i >= 0; i--) {
      const one = points[i];
      if (one.kind !== "item") continue;
      const [px, py] = [sx(one.x), sy(one.y)];
      if (!inside(px, py)) continue;
      pen.fillStyle = state.groups ? colours.groups[state.groups[i]] ?? colours.other : colours.ramp[Math.min(4, Math.floor(one.size * 5))];
      disc(px, py, radius(one));
    }
    pen.globalAlpha = 1;
    links();
    for (const i of marks.liked) mark(i, colours.liked, 1.5);
    for (const i of [...marks.next.keys()].reverse()) mark(i, colours.next, 2.5);
    if (marks.focus >= 0) ring(points[marks.focus], colours.ink, 5);
    if (marks.over >= 0 && marks.over !== marks.focus) ring(points[marks.over], colours.ink, 4);
    if (marks.me) star(sx(marks.me.x), sy(marks.me.y));
    labels();
    if (state.keyed) cross();
  }

  function disc(px, py, r) {
    pen.beginPath();
    pen.arc(px, py, r, 0, 6.2832);
    pen.fill();
  }

  function mark(i, colour, more) {
    const one = points[i];
    const r = radius(one) + more;
    pen.fillStyle = colours.paper;
    disc(sx(one.x), sy(one.y), r + 1.5);
    pen.fillStyle = colour;
    disc(sx(one.x), sy(one.y), r);
  }

  function ring(one, colour, more) {
    pen.strokeStyle = colour;
    pen.lineWidth = 2;
    pen.beginPath();
    pen.arc(sx(one.x), sy(one.y), radius(one) + more, 0, 6.2832);
    pen.stroke();
  }

  function star(px, py) {
    pen.beginPath();
    for (let i = 0; i < 10; i++) {
      const r = i % 2 ? 5 : 11;
      const a = (i * Math.PI) / 5 - Math.PI / 2;
      pen.lineTo(px + r * Math.cos(a), py + r * Math.sin(a));
    }
    pen.closePath();
    pen.fillStyle = colours.ink;
    pen.strokeStyle = colours.paper;
    pen.lineWidth = 3;
    pen.stroke();
    pen.fill();
  }

  function links() {
    if (marks.focus < 0) return;
    const from = points[marks.focus];
    pen.strokeStyle = colours.ink;
    pen.lineWidth = 1;
    pen.globalAlpha = 0.45;
    pen.beginPath();
    for (const i of marks.near.keys()) {
      pen.moveTo(sx(from.x), sy(from.y));
      pen.lineTo(sx(points[i].x), sy(points[i].y));
    }
    pen.stroke();
    pen.globalAlpha = 1;
    for (const i of marks.near.keys()) if (!marks.next.has(i) && !marks.liked.has(i)) mark(i, colours.ink, 0);
  }

  function cross() {
    pen.strokeStyle = colours.ink;
    pen.globalAlpha = 0.6;
    pen.lineWidth = 1.5;
    pen.beginPath();
    pen.moveTo(state.width / 2 - 9, state.height / 2);
    pen.lineTo(state.width / 2 + 9, state.height / 2);
    pen.moveTo(state.width / 2, state.height / 2 - 9);
    pen.lineTo(state.width / 2, state.height / 2 + 9);
    pen.stroke();
    pen.globalAlpha = 1;
  }

  // Names that do not cover each other, the most important first.
  function labels() {
    const taken = [[state.width - 56, 0, state.width, 128]]; // the buttons
    pen.font = `500 12px ${colours.font}`;
    pen.textBaseline = "middle";
    pen.lineJoin = "round";
    let left = Math.min(MOST_LABELS, Math.round((state.width * state.height) / 14000));
    const put = (i, colour, loud) => {
      const one = points[i];
      if (left <= 0 || !one || one.kind !== "item") return;
      const [px, py] = [sx(one.x), sy(one.y)];
      if (!inside(px, py, 0)) return;
      const text = one.name.length > 34 ? `${one.name.slice(0, 33)}…` : one.name;
      one.wide ??= new Map();
      if (!one.wide.has(text)) one.wide.set(text, pen.measureText(text).width);
      const wide = one.wide.get(text);
      const gap = radius(one) + 5;
      const flip = px + gap + wide > state.width - 4;
      if (flip && px - gap - wide < 4 && !loud) return;
      const x = Math.max(4, flip ? px - gap - wide : px + gap);
      const box = [x - 3, py - 9, x + wide + 3, py + 9];
      if (taken.some((b) => b[0] < box[2] && b[2] > box[0] && b[1] < box[3] && b[3] > box[1])) return;
      taken.push(box);
      left--;
      pen.strokeStyle = colours.paper;
      pen.lineWidth = 4;
      pen.globalAlpha = loud ? 1 : 0.9;
      pen.strokeText(text, x, py);
      pen.fillStyle = colour;
      pen.fillText(text, x, py);
      pen.globalAlpha = 1;
    };
    if (marks.me) taken.push([sx(marks.me.x) - 12, sy(marks.me.y) - 12, sx(marks.me.x) + 12, sy(marks.me.y) + 12]);
    put(marks.over, colours.ink, true);
    put(marks.focus, colours.ink, true);
    for (const i of marks.next.keys()) put(i, colours.nextText, true);
    for (const i of marks.near.keys()) put(i, colours.ink, true);
    if (marks.next.size === 0 && marks.focus < 0) {
      for (const i of marks.liked) put(i, colours.likedText, true);
    } else {
      let some = 0;
      for (const i of marks.liked) if (some++ < 12) put(i, colours.likedText, true);
    }
    const crowd = state.zoom > state.least * 2.5 ? points.length : 400;
    if (!(marks.next.size && state.zoom < state.least * 1.5)) {
      for (let i = 0; i < crowd && left > 0; i++) put(i, colours.muted, false);
    }
  }

  const pointers = new Map();
  let travelled = 0;
  let spread = 0;
  const place = (event) => {
    const edge = canvas.getBoundingClientRect();
    return [event.clientX - edge.left, event.clientY - edge.top];
  };
  const on = (name, f, options) => canvas.addEventListener(name, f, { signal, ...options });
  on("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, place(event));
    if (pointers.size === 1) travelled = 0;
    spread = distance();
  });
  on("pointermove", (event) => {
    const now = place(event);
    const before = pointers.get(event.pointerId);
    if (!before) return over(...now);
    travelled += Math.abs(now[0] - before[0]) + Math.abs(now[1] - before[1]);
    if (pointers.size === 1 && travelled > 4) pan(now[0] - before[0], now[1] - before[1]);
    pointers.set(event.pointerId, now);
    if (pointers.size === 2) {
      const wide = distance();
      const [[ax, ay], [bx, by]] = [...pointers.values()];
      if (spread > 0) zoomBy(wide / spread, (ax + bx) / 2, (ay + by) / 2);
      spread = wide;
    }
  });
  const up = (event) => {
    const alone = pointers.size === 1;
    if (!pointers.delete(event.pointerId)) return;
    spread = distance();
    if (alone && event.type === "pointerup" && travelled <= 4) pick(at(...place(event), undefined, event.pointerType === "touch" ? 24 : REACH));
  };
  on("pointerup", up);
  on("pointercancel", up);
  on("pointerleave", () => over(-1e6, -1e6));
  on("dblclick", (event) => zoomBy(2, ...place(event)));
  on("wheel", (event) => {
    event.preventDefault();
    zoomBy(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0016) * (event.deltaMode ? 24 : 1)), ...place(event));
  }, { passive: false });
  on("focus", () => { state.keyed = canvas.matches(":focus-visible"); later(); });
  on("blur", () => { state.keyed = false; later(); });
  on("keydown", (event) => {
    const moves = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in moves) pan(...moves[event.key]);
    else if (event.key === "+" || event.key === "=") zoomBy(1.4);
    else if (event.key === "-") zoomBy(1 / 1.4);
    else if (event.key === "0" || event.key === "Home") fit();
    else if (event.key === "Enter") pick(at(state.width / 2, state.height / 2, "item", 400));
    else return;
    event.preventDefault();
    state.keyed = true;
  });

  function distance() {
    if (pointers.size !== 2) return 0;
    const [[ax, ay], [bx, by]] = [...pointers.values()];
    return Math.hypot(ax - bx, ay - by);
  }

  function over(px, py) {
    const found = at(px, py);
    canvas.style.cursor = found >= 0 ? "pointer" : "";
    if (found === marks.over) return;
    marks.over = found;
    hover(found, found >= 0 ? [sx(points[found].x), sy(points[found].y)] : null);
    later();
  }

  const size = new ResizeObserver(resize);
  size.observe(canvas);
  signal.addEventListener("abort", () => {
    size.disconnect();
    cancelAnimationFrame(flight);
  });
  return {
    marks, state, fit, fly, zoomBy, redraw: later, resize,
    paint: (some) => { colours = some; later(); },
    placeOf: (i) => [sx(points[i].x), sy(points[i].y)],
  };
}

function extent(points) {
  let [left, right, top, bottom] = [Infinity, -Infinity, Infinity, -Infinity];
  for (const { x, y } of points) {
    left = Math.min(left, x);
    right = Math.max(right, x);
    top = Math.min(top, y);
    bottom = Math.max(bottom, y);
  }
  if (!points.length) return { left: -1, right: 1, top: -1, bottom: 1, x: 0, y: 0, width: 2, height: 2 };
  const [width, height] = [Math.max(right - left, 1e-3), Math.max(bottom - top, 1e-3)];
  return { left, right, top, bottom, x: (left + right) / 2, y: (top + bottom) / 2, width, height };
}
