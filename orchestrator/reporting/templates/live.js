"use strict";
// Shows what the server of the dashboard sends: parts of the page, rows, traces of figures, points.
(() => {
  const base = location.pathname.replace(/\/$/, "");
  history.replaceState(null, "", location.pathname); // the cookie holds the secret now
  const page = typeof sweepReport === "undefined" ? null : sweepReport; // the list of sweeps has none
  const notice = document.getElementById("message");
  const LEAST_PAUSE_MS = 500; // between two times that a figure is drawn again
  const PAUSE_PER_COST = 4; // the same as a multiple of the time that it takes

  function say(text) {
    notice.hidden = text === "";
    notice.textContent = text;
  }

  // Figures stay where they are drawn when the part around them changes.
  function replaceDrawings(element, html) {
    const before = new Map([...element.querySelectorAll("figure[data-figure]")].map((one) => [one.dataset.figure, one]));
    const values = new Map([...element.querySelectorAll(".choose")].map((one, at) => [at, one.value]));
    const groups = new Map([...element.querySelectorAll("#groups input")].map((one) => [one.value, one.checked]));
    const smoothing = element.querySelector("#smoothing");
    const made = document.createElement("template");
    made.innerHTML = html;
    if (smoothing) made.content.querySelector("#smoothing")?.replaceWith(smoothing);
    made.content.querySelectorAll("figure[data-figure]").forEach((figure) => {
      const old = before.get(figure.dataset.figure);
      if (old) figure.replaceWith(old);
    });
    element.replaceChildren(made.content);
    element.querySelectorAll(".choose").forEach((select, at) => {
      if (values.has(at) && [...select.options].some((one) => one.value === values.get(at))) select.value = values.get(at);
      select.closest("section").querySelectorAll("figure").forEach((one) => { one.hidden = one.dataset.figure !== select.value; });
    });
    element.querySelectorAll("#groups input").forEach((box) => { box.checked = groups.get(box.value) ?? box.checked; });
    page.observe();
  }

  function replaceParts(parts) {
    for (const [name, html] of Object.entries(parts)) {
      const element = document.querySelector(`[data-part="${name}"]`);
      if (!element) continue;
      if (name === "drawings") replaceDrawings(element, html);
      else element.innerHTML = html;
    }
  }

  function replaceRows(rows) {
    const body = document.querySelector("#table tbody");
    const known = new Map([...body.rows].map((row) => [row.dataset.run, row]));
    const made = document.createElement("template");
    for (const [place, html] of Object.entries(rows)) {
      made.innerHTML = html;
      const row = made.content.firstElementChild;
      const old = known.get(place);
      page.paint(row);
      const focused = old && old.contains(document.activeElement) ? document.activeElement.className : null;
      if (old) old.replaceWith(row); else body.append(row);
      if (focused !== null) (row.querySelector(`button.${focused}`) || row.querySelector("button")).focus();
    }
  }

  // Traces by figure and hash; a trace that the server has sent once is not sent again.
  const traces = new Map();
  function replaceFigures(figures) {
    for (const [id, figure] of Object.entries(figures)) {
      if (figure === null) {
        page.forget(id);
        traces.delete(id);
        delete page.figures[id];
        continue;
      }
      const known = traces.get(id) || new Map();
      for (const [hash, trace] of Object.entries(figure.traces)) known.set(hash, page.decode(trace));
      const kept = new Map(figure.order.map((hash) => [hash, known.get(hash)]));
      traces.set(id, kept);
      page.figures[id] = { data: [...kept.values()], layout: figure.layout };
      if (id === "parallel") page.forget(id); // its lines belong together
      const element = document.querySelector(`figure[data-figure="${CSS.escape(id)}"]`);
      if (page.isDrawn(id)) later(id);
      else if (element) page.observe();
    }
  }

  function append(points) {
    for (const [place, series, steps, values, seconds] of points) {
      for (const [id, figure] of Object.entries(page.figures)) {
        const trace = figure.data.find((one) => one.meta && one.meta.run === place && one.meta.series === series);
        if (!trace) continue;
        const known = trace.meta.steps || (trace.meta.steps = trace.x);
        const last = known.length ? known[known.length - 1] : -1;
        steps.forEach((step, at) => {
          if (step <= last) return; // the report has it already
          known.push(step);
          trace.y.push(values[at]);
          if (trace.meta.seconds) trace.meta.seconds.push(seconds[at]);
        });
        if (known.length > 1) trace.mode = "lines";
        later(id);
      }
    }
  }

  // Draws changed figures together, and the less often the longer it takes.
  const changed = new Set();
  let waiting = null;
  let pause = 0;
  function later(id) {
    changed.add(id);
    if (waiting === null) waiting = setTimeout(drawChanged, pause);
  }
  function drawChanged() {
    const began = performance.now();
    for (const id of changed) page.draw(id);
    changed.clear();
    waiting = null;
    pause = Math.max(LEAST_PAUSE_MS, PAUSE_PER_COST * (performance.now() - began));
  }

  function receive(message) {
    if (message.problem !== undefined) say(message.problem);
    if (message.runs) for (const [place, run] of Object.entries(message.runs)) page.runs[place] = run;
    if (message.figures) replaceFigures(message.figures);
    if (message.parts) replaceParts(message.parts);
    if (message.rows) replaceRows(message.rows);
    if (message.points) append(message.points);
    if (page && (message.rows || (message.parts && message.parts.heading !== undefined))) {
      page.showColumns();
      page.sort();
      page.filter();
    }
  }

  if (page) page.sortBy("rank", true);
  const source = new EventSource(`${base}/events`);
  source.onopen = () => say("");
  source.onmessage = (event) => receive(JSON.parse(event.data));
  // The dashboard of `sweep run --dashboard` ends with the run.
  const isOver = () => page && !/^● /.test(document.querySelector("[data-part='status']").textContent.trim());
  source.onerror = () => say(source.readyState === EventSource.CLOSED || isOver()
    ? "The dashboard has ended. Start it again: sweep dashboard"
    : "No connection to the dashboard; trying again …");

  document.addEventListener("click", async (event) => {
    const opened = event.target.closest("[data-open]");
    if (opened) {
      const answer = await fetch(`${base}/run/${opened.dataset.open}`);
      const made = document.createElement("template");
      made.innerHTML = await answer.text();
      const found = made.content.querySelector("dialog");
      const dialog = document.getElementById("run");
      if (!answer.ok || !found || dialog.open) return;
      dialog.replaceChildren(...found.childNodes);
      dialog.setAttribute("aria-label", found.getAttribute("aria-label"));
      dialog.showModal();
    }
    const button = event.target.closest("[data-stop]");
    if (button && confirm(`${button.textContent}? What is running saves its state first.`)) {
      button.disabled = true;
      const answer = await fetch(`${base}/stop`, { method: "POST", body: JSON.stringify({ trial: JSON.parse(button.dataset.stop) }) });
      say(answer.ok ? "" : await answer.text());
      button.disabled = answer.ok;
    }
  });
})();
