// What can be broken by a click, what is broken now, and how all is well again.
import { byId, call, el } from "./dom.js";

const RULES = [
  ["gettoken answers -1", "system busy 系统繁忙", { api: "get_token" }, { errcode: -1 }],
  ["gettoken answers HTTP 500", "no JSON at all", { api: "get_token" }, { status: 500 }],
  ["sync_msg hangs 8 s", "then answers as always", { api: "sync_msg" }, { hang_ms: 8000 }],
  ["sync_msg: empty page, has_more 1", "as the real one may", { api: "sync_msg" }, "empty_page"],
  ["send_msg answers 45009", "too many calls 接口调用超过限制", { api: "send_msg" }, { errcode: 45009 }],
  ["Callbacks are lost", "never sent at all 回调丢失", "callback", "drop"],
  ["Callbacks are wrongly signed", "must be refused 签名错误", "callback", "wrong_signature"],
];

const TIMES = [
  ["1 min", 60, "penalties end"],
  ["10 min", 600, "sync tokens expire"],
  ["2 h", 7200, "access tokens expire"],
  ["48 h", 172_800, "answers are refused: 95002"],
  ["3 days", 259_200, "messages and files are gone"],
];

/** An address of documentation networks (RFC 5737): nobody calls from there. */
const NOBODY = ["192.0.2.1"];

function when() {
  const count = Math.max(1, Number(byId("fault-count").value) || 1);
  return { next: { next: count }, second: { every: 2 }, always: "always" }[byId("fault-when").value];
}

function wordsOf({ target, fault, when, seen }) {
  const what = typeof fault === "string" ? fault.replaceAll("_", " ") : Object.entries(fault).flat().join(" ");
  const often = when === "always" ? "always" : when.every ? `every ${when.every}.` : `${when.next - seen} to go`;
  return `${target.api ?? target}: ${what.replace(/hang_ms (\d+)/, "$1 ms late")}, ${often}`;
}

/** The panel; `act(doing, words)` runs a call and says when it was refused. */
export class Faults {
  constructor(act, corp) {
    this.act = act;
    this.corp = corp;
    this.draw();
  }

  draw() {
    byId("fault-rules").append(...RULES.map(([label, hint, target, fault]) =>
      this.button(label, hint, () => call("POST", "faults", { target, fault, when: when() }))));
    byId("fault-once").append(
      this.button("Revoke every access token", "40014, ahead of their time", () =>
        call("POST", "tokens/revoke", { corp: this.corp() })),
      this.button("Trust no address", "60020, but for gettoken 可信 IP", () =>
        call("POST", "corps", { corp: this.corp(), trustedAddresses: NOBODY })),
      this.button("Press “save” on the callback URL", "verification 验证回调 URL", () =>
        call("POST", "verify", { corp: this.corp() })),
    );
    byId("fault-time").append(...TIMES.map(([label, seconds, hint]) =>
      this.button(`+ ${label}`, hint, () => call("POST", "clock", { advanceSeconds: seconds }))));
    byId("heal").addEventListener("click", () => this.act(() => call("POST", "heal")));
    byId("fault-when").addEventListener("change", ({ target }) => {
      byId("fault-count").disabled = target.value !== "next";
    });
  }

  button(label, hint, doing) {
    return el("button", { type: "button", onclick: () => this.act(doing) },
      el("span", {}, label), el("small", {}, hint));
  }

  /** Shows what is broken now. */
  show(state) {
    const corp = state.corps.find(({ corp }) => corp === this.corp());
    const broken = state.faults.map(wordsOf);
    if (corp?.trustedAddresses.length) broken.push(`only ${corp.trustedAddresses.join(", ")} may call (60020)`);
    if (corp?.revokedTokens) broken.push("access tokens were revoked: whoever holds one must fetch another");
    byId("broken").replaceChildren(...broken.map((text) => el("li", {}, text)));
    byId("all-well").hidden = broken.length > 0;
    byId("heal").hidden = broken.length === 0;
    byId("fault-badge").textContent = broken.length || "";
  }
}
