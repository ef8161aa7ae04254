// Margins against what is known of each user and item, as in the paper's Figure 6.

import { getOnce } from "./api.js";
import { blank, el, fixed, many, skeleton, svg, whole } from "./dom.js";
import { frame, line, scatter, tableOf } from "./plot.js";
import { address, go } from "./route.js";
import { openItem } from "./lists.js";

const BINS = 24;

export async function margins(context) {
  const { root, model, signal } = context;
  root.append(el("h1", {}, "Margins"), el("p", { class: "lead" },
    "How much farther away than what someone has the model asks everything else to be, against how much is known of each user and item: the view of the paper’s Figure 6."));
  const wait = skeleton(8);
  root.append(wait);
  const { settings } = await getOnce("/v1/training", { model: model.name }, signal);
  if (!("margin" in settings)) {
    wait.replaceWith(blank("This model has no margins of its own",
      el("p", {}, `${model.name} (${model.kind}) learns in another way. SML can learn a margin for each user and item.`)), instead(context));
    return;
  }
  if (!settings.adaptive_users && !settings.adaptive_items) {
    wait.replaceWith(el("p", { class: "note" }, fixedMargins(model, settings)), instead(context));
    return;
  }
  const answer = await getOnce("/v1/margins", { model: model.name }, signal);
  const { users, items } = answer;
  wait.replaceWith(el("div", { class: "columns" },
    users ? side(context, "users", users, users.activity, settings, "items of the user") : null,
    items ? side(context, "items", items, items.popularity, settings, "users of the item") : null));
  if (answer.sampled) root.append(el("p", { class: "quiet" }, "There are very many; evenly spaced ones are shown."));
}

const instead = ({ params }) => el("p", {}, el("a", { href: address("quality", { model: params.get("model") }) }, "How good is it?"));

// One line instead of a flat one.
function fixedMargins(model, settings) {
  const items = "item_margin" in settings ? ` and ${fixed(settings.item_margin, 2)} for every item` : "";
  return `The margins of ${model.name} are fixed: ${fixed(settings.margin, 2)} for every user${items}. SML learns them with the settings adaptive_users and adaptive_items.`;
}

function side(context, kind, { ids, margin }, counts, settings, xLabel) {
  const { signal, params } = context;
  const title = kind === "users" ? "Users" : "Items";
  const one = kind === "users" ? "user" : "item";
  const points = counts.map((n, i) => [n, margin[i]]);
  const middle = running(points);
  const [low, high] = [min(margin), max(margin)];
  const limit = settings[kind === "users" ? "margin" : "item_margin"];
  const tip = el("div", { class: "tip", hidden: true });
  const pad = Math.max((high - low) * 0.08, 0.02);
  const box = frame({
    label: `${title}: margin against ${xLabel}; the running median goes from ${fixed(middle[0]?.[1])} to ${fixed(middle.at(-1)?.[1])}`,
    xLabel, yLabel: "margin", xLog: true, signal, height: 340,
    x: [Math.max(1, min(counts)) * 0.9, max(counts) * 1.1], y: high - low > 1e-6 ? [Math.max(0, low - pad), high + pad] : [0, high * 1.15],
    draw: (plot) => {
      const find = scatter(points, plot, kind);
      if (Number.isFinite(limit)) {
        const at = plot.y.at(limit);
        if (limit <= high + pad) plot.inner.append(svg("line", { class: "limit", x1: plot.pad.left, x2: plot.width - plot.pad.right, y1: at, y2: at }));
      }
      plot.inner.append(...line(middle, plot, "median"));
      box.onpointermove = (event) => {
        const hit = find(event);
        tip.hidden = !hit;
        if (!hit) return;
        tip.textContent = `${title.slice(0, -1)} ${ids[hit.index]}: margin ${fixed(margin[hit.index])}, ${many(counts[hit.index], kind === "users" ? "item" : "user")}`;
        const left = Math.min(Math.max(hit.place[0] - tip.offsetWidth / 2, 4), plot.width - tip.offsetWidth - 4);
        tip.style.transform = `translate(${left}px, ${hit.place[1] - tip.offsetHeight - 10}px)`;
      };
      box.onclick = (event) => {
        const hit = find(event);
        if (!hit) return;
        if (kind === "items") openItem({ item: ids[hit.index] });
        else go(address("explore", { user: ids[hit.index], model: params.get("model") }));
      };
      box.onpointerleave = () => { tip.hidden = true; };
    },
  });
  box.append(tip);
  return el("section", { class: "card", "aria-label": title },
    el("div", { class: "card-top" }, el("h2", {}, title), el("span", { class: "count" }, many(ids.length, one))),
    el("p", { class: "note" }, summary(one, margin, limit)),
    el("figure", {}, box, el("figcaption", { class: "legend" },
      el("span", { class: "key" }, el("span", { class: `dot ${kind === "users" ? "next" : "liked"}` }), `one ${one}`),
      el("span", { class: "key" }, el("span", { class: "stroke" }), "running median"),
      Number.isFinite(limit) && limit <= high + pad ? el("span", { class: "key" }, el("span", { class: "stroke limit" }), `limit ${limit}`) : null)),
    tableOf([xLabel, "median margin", one === "user" ? "users" : "items"], middle.map(([n, m, size]) => [whole(Math.round(n)), fixed(m), whole(size)]), "The running median as a table"));
}

function summary(one, margin, limit) {
  const held = margin.filter((m) => m >= limit - 1e-6).length;
  if (held === margin.length) return `All ${one} margins are at their limit of ${limit}: the setting gamma holds them up. A smaller gamma lets them differ.`;
  const share = ((100 * held) / margin.length).toFixed(0);
  return `Learned between ${fixed(min(margin))} and ${fixed(max(margin))}; ${share} % are at the limit of ${limit}.`;
}

// Medians of bins with as many points each, in the order of the counts.
function running(points) {
  const sorted = [...points].sort((a, b) => a[0] - b[0]);
  const size = Math.max(1, Math.ceil(sorted.length / BINS));
  const middle = [];
  for (let i = 0; i < sorted.length; i += size) {
    const part = sorted.slice(i, i + size);
    middle.push([median(part.map(([n]) => n)), median(part.map(([, m]) => m)), part.length]);
  }
  return middle.filter(([n], i) => i === 0 || n > middle[i - 1][0]);
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
}

const min = (values) => values.reduce((a, b) => Math.min(a, b), Infinity);
const max = (values) => values.reduce((a, b) => Math.max(a, b), -Infinity);
