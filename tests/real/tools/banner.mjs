// The banner in pages that could break it, in a real browser: `node banner.mjs BROWSER EXECUTABLE PORT EVIL_PORT`. BROWSER
// is chromium or firefox. The site is at www.shop.example:PORT, another site at evil.example:EVIL_PORT. Both are plain
// http, so the browser sends no Sec-Fetch-Site. Prints a JSON object with the findings.
import { chromium, firefox } from "playwright-core";
import { args } from "./browser.mjs";

const [name, executablePath, port, evilPort] = process.argv.slice(2);
const browser = name === "firefox"
  ? await firefox.launch({ channel: "moz-firefox", executablePath, firefoxUserPrefs: { "network.dns.localDomains": "www.shop.example,evil.example" } })
  : await chromium.launch({ executablePath, args: [...args, "--host-resolver-rules=MAP *.example 127.0.0.1"] });
const site = `http://www.shop.example:${port}`, evil = `http://evil.example:${evilPort}`;
const found = {};

/** Visits a page as a new visitor. */
async function visit(url, act, options = {}) {
  const context = await browser.newContext({ locale: "en-GB", viewport: { width: 1280, height: 800 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  await page.goto(url);
  const result = await act(page, context);
  await context.close();
  return result;
}
const granted = async (context) => (await context.cookies()).find(({ name }) => name === "consentry")?.value.split("~")[3] ?? null;
const inBanner = (page, act) => page.locator(".consentry-banner").evaluate(act);
/** Presses a button of the banner, and waits for the next page. */
async function choose(page, context, choice) {
  await Promise.all([page.waitForEvent("framenavigated"), page.click(`.consentry-banner button[value=${choice}]`)]);
  await page.waitForLoadState();
  return { granted: await granted(context), path: page.url().slice(site.length) };
}

// React hydrates the whole document.
found.react = await visit(`${site}/react`, async (page, context) => {
  await page.waitForFunction(() => window.hydrated);
  await page.click("#count");
  const state = await page.evaluate(() => ({
    errors: window.problems,
    count: document.querySelector("#count").textContent,
    last: document.body.lastChild.className,
    isolated: Boolean(document.body.lastChild.shadowRoot),
  }));
  return { ...state, ...await choose(page, context, "reject") };
});

// A foreign base, and scripts that take over forms and drop the button.
found.base = await visit(`${site}/base`, async (page, context) => {
  const addresses = await inBanner(page, (host) => [...host.shadowRoot.querySelectorAll("a, form")].map((of) => new URL(of.action ?? of.href).origin));
  return { addresses: [...new Set(addresses)], ...await choose(page, context, "accept") };
});
found.grab = await visit(`${site}/grab`, async (page, context) => ({
  ...await choose(page, context, "accept"), grabbed: await page.evaluate(() => Boolean(window.grabbed)),
}));
// A script that submits the form of the button that was pressed.
found.submit = await visit(`${site}/plain`, async (page, context) => {
  await inBanner(page, (host) => host.shadowRoot.querySelector("button[value=reject]").addEventListener("click", (event) => {
    event.preventDefault();
    HTMLFormElement.prototype.submit.call(event.target.form);
  }));
  return choose(page, context, "reject");
});
// A page that is written anew by a script, which attaches no shadow tree.
found.rewritten = await visit(`${site}/plain`, async (page, context) => {
  await page.evaluate(() => { document.body.innerHTML = document.body.innerHTML; });
  await page.getByRole("button", { name: "Reject all" }).click();
  await page.waitForFunction(() => !document.querySelector(".consentry-banner"));
  return granted(context);
});

// Without a referrer the browser sends `Origin: null`: the preference centre asks again.
found.noReferrer = await visit(`${site}/no-referrer`, async (page, context) => {
  const first = await choose(page, context, "accept");
  await Promise.all([page.waitForURL("**/no-referrer"), page.click("button[value=accept]")]);
  return { first, granted: await granted(context) };
});
// Another site posts a form from a sandboxed frame, for itself and for the whole window.
for (const attack of ["frame", "window"]) {
  found[attack] = await visit("about:blank", async (page, context) => {
    const posted = [];
    // The post itself is not reported in a frame, but the redirect to the preference centre is.
    page.on("request", (request) => { if (request.method() === "GET" && request.url().startsWith(`${site}/`)) posted.push(request.url().slice(site.length)); });
    await page.goto(`${evil}/attack-${attack}`);
    const end = Date.now() + 10_000;
    while (posted.length === 0 && Date.now() < end) await page.waitForTimeout(50);
    await page.waitForLoadState("networkidle");
    return { then: posted[0], granted: await granted(context) };
  });
}

// The layout.
const box = (page) => inBanner(page, (host) => {
  const section = host.shadowRoot.querySelector("section");
  const { top, height } = section.getBoundingClientRect();
  return { top, share: height / innerHeight, scrolls: section.scrollHeight > section.clientHeight + 1 };
});
found.phone = {};
for (const locale of ["de", "en", "es", "fr", "hu", "it", "ja", "ko", "nl", "pl", "pt-BR", "ru", "zh"]) {
  found.phone[locale] = await visit(`${site}/plain`, box, { locale, viewport: { width: 360, height: 640 } });
}
found.landscape = await visit(`${site}/plain`, box, { viewport: { width: 640, height: 360 } });
// Computed styles do not depend on the page.
const styles = (page) => inBanner(page, (host) => [...host.shadowRoot.querySelectorAll("section *"), host.querySelector("h2")].map((of) => {
  const { color, backgroundColor, fontSize, fontFamily, letterSpacing, textTransform, margin, padding, width, height } = getComputedStyle(of);
  return [of.localName, color, backgroundColor, fontSize, fontFamily, letterSpacing, textTransform, margin, padding, width, height].join(" ");
}));
const [plain, hostile] = [await visit(`${site}/plain`, styles), await visit(`${site}/hostile`, styles)];
found.leaks = hostile.filter((style, index) => style !== plain[index]);
found.elements = plain.length;
found.reach = await visit(`${site}/plain`, async (page) => {
  const active = () => page.evaluate(() => {
    let active = document.activeElement;
    while (active.shadowRoot?.activeElement) active = active.shadowRoot.activeElement;
    const banner = document.querySelector(".consentry-banner").shadowRoot.querySelector("section").getBoundingClientRect();
    const outside = active.getRootNode() === document && active !== document.body && active.slot !== "title";
    return { text: active.textContent.slice(0, 20), outside, covered: outside && active.getBoundingClientRect().bottom > banner.top };
  });
  await page.waitForFunction(() => document.activeElement?.slot === "title");
  const reached = [await active()];
  for (let times = 0; times < 28; times += 1) {
    // In Firefox the banner is the end of the page.
    await page.keyboard.press(name === "firefox" && times >= 4 ? "Shift+Tab" : "Tab");
    reached.push(await active());
  }
  await page.evaluate(() => scrollTo(0, document.documentElement.scrollHeight));
  const gap = await page.evaluate(() => document.querySelector(".consentry-banner").shadowRoot.querySelector("section").getBoundingClientRect().top
    - document.querySelector("footer").getBoundingClientRect().bottom);
  return { first: reached.slice(0, 5).map(({ text }) => text), outside: reached.filter(({ outside }) => outside).length, covered: reached.filter(({ covered }) => covered), gap };
}, { viewport: { width: 1280, height: 500 } });
found.ownFocus = await visit(`${site}/own-focus`, async (page) => {
  await page.waitForLoadState();
  return page.evaluate(() => document.activeElement.id);
});
found.shift = name === "firefox" ? 0 : await visit(`${site}/plain`, (page) => page.evaluate(() => new Promise((done) => {
  let sum = 0;
  new PerformanceObserver((list) => list.getEntries().forEach(({ value }) => { sum += value; })).observe({ type: "layout-shift", buffered: true });
  setTimeout(() => done(sum), 500);
})));
await browser.close();
console.log(JSON.stringify(found));
