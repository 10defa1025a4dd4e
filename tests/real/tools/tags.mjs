// Opens pages in Chromium, with every host resolved to one address: `node tags.mjs CHROMIUM ADDRESS SCRIPTS URL...`.
import { chromium } from "playwright-core";
import { args } from "./browser.mjs";

const [executablePath, address, scripts, ...urls] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath,
  args: [...args, `--host-resolver-rules=MAP * ${address}, EXCLUDE localhost`, "--ignore-certificate-errors"],
});
const open = async (url) => {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, javaScriptEnabled: scripts === "true" });
  const page = await context.newPage();
  await page.goto(url, { waitUntil: "load" }).catch(() => {});
  // Some resources, such as prefetched ones, load later.
  await page.waitForTimeout(300);
  await page.waitForLoadState("networkidle").catch(() => {});
  await context.close();
};
const next = async () => {
  for (let url = urls.shift(); url; url = urls.shift()) await open(url);
};
await Promise.all([next(), next(), next(), next()]);
await browser.close();
