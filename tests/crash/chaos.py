#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Everything at once, for some seconds, under the address sanitizer, as TAP.

usage: tests/crash/chaos.py [--seconds N] [--seed N] [--keep]

Clients talk, deploy, make and revoke keys; others leave in the middle of requests and answers, or read
a byte at a time; harnesses are killed; the server is stopped and killed, and starts again. What each
actor does is decided by the seed, not by what happens. At the end

    no sanitizer has said anything, no answer was a 500, a server that was stopped ended with status 0;
    what was acknowledged is there, what was deleted or revoked is gone, what was repeated with its
    Idempotency-Key is there once; fsck finds nothing; sessions answer; no harness is left over.
"""
import argparse
import http.client
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid

sys.dont_write_bytecode = True
import ledger as L  # noqa: E402

AGENT = L.ROOT + "/tests/lib/fake-agent.mjs"
PROJECT = "chaos"
SANITIZER = re.compile(r"ERROR: \w+Sanitizer|runtime error:|WARNING: \w+Sanitizer|assertion")
# What a client may be told by a server in trouble; never 500.
FAIR = {400, 401, 404, 408, 409, 410, 412, 413, 422, 429, 502, 503, 504, 507}


class Server(L.Server):
    def spawn(self, prefix=()):
        self.port = L.free_port()
        with open(self.log, "ab") as log:
            self.proc = subprocess.Popen(
                [L.KARTA, "serve", "--data", self.data, "--key-file", self.key_file, "--listen",
                 f"127.0.0.1:{self.port}"], env={**self.env, "KARTA_DRAIN": "1s"},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def harnesses(self):
        found, todo = [], [self.proc.pid]
        while todo:
            for pid in L.children_of(todo.pop()):
                todo.append(pid)
                try:
                    with open(f"/proc/{pid}/cmdline", "rb") as f:
                        if AGENT.encode() in f.read():
                            found.append(pid)
                except OSError:
                    pass
        return found


class World:
    def __init__(self, top, seed):
        os.makedirs(top + "/config")
        self.seed, self.top = seed, top
        self.server = Server(top + "/data", top + "/key", top + "/log")
        self.over = threading.Event()
        self.lock = threading.Lock()
        self.bad = []  # broken promises
        self.done = {}  # what was done how often
        self.sessions = {}  # note -> id, acknowledged
        self.deleted = set()  # ids
        self.asked = set()  # ids that somebody asked to delete or revoke
        self.releases = set()  # ids
        self.keys = {}  # id -> (text, revoked)

    def count(self, what):
        with self.lock:
            self.done[what] = self.done.get(what, 0) + 1

    def broke(self, text):
        with self.lock:
            self.bad.append(text)

    def app(self, rng):
        command = f'["{shutil.which("node")}", "{AGENT}"]'
        toml = f'name = "{PROJECT}"\n[harness]\ntype = "acp"\ncommand = {command}\n'
        return L.archive({"AGENTS.md": (0o644, f"{rng.random()}\n".encode()),
                          "karta.toml": (0o644, toml.encode())})

    def call(self, method, path, body=None, headers=None, key=True, again=False, timeout=20):
        """(status, document); repeated, with its key, until there is an answer when `again`."""
        while True:
            try:
                status, doc, _ = self.server.call(method, path, body, headers, key, timeout * L.SLOW)
            except L.Unusable:
                status, doc = 0, None
            if status >= 300 and status not in FAIR:
                self.broke(f"{method} {path}: {status} {doc}")
            if not again or (status and status not in (429, 503)):
                return status, doc
            if self.over.is_set():
                return 0, None
            time.sleep(0.05)


# --- actors: each is called again and again -------------------------------------------------------

def talk(w, rng):
    note = f"{rng.getrandbits(60):x}"
    status, doc = w.call("POST", f"/v1/projects/{PROJECT}/sessions", {"metadata": {"note": note}},
                         {"Idempotency-Key": note}, again=True)
    if status != 201:
        return
    with w.lock:
        w.sessions[note] = doc["id"]
    path = f"/v1/sessions/{doc['id']}"
    for _ in range(rng.randrange(1, 4)):
        text = rng.choice(["hi", "[[sleep:50]] slow", "[[crash]]", "[[hang]]", "[[orphan:1]] x",
                           "hi " + "x" * 3000])
        async_ = rng.random() < 0.5 or "hang" in text
        w.call("POST", path + "/messages", {"text": text},
               {"Idempotency-Key": str(uuid.UUID(int=rng.getrandbits(128))),
                **({"Prefer": "respond-async"} if async_ else {})})
        w.count("messages")
        if "hang" in text:
            w.call("POST", path + "/interrupt", {})
        if rng.random() < 0.3:
            w.call("GET", path + f"/events?limit={rng.choice([1, 100])}", headers={"Accept": "application/json"})
    if rng.random() < 0.3:
        w.asked.add(doc["id"])
        if w.call("DELETE", path)[0] == 204:
            w.deleted.add(doc["id"])
            w.count("sessions deleted")


def leave(w, rng):
    """Goes in the middle of a request or of its answer."""
    with w.lock:
        ids = list(w.sessions.values())
    ident = rng.choice(ids) if ids else "sess_none"
    body = b'{"text":"hi","stream":true}'
    head = (f"POST /v1/sessions/{ident}/messages HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "
            f"{w.server.key}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n").encode()
    whole = rng.choice([head + body, head + body, b"PUT /agent_projects/" + PROJECT.encode() +
                        f"/releases HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {w.server.key}\r\n"
                        "Content-Type: application/gzip\r\nContent-Length: 100000\r\n\r\n".encode() + rng.randbytes(500)])
    cut = rng.choice([len(whole), rng.randrange(1, len(whole))])
    read = rng.randrange(3)
    try:
        with socket.create_connection(("127.0.0.1", w.server.port), timeout=5) as s:
            s.sendall(whole[:cut])
            if cut == len(whole) and read:
                s.recv(rng.choice([1, 400, 4096]))
            if rng.random() < 0.5:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        w.count("left")
    except OSError:
        pass
    time.sleep(0.01)


def read_slowly(w, rng):
    with w.lock:
        ids = list(w.sessions.values())
    if not ids:
        time.sleep(0.05)
        return
    conn = http.client.HTTPConnection("127.0.0.1", w.server.port, timeout=5)
    try:
        conn.request("GET", f"/v1/sessions/{rng.choice(ids)}/events", None,
                     {"Authorization": "Bearer " + w.server.key, "Accept": "text/event-stream"})
        reply = conn.getresponse()
        for _ in range(rng.randrange(1, 30)):
            if w.over.is_set() or reply.status != 200 or not reply.read(1):
                break
            w.count("bytes read slowly")
            time.sleep(0.02)
    except (OSError, http.client.HTTPException):
        pass
    finally:
        conn.close()
    time.sleep(0.01)


def deploy(w, rng):
    key = f"{rng.getrandbits(60):x}"
    body = w.app(rng)
    status, doc = w.call("PUT", f"/agent_projects/{PROJECT}/releases", body,
                         {"Idempotency-Key": key, "Content-Type": "application/gzip"}, again=True, timeout=60)
    if status in (200, 201, 202):
        with w.lock:
            w.releases.add(doc.get("release", doc)["id"])
        w.count("deployed")
    if rng.random() < 0.5:
        w.call("PATCH", f"/agent_projects/{PROJECT}/config", {"vars": {"V": str(rng.random())}})
    time.sleep(rng.random() * 0.3)


def use_keys(w, rng):
    name = f"{rng.getrandbits(60):x}"
    status, doc = w.call("POST", "/v1/keys", {"name": name, "scopes": ["read", "write"]},
                         {"Idempotency-Key": name}, again=True)
    if status != 201 or "key" not in doc:
        return
    with w.lock:
        w.keys[doc["id"]] = (doc["key"], False)
    if w.call("GET", "/v1/whoami", key=doc["key"])[0] == 401:
        w.broke(f"the new key {doc['id']} is refused")
    if rng.random() < 0.4:
        return
    w.asked.add(doc["id"])
    if w.call("DELETE", f"/v1/keys/{doc['id']}")[0] in (200, 204):
        with w.lock:
            w.keys[doc["id"]] = (doc["key"], True)
        if w.call("GET", "/v1/whoami", key=doc["key"])[0] not in (401, 0, 503):
            w.broke(f"the revoked key {doc['id']} still opens")
        w.count("keys revoked")
    time.sleep(0.02)


def kill_harness(w, rng):
    time.sleep(0.1 + rng.random() * 0.2)
    pids = w.server.harnesses()
    if pids:
        try:
            os.kill(rng.choice(pids), rng.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV]))
            w.count("harnesses killed")
        except OSError:
            pass


ACTORS = [talk, talk, talk, leave, leave, read_slowly, deploy, use_keys, kill_harness]


def act(w, fn, n):
    rng = random.Random(f"{w.seed} {fn.__name__} {n}")
    while not w.over.is_set():
        try:
            fn(w, rng)
        except Exception as e:  # noqa: BLE001 - the test's own mistakes must not end it silently
            w.broke(f"{fn.__name__}: {type(e).__name__} {e}")
            return


def restart(w, rng):
    """Stopped, or killed; and back."""
    if rng.random() < 0.5:
        w.server.proc.send_signal(signal.SIGTERM)
        try:
            if w.server.proc.wait(L.PATIENCE_S) != 0:
                w.broke(f"stopped, it ended with {w.server.proc.returncode}:\n{w.server.tail(60)}")
        except subprocess.TimeoutExpired:
            w.broke("it does not stop")
        w.count("stops")
    w.server.kill()
    w.count("starts")
    w.server.start()


def check(w):
    s = w.server
    found, after = {}, ""
    while True:
        page = s.get(f"/v1/projects/{PROJECT}/sessions?limit=100{after}")
        for x in page["data"]:
            found.setdefault(x["metadata"].get("note"), []).append(x["id"])
        if not page["has_more"]:
            break
        after = f"&after={page['data'][-1]['id']}"
    for note, ids in found.items():
        if len(ids) > 1:
            w.broke(f"one request made {len(ids)} sessions: {ids}")
    for note, ident in w.sessions.items():
        here = ident in found.get(note, [])
        # Of a deletion whose answer was lost nobody knows.
        if here and ident in w.deleted:
            w.broke(f"session {ident} was deleted and is there")
        elif not here and ident not in w.asked:
            w.broke(f"session {ident} is lost")
    ids = {r["id"] for r in L.all_releases(s, f"/agent_projects/{PROJECT}")}
    for lost in w.releases - ids:
        w.broke(f"release {lost} is lost")
    for ident, (text, revoked) in w.keys.items():
        status = s.call("GET", "/v1/whoami", key=text)[0]
        if (revoked and status != 401) or (status == 401 and ident not in w.asked):
            w.broke(f"key {ident} (revoked: {revoked}): {status}")
    status, doc, _ = s.call("POST", f"/v1/projects/{PROJECT}/sessions", {})
    ident = doc["id"] if status == 201 else None
    status, doc, _ = s.call("POST", f"/v1/sessions/{ident}/messages", {"text": "still there?"})
    if status != 200:
        w.broke(f"a session does not answer: {status} {doc}")


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--seconds", type=float, default=float(os.environ.get("KARTA_CHAOS_SECONDS", "8")))
    ap.add_argument("--seed", type=int, default=L.SEED)
    ap.add_argument("--keep", action="store_true")
    args = ap.parse_args()
    top = tempfile.mkdtemp(prefix="karta-chaos-")
    print(f"# seed {args.seed}, {L.KARTA}\n1..1", flush=True)
    w = World(top, args.seed)
    w.server.start()
    rng = random.Random(f"{args.seed} restarts")
    status, doc = w.call("PUT", f"/agent_projects/{PROJECT}/releases", w.app(rng),
                         {"Content-Type": "application/gzip"}, again=True, timeout=60)
    if status not in (200, 201, 202):
        w.broke(f"the first release: {status} {doc}")
    threads = [threading.Thread(target=act, args=(w, fn, n), daemon=True) for n, fn in enumerate(ACTORS)]
    for t in threads:
        t.start()
    end = time.monotonic() + args.seconds
    try:
        while time.monotonic() < end and not w.bad:
            time.sleep(min(1.5 + rng.random() * 2, max(0.1, end - time.monotonic())))
            restart(w, rng)
        w.over.set()
        for t in threads:
            t.join(L.PATIENCE_S)
        check(w)
        w.server.remember_family()
        w.server.proc.terminate()
        if w.server.proc.wait(L.PATIENCE_S) != 0:
            w.broke(f"at the end it ended with {w.server.proc.returncode}")
        w.server.kill()
        w.server.fsck()
    except L.Failure as e:
        w.broke(str(e))
    finally:
        w.over.set()
        if w.server.proc.poll() is None:
            w.server.kill()
    with open(w.server.log, encoding="utf-8", errors="replace") as f:
        log = f.read()
    if SANITIZER.search(log):
        at = SANITIZER.search(log).start()
        w.broke("a sanitizer's report:\n" + log[max(0, at - 500):at + 6000])
    did = ", ".join(f"{n} {what}" for what, n in sorted(w.done.items()))
    print(f"{'not ' if w.bad else ''}ok 1 - {args.seconds:.0f} s of everything at once: {len(w.sessions)} sessions, {did}")
    for text in w.bad[:10]:
        print("#   " + text[:7000].replace("\n", "\n#   "))
    if not w.bad and not args.keep:
        shutil.rmtree(top)
    print(f"# seed {args.seed}" + (f", kept: {top}" if w.bad or args.keep else ""))
    return 1 if w.bad else 0


sys.exit(main())
