// Runs the snippets of docs/bridge.md against stubs of the consent tools: `node bridge.mjs DOCUMENT`. A snippet posts the
// visitor's choice, with its time if the tool records the time. Without a choice it posts nothing.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import vm from "node:vm";

const snippets = Object.fromEntries(
  readFileSync(process.argv[2], "utf8").split("\n### ").slice(1).map((part) => [part.split("\n")[0], part.split("```js\n")[1].split("```")[0]]),
);
const tested = new Set();

// The posts of a snippet in a page with these globals. `act` gets a function that dispatches events in the page.
function posts(tool, globals, act) {
  tested.add(tool);
  const listeners = {};
  const listen = (event, listener) => (listeners[event] ??= []).push(listener);
  const posted = [];
  const page = { addEventListener: listen, document: { addEventListener: listen }, ...globals(listen) };
  page.mirror = (choices, time) => posted.push([{ ...choices }, time === undefined || typeof time === "number" ? time : "now"]);
  vm.runInNewContext(snippets[tool], page);
  act((event, ...details) => listeners[event]?.forEach((listener) => listener(...details)), page);
  return posted;
}

const klaro = { consents: { a: true, b: false }, confirmed: false };
const watched = (listen) => ({ klaro: { getManager: () => ({ ...klaro, watch: ({ update }) => listen("update", update) }) } });
assert.deepEqual(posts("Klaro", watched, (send) => send("update", klaro, "consents")), []);
assert.deepEqual(posts("Klaro", watched, (send) => send("update", klaro, "saveConsents")), [[klaro.consents, "now"]]);
klaro.confirmed = true;
assert.deepEqual(posts("Klaro", watched, () => {}), [[klaro.consents, undefined]]);

const details = (type) => ({ detail: { consent: { type, updatedAt: 17 }, services: { a: { consent: { given: true } }, b: { consent: { given: false } }, c: {} } } });
assert.deepEqual(posts("Usercentrics, version 3", () => ({}), (send) => send("UC_CONSENT", details("IMPLICIT"))), []);
assert.deepEqual(posts("Usercentrics, version 3", () => ({}), (send) => send("UC_CONSENT", details("EXPLICIT"))), [[{ a: true, b: false, c: false }, 17]]);

const service = (id, status, ...history) => ({ id, consent: { status, history: history.map(([type, timestamp]) => ({ type, timestamp })) } });
const services = (...all) => () => ({ UC_UI: { getServicesBaseInfo: () => all } });
const withoutChoice = services(service("a", true, ["implicit", 3]), service("b", false));
const withChoice = services(service("a", true, ["implicit", 9], ["explicit", 5]), service("b", false, ["explicit", 7]));
assert.deepEqual(posts("Usercentrics, version 2", withoutChoice, (send) => send("UC_UI_INITIALIZED")), []);
for (const event of ["UC_UI_INITIALIZED", "UC_UI_CMP_EVENT"]) {
  assert.deepEqual(posts("Usercentrics, version 2", withChoice, (send) => send(event)), [[{ a: true, b: false }, 7]]);
}

const termly = (stored) => (listen) => ({ localStorage: { getItem: (key) => (key === "TERMLY_API_CACHE" ? stored : null) }, Termly: { on: listen } });
const record = { TERMLY_COOKIE_CONSENT: { createdAt: 17, value: { analytics: true, advertising: false } } };
for (const event of ["initialized", "consent"]) {
  const load = (send, page) => (page.onTermlyLoaded(), send(event));
  assert.deepEqual(posts("Termly", termly(null), load), []);
  assert.deepEqual(posts("Termly", termly("{}"), load), []);
  assert.deepEqual(posts("Termly", termly(JSON.stringify(record)), load), [[record.TERMLY_COOKIE_CONSENT.value, 17]]);
}

const osano = (listen) => ({ Osano: { cm: { addEventListener: listen } } });
const answers = (more) => ({ ANALYTICS: "ACCEPT", MARKETING: "ACCEPT", OPT_OUT: "DENY", ...more });
const granted = { ANALYTICS: true, MARKETING: true, OPT_OUT: false };
assert.deepEqual(posts("Osano", osano, (send) => send("osano-cm-initialized", undefined)), []);
// Both events send a stored choice. Only the second event sends a new choice.
assert.deepEqual(posts("Osano", osano, (send) => {
  send("osano-cm-initialized", answers());
  send("osano-cm-consent-saved", answers());
  send("osano-cm-consent-saved", answers({ OPT_OUT: "ACCEPT" }));
}), [[granted, undefined], [{ ...granted, MARKETING: false, OPT_OUT: true }, "now"]]);

const shopify = (consent) => () => ({ Shopify: { customerPrivacy: { currentVisitorConsent: () => consent } } });
const shop = "Shopify without a storefront by Shopify";
assert.deepEqual(posts(shop, shopify({ analytics: "", marketing: "" }), () => {}), []);
const some = shopify({ analytics: "yes", marketing: "no", preferences: "" });
assert.deepEqual(posts(shop, some, (send) => send("visitorConsentCollected")), [
  [{ analytics: true, marketing: false }, undefined],
  [{ analytics: true, marketing: false }, "now"],
]);

assert.deepEqual(Object.keys(snippets).sort(), [...tested].sort(), "each snippet is tested");
