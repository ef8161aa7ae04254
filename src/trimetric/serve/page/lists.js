// Lists of users, and what can be done with any list: open, copy.

import { curl } from "./api.js";
import { announce, el, icon, many, whole } from "./dom.js";
import { bar, row, scale, titleOf } from "./items.js";
import { openPanel } from "./route.js";

/** Open an item in a panel. */
export const openItem = ({ item }) => openPanel(`item:${item}`);

export const avatar = (user) => el("span", { class: "avatar", "aria-hidden": "true" }, String(user).slice(-2));

/** A list of items of one kind: what is near, what is shared. */
export function itemList(model, items, { ranked = true, note, kind = "" } = {}) {
  const scores = items.some(({ score }) => score !== undefined) ? scale(model, items) : null;
  return el("ol", { class: `rows small ${kind}` }, items.map((one) =>
    row(one, { rank: ranked ? one.rank : null, scores, open: openItem, note: note?.(one) })));
}

/** A button that shows the rest of a list of which only the first few are shown; null if there is none. */
export function rest(list, few) {
  const hidden = [...list.children].slice(few);
  if (!hidden.length) return null;
  hidden.forEach((one) => { one.hidden = true; });
  const more = el("button", { type: "button", class: "more", onclick: () => {
    hidden.forEach((one) => { one.hidden = false; });
    more.remove();
    hidden[0].querySelector("button")?.focus();
  } }, `Show all ${whole(list.children.length)}`);
  return more;
}

/** A line for a user: who, how active, how good the match; `links` are what to do with them. */
export function userRow(one, scores, visit, links = []) {
  return el("li", { class: "row" },
    one.rank ? el("span", { class: "rank" }, one.rank) : null,
    avatar(one.user),
    el("span", { class: "words" },
      el("button", { type: "button", class: "name", onclick: () => visit(one) }, `User ${one.user}`),
      one.activity === undefined ? null : el("span", { class: "about" }, many(one.activity, "item"))),
    scores ? bar(one, scores) : null,
    links.length ? el("span", { class: "acts" }, links) : null);
}

/** A button that copies a list: as csv, as JSON, or as the call that made it. */
export function copier(list, request) {
  const forms = [
    ["as csv", "csv", () => csv(list)],
    ["as JSON", "JSON", () => JSON.stringify(list, null, 2)],
    ["as a curl call", "curl call", () => curl(request)],
  ];
  const menu = el("details", { class: "menu" },
    el("summary", { class: "icon-button", "aria-label": "Copy this list", title: "Copy this list" }, icon("copy"), el("span", {}, "Copy")),
    el("div", { class: "menu-box" }, forms.map(([label, name, text]) =>
      el("button", { type: "button", onclick: () => copied(text(), name, menu) }, label))));
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    event.stopPropagation();
    menu.open = false;
    menu.firstChild.focus();
  });
  menu.addEventListener("focusout", (event) => {
    if (event.relatedTarget && !menu.contains(event.relatedTarget)) menu.open = false;
  });
  return menu;
}

async function copied(text, name, menu) {
  const done = await write(text);
  menu.open = false;
  const label = menu.firstChild;
  label.focus();
  const said = done ? `Copied the ${name}` : `The browser does not let this page copy`;
  announce(said);
  label.lastChild.textContent = done ? "Copied" : "Not copied";
  label.classList.add("said");
  setTimeout(() => {
    label.lastChild.textContent = "Copy";
    label.classList.remove("said");
  }, 2000);
}

// The clipboard is for secure pages; an address such as http://192.168.1.5 needs the older way.
async function write(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = el("textarea", { class: "spoken", "aria-hidden": "true", value: text });
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

/** Write a list as csv, after RFC 4180: a column for whatever any item has. */
export function csv(list) {
  const names = [...new Set(list.flatMap(Object.keys))];
  const cell = (value) => {
    const text = value === null || value === undefined ? "" : Array.isArray(value) ? value.join("|") : String(value);
    return /[",\r\n]/.test(text) || text !== text.trim() ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [names, ...list.map((one) => names.map((name) => one[name]))].map((cells) => `${cells.map(cell).join(",")}\r\n`).join("");
}

/** Say what a list begins with. */
export const firstOf = (list) => `${many(list.length, "recommendation")}${list.length ? `, the first is ${titleOf(list[0])}` : ""}`;
