// Elements from plain descriptions. Text always becomes a text node, never markup.

const SVG = "http://www.w3.org/2000/svg";

/** Make an element: el("p", {class: "note", onclick: f}, "text", child). */
export function el(tag, props = {}, ...children) {
  return filled(document.createElement(tag), props, children);
}

/** Make an SVG element. */
export function svg(tag, props = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), props, children);
}

function filled(node, props, children) {
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [k, v] of Object.entries(value)) node.style.setProperty(k, v);
    else if (name === "value") node.value = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((one) => one !== null && one !== undefined && one !== false));
  return node;
}

const ICONS = {
  sun: "M10 3V1M10 19v-2M3 10H1m18 0h-2M5 5 3.6 3.6m12.8 12.8L15 15M5 15l-1.4 1.4M16.4 3.6 15 5M10 13.5a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7Z",
  moon: "M16.5 12.2A7 7 0 0 1 7.8 3.5a7 7 0 1 0 8.7 8.7Z",
  auto: "M3 4.5h14v9H3zM7 17h6M10 13.5V17",
  search: "M8.8 14.6a5.8 5.8 0 1 0 0-11.6 5.8 5.8 0 0 0 0 11.6ZM13 13l4.5 4.5",
  close: "m5 5 10 10M15 5 5 15",
  plus: "M10 4v12M4 10h12",
  minus: "M4 10h12",
  fit: "M3 7V3h4M17 7V3h-4M3 13v4h4M17 13v4h-4",
  near: "M10 11.2a1.2 1.2 0 1 0 0-2.4 1.2 1.2 0 0 0 0 2.4ZM10 15a5 5 0 1 0 0-10 5 5 0 0 0 0 10ZM10 18.3a8.3 8.3 0 1 0 0-16.6 8.3 8.3 0 0 0 0 16.6Z",
  map: "M7 4 2.5 6v10.5L7 14.5l6 2 4.5-2V4L13 6 7 4ZM7 4v10.5M13 6v10.5",
  why: "M10 18.3a8.3 8.3 0 1 0 0-16.6 8.3 8.3 0 0 0 0 16.6ZM7.8 7.7c.2-1.2 1-1.9 2.2-1.9 1.3 0 2.2.8 2.2 1.9 0 1.6-2.2 1.9-2.2 3.6M10 14v.1",
  pair: "M3 4h5.5v12H3zM11.5 4H17v12h-5.5z",
  less: "M10 18.3a8.3 8.3 0 1 0 0-16.6 8.3 8.3 0 0 0 0 16.6ZM4.2 4.2l11.6 11.6",
  page: "M5 2.5h7l3.5 3.5v11.5H5zM12 2.5v3.5h3.5",
  copy: "M7 7h9.5v9.5H7zM13 7V3.5H3.5V13H7",
  filter: "M3 5h14M6 10h8M8.5 15h3",
  swap: "M4 7h12l-3-3M16 13H4l3 3",
  dice: "M4 4h12v12H4zM7.2 7.2v.1M12.8 12.8v.1M12.8 7.2v.1M7.2 12.8v.1M10 10v.1",
};

/** Draw one of the page's icons; it is hidden from screen readers. */
export function icon(name) {
  return svg("svg", { viewBox: "0 0 20 20", class: "i", "aria-hidden": "true" }, svg("path", { d: ICONS[name] }));
}

/** Say something to screen readers. */
export function announce(text) {
  document.getElementById("status").textContent = text;
}

const number = new Intl.NumberFormat("en");
/** Write a whole number with separators. */
export const whole = (n) => number.format(n);
/** Write a count with its noun. */
export const many = (n, one, more = `${one}s`) => `${whole(n)} ${n === 1 ? one : more}`;
/** Write a number with three decimals. */
export const fixed = (x, digits = 3) => (x === null || x === undefined ? "–" : x.toFixed(digits));

/** A placeholder in the shape of a list, while it is loading. */
export function skeleton(rows = 6) {
  const lines = Array.from({ length: rows }, () => el("div", { class: "bone" }));
  return el("div", { class: "bones", role: "presentation" }, lines);
}

/** A box that says there is nothing here yet, and what to do about it. */
export function blank(title, ...text) {
  return el("div", { class: "blank" }, el("h2", {}, title), ...text);
}

/** A box that says what went wrong, what is near to it (where `to` links), and offers to try again. */
export function failure(error, again, to = () => null) {
  const near = (error.near ?? []).map((one, i) => [i ? ", " : "", to(one) ? el("a", { href: to(one) }, String(one)) : String(one)]);
  return el("div", { class: "blank fault", role: "alert" },
    el("h2", {}, error.status === 404 ? "Not found" : error.status === 422 ? "Not for this model" : "That did not work"),
    el("p", {}, sentence(error.message)),
    near.length ? el("p", { class: "quiet" }, "Near to it: ", near.flat()) : null,
    again && error.status !== 422 && error.status !== 404 ? el("button", { type: "button", onclick: again }, "Try again") : null);
}

const sentence = (text) => (/[.!?]$/.test(text) ? text : `${text}.`);
