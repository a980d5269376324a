// The console in a real browser. The test around this does what happens outside of it: each line that is
// printed here asks for something ("do verify"), and is answered by a line on stdin.
//
// With SCREENSHOTS set to a folder, every page is kept there as it was looked at.
const assert = require("node:assert");
const fs = require("node:fs");
const path = require("node:path");
const readline = require("node:readline");
const { chromium } = require("playwright-core");

const { CONSOLE, ADMIN_TOKEN, CORP, TOKEN, AES_KEY, ACCOUNT, SCREENSHOTS } = process.env;
const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const answers = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const soon = { timeout: 20_000 };

async function outside(what) {
  console.log(`do ${what}`);
  const { value } = await answers.next();
  assert.strictEqual(value, "done", `outside: ${what}: ${value}`);
}

const faults = [];

// Whatever the policy blocks and every script error is told on the browser's console.
function listen(page) {
  page.on("pageerror", (error) => faults.push(`${page.url()}: ${error.message}`));
  page.on("console", (message) => {
    const expected = /status of (404|401|400)/.test(message.text());
    if (message.type() === "error" && !expected) faults.push(`${page.url()}: ${message.text()}`);
  });
}

async function look(page, name) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => axe.run());
  for (const { id, nodes } of violations) faults.push(`${name}: ${id}: ${nodes.map((node) => node.target).join(", ")}`);
  const beyond = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  if (beyond > 0) faults.push(`${name}: ${beyond} pixels wider than the window`);
  if (SCREENSHOTS) await page.screenshot({ path: path.join(SCREENSHOTS, `${name.replaceAll("/", "_")}.png`), fullPage: true });
}

async function signIn(page) {
  await page.goto(CONSOLE);
  await page.getByLabel("ADMIN_TOKEN").fill(ADMIN_TOKEN);
  await page.keyboard.press("Enter");
  await page.waitForURL(CONSOLE);
}

// From nothing to an event that is redelivered, by hand.
async function journey(browser) {
  const context = await browser.newContext({ locale: "en-US", viewport: { width: 1440, height: 900 } });
  const page = await context.newPage();
  listen(page);
  await signIn(page);
  await page.getByRole("heading", { name: "Connect your corp" }).waitFor();

  await page.getByLabel("Corp ID").fill(CORP);
  await page.getByLabel("Token", { exact: true }).fill(TOKEN);
  await page.getByLabel("EncodingAESKey").fill(AES_KEY);
  await page.getByRole("button", { name: "Add corp" }).click();
  const url = await page.locator("#callback-url").textContent();
  assert.ok(url.endsWith(`/callback/${CORP}`), url);
  await page.locator(".check", { hasText: "Not checked yet" }).waitFor(soon);
  await outside("verify");
  await page.locator(".check", { hasText: "WeCom verified this URL" }).waitFor(soon);

  const bots = await context.newPage();
  listen(bots);
  await bots.goto(`${CONSOLE}/bots`);
  await bots.getByText("No bot yet").waitFor();
  await outside("register");
  await bots.getByText(ACCOUNT, { exact: true }).waitFor(soon);

  const tail = await context.newPage();
  listen(tail);
  await tail.goto(`${CONSOLE}/tail`);
  await tail.getByText("Watching").waitFor(soon);
  await outside("write");
  await tail.locator(".hops", { hasText: "Genuine" }).filter({ hasText: "Delivered" }).first().waitFor(soon);
  await look(tail, "journey-tail");

  await outside("break");
  await outside("write");
  await tail.locator(".hops", { hasText: "Attempt failed" }).filter({ hasText: "Stored" }).first().waitFor(soon);
  await bots.getByText("the bot answered 500").waitFor(soon);
  await look(bots, "journey-bots-broken");
  await page.goto(`${CONSOLE}/deliveries`);
  await page.getByRole("row", { name: ACCOUNT }).waitFor(soon);
  await look(page, "journey-deliveries-held");
  // Before the bot is mended: then the event may go by itself, faster than anybody clicks.
  await page.getByRole("button", { name: "Redeliver" }).click();
  await page.getByText("It goes as soon as it can be taken.").waitFor(soon);
  await outside("mend");
  await page.getByText("Everything is delivered").waitFor(soon);
  await bots.getByText("the bot answered 500").waitFor({ state: "detached", ...soon });

  // A part is not replaced under somebody's hands.
  await bots.getByText("Remove…").click();
  await bots.waitForTimeout(3_000);
  assert.ok(await bots.locator("details[open]").isVisible());

  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  await context.close();
}

// Every page as people with other eyes, languages and devices have it.
async function everyPage(browser) {
  const pages = ["", "corps", `corps/${CORP}`, `corps/${CORP}/new-service`, "bots", "deliveries", "tokens", "tail", "audit", "nowhere"];
  for (const [locale, colorScheme, width] of [["en-US", "light", 1440], ["zh-CN", "dark", 1440], ["zh-CN", "light", 390], ["en-US", "dark", 390]]) {
    const context = await browser.newContext({ locale, colorScheme, viewport: { width, height: 844 } });
    const page = await context.newPage();
    listen(page);
    const name = (of) => `${of || "overview"}-${locale}-${colorScheme}-${width}`;
    await page.goto(CONSOLE);
    await look(page, name("sign-in"));
    await signIn(page);
    for (const below of pages) {
      await page.goto(below ? `${CONSOLE}/${below}` : CONSOLE);
      for (const summary of await page.locator("summary").all()) await summary.click();
      await look(page, name(below));
    }
    await context.close();
  }
}

// With the keyboard alone, from the skip link to the page's content.
async function keyboard(browser) {
  const page = await (await browser.newContext({ locale: "en-US" })).newPage();
  await signIn(page);
  await page.goto(`${CONSOLE}/corps`);
  await page.keyboard.press("Tab");
  assert.strictEqual(await page.evaluate(() => document.activeElement.className), "skip");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  assert.strictEqual(await page.evaluate(() => document.activeElement.closest("main") !== null), true);
}

async function main() {
  const browser = await chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
  await journey(browser);
  await everyPage(browser);
  await keyboard(browser);
  await browser.close();
  assert.deepStrictEqual(faults, []);
  console.log("passed");
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(error, faults);
    process.exit(1);
  },
);
