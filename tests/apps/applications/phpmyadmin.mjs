// phpMyAdmin (Debian's package) with MariaDB.
import { servePhp } from "../process.mjs";
import { startMariaDb } from "../mariadb.mjs";

export async function start(folder) {
  const database = await startMariaDb(folder, "suite", "secret");
  const server = await servePhp(folder, "/usr/share/phpmyadmin", { args: ["-d", `mysqli.default_socket=${database.socket}`] });
  return { port: server.port, stop: () => { server.stop(); database.stop(); } };
}

export async function visit({ page, go, step, submit, expect, press, sees }) {
  const table = `t${Date.now()}`;
  await step("log in", async () => {
    await go("/");
    await page.fill("#input_username", "suite");
    await page.fill("#input_password", "secret");
    await submit("#input_go");
    await sees("#pma_navigation_tree");
  });
  await step("post a form", async () => {
    await go("/index.php?route=/server/sql");
    await sees("#queryfieldscontainer .CodeMirror");
    await page.evaluate((sql) => document.querySelector("#queryfieldscontainer .CodeMirror").CodeMirror.setValue(sql), `CREATE TABLE suite.${table} (id INT)`);
    await press("#button_submit_query");
    await sees(".alert-success, .result_query .alert");
  });
  await step("upload", async () => {
    await go("/index.php?route=/database/import&db=suite");
    await page.setInputFiles("#input_import_file", { name: "a.sql", mimeType: "text/plain", buffer: Buffer.from(`INSERT INTO ${table} VALUES (4711);`) });
    await submit("#buttonGo");
    await go(`/index.php?route=/sql&db=suite&table=${table}`);
    await sees("td.data:has-text('4711')");
  });
  await step("log out", async () => {
    await submit("#serverinfo ~ * .logout, a.logout, .logout");
    await go("/");
    expect(await page.locator("#input_username").count() === 1, "still logged in");
  });
}
