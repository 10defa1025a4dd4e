// MediaWiki (Debian's package) with SQLite.
import fs from "node:fs";
import path from "node:path";
import { PNG, run, servePhp } from "../process.mjs";

const CODE = "/usr/share/mediawiki";
const PASSWORD = "a long secret 1";

export async function start(folder) {
  await run(folder, ["php", `${CODE}/maintenance/install.php`, "--dbtype", "sqlite", "--dbpath", folder, "--confpath", folder, "--dbname", "suite",
    "--server", "http://mediawiki.example", "--scriptpath", "", "--pass", PASSWORD, "Suite", "Admin"]);
  const settings = path.join(folder, "LocalSettings.php");
  const images = path.join(folder, "images");
  fs.mkdirSync(images);
  fs.appendFileSync(settings, `
if (isset($_SERVER['HTTP_HOST'])) $wgServer = 'http://' . $_SERVER['HTTP_HOST'];
$wgEnableUploads = true;
$wgUploadDirectory = '${images}';
$wgCacheDirectory = '${folder}';
$wgMainCacheType = CACHE_DB;
`);
  return servePhp(folder, CODE, { env: { MW_CONFIG_FILE: settings }, path: "/index.php/Main_Page" });
}

export async function visit({ page, go, step, submit, press, expect }) {
  const title = `Page_${Date.now()}`;
  await step("edit without an account", async () => {
    await go(`/index.php?title=${title}&action=edit`);
    await page.fill("#wpTextbox1", "by nobody");
    await submit("#wpSave");
    expect(/by nobody/.test(await page.innerText("#mw-content-text")), "not saved");
  });
  await step("log in", async () => {
    await go("/index.php?title=Special:UserLogin");
    await page.fill("#wpName1", "Admin");
    await page.fill("#wpPassword1", PASSWORD);
    await press("#wpRemember");
    await submit("#wpLoginAttempt");
    expect(await page.locator("#pt-userpage").count() === 1, "not logged in");
  });
  await step("edit", async () => {
    await go(`/index.php?title=${title}&action=edit`);
    await page.fill("#wpTextbox1", "by the admin");
    await submit("#wpSave");
    expect(/by the admin/.test(await page.innerText("#mw-content-text")), "not saved");
  });
  await step("upload", async () => {
    await go("/index.php?title=Special:Upload");
    await page.setInputFiles("#wpUploadFile", { name: "a.png", mimeType: "image/png", buffer: PNG });
    await page.fill("#wpDestFile", `${title}.png`);
    await press("#wpIgnoreWarning");
    await submit("input[name=wpUpload]");
    expect(new RegExp(`File:${title.replace("_", " ")}`).test(await page.title()), "not uploaded");
  });
  await step("log out", async () => {
    await go("/index.php?title=Special:UserLogout");
    await submit("#mw-content-text form button");
    await go("/index.php/Main_Page");
    expect(await page.locator("#pt-userpage").count() === 0, "still logged in");
  });
}
