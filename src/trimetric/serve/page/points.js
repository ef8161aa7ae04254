// The map as the server laid it out: its points, and the colours of the theme.

import { getOnce } from "./api.js";

/** How many values of a column have a colour of their own. */
export const MOST_GROUPS = 10;

/** Wait until the map of a model is made; null once nobody waits any more. */
export async function ready(model, signal) {
  for (let wait = 250; !signal.aborted; wait = Math.min(wait * 1.5, 2000)) {
    const found = await getOnce("/v1/map", { model: model.name }, signal);
    if (found.status === "ready") return found;
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
  return null;
}

/** All items, then all users, as points. */
export function pointsOf({ items, users }) {
  const most = Math.log1p(Math.max(...items.popularity.slice(0, 1), 1));
  const points = items.ids.map((id, i) => ({
    kind: "item", id, x: items.x[i], y: items.y[i], size: (Math.log1p(items.popularity[i]) / most) ** 2.5,
    name: items.titles?.[i] ?? `Item ${id}`, count: items.popularity[i],
  }));
  users.ids.forEach((id, i) => points.push({
    kind: "user", id, x: users.x[i], y: users.y[i], size: 0, name: `User ${id}`, count: users.activity[i],
  }));
  return points;
}

/** The colours of the theme, as the canvas takes them. */
export function palette(root) {
  const style = getComputedStyle(root);
  const of = (name) => style.getPropertyValue(name).trim();
  return {
    ink: of("--ink"), muted: of("--map-label"), paper: of("--surface"), user: of("--map-user"),
    liked: of("--liked"), likedText: of("--liked-ink"), next: of("--next"), nextText: of("--next-ink"), other: of("--map-other"),
    ramp: [0, 1, 2, 3, 4].map((n) => of(`--r${n}`)), groups: Array.from({ length: MOST_GROUPS }, (_, n) => of(`--g${n}`)),
    font: style.fontFamily,
  };
}
