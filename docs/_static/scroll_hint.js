// What is wider than its place says so: site.css shows the words and fades the edge that hides something.
const TABLES = ".pst-scrollable-table-container, .cell_output .output, .cell_output [style*='overflow-x']"; // the last are those of show()
const PRINTED = ".highlight-text pre, .cell_output pre, .bd-article pre:has(.gp)"; // with prompts: an example and what it prints
const FIGURES = ".bd-article p:has(> img), .cell_output:has(> img)";
const WIDE = `${TABLES}, ${PRINTED}, ${FIGURES}, .bd-article .formula`;

function note(box) {
  delete box.dataset.scrolls; // measured without the words, which move the padding: else they would come and go
  const hidden = box.scrollWidth - box.clientWidth;
  if (hidden > 1 + parseFloat(getComputedStyle(box).paddingRight)) mark(box);
}

function mark(box) {
  box.dataset.scrolls = box.scrollLeft < box.scrollWidth - box.clientWidth - 1 ? "on" : "end";
}

document.addEventListener("DOMContentLoaded", () => {
  const seen = new ResizeObserver((entries) => entries.forEach(({ target }) => note(target))); // a folded table has its width when it is opened
  document.querySelectorAll(WIDE).forEach((box) => {
    if (box.querySelector(WIDE)) return; // the innermost scrolls
    box.addEventListener("scroll", () => box.dataset.scrolls && mark(box), { passive: true });
    seen.observe(box);
  });
});
