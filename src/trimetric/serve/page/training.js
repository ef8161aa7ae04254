// How the model was trained: curves by epoch, and every setting.

import { getOnce } from "./api.js";
import { blank, el, fixed, many, skeleton, whole } from "./dom.js";
import { frame, line, tableOf } from "./plot.js";

const NAMES = { loss: "Loss", active: "Share of active triplets" };
const HIDDEN = new Set(["epoch", "triplets", "seconds"]);

export async function training({ root, model, signal }) {
  root.append(el("h1", {}, "Training"));
  const wait = skeleton(8);
  root.append(wait);
  const { history, settings, data } = await getOnce("/v1/training", { model: model.name }, signal);
  const epochs = history.filter((one) => Number.isFinite(one.epoch));
  const best = data?.best_epoch;
  const names = [...new Set(epochs.flatMap(Object.keys))].filter((name) =>
    !HIDDEN.has(name) && epochs.some((one) => Number.isFinite(one[name])));
  const order = (name) => (name === "loss" ? 0 : name === settings.metric ? 1 : name === "active" ? 2 : 3);
  names.sort((a, b) => order(a) - order(b));
  const facts = [
    names.length ? many(epochs.at(-1).epoch, "epoch") : null,
    best ? `kept the weights of epoch ${best}` : null,
    data?.train?.pairs ? `${whole(data.train.pairs)} interactions of ${data.train.name}` : null,
    data?.valid?.pairs ? `${whole(data.valid.pairs)} held out to decide when to stop` : null,
  ];
  wait.replaceWith(el("p", { class: "lead" }, `${facts.filter(Boolean).join(" · ")}${facts.some(Boolean) ? "." : ""}`),
    names.length
      ? el("div", { class: "columns curves" }, names.map((name) => curve(name, epochs, best, signal)))
      : blank("No training curves", el("p", {}, `${model.kind} is computed in one go, without epochs.`)),
    about("Settings", settings), data?.tuned ? about("Found by short trials", data.tuned) : "");
}

function curve(name, epochs, best, signal) {
  const points = epochs.filter((one) => Number.isFinite(one[name])).map((one) => [one.epoch, one[name]]);
  const values = points.map(([, v]) => v);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const title = NAMES[name] ?? name;
  const pad = (high - low) * 0.08;
  const kind = name === "loss" ? "first" : NAMES[name] ? "third" : "second";
  return el("section", { class: "card", "aria-label": title },
    el("div", { class: "card-top" }, el("h2", {}, title), el("span", { class: "count" }, `last ${fixed(values.at(-1), 4)}`)),
    el("figure", {}, frame({
      label: `${title} by epoch, from ${fixed(values[0], 4)} to ${fixed(values.at(-1), 4)}`,
      xLabel: "epoch", yLabel: name === "active" ? "share" : title.toLowerCase(), height: 260, signal,
      x: [Math.min(1, epochs[0].epoch), epochs.at(-1).epoch], y: [low - pad, high + pad],
      draw: (plot) => plot.inner.append(...line(points, plot, kind, ([e, v]) =>
        `epoch ${e}: ${fixed(v, 4)}${e === best ? " (kept)" : ""}`)),
    })),
    tableOf(["epoch", title], points.map(([e, v]) => [e, fixed(v, 5)])));
}

function about(title, values) {
  const rows = Object.entries(values).map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, shown(value))));
  return el("section", { class: "card", "aria-label": title }, el("h2", {}, title), el("dl", { class: "settings" }, rows));
}

function shown(value) {
  if (value === null) return "by itself";
  if (Array.isArray(value)) return value.map((one) => (Array.isArray(one) ? one.map(shown).join(": ") : shown(one))).join(", ");
  if (typeof value === "object") return Object.entries(value).map(([k, v]) => `${k} ${shown(v)}`).join(", ");
  return typeof value === "number" ? String(Number(value.toPrecision(5))) : String(value);
}
