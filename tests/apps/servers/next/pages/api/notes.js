import { getServerSession } from "next-auth/next";
import { options } from "./auth/[...nextauth].js";

export default async function notes(request, response) {
  const session = await getServerSession(request, response, options);
  response.setHeader("Content-Type", "text/html");
  response.status(session ? 200 : 401).send(`<p id="note">${session?.user.name}: ${request.body.note}</p>`);
}
