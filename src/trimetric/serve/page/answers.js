// What a model says to someone: their items and what is recommended to them.

import { get, post } from "./api.js";

const MOST = 1000;

/** Recommendations: [{item, rank, score, distance, ...}], distance with metric models only. */
export async function recommended(model, someone, k, signal) {
  const about = { k, model: model.name };
  const found = someone.user !== undefined
    ? await get("/v1/recommend", { user: someone.user, ...about }, signal)
    : await post("/v1/recommend-for", { items: someone.items, weights: someone.weights, ...about }, signal);
  return found.recommendations;
}

/** What someone has, nearest first: {activity, margin, history}. */
export async function history(model, someone, signal) {
  if (someone.user !== undefined) {
    return get("/v1/user", { user: someone.user, limit: MOST, model: model.name }, signal);
  }
  const [{ recommendations }, items] = await Promise.all([
    post("/v1/recommend-for", {
      items: someone.items, weights: someone.weights, k: MOST, exclude_given: false, model: model.name,
    }, signal),
    Promise.all(someone.items.map((item) => get("/v1/item", { item, model: model.name }, signal))),
  ]);
  const ranked = new Map(recommendations.map(({ item, score, distance }) => [String(item), { score, distance }]));
  const given = items.map((item) => ({ ...item, ...ranked.get(String(item.item)) }));
  given.sort((a, b) => (b.score ?? -Infinity) - (a.score ?? -Infinity));
  return { activity: given.length, margin: null, history: given };
}

/** Why an item is where it is. */
export async function explained(model, someone, item, signal) {
  return someone.user !== undefined
    ? get("/v1/explain", { user: someone.user, item, model: model.name }, signal)
    : post("/v1/explain-for", { items: someone.items, weights: someone.weights, item, model: model.name }, signal);
}
