// Keeps the focus where someone works while a view is drawn anew.

const CONTROLS = "a, button, input, select, summary, canvas";
const nameOf = (one) => one.getAttribute("aria-label") ?? one.textContent.trim();
const controls = (box) => [...box.querySelectorAll(CONTROLS)].filter((one) => one.checkVisibility());

/**
 * Remember what has the focus within a box; the result gives it back, as soon as it is there again.
 *
 * It goes to what is called the same, and at `last` else to what stands in the same place of the same list (the one
 * that moved up when a line was taken away), else to what `data-else` names.
 */
export function hold(box) {
  const held = document.activeElement;
  if (!held || !box.contains(held) || held === box) return () => {};
  const [name, other, place] = [nameOf(held), held.dataset.else, placeOf(held)];
  const named = (all, text) => text && all.find((one) => nameOf(one) === text);
  return (last = true) => {
    const now = document.activeElement;
    if (now && now !== document.body && now !== box) return;
    const all = controls(box);
    const found = named(all, name) || (last && (at(box, place) || named(all, other)));
    if (found) found.focus({ preventScroll: true });
  };
}

function placeOf(held) {
  const line = held.closest("li");
  const list = line?.parentElement;
  return list && { kind: list.className, line: [...list.children].indexOf(line), control: controls(line).indexOf(held) };
}

function at(box, place) {
  const list = place && [...box.querySelectorAll("ol, ul")].find((one) => one.className === place.kind);
  const line = list?.children[Math.min(place.line, list.children.length - 1)];
  return line && controls(line)[place.control];
}
