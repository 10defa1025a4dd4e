// Streamlit, which uses a websocket for everything except uploads. An upload needs the XSRF cookie.
import path from "node:path";
import { PYTHON, SERVERS, serve } from "../process.mjs";

export const start = (folder) => serve(folder, (port) => [path.join(PYTHON, "streamlit"), "run", path.join(SERVERS, "upload.py"), "--server.address", "127.0.0.1",
  "--server.port", port, "--server.headless", "true", "--browser.gatherUsageStats", "false", "--server.fileWatcherType", "none"],
{ env: { HOME: folder }, path: "/_stcore/health" });

export async function visit({ page, go, step, sees }) {
  await step("use the websocket", async () => {
    await go("/");
    await page.fill("input[aria-label=Name]", "alice");
    await page.press("input[aria-label=Name]", "Enter");
    await sees("text=Hello, alice.");
  });
  await step("upload", async () => {
    await page.setInputFiles("input[type=file]", { name: "a.txt", mimeType: "text/plain", buffer: Buffer.alloc(100_000, "a") });
    await sees("text=a.txt has 100000 bytes.");
  });
}
