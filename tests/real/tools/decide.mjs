// Makes decisions on consentry's pages in Chromium: `node decide.mjs CHROMIUM URL`. Prints a JSON object with:
// 1. the page and the cookie jar after each kind of decision, with and without scripts
// 2. axe-core violations and overflowing widths of the three pages
// 3. console messages
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { launch } from "./browser.mjs";

const [executablePath, base] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const browser = await launch(executablePath);
const found = { with: {}, without: {}, violations: [], wide: [], console: [], cleared: [] };

const banner = (page) => page.locator(".consentry-banner");
const decisions = {
  accept: (page) => banner(page).getByRole("button", { name: "Accept all" }).click(),
  reject: (page) => banner(page).getByRole("button", { name: "Reject all" }).click(),
  custom: async (page) => {
    await banner(page).getByRole("link", { name: "Customise" }).click();
    await page.getByRole("switch", { name: "Performance and analytics" }).check();
    await page.getByRole("button", { name: "Save choice" }).click();
  },
  enter: async (page) => {
    await banner(page).getByRole("link", { name: "Customise" }).click();
    await page.getByRole("switch", { name: "Performance and analytics" }).focus();
    await page.keyboard.press("Space");
    await page.keyboard.press("Enter");
    await page.waitForURL(`${base}/shop/cart?item=1`);
  },
  withdraw: async (page) => {
    await page.goto(`${base}/.consentry/`);
    await page.getByRole("switch", { name: "Advertising" }).uncheck();
    await page.getByRole("switch", { name: "Social networks" }).uncheck();
    await page.getByRole("button", { name: "Save choice" }).click();
    await page.getByText("Your choice has been saved.").waitFor();
    await page.goto(`${base}/shop/cart?item=1`);
  },
};

for (const [scripts, javaScriptEnabled] of [["with", true], ["without", false]]) {
  for (const states of [["none"], ["accept", "withdraw"], ["reject"], ["custom"], ["enter"]]) {
    const context = await browser.newContext({ javaScriptEnabled, locale: "en-GB" });
    const page = await context.newPage();
    page.on("console", (message) => (message.text().includes("Clear-Site-Data") ? found.cleared : found.console).push(message.text()));
    page.on("pageerror", (error) => found.console.push(error.message));
    await page.goto(`${base}/shop/cart?item=1`);
    for (const state of states) {
      if (decisions[state]) await decisions[state](page);
      const jar = (await context.cookies()).map((cookie) => cookie.name).sort();
      const stored = javaScriptEnabled ? await page.evaluate(() => Object.keys(localStorage).sort()) : null;
      const shown = { url: page.url().slice(base.length), banner: await banner(page).count(), jar, stored };
      // Later pages follow the decision, including pages from the history.
      await page.goto(`${base}/other`);
      if (state !== "none") await page.goBack();
      shown.after = await banner(page).count();
      shown.again = (await context.cookies()).map((cookie) => cookie.name).sort();
      found[scripts][state] = shown;
      await page.goto(`${base}/shop/cart?item=1`);
    }
    await context.close();
  }
}

for (const colorScheme of ["light", "dark"]) {
  for (const width of [320, 1280]) {
    for (const [path, ready] of [["/shop/cart", ".consentry-banner"], ["/.consentry/", "form"], ["/.consentry/notice", "dl"]]) {
      // The page's CSP would block axe-core.
      const context = await browser.newContext({ colorScheme, viewport: { width, height: 700 }, bypassCSP: true });
      const page = await context.newPage();
      await page.goto(base + path);
      await page.waitForSelector(ready);
      for (const summary of await page.locator("summary").all()) await summary.click();
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() => axe.run());
      for (const { id, nodes } of violations) found.violations.push(`${path} ${colorScheme} ${width}: ${id}: ${nodes[0].html}`);
      if (await page.evaluate(() => document.documentElement.scrollWidth > innerWidth)) found.wide.push(`${path} ${width}`);
      await context.close();
    }
  }
}

// By keyboard: the banner gets the focus first.
const page = await (await browser.newContext({ locale: "en-GB" })).newPage();
await page.goto(`${base}/shop/cart`);
found.keyboard = [];
for (let presses = 0; presses < 4; presses += 1) {
  await page.keyboard.press("Tab");
  found.keyboard.push(await page.evaluate(() => document.activeElement.shadowRoot.activeElement.textContent));
}
await browser.close();
console.log(JSON.stringify(found));
