#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Let the disk fail and be full under a server that works, as TAP.

usage: tests/crash/faults.py [--points N | --all] [--only KIND] [--seed N] [--keep]

Nothing in the server helps with this: strace(1) attaches to it when it is ready and makes every call
of a kind fail from then on, or (kinds that end in -once) only the n-th of each thread, or a file
system of its own is filled up. Meanwhile one request is made
(tests/crash/ledger.py has the requests), then the disk is well again. The server

    never answers 500: 2xx, or 503 or 507 that say what is wrong with the disk;
    is not ready when what has to be durable is not: /readyz is 503 with the reason, its log has it;
    becomes ready by itself when the disk is back, without a restart, and its log says so;
    has everything that was acknowledged, then and after a SIGKILL; the request that was not
    acknowledged happened wholly or not at all, and happens once when it is repeated with its key.
"""
import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
import ledger as L  # noqa: E402

JOURNAL = ["sessions.jsonl", "sessions.jsonl.new"]
DATABASE = ["karta.db", "karta.db-wal"]
# kind -> (calls, errno, files that it is about or None, whether /readyz has to say so of what)
KINDS = {
    "journal-fdatasync-EIO": ("fdatasync", "EIO", JOURNAL, ("session-create", "message", "session-delete")),
    "journal-write-ENOSPC": ("write", "ENOSPC", JOURNAL, ("session-create", "message", "session-delete")),
    "journal-write-EIO": ("write", "EIO", JOURNAL, ("session-create", "message", "session-delete")),
    "database-write-ENOSPC": ("pwrite64", "ENOSPC", DATABASE, ("config-set", "key-create", "deploy-new")),
    "database-write-EIO": ("pwrite64", "EIO", DATABASE, ("config-set", "key-create", "deploy-new")),
    "database-sync-EIO": ("fdatasync,fsync", "EIO", DATABASE, ("config-set", "key-create", "deploy-new")),
    "fsync-EIO": ("fsync", "EIO", None, ()),
    "rename-EIO": ("rename,renameat,renameat2", "EIO", None, ()),
    "mkdir-ENOSPC": ("mkdir,mkdirat", "ENOSPC", None, ()),
    "events-write-EIO": ("writev", "EIO", "events", ("message",)),
    "full": (None, "ENOSPC", None, ()),
}
# The same, but of each thread only one call fails: nothing need be seen of it, and nothing be lost.
KINDS |= {f"{kind}-once": what for kind, what in KINDS.items() if what[0]}
OPS = ["session-create", "message", "session-delete", "deploy-new", "deploy-bundle", "config-set", "key-create"]
SAID = re.compile(r"'code': '(storage_full|storage_failed|unavailable|io_error)'")
TROUBLE = re.compile(r"cannot (write|sync|keep)[^\n]* the session journal|nothing can be stored|the disk fails|events stay in memory")
BACK = re.compile(r"written again")


class Ready(threading.Thread):
    """Asks /readyz again and again; what it said when it was not 200."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server, self.said, self.over = server, [], False
        self.start()

    def run(self):
        while not self.over:
            try:
                status, doc, _ = self.server.call("GET", "/readyz", key=False)
                if status != 200:
                    self.said.append((status, doc))
            except L.Unusable as e:
                self.said.append((0, str(e)))
            time.sleep(0.01)

    def end(self):
        self.over = True
        self.join()
        return self.said


class Traced:
    """The fault, by strace, on every thread of the server."""

    def __init__(self, run, kind):
        calls, errno, files, _ = KINDS[kind]
        data = run.server.data
        only = []
        if files == "events":
            files = [os.path.relpath(os.path.join(d, "events.log"), data)
                     for d, _, _ in os.walk(data + "/sessions") if d != data + "/sessions"]
        for name in files or []:
            only += ["-P", f"{data}/{name}"]
        pid = run.server.proc.pid
        when = f":when={run.rng.randint(1, 3)}" if kind.endswith("-once") else ""
        args = ["strace", "-qq", "-f", "-o", "/dev/null", *only, "-e", f"trace={calls}", "-e",
                f"inject={calls}:error={errno}{when}"]
        for tid in os.listdir(f"/proc/{pid}/task"):
            args += ["-p", tid]
        self.proc = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                     stderr=subprocess.PIPE)
        end = time.monotonic() + L.PATIENCE_S
        while not self.attached(pid):
            if self.proc.poll() is not None or time.monotonic() > end:
                self.proc.kill()
                raise RuntimeError(f"strace cannot attach: {self.proc.communicate()[1].decode()}")
            time.sleep(0.005)

    @staticmethod
    def attached(pid):
        for tid in os.listdir(f"/proc/{pid}/task"):
            try:
                with open(f"/proc/{pid}/task/{tid}/status", encoding="ascii") as f:
                    if not re.search(r"^TracerPid:\t[1-9]", f.read(), re.M):
                        return False
            except OSError:
                pass
        return True

    def end(self):
        self.proc.terminate()
        self.proc.communicate(timeout=L.PATIENCE_S)


class Filled:
    """The fault: the file system of the data folder has no room."""

    def __init__(self, run, kind):
        self.path = run.server.data + "/.karta-filler"
        size = 1 << 20
        with open(self.path, "wb", buffering=0) as f:
            while size >= 1:
                try:
                    f.write(b"x" * size)
                except OSError:
                    size //= 2

    def end(self):
        os.unlink(self.path)


class Run:
    def __init__(self, top, seed, mounted):
        self.top, self.mounted, self.rng = top, mounted, random.Random(seed)
        os.makedirs(top + "/config")
        data = top + "/disk/data" if mounted else top + "/data"
        self.server = L.Server(data, top + "/key", top + "/log")
        self.server.start()
        self.ledger = L.Ledger("lane-faults")
        self.maker = L.Maker(self.ledger, seed)
        for op in self.maker.setup():
            L.must(self.server, self.ledger, op)

    def log(self):
        with open(self.top + "/log", encoding="utf-8", errors="replace") as f:
            return f.read()

    def case(self, kind, name):
        """One request while the disk is bad. Returns whether it was refused."""
        before, make = self.maker.make(name)
        for op in before:
            L.must(self.server, self.ledger, op)
        op, told = make(), len(self.log())
        in_memory = kind == "events-write-EIO" and name == "message"
        if in_memory:
            # To a session whose log is there; its turn goes on in memory.
            L.must(self.server, self.ledger, op)
            op = L.op_message(before[0].answer["id"])
        fault = Filled(self, kind) if self.mounted else Traced(self, kind)
        ready = Ready(self.server)
        refused = None
        try:
            try:
                L.acknowledge(op, self.ledger, op.run(self.server))
                if in_memory:
                    self.until(lambda: ready.said, "/readyz says it")
            except L.Unusable as e:
                refused = str(e)
                if not SAID.search(refused):
                    raise L.Failure(f"what is wrong is not said: {refused}") from None
                # What must be durable is refused as long as that lasts, and /readyz says so.
                if name in KINDS[kind][3] and not kind.endswith("-once"):
                    self.until(lambda: ready.said, "/readyz says it")
        finally:
            fault.end()
            said = ready.end()
        self.until(lambda: self.server.call("GET", "/readyz", key=False)[0] == 200, "it is ready again")
        for status, doc in said:
            if status != 503 or doc.get("code") != "storage_failed" or not doc.get("detail"):
                raise L.Failure(f"/readyz: {status} {doc}")
        if said:
            self.until(lambda: BACK.search(self.log()[told:]), "the log says that it is well")
            if not TROUBLE.search(self.log()[told:]):
                raise L.Failure("the log does not say what was wrong")
        L.judge(self.server, self.ledger, op if refused else None)
        L.settled(self.server, self.ledger.lane)
        if in_memory:
            self.check_events(before[0].answer["id"])
        return refused is not None or (in_memory and said)

    def check_events(self, ident):
        """Both turns are there to their ends, also for a server that comes after a SIGKILL."""
        def ends():
            _, page, _ = self.server.call("GET", f"/v1/sessions/{ident}/events?limit=1000",
                                          headers={"Accept": "application/json"})
            return sum(e["type"] == "done" for e in page["data"])
        self.until(lambda: ends() == 2, "two turns in the log")
        self.server.kill()
        self.server.start()
        if ends() != 2:
            raise L.Failure(f"{ends()} turns are left in the log")

    @staticmethod
    def until(fn, what):
        end = time.monotonic() + L.PATIENCE_S
        while not fn():
            if time.monotonic() > end:
                raise L.Failure(f"never: {what}")
            time.sleep(0.01)

    def restart(self):
        """After a SIGKILL everything is there as well."""
        self.server.kill()
        self.server.start()
        L.judge(self.server, self.ledger, None)
        self.server.fsck()


def mount(top):
    os.makedirs(top + "/disk")
    out = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m,mode=700", "karta-faults", top + "/disk"],
                         capture_output=True, check=False)
    return out.stderr.decode().strip() if out.returncode else None


def run_kind(kind, ops, top, seed):
    """(description of what was seen, or the failure)"""
    os.makedirs(top)
    mounted = kind == "full"
    why = mount(top) if mounted else None
    if why:
        return "skip", f"cannot mount a tmpfs here: {why}"
    run = None
    try:
        run = Run(top, seed, mounted)
        refused = 0
        for name in ops:
            try:
                refused += bool(run.case(kind, name))
            except L.Failure as e:
                raise L.Failure(f"{name}: {e}\n{run.server.tail(8)}") from None
        run.restart()
        if KINDS[kind][3] and not refused and not kind.endswith("-once"):
            raise L.Failure("nothing failed: the fault was none")
        return "ok", f"{refused} of {len(ops)} requests met it, all there afterwards"
    except L.Failure as e:
        return "bad", str(e)
    finally:
        if run:
            run.server.kill()
        if mounted:
            subprocess.run(["umount", "-l", top + "/disk"], check=False)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--points", type=int, default=int(os.environ.get("KARTA_FAULT_POINTS", "2")),
                    help="requests of each kind")
    ap.add_argument("--all", action="store_true", help="each request with each kind")
    ap.add_argument("--only", default="", choices=[""] + list(KINDS))
    ap.add_argument("--seed", type=int, default=L.SEED)
    ap.add_argument("--keep", action="store_true")
    args = ap.parse_args()
    if shutil.which("strace") is None:
        print("1..0 # SKIP strace is not installed")
        return 0
    kinds = [k for k in KINDS if args.only in ("", k)]
    top = tempfile.mkdtemp(prefix="karta-faults-")
    print(f"# seed {args.seed}, {L.KARTA}\n1..{len(kinds)}", flush=True)
    bad = 0
    for n, kind in enumerate(kinds, 1):
        rng = random.Random(f"{args.seed} {kind}")
        about = [o for o in OPS if o in KINDS[kind][3]]
        # One that the kind is about first, whatever is drawn.
        first = [rng.choice(about)] if about else []
        rest = [o for o in OPS if o not in first]
        points = max(1, args.points // 2) if kind.endswith("-once") else args.points
        ops = OPS if args.all else first + rng.sample(rest, max(0, points - len(first)))
        began = time.monotonic()
        try:
            result, text = run_kind(kind, ops, f"{top}/{kind}", f"{args.seed} {kind}")
        except RuntimeError as e:
            result, text = "skip", str(e)
        bad += result == "bad"
        head = text.split("\n", maxsplit=1)[0]
        if result == "skip":
            print(f"ok {n} - {kind} # SKIP {head}", flush=True)
            continue
        print(f"{'not ' if result == 'bad' else ''}ok {n} - {kind}, {', '.join(ops)}: "
              f"{head} ({time.monotonic() - began:.1f} s)", flush=True)
        if result == "bad":
            print("#   " + text.replace("\n", "\n#   "), flush=True)
    if not bad and not args.keep:
        shutil.rmtree(top)
    print(f"# seed {args.seed}" + (f", kept: {top}" if bad or args.keep else ""))
    return 1 if bad else 0


sys.exit(main())
