"use strict";
// The page of a report: its table, its figures, and which runs are shown. What is in the table and in
// the figures may change later (`live.js`), so events are handled at the document.
const sweepReport = (() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const runs = JSON.parse(document.getElementById("configs").textContent);
  const colors = JSON.parse(document.getElementById("figures").dataset.colors);
  const search = document.getElementById("search");
  const reset = document.getElementById("reset");
  const count = document.getElementById("count");
  const MOST_NAMES = 24; // of groups in a legend
  let brushed = null; // places of the runs that the parallel coordinates select; null for all

  function paint(root) {
    root.querySelectorAll(".swatch").forEach((item) => { item.style.borderColor = item.dataset.color; });
  }

  // Colors of the page, for both themes.
  function themed(layout) {
    const style = getComputedStyle(document.body);
    const text = style.color;
    const line = getComputedStyle(document.documentElement).getPropertyValue("--line").trim();
    const isNarrow = window.innerWidth <= 700;
    const isBeside = layout.legend !== undefined; // it has a place next to the plot, if there is room
    const out = { ...layout, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: text, family: style.fontFamily },
      margin: { l: 70, r: 20, t: 30, b: 50 }, hovermode: "closest", modebar: { bgcolor: "rgba(0,0,0,0)", color: line, activecolor: text },
      legend: isBeside && !isNarrow ? layout.legend : { orientation: "h", x: 0, y: 1.02, yanchor: "bottom" } };
    if (isBeside && isNarrow) out.height = (layout.height || 450) + 220;
    for (const name of Object.keys(layout).filter((key) => /^[xy]axis/.test(key)).concat(["xaxis", "yaxis"])) {
      const axis = out[name] || {};
      out[name] = { gridcolor: line, zerolinecolor: line, automargin: true, separatethousands: true, exponentformat: axis.type === "log" ? "power" : "SI", minexponent: 7, ...axis };
      if (axis.title) out[name].title = { standoff: 8, ...axis.title };
    }
    return out;
  }

  // Plotly's Python package writes arrays of numbers as base64.
  const KINDS = { f8: Float64Array, f4: Float32Array, i4: Int32Array, i2: Int16Array, i1: Int8Array, u4: Uint32Array, u2: Uint16Array, u1: Uint8Array };
  function numbers(array) {
    if (!array || array.bdata === undefined) return array;
    return Array.from(new KINDS[array.dtype](Uint8Array.from(atob(array.bdata), (one) => one.charCodeAt(0)).buffer));
  }
  function decode(trace) {
    for (const name of ["x", "y"]) if (trace[name]) trace[name] = numbers(trace[name]);
    if (trace.meta && trace.meta.seconds) trace.meta.seconds = numbers(trace.meta.seconds);
    return trace;
  }

  // The figures.
  const isTouched = matchMedia("(pointer: coarse)").matches;
  const drawn = new Map(); // id of a figure to the element that it is drawn in
  let parallel = null; // the parallel coordinates, once they are drawn
  function isChecked(plot, name) {
    const box = plot.closest("figure").querySelector(`.${name}`);
    return box !== null && box.checked;
  }
  function layoutOf(id, plot) {
    const layout = themed(figures[id].layout);
    const [isLog, isTimed] = [isChecked(plot, "log"), isChecked(plot, "time")];
    if (isLog) layout.yaxis = { ...layout.yaxis, type: "log", exponentformat: "power" };
    if (isTimed) layout.xaxis = { ...layout.xaxis, title: { text: "time [s]" } };
    if (isTouched && id !== "parallel") layout.dragmode = false; // a finger scrolls the page
    layout.uirevision = `${isLog} ${isTimed}`; // as long as it is the same, the user's zoom stays
    return layout;
  }
  function show(figure) {
    const id = figure.dataset.figure;
    if (drawn.has(id) || figure.hidden || !figures[id]) return;
    const plot = figure.querySelector(".plot");
    drawn.set(id, plot);
    plot.classList.add("drawn");
    figures[id].data.forEach(decode);
    const config = { responsive: true, displaylogo: false, displayModeBar: isTouched ? false : "hover", modeBarButtonsToRemove: ["lasso2d", "select2d"] };
    Plotly.newPlot(plot, figures[id].data, layoutOf(id, plot), config).then(() => {
      if (id === "parallel") {
        parallel = parallelCoordinates.start(plot, figure, plot.layout, (selected) => { brushed = selected; filter(); drawAll(); });
        return;
      }
      draw(id);
    });
  }
  function forget(id) {
    const plot = drawn.get(id);
    if (!plot) return;
    Plotly.purge(plot);
    plot.classList.remove("drawn");
    plot.parentElement.querySelectorAll(".scales").forEach((tools) => tools.remove());
    drawn.delete(id);
    if (id === "parallel") { parallel = null; brushed = null; }
  }
  const seen = new IntersectionObserver((entries) => entries.forEach((entry) => { if (entry.isIntersecting) show(entry.target); }), { rootMargin: "400px" });
  function observe() {
    document.querySelectorAll("figure[data-figure]").forEach((figure) => { seen.unobserve(figure); seen.observe(figure); });
  }
  window.addEventListener("beforeprint", () => document.querySelectorAll("figure[data-figure]").forEach(show));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const [id, plot] of drawn) {
      if (id === "parallel" && parallel) parallel.redraw(themed(figures[id].layout));
      else Plotly.relayout(plot, themed(figures[id].layout));
    }
  });

  // Which runs are shown.
  function isShown(run) { return brushed === null || brushed.has(run); }
  function groupNames() { return [...document.querySelectorAll("#groups input:checked")].map((box) => box.value); }
  // The mean of all values so far, the older the less, without a bias to the first; as TensorBoard smooths.
  function smoothed(values, weight) {
    let [sum, share] = [0, 0];
    return Array.from(values, (value) => {
      if (!Number.isFinite(value)) return value;
      [sum, share] = [weight * sum + (1 - weight) * value, weight * share + 1 - weight];
      return sum / share;
    });
  }
  function smooth(trace, weight) {
    const isCurve = weight > 0 && /lines/.test(trace.mode) && trace.y;
    if (!isCurve) return [trace];
    const line = { ...trace, y: smoothed(trace.y, weight) };
    if (!trace.meta || trace.meta.series === undefined) return [line]; // of a group
    return [{ ...trace, opacity: 0.2 * (trace.opacity || 1), showlegend: false, hoverinfo: "skip", hovertemplate: undefined }, line];
  }
  // Draws a figure again: the curves of single runs, or of the groups that are chosen.
  function draw(id) {
    const plot = drawn.get(id);
    if (!plot || id === "parallel") return;
    const isTimed = isChecked(plot, "time");
    const traces = figures[id].data;
    for (const trace of traces) {
      const meta = trace.meta || {};
      if (meta.seconds) {
        if (!meta.steps) meta.steps = trace.x;
        trace.x = isTimed ? meta.seconds : meta.steps;
      }
      if (meta.run !== undefined) trace.visible = isShown(meta.run);
      // Points of several runs in one trace fade instead.
      else if (meta.runs && trace.marker) trace.marker.opacity = meta.runs.map((run) => isShown(run) ? 1 : 0.15);
    }
    const names = id.startsWith("curve-") ? groupNames() : [];
    const slider = id.startsWith("curve-") ? document.getElementById("smoothing") : null;
    const single = names.length > 0 ? groupedCurves.traces(traces, runs, names, colors, isShown) : traces;
    const shown = single.flatMap((trace) => smooth(trace, slider ? Number(slider.value) : 0));
    const layout = layoutOf(id, plot);
    if (names.length > 0) layout.showlegend = new Set(shown.map((trace) => trace.legendgroup)).size <= MOST_NAMES;
    Plotly.react(plot, shown, layout);
  }
  function drawAll() { for (const id of drawn.keys()) draw(id); }
  matchMedia("(max-width: 700px)").addEventListener("change", drawAll); // legends move
  function filter() {
    const text = search.value.trim().toLowerCase();
    const rows = [...document.querySelectorAll("#table tbody tr")];
    let shown = 0;
    for (const row of rows) {
      row.hidden = !isShown(Number(row.dataset.run)) || (text !== "" && !row.textContent.toLowerCase().includes(text));
      shown += row.hidden ? 0 : 1;
    }
    count.textContent = shown === rows.length ? "" : `${shown} of ${rows.length} runs`;
    reset.hidden = shown === rows.length;
  }
  search.addEventListener("input", filter);
  document.addEventListener("input", (event) => { if (event.target.id === "smoothing") drawAll(); });
  reset.addEventListener("click", () => {
    search.value = "";
    brushed = null;
    if (parallel) parallel.clear(); else { filter(); drawAll(); }
  });

  // The table.
  const chosen = new Map(); // heading of a column to whether the user shows it
  let order = null; // heading of the column that sorts, and whether the least is first
  function headings() { return [...document.querySelectorAll("#table th")]; }
  function showColumns() {
    headings().forEach((head, at) => {
      const isWanted = chosen.get(head.textContent);
      if (isWanted === undefined) return;
      document.querySelectorAll(`#table [data-column="${at}"]`).forEach((cell) => { cell.hidden = !isWanted; });
      document.querySelector(`#columns [data-column="${at}"]`).checked = isWanted;
    });
  }
  function sort() {
    const head = order && headings().find((one) => one.textContent === order.title);
    if (!head) return;
    headings().forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", order.up ? "ascending" : "descending");
    const body = document.querySelector("#table tbody");
    const sign = order.up ? 1 : -1;
    const cells = [...body.rows].map((row) => ({ row, cell: row.cells[head.dataset.column] }));
    cells.sort((one, two) => {
      const [x, y] = [one.cell.dataset.value, two.cell.dataset.value];
      if (x === undefined && y === undefined) {
        return sign * one.cell.textContent.localeCompare(two.cell.textContent, undefined, { numeric: true }) || one.row.dataset.run - two.row.dataset.run;
      }
      if (x === undefined || y === undefined) return x === undefined ? 1 : -1; // unknown values last
      return sign * (Number(x) - Number(y));
    });
    if (cells.some(({ row }, at) => row !== body.rows[at])) body.append(...cells.map(({ row }) => row));
  }
  function sortBy(title, up) { order = { title, up }; sort(); }

  document.addEventListener("click", (event) => {
    const opened = event.target.closest("[data-open]");
    const dialog = opened && document.getElementById(`run-${opened.dataset.open}`);
    if (dialog) dialog.showModal();
    const head = event.target.closest("#table th");
    if (head && event.target.closest("button")) sortBy(head.textContent, head.getAttribute("aria-sort") !== "ascending");
  });
  document.addEventListener("change", (event) => {
    const box = event.target;
    const figure = box.closest("figure[data-figure]");
    if (box.matches("#columns input")) {
      chosen.set(headings()[box.dataset.column].textContent, box.checked);
      showColumns();
    } else if (box.matches("#groups input")) {
      drawAll();
    } else if (box.matches(".choose")) {
      box.closest("section").querySelectorAll("figure").forEach((one) => {
        one.hidden = one.dataset.figure !== box.value;
        show(one);
      });
    } else if (figure && box.matches(".log, .time")) {
      draw(figure.dataset.figure);
    }
  });

  paint(document);
  observe();
  return { figures, runs, decode, show, forget, draw, observe, paint, filter, sort, sortBy, showColumns,
    isDrawn: (id) => drawn.has(id), select: (at, range) => parallel.select(at, range) };
})();
