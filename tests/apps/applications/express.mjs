// Express with express-session, csurf, multer and socket.io.
import path from "node:path";
import { SERVERS, serve } from "../process.mjs";

export const start = (folder) => serve(folder, (port) => ["node", path.join(SERVERS, "express.mjs"), port]);

export async function visit({ page, go, step, submit, expect, sees }) {
  await step("log in", async () => {
    await go("/");
    await page.fill("[name=user]", "alice");
    await submit("form[action='/login'] button");
    expect(await page.innerText("#user") === "alice", "not logged in");
  });
  await step("post a form", async () => {
    await page.fill("[name=note]", "a note");
    await submit("form[action='/notes'] button");
    expect(await page.innerText("#notes") === "a note", "the note is missing");
  });
  await step("upload", async () => {
    await page.setInputFiles("[name=file]", { name: "a.txt", mimeType: "text/plain", buffer: Buffer.alloc(100_000, "a") });
    await submit("form[action='/upload'] button");
    expect(await page.innerText("#file") === "a.txt 100000", "the file is missing");
  });
  await step("use the websocket", () => sees("#chat:text-is('alice')"));
  await step("log out", async () => {
    await submit("form[action='/logout'] button");
    expect(await page.innerText("#user") === "", "still logged in");
  });
}
