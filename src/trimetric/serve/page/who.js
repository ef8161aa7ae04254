// Choosing whom to recommend to: a user, or a new one built of items.

import { placesNew } from "./answers.js";
import { get, getOnce } from "./api.js";
import { el, icon, many } from "./dom.js";
import { tile, titleOf, about } from "./items.js";
import { avatar } from "./lists.js";
import { picker } from "./picker.js";
import { address, called, change, go, kept, person, read, whose } from "./route.js";

const PAGE = 12;

/** A field that finds users. */
export function userPicker({ model, signal }, pick, label = "Find a user") {
  return picker({
    label, hint: "User id", signal, pick,
    search: async (search, abort) => {
      const { total, users } = await get("/v1/users", { search, limit: PAGE, model: model.name }, abort);
      return { total, found: users };
    },
    draw: ({ user, activity }) => [avatar(user), el("span", { class: "words" }, `User ${user}`), el("span", { class: "count" }, many(activity, "item"))],
  });
}

/** A field that finds items by their titles. */
export function itemPicker({ model, signal }, pick, label = "Find items by title") {
  return picker({
    label, hint: "Title or id", signal, pick,
    search: async (search, abort) => {
      const { total, items } = await get("/v1/items", { search, limit: PAGE, model: model.name }, abort);
      return { total, found: items };
    },
    draw: (item) => [
      tile(item),
      el("span", { class: "words" }, titleOf(item), el("span", { class: "about" }, about(item))),
      el("span", { class: "count" }, many(item.popularity, "user")),
    ],
  });
}

/** Go on with these items in place of whoever was chosen. */
export function build(items, weights = items.map(() => 1)) {
  const { view, params } = read();
  const not = params.get("user") ? [] : params.getAll("not").filter((one) => !items.includes(one));
  const at = ["explore", "map", "compare"].includes(view) ? view : "explore";
  go(address(at, { ...whose({ items, weights, not }), ...kept(params) }));
}

/** The bar at the top of a view that says for whom it is, and lets one choose. */
export function whoBar(context) {
  const { params, model } = context;
  const someone = person(params);
  const built = someone?.items ?? [];
  const { view } = read();
  const choose = (next) => go(address(view, { ...next, ...kept(params) }));
  const byUser = el("div", { class: "field" }, el("span", { class: "label" }, "Show a user"),
    userPicker(context, ({ user }) => choose({ user })));
  const byItems = el("div", { class: "field" }, el("span", { class: "label" }, built.length ? "Add another item" : "or build one by title"),
    itemPicker(context, ({ item }) => {
      if (built.includes(String(item))) return;
      build([...built, String(item)], someone?.items ? [...someone.weights, 1] : undefined);
    }));
  const dice = el("button", { type: "button", class: "quiet-button", onclick: () => anyone(context).then(choose) }, icon("dice"), "Anyone");
  return el("section", { class: "who", "aria-label": "For whom" }, byUser, placesNew(model) ? byItems : null, dice);
}

async function anyone({ model, signal }) {
  const { total } = await get("/v1/users", { limit: 1, model: model.name }, signal);
  const offset = Math.floor(Math.random() * total);
  const { users } = await get("/v1/users", { limit: 1, offset, model: model.name }, signal);
  return { user: users[0].user };
}

function remover(title, act) {
  return el("button", { type: "button", "aria-label": `Remove ${title}`, "data-else": "Find items by title", onclick: act }, icon("close"));
}

/** The items of a built user as chips, with their weights. */
export async function chips({ model, signal }, someone) {
  const found = await Promise.all(someone.items.map((item) =>
    getOnce("/v1/item", { item, model: model.name }, signal)));
  const weighted = someone.weights.some((w) => w !== 1);
  const list = el("ul", { class: "chips", "aria-label": "Your picks" });
  const draw = (weights) => {
    list.replaceChildren(...found.map((item, i) => {
      const without = () => {
        const others = someone.items.filter((_, j) => j !== i);
        const { view, params } = read();
        if (others.length) build(others, someone.weights.filter((_, j) => j !== i));
        else go(address(view, kept(params)));
      };
      const weight = el("input", {
        type: "number", min: "0.1", max: "1000", step: "0.1", value: someone.weights[i], "aria-label": `Weight of ${titleOf(item)}`,
        onchange: (event) => {
          const value = Number(event.target.value);
          if (value > 0) build(someone.items, someone.weights.map((w, j) => (j === i ? value : w)));
        },
      });
      return el("li", { class: "chip" }, el("span", {}, titleOf(item)), weights ? weight : null, remover(titleOf(item), without));
    }));
  };
  draw(weighted);
  const toggle = el("label", { class: "check" },
    el("input", { type: "checkbox", checked: weighted, onchange: (event) => draw(event.target.checked) }), "Weights");
  return el("div", { class: "picks" }, list, toggle);
}

/** What lists are to be more like, and what they are not to have; null if nothing was said. */
export async function steered({ model, signal }, someone) {
  const { more, not } = someone;
  if (!more.length && !not.length) return null;
  const named = async (item) => titleOf(await getOnce("/v1/item", { item, model: model.name }, signal));
  const part = async (name, label, items, kind) => (items.length ? [
    el("span", { class: "quiet" }, label),
    el("ul", { class: "chips", "aria-label": label }, await Promise.all(items.map(async (item) => {
      const title = await named(item);
      return el("li", { class: `chip ${kind}` }, el("span", {}, title),
        remover(title, () => change({ [name]: items.filter((one) => one !== item) })));
    }))),
  ] : []);
  const parts = [...await part("more", "More like", more, "next"), ...await part("not", "Not", not, "plain")];
  const said = more.length ? el("p", { class: "quiet wide" }, `Placed anew: ${more.length === 1 ? "this counts" : "these count"} as much as half of what they have.`) : null;
  return el("div", { class: "picks" }, parts, said);
}

/** The heading of whoever is shown. */
export function heading(someone, facts, ...actions) {
  return el("div", { class: "heading" },
    someone.user !== undefined ? avatar(someone.user) : el("span", { class: "avatar yours", "aria-hidden": "true" }, icon("plus")),
    el("div", {}, el("h1", {}, called(someone)), el("p", { class: "facts" }, facts.filter(Boolean).join(" · "))),
    el("div", { class: "actions" }, actions));
}
