// The five states in which each application is tested, and the tracker checks of each state.
import { execFileSync } from "node:child_process";
import { FROM_SCRIPT, FROM_SERVER } from "./trackers.mjs";

export const CONSENTRY = process.env.CONSENTRY ?? new URL("../../deploy/container/consentry", import.meta.url).pathname;
const BANNER = "[banner]\nenabled = true\n";
const GUARD = "[page]\nguard = true\n";

// `allow`: the visitor's decision. Without it the visitor has not decided.
// The banner stays open, and `press` in run.mjs clicks elements by script, because of three known problems:
// 1. On Etherpad's pages over http, a choice in the banner gets 403 (`Origin: null`).
// 2. phpMyAdmin's form handler drops the button pressed in the banner (400).
// 3. The banner covers the bottom of the page.
export const STATES = [
  { name: "undecided", config: "" },
  { name: "refused", config: "", allow: "" },
  { name: "granted", config: "", allow: "functional,analytics,targeting,social" },
  { name: "banner", config: BANNER, banner: true },
  { name: "banner+guard", config: BANNER + GUARD, banner: true },
];

/** The consent cookie of the state, for `url`. */
export function decision(state, url) {
  if (state.allow === undefined) return [];
  const [name, value] = execFileSync(CONSENTRY, ["cookie", "--allow", state.allow]).toString().trim().split(/=(.*)/s);
  return [{ name, value, url }];
}

/** Throws unless trackers are blocked, or pass with consent to everything. */
export async function checkTrackers(state, received, stored) {
  const all = [...FROM_SERVER, FROM_SCRIPT];
  const expect = (holds, message) => { if (!holds) throw new Error(message); };
  expect(received.pages > 0 && received.scripts > 0, "no page with trackers was loaded");
  if (state.name === "granted") {
    const missing = all.filter((name) => !received.cookies.has(name));
    expect(missing.length === 0, `granted, but not received by the application: ${missing}`);
    expect(received.pixels > 0, "granted, but the application received no pixel");
    return;
  }
  const leaked = all.filter((name) => received.cookies.has(name));
  expect(leaked.length === 0, `trackers reached the application: ${leaked}`);
  expect(received.pixels === 0, `${received.pixels} pixels reached the application`);
  // Without the guard, a script can write a cookie. The next page load deletes the cookie.
  const forbidden = state.name === "banner+guard" ? all : FROM_SERVER;
  const kept = forbidden.filter((name) => stored.includes(name));
  expect(kept.length === 0, `trackers stored in the browser: ${kept}`);
}
