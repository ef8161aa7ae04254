// Asks the server, and nobody else.

const KEY = "trimetric-key";
const ROOT = new URL("..", import.meta.url).pathname.slice(0, -1); // "" unless under a sub-path
const replies = new Map();
const versions = new Map();
let asking = null;

export class ApiError extends Error {
  constructor(status, body) {
    super(body.error ?? `the server answered ${status}`);
    this.status = status;
    this.near = body.near;
  }
}

/** GET a path with a query; undefined values are left out. */
export async function get(path, query = {}, signal) {
  return ask(target(path, query), { signal });
}

function target(path, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const text = new URLSearchParams(given).toString();
  return text ? `${path}?${text}` : path;
}

/** Make a request: {path, query} or {path, body}. */
export function run({ path, query, body }, signal) {
  return body ? post(path, body, signal) : get(path, query, signal);
}

/** The command line that makes a request; a key is named, and not shown. */
export function curl({ path, query, body }) {
  const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;
  const parts = ["curl", quoted(location.origin + ROOT + target(path, query))];
  if (stored()) parts.push('-H "X-API-Key: $TRIMETRIC_API_KEY"');
  if (body) parts.push("-H 'Content-Type: application/json'", "-d", quoted(JSON.stringify(body)));
  return parts.join(" ");
}

/** GET what does not change while a model's version does not. */
export async function getOnce(path, query = {}, signal) {
  const key = `${path} ${JSON.stringify(query)}`;
  if (replies.has(key)) return replies.get(key);
  const found = await get(path, query, signal);
  if (found.status !== "computing") replies.set(key, found);
  return found;
}

/** POST a JSON body. */
export async function post(path, body, signal) {
  return ask(path, { method: "POST", body: JSON.stringify(body), signal });
}

async function ask(url, options) {
  for (;;) {
    const headers = { "Content-Type": "application/json" };
    const key = stored();
    if (key) headers["X-API-Key"] = key;
    let reply;
    try {
      reply = await fetch(ROOT + url, { ...options, headers });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new ApiError(0, { error: "The server does not answer; is it still running?" });
    }
    if (reply.status === 401) {
      await askKey(Boolean(key));
      continue;
    }
    const found = parse(await reply.text());
    if (!reply.ok) throw new ApiError(reply.status, found);
    noteVersion(found);
    return found;
  }
}

// Whole numbers beyond 2**53 are ids that JavaScript cannot hold: they become text.
function parse(text) {
  if (/\d{16}/.test(text)) {
    text = text.replace(/"(?:[^"\\]|\\.)*"|(?<![\d.eE+-])-?\d{16,}(?![\d.eE])/g, (one) =>
      one[0] === '"' || Number.isSafeInteger(Number(one)) ? one : `"${one}"`);
  }
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

// A newer artifact was swapped in: what is kept of the older one is let go.
function noteVersion({ model, version }) {
  if (!model || versions.get(model) === version) return;
  if (versions.has(model)) replies.clear();
  versions.set(model, version);
}

function stored() {
  try {
    return sessionStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}

function askKey(wrong) {
  asking ??= new Promise((resolve) => {
    const dialog = document.getElementById("key");
    const input = document.getElementById("key-value");
    document.getElementById("key-wrong").hidden = !wrong;
    input.value = "";
    dialog.oncancel = (event) => event.preventDefault();
    dialog.onclose = () => {
      sessionStorage.setItem(KEY, input.value.trim());
      asking = null;
      resolve();
    };
    dialog.showModal();
    input.focus();
  });
  return asking;
}
