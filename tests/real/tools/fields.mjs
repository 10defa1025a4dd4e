// Finds the header fields that Chromium stores and returns: `node fields.mjs CHROMIUM URL [COOKIE=VALUE]`. Prints a JSON
// object: the request fields received by the origin, for each technology.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const [executablePath, base, cookie] = process.argv.slice(2);
const profile = mkdtempSync(join(tmpdir(), "consentry-fields-"));
const context = await chromium.launchPersistentContext(profile, {
  executablePath,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync"],
});
if (cookie) {
  const [name, ...value] = cookie.split("=");
  await context.addCookies([{ name, value: value.join("="), url: base }]);
}
const page = await context.newPage();
const found = {};

await page.goto(`${base}/`);
// Chromium stores a dictionary only after the end of its response.
found.dictionary = await page.evaluate(async () => {
  for (let tries = 0; tries < 60; tries += 1) {
    const received = await (await fetch(`/seen?${tries}`)).json();
    if (received["available-dictionary"] || received["dictionary-id"]) return received;
    await new Promise((resolve) => setTimeout(resolve, 150));
  }
  return {};
});
// The hints of the first response apply to the next navigation.
found.hints = JSON.parse(await (await page.goto(`${base}/seen`)).text());

await page.goto(`${base}/`);
await page.evaluate(async () => {
  await navigator.serviceWorker.register("/worker.js");
  const registration = await navigator.serviceWorker.ready;
  await registration.navigationPreload.enable();
  await registration.navigationPreload.setHeaderValue("visitor-7");
});
found.preload = JSON.parse(await (await page.goto(`${base}/seen?preload`)).text());

await context.close();
rmSync(profile, { recursive: true, force: true });
console.log(JSON.stringify(found));
