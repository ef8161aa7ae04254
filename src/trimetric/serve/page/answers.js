// What a model says to someone: their items and what is recommended to them.

import { get, post, run } from "./api.js";

const MOST = 1000;

/** Whether a model can recommend to those it was not trained on. */
export const placesNew = ({ capabilities }) => capabilities.includes("fold-in") || capabilities.includes("new users");

/** Whether a model can say why. */
export const explains = ({ capabilities }) => capabilities.includes("explanations") || capabilities.includes("metric space");

/** What someone is recommended: {list: [{item, rank, score, distance, ...}], request}. */
export async function recommended(model, someone, k, signal, where = null) {
  const request = await asked(model, someone, k, signal, where);
  const found = await run(request, signal);
  return { list: found.recommendations ?? found.results[0].recommendations, request };
}

// The request behind a list: {path, query} or {path, body}.
async function asked(model, someone, k, signal, where) {
  const about = { k, model: model.name };
  const only = { ...(where ? { where } : {}), ...(someone.not.length ? { deny: someone.not } : {}) };
  const plain = someone.user !== undefined && !someone.more.length;
  if (plain && !Object.keys(only).length) return { path: "/v1/recommend", query: { user: someone.user, ...about } };
  if (plain) return { path: "/v1/recommend", body: { users: [someone.user], ...about, ...only } };
  return { path: "/v1/recommend-for", body: { ...(await given(model, someone, signal)), ...about, ...only } };
}

/**
 * The items that someone is placed by: {items, weights}.
 *
 * What a user should get more of counts, together, as much as half of what they have.
 */
async function given(model, someone, signal) {
  if (someone.user === undefined) return { items: someone.items, weights: someone.weights };
  const { more } = someone;
  const { history: had } = await get("/v1/user", { user: someone.user, limit: MOST - more.length, model: model.name }, signal);
  const others = had.map(({ item }) => String(item)).filter((item) => !more.includes(item));
  const weight = Math.max(1, Math.round(others.length / (2 * more.length)));
  return { items: [...others, ...more], weights: [...others.map(() => 1), ...more.map(() => weight)] };
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
  const found = items.map((item) => ({ ...item, ...ranked.get(String(item.item)) }));
  found.sort((a, b) => (b.score ?? -Infinity) - (a.score ?? -Infinity));
  return { activity: found.length, margin: null, history: found };
}

/** Why an item is where it is. */
export async function explained(model, someone, item, signal) {
  if (someone.user !== undefined && !someone.more.length) {
    return get("/v1/explain", { user: someone.user, item, model: model.name }, signal);
  }
  return post("/v1/explain-for", { ...(await given(model, someone, signal)), item, model: model.name }, signal);
}
