// What a page of the site shows, as the tests of the site need it. Evaluated in the page; returns plain values.
() => {
  // The colour of an element as [red, green, blue, alpha], 0 to 255 and 0 to 1, whatever notation the style has.
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const known = {};
  const colour = (text) => {
    if (!known[text]) {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = text;
      canvas.fillRect(0, 0, 1, 1);
      const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
      known[text] = [red, green, blue, alpha / 255];
    }
    return known[text];
  };
  const over = (front, back) => [0, 1, 2].map((i) => front[3] * front[i] + (1 - front[3]) * back[i]);

  // What lies behind an element's text: its own background over those of the elements around it.
  const behind = (element) => {
    const layers = [];
    for (let outer = element; outer; outer = outer.parentElement) {
      const layer = colour(getComputedStyle(outer).backgroundColor);
      if (layer[3] > 0) layers.push(layer);
      if (layer[3] === 1) break;
    }
    return layers.reduceRight((back, layer) => over(layer, back), [255, 255, 255]);
  };

  // Relative luminance and contrast ratio: WCAG 2.2, https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio
  const luminance = (rgb) => {
    const [red, green, blue] = rgb.map((value) => value / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const contrast = (element) => {
    const back = behind(element);
    const [dark, light] = [luminance(over(colour(getComputedStyle(element).color), back)), luminance(back)].sort((a, b) => a - b);
    return (light + 0.05) / (dark + 0.05);
  };

  const kind = (element) => (element.closest("pre, code") ? "code" : element.closest("a") ? "links" : "text");
  const worst = {};
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || !element.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
    const ratio = contrast(element);
    if (!(kind(element) in worst) || ratio < worst[kind(element)].ratio)
      worst[kind(element)] = { ratio, words: node.data.trim().slice(0, 40) };
  }

  // Code, formulas, tables, figures and outputs may scroll by themselves; the page and its text may neither scroll sideways nor be cut.
  const alone = "pre, .formula, .pst-scrollable-table-container, .cell_output, p:has(> img)";
  const too_wide = (element) => {
    if (element.scrollWidth <= element.clientWidth + 1) return false;
    const style = getComputedStyle(element);
    const whole = style.overflowX === "visible" || style.textOverflow === "ellipsis" || element.clientWidth <= 1;
    return element === document.documentElement || !whole;
  };

  const blocks = [...document.querySelectorAll("main div.highlight")].filter((block) => !block.closest(".cell_output"));

  return {
    contrast: worst,
    wide: [...document.querySelectorAll("html, body *")]
      .filter((element) => too_wide(element) && !element.closest(alone))
      .map((element) => `${element.tagName}.${element.className}: ${element.scrollWidth} pixels`),
    links: [...document.querySelectorAll("a[href]")].map((a) => a.href),
    anchors: [...document.querySelectorAll("[id]")].map((element) => element.id),
    images: document.images.length,
    broken_images: [...document.images].filter((image) => !image.naturalWidth).map((image) => image.src),
    images_without_words: [...document.images].filter((image) => !image.alt || image.src.endsWith(image.alt.split("/").pop())).map((image) => image.src),
    code: blocks.length,
    code_without_button: blocks.filter((block) => !block.querySelector("button.copybtn")).map((block) => block.innerText.slice(0, 40)),
  };
}
