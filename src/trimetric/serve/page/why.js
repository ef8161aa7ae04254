// Why an item is recommended: in plain words first, with the model's numbers one click behind.

import { explained } from "./answers.js";
import { el, failure, fixed, many, skeleton, whole } from "./dom.js";
import { openPanel } from "./route.js";

/** Fill a box with the reasons for an item. */
export async function why({ model, signal }, someone, item, box) {
  box.replaceChildren(skeleton(3));
  try {
    box.replaceChildren(...reasons(await explained(model, someone, item, signal)));
  } catch (error) {
    if (error.name !== "AbortError") box.replaceChildren(failure(error));
  }
}

/** The reasons as elements. */
export function reasons(found) {
  const name = (one) => found.titles?.[String(one)] ?? `Item ${one}`;
  return [
    el("p", { class: "because" }, because(found, name)),
    el("div", { class: "why-parts" },
      found.reasons.length ? nearest(found, name) : null,
      el("div", { class: "why-side" },
        found.counterfactual ? change(found, name) : null,
        crowd(found.popularity))),
    equation(found, name),
  ];
}

// Whether a score is a sum of what each of their items adds.
const isSum = ({ by, own }) => by === "sum" || (own !== null && own !== undefined);

const listed = (names) => names.flatMap((one, i) => [
  i === 0 ? "" : i === names.length - 1 ? " and " : ", ", el("b", {}, one)]);

function because(found, name) {
  const whom = found.user === null ? "you have" : `user ${found.user} has`;
  const summed = isSum(found);
  const helps = found.reasons.filter((one) => !summed || one.adds > 0).slice(0, 3).map(({ item }) => name(item));
  if (found.seen) return [found.user === null ? "You have it already" : `User ${found.user} has it already`, ...(helps.length ? [", near ", ...listed(helps)] : []), "."];
  const where = found.rank <= found.k ? `Number ${whole(found.rank)}` : `Only number ${whole(found.rank)} of ${whole(found.candidates)}`;
  if (found.by === "count") return `${where} by how many users have it: the same list for everybody.`;
  if (!helps.length) return `${where} for them.`;
  return [`${where} because ${whom} `, ...listed(helps), summed ? ", which speak for it most." : ", the nearest to it."];
}

function nearest(found, name) {
  const { reasons: all, counterfactual: other } = found;
  const summed = isSum(found);
  const value = (one) => (summed ? one.adds : -one.d2_item);
  const values = all.map(value);
  const [best, least] = [Math.max(...values), Math.min(...values, summed ? 0 : Infinity)];
  const share = (one) => (best > least ? 0.08 + (0.92 * (value(one) - least)) / (best - least) : 1);
  return el("div", {}, el("h3", {}, summed ? "What speaks for it" : "Nearest among what they have"),
    el("ol", { class: "reasons" }, all.map((one, i) => el("li", {},
      el("span", { class: "reason-name" },
        el("button", { type: "button", class: "name", onclick: () => openPanel(`item:${one.item}`) }, name(one.item)),
        other?.item === one.item ? el("span", { class: "tag key" }, "decisive") : null),
      el("span", { class: "bar", title: summed ? `adds ${fixed(one.adds, 4)} to the score` : `d² ${fixed(one.d2_item, 4)}` },
        el("span", { class: "track liked", "aria-hidden": "true" },
          el("span", { class: "fill", style: { width: `${(Math.min(1, Math.max(share(one), 0.02)) * 100).toFixed(1)}%` } }))),
      el("span", { class: "quiet" }, together(found.together[i]),
        one.rank_without ? without(one, other) : "")))));
}

function without({ rank_without: rank }, other) {
  return other && rank === other.rank_with ? "" : ` Without it: number ${whole(rank)}.`;
}

function together({ users: have, have_both: both }) {
  return `Had together by ${whole(both)} of its ${many(have, "user")} (${Math.round((100 * both) / have)} %).`;
}

function change({ counterfactual: found }, name) {
  const among = found.examined === found.liked ? "any single item" : `any of the ${whole(found.examined)} nearest items`;
  return el("div", {}, el("h3", {}, "What would change it"), el("p", {},
    found.item !== null
      ? [`Without `, el("b", {}, name(found.item)), ` it would fall from number ${whole(found.rank_with)} to number ${whole(found.rank_without)}, out of the top ${whole(found.k)}.`]
      : found.rank_with <= found.k
        ? `Nothing alone: it would stay in the top ${whole(found.k)} without ${among}.`
        : `Placed anew by these items alone, it would be number ${whole(found.rank_with)}.`));
}

function crowd({ count, rank, share }) {
  return el("div", {}, el("h3", {}, "How well known"), el("p", {},
    `${whole(count)} users have it, ${(share * 100).toFixed(1)} % of all; number ${whole(rank)} by popularity.`));
}

function equation(found, name) {
  return el("details", { class: "hinges" },
    el("summary", {}, "The equation"),
    el("p", { class: "sentence" }, found.sentence),
    el("p", {}, found.by === "count" ? "An item is ranked by how many users have it."
      : !isSum(found) ? "An item is ranked by d², its squared distance to the user: the nearer, the better."
        : `The score is a sum: what each of their items adds${found.own ? `, and ${fixed(found.own)} of the user’s own` : ""}.`),
    found.reasons.length ? distances(found, name) : null,
    found.triple ? hinges(found, name) : null);
}

function table(label, head, rows) {
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, el("table", {},
    el("thead", {}, el("tr", {}, head.map((text) => el("th", { scope: "col" }, text)))),
    el("tbody", {}, rows)));
}

function distances(found, name) {
  const space = found.reasons[0].d2_item !== null;
  const columns = [isSum(found) ? ["Adds", "adds"] : null, ...(space ? [["d² to the item", "d2_item"], ["d² to the user", "d2_user"]] : [])].filter(Boolean);
  return table("What each counts", ["What they have", ...columns.map(([title]) => title)], found.reasons.map((one) => el("tr", {},
    el("th", { scope: "row" }, name(one.item)), columns.map(([, key]) => el("td", {}, fixed(one[key]))))));
}

// d² is to be smaller by the margin than to the item just behind: what is missing is the hinge.
function hinges({ triple: t, item }, name) {
  const line = (side, far, margin, hinge) => el("tr", {},
    el("th", { scope: "row" }, side), el("td", {}, fixed(t.d2_uv)), el("td", {}, fixed(far)),
    el("td", {}, fixed(margin)),
    el("td", { class: hinge > 0 ? "active" : "" }, hinge === null ? "–" : hinge > 0 ? fixed(hinge) : "0, satisfied"));
  const lines = [
    t.user_margin === null ? null : line("from the user", t.d2_un, t.user_margin, t.user_hinge),
    t.item_margin === null ? null : line("from the item", t.d2_vn, t.item_margin, t.item_hinge),
  ].filter(Boolean);
  if (!lines.length) return null;
  return el("div", {},
    el("p", { class: "quiet" }, `Against ${name(t.negative)}, the nearest item ranked behind ${name(item)} that they do not have. Training asks that it be farther away by the margin; the value is what is missing.`),
    table("Hinges and margins", ["Hinge", "d² to it", "d² to the one behind", "Margin", "Value"], lines));
}
