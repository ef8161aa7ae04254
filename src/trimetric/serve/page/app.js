// The shell: views, the model at hand, the theme, and what to do when something fails.

import { get } from "./api.js";
import { announce, blank, el, failure, icon, skeleton } from "./dom.js";
import { hold } from "./focus.js";
import { address, change, changed, drawn, person, read, remember, whose } from "./route.js";
import { showPanel } from "./sheet.js";
import { compare } from "./compare.js";
import { data } from "./data.js";
import { explore } from "./explore.js";
import { item } from "./item.js";
import { map } from "./map.js";
import { margins } from "./margins.js";
import { pair } from "./pair.js";
import { quality } from "./quality.js";
import { training } from "./training.js";

const VIEWS = {
  explore: ["Explore", explore],
  item: ["Items", item],
  pair: ["Two users", pair],
  compare: ["Two models", compare],
  map: ["Map", map],
  quality: ["Quality", quality],
  margins: ["Margins", margins, ({ learned_margins }) => learned_margins],
  training: ["Training", training],
  data: ["Data", data],
};

const main = document.getElementById("main");
const chooser = document.getElementById("model");
let models = [];
let stop = new AbortController();
let shown = "";
let about = "";
let context = null;

async function start() {
  themes();
  main.replaceChildren(skeleton());
  try {
    models = (await get("/v1/models")).models;
  } catch (error) {
    main.replaceChildren(failure(error, start));
    return;
  }
  chooser.replaceChildren(...models.map(({ name, kind }) => el("option", { value: name }, label(name, kind))));
  chooser.parentElement.hidden = models.length < 2;
  chooser.onchange = () => change({ model: chooser.value, with: null, why: null });
  addEventListener("hashchange", show);
  show();
}

const label = (name, kind) => (name === kind ? name : `${name} (${kind})`);

function show() {
  const now = read();
  if (context && !context.signal.aborted && shown === drawn(now)) {
    showPanel(context, now.params.get("panel"));
    return;
  }
  const { view, params } = now;
  const [title, draw] = VIEWS[view] ?? [];
  const model = models.find(({ name }) => name === params.get("model")) ?? models[0];
  if (models.length > 1 && draw) remember({ model: model.name });
  const same = shown.split(" ")[0] === view;
  const giveBack = same ? hold(main) : () => {};
  stop.abort();
  stop = new AbortController();
  chooser.value = model.name;
  tabs(view, model);
  document.title = `${title ?? "Not found"} · trimetric`;
  const root = el("div", { class: `view ${title ? view : ""}` });
  main.style.minHeight = same ? `${main.offsetHeight}px` : "";
  main.replaceChildren(root);
  context = { root, params: read().params, model, models, signal: stop.signal };
  const first = !shown;
  const subject = ["user", "other", "id"].map((name) => params.get(name)).join(" ");
  const moved = subject !== about;
  about = subject;
  shown = drawn(read());
  showPanel(context, params.get("panel"));
  if (!draw) {
    root.append(el("h1", { class: "spoken" }, "Not found"), blank("There is no such view", el("p", {}, el("a", { href: "#/explore" }, "Go to Explore"))));
    return;
  }
  paint(context, title, draw, giveBack);
  if (first) return;
  if (same) {
    if (moved) scrollTo(0, 0);
    return;
  }
  announce(title);
  main.focus({ preventScroll: true });
  scrollTo(0, 0);
}

async function paint(context, title, draw, giveBack) {
  const { root, signal } = context;
  try {
    const done = draw(context);
    shown = drawn(read()); // a view may have added what it chose by itself
    giveBack(false);
    await done;
  } catch (error) {
    if (error.name === "AbortError" || signal.aborted) return;
    if (!(error.status >= 0)) console.error(error);
    const kept = [...root.children].filter((one) => one.matches(".who"));
    root.replaceChildren(el("h1", { class: "spoken" }, title), ...kept, failure(error, again, nearTo(error)));
  }
  if (signal.aborted) return;
  giveBack();
  main.style.minHeight = "";
}

// Links to the view as it is, of a user or item near to the one that is unknown.
function nearTo({ message }) {
  const kind = /unknown (user|item)/.exec(message)?.[1];
  const { view, params } = read();
  const name = kind === "user" ? "user" : view === "item" ? "id" : null;
  return (one) => (name && params.get(name) ? changed({ [name]: one, why: null, panel: null }) : null);
}

function again() {
  shown = "";
  show();
}

function tabs(current, model) {
  const { params } = read();
  const kept = { ...whose(person(params)), model: params.get("model") };
  const links = Object.entries(VIEWS).filter(([view, [, , has]]) => !has || has(model) || view === current).map(([view, [title]]) =>
    el("a", { href: address(view, kept), "aria-current": view === current ? "page" : null }, title));
  const nav = document.getElementById("views");
  nav.replaceChildren(...links);
  const here = nav.querySelector("[aria-current]");
  if (here) nav.scrollLeft = here.offsetLeft - (nav.clientWidth - here.offsetWidth) / 2;
}

function themes() {
  const names = { "": ["auto", "as the system"], light: ["sun", "light"], dark: ["moon", "dark"] };
  const order = Object.keys(names);
  const button = document.getElementById("theme");
  const draw = () => {
    const { chosen } = window.theme;
    const next = order[(order.indexOf(chosen) + 1) % order.length];
    const text = `Theme: ${names[chosen][1]}. Change to ${names[next][1]}`;
    button.replaceChildren(icon(names[chosen][0]));
    button.setAttribute("aria-label", text);
    button.title = text;
    button.onclick = () => {
      try {
        localStorage.setItem("trimetric-theme", next);
      } catch {
        // Not kept, then.
      }
      window.theme.show(next);
      draw();
    };
  };
  if (!(window.theme.chosen in names)) window.theme.show("");
  draw();
}

start();
