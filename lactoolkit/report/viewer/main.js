
// The page: state, events, lists.

(function () {
  const find = (id) => document.getElementById(id);
  const { media, views } = JSON.parse(find("data").textContent);
  find("data").textContent = ""; // embedded videos need no second copy
  // The address says which of several videos is shown: viewer.html#2.
  const chosen = clamp(Math.trunc(Number(location.hash.slice(1))) || 1, 1, views.length) - 1;
  const data = views[chosen];
  data.videos.forEach((video) => Object.assign(video, media[video.media]));
  media.length = 0; // nor do the videos that are not shown
  const paths = (data.hits.length ? data.hits : [data.unaligned]).map((hit) => new ClockPath(hit));
  const players = [new Player(find("video-a"), data.videos[0]), new Player(find("video-b"), data.videos[1])];
  const panels = [...document.querySelectorAll(".panel")];
  const colours = new LabelColours(data.videos);
  const marks = placeMarks();
  const map = new SimilarityMap(find("map"), data, paths, colours, marks);
  const ribbon = new Ribbon(find("ribbon"), data, colours, marks);

  // On the path, `clock` says where; off it, `free` holds both moments.
  const state = { hit: 0, clock: 0, free: null, playing: false, speed: 1 };
  let latest = 0; // of the ticks
  let differences = []; // when those of the hit begin

  const path = () => paths[state.hit];
  const place = () => state.free
    ? { a: state.free[0], b: state.free[1], confidence: null, held: "" }
    : path().at(state.clock);

  /** Deviations with their place on the clock, of one path, and a row for each kind that there is. */
  function placeMarks() {
    const kinds = [...new Set((data.deviations || []).map((one) => one.mark))];
    return (data.deviations || []).map((one) => {
      const [from, to] = one[one.along].map((moment) => paths[0].timeOf(moment, one.along));
      return { ...one, from, to, row: kinds.indexOf(one.mark) };
    }).sort((one, other) => one.from - other.from);
  }

  const marksAt = (clock) => state.free ? [] : marks.filter((mark) => mark.from - 1e-6 <= clock && clock <= mark.to + 1e-6);

  // Moving

  function refresh(follow = false) {
    const now = place();
    [now.a, now.b].forEach((moment, k) => {
      if (!follow) players[k].show(moment);
      const frames = players[k].frames, caption = panels[k].querySelector("figcaption");
      caption.querySelector(".time").textContent = timecode(moment);
      caption.querySelector(".frame").textContent = `frame ${frames.at(moment)}`;
      caption.querySelector(".label").textContent = namesAt(data.videos[k].labels, moment);
      const waits = now.held === "ab"[k];
      panels[k].classList.toggle("held", waits);
      panels[k].querySelector(".waits").hidden = !waits;
    });
    const here = marksAt(state.clock);
    [...find("deviations").children].forEach((item, k) => {
      item.firstChild.setAttribute("aria-current", String(here.includes(marks[k])));
    });
    map.move(now);
    ribbon.move(state.free ? null : state.clock);
    find("clock").textContent = state.free ? "off the path" : `${timecode(state.clock)} / ${timecode(path().length)}`;
    find("reading").textContent = reading(now);
    const slider = find("ribbon");
    slider.setAttribute("aria-valuemax", path().length.toFixed(3));
    slider.setAttribute("aria-valuenow", state.clock.toFixed(3));
    slider.setAttribute("aria-valuetext", `A ${timecode(now.a)}, B ${timecode(now.b)}, ${reading(now)}`);
  }

  function reading(now) {
    return [match(now), ...marksAt(state.clock).map((mark) => mark.kind)].join(" · ");
  }

  function match(now) {
    if (!data.hits.length) return "Nothing matches: both play from their start at their own speed.";
    if (state.free) return "Off the path: these two frames are not matched.";
    if (now.held) return `Only ${now.held === "a" ? "B" : "A"} shows this.`;
    const pace = path().pace(state.clock, "b") / path().pace(state.clock, "a");
    const speed = !isFinite(pace) || pace <= 0 ? "" : Math.abs(pace - 1) < 0.05 ? ", same speed"
      : `, ${pace > 1 ? "B" : "A"} takes ${(pace > 1 ? pace : 1 / pace).toFixed(1)} times as long`;
    if (now.confidence === null) return "Nothing is matched here.";
    return `Confidence ${now.confidence.toFixed(2)}${speed}`;
  }

  function goTo(clock, hit = state.hit) {
    const changed = hit !== state.hit;
    state.hit = hit;
    state.free = null;
    state.clock = clamp(clock, 0, path().length);
    if (changed) showHit();
    refresh();
  }

  function goFree(a, b) {
    state.free = [a, b];
    refresh();
  }

  function play(on = !state.playing) {
    if (on && !state.free && state.clock >= path().length - 1e-6) state.clock = 0;
    state.playing = on;
    find("play").setAttribute("aria-label", on ? "Pause" : "Play");
    find("play-sign").setAttribute("d", on ? "M6 5h4.500v14H6zM13.500 5H18v14h-4.500z" : "M7 4.5v15l13-7.5z");
    latest = performance.now();
    refresh();
    if (on) requestAnimationFrame(tick);
  }

  function tick(now) {
    if (!state.playing) return;
    const passed = clamp((now - latest) / 1000, 0, 0.1) * state.speed;
    latest = now;
    // Whoever is loading or seeking is waited for by both.
    if (players.every((player) => player.ready)) advance(passed);
    else players.forEach((player) => { if (player.ready) player.pause(); });
    if (state.playing) requestAnimationFrame(tick);
  }

  function advance(passed) {
    if (state.free) {
      state.free = state.free.map((moment, k) => Math.min(moment + passed, data.videos[k].times.at(-1)));
      if (state.free.every((moment, k) => moment >= data.videos[k].times.at(-1))) play(false);
    } else {
      state.clock += passed;
      if (state.clock >= path().length) {
        if (find("loop").checked) {
          state.clock = 0;
          refresh();
          return;
        }
        state.clock = path().length;
        play(false);
      }
    }
    refresh(state.playing);
    if (!state.playing) return;
    const at = place();
    [at.a, at.b].forEach((moment, k) => {
      const rate = state.free ? 1 : path().pace(state.clock, "ab"[k]);
      players[k].follow(moment, rate * state.speed);
    });
  }

  /** One frame of the video that leads: the one whose time the clock is counting. */
  function step(direction) {
    play(false);
    if (state.free) {
      goFree(...state.free.map((moment, k) => limited(stepped(k, moment, direction), k)));
      return;
    }
    const now = place(), probe = clamp(state.clock + direction * 1e-3, 0, path().length);
    const then = path().at(probe);
    const leader = Math.abs(then.a - now.a) >= Math.abs(then.b - now.b) ? 0 : 1, which = "ab"[leader];
    const clock = path().timeOf(stepped(leader, now[which], direction), which);
    // At the end of a stretch where the leader changes, the clock moves by a frame's time all the same.
    const interval = players[leader].frames.interval(now[which]);
    goTo(direction * (clock - state.clock) > 1e-4 && Math.abs(clock - state.clock) < 2.5 * interval
      ? clock : state.clock + direction * interval);
  }

  function stepped(k, moment, direction) {
    const frames = players[k].frames, number = frames.at(moment);
    const start = frames.timeOf(number);
    // Back from within a frame: to its start.
    return direction > 0 ? frames.timeOf(number + 1) : moment - start > 0.003 ? start : frames.timeOf(number - 1);
  }

  function limited(moment, k) {
    return clamp(moment, data.videos[k].times[0], data.videos[k].times.at(-1));
  }

  function skip(seconds) {
    if (state.free) goFree(...state.free.map((moment, k) => limited(moment + seconds, k)));
    else goTo(state.clock + seconds);
  }

  function chooseHit(number) {
    if (data.hits.length) goTo(0, clamp(number, 0, data.hits.length - 1));
  }

  /** Next or previous deviation, or difference where no deviations were looked for. */
  function goOn(direction) {
    const places = data.deviations ? marks.map((mark) => mark.from) : differences;
    const ahead = places.filter((clock) => direction * (clock - state.clock) > 1e-3 || (state.free && direction > 0));
    if (ahead.length) goTo(direction > 0 ? ahead[0] : ahead.at(-1));
  }

  function chooseVideo(number) {
    if (number !== chosen && number >= 0 && number < views.length) location.hash = String(number + 1);
  }

  // What changes with the hit

  function showHit() {
    map.rebuild(state.hit);
    ribbon.rebuild(path());
    listDifferences();
    [...find("hits").children].forEach((item, k) => {
      item.firstChild.setAttribute("aria-current", String(k === state.hit));
    });
    find("previous-hit").disabled = state.hit === 0;
    find("next-hit").disabled = state.hit >= data.hits.length - 1;
  }

  /** An element with a text, or with parts of its own. */
  function part([className, content]) {
    const span = document.createElement("span");
    span.className = className;
    if (Array.isArray(content)) {
      span.append(...content.map(part));
    } else {
      span.dir = "auto";
      span.textContent = content;
    }
    return span;
  }

  function entry(parts, action) {
    const item = document.createElement("li"), button = document.createElement("button");
    button.type = "button";
    button.append(...parts.map(part));
    button.addEventListener("click", action);
    item.append(button);
    return item;
  }

  const stretch = (which, from, to) => ["stretch", [
    [`badge ${which}`, which.toUpperCase()],
    ["span", to - from < 5e-4 ? timecode(from) : `${timecode(from)} – ${timecode(to)}`],
  ]];

  const chance = (p, sign = "") => p < 1e-4 ? "p < 0.0001" : `p ${sign}${+p.toPrecision(2)}`;

  function listHits() {
    data.hits.forEach((hit, k) => {
      const { a, b } = paths[k];
      find("hits").append(entry([
        ["number", hit.number],
        ["stretches", [stretch("a", a[0], a.at(-1)), stretch("b", b[0], b.at(-1))]],
        ["detail", `confidence ${hit.confidence.toFixed(2)}`
          + (hit.pacing === null ? "" : ` · pacing ${hit.pacing.toFixed(2)}`)
          + (hit.p_value === null ? "" : ` · ${chance(hit.p_value)}`)
          + (hit.role === "chain" ? "" : ` · ${hit.role}`)],
      ], () => chooseHit(k)));
    });
  }

  function listDeviations() {
    for (const mark of marks) {
      find("deviations").append(entry([
        [`kind ${mark.mark}`, mark.kind],
        ["length", chance(mark.p_value)],
        ["stretches", [stretch("a", ...mark.a), stretch("b", ...mark.b)]],
      ], () => goTo(mark.from)));
    }
    find("deviations-note").textContent = marks.length
      ? "p: how probable it is that a correct video has a stretch as conspicuous as this one."
      : `Nothing conspicuous: no stretch that a correct video has with a probability below ${data.level}.`;
  }

  function listDifferences() {
    const list = find("differences");
    list.replaceChildren();
    const rows = [];
    if (data.hits.length) {
      for (const [which, from, to, meaning] of data.hits[state.hit].gaps) {
        const text = data.deviations ? `only in the ${which === "a" ? "reference" : "video"}` : meaning;
        rows.push([path().timeOf(from, which), which, from, to, text]);
      }
    }
    rows.sort((one, other) => one[0] - other[0]);
    differences = rows.map(([clock]) => clock);
    for (const [clock, which, from, to, text] of rows) {
      list.append(entry([
        stretch(which, from, to),
        ["detail", text],
        ["length", `${(to - from).toFixed(2)} s`],
      ], () => goTo(clock)));
    }
    find("no-differences").hidden = rows.length > 0;
  }

  // Pointer and keyboard

  function draggable(element, move) {
    let resumes = false;
    element.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      element.setPointerCapture(event.pointerId);
      resumes = state.playing;
      if (resumes) play(false);
      move(event);
    });
    element.addEventListener("pointermove", (event) => {
      if (element.hasPointerCapture(event.pointerId)) move(event);
    });
    for (const name of ["pointerup", "pointercancel"]) {
      element.addEventListener(name, () => { if (resumes) { resumes = false; play(true); } });
    }
  }

  draggable(find("map"), (event) => {
    const box = find("map").getBoundingClientRect();
    const [a, b] = map.moments(event.clientX - box.left, event.clientY - box.top);
    if (find("free").checked || !data.hits.length) {
      goFree(a, b);
      return;
    }
    const found = paths.map((one) => one.nearest(a, b, map.lengthA / map.width, map.lengthB / map.height));
    // The hit on show keeps the pointer unless another one is clearly nearer.
    let best = state.hit;
    found.forEach(([distance], k) => { if (distance + (k === state.hit ? 0 : 12) < found[best][0]) best = k; });
    goTo(found[best][1], best);
  });
  let pressed = null; // the deviation that is being clicked
  draggable(find("ribbon"), (event) => {
    const box = find("ribbon").getBoundingClientRect(), x = event.clientX - box.left;
    if (event.type === "pointerdown") pressed = ribbon.markAt(x, event.clientY - box.top);
    goTo(pressed ? pressed.from : x / box.width * path().length);
  });
  find("ribbon").addEventListener("pointermove", (event) => {
    const box = find("ribbon").getBoundingClientRect();
    const mark = ribbon.markAt(event.clientX - box.left, event.clientY - box.top);
    find("ribbon").classList.toggle("on-mark", Boolean(mark));
    find("ribbon").title = mark ? mark.kind : "";
  });

  const speeds = [...find("speed").options].map((option) => Number(option.value));
  function setSpeed(k) {
    find("speed").selectedIndex = clamp(k, 0, speeds.length - 1);
    state.speed = speeds[find("speed").selectedIndex];
  }

  function toggleTheme() {
    setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
  }

  function setTheme(name) {
    document.documentElement.dataset.theme = name;
    map.rebuild();
    ribbon.rebuild(path());
  }

  function toggleFree() {
    find("free").checked = !find("free").checked;
    changeFree();
  }

  function changeFree() {
    if (!find("free").checked && state.free && data.hits.length) goTo(state.clock);
  }

  const keys = {
    " ": () => play(),
    ArrowLeft: (event) => event.shiftKey ? skip(-1) : step(-1),
    ArrowRight: (event) => event.shiftKey ? skip(1) : step(1),
    Home: () => goTo(0),
    End: () => goTo(path().length),
    "[": () => chooseHit(state.hit - 1),
    "]": () => chooseHit(state.hit + 1),
    n: () => goOn(1),
    p: () => goOn(-1),
    ",": () => chooseVideo(chosen - 1),
    ".": () => chooseVideo(chosen + 1),
    "-": () => setSpeed(find("speed").selectedIndex - 1),
    "+": () => setSpeed(find("speed").selectedIndex + 1),
    "=": () => setSpeed(find("speed").selectedIndex + 1),
    l: () => { find("loop").checked = !find("loop").checked; },
    f: toggleFree,
    t: toggleTheme,
    "?": () => find("help-dialog").showModal(),
  };

  document.addEventListener("keydown", (event) => {
    const action = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!action || event.ctrlKey || event.metaKey || event.altKey || find("help-dialog").open) return;
    // What has the focus keeps its own keys.
    if (event.target.matches("select") || (event.key === " " && event.target.matches("button, input"))) return;
    event.preventDefault();
    action(event);
  });
  // A click leaves no focus behind that would take the space bar.
  document.addEventListener("click", (event) => {
    if (event.detail > 0 && event.target.closest("button, input[type=checkbox]")) document.activeElement.blur();
  });

  find("play").addEventListener("click", () => play());
  find("step-back").addEventListener("click", () => step(-1));
  find("step-on").addEventListener("click", () => step(1));
  find("previous-hit").addEventListener("click", () => chooseHit(state.hit - 1));
  find("next-hit").addEventListener("click", () => chooseHit(state.hit + 1));
  find("speed").addEventListener("change", () => setSpeed(find("speed").selectedIndex));
  find("free").addEventListener("change", changeFree);
  find("chooser").addEventListener("change", () => chooseVideo(find("chooser").selectedIndex));
  window.addEventListener("hashchange", () => location.reload());
  find("theme").addEventListener("click", toggleTheme);
  find("help").addEventListener("click", () => find("help-dialog").showModal());
  find("sound").addEventListener("change", () => {
    players.forEach((player, k) => { player.element.muted = find("sound").value !== "ab"[k]; });
  });
  players.forEach((player, k) => player.element.addEventListener("click", () => play()));
  document.addEventListener("visibilitychange", () => { if (document.hidden && state.playing) play(false); });

  // The start

  data.videos.forEach((video, k) => {
    const letter = "ab"[k];
    find(`name-${letter}`).textContent = video.name;
    panels[k].querySelector(".screen").style.aspectRatio = `${video.width} / ${video.height}`;
    panels[k].style.setProperty("--aspect", video.width / video.height);
    if (video.sound) find("sound").append(new Option(letter.toUpperCase(), letter));
  });
  find("videos").classList.toggle("wide", data.videos.every((video) => video.width > 1.2 * video.height));
  find("sound-choice").hidden = !data.videos.some((video) => video.sound);
  const p = data.hits.length && data.hits[0].p_value !== null ? `, ${chance(data.hits[0].p_value, "= ")}` : "";
  find("verdict").textContent = data.verdict[0].toUpperCase() + data.verdict.slice(1) + p;
  find("verdict").title = "p: how probable it is that videos of different processes match this well by chance";
  find("verdict").dataset.verdict = data.verdict;
  find("note").textContent = data.note;
  find("note").hidden = !data.note;
  document.title = data.title;
  views.forEach(({ videos, deviations }, k) => {
    const count = deviations ? ` (${deviations.length || "no"} deviation${deviations.length === 1 ? "" : "s"})` : "";
    find("chooser").append(new Option(`${k + 1}. ${videos[1].name}${count}`, k, false, k === chosen));
  });
  find("chooser-label").hidden = views.length < 2;
  document.body.classList.toggle("one-view", views.length < 2);
  if (data.deviations) {
    for (const id of ["deviations-section", "reference"]) find(id).hidden = false;
    find("marks-legend").hidden = !marks.length;
    find("differences-title").textContent = "All differences, also those that correct videos have";
    find("next-help").textContent = "next and previous deviation";
  }
  find("hits-title").textContent = data.hits.length === 1 ? "Matching stretch" : "Matching stretches";
  document.body.classList.toggle("one-hit", data.hits.length < 2);
  if (!data.hits.length) {
    find("free").parentElement.hidden = find("differences-section").hidden = find("hits-section").hidden = true;
  }
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  document.documentElement.dataset.theme = dark.matches ? "dark" : "light";
  dark.addEventListener("change", () => setTheme(dark.matches ? "dark" : "light"));
  listHits();
  listDeviations();
  showHit();
  refresh();
  new ResizeObserver(() => { map.rebuild(); ribbon.rebuild(path()); }).observe(document.body);
})();
