// The timeline: one group for each thing somebody did, one line for each hop that followed.
import { el } from "./dom.js";

/** After so long without a hop, what comes belongs to nothing before it: a bot that polls, say. */
const QUIET_MS = 15_000;
/** A browser copes with thousands of lines; a person does not. */
const GROUPS_KEPT = 60;

const OUTCOMES = {
  accepted: ["HTTP 200", true],
  timed_out: ["no answer within 5 s", false],
  unreachable: ["nobody there", false],
  lost: ["lost on its way", false],
};

/** How a callback ended: words, and whether that was good. */
export function attempt(outcome) {
  if (outcome.refused) return [`HTTP ${outcome.refused}`, false];
  return OUTCOMES[outcome] ?? [String(outcome), false];
}

function apiCalled(entry) {
  const served = entry.errcode === 0 || (entry.errcode === null && [200, 206].includes(entry.status));
  const answer = entry.errcode ?? (entry.status === null ? "connection cut" : `HTTP ${entry.status}`);
  return {
    from: "app", to: "WeCom", title: entry.api, text: entry.why, good: served,
    outcome: served ? "ok" : typeof answer === "number" ? `errcode ${answer}` : answer,
  };
}

function callbackSent(entry) {
  const [outcome, good] = attempt(entry.outcome);
  const again = entry.repeat ? `repeat ${entry.repeat} of 3` : "encrypted and signed, without the text";
  return { from: "WeCom", to: "app", title: entry.event, text: again, outcome, good };
}

function urlVerified(entry) {
  const good = entry.outcome === "passed";
  const wrong = entry.outcome.wrong_answer;
  const outcome = good ? "saved" : wrong ? `wrong answer, HTTP ${wrong.status}` : entry.outcome.replaceAll("_", " ");
  return { from: "WeCom", to: "app", title: "verification", text: entry.url, outcome, good };
}

/** One entry of the journal in words. */
export function hop(entry) {
  switch (entry.kind) {
    case "api_called": return apiCalled(entry);
    case "callback_sent": return callbackSent(entry);
    case "url_verified": return urlVerified(entry);
    case "customer_answered":
      return { from: "WeCom", to: entry.customer, title: "reply", text: entry.text, outcome: "delivered", good: true };
    case "customer_wrote":
      return { from: entry.customer, to: "WeCom", title: "message", text: entry.text, outcome: "stored", good: true };
    case "customer_entered":
      return { from: entry.customer, to: "WeCom", title: "enter_session", text: "opens the conversation", outcome: "stored", good: true };
    default:
      return { from: "you", to: "WeCom", title: "script", text: entry.what ?? "", outcome: "", good: true };
  }
}

function heading(entry) {
  switch (entry.kind) {
    case "customer_wrote": return `${entry.customer} writes: ${entry.text}`;
    case "customer_entered": return `${entry.customer} opens the conversation`;
    case "url_verified": return "“Save” is pressed on the callback URL";
    case "scripted": return `You: ${entry.what}`;
    default: return "Meanwhile";
  }
}

const OPENS_A_GROUP = new Set(["customer_wrote", "customer_entered", "url_verified", "scripted"]);

/** When it began: entries are made when something is over. */
const began = (entry) => Date.parse(entry.at) - entry.tookMs;

function line(entry, sinceMs) {
  const { from, to, title, text, outcome, good } = hop(entry);
  const calls = ["api_called", "callback_sent", "url_verified"].includes(entry.kind);
  const summary = el("summary", { class: "hop" },
    el("span", { class: "since" }, `${Math.max(0, Math.round(sinceMs))} ms`),
    el("span", { class: "way" }, from, el("span", { class: "arrow", "aria-label": "to" }, " → "), to),
    el("span", { class: "what" }, el("b", {}, title), " ", el("span", { class: good || entry.kind !== "api_called" ? "muted" : "why" }, text)),
    el("span", { class: `outcome ${good ? "good" : "bad"}` },
      outcome, calls ? el("span", { class: "took" }, ` ${entry.tookMs} ms`) : ""),
  );
  const details = el("details", { class: good ? "" : "failed" }, summary, el("pre", {}, JSON.stringify(entry, null, 2)));
  return el("li", { "data-began": began(entry) }, details);
}

/** The timeline inside of `list`. */
export class Timeline {
  constructor(list, empty) {
    this.list = list;
    this.empty = empty;
    /** The newest last. */
    this.groups = [];
  }

  add(entry) {
    this.empty.hidden = true;
    const atEnd = this.list.scrollHeight - this.list.scrollTop - this.list.clientHeight < 80;
    const group = this.groupOf(entry) ?? this.open(entry);
    group.last = Date.parse(entry.at);
    if (entry.kind === "callback_sent") {
      group.waiting?.remove();
      group.callback = entry;
    }
    if (["customer_wrote", "customer_entered"].includes(entry.kind)) this.wait(group);
    else if (entry.kind !== "scripted") insert(group, line(entry, began(entry) - group.began));
    if (atEnd) this.scrollToEnd();
  }

  /** A repeat belongs to the callback it repeats, a reply to its customer; the rest to what was last. */
  groupOf(entry) {
    if (OPENS_A_GROUP.has(entry.kind)) return undefined;
    const newest = this.groups.at(-1);
    if (entry.repeat > 0) {
      const repeats = ({ callback }) => callback?.corp === entry.corp && callback.event === entry.event &&
        callback.repeat === entry.repeat - 1 && callback.outcome !== "accepted";
      return this.groups.find(repeats) ?? newest;
    }
    if (entry.kind === "customer_answered") {
      const asked = this.groups.findLast(({ customer }) => customer === entry.customer);
      if (asked) return asked;
    }
    return newest && Date.parse(entry.at) - newest.last <= QUIET_MS ? newest : undefined;
  }

  open(entry) {
    const hops = el("ol", { class: "hops" });
    const time = entry.at.slice(11, 19);
    const breaks = entry.what?.startsWith("fault") ? " breaks" : "";
    const item = el("li", { class: `group${breaks}` },
      el("h3", {}, heading(entry), " ", el("time", { datetime: entry.at }, `${time} UTC`)), hops);
    this.list.append(item);
    const customer = OPENS_A_GROUP.has(entry.kind) ? entry.customer : undefined;
    this.groups.push({ item, hops, customer, began: began(entry), last: Date.parse(entry.at) });
    if (this.groups.length > GROUPS_KEPT) this.groups.shift().item.remove();
    return this.groups.at(-1);
  }

  wait(group) {
    group.waiting = el("li", { class: "waiting", "data-began": Infinity }, "callback on its way");
    group.hops.append(group.waiting);
  }

  /** What comes while it is hidden cannot scroll. */
  scrollToEnd() {
    this.list.scrollTop = this.list.scrollHeight;
  }

  /** Nothing was sent: there is nowhere to send it to. */
  gaveUp(customer, text) {
    const group = this.groups.findLast(({ customer: other }) => other === customer);
    if (group?.waiting) group.waiting.textContent = text;
  }
}

/** By the time they began: a callback before what the app did about it, though it is over later. */
function insert({ hops }, item) {
  const later = [...hops.children].find((other) => Number(other.dataset.began) > Number(item.dataset.began));
  hops.insertBefore(item, later ?? null);
}
