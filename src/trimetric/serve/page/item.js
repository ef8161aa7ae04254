// An item's own page: what it is, how well known, what is near it, who has it, where on the map.

import { explains, placesNew } from "./answers.js";
import { get, getOnce } from "./api.js";
import { announce, blank, el, failure, fixed, icon, many, skeleton, whole } from "./dom.js";
import { columnsOf, scale, tile, titleOf } from "./items.js";
import { itemList, userRow } from "./lists.js";
import { palette, pointsOf, ready } from "./points.js";
import { address, called, go, kept, person, whose } from "./route.js";
import { space } from "./space.js";
import { build, itemPicker } from "./who.js";
import { why } from "./why.js";

const SHELF = 24;
const PAGE = 12;

export async function item(context) {
  const { root, params, model, signal } = context;
  const id = params.get("id");
  const to = (one) => address("item", { ...whose(person(params)), ...kept(params), id: one });
  root.append(el("section", { class: "who single", "aria-label": "Which item" },
    el("div", { class: "field" }, el("span", { class: "label" }, "Show an item"), itemPicker(context, (one) => go(to(one.item))))));
  const body = el("div", {}, skeleton(10));
  root.append(body);
  if (!id) {
    const { items, total } = await get("/v1/items", { limit: SHELF, model: model.name }, signal);
    body.replaceChildren(el("h1", {}, "Items"), el("p", { class: "lead" }, `The most popular of ${many(total, "item")}; find others by title or id.`),
      el("ul", { class: "shelf card" }, items.map((one) => el("li", {}, el("a", { href: to(one.item) }, tile(one), el("span", { class: "shelf-name" }, titleOf(one)),
        el("span", { class: "about" }, many(one.popularity, "user")))))));
    return;
  }
  const can = (what) => model.capabilities.includes(what);
  const [known, near, has, summary] = await Promise.all([
    get("/v1/item", { item: id, model: model.name }, signal),
    can("similar items") ? get("/v1/similar-items", { item: id, k: PAGE, model: model.name }, signal) : null,
    get("/v1/item-users", { item: id, limit: PAGE, model: model.name }, signal),
    getOnce("/v1/summary", { model: model.name }, signal),
  ]);
  body.replaceChildren(
    head(context, known),
    el("div", { class: "columns" },
      el("div", { class: "stack" }, nearCard(context, known, near), forWhom(context, known)),
      el("div", { class: "stack" }, fame(known, summary, model), can("metric space") ? onMap(context, known) : null, owners(context, known, has))));
  announce(titleOf(known));
}

function head({ model, params }, known) {
  const links = { ...whose(person(params)), ...kept(params) };
  const facts = [...columnsOf(known).map(([name, text]) => [name, text]), ["id", known.item],
    known.margin === null ? null : ["margin", fixed(known.margin)]].filter(Boolean);
  return el("div", { class: "heading item-head" }, tile(known),
    el("div", {}, el("h1", {}, titleOf(known)),
      el("dl", { class: "facts" }, facts.map(([name, text]) => el("div", {}, el("dt", {}, name.replaceAll("_", " ")), el("dd", {}, text))))),
    el("div", { class: "actions" },
      placesNew(model) ? el("button", { type: "button", class: "primary", onclick: () => build([String(known.item)]) }, icon("plus"), "Recommend from this") : null,
      model.capabilities.includes("metric space")
        ? el("a", { class: "button", href: address("map", { ...links, focus: known.item }) }, icon("map"), "On the map") : null));
}

const card = (id, title, ...content) => el("section", { class: "card", "aria-labelledby": id },
  el("div", { class: "card-top" }, el("h2", { id }, title)), ...content);

function nearCard({ model }, known, near) {
  if (!near) return card("near", "Near it", el("p", { class: "quiet" }, `${model.kind} has no distances between items.`));
  return card("near", "Near it", el("p", { class: "quiet" }, "Whoever likes this one may like these."), itemList(model, near.similar));
}

// How it stands for whoever was looked at before.
function forWhom(context, known) {
  const someone = person(context.params);
  if (!someone || !explains(context.model) || someone.items?.includes(String(known.item))) return null;
  const box = el("div", { class: "why plain" });
  why(context, someone, known.item, box);
  return card("for-whom", `For ${called(someone)}`, box);
}

function fame({ popularity, rank }, { items, users, per_item: { edges, counts } }, model) {
  const most = Math.max(...counts, 1);
  const bins = counts.map((n, b) => ({ n, low: edges[b], high: edges[b + 1] - 1 }));
  const first = bins.findIndex(({ n }) => n > 0);
  const span = ({ low, high }) => (low >= high ? whole(low) : `${whole(low)}–${whole(high)}`);
  const better = items > 1 ? Math.round((100 * (items - rank)) / (items - 1)) : 100;
  return card("fame", "How well known",
    el("p", {}, el("b", {}, many(popularity, "user")), ` of ${whole(users)} ${popularity === 1 ? "has" : "have"} it (${((100 * popularity) / Math.max(users, 1)).toFixed(1)} %): `,
      `number ${whole(rank)} of ${whole(items)}, better known than ${better} % of what ${model.name} was trained on.`),
    el("div", { class: "fame", role: "img", "aria-label": `Items by how many users have them: ${bins.slice(first).map((one) => `${span(one)}: ${one.n}`).join("; ")}` },
      bins.slice(Math.max(first, 0)).map((one) => {
        const here = popularity >= one.low && popularity <= one.high;
        return el("span", { class: here ? "here" : null, title: `${many(one.n, "item")} with ${span(one)} users` },
          el("i", { style: { height: `${Math.max((100 * one.n) / most, 2).toFixed(0)}%` } }), el("small", {}, whole(one.low)));
      })),
    el("p", { class: "quiet" }, "Items by how many users have each; the bar in colour is where this one is."));
}

function owners(context, known, { total, users }) {
  const { model, params, signal } = context;
  const visit = ({ user }) => go(address("explore", { user, ...kept(params) }));
  const list = el("ol", { class: "rows small" });
  let found = users;
  const draw = () => {
    const scores = scale(model, found);
    list.replaceChildren(...found.map((one) => userRow(one, scores, visit)));
    more.hidden = found.length >= total;
  };
  const more = el("button", { type: "button", class: "more", onclick: async () => {
    const next = await get("/v1/item-users", { item: known.item, limit: 50, offset: found.length, model: model.name }, signal);
    const at = found.length;
    found = [...found, ...next.users];
    draw();
    list.children[at]?.querySelector("button")?.focus();
  } }, "Show more");
  draw();
  return card("owners", "Who has it",
    total ? el("p", { class: "quiet" }, `${many(total, "user")}, best match first.`) : blank("Nobody", el("p", {}, "No user of the training data has it.")), list, more);
}

function onMap(context, known) {
  const { root, model, params, signal } = context;
  const link = address("map", { ...whose(person(params)), ...kept(params), focus: known.item });
  const box = el("a", { class: "small-map", href: link, "aria-label": "Where it is on the map" }, skeleton(3));
  draw().catch((error) => error.name !== "AbortError" && box.replaceChildren(failure(error)));
  return card("where", "Where on the map", box, el("p", { class: "quiet" }, "What is near on the map is near in the space, as far as a plane allows."));

  async function draw() {
    const found = await ready(model, signal);
    if (!found) return;
    const points = pointsOf(found);
    const at = points.findIndex((one) => one.kind === "item" && String(one.id) === String(known.item));
    if (at < 0) {
      box.replaceChildren(el("p", { class: "quiet" }, "It is not among the most popular items, which the map shows."));
      return;
    }
    const canvas = el("canvas", { class: "still", "aria-hidden": "true" });
    box.replaceChildren(canvas);
    const plane = space(canvas, points, { signal, fixed: true });
    plane.resize();
    plane.marks.focus = at;
    plane.fly(points[at].x, points[at].y, plane.state.least * 2.2, true);
    const paint = () => plane.paint(palette(root));
    paint();
    addEventListener("themechange", paint, { signal });
  }
}
