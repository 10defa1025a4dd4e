"""Parses HTTP/1.1 messages with h11 for the fuzz targets.

Reads from standard input and answers on standard output, one answer a message. All numbers have 4 bytes, big-endian.

Message: length, then that many bytes: `q` (request), `r` (response to GET) or `h` (response to HEAD), and the message,
which ends with its connection.
Answer: length, then that many bytes: `r` (rejected), `i` (incomplete), or `c` (complete) and strings, each behind its
length: method or status, target or nothing, HTTP version, body, bytes behind the message, number of field lines, then
name and value of each field line, then those of each trailer.
"""

import struct
import sys

import h11

METHODS = {b"r": "GET", b"h": "HEAD"}


def connection_for(kind):
    """A connection that expects a request, or a response to the request that it has sent."""
    if kind == b"q":
        return h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 24)
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 24)
    connection.send(h11.Request(method=METHODS[kind], target="/", headers=[("Host", "a")]))
    connection.send(h11.EndOfMessage())
    return connection


def parsed(kind, message):
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
            behind = connection.trailing_data[0]
            strings = [*start, b"".join(body), behind, str(len(fields)).encode()]
            for name, value in [*fields, *event.headers.raw_items()]:
                strings += [name, value]
            return b"c" + b"".join(struct.pack(">I", len(string)) + string for string in strings)
        else:
            return b"i"


def main():
    messages, answers = sys.stdin.buffer, sys.stdout.buffer
    while header := messages.read(4):
        message = messages.read(struct.unpack(">I", header)[0])
        answer = parsed(message[:1], message[1:])
        answers.write(struct.pack(">I", len(answer)) + answer)
        answers.flush()


main()
