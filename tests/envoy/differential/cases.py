"""The requests that are sent through both, and what the origin answers to each."""

import os
import subprocess
import time

from harness import CASES

now = int(time.time())


def granting(categories):
    """A consent cookie, as the program makes it."""
    command = [os.environ["CONSENTRY"], "cookie", "--allow", categories]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


ALL = granting("functional,analytics,targeting,social")
ANA = granting("analytics")
FUN = granting("functional")
NONE = granting("")
OLD = f"consentry=1~{now - 200 * 86400}~2018-05-25~analytics~"
REQUESTS = []
OKR = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{}Connection: close\r\n\r\nok"


def add(
    name,
    host="d.example",
    path="/",
    method="GET",
    h=(),
    body="",
    resp=None,
    rh=(),
    status="200 OK",
    rbody="ok",
    raw=None,
    ver="HTTP/1.1",
    nolen=False,
):
    if raw is None:
        hs = "".join(f"{x}\r\n" for x in h)
        if body and not any("ontent-" in x or "ransfer-" in x for x in h):
            hs += f"Content-Length: {len(body)}\r\n"
        raw = f"{method} {path} {ver}\r\nHost: {host}\r\nX-Case: {name}\r\n{hs}Connection: close\r\n\r\n{body}".encode(
            "latin1"
        )
    if resp is None:
        rs = "".join(f"{x}\r\n" for x in rh)
        nb = method == "HEAD" or status[:3] in ("204", "304")
        cl = (
            ""
            if nolen
            or any(x.lower().startswith(("transfer-", "content-length")) for x in rh)
            or (nb and method != "HEAD")
            else f"Content-Length: {len(rbody)}\r\n"
        )
        resp = f'HTTP/1.1 {status}\r\n{cl}{rs}Connection: close\r\n\r\n{"" if nb else rbody}'.encode("latin1")
    REQUESTS.append((name, raw, method))
    CASES[name] = resp


SC = lambda *x: [f"Set-Cookie: {i}" for i in x]
CK = lambda *x: ["Cookie: " + "; ".join(x)]
NAV = ["Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Accept: text/html"]
# --- odd request cookies
oc = {
    "plain": ["_ga=1; sessionid=2"],
    "only-tracker": ["_ga=1"],
    "two-fields": ["_ga=1", "sessionid=2"],
    "two-fields-b": ["sessionid=2", "_ga=1", "need=3"],
    "nospace": ["_ga=1;sessionid=2;need=3"],
    "spaces": ["  _ga=1 ;  sessionid=2  ; "],
    "empty": [""],
    "semis": [";;;"],
    "noeq": ["sessionid"],
    "nameless": ["=x; sessionid=2"],
    "quoted": ['sessionid="a;b"; _ga="x; need=1"'],
    "comma": ["sessionid=2,_ga=1"],
    "dollar": ["$Version=1; sessionid=2; $Path=/; _ga=1"],
    "hi": ["sessionid=\xff\xfe; _ga=1"],
    "hiname": ["\xe9=1; sessionid=2; _ga=1"],
    "tab": ["\tsessionid=2;\t_ga=1\t"],
    "dup": ["_ga=1; _ga=2; sessionid=1; sessionid=2"],
    "prefix": ["__Host-sessionid=2; __Secure-_ga=1; __host-_ga=3"],
    "case": ["SessionId=2; _GA=1"],
    "long": ["sessionid=" + "x" * 8000 + "; _ga=" + "y" * 8000],
    "many": ["; ".join(f"c{i}={i}" for i in range(200)) + "; sessionid=1"],
    "eqs": ["sessionid=a=b=c; _ga===;need==="],
    "json": ['sessionid={"a":1,"b":"x;y"}; _ga={}'],
    "consent-all": [ALL + "; _ga=1; unk=2; _fbp=1; sessionid=2"],
    "consent-ana": [ANA + "; _ga=1; unk=2; _fbp=1; fun_a=1"],
    "consent-fun": [FUN + "; _ga=1; unk=2; fun_a=1"],
    "consent-none": [NONE + "; _ga=1; fun_a=1; need=1"],
    "consent-two": [ALL + "; " + NONE + "; _ga=1; fun_a=1"],
    "consent-splitfields": [ALL, "_ga=1"],
    "consent-dup-fields": [NONE, ALL + "; _ga=1"],
    "consent-broken": ["consentry=xx; _ga=1"],
    "consent-old": [OLD + "; _ga=1"],
    "ws-only": ["   "],
    "crumb-tail": ["sessionid=1; "],
    "utf8": ["sessionid=\u00c3\u00a9; _ga=1"],
    "pct": ["%5Fga=1; sessionid=2"],
}
for k, v in oc.items():
    add("ck-" + k, h=["Cookie: " + x for x in v])
for k in ("plain", "consent-ana", "two-fields", "many"):
    add("cknav-" + k, h=NAV + ["Cookie: " + x for x in oc[k]])
for k in ("plain", "two-fields", "many", "spaces"):
    add("ckobs-" + k, host="obs.example", h=NAV + ["Cookie: " + x for x in oc[k]])
for k in ("plain", "only-tracker", "spaces", "nameless"):
    add("ckallow-" + k, host="allow.example", h=["Cookie: " + x for x in oc[k]])
for k in ("plain", "spaces"):
    add(
        "ckallowgpc-" + k,
        host="allow.example",
        h=["Sec-GPC: 1"] + ["Cookie: " + x + "; _fbp=1; unk=1" for x in oc[k]],
    )
    add(
        "ckallowdnt-" + k,
        host="allow.example",
        h=["DNT: 1"] + ["Cookie: " + x + "; _fbp=1; unk=1" for x in oc[k]],
    )
# GPC
add("gpc-all", h=["Sec-GPC: 1"] + CK(ALL, "_ga=1", "_fbp=1", "unk=2"))
add("gpc-two", h=["Sec-GPC: 0", "Sec-GPC: 1"] + CK(ALL, "_ga=1", "_fbp=1", "unk=2"))
add("gpc-list", h=["Sec-GPC: 1, 0"] + CK(ALL, "_fbp=1"))
add("gpc-empty", h=["Sec-GPC:"] + CK(ALL, "_fbp=1"))
# --- Set-Cookie
sc = {
    "tracker": ["_ga=1; Path=/"],
    "mixed": ["_ga=1", "sessionid=2; HttpOnly", "unk=1", "fun_a=2"],
    "del-maxage": ["_ga=; Max-Age=0"],
    "del-exp": ["_ga=x; Expires=Thu, 01 Jan 1970 00:00:00 GMT"],
    "del-neg": ["_ga=; Max-Age=-1"],
    "del-both": ["_ga=; Max-Age=100; Expires=Thu, 01 Jan 1970 00:00:00 GMT"],
    "empty": [""],
    "nameless": ["=v", "v"],
    "noeq": ["sessionid"],
    "quoted": ['sessionid="a; b"'],
    "hi": ["sessionid=\xff\xfe; Path=/", "_ga=\xff"],
    "long": ["sessionid=" + "z" * 5000],
    "dup": ["sessionid=1", "sessionid=2", "_ga=1"],
    "case": ["SESSIONID=1", "_GA=2"],
    "prefix": [
        "__Host-_ga=1; Secure; Path=/",
        "__Host-sessionid=1; Secure; Path=/",
        "__Secure-need=3; Secure",
    ],
    "comma": ["sessionid=1, _ga=2"],
    "tabs": ["\tsessionid\t=\t1", "\t_ga=1"],
    "many": [f"sessionid=1; Path=/{i}" for i in range(20)] + [f"_ga_{i}=1" for i in range(20)],
    "part": ["_ga=1; Partitioned; Secure; SameSite=None", "need=1; Partitioned; Secure"],
    "semi": [";", "; Path=/"],
    "dom": ["_ga=1; Domain=.example", "need=1; Domain=d.example"],
}
for k, v in sc.items():
    add("sc-" + k, rh=SC(*v))
for k in ("mixed", "hi", "prefix", "many", "nameless"):
    add("scall-" + k, h=CK(ALL), rh=SC(*sc[k]))
    add("scobs-" + k, host="obs.example", rh=SC(*sc[k]))
for k in ("mixed", "del-exp"):
    add("scnav-" + k, h=NAV + CK("_ga=1", "_gid=2", "unk=1"), rh=["Content-Type: text/html"] + SC(*sc[k]))
# --- cache-control
for i, cc in enumerate(
    [
        [],
        ["Cache-Control: public, max-age=60"],
        ["Cache-Control: private"],
        ["Cache-Control: no-store"],
        ["Cache-Control: max-age=1", "Cache-Control: public"],
        ["Cache-Control:"],
        ["Cache-Control: s-maxage=9, max-age=1", "Expires: Thu, 01 Jan 2037 00:00:00 GMT"],
        ['Cache-Control: no-cache="Set-Cookie"'],
        ["CDN-Cache-Control: max-age=9", "Surrogate-Control: max-age=5"],
        ["Cache-Control: immutable", "Vary: Cookie", "Age: 4"],
    ]
):
    add(f"cc-sc-{i}", rh=cc + SC("_ga=1", "need=1"))
    add(f"cc-q-{i}", h=CK("_ga=1", "need=2"), rh=cc)
    add(f"cc-nav-{i}", h=NAV + CK("_ga=1", "unk=2"), rh=cc + ["Content-Type: text/html"])
# --- technologies
te = [
    [
        'NEL: {"report_to":"n","max_age":9}',
        'Report-To: {"group":"n","max_age":9,"endpoints":[{"url":"https://x.example/r"}]}',
    ],
    [
        'Report-To: {"group":"csp","max_age":9,"endpoints":[{"url":"https://x.example/r"}]}, {"group":"n","max_age":9,"endpoints":[]}',
        'NEL: {"report_to":"n","max_age":9}',
    ],
    ['Attribution-Reporting-Register-Source: {"a":1}', "Attribution-Reporting-Register-Trigger: {}"],
    ["Observe-Browsing-Topics: ?1"],
    ["Accept-CH: Sec-CH-UA, Sec-CH-UA-Model, DPR", "Critical-CH: Sec-CH-UA-Model"],
    ["Accept-CH: Sec-CH-UA-Model"],
    ["Accept-CH:"],
    ["Accept-CH: DPR", "Accept-CH: Sec-CH-UA"],
    ["Set-Login: logged-in"],
    ['Clear-Site-Data: "cookies"'],
    ['Reporting-Endpoints: n="https://x.example/r"', "NEL: {}"],
    ["Report-To: junk{"],
    ["Link: <https://x.example>; rel=preconnect", "Timing-Allow-Origin: *"],
]
for i, t in enumerate(te):
    add(f"te-{i}", host="tech.example", rh=t)
    add(f"te-all-{i}", host="tech.example", h=CK(ALL), rh=t)
# --- beacons
for i, (m, p, h, b) in enumerate(
    [
        ("GET", "/track/x", [], ""),
        ("GET", "/track/x?uid=1", CK(ANA), ""),
        ("HEAD", "/track/x", [], ""),
        ("POST", "/track/x", [], "a=1"),
        ("OPTIONS", "/track/x", ["Origin: https://d.example", "Access-Control-Request-Method: POST"], ""),
        ("POST", "/posted", [], "x" * 10),
        ("POST", "/posted", [], "x" * 200000),
        ("GET", "/posted", [], ""),
        ("GET", "/img/a.gif", ["Sec-Fetch-Dest: image"], ""),
        ("GET", "/img/a.gif", ["Sec-Fetch-Dest: document"], ""),
        ("GET", "/track/x", ["Origin: https://other.example", "Sec-Fetch-Mode: cors"], ""),
        ("GET", "/track/x", ["Accept: image/webp,*/*", "Sec-Fetch-Dest: image"], ""),
        ("GET", "/track/x.js", ["Sec-Fetch-Dest: script"], ""),
        ("GET", "/track/x.css", ["Sec-Fetch-Dest: style"], ""),
        ("GET", "/track/f", ["Sec-Fetch-Dest: iframe"], ""),
        ("GET", "/track/x", ["Accept: application/json"], ""),
        ("GET", "/track/d", NAV, ""),
        ("POST", "/track/x", ["Content-Type: text/ping", "Ping-To: https://d.example/"], "PING"),
        ("POST", "/track/x", ["Transfer-Encoding: chunked"], "3\r\nabc\r\n0\r\n\r\n"),
        ("PUT", "/track/x", [], "a"),
        ("DELETE", "/track/x", [], ""),
        ("GET", "/g/collect?v=2", [], ""),
        ("POST", "/g/collect?v=2&tid=G-1", [], ""),
        ("GET", "/matomo.php?idsite=1&rec=1", [], ""),
        ("GET", "/track/../track/x", [], ""),
        ("GET", "//track/x", [], ""),
        ("GET", "/%74rack/x", [], ""),
        ("GET", "/TRACK/x", [], ""),
        ("GET", "/track/x", ['If-None-Match: "a"'], ""),
        ("GET", "/track/x", ["Range: bytes=0-1"], ""),
        ("GET", "/track/x", CK(ANA) + ['If-None-Match: "abc"'], ""),
    ]
):
    add(
        f"be-{i}",
        path=p,
        method=m,
        h=h,
        body=b,
        rh=['ETag: "id"', "Content-Type: image/gif"] + SC("uid=1", "_ga=3"),
    )
    add(
        f"beobs-{i}",
        host="obs.example",
        path=p,
        method=m,
        h=h,
        body=b,
        rh=['ETag: "id"', "Content-Type: image/gif"],
    )
# --- statuses
for s in (
    "201 Created",
    "204 No Content",
    "205 Reset Content",
    "206 Partial Content",
    "301 Moved Permanently",
    "302 Found",
    "303 See Other",
    "304 Not Modified",
    "307 Temporary Redirect",
    "400 Bad Request",
    "401 Unauthorized",
    "403 Forbidden",
    "404 Not Found",
    "410 Gone",
    "421 Misdirected Request",
    "429 Too Many Requests",
    "500 Internal Server Error",
    "502 Bad Gateway",
    "503 Service Unavailable",
    "504 Gateway Timeout",
    "299 Odd",
    "599 Odd",
    "600 Beyond",
    "999 LinkedIn",
):
    add(
        "st-" + s[:3],
        status=s,
        h=CK("_ga=1", "need=1"),
        rh=SC("_ga=1", "need=2")
        + (["Location: /x?a=b"] if s[0] == "3" else [])
        + (["Content-Range: bytes 0-1/5"] if s[:3] == "206" else []),
    )
for m in ("HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "PROPFIND", "TRACE", "FOO", "QUERY"):
    add(
        "me-" + m,
        method=m,
        body="abc" if m in ("PUT", "PATCH", "QUERY") else "",
        h=CK("_ga=1", "need=1"),
        rh=SC("_ga=1", "need=2"),
    )
add(
    "head-len",
    method="HEAD",
    h=CK("_ga=1"),
    resp=b"HTTP/1.1 200 OK\r\nContent-Length: 12345\r\nSet-Cookie: _ga=1\r\nConnection: close\r\n\r\n",
)
add(
    "head-chunk",
    method="HEAD",
    resp=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nSet-Cookie: _ga=1\r\nConnection: close\r\n\r\n",
)
add("eof-body", resp=b"HTTP/1.0 200 OK\r\nSet-Cookie: _ga=1\r\n\r\nbody")
add(
    "chunked",
    resp=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nSet-Cookie: _ga=1\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
)
add(
    "trailers",
    h=["TE: trailers"],
    resp=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T, Set-Cookie\r\nSet-Cookie: _ga=1\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\nSet-Cookie: _ga=2\r\n\r\n",
)
add(
    "req-trailers",
    method="POST",
    h=["Transfer-Encoding: chunked", "Trailer: Cookie, X-T"],
    body="3\r\nabc\r\n0\r\nX-T: 1\r\nCookie: _ga=1\r\n\r\n",
)
add(
    "early-hints",
    resp=b"HTTP/1.1 103 Early Hints\r\nSet-Cookie: _ga=1\r\nLink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: _ga=1\r\nConnection: close\r\n\r\nok",
)
add(
    "processing",
    resp=b"HTTP/1.1 102 Processing\r\nSet-Cookie: _ga=1\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: _ga=1\r\nConnection: close\r\n\r\nok",
)
add("expect", method="POST", h=["Expect: 100-continue"], body="abc")
WS = ["Upgrade: websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"]


def wsresp(s, h, b):
    s.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSet-Cookie: _ga=1\r\nSet-Cookie: need=1\r\n\r\n"
    )
    d = s.recv(100)
    s.sendall(b"E:" + d)
    time.sleep(0.1)


raw = lambda n, up, host="d.example": (
    f"GET /ws HTTP/1.1\r\nHost: {host}\r\nX-Case: {n}\r\n"
    + "".join(x + "\r\n" for x in up)
    + "Connection: Upgrade\r\nCookie: _ga=1; need=1\r\n\r\n"
).encode()
add("ws", raw=raw("ws", WS), resp=wsresp)
add("ws-refused", raw=raw("ws-refused", WS), resp=OKR.format("Set-Cookie: _ga=1\r\n").encode())
add("up-h2c", raw=raw("up-h2c", ["Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"]))
add("up-foo", raw=raw("up-foo", ["Upgrade: foo"]), resp=OKR.format("Set-Cookie: _ga=1\r\n").encode())
# bodies
add("big-up", method="POST", body="x" * 3000000, h=CK("_ga=1"))
add("big-down", rbody="y" * 3000000, rh=SC("_ga=1"))
add(
    "cut",
    resp=b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nSet-Cookie: _ga=1\r\nConnection: close\r\n\r\nshort",
)
add("noanswer", resp=b"")
add("garbage", resp=b"BLAH\r\n\r\n")
add("halfhead", resp=b"HTTP/1.1 200 OK\r\nSet-Co")
add(
    "bad-field",
    resp=b"HTTP/1.1 200 OK\r\nBad Name: 1\r\nContent-Length: 2\r\nSet-Cookie: _ga=1\r\nConnection: close\r\n\r\nok",
)
add(
    "ctl-field",
    resp=b"HTTP/1.1 200 OK\r\nX-C: a\x01b\r\nContent-Length: 2\r\nSet-Cookie: _ga=1\r\nConnection: close\r\n\r\nok",
)
add(
    "fold",
    resp=b"HTTP/1.1 200 OK\r\nX-C: a\r\n b\r\nSet-Cookie: sessionid=1;\r\n Path=/\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
)
add("ctl-setcookie", rh=SC("sessionid=a\x01b", "need=1"))
add("ctl-cookie", h=["Cookie: sessionid=a\x01b; _ga=1; need=1"])
add("del-cookie", h=["Cookie: sessionid=a\x7fb; _ga=1; need=1"])
# forward
for i, h in enumerate(
    [
        [],
        ["X-Consent: necessary,analytics,targeting"],
        ["X-Consent: a", "X-Consent: b"],
        CK(ANA),
        ["x-consent: necessary"],
        ["X_Consent: analytics"],
        ["Connection: X-Consent"],
    ]
):
    add(f"fw-{i}", host="fwd.example", h=h)
# hosts and sites
for i, h in enumerate(
    [
        "d.example:80",
        "D.EXAMPLE",
        "d.example.",
        "unknown.example",
        "",
        "a.wild.example",
        "path.example",
        "a b",
        "d.example:abc",
        "[::1]",
        "d.example,x",
        "d.example/x",
        "@d.example",
        "wild.example",
        "a.b.wild.example",
    ]
):
    add(f"ho-{i}", host=h, rh=SC("_ga=1"))
for i, p in enumerate(
    ["/a/b", "/a/b/c", "/a/bc", "/a", "/a/b/../x", "/a/b?x", "/A/B", "//a/b", "/a//b", "/a/b;x"]
):
    add(f"pa-{i}", host="path.example", path=p, rh=SC("_ga=1"))
for i, p in enumerate(
    [
        "/?a=|",
        "/a|b",
        '/"',
        "/<x>",
        "/a\\b",
        "/{x}",
        "/%",
        "/%zz",
        "/#frag",
        "*",
        "http://d.example/abs?x",
        "http://other.example/abs",
        "/\xe9",
        "/a^`",
        "?x",
        "/a b",
        "/" + "p" * 9000,
        "http://d.example",
        "/.consentry",
        "/.consentry/",
        "/.consentryx",
        "/.well-known/gpc.json",
        "/.consentry/consent",
        "/x/../.consentry/",
        "/.Consentry/",
        "/%2econsentry/",
        "//.consentry/",
        "/.consentry/../x",
    ]
):
    add(f"ur-{i}", path=p, h=CK("_ga=1"), rh=SC("_ga=1", "need=1"))
# consent tools
add(
    "tool-cookiebot",
    host="multi.example",
    h=[
        "Cookie: CookieConsent={stamp:'x',necessary:true,preferences:true,statistics:true,marketing:false,method:'explicit',ver:1,utc:%d000,region:'de'}; _ga=1; _fbp=2"
        % now
    ],
)
add(
    "tool-cookieyes",
    host="multi.example",
    h=[
        "Cookie: cookieyes-consent=consentid:abc,consent:yes,action:yes,necessary:yes,functional:yes,analytics:yes,performance:no,advertisement:no; _ga=1; _fbp=2"
    ],
)
add(
    "tool-onetrust",
    host="multi.example",
    h=[
        "Cookie: OptanonConsent=isGpcEnabled=0&datestamp=x&groups=C0001%3A1%2CC0002%3A1%2CC0004%3A0; OptanonAlertBoxClosed=2026-11-01T00:00:00.000Z; _ga=1; _fbp=2"
    ],
)
for i, r in enumerate(
    [
        ["CF-IPCountry: US"],
        ["CF-IPCountry: DE"],
        ["CF-IPCountry: FR"],
        [],
        ["CF-IPCountry: us"],
        ["CF-IPCountry: US", "CF-IPCountry: DE"],
    ]
):
    add(f"re-{i}", host="region.example", h=r + CK("_ga=1", "need=2"), rh=SC("_ga=1"))
# identity
for i, x in enumerate(
    [
        ["X-Forwarded-Proto: https"],
        ["X-Forwarded-Proto: http"],
        ["Forwarded: proto=https;for=1.2.3.4"],
        ["X-Forwarded-Proto: https, http"],
        ["X-Forwarded-For: 9.9.9.9"],
    ]
):
    add(f"id-{i}", h=NAV + x + CK("_ga=1", "_gid=1"), rh=["Content-Type: text/html"])
# deletions
add(
    "exp-many",
    h=NAV + ["Cookie: " + "; ".join(f"_ga_{i}=1" for i in range(40))],
    rh=["Content-Type: text/html"],
)
add(
    "exp-hdrs",
    h=NAV + ["Cookie: " + "; ".join(f"_ga_{i}=1" for i in range(40))],
    rh=["Content-Type: text/html"] + [f"X-H{i}: 1" for i in range(85)],
)
add("hdrs-99", rh=[f"X-H{i}: 1" for i in range(94)] + SC("_ga=1", "need=1"))
add("hdrs-120", rh=[f"X-H{i}: 1" for i in range(120)] + SC("_ga=1"))
add("qhdrs-95", h=[f"X-H{i}: 1" for i in range(92)] + CK("_ga=1", "need=1"))
add("qhdrs-110", h=[f"X-H{i}: 1" for i in range(110)] + CK("_ga=1"))
add("sc-90", rh=SC(*[f"need=1; Path=/{i}" for i in range(90)] + ["_ga=1"]))
add("big-hdr", rh=["X-Big: " + "x" * 50000] + SC("_ga=1"))
add("big-hdr70", rh=["X-Big: " + "x" * 70000] + SC("_ga=1"))
add("qbig-hdr55", h=["X-Big: " + "x" * 55000] + CK("_ga=1"))
add("bigck", h=["Cookie: need=" + "x" * 40000 + "; _ga=1"])
add(
    "http10",
    raw=b"GET / HTTP/1.0\r\nHost: d.example\r\nX-Case: http10\r\nCookie: _ga=1; need=2\r\n\r\n",
    rh=SC("_ga=1"),
)
add("nohost", raw=b"GET / HTTP/1.1\r\nX-Case: nohost\r\nCookie: _ga=1; need=2\r\nConnection: close\r\n\r\n")
add(
    "twohost",
    raw=b"GET / HTTP/1.1\r\nHost: d.example\r\nHost: obs.example\r\nX-Case: twohost\r\nConnection: close\r\n\r\n",
)
add("underscore", h=["X_Foo: 1", "Cookie: _ga=1; need=1"])
add("lf", raw=b"GET / HTTP/1.1\nHost: d.example\nX-Case: lf\nCookie: _ga=1; need=1\nConnection: close\n\n")
add("emptyfields", h=["X-Empty:", "Accept:"], rh=["X-Empty:", "Vary:"])
add("cookie2", h=["Cookie2: $Version=1", "Cookie: _ga=1"], rh=["Set-Cookie2: _ga=1; Version=1"])
add(
    "hop",
    h=["Keep-Alive: 3", "Proxy-Authorization: x", "TE: gzip", "Proxy-Connection: x"],
    rh=["Keep-Alive: 4", "Proxy-Authenticate: x", "Upgrade: h2"],
)
# detection by head
for i, (h, st, rh) in enumerate(
    [
        (["Sec-Fetch-Dest: image"], "204 No Content", []),
        (["Sec-Fetch-Dest: empty"], "204 No Content", []),
        (["Sec-Fetch-Dest: image"], "200 OK", ["Content-Type: image/gif", 'ETag: "u"']),
        ([], "204 No Content", SC("_ga=1")),
    ]
):
    add(f"dt-{i}", path="/zz", host="det.example", h=h, status=st, rh=rh, rbody="")
add("email", path="/o.gif", h=["User-Agent: GoogleImageProxy"], rh=["Content-Type: image/gif"])
add(
    "gzip",
    h=["Accept-Encoding: gzip"],
    rh=["Content-Encoding: gzip", "Content-Type: text/html"] + SC("_ga=1"),
    rbody="\x1f\x8b..",
)
add("sse", rh=["Content-Type: text/event-stream"] + SC("_ga=1"))
add("auth", h=["Authorization: Basic eA=="], rh=["WWW-Authenticate: Basic"] + SC("_ga=1"))
add(
    "range",
    h=["Range: bytes=0-1", "Cookie: _ga=1"],
    status="206 Partial Content",
    rh=["Content-Range: bytes 0-1/9"] + SC("_ga=1"),
)
add(
    "prefetch",
    h=["Sec-Purpose: prefetch", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Cookie: _ga=1"],
    rh=["Content-Type: text/html"],
)
add(
    "iframe",
    h=["Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe", "Cookie: _ga=1"],
    rh=["Content-Type: text/html"],
)
