// What the address says: #/view?user=42&model=m. Everything that is shown can be linked to.

/** Read the address: {view, params}. */
export function read() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  return { view: path || "explore", params: new URLSearchParams(query) };
}

/** Write an address: undefined and null values are left out, lists are repeated. */
export function address(view, values = {}) {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined && one !== null && one !== "") params.append(name, one);
    }
  }
  const query = params.toString();
  return `#/${view}${query ? `?${query}` : ""}`;
}

/** Go to an address, or take the place of the current one. */
export function go(hash, replace = false) {
  if (hash === location.hash) return;
  if (!replace) location.hash = hash;
  else {
    history.replaceState(null, "", hash);
    dispatchEvent(new HashChangeEvent("hashchange"));
  }
}

/** Remember something in the address without showing anything anew. */
export function remember(values) {
  const { view, params } = read();
  for (const [name, value] of Object.entries(values)) {
    if (value === null || value === undefined || value === "") params.delete(name);
    else params.set(name, value);
  }
  const query = params.toString();
  history.replaceState(null, "", `#/${view}${query ? `?${query}` : ""}`);
}

/** What stays in the address of a view while someone else is chosen. */
export function kept(params) {
  return { model: params.get("model"), with: params.get("with"), colour: params.get("colour") };
}

/** Who recommendations are for: a user, one built of items, or null. */
export function person(params) {
  if (params.get("user")) return { user: params.get("user") };
  const items = params.getAll("item");
  if (!items.length) return null;
  const weights = params.getAll("w").map(Number);
  return { items, weights: items.map((_, i) => (weights[i] > 0 ? weights[i] : 1)) };
}

/** The part of an address that says who. */
export function whose(someone) {
  if (!someone) return {};
  if (someone.user !== undefined) return { user: someone.user };
  const weighted = someone.weights.some((w) => w !== 1);
  return { item: someone.items, w: weighted ? someone.weights : [] };
}

/** Call them something. */
export function called(someone) {
  return someone.user !== undefined ? `User ${someone.user}` : "Your picks";
}
