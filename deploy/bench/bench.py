#!/usr/bin/env python3
"""Benchmarks consentry against nginx, HAProxy, Envoy and Pingora over loopback: CPU per request, latency and memory.

The origin and the load generator run on core 0, the proxy on core 1. Every proxy gets the same requests and forwards to
the same origin. The rounds of the proxies are interleaved within a run. Compare the ratios within a run, not the figures
of two runs.

Debian packages: nginx-light, libnginx-mod-http-lua, lua-resty-core, haproxy, wrk, nghttp2-client (h2load).
Set ENVOY to the path of Envoy, and build Pingora with `make pingora`. A proxy that is not installed is skipped with a
message.
"""

import argparse
import json
import os
import re
import resource
import shutil
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from html import escape

HERE = os.path.dirname(os.path.abspath(__file__))
ORIGIN = 19000
TICK = os.sysconf("SC_CLK_TCK")
CONSENT = f"consentry=1~{int(time.time())}~2018-05-25~functional~"
COOKIE = (
    "session=8f14e45fceea167a5a36dedd4bea2543; _ga=GA1.2.1234567890.1700000000; _gid=GA1.2.987654321.1700000000; "
    f"_fbp=fb.1.1700000000000.1234567890; {CONSENT}; lang=en; csrftoken=abcdef0123456789; IDE=AHWqTUkYt0"
)
PROXIES = ["nginx", "nginx+Lua", "HAProxy", "HAProxy+Lua", "Envoy", "Envoy+Lua", "Pingora", "consentry"]
WITHOUT_LUA_AND_ENVOY = ["nginx", "HAProxy", "Pingora", "consentry"]
# name: (title, path, connections, TLS and HTTP/2, proxies; None for all)
LOADS = {
    "h1": ("HTTP/1.1, 1 KiB, 64 connections", "/1k.html", 64, False, None),
    "h1-1": ("HTTP/1.1, 1 KiB, 1 connection", "/1k.html", 1, False, WITHOUT_LUA_AND_ENVOY),
    "h1-1000": ("HTTP/1.1, 1 KiB, 1,000 connections", "/1k.html", 1000, False, None),
    "h1-64k": ("HTTP/1.1, 64 KiB, 64 connections", "/64k.html", 64, False, [*WITHOUT_LUA_AND_ENVOY, "Envoy"]),
    "h1-64k-1000": ("HTTP/1.1, 64 KiB, 1,000 connections", "/64k.html", 1000, False, [*WITHOUT_LUA_AND_ENVOY, "Envoy"]),
    "log": ("HTTP/1.1, 1 KiB, 64 connections, with an access log", "/1k.html", 64, False,
            [f"{name}, access log" for name in PROXIES]),
    "h1-10m": ("HTTP/1.1, 10 MiB, 16 connections", "/10m.bin", 16, False, ["nginx", "HAProxy", "Envoy", "consentry"]),
    "beacon": ("HTTP/1.1, beacon without consent", "/collect?v=2&tid=G-1", 64, False, None),
    "h2": ("TLS 1.3 and HTTP/2, 1 KiB, 64 connections of 8 streams", "/1k.html", 64, True,
           ["nginx", "nginx+Lua", "HAProxy", "HAProxy+Lua", "consentry"]),
    "h2-64k": ("TLS 1.3 and HTTP/2, 64 KiB, 16 connections of 8 streams", "/64k.html", 16, True,
               ["nginx", "HAProxy", "consentry"]),
    "rules": ("HTTP/1.1, 1 KiB, by the number of rules", "/1k.html", 64, False,
              ["consentry, 10 rules", "consentry, 1,000 rules", "consentry, 10,000 rules"]),
}
OTHER_CASES = ["idle", "workers", "ext-proc"]
# The cores of load generator and origin, Envoy, and consentry.
LAYOUTS = {"all on one core": "000", "Envoy and consentry on a second core": "011", "Envoy on a second core": "010"}


class Proxy:
    """A proxy process on its own core."""

    def __init__(self, name, folder, port, args):
        self.name, self.port = name, port
        self.command = self.configure(base_name(name), folder, args)
        self.log = open(f"{folder}/{port}.log", "w")

    def configure(self, kind, folder, args):
        """Writes the config and returns the command line."""

        def write(name, **more):
            with open(f"{HERE}/peers/{name}") as file:
                text = file.read()
            values = {"W": folder, "PORT": self.port, "TLS": self.port + 50, "ORIGIN": ORIGIN} | more
            for key, value in values.items():
                text = text.replace(f"@{key}@", str(value))
            path = f"{folder}/{self.port}-{name}"
            with open(path, "w") as file:
                file.write(text)
            return path

        lua, logs = "+Lua" in kind, "access log" in self.name
        access_log = f"{folder}/{self.port}-access.log"
        if kind.startswith("nginx"):
            return ["nginx", "-c", write("nginx-lua.conf" if lua else "nginx.conf", ACCESS=access_log if logs else "off")]
        if kind.startswith("HAProxy"):
            access = "log stdout format raw local0\n  option httplog" if logs else "no log"
            return ["haproxy", "-db", "-f", write("haproxy-lua.cfg" if lua else "haproxy.cfg", ACCESS=access)]
        if kind == "Pingora":
            return [args.pingora, f"127.0.0.1:{self.port}", f"127.0.0.1:{ORIGIN}", *([access_log] if logs else [])]
        if kind.startswith("Envoy"):
            with open(f"{HERE}/peers/policy.lua") as policy, open(f"{HERE}/peers/envoy.lua") as filter_:
                code = filter_.read().replace("@POLICY@", policy.read())
            code = "".join(f"\n                  {line}" for line in code.splitlines())
            lua_filter = (
                '- name: envoy.filters.http.lua\n            typed_config:\n              "@type": type.googleapis.com/'
                "envoy.extensions.filters.http.lua.v3.Lua\n              default_source_code:\n"
                f"                inline_string: |{code}"
            )
            ext_proc_filter = (
                '- name: envoy.filters.http.ext_proc\n            typed_config:\n              "@type": type.googleapis.com/'
                "envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor\n              grpc_service: "
                "{ envoy_grpc: { cluster_name: consentry }, timeout: 0s }\n              processing_mode: "
                "{ request_header_mode: SEND, response_header_mode: SEND, response_trailer_mode: SKIP }"
            )
            filters = {"Envoy+Lua": lua_filter, "Envoy+consentry": ext_proc_filter}
            access = (
                '[{ name: file, typed_config: { "@type": type.googleapis.com/'
                f'envoy.extensions.access_loggers.file.v3.FileAccessLog, path: "{access_log}" }} }}]'
            )
            config = write("envoy.yaml", FILTER=filters.get(kind, ""), PROCESSOR=self.port + 60,
                           ACCESS=access if logs else "[]")
            return [envoy_path(), "--concurrency", "1", "--base-id", str(self.port % 1000), "-l", "off", "-c", config]
        workers = re.search(r"(\d+) workers?", self.name)
        rules = re.search(r"([\d,]+) rules", self.name)
        config = write("consentry.toml", WORKERS=workers[1] if workers else 1, ACCESS=str(logs).lower(),
                       CATALOGUE="[]" if rules else '["builtin"]')
        if rules:
            with open(config, "a") as file:
                file.write(rules_toml(int(rules[1].replace(",", ""))))
        if self.name == "ext-proc":
            return [args.consentry, "ext-proc", "--config", config, "--listen", f"127.0.0.1:{self.port}"]
        return [args.consentry, "run", "--config", config]

    def start(self, cores="1"):
        self.process = subprocess.Popen(["taskset", "-c", cores, *self.command], stdout=self.log, stderr=self.log)
        wait_for(self.port, self)

    def pids(self):
        """The process and its descendants."""
        found, pending = [], [self.process.pid]
        while pending:
            pid = pending.pop()
            found.append(pid)
            try:
                for task in os.listdir(f"/proc/{pid}/task"):
                    with open(f"/proc/{pid}/task/{task}/children") as children:
                        pending += map(int, children.read().split())
            except OSError:
                pass
        return found

    def cpu(self):
        """CPU seconds in user space and in the kernel."""
        user = kernel = 0.0
        for pid in self.pids():
            try:
                with open(f"/proc/{pid}/stat") as stat:
                    fields = stat.read().rsplit(")", 1)[1].split()
                user, kernel = user + int(fields[11]) / TICK, kernel + int(fields[12]) / TICK
            except OSError:
                pass
        return user, kernel

    def memory(self):
        """Resident memory in KiB."""
        total = 0
        for pid in self.pids():
            try:
                with open(f"/proc/{pid}/status") as status:
                    total += int(re.search(r"VmRSS:\s+(\d+)", status.read())[1])
            except (OSError, TypeError):
                pass
        return total

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(3)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def rules_toml(count):
    """This many rules, including those for the cookies of the load."""
    known = {"session": "necessary", "csrftoken": "necessary", "lang": "functional", "_ga": "analytics", "_gid": "analytics",
             "_fbp": "targeting", "IDE": "targeting"}
    others = (f"rule_{number}{'*' if number % 2 else ''}" for number in range(count - len(known)))
    rules = known | dict.fromkeys(others, "analytics")
    return "".join(f'\n[[cookie]]\nname = "{name}"\ncategory = "{category}"\n' for name, category in rules.items())


def envoy_path():
    return os.environ.get("ENVOY") or shutil.which("envoy") or "envoy"


def wait_for(port, proxy=None):
    """Waits until the port accepts connections."""
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return
        except OSError:
            time.sleep(0.1)
    log = open(proxy.log.name).read()[-800:] if proxy else ""
    sys.exit(f"nothing listens on port {port}: {log}")


def load(proxy, path, connections, http2, seconds, core="0"):
    """Number of responses, latency quantiles in microseconds, and number of failed requests."""
    header = ["-H", f"Cookie: {COOKIE}"]
    if http2:
        command = ["h2load", "-t1", f"-c{connections}", "-m8", f"-D{seconds}", *header,
                   f"https://127.0.0.1:{proxy.port + 50}{path}"]
    else:
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "--latency", *header,
                   f"http://127.0.0.1:{proxy.port}{path}"]
    out = subprocess.run(["taskset", "-c", core, *command], capture_output=True, text=True, check=True).stdout
    unit = {"us": 1, "ms": 1e3, "s": 1e6}
    if http2:
        done = int(re.search(r"(\d+) succeeded", out)[1])
        failed = sum(map(int, re.search(r"(\d+) failed, (\d+) errored", out).groups()))
        return done, {}, failed
    done = int(re.search(r"(\d+) requests in", out)[1])
    quantiles = {k: float(v) * unit[u] for k, v, u in re.findall(r"(50|99)%\s+([\d.]+)(us|ms|s)", out)}
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", out)
    return done, quantiles, int(bad[1] if bad else 0) + sum(map(int, errors.groups() if errors else []))


class PeakMemory:
    """The peak memory of a proxy within a `with` block, in KiB."""

    def __init__(self, proxy):
        self.proxy, self.peak, self.stop = proxy, 0, threading.Event()
        self.thread = threading.Thread(target=self.sample)

    def sample(self):
        while not self.stop.wait(0.25):
            self.peak = max(self.peak, self.proxy.memory())

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()


def measure(proxies, case, args):
    _, path, connections, http2, _ = LOADS[case]
    samples = {proxy.name: [] for proxy in proxies}
    for number in range(args.rounds + 1):
        for proxy in proxies:
            # The first round warms up.
            seconds = args.seconds if number else 1
            before = proxy.cpu()
            with PeakMemory(proxy) as memory:
                done, quantiles, failed = load(proxy, path, connections, http2, seconds)
            user, kernel = (b - a for a, b in zip(before, proxy.cpu()))
            if number and done:
                samples[proxy.name].append({
                    "requests/s": done / seconds, "us": (user + kernel) / done * 1e6, "user us": user / done * 1e6,
                    "p50 us": quantiles.get("50", 0), "p99 us": quantiles.get("99", 0), "failed": failed,
                    "MiB": memory.peak / 1024,
                })
    return {name: {key: statistics.median(s[key] for s in all_) for key in all_[0]} for name, all_ in samples.items() if all_}


def show(title, results, base):
    columns = ["requests/s", "p50 us", "p99 us", "us", "user us", "MiB", "failed"]
    print(f"\n{title}\n{'':24}" + "".join(f"{column:>12}" for column in columns) + f"{'ratio of us':>14}")
    for name, result in results.items():
        ratio = result["us"] / results[base]["us"] if base in results and results[base]["us"] else 0
        print(f"{name:24}" + "".join(f"{result[column]:12.1f}" for column in columns) + f"{ratio:14.2f}")
    sys.stdout.flush()


def idle(proxies, count):
    """Memory per idle connection after one response, in KiB. Starts with newly started proxies."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    request = f"GET /1k.html HTTP/1.1\r\nHost: a\r\nCookie: {COOKIE}\r\n\r\n".encode()
    # The preface, SETTINGS, and a HEADERS frame of :method GET, :scheme https, :path / and :authority a (RFC 7541).
    block = b"\x82\x87\x84\x41\x01a"
    opening = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
    opening += bytes([0, 0, len(block), 1, 5, 0, 0, 0, 1]) + block + bytes([0, 0, 0, 4, 1, 0, 0, 0, 0])
    results = {}
    for proxy in proxies:
        results[proxy.name] = {}
        for protocol in ["HTTP/1.1", "TLS and HTTP/2"]:
            if protocol != "HTTP/1.1" and proxy.name.startswith("Envoy"):
                continue
            before, streams = proxy.memory(), []
            for _ in range(count):
                stream = socket.create_connection(("127.0.0.1", proxy.port + (0 if protocol == "HTTP/1.1" else 50)))
                if protocol != "HTTP/1.1":
                    stream = context.wrap_socket(stream)
                stream.sendall(request if protocol == "HTTP/1.1" else opening)
                stream.settimeout(5)
                stream.recv(65536)
                streams.append(stream)
            time.sleep(1)
            results[proxy.name][protocol] = (proxy.memory() - before) / count
            for stream in streams:
                stream.close()
            time.sleep(0.5)
    print(f"\n{count} idle connections, KiB each{'':>12}{'HTTP/1.1':>12}{'TLS, HTTP/2':>14}{'MiB before':>12}")
    for proxy in proxies:
        memory = results[proxy.name]
        print(f"{proxy.name:40}{memory['HTTP/1.1']:12.2f}{memory.get('TLS and HTTP/2', float('nan')):14.2f}{proxy.idle / 1024:12.1f}")
    return results


def workers(folder, args):
    """Requests per second of two workers compared with one. The proxy and the load generator share two cores."""
    loads = [(1, True), (2, True), (4, True), (64, False)]
    rates = {}
    for count in [1, 2]:
        proxy = Proxy(f"consentry, {count} worker{'s' if count > 1 else ''}", folder, 19700 + count, args)
        proxy.start("0,1")
        for connections, http2 in loads:
            options, url = (["-m32"], f"https://127.0.0.1:{proxy.port + 50}") if http2 else (["--h1"], f"http://127.0.0.1:{proxy.port}")
            command = ["h2load", "-t1", f"-c{connections}", f"-D{args.seconds}", *options, "-H", f"Cookie: {COOKIE}", f"{url}/collect"]
            out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            rates[count, connections, http2] = int(re.search(r"(\d+) succeeded", out)[1]) / args.seconds
        proxy.stop()
    print("\nTwo workers compared with one: blocked beacons, load generator on the same two cores")
    speedups = {}
    for connections, http2 in loads:
        one, two = rates[1, connections, http2], rates[2, connections, http2]
        kind = f"{connections} connections of {'HTTP/2' if http2 else 'HTTP/1.1'}"
        speedups[kind] = two / one
        print(f"{kind:>27}: {one:9.0f} and {two:9.0f} requests/s, {two / one:.2f} times")
    return speedups


def ext_proc(folder, args):
    """Median latency that `consentry ext-proc` adds to Envoy on one connection, in microseconds."""
    added = {}
    print("\nMedian latency of Envoy with `consentry ext-proc` and of Envoy alone, one connection")
    for number, (layout, cores) in enumerate(LAYOUTS.items()):
        load_core, envoy_core, processor_core = cores
        port = 19800 + 10 * number
        filtered, alone = Proxy("Envoy+consentry", folder, port, args), Proxy("Envoy", folder, port + 5, args)
        processor = Proxy("ext-proc", folder, port + 60, args)
        medians = {filtered: [], alone: []}
        with ExitStack() as started:
            for proxy, core in [(processor, processor_core), (filtered, envoy_core), (alone, envoy_core)]:
                proxy.start(core)
                started.callback(proxy.stop)
            before, requests = processor.cpu(), 0
            for round_ in range(args.rounds + 1):
                for proxy in medians:
                    # The first round warms up.
                    seconds = args.seconds if round_ else 1
                    done, quantiles, failed = load(proxy, "/1k.html", 1, False, seconds, load_core)
                    if failed:
                        sys.exit(f"{proxy.name}: {failed} requests failed")
                    requests += done if proxy is filtered else 0
                    medians[proxy] += [quantiles["50"]] if round_ else []
            cpu = (sum(processor.cpu()) - sum(before)) / requests * 1e6
        with_, without = (statistics.median(medians[proxy]) for proxy in medians)
        added[layout] = with_ - without
        print(f"{layout:>45}: {with_:5.0f} and {without:5.0f} us, {added[layout]:5.0f} us added; {cpu:.0f} us CPU of consentry")
    return added


def table(cases):
    """A Markdown table: CPU per request and its user-space part in microseconds, and peak memory in MiB."""
    names = [name for name in PROXIES if any(name in map(base_name, results) for _, results in cases)]
    with open("/proc/cpuinfo") as file:
        cpu = re.search(r"model name\s*: (.*)", file.read())
    lines = [
        f"{time.strftime('%Y-%m-%d')}, {cpu[1] if cpu else os.uname().machine}, {os.cpu_count()} cores, Linux {os.uname().release}",
        "",
        "| load | " + " | ".join(names) + " | consentry to nginx |",
        "|---|" + "---|" * (len(names) + 1),
    ]
    for title, results in cases:
        by_name = {base_name(name): result for name, result in results.items()}
        if any("rules" in name for name in results):
            continue
        cells = [
            f"{by_name[name]['us']:.1f} ({by_name[name]['user us']:.1f}), {by_name[name]['MiB']:.0f}" if name in by_name else ""
            for name in names
        ]
        both = [by_name[name]["us"] for name in ["consentry", "nginx"] if name in by_name]
        cells.append(f"{both[0] / both[1]:.2f}" if len(both) == 2 else "")
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def base_name(name):
    """The name of a proxy without its variant."""
    return name.split(",")[0]


def plot(cases, path):
    """A bar chart (SVG) of the CPU per request, grouped by load."""
    rows = sum(len(results) + 1.6 for _, results in cases)
    height, left, width = int(rows * 18 + 40), 170, 560
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 90} {height}" font-family="sans-serif" font-size="12">',
        "<title>CPU per request, in microseconds</title><rect width='100%' height='100%' fill='#fff'/>",
    ]
    y = 20
    for title, results in cases:
        most = max(result["us"] for result in results.values()) or 1
        out.append(f'<text x="8" y="{y}" font-weight="bold">{escape(title)}: CPU per request, microseconds</text>')
        y += 8
        for name, result in results.items():
            is_consentry, total = name.startswith("consentry"), result["us"] / most * width
            user = result["user us"] / most * width
            out.append(
                f'<text x="{left - 8}" y="{y + 12}" text-anchor="end">{escape(name)}</text>'
                f'<rect x="{left}" y="{y}" width="{total:.1f}" height="15" fill="{"#9cc5a1" if is_consentry else "#c4cad0"}"/>'
                f'<rect x="{left}" y="{y}" width="{user:.1f}" height="15" fill="{"#2c7a3f" if is_consentry else "#6b7480"}"/>'
                f'<text x="{left + total + 6:.1f}" y="{y + 12}">{result["us"]:.1f}</text>'
            )
            y += 18
        y += 20
    out.append(f'<text x="8" y="{y}" fill="#555">Dark: user space. Light: kernel.</text></svg>')
    with open(path, "w") as file:
        file.write("\n".join(out))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--consentry", default="target/release/consentry", help="path of the consentry binary (default: %(default)s)")
    parser.add_argument("--pingora", default="target/pingora/release/pingora-peer", help="path of the Pingora binary (default: %(default)s)")
    parser.add_argument("--cases", default=",".join([*LOADS, *OTHER_CASES]), help="comma-separated loads (default: all)")
    parser.add_argument("--proxies", default=",".join(PROXIES), help="comma-separated proxies (default: all)")
    parser.add_argument("--rounds", type=int, default=3, help="number of interleaved rounds per load (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=3, help="seconds per round (default: %(default)s)")
    parser.add_argument("--idle", type=int, default=5000, help="number of idle connections (default: %(default)s)")
    parser.add_argument("--svg", default="bench.svg", help="output file of the chart (default: %(default)s)")
    parser.add_argument("--json", help="output file of the figures (JSON)")
    parser.add_argument("--markdown", help="output file of the CPU and memory table (Markdown)")
    args = parser.parse_args()
    for tool in ["nginx", "wrk", "h2load", "openssl", "taskset", args.consentry]:
        if not shutil.which(tool):
            sys.exit(f"{tool} not found: --help lists the packages")
    unknown = [case for case in args.cases.split(",") if case not in [*LOADS, *OTHER_CASES]]
    if unknown:
        sys.exit(f"unknown load: {', '.join(unknown)}")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(65536, hard), hard))
    installed = {"nginx": "nginx", "HAProxy": "haproxy", "Envoy": envoy_path(), "Pingora": args.pingora, "consentry": args.consentry}
    wanted = []
    for name in args.proxies.split(","):
        kind = name.removesuffix("+Lua")
        lua = os.path.exists("/usr/lib/nginx/modules/ngx_http_lua_module.so")
        if shutil.which(installed.get(kind, kind)) and (name != "nginx+Lua" or lua):
            wanted.append(name)
        else:
            print(f"skipped: {name} is not installed")
    folder = tempfile.mkdtemp(prefix="consentry-bench-")
    os.chmod(folder, 0o755)
    running, figures, cases = {}, {}, []
    origin = None
    try:
        prepare(folder)
        origin = subprocess.Popen(["taskset", "-c", "0", "nginx", "-c", f"{folder}/origin.conf"])
        wait_for(ORIGIN)

        def proxy(name):
            if name not in running:
                running[name] = Proxy(name, folder, 19100 + 101 * len(running), args)
                running[name].start()
                running[name].idle = running[name].memory()
            return running[name]

        for case in args.cases.split(","):
            if case in LOADS:
                names = LOADS[case][4] or PROXIES
                proxies = [proxy(name) for name in names if base_name(name) in wanted]
                results = measure(proxies, case, args)
                show(LOADS[case][0], results, next(iter(results)))
                cases.append((LOADS[case][0], results))
                figures[case] = results
            elif case == "idle":
                # Memory allocated under load would hide the memory of the idle connections.
                for each in running.values():
                    each.stop()
                running.clear()
                names = ["nginx", "HAProxy", "Envoy", "consentry"]
                figures[case] = idle([proxy(name) for name in names if name in wanted], args.idle)
            elif case == "workers":
                figures[case] = workers(folder, args)
            elif "Envoy" in wanted:
                figures[case] = ext_proc(folder, args)
    finally:
        for each in running.values():
            each.stop()
        if origin:
            origin.terminate()
            origin.wait()
        shutil.rmtree(folder, ignore_errors=True)
    if cases:
        plot(cases, args.svg)
        print(f"\nchart: {args.svg}")
    if cases and args.markdown:
        with open(args.markdown, "w") as file:
            file.write(table(cases) + "\n")
    if args.json:
        with open(args.json, "w") as file:
            json.dump(figures, file, indent=1)


def prepare(folder):
    """Writes the files that the proxies and the origin read."""
    os.makedirs(f"{folder}/www")
    for name, size in [("1k.html", 1 << 10), ("64k.html", 1 << 16), ("10m.bin", 10 << 20), ("index.html", 1 << 10)]:
        with open(f"{folder}/www/{name}", "w") as file:
            file.write("x" * size)
    for name in ["policy.lua", "haproxy.lua"]:
        shutil.copy(f"{HERE}/peers/{name}", folder)
    with open(f"{HERE}/peers/origin.conf") as file:
        text = file.read().replace("@W@", folder).replace("@ORIGIN@", str(ORIGIN))
    with open(f"{folder}/origin.conf", "w") as file:
        file.write(text)
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "3",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
         "-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem"],
        check=True, capture_output=True)
    with open(f"{folder}/both.pem", "w") as both:
        for name in ["cert.pem", "key.pem"]:
            with open(f"{folder}/{name}") as file:
                both.write(file.read())


if __name__ == "__main__":
    main()
