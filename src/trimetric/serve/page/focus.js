// Keeps the focus where someone works while a view is drawn anew.

const CONTROLS = "a, button, input, select, summary, canvas";
const nameOf = (one) => one.getAttribute("aria-label") ?? one.textContent.trim();

/** Remember what has the focus within a box; the result gives it back, to what is there then. */
export function hold(box) {
  const held = document.activeElement;
  if (!held || !box.contains(held) || held === box) return () => {};
  const names = [nameOf(held), held.dataset.else].filter(Boolean);
  return () => {
    const now = document.activeElement;
    if (now && now !== document.body && now !== box) return;
    const all = [...box.querySelectorAll(CONTROLS)].filter((one) => one.checkVisibility());
    const found = names.map((name) => all.find((one) => nameOf(one) === name)).find(Boolean);
    found?.focus({ preventScroll: true });
  };
}
