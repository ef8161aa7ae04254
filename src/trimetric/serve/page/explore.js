// Someone's recommendations, with reasons, beside what they have.

import { history, recommended } from "./answers.js";
import { announce, el, fixed, icon, many, skeleton, whole } from "./dom.js";
import { filterBar } from "./filters.js";
import { legend, row, scale } from "./items.js";
import { firstOf, openItem } from "./lists.js";
import { nextColumn } from "./next.js";
import { address, called, filters, kept, openPanel, person, whose } from "./route.js";
import { welcome } from "./welcome.js";
import { chips, heading, steered, whoBar } from "./who.js";

const K = 20;
const FIRST = matchMedia("(max-width: 760px)").matches ? 6 : 20;

export async function explore(context) {
  const { root, params, model, signal } = context;
  const someone = person(params);
  root.append(whoBar(context));
  if (!someone) return welcome(context);
  const body = el("div", {}, skeleton(12));
  root.append(body);
  const [had, { list, request }, picks, bar] = await Promise.all([
    history(model, someone, signal),
    recommended(model, someone, K, signal, filters(params)),
    someone.items ? chips(context, someone) : null,
    filterBar(context),
  ]);
  const scores = scale(model, had.history.slice(0, FIRST), list);
  const facts = [
    many(had.activity, "item"),
    had.margin === null || had.margin === undefined ? null : `margin ${fixed(had.margin)}`,
    `${model.name}, ${model.kind}`,
  ];
  const tuned = await steered(context, someone);
  body.replaceChildren(
    heading(someone, facts, ...actions(context, someone)),
    picks ?? "", tuned ?? "",
    el("div", { class: "columns" },
      nextColumn(context, someone, list, request, scores, bar),
      pastColumn(had, scores, someone.items ? "Picks" : "History")));
  announce(`${called(someone)}: ${firstOf(list)}`);
}

function actions({ model, models, params }, someone) {
  const links = { ...whose(someone), ...kept(params) };
  const can = (what) => model.capabilities.includes(what);
  const link = (view, name, text, more = {}) => el("a", { class: "button", href: address(view, { ...links, ...more }) }, icon(name), text);
  const known = someone.user !== undefined;
  return [
    can("metric space") ? link("map", "map", "On the map") : null,
    models.length > 1 ? link("compare", "pair", "Compare models") : null,
    known ? link("pair", "swap", "Beside another user") : null,
    known && can("similar users")
      ? el("button", { type: "button", class: "button", onclick: () => openPanel(`user:${someone.user}`) }, icon("near"), "Similar users") : null,
  ].filter(Boolean);
}

function pastColumn({ history: had }, scores, title) {
  const list = el("ol", { class: "rows liked" });
  let order = had;
  let all = false;
  const draw = () => list.replaceChildren(...(all ? order : order.slice(0, FIRST)).map((item) => row(item, { scores, open: openItem })));
  const more = el("button", { type: "button", class: "more", onclick: () => {
    all = true;
    more.remove();
    draw();
    list.children[FIRST]?.querySelector("button")?.focus();
  } }, `Show all ${whole(had.length)}`);
  const sort = el("select", {
    "aria-label": "Order",
    onchange: (event) => {
      order = event.target.value === "popular" ? [...had].sort((a, b) => b.popularity - a.popularity) : had;
      draw();
    },
  }, el("option", { value: "near" }, "best match first"), el("option", { value: "popular" }, "most popular first"));
  draw();
  return el("section", { class: "card past", "aria-labelledby": "past" },
    el("div", { class: "card-top" }, el("h2", { id: "past" }, el("span", { class: "dot liked" }), title), had.length > 1 ? sort : null),
    el("p", { class: "quiet" }, legend(scores)), list, had.length > FIRST ? more : null);
}
