// Django's admin site, which stores its messages in a cookie.
import path from "node:path";
import { PYTHON, SERVERS, serve } from "../process.mjs";

const HOME = "/admin/";
export { HOME as path };

export const start = (folder) => serve(folder, (port) => [path.join(PYTHON, "python"), path.join(SERVERS, "admin.py"), port], { path: HOME });

export async function visit({ page, go, step, submit, expect, url }) {
  await step("log in", async () => {
    await go(HOME);
    await page.fill("#id_username", "admin");
    await page.fill("#id_password", "secret");
    await submit("input[type=submit]");
    expect(await page.locator("#logout-form").count() === 1, "not logged in");
  });
  await step("post a form", async () => {
    await go("/admin/auth/group/add/");
    await page.fill("#id_name", `group ${url} ${Date.now()}`);
    await submit("input[name=_save]");
    expect(/was added successfully/.test(await page.innerText(".messagelist")), "no message in the cookie");
  });
  await step("log out", async () => {
    await submit("#logout-form button");
    await go(HOME);
    expect(/\/login\//.test(page.url()), "still logged in");
  });
}
