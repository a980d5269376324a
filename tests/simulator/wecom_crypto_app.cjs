// A customer service app made with @wecom/crypto, against the simulated WeCom.
//
//     node tests/simulator/wecom_crypto_app.cjs http://127.0.0.1:8700
//
// @wecom/crypto verifies and decrypts; the APIs are called as WeCom documents them. The corp is the one
// that `simulate wecom` starts with.
const assert = require("node:assert");
const http = require("node:http");
const { once } = require("node:events");
const { decrypt, getSignature } = require("@wecom/crypto");

const WECOM = process.argv[2].replace(/\/$/, "");
const [CORP, SECRET, ACCOUNT] = ["ww_simulated", "simulated-secret", "wk_simulated"];
const [TOKEN, AES_KEY] = ["simulatedToken", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"];

const events = [];

/** What the callback holds, when its signature is right. */
function open(query, encrypted) {
  const signature = getSignature(TOKEN, query.get("timestamp"), query.get("nonce"), encrypted);
  assert.strictEqual(signature, query.get("msg_signature"));
  const { message, id } = decrypt(AES_KEY, encrypted);
  assert.strictEqual(id, CORP);
  return message;
}

const server = http.createServer(async (request, response) => {
  const query = new URL(request.url, "http://localhost").searchParams;
  if (request.method === "GET") return response.end(open(query, query.get("echostr")));
  let body = "";
  for await (const chunk of request) body += chunk;
  events.push(open(query, body.match(/<Encrypt><!\[CDATA\[(.*)\]\]><\/Encrypt>/)[1]));
  response.end("success");
});

/** What the administrator and the customer do. */
async function control(path, body) {
  const headers = { "content-type": "application/json" };
  const answer = await fetch(`${WECOM}/simulator/${path}`, { method: "POST", headers, body: JSON.stringify(body) });
  const text = await answer.text();
  assert.ok(answer.ok, text);
  return text ? JSON.parse(text) : undefined;
}

async function api(path, body, token) {
  const url = `${WECOM}/cgi-bin/${path}${token ? `?access_token=${token}` : ""}`;
  const answer = await (await fetch(url, body && { method: "POST", body: JSON.stringify(body) })).json();
  assert.strictEqual(answer.errcode, 0, JSON.stringify(answer));
  return answer;
}

function shown(step, result) {
  console.log(`@wecom/crypto ${step}:`, JSON.stringify(result));
  return result;
}

async function run() {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  await control("corps", { corp: CORP, callbackUrl: `http://127.0.0.1:${server.address().port}/callback` });
  assert.strictEqual(shown("verification", await control("verify", { corp: CORP })).verification, "passed");

  const { access_token: token, expires_in: left } = await api(`gettoken?corpid=${CORP}&corpsecret=${SECRET}`);
  shown("token", `${token.length} characters, ${left} s left`);
  const { account_list: accounts } = await api("kf/account/list", {}, token);
  assert.deepStrictEqual(shown("list", accounts).map(({ open_kfid: id }) => id), [ACCOUNT]);

  const { delivery } = await control("messages", { corp: CORP, openKfId: ACCOUNT, customer: "Wei", text: "你好" });
  assert.deepStrictEqual(shown("callback", delivery), { sent: ["accepted"] });
  const syncToken = events[0].match(/<Token><!\[CDATA\[(.*?)\]\]>/)[1];
  const page = await api("kf/sync_msg", { token: syncToken, open_kfid: ACCOUNT }, token);
  const message = shown("sync", page.msg_list).at(-1);
  assert.strictEqual(message.text.content, "你好");

  const answer = { touser: message.external_userid, open_kfid: ACCOUNT, msgtype: "text", text: { content: "您好" } };
  await api("kf/send_msg", answer, token);
  const answers = await (await fetch(`${WECOM}/simulator/answers?customer=Wei`)).json();
  assert.strictEqual(shown("send", answers.at(-1).text), "您好");

  const form = new FormData();
  form.append("media", new Blob(["what is in the file"], { type: "text/plain" }), "note.txt");
  const uploading = await fetch(`${WECOM}/cgi-bin/media/upload?access_token=${token}&type=file`, { method: "POST", body: form });
  const { media_id: media } = shown("upload", await uploading.json());
  const part = await fetch(`${WECOM}/cgi-bin/media/get?access_token=${token}&media_id=${media}`, { headers: { range: "bytes=5-9" } });
  assert.deepStrictEqual(shown("download", [part.status, await part.text()]), [206, "is in"]);
  console.log("@wecom/crypto: ok");
}

run().then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
