// Node-RED with a login, which the editor stores in local storage.
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { MODULES, serve } from "../process.mjs";

const bcrypt = createRequire(path.join(MODULES, "node-red/package.json"))("bcryptjs");

export async function start(folder) {
  const settings = path.join(folder, "settings.js");
  const users = [{ username: "admin", password: bcrypt.hashSync("secret", 4), permissions: "*" }];
  const flow = [{ id: "f1", type: "tab", label: "Suite" }, { id: "i1", type: "inject", z: "f1", name: "go", x: 150, y: 80, wires: [["d1"]] },
    { id: "d1", type: "debug", z: "f1", name: "out", active: true, tosidebar: true, complete: "payload", x: 350, y: 80, wires: [] }];
  fs.writeFileSync(path.join(folder, "flows.json"), JSON.stringify(flow));
  const configure = (port) => fs.writeFileSync(settings, `module.exports = { uiHost: "127.0.0.1", uiPort: ${port}, userDir: "${folder}", flowFile: "flows.json", telemetry: { enabled: false },
    editorTheme: { tours: false }, adminAuth: ${JSON.stringify({ type: "credentials", users })} };`);
  return serve(folder, (port) => {
    configure(port);
    return ["node", path.join(MODULES, "node-red/red.js"), "--settings", settings];
  });
}

export async function visit({ page, go, step, press, expect, sees, submit }) {
  await step("log in", async () => {
    await go("/");
    await sees("#node-dialog-login-username");
    await page.fill("#node-dialog-login-username", "admin");
    await page.fill("#node-dialog-login-password", "secret");
    await press("#node-dialog-login-submit");
    await sees("#red-ui-header-button-user");
  });
  await step("stay logged in", async () => {
    await page.reload();
    await sees("#red-ui-header-button-user");
    expect(await page.locator("#node-dialog-login-username").count() === 0, "asked to log in again");
  });
  await step("use the websocket", async () => {
    await sees("#red-ui-workspace-chart .red-ui-flow-node");
    const status = await page.evaluate(async () => {
      const { access_token: token } = JSON.parse(localStorage.getItem("auth-tokens"));
      return (await fetch("inject/i1", { method: "POST", headers: { Authorization: `Bearer ${token}` } })).status;
    });
    expect(status === 200, `the flow was not started: ${status}`);
    // The editor's websocket delivers the output of the flow.
    await sees(".red-ui-debug-msg");
  });
  await step("log out", async () => {
    await press("#red-ui-header-button-user");
    await submit("#usermenu-item-logout");
    await sees("#node-dialog-login-username");
  });
}
