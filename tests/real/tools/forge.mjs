// Tries to grant consent for the visitor, in real Chromium: `node forge.mjs CHROMIUM URL ATTEMPT...`. An attempt is the
// path of a page whose own scripts try; what is run from here would count as the visitor's. `click:SELECTOR` clicks and
// waits for the next page, `press:SELECTOR` clicks and stays, `host:NAME` visits this host from then on, `port:N` at this
// port, `new` starts with an empty jar. Prints a JSON array: for each attempt, the first `new` among them, the consent
// cookies of the jar afterwards, and the names and hosts of the others.
import { launch } from "./browser.mjs";

const [executablePath, base, ...attempts] = process.argv.slice(2);
const browser = await launch(executablePath, "--host-resolver-rules=MAP *.shop.example 127.0.0.1");
const found = [];
let context, page, url;
for (const attempt of ["new", ...attempts]) {
  const [kind, value] = attempt.split(/:(.*)/s);
  if (kind === "new") {
    await context?.close();
    context = await browser.newContext();
    page = await context.newPage();
    url = new URL(base);
  } else if (kind === "click") await Promise.all([page.waitForNavigation(), page.click(value)]);
  else if (kind === "press") {
    await page.click(value);
    await page.waitForFunction(() => document.title.includes("social"));
  } else if (kind === "host") url.hostname = value;
  else if (kind === "port") url.port = value;
  else {
    await page.goto(url.origin + attempt, { waitUntil: "networkidle" });
    // A page that leads elsewhere by itself.
    await page.waitForLoadState("networkidle");
  }
  const jar = await context.cookies();
  const own = jar.filter((cookie) => cookie.name === "consentry" || cookie.value.startsWith("consentry="));
  found.push({
    attempt,
    own: own.map(({ value, domain, httpOnly }) => ({ granted: value.split("~")[3] ?? value, domain, httpOnly })),
    others: jar.filter((cookie) => !own.includes(cookie)).map((cookie) => `${cookie.name}@${cookie.domain}`).sort(),
  });
}
await browser.close();
console.log(JSON.stringify(found));
