// What the model was trained on: how much there is, and how it is spread.

import { getOnce } from "./api.js";
import { el, many, skeleton, svg, whole } from "./dom.js";
import { frame, tableOf } from "./plot.js";

export async function data({ root, model, signal }) {
  root.append(el("h1", {}, "Data"));
  const wait = skeleton(8);
  root.append(wait);
  const found = await getOnce("/v1/summary", { model: model.name }, signal);
  const facts = [
    ["Users", whole(found.users)], ["Items", whole(found.items)], ["Interactions", whole(found.pairs)],
    ["Density", `${(found.density * 100).toPrecision(3)} %`],
    ["Items a user, median", found.per_user.median], ["Users an item, median", found.per_item.median],
  ];
  wait.replaceWith(
    el("p", { class: "lead" }, `What ${model.name} was trained on; users and items without an interaction are counted too.`),
    el("dl", { class: "glance" }, facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, String(value))))),
    el("div", { class: "columns" },
      histogram("Items a user has", "items of a user", "users", found.per_user, signal),
      histogram("Users an item has", "users of an item", "items", found.per_item, signal)));
}

function histogram(title, xLabel, yLabel, { edges, counts, minimum, median, mean, maximum }, signal) {
  const first = counts.findIndex((n) => n > 0);
  const bins = counts.map((n, b) => ({ n, b, low: edges[b], high: edges[b + 1] - 1 })).slice(Math.max(first, 0));
  const most = Math.max(...counts, 1);
  const name = ({ low, high }) => (low >= high ? whole(low) : `${whole(low)}–${whole(high)}`);
  return el("section", { class: "card", "aria-label": title },
    el("div", { class: "card-top" }, el("h2", {}, title)),
    el("p", { class: "note" }, `${whole(minimum)} to ${whole(maximum)}; median ${median}, mean ${Number(mean.toPrecision(4))}.`),
    el("figure", {}, frame({
      label: `${title}: ${bins.map((one) => `${name(one)}: ${one.n}`).join("; ")}`,
      xLabel: `${xLabel}, doubling`, yLabel, height: 280, signal, x: [-0.5, bins.length - 0.5], y: [0, most * 1.05], xTicks: [],
      draw: ({ y, inner, width, height, pad }) => {
        const room = (width - pad.left - pad.right) / bins.length;
        bins.forEach((one, i) => {
          const left = pad.left + i * room;
          const top = y.at(one.n);
          inner.append(
            svg("rect", { class: "column", x: left + room * 0.1, width: room * 0.8, y: top, height: Math.max(y.at(0) - top, 0), rx: 3 },
              svg("title", {}, `${name(one)}: ${many(one.n, yLabel.slice(0, -1))}`)),
            svg("text", { class: "tick", x: left + room / 2, y: height - pad.bottom + 18, "text-anchor": "middle" },
              room > 34 || i % 2 === 0 ? whole(one.low) : ""));
        });
      },
    })),
    tableOf([xLabel, yLabel], bins.map((one) => [name(one), whole(one.n)])));
}
