// Rejects all in the banner in Chromium: `node return.mjs CHROMIUM URL`. Prints the URL of the next page.
import { launch } from "./browser.mjs";

const [executablePath, url] = process.argv.slice(2);
const browser = await launch(executablePath);
const page = await browser.newPage();
await page.goto(url);
await page.locator(".consentry-banner").getByRole("button", { name: "Reject all" }).click();
await page.locator(".consentry-banner").waitFor({ state: "detached" });
console.log(page.url());
await browser.close();
