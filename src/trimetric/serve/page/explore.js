// Someone's history and recommendations side by side, with reasons.

import { get } from "./api.js";
import { history, recommended } from "./answers.js";
import { announce, blank, el, fixed, icon, many, skeleton, whole } from "./dom.js";
import { row, scale, tile, titleOf } from "./items.js";
import { address, called, person, remember, whose } from "./route.js";
import { openItem, openUser } from "./sheet.js";
import { avatar, build, chips, heading, whoBar } from "./who.js";
import { why } from "./why.js";

const K = 20;
const FIRST = matchMedia("(max-width: 760px)").matches ? 6 : 20;

export async function explore(context) {
  const { root, params, model, models, signal } = context;
  const someone = person(params);
  root.append(whoBar(context));
  if (!someone) return welcome(context);
  const body = el("div", {}, skeleton(12));
  root.append(body);
  const [had, list, picks] = await Promise.all([
    history(model, someone, signal),
    recommended(model, someone, K, signal),
    someone.items ? chips(context, someone) : null,
  ]);
  const scores = scale(model, had.history.slice(0, FIRST), list);
  const links = { ...whose(someone), model: params.get("model") };
  const actions = [
    model.capabilities.includes("metric space") ? el("a", { class: "button", href: address("map", links) }, icon("map"), "On the map") : null,
    models.length > 1 ? el("a", { class: "button", href: address("compare", links) }, icon("pair"), "Compare models") : null,
    someone.user !== undefined && model.capabilities.includes("similar users")
      ? el("button", { type: "button", class: "button", onclick: () => openUser(context, someone.user) }, icon("near"), "Similar users") : null,
  ];
  const facts = [
    many(had.activity, "item"),
    had.margin === null || had.margin === undefined ? null : `margin ${fixed(had.margin)}`,
    `${model.name}, ${model.kind}`,
  ];
  body.replaceChildren(
    heading(someone, facts, ...actions.filter(Boolean)),
    picks?.box ?? "",
    el("div", { class: "columns" },
      pastColumn(context, had, scores, picks ? "Picks" : "History"), nextColumn(context, someone, list, scores)));
  announce(`${called(someone)}: ${many(list.length, "recommendation")}${list.length ? `, the first is ${titleOf(list[0])}` : ""}`);
}

const unit = ({ metric }) => (metric ? "squared distance; nearer is shorter" : "score; higher is better");

function pastColumn(context, { history: had }, scores, title) {
  const list = el("ol", { class: "rows liked" });
  const open = (item) => openItem(context, item);
  let order = had;
  let all = false;
  const draw = () => list.replaceChildren(...(all ? order : order.slice(0, FIRST)).map((item) => row(item, { scores, open })));
  const more = el("button", { type: "button", class: "more", onclick: () => { all = true; more.remove(); draw(); } },
    `Show all ${whole(had.length)}`);
  const sort = el("select", {
    "aria-label": "Order",
    onchange: (event) => {
      order = event.target.value === "popular" ? [...had].sort((a, b) => b.popularity - a.popularity) : had;
      draw();
    },
  }, el("option", { value: "near" }, scores.metric ? "nearest first" : "best scored first"), el("option", { value: "popular" }, "most popular first"));
  draw();
  return el("section", { class: "card past", "aria-labelledby": "past" },
    el("div", { class: "card-top" }, el("h2", { id: "past" }, el("span", { class: "dot liked" }), title), had.length > 1 ? sort : null),
    el("p", { class: "quiet" }, unit(scores)), list, had.length > FIRST ? more : null);
}

function nextColumn(context, someone, found, scores) {
  const { model } = context;
  const open = (item) => openItem(context, item);
  const list = el("ol", { class: "rows next" }, found.map((item) => {
    const id = `why-${item.rank}`;
    const box = el("div", { class: "why", id, role: "region", "aria-label": `Why ${titleOf(item)}`, hidden: true });
    const ask = el("button", { type: "button", class: "ask", "aria-expanded": "false", "aria-controls": id }, icon("why"), "Why?",
      el("span", { class: "spoken" }, ` ${titleOf(item)}`));
    ask.addEventListener("click", () => {
      box.hidden = !box.hidden;
      ask.setAttribute("aria-expanded", String(!box.hidden));
      remember({ why: box.hidden ? null : item.item });
      if (!box.hidden && !box.firstChild) why(context, someone, item.item, box);
    });
    const line = row(item, { rank: item.rank, scores, open, buttons: model.capabilities.includes("metric space") ? [ask] : [] });
    line.append(box);
    if (context.params.get("why") === String(item.item)) queueMicrotask(() => ask.isConnected && ask.click());
    return line;
  }));
  return el("section", { class: "card", "aria-labelledby": "next" },
    el("div", { class: "card-top" }, el("h2", { id: "next" }, el("span", { class: "dot next" }), "Recommended"),
      el("span", { class: "count" }, `top ${whole(found.length)}`)),
    el("p", { class: "quiet" }, unit(scores)),
    found.length ? list : blank("Nothing left to recommend", el("p", {}, "They have every item that the model knows.")));
}

async function welcome(context) {
  const { root, model, signal, params } = context;
  const box = el("div", {}, skeleton(8));
  root.append(box);
  const [{ users }, { items }] = await Promise.all([
    get("/v1/users", { limit: 8, model: model.name }, signal),
    get("/v1/items", { limit: 18, model: model.name }, signal),
  ]);
  const about = `${many(model.users, "user")}, ${many(model.items, "item")} and ${many(model.interactions, "interaction")}`;
  const space = model.capabilities.includes("metric space") ? " in one space: what is near is recommended" : "";
  box.replaceChildren(
    el("div", { class: "hero" }, el("h1", {}, "Who is it for?"), el("p", {}, `${about}${space}.`)),
    el("div", { class: "columns start" },
      el("section", { class: "card", "aria-labelledby": "people" },
        el("h2", { id: "people" }, "Most active users"),
        el("ul", { class: "people" }, users.map(({ user, activity }) => el("li", {},
          el("a", { href: address("explore", { user, model: params.get("model") }) }, avatar(user),
            el("span", { class: "words" }, `User ${user}`), el("span", { class: "count" }, many(activity, "item"))))))),
      el("section", { class: "card", "aria-labelledby": "popular" },
        el("h2", { id: "popular" }, model.capabilities.includes("fold-in") ? "Or start from something liked" : "Most popular items"),
        el("ul", { class: "shelf" }, items.map((item) => el("li", {},
          el("button", { type: "button", onclick: () => (model.capabilities.includes("fold-in") ? build([String(item.item)]) : openItem(context, item)) },
            tile(item), el("span", { class: "shelf-name" }, titleOf(item)))))))));
}
