// A MariaDB server for one application, on a Unix socket in the application's folder.
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { run, start } from "./process.mjs";

/** Starts the server, and creates a database for `user` with the same name. */
export async function startMariaDb(folder, user, password) {
  const data = path.join(folder, "mariadb");
  const socket = path.join(folder, "mariadb.sock");
  const account = os.userInfo().username;
  await run(folder, ["mariadb-install-db", "--no-defaults", `--user=${account}`, `--datadir=${data}`, "--auth-root-authentication-method=normal", "--skip-test-db"]);
  const { stop } = await start(folder, ["/usr/sbin/mariadbd", "--no-defaults", `--user=${account}`, `--datadir=${data}`, `--socket=${socket}`,
    "--skip-networking", "--innodb-flush-log-at-trx-commit=0", `--pid-file=${folder}/mariadb.pid`], { ready: async () => fs.existsSync(socket) });
  await run(folder, ["mariadb", "--no-defaults", "--user=root", `--socket=${socket}`],
    { input: `CREATE DATABASE ${user}; GRANT ALL ON *.* TO ${user}@localhost IDENTIFIED BY '${password}';` });
  return { socket, stop };
}
