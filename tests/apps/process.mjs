// Child processes: applications, databases and the proxy.
import { execFile, spawn } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { CONSENTRY } from "./states.mjs";

const HERE = path.dirname(fileURLToPath(import.meta.url));
export const MODULES = path.join(HERE, "node_modules");
export const PYTHON = path.join(HERE, "python/bin");
export const PGADMIN = path.join(HERE, "pgadmin/bin");
export const APPLICATIONS = path.join(HERE, "applications");
export const SERVERS = path.join(HERE, "servers");

/** An image to upload: one white pixel. */
export const PNG = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8/5+hHgAHggJ/PchI7wAAAABJRU5ErkJggg==", "base64");

const running = new Set();
process.on("exit", () => running.forEach(kill));
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(1));

function kill(child) {
  running.delete(child);
  // Kill the process group, because servers start workers.
  try { process.kill(-child.pid, "SIGKILL"); } catch { /* already exited */ }
}

/** A free port, for programs that cannot report a port chosen by the system. */
const freePort = () => new Promise((resolve) => {
  const server = net.createServer().listen(0, "127.0.0.1", () => {
    const { port } = server.address();
    server.close(() => resolve(port));
  });
});

/** Starts a program and waits until it is `ready`. Output goes to a log file, whose end is part of a start error. */
export async function start(folder, [program, ...args], { env = {}, cwd = folder, ready, seconds = 180, name = path.basename(program) }) {
  const log = path.join(folder, `${name}.log`);
  const output = fs.openSync(log, "a");
  const child = spawn(program, args, { cwd, env: { ...process.env, ...env }, detached: true, stdio: ["ignore", output, output] });
  fs.closeSync(output);
  running.add(child);
  let failure = null;
  child.on("error", (error) => { failure = error.message; });
  child.on("exit", (code) => { failure ??= `exited with ${code}`; });
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const value = failure === null && await ready(log).catch(() => null);
    if (value) return { value, stop: () => kill(child), log };
    if (failure || Date.now() > deadline) {
      kill(child);
      throw new Error(`${program}: ${failure ?? `not ready within ${seconds} s`}\n${fs.readFileSync(log, "utf8").slice(-2000)}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Whether a server responds to `path` on `port`. */
const responds = (port, path = "/") => async () =>
  (await fetch(`http://127.0.0.1:${port}${path}`, { redirect: "manual" })).status < 500;

/** Starts a server on a free port. `command` returns the command line for a port. */
export async function serve(folder, command, { path = "/", ...options } = {}) {
  const port = await freePort();
  const { stop } = await start(folder, command(port), { ...options, ready: responds(port, path) });
  return { port, stop };
}

/** Runs a program and returns its standard output. */
export const run = (folder, [program, ...args], { env = {}, cwd = folder, input = "" } = {}) => new Promise((resolve, reject) => {
  const child = execFile(program, args, { cwd, env: { ...process.env, ...env } }, (error, stdout, stderr) =>
    error ? reject(new Error(`${program}: ${error.message}\n${stdout}${stderr}`)) : resolve(stdout));
  child.stdin.end(input);
});

/** Starts PHP's built-in server with `root` as the document root. */
export const servePhp = (folder, root, { args = [], env = {}, path } = {}) =>
  serve(folder, (port) => ["php", "-d", "opcache.enable_cli=1", ...args, "-S", `127.0.0.1:${port}`, "-t", root], { path, env: { PHP_CLI_SERVER_WORKERS: "4", ...env } });

/** Starts consentry in front of `port` with one site and the config of the state. */
export async function startProxy(folder, { port, tls, config, name }) {
  const listener = tls ? "https" : "http";
  const file = path.join(folder, "consentry.toml");
  const certificate = tls ? `[tls]\ncertificates = [{ cert = "cert.pem", key = "key.pem" }]\n` : "";
  if (tls && !fs.existsSync(path.join(folder, "cert.pem"))) {
    await run(folder, ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "key.pem", "-out", "cert.pem",
      "-days", "2", "-subj", `/CN=${name}.example`, "-addext", `subjectAltName=DNS:${name}.example`]);
  }
  fs.writeFileSync(file, `[listen]\n${listener} = "127.0.0.1:0"\nadmin = "127.0.0.1:0"\n${certificate}${config}
[[site]]\nhosts = ["${name}.example"]\nupstream = "http://127.0.0.1:${port}"\n`);
  fs.rmSync(path.join(folder, "consentry.log"), { force: true });
  const listenAddress = async (log) => {
    const line = fs.readFileSync(log, "utf8").split("\n").find((line) => line.includes('"message":"serving"'));
    return line && JSON.parse(line)[listener];
  };
  const { value, stop } = await start(folder, [CONSENTRY, "run", "--config", file], { ready: listenAddress, seconds: 60, name: "consentry" });
  return { url: `${listener}://${name}.example:${value.split(":").pop()}`, stop };
}
