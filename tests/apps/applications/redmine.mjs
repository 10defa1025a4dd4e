// Redmine (Debian's package) with SQLite and Puma.
import fs from "node:fs";
import path from "node:path";
import { run, serve } from "../process.mjs";

const SETUP = `
ActiveRecord::Tasks::DatabaseTasks.migrate
ActiveRecord::Base.descendants.each(&:reset_column_information)
Redmine::DefaultData::Loader.load("en")
User.find_by(login: "admin").update!(password: "secretsecret", must_change_passwd: false)
Project.create!(name: "Suite", identifier: "suite", trackers: Tracker.all, enabled_module_names: ["issue_tracking"])
`;

export async function start(folder) {
  // A copy, because Debian's files keep their instances in /etc and /var.
  const code = path.join(folder, "redmine");
  await fs.promises.cp("/usr/share/redmine", code, { recursive: true, filter: (file) => !/\/(instances|database\.yml|Gemfile\.lock)$/.test(file) });
  const instance = path.join(code, "instances/default");
  for (const name of ["config", "tmp", "log", "files"]) fs.mkdirSync(path.join(instance, name), { recursive: true });
  fs.writeFileSync(path.join(instance, "config/database.yml"), `production:\n  adapter: sqlite3\n  database: ${folder}/redmine.db\n`);
  fs.writeFileSync(path.join(instance, "config/secret_key.txt"), "secret".repeat(8));
  fs.writeFileSync(path.join(code, "Gemfile"), fs.readFileSync(path.join(code, "Gemfile"), "utf8").replaceAll("/usr/share/redmine", code));
  fs.writeFileSync(path.join(code, "Gemfile.local"), 'gem "puma"\n');
  fs.writeFileSync(path.join(folder, "setup.rb"), SETUP);
  const env = { RAILS_ENV: "production", VERBOSE: "false" };
  await run(folder, ["ruby", "bin/rails", "runner", path.join(folder, "setup.rb")], { cwd: code, env });
  return serve(folder, (port) => ["ruby", "bin/rails", "server", "-b", "127.0.0.1", "-p", port], { cwd: code, env, path: "/login" });
}

export async function visit({ page, go, step, submit, expect, sees }) {
  await step("log in", async () => {
    await go("/login");
    await page.fill("#username", "admin");
    await page.fill("#password", "secretsecret");
    await submit("#login-submit");
    expect(await page.locator("#loggedas").count() === 1, "not logged in");
  });
  await step("post a form with a file", async () => {
    await go("/projects/suite/issues/new");
    const subject = `Issue ${Date.now()}`;
    await page.fill("#issue_subject", subject);
    await page.setInputFiles(".add_attachment input[type=file]", { name: "a.txt", mimeType: "text/plain", buffer: Buffer.alloc(1000, "a") });
    await sees(".attachments_fields input.token[value]:not([value=''])");
    await submit("#issue-form input[name=commit]");
    expect(await page.innerText(".subject h3") === subject, "not saved");
    await sees(".attachments a:has-text('a.txt')");
  });
  await step("log out", async () => {
    await submit("a.logout");
    expect(await page.locator("#loggedas").count() === 0, "still logged in");
  });
}
