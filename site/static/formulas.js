// Sets the formulas of a page, whose elements hold their TeX.
for (const element of document.querySelectorAll(".formula"))
  window.katex.render(element.textContent, element, { displayMode: element.tagName === "DIV" });
