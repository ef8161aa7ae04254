// The list of recommendations: reasons, more like this, not this, filters, copies.

import { explains, placesNew } from "./answers.js";
import { announce, blank, el, icon, whole } from "./dom.js";
import { legend, row, titleOf } from "./items.js";
import { copier, openItem } from "./lists.js";
import { change, filters, read, remember } from "./route.js";
import { build } from "./who.js";
import { why } from "./why.js";

/** The card of what someone is recommended. */
export function nextColumn(context, someone, found, request, scores, bar) {
  const { params } = context;
  const list = el("ol", { class: "rows next" }, found.map((item) => line(context, someone, item, scores)));
  const none = filters(params)
    ? blank("Nothing fits", el("p", {}, "No item that they do not have passes the filters."))
    : blank("Nothing left to recommend", el("p", {}, "They have every item that the model knows."));
  if (params.get("why")) queueMicrotask(() => list.querySelector(`[data-item="${CSS.escape(params.get("why"))}"] .ask`)?.click());
  return el("section", { class: "card", "aria-labelledby": "next" },
    el("div", { class: "card-top" }, el("h2", { id: "next" }, el("span", { class: "dot next" }), "Recommended"),
      el("span", { class: "count" }, `top ${whole(found.length)}`), found.length ? copier(found, request) : null),
    el("div", { class: "list-head" }, el("p", { class: "quiet" }, legend(scores)), bar), found.length ? list : none);
}

function line(context, someone, item, scores) {
  const { model } = context;
  const title = titleOf(item);
  const id = `why-${item.rank}`;
  const box = el("div", { class: "why", id, role: "region", "aria-label": `Why ${title}`, hidden: true });
  const button = (kind, name, label, act, text) => el("button", {
    type: "button", class: kind, title: label, "data-else": "Find a user", "aria-label": `${label} ${title}`, onclick: act,
  }, icon(name), text);
  const buttons = [];
  if (explains(model)) {
    const ask = button("ask", "why", "Why?", () => {
      box.hidden = !box.hidden;
      ask.setAttribute("aria-expanded", String(!box.hidden));
      const linked = !box.hidden && read().params.get("why") === String(item.item);
      remember({ why: box.hidden ? null : item.item });
      if (box.hidden || box.firstChild) return;
      const drawn = why(context, someone, item.item, box);
      if (linked) drawn.then(() => box.parentElement.scrollIntoView({ block: "start" }));
    }, "Why?");
    ask.setAttribute("aria-expanded", "false");
    ask.setAttribute("aria-controls", id);
    buttons.push(ask);
  }
  if (placesNew(model)) {
    buttons.push(button("act", "plus", "More like this:", () => more(someone, item)));
  }
  buttons.push(button("act", "less", "Not this:", () => {
    announce(`${title} is left out`);
    change({ not: [...someone.not, item.item], why: null });
  }));
  const shown = row(item, { rank: item.rank, scores, open: openItem, buttons });
  shown.append(box);
  return shown;
}

function more(someone, { item }) {
  if (someone.user === undefined) build([...someone.items, String(item)], [...someone.weights, 1]);
  else change({ more: [...someone.more, item], why: null });
}
