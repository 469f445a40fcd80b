// Every word that a page shows and that stands out from what is behind it by less than 4.5:1 (WCAG 2), with its ratio.
// Not of what cannot be used now, nor of signs (3:1 would do), nor of what a canvas paints, nor of a slider's value,
// which floats above the thumb that it belongs to.
() => {
  const UNSEEN = [
    ...["canvas", "style", "script", "[disabled]", "[aria-disabled=true]"],
    ...["[data-testid=stIconMaterial]", "[data-testid=stSliderThumbValue]"],
  ].join();
  const channels = (colour) => colour.match(/[\d.]+/g)?.map(Number);
  const alpha = (colour) => colour[3] ?? 1;
  const over = (top, ground) => [0, 1, 2].map((i) => top[i] * alpha(top) + ground[i] * (1 - alpha(top)));
  const luminance = (colour) => {
    const linear = colour.map((c) => (c / 255 <= 0.03928 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const above = function* (element) {
    for (let each = element; each; each = each.parentElement) yield each;
  };
  const groundOf = (element) => {
    const layers = [];
    for (const each of above(element)) {
      const colour = channels(getComputedStyle(each).backgroundColor);
      if (colour && alpha(colour) > 0) layers.push(colour);
    }
    return layers.reverse().reduce((ground, top) => over(top, ground), [255, 255, 255]);
  };
  const found = [];
  const words = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (words.nextNode()) {
    const element = words.currentNode.parentElement;
    const text = words.currentNode.textContent.trim();
    if (!text || !element.checkVisibility() || !element.getClientRects().length) continue;
    if (element.closest(UNSEEN)) continue;
    const style = getComputedStyle(element);
    const isDrawn = element.closest("svg");
    const colour = channels(isDrawn ? style.fill : style.color);
    const own = isDrawn ? Number(style.fillOpacity) : 1;
    const opacity = [...above(element)].reduce((all, each) => all * getComputedStyle(each).opacity, own);
    if (!colour || !opacity) continue;
    const ground = groundOf(element);
    const [dark, light] = [luminance(over([...colour.slice(0, 3), alpha(colour) * opacity], ground)), luminance(ground)].sort(
      (a, b) => a - b,
    );
    const ratio = (light + 0.05) / (dark + 0.05);
    if (ratio < 4.5) found.push(`${ratio.toFixed(2)}: ${text.slice(0, 60)}`);
  }
  return [...new Set(found)];
}
