// Long names, compare_with_official, break behind an underscore where they must break, and not within a word.
const NAMES = ".bd-article h1, .prev-next-title, .bd-toc .nav-link";

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll(NAMES).forEach((named) => {
    const texts = document.createTreeWalker(named, NodeFilter.SHOW_TEXT);
    const found = [];
    while (texts.nextNode()) if (texts.currentNode.data.includes("_")) found.push(texts.currentNode);
    found.forEach((text) => {
      const parts = text.data.split(/(?<=_)/);
      text.replaceWith(...parts.flatMap((part, place) => (place ? [document.createElement("wbr"), part] : [part])));
    });
  });
});
