"use strict";

const night = matchMedia("(prefers-color-scheme: dark)");
const print = matchMedia("print");
const dark = JSON.parse(document.getElementById("dark").textContent);
const plots = [...document.querySelectorAll(".plot")];

function pressed(chips, key) {
  const on = chips.filter((chip) => chip.getAttribute("aria-pressed") === "true");
  return new Set(on.map((chip) => chip.dataset[key]));
}

// Figures are in the light colours; in the dark each is replaced by its counterpart.
function draw(plot) {
  const darken = night.matches && !print.matches;
  const figure = JSON.parse(plot.nextElementSibling.textContent, (_, value) =>
    darken && typeof value === "string" && Object.hasOwn(dark, value) ? dark[value] : value);
  const chips = [...plot.closest("section").querySelectorAll("[data-series]")];
  const shown = pressed(chips, "series");
  figure.data.forEach((trace) => { trace.visible = !chips.length || shown.has(trace.name); });
  // Where fingers scroll, a drag must not zoom.
  figure.layout.dragmode = matchMedia("(pointer: coarse)").matches ? false : "zoom";
  return Plotly.react(plot, figure.data, figure.layout, {
    responsive: true,
    displayModeBar: false,
    displaylogo: false,
    plotlyServerURL: "",
  });
}

function toggle(chip) {
  const chips = [...chip.parentElement.children];
  const on = chip.getAttribute("aria-pressed") === "true";
  if (on && chips.filter((c) => c.getAttribute("aria-pressed") === "true").length === 1) return;
  chip.setAttribute("aria-pressed", String(!on));
  const section = chip.closest("section");
  if (chip.dataset.series !== undefined) {
    section.querySelectorAll(".plot").forEach(draw);
  } else {
    const shown = pressed(chips, "group");
    for (const cell of section.querySelectorAll("th[data-group], td[data-group]")) {
      cell.hidden = cell.dataset.group !== "" && !shown.has(cell.dataset.group);
    }
  }
}

function order(a, b, way) {
  const missing = (a === "") - (b === "");
  if (missing || a === b) return missing;
  const numbers = !isNaN(a) && !isNaN(b);
  return way * (numbers ? a - b : String(a).localeCompare(String(b)));
}

// Largest first (of names, the first), then the other way round, then as it was.
function sort(button) {
  const head = button.parentElement;
  const table = head.closest("table");
  const body = table.tBodies[0];
  const rows = [...body.rows];
  rows.forEach((row, i) => { row.dataset.place ??= i; });
  const heads = [...table.querySelectorAll("th.name .sorter, thead tr:last-child .sorter")]
    .map((one) => one.parentElement).filter((th, i, all) => all.indexOf(th) === i);
  const column = heads.indexOf(head);
  const turns = ["descending", "ascending"];
  if (head.classList.contains("name")) turns.reverse();
  const now = turns[turns.indexOf(head.getAttribute("aria-sort")) + 1];
  heads.forEach((one) => one.removeAttribute("aria-sort"));
  if (now) head.setAttribute("aria-sort", now);
  const key = (row) => {
    if (!now) return row.dataset.place;
    const cell = row.cells[column];
    if (cell.classList.contains("missing")) return "";
    return cell.dataset.value ?? cell.textContent;
  };
  rows.sort((a, b) => order(key(a), key(b), now === "descending" ? -1 : 1));
  body.append(...rows);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button?.classList.contains("sorter")) sort(button);
  if (button?.classList.contains("chip")) toggle(button);
});

const links = new Map([...document.querySelectorAll(".contents a")]
  .map((link) => [link.hash.slice(1), link]));
const sections = [...document.querySelectorAll("main > section")];
const visible = new Set();
const seen = new IntersectionObserver((entries) => {
  entries.forEach((one) => visible[one.isIntersecting ? "add" : "delete"](one.target));
  const current = sections.find((section) => visible.has(section));
  if (!current) return;
  links.forEach((link) => link.removeAttribute("aria-current"));
  links.get(current.id)?.setAttribute("aria-current", "true");
}, { rootMargin: "-15% 0px -75% 0px" });
sections.forEach((section) => seen.observe(section));

if (matchMedia("(max-width: 1080px)").matches) {
  document.querySelector(".contents details").open = false;
}
for (const query of [night, print]) query.addEventListener("change", () => plots.forEach(draw));
plots.forEach(draw);
document.documentElement.dataset.ready = "true";
