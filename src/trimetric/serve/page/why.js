// Why an item is recommended: the nearest liked ones, both hinges, popularity, a counterfactual.

import { explained } from "./answers.js";
import { el, failure, fixed, skeleton, whole } from "./dom.js";

/** Fill a box with the reasons for an item. */
export async function why({ model, signal }, someone, item, box) {
  box.replaceChildren(skeleton(3));
  try {
    const found = await explained(model, someone, item, signal);
    box.replaceChildren(...drawn(found));
  } catch (error) {
    if (error.name !== "AbortError") box.replaceChildren(failure(error));
  }
}

function drawn(found) {
  const name = (one) => found.titles?.[String(one)] ?? `Item ${one}`;
  return [
    el("p", { class: "sentence" }, found.sentence),
    el("div", { class: "why-parts" },
      found.reasons.length ? nearest(found, name) : null,
      el("div", { class: "why-side" },
        found.counterfactual ? counterfactual(found.counterfactual, name) : null,
        crowd(found.popularity))),
    found.triple ? hinges(found, name) : null,
  ];
}

function nearest({ reasons, own, counterfactual: other }, name) {
  const summed = own !== null && own !== undefined;
  const value = (one) => (summed ? one.adds : one.d2_item);
  const most = Math.max(...reasons.map((one) => Math.abs(value(one))), 1e-9);
  return el("div", {}, el("h3", {}, summed ? "What they have, by what it adds to the score" : "Nearest among what they have"),
    el("ol", { class: "reasons" }, reasons.map((one) => el("li", {},
      el("span", { class: "reason-name" }, name(one.item), other?.item === one.item ? el("span", { class: "tag key" }, "decisive") : null),
      el("span", { class: "bar" },
        el("span", { class: "track liked", "aria-hidden": "true" },
          el("span", { class: "fill", style: { width: `${(Math.max(value(one) / most, 0.02) * 100).toFixed(1)}%` } })),
        el("span", { class: "figure" }, el("span", { class: "spoken" }, summed ? "adds " : "squared distance "), fixed(value(one)))),
      one.rank_without ? el("span", { class: "quiet" }, `without it: number ${whole(one.rank_without)}`) : null))));
}

function counterfactual(found, name) {
  const among = found.examined === found.liked ? "any single item" : `any of the ${whole(found.examined)} nearest items`;
  return el("div", {}, el("h3", {}, "What holds it here"), el("p", {},
    found.item !== null
      ? [`Without `, el("b", {}, name(found.item)), ` it would fall from number ${whole(found.rank_with)} to number ${whole(found.rank_without)}, out of the top ${whole(found.k)}.`]
      : found.rank_with <= found.k
        ? `It would stay in the top ${whole(found.k)} without ${among}.`
        : `Placed anew by these items alone, it would be number ${whole(found.rank_with)}.`));
}

function crowd({ count, rank, share }) {
  return el("div", {}, el("h3", {}, "Popularity"), el("p", {},
    `${whole(count)} users have it, ${(share * 100).toFixed(1)} % of all; number ${whole(rank)} by popularity.`));
}

// d² is to be smaller by the margin than to the item just behind: what is missing is the hinge.
function hinges({ triple: t, item }, name) {
  const line = (side, far, margin, hinge) => el("tr", {},
    el("th", { scope: "row" }, side), el("td", {}, fixed(t.d2_uv)), el("td", {}, fixed(far)),
    el("td", {}, fixed(margin)),
    el("td", { class: hinge > 0 ? "active" : "" }, hinge === null ? "–" : hinge > 0 ? fixed(hinge) : "0, satisfied"));
  const head = ["Hinge", "d² to it", "d² to the one behind", "Margin", "Value"];
  const lines = [
    t.user_margin === null ? null : line("from the user", t.d2_un, t.user_margin, t.user_hinge),
    t.item_margin === null ? null : line("from the item", t.d2_vn, t.item_margin, t.item_hinge),
  ];
  if (!lines.some(Boolean)) return null;
  return el("details", { class: "hinges" },
    el("summary", {}, "Both hinges and margins"),
    el("p", { class: "quiet" }, `Against ${name(t.negative)}, the nearest item ranked behind ${name(item)} that they do not have. Training asks that it be farther away by the margin; the value is what is missing.`),
    el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Hinges and margins" }, el("table", {},
      el("thead", {}, el("tr", {}, head.map((text) => el("th", { scope: "col" }, text)))),
      el("tbody", {}, lines))));
}
