# SPDX-License-Identifier: MIT
"""Rows 15 to 21: releases. Pushing, packaging, rolling back, following the log, starting a server
that has many."""
import contextlib
import ctypes
import json
import os
import random
import re
import shutil
import socket
import sqlite3
import struct
import subprocess
import threading
import time

from measure import Http, Skip, free_port, median, runstat, stop, temp_dir
from rows import ms, wrk
from servers import DEPLOY_HOOK, GitHttp, Karta, KartaServe, SandboxAgent, prompt_text

MB = 1_000_000
LARGE = (2000, 50 * MB)  # files, bytes


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
        self.stack, self.program, self.karta = stack, b.karta, None
        self.http = GitHttp(stack)
        self.repo = Repository(stack, *LARGE)
        self.repo.env["PATH"] = os.path.dirname(b.karta) + ":" + os.environ["PATH"]
        if not os.path.exists(os.path.join(os.path.dirname(b.karta), "git-remote-karta")):
            raise Skip("git-remote-karta is not beside karta: make builds it")
        self.count = 0
        self.names = []

    def fresh(self):
        """New empty remotes. A server of karta keeps a file once, in whatever project: a new server."""
        repo = self.repo
        if self.karta:
            self.karta.stop()
            shutil.rmtree(self.karta.data, ignore_errors=True)
        self.karta = KartaServe(self.stack, self.program)
        repo.env["KARTA_API_KEY"] = self.karta.key
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
              f">= {least:.3g}x" if least else "", None if least is None else ratio >= least)


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
        go_back(b, r)


def go_back(b, r):
    """Row 20. Who has no rollback pushes the commit of before."""
    now = int(r.version()[1:])
    env = {**r.repo.env, "KARTA_SERVER": r.karta.url}
    command = [b.karta, "rollback", "--quiet", "--server", r.karta.url, "--to"]
    mine, theirs, swaps, calls = [], [], [], []
    http = Http(r.karta.port)
    project = f"/agent_projects/bench{r.count}"
    http.call("DELETE", project + "/pin", None, (r.karta.bearer,))
    for i in range(4 if b.quick else 12):
        version, commit = (f"v{now - 1}", "HEAD~1") if i % 2 == 0 else (f"v{now}", "HEAD")
        mine += runstat(b.tools, [command + [version, f"bench{r.count}"]], 1, 0, env=env)[0]["wall_ms"]
        if r.version() != version:
            raise RuntimeError("the rollback did not change what is live")
        begin = time.monotonic()
        r.repo.git("push", "-qf", "hook", f"{commit}:refs/heads/main")
        theirs.append((time.monotonic() - begin) * 1000)
        swaps.append(swap(r.http.root, i))
    http.call("DELETE", project + "/pin", None, (r.karta.bearer,))
    for i in range(10 if b.quick else 30):
        begin = time.monotonic()
        http.call("POST", f"{project}/releases/v{now - i % 2}/activate", {}, (r.karta.bearer,))
        calls.append((time.monotonic() - begin) * 1000)
    http.close()
    b.row(20, "karta rollback, the whole command", ms(mine), f"push with hook again {ms(theirs)}",
          f"{median(theirs) / median(mine):.0f}x faster", "<= 8 ms", median(mine) <= 8)
    b.row(20, "  activation: one HTTP request", ms(calls), f"link replaced and synced {ms(swaps)}",
          f"{median(calls) / median(swaps):.1f}x", "", None)


def swap(folder, i):
    """What the least thing would take that can be called a rollback: another link, on disk."""
    begin = time.monotonic()
    os.symlink(str(i), os.path.join(folder, "swap.new"))
    os.rename(os.path.join(folder, "swap.new"), os.path.join(folder, "swap"))
    fd = os.open(folder, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
    return (time.monotonic() - begin) * 1000


def wire(b, r):
    """Row 18: what goes through the loopback interface to and from the server's port, headers of IP and
    TCP included."""
    got = {}
    for _ in range(3):
        r.repo.edit()
        for name, server in (("karta", r.karta), ("git http", r.http)):
            with Tap(server.port) as tap:
                r.repo.push(r.short(name))
            got.setdefault(name, []).append((tap.bytes, tap.packets, tap.payload))
    mine, theirs = min(got["karta"]), min(got["git http"])
    b.row(18, "bytes on the wire, push of 1 file", f"{mine[0]:,} B", f"git http {theirs[0]:,} B",
          f"{theirs[0] / mine[0]:.2f}x fewer", "<= 2 KB", mine[0] <= 2048)
    b.note(f"in {mine[1]} and {theirs[1]} packets; without their headers {mine[2]:,} and "
           f"{theirs[2]:,} bytes")


class Tap:
    """Counts the packets of one port on lo while it is open. Needs CAP_NET_RAW."""

    def __init__(self, port):
        self.bytes = self.packets = self.payload = 0
        try:
            self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(3))
        except PermissionError:
            raise Skip("counting packets needs root") from None
        self.only(port)
        self.sock.bind(("lo", 0))

    def only(self, port):
        """A filter of the kernel for IPv4, TCP, and this port at one end; others would fill the queue."""
        half, byte, header, from_x, equal, give = 0x28, 0x30, 0xb1, 0x48, 0x15, 0x06
        code = [(half, 0, 0, 12), (equal, 0, 8, 0x0800), (byte, 0, 0, 23), (equal, 0, 6, 6),
                (header, 0, 0, 14), (from_x, 0, 0, 14), (equal, 2, 0, port), (from_x, 0, 0, 16),
                (equal, 0, 1, port), (give, 0, 0, 1 << 17), (give, 0, 0, 0)]
        self.code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *c) for c in code))
        program = struct.pack("HL", len(code), ctypes.addressof(self.code))
        self.sock.setsockopt(socket.SOL_SOCKET, 26, program)  # SO_ATTACH_FILTER

    def __enter__(self):
        return self

    def __exit__(self, *_):
        time.sleep(0.1)  # the last packets of a connection that closes
        self.sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                self.take(*self.sock.recvfrom(1 << 17))
        self.sock.close()

    def take(self, frame, address):
        # lo shows each packet twice, as it leaves and as it comes.
        if address[2] != socket.PACKET_OUTGOING:
            return
        head = (frame[14] & 15) * 4
        tcp = frame[14 + head:]
        self.packets += 1
        self.bytes += len(frame) - 14
        self.payload += len(frame) - 14 - head - (tcp[12] >> 4) * 4


# --- packing -------------------------------------------------------------------------------------

def packing(b):
    """Row 19."""
    with contextlib.ExitStack() as stack:
        program = os.path.join(b.tools, "bundle")
        repo = Repository(stack, *LARGE)
        out = temp_dir(stack, "pack")
        cache = os.path.join(repo.dir, ".git/karta")
        commands = {"karta": [program, repo.dir, out + "/bundle"],
                    "tar": ["sh", "-c", f"tar --exclude=.git -C '{repo.dir}' -cf - . | "
                                        f"gzip -6 > '{out}/tar.gz'"]}
        got = {name: [] for name in commands}
        for _ in range(2 if b.quick else 4):
            for name, command in commands.items():
                shutil.rmtree(cache, ignore_errors=True)
                got[name] += runstat(b.tools, [command], 1, 0, env=repo.env)[0]["wall_ms"]
        sizes = os.path.getsize(out + "/bundle"), os.path.getsize(out + "/tar.gz")
    ratio = median(got["tar"]) / median(got["karta"])
    b.row(19, f"packing {repo.bytes / MB:.0f} MB for the first push", ms(got["karta"]),
          f"tar | gzip -6 {ms(got['tar'])}", f"{ratio:.1f}x faster", ">= 4x", ratio >= 4)
    b.row(19, "  its size", f"{sizes[0] / MB:.1f} MB", f"tar | gzip -6 {sizes[1] / MB:.1f} MB",
          f"{1 - sizes[0] / sizes[1]:.0%} smaller", ">= 10% smaller", sizes[0] <= 0.9 * sizes[1])


# --- sessions on a hosting server ----------------------------------------------------------------

APP = {"AGENTS.md": "A stub.\n"}


def app_of(command):
    return {**APP, "karta.toml": f'name = "bench"\n[harness]\ntype = "acp"\ncommand = ["{command}"]\n'}


def script(folder, body, headers):
    """wrk posts this."""
    path = os.path.join(folder, "post.lua")
    with open(path, "w", encoding="ascii") as f:
        f.write(f"wrk.method = 'POST'\nwrk.body = '{json.dumps(body)}'\n")
        for name, value in headers.items():
            f.write(f"wrk.headers['{name}'] = '{value}'\n")
    return path


def sqlite_rate(folder, seconds):
    """Rows of 300 bytes a second, each in a transaction of its own that is on disk when it ends."""
    db = sqlite3.connect(os.path.join(folder, "floor.db"), isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, text TEXT)")
    end, n = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        db.execute("INSERT INTO t (text) VALUES (?)", ("x" * 300,))
        n += 1
    db.close()
    return n / seconds


def durable_sessions(b):
    """Row 9: sessions that are on disk when they are acknowledged."""
    if not shutil.which("wrk"):
        raise Skip("wrk is not installed: scripts/setup --bench")
    seconds = 2 if b.quick else 4
    with contextlib.ExitStack() as stack:
        karta = KartaServe(stack, b.karta)
        karta.publish("bench", app_of(b.stub))
        lua = script(karta.data, {}, {"Content-Type": "application/json",
                                      "Authorization": f"Bearer {karta.key}"})
        servers = [(karta, lambda: "/v1/projects/bench/sessions", lua)]
        try:
            sa = SandboxAgent(stack, SandboxAgent.home(stack, b.stub))
            body = {"jsonrpc": "2.0", "id": 9, "method": "session/new",
                    "params": {"cwd": "/tmp", "mcpServers": []}}
            servers.append((sa, lambda: sa.begin() + "?agent=pi", script(
                temp_dir(stack, "lua"), body, {"Content-Type": "application/json"})))
        except Skip as e:
            b.skip(9, "durable sessions beside sandbox-agent", str(e))
        got = {}
        for _ in range(1 if b.quick else 3):
            for server, path, lua in servers:
                for n in (64, 1):
                    got.setdefault((server.name, n), []).append(
                        wrk(server, path(), seconds, n, lua)[0])
            got.setdefault(("sqlite", 1), []).append(sqlite_rate(karta.data, 1))
    rate = {k: median(v) for k, v in got.items()}
    for n, least in ((64, 20000), (1, None)):
        mine = rate["karta serve", n]
        what = f"durable POST /v1/sessions, {n} connection{'s' if n > 1 else ''}"
        told = "sandbox-agent, in memory,"
        if ("sandbox-agent", n) in rate:
            b.row(9, what, f"{mine / 1000:.1f} k/s", f"{told} {rate['sandbox-agent', n] / 1000:.1f} k/s",
                  f"{mine / rate['sandbox-agent', n]:.2f}x", f">= {least / 1000:.0f} k/s" if least else "",
                  None if least is None else mine >= least)
    mine, floor = rate["karta serve", 1], rate["sqlite", 1]
    b.row(9, "  1 connection, beside the disk", f"{mine / 1000:.2f} k/s", f"SQLite FULL {floor / 1000:.2f} k/s",
          f"{mine / floor:.2f}x", "", None)


# --- the log -------------------------------------------------------------------------------------

def lines_of(program, env, lines, begin):
    """Start a program that follows lines, let begin() make them, and give their delays in ms."""
    proc = subprocess.Popen(program, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, bufsize=0)
    got = []

    def read():
        rest = b""
        while len(got) < lines and (data := os.read(proc.stdout.fileno(), 65536)):
            now = time.time_ns()
            rest += data
            *whole, rest = rest.split(b"\n")
            got.extend((now - int(m[1])) / 1e6 for m in (re.search(rb"@@(\d+):", x) for x in whole) if m)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    time.sleep(0.5)
    begin()
    thread.join(60)
    stop(proc)
    proc.stdout.close()
    if len(got) < lines:
        raise RuntimeError(f"only {len(got)} of {lines} lines came")
    return got


def log_tail(b):
    """Row 21: from the harness's write to its stderr to the reader's read."""
    lines, gap_ms = (40, 20) if b.quick else (100, 20)
    text = prompt_text(lines, gap_ms) + " LOG=1"
    with contextlib.ExitStack() as stack:
        karta = KartaServe(stack, b.karta, offline=False)
        karta.publish("bench", app_of(b.stub))
        session = karta.call("POST", "/v1/projects/bench/sessions", {})["id"]
        path = os.path.join(temp_dir(stack, "tail"), "log")
        mine, theirs = [], []
        for _ in range(1 if b.quick else 3):
            command, env = karta.command("logs", "--tail", "--lines", "0", "bench")
            mine.append(lines_of(command, env, lines, lambda: karta.call(
                "POST", f"/v1/projects/bench/sessions/{session}/messages", {"text": text},
                ("Prefer: respond-async",))))
            theirs.append(tail_file(b, path, lines, text))
    p50 = [median(x) for x in mine], [median(x) for x in theirs]
    p99 = [sorted(x)[len(x) * 99 // 100] for x in mine], [sorted(x)[len(x) * 99 // 100] for x in theirs]
    ratio = median(p50[0]) / median(p50[1])
    b.row(21, "karta logs --tail, delay of a line, p50", ms(p50[0]), f"tail -F {ms(p50[1])}",
          f"{ratio:.2f}x", "<= 0.5 ms, <= 2.5x", median(p50[0]) <= 0.5 and ratio <= 2.5)
    b.row(21, "  p99", ms(p99[0]), f"tail -F {ms(p99[1])}", f"{median(p99[0]) / median(p99[1]):.2f}x", "", None)


def tail_file(b, path, lines, text):
    """The same agent writes the same lines into a file that tail follows."""
    with open(path, "ab") as f:
        agent = subprocess.Popen([b.stub], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=f)
    prompt = {"jsonrpc": "2.0", "id": 1, "method": "session/prompt",
              "params": {"sessionId": "s1", "prompt": [{"type": "text", "text": text}]}}

    def begin():
        agent.stdin.write(json.dumps(prompt, separators=(",", ":")).encode() + b"\n")
        agent.stdin.flush()

    try:
        return lines_of(["tail", "-n", "0", "-F", path], None, lines, begin)
    finally:
        agent.stdin.close()
        stop(agent)


# --- many releases -------------------------------------------------------------------------------

def add_releases(data, projects, each):
    """Fill a data folder by SQL with copies of its one release: `projects` projects of `each`."""
    db = sqlite3.connect(os.path.join(data, "karta.db"))
    db.execute("PRAGMA foreign_keys = OFF")
    for table in ("projects", "releases"):
        columns = [c[1] for c in db.execute(f"PRAGMA table_info({table})")]
        row = dict(zip(columns, db.execute(f"SELECT * FROM {table}").fetchone()))
        insert = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
        for p in range(projects):
            for v in range(1, (each if table == "releases" else 1) + 1):
                more = {"id": f"prj_bench{p:05d}", "slug": f"p{p}", "label": f"p{p}",
                        "next_version": each + 1, "current_release_id": f"rel_{p:05d}x{each:05d}"}
                if table == "releases":
                    more = {"id": f"rel_{p:05d}x{v:05d}", "project_id": f"prj_bench{p:05d}", "version": v,
                            "state": "active" if v == each else "superseded"}
                db.execute(insert, [more.get(c, row[c]) for c in columns])
    db.commit()
    db.close()


def start_with_releases(b):
    """Row 24: how long karta serve takes to answer, with one release and with 10,000."""
    with contextlib.ExitStack() as stack:
        folders = []
        for many in (False, True):
            with contextlib.ExitStack() as inner:
                karta = KartaServe(inner, b.karta, temp_dir(stack, "data"))
                karta.publish("bench", app_of(b.stub))
            if many:
                add_releases(karta.data, 100, 100)
            folders.append(karta.data)
        got = [[], []]
        for _ in range(5 if b.quick else 15):
            for data, into in zip(folders, got):
                port = free_port()
                into += runstat(b.tools, [KartaServe.line(b.karta, data, port)], 1, 0,
                                (port, KartaServe.ready_path), Karta.env(data), data)[0]["wall_ms"]
        check = KartaServe(stack, b.karta, folders[1])
        if check.call("GET", "/agent_projects/p99/releases?limit=1")["data"][0]["version"] != "v100":
            raise RuntimeError("the generated releases are not there")
    b.row(24, "karta serve to first 200, 10,000 releases", ms(got[1]), f"with 1 release {ms(got[0])}",
          f"{median(got[1]) / median(got[0]):.1f}x", "", None)
