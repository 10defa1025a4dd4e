"""An origin that answers by case, a client that shows what it got, and what of both is compared."""

import re
import socket
import threading
import time

CASES = {}
SEEN = {}
LOCK = threading.Lock()


def readhead(f):
    b = b""
    while b"\r\n\r\n" not in b:
        c = f.recv(65536)
        if not c:
            return b, b""
        b += c
    h, r = b.split(b"\r\n\r\n", 1)
    return h, r


def readbody(s, h, r, resp=False, method="GET"):
    hl = h.lower()
    if resp:
        st = int(h.split(b" ", 2)[1])
        if method == "HEAD" or st in (204, 304):
            return b"", "none", r
    m = re.search(rb"\r\ncontent-length:\s*(\d+)", hl)
    if b"\r\ntransfer-encoding:" in hl and b"chunked" in hl:
        out = b""
        while True:
            while b"\r\n" not in r:
                c = s.recv(65536)
                if not c:
                    return out, "cut", b""
                r += c
            l, r = r.split(b"\r\n", 1)
            n = int(l.split(b";")[0], 16)
            if n == 0:
                while b"\r\n\r\n" not in b"\r\n" + r:
                    c = s.recv(65536)
                    if not c:
                        return out, "cut", b""
                    r += c
                tr = (b"\r\n" + r).split(b"\r\n\r\n", 1)[0]
                return (
                    out,
                    "chunked" + (" trailers:" + tr.decode("latin1").strip().lower() if tr.strip() else ""),
                    b"",
                )
            while len(r) < n + 2:
                c = s.recv(65536)
                if not c:
                    return out + r, "cut", b""
                r += c
            out += r[:n]
            r = r[n + 2 :]
    if m:
        n = int(m.group(1))
        while len(r) < n:
            c = s.recv(65536)
            if not c:
                return r, "cut", b""
            r += c
        return r[:n], "length", r[n:]
    if resp:
        while True:
            c = s.recv(65536)
            if not c:
                return r, "eof", b""
            r += c
    return b"", "none", r


def serve(s):
    try:
        s.settimeout(15)
        h, r = readhead(s)
        if not h:
            return
        m = re.search(rb"\r\nx-case:\s*(\S+)", h.lower())
        case = m.group(1).decode() if m else "nocase"
        if b"\r\nexpect:" in h.lower():
            s.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        b, k, _ = readbody(s, h, r)
        with LOCK:
            SEEN.setdefault(case, []).append((h, b, k))
        resp = CASES.get(case, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        if callable(resp):
            resp(s, h, b)
        else:
            s.sendall(resp)
        try:
            s.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        time.sleep(0.02)
    except Exception as e:
        with LOCK:
            SEEN.setdefault("_err", []).append(repr(e))
    finally:
        s.close()


def origin():
    l = socket.socket()
    l.bind(("127.0.0.1", 0))
    l.listen(512)

    def loop():
        while True:
            c, _ = l.accept()
            threading.Thread(target=serve, args=(c,), daemon=True).start()

    threading.Thread(target=loop, daemon=True).start()
    return l.getsockname()[1]


def fire(port, raw, method="GET", interim=None):
    s = socket.create_connection(("127.0.0.1", port), 5)
    s.settimeout(8)
    try:
        if isinstance(raw, list):
            for x in raw:
                s.sendall(x)
                time.sleep(0.02)
        else:
            s.sendall(raw)
        inter = []
        rest = b""
        while True:
            b = rest
            while b"\r\n\r\n" not in b:
                c = s.recv(65536)
                if not c:
                    return ("EOF", b, [], inter)
                b += c
            h, rest = b.split(b"\r\n\r\n", 1)
            st = int(h.split(b" ", 2)[1])
            if 100 <= st < 200 and st != 101:
                inter.append(h)
                continue
            break
        if st == 101:
            time.sleep(0.1)
            s.sendall(b"PING")
            try:
                rest += s.recv(100)
            except OSError:
                pass
            return (st, h, rest, inter)
        body, k, _ = readbody(s, h, rest, True, method)
        return (st, h, (body, k), inter)
    except socket.timeout:
        return ("TIMEOUT", b"", [], [])
    except OSError as e:
        return ("ERR " + type(e).__name__, b"", [], [])
    finally:
        s.close()


RNOISE = {"server", "date", "via", "connection", "keep-alive", "transfer-encoding", "proxy-connection"}
QNOISE = {
    "cdn-loop",
    "via",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "forwarded",
    "x-request-id",
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-external-address",
    "x-envoy-internal",
    "connection",
    "keep-alive",
    "transfer-encoding",
    "x-forwarded-port",
    "x-real-ip",
}


def fields(h, noise):
    out = []
    for l in h.split(b"\r\n")[1:]:
        n, _, v = l.partition(b":")
        n = n.decode("latin1").lower().strip()
        if n in noise:
            continue
        out.append((n, v.strip().decode("latin1")))
    return sorted(out, key=lambda x: x[0])


def norm(res):
    st, h, b, inter = res
    if isinstance(st, str):
        return {"status": st}
    f = fields(h, RNOISE)
    f = [(n, re.sub(r"\d{10}", "T", v)) for n, v in f]
    d = {"status": st, "fields": f, "interim": [fields(x, RNOISE) for x in inter]}
    if isinstance(b, tuple):
        d["body"] = b[0].decode("latin1")[:300] + f"#{len(b[0])}"
        d["frame"] = b[1]
    else:
        d["body"] = b.decode("latin1") if isinstance(b, bytes) else ""
    return d


def seen(case):
    with LOCK:
        l = SEEN.pop(case, [])
    out = []
    for h, b, k in l:
        out.append(
            {
                "line": h.split(b"\r\n")[0].decode("latin1"),
                "fields": fields(h, QNOISE),
                "body": f"{len(b)}",
                "frame": k if "trailers" in k else "",
            }
        )
    return out
