// Replays the steps of a fit from numbers that katamuki computed; this script draws and computes nothing else.
"use strict";
(() => {
  const page = document;
  const at = (id) => page.getElementById(id);
  const data = JSON.parse(at("replay").textContent);
  const words = data.words;
  const bytes = (text) => Uint8Array.from(atob(text), (one) => one.charCodeAt(0)).buffer;
  const doubles = (text) => new Float64Array(bytes(text));
  const facts = Object.fromEntries(Object.entries(data.facts).map(([name, text]) => [name, doubles(text)]));
  const heights = new Uint16Array(bytes(data.fit.heights));
  const steps = data.steps, count = steps.length, names = data.names, p = names.length;
  const NOWHERE = 65535, WINDOWS = 3;
  const slider = at("slider"), where = at("where"), note = at("note"), play = at("play");
  let now = 0, playing = 0, addressing = 0;

  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? values[name] : whole));
  const put = (id, text) => { at(id).textContent = text; };

  function curve(k) {
    const fit = data.fit, many = heights.length / count, tall = fit.bottom - fit.top;
    const place = (i) => fit.top - tall + (heights[k * many + i] / (NOWHERE - 1)) * WINDOWS * tall;
    let text = "", pen = "M", inside = false;
    for (let i = 0; i < many; i++) {
      inside ||= place(i) >= fit.top && place(i) <= fit.bottom;
      const nowhere = heights[k * many + i] === NOWHERE;
      if (fit.kind === "points") {
        if (!nowhere) text += `M${(fit.top + fit.bottom - place(i)).toFixed(1)} ${fit.up[i]}h0`;
      } else if (nowhere) {
        pen = "M";
      } else {
        text += `${pen}${fit.across[i]} ${place(i).toFixed(1)}`;
        pen = "L";
      }
    }
    at(fit.kind === "points" ? "now-points" : "now-curve").setAttribute("d", text);
    at("fit-outside").style.display = inside ? "none" : "";
  }

  function spot(id, x, y) {
    const mark = at(id), there = x !== null && y !== null;
    mark.style.display = there ? "" : "none";
    if (there) {
      mark.setAttribute("cx", x);
      mark.setAttribute("cy", y);
    }
  }

  function way(k) {
    const road = data.surface;
    let text = "", last = "";
    for (let i = 0; i < road.steps.length && road.steps[i] <= steps[k]; i++) {
      text += `${text ? "L" : "M"}${road.across[i]} ${road.up[i]}`;
    }
    const [x, y] = [road.here[0][k], road.here[1][k]];
    if (text && x !== null && y !== null) last = `L${x} ${y}`;
    at("path").setAttribute("d", text + last);
    spot("here", x, y);
    const [left, right, top, bottom] = road.field;
    at("surface-outside").style.display = x !== null && x >= left && x <= right && y >= top && y <= bottom ? "none" : "";
  }

  function story(k) {
    const values = {};
    for (const name of ["loss", "after", "change", "promise", "bend"]) values[name] = printed(facts[name][k]);
    if (k === count - 1) return words.result;
    if (data.rejected.includes(k)) return words.rejected;
    if (Number.isNaN(facts.after[k])) return fill(words.unknown, values);
    return fill(words.did, values);
  }

  function show(k, quiet) {
    now = Math.max(0, Math.min(count - 1, k));
    const said = now === count - 1 ? fill(words.end, { last: data.last }) : fill(words.step, { step: steps[now], last: data.last });
    slider.value = now;
    put("where", said);
    put("heading", said);
    let spoken = `${said}, ${words.loss} ${printed(facts.loss[now])}`;
    for (let j = 0; j < p; j++) {
      const value = facts.params[now * p + j];
      put(`value${j}`, printed(value));
      put(`gradient${j}`, printed(facts.gradient[now * p + j]));
      put(`step${j}`, printed(facts.step[now * p + j]));
      if (data.answer) put(`apart${j}`, printed(value - facts.answer[j]));
      if (j < 3) spoken += `, ${names[j]} ${printed(value)}`;
    }
    slider.setAttribute("aria-valuetext", spoken);
    put("loss", printed(facts.loss[now]));
    if (at("height")) put("height", printed(facts.height[now]));
    if (at("stability")) put("stability", printed(facts.stability[now]));
    put("story", story(now));
    curve(now);
    way(now);
    data.charts.forEach((chart, i) => {
      at(`cursor${i}`).setAttribute("d", `M${chart.across[now]} ${chart.bottom}V${chart.top}`);
      spot(`dot${i}`, chart.across[now], chart.up[now]);
    });
    if (!quiet) {
      note.textContent = "";
      clearTimeout(addressing);
      addressing = setTimeout(address, 300);
    }
  }

  // Browsers refuse a page that changes its address at every move of a slider.
  function address() {
    try { history.replaceState(null, "", `#step=${steps[now]}`); } catch { /* a page without an address */ }
  }

  function nearest(step) {
    let best = 0;
    for (let k = 0; k < count; k++) if (Math.abs(steps[k] - step) < Math.abs(steps[best] - step)) best = k;
    return best;
  }

  function fromAddress() {
    const found = /^#step=(\d+)$/.exec(location.hash);
    const k = found ? nearest(Number(found[1])) : 0;
    show(k, true);
    const asked = found ? Number(found[1]) : steps[0];
    note.textContent = asked === steps[k] ? "" : fill(words.missing, { asked, step: steps[k] });
  }

  function stop() {
    cancelAnimationFrame(playing);
    clearTimeout(playing);
    playing = 0;
    play.textContent = words.play;
    play.setAttribute("aria-pressed", "false");
    at("story").setAttribute("aria-live", "polite");
  }

  function start() {
    play.textContent = words.pause;
    play.setAttribute("aria-pressed", "true");
    at("story").setAttribute("aria-live", "off");
    if (now === count - 1) show(0);
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) {
      const stops = [...data.marks.map(nearest), count - 1];
      const jump = () => {
        const next = stops.find((one) => one > now);
        if (next === undefined) return stop();
        show(next);
        playing = setTimeout(jump, 1500);
      };
      playing = setTimeout(jump, 0);
      return;
    }
    const length = Math.min(8000, 150 * count), from = now;
    let began = null;
    const frame = (time) => {
      began ??= time;
      const k = from + Math.floor(((time - began) / length) * count);
      if (k !== now) show(k);
      if (now === count - 1) stop();
      else playing = requestAnimationFrame(frame);
    };
    playing = requestAnimationFrame(frame);
  }

  slider.addEventListener("input", () => { stop(); show(Number(slider.value)); });
  slider.addEventListener("keydown", (event) => {
    const far = { ArrowLeft: -10, ArrowDown: -10, ArrowRight: 10, ArrowUp: 10 }[event.key];
    if (!event.shiftKey || far === undefined) return;
    event.preventDefault();
    stop();
    show(now + far);
  });
  play.addEventListener("click", () => (playing ? stop() : start()));
  at("back").addEventListener("click", () => { stop(); show(now - 1); });
  at("on").addEventListener("click", () => { stop(); show(now + 1); });
  page.querySelectorAll(".events button").forEach((button) => {
    button.addEventListener("click", () => { stop(); show(nearest(Number(button.value))); });
  });
  addEventListener("hashchange", () => { stop(); fromAddress(); });
  if (data.surface.crowded) at("path").classList.add("crowded");
  fromAddress();
})();
