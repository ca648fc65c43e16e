"use strict";
// The listening page: plays one song at a time at an even loudness, takes answers by pointer and
// keys, and sends each the moment it is given. What cannot be sent waits in localStorage, one entry
// per message, and carries a key by which the server knows one that it has already.
(() => {
  const one = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const set = (element, name, value) => element.setAttribute(`aria-${name}`, value);
  const write = (element, text) => {
    if (element.textContent !== text) element.textContent = text; // else it would be read aloud again
  };
  const base = document.body.dataset.base;
  const main = one("main[data-screen]");
  const screen = main?.dataset.screen;
  const practice = main?.hasAttribute("data-practice");

  if (one("#link")) one("#link").textContent = location.href.split(/[?#]/)[0];
  if (base === undefined) return;

  // ---- what waits to be sent -------------------------------------------------------------------

  const prefix = `earmark ${base} `;
  let kept = {}; // in memory, where the browser lets nothing be stored
  try {
    kept = localStorage;
  } catch { /* blocked */ }
  const keep = (name, value) => {
    try {
      kept[name] = value;
    } catch {
      kept = { ...kept, [name]: value }; // no room
    }
  };
  const waiting = () => Object.keys(kept).filter((name) => name.startsWith(prefix)).sort();

  // crypto.randomUUID exists in secure contexts alone; a network without TLS is none.
  const newKey = () =>
    [...crypto.getRandomValues(new Uint8Array(16))]
      .map((byte) => byte.toString(16).padStart(2, "0"))
      .join("");

  let count = 0;
  const put = (path, body) => {
    const order = `${String(Date.now()).padStart(15, "0")} ${String(count++).padStart(6, "0")}`;
    const name = `${prefix}${order} ${newKey()}`;
    keep(name, JSON.stringify({ path, body }));
    return flush();
  };

  let [sending, leaving, pause, timer] = [false, false, 0, 0];
  async function flush() {
    clearTimeout(timer);
    if (sending) return;
    sending = true;
    try {
      for (let [name] = waiting(); name; [name] = waiting()) {
        const { path, body } = JSON.parse(kept[name] ?? "{}");
        if (!path) continue; // another tab has sent it
        const reply = await fetch(`${base}/${path}`, {
          method: "POST",
          headers: { "Content-Type": "application/json" },
          body: JSON.stringify(body),
          keepalive: true,
          signal: AbortSignal.timeout(20000),
        });
        const { error } = await reply.json().catch(() => ({}));
        if (reply.status >= 500 || reply.status === 408 || reply.status === 429) {
          throw Object.assign(new Error(error ?? "the server failed"), { told: true });
        }
        delete kept[name];
        pause = 0;
        // Finished, here or in another tab; or this page shows an answer that the server has not.
        if (screen && body.screen === screen && (path === "finish" || reply.status === 409)) {
          if (reply.ok) for (const { entry } of players) delete kept[entry];
          return location.replace(base);
        }
        if (!reply.ok) {
          timer = setTimeout(flush, 3000);
          return saved(`Not accepted: ${error ?? reply.status}`, true);
        }
        saved(path === "comments" ? "Comment saved" : "Saved");
      }
    } catch (error) {
      pause = Math.min(pause * 2 || 1000, 30000);
      timer = setTimeout(flush, pause);
      const what = "What you answered waits in this browser and will be sent again";
      saved(error.told ? `Not saved: ${error.message}. ${what}; please tell the organiser.`
        : `Not saved: no connection. ${what}.`, true);
    } finally {
      sending = false;
      if (main) show();
    }
  }

  function saved(text, bad = false) {
    for (const place of all("#saved, #commented")) {
      write(place, text);
      place.classList.toggle("bad", bad);
    }
  }

  addEventListener("online", flush);

  one("form.comment")?.addEventListener("submit", (event) => {
    event.preventDefault();
    const field = one("#comment");
    if (!field.value.trim()) return;
    put("comments", { key: newKey(), text: field.value.trim() });
    field.value = "";
  });

  if (!main) return void flush();

  // ---- songs -----------------------------------------------------------------------------------

  let context;
  let notice = ""; // why an answer was not taken
  const players = all(".player").map((box, n) => {
    const player = {
      box,
      name: `song ${n + 1}`,
      audio: one("audio", box),
      button: one(".play", box),
      bar: one("input", box),
      needed: Number(box.dataset.needed),
      entry: `earmark heard ${screen} ${n}`,
      before: Number(kept[`earmark heard ${screen} ${n}`] ?? 0), // s, before a reload
      fault: "", // why it cannot be played
      reload: false, // whether loading failed, and is tried again
    };
    const { audio, bar } = player;
    player.button.addEventListener("click", () => toggle(player));
    bar.addEventListener("input", () => {
      audio.currentTime = Number(bar.value);
    });
    for (const event of ["play", "pause", "ended", "timeupdate"]) {
      audio.addEventListener(event, show);
    }
    audio.addEventListener("error", () => failed(player));
    if (audio.error) failed(player);
    return player;
  });

  // By the media clock: seconds of the song that have been played, each counted once.
  const heard = ({ audio, before }) => {
    let seconds = before;
    for (let n = 0; n < audio.played.length; n++) {
      seconds += audio.played.end(n) - audio.played.start(n);
    }
    return seconds;
  };
  const enough = (player) => heard(player) >= player.needed;

  async function toggle(player) {
    const { audio } = player;
    if (player.fault) return;
    notice = "";
    if (!audio.paused) return audio.pause();
    for (const other of players) if (other !== player) other.audio.pause();
    if (player.reload) {
      player.reload = false;
      audio.load();
    }
    try {
      context ??= new AudioContext();
      context.resume();
      if (!player.gain) {
        player.gain = context.createGain();
        player.gain.gain.value = Number(player.box.dataset.gain);
        context.createMediaElementSource(audio).connect(player.gain).connect(context.destination);
      }
    } catch (error) {
      return broken(player, `loudness cannot be set in this browser: ${error.message}`);
    }
    audio.play().catch(() => {}); // a fault of the song comes as the event "error"
  }

  // The browser reports a lost connection and an unknown format alike: ask whether the file comes.
  async function failed(player) {
    const { audio } = player;
    const code = audio.error?.code;
    try {
      const reply = await fetch(audio.src, { headers: { Range: "bytes=0-0" } });
      if (reply.ok) return broken(player, `this browser cannot decode it (media error ${code})`);
      if (reply.status === 404) return broken(player, "its file is missing on the server");
    } catch { /* no connection */ }
    player.reload = true;
    show();
  }

  function broken(player, why) {
    if (player.fault) return;
    player.fault = why;
    put("problems", { key: newKey(), screen, slot: players.indexOf(player), text: why });
    show();
  }

  // ---- questions -------------------------------------------------------------------------------

  const questions = all(".question").map((box) => ({
    box,
    buttons: all("button", box),
    songs: [players[box.dataset.left], players[box.dataset.right]],
  }));
  const pressed = (button) => button.getAttribute("aria-pressed") === "true";
  const answered = ({ buttons }) => buttons.some(pressed);
  let active = Math.max(0, questions.findIndex((question) => !answered(question)));

  const press = ({ buttons }, value) => {
    for (const button of buttons) set(button, "pressed", button.dataset.value === value);
  };

  function choose(question, value) {
    active = questions.indexOf(question);
    const unheard = question.songs.filter((player) => !player.fault && !enough(player));
    const fault = question.songs.find((player) => player.fault);
    notice = unheard.length ? `Listen to ${names(unheard)} first.`
      : fault && value !== "not_selected" ? `Without ${fault.name}, only “can’t tell” is possible.`
      : "";
    if (notice) return show();
    const before = question.buttons.find(pressed);
    if (before?.dataset.value !== value) {
      press(question, value);
      const { pair, dimension } = question.box.dataset;
      const times = question.songs.map((player) => Math.min(heard(player), 86400));
      const body = { key: newKey(), screen, pair: Number(pair), dimension, value, heard: times };
      if (!practice) put("answers", body);
    }
    const order = [...questions.slice(active + 1), ...questions.slice(0, active)];
    const open = order.find((next) => !answered(next));
    if (open) active = questions.indexOf(open);
    show();
    if (open) open.box.scrollIntoView({ block: "nearest" });
    else next.focus({ preventScroll: true });
  }

  for (const question of questions) {
    for (const button of question.buttons) {
      button.addEventListener("click", () => choose(question, button.dataset.value));
    }
    question.box.addEventListener("focusin", () => {
      active = questions.indexOf(question);
      show();
    });
  }

  const next = one("#next");
  function goOn() {
    if (leaving || next.disabled) return;
    leaving = true;
    for (const { audio } of players) audio.pause();
    put("finish", { screen });
  }
  next.addEventListener("click", goOn);

  // ---- keys ------------------------------------------------------------------------------------

  const VALUES = { a: "a", b: "b", "=": "ab", e: "ab", x: "not_selected" };
  document.addEventListener("keydown", (event) => {
    const { target } = event;
    if (event.ctrlKey || event.altKey || event.metaKey || target.matches("textarea")) return;
    const key = event.key.toLowerCase();
    const digit = /^(?:Digit|Numpad)([123])$/.exec(event.code); // also where digits need Shift
    if (digit) {
      if (!event.repeat) toggle(players[digit[1] - 1]);
    } else if (VALUES[key]) {
      if (!event.repeat) choose(questions[active], VALUES[key]);
    } else if (["arrowup", "arrowdown"].includes(key) && !target.matches("input")) {
      const step = key === "arrowup" ? -1 : 1;
      active = (active + step + questions.length) % questions.length;
      questions[active].box.scrollIntoView({ block: "nearest" });
      show();
    } else if (key === "enter" && !target.matches("a, summary, #next, .play, form *")) {
      if (target.matches("[aria-pressed=false]")) return; // an answer's button that is being pressed
      goOn();
    } else return;
    event.preventDefault();
  });

  // ---- what is seen ----------------------------------------------------------------------------

  const names = (list) =>
    `song${list.length > 1 ? "s" : ""} ` +
    list.map((player) => players.indexOf(player) + 1).join(", ").replace(/, (\d)$/, " and $1");

  function state(player) {
    if (player.fault) return `cannot be played: ${player.fault}`;
    if (player.reload) return "could not be loaded; press play to try again";
    if (enough(player)) return "heard";
    const left = Math.ceil(player.needed - heard(player));
    return heard(player) ? `${left} s more to hear` : "not heard yet";
  }

  function show() {
    for (const player of players) {
      const { audio, bar, box, button, name } = player;
      const playing = !audio.paused && !audio.ended;
      box.classList.toggle("playing", playing);
      box.classList.toggle("heard", enough(player) && !player.fault);
      box.classList.toggle("bad", Boolean(player.fault || player.reload));
      set(button, "label", `${playing ? "Pause" : "Play"} ${name}`);
      set(button, "disabled", Boolean(player.fault));
      bar.value = audio.currentTime;
      write(one(".state", box), state(player));
      if (heard(player)) keep(player.entry, heard(player));
    }
    for (const [n, question] of questions.entries()) {
      const ready = question.songs.every((player) => player.fault || enough(player));
      question.box.classList.toggle("active", n === active);
      question.box.classList.toggle("unheard", !ready);
      for (const button of question.buttons) set(button, "disabled", !ready);
    }
    const unheard = players.filter((player) => !player.fault && !enough(player));
    const left = questions.filter((question) => !answered(question)).length;
    next.disabled = left > 0 || leaving;
    write(one("#hint"), notice ||
      (leaving ? "Going on …"
        : unheard.length && left ? `Listen to ${names(unheard)}.`
        : left ? `${left} of ${questions.length} answers to give.`
        : practice ? "That is all. Begin when you are ready."
        : "All answered."));
  }

  for (const name of waiting()) {
    const { path, body } = JSON.parse(kept[name]);
    if (body?.screen !== screen) continue;
    if (path === "finish") leaving = true;
    const places = questions.filter(
      ({ box }) => Number(box.dataset.pair) === body.pair && box.dataset.dimension === body.dimension,
    );
    if (path === "answers") for (const question of places) press(question, body.value);
  }
  show();
  flush();
})();
