# SPDX-License-Identifier: MIT
"""What the rows measure with: processes and their memory, timed HTTP, event streams, the C helpers."""
import contextlib
import json
import os
import shlex
import signal
import socket
import statistics
import subprocess
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")
CFLAGS = """-std=gnu17 -D_GNU_SOURCE -O2 -Wall -Wextra -Wshadow -Wvla -Wformat=2 -Wstrict-prototypes
 -Wmissing-prototypes -Wold-style-definition -Wwrite-strings -Wpointer-arith -Wundef -Wcast-qual
 -Wimplicit-fallthrough -Wswitch-enum -Wno-unused-parameter -Wno-missing-field-initializers -Werror
 -ffunction-sections -Wl,--gc-sections""".split()


class Skip(Exception):
    """The row cannot be measured here; the text says why."""


median = statistics.median


def objects(karta, *modules):
    """What karta was made of, of these modules, without what is left of files that moved."""
    build = os.path.join(os.path.dirname(karta), "lib")
    found = sorted(os.path.join(folder, n) for m in modules
                   for folder, _, names in os.walk(os.path.join(build, m))
                   for n in names if n.endswith(".o") and os.path.exists(os.path.join(
                       ROOT, "lib", m, os.path.relpath(folder, os.path.join(build, m)), n[:-1] + "c")))
    if not found:
        raise SystemExit("bench: the objects of karta are not beside it: make bench builds them")
    return found


def compile_tools(out, karta):
    """Build the C programs into out, unless they are newer than what they are made of."""
    os.makedirs(out, exist_ok=True)
    libs = subprocess.run(["pkg-config", "--libs", "libcjson"], capture_output=True,
                          text=True, check=True).stdout.split()
    headers = [os.path.join(HERE, "bench.h")]
    modules = {"fan": ["base"], "runstat": ["base"], "stub": ["base"],
               "spawn": ["base", "text", "crypto", "net", "proc"],
               "bundle": ["base", "text", "crypto", "net", "proc", "pack", "git"]}
    jobs = []
    for name, of in modules.items():
        target = os.path.join(out, name)
        parts = [os.path.join(HERE, name + ".c")] + objects(karta, *of)
        if os.path.exists(target) and os.path.getmtime(target) > max(
                os.path.getmtime(p) for p in parts + headers):
            continue
        command = shlex.split(os.environ.get("CC", "gcc")) + CFLAGS + [
            "-I" + HERE, "-I" + os.path.join(ROOT, "lib"), "-include", "base/banned.h",
            "-o", target, *parts, "-Wl,--as-needed", *libs, "-lmd4c", "-luv", "-lpthread", "-ldl"]
        jobs.append((name, subprocess.Popen(command, stdout=subprocess.DEVNULL)))
    for name, job in jobs:
        if job.wait():
            raise SystemExit(f"bench: cannot compile {name}.c")


# --- processes ---------------------------------------------------------------------------------

def tree(pid):
    """pid and all its descendants."""
    found = [pid]
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as f:
                for child in f.read().split():
                    found += tree(int(child))
    return found


def status_kib(pid, field):
    """A field of /proc/PID/status in KiB; 0 when the process is gone."""
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/status", encoding="utf-8") as f:
            for line in f:
                if line.startswith(field + ":"):
                    return int(line.split()[1])
    return 0


def rss_kib(pids):
    return sum(status_kib(pid, "VmRSS") for pid in pids)


def pss_kib(pids):
    """Memory with each shared page divided by the processes that share it."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
                total += sum(int(line.split()[1]) for line in f if line.startswith("Pss:"))
    return total


def cpu_ms(pids):
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
                fields = f.read().rsplit(")", 1)[1].split()
            total += (int(fields[11]) + int(fields[12])) * TICK_MS
    return total


def stop(proc, limit_s=8):
    """End a process that this program started, by its id."""
    if proc.poll() is not None:
        return
    proc.terminate()
    try:
        proc.wait(limit_s)
    except subprocess.TimeoutExpired:
        proc.kill()
        proc.wait()


def stop_group(proc):
    """End the process group of a process that was started with start_new_session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(proc.pid, signal.SIGTERM)
    stop(proc)


def runstat(tools, commands, rounds, warm_ups=2, until=None, env=None, cwd=None):
    """Run commands in turn; gives for each its lists wall_ms, cpu_ms and rss_kib."""
    line = [os.path.join(tools, "runstat"), "-n", str(rounds), "-w", str(warm_ups)]
    if until:
        line += ["-u", str(until[0]), until[1]]
    for command in commands:
        line += ["--"] + command
    done = subprocess.run(line, capture_output=True, text=True, env=env, cwd=cwd, timeout=120)
    if done.returncode:
        raise RuntimeError(done.stderr.strip() or f"runstat ended with {done.returncode}")
    return json.loads(done.stdout)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


# --- HTTP --------------------------------------------------------------------------------------

class Http:
    """One kept connection with as little of its own as possible between a request and its answer."""

    def __init__(self, port, timeout=60):
        self.port = port
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rest = b""

    def close(self):
        self.sock.close()

    def send(self, method, path, body=None, headers=()):
        data = b"" if body is None else json.dumps(body).encode()
        head = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}", *headers]
        if body is not None:
            head += ["Content-Type: application/json", f"Content-Length: {len(data)}"]
        self.sock.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + data)

    def _more(self):
        data = self.sock.recv(1 << 18)
        if not data:
            raise EOFError
        self.rest += data

    def head(self):
        """The status of the answer; its headers go into self.headers, lower-case."""
        while b"\r\n\r\n" not in self.rest:
            self._more()
        head, _, self.rest = self.rest.partition(b"\r\n\r\n")
        lines = head.decode("latin1").split("\r\n")
        self.headers = {k.strip().lower(): v.strip() for k, _, v in
                        (line.partition(":") for line in lines[1:])}
        return int(lines[0].split()[1])

    def piece(self):
        """The next chunk of a chunked answer; empty at the end."""
        while b"\r\n" not in self.rest:
            self._more()
        size, _, self.rest = self.rest.partition(b"\r\n")
        size = int(size.split(b";")[0], 16)
        while len(self.rest) < size + 2:
            self._more()
        data, self.rest = self.rest[:size], self.rest[size + 2:]
        return data

    def body(self):
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            data = b""
            while piece := self.piece():
                data += piece
            return data
        size = int(self.headers.get("content-length", 0))
        while len(self.rest) < size:
            self._more()
        data, self.rest = self.rest[:size], self.rest[size:]
        return data

    def call(self, method, path, body=None, headers=()):
        self.send(method, path, body, headers)
        status = self.head()
        data = self.body()
        if status >= 300:
            raise RuntimeError(f"{method} {path}: {status} {data[:200].decode('utf-8', 'replace')}")
        return json.loads(data) if data else None


def call(port, method, path, body=None, headers=(), timeout=60):
    http = Http(port, timeout)
    try:
        return http.call(method, path, body, headers)
    finally:
        http.close()


def wait_ready(port, path, proc, limit_s=15):
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if proc.poll() is not None:
            raise RuntimeError(f"the server ended with {proc.returncode}")
        with contextlib.suppress(OSError, EOFError, RuntimeError):
            call(port, "GET", path, timeout=1)
            return
        time.sleep(0.01)
    raise RuntimeError(f"no answer from {path} in {limit_s} s")


class Pinned:
    """Programs started with pin=core stay on that core while pinning is on."""
    on = False

    @classmethod
    @contextlib.contextmanager
    def all(cls):
        cls.on = os.cpu_count() > 1
        try:
            yield
        finally:
            cls.on = False

    @classmethod
    def to(cls, core):
        """For subprocess.Popen()'s preexec_fn."""
        return (lambda: os.sched_setaffinity(0, {core})) if cls.on else None


# --- readers -----------------------------------------------------------------------------------

class Fan:
    """tests/bench/fan.c: a fleet of readers."""

    def __init__(self, tools, port, path, readers, events, seconds):
        self.proc = subprocess.Popen([os.path.join(tools, "fan"), str(port), path, str(readers),
                                      str(int(seconds)), str(events)], stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                     preexec_fn=Pinned.to(1))
        first = self.proc.stdout.readline()
        if first.strip() != "ready":
            stop(self.proc)
            raise RuntimeError("readers were refused: " + (self.proc.stderr.read() or first).strip())

    def result(self):
        """Wait for its end; it ends by itself."""
        out = self.proc.stdout.read()
        self.proc.communicate(timeout=10)
        return json.loads(out)

    def leave(self):
        """All readers go at once."""
        out, _ = self.proc.communicate(timeout=30)
        return json.loads(out)


def background(fn, *args):
    """Run fn(*args) beside; join() re-raises what it raised."""
    class Job(threading.Thread):
        error = None

        def run(self):
            try:
                fn(*args)
            except Exception as e:  # handed to join()
                self.error = e

        def join(self, timeout=60):
            super().join(timeout)
            if self.error:
                raise self.error
    job = Job(daemon=True)
    job.start()
    return job


def temp_dir(stack, name):
    return stack.enter_context(tempfile.TemporaryDirectory(prefix=f"karta-bench-{name}-",
                                                           ignore_cleanup_errors=True))


def kill_quietly(pid, signum=signal.SIGKILL):
    with contextlib.suppress(OSError):
        os.kill(pid, signum)
