// Takes screenshots of consentry's pages and of the dashboard in Chromium: `node screenshots.mjs FOLDER` (`make
// screenshots`). CONSENTRY is the path of the binary, CHROMIUM the path of the browser. The script also updates
// docs/images. pngquant, if installed, compresses the files.
import { execFileSync, spawn } from "node:child_process";
import fs from "node:fs";
import http from "node:http";
import os from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { launch } from "./browser.mjs";

const FOLDER = process.argv[2] ?? "target/screenshots";
const CONSENTRY = path.resolve(process.env.CONSENTRY ?? "target/debug/consentry");
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
// Seconds of traffic before the screenshots: the dashboard takes a sample every five seconds.
const TRAFFIC_SECONDS = 60;

// The screenshots in the docs, and the maximum file size.
const IN_DOCS = ["banner-light", "banner-dark", "banner-phone", "centre-light", "notice-light", "dashboard-light"];
const IMAGES = new URL("../../../docs/images/", import.meta.url).pathname;
const MAX_BYTES = 120_000;

const site = (name, port, more = "") => `
[[site]]
name = "${name}"
hosts = ["${name}.example"]
upstream = "http://127.0.0.1:${port}"
${more}`;

const config = (origin, closed) => `
[listen]
http = "127.0.0.1:0"
admin = "127.0.0.1:0"
[consent]
notice_date = 2026-05-25
[banner]
enabled = true
[page]
guard = true
${site("shop", origin)}
${site("shop-corner", origin, '[site.banner]\nposition = "corner"')}
${site("shop-top", origin, '[site.banner]\nposition = "top"')}
${site("shop-opt-out", origin, '[site.consent]\ndefault = "allow"')}
${site("shop-down", closed)}`;

// The origin: a bookshop with trackers.
const SHOP = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Alder Books</title>
<style>
:root { color-scheme: light dark; --card: #f1ede6; --line: #d5cdbf }
@media (prefers-color-scheme: dark) { :root { --card: #26231f; --line: #45403a } }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem }
header { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; align-items: baseline; border-bottom: 1px solid var(--line); padding-bottom: .5rem }
h1 { font-size: 1.5rem; margin: 0 }
ul { list-style: none; margin: 1rem 0; padding: 0; display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(12rem, 1fr)) }
li { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: 1rem }
li::before { content: ""; display: block; height: 7rem; margin-bottom: .75rem; border-radius: .25rem; background: var(--cover) }
</style>
<header><h1>Alder Books</h1><span>New</span><span>Fiction</span><span>Travel</span><span>Basket (0)</span></header>
<p>Books for long evenings, sent from our shop by the river.</p>
<ul>
<li style="--cover:#4f7a6b"><b>The Lock-Keeper</b><br>A novel, 320 pages</li>
<li style="--cover:#a8623f"><b>Salt Roads</b><br>Travel, 256 pages</li>
<li style="--cover:#4a5f8c"><b>Winter Birds</b><br>Nature, 192 pages</li>
</ul>
<img src="/matomo.php?idsite=1&amp;rec=1" width="1" height="1" alt="">
<script src="https://connect.facebook.net/en_US/fbevents.js"></script>
<script src="https://www.googletagmanager.com/gtag/js?id=G-1"></script>
<script>
document.cookie = "_hjSessionUser_1=1; path=/";
localStorage.setItem("ajs_anonymous_id", "1");
localStorage.setItem("reader_theme", "paper");
</script>
</html>
`;

// The cookies that each path sets.
const ALWAYS = ["PHPSESSID=1; Path=/; HttpOnly; SameSite=Lax", "_ga=1; Path=/; Max-Age=63072000"];
const PATHS = {
  "/": ["NEXT_LOCALE=en; Path=/; Max-Age=31536000", "_ga_8XK2=1; Path=/; Max-Age=63072000"],
  "/book": ["_fbp=1; Path=/; Max-Age=7776000; HttpOnly", "_gcl_au=1; Path=/; Max-Age=7776000"],
  "/basket": ["basket_id=1; Path=/; HttpOnly", "alder_offer=spring; Path=/; Max-Age=7776000"],
  "/share": ["__atuvc=1; Path=/; Max-Age=33696000"],
};

const listen = (server) => new Promise((resolve) => {
  server.listen(0, "127.0.0.1", () => resolve(server.address().port));
});

/** Starts the shop. Returns its port. */
const startOrigin = () => listen(http.createServer(({ url }, response) => {
  const cookies = PATHS[url];
  if (cookies) response.writeHead(200, { "Content-Type": "text/html; charset=utf-8", "Set-Cookie": [...ALWAYS, ...cookies] }).end(SHOP);
  else response.writeHead(url.startsWith("/matomo.php") ? 204 : 404).end();
}));

/** A port that refuses connections. */
async function closedPort() {
  const server = http.createServer();
  const port = await listen(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Starts consentry. Resolves with its ports once it has logged `serving`. */
function startProxy(file) {
  const child = spawn(CONSENTRY, ["run", "--config", file], { stdio: ["ignore", "pipe", "pipe"] });
  process.on("exit", () => child.kill("SIGKILL"));
  const port = (address) => Number(address.split(":").pop());
  return new Promise((resolve, reject) => {
    let log = "";
    const read = (line) => {
      log += `${line}\n`;
      if (!line.includes('"message":"serving"')) return;
      const { http, admin } = JSON.parse(line);
      resolve({ http: port(http), admin: port(admin) });
    };
    for (const output of [child.stdout, child.stderr]) createInterface({ input: output }).on("line", read);
    child.on("error", (error) => reject(new Error(`${CONSENTRY}: ${error.message}`)));
    child.on("exit", (code) => reject(new Error(`${CONSENTRY} exited with ${code}\n${log}`)));
  });
}

/** The consent cookie of a visitor: `name=value`. */
const decision = (file, allow) => execFileSync(CONSENTRY, ["cookie", "--config", file, "--allow", allow]).toString().trim();

/** Sends requests continuously. Most visitors have not decided, some have granted everything, some nothing. */
async function traffic(port, file) {
  const get = (path, cookie, destination) => new Promise((resolve, reject) => {
    const mode = destination === "document" ? "navigate" : "no-cors";
    const headers = { Host: "shop.example", Cookie: cookie, "Sec-Fetch-Dest": destination, "Sec-Fetch-Mode": mode };
    http.get({ port, host: "127.0.0.1", path, headers }, (response) => response.resume().on("end", resolve)).on("error", reject);
  });
  const [nothing, analytics, everything] = ["", "analytics", "functional,analytics,targeting,social"].map((allow) => decision(file, allow));
  const visitors = ["", everything, "", nothing, "", analytics, "", everything, ""];
  const paths = ["/", "/book", "/", "/basket", "/book", "/", "/share"];
  for (let visit = 0; ; visit++) {
    const path = paths[visit % paths.length];
    const cookie = [visitors[visit % visitors.length], ...PATHS[path].map((line) => line.split(";")[0])].filter(Boolean).join("; ");
    await get(path, cookie, "document");
    await get("/matomo.php?idsite=1&rec=1", cookie, "image");
    await new Promise((resolve) => setTimeout(resolve, 120 + 60 * Math.sin(visit / 30)));
  }
}

const DESKTOP = { width: 1024, height: 520 };
const PAGE = { width: 800, height: 900 };
const PHONE = { width: 360, height: 640 };

/** All screenshots. `allow` is the visitor's decision. `whole` includes the whole page height. */
function screenshots({ http, admin }) {
  const at = (name, path = "/") => `http://${name}.example:${http}${path}`;
  const banner = (more) => ({ url: at("shop"), viewport: DESKTOP, ready: ".consentry-banner", ...more });
  const centre = (more) => ({ url: at("shop", "/.consentry/"), viewport: PAGE, ready: "main", allow: "functional,analytics", ...more });
  const notice = (more) => ({ url: at("shop", "/.consentry/notice"), viewport: { width: 800, height: 640 }, ready: "main", ...more });
  const dashboard = (more) => ({ url: `http://127.0.0.1:${admin}/`, viewport: { width: 1280, height: 960 }, ready: "#stripped td.name", ...more });
  const dark = { colorScheme: "dark" };
  const forced = { forcedColors: "active" };
  const openLists = (page) => page.locator("summary").evaluateAll((all) => all.forEach((summary) => summary.click()));
  const save = async (page) => {
    await page.click('button[value="save"]');
    await page.waitForSelector(".saved");
  };
  return {
    "banner-light": banner(),
    "banner-dark": banner(dark),
    "banner-phone": banner({ viewport: PHONE }),
    "banner-phone-german": banner({ viewport: PHONE, locale: "de" }),
    "banner-forced-colours": banner(forced),
    "banner-corner": banner({ url: at("shop-corner") }),
    "banner-top": banner({ url: at("shop-top") }),
    "banner-opt-out": banner({ url: at("shop-opt-out") }),
    "centre-light": centre(),
    "centre-dark": centre(dark),
    "centre-forced-colours": centre(forced),
    "centre-narrow": centre({ viewport: PHONE, whole: true }),
    "centre-undecided": centre({ allow: undefined }),
    "centre-gpc": centre({ headers: { "Sec-GPC": "1" } }),
    "centre-lists": centre({ whole: true, steps: openLists }),
    "centre-saved": centre({ steps: save }),
    "notice-light": notice(),
    "notice-dark": notice(dark),
    "notice-forced-colours": notice(forced),
    "notice-whole": notice({ whole: true }),
    "notice-narrow": notice({ viewport: PHONE }),
    "dashboard-light": dashboard(),
    "dashboard-dark": dashboard(dark),
    "dashboard-forced-colours": dashboard(forced),
    "dashboard-whole": dashboard({ whole: true }),
    "dashboard-narrow": dashboard({ viewport: PHONE, whole: true }),
    "error-upstream": { url: at("shop-down"), viewport: DESKTOP, ready: "body" },
    "error-unknown-host": { url: at("unknown"), viewport: DESKTOP, ready: "body" },
  };
}

/** Takes one screenshot. Returns its file. */
async function takeScreenshot(browser, name, { url, viewport, ready, allow, headers, steps, whole, ...more }, file) {
  const context = await browser.newContext({ viewport, deviceScaleFactor: 1, locale: "en-GB", timezoneId: "UTC", extraHTTPHeaders: headers, ...more });
  if (allow !== undefined) {
    const [name, value] = decision(file, allow).split(/=(.*)/s);
    await context.addCookies([{ name, value, url }]);
  }
  const page = await context.newPage();
  await page.goto(url);
  await page.waitForSelector(ready);
  await steps?.(page);
  const { scrollWidth, scrollHeight } = await page.evaluate(() => ({
    scrollWidth: document.documentElement.scrollWidth,
    scrollHeight: document.documentElement.scrollHeight,
  }));
  if (scrollWidth > viewport.width) throw new Error(`${name}: the page is ${scrollWidth} pixels wide, its window ${viewport.width}`);
  // A screenshot of the enlarged window keeps sticky elements at their position. A full-page screenshot would move them.
  if (whole) await page.setViewportSize({ width: viewport.width, height: scrollHeight });
  const screenshot = path.join(FOLDER, `${name}.png`);
  await page.screenshot({ path: screenshot, animations: "disabled", caret: "hide" });
  await context.close();
  return screenshot;
}

/** Compresses a screenshot with pngquant, if pngquant is installed and the loss is invisible. */
function compress(screenshot) {
  try {
    execFileSync("pngquant", ["--force", "--ext", ".png", "--skip-if-larger", "--strip", "--speed", "1", "--nofs", "--quality", "90-100", screenshot]);
  } catch (error) {
    // pngquant is not installed, or the result is larger or below the quality limit.
    if (error.code !== "ENOENT" && ![98, 99].includes(error.status)) throw error;
  }
}

fs.rmSync(FOLDER, { recursive: true, force: true });
fs.mkdirSync(FOLDER, { recursive: true });
const temporary = fs.mkdtempSync(path.join(os.tmpdir(), "consentry-screenshots-"));
process.on("exit", () => fs.rmSync(temporary, { recursive: true, force: true }));
const file = path.join(temporary, "consentry.toml");
fs.writeFileSync(file, config(await startOrigin(), await closedPort()));
const ports = await startProxy(file);
const browser = await launch(CHROMIUM, "--hide-scrollbars", "--host-resolver-rules=MAP *.example 127.0.0.1, EXCLUDE 127.0.0.1, MAP * ~NOTFOUND");
console.log(`sending traffic for ${TRAFFIC_SECONDS} s before the screenshots`);
traffic(ports.http, file);
await new Promise((resolve) => setTimeout(resolve, TRAFFIC_SECONDS * 1000));
for (const [name, options] of Object.entries(screenshots(ports))) {
  const screenshot = await takeScreenshot(browser, name, options, file);
  compress(screenshot);
  const { size } = fs.statSync(screenshot);
  console.log(`${String(size).padStart(7)} bytes  ${screenshot}`);
  if (!IN_DOCS.includes(name)) continue;
  if (size > MAX_BYTES) throw new Error(`${screenshot}: more than ${MAX_BYTES} bytes`);
  fs.mkdirSync(IMAGES, { recursive: true });
  fs.copyFileSync(screenshot, path.join(IMAGES, `${name}.png`));
}
await browser.close();
process.exit(0);
