// The shell: views, the model at hand, the theme, and what to do when something fails.

import { get } from "./api.js";
import { announce, blank, el, failure, icon, skeleton } from "./dom.js";
import { address, go, person, read, whose } from "./route.js";
import { compare } from "./compare.js";
import { data } from "./data.js";
import { explore } from "./explore.js";
import { map } from "./map.js";
import { margins } from "./margins.js";
import { training } from "./training.js";

const VIEWS = {
  explore: ["Explore", explore],
  compare: ["Compare", compare],
  map: ["Map", map],
  margins: ["Margins", margins],
  training: ["Training", training],
  data: ["Data", data],
};

const main = document.getElementById("main");
const chooser = document.getElementById("model");
let models = [];
let stop = new AbortController();
let shown = "";

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
  chooser.onchange = () => {
    const { view, params } = read();
    go(address(view, { ...whose(person(params)), focus: params.getAll("focus"), model: chooser.value }));
  };
  addEventListener("hashchange", show);
  show();
}

const label = (name, kind) => (name === kind ? name : `${name} (${kind})`);

function show() {
  stop.abort();
  stop = new AbortController();
  const { view, params } = read();
  const [title, draw] = VIEWS[view] ?? [];
  const model = models.find(({ name }) => name === params.get("model")) ?? models[0];
  chooser.value = model.name;
  tabs(view, params);
  document.title = `${title ?? "Not found"} · trimetric`;
  document.getElementById("sheet").close();
  const root = el("div", { class: `view ${title ? view : ""}` });
  main.replaceChildren(root);
  if (!draw) {
    root.append(el("h1", { class: "spoken" }, "Not found"), blank("There is no such view", el("p", {}, el("a", { href: "#/explore" }, "Go to Explore"))));
    return;
  }
  const context = { root, params, model, models, signal: stop.signal };
  const fail = (error) => {
    if (error.name === "AbortError" || context.signal.aborted) return;
    if (!(error.status >= 0)) console.error(error);
    const kept = [...root.children].filter((one) => one.matches(".who"));
    root.replaceChildren(el("h1", { class: "spoken" }, title), ...kept, failure(error, show));
  };
  Promise.resolve().then(() => draw(context)).catch(fail);
  if (shown && shown !== view) {
    announce(title);
    main.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
  shown = view;
}

function tabs(current, params) {
  const kept = { ...whose(person(params)), model: params.get("model") };
  const links = Object.entries(VIEWS).map(([view, [title]]) =>
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
