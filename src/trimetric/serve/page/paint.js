// Draws the map on its canvas: points, marks, links, names.

const MOST_LABELS = 60;

/** Return what draws the points as `state`, `marks` and `colours()` say; `plane` has sx and sy. */
export function painter(pen, points, { state, marks, sx, sy, colours: current }) {
  let colours = {};
  const radius = (one) => (1.2 + 4.2 * one.size) * Math.min(2.2, Math.max(0.75, (state.zoom / state.least) ** 0.35));
  const inside = (px, py, by = 20) => px > -by && py > -by && px < state.width + by && py < state.height + by;

  function draw() {
    colours = current();
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

  return draw;
}
