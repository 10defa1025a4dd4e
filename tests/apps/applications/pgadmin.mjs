// pgAdmin 4 as a server. Its cookie protection binds a session to the client address.
import fs from "node:fs";
import path from "node:path";
import { PGADMIN, serve } from "../process.mjs";

const HOME = "/login";
export { HOME as path };

export async function start(folder) {
  const config = path.join(folder, "config_distro.py");
  const folders = { DATA_DIR: "", LOG_FILE: "pgadmin.log", SQLITE_PATH: "pgadmin.db", SESSION_DB_PATH: "sessions", STORAGE_DIR: "storage",
    AZURE_CREDENTIAL_CACHE_DIR: "azure", KERBEROS_CCACHE_DIR: "kerberos" };
  const configure = (port) => fs.writeFileSync(config, `SERVER_MODE = True
DEFAULT_SERVER = "127.0.0.1"
DEFAULT_SERVER_PORT = ${port}
UPGRADE_CHECK_ENABLED = False
MASTER_PASSWORD_REQUIRED = False
${Object.entries(folders).map(([key, name]) => `${key} = "${path.join(folder, name)}"`).join("\n")}
`);
  const env = { CONFIG_DISTRO_FILE_PATH: config, PGADMIN_SETUP_EMAIL: "admin@suite.example.com", PGADMIN_SETUP_PASSWORD: "secret" };
  return serve(folder, (port) => {
    configure(port);
    return [path.join(PGADMIN, "pgadmin4")];
  }, { env, path: HOME });
}

export async function visit({ page, go, step, submit, expect, sees }) {
  const name = `group${Date.now()}`;
  await step("log in", async () => {
    await go(HOME);
    await page.fill("[name=email]", "admin@suite.example.com");
    await page.fill("[name=password]", "secret");
    await submit("[name=internal_button]");
    await sees("#main-menu, [data-test=loading-logo], .dock-layout");
    expect(/\/browser\//.test(page.url()), "not logged in");
  });
  await step("post a form", async () => {
    // The request of the dialog for server groups, with the token from the page's configuration.
    const status = await page.evaluate(async (name) => {
      const [, token] = (await (await fetch("/browser/js/utils.js")).text()).match(/\['csrf_token'\] = '([^']+)'/);
      const headers = { "Content-Type": "application/json", "X-pgA-CSRFToken": token };
      const answer = await fetch("/browser/server_group/obj/", { method: "POST", headers, body: JSON.stringify({ name }) });
      return answer.status;
    }, name);
    expect(status === 200, `not saved: ${status}`);
  });
  await step("log out", async () => {
    await go("/logout");
    await go("/browser/");
    expect(/\/login/.test(page.url()), "still logged in");
  });
}
