"""An origin with one scripted response per case, a client, and the normalised view of both for comparison."""

import re
import socket
import threading
import time

CASES = {}
RECEIVED = {}
LOCK = threading.Lock()


def read_head(stream):
    """The head of a message, and the bytes behind it."""
    buffer = b""
    while b"\r\n\r\n" not in buffer:
        chunk = stream.recv(65536)
        if not chunk:
            return buffer, b""
        buffer += chunk
    head, rest = buffer.split(b"\r\n\r\n", 1)
    return head, rest


def read_body(stream, head, rest, is_response=False, method="GET"):
    """The body, its framing, and the bytes behind it. The framing `cut` is an incomplete body."""
    lower = head.lower()
    if is_response:
        status = int(head.split(b" ", 2)[1])
        if method == "HEAD" or status in (204, 304):
            return b"", "none", rest
    content_length = re.search(rb"\r\ncontent-length:\s*(\d+)", lower)
    if b"\r\ntransfer-encoding:" in lower and b"chunked" in lower:
        body = b""
        while True:
            while b"\r\n" not in rest:
                chunk = stream.recv(65536)
                if not chunk:
                    return body, "cut", b""
                rest += chunk
            line, rest = rest.split(b"\r\n", 1)
            size = int(line.split(b";")[0], 16)
            if size == 0:
                while b"\r\n\r\n" not in b"\r\n" + rest:
                    chunk = stream.recv(65536)
                    if not chunk:
                        return body, "cut", b""
                    rest += chunk
                trailers = (b"\r\n" + rest).split(b"\r\n\r\n", 1)[0]
                return (
                    body,
                    "chunked" + (" trailers:" + trailers.decode("latin1").strip().lower() if trailers.strip() else ""),
                    b"",
                )
            while len(rest) < size + 2:
                chunk = stream.recv(65536)
                if not chunk:
                    return body + rest, "cut", b""
                rest += chunk
            body += rest[:size]
            rest = rest[size + 2 :]
    if content_length:
        length = int(content_length.group(1))
        while len(rest) < length:
            chunk = stream.recv(65536)
            if not chunk:
                return rest, "cut", b""
            rest += chunk
        return rest[:length], "length", rest[length:]
    if is_response:
        while True:
            chunk = stream.recv(65536)
            if not chunk:
                return rest, "eof", b""
            rest += chunk
    return b"", "none", rest


def serve(stream):
    try:
        stream.settimeout(15)
        head, rest = read_head(stream)
        if not head:
            return
        match = re.search(rb"\r\nx-case:\s*(\S+)", head.lower())
        case = match.group(1).decode() if match else "nocase"
        if b"\r\nexpect:" in head.lower():
            stream.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        body, framing, _ = read_body(stream, head, rest)
        with LOCK:
            RECEIVED.setdefault(case, []).append((head, body, framing))
        response = CASES.get(case, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        if callable(response):
            response(stream, head, body)
        else:
            stream.sendall(response)
        try:
            stream.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        time.sleep(0.02)
    except Exception as error:
        with LOCK:
            RECEIVED.setdefault("_err", []).append(repr(error))
    finally:
        stream.close()


def start_origin():
    """Starts the origin and returns its port."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(512)

    def accept():
        while True:
            stream, _ = listener.accept()
            threading.Thread(target=serve, args=(stream,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


def send(port, raw, method="GET"):
    """Sends a raw request. Returns status or error, head, body with framing, and interim heads."""
    stream = socket.create_connection(("127.0.0.1", port), 5)
    stream.settimeout(8)
    try:
        if isinstance(raw, list):
            for part in raw:
                stream.sendall(part)
                time.sleep(0.02)
        else:
            stream.sendall(raw)
        interim = []
        rest = b""
        while True:
            buffer = rest
            while b"\r\n\r\n" not in buffer:
                chunk = stream.recv(65536)
                if not chunk:
                    return ("EOF", buffer, [], interim)
                buffer += chunk
            head, rest = buffer.split(b"\r\n\r\n", 1)
            status = int(head.split(b" ", 2)[1])
            if 100 <= status < 200 and status != 101:
                interim.append(head)
                continue
            break
        if status == 101:
            time.sleep(0.1)
            stream.sendall(b"PING")
            try:
                rest += stream.recv(100)
            except OSError:
                pass
            return (status, head, rest, interim)
        body, framing, _ = read_body(stream, head, rest, True, method)
        return (status, head, (body, framing), interim)
    except socket.timeout:
        return ("TIMEOUT", b"", [], [])
    except OSError as error:
        return ("ERR " + type(error).__name__, b"", [], [])
    finally:
        stream.close()


# Fields that the two proxies may set differently.
IGNORED_RESPONSE_FIELDS = {"server", "date", "via", "connection", "keep-alive", "transfer-encoding", "proxy-connection"}
IGNORED_REQUEST_FIELDS = {
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


def fields(head, ignored):
    found = []
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        name = name.decode("latin1").lower().strip()
        if name in ignored:
            continue
        found.append((name, value.strip().decode("latin1")))
    return sorted(found, key=lambda field: field[0])


def normalise(result):
    """A response without the parts that may differ."""
    status, head, body, interim = result
    if isinstance(status, str):
        return {"status": status}
    lines = fields(head, IGNORED_RESPONSE_FIELDS)
    lines = [(name, re.sub(r"\d{10}", "T", value)) for name, value in lines]
    response = {"status": status, "fields": lines, "interim": [fields(head, IGNORED_RESPONSE_FIELDS) for head in interim]}
    if isinstance(body, tuple):
        response["body"] = body[0].decode("latin1")[:300] + f"#{len(body[0])}"
        response["framing"] = body[1]
    else:
        response["body"] = body.decode("latin1") if isinstance(body, bytes) else ""
    return response


def received(case):
    """The requests of a case that the origin received."""
    with LOCK:
        requests = RECEIVED.pop(case, [])
    return [
        {
            "line": head.split(b"\r\n")[0].decode("latin1"),
            "fields": fields(head, IGNORED_REQUEST_FIELDS),
            "body": f"{len(body)}",
            "framing": framing if "trailers" in framing else "",
        }
        for head, body, framing in requests
    ]
