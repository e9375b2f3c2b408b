#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Kill the server in the middle of what it does, at every kind of system call, as TAP.

usage: tests/crash/kill.py [--points N | --all] [--only SCENARIO] [--seed N] [--workers N] [--keep]

Nothing in the server helps with this: strace(1) attaches to it when it is ready and delivers SIGKILL
instead of the N-th call of a kind, so the binary tested is the one that ships. A first run of each
scenario, traced but not killed, tells how many calls of which kind there are; the points are taken
from there: those around everything that makes data durable (fsync, rename, link, unlink, the writes
of a COMMIT), then others at random until there are enough. strace counts for each thread by itself;
therefore the thread of the loop and the other ones (the writer of the database, workers) are two
groups, and a point is a group, a call and a number.

After each kill (ledger.py): all processes of the server are gone; it is ready again within 5 s (more on a slow machine) on the
same data folder, which goes on being used from point to point; `karta fsck` finds nothing; what was
acknowledged is there, what was not is there wholly or not at all; the request repeated with its
Idempotency-Key has one effect; nothing is left in tmp/ or half-made elsewhere. After one kill in five
the server is killed once more while it recovers. A folder in which something went wrong is kept.
"""
import argparse
import os
import queue
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
import ledger as L  # noqa: E402

# Calls that change or tell something. No waiting, no memory, no reading.
CALLS = ("openat,creat,write,pwrite64,writev,pwritev,pwritev2,sendmsg,sendto,fsync,fdatasync,syncfs,"
         "sync_file_range,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,ftruncate,"
         "fallocate,fchmod,link,linkat,symlinkat,utimensat,close")
DURABLE = re.compile(r"fsync|fdatasync|syncfs|rename|unlink|link|mkdir|rmdir|ftruncate|pwrite")
AFTER_ACK_S = 0.5  # how long calls of a request may come after its answer
STUMBLE_EVERY = 5
FIRST = "first-start"
SCENARIOS = L.SCENARIOS + [FIRST]


def strace(server, group, extra):
    """Attach to the loop's thread, or to all the others; returns when that is done."""
    pid = server.proc.pid
    tids = {int(t) for t in os.listdir(f"/proc/{pid}/task")}
    wanted = {"loop": {pid}, "threads": tids - {pid}, "all": tids}[group]
    args = ["strace", "-qq"] + extra
    for tid in wanted:
        args += ["-p", str(tid)]
    proc = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE)
    end = time.monotonic() + L.PATIENCE_S
    while not all(traced(pid, t) for t in wanted):
        if proc.poll() is not None or time.monotonic() > end:
            proc.kill()
            raise RuntimeError(f"strace cannot attach: {proc.communicate()[1].decode()}")
        time.sleep(0.002)
    return proc


def traced(pid, tid):
    try:
        with open(f"/proc/{pid}/task/{tid}/status", encoding="ascii") as f:
            return re.search(r"^TracerPid:\t([1-9])", f.read(), re.M) is not None
    except OSError:
        return True  # the thread has ended


def detach(proc):
    if proc.poll() is None:
        proc.send_signal(signal.SIGINT)
    proc.communicate(timeout=L.PATIENCE_S)


def points_of(trace, pid):
    """From a trace: every (group, call, number), and those next to a durable one."""
    counts, order = {}, {}
    for line in trace.splitlines():
        m = re.match(r"(\d+) +(\w+)\(", line)
        if not m:
            continue
        tid, call = int(m[1]), m[2]
        counts[tid, call] = counts.get((tid, call), 0) + 1
        group = "loop" if tid == pid else "threads"
        order.setdefault(tid, []).append((group, call, counts[tid, call]))
    every, near = set(), set()
    for sequence in order.values():
        every.update(sequence)
        for i, (_, call, _) in enumerate(sequence):
            if DURABLE.match(call):
                near.update(sequence[max(0, i - 1):i + 2])
    return every, near


class Worker:
    """A server with its folder, its ledger and what is asked of it."""

    def __init__(self, number, seed, top):
        self.number, self.seed, self.top = number, seed, top
        self.rng = random.Random(f"{seed} {number}")
        self.folders = 0
        self.server = None
        self.slowest = 0.0
        self.kills = self.kills_near = 0

    def fresh(self):
        """A new folder, with the releases that every scenario expects."""
        self.folders += 1
        top = os.path.join(self.top, f"{self.number}-{self.folders}")
        os.makedirs(top + "/config")
        # One worker in libuv's pool: the N-th call of a thread is the same call in each run.
        self.server = L.Server(top + "/data", top + "/key", top + "/log",
                               {"UV_THREADPOOL_SIZE": "1"})
        self.server.start()
        self.ledger = L.Ledger(f"lane{self.number}")
        self.maker = L.Maker(self.ledger, f"{self.seed} {self.number} {self.folders}")
        for op in self.maker.setup():
            L.must(self.server, self.ledger, op)

    def prepare(self, scenario):
        if self.server is None:
            self.fresh()
        before, make = self.maker.make(scenario)
        for op in before:
            L.must(self.server, self.ledger, op)
        # The threads that are made on first use are there, and nothing is left of what came before.
        L.observe(self.server, self.ledger.lane)
        return make()

    def count(self, scenario):
        if scenario == FIRST:
            return self.first_start(None)
        op = self.prepare(scenario)
        out = os.path.join(self.top, f"trace-{self.number}")
        tracer = strace(self.server, "all", ["-f", "-o", out, "-e", "trace=" + CALLS])
        try:
            # No further request: its calls would be counted as well.
            L.acknowledge(op, self.ledger, op.run(self.server))
            time.sleep(AFTER_ACK_S)
        finally:
            detach(tracer)
        with open(out, encoding="utf-8", errors="replace") as f:
            return points_of(f.read(), self.server.proc.pid)

    def kill_at(self, scenario, point):
        """True when the point was reached."""
        if scenario == FIRST:
            return self.first_start(point)
        group, call, number = point
        op = self.prepare(scenario)
        tracer = strace(self.server, group, [
            "-o", "/dev/null", "-e", "trace=" + call, "-e",
            f"inject={call}:signal=SIGKILL:when={number}"])
        try:
            try:
                answer = op.run(self.server)
                L.acknowledge(op, self.ledger, answer)
                op = None
            except L.Unusable:
                pass
            try:
                self.server.proc.wait(AFTER_ACK_S)
                reached = True
            except subprocess.TimeoutExpired:
                reached = False
                if op:
                    raise L.Failure(f"'{op.name}': no answer from a server that lives") from None
        finally:
            detach(tracer)
        self.server.kill()
        self.kills += 1
        if self.kills % STUMBLE_EVERY == 0:
            self.server.stumble(self.rng.uniform(0.001, 0.06))
        self.server.start()
        L.settled(self.server, self.ledger.lane)
        self.server.fsck()
        L.judge(self.server, self.ledger, op)
        self.server.check_leftovers()
        return reached

    def first_start(self, point):
        """Killed while it makes a new folder: the next start has to be as good as the first. True
        when the point was reached; without a point it is a look at which there are."""
        self.folders += 1
        top = os.path.join(self.top, f"{self.number}-{self.folders}")
        os.makedirs(top + "/config")
        server = L.Server(top + "/data", top + "/key", top + "/log")
        try:
            if point is None:
                server.spawn(["strace", "-D", "-qq", "-f", "-o", top + "/trace", "-e",
                              "trace=" + CALLS])
            else:
                server.spawn(["strace", "-D", "-qq", "-o", "/dev/null", "-e", "trace=" + point[1],
                              "-e", f"inject={point[1]}:signal=SIGKILL:when={point[2]}"])
            reached = server.wait_ready(time.monotonic()) is None
            server.kill()
            if point is None:
                time.sleep(0.2)
                with open(top + "/trace", encoding="utf-8", errors="replace") as f:
                    found = points_of(f.read(), server.proc.pid)
                return [{p for p in points if p[0] == "loop"} for points in found]
            server.start()
            server.fsck()
            if server.get("/v1/whoami")["key"]["scopes"] != ["read", "write", "admin"]:
                raise L.Failure("the first key is not what it should be")
            if len(server.get("/v1/keys")["data"]) != 1:
                raise L.Failure("there are keys that nobody has")
            server.check_leftovers()
            self.slowest = max(self.slowest, server.slowest_ready)
            return reached
        finally:
            if server.proc:
                server.kill()

    def give_up_folder(self):
        try:
            self.server.kill()
        except L.Failure:
            pass
        self.slowest = max(self.slowest, self.server.slowest_ready)
        self.server = None

    def finish(self):
        """An orderly end, then a look at the folder with nobody in it."""
        if self.server is None:
            return
        self.server.stop()
        self.slowest = max(self.slowest, self.server.slowest_ready)
        self.server.fsck()
        self.server.check_leftovers()


def spread(points, rng):
    """In an order in which each kind of call comes early."""
    points = sorted(points)
    rng.shuffle(points)
    nth, key = {}, {}
    for p in points:
        nth[p[:2]] = nth.get(p[:2], 0) + 1
        key[p] = nth[p[:2]]
    return sorted(points, key=key.get)


def choose(found, rng):
    """All points of all scenarios: a scenario in turn; of its points four near a durable call, then
    one of the others."""
    lists = {}
    for scenario, (every, near) in found.items():
        near, rest = spread(near, rng), spread(every - near, rng)
        mixed = []
        while near or rest:
            mixed += near[:4] + rest[:1]
            near, rest = near[4:], rest[1:]
        lists[scenario] = mixed
    out = []
    while any(lists.values()):
        out += [(s, points.pop(0)) for s, points in lists.items() if points]
    return out


class Run:
    def __init__(self, args, top):
        self.args, self.top = args, top
        self.lock = threading.Lock()
        self.todo = queue.SimpleQueue()
        self.reached, self.missed, self.failures = {}, 0, []
        self.spare = []
        self.workers = [Worker(i, args.seed, top) for i in range(args.workers)]

    def in_parallel(self, fn):
        threads = [threading.Thread(target=self.guarded, args=(fn, w)) for w in self.workers]
        for t in threads:
            t.start()
        for t in threads:
            t.join()

    def guarded(self, fn, worker):
        try:
            fn(worker)
        except Exception as e:  # a fault of this program is a failed test as well
            with self.lock:
                self.failures.append(("-", None, f"{type(e).__name__}: {e}"))

    def count_all(self):
        scenarios = [s for s in SCENARIOS if self.args.only in ("", s)]
        found = {}

        def work(worker):
            for s in scenarios[worker.number::len(self.workers)]:
                found[s] = worker.count(s)
        self.in_parallel(work)
        return found

    def next_point(self):
        with self.lock:
            if not self.todo.empty():
                return self.todo.get()
            # One that was not reached is made up for.
            if self.missed and self.spare:
                self.missed -= 1
                return self.spare.pop(0)
        return None

    def work(self, worker):
        while point := self.next_point():
            scenario, where = point
            try:
                hit = worker.kill_at(scenario, where)
            except (L.Failure, L.Unusable, RuntimeError) as e:
                log = worker.server.log if worker.server else ""
                if scenario == FIRST:
                    log = f"{worker.top}/{worker.number}-{worker.folders}"
                else:
                    worker.give_up_folder()
                with self.lock:
                    self.failures.append((scenario, where, f"{e}\n(its folder: {log})"))
                continue
            with self.lock:
                if hit:
                    self.reached[scenario] = self.reached.get(scenario, 0) + 1
                else:
                    self.missed += 1


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--points", type=int, default=int(os.environ.get("KARTA_CRASH_POINTS", "200")))
    ap.add_argument("--all", action="store_true", help="every point of every scenario")
    ap.add_argument("--only", default="", choices=[""] + SCENARIOS)
    ap.add_argument("--seed", type=int, default=L.SEED)
    ap.add_argument("--workers", type=int, default=2)
    ap.add_argument("--keep", action="store_true")
    args = ap.parse_args()
    if shutil.which("strace") is None:
        print("1..0 # SKIP strace is not installed")
        return 0
    top = tempfile.mkdtemp(prefix="karta-kill-")
    run = Run(args, top)
    print(f"# seed {args.seed}, {L.KARTA}", flush=True)
    began = time.monotonic()
    try:
        found = run.count_all()
        if run.failures and any("strace cannot attach" in f[2] for f in run.failures):
            print("1..0 # SKIP strace may not attach here: " + run.failures[0][2].strip())
            return 0
        points = choose(found, random.Random(args.seed))
        wanted = len(points) if args.all else args.points
        points, run.spare = points[:wanted], points[wanted:]
        total = sum(len(every) for every, _ in found.values())
        near = sum(len(close) for _, close in found.values())
        print(f"# {total} points, {near} of them at durable calls or next to one", flush=True)
        # Scenarios mixed, so that each meets the folder as the others have left it.
        random.Random(args.seed).shuffle(points)
        for p in points:
            run.todo.put(p)
        run.in_parallel(run.work)
        run.in_parallel(Worker.finish)
    finally:
        for w in run.workers:
            if w.server:
                w.give_up_folder()
        if not run.failures and not args.keep:
            shutil.rmtree(top)
    return report(run, found, time.monotonic() - began)


def report(run, found, took):
    n = 0
    total = sum(len(every) for every, _ in found.values())
    for scenario in SCENARIOS:
        if scenario not in found:
            continue
        n += 1
        bad = [f for f in run.failures if f[0] == scenario]
        hits = run.reached.get(scenario, 0)
        print(f"{'not ' if bad else ''}ok {n} - {scenario}: killed at {hits} of "
              f"{len(found[scenario][0])} points")
        for _, where, why in bad[:5]:
            print(f"# at {where}:")
            for line in why.splitlines():
                print(f"#   {line[:300]}")
        if len(bad) > 5:
            print(f"# and {len(bad) - 5} more")
    n += 1
    odd = [f for f in run.failures if f[0] == "-"]
    print(f"{'not ' if odd else ''}ok {n} - everything ended in order")
    for _, _, why in odd:
        print("# " + why.replace("\n", "\n# "))
    n += 1
    hits = sum(run.reached.values())
    enough = hits + len(run.failures) >= min(run.args.points, total) * 9 // 10
    print(f"{'' if enough else 'not '}ok {n} - enough points were reached: {hits}")
    n += 1
    slowest, limit = max(w.slowest for w in run.workers), L.ready_limit()
    print(f"{'' if slowest <= limit else 'not '}ok {n} - ready again in at most "
          f"{slowest * 1000:.0f} ms (limit {limit:.0f} s)")
    print(f"1..{n}\n# {took:.0f} s, seed {run.args.seed}")
    return 1 if run.failures or not enough or slowest > limit else 0


sys.exit(main())
