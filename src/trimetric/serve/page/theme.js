// Runs before anything is drawn, so that a chosen theme does not flash.
document.documentElement.dataset.theme = (() => {
  try {
    return localStorage.getItem("trimetric-theme") ?? "";
  } catch {
    return "";
  }
})();
