// Pointers, wheel and keys on the map.

const REACH = 12; // pixels

/** Let a canvas be walked through; `plane` has what moves it. */
export function hands(canvas, { state, at, over, pan, zoomBy, fit, pick, later, signal }) {
  const pointers = new Map();
  let travelled = 0;
  let spread = 0;
  const place = (event) => {
    const edge = canvas.getBoundingClientRect();
    return [event.clientX - edge.left, event.clientY - edge.top];
  };
  const on = (name, f, options) => canvas.addEventListener(name, f, { signal, ...options });
  on("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, place(event));
    if (pointers.size === 1) travelled = 0;
    spread = distance();
  });
  on("pointermove", (event) => {
    const now = place(event);
    const before = pointers.get(event.pointerId);
    if (!before) return over(...now);
    travelled += Math.abs(now[0] - before[0]) + Math.abs(now[1] - before[1]);
    if (pointers.size === 1 && travelled > 4) pan(now[0] - before[0], now[1] - before[1]);
    pointers.set(event.pointerId, now);
    if (pointers.size === 2) {
      const wide = distance();
      const [[ax, ay], [bx, by]] = [...pointers.values()];
      if (spread > 0) zoomBy(wide / spread, (ax + bx) / 2, (ay + by) / 2);
      spread = wide;
    }
  });
  const up = (event) => {
    const alone = pointers.size === 1;
    if (!pointers.delete(event.pointerId)) return;
    spread = distance();
    if (alone && event.type === "pointerup" && travelled <= 4) pick(at(...place(event), undefined, event.pointerType === "touch" ? 24 : REACH));
  };
  on("pointerup", up);
  on("pointercancel", up);
  on("pointerleave", () => over(-1e6, -1e6));
  on("dblclick", (event) => zoomBy(2, ...place(event)));
  on("wheel", (event) => {
    event.preventDefault();
    zoomBy(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0016) * (event.deltaMode ? 24 : 1)), ...place(event));
  }, { passive: false });
  on("focus", () => { state.keyed = canvas.matches(":focus-visible"); later(); });
  on("blur", () => { state.keyed = false; later(); });
  on("keydown", (event) => {
    const moves = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in moves) pan(...moves[event.key]);
    else if (event.key === "+" || event.key === "=") zoomBy(1.4);
    else if (event.key === "-") zoomBy(1 / 1.4);
    else if (event.key === "0" || event.key === "Home") fit();
    else if (event.key === "Enter") pick(at(state.width / 2, state.height / 2, "item", 400));
    else return;
    event.preventDefault();
    state.keyed = true;
  });

  function distance() {
    if (pointers.size !== 2) return 0;
    const [[ax, ay], [bx, by]] = [...pointers.values()];
    return Math.hypot(ax - bx, ay - by);
  }
}
