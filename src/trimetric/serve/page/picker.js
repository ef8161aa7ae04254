// A text field with suggestions, after the combobox pattern of WAI-ARIA.

import { announce, el, icon, many } from "./dom.js";

let made = 0;

/**
 * Make a field that suggests while one types.
 *
 * `search(text, signal)` gives {total, found: [...]}; `draw(one)` the content of a suggestion;
 * `pick(one)` is called with the one chosen; its result `true` keeps the list open.
 */
export function picker({ label, hint, search, draw, pick, signal }) {
  const id = `picker-${++made}`;
  const list = el("ul", { class: "options", id: `${id}-list`, role: "listbox", "aria-label": label, hidden: true });
  const input = el("input", {
    id, type: "text", role: "combobox", autocomplete: "off", spellcheck: "false", placeholder: hint,
    "aria-label": label, "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": list.id,
  });
  let found = [];
  let foundFor = null; // the text that `found` answers
  let at = -1;
  let waiting = 0;
  let current = new AbortController();

  const close = () => {
    clearTimeout(waiting);
    current.abort();
    list.hidden = true;
    at = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };

  const point = (to) => {
    list.children[at]?.setAttribute("aria-selected", "false");
    at = to;
    const option = list.children[at];
    if (!option) return input.removeAttribute("aria-activedescendant");
    option.setAttribute("aria-selected", "true");
    option.scrollIntoView({ block: "nearest" });
    input.setAttribute("aria-activedescendant", option.id);
  };

  const take = (one) => {
    input.value = "";
    close();
    pick(one);
  };

  const show = (text, { total, found: some }) => {
    [found, foundFor] = [some, text];
    at = -1;
    const options = found.map((one, i) => el("li", {
      id: `${id}-${i}`, role: "option", "aria-selected": "false",
      onpointerdown: (event) => event.preventDefault(),
      onclick: () => take(one),
    }, draw(one)));
    if (!found.length) options.push(el("li", { class: "none", role: "option", "aria-disabled": "true" }, `Nothing matches “${text}”`));
    list.replaceChildren(...options);
    list.hidden = false;
    input.setAttribute("aria-expanded", "true");
    announce(found.length ? `${many(total, "match", "matches")}; arrow keys choose` : "nothing matches");
  };

  const enter = async () => {
    if (foundFor !== input.value.trim()) await look();
    if (!list.hidden && found.length && foundFor === input.value.trim()) take(found[Math.max(at, 0)]);
  };

  const look = async () => {
    clearTimeout(waiting);
    current.abort();
    current = new AbortController();
    const mine = current;
    const text = input.value.trim();
    try {
      const answer = await search(text, mine.signal);
      if (!mine.signal.aborted) show(text, answer);
    } catch (error) {
      if (error.name === "AbortError" || mine.signal.aborted) return;
      list.replaceChildren(el("li", { class: "none" }, error.message));
      list.hidden = false;
    }
  };

  input.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(look, 120);
  });
  input.addEventListener("click", () => list.hidden && look());
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    const last = found.length - 1;
    const moves = { ArrowDown: at < last ? at + 1 : 0, ArrowUp: at > 0 ? at - 1 : last };
    if (event.key in moves && !list.hidden) point(moves[event.key]);
    else if (event.key in moves) look();
    else if (event.key === "Enter") enter();
    else if (event.key === "Escape" && !list.hidden) close();
    else return;
    event.preventDefault();
  });
  signal?.addEventListener("abort", close);
  const box = el("div", { class: "picker" }, icon("search"), input, list);
  box.input = input;
  return box;
}
