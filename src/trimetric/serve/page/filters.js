// Filters by columns of the items table: which there are, what is chosen, what can be added.

import { getOnce } from "./api.js";
import { el, icon, whole } from "./dom.js";
import { change, filters, writeFilters } from "./route.js";

/** What lets one choose items by their columns; null where the table has none to choose by. */
export async function filterBar({ model, params, signal }) {
  const { columns } = await getOnce("/v1/columns", { model: model.name }, signal);
  if (!columns.length) return null;
  const where = filters(params) ?? {};
  const put = (name, value) => change({ f: writeFilters({ ...where, [name]: value }), why: null });
  const active = Object.entries(where).flatMap(([name, value]) => tags(name, value, put));
  const fields = columns.map((column) => (column.values ? choice : between)(column, where[column.name], put));
  return el("details", { class: "filters", open: active.length > 0 },
    el("summary", {}, icon("filter"), "Filter"),
    el("div", { class: "filter-fields" }, fields),
    active.length ? el("ul", { class: "chips", "aria-label": "Filters" }, active) : null);
}

function choice({ name, values }, chosen, put) {
  const had = Array.isArray(chosen) ? chosen : [];
  const select = el("select", { "aria-label": `Only ${name}`, onchange: () => select.value && put(name, [...had, select.value]) },
    el("option", { value: "" }, had.length ? `or ${name} …` : `any ${name}`),
    values.filter(({ value }) => !had.includes(value)).map(({ value, items }) => el("option", { value }, `${value} (${whole(items)})`)));
  select.value = "";
  return select;
}

function between({ name, span }, chosen, put) {
  const now = { min: null, max: null, ...(Array.isArray(chosen) ? {} : chosen) };
  const side = (key, label) => el("input", {
    type: "number", step: "any", placeholder: String(span[key]), "aria-label": `${label} ${name}`, value: now[key] ?? "",
    onchange: (event) => put(name, { ...now, [key]: event.target.value === "" ? null : Number(event.target.value) }),
  });
  return el("span", { class: "span" }, el("span", { "aria-hidden": "true" }, name), side("min", "Least"), el("span", { "aria-hidden": "true" }, "–"), side("max", "Greatest"));
}

function tags(name, value, put) {
  const tag = (text, rest) => el("li", { class: "chip plain" }, el("span", {}, text),
    el("button", { type: "button", "aria-label": `Remove the filter ${text}`, "data-else": `Only ${name}`, onclick: () => put(name, rest) }, icon("close")));
  if (Array.isArray(value)) return value.map((one) => tag(one, value.filter((other) => other !== one)));
  const text = value.min === null ? `${name} up to ${value.max}` : value.max === null ? `${name} from ${value.min}` : `${name} ${value.min} to ${value.max}`;
  return [tag(text, {})];
}
