// Where long names must break they break behind an underscore, paths behind a slash, signatures behind a bracket or (hard) space.
const NAMES = ".bd-article h1, .bd-article td code, .bd-article table.autosummary td:first-child, .prev-next-title, .bd-toc .nav-link";
const ENDS = /(?<=[_/\u00a0])|(?<=\()(?!\))/;

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll(NAMES).forEach((named) => {
    const texts = document.createTreeWalker(named, NodeFilter.SHOW_TEXT);
    const found = [];
    while (texts.nextNode()) found.push(texts.currentNode);
    found.forEach((text) => {
      const parts = text.data.split(ENDS);
      if (parts.length > 1) text.replaceWith(...parts.flatMap((part, place) => (place ? [document.createElement("wbr"), part] : [part])));
    });
  });
});
