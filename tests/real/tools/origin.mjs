// An origin with Node's HTTP parser. It responds with method, target, host and body length.
import { createServer } from "node:http";

const server = createServer((request, response) => {
  let length = 0;
  request.on("data", (chunk) => { length += chunk.length; });
  request.on("end", () => {
    response.end(`${request.method} ${request.url} ${request.headers.host} ${length}`);
  });
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
