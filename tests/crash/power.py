#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Cut the power of the disk under the server while it works, as TAP.

usage: tests/crash/power.py [--cuts N] [--fs ext4|xfs] [--seed N] [--keep]

The data folder is on a file system of its own, in an image on a loop device, mounted in a mount
namespace that only this program has. Clients work; at a random moment the file system is told to go
down (ioctl EXT4_IOC_SHUTDOWN, which XFS answers as well), in one of two ways:

    dead     nothing more reaches the disk: what was not synced is gone;
    journal  the journal is written, file contents are not: a rename that was not preceded by an fsync
             of the file leaves an empty one.

What was acknowledged before the moment has to be there. An answer that arrives while the file system
goes down counts as none: an fsync that had begun may then succeed although nothing was written, which
a real loss of power leaves nobody to see. What is sent afterwards must not be acknowledged at all.

The server is killed, the file system unmounted and mounted again, which replays its journal as after a
real loss of power. The clients' ledgers, kept outside, then say what must be there (ledger.py): two
clients work side by side, so that several requests share a commit.

Which requests are made and how long they are let work comes from the seed, which is printed; where in a
write the power goes is up to the machine. torn.py tears every write on purpose.

The last test is one that must fail: the same with fsync(2) and its kin made to do nothing (nosync.c,
preloaded). If no loss were found then, the others would prove nothing.

Needs root, loop devices and the tools of the file system; says so and is skipped otherwise.
"""
import argparse
import fcntl
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
import ledger as L  # noqa: E402

SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32)
WAYS = {"dead": 2, "journal": 1}
SIZE = {"ext4": 128 << 20, "xfs": 320 << 20}
LANES = 2
CONTROL_CUTS = 20
FIRST_STARTS = 6
# What a client does in turn, at random; those that are made of several requests count as such.
MIX = L.SCENARIOS + ["deploy-new", "deploy-many", "deploy-bundle", "activate", "config-set"] * 2


class Disk:
    """A file system in a file. mount() and unmount() any number of times."""

    def __init__(self, top, kind):
        self.image, self.dir, self.kind = top + "/image", top + "/disk", kind
        os.makedirs(self.dir, exist_ok=True)
        with open(self.image, "wb") as f:
            f.truncate(SIZE[kind])
        quiet = {"ext4": ["-q", "-F"], "xfs": ["-q", "-f"]}[kind]
        self.run(f"mkfs.{kind}", *quiet, self.image)
        self.mounted = False

    @staticmethod
    def run(*args):
        out = subprocess.run(args, capture_output=True, text=True, timeout=2 * L.PATIENCE_S, check=False)
        if out.returncode:
            raise OSError(f"{' '.join(args)}: {out.stderr.strip()}")
        return out.stdout

    def mount(self):
        # The loop device goes with the mount, and the mount with this program, however it ends.
        self.run("mount", "-t", self.kind, "-o", "loop", self.image, self.dir)
        self.mounted = True

    def cut(self, way):
        fd = os.open(self.dir, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, SHUTDOWN, struct.pack("I", WAYS[way]))
        finally:
            os.close(fd)

    def unmount(self):
        end = time.monotonic() + L.PATIENCE_S
        while self.mounted:
            try:
                self.run("umount", self.dir)
                self.mounted = False
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.01)

    def check(self):
        """The file system itself, when it is not mounted."""
        if self.kind == "ext4":
            self.run("e2fsck", "-f", "-n", self.image)

    def remove(self):
        self.unmount()
        os.unlink(self.image)


class Lane(threading.Thread):
    """A client: one request after the other until one is not answered."""

    def __init__(self, server, ledger, maker, rng, pause):
        super().__init__()
        self.server, self.ledger, self.maker, self.rng, self.pause = (
            server, ledger, maker, rng, pause)
        self.in_flight, self.failure, self.done = None, None, 0
        self.going = self.gone = None  # when the disk began to go down, and when it was

    def one(self, op):
        """False when the outcome is unknown; then op is in flight."""
        self.in_flight = op
        late = self.gone is not None
        try:
            answer = op.run(self.server)
        except L.Unusable:
            return False
        except L.Refused as e:
            # A disk that is gone may be told in many ways, but never before it is gone.
            if self.going is None:
                self.failure = e
            return False
        if late:
            self.failure = L.Failure(f"'{op.name}' was acknowledged without a disk")
        if self.going is not None:
            return False
        L.acknowledge(op, self.ledger, answer)
        self.in_flight = None
        self.done += 1
        try:
            # Builds that follow an answer: what the next request does depends on them.
            L.settled(self.server, self.ledger.lane)
        except (L.Unusable, L.Failure):
            return False
        return True

    def run(self):
        try:
            while True:
                before, make = self.maker.make(self.rng.choice(MIX))
                if not all(self.one(op) for op in before) or not self.one(make()):
                    return
                time.sleep(self.rng.uniform(0, self.pause))
        except Exception as e:
            self.failure = e


class Bench:
    """A disk, a server on it, and the clients' ledgers beside it."""

    def __init__(self, top, kind, seed, env=None):
        self.rng = random.Random(seed)
        self.disk = Disk(top, kind)
        self.disk.mount()
        os.makedirs(top + "/config", exist_ok=True)
        self.server = L.Server(self.disk.dir + "/data", top + "/key", top + "/log", env)
        self.server.start()
        self.lanes = []
        for i in range(LANES):
            ledger = L.Ledger(f"lane{i}")
            self.lanes.append((ledger, L.Maker(ledger, f"{seed} {i}")))
        for ledger, maker in self.lanes:
            for op in maker.setup():
                L.must(self.server, ledger, op)
        self.acknowledged = 0
        # What is there so far is on the disk, also for who does not sync.
        self.disk.run("sync", "--file-system", self.disk.dir)

    def cut(self, way):
        """Work, cut, come back, and look: Failure when anything is not as it was acknowledged."""
        # A source of chance for each thread, or the order in which they ask would be part of it.
        clients = [Lane(self.server, ledger, maker, random.Random(self.rng.random()), 0.003)
                   for ledger, maker in self.lanes]
        for c in clients:
            c.start()
        time.sleep(self.rng.uniform(0.02, 0.4))
        for c in clients:
            c.going = time.monotonic()
        self.disk.cut(way)
        for c in clients:
            c.gone = time.monotonic()
            # Whose request was answered meanwhile: a last one, to a server without a disk.
        time.sleep(self.rng.choice([0, 0.005, 0.05]))
        self.server.kill()
        for c in clients:
            c.join()
            self.acknowledged += c.done
            if c.failure:
                raise c.failure
        self.disk.unmount()
        self.disk.mount()
        self.server.start()
        for ledger, _ in self.lanes:
            L.settled(self.server, ledger.lane)
        self.server.fsck()
        for c in clients:
            try:
                L.judge(self.server, c.ledger, c.in_flight)
            except L.Failure as e:
                raise L.Failure(f"{e}\n acknowledged before, the last one last:\n  "
                                + "\n  ".join(c.ledger.history[-20:])) from None
        self.server.check_leftovers()

    def close(self):
        try:
            self.server.kill()
        finally:
            self.disk.remove()


def available(kind):
    """Why it is not possible here, or None."""
    if os.geteuid() != 0:
        return "needs root"
    for tool in (f"mkfs.{kind}", "mount", "umount", "unshare", "cc"):
        if shutil.which(tool, path=os.environ["PATH"] + ":/usr/sbin:/sbin") is None:
            return f"{tool} is not installed"
    try:
        with tempfile.TemporaryDirectory(prefix="karta-power-") as top:
            disk = Disk(top, kind)
            try:
                disk.mount()
                disk.cut("dead")
            finally:
                disk.remove()
    except OSError as e:
        return f"no file system of our own: {e}"
    return None


def cuts(top, args, n):
    """n cuts, half of each way. Gives the Failure, or None, and what was acknowledged."""
    bench = Bench(top, args.fs, args.seed)
    slowest = 0.0
    try:
        for i in range(n):
            way = ("dead", "journal")[i % 2]
            try:
                bench.cut(way)
            except L.Failure as e:
                return f"cut {i + 1} ({way}): {e}\n{bench.server.tail()}", bench.acknowledged, slowest
            slowest = max(slowest, bench.server.slowest_ready)
        bench.server.stop()
        bench.disk.unmount()
        bench.disk.check()
    finally:
        bench.close()
    return None, bench.acknowledged, slowest


def first_starts(top, args):
    """The power goes when a server has just said that it is ready: its key opens afterwards."""
    rng = random.Random(args.seed)
    for i in range(FIRST_STARTS):
        here = f"{top}/first{i}"
        os.makedirs(here + "/config")
        disk = Disk(here, args.fs)
        server = L.Server(disk.dir + "/data", here + "/key", here + "/log")
        try:
            disk.mount()
            server.start()
            time.sleep(rng.choice([0, 0.01]))
            disk.cut(("dead", "journal")[i % 2])
            server.kill()
            disk.unmount()
            disk.mount()
            server.start()
            server.get("/v1/whoami")
            server.fsck()
            server.check_leftovers()
        except L.Failure as e:
            return f"first start {i + 1}: {e}\n{server.tail()}"
        finally:
            try:
                if server.proc:
                    server.kill()
            finally:
                disk.remove()
    return None


def control(top, args):
    """With syncs that do nothing a loss must be found. Gives the cut that showed it, or None."""
    shim = top + "/nosync.so"
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "nosync.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", shim, source], check=True)
    for i in range(CONTROL_CUTS):
        os.makedirs(f"{top}/control{i}")
        bench = Bench(f"{top}/control{i}", args.fs, f"{args.seed} {i}", {"LD_PRELOAD": shim})
        try:
            bench.cut(("dead", "journal")[i % 2])
        except L.Failure as e:
            return i + 1, str(e)
        finally:
            bench.close()
    return None, ""


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--cuts", type=int, default=int(os.environ.get("KARTA_POWER_CUTS", "60")))
    ap.add_argument("--fs", default="ext4", choices=list(SIZE))
    ap.add_argument("--seed", type=int, default=L.SEED)
    ap.add_argument("--keep", action="store_true", help="keep the logs")
    args = ap.parse_args()
    if os.environ.get("KARTA_POWER_NS") != "1" and os.geteuid() == 0 and shutil.which("unshare"):
        # Mounts of this program are nobody else's, and go with it.
        os.environ["KARTA_POWER_NS"] = "1"
        os.environ["PATH"] += ":/usr/sbin:/sbin"
        os.execvp("unshare", ["unshare", "-m", "--propagation", "private", sys.executable]
                  + sys.argv)
    why = available(args.fs)
    if why:
        print(f"1..0 # SKIP power cuts: {why}")
        return 0
    # What ends this program from outside lets it clean up.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    top = tempfile.mkdtemp(prefix="karta-power-")
    began = time.monotonic()
    print(f"# seed {args.seed}, {args.fs}, {L.KARTA}\n1..4", flush=True)
    bad = True
    try:
        lost, acknowledged, slowest = cuts(top, args, args.cuts)
        print(f"{'not ' if lost else ''}ok 1 - {args.cuts} power cuts: nothing of {acknowledged} "
              "acknowledged requests is lost")
        for line in (lost or "").splitlines():
            print("#   " + line)
        late = slowest > L.ready_limit()
        print(f"{'not ' if late else ''}ok 2 - ready again in at most {slowest * 1000:.0f} ms",
              flush=True)
        early = first_starts(top, args)
        print(f"{'not ' if early else ''}ok 3 - nor is a first start, whose key was given out")
        for line in (early or "").splitlines():
            print("#   " + line)
        at, what = control(top, args)
        print(f"{'' if at else 'not '}ok 4 - with syncs that do nothing a loss is found"
              + (f" at cut {at}" if at else ""))
        for line in what.splitlines()[:3]:
            print(f"#   {line[:200]}")
        bad = bool(lost or late or early or not at)
    finally:
        if not bad and not args.keep:
            shutil.rmtree(top)
    print(f"# {time.monotonic() - began:.0f} s, seed {args.seed}"
          + (f", kept: {top}" if bad or args.keep else ""))
    return 1 if bad else 0


sys.exit(main())
