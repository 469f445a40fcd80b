// Listens to every table of the page that has a key: how far it was scrolled, and by which head it was sorted.
const EVERY = 400; // milliseconds between two looks at the tables
const QUIET = 400; // after the last move of a table, before it is told
const TRIES = 25; // looks at a table that is not yet as wide or as high as it was scrolled to
const KEY = "st-key-";

const places = new Map(); // by table, [left, top] in pixels; as what follows, it outlives a change of page
const known = new Map(); // by the element that scrolls

const headsOf = (grid) => [...grid.querySelectorAll("canvas [role=columnheader]")].map((head) => head.textContent);
const arrowOf = (head) => ["↑ ", "↓ "].indexOf(head.slice(0, 2)); // as Streamlit writes it before a title

function moveBack(seen, element) {
  const [left, top] = places.get(seen.table) ?? [0, 0];
  element.scrollLeft = left;
  element.scrollTop = top;
  seen.tries += 1;
  const there = Math.abs(element.scrollLeft - left) < 2 && Math.abs(element.scrollTop - top) < 2;
  seen.isBack = there || seen.tries >= TRIES;
}

export default function ({ data, setTriggerValue }) {
  let moved = null; // when

  for (const [table, left, top] of data.places) if (!places.has(table)) places.set(table, [left, top]);

  const look = () => {
    for (const element of [...known.keys()]) if (!element.isConnected) known.delete(element);
    for (const grid of document.querySelectorAll("[data-testid=stDataFrame]")) {
      const element = grid.querySelector(".dvn-scroller");
      const holder = grid.closest(`[class*="${KEY}"]`);
      if (!element || !holder) continue;
      const key = [...holder.classList].find((name) => name.startsWith(KEY)).slice(KEY.length);
      if (!known.has(element)) known.set(element, { table: key.replace(/--\d+$/, ""), tries: 0, isBack: false, by: "" });
      const seen = known.get(element);
      if (!seen.isBack) moveBack(seen, element);
      else hear(seen, element);
      const by = headsOf(grid).find((head) => arrowOf(head) >= 0) ?? seen.by; // it may be out of sight
      if (by === seen.by) continue;
      seen.by = by;
      setTriggerValue("sorted", { key, head: by.slice(2), descending: arrowOf(by) === 1 });
    }
    if (moved !== null && Date.now() - moved > QUIET) {
      moved = null;
      setTriggerValue("scrolled", [...places].map(([table, place]) => [table, ...place]));
    }
  };

  const hear = (seen, element) => {
    const now = [Math.round(element.scrollLeft), Math.round(element.scrollTop)];
    if (String(now) === String(places.get(seen.table) ?? [0, 0])) return;
    places.set(seen.table, now);
    moved = Date.now();
  };

  const looking = setInterval(look, EVERY);
  return () => clearInterval(looking);
}
