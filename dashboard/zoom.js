// Listens to every figure of the page: which axes were zoomed, and to where. null: all is shown again.
const EVERY = 500; // milliseconds between two looks for figures that are new
const QUIET = 300; // after the last change of a zoom, before it is told

export default function ({ setTriggerValue }) {
  const heard = new Map();
  let waiting = new Map();
  let timer = null;

  const tell = () => {
    setTriggerValue("zoomed", [...waiting.values()]);
    waiting = new Map();
  };

  const listenTo = (plot) => {
    const place = plot.closest('[class*="st-key-"]');
    if (heard.has(plot) || !plot.on || !place) return;
    const figure = [...place.classList].find((name) => name.startsWith("st-key-")).slice("st-key-".length);
    const hear = (changed) => {
      const axes = Object.keys(changed).map((name) => name.match(/^[xy]axis\d*(?=\.)/)?.[0]);
      for (const axis of new Set(axes.filter(Boolean))) {
        const { autorange, range } = plot.layout[axis];
        waiting.set(`${figure} ${axis}`, { figure, axis, range: autorange || !range ? null : [...range] });
      }
      if (!waiting.size) return;
      clearTimeout(timer);
      timer = setTimeout(tell, QUIET);
    };
    plot.on("plotly_relayout", hear);
    heard.set(plot, hear);
  };

  const looking = setInterval(() => document.querySelectorAll(".js-plotly-plot").forEach(listenTo), EVERY);
  return () => {
    clearInterval(looking);
    clearTimeout(timer);
    heard.forEach((hear, plot) => plot.removeListener?.("plotly_relayout", hear));
  };
}
