// Next.js with Auth.js. install.sh builds the application in `servers/next`.
import path from "node:path";
import { MODULES, SERVERS, serve } from "../process.mjs";

const NEXT = path.join(MODULES, "next/dist/bin/next");

export const start = (folder) => serve(folder, (port) => ["node", NEXT, "start", "-H", "127.0.0.1", "-p", port], {
  cwd: path.join(SERVERS, "next"),
  env: { NEXT_TELEMETRY_DISABLED: "1", NEXTAUTH_SECRET: "secret", AUTH_TRUST_HOST: "true" },
});

export async function visit({ page, go, step, submit, press, expect, sees }) {
  await step("use the page's scripts", async () => {
    await go("/");
    await sees("#in");
    await page.waitForLoadState("networkidle");
    await press("#count");
    await sees("#count:text-is('1')");
  });
  await step("log in", async () => {
    await submit("#in");
    await page.fill("#input-name-for-credentials-provider", "alice");
    await submit("form[action$='/callback/credentials'] button");
    await sees("#user:text-is('alice')");
  });
  await step("post a form", async () => {
    await page.fill("[name=note]", "a note");
    await submit("#send");
    expect(await page.innerText("#note") === "alice: a note", "not saved");
  });
  await step("log out", async () => {
    await go("/");
    await sees("#out");
    await submit("#out");
    await sees("#user:text-is('nobody')");
    await sees("#in");
  });
}
