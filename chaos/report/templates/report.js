// Draws a cell's plots when it is opened, in the colours of the style sheet, and opens the cell that an address names.
(() => {
  "use strict";
  const specs = JSON.parse(document.getElementById("specs").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const narrow = matchMedia("(max-width: 640px)");

  // Every `var(--name)` in a specification becomes the colour that it has at this moment.
  const coloured = (node, style) => {
    if (typeof node === "string") {
      return node.startsWith("var(") ? style.getPropertyValue(node.slice(4, -1)).trim() : node;
    }
    if (Array.isArray(node)) return node.map((item) => coloured(item, style));
    if (node && typeof node === "object") {
      return Object.fromEntries(Object.entries(node).map(([name, item]) => [name, coloured(item, style)]));
    }
    return node;
  };

  const config = {
    background: "transparent",
    font: getComputedStyle(document.body).fontFamily,
    view: { stroke: null },
    axis: {
      labelColor: "var(--muted)", titleColor: "var(--muted)", gridColor: "var(--line)", domainColor: "var(--line)",
      tickColor: "var(--line)", labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal",
    },
  };

  const draw = async (cell) => {
    const source = cell.querySelector("script.data");
    if (!source) return;
    const datasets = Object.fromEntries(Object.entries(JSON.parse(source.textContent)).map(([name, { columns, rows }]) =>
      [name, rows.map((row) => Object.fromEntries(columns.map((column, place) => [column, row[place]])))]));
    const style = getComputedStyle(document.documentElement);
    for (const place of cell.querySelectorAll("[data-plot]")) {
      place.view?.finalize();
      const spec = { ...coloured({ ...specs[place.dataset.plot], config }, style), datasets };
      // In pixels: a step beside a width of the container's makes Vega-Lite complain.
      if (spec.height.step) spec.height = spec.height.step * datasets.lanes.length;
      // Of what is not there in this cell (no fault, no retry) Vega would warn in the console: errors only.
      const options = { mode: "vega-lite", renderer: "svg", actions: false, logLevel: 1, tooltip: { theme: dark.matches ? "dark" : "light" } };
      place.view = (await vegaEmbed(place, spec, options)).view;
    }
    cell.dataset.drawn = "yes";
  };

  const drawOpen = () => document.querySelectorAll("details.cell[open]").forEach(draw);
  const follow = () => {
    const cell = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!cell?.matches("details.cell")) return;
    cell.open = true;
    cell.scrollIntoView();
    cell.querySelector("summary").focus({ preventScroll: true });
  };

  document.querySelectorAll("details.cell").forEach((cell) => {
    cell.addEventListener("toggle", () => cell.open && !cell.dataset.drawn && draw(cell));
  });
  document.querySelector("table.matrix")?.addEventListener("click", (event) => {
    // The hash may be the same as before: then no event tells of it.
    if (event.target.closest("a")?.hash === location.hash) follow();
  });
  dark.addEventListener("change", drawOpen);
  narrow.addEventListener("change", drawOpen);
  addEventListener("hashchange", follow);
  follow();
})();
