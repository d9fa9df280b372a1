"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { lanes, events, bars, stretches, broken } = data;
  const LANE = 0, KIND = 1, BAR = 3, TIME = 4;
  const COLUMN = 15, FOLD = 64, HEAD = 84, TASK = 20, REQUEST = 11, GAP = 14, MARGIN = 900;
  const tones = { p: "var(--plain)", w: "var(--well)", b: "var(--badly)", u: "var(--unsure)" };
  const rules = { FAULT: ["var(--unsure)", "5 4", 2], START: ["var(--start)", "", 1.5], rest: ["var(--plain)", "2 4", 1.5], BROKEN: ["var(--badly)", "", 4] };
  const root = document.documentElement, scroll = document.getElementById("scroll"), detail = document.getElementById("detail");
  root.classList.add("js");
  const open = stretches.map(([, , quiet]) => !quiet);
  const of = new Array(events.length);
  stretches.forEach(([from, to], at) => of.fill(at, from, to));
  const stretch = at => of[at];
  const row = at => document.getElementById("e" + at);
  const escape = text => text.replace(/[&<>"]/g, letter => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[letter]);
  let x = [], width = 0, folds = [], selected = -1, drawn = [0, 0];

  // Bars that overlap are drawn under each other: each takes the first row that is free.
  const rows = lanes.map(() => ({ task: [], request: [] }));
  for (const bar of bars) {
    const [lane, task, from, to] = bar, ends = rows[lane][task ? "task" : "request"], last = to < 0 ? events.length : to;
    let at = ends.findIndex(end => end < from);
    if (at < 0) at = ends.push(0) - 1;
    ends[at] = last;
    bar.row = at;
  }
  let height = HEAD;
  const tops = rows.map(({ task, request }) => {
    const top = height;
    height += Math.max(44, task.length * TASK + request.length * REQUEST + GAP + 14);
    return top;
  });
  const names = document.getElementById("names");
  names.innerHTML = lanes.map((name, at) => `<span style="top:${tops[at] + 8}px">${escape(name)}</span>`).join("");
  names.style.height = height + "px";

  function layout() {
    x = new Array(events.length); folds = [];
    let left = 12;
    stretches.forEach(([from, to, quiet], at) => {
      if (!open[at]) {
        folds.push([left, at, to - from]);
        for (let event = from; event < to; event++) x[event] = left + FOLD / 2;
        left += FOLD;
      } else for (let event = from; event < to; event++) { x[event] = left + COLUMN / 2; left += COLUMN; }
    });
    width = left + 24;
    scroll.style.height = height + 16 + "px";
    document.getElementById("wide").style.cssText = `width:${width}px;height:1px`;
    draw(true);
  }

  function draw(anew) {
    const from = scroll.scrollLeft, to = from + scroll.clientWidth;
    if (!anew && from >= drawn[0] + 200 && to <= drawn[1] - 200) return;
    const [low, high] = drawn = [from - MARGIN, to + MARGIN], seen = (a, b) => b >= low && a <= high;
    const out = [];
    tops.forEach((top, lane) => out.push(`<rect x="${low}" y="${top}" width="${high - low}" height="${(tops[lane + 1] ?? height) - top}" fill="${lane % 2 ? "var(--card)" : "var(--wash)"}"/>`));
    for (const [left, at, count] of folds) if (seen(left, left + FOLD)) {
      out.push(`<g data-f="${at}"><rect x="${left + 3}" y="${HEAD - 18}" width="${FOLD - 6}" height="${height - HEAD + 18}" rx="5" fill="var(--paper)" stroke="var(--line)"/><text x="${left + FOLD / 2}" y="${HEAD - 4}" text-anchor="middle" style="fill:var(--soft)">+ ${count}</text></g>`);
    }
    // Times, where there is room for them: in full where they change.
    let told = -1, free = -Infinity;
    events.forEach((event, at) => {
      if (x[at] < free || !open[stretch(at)] || told >= 0 && events[told][TIME] === event[TIME] && x[at] < free + 400) return;
      const label = (+event[TIME]).toFixed(3) + " s";
      if (seen(x[at], x[at] + 80)) out.push(`<text x="${x[at]}" y="${HEAD - 22}" style="fill:var(--soft);font-size:11px">${label}</text>`);
      [told, free] = [at, x[at] + 76];
    });
    const ends = [0, 0, 0, 0];
    events.forEach((event, at) => {
      const rule = rules[event[KIND]];
      if (!rule || !seen(x[at] - 220, x[at] + 220)) return;
      const label = event[KIND] === "BROKEN" ? "rule broken" : event[5] ?? "";
      const long = label.length * 6.6 + 10, slot = event[KIND] === "BROKEN" ? 0 : [1, 2, 3].find(slot => ends[slot] < x[at]);
      const top = slot === undefined ? HEAD - 8 : slot * 15 + 3;
      out.push(`<g data-e="${at}"><line x1="${x[at]}" x2="${x[at]}" y1="${top}" y2="${height}" stroke="${rule[0]}" stroke-width="${rule[2]}" stroke-dasharray="${rule[1]}"/><line x1="${x[at]}" x2="${x[at]}" y1="${top}" y2="${height}" stroke="transparent" stroke-width="12"/>`);
      if (slot !== undefined) {
        ends[slot] = x[at] + long;
        const left = event[KIND] === "BROKEN" && x[at] > 120;
        // A label stays in sight as long as its rule is.
        const place = left ? x[at] - 6 : x[at] < from ? x[at] + 5 : Math.max(x[at] + 5, from + 4);
        out.push(`<text x="${place}" y="${top + 11}" ${left ? 'text-anchor="end"' : ""} style="fill:${rule[0]};font-weight:${event[KIND] === "BROKEN" ? 700 : 400}">${escape(label)}</text>`);
      }
      out.push("</g>");
    });
    for (const bar of bars) {
      const [lane, task, begins, ended, tone, what] = bar, end = ended < 0 ? events.length - 1 : ended;
      if (!seen(x[begins], x[end]) || stretch(begins) === stretch(end) && !open[stretch(end)]) continue;
      const y = tops[lane] + 7 + (task ? bar.row * TASK : rows[lane].task.length * TASK + bar.row * REQUEST);
      const long = Math.max(x[end] - x[begins], 5), size = task ? TASK - 4 : REQUEST - 3;
      const fill = task ? "var(--task)" : ended < 0 ? "var(--unsure)" : tones[tone];
      out.push(`<g data-e="${begins}"><rect x="${x[begins]}" y="${y}" width="${long}" height="${size}" rx="2.5" fill="${fill}" fill-opacity="${task ? .22 : .85}" ${task ? 'stroke="var(--task)"' : ""}/>`);
      if (task) {
        // A long bar's label stays in sight.
        const left = Math.min(Math.max(x[begins] + 4, from + 4), x[end] - 30), room = Math.max(Math.floor((x[end] - left) / 7), 0);
        out.push(`<text x="${left}" y="${y + 12}">${escape(what.length > room ? what.slice(0, Math.max(room - 1, 0)) + (room > 2 ? "…" : "") : what)}</text>`);
        if (ended >= 0 && tone !== "w") out.push(`<text x="${x[end] + 2}" y="${y + 13}" style="fill:${tones[tone]};font-weight:700">${tone === "b" ? "✕" : "?"}</text>`);
      } else if (tone === "b" || tone === "u" || ended < 0) {
        out.push(`<text x="${x[end] + 1}" y="${y + 9}" style="fill:${ended < 0 ? "var(--unsure)" : tones[tone]};font-weight:700">${tone === "b" ? "✕" : "?"}</text>`);
      }
      out.push("</g>");
    }
    events.forEach((event, at) => {
      const shape = { domain: "◆", notice: "•", client: "▸", host: "·" }[event[KIND]];
      if (!shape || !seen(x[at], x[at]) || !open[stretch(at)]) return;
      const y = (tops[event[LANE] + 1] ?? height) - 5;
      out.push(`<text data-e="${at}" x="${x[at]}" y="${y}" text-anchor="middle" style="font-size:14px;fill:var(--${event[KIND] === "domain" ? "ink" : "soft"})">${shape}</text>`);
    });
    if (selected >= 0) out.push(`<rect x="${x[selected] - COLUMN / 2}" y="${HEAD - 16}" width="${COLUMN}" height="${height - HEAD + 16}" fill="var(--cursor)" fill-opacity=".1" stroke="var(--cursor)"/>`);
    const svg = `<svg width="${high - low}" height="${height}" viewBox="${low} 0 ${high - low} ${height}" style="left:${low}px" aria-hidden="true">${out.join("")}</svg>`;
    document.getElementById("drawing").innerHTML = svg;
  }


  function show(at, far) {
    if (at < 0 || at >= events.length) return;
    const fold = stretch(at);
    if (!open[fold]) { open[fold] = true; layout(); }
    selected = at;
    document.querySelector(".events li.at")?.classList.remove("at");
    row(at).classList.add("at");
    const bar = bars[events[at][BAR]], from = bar?.[2], to = bar?.[3];
    const copy = row(at).cloneNode(true);
    copy.removeAttribute("id");
    detail.innerHTML = `<ul class="events"></ul>`;
    detail.firstChild.append(copy);
    if (bar && from !== at) detail.firstChild.append(marked("began with", from));
    if (bar && to >= 0 && to !== at) detail.firstChild.append(marked("ended with", to));
    if (events[at][KIND] === "BROKEN") {
      let last = at - 1;
      while (last >= 0 && !row(last).querySelector(".chg")) last--;
      if (last >= 0) detail.firstChild.append(marked("just before", last));
    }
    if (bar && to < 0) detail.insertAdjacentHTML("beforeend", `<p class="quietly">It has not ended when the story does.</p>`);
    detail.insertAdjacentHTML("beforeend", `<p><a href="#e${at}">in the list of events</a></p>`);
    into(at, far ? .8 : .5, far);
    draw(true);
  }

  // Scrolls to an event, if it is out of sight or that is wanted in any case.
  function into(at, where, always) {
    if (!always && x[at] > scroll.scrollLeft + 20 && x[at] < scroll.scrollLeft + scroll.clientWidth - 40) return;
    scroll.scrollLeft = width - scroll.clientWidth < 80 ? 0 : x[at] - scroll.clientWidth * where;
  }

  function marked(word, at) {
    const copy = row(at).cloneNode(true);
    copy.removeAttribute("id");
    copy.classList.remove("at");
    copy.querySelector(".kind").textContent = word;
    return copy;
  }

  const goal = element => element.closest?.("[data-e],[data-f]");
  scroll.addEventListener("scroll", () => requestAnimationFrame(() => draw(false)), { passive: true });
  scroll.addEventListener("click", ({ target }) => {
    const hit = goal(target);
    if (hit?.dataset.f) { open[hit.dataset.f] = true; layout(); } else if (hit) show(+hit.dataset.e);
  });
  scroll.addEventListener("mouseover", ({ target }) => {
    const hit = goal(target);
    if (hit?.dataset.e && +hit.dataset.e !== selected) show(+hit.dataset.e);
  });
  scroll.addEventListener("keydown", event => {
    const same = step => { let at = selected; do at += step; while (events[at] && events[at][LANE] !== events[selected][LANE]); return at; };
    const special = step => { let at = selected; do at += step; while (events[at] && !rules[events[at][KIND]]); return at; };
    const keys = { ArrowRight: () => selected + 1, ArrowLeft: () => selected - 1, ArrowDown: () => same(1), ArrowUp: () => same(-1),
      PageDown: () => special(1), PageUp: () => special(-1), Home: () => 0, End: () => events.length - 1 };
    if (!keys[event.key]) return;
    event.preventDefault();
    show(keys[event.key]());
  });
  document.getElementById("moment")?.addEventListener("click", () => { show(broken, true); scroll.focus({ preventScroll: true }); });
  document.getElementById("unfold").addEventListener("click", ({ target }) => {
    const all = open.every(Boolean);
    stretches.forEach(([, , quiet], at) => open[at] = !quiet || !all);
    target.textContent = all ? "Unfold quiet stretches" : "Fold quiet stretches";
    layout();
  });
  addEventListener("resize", () => { into(selected, .8, false); draw(true); });
  const reveal = () => {
    const target = location.hash.startsWith("#e") && document.getElementById(location.hash.slice(1));
    if (!target) return;
    target.closest("details")?.setAttribute("open", "");
    target.scrollIntoView({ block: "center" });
    show(+location.hash.slice(2), true);
  };
  addEventListener("hashchange", reveal);
  layout();
  show(broken >= 0 ? broken : events.length - 1, true);
  reveal();
})();
