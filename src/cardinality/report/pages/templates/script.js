// What a reader can do beyond reading. Everything is on the page without it: this only hides what
// was not chosen, shows values where one points, and brings a running grid's progress up to date.
"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const SVG = "http://www.w3.org/2000/svg";

  // --- values where one points ---------------------------------------------------------------

  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  document.body.append(tip);

  let shown = null;

  function show(mark) {
    shown = mark;
    tip.textContent = said(mark);
    if (!tip.textContent) return;
    tip.hidden = false;
    const box = mark.getBoundingClientRect();
    const own = tip.getBoundingClientRect();
    const left = Math.min(box.left + box.width / 2 + 12, innerWidth - own.width - 8);
    const above = box.top - own.height - 8;
    tip.style.left = `${Math.max(8, left)}px`;
    tip.style.top = `${above > 8 ? above : Math.min(box.top + 14, innerHeight - own.height - 8)}px`;
  }

  function hide() {
    shown = null;
    tip.hidden = true;
  }

  // What a mark says; of a place on curves, the values of those that are drawn.
  function said(mark) {
    if (!mark.classList.contains("stop")) return mark.getAttribute("aria-label") || "";
    const at = Number(mark.dataset.at);
    const lines = new Map(); // the seeds of one net stand in one line
    for (const path of all("path[data-values]", mark.closest("svg"))) {
      const value = path.dataset.values.split(" ")[at];
      if (value === undefined || getComputedStyle(path).display === "none") continue;
      const label = path.dataset.label.replace(/, seed \d+/, "");
      lines.set(label, [...(lines.get(label) || []), value]);
    }
    const said = [...lines].map(([label, values]) => `${label}: ${values.join(", ")} %`);
    return [`epoch ${mark.dataset.name}`, ...said].join("\n");
  }

  // Titles become names, since a browser's own tooltip would lie above ours.
  function name(svg) {
    for (const title of all("title", svg)) {
      const mark = title.parentNode;
      mark.setAttribute("aria-label", title.textContent);
      title.remove();
    }
  }

  // A curve has no marks to point at, so each of its epochs gets a column.
  function columns(svg) {
    if (!svg.dataset.stops) return;
    const places = svg.dataset.stops.split(" ").map(Number);
    const names = svg.dataset.names.split(" ");
    const height = svg.viewBox.baseVal.height;
    places.forEach((x, at) => {
      const before = at ? (places[at - 1] + x) / 2 : x - 3;
      const after = at + 1 < places.length ? (places[at + 1] + x) / 2 : x + 3;
      const column = document.createElementNS(SVG, "rect");
      const box = { x: before, y: 24, width: Math.max(0.5, after - before), height: height - 62 };
      for (const [key, value] of Object.entries(box)) column.setAttribute(key, value);
      column.setAttribute("class", "stop");
      column.setAttribute("role", "img");
      column.setAttribute("aria-label", `epoch ${names[at]}`);
      Object.assign(column.dataset, { at, name: names[at] });
      svg.append(column);
    });
  }

  const visible = (svg) =>
    all("[role=img]", svg).filter((mark) => getComputedStyle(mark).display !== "none");

  // One stop of the tabulator a drawing; from there the arrow keys go from mark to mark.
  function walk(svg) {
    const marks = visible(svg);
    marks.forEach((mark, at) => mark.setAttribute("tabindex", at ? "-1" : "0"));
  }

  function step(event) {
    const mark = event.target.closest?.("svg.drawing [role=img]");
    if (event.key === "Escape") hide();
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!mark || (!by && event.key !== "Home" && event.key !== "End")) return;
    const marks = visible(mark.closest("svg"));
    const at = marks.indexOf(mark);
    const to = event.key === "Home" ? 0 : event.key === "End" ? marks.length - 1 : at + by;
    const next = marks[Math.max(0, Math.min(marks.length - 1, to))];
    mark.setAttribute("tabindex", "-1");
    next.setAttribute("tabindex", "0");
    next.focus();
    if (said(next) && next.classList.contains("stop")) next.setAttribute("aria-label", said(next));
    event.preventDefault();
  }

  function prepare(root) {
    for (const svg of all("svg.drawing", root)) {
      name(svg);
      columns(svg);
      walk(svg);
    }
  }

  const mark = (event) => event.target.closest?.("svg.drawing [role=img]");
  document.addEventListener("pointerover", (event) => (mark(event) ? show(mark(event)) : hide()));
  document.addEventListener("pointerleave", hide);
  document.addEventListener("scroll", () => shown && show(shown), { passive: true });
  document.addEventListener("focusin", (event) => (mark(event) ? show(mark(event)) : hide()));
  document.addEventListener("keydown", step);

  // --- choosing depth, settings and seeds ----------------------------------------------------

  function values(form, kind) {
    const boxes = all(`input[name=${kind}]`, form);
    const on = boxes.filter((box) => box.checked).map((box) => box.value);
    return { on: new Set(on), every: on.length === boxes.length };
  }

  function choose(form) {
    const part = form.closest(".figures");
    const [depth, net, seed] = ["depth", "net", "seed"].map((kind) => values(form, kind));
    const hides = (chosen, its) => its !== undefined && its !== "0" && !chosen.on.has(its);
    for (const item of all(".panel, [data-net]", part)) {
      const { depth: layers, net: its, seed: number } = item.dataset;
      const gone = number !== undefined && !seed.on.has(number);
      item.classList.toggle("off", gone || hides(depth, layers) || hides(net, its));
    }
    part.classList.toggle("some-seeds", !seed.every);
    const some = [depth, net, seed].filter((each) => !each.every).length;
    form.querySelector(".chosen").textContent = !some ? "" : seed.every
      ? "Some of it is hidden."
      : "Each run by itself; differences, costs and classes stay those of all seeds.";
    all("svg.drawing", part).forEach(walk);
  }

  for (const form of all("form.choose")) {
    form.hidden = false;
    form.reset();
    form.addEventListener("change", () => choose(form));
  }

  // --- links into what is folded -------------------------------------------------------------

  function unfold() {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    for (let node = target; node; node = node.parentElement) if (node.tagName === "DETAILS") node.open = true;
    target.scrollIntoView();
  }
  addEventListener("hashchange", unfold);

  // --- a grid that is running ----------------------------------------------------------------

  async function refresh(section) {
    try {
      const answer = await fetch(section.dataset.from, { cache: "no-store" });
      if (!answer.ok) throw new Error(answer.status);
      const made = new DOMParser().parseFromString(await answer.text(), "text/html");
      const next = made.querySelector(".going");
      const focused = section.contains(document.activeElement);
      if (!next || focused) return section;
      next.querySelector(".stale").hidden = next.dataset.records === section.dataset.records;
      next.dataset.records = section.dataset.records;
      section.replaceWith(next);
      prepare(next);
      return next;
    } catch {
      section.querySelector("[role=status]").textContent = "The server does not answer any more.";
      return section;
    }
  }

  async function follow(section) {
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, Number(section.dataset.every) * 1000));
      section = await refresh(section);
    }
  }

  prepare(document);
  unfold();
  all(".going[data-from]").forEach(follow);
})();
