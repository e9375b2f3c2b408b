#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The largest allowed input from many connections at every route, as TAP.

usage: tests/standing/entry.py [--conns N] [--only TEXT] [--keep]

Walks the server's own API document. For each operation with a body, first without a key and then
with one, many connections send all of the longest body but its last byte and hold it there; then
all send that byte at once. Meanwhile and afterwards:

  * `/healthz` answers within 250 ms (times what the kernel says that others stretched the loop's
    time by, and the measured slowness of the machine) more than on an idle server beside it, which
    is asked in turn and tells what the machine does to both;
  * a client with a key is served as if nobody else were there;
  * what is held without a key costs at most 16 MiB in sum, with one 256 MiB;
  * when they have left, memory is back within a tenth, and every descriptor is closed.

Besides: bodies far over the limit of an open route, heads that do not end, takers that do not
take, two clients behind one proxy, and a server with few descriptors. The binary is the one that ships ($KARTA_STANDING); the
numbers are smaller in the short form, never the bounds.
"""
import argparse
import json
import os
import resource
import select
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(HERE, "..", "crash"))
os.environ["KARTA_CRASH"] = os.environ.get("KARTA_STANDING") or os.path.join(
    HERE, "..", "..", "build", "release", "karta")
import ledger as L  # noqa: E402

LONG = os.environ.get("KARTA_TEST_LONG") == "1"
MIB = 1024 * 1024
HEALTH_S = 0.250 * L.SLOW
STRANGERS = 16 * MIB  # KT_MAX_STRANGERS_BYTES
SIGNED = 256 * MIB  # the ceiling for whatever is allowed
PER_CONN = 6 * 1024  # a connection and its socket, whatever it is used for
SPARE = 10 * MIB  # pages that are partly used, and what one round of the loop makes anew
TRIES = 3  # of a row in which nothing but the time was wrong
SPARE_FDS = 4  # files that the database opens at need
ADDRESSES = [f"127.0.0.{n}" for n in range(2, 34)]
HEALTHZ = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
METHODS = ("get", "put", "post", "delete", "patch")


def status_of(pid, name):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        for line in f:
            if line.startswith(name + ":"):
                return int(line.split()[1])
    raise L.Failure(f"/proc/{pid}/status has no {name}")


def rss(server):
    return status_of(server.proc.pid, "VmRSS") * 1024


def fds(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def schedule_of(pid):
    """(nanoseconds that the main thread ran, that it could have run and another did instead)"""
    try:
        with open(f"/proc/{pid}/task/{pid}/schedstat", encoding="ascii") as f:
            ran, waited, _ = map(int, f.read().split())
        return ran, waited
    except FileNotFoundError:  # a kernel that does not count
        return 0, 0


class Health:
    """A process that asks /healthz all the time, here and of an idle server; the longest answers,
    the peak of memory, and how many times as long as alone the loop took for its work, because
    others ran meanwhile."""

    def __init__(self, server, idle):
        self.pid = server.proc.pid
        self.args = [sys.executable, __file__, "--health", str(server.proc.pid), str(server.port),
                     str(idle.port)]

    def __enter__(self):
        self.proc = subprocess.Popen(self.args, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.proc.stdout.readline()  # it has begun
        self.began = schedule_of(self.pid)
        return self

    def __exit__(self, *_):
        ran, waited = (now - then for now, then in zip(schedule_of(self.pid), self.began))
        # Half as long again is what the attackers themselves take of two cores.
        self.stretch = min(max((ran + waited) / ran / 1.5, 1.0), 10.0) if ran > 0 else 1.0
        out, _ = self.proc.communicate(timeout=L.PATIENCE_S)
        seen = json.loads(out)
        self.slowest, self.idle = seen["slowest"]
        self.peak, self.failed = seen["peak"], seen["failed"]


def ask_one(port):
    """(seconds, what is wrong or None)"""
    began = time.monotonic()
    failed = None
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=L.PATIENCE_S) as s:
            s.sendall(HEALTHZ)
            got = s.recv(4096)
        if not got.startswith(b"HTTP/1.1 200 "):
            failed = f"/healthz answers {got[:200]!r}"
    except OSError as e:
        failed = f"/healthz: {e}"
    return time.monotonic() - began, failed


def ask_health(pid, *ports):
    """The process of Health, until its stdin ends: at least three answers more."""
    slowest, peak, failed, left = [0.0] * len(ports), 0, None, 3
    poll = select.poll()
    poll.register(0, select.POLLHUP)
    print("begun", flush=True)
    while left:
        left -= bool(poll.poll(10))
        for i, port in enumerate(ports):
            took, wrong = ask_one(port)
            slowest[i] = max(slowest[i], took)
            failed = failed or wrong
        peak = max(peak, status_of(pid, "VmRSS") * 1024)
    print(json.dumps({"slowest": slowest, "peak": peak, "failed": failed}))


class Crowd:
    """Connections that each send what they are given as far as the server takes it."""

    def __init__(self, port, addresses):
        self.port, self.addresses, self.socks = port, addresses, []

    def send(self, conns, data):
        """Open them and send, each the next of data; returns when all is sent, refused, or nothing moves for a while."""
        sel = selectors.DefaultSelector()
        left = 0
        for i in range(conns):
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.bind((self.addresses[i % len(self.addresses)], 0))
            try:
                s.connect(("127.0.0.1", self.port))
            except OSError:
                s.close()
                continue
            s.setblocking(False)
            self.socks.append(s)
            sel.register(s, selectors.EVENT_WRITE, memoryview(data[i % len(data)]))
            left += 1
        while left:
            ready = sel.select(0.5)
            if not ready:
                break
            for key, _ in ready:
                try:
                    rest = key.data[key.fileobj.send(key.data[:65536]):]
                except BlockingIOError:
                    continue
                except OSError:
                    rest = b""  # it was refused and closed
                if rest:
                    sel.modify(key.fileobj, selectors.EVENT_WRITE, rest)
                else:
                    sel.unregister(key.fileobj)
                    left -= 1
        sel.close()

    def finish(self, data):
        for s in self.socks:
            try:
                s.send(data)
            except OSError:
                pass

    def statuses(self):
        """How many were answered with which status; the silent ones are under None."""
        seen = {}
        for s in self.socks:
            try:
                got = s.recv(64)
            except OSError:
                got = b""
            status = int(got[9:12]) if got.startswith(b"HTTP/1.1 ") else None
            seen[status] = seen.get(status, 0) + 1
        return seen

    def close(self):
        for s in self.socks:
            s.close()
        self.socks = []


class Bench:
    def __init__(self, home, args):
        self.args = args
        self.server = L.Server(os.path.join(home, "data"), os.path.join(home, "key"),
                               os.path.join(home, "log"))
        self.server.start()
        self.control = L.Server(os.path.join(home, "idle"), os.path.join(home, "idle-key"),
                                os.path.join(home, "idle-log"))
        self.control.start()
        self.n = self.failed = 0
        self.doc = self.server.call("GET", "/openapi.json", key=False)[1]
        status, doc, _ = self.server.call("POST", "/agent_projects", {"slug": "standing"})
        if status != 201:
            raise L.Failure(f"no project: {status} {doc}")
        self.idle_fds = 0
        self.warm()

    def warm(self):
        """Everything is there that comes with the first use: threads, caches, pages of the heap."""
        for _ in range(2):
            self.signed("POST", "/agent_projects", {"slug": "standing"})
            self.signed("PATCH", "/agent_projects/standing/config", {})
            crowd = Crowd(self.server.port, ADDRESSES)
            crowd.send(100, [HEALTHZ])
            time.sleep(0.2)
            crowd.close()
        self.until_idle(None)
        self.idle_fds = fds(self.server.proc.pid)

    def until_idle(self, most):
        """Wait until memory and descriptors are as before; what is left, in words, or None."""
        end = time.monotonic() + (L.PATIENCE_S / 3 if most else 2)
        while time.monotonic() < end:
            held, opened = rss(self.server), fds(self.server.proc.pid)
            if most and held <= most and opened <= self.idle_fds + SPARE_FDS:
                return None
            time.sleep(0.05)
        return f"{held / MIB:.1f} MiB, {opened} descriptors" if most else None

    def row(self, name, fn):
        if self.args.only and self.args.only not in name:
            return
        self.n += 1
        idle = rss(self.server)
        problems = fn(idle)
        # The machine may have stopped this server only; what is wrong with it is wrong each time.
        for _ in range(TRIES - 1):
            if len(problems) != 1 or "took" not in problems[0]:
                break
            print(f"# again: {problems[0]}", flush=True)
            problems = fn(idle)
        left = self.until_idle(idle * 1.1)
        if left:
            problems.append(f"before {idle / MIB:.1f} MiB and {self.idle_fds} descriptors, "
                            f"afterwards {left}")
        self.told(name, problems)

    def told(self, name, problems):
        print(f"{'not ' if problems else ''}ok {self.n} - {name}", flush=True)
        for p in problems:
            print(f"# {p}", flush=True)
        self.failed += bool(problems)

    def signed(self, method="GET", path="/v1/whoami", body=None, want=(200,)):
        status, doc, _ = self.server.call(method, path, body)
        return [] if status in want else [f"with a key {method} {path} gets {status}: {str(doc)[:200]}"]

    def hold(self, idle, conns, data, last, ceiling, busy=()):
        """The one measurement of this test; returns what is wrong."""
        problems = []
        crowd = Crowd(self.server.port, ADDRESSES)
        ceiling += idle + conns * PER_CONN + SPARE
        with Health(self.server, self.control) as health:
            crowd.send(conns, data)
            for ask in busy:
                problems += ask()
            if last:
                crowd.finish(last)
                for ask in busy:
                    problems += ask()
        seen = crowd.statuses()
        crowd.close()
        said = (f"{conns} connections: /healthz {health.slowest * 1000:.0f} ms "
                f"(idle {health.idle * 1000:.0f} ms, stretched {health.stretch:.1f} times), memory "
                f"{(health.peak - idle) / MIB:.1f} MiB above idle, answers {seen}")
        print(f"# {said}")
        if health.failed:
            problems.append(health.failed)
        if health.slowest > HEALTH_S * health.stretch + health.idle:
            problems.append(f"/healthz took {health.slowest * 1000:.0f} ms")
        if health.peak > ceiling:
            problems.append(f"memory is {(health.peak - ceiling) / MIB:.1f} MiB over the ceiling")
        for status in seen:
            if status and status >= 500 and status != 503:
                problems.append(f"{seen[status]} connections got {status}")
        return problems


def body_of(size):
    return b'{"x":"' + b"a" * (size - 8) + b'"'  # and then the last byte


def request(method, path, size, key):
    sign = f"Authorization: Bearer {key}\r\n" if key else ""
    return (f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"{sign}Content-Length: {size}\r\n\r\n").encode() + body_of(size)


def operations(doc):
    for path, item in doc["paths"].items():
        for method in METHODS:
            op = item.get(method)
            if op and "requestBody" in op:
                yield method.upper(), path, op


def fill_in(path):
    for name, value in (("{project_ref}", "standing"), ("{version}", "v1")):
        path = path.replace(name, value)
    while "{" in path:
        path = path[:path.index("{")] + "none" + path[path.index("}") + 1:]
    return path


def all_routes(b):
    conns = b.args.conns
    new = [0]

    def make():
        new[0] += 1
        return b.signed("POST", "/agent_projects", {"slug": f"busy-{new[0]}"}, (201,))

    for key in (None, b.server.key):
        ceiling, busy = (SIGNED, []) if key else (STRANGERS, [b.signed, make])
        who = "with a key" if key else "without a key"
        mixed = []
        for method, path, op in operations(b.doc):
            # A server that has no number in its document takes what HTTP takes.
            size = op.get("x-karta-max-body-bytes", MIB)
            data = request(method, fill_in(path), size, key)
            mixed.append(data)
            if LONG:
                b.row(f"{method} {path} {who}: {size} bytes", lambda idle, d=data, c=ceiling, y=busy:
                      b.hold(idle, conns, [d], b"}", c, y))
        b.row(f"every route {who}, all at once", lambda idle, d=mixed, c=ceiling, y=busy:
              b.hold(idle, conns, d, b"}", c, y))


def open_routes(b):
    """What stopped the whole server, by anybody: rows of their own, whatever the document says."""
    conns = 2000 if LONG else 300

    for path in ("/v1/device/code", "/webhooks/github", "/v1/sessions"):
        data = request("POST", path, MIB, None)
        b.row(f"POST {path} without a key: 1 MiB but its last byte",
              lambda idle, d=data: b.hold(idle, conns, [d], b"}", STRANGERS, [b.signed]))
    head = b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 8000 + b"\r\nY: " + b"b" * 7000
    b.row("heads that do not end", lambda idle: b.hold(
        idle, 2000 if LONG else 1200, [head], b"c", STRANGERS, [b.signed]))
    b.row("answers that are not taken", lambda idle: b.hold(
        idle, 2000 if LONG else 1200, [b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 8], b"",
        STRANGERS, [b.signed]))


def limited_server(home, name, files, *flags):
    """A server of its own that may have this many descriptors."""
    s = L.Server(os.path.join(home, name), os.path.join(home, f"{name}-key"),
                 os.path.join(home, f"{name}-log"))

    def spawn(prefix=()):
        s.port = L.free_port()
        with open(s.log, "ab") as log:
            s.proc = subprocess.Popen(
                [L.KARTA, "serve", "--offline", "--data", s.data, "--key-file", s.key_file,
                 "--listen", f"127.0.0.1:{s.port}", *flags], env=s.env, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (200, files)))
    s.spawn = spawn
    return s


def behind_proxy(b, home):
    """Two clients behind one proxy: what one has in flight is not the other's. Of 2,000 descriptors
    1,500 are for connections, half of them for one client at most."""
    if b.args.only and b.args.only not in "two clients behind a proxy":
        return
    b.n += 1
    problems = []
    s = limited_server(home, "behind", 2000, "--trust-proxy=127.0.0.1")

    def login(client, pad="", path="/v1/device/code"):
        body = b'{"client_name":"%s"' % (b"x" * 40)
        body += b" " * (4095 - len(body))
        return (f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4096\r\n"
                f"Content-Type: application/json\r\nX-Forwarded-For: {client}\r\n{pad}\r\n"
                ).encode() + body

    def ask(what, data, last=b"", own=None):
        own = own or socket.create_connection(("127.0.0.1", s.port))
        own.settimeout(L.PATIENCE_S)
        own.sendall(data + last)
        got = own.recv(65536).split(b"\r\n")[0]
        if b" 200 " not in got:
            problems.append(f"{what}: {got!r}")
        own.close()

    try:
        s.start()
        # The oldest of all that wait without a key, so it would be the first to make room.
        first = socket.create_connection(("127.0.0.1", s.port))
        first.sendall(login("198.51.100.2"))
        crowd = Crowd(s.port, ["127.0.0.1"])
        who = (f"GET /v1/whoami HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {s.key}\r\n"
               "X-Forwarded-For: 198.51.100.2\r\n\r\n").encode()
        # With a key there is room for the bytes of all 900 and a place for 750. Without one the
        # places would do, and older ones than fit into 4 MiB lose theirs.
        for key, want in ((s.key, {429: 150, None: 750}), (None, {503: None, None: None})):
            sign = f"Authorization: Bearer {key}\r\n" if key else f"X: {'a' * 8000}\r\n"
            path = "/agent_projects" if key else "/v1/device/code"
            crowd.send(900, [login("198.51.100.1", sign, path)])
            ask("the other with a key", who)
            ask("the other without a key", login("198.51.100.2"), b"}")
            seen = crowd.statuses()
            print(f"# 900 connections of one client: {seen}")
            if set(seen) != set(want) or any(n not in (None, seen[k]) for k, n in want.items()):
                problems.append(f"answers {seen}, not {want}")
            crowd.close()
            end = time.monotonic() + L.PATIENCE_S
            while time.monotonic() < end and fds(s.proc.pid) > 100:
                time.sleep(0.05)
        ask("what the other had begun", b"}", own=first)
        ask("the first, later", login("198.51.100.1"), b"}")
    finally:
        s.kill()
    b.told("two clients behind a proxy", problems)


def few_descriptors(b, home):
    """512 descriptors at most: raised to that, some kept for files, and the reason is named."""
    if b.args.only and b.args.only not in "few descriptors":
        return
    b.n += 1
    problems = []
    s = limited_server(home, "few", 512)
    try:
        s.start()
        soft = resource.prlimit(s.proc.pid, resource.RLIMIT_NOFILE)
        if soft != (512, 512):
            problems.append(f"the limit of open files was not raised: {soft}")
        for child in L.children_of(s.proc.pid):
            if resource.prlimit(child, resource.RLIMIT_NOFILE) != (200, 512):
                problems.append("children get the raised limit")
        # Connected already, as every connection that comes now is one too many.
        own = socket.create_connection(("127.0.0.1", s.port))
        own.settimeout(L.PATIENCE_S)
        own.sendall(HEALTHZ)
        own.recv(4096)
        crowd = Crowd(s.port, ADDRESSES)
        crowd.send(600, [HEALTHZ])
        tar = L.archive({"CLAUDE.md": (0o644, b"# few\n")})
        for method, path, kind, body in (
                ("POST", "/agent_projects", "application/json", b'{"slug":"few"}'),
                ("PUT", "/agent_projects/few/releases", "application/gzip", tar)):
            own.sendall((f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
                         f"Authorization: Bearer {s.key}\r\nContent-Length: {len(body)}\r\n\r\n"
                         ).encode() + body)
            got = own.recv(65536).split(b"\r\n")[0]
            if b" 201 " not in got:
                problems.append(f"{method} {path} beside a crowd: {got!r}")
        seen = crowd.statuses()
        print(f"# 600 connections: {seen}")
        if not seen.get(200) or set(seen) - {200, 503, None}:
            problems.append(f"answers {seen}")
        crowd.close()
        own.close()
    finally:
        s.kill()
    b.told("few descriptors", problems)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--conns", type=int, default=2000 if LONG else 300)
    p.add_argument("--only")
    p.add_argument("--keep", action="store_true")
    p.add_argument("--health", nargs=3, type=int, help=argparse.SUPPRESS)
    args = p.parse_args()
    if args.health:
        ask_health(*args.health)
        return 0
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    home = tempfile.mkdtemp(prefix="karta-standing-")
    bench = Bench(home, args)
    try:
        open_routes(bench)
        all_routes(bench)
        behind_proxy(bench, home)
        few_descriptors(bench, home)
    finally:
        bench.server.kill()
        bench.control.kill()
        if not args.keep and not bench.failed:
            shutil.rmtree(home, ignore_errors=True)
    print(f"1..{bench.n}")
    return 1 if bench.failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (L.Failure, L.Unusable) as e:
        print(f"not ok 1 - {e}\n1..1")
        sys.exit(1)
