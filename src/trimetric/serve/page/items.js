// How an item looks, wherever it is shown.

import { el, fixed } from "./dom.js";

const KNOWN = new Set(["item", "title", "picture", "rank", "score", "distance", "popularity", "margin", "model", "version"]);
const TINTS = 8;

/** What an item is called. */
export const titleOf = (item) => item.title ?? `Item ${item.item}`;

/** Up to two further columns of the items table, as text. */
export function about(item) {
  const texts = Object.entries(item)
    .filter(([name, value]) => !KNOWN.has(name) && (["string", "number"].includes(typeof value) || Array.isArray(value)))
    .map(([, value]) => (Array.isArray(value) ? value : String(value).split("|")).join(", "));
  return texts.slice(0, 2).join(" · ");
}

/** Its picture, or its initials on a tint that those about the same share. */
export function tile(item) {
  const letters = titleOf(item).replace(/\(.*?\)/g, "").match(/[\p{L}\p{N}]+/gu) ?? ["?"];
  const initials = letters.slice(0, 2).map((word) => [...word][0]).join("").toUpperCase();
  const plain = el("span", { class: `tile t${hash(about(item) || titleOf(item)) % TINTS}`, "aria-hidden": "true" }, initials);
  if (!/^https:\/\//.test(item.picture ?? "")) return plain;
  const picture = el("img", { class: "tile", src: item.picture, alt: "", loading: "lazy", referrerpolicy: "no-referrer" });
  picture.addEventListener("error", () => picture.replaceWith(plain), { once: true });
  return picture;
}

function hash(text) {
  let h = 7;
  for (const one of text) h = (h * 31 + one.codePointAt(0)) >>> 0;
  return h;
}

/** A scale on which several lists can be compared by eye: by distance, or by score where there are no distances. */
export function scale(model, ...lists) {
  const metric = model.capabilities.includes("metric space");
  const of = (item) => (metric ? item.distance : item.score);
  const values = lists.flat().map(of).filter((value) => Number.isFinite(value));
  const most = Math.max(...values, 1e-9);
  const least = Math.min(...values, metric ? 0 : most);
  return { metric, of, share: (value) => (most > least ? (value - least) / (most - least) : 1) };
}

/** A bar as long as an item's distance, or its score where the model has no distances. */
export function bar(item, { metric, of, share }) {
  const value = of(item);
  if (!Number.isFinite(value)) return el("span", { class: "bar" });
  const what = metric ? "squared distance" : "score";
  return el("span", { class: "bar", title: `${what} ${fixed(value, 4)}` },
    el("span", { class: "track", "aria-hidden": "true" },
      el("span", { class: "fill", style: { width: `${(Math.max(share(value), 0.012) * 100).toFixed(1)}%` } })),
    el("span", { class: "figure" }, el("span", { class: "spoken" }, `${what} `), fixed(value)));
}

/** One line of a list: rank, tile, title, what it is about, bar, buttons. */
export function row(item, { rank, scores, buttons = [], mark, open }) {
  const words = about(item);
  const name = open
    ? el("button", { type: "button", class: "name", onclick: (event) => open(item, event.currentTarget) }, titleOf(item))
    : el("span", { class: "name" }, titleOf(item));
  return el("li", { class: "row", "data-item": item.item },
    rank ? el("span", { class: "rank" }, rank) : null,
    tile(item),
    el("span", { class: "words" }, name, words ? el("span", { class: "about" }, words) : null),
    scores ? bar(item, scores) : null,
    mark ?? null,
    buttons.length ? el("span", { class: "acts" }, buttons) : null);
}
