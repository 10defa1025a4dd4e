// A django-oscar shop: a basket without an account, stored by a cookie.
import path from "node:path";
import { PNG, PYTHON, SERVERS, serve } from "../process.mjs";

const HOME = "/catalogue/";
const PRODUCT = "/catalogue/thing_1/";
export { HOME as path };

export const start = (folder) => serve(folder, (port) => [path.join(PYTHON, "python"), path.join(SERVERS, "shop.py"), port], { path: HOME });

export async function visit({ page, go, step, submit, expect, sees }) {
  const basketHasThing = async () => {
    await go("/basket/");
    await sees(".basket-items");
  };
  await step("use the basket", async () => {
    await go(PRODUCT);
    await submit("#add_to_basket_form button");
    await basketHasThing();
  });
  await step("register", async () => {
    await go("/accounts/login/");
    await page.fill("#id_registration-email", `visitor${Date.now()}@suite.example`);
    await page.fill("#id_registration-password1", "Zx9!kkqpW2");
    await page.fill("#id_registration-password2", "Zx9!kkqpW2");
    await submit("button[name=registration_submit]");
    await sees("a[href*='/accounts/logout/']");
    await basketHasThing();
  });
  await step("log out", async () => {
    await go("/accounts/logout/");
    await go("/accounts/profile/");
    expect(/\/login\//.test(page.url()), "still logged in");
  });
  await step("log in", async () => {
    await go("/accounts/login/");
    await page.fill("#id_login-username", "admin@suite.example");
    await page.fill("#id_login-password", "secret");
    await submit("button[name=login_submit]");
    await sees("a[href*='/dashboard/']");
  });
  await step("upload", async () => {
    await go("/dashboard/catalogue/categories/create/");
    const name = `Category ${Date.now()}`;
    await page.fill("#id_name", name);
    await page.setInputFiles("#id_image", { name: "a.png", mimeType: "image/png", buffer: PNG });
    await submit("button[type=submit].btn-primary");
    await sees(`a:has-text('${name}')`);
  });
}
