// What is on the map, and what its colours stand for.

import { el } from "./dom.js";
import { MOST_GROUPS } from "./points.js";
import { address, called, go, kept, read, remember } from "./route.js";

/** The bar under the map. */
export function legend(context, plane, found, someone) {
  const key = (kind, text) => el("span", { class: "key" }, el("span", { class: `dot ${kind}` }), text);
  const groups = el("span", { class: "keys groups" });
  const ramp = el("span", { class: "keys" }, el("span", { class: "quiet" }, "few users"),
    el("span", { class: "ramp", "aria-hidden": "true" }, [0, 1, 2, 3, 4].map((n) => el("i", { class: `r${n}` }))), el("span", { class: "quiet" }, "many"));
  const columns = Object.keys(found.items.groups ?? {});
  const colour = (by) => {
    ramp.hidden = by !== "";
    groups.hidden = by === "";
    plane.state.groups = null;
    if (by) {
      const { names, of } = ranked(found.items.groups[by]);
      plane.state.groups = of;
      groups.replaceChildren(...names.map((name, n) => key(`g${n}`, name)), key("other", "other"));
    }
    remember({ colour: by || null });
    plane.redraw();
  };
  const choice = el("select", { "aria-label": "Colour of the items", onchange: (event) => colour(event.target.value) },
    el("option", { value: "" }, "popularity"), columns.map((name) => el("option", { value: name }, name)));
  const asked = context.params.get("colour");
  choice.value = columns.includes(asked) ? asked : "";
  colour(choice.value);
  const users = el("label", { class: "check" }, el("input", {
    type: "checkbox", checked: true, onchange: (event) => { plane.state.users = event.target.checked; plane.redraw(); },
  }), el("span", { class: "dot user" }), "users");
  const dismissed = el("button", { type: "button", class: "link", onclick: () =>
    go(address("map", { ...kept(context.params), focus: read().params.get("focus") })) }, "clear");
  return el("div", { class: "map-legend", role: "group", "aria-label": "Legend" },
    someone ? el("span", { class: "keys" }, el("b", {}, called(someone)), el("span", { class: "key" }, el("span", { class: "me" }, "★"), "here"),
      key("liked", "history"), key("next", "recommended"), dismissed) : null,
    el("span", { class: "keys" }, users, columns.length ? el("label", { class: "check" }, "colour by", choice) : el("span", { class: "quiet" }, "size and colour: popularity")),
    ramp, groups);
}

// The most frequent values of a column, and for each item which of them it has.
function ranked(values) {
  const counts = new Map();
  for (const one of values) if (one !== null) counts.set(one, (counts.get(one) ?? 0) + 1);
  const names = [...counts].sort((a, b) => b[1] - a[1]).slice(0, MOST_GROUPS).map(([name]) => name);
  const order = new Map(names.map((name, n) => [name, n]));
  return { names, of: values.map((one) => order.get(one) ?? -1) };
}
