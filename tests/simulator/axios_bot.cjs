// A bot's calls to WeCom with axios, unchanged but for HTTPS_PROXY in its environment.
//
//     HTTPS_PROXY=http://bot:PASSWORD@gateway:7780 node tests/simulator/axios_bot.cjs axios https://wecom CORP SECRET
const assert = require("node:assert");

const [name, wecom, corpid, corpsecret] = process.argv.slice(2);
const axios = require(name);

async function call(path, config = {}) {
  const { data } = await axios({ url: `${wecom}/cgi-bin/${path}`, ...config });
  assert.strictEqual(data.errcode, 0, JSON.stringify(data));
  return data;
}

/** The status with which the proxy itself refused. */
async function refused(url, proxy) {
  const before = process.env.HTTPS_PROXY;
  process.env.HTTPS_PROXY = proxy;
  try {
    await axios.get(url);
  } catch (error) {
    const status = error.response?.status ?? /\b(4\d\d)\b/.exec(error.message)?.[1];
    return Number(status ?? assert.fail(error));
  } finally {
    process.env.HTTPS_PROXY = before;
  }
  assert.fail(`${url} was reached`);
}

async function run() {
  const proxy = process.env.HTTPS_PROXY;
  let token;
  for (let times = 0; times < 2; times++) {
    ({ access_token: token } = await call("gettoken", { params: { corpid, corpsecret } }));
  }
  const params = { access_token: token };
  const { account_list: accounts } = await call("kf/account/list", { method: "post", params, data: {} });
  const sync = { open_kfid: accounts[0].open_kfid, limit: 10 };
  await call("kf/sync_msg", { method: "post", params, data: sync });
  assert.strictEqual(await refused("https://elsewhere.example/", proxy), 403);
  assert.strictEqual(await refused(`${wecom}/cgi-bin/x`, proxy.replace(/\/\/.*@/, "//")), 407);
  console.log(`axios ${axios.VERSION}: ok`);
}

run().catch((error) => {
  console.error(error);
  process.exit(1);
});
