// Opens a page with a consent tool in Chromium and makes choices: `node visit.mjs CHROMIUM URL TOOL`. Prints a JSON object:
// the names in the cookie jar, for each state. The page is loaded twice after each choice.
import { launch } from "./browser.mjs";

const [executablePath, base, tool] = process.argv.slice(2);

const click = (...selectors) => async (page) => {
  for (const selector of selectors) await page.click(selector, { timeout: 10_000 });
};
// Repeats a step until it has an effect.
const repeat = async (step, hasEffect) => {
  for (let tries = 0; !(await hasEffect()); tries += 1) {
    if (tries === 40) throw new Error(`no effect: ${step}`);
    await step();
  }
};
// For a button that has no effect until its script has run.
const clickUntil = (button, selector, state) => async (page) => {
  let done = false;
  await repeat(async () => {
    await click(button)(page);
    done = await page.waitForSelector(selector, { state, timeout: 500 }).then(() => true, () => false);
  }, () => done);
};
const mirrored = (choose) => async (page) => {
  // The page posts a stored choice when it loads. The answer could arrive after that of the new choice.
  await page.waitForLoadState("networkidle");
  await page.evaluate(() => delete document.body.dataset.mirrored);
  await choose(page);
  await page.waitForSelector("body[data-mirrored]", { state: "attached" });
};
const klaro = {
  accept: click(".cm-btn-success"),
  reject: click(".cn-decline"),
  custom: click(".cn-learn-more", 'label[for="purpose-item-analytics"]', ".cm-btn-accept"),
  withdraw: async (page) => {
    await page.evaluate(() => klaro.show());
    await click('label[for="purpose-item-analytics"]', 'label[for="purpose-item-ads"]', ".cm-btn-accept")(page);
  },
};
const tools = {
  "vanilla-cookieconsent": {
    accept: click('#cc-main .cm [data-role="all"]'),
    reject: click('#cc-main .cm [data-role="necessary"]'),
    custom: async (page) => {
      await click('#cc-main .cm [data-role="show"]')(page);
      const toggle = page.locator('.section__toggle[value="analytics"]');
      // The switch works only after the dialog has got the focus.
      await repeat(() => toggle.press("Space"), () => toggle.isChecked());
      await click('#cc-main .pm [data-role="save"]')(page);
    },
    withdraw: async (page) => {
      await page.evaluate(() => CookieConsent.showPreferences());
      await click('#cc-main .pm [data-role="necessary"]')(page);
    },
  },
  klaro,
  "klaro-local": Object.fromEntries(Object.entries(klaro).map(([state, choose]) => [state, mirrored(choose)])),
  "own-dialog": Object.fromEntries(
    Object.entries({ accept: "#all", reject: "#none", custom: "#some", withdraw: "#none" }).map(([state, button]) => [state, async (page) => {
      await click(button)(page);
      await page.waitForSelector('body[data-done="right"]', { timeout: 10_000 });
    }]),
  ),
  tarteaucitron: {
    accept: clickUntil("#tarteaucitronPersonalize2", "#tarteaucitronAlertBig", "hidden"),
    reject: clickUntil("#tarteaucitronAllDenied2", "#tarteaucitronAlertBig", "hidden"),
    custom: async (page) => {
      await clickUntil("#tarteaucitronCloseAlert", "#gtagAllowed", "visible")(page);
      await click("#gtagAllowed")(page);
    },
    withdraw: async (page) => {
      await page.waitForSelector("#tarteaucitronAllDenied", { state: "attached" });
      await page.evaluate(() => tarteaucitron.userInterface.openPanel());
      await clickUntil("#tarteaucitronAllDenied", "#gtagLine.tarteaucitronIsDenied", "attached")(page);
    },
  },
  osano: {
    accept: click(".cc-allow"),
    reject: click(".cc-deny"),
    // Closes a notice without a choice.
    custom: async (page) => {
      await page.goto("about:blank");
      await page.goto(`${base}/osano.html#info`);
      await click(".cc-dismiss")(page);
    },
    withdraw: click(".cc-revoke", ".cc-deny"),
  },
};

// Segment's dialog has one choice per category.
const segment = (...allowed) => async (page) => {
  for (const category of ["functional", "marketingAndAnalytics", "advertising"]) {
    await click(`input[name="${category}"][value="${allowed.includes(category)}"]`)(page);
  }
  await click('button[type="submit"]')(page);
};
Object.assign(tools, {
  "react-cookie-consent": {
    accept: click("#rcc-confirm-button"),
    reject: click("#rcc-decline-button"),
    // The tool has no choice per category.
    custom: async () => {},
    withdraw: async (page) => {
      await page.evaluate(() => ReactCookieConsent.resetCookieConsentValue());
      await page.goto(`${base}/react-cookie-consent.html`);
      await click("#rcc-decline-button")(page);
    },
  },
  segment: {
    accept: click('button:text("Allow all")'),
    reject: click('button:text("Deny all")'),
    custom: async (page) => {
      await click("#subContentBtn")(page);
      await segment("marketingAndAnalytics")(page);
    },
    withdraw: async (page) => {
      // This has no effect until the list of tools is loaded.
      for (let open = false; !open;) {
        await page.evaluate(() => consentManager.openConsentManager());
        open = await page.waitForSelector('button[type="submit"]', { timeout: 500 }).then(() => true, () => false);
      }
      await segment()(page);
    },
  },
});

const browser = await launch(executablePath);
const jars = {};
const choose = tools[tool];
for (const states of [["none"], ["accept", "withdraw"], ["reject"], ["custom"]]) {
  const context = await browser.newContext();
  // Only the site is reachable, not the services of the tools.
  await context.route((url) => url.origin !== new URL(base).origin, (route) => route.abort());
  const page = await context.newPage();
  await page.goto(`${base}/${tool}.html`);
  for (const state of states) {
    if (choose[state]) await choose[state](page);
    for (const visit of [1, 2]) await page.goto(`${base}/${tool}.html?${state}${visit}`);
    jars[state] = (await context.cookies()).map((cookie) => cookie.name).sort();
  }
  await context.close();
}
await browser.close();
console.log(JSON.stringify(jars));
