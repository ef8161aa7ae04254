// Two users side by side: what they share, what lies between them, what both are recommended.

import { get } from "./api.js";
import { recommended } from "./answers.js";
import { announce, blank, el, fixed, icon, many, skeleton, whole } from "./dom.js";
import { avatar, itemList, rest } from "./lists.js";
import { address, go, kept } from "./route.js";
import { userPicker } from "./who.js";

const K = 20;

export async function pair(context) {
  const { root, params, model, signal } = context;
  const [user, other] = [params.get("user"), params.get("other")];
  const to = (a, b) => go(address("pair", { user: a, other: b, ...kept(params) }));
  const field = (label, text, pick) => el("div", { class: "field" }, el("span", { class: "label" }, text), userPicker(context, pick, label));
  root.append(el("section", { class: "who two", "aria-label": "Which users" },
    field("Find the first user", user ? `First: user ${user}` : "First", (one) => to(one.user, other)),
    field("Find the second user", other ? `Second: user ${other}` : "Second", (one) => to(user, one.user)),
    user && other ? el("button", { type: "button", class: "quiet-button", onclick: () => to(other, user) }, icon("swap"), "Swap") : null));
  if (!user || !other) {
    root.append(el("h1", { class: "spoken" }, "Two users"), blank("Which two users?",
      el("p", {}, "Choose both above to see what they share, and what lies between them."), await suggestions(context, user)));
    return;
  }
  const body = el("div", {}, skeleton(12));
  root.append(body);
  const someone = (one) => ({ user: one, more: [], not: [] });
  const [found, ...lists] = await Promise.all([
    get("/v1/between", { user, other, k: K, model: model.name }, signal),
    ...[user, other].map((one) => recommended(model, someone(one), K, signal)),
  ]);
  const second = new Set(lists[1].list.map(({ item }) => String(item)));
  const both = lists[0].list.filter(({ item }) => second.has(String(item)));
  body.replaceChildren(
    el("h1", {}, `User ${found.user} and user ${found.other}`),
    shares(found, params),
    cards(model, found, both));
  announce(`${many(found.n_shared, "item")} in common`);
}

function cards(model, found, both) {
  const between = list(model, "between", "What lies between them", found.between, "Neither has these; they are the best matches for the two together.");
  const twice = list(model, "both", `In both lists of ${K}`, both.map((one) => ({ ...one, score: undefined, distance: undefined })),
    both.length ? "Recommended to each of them." : "Nothing is recommended to both.", { ranked: false });
  if (!found.n_shared) return el("div", { class: "columns" }, between, twice);
  const shared = list(model, "shared", "What both have", found.shared, "Rarest first: what few have says most.",
    { ranked: false, kind: "liked", note: (one) => many(one.popularity, "user") });
  return el("div", { class: "columns" }, shared, el("div", { class: "stack" }, between, twice));
}

function list(model, id, title, items, note, options) {
  const rows = itemList(model, items, options);
  return el("section", { class: "card", "aria-labelledby": id },
    el("div", { class: "card-top" }, el("h2", { id }, title), el("span", { class: "count" }, many(items.length, "item"))),
    el("p", { class: "quiet" }, note), rows, rest(rows, K));
}

// How much of what they have is shared, as one bar of three parts.
function shares({ user, other, activity, other_activity: theirs, n_shared: shared, distance }, params) {
  const alone = [activity - shared, theirs - shared];
  const all = Math.max(alone[0] + alone[1] + shared, 1);
  const who = (one) => el("a", { href: address("explore", { user: one, ...kept(params) }) }, avatar(one), `User ${one}`);
  const part = (kind, n) => (n ? el("span", { class: kind, style: { "flex-grow": n } }) : null);
  const near = distance === null ? "" : ` They are at a squared distance of ${fixed(distance)} from each other.`;
  return el("section", { class: "card shares", "aria-label": "What they share" },
    el("div", { class: "share-names" }, who(user), who(other)),
    el("div", { class: "venn", "aria-hidden": "true" }, part("a", alone[0]), part("both", shared), part("b", alone[1])),
    el("div", { class: "share-names counts" }, el("span", {}, `${whole(alone[0])} only here`), el("b", {}, `${whole(shared)} in common`), el("span", {}, `${whole(alone[1])} only here`)),
    el("p", { class: "quiet" }, `${((100 * shared) / all).toFixed(0)} % of all they have is shared.${near}`));
}

// The users nearest to the one who is chosen, where the model can tell.
async function suggestions({ model, params, signal }, user) {
  if (!user || !model.capabilities.includes("similar users")) return null;
  const { similar } = await get("/v1/similar-users", { user, k: 5, model: model.name }, signal);
  return el("div", {}, el("p", {}, `Nearest to user ${user}:`), el("div", { class: "actions centred" }, similar.map((one) =>
    el("a", { class: "button", href: address("pair", { user, other: one.user, ...kept(params) }) }, `User ${one.user}`))));
}
