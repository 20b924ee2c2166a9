// What a page with frames does for the pages in them. Pages that are opened from a disk may not look
// into each other: there a frame keeps the height of the style sheet, and the system's theme.
const system = window.matchMedia("(prefers-color-scheme: dark)");

/** A page in a frame gets the height that it needs. */
function fit(frame, page) {
  const adapt = () => {
    frame.style.height = `${page.offsetHeight + 2}px`;
  };
  new ResizeObserver(adapt).observe(page);
  adapt();
}

/** A page in a frame has the theme that the reader has chosen, and not the system's. */
function paint(page) {
  const { theme } = document.body.dataset;
  const dark = theme === "dark" || (theme !== "light" && system.matches);
  page.setAttribute("theme", dark ? "dark" : "light"); // which the playground follows
  page.style.colorScheme = dark ? "dark" : "light";
  for (const sheet of page.ownerDocument.styleSheets)
    for (const rule of sheet.cssRules) {
      rule.ofDark ??= rule.media?.mediaText.includes("prefers-color-scheme: dark") ?? false;
      if (rule.ofDark) rule.media.mediaText = dark ? "all" : "not all";
    }
}

for (const frame of document.querySelectorAll("iframe.sorl-page")) {
  const loaded = () => {
    const page = frame.contentDocument?.documentElement;
    if (!page) return;
    const paintIt = () => paint(page);
    new MutationObserver(paintIt).observe(document.body, { attributeFilter: ["data-theme"] });
    system.addEventListener("change", paintIt);
    paintIt();
    fit(frame, page);
  };
  frame.addEventListener("load", loaded);
  if (frame.contentDocument?.URL === frame.src && frame.contentDocument.readyState === "complete")
    loaded();
}
