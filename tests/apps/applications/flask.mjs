// Flask with Flask-Login and Flask-WTF.
import path from "node:path";
import { PYTHON, SERVERS, serve } from "../process.mjs";

export const start = (folder) => serve(folder, (port) => [path.join(PYTHON, "python"), path.join(SERVERS, "login.py"), port]);

export async function visit({ page, go, step, submit, expect, context }) {
  await step("log in", async () => {
    await go("/");
    await page.fill("[name=user]", "alice");
    await submit("form[action='/login'] button");
    expect(await page.innerText("#user") === "alice", "not logged in");
  });
  await step("post a form with a file", async () => {
    await page.fill("[name=note]", "a note");
    await page.setInputFiles("[name=file]", { name: "a.txt", mimeType: "text/plain", buffer: Buffer.alloc(100_000, "a") });
    await submit("form[action='/note'] button");
    expect(await page.innerText("#notes") === "a note a.txt 100000", "the note is missing");
  });
  await step("remember me", async () => {
    await context.clearCookies({ name: "session" });
    await go("/");
    expect(await page.innerText("#user") === "alice", "not remembered");
  });
  await step("log out", async () => {
    await submit("form[action='/logout'] button");
    expect(await page.innerText("#user") === "", "still logged in");
  });
}
