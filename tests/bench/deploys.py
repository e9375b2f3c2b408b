# SPDX-License-Identifier: MIT
"""Rows 15 to 21: releases. Pushing, packaging, rolling back, following the log, starting a server
that has many."""
import contextlib
import json
import os
import random
import re
import shutil
import sqlite3
import subprocess
import threading
import time

from measure import HERE, Skip, background, free_port, median, runstat, stop, temp_dir
from rows import ms
from servers import DEPLOY_HOOK, GitHttp, Karta, KartaServe, SandboxAgent, prompt_text

MB = 1_000_000
LARGE = (2000, 50 * MB)  # files, bytes
HEADER_FRAME = 14 + 20 + 20  # at least, of a packet with TCP


# --- repositories --------------------------------------------------------------------------------

class Repository:
    """A git repository whose files are as random as those of real ones: three quarters are words,
    the rest cannot be compressed; sizes are exponentially distributed."""

    def __init__(self, stack, files, size):
        self.dir = temp_dir(stack, "repo")
        self.rnd = random.Random(7)
        self.words = ["".join(self.rnd.choices("abcdefghijklmnopqrstuvwxyz", k=self.rnd.randint(2, 10)))
                      for _ in range(4000)]
        self.paths = []
        self.bytes = 0
        for i in range(files - 1):
            self.add(i, max(64, int(self.rnd.expovariate(files / size))))
        self.write("CLAUDE.md", b"# An agent\n" + self.text(2000))
        self.env = {**os.environ, "HOME": self.dir + ".home", "GIT_CONFIG_NOSYSTEM": "1",
                    "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
        os.makedirs(self.env["HOME"])
        stack.callback(shutil.rmtree, self.env["HOME"], True)
        for key, value in (("user.name", "bench"), ("user.email", "bench@localhost"), ("gc.auto", "0"),
                           ("init.defaultBranch", "main"), ("advice.detachedHead", "false")):
            self.git("config", "--global", key, value)
        self.git("init", "-q", "-b", "main")
        self.git("add", "-A")
        self.git("commit", "-qm", "first")
        self.git("repack", "-adq")
        self.edits = 0

    def text(self, size):
        out, have = [], 0
        while have < size:
            line = " ".join(self.rnd.choices(self.words, k=self.rnd.randint(4, 14))) + "\n"
            out.append(line)
            have += len(line)
        return "".join(out).encode()[:size]

    def add(self, i, size):
        binary = self.rnd.random() < 0.25
        path = f"d{i % 40:02d}/s{i % 7}/f{i:04d}.{'bin' if binary else 'md'}"
        self.write(path, self.rnd.randbytes(size) if binary else self.text(size))
        self.paths.append(path)
        self.bytes += size

    def write(self, path, data, mode="wb"):
        full = os.path.join(self.dir, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, mode) as f:
            f.write(data)

    def git(self, *args, env=None):
        done = subprocess.run(["git", *args], cwd=self.dir, env=env or self.env, capture_output=True,
                              text=True, timeout=120)
        if done.returncode:
            raise RuntimeError(f"git {' '.join(args)}: {done.stderr.strip()[-400:]}")
        return done.stdout.strip()

    def edit(self, files=1):
        """Commit a change of so many files."""
        self.edits += 1
        for path in ["CLAUDE.md"] + self.rnd.sample(self.paths, files - 1):
            self.write(path, f"edit {self.edits} {self.rnd.random()}\n".encode(), "ab")
        self.git("commit", "-qam", f"edit {self.edits}")

    def push(self, remote):
        """Milliseconds of one push."""
        begin = time.monotonic()
        self.git("push", "-q", remote, "main")
        return (time.monotonic() - begin) * 1000


class Remotes:
    """The three places that are pushed to, in turn: karta, git over HTTP, the same with a hook that
    unpacks the commit and makes it live."""

    def __init__(self, b, stack):
        self.karta = KartaServe(stack, b.karta)
        self.http = GitHttp(stack)
        self.repo = Repository(stack, *LARGE)
        self.repo.env["KARTA_API_KEY"] = self.karta.key
        self.repo.env["PATH"] = os.path.dirname(b.karta) + ":" + os.environ["PATH"]
        if not os.path.exists(os.path.join(os.path.dirname(b.karta), "git-remote-karta")):
            raise Skip("git-remote-karta is not beside karta: make builds it")
        self.count = 0
        self.names = []

    def fresh(self):
        """New empty remotes."""
        repo = self.repo
        for name in self.names:
            repo.git("remote", "remove", name)
            shutil.rmtree(os.path.join(repo.dir, ".git/karta"), ignore_errors=True)
        if self.count:
            self.http.forget(f"plain{self.count}")
            self.http.forget(f"hook{self.count}")
        self.count += 1
        urls = {"karta": f"karta::{self.karta.url}/bench{self.count}",
                "git http": self.http.make(f"plain{self.count}"),
                "hook": self.http.make(f"hook{self.count}", DEPLOY_HOOK)}
        for name, url in urls.items():
            repo.git("remote", "add", self.short(name), url)
        self.names = [self.short(n) for n in urls]
        return list(urls)

    @staticmethod
    def short(name):
        return name.replace(" ", "-")

    def round(self, names, got, turn):
        """One push to each, another one first each time."""
        turn %= len(names)
        for name in names[turn:] + names[:turn]:
            got.setdefault(name, []).append(self.repo.push(self.short(name)))

    def version(self):
        return self.karta.call("GET", f"/agent_projects/bench{self.count}")["current"]["version"]


def push_row(b, number, what, got, targets):
    for other, least in targets:
        ratio = median(got[other]) / median(got["karta"])
        b.row(number, what, ms(got["karta"]), f"{OTHERS[other]} {ms(got[other])}", f"{ratio:.1f}x faster",
              f">= {least}x" if least else "", None if least is None else ratio >= least)


OTHERS = {"git http": "git http", "hook": "with unpacking hook"}


def pushes(b):
    """Rows 15 to 18."""
    with contextlib.ExitStack() as stack:
        r = Remotes(b, stack)
        first = {}
        for turn in range(2 if b.quick else 4):
            names = r.fresh()
            r.round(names, first, turn)
        if r.version() != "v1":
            raise RuntimeError("the pushed release is not live")
        one, none, twenty = {}, {}, {}
        for turn in range(4 if b.quick else 12):
            r.repo.edit()
            r.round(names, one, turn)
            r.round(names, none, turn)
        for turn in range(2 if b.quick else 5):
            r.repo.edit(20)
            r.round(names, twenty, turn)
        if r.version() != f"v{1 + r.repo.edits}":
            raise RuntimeError("the last pushed release is not live")
        push_row(b, 15, "push of 1 file of 2,000, release live", one, (("git http", 1 / 0.7), ("hook", 7)))
        push_row(b, 15, "  push of 20 files", twenty, (("git http", None), ("hook", None)))
        push_row(b, 16, f"first push, 2,000 files, {r.repo.bytes / MB:.0f} MB", first,
                 (("git http", None), ("hook", 3)))
        push_row(b, 17, "push without a change", none, (("git http", 2),))
        wire(b, r)


def wire(b, r):
    """Row 18. The kernel counts what goes through the loopback interface, frames and all."""
    got = {}
    for _ in range(3):
        r.repo.edit()
        for name in ("karta", "git http"):
            before = loopback()
            r.repo.push(r.short(name))
            after = loopback()
            got.setdefault(name, []).append((after[0] - before[0], after[1] - before[1]))
    mine, theirs = min(got["karta"]), min(got["git http"])
    b.row(18, "bytes on the wire, push of 1 file", f"{mine[0]:,} B", f"git http {theirs[0]:,} B",
          f"{theirs[0] / mine[0]:.2f}x fewer", "<= 2 KB", mine[0] <= 2048)
    b.note(f"in {mine[1]} and {theirs[1]} packets, whose headers of {HEADER_FRAME} bytes and more are "
           "counted; the least of three, since other connections are counted too")


def loopback():
    """Bytes and packets that went through lo."""
    with open("/proc/net/dev", encoding="ascii") as f:
        for line in f:
            if line.strip().startswith("lo:"):
                fields = line.split(":")[1].split()
                return int(fields[0]), int(fields[1])
    raise Skip("there is no loopback interface to count at")
