// A page in a frame gets the height that it needs. Pages that are opened from a disk may not look
// into each other: there a frame keeps the height of the style sheet, and scrolls.
for (const frame of document.querySelectorAll("iframe.sorl-page")) {
  const fit = () => {
    const page = frame.contentDocument?.documentElement;
    if (!page) return;
    const adapt = () => {
      frame.style.height = `${page.offsetHeight + 2}px`;
    };
    new ResizeObserver(adapt).observe(page);
    adapt();
  };
  frame.addEventListener("load", fit);
  if (frame.contentDocument?.readyState === "complete") fit();
}
