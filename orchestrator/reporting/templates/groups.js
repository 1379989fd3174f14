"use strict";
// Learning curves of groups of runs: their mean, with a band from the least to the greatest.
const groupedCurves = (() => {
  const MOST_STEPS = 500;
  const DASHES = ["solid", "dash", "dot", "dashdot"];

  // Linear between two reports; undefined before the first and after the last.
  function valueAt(xs, ys, x) {
    let low = 0;
    let high = xs.length - 1;
    if (high < 0 || x < xs[0] || x > xs[high]) return undefined;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (xs[middle] <= x) low = middle; else high = middle;
    }
    if (xs[high] === x) return ys[high];
    const share = xs[high] === xs[low] ? 0 : (x - xs[low]) / (xs[high] - xs[low]);
    return ys[low] + share * (ys[high] - ys[low]);
  }

  function key(config, names) {
    return names.map((name) => `${name}=${name in config ? config[name] : "–"}`).join(", ");
  }

  // Returns the traces of the groups that runs with equal values of `names` make.
  function traces(own, runs, names, colors, isShown) {
    const groups = new Map();
    for (const trace of own) {
      if (!trace.meta || trace.meta.series === undefined || !isShown(trace.meta.run)) continue;
      const name = key(runs[trace.meta.run].config, names);
      const at = `${name}\n${trace.meta.series}`;
      if (!groups.has(at)) groups.set(at, { name, series: trace.meta.series, members: [] });
      groups.get(at).members.push({ x: Array.from(trace.x), y: Array.from(trace.y) });
    }
    const places = [...new Set([...groups.values()].map((group) => group.name))];
    const named = new Set();
    return [...groups.values()].flatMap(({ name, series, members }) => {
      let steps = [...new Set(members.flatMap((one) => one.x))].sort((a, b) => a - b);
      const every = Math.ceil(steps.length / MOST_STEPS);
      steps = steps.filter((_, at) => at % every === 0 || at === steps.length - 1);
      const found = steps.map((step) => members.map((one) => valueAt(one.x, one.y, step)).filter(Number.isFinite));
      const place = places.indexOf(name);
      const color = colors[place % colors.length];
      const dash = DASHES[Math.floor(place / colors.length) % DASHES.length];
      const isTraining = series.startsWith("train_");
      const shared = { type: "scatter", mode: "lines", x: steps, legendgroup: name, showlegend: false };
      const lines = [];
      if (members.length > 1) {
        lines.push({ ...shared, y: found.map((all) => all.length ? Math.max(...all) : null), line: { width: 0 }, hoverinfo: "skip" });
        lines.push({ ...shared, y: found.map((all) => all.length ? Math.min(...all) : null), line: { width: 0 }, hoverinfo: "skip", fill: "tonexty", fillcolor: `${color}${isTraining ? "18" : "33"}` });
      }
      lines.push({ ...shared, name: `${name} (${members.length})`, showlegend: !named.has(name),
        y: found.map((all) => all.length ? all.reduce((sum, value) => sum + value, 0) / all.length : null),
        line: { color, dash, width: isTraining ? 1 : 2.2 }, opacity: isTraining ? 0.55 : 1,
        hovertemplate: `%{y:.4g} at %{x}<extra>${name.replace(/[<&%]/g, " ")} ${series}, mean of ${members.length}</extra>` });
      named.add(name);
      return lines;
    });
  }
  return { traces };
})();
