#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What many sessions at once make a server keep in memory, as TAP.

usage: tests/standing/sessions.py   (KARTA_STANDING names the program, a release build)

A local server with tests/lib/fake-agent.mjs as its harness. Whatever the harnesses of many sessions write and
whatever clients ask for at the same time, the server takes no more than the sums of docs/limits.md above what it
has when idle, /healthz is answered meanwhile, what has no room is told so, the next turn works, and the memory is
given back.
"""
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import uploads as U  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MIB = 1 << 20
KEPT = 384 * MIB  # KT_MAX_KEPT_BYTES
INFLIGHT = 96 * MIB  # KT_MAX_INFLIGHT_ADDRESS_BYTES
READ = 64 * 1024  # of each harness, that is not counted
SPARE = 64 * MIB  # what the heaps of the threads keep, and what is not counted by the byte
BACK = 24 * MIB  # and of these after a while
LONG = os.environ.get("KARTA_TEST_LONG") == "1"
SLOW = max(1.0, float(os.environ.get("KARTA_TEST_SLOW", "1")))


class Server:
    def __init__(self, top):
        app = top + "/app"
        os.makedirs(app)
        with open(app + "/AGENTS.md", "w", encoding="ascii") as f:
            f.write("A test.\n")
        with open(app + "/karta.toml", "w", encoding="ascii") as f:
            f.write('name = "fake"\n[harness]\ntype = "acp"\ncommand = ["node", "%s/tests/lib/fake-agent.mjs"]\n' % ROOT)
        env = {"PATH": os.environ["PATH"], "HOME": top, "KARTA_DATA": top + "/data", "TMPDIR": top,
               "FAKE_AGENT_STATE": top}
        self.log = open(top + "/log", "wb")
        self.process = subprocess.Popen([U.KARTA, "dev", "--no-chat", "--dir", app, "--port", "0"], env=env,
                                        stdout=subprocess.PIPE, stderr=self.log)
        self.port = int(self.process.stdout.readline().decode().strip().rstrip("/").rsplit(":", 1)[1])
        self.pid = self.process.pid

    def call(self, method, path, body=None, **headers):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, method=method, headers={
            "Content-Type": "application/json", **headers})
        try:
            with urllib.request.urlopen(request, timeout=90 * SLOW) as r:
                return r.status, json.loads(r.read() or b"null")
        except urllib.error.HTTPError as e:
            return e.code, json.loads(e.read() or b"null")

    def session(self):
        return self.call("POST", "/v1/sessions", {})[1]["id"]

    def say(self, session, text):
        return self.call("POST", f"/v1/sessions/{session}/messages", {"text": text})

    def memory(self):
        return U.memory(self.pid)

    def stop(self):
        self.process.terminate()
        self.process.wait(60)
        self.log.close()


class Bench:
    def __init__(self, server, beside):
        self.server, self.beside, self.n, self.bad = server, beside, 0, 0
        # What it has once everything was used once.
        self.say(server.say(server.session(), "hi")[0] == 200, "a first turn")
        watch = U.Watch(server, beside)
        time.sleep(1)
        self.quiet = watch.end().waits
        self.idle = server.memory()

    def say(self, ok, text):
        self.n, self.bad = self.n + 1, self.bad + (not ok)
        print("ok" if ok else "not ok", self.n, "-", text, flush=True)

    def row(self, name, ceiling, do, given_back=True):
        """Run do() and look at the server meanwhile and afterwards."""
        watch = U.Watch(self.server, self.beside)
        do()
        watch.end()
        after, deadline = self.server.memory(), time.time() + 30 * SLOW
        while given_back and after > self.idle * 1.1 + BACK and time.time() < deadline:
            time.sleep(0.1)
            after = self.server.memory()
        worst, most = watch.waits[-1], watch.most - self.idle
        figures = "%.0f MiB above idle at most, %.1f after; /healthz %.1f ms at worst, %.2f usually" % (
            most / MIB, (after - self.idle) / MIB, worst * 1000, self.quiet[len(self.quiet) // 2] * 1000)
        self.say(most < ceiling, f"{name}: below the sum ({figures})")
        if given_back:
            self.say(after <= self.idle * 1.1 + BACK, f"{name}: the memory is given back")
        self.say(watch.answered(), f"{name}: others are answered")

    def all_at_once(self, jobs):
        threads = [threading.Thread(target=j) for j in jobs]
        for t in threads:
            t.start()
        for t in threads:
            t.join()

    def lines_without_end(self):
        server, n, answers = self.server, 24 if LONG else 10, []
        sessions = [server.session() for _ in range(n)]

        def one(s):
            # Who has room is not stopped: it is interrupted when the others are.
            answers.append(server.say(s, "[[open:60000000]]"))
            for other in sessions:
                server.call("POST", f"/v1/sessions/{other}/interrupt")

        self.row(f"{n} lines of 60 MB without an end", KEPT + n * READ + SPARE,
                 lambda: self.all_at_once([lambda s=s: one(s) for s in sessions]))
        codes = sorted({(status, body.get("code")) for status, body in answers})
        self.say((503, "unavailable") in codes, f"what has no room is told so: {codes}")
        status, body = server.say(sessions[0], "and now?")
        self.say(status == 200, f"the next turn works: {status} {body.get('code')}")
        for s in sessions:
            server.call("DELETE", f"/v1/sessions/{s}")

    def lines_of_the_largest_size(self):
        server, n, answers = self.server, 4, []
        sessions = [server.session() for _ in range(n)]
        self.row("one line of 63 MiB", KEPT, lambda: answers.append(server.say(sessions[0], f"[[result:{63 * MIB}]][[text:done]]")))
        self.say(answers[0][0] == 200, f"it is read: {answers[0][0]} {answers[0][1].get('code')}")
        answers.clear()
        self.row(f"{n} of them at once", KEPT + SPARE, lambda: self.all_at_once(
            [lambda s=s: answers.append(server.say(s, f"[[result:{63 * MIB}]][[text:done]]")) for s in sessions]))
        codes = sorted((status, body.get("code")) for status, body in answers)
        self.say(set(codes) <= {(200, None), (503, "unavailable")}, f"each is read or told: {codes}")
        for s in sessions:
            server.call("DELETE", f"/v1/sessions/{s}")

    def open_inputs(self):
        """Tool calls whose input is large: what has no room is denied, and its turn goes on."""
        server, n, bytes_, answers = self.server, 10 if LONG else 6, 50_000_000, []
        sessions = [server.session() for _ in range(n)]
        self.row(f"{n} open inputs of 50 MB", KEPT + SPARE, lambda: self.all_at_once(
            [lambda s=s: answers.append((s, server.say(s, f"[[write:{bytes_}]]"))) for s in sessions]), given_back=False)
        asked = [(s, body["pending_input"]["request_id"]) for s, (status, body) in answers
                 if status == 200 and body["stop_reason"] == "requires_action"]
        others = [(status, body.get("code"), body.get("text")) for s, (status, body) in answers if s not in dict(asked)]
        self.say(asked and set(others) <= {(200, None, "refused"), (503, "unavailable", None)} and others,
                 f"{len(asked)} are asked, the others are told: {sorted(set(others), key=str)}")
        self.takers(*asked[0], bytes_)
        for s in sessions:
            server.call("DELETE", f"/v1/sessions/{s}")
        self.row("after they are gone", KEPT, lambda: time.sleep(0.2))

    def takers(self, session, request, bytes_):
        """Many clients that ask for the same input and take nothing of it."""
        server, n, socks = self.server, 100, []
        path, before = f"/v1/sessions/{session}/inputs/{request}", server.memory()

        def ask():
            for _ in range(n):
                s = socket.socket()
                s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                s.connect(("127.0.0.1", server.port))
                s.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                socks.append(s)
            for s in socks:
                s.recv(1)

        self.row(f"{n} clients that do not take it", KEPT + SPARE, ask, given_back=False)
        grown = server.memory() - before
        self.say(grown < n * 100 * 1024, f"they cost a place in it each: {grown // 1024} KiB in all")
        status, whole = server.call("GET", path)
        self.say(status == 200 and len(whole["tool_input"]["content"]) == bytes_, "another one gets it whole")
        # It is answered, and who is in the middle of it still gets the rest.
        server.call("PUT", path, {"decision": "deny"})
        first, got = socks[0], 1
        while True:
            data = first.recv(1 << 20)
            if not data:
                break
            got += len(data)
        self.say(got > bytes_, f"who began to take it before it was answered gets all of it: {got} bytes")
        for s in socks:
            s.close()

    def unary_answers(self):
        """Many clients that have the answer of one long turn given again, and take nothing of it."""
        server, n, socks, bytes_ = self.server, 40, [], 16_000_000
        session, key = server.session(), {"Idempotency-Key": "again"}
        path, body = f"/v1/sessions/{session}/messages", {"text": f"[[big:{bytes_}]]"}
        text = json.dumps(body).encode()
        request = (f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nIdempotency-Key: again\r\n"
                   f"Content-Length: {len(text)}\r\n\r\n").encode() + text
        status, whole = server.call("POST", path, body, **key)
        self.say(status == 200 and len(whole["text"]) == bytes_ and len(whole["messages"][1]["text"]) == bytes_,
                 "a reply of 16 MB is whole, twice")

        def ask():
            for _ in range(n):
                s = socket.socket()
                s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                s.connect(("127.0.0.1", server.port))
                s.sendall(request)
                socks.append(s)
            answers.extend(s.recv(12)[9:12] for s in socks)

        answers = []
        self.row(f"{n} clients that do not take it", INFLIGHT + SPARE, ask, given_back=False)
        self.say(set(answers) <= {b"200", b"429", b"503"} and b"200" in answers,
                 "each is answered, or told to come again: %s" % {a: answers.count(a) for a in set(answers)})
        for s in socks:
            s.close()
        self.row("after they are gone", KEPT, lambda: time.sleep(0.2))
        status, again = server.call("POST", path, body, **key)
        self.say((status, again["text"]) == (200, whole["text"]), "and the next one gets all of it")
        server.call("DELETE", f"/v1/sessions/{session}")


def main():
    top = tempfile.mkdtemp(prefix="karta-standing-")
    os.mkdir(top + "/beside")
    server, beside = Server(top), U.Server(top + "/beside")
    try:
        bench = Bench(server, beside)
        bench.lines_without_end()
        bench.lines_of_the_largest_size()
        bench.open_inputs()
        bench.unary_answers()
        bench.say(server.call("GET", "/readyz")[0] == 200, "the server is ready")
        print("1..%d" % bench.n)
        return 1 if bench.bad else 0
    finally:
        server.stop()
        beside.stop()
        shutil.rmtree(top, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
