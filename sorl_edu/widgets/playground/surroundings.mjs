// The theme and the size of what a picture is in: a page, JupyterLab or Colab.

/** Whether JupyterLab's theme is dark, or Colab's, or else the system's. */
export function isDark() {
  const lab = document.body.dataset.jpThemeLight;
  if (lab !== undefined) return lab === "false";
  const colab = document.documentElement.getAttribute("theme");
  if (colab !== null) return colab === "dark";
  return window.matchMedia("(prefers-color-scheme: dark)").matches;
}

/** Calls `redraw` when an element's size changes, or the theme, until the signal is aborted. */
export function watchSurroundings(element, redraw, signal) {
  const sizes = new ResizeObserver(redraw);
  sizes.observe(element);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw, { signal });
  const themes = new MutationObserver(redraw);
  const attributeFilter = ["theme", "data-jp-theme-light"];
  for (const watched of [document.documentElement, document.body])
    themes.observe(watched, { attributes: true, attributeFilter });
  signal.addEventListener("abort", () => {
    sizes.disconnect();
    themes.disconnect();
  });
}
