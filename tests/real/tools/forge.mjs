// Forges consent in Chromium: `node forge.mjs CHROMIUM URL ATTEMPT...`. An attempt is one of:
//   PATH             a page whose scripts forge consent; scripts run from here would count as the visitor's
//   click:SELECTOR   click, and wait for the next page
//   press:SELECTOR   click, and stay on the page
//   host:NAME        use this host for later pages
//   port:NUMBER      use this port for later pages
//   new              start with an empty cookie jar
// Prints a JSON array. Each item has the consent cookies after an attempt, and the names and hosts of the other cookies.
// The first item is an empty jar.
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
    // The page may redirect.
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
