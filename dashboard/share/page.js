// Draws the figures in the colours of the page, and sorts the board. Nothing is fetched.
"use strict";
(() => {
  const SIZE = 12; // px: of words in figures
  const PRINTED = { size: 9, width: 680 }; // px
  const places = [...document.querySelectorAll("[data-figure]")];
  const variable = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const hover = () => ({
    bgcolor: variable("--raised"),
    bordercolor: variable("--line"),
    font: { color: variable("--ink") },
  });
  const axis = { automargin: true, title: { standoff: 12 } };
  const template = { layout: { xaxis: axis, yaxis: axis } };
  const config = JSON.parse(document.getElementById("config").textContent);
  for (const place of places) {
    const { data, layout } = JSON.parse(document.getElementById(place.dataset.figure).textContent);
    const font = { family: getComputedStyle(document.body).fontFamily, size: SIZE, color: variable("--ink") };
    const themed = { ...layout, template, font, hoverlabel: { ...layout.hoverlabel, ...hover() } };
    place.style.height = `${layout.height}px`; // stays when a figure takes another width
    Plotly.newPlot(place, data, themed, { ...config, responsive: true });
  }
  const again = (more) => places.forEach((place) => Plotly.relayout(place, more));
  const onScreen = () => ({
    "font.color": variable("--ink"),
    ...Object.fromEntries(Object.entries(hover()).map(([key, value]) => [`hoverlabel.${key}`, value])),
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => again(onScreen()));
  const sized = (size) => ({ "font.size": size, "yaxis.tickfont.size": size });
  addEventListener("beforeprint", () =>
    again({ ...sized(PRINTED.size), "font.color": variable("--printed-ink"), width: PRINTED.width }));
  addEventListener("afterprint", () => again({ ...sized(SIZE), ...onScreen(), width: null, autosize: true }));

  // What has no value stands last, whichever way the column is sorted.
  const order = (one, other, down) => {
    if (one === "" || other === "") return (one === "") - (other === "");
    const [a, b] = [Number(one), Number(other)];
    const found = Number.isNaN(a) || Number.isNaN(b) ? one.localeCompare(other) : a - b;
    return down ? -found : found;
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      head.firstElementChild.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        heads.forEach((each) => each.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const key = (row) => row.cells[column].dataset.key ?? "";
        const rows = [...table.tBodies[0].rows].sort((a, b) => order(key(a), key(b), down));
        table.tBodies[0].append(...rows);
      });
    });
  }
})();
