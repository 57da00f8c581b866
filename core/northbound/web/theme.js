/** The colours that the reader has chosen, before anything is drawn. A plain script, so that it runs at once. */
(() => {
  const THEMES = ["system", "light", "dark"];
  let theme = "system";
  try {
    const stored = localStorage.getItem("dplaned-theme");
    if (stored !== null && THEMES.includes(stored)) theme = stored;
  } catch {
    // A browser that stores nothing shows the system's colours.
  }
  document.documentElement.dataset.theme = theme;
})();
