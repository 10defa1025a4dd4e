// A real Chromium, as it runs in a container and without asking for anything from elsewhere.
import { chromium } from "playwright-core";

export const args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];

export const launch = (executablePath, ...more) => chromium.launch({ executablePath, args: [...args, ...more] });
