// Tests real applications behind the proxy in Chromium: `node run.mjs [--state STATE] [NAME...]`. Default: all applications in
// all states. Prints the time of each application, state and step. Exits with 1 after a failure.
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { chromium } from "playwright-core";
import { APPLICATIONS, startProxy } from "./process.mjs";
import { STATES, checkTrackers, decision } from "./states.mjs";
import { addTrackers } from "./trackers.mjs";

const CONCURRENCY = 2;
// Time limit of a step, in milliseconds. Generous, for a busy machine.
const TIMEOUT = Number(process.env.STEP_TIMEOUT ?? 60_000);
const { values, positionals } = parseArgs({ options: { state: { type: "string" } }, allowPositionals: true });
const all = fs.readdirSync(APPLICATIONS).filter((file) => file.endsWith(".mjs")).map((file) => file.slice(0, -4));
const names = positionals.length > 0 ? positionals : all;
const states = STATES.filter(({ name }) => values.state === undefined || name === values.state);
if (states.length === 0) throw new Error(`unknown state "${values.state}"`);

const seconds = (began) => ((Date.now() - began) / 1000).toFixed(1);

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP *.example 127.0.0.1, MAP * ~NOTFOUND"],
});

/** Helpers for the steps of an application. */
function helpers(page, url) {
  const press = (selector) => page.locator(selector).first().evaluate((element) => element.click());
  const expect = (holds, message) => { if (!holds) throw new Error(message); };
  return {
    page, url, press, expect,
    go: (path) => page.goto(url + path),
    submit: (selector) => Promise.all([page.waitForNavigation(), press(selector)]),
    // Waits until `check` holds, if no selector can show it.
    until: async (check, message) => {
      const deadline = Date.now() + TIMEOUT;
      while (!await check()) {
        expect(Date.now() < deadline, message);
        await page.waitForTimeout(100);
      }
    },
    sees: (selector, options) => page.waitForSelector(selector, { state: "attached", ...options }),
  };
}

/** Runs the steps of an application in one state. Returns the time of each step. */
async function runSteps(application, name, state, folder, port) {
  const trackers = await addTrackers(port);
  const proxy = await startProxy(folder, { port: trackers.port, tls: application.tls, config: state.config, name });
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  const times = [];
  let current = "open";
  const errors = [];
  try {
    await context.addCookies(decision(state, proxy.url));
    const page = await context.newPage();
    page.setDefaultTimeout(TIMEOUT);
    page.on("pageerror", (error) => errors.push(error.message));
    page.on("response", (response) => { if (response.status() >= 400) errors.push(`${response.status()} ${response.url()}`); });
    page.on("dialog", (dialog) => dialog.accept().catch(() => {}));
    const step = async (name, steps) => {
      const began = Date.now();
      current = name;
      await steps();
      times.push(`${name} ${seconds(began)}`);
    };
    const visit = helpers(page, proxy.url);
    if (state.banner) {
      await step("banner", async () => {
        await visit.go(application.path ?? "/");
        await visit.sees(".consentry-banner");
      });
    }
    await application.visit({ ...visit, step, context });
    await step("trackers", async () => {
      // The `load` event waits for the pixel that the script requests.
      await visit.go(application.path ?? "/");
      await checkTrackers(state, trackers.received, (await context.cookies()).map(({ name }) => name));
    });
    return times;
  } catch (error) {
    const stored = (await context.cookies().catch(() => [])).map(({ name, path }) => `${name} (${path})`);
    throw new Error([`step "${current}": ${error.message}`, `errors in the page: ${errors.slice(0, 10).join(" | ")}`, `page: ${context.pages()[0]?.url()}`, `set by the application: ${[...trackers.received.set].join(" | ")}`,
      `stored: ${stored.join(", ")}`, `received by the application: ${[...trackers.received.cookies].join(", ")}`].join("\n    "));
  } finally {
    if (process.env.SCREENSHOTS) await context.pages()[0]?.screenshot({ path: `${process.env.SCREENSHOTS}/${name}-${state.name}.png` }).catch(() => {});
    await context.close();
    proxy.stop();
    trackers.stop();
  }
}

let failures = 0;
function report(name, state, began, times, error) {
  console.log(`${error ? "FAIL" : "ok  "} ${name.padEnd(16)} ${state.padEnd(14)} ${seconds(began).padStart(6)} s  ${times.join(", ")}`);
  if (error) {
    failures += 1;
    console.log(`    ${error.message}`);
  }
}

const totals = [];
/** Starts an application once, and runs its steps in each state. */
async function testApplication(name) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), `consentry-${name}-`));
  const began = Date.now();
  let started = null;
  try {
    const application = await import(path.join(APPLICATIONS, `${name}.mjs`));
    started = await application.start(folder);
    report(name, "start", began, []);
    for (const state of states) {
      const began = Date.now();
      await runSteps(application, name, state, folder, started.port)
        .then((times) => report(name, state.name, began, times), (error) => report(name, state.name, began, [], error));
    }
  } catch (error) {
    report(name, "start", began, [], error);
  } finally {
    started?.stop();
    fs.rmSync(folder, { recursive: true, force: true });
    totals.push(`${seconds(began).padStart(6)} s ${name}`);
  }
}

const began = Date.now();
const queue = [...names];
const worker = async () => { while (queue.length > 0) await testApplication(queue.shift()); };
await Promise.all(Array.from({ length: CONCURRENCY }, worker));
await browser.close();
console.log(`${totals.sort().reverse().join("\n")}\n${names.length} applications in ${seconds(began)} s, ${CONCURRENCY} concurrently: ${failures} failures`);
process.exit(failures > 0 ? 1 : 0);
