// Runs before anything is drawn, so that the theme does not flash: as chosen, or as the system is.

window.theme = {
  chosen: "",
  dark: matchMedia("(prefers-color-scheme: dark)"),
  /** Show a theme: "light", "dark", or "" for the system's. */
  show(chosen) {
    this.chosen = chosen;
    document.documentElement.dataset.theme = chosen || (this.dark.matches ? "dark" : "light");
    dispatchEvent(new Event("themechange"));
  },
};
try {
  window.theme.show(localStorage.getItem("trimetric-theme") ?? "");
} catch {
  window.theme.show("");
}
window.theme.dark.addEventListener("change", () => window.theme.show(window.theme.chosen));
