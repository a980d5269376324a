// What a page cannot do by itself: times that count on, parts that refresh, copying, the live tail.

const [days, hours, minutes, seconds, inDays, inHours, inMinutes, inSeconds] = document.body.dataset.ago.split("|");

function distance(at) {
  const past = Math.trunc((Date.now() - at) / 1000);
  const length = Math.abs(past);
  const pick = (ago, ahead, unit) => (past >= 0 ? ago : ahead).replace("{}", Math.trunc(length / unit));
  if (length >= 86400) return pick(days, inDays, 86400);
  if (length >= 3600) return pick(hours, inHours, 3600);
  if (length >= 60) return pick(minutes, inMinutes, 60);
  return pick(seconds, inSeconds, 1);
}

// Where the reader is, to the millisecond.
function clock(at) {
  const digits = { hour12: false, hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 };
  return new Date(at).toLocaleTimeString(document.documentElement.lang, digits);
}

function tellTimes(root) {
  for (const time of root.querySelectorAll("time[data-ago]")) {
    const text = distance(Date.parse(time.dateTime));
    if (time.textContent === text) continue;
    time.textContent = text;
    time.title = new Date(time.dateTime).toLocaleString(document.documentElement.lang, { timeZoneName: "short" });
  }
}

document.querySelector(".side [aria-current]")?.scrollIntoView({ inline: "center", block: "nearest" });

tellTimes(document);
setInterval(() => tellTimes(document), 1000);

// Refreshed by the server, but never under somebody's hands.
for (const part of document.querySelectorAll("[data-live]")) {
  let waiting;
  const isBusy = () => part.contains(document.activeElement) || part.querySelector("details[open]");
  const refresh = () => {
    if (waiting === undefined || isBusy()) return;
    part.innerHTML = waiting;
    waiting = undefined;
    tellTimes(part);
    // Apart from the part itself, whose times would be read aloud every second.
    const aloud = part.nextElementSibling;
    if (aloud?.matches("[data-announces]")) aloud.textContent = part.textContent;
  };
  const source = new EventSource(part.dataset.live);
  source.onmessage = (message) => {
    waiting = message.data;
    refresh();
  };
  part.addEventListener("focusout", () => setTimeout(refresh));
  part.addEventListener("toggle", refresh, true);
  addEventListener("pagehide", () => source.close());
}

for (const button of document.querySelectorAll("[data-copy]")) {
  const text = document.getElementById(button.dataset.copy).textContent;
  const name = button.textContent;
  // Browsers keep the clipboard from pages that come over plain http.
  if (!navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text);
    button.textContent = button.dataset.copied;
    setTimeout(() => (button.textContent = name), 2000);
  });
}

const tail = document.querySelector("[data-tail]");
if (tail) watch(tail);

function watch(tail) {
  const most = 200;
  const [state, pause, clear, empty] = ["state", "pause", "clear", "empty"].map((id) => document.getElementById(`tail-${id}`));
  let paused = false;
  const show = (word, kind) => {
    state.textContent = word;
    state.className = `dot ${kind}`;
  };
  const source = new EventSource(tail.dataset.tail);
  source.onopen = () => paused || show(state.dataset.on, "good");
  source.onerror = () => paused || show(state.dataset.off, "off");
  source.onmessage = (message) => paused || add(message.data);
  source.addEventListener("missed", (message) => paused || prepend(document.createElement("li")).append(message.data));
  addEventListener("pagehide", () => source.close());

  for (const button of [pause, clear]) button.hidden = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", paused);
    pause.textContent = paused ? pause.dataset.resume : pause.dataset.pause;
    if (paused) show(state.dataset.paused, "off");
    else show(source.readyState === EventSource.OPEN ? state.dataset.on : state.dataset.off, "good");
  });
  clear.addEventListener("click", () => {
    tail.replaceChildren();
    empty.hidden = false;
  });

  function prepend(row) {
    empty.hidden = true;
    tail.prepend(row);
    while (tail.children.length > most) tail.lastElementChild.remove();
    return row;
  }

  // A further hop of an event goes into its row, with the time since the first.
  function add(html) {
    const holder = document.createElement("template");
    holder.innerHTML = html;
    const row = holder.content.firstElementChild;
    const time = row.querySelector("time");
    time.textContent = clock(time.dateTime);
    const event = row.dataset.event;
    const known = event && [...tail.children].find((other) => other.dataset.event === event);
    if (!known) return prepend(row);
    const [hops, hop] = [known.querySelector(".hops"), row.querySelector(".hops > li")];
    const since = Date.parse(hop.dataset.at) - Date.parse(hops.firstElementChild.dataset.at);
    const passed = document.createElement("small");
    passed.textContent = since < 10000 ? `+${since} ms` : `+${Math.round(since / 1000)} s`;
    hop.append(passed);
    hops.append(hop);
    return known;
  }
}
