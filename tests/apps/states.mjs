// The five states that each application is driven in, and what must hold of the trackers in each.
import { execFileSync } from "node:child_process";
import { FROM_SCRIPT, FROM_SERVER } from "./trackers.mjs";

export const CONSENTRY = process.env.CONSENTRY ?? new URL("../../deploy/container/consentry", import.meta.url).pathname;
const BANNER = "[banner]\nenabled = true\n";
const GUARD = "[page]\nguard = true\n";

// `allow`: the decision that the visitor brings; without it the visitor has not decided.
// A banner stays open, and elements are clicked by script (`press` in run.mjs), because of three known faults: on Etherpad's
// pages over http the banner's answer gets 403 (`Origin: null`), phpMyAdmin's form handler drops the button that was pressed
// in the banner (400), and the banner covers the foot of the page.
export const STATES = [
  { name: "undecided", config: "" },
  { name: "refused", config: "", allow: "" },
  { name: "granted", config: "", allow: "functional,analytics,targeting,social" },
  { name: "banner", config: BANNER, banner: true },
  { name: "banner+guard", config: BANNER + GUARD, banner: true },
];

/** The cookie of a visitor who has decided, for `url`. */
export function decision(state, url) {
  if (state.allow === undefined) return [];
  const [name, value] = execFileSync(CONSENTRY, ["cookie", "--allow", state.allow]).toString().trim().split(/=(.*)/s);
  return [{ name, value, url }];
}

/** Throws unless the trackers are blocked, or pass where the visitor has granted all. */
export async function checkTrackers(state, seen, stored) {
  const all = [...FROM_SERVER, FROM_SCRIPT];
  const expect = (holds, message) => { if (!holds) throw new Error(message); };
  expect(seen.pages > 0 && seen.scripts > 0, "no page with trackers was loaded");
  if (state.name === "granted") {
    const missing = all.filter((name) => !seen.cookies.has(name));
    expect(missing.length === 0, `granted, but stripped on the way to the application: ${missing}`);
    expect(seen.pixels > 0, "granted, but the pixel never arrived");
    return;
  }
  const arrived = all.filter((name) => seen.cookies.has(name));
  expect(arrived.length === 0, `trackers reached the application: ${arrived}`);
  expect(seen.pixels === 0, `${seen.pixels} pixels reached the application`);
  // Without the guard, a script can write a cookie: it is deleted with the next page.
  const refused = state.name === "banner+guard" ? all : FROM_SERVER;
  const kept = refused.filter((name) => stored.includes(name));
  expect(kept.length === 0, `trackers stored in the browser: ${kept}`);
}
