// Etherpad: a pad over a websocket, and an author identified by cookies.
import fs from "node:fs";
import path from "node:path";
import { MODULES, serve } from "../process.mjs";

export async function start(folder) {
  const settings = path.join(folder, "settings.json");
  const key = path.join(folder, "key.txt");
  fs.writeFileSync(key, "secret");
  const configure = (port) => fs.writeFileSync(settings, JSON.stringify({ ip: "127.0.0.1", port, dbType: "dirty", dbSettings: { filename: path.join(folder, "dirty.db") }, trustProxy: true,
    importExportRateLimiting: { windowMs: 1000, max: 100 } }));
  // Etherpad must be in `src`, with all modules including itself in `src/node_modules`.
  const code = path.join(folder, "src");
  await fs.promises.cp(path.join(MODULES, "ep_etherpad-lite"), code, { recursive: true });
  const modules = fs.readdirSync(MODULES).filter((name) => !fs.existsSync(path.join(code, "node_modules", name)));
  for (const name of modules) fs.symlinkSync(name === "ep_etherpad-lite" ? code : path.join(MODULES, name), path.join(code, "node_modules", name));
  fs.symlinkSync(path.join(code, "node_modules"), path.join(folder, "node_modules"));
  return serve(folder, (port) => {
    configure(port);
    return ["node", "src/node/server.js", "--settings", settings, "--apikey", key, "--sessionkey", key];
  }, { env: { NODE_ENV: "production" } });
}

export async function visit({ page, go, step, press, expect, sees, until }) {
  const pad = `/p/pad${Date.now()}`;
  const text = () => page.frameLocator("[name=ace_outer]").frameLocator("[name=ace_inner]").locator("#innerdocbody");
  const open = async () => {
    await go(pad);
    await text().waitFor();
    await sees("#editorcontainer.initialized");
  };
  await step("use the websocket", async () => {
    await open();
    await text().focus();
    await page.keyboard.insertText("by alice");
    await until(async () => /by alice/.test(await page.evaluate(async () => (await fetch(`${location.pathname}/export/txt`)).text())), "the text is not saved");
  });
  await step("keep the author", async () => {
    const author = await page.evaluate(() => pad.getUserId());
    await open();
    expect(await page.evaluate(() => pad.getUserId()) === author, "another author after a reload");
    await text().getByText("alice").waitFor();
  });
  await step("upload", async () => {
    await press("[data-key=import_export] a");
    await page.setInputFiles("#importfileinput", { name: "a.txt", mimeType: "text/plain", buffer: Buffer.from("from a file") });
    await press("#importsubmitinput");
    await text().getByText("from a file").waitFor();
  });
}
