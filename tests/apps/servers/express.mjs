// Account pages of a shop: express-session, csurf with a cookie, multer for an upload, and a socket.io chat that reads the
// session.
import http from "node:http";
import cookieParser from "cookie-parser";
import csurf from "csurf";
import express from "express";
import session from "express-session";
import multer from "multer";
import { Server } from "socket.io";

const app = express();
const sessions = session({ secret: "secret", resave: false, saveUninitialized: false });
const files = multer();
app.use(sessions, cookieParser(), express.urlencoded({ extended: false }));
app.use("/upload", files.single("file"));
app.use(csurf({ cookie: true }));

const form = (request, body, action, type = "application/x-www-form-urlencoded") =>
  `<form method="post" action="${action}" enctype="${type}"><input type="hidden" name="_csrf" value="${request.csrfToken()}">${body}<button>Send</button></form>`;
const page = (request, body) => `<!doctype html><html><head><title>Express</title></head><body><p id="user">${request.session.user ?? ""}</p>${body}
<script src="/socket.io/socket.io.js"></script></body></html>`;

app.get("/", (request, response) => {
  const { user, notes = [], file = "" } = request.session;
  response.send(page(request, user === undefined
    ? form(request, '<input name="user">', "/login")
    : `${form(request, '<input name="note">', "/notes")}${form(request, '<input type="file" name="file">', "/upload", "multipart/form-data")}${form(request, "", "/logout")}
       <p id="notes">${notes.join()}</p><p id="file">${file}</p><p id="chat"></p>
       <script>addEventListener("load", () => { const socket = io(); socket.on("hello", (name) => { document.querySelector("#chat").textContent = name; }); });</script>`));
});
app.post("/login", (request, response) => { request.session.user = request.body.user; response.redirect("/"); });
app.post("/notes", (request, response) => { request.session.notes = [...request.session.notes ?? [], request.body.note]; response.redirect("/"); });
app.post("/upload", (request, response) => { request.session.file = `${request.file.originalname} ${request.file.size}`; response.redirect("/"); });
app.post("/logout", (request, response) => request.session.destroy(() => response.redirect("/")));

const server = http.createServer(app);
const io = new Server(server);
io.engine.use(sessions);
io.on("connection", (socket) => socket.emit("hello", socket.request.session.user ?? "nobody"));
server.listen(Number(process.argv[2]), "127.0.0.1");
