"use strict";
// Parallel coordinates: draws the lines again when an axis changes its scale or runs are selected.
// `figures/parallel.py` draws the same lines first; its `meta` holds what is needed here.
const parallelCoordinates = (() => {
  const MUTED = "rgba(128,128,128,0.18)";

  function start(plot, figure, layout, onSelect) {
    const known = plot.data[0].meta;
    const colors = plot.data.map((trace) => trace.line.color);
    const chosen = known.axes.map((axis) => Object.keys(axis.scales)[0]);
    const limits = new Map(); // axis to [low, high] in places

    function scale(at) { return known.axes[at].scales[chosen[at]]; }
    function isSelected(run) {
      return [...limits].every(([at, [low, high]]) => {
        const place = scale(at).at[run];
        return place !== null && place >= low && place <= high;
      });
    }
    function traces() {
      const out = [];
      const draw = (runs, color, isMuted) => {
        const trace = { type: "scatter", x: [], y: [], text: [], mode: "lines+markers", showlegend: false,
          line: { color, width: 1.5 }, marker: { size: 5 }, hovertemplate: "%{text}<extra></extra>", hoverinfo: isMuted ? "skip" : "all" };
        if (isMuted) delete trace.hovertemplate;
        for (const run of runs) {
          known.axes.forEach((_, at) => { trace.x.push(at); trace.y.push(scale(at).at[run]); trace.text.push(known.texts[run]); });
          trace.x.push(null); trace.y.push(null); trace.text.push("");
        }
        out.push(trace);
      };
      const all = known.shades.map((_, run) => run);
      draw(all.filter((run) => !isSelected(run)), MUTED, true);
      colors.forEach((color, shade) => draw(all.filter((run) => known.shades[run] === shade && isSelected(run)), color, false));
      return out;
    }
    function redraw(themed) {
      if (themed) layout = { ...layout, ...themed };
      const back = getComputedStyle(document.body).backgroundColor; // the lines stay behind the numbers
      const ticks = known.axes.flatMap((_, at) => scale(at).ticks.map(([y, text]) => ({ x: at, y, text, showarrow: false, xanchor: "right", xshift: -5, bgcolor: back, borderpad: 1 })));
      const shapes = known.axes.map((_, at) => ({ type: "line", x0: at, x1: at, y0: 0, y1: 1, line: { width: 1, color: "gray" }, layer: "below" }));
      for (const [at, [low, high]] of limits) {
        shapes.push({ type: "rect", x0: at - 0.06, x1: at + 0.06, y0: low, y1: high, fillcolor: "#0072B2", opacity: 0.35, line: { width: 0 } });
      }
      Plotly.react(plot, traces(), { ...layout, annotations: ticks, shapes, dragmode: "select", selections: [], margin: { l: window.innerWidth > 700 ? 90 : 60, r: 50, t: 60, b: 20 } });
      onSelect(limits.size === 0 ? null : new Set(known.runs.filter((_, run) => isSelected(run))));
    }
    plot.on("plotly_selected", (event) => {
      if (!event || !event.range || !event.range.x) return;
      const [left, right] = [...event.range.x].sort((a, b) => a - b);
      const range = [...event.range.y].sort((a, b) => a - b);
      const inside = known.axes.map((_, at) => at).filter((at) => at >= left && at <= right);
      const nearest = Math.min(known.axes.length - 1, Math.max(0, Math.round((left + right) / 2)));
      for (const at of inside.length ? inside : [nearest]) limits.set(at, range);
      redraw();
    });
    plot.on("plotly_deselect", clear);
    function clear() { limits.clear(); redraw(); }

    const tools = document.createElement("p");
    tools.className = "scales";
    known.axes.forEach((axis, at) => {
      const names = Object.keys(axis.scales);
      if (names.length < 2) return;
      const label = document.createElement("label");
      const select = document.createElement("select");
      label.append(`${axis.label} `, select);
      for (const name of names) select.add(new Option(name, name));
      select.addEventListener("change", () => { chosen[at] = select.value; limits.delete(at); redraw(); });
      tools.append(label, " ");
    });
    const hint = document.createElement("span");
    hint.textContent = "Drag along an axis to select runs; double-click to show all.";
    tools.append(hint);
    figure.insertBefore(tools, plot);
    redraw();
    return { clear, redraw, select: (at, range) => { limits.set(at, range); redraw(); } };
  }
  return { start };
})();
