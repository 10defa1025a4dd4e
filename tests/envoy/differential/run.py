"""Sends the same requests to the proxy and to Envoy with the processor, and prints each case that differs.

1. It prints the port of its origin.
2. It reads the ports of the proxy and of Envoy from standard input.
3. It prints a JSON object with the number of cases and an array of [case, differences].
"""

import json

from cases import CASES, REQUESTS
from harness import RECEIVED, normalise, received, send, start_origin

print(start_origin(), flush=True)
ports = [int(port) for port in input().split()]


def outcome(port, name, raw, method):
    """The response, the requests that the origin received, and the number of requests without a case name."""
    RECEIVED.clear()
    reply = normalise(send(port, raw, method))
    return reply, received(name), len(received("nocase"))


def differences(proxy, envoy):
    """The parts that differ."""
    (a, sent_a, _), (b, sent_b, _) = proxy, envoy
    found = {key: (a.get(key), b.get(key)) for key in set(a) | set(b) if a.get(key) != b.get(key)}
    if sent_a != sent_b:
        found["origin"] = (sent_a, sent_b)
    return found


assert len(REQUESTS) == len(CASES), "two cases have the same name"
different = []
for name, raw, method in REQUESTS:
    proxy, envoy = [outcome(port, name, raw, method) for port in ports]
    if proxy != envoy:
        different.append([name, repr(differences(proxy, envoy))[:600]])
print(json.dumps({"cases": len(REQUESTS), "different": different}))
