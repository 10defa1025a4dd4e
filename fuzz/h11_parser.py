"""Parses HTTP/1.1 messages with h11 for the fuzz targets.

Reads messages from standard input, and writes one reply per message to standard output. A frame is a length and that
many bytes. All numbers are 4 bytes, big-endian.

Message frame: the kind and the message. The kind is `q` (request), `r` (response to GET) or `h` (response to HEAD). The
connection closes after the message.

Reply frame: the result, and strings if the message is complete. The result is `r` (rejected), `i` (incomplete) or `c`
(complete). Each string is a length and its bytes:
1. the method or the status
2. the target, empty for a response
3. the HTTP version
4. the body
5. the bytes after the message
6. the number of field lines
7. name and value of each field line, then of each trailer
"""

import struct
import sys

import h11

METHODS = {b"r": "GET", b"h": "HEAD"}


def connection_for(kind):
    """A connection that waits for a request, or for the response to a GET or HEAD request."""
    if kind == b"q":
        return h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 24)
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 24)
    connection.send(h11.Request(method=METHODS[kind], target="/", headers=[("Host", "a")]))
    connection.send(h11.EndOfMessage())
    return connection


def parse(kind, message):
    connection = connection_for(kind)
    connection.receive_data(message)
    at_end, start, body = False, None, []
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError:
            return b"i" if at_end else b"r"
        if event is h11.NEED_DATA and not at_end:
            at_end = True
            connection.receive_data(b"")
        elif isinstance(event, h11.Request):
            start = [event.method, event.target, event.http_version]
            fields = event.headers.raw_items()
        elif isinstance(event, h11.Response):
            start = [str(event.status_code).encode(), b"", event.http_version]
            fields = event.headers.raw_items()
        elif isinstance(event, h11.Data):
            body.append(bytes(event.data))
        elif isinstance(event, h11.EndOfMessage):
            trailing = connection.trailing_data[0]
            strings = [*start, b"".join(body), trailing, str(len(fields)).encode()]
            for name, value in [*fields, *event.headers.raw_items()]:
                strings += [name, value]
            return b"c" + b"".join(struct.pack(">I", len(string)) + string for string in strings)
        else:
            return b"i"


def main():
    messages, replies = sys.stdin.buffer, sys.stdout.buffer
    while header := messages.read(4):
        message = messages.read(struct.unpack(">I", header)[0])
        reply = parse(message[:1], message[1:])
        replies.write(struct.pack(">I", len(reply)) + reply)
        replies.flush()


main()
