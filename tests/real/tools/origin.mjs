// An origin by Node's http that says what it has read: method, target, host and the body's length.
import { createServer } from "node:http";

const server = createServer((request, response) => {
  let length = 0;
  request.on("data", (chunk) => { length += chunk.length; });
  request.on("end", () => {
    response.end(`${request.method} ${request.url} ${request.headers.host} ${length}`);
  });
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
