"""A gRPC server, and a client that prints the responses. Messages are plain bytes, so no schema is needed.

    grpc_peer.py serve                     prints its port
    grpc_peer.py call TARGET [CA_FILE]     prints a JSON line
"""

import json
import sys
from concurrent import futures

import grpc


def unary(request, context):
    metadata = dict(context.invocation_metadata())
    context.send_initial_metadata((("set-cookie", "_ga=1"), ("set-cookie", "sid=1")))
    context.set_trailing_metadata((("tail", "end"), ("cookies", metadata.get("cookie", ""))))
    if request == b"fail":
        context.abort(grpc.StatusCode.NOT_FOUND, "no such thing")
    return request + b"!"


def many(request, context):
    for number in range(int(request)):
        yield str(number).encode()


def both(requests, context):
    for request in requests:
        yield request.upper()


def serve():
    handlers = {
        "Unary": grpc.unary_unary_rpc_method_handler(unary),
        "Many": grpc.unary_stream_rpc_method_handler(many),
        "Both": grpc.stream_stream_rpc_method_handler(both),
    }
    server = grpc.server(futures.ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Test", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    server.wait_for_termination()


def call(target, ca_file=None):
    if ca_file:
        credentials = grpc.ssl_channel_credentials(open(ca_file, "rb").read())
        channel = grpc.secure_channel(target, credentials)
    else:
        channel = grpc.insecure_channel(target)
    result = {}
    cookies = (("cookie", "sid=1; _ga=1"),)
    reply, call_info = channel.unary_unary("/test.Test/Unary").with_call(
        b"hello", metadata=cookies, timeout=20
    )
    result["unary"] = reply.decode()
    result["initial"] = [[key, value] for key, value in call_info.initial_metadata()]
    result["trailing"] = [[key, value] for key, value in call_info.trailing_metadata()]
    try:
        channel.unary_unary("/test.Test/Unary")(b"fail", timeout=20)
    except grpc.RpcError as error:
        result["failure"] = [error.code().name, error.details()]
    many = channel.unary_stream("/test.Test/Many")(b"1000", timeout=20)
    result["many"] = sum(1 for _ in many)

    # The next message is sent only after the reply to the previous one.
    replies = []

    def one_by_one():
        for word in ("a", "b", "c"):
            yield word.encode()
            while len(replies) == 0 or replies[-1] != word.upper():
                pass

    for message in channel.stream_stream("/test.Test/Both")(one_by_one(), timeout=20):
        replies.append(message.decode())
    result["both"] = replies
    print(json.dumps(result))


if sys.argv[1] == "serve":
    serve()
else:
    call(*sys.argv[2:])
