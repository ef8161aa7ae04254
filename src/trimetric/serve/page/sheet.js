// A sheet at the side (below, on a phone) with what is known of an item or a user.

import { get } from "./api.js";
import { el, failure, fixed, icon, many, skeleton, whole } from "./dom.js";
import { about, row, scale, tile, titleOf } from "./items.js";
import { address, go, kept, person, read } from "./route.js";
import { avatar, build } from "./who.js";

const sheet = document.getElementById("sheet");
sheet.addEventListener("click", (event) => event.target === sheet && sheet.close());

function opened(title, ...content) {
  const close = el("button", { type: "button", class: "icon close", "aria-label": "Close", onclick: () => sheet.close() }, icon("close"));
  sheet.replaceChildren(el("div", { class: "sheet" }, el("div", { class: "sheet-top" }, title, close), ...content));
  if (!sheet.open) sheet.showModal();
  sheet.scrollTop = 0;
}

const fact = (name, value) => [el("dt", {}, name), el("dd", {}, value)];

/** Show an item: popularity, margin, and the items nearest to it. */
export async function openItem({ model, signal }, item) {
  const title = el("h2", { id: "sheet-title" }, titleOf(item));
  opened(title, skeleton(8));
  try {
    const canSee = model.capabilities.includes("similar items");
    const [known, near] = await Promise.all([
      get("/v1/item", { item: item.item, model: model.name }, signal),
      canSee ? get("/v1/similar-items", { item: item.item, k: 12, model: model.name }, signal) : null,
    ]);
    title.textContent = titleOf(known);
    const { view, params } = read();
    const someone = person(params);
    const picks = someone?.items ?? [];
    const buttons = [];
    if (model.capabilities.includes("fold-in") && !picks.includes(String(known.item))) {
      const add = () => build([...picks, String(known.item)], someone?.items ? [...someone.weights, 1] : undefined);
      buttons.push(el("button", { type: "button", class: "primary", onclick: add }, icon("plus"),
        picks.length ? "Add to your picks" : "Recommend from this"));
    }
    if (model.capabilities.includes("metric space") && view !== "map") {
      buttons.push(el("a", { class: "button", href: mapOf(params, known.item) }, icon("map"), "Show on the map"));
    }
    opened(title,
      el("div", { class: "sheet-head" }, tile(known), el("div", {},
        el("p", { class: "about" }, about(known) || `Item ${known.item}`),
        el("dl", { class: "facts" },
          fact("Popularity", `${many(known.popularity, "user")}, number ${whole(known.rank)}`),
          known.margin === null ? null : fact("Margin", fixed(known.margin)),
          fact("Id", known.item)))),
      buttons.length ? el("div", { class: "actions" }, buttons) : null,
      el("h3", {}, "Nearest items"),
      near ? list(near.similar, { model, signal }) : el("p", { class: "quiet" }, `${model.kind} has no distances between items.`));
  } catch (error) {
    if (error.name !== "AbortError") opened(title, failure(error));
  }
}

function list(similar, context) {
  const scores = scale(context.model, similar);
  return el("ol", { class: "rows small" }, similar.map((one) =>
    row(one, { rank: one.rank, scores, open: (item) => openItem(context, item) })));
}

const mapOf = (params, item) =>
  address("map", { user: params.getAll("user"), item: params.getAll("item"), w: params.getAll("w"), model: params.get("model"), focus: item });

/** Show the users nearest to a user. */
export async function openUser({ model, signal }, user) {
  const title = el("h2", { id: "sheet-title" }, `Users near user ${user}`);
  opened(title, skeleton(8));
  try {
    const { similar } = await get("/v1/similar-users", { user, k: 12, model: model.name }, signal);
    const scores = scale(model, similar);
    const { view, params } = read();
    const visit = (one) => go(address(view, { user: one.user, ...kept(params) }));
    opened(title,
      el("p", { class: "quiet" }, "Those whose positions are nearest, whatever they have in common."),
      el("ol", { class: "rows small" }, similar.map((one) => el("li", { class: "row" },
        el("span", { class: "rank" }, one.rank), avatar(one.user),
        el("span", { class: "words" }, el("button", { type: "button", class: "name", onclick: () => visit(one) }, `User ${one.user}`)),
        userBar(one, scores)))));
  } catch (error) {
    if (error.name !== "AbortError") opened(title, failure(error));
  }
}

const userBar = (user, { of, share }) => el("span", { class: "bar" },
  el("span", { class: "track", "aria-hidden": "true" }, el("span", { class: "fill", style: { width: `${(share(of(user)) * 100).toFixed(1)}%` } })),
  el("span", { class: "figure" }, fixed(of(user))));
