// Loads a page in different ways in Chromium: `node ways.mjs CHROMIUM URL`. Prints a JSON object: the contacted hosts, the
// number of banners, and whether the guard works, for each way.
import { launch } from "./browser.mjs";

const [executablePath, base] = process.argv.slice(2);
const browser = await launch(executablePath);
const found = {};
const way = async (name, steps) => {
  const context = await browser.newContext();
  const contacted = [];
  await context.route((url) => url.origin !== base, (route) => {
    contacted.push(new URL(route.request().url()).host);
    return route.fulfill({ contentType: "text/javascript", body: "" });
  });
  const page = await context.newPage();
  await steps(page);
  // Earlier requests of the page reach the route handler before this request.
  await page.evaluate(async () => {
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    await (await fetch("/link?last")).text();
  });
  const works = (frame) => frame.evaluate(() => {
    document.cookie = "_ga=1; path=/";
    return document.cookie === "_ga=1" && !document.querySelector("parsererror");
  });
  const guarded = await Promise.all(page.frames().map(works));
  // The page reads its own cookie, but the browser has not stored it.
  guarded[0] &&= (await context.cookies()).length === 0;
  const banners = await page.locator(".consentry-banner").count();
  found[name] = { contacted, banners, guarded: guarded.every(Boolean), frames: guarded.length };
  await context.close();
};
const follow = async (page) => {
  await Promise.all([page.waitForURL(`${base}/page`), page.evaluate(() => document.querySelector("#a").click())]);
};

await way("directly", (page) => page.goto(`${base}/page`));
await way("prefetched", async (page) => {
  const prefetched = page.waitForResponse(`${base}/page`);
  await page.goto(`${base}/prefetch`);
  await (await prefetched).finished();
  await follow(page);
});
await way("fetched", async (page) => {
  await page.goto(`${base}/link`);
  await page.evaluate(async () => { await (await fetch("/page")).text(); });
  await follow(page);
});
for (const library of ["turbo", "htmx"]) {
  await way(library, async (page) => {
    await page.goto(`${base}/${library}/1`);
    await page.evaluate(() => document.querySelector("#a").click());
    await page.waitForFunction((library) => document.querySelector("h1")?.textContent === `${library} 2`, library);
  });
}
for (const request of ["event.request", "event.request, { credentials: 'include' }"]) {
  await way(`fetch(${request})`, async (page) => {
    await page.goto(`${base}/link`);
    await page.evaluate(async (request) => {
      const controlled = new Promise((done) => navigator.serviceWorker.addEventListener("controllerchange", done));
      await navigator.serviceWorker.register(`/worker.js?${encodeURIComponent(request)}`);
      await navigator.serviceWorker.ready;
      if (!navigator.serviceWorker.controller) await controlled;
    }, request);
    await follow(page);
  });
}
for (const document of ["xhtml", "svg", "frames", "untyped"]) await way(document, (page) => page.goto(`${base}/${document}`));
await browser.close();
console.log(JSON.stringify(found));
