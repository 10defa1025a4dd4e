// Shows pages in a real Chromium for which one address is every host: `node tags.mjs CHROMIUM ADDRESS SCRIPTS URL...`.
import { chromium } from "playwright-core";
import { args } from "./browser.mjs";

const [executablePath, everybody, scripts, ...urls] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath,
  args: [...args, `--host-resolver-rules=MAP * ${everybody}, EXCLUDE localhost`, "--ignore-certificate-errors"],
});
const show = async (url) => {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, javaScriptEnabled: scripts === "true" });
  const page = await context.newPage();
  await page.goto(url, { waitUntil: "load" }).catch(() => {});
  // What is loaded later, such as what is prefetched.
  await page.waitForTimeout(300);
  await page.waitForLoadState("networkidle").catch(() => {});
  await context.close();
};
const next = async () => {
  for (let url = urls.shift(); url; url = urls.shift()) await show(url);
};
await Promise.all([next(), next(), next(), next()]);
await browser.close();
