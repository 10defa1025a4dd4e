// JupyterLab with a password: file browser, and a terminal over a websocket.
import fs from "node:fs";
import path from "node:path";
import { PYTHON, run, serve } from "../process.mjs";

const HOME = "/login";
export { HOME as path };

export async function start(folder) {
  const hash = (await run(folder, [path.join(PYTHON, "python"), "-c", "from jupyter_server.auth import passwd; print(passwd('secret', 'sha1'))"])).trim();
  const config = path.join(folder, "config.json");
  fs.writeFileSync(config, JSON.stringify({
    ServerApp: { ip: "127.0.0.1", open_browser: false, root_dir: folder, allow_remote_access: true, allow_root: true },
    PasswordIdentityProvider: { hashed_password: hash },
    LabApp: { news_url: null, check_for_updates_class: "jupyterlab.NeverCheckForUpdate" },
  }));
  const env = { HOME: folder, JUPYTER_CONFIG_DIR: folder, JUPYTER_RUNTIME_DIR: folder, JUPYTER_DATA_DIR: folder, PATH: `${PYTHON}:${process.env.PATH}` };
  return serve(folder, (port) => [path.join(PYTHON, "jupyter-lab"), "--config", config, "--port", port], { env, path: HOME });
}

export async function visit({ page, go, step, submit, expect, sees, press }) {
  await step("log in", async () => {
    await go(`${HOME}?next=%2Flab%3Freset`);
    await page.fill("#password_input", "secret");
    await submit("#login_submit");
    await sees(".jp-Launcher");
  });
  await step("upload", async () => {
    // A PUT request, with the token of the `_xsrf` cookie in `X-XSRFToken`.
    const chooser = page.waitForEvent("filechooser");
    await press("[data-command='filebrowser:upload'], jp-button[title^='Upload'], [title='Upload Files']");
    const name = `a${Date.now()}.txt`;
    await (await chooser).setFiles({ name, mimeType: "text/plain", buffer: Buffer.from("a file") });
    await sees(`.jp-DirListing-itemText:has-text('${name}')`);
  });
  await step("use the websocket", async () => {
    const sent = page.waitForEvent("websocket", (socket) => /\/terminals\/websocket\//.test(socket.url()));
    await press(".jp-LauncherCard[title='Start a new terminal session'], .jp-LauncherCard[data-category='Other']");
    const socket = await sent;
    await socket.waitForEvent("framereceived", (frame) => /"stdout"/.test(frame.payload));
  });
  await step("log out", async () => {
    await go("/logout");
    await go("/lab");
    expect(/\/login/.test(page.url()), "still logged in");
  });
}
