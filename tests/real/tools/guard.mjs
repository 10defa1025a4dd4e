// Runs scripts and tags in a guarded page in Chromium: `node guard.mjs CHROMIUM URL`. Prints a JSON object: the stored
// items and the contacted hosts, for each consent.
import { launch } from "./browser.mjs";

const [executablePath, base] = process.argv.slice(2);
const browser = await launch(executablePath);
const found = { console: [] };
for (const consent of ["", "functional", "functional+analytics+targeting+social"]) {
  const context = await browser.newContext();
  const contacted = [];
  await context.route((url) => url.origin !== base, (route) => {
    contacted.push(new URL(route.request().url()).host);
    return route.fulfill({ contentType: "text/javascript", body: "" });
  });
  const now = Math.floor(Date.now() / 1000);
  await context.addCookies([{ name: "consentry", value: `1~${now}~2018-05-25~${consent}~`, url: base }]);
  const page = await context.newPage();
  page.on("console", (message) => found.console.push(message.text()));
  page.on("pageerror", (error) => found.console.push(error.message));
  await page.goto(base);
  const line = consent.includes("targeting") ? undefined : page.waitForEvent("console");
  const readBack = await page.evaluate(async () => {
    document.cookie = "_ga=1; path=/";
    document.cookie = "csrftoken=1; path=/";
    document.cookie = "lang=de; path=/";
    document.cookie = "nobody_knows=1; path=/";
    await cookieStore.set("_fbp", "1");
    await cookieStore.set({ name: "django_language", value: "de" });
    localStorage.setItem("_ga", "1");
    localStorage._gid = "1";
    localStorage["cart"] = "1";
    Object.defineProperty(localStorage, "_fbp", { value: "1", configurable: true, enumerable: true, writable: true });
    sessionStorage.setItem("lang", "1");
    sessionStorage.setItem("_hjid", "1");
    localStorage.setItem("auth-tokens", "1");
    localStorage.setItem("oidc.userToken", "1");
    // A deletion needs no consent.
    document.cookie = "old=; max-age=0; path=/";
    localStorage.removeItem("never");
    const has = (text, pair) => text.split("; ").includes(pair);
    const pixels = [document.cookie.includes("_ga=1"), (await cookieStore.get("_fbp"))?.value, (await cookieStore.getAll()).some(({ name }) => name === "_ga")];
    const items = [localStorage.getItem("_ga"), localStorage._gid, localStorage["_fbp"], "_ga" in localStorage, Object.keys(localStorage).includes("_gid"),
      JSON.parse(JSON.stringify(localStorage))._ga, sessionStorage.getItem("_hjid"), Storage.prototype.getItem.call(localStorage, "_ga")];
    const count = localStorage.length;
    const keys = Array.from({ length: count }, (_, at) => localStorage.key(at));
    delete localStorage._gid;
    document.cookie = "nobody_knows=2; path=/";
    const changed = [localStorage.getItem("_gid"), localStorage.length, keys.includes("_ga"), new Set(keys).size === count, has(document.cookie, "nobody_knows=2")];
    document.cookie = "nobody_knows=; max-age=0; path=/";
    localStorage.setItem("_gid", "1");
    return { pixels, items, count, changed, deleted: document.cookie.includes("nobody_knows"), refused: (() => { try { localStorage.setItem("x"); } catch (error) { return error.name; } })() };
  });
  await page.evaluate(() => { document.cookie = "nobody_knows=1; path=/"; });
  await line;
  // After a reload, the page shows the stored items.
  await page.reload();
  const stored = await page.evaluate(async () => {
    const names = (text) => text.split("; ").filter(Boolean).map((pair) => pair.split("=")[0]).sort();
    return {
      cookies: names(document.cookie),
      local: Object.keys(localStorage).sort(),
      session: Object.keys(sessionStorage).sort(),
      whole: [localStorage instanceof Storage, localStorage.length, localStorage.getItem("cart"), localStorage.key(0) !== null],
      first: window.first,
    };
  });
  found[consent || "none"] = { ...stored, readBack, contacted: [...new Set(contacted)].sort() };
  await context.close();
}
await browser.close();
console.log(JSON.stringify(found));
