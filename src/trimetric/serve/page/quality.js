// How good the served models are on what was held out: in all, by activity, by popularity.

import { get, getOnce } from "./api.js";
import { blank, el, many, skeleton, whole } from "./dom.js";

const NAMES = {
  ndcg: "NDCG", recall: "Recall", precision: "Precision", hit_rate: "Hit rate", map: "MAP", mrr: "MRR", auc: "AUC",
  micro_recall: "Recall of all held-out items", ndcg_full: "NDCG, full",
};
const SIDES = 4; // colours

export async function quality(context) {
  const { root, models } = context;
  root.append(el("h1", {}, "How good is it?"));
  if (!models[0].measured) return notMeasured(context);
  const wait = skeleton(8);
  root.append(el("p", { class: "lead" }, "Interactions that no model was trained on: how high does each model rank them among everything else?"), wait);
  const found = await Promise.all(models.map((one) => measured(one, context.signal)));
  if (context.signal.aborted) return;
  const good = found.filter(({ error }) => !error);
  wait.replaceWith(...found.filter(({ error }) => error).map(({ model, error }) => el("p", { class: "note" }, `${model}: ${error}`)),
    ...(good.length ? shown(good) : []));
}

async function measured(model, signal) {
  try {
    for (let wait = 250; !signal.aborted; wait = Math.min(wait * 1.5, 2000)) {
      const found = await getOnce("/v1/quality", { model: model.name }, signal);
      if (found.status === "ready") return found;
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
    return { model: model.name, error: "left" };
  } catch (error) {
    if (error.status !== 422) throw error;
    return { model: model.name, error: error.message };
  }
}

function shown(found) {
  const [{ k, data, ranking }] = found;
  const names = found.map(({ model }) => model);
  return [
    found.length > 1 ? el("p", { class: "legend", role: "group", "aria-label": "Models" }, names.map((name, i) => el("span", { class: "key" }, el("span", { class: `dot s${i % SIDES}` }), name))) : "",
    el("div", { class: "columns" }, el("section", { class: "card", "aria-labelledby": "all" }, el("h2", { id: "all" }, "In all"),
      table(found, names, (metric) => metric.endsWith(`@${k}`) || !metric.includes("@")),
      el("details", { class: "numbers" }, el("summary", {}, "All cutoffs"), table(found, names, () => true)),
      el("p", { class: "quiet" }, `${data}: ${ranking}.`),
      el("ul", { class: "notes quiet" }, [...new Set(found.flatMap(({ notes }) => notes))].map((note) => el("li", {}, `${note}.`)))),
    el("div", { class: "stack" },
      groups("By the activity of users", `NDCG@${k} of users by how many items they had in training`, found, "by_activity", "ndcg",
        (one) => `${span(one)} ${one.high === 1 ? "item" : "items"}`, (one) => many(one.users, "user")),
      groups("By the popularity of items", `Share of held-out interactions found in the first ${k}, by how many users have the item`, found, "by_popularity", "found",
        (one) => `${span(one)} ${one.high === 1 ? "user" : "users"}`, (one) => many(one.held_out, "interaction")))),
  ];
}

const span = ({ low, high }) => (low === high ? whole(low) : `${whole(low)}–${whole(high)}`);

function table(found, names, chosen) {
  const metrics = [...new Set(found.flatMap((one) => Object.keys(one.metrics)))].filter(chosen);
  const label = (metric) => {
    const [base, cut] = metric.split("@");
    return `${NAMES[base] ?? base}${cut ? ` @ ${cut}` : ""}`;
  };
  const lines = metrics.map((metric) => {
    const values = found.map((one) => one.metrics[metric]);
    const best = Math.max(...values.filter((value) => value !== null && value !== undefined));
    return el("tr", {}, el("th", { scope: "row" }, label(metric)), values.map((value) =>
      el("td", { class: found.length > 1 && value === best ? "best" : null }, value === null || value === undefined ? "–" : value.toFixed(4))));
  });
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Metrics" }, el("table", { class: "metrics-table" },
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Metric"), names.map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, lines)));
}

// Groups are those of the first model; others are put beside them where they were cut alike.
function groups(title, note, found, side, metric, name, size) {
  const rows = new Map();
  found.forEach((one, i) => one[side].forEach((group) => {
    const key = span(group);
    if (!rows.has(key)) rows.set(key, { group, values: [] });
    rows.get(key).values.push([i, one.model, group[metric]]);
  }));
  const sorted = [...rows.values()].sort((a, b) => a.group.low - b.group.low || a.group.high - b.group.high);
  const most = Math.max(...sorted.flatMap(({ values }) => values.map(([, , value]) => value)), 1e-9);
  return el("section", { class: "card", "aria-label": title }, el("h2", {}, title), el("p", { class: "quiet" }, note),
    el("dl", { class: "group-list" }, sorted.map(({ group, values }) => el("div", {},
      el("dt", {}, name(group), el("span", { class: "quiet" }, size(group))),
      el("dd", {}, values.map(([i, model, value]) => el("span", { class: "measure" },
        el("span", { class: "spoken" }, `${model}: `),
        el("span", { class: "track", "aria-hidden": "true" }, el("span", { class: `fill s${i % SIDES}`, style: { width: `${((100 * value) / most).toFixed(1)}%` } })),
        el("span", { class: "figure" }, value.toFixed(3)))))))));
}

async function notMeasured({ root, model, signal }) {
  const { history, settings } = await get("/v1/training", { model: model.name }, signal);
  const seen = history.map((one) => one[settings.metric]).filter(Number.isFinite);
  root.append(blank("Nothing was held out for this server",
    el("p", {}, "Start it with interactions that the models were not trained on, and this page shows how well each ranks them: in all, by the activity of users and by the popularity of items."),
    el("pre", { tabindex: "0" }, el("code", {}, `trimetric data split FILE --out parts\ntrimetric fit parts/train.parquet --valid parts/valid.parquet --out ${model.name}\ntrimetric serve ${model.name} --test parts`)),
    seen.length ? el("p", { class: "quiet" }, `On what decided when to stop its training, ${model.name} reached ${settings.metric} ${Math.max(...seen).toFixed(4)}.`) : null));
}
