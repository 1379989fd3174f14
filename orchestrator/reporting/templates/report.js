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
      margin: { l: 70, r: 20, t: 30, b: 50 }, legend: layout.legend && window.innerWidth > 700 ? layout.legend : { orientation: "h", y: -0.18 }, hovermode: "closest" };
    for (const name of Object.keys(layout).filter((key) => /^[xy]axis/.test(key)).concat(["xaxis", "yaxis"])) {
      out[name] = { gridcolor: line, zerolinecolor: line, automargin: true, ...out[name] };
    }
    return out;
  }

  // Plotly's Python package writes arrays of numbers as base64.
  const KINDS = { f8: Float64Array, f4: Float32Array, i4: Int32Array, i2: Int16Array, i1: Int8Array, u4: Uint32Array, u2: Uint16Array, u1: Uint8Array };
  function numbers(array) {
    if (!array || array.bdata === undefined) return array;
    return Array.from(new KINDS[array.dtype](Uint8Array.from(atob(array.bdata), (one) => one.charCodeAt(0)).buffer));
  }

  const drawn = new Map();
  const own = new Map(); // id of a figure to the traces of its single runs
  let parallel = null; // the parallel coordinates, once they are drawn
  function show(figure) {
    const id = figure.dataset.figure;
    if (drawn.has(id) || figure.hidden) return;
    const known = figures[id];
    const plot = figure.querySelector(".plot");
    drawn.set(id, plot);
    plot.classList.add("drawn");
    const layout = themed(known.layout);
    for (const trace of known.data) for (const name of ["x", "y"]) trace[name] = numbers(trace[name]);
    Plotly.newPlot(plot, known.data, layout, { responsive: true, displaylogo: false }).then(() => {
      if (id === "parallel") {
        parallel = parallelCoordinates.start(plot, figure, layout, (selected) => { brushed = selected; filter(); });
        return;
      }
      own.set(id, plot.data);
      regroup(id, plot);
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
  function isShown(run) { return brushed === null || brushed.has(run); }
  const runs = JSON.parse(document.getElementById("configs").textContent);
  const colors = JSON.parse(document.getElementById("figures").dataset.colors);
  function groupNames() { return [...document.querySelectorAll("#groups input:checked")].map((box) => box.value); }
  // Draws the curves of single runs, or of the groups that are chosen.
  function regroup(id, plot) {
    const traces = own.get(id);
    if (!traces) return;
    const names = groupNames();
    if (names.length > 0 && id.startsWith("curve-")) {
      Plotly.react(plot, groupedCurves.traces(traces, runs, names, colors, isShown), plot.layout);
      return;
    }
    for (const trace of traces) {
      const places = trace.meta && trace.meta.runs;
      if (trace.meta && trace.meta.run !== undefined) trace.visible = isShown(trace.meta.run);
      // Points of several runs in one trace fade instead.
      else if (places && trace.marker) trace.marker.opacity = places.map((run) => isShown(run) ? 1 : 0.15);
    }
    Plotly.react(plot, traces, plot.layout);
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
    for (const [id, plot] of drawn) regroup(id, plot);
  }
  search.addEventListener("input", filter);
  reset.addEventListener("click", () => {
    search.value = "";
    brushed = null;
    if (parallel) parallel.clear(); else filter();
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
  document.querySelectorAll("#groups input").forEach((box) => box.addEventListener("change", () => {
    for (const [id, plot] of drawn) regroup(id, plot);
  }));
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
    for (const trace of own.get(figure.dataset.figure)) {
      const seconds = trace.meta && trace.meta.seconds;
      if (!seconds) continue;
      if (!trace.meta.steps) trace.meta.steps = Array.from(trace.x);
      trace.x = box.checked ? seconds : trace.meta.steps;
    }
    regroup(figure.dataset.figure, plot);
    Plotly.relayout(plot, { "xaxis.title.text": box.checked ? "time [s]" : (known.layout.xaxis.title || {}).text, "xaxis.autorange": true });
  }));
  window.sweepReport = { select: (at, range) => parallel.select(at, range) };
})();
