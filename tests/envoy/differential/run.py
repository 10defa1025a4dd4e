"""Sends the same requests to the proxy and to Envoy with the processor; prints each case that differs.

Prints the port of its origin, reads the ports of both from standard input, and then prints a JSON array of
[case, differences].
"""

import json

from cases import CASES, REQUESTS
from harness import SEEN, fire, norm, origin, seen

print(origin(), flush=True)
ports = [int(port) for port in input().split()]


def outcome(port, name, raw, method):
    """What the client got, what the origin got, and how many requests came without their name."""
    SEEN.clear()
    reply = norm(fire(port, raw, method))
    return reply, seen(name), len(seen("nocase"))


def differences(proxy, envoy):
    """The parts that differ, for a person to read."""
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
