// Small charts in SVG, with points on a canvas where there are many of them.

import { el, svg, whole } from "./dom.js";

const PAD = { top: 12, right: 16, bottom: 44, left: 64 };

/** A scale from values to pixels, linear or logarithmic, and its ticks. */
export function axis([low, high], [from, to], log = false) {
  if (!(high > low)) [low, high] = log ? [low / 2, low * 2] : [low - 0.5, high + 0.5];
  const f = log ? Math.log10 : (v) => v;
  const [a, b] = [f(low), f(high)];
  const at = (v) => from + ((f(v) - a) / (b - a)) * (to - from);
  return { at, low, high, ticks: log ? powers(low, high) : steps(low, high) };
}

function steps(low, high) {
  const raw = (high - low) / 5;
  const unit = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * unit).find((s) => s >= raw);
  const ticks = [];
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high + step * 1e-9; n++) ticks.push(n * step);
  return ticks;
}

function powers(low, high) {
  const ticks = [];
  for (let e = Math.floor(Math.log10(low)); 10 ** e <= high; e++) {
    for (const m of high / low > 2000 ? [1] : [1, 2, 5]) if (m * 10 ** e >= low && m * 10 ** e <= high) ticks.push(m * 10 ** e);
  }
  return ticks;
}

const short = (v) => (Math.abs(v) >= 1000 ? whole(Math.round(v)) : String(Number(v.toPrecision(3))));

/**
 * A frame with axes that is drawn anew whenever its width changes.
 *
 * `draw({x, y, plot, width, height})` adds what is inside; x and y are `axis` scales.
 */
export function frame({ label, xLabel, yLabel, x, y, xLog, xTicks, height = 300, draw, signal }) {
  const picture = svg("svg", { class: "plot", role: "img", "aria-label": label });
  const box = el("div", { class: "frame" }, picture);
  const paint = () => {
    const width = Math.max(box.clientWidth, 200);
    const sx = axis(x, [PAD.left, width - PAD.right], xLog);
    const sy = axis(y, [height - PAD.bottom, PAD.top]);
    picture.setAttribute("viewBox", `0 0 ${width} ${height}`);
    picture.setAttribute("height", height);
    const lines = sy.ticks.map((v) => [
      svg("line", { class: "grid", x1: PAD.left, x2: width - PAD.right, y1: sy.at(v), y2: sy.at(v) }),
      svg("text", { class: "tick", x: PAD.left - 8, y: sy.at(v) + 4, "text-anchor": "end" }, short(v)),
    ]);
    let last = -Infinity;
    const marks = (xTicks ?? sx.ticks).filter((v) => {
      const far = sx.at(v) - last > 38;
      if (far) last = sx.at(v);
      return far;
    }).map((v) =>
      svg("text", { class: "tick", x: sx.at(v), y: height - PAD.bottom + 18, "text-anchor": "middle" }, short(v)));
    const inner = svg("g", {});
    picture.replaceChildren(...lines.flat(), ...marks,
      svg("line", { class: "base", x1: PAD.left, x2: width - PAD.right, y1: height - PAD.bottom, y2: height - PAD.bottom }),
      svg("text", { class: "axis", x: (PAD.left + width - PAD.right) / 2, y: height - 6, "text-anchor": "middle" }, xLabel),
      svg("text", { class: "axis", transform: `translate(13 ${(PAD.top + height - PAD.bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, yLabel),
      inner);
    draw({ x: sx, y: sy, inner, box, width, height, pad: PAD });
  };
  watch(box, paint, signal);
  return box;
}

function watch(box, paint, signal) {
  let width = 0;
  const seen = new ResizeObserver(() => {
    if (box.clientWidth === width || !box.clientWidth) return;
    width = box.clientWidth;
    paint();
  });
  seen.observe(box);
  const again = () => paint();
  addEventListener("themechange", again);
  signal.addEventListener("abort", () => {
    seen.disconnect();
    removeEventListener("themechange", again);
  });
}

/** A line through points [[x, y], ...], with dots that tell their value. */
export function line(points, { x, y }, kind = "", tell) {
  const path = points.map(([px, py], i) => `${i ? "L" : "M"}${x.at(px).toFixed(1)} ${y.at(py).toFixed(1)}`).join("");
  const dots = tell ? points.map((point) => svg("circle", { class: `dot-mark ${kind}`, cx: x.at(point[0]), cy: y.at(point[1]), r: 3 },
    svg("title", {}, tell(point)))) : [];
  return [svg("path", { class: `line ${kind}`, d: path }), ...dots];
}

/** Points on a canvas under the axes; returns what finds the nearest to the pointer. */
export function scatter(points, { x, y, box, width, height }, kind) {
  box.querySelector("canvas")?.remove();
  const density = devicePixelRatio || 1;
  const canvas = el("canvas", { class: "dots", "aria-hidden": "true" });
  canvas.width = width * density;
  canvas.height = height * density;
  box.prepend(canvas);
  const pen = canvas.getContext("2d");
  pen.scale(density, density);
  pen.fillStyle = getComputedStyle(box).getPropertyValue(kind === "users" ? "--next" : "--liked");
  pen.globalAlpha = points.length > 5000 ? 0.35 : 0.5;
  const placed = points.map((point) => [x.at(point[0]), y.at(point[1])]);
  for (const [px, py] of placed) {
    pen.beginPath();
    pen.arc(px, py, 2.2, 0, 7);
    pen.fill();
  }
  return (event) => {
    const edge = canvas.getBoundingClientRect();
    const [mx, my] = [event.clientX - edge.left, event.clientY - edge.top];
    let best = -1;
    let nearest = 144;
    placed.forEach(([px, py], i) => {
      const d = (px - mx) ** 2 + (py - my) ** 2;
      if (d < nearest) [nearest, best] = [d, i];
    });
    return best < 0 ? null : { index: best, place: placed[best] };
  };
}

/** A table behind a chart, for those who would rather read it. */
export function tableOf(head, rows, name = "As a table") {
  return el("details", { class: "numbers" }, el("summary", {}, name),
    el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": name }, el("table", {},
      el("thead", {}, el("tr", {}, head.map((text) => el("th", { scope: "col" }, text)))),
      el("tbody", {}, rows.map((cells) => el("tr", {}, cells.map((cell) => el("td", {}, String(cell)))))))));
}
