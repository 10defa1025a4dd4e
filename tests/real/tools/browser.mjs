// Chromium with the options for a container, and without its background requests.
import { chromium } from "playwright-core";

export const args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];

export const launch = (executablePath, ...more) => chromium.launch({ executablePath, args: [...args, ...more] });
