"""An origin with h11. It responds with method, target, host and body length."""

import socket
import threading

import h11


def serve(stream):
    connection = h11.Connection(h11.SERVER)
    request, length = None, 0
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            data = stream.recv(65536)
            connection.receive_data(data)
            if not data and connection.their_state is h11.IDLE:
                return
        elif isinstance(event, h11.Request):
            request, length = event, 0
        elif isinstance(event, h11.Data):
            length += len(event.data)
        elif isinstance(event, h11.EndOfMessage):
            host = dict(request.headers).get(b"host", b"").decode()
            text = f"{request.method.decode()} {request.target.decode()} {host} {length}".encode()
            head = h11.Response(status_code=200, headers=[("Content-Length", str(len(text)))])
            stream.sendall(connection.send(head) + connection.send(h11.Data(text)) + connection.send(h11.EndOfMessage()))
            if connection.our_state is h11.MUST_CLOSE:
                return
            connection.start_next_cycle()
        else:
            return


def main():
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    while True:
        stream, _ = listener.accept()
        threading.Thread(target=serve, args=(stream,), daemon=True).start()


main()
