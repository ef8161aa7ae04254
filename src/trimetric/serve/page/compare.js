// Two models side by side for the same person: what they share, and how ranks shift.

import { recommended } from "./answers.js";
import { blank, el, failure, skeleton, whole } from "./dom.js";
import { row, scale } from "./items.js";
import { openItem } from "./lists.js";
import { change, person, remember } from "./route.js";
import { heading, whoBar } from "./who.js";

const K = 20;
const CUTS = [5, 10, 20];

export async function compare(context) {
  const { root, params, model, models, signal } = context;
  if (models.length < 2) {
    root.append(el("h1", { class: "spoken" }, "Two models"), blank("Serve two models to compare them",
      el("p", {}, "Only ", el("b", {}, model.name), " is served. Start the server with both folders:"),
      el("pre", {}, el("code", {}, "trimetric serve first-model second-model")),
      el("p", { class: "quiet" }, "Models of any kind can be compared, also two versions of one.")));
    return;
  }
  const second = models.find(({ name }) => name === params.get("with") && name !== model.name)
    ?? models.find(({ name }) => name !== model.name);
  remember({ with: second.name });
  params.set("with", second.name);
  root.append(whoBar(context));
  const someone = person(params);
  const chooser = el("select", { "aria-label": "Second model", onchange: (event) =>
    change({ with: event.target.value }) },
    models.filter(({ name }) => name !== model.name).map(({ name, kind }) => el("option", { value: name }, `${name} (${kind})`)));
  chooser.value = second.name;
  const versus = el("p", { class: "versus" }, el("b", { class: "first" }, model.name), " against ", chooser);
  if (!someone) {
    root.append(el("h1", { class: "spoken" }, "Two models"), blank("Whose recommendations?", versus, el("p", {}, "Choose a user or build one above.")));
    return;
  }
  const body = el("div", {}, skeleton(12));
  root.append(body);
  const asked = await Promise.allSettled([model, second].map((one) => recommended(one, someone, K, signal)));
  if (signal.aborted) return;
  const lists = asked.map(({ value }) => value?.list ?? []);
  const places = lists.map((list) => new Map(list.map(({ item, rank }) => [String(item), rank])));
  const both = asked.every(({ status }) => status === "fulfilled");
  body.replaceChildren(
    heading(someone, [`top ${K} by each`]), versus,
    both ? overlap(lists) : "",
    el("div", { class: "columns" }, [model, second].map((one, i) =>
      asked[i].status === "fulfilled"
        ? column({ ...context, model: one }, lists[i], places[1 - i], i)
        : el("section", { class: "card" }, el("h2", {}, one.name), failure(asked[i].reason)))));
}

function overlap([a, b]) {
  const cards = CUTS.map((k) => {
    const first = new Set(a.slice(0, k).map(({ item }) => String(item)));
    const shared = b.slice(0, k).filter(({ item }) => first.has(String(item))).length;
    const most = Math.max(1, Math.min(k, a.length, b.length));
    return el("div", { class: "meter" },
      el("span", { class: "meter-name" }, `Overlap@${k}`),
      el("b", {}, `${shared} of ${most}`),
      el("span", { class: "track", "aria-hidden": "true" }, el("span", { class: "fill", style: { width: `${(100 * shared) / most}%` } })));
  });
  return el("div", { class: "meters", role: "group", "aria-label": "Items in both lists" }, cards);
}

function column(context, list, other, side) {
  const scores = scale(context.model, list);
  const rows = list.map((item) => {
    const mark = shift(item.rank, other.get(String(item.item)));
    const line = row(item, { rank: item.rank, scores, mark, open: openItem });
    if (!other.has(String(item.item))) line.classList.add("alone");
    const twins = (on) => document.querySelectorAll(`.compare [data-item="${CSS.escape(String(item.item))}"]`)
      .forEach((one) => one.classList.toggle("twin", on));
    line.addEventListener("pointerenter", () => twins(true));
    line.addEventListener("pointerleave", () => twins(false));
    return line;
  });
  const alone = list.filter(({ item }) => !other.has(String(item))).length;
  return el("section", { class: `card side-${side}`, "aria-label": `Recommended by ${context.model.name}` },
    el("div", { class: "card-top" }, el("h2", {}, context.model.name),
      el("span", { class: "count" }, `${context.model.kind} · ${whole(alone)} only here`)),
    el("ol", { class: "rows next" }, rows));
}

function shift(rank, other) {
  if (other === undefined) return el("span", { class: "shift new" }, "only here");
  const moved = other - rank;
  const text = moved === 0 ? "same rank" : `${Math.abs(moved)} ${moved > 0 ? "higher" : "lower"} than in the other list`;
  return el("span", { class: `shift ${moved > 0 ? "up" : moved < 0 ? "down" : ""}`, title: text },
    el("span", { "aria-hidden": "true" }, moved > 0 ? `▲ ${moved}` : moved < 0 ? `▼ ${-moved}` : "="),
    el("span", { class: "spoken" }, text));
}
