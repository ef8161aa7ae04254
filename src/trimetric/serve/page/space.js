// The canvas of the map: what is where on the screen, moving about, pointing, labels.

import { hands } from "./hands.js";
import { painter } from "./paint.js";

const REACH = 12; // pixels

/**
 * Draw points that can be walked through.
 *
 * `points`: {x, y, size (0..1), group, kind ("item" | "user"), name}, most important first.
 * Calls `hover(index, place)` and `pick(index)`; a `fixed` one cannot be moved. Returns what the view
 * steers it by.
 */
export function space(canvas, points, { hover = () => {}, pick, signal, fixed = false }) {
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

  function over(px, py) {
    const found = at(px, py);
    canvas.style.cursor = found >= 0 ? "pointer" : "";
    if (found === marks.over) return;
    marks.over = found;
    hover(found, found >= 0 ? [sx(points[found].x), sy(points[found].y)] : null);
    later();
  }

  const draw = painter(pen, points, { state, marks, sx, sy, colours: () => colours });
  if (!fixed) hands(canvas, { state, at, over, pan, zoomBy, fit, pick, later, signal });
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
