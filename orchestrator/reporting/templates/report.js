"use strict";
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const rows = [...document.querySelectorAll("#table tbody tr")];
  const search = document.getElementById("search");
  const reset = document.getElementById("reset");
  const count = document.getElementById("count");
  let brushed = null; // places of the runs that the parallel coordinates select; null for all

  document.querySelectorAll(".swatch").forEach((item) => { item.style.borderColor = item.dataset.color; });

  // Colors of the page, for both themes.
  function themed(layout) {
    const style = getComputedStyle(document.body);
    const text = style.color;
    const line = getComputedStyle(document.documentElement).getPropertyValue("--line").trim();
    const out = { ...layout, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: text, family: style.fontFamily },
      margin: { l: 70, r: 20, t: 30, b: 50 }, legend: { orientation: "h", y: -0.18 }, hovermode: "closest" };
    for (const name of Object.keys(layout).filter((key) => /^[xy]axis/.test(key)).concat(["xaxis", "yaxis"])) {
      out[name] = { gridcolor: line, zerolinecolor: line, automargin: true, ...out[name] };
    }
    return out;
  }

  // Parallel coordinates need WebGL, which some remote desktops lack; the table has the numbers.
  const hasWebGl = document.createElement("canvas").getContext("webgl") !== null;

  const drawn = new Map();
  function show(figure) {
    const id = figure.dataset.figure;
    if (drawn.has(id) || figure.hidden) return;
    const known = figures[id];
    const plot = figure.querySelector(".plot");
    if (id === "parallel" && !hasWebGl) {
      plot.textContent = "This browser has no WebGL, which parallel coordinates need.";
      plot.style.minHeight = "0";
      seen.unobserve(figure);
      return;
    }
    drawn.set(id, plot);
    const layout = themed(known.layout);
    if (id === "parallel") layout.margin = { l: 90, r: 60, t: 60, b: 30 };
    Plotly.newPlot(plot, known.data, layout, { responsive: true, displaylogo: false }).then(() => {
      if (id === "parallel") plot.on("plotly_restyle", () => brush(plot));
      apply(plot);
    });
  }
  const seen = new IntersectionObserver((entries) => entries.forEach((entry) => { if (entry.isIntersecting) show(entry.target); }), { rootMargin: "400px" });
  const all = [...document.querySelectorAll("figure[data-figure]")];
  all.forEach((figure) => seen.observe(figure));
  window.addEventListener("beforeprint", () => all.forEach(show));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const [id, plot] of drawn) Plotly.relayout(plot, themed(figures[id].layout));
  });

  // Which runs are shown.
  function inside(value, ranges) {
    const list = Array.isArray(ranges[0]) ? ranges : [ranges];
    return list.some(([low, high]) => value >= low && value <= high);
  }
  function brush(plot) {
    const trace = plot.data[0];
    const limits = trace.dimensions.filter((axis) => axis.constraintrange);
    brushed = limits.length === 0 ? null : new Set(trace.meta.runs.filter((_, at) =>
      limits.every((axis) => inside(Array.from(axis.values)[at], axis.constraintrange))));
    filter();
  }
  function isShown(run) { return brushed === null || brushed.has(run); }
  function apply(plot) {
    if (!plot.data || plot.data[0] === undefined || plot.data[0].type === "parcoords") return;
    const changed = plot.data.map((trace) => trace.meta && trace.meta.run !== undefined ? isShown(trace.meta.run) : true);
    Plotly.restyle(plot, { visible: changed });
  }
  function filter() {
    const text = search.value.trim().toLowerCase();
    let shown = 0;
    for (const row of rows) {
      row.hidden = !isShown(Number(row.dataset.run)) || (text !== "" && !row.textContent.toLowerCase().includes(text));
      shown += row.hidden ? 0 : 1;
    }
    count.textContent = shown === rows.length ? "" : `${shown} of ${rows.length} runs`;
    reset.hidden = shown === rows.length;
    for (const plot of drawn.values()) apply(plot);
  }
  search.addEventListener("input", filter);
  reset.addEventListener("click", () => {
    search.value = "";
    brushed = null;
    const plot = drawn.get("parallel");
    if (plot) plot.data[0].dimensions.forEach((_, at) => Plotly.restyle(plot, { [`dimensions[${at}].constraintrange`]: [null] }));
    filter();
  });

  // The table.
  document.querySelectorAll("#columns input").forEach((box) => box.addEventListener("change", () => {
    document.querySelectorAll(`#table [data-column="${box.dataset.column}"]`).forEach((cell) => { cell.hidden = !box.checked; });
  }));
  document.querySelectorAll("#table th").forEach((head) => head.querySelector("button").addEventListener("click", () => {
    const up = head.getAttribute("aria-sort") !== "ascending";
    document.querySelectorAll("#table th").forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const of = (row) => row.querySelector(`[data-column="${head.dataset.column}"]`);
    const sorted = [...rows].sort((one, two) => {
      const [a, b] = [of(one), of(two)];
      const [x, y] = [a.dataset.value, b.dataset.value];
      if (x === undefined && y === undefined) return (up ? 1 : -1) * a.textContent.localeCompare(b.textContent, undefined, { numeric: true });
      if (x === undefined || y === undefined) return x === undefined ? 1 : -1; // unknown values last
      return (up ? 1 : -1) * (Number(x) - Number(y));
    });
    document.querySelector("#table tbody").append(...sorted);
  }));
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-open]");
    if (button) document.getElementById(`run-${button.dataset.open}`).showModal();
  });

  // The plots.
  document.querySelectorAll(".choose").forEach((select) => select.addEventListener("change", () => {
    select.closest("section").querySelectorAll("figure").forEach((figure) => {
      figure.hidden = figure.dataset.figure !== select.value;
      show(figure);
    });
  }));
  document.querySelectorAll("figure .log").forEach((box) => box.addEventListener("change", () => {
    const plot = box.closest("figure").querySelector(".plot");
    Plotly.relayout(plot, { "yaxis.type": box.checked ? "log" : "linear", "yaxis.autorange": true });
  }));
  document.querySelectorAll("figure .time").forEach((box) => box.addEventListener("change", () => {
    const figure = box.closest("figure");
    const plot = figure.querySelector(".plot");
    const known = figures[figure.dataset.figure];
    plot.data.forEach((trace, at) => {
      const seconds = trace.meta && trace.meta.seconds;
      if (!seconds) return;
      if (!trace.meta.steps) trace.meta.steps = Array.from(trace.x);
      Plotly.restyle(plot, { x: [box.checked ? seconds : trace.meta.steps] }, [at]);
    });
    Plotly.relayout(plot, { "xaxis.title.text": box.checked ? "time [s]" : (known.layout.xaxis.title || {}).text, "xaxis.autorange": true });
  }));
})();
