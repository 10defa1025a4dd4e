// Adds trackers to an application with a server between the proxy and the application. The server adds a tracking script and
// tracking cookies to each page, responds to the pixel, and records the trackers that it receives.
import http from "node:http";
import net from "node:net";

const YEAR = 31_536_000;
const SCRIPT = "/static/tag.js";
const PIXEL = "/matomo.php";
const FROM_PAGE = [`_ga=GA1.1.1.1; Path=/; Max-Age=${YEAR}`, `visitor_ref=7c1d; Path=/; Max-Age=${YEAR}; HttpOnly`];
const FROM_PIXEL = `_pk_id.1.1fff=7c1d; Path=/; Max-Age=${YEAR}`;
// A cookie written by a script and a pixel, like those of a tag manager.
const TAG = `document.cookie = "_fbp=fb.1.1.1; Path=/; Max-Age=${YEAR}"; new Image().src = "${PIXEL}?idsite=1&rec=1";`;
const GIF = Buffer.from("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7", "base64");

export const FROM_SERVER = ["_ga", "visitor_ref", "_pk_id.1.1fff"];
export const FROM_SCRIPT = "_fbp";

const nameOf = (cookie) => cookie.trim().split("=")[0];

/** Starts the server in front of an application that listens on `port`. */
export async function addTrackers(port) {
  const origin = { host: "127.0.0.1", port };
  // The received cookie names, and numbers of requests. `set` has the application's Set-Cookie lines, without values.
  const received = { cookies: new Set(), pixels: 0, pages: 0, scripts: 0, set: new Set() };
  const server = http.createServer((request, response) => {
    const path = request.url.split("?")[0];
    for (const cookie of (request.headers.cookie ?? "").split(";")) received.cookies.add(nameOf(cookie));
    if (path === SCRIPT) {
      received.scripts += 1;
      return response.writeHead(200, { "Content-Type": "text/javascript" }).end(TAG);
    }
    if (path === PIXEL) {
      received.pixels += 1;
      return response.writeHead(200, { "Content-Type": "image/gif", "Set-Cookie": FROM_PIXEL }).end(GIF);
    }
    const page = request.method === "GET" && request.headers["upgrade-insecure-requests"] !== undefined;
    const headers = { ...request.headers };
    if (page) delete headers["accept-encoding"];
    const forwarded = http.request({ ...origin, method: request.method, path: request.url, headers }, (upstreamResponse) => {
      for (const line of upstreamResponse.headers["set-cookie"] ?? []) received.set.add(line.replace(/=[^;]*/, "=…"));
      if (page && upstreamResponse.statusCode === 200 && /^text\/html/.test(upstreamResponse.headers["content-type"])) return addTrackersTo(upstreamResponse, response);
      response.writeHead(upstreamResponse.statusCode, upstreamResponse.statusMessage, upstreamResponse.rawHeaders);
      upstreamResponse.pipe(response);
    });
    forwarded.on("error", () => response.destroy());
    response.on("close", () => forwarded.destroy());
    request.pipe(forwarded);
  });
  async function addTrackersTo(upstreamResponse, response) {
    received.pages += 1;
    const chunks = [];
    for await (const chunk of upstreamResponse) chunks.push(chunk);
    const html = Buffer.concat(chunks).toString().replace("</title>", `</title><script src="${SCRIPT}"></script>`);
    const headers = [];
    for (let i = 0; i < upstreamResponse.rawHeaders.length; i += 2) {
      if (!/^(content-length|transfer-encoding)$/i.test(upstreamResponse.rawHeaders[i])) headers.push(...upstreamResponse.rawHeaders.slice(i, i + 2));
    }
    for (const cookie of FROM_PAGE) headers.push("Set-Cookie", cookie);
    response.writeHead(upstreamResponse.statusCode, [...headers, "Content-Length", `${Buffer.byteLength(html)}`]).end(html);
  }
  server.on("upgrade", (request, client, head) => {
    const upstream = net.connect(port, "127.0.0.1", () => {
      const lines = [`${request.method} ${request.url} HTTP/1.1`];
      for (let i = 0; i < request.rawHeaders.length; i += 2) lines.push(`${request.rawHeaders[i]}: ${request.rawHeaders[i + 1]}`);
      upstream.write(`${lines.join("\r\n")}\r\n\r\n`);
      upstream.write(head);
      upstream.pipe(client).pipe(upstream);
    });
    for (const [one, other] of [[client, upstream], [upstream, client]]) one.on("error", () => other.destroy());
    client.on("close", () => upstream.destroy());
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { received, port: server.address().port, stop: () => { server.close(); server.closeAllConnections(); } };
}
