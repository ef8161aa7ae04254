// What the address says: #/view?user=42&model=m. Everything that is shown can be linked to.

// What changes without the view being drawn anew.
const ASIDE = ["panel", "why", "focus", "colour"];

/** Read the address: {view, params}. */
export function read() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  return { view: path || "explore", params: new URLSearchParams(query) };
}

/** What of an address a view is drawn from. */
export function drawn({ view, params }) {
  return `${view} ${[...params].filter(([name]) => !ASIDE.includes(name)).map(String).join("&")}`;
}

/** Write an address: undefined and null values are left out, lists are repeated. */
export function address(view, values = {}) {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined && one !== null && one !== "") params.append(name, one);
    }
  }
  return written(view, params);
}

function written(view, params) {
  const query = params.toString();
  return `#/${view}${query ? `?${query}` : ""}`;
}

/** Write the address as it is, but for some values. */
export function changed(values) {
  const { view, params } = read();
  for (const [name, value] of Object.entries(values)) {
    params.delete(name);
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== null && one !== undefined && one !== "") params.append(name, one);
    }
  }
  return written(view, params);
}

/** Go to an address. */
export function go(hash) {
  if (hash !== location.hash) location.hash = hash;
}

/** Go to the address as it is, but for some values. */
export const change = (values) => go(changed(values));

/** Remember something in the address without showing anything anew. */
export function remember(values) {
  history.replaceState(history.state, "", changed(values));
}

/** Open a panel over the view; Back closes it. */
export function openPanel(panel) {
  if (read().params.get("panel") === panel) return;
  history.pushState({ panels: (history.state?.panels ?? 0) + 1 }, "", changed({ panel, why: null }));
  dispatchEvent(new HashChangeEvent("hashchange"));
}

/** Close all panels that were opened over the view. */
export function closePanel() {
  if (!read().params.get("panel")) return;
  const { panels } = history.state ?? {};
  if (panels) {
    history.go(-panels);
    return;
  }
  remember({ panel: null });
  dispatchEvent(new HashChangeEvent("hashchange"));
}

/** What stays in the address of a view while someone else is chosen. */
export function kept(params) {
  return { model: params.get("model"), with: params.get("with"), colour: params.get("colour"), f: params.getAll("f") };
}

/**
 * Who recommendations are for: {user, more, not}, or {items, weights, not} of one built of items, or null.
 *
 * `more` are items that lists should be more like, `not` items that they should not have.
 */
export function person(params) {
  const not = params.getAll("not");
  if (params.get("user")) return { user: params.get("user"), more: params.getAll("more"), not };
  const items = params.getAll("item");
  if (!items.length) return null;
  const weights = params.getAll("w").map(Number);
  return { items, weights: items.map((_, i) => (weights[i] > 0 ? weights[i] : 1)), more: [], not };
}

/** The part of an address that says who. */
export function whose(someone) {
  if (!someone) return {};
  const { user, items, weights = [], more = [], not = [] } = someone;
  if (user !== undefined) return { user, more, not };
  return { item: items, w: weights.some((w) => w !== 1) ? weights : [], not };
}

/** Call them something. */
export function called(someone) {
  return someone.user !== undefined ? `User ${someone.user}` : "Your picks";
}

/** Filters by columns of the items table, for the API: {column: [values] or {min, max}}, or null. */
export function filters(params) {
  const where = {};
  for (const one of params.getAll("f")) {
    const at = one.indexOf("=");
    const [name, value] = [decodeURIComponent(one.slice(0, at)), one.slice(at + 1)];
    const span = /^\[(-?[\d.e+-]*),(-?[\d.e+-]*)\]$/.exec(value);
    if (!span) where[name] = [...(Array.isArray(where[name]) ? where[name] : []), value];
    else where[name] = { min: span[1] === "" ? null : Number(span[1]), max: span[2] === "" ? null : Number(span[2]) };
  }
  return Object.keys(where).length ? where : null;
}

/** Write filters as the address has them. */
export function writeFilters(where) {
  return Object.entries(where ?? {}).flatMap(([name, value]) => {
    const start = `${encodeURIComponent(name)}=`;
    if (Array.isArray(value)) return value.map((one) => start + one);
    const empty = (value.min ?? null) === null && (value.max ?? null) === null;
    return empty ? [] : [`${start}[${value.min ?? ""},${value.max ?? ""}]`];
  });
}
