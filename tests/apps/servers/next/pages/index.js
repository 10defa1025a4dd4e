import { useState } from "react";
import { SessionProvider, signIn, signOut, useSession } from "next-auth/react";

function Account() {
  const { data } = useSession();
  const [count, setCount] = useState(0);
  return <main>
    <p id="user">{data?.user?.name ?? "nobody"}</p>
    <button id="count" onClick={() => setCount(count + 1)}>{count}</button>
    <form method="post" action="/api/notes"><input name="note" /><button id="send">Send</button></form>
    {data ? <button id="out" onClick={() => signOut()}>Log out</button> : <button id="in" onClick={() => signIn()}>Log in</button>}
  </main>;
}

export default function Home() {
  return <SessionProvider><Account /></SessionProvider>;
}
