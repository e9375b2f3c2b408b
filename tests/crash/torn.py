#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Start the server on session journals whose last write is torn, as TAP.

usage: tests/crash/torn.py [--points N | --all] [--only SCENARIO] [--seed N] [--keep]

A loss of power may leave any beginning of a write that was not yet waited for, with zeros or anything
else behind it. Nothing is left to chance here: a scenario's requests are made and answered, the server
is killed, and the last write of `sessions.jsonl` is cut at a byte, N of them a scenario: around each
line's end, and others at random. On each such folder a server is started. `karta fsck` finds nothing;
the requests are repeated, each with its Idempotency-Key, and each has happened once: one session, one
turn, whatever was left of it. tests/unit/session/test_torn.c has every byte, without a server.
"""
import argparse
import os
import random
import shutil
import sys
import tempfile
import time

sys.dont_write_bytecode = True
import ledger as L  # noqa: E402

TAILS = {"cut": lambda rest: b"", "zeros": lambda rest: bytes(len(rest)),
         "page of zeros": lambda rest: bytes(4096), "garbage": lambda rest: b"\xff{\"id\":\"sess"}


class Scenario:
    """A folder, its ledger before the requests, and the requests, which were acknowledged."""

    def __init__(self, name, top, seed):
        self.name, self.top = name, f"{top}/{name}"
        os.makedirs(self.top + "/config")
        server = L.Server(self.top + "/data", self.top + "/key", self.top + "/log")
        server.start()
        self.ledger = L.Ledger(f"lane-{name}")
        maker = L.Maker(self.ledger, seed)
        for op in maker.setup():
            L.must(server, self.ledger, op)
        old = L.op_session(maker.app, "old")
        L.must(server, self.ledger, old)
        self.before = self.journal()
        self.ops = {
            "create": lambda: [L.op_session(maker.app, "new")],
            "message": lambda: [L.op_message(old.answer["id"])],
            "several": lambda: [L.op_session(maker.app, "new"), L.op_message(old.answer["id"]),
                                L.op_session(maker.app, "newer")],
            "delete": lambda: [L.op_session_delete(old.answer["id"])],
        }[name]()
        for op in self.ops:
            op.answer = op.run(server)
        server.kill()
        self.after = self.journal()

    def journal(self, data=None):
        with open((data or self.top + "/data") + "/sessions.jsonl", "rb") as f:
            return f.read()

    def points(self, wanted, rng):
        """(bytes of the journal that are left, what follows them)"""
        first, end = len(self.before), len(self.after)
        ends = [i + 1 for i in range(first, end) if self.after[i:i + 1] == b"\n"]
        near = sorted({p for e in [first, *ends] for p in (e - 1, e, e + 1) if first <= p <= end})
        every = [(p, tail) for p in range(first, end + 1) for tail in TAILS]
        if wanted is None:
            return every
        must = [(p, "cut") for p in near] + [(end, tail) for tail in TAILS]
        rest = [p for p in every if p not in must]
        return must + rng.sample(rest, max(0, min(wanted - len(must), len(rest))))

    def check(self, number, left, tail):
        here = f"{self.top}/{number}"
        # But its socket, which nobody can copy.
        shutil.copytree(self.top + "/data", here + "/data", symlinks=True,
                        ignore=shutil.ignore_patterns("bell"))
        os.makedirs(here + "/config")
        with open(here + "/data/sessions.jsonl", "wb") as f:
            f.write(self.after[:left] + TAILS[tail](self.after[left:]))
        server = L.Server(here + "/data", self.top + "/key", here + "/log")
        ledger = self.ledger.copy()
        try:
            server.start()
            server.fsck()
            if left == len(self.after):
                whole = ledger.copy()
                for op in self.ops:
                    op.effect(whole, op.answer)
                self.expect(server, whole, "acknowledged, but")
            for op in self.ops:
                op.effect(ledger, op.run(server, retry=True))
            self.expect(server, ledger, "repeated with their keys, but")
            server.fsck()
            server.check_leftovers()
        except L.Failure as e:
            return f"{left - len(self.before)} of {len(self.after) - len(self.before)} bytes, " \
                   f"then {tail}: {e}\n(its folder: {here})"
        finally:
            server.kill()
        shutil.rmtree(here)
        return None

    @staticmethod
    def expect(server, ledger, what):
        """What is there is the ledger, at the latest when the turns have ended."""
        end = time.monotonic() + 20
        while True:
            wrong = L.difference(ledger.plain(), L.observe(server, ledger.lane))
            if not wrong:
                return
            if time.monotonic() > end:
                raise L.Failure(what + "\n  " + "\n  ".join(wrong))
            time.sleep(0.02)


SCENARIOS = ["create", "message", "several", "delete"]


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--points", type=int, default=int(os.environ.get("KARTA_TORN_POINTS", "24")))
    ap.add_argument("--all", action="store_true", help="every byte, with everything behind it")
    ap.add_argument("--only", default="", choices=[""] + SCENARIOS)
    ap.add_argument("--seed", type=int, default=L.SEED)
    ap.add_argument("--keep", action="store_true")
    args = ap.parse_args()
    names = [s for s in SCENARIOS if args.only in ("", s)]
    top = tempfile.mkdtemp(prefix="karta-torn-")
    print(f"# seed {args.seed}, {L.KARTA}\n1..{len(names)}", flush=True)
    bad = 0
    for n, name in enumerate(names, 1):
        rng = random.Random(f"{args.seed} {name}")
        scenario = Scenario(name, top, f"{args.seed} {name}")
        points = scenario.points(None if args.all else args.points, rng)
        failures = [f for i, p in enumerate(points) if (f := scenario.check(i, *p))]
        bad += bool(failures)
        print(f"{'not ' if failures else ''}ok {n} - {name}: the last write torn at {len(points)} "
              "places, and each request happened once", flush=True)
        for f in failures[:5]:
            print("#   " + f.replace("\n", "\n#   "))
    if not bad and not args.keep:
        shutil.rmtree(top)
    print(f"# seed {args.seed}" + (f", kept: {top}" if bad or args.keep else ""))
    return 1 if bad else 0


sys.exit(main())
