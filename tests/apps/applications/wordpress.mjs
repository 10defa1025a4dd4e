// WordPress (Debian's package) with MariaDB.
import fs from "node:fs";
import path from "node:path";
import { PNG, servePhp } from "../process.mjs";
import { startMariaDb } from "../mariadb.mjs";

export async function start(folder) {
  const database = await startMariaDb(folder, "wordpress", "secret");
  // A copy, because Debian's files read their configuration from /etc.
  const code = path.join(folder, "wordpress");
  await fs.promises.cp("/usr/share/wordpress", code, { recursive: true, dereference: true });
  fs.writeFileSync(path.join(code, "wp-config.php"), `<?php
foreach (['DB_NAME' => 'wordpress', 'DB_USER' => 'wordpress', 'DB_PASSWORD' => 'secret', 'DB_HOST' => 'localhost:${database.socket}', 'DB_CHARSET' => 'utf8mb4',
  'DISABLE_WP_CRON' => true, 'WP_HTTP_BLOCK_EXTERNAL' => true] as $key => $value) define($key, $value);
foreach (['AUTH', 'SECURE_AUTH', 'LOGGED_IN', 'NONCE'] as $key) { define($key . '_KEY', 'secret'); define($key . '_SALT', 'secret'); }
if (($_SERVER['HTTP_X_FORWARDED_PROTO'] ?? '') === 'https') $_SERVER['HTTPS'] = 'on';
$url = (isset($_SERVER['HTTPS']) ? 'https://' : 'http://') . ($_SERVER['HTTP_HOST'] ?? 'wordpress.example');
define('WP_DEFAULT_THEME', 'twentytwentyone');
define('WP_HOME', $url);
define('WP_SITEURL', $url);
$table_prefix = 'wp_';
if (!defined('ABSPATH')) define('ABSPATH', __DIR__ . '/');
require_once ABSPATH . 'wp-settings.php';
`);
  // Each state posts a comment from the same address. WordPress accepts only one per 15 seconds.
  const plugins = path.join(code, "wp-content/mu-plugins");
  fs.mkdirSync(plugins, { recursive: true });
  fs.writeFileSync(path.join(plugins, "suite.php"), "<?php add_filter('wp_is_comment_flood', '__return_false', 20);");
  const server = await servePhp(folder, code, { path: "/wp-admin/install.php" });
  const body = new URLSearchParams({ weblog_title: "Suite", user_name: "admin", admin_password: "secret", admin_password2: "secret", pw_weak: "on",
    admin_email: "admin@suite.example", language: "", Submit: "Install" });
  const installed = await fetch(`http://127.0.0.1:${server.port}/wp-admin/install.php?step=2`, { method: "POST", body });
  if (!/Success!/.test(await installed.text())) throw new Error("WordPress was not installed");
  return { port: server.port, stop: () => { server.stop(); database.stop(); } };
}

export async function visit({ page, go, step, submit, press, expect, sees }) {
  await step("comment", async () => {
    await go("/?p=1");
    await page.fill("#comment", `A comment of ${Date.now()}${Math.random()}`);
    await page.fill("#author", "Visitor");
    await page.fill("#email", "visitor@suite.example");
    await submit("#submit");
    expect(/#comment-\d+$/.test(page.url()), "not saved");
  });
  await step("log in", async () => {
    await go("/wp-login.php");
    await sees("#user_login:focus");
    await page.fill("#user_login", "admin");
    await page.fill("#user_pass", "secret");
    await press("#rememberme");
    await submit("#wp-submit");
    expect(/\/wp-admin\//.test(page.url()), `not logged in: ${await page.locator("#login_error").allInnerTexts()}`);
  });
  await step("post a form", async () => {
    await go("/wp-admin/options-general.php");
    await page.fill("#blogdescription", `As of ${Date.now()}`);
    await submit("#submit");
    await sees("#setting-error-settings_updated");
  });
  await step("upload", async () => {
    await go("/wp-admin/media-new.php?browser-uploader");
    await page.setInputFiles("#async-upload", { name: `a${Date.now()}.png`, mimeType: "image/png", buffer: PNG });
    await submit("#html-upload");
    expect(/upload\.php/.test(page.url()), "not uploaded");
  });
  await step("log out", async () => {
    await go((await page.getAttribute("#wp-admin-bar-logout a", "href")).replace(/^https?:\/\/[^/]+/, ""));
    await go("/wp-admin/");
    expect(/wp-login/.test(page.url()), "still logged in");
  });
}
