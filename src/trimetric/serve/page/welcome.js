// Nobody is chosen yet: who there is, and what to begin with.

import { placesNew } from "./answers.js";
import { get } from "./api.js";
import { el, many, skeleton } from "./dom.js";
import { tile, titleOf } from "./items.js";
import { avatar, openItem } from "./lists.js";
import { address } from "./route.js";
import { build } from "./who.js";

/** Fill the view with active users and popular items. */
export async function welcome({ root, model, signal, params }) {
  const box = el("div", {}, skeleton(8));
  root.append(box);
  const [{ users }, { items }] = await Promise.all([
    get("/v1/users", { limit: 8, model: model.name }, signal),
    get("/v1/items", { limit: 18, model: model.name }, signal),
  ]);
  const canBuild = placesNew(model);
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
        el("h2", { id: "popular" }, canBuild ? "Or start from something liked" : "Most popular items"),
        el("ul", { class: "shelf" }, items.map((item) => el("li", {},
          el("button", { type: "button", onclick: () => (canBuild ? build([String(item.item)]) : openItem(item)) },
            tile(item), el("span", { class: "shelf-name" }, titleOf(item)))))))));
}
