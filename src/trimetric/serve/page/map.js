// The map of the space: walk it, search it, see someone's items and recommendations on it.

import { get } from "./api.js";
import { history, recommended } from "./answers.js";
import { announce, blank, el, failure, fixed, icon, many, skeleton, whole } from "./dom.js";
import { row, scale } from "./items.js";
import { legend } from "./legend.js";
import { palette, pointsOf, ready } from "./points.js";
import { address, called, go, kept, person, remember, whose } from "./route.js";
import { space } from "./space.js";
import { itemPicker, userPicker } from "./who.js";

const K = 10;
const AMONG = 10;

export async function map(context) {
  const { root, model, signal } = context;
  root.append(el("h1", { class: "spoken" }, "Map"));
  if (!model.capabilities.includes("metric space")) {
    root.append(blank("No map for this model", el("p", {},
      `${model.name} (${model.kind}) scores pairs by something other than a distance, so that no map can show what is near. Models with a metric space, such as SML and CML, have one.`)));
    return;
  }
  root.append(el("div", { class: "blank" }, el("h2", {}, "Drawing the map"),
    el("p", { class: "quiet" }, "It is laid out once for each version of a model; large ones take some seconds.")), skeleton(4));
  const found = await ready(model, signal);
  if (!found) return;
  await show(context, found);
}

async function show(context, found) {
  const { root, params, signal } = context;
  const points = pointsOf(found);
  const index = new Map(points.map((one, i) => [`${one.kind} ${one.id}`, i]));
  const canvas = el("canvas", {
    class: "space", tabindex: "0", role: "application", "aria-roledescription": "map",
    "aria-label": `Map of ${many(found.items.ids.length, "item")} and ${many(found.users.ids.length, "user")}`,
    "aria-describedby": "map-keys",
  });
  const tip = el("div", { class: "tip", hidden: true });
  const side = el("div", { class: "near-list" });
  const marked = { list: [] };
  const focus = (i, fly = true) => focused(context, { plane, canvas, points, index, side, focus, marked }, i, fly);
  const plane = space(canvas, points, {
    signal,
    hover: (i, at) => {
      tip.hidden = i < 0;
      if (i < 0) return;
      const one = points[i];
      tip.replaceChildren(el("b", {}, one.name), el("span", {}, many(one.count, one.kind === "item" ? "user" : "item")));
      const room = canvas.clientWidth - tip.offsetWidth - 8;
      const below = at[1] < tip.offsetHeight + 24;
      tip.style.transform = `translate(${Math.min(Math.max(at[0] - tip.offsetWidth / 2, 8), Math.max(room, 8))}px, ${at[1] + (below ? 16 : -tip.offsetHeight - 14)}px)`;
    },
    pick: (i) => {
      if (i < 0) return focus(-1, false);
      if (points[i].kind === "item") return focus(i, false);
      go(address("map", { user: points[i].id, ...kept(params) }));
    },
  });
  const someone = person(params);
  const box = legend(context, plane, found, someone);
  const button = (name, label, act) => el("button", { type: "button", class: "icon", "aria-label": label, title: label, onclick: act }, icon(name));
  const find = itemPicker(context, ({ item }) => {
    const i = index.get(`item ${item}`);
    if (i === undefined) announce("That item is not on the map, which shows the most popular");
    else focus(i);
  }, "Find an item on the map");
  const users = userPicker(context, ({ user }) => go(address("map", { user, ...kept(params) })));
  root.replaceChildren(
    el("h1", { class: "spoken" }, "Map"),
    el("div", { class: "map-grid" },
      el("div", { class: "stage" }, el("div", { class: "sky" }, canvas, tip,
        el("div", { class: "zoom" }, button("plus", "Zoom in", () => plane.zoomBy(1.5)), button("minus", "Zoom out", () => plane.zoomBy(1 / 1.5)), button("fit", "Show all", () => plane.fit()))),
        box,
        el("p", { id: "map-keys", class: "spoken" }, "Arrow keys move, plus and minus zoom, 0 shows all, Enter selects the item at the centre; the list beside the map tells what is near to it.")),
      el("aside", { class: "map-side", "aria-label": "On the map" },
        el("div", { class: "field" }, el("span", { class: "label" }, "Fly to an item"), find),
        el("div", { class: "field" }, el("span", { class: "label" }, "Show a user"), users),
        side, quality(found))));
  const paint = () => plane.paint(palette(root));
  paint();
  addEventListener("themechange", paint, { signal });
  const start = index.get(`item ${params.get("focus")}`);
  plane.resize();
  focus(start ?? -1, start !== undefined);
  if (!someone) return;
  try {
    marked.list = await place(context, plane, points, index, someone, start === undefined);
    if (plane.marks.focus < 0) focus(-1, false);
  } catch (error) {
    if (error.name !== "AbortError") side.prepend(failure(error));
  }
}

// Marks someone's history and recommendations, and where they are themselves.
async function place({ model, signal }, plane, points, index, someone, fly) {
  const [had, { list }] = await Promise.all([history(model, someone, signal), recommended(model, someone, K, signal)]);
  const at = (item) => index.get(`item ${item}`);
  plane.marks.liked = new Set(had.history.map(({ item }) => at(item)).filter((i) => i !== undefined));
  plane.marks.next = new Map(list.filter(({ item }) => at(item) !== undefined).map(({ item, rank }) => [at(item), rank]));
  for (const i of plane.marks.next.keys()) plane.marks.liked.delete(i);
  const mine = index.get(`user ${someone.user}`);
  const near = [...had.history, ...list].filter(({ item, score }) => at(item) !== undefined && Number.isFinite(score))
    .sort((a, b) => b.score - a.score).slice(0, AMONG).map(({ item }) => points[at(item)]);
  plane.marks.me = mine !== undefined ? points[mine] : near.length ? centre(near) : null;
  if (plane.marks.me && fly) plane.fly(plane.marks.me.x, plane.marks.me.y, plane.state.least * 1.6);
  plane.redraw();
  announce(`${called(someone)}: ${many(plane.marks.liked.size, "item")} of the history and ${many(plane.marks.next.size, "recommendation")} marked`);
  return list;
}

// As the server places users: from the median to the centre of a Cauchy distribution.
function centre(near) {
  const middle = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];
  let [x, y] = [middle(near.map((p) => p.x)), middle(near.map((p) => p.y))];
  for (let step = 0; step < 10; step++) {
    const weights = near.map((p) => 1 / (1 + (p.x - x) ** 2 + (p.y - y) ** 2));
    const total = weights.reduce((a, b) => a + b, 0);
    x = near.reduce((sum, p, i) => sum + weights[i] * p.x, 0) / total;
    y = near.reduce((sum, p, i) => sum + weights[i] * p.y, 0) / total;
  }
  return { x, y };
}

async function focused(context, { plane, canvas, points, index, side, focus, marked }, i, fly) {
  const { model, params, signal } = context;
  const listed = (list) => el("ol", { class: "rows small" }, list.map((one) => row(one, {
    rank: one.rank, scores: scale(model, list), open: ({ item }) => index.has(`item ${item}`) && focus(index.get(`item ${item}`)),
  })));
  plane.marks.focus = i;
  plane.marks.near = new Map();
  plane.redraw();
  if (i < 0) {
    remember({ focus: null });
    side.replaceChildren(el("p", { class: "quiet hint" }, "Select an item on the map, or find one by title, to list what is nearest to it in the space, and to see where that is on the map."));
    if (marked.list.length) side.replaceChildren(el("h2", {}, el("span", { class: "dot next" }), " Recommended"), listed(marked.list));
    return;
  }
  const one = points[i];
  remember({ focus: one.id });
  if (fly) {
    plane.fly(one.x, one.y);
    canvas.scrollIntoView({ block: "nearest" });
  }
  side.replaceChildren(el("h2", {}, one.name), skeleton(5));
  try {
    const { similar } = await get("/v1/similar-items", { item: one.id, k: K, model: model.name }, signal);
    if (plane.marks.focus !== i) return;
    const known = similar.filter(({ item }) => index.has(`item ${item}`));
    plane.marks.near = new Map(known.map(({ item, rank }) => [index.get(`item ${item}`), rank]));
    plane.redraw();
    side.replaceChildren(
      el("div", { class: "card-top" }, el("h2", {}, one.name),
        el("button", { type: "button", class: "icon", "aria-label": "Clear the selection", onclick: () => focus(-1, false) }, icon("close"))),
      el("p", { class: "quiet" }, `${many(one.count, "user")}. Nearest in the space, linked on the map:`),
      listed(similar),
      el("div", { class: "actions" },
        el("a", { class: "button", href: address("explore", { item: [one.id], ...kept(params) }) }, icon("plus"), "Recommend from this"),
        el("a", { class: "button", href: address("item", { id: one.id, ...whose(person(params)), ...kept(params) }) }, icon("page"), "All about it")));
    announce(`${one.name}: nearest are ${similar.slice(0, 3).map((near) => near.title ?? near.item).join(", ")}`);
  } catch (error) {
    if (error.name !== "AbortError") side.replaceChildren(failure(error));
  }
}

function quality({ method, quality: q, sampled, items, users }) {
  const percent = (share) => (share === undefined ? "–" : `${(share * 100).toFixed(0)} %`);
  const fact = (name, value) => el("div", {}, el("dt", {}, name), el("dd", {}, value));
  const shown = sampled
    ? `Shown are the ${whole(items.ids.length)} most popular items and the ${whole(users.ids.length)} most active users.`
    : "All items and users are shown.";
  return el("section", { class: "truth", "aria-labelledby": "quality" },
    el("h2", { id: "quality" }, "How true is this map?"),
    el("p", { class: "quiet" }, "A plane cannot hold a space of many dimensions. Lists always use the distances in the space, never those on the map."),
    el("dl", { class: "settings" },
      fact(`Of the ${q.neighbours} items nearest to an item, kept near`, percent(q.items)),
      fact(`Of the ${q.neighbours} items nearest to a user, kept near`, percent(q.users)),
      q.trustworthiness === undefined ? null : fact("Trustworthiness: 1 is perfect, 0.5 chance", fixed(q.trustworthiness))),
    el("p", { class: "quiet" }, `Drawn by ${method}. ${shown}`));
}

