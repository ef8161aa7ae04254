// A panel at the side (below, on a phone) with what is known of an item or a user. It is in the address.

import { placesNew } from "./answers.js";
import { get } from "./api.js";
import { el, failure, fixed, icon, many, skeleton, whole } from "./dom.js";
import { about, scale, tile, titleOf } from "./items.js";
import { itemList, userRow } from "./lists.js";
import { address, closePanel, go, kept, person, read, whose } from "./route.js";
import { build } from "./who.js";

const sheet = document.getElementById("sheet");
sheet.addEventListener("click", (event) => event.target === sheet && closePanel());
sheet.addEventListener("cancel", (event) => {
  event.preventDefault();
  closePanel();
});
let shown = "";

/** Show the panel that the address names, or none. */
export function showPanel(context, panel) {
  const wanted = panel ? `${context.model.name} ${panel}` : "";
  if (wanted === shown) return;
  shown = wanted;
  if (!panel) {
    sheet.close();
    return;
  }
  const at = panel.indexOf(":");
  const [kind, id] = [panel.slice(0, at), panel.slice(at + 1)];
  if (kind === "user") ofUser(context, id);
  else ofItem(context, id);
}

function opened(title, ...content) {
  const close = el("button", { type: "button", class: "icon close", "aria-label": "Close", onclick: closePanel }, icon("close"));
  sheet.replaceChildren(el("div", { class: "sheet" }, el("div", { class: "sheet-top" }, title, close), ...content));
  if (!sheet.open) sheet.showModal();
  sheet.scrollTop = 0;
  close.focus();
}

const fact = (name, value) => [el("dt", {}, name), el("dd", {}, value)];

// An item: popularity, margin, and the items nearest to it.
async function ofItem({ model, signal }, item) {
  const title = el("h2", { id: "sheet-title" }, `Item ${item}`);
  opened(title, skeleton(8));
  const mine = shown;
  try {
    const canSee = model.capabilities.includes("similar items");
    const [known, near] = await Promise.all([
      get("/v1/item", { item, model: model.name }, signal),
      canSee ? get("/v1/similar-items", { item, k: 12, model: model.name }, signal) : null,
    ]);
    if (mine !== shown) return;
    title.textContent = titleOf(known);
    opened(title,
      el("div", { class: "sheet-head" }, tile(known), el("div", {},
        el("p", { class: "about" }, about(known) || `Item ${known.item}`),
        el("dl", { class: "facts" },
          fact("Popularity", `${many(known.popularity, "user")}, number ${whole(known.rank)}`),
          known.margin === null ? null : fact("Margin", fixed(known.margin)),
          fact("Id", known.item)))),
      el("div", { class: "actions" }, actions(model, known)),
      el("h3", {}, "Nearest items"),
      near ? itemList(model, near.similar) : el("p", { class: "quiet" }, `${model.kind} has no distances between items.`));
  } catch (error) {
    if (error.name !== "AbortError") opened(title, failure(error));
  }
}

function actions(model, { item }) {
  const { view, params } = read();
  const someone = person(params);
  const picks = someone?.items ?? [];
  const links = { ...whose(someone), ...kept(params) };
  const found = [];
  if (placesNew(model) && !picks.includes(String(item))) {
    const add = () => build([...picks, String(item)], someone?.items ? [...someone.weights, 1] : undefined);
    found.push(el("button", { type: "button", class: "primary", onclick: add }, icon("plus"),
      picks.length ? "Add to your picks" : "Recommend from this"));
  }
  if (view !== "item") found.push(el("a", { class: "button", href: address("item", { ...links, id: item }) }, icon("page"), "All about it"));
  if (model.capabilities.includes("metric space") && view !== "map") {
    found.push(el("a", { class: "button", href: address("map", { ...links, focus: item }) }, icon("map"), "Show on the map"));
  }
  return found;
}

// The users nearest to a user.
async function ofUser({ model, signal }, user) {
  const title = el("h2", { id: "sheet-title" }, `Users near user ${user}`);
  opened(title, skeleton(8));
  const mine = shown;
  try {
    const { similar } = await get("/v1/similar-users", { user, k: 12, model: model.name }, signal);
    if (mine !== shown) return;
    const scores = scale(model, similar);
    const { view, params } = read();
    const visit = (one) => go(address(view, { user: one.user, ...kept(params) }));
    const beside = (one) => el("a", {
      class: "act", href: address("pair", { user, other: one.user, ...kept(params) }), title: "Side by side", "aria-label": `Side by side with user ${one.user}`,
    }, icon("swap"));
    opened(title,
      el("p", { class: "quiet" }, "Those whose positions are nearest, whatever they have in common."),
      el("ol", { class: "rows small" }, similar.map((one) => userRow(one, scores, visit, [beside(one)]))));
  } catch (error) {
    if (error.name !== "AbortError") opened(title, failure(error));
  }
}
