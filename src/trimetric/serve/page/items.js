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

/** Every further column of the items table, as [name, text]. */
export function columnsOf(item) {
  return Object.entries(item)
    .filter(([name, value]) => !KNOWN.has(name) && value !== null && (typeof value !== "object" || Array.isArray(value)))
    .map(([name, value]) => [name, (Array.isArray(value) ? value : String(value).split("|")).join(", ")]);
}

/**
 * A scale on which several lists can be compared by eye: the longer, the better the match.
 *
 * Squared distances have no natural end: the nearest item is the whole bar, the farthest a short rest.
 * Scores begin at 0, unless one is below it.
 */
export function scale(model, ...lists) {
  const metric = model.capabilities.includes("metric space");
  const of = (item) => (metric ? item.distance : item.score);
  const values = lists.flat().map(of).filter((value) => Number.isFinite(value)).map((value) => (metric ? -value : value));
  const most = Math.max(...values);
  const least = metric ? Math.min(...values) : Math.min(...values, 0);
  const floor = metric ? 0.25 : 0;
  const share = (value) => (most > least ? floor + (1 - floor) * (((metric ? -value : value) - least) / (most - least)) : 1);
  return { metric, of, share, name: metric ? "d²" : "score" };
}

/** What the bars of a scale mean, in a few words. */
export const legend = ({ metric }) => (metric ? "The longer the bar, the better the match." : "The longer the bar, the higher the score.");

/** A bar of how well someone, or something, matches; its tooltip has the number. */
export function bar(one, { metric, of, share, name }) {
  const value = of(one);
  if (!Number.isFinite(value)) return el("span", { class: "bar" });
  return el("span", { class: "bar", title: `${name} ${fixed(value, 4)}` },
    el("span", { class: "track", "aria-hidden": "true" },
      el("span", { class: "fill", style: { width: `${(Math.max(share(value), 0.02) * 100).toFixed(1)}%` } })),
    el("span", { class: "spoken" }, `${metric ? "squared distance" : "score"} ${fixed(value)}`));
}

/** One line of a list: rank, tile, title, what it is about, bar, buttons. */
export function row(item, { rank, scores, buttons = [], mark, open, note }) {
  const words = note ?? about(item);
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
