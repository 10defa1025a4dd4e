// Opens the dashboard in Chromium: `node dashboard.mjs CHROMIUM URL`. Prints a JSON object with axe-core violations, console
// messages, overflowing widths, table cells and the elements reached by keyboard.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { launch } from "./browser.mjs";

const [executablePath, url] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const browser = await launch(executablePath);
const found = { violations: [], console: [], wide: [] };
for (const colorScheme of ["light", "dark"]) {
  for (const width of [320, 1280]) {
    // The page's CSP would block axe-core.
    const context = await browser.newContext({ colorScheme, viewport: { width, height: 900 }, bypassCSP: true });
    const page = await context.newPage();
    page.on("console", (message) => found.console.push(message.text()));
    page.on("pageerror", (error) => found.console.push(error.message));
    await page.goto(url);
    await page.waitForSelector("#stripped td.name");
    await page.evaluate(axe);
    const result = await page.evaluate(() => axe.run());
    for (const violation of result.violations) {
      found.violations.push(`${colorScheme} ${width}: ${violation.id}: ${violation.nodes[0].html}`);
    }
    if (await page.evaluate(() => document.documentElement.scrollWidth > innerWidth)) found.wide.push(width);
    await context.close();
  }
}
// With the page's CSP, and by keyboard.
const page = await browser.newPage();
page.on("console", (message) => found.console.push(message.text()));
await page.goto(url);
await page.waitForSelector("#stripped td.name");
const texts = (selector) => page.$$eval(selector, (cells) => cells.map((cell) => cell.textContent));
found.stripped = await texts("#stripped td.name");
found.unknown = await texts("#unknown td.name");
found.proposals = await texts("#unknown td:nth-child(3)");
found.beacons = await texts("#beacons td.name");
found.consent = await texts("#consent td:first-child");
found.plot = await page.textContent("#plot-text");
await page.keyboard.press("Tab");
const first = await page.evaluate(() => document.activeElement.id);
await page.keyboard.press("Tab");
await page.keyboard.press("Enter");
found.keyboard = [first, await page.getAttribute("#pause", "aria-pressed")];
await browser.close();
console.log(JSON.stringify(found));
