#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the largest uploads that are allowed do to the memory of the server and to everybody else, as TAP.

usage: tests/standing/uploads.py [--times N]   (KARTA_STANDING names the program, a release build)

Each case is sent over several connections at once. While they are read the server's memory (its own,
without the processes that unpack) stays below a ceiling above what it has when idle, and /healthz is
answered; afterwards the memory is given back. The latency is measured against the same request on an
idle server beside it.
"""
import argparse
import http.client
import io
import json
import multiprocessing
import os
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import time

CEILING = 256 << 20
KEPT = 3 << 20  # besides a tenth: what was used for the first time by this
KARTA = os.environ.get("KARTA_STANDING", "build/release/karta")
SHA = "%064x"
SLOW = max(1.0, float(os.environ.get("KARTA_TEST_SLOW", "1")))


def memory(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) << 10 for line in f if line.startswith("RssAnon"))


class Server:
    def __init__(self, top):
        self.top = top
        env = {"PATH": os.environ["PATH"], "HOME": top, "XDG_CONFIG_HOME": top + "/config", "TMPDIR": top}
        self.log = open(top + "/log", "wb")
        self.process = subprocess.Popen([KARTA, "serve", "--offline", "--listen", "127.0.0.1:0", "--data", top + "/data",
                                         "--key-file", top + "/key"], env=env, stdout=subprocess.PIPE, stderr=self.log)
        self.port = int(self.process.stdout.readline().decode().strip().rstrip("/").rsplit(":", 1)[1])
        with open(top + "/key", encoding="ascii") as f:
            self.key = f.read().strip()
        self.pid = self.process.pid

    def call(self, method, path, body=None, kind="application/json", key=None):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        try:
            c.request(method, path, body, {"Authorization": "Bearer " + (key or self.key), "Content-Type": kind})
            r = c.getresponse()
            return r.status, r.read()
        except OSError:
            return 0, b""  # refused and closed before all was sent
        finally:
            c.close()

    def stop(self):
        self.process.terminate()
        self.process.wait(60)
        self.log.close()


class Watch:
    """A process that asks /healthz all the time, of the server and in turn of an idle one beside it, which tells
    what the machine does to both; notes how long they take, and the server's memory."""

    def __init__(self, server, beside):
        fork = multiprocessing.get_context("fork")
        self.pipe, theirs = fork.Pipe()
        self.process = fork.Process(target=self.run, args=(server, beside, theirs), daemon=True)
        self.process.start()

    @staticmethod
    def run(server, beside, pipe):
        conns = [http.client.HTTPConnection("127.0.0.1", s.port, timeout=300) for s in (server, beside)]
        waits, most = ([], []), 0
        while not pipe.poll():
            for c, mine in zip(conns, waits):
                start = time.perf_counter()
                c.request("GET", "/healthz")
                c.getresponse().read()
                mine.append(time.perf_counter() - start)
            most = max(most, memory(server.pid))
            time.sleep(0.002)
        pipe.send((*map(sorted, waits), most))

    def end(self):
        self.pipe.send(None)
        self.waits, self.beside, self.most = self.pipe.recv()
        self.process.join()
        return self

    def answered(self):
        """Nobody waited for much longer than what the machine explains."""
        return self.waits[-1] < 2 * self.beside[-1] + 0.5 * SLOW


def bundle(document, files=()):
    """The archive that a push sends: its document first."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=6) as tar:
        for name, data in [("karta-publish.json", document), *files]:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def line(i, path, size=5):
    return "100644 %d %s %s\n" % (size, SHA % i, path)


def longest(n=20000, width=1000):
    """The largest manifest there may be: many files with long paths."""
    path = "/".join(["d" * 240] * (width // 241))
    return "".join(line(i, "%s/%07d" % (path, i)) for i in range(n))


DOC, BUNDLE = "application/json", "application/vnd.karta.bundle"


def cases(times):
    """Name, how many at once, request, and how each is answered (one of)."""
    publish = ("POST", "/agent_projects/shop/releases")
    large = {(413, "too_large")}
    big = json.dumps({"manifest": longest()}).encode()
    arrays = b'{"manifest":"","x":[' + b"[]," * 10_000_000 + b"1]}"
    yield "documents with the longest manifest", times, (*publish, big, DOC), {(409, "files_missing")}
    yield "documents with 2.4 million keys", times, (*publish, ("{" + ",".join('"k%d":1' % i for i in range(2_400_000)) + "}").encode(), DOC), large
    yield "documents of empty arrays", times, (*publish, arrays, DOC), large
    yield "documents with one long text", times, (*publish, b'{"message":"' + b"m" * (31 << 20) + b'"}', DOC), large
    # The ratio counts after the first 8 MiB: beside 150 KB that cannot be compressed, there may be 38 MiB of arrays.
    noise = "".join(random.Random(1).choices("0123456789abcdef", k=300_000)).encode()
    yield "bundles whose document is arrays", times, (*publish, bundle(b'{"pad":"' + noise + b'",' + arrays[1:]), BUNDLE), large
    yield "bundles with the longest manifest", times, (*publish, bundle(big), BUNDLE), {(409, "files_missing")}
    # As large a body as a request may have, and as many values: what there is no room for is told to come again.
    body = b'{"set":1,"x":[' + b'"y",' * 19_000 + b'"' + b"z" * 900_000 + b'"]}'
    yield "large bodies", 25 * times, ("PATCH", "/agent_projects/shop/config", body, DOC), {
        (422, "validation_failed"), (503, "unavailable"), (429, "limit_reached")}


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--times", type=int, default=16 if os.environ.get("KARTA_TEST_LONG") else 4)
    args = args.parse_args()
    top = tempfile.mkdtemp(prefix="karta-standing-")
    os.mkdir(top + "/beside")
    server, beside = Server(top), Server(top + "/beside")
    n = bad = 0

    def say(ok, text):
        nonlocal n, bad
        n, bad = n + 1, bad + (not ok)
        print(("ok" if ok else "not ok"), n, "-", text, flush=True)

    try:
        server.call("POST", "/agent_projects", b'{"slug":"shop"}')
        # What it has once everything was used once.
        server.call("POST", "/agent_projects/shop/releases", b'{"manifest":""}')
        server.call("POST", "/agent_projects/shop/releases", bundle(b'{"manifest":""}'), "application/vnd.karta.bundle")
        watch = Watch(server, beside)
        time.sleep(1)
        quiet = watch.end().waits
        idle = memory(server.pid)
        for name, times, request, wanted in cases(args.times):
            watch, answers = Watch(server, beside), []

            def send():
                status, text = server.call(*request)
                answers.append((status, json.loads(text or b"{}").get("code")))
            threads = [threading.Thread(target=send) for _ in range(times)]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            watch.end()
            say(set(answers) <= wanted, "%s, %d of %d bytes at once: %s" % (name, times, len(request[2]), sorted(set(answers))))
            after = memory(server.pid)
            deadline = time.time() + 20
            while after > idle * 1.1 + KEPT and time.time() < deadline:
                time.sleep(0.1)
                after = memory(server.pid)
            worst, usual = watch.waits[-1], quiet[len(quiet) // 2]
            figures = "%.0f MiB at most, %.1f idle, %.1f after; /healthz %.1f ms at worst (beside it %.1f), %.2f usually" % (
                watch.most / 2**20, idle / 2**20, after / 2**20, worst * 1000, watch.beside[-1] * 1000, usual * 1000)
            say(watch.most - idle < CEILING, "%s: below the ceiling (%s)" % (name, figures))
            say(after <= idle * 1.1 + KEPT, "%s: the memory is given back" % name)
            say(watch.answered(), "%s: others are answered" % name)
        say(server.call("GET", "/readyz")[0] == 200, "the server is ready")
    finally:
        server.stop()
        beside.stop()
        shutil.rmtree(top, ignore_errors=True)
    print("1..%d" % n)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
