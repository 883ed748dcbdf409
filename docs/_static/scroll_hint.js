// Tables, printed text and figures that are wider than their place say so: site.css shows the words and fades the edge that hides something.
const TABLES = ".pst-scrollable-table-container, .cell_output .output";
const PRINTED = ".highlight-text pre, .cell_output pre, .bd-article pre:has(.gp)"; // with prompts: an example and what it prints
const FIGURES = ".bd-article p:has(> img), .cell_output:has(> img)";
const WIDE = `${TABLES}, ${PRINTED}, ${FIGURES}`;

function note(box) {
  const hidden = box.scrollWidth - box.clientWidth;
  if (hidden <= 1) delete box.dataset.scrolls;
  else box.dataset.scrolls = box.scrollLeft < hidden - 1 ? "on" : "end";
}

document.addEventListener("DOMContentLoaded", () => {
  const seen = new ResizeObserver((entries) => entries.forEach(({ target }) => note(target))); // a folded table has its width when it is opened
  document.querySelectorAll(WIDE).forEach((box) => {
    if (box.querySelector(WIDE)) return; // the innermost scrolls
    box.addEventListener("scroll", () => note(box), { passive: true });
    seen.observe(box);
  });
});
