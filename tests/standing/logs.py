#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What clients may ask of large logs, and how long everybody else waits meanwhile, as TAP.

usage: tests/standing/logs.py   (KARTA_STANDING names the program, a release build)

The log of a session gets 100 MiB of events (LONG=1: 500, with room for one turn more) while the server is stopped, that of
a project 96 MiB. Then clients ask for what has to be looked for in all of it: answers to inputs that nobody
knows, a turn in a session whose harness has to be told what was said, the first look after a crash, lines that no
line matches; and the project's log is trimmed. Meanwhile `/healthz` is asked here and of an idle server beside it
in turn.
"""
import json
import os
import secrets
import shutil
import string
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import entry as E  # noqa: E402

L = E.L
MIB = E.MIB
SESSION_LOG = (500 if E.LONG else 100) * MIB
PROJECT_LOG = 96 * MIB  # a quarter more than KT_MAX_PROJECT_LOG_BYTES
BOUND_S = 0.100 * L.SLOW  # above the idle server's worst
APP = {
    "AGENTS.md": (0o644, b"# logs\n"),
    "rehearsals/any.jsonl": (0o644, b'{"karta_rehearsal":1,"match":{"text":"*"}}\n{"t":0,"end":{"text":"hi"}}\n'),
    "rehearsals/long.jsonl": (0o644, b'{"karta_rehearsal":1,"match":{"text":"stay"}}\n'
                              b'{"t":0,"type":"text","data":{"part":{"type":"text","text":"x"},"part_id":"p"}}\n'
                              b'{"t":600000,"end":{"text":"late"}}\n'),
}


def an_id(prefix):
    return prefix + "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(22))


def append(path, size, event, key, ident, turn, data):
    """Whole frames at the end of a log, until it has that many bytes more."""
    with open(path, "rb") as f:
        f.seek(max(0, os.path.getsize(path) - 2 * MIB))
        seq = int(f.read().rsplit(b"\nid: ", 1)[-1].split(b"\n")[0].removeprefix(b"id: "))
    now, rest = int(time.time() * 1000), 0
    with open(path, "ab") as f:
        while rest < size:
            piece = []
            for _ in range(1000):
                seq += 1
                doc = {"id": f"{ident}:{seq}", "seq": seq, key: ident, "turn_id": turn, "type": event,
                       "timestamp": now, "data": data(seq)}
                piece.append(f"id: {seq}\nevent: {event}\ndata: {json.dumps(doc, separators=(',', ':'))}\n\n")
            text = "".join(piece).encode()
            f.write(text)
            rest += len(text)


class Bench:
    def __init__(self, home):
        self.n = self.failed = 0
        # The log is swept every second.
        self.server = L.Server(home + "/data", home + "/key", home + "/log", {"KARTA_PREVIEW_LIFE": "1s"})
        self.idle = L.Server(home + "/idle", home + "/idle-key", home + "/idle-log")
        self.server.start()
        self.idle.start()
        status, doc, _ = self.server.call("PUT", "/agent_projects/logs/releases", L.archive(APP),
                                          {"Content-Type": "application/gzip"})
        if status != 201:
            raise L.Failure(f"no release: {status} {doc}")
        self.project = self.server.get("/agent_projects/logs")["id"]
        self.large, self.crashed = self.session(), self.session()
        self.say(self.large, "one")
        self.say(self.crashed, "stay", {"Prefer": "respond-async"})
        turn = None
        while not turn:
            turn = (self.server.get(f"/v1/sessions/{self.crashed}")["turn"] or {}).get("id")
        while "x" not in str(self.server.call("GET", f"/v1/sessions/{self.crashed}/events", None,
                                              {"Accept": "application/json"})[1]):
            time.sleep(0.02)
        self.server.kill()
        logs = home + "/data/sessions/{}/events.log"
        text = "lorem ipsum " * 30
        append(logs.format(self.large), SESSION_LOG, "text", "session_id", self.large, an_id("turn_"),
               lambda n: {"part": {"type": "text", "text": text}, "part_id": "p"})
        # A turn has 128 MiB at most.
        append(logs.format(self.crashed), min(SESSION_LOG, 120 * MIB), "text", "session_id", self.crashed, turn,
               lambda n: {"part": {"type": "text", "text": text}, "part_id": "p"})
        append(f"{home}/data/logs/{self.project}.log", PROJECT_LOG, "log", "project", self.project, None,
               lambda n: {"level": "info", "source": "harness", "text": text})
        self.server.start()

    def session(self):
        return self.server.call("POST", "/v1/projects/logs/sessions", {})[1]["id"]

    def say(self, session, text, head=None):
        status, doc, _ = self.server.call("POST", f"/v1/sessions/{session}/messages", {"text": text}, head)
        return [] if status in (200, 202) else [f"a message gets {status}: {str(doc)[:200]}"]

    def row(self, name, fn):
        """fn() gives what is wrong. Only the time is tried again: the machine may have stopped this one."""
        self.n += 1
        for left in range(E.TRIES, 0, -1):
            began = time.monotonic()
            with E.Health(self.server, self.idle) as health:
                problems = fn()
            print(f"# {name}: {time.monotonic() - began:.2f} s; /healthz at worst {health.slowest * 1000:.1f} ms, "
                  f"of the idle server {health.idle * 1000:.1f} ms", flush=True)
            if health.failed:
                problems.append(health.failed)
            if health.slowest <= health.idle + BOUND_S * health.stretch:
                break
            if left == 1:
                problems.append(f"/healthz took {health.slowest * 1000:.1f} ms")
        print(f"{'not ' if problems else ''}ok {self.n} - {name}", flush=True)
        for p in problems:
            print(f"# {p}", flush=True)
        self.failed += bool(problems)

    def unknown_inputs(self):
        seen = {}

        def ask():
            for _ in range(3):
                status, _, _ = self.server.call(
                    "PUT", f"/v1/sessions/{self.large}/inputs/{an_id('req_')}", {"decision": "deny"})
                seen[status] = seen.get(status, 0) + 1
        threads = [threading.Thread(target=ask) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        return [] if seen.get(404) and set(seen) <= {404, 429} else [f"answers {seen}"]

    def unmatched_lines(self):
        problems = []

        def ask():
            status, doc, _ = self.server.call(
                "GET", "/agent_projects/logs/logs?follow=0&level=error", None, {"Accept": "application/x-ndjson"})
            # Of what was trimmed there is a gap.
            if status != 200 or not (doc == b"" or doc["type"] == "gap"):
                problems.append(f"logs: {status} {str(doc)[:100]}")
        threads = [threading.Thread(target=ask) for _ in range(3)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        return problems

    def first_look(self):
        end = time.monotonic() + L.PATIENCE_S
        path = f"/v1/sessions/{self.crashed}/events?limit=10&after="
        while True:
            last = self.server.get(f"/v1/sessions/{self.crashed}")["last_seq"]
            status, doc, _ = self.server.call("GET", path + str(max(0, last - 2)), None, {"Accept": "application/json"})
            if status != 200:
                return [f"events: {status} {str(doc)[:100]}"]
            if "interrupted" in str(doc) and any(e["type"] == "done" for e in doc["data"]):
                return []
            if time.monotonic() > end:
                return [f"its turn has no end: {str(doc)[:300]}"]
            time.sleep(0.05)

    def trimmed(self, home):
        path = f"{home}/data/logs/{self.project}.log"
        end = time.monotonic() + L.PATIENCE_S
        # It is opened by a line, and trimmed by the next sweep.
        self.session()
        while os.path.getsize(path) > PROJECT_LOG * 3 // 4:
            if time.monotonic() > end:
                return [f"it has {os.path.getsize(path)} bytes"]
            time.sleep(0.05)
        size = os.path.getsize(path)
        return [] if size > PROJECT_LOG // 2 else [f"{size} bytes are left of it"]


def main():
    home = tempfile.mkdtemp(prefix="karta-logs-")
    bench = None
    try:
        bench = Bench(home)
        bench.row("the project's log is trimmed", lambda: bench.trimmed(home))
        bench.row("the first look at a session after a crash", bench.first_look)
        bench.row("answers to inputs that nobody knows", bench.unknown_inputs)
        bench.row("a turn of a session whose harness is gone", lambda: bench.say(bench.large, "two"))
        bench.row("lines that no line matches", bench.unmatched_lines)
    finally:
        if bench:
            bench.server.kill()
            bench.idle.kill()
        shutil.rmtree(home, ignore_errors=True)
    print(f"1..{bench.n}")
    return 1 if bench.failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (L.Failure, L.Unusable) as e:
        print(f"not ok 1 - {e}\n1..1")
        sys.exit(1)
