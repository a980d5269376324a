// The page: chooses a conversation, shows it beside the timeline, both fed by the journal alone. What
// another program or the demo's customer does appears in the same way.
import { byId, call, el } from "./dom.js";
import { Faults } from "./faults.js";
import { Timeline, attempt } from "./hops.js";

const FIRST_CUSTOMERS = ["Ling", "Wei", "Mei"];

const chosen = { corp: "", account: "", customer: FIRST_CUSTOMERS[0] };
/** Conversations by corp, account and customer; in the order of the journal. */
const conversations = new Map();
const unread = new Set();
let known = { corps: [], faults: [], run: "" };

const timeline = new Timeline(byId("timeline"), byId("timeline-empty"));
const faults = new Faults(act, () => chosen.corp);

const keyOf = (corp, account, customer) => JSON.stringify([corp, account, customer]);
const chosenKey = () => keyOf(chosen.corp, chosen.account, chosen.customer);

function messagesOf(key) {
  if (!conversations.has(key)) conversations.set(key, []);
  return conversations.get(key);
}

/** Runs what a click asked for; a refusal is shown, and the state is looked up again. */
async function act(doing) {
  const notice = byId("notice");
  notice.textContent = "";
  try {
    await doing();
  } catch (error) {
    notice.textContent = error.message;
  }
  await refresh();
}

// --- what there is

async function refresh() {
  const state = await call("GET", "state").catch(() => undefined);
  if (!state) return;
  if (known.run && known.run !== state.run) location.reload();
  known = state;
  chosen.corp = pick("corp", state.corps.map(({ corp }) => [corp, corp]), chosen.corp);
  const corp = state.corps.find(({ corp }) => corp === chosen.corp);
  const accounts = (corp?.accounts ?? []).filter(({ managePrivilege }) => managePrivilege);
  chosen.account = pick("account", accounts.map(({ openKfId }) => [openKfId, openKfId]), chosen.account);
  byId("where").hidden = state.corps.length < 2 && accounts.length < 2;
  byId("callback-url").textContent = corp?.callbackUrl ?? "nowhere yet: set it with POST /simulator/corps";
  byId("clock").textContent = `${state.now.slice(0, 10)} ${state.now.slice(11, 19)} UTC`;
  faults.show(state);
  drawCustomers(accounts.find(({ openKfId }) => openKfId === chosen.account));
  drawChat();
}

/** Fills a choice; the first option when the wanted one is gone. */
function pick(id, options, wanted) {
  const select = byId(id);
  const value = options.some(([value]) => value === wanted) ? wanted : (options[0]?.[0] ?? "");
  const shown = [...select.options].map((option) => option.value).join();
  if (shown !== options.map(([value]) => value).join()) {
    select.replaceChildren(...options.map(([value, label]) => el("option", { value }, label)));
  }
  select.value = value;
  return value;
}

let refreshing;
function refreshSoon() {
  refreshing ??= setTimeout(() => { refreshing = undefined; refresh(); }, 150);
}

// --- the chat

let customersDrawn = "";

/** Only when something changed, so that the keyboard stays where it is. */
function drawCustomers(account) {
  const known = (account?.customers ?? []).map(({ customer }) => customer);
  const names = [...new Set([...FIRST_CUSTOMERS, ...known, chosen.customer])];
  const shown = names.map((name) => ({
    name, pressed: name === chosen.customer, fresh: unread.has(keyOf(chosen.corp, chosen.account, name)),
  }));
  if (JSON.stringify(shown) === customersDrawn) return;
  customersDrawn = JSON.stringify(shown);
  const focused = document.activeElement?.dataset.customer;
  byId("customers").replaceChildren(...shown.map(({ name, pressed, fresh }) =>
    el("button", { type: "button", "data-customer": name, "aria-pressed": String(pressed), onclick: () => choose(name) },
      name, fresh ? el("span", { class: "dot" }, " new") : "")));
  const again = [...byId("customers").children].find(({ dataset }) => dataset.customer === focused);
  if (focused) again?.focus();
}

function choose(customer) {
  chosen.customer = customer;
  refresh();
  byId("text").focus();
}

function bubble(message) {
  const mine = message.by === "customer";
  message.noteElement = el("small", {}, message.note);
  return el("li", { class: mine ? "mine" : "theirs" },
    el("span", { class: "visually-hidden" }, mine ? `${message.name} wrote:` : "answer:"),
    el("p", {}, message.text), message.noteElement);
}

let conversationDrawn = "";

/** Adds what is new; starts afresh for another conversation. A screen reader reads what is added. */
function drawChat() {
  const key = chosenKey();
  unread.delete(key);
  const messages = messagesOf(key);
  const log = byId("messages");
  if (conversationDrawn !== key) log.replaceChildren();
  conversationDrawn = key;
  byId("chat-empty").hidden = messages.length > 0;
  byId("text").placeholder = `Write as ${chosen.customer}`;
  const fresh = messages.slice(log.children.length);
  log.append(...fresh.map(bubble));
  if (fresh.length > 0) log.scrollTop = log.scrollHeight;
}

function told(entry) {
  const key = keyOf(entry.corp, entry.openKfId, entry.customer);
  const time = entry.at.slice(11, 19);
  if (entry.kind === "customer_wrote") {
    messagesOf(key).push({ by: "customer", name: entry.customer, text: entry.text, note: time });
  } else {
    messagesOf(key).push({ by: "app", text: entry.text, note: time });
  }
  if (key === chosenKey()) drawChat();
  else if (entry.kind === "customer_answered") unread.add(key);
}

async function write(text) {
  const key = chosenKey();
  const { corp, account: openKfId, customer } = chosen;
  const { delivery } = await call("POST", "messages", { corp, openKfId, customer, text });
  const message = messagesOf(key).findLast(({ by, text: other }) => by === "customer" && other === text);
  if (delivery === "no_callback_url") {
    note(message, "stored; no callback URL, or no key to seal it with", false);
    timeline.gaveUp(customer, "not sent: the corp has no callback URL, or no key");
    return;
  }
  const [words, good] = attempt(delivery.sent.at(-1));
  const tries = delivery.sent.length > 1 ? `, ${delivery.sent.length} tries` : "";
  note(message, `callback: ${words}${tries}`, good);
}

function note(message, text, good) {
  if (!message) return;
  message.note += ` · ${text}`;
  if (!message.noteElement) return;
  message.noteElement.textContent = message.note;
  message.noteElement.classList.toggle("bad", !good);
}

// --- the journal

function listen() {
  const stream = new EventSource("/simulator/events/stream");
  stream.onopen = () => { setLive(true); refresh(); };
  stream.onerror = () => setLive(false);
  stream.onmessage = ({ data }) => {
    const entry = JSON.parse(data);
    timeline.add(entry);
    if (entry.kind === "customer_wrote" || entry.kind === "customer_answered") told(entry);
    refreshSoon();
  };
}

function setLive(live) {
  byId("live").textContent = live ? "live" : "not connected";
  byId("live").className = live ? "live" : "away";
}

// --- tabs of narrow windows

function tabs() {
  const all = [...document.querySelectorAll("[role=tab]")];
  const show = (tab) => {
    for (const other of all) {
      other.setAttribute("aria-selected", String(other === tab));
      other.tabIndex = other === tab ? 0 : -1;
    }
    document.body.dataset.tab = tab.dataset.tab;
    timeline.scrollToEnd();
    byId("messages").scrollTop = byId("messages").scrollHeight;
  };
  for (const [place, tab] of all.entries()) {
    tab.addEventListener("click", () => show(tab));
    tab.addEventListener("keydown", ({ key }) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
      if (!step) return;
      const next = all[(place + step + all.length) % all.length];
      show(next);
      next.focus();
    });
  }
}

byId("corp").addEventListener("change", ({ target }) => { chosen.corp = target.value; refresh(); });
byId("account").addEventListener("change", ({ target }) => { chosen.account = target.value; refresh(); });
byId("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = byId("text").value.trim();
  if (!text) return;
  byId("text").value = "";
  act(() => write(text));
});
byId("new-customer").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = byId("new-name").value.trim();
  if (!name) return;
  byId("new-name").value = "";
  choose(name);
});
byId("enter").addEventListener("click", () => act(() =>
  call("POST", "enter", { corp: chosen.corp, openKfId: chosen.account, customer: chosen.customer })));
setInterval(refresh, 5_000);
tabs();
listen();
