# SPDX-License-Identifier: MIT
"""Row 22: what karta adds to a turn, with the stub agent and with the real Claude Code."""
import contextlib
import json
import os
import platform
import shutil
import signal
import subprocess
import time
import uuid

from measure import Http, ROOT, Skip, call, kill_quietly, median, stop, temp_dir, tree
from rows import ms
from servers import Karta, prompt_text

ARCH = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
CLAUDE = os.path.join(ROOT, f"tests/node_modules/@anthropic-ai/claude-code-linux-{ARCH}/claude")
STANDIN = os.path.join(ROOT, "tests/standin/standin-model.mjs")
MODEL = "standin-1"
SETTLE_S = 3  # until a harness that was started ahead is surely ready


class Pipe:
    """A program driven by lines of JSON on its stdin and stdout."""

    def __init__(self, line, env=None, cwd=None):
        self.proc = subprocess.Popen(line, env=env, cwd=cwd, stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0)
        self.out = os.fdopen(os.dup(self.proc.stdout.fileno()), "rb")

    def send(self, message):
        self.proc.stdin.write(json.dumps(message).encode() + b"\n")

    def until(self, word):
        """The first line with word in it."""
        while line := self.out.readline():
            if word in line:
                return line
        raise RuntimeError(f"the program ended before {word}")

    def close(self):
        self.proc.stdin.close()
        stop(self.proc)
        self.out.close()


def stub_turns(b):
    """A turn with a kept agent process: through karta, and with the agent driven directly."""
    with contextlib.ExitStack() as stack:
        karta = Karta(stack, b.karta, b.app)
        karta.begin()
        http = Http(karta.port)
        pipe = Pipe([b.stub])
        stack.callback(pipe.close)
        pipe.send({"jsonrpc": "2.0", "id": 1, "method": "session/new", "params": {}})
        pipe.until(b"sessionId")
        text = prompt_text(1, 0)
        mine, alone = [], []
        for i in range(50 if b.quick else 300):
            start = time.perf_counter()
            http.call("POST", f"/v1/sessions/{karta.session}/messages", {"text": text})
            mine.append((time.perf_counter() - start) * 1000)
            start = time.perf_counter()
            pipe.send({"jsonrpc": "2.0", "id": i + 2, "method": "session/prompt", "params": {
                "sessionId": "s1", "prompt": [{"type": "text", "text": text}]}})
            pipe.until(b"stopReason")
            alone.append((time.perf_counter() - start) * 1000)
    share = median(mine) - median(alone)
    b.row(22, "turn with a kept process (stub agent)", ms(mine[1:]), f"agent alone {ms(alone)}",
          f"+{share:.2f} ms", "<= 1 ms added", share <= 1)
    b.note(f"the first turn, which starts the agent process: {mine[0]:.2f} ms")


def start_model(stack):
    """The stand-in for the model; gives its URL."""
    proc = subprocess.Popen(["node", STANDIN, "--port", "0", "--max-seconds", "300"],
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    stack.callback(stop, proc)
    return f"http://127.0.0.1:{proc.stdout.readline().split('port=')[1].split()[0]}"


def claude_env(url, home):
    return {"PATH": os.environ["PATH"], "HOME": home, "CLAUDE_CODE_TMPDIR": home,
            "XDG_CONFIG_HOME": home, "XDG_CACHE_HOME": home, "XDG_DATA_HOME": home,
            "ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": "dummy", "KARTA_CLAUDE": CLAUDE,
            "CLAUDE_CODE_MAX_RETRIES": "1", "DISABLE_AUTOUPDATER": "1"}


class Alone:
    """Claude Code over stdio, as an application without karta would drive it."""

    def __init__(self, env, cwd, session, resume=False):
        self.start = time.perf_counter()
        self.pipe = Pipe([CLAUDE, "-p", "--input-format", "stream-json", "--output-format",
                          "stream-json", "--verbose", "--include-partial-messages", "--model", MODEL,
                          "--resume" if resume else "--session-id", session], env, cwd)

    def first_text(self, cold=False):
        start = self.start if cold else time.perf_counter()
        self.pipe.send({"type": "user", "message": {
            "role": "user", "content": [{"type": "text", "text": "[[text:hello there]]"}]}})
        self.pipe.until(b'"text_delta"')
        took = (time.perf_counter() - start) * 1000
        self.pipe.until(b'"type":"result"')
        return took


def first_text(karta, session):
    """Milliseconds from sending a message to its first text; waits for the turn's end."""
    http = Http(karta.port)
    start = time.perf_counter()
    http.send("POST", f"/v1/sessions/{session}/messages",
              {"text": "[[text:hello there]]", "stream": True})
    if http.head() != 200:
        raise RuntimeError("the message was refused")
    text = b""
    while b"event: text" not in text:
        text += http.piece()
        if b"event: error" in text:
            raise RuntimeError(text.decode("utf-8", "replace")[-300:])
    took = (time.perf_counter() - start) * 1000
    while b"event: done" not in text:
        text += http.piece()
    http.close()
    return took


def harness_pids(karta):
    """The processes below karta whose program is Claude Code."""
    found = []
    for pid in tree(karta.pid)[1:]:
        with contextlib.suppress(OSError):
            if os.path.realpath(f"/proc/{pid}/exe") == os.path.realpath(CLAUDE):
                found.append(pid)
    return found


def new_session(karta):
    return call(karta.port, "POST", "/v1/sessions", {})["id"]


def round_alone(env, app, got):
    session = str(uuid.uuid4())
    claude = Alone(env, app, session)
    got["cold"].append(claude.first_text(cold=True))
    for _ in range(3):
        got["warm"].append(claude.first_text())
    claude.pipe.close()
    claude = Alone(env, app, session, resume=True)
    got["resumed"].append(claude.first_text(cold=True))
    claude.pipe.close()
    claude = Alone(env, app, str(uuid.uuid4()))
    time.sleep(SETTLE_S)
    got["ahead"].append(claude.first_text())
    claude.pipe.close()


def round_karta(b, env, app, got):
    with contextlib.ExitStack() as stack:
        karta = Karta(stack, b.karta, app, 0, env)
        session = new_session(karta)
        got["cold"].append(first_text(karta, session))
        for _ in range(3):
            got["warm"].append(first_text(karta, session))
        for pid in harness_pids(karta):
            kill_quietly(pid, signal.SIGKILL)
        time.sleep(0.3)
        got["resumed"].append(first_text(karta, session))
    with contextlib.ExitStack() as stack:
        karta = Karta(stack, b.karta, app, 1, env)
        time.sleep(SETTLE_S)
        got["ahead"].append(first_text(karta, new_session(karta)))


def claude_turns(b):
    """Message to first text: cold, warm, started ahead, resumed."""
    if not os.path.exists(CLAUDE):
        raise Skip("Claude Code is not installed: scripts/setup --test")
    if not shutil.which("node"):
        raise Skip("node is not installed")
    with contextlib.ExitStack() as stack:
        env = claude_env(start_model(stack), temp_dir(stack, "home"))
        app = temp_dir(stack, "claude")
        with open(os.path.join(app, "CLAUDE.md"), "w", encoding="utf-8") as f:
            f.write("You are measured.\n")
        with open(os.path.join(app, "karta.toml"), "w", encoding="utf-8") as f:
            f.write(f'name = "bench"\n[harness]\ntype = "claude-code"\nmodel = "{MODEL}"\n')
        mine = {k: [] for k in ("cold", "warm", "ahead", "resumed")}
        alone = {k: [] for k in mine}
        for _ in range(1 if b.quick else 3):
            round_alone(env, app, alone)
            round_karta(b, env, app, mine)
    for key, what, target in (("cold", "message to first text, cold", None),
                              ("warm", "  warm", 5), ("resumed", "  resumed in a new process", None)):
        added = median(mine[key]) - median(alone[key])
        b.row(22, what, ms(mine[key]), f"Claude Code alone {ms(alone[key])}", f"{added:+.1f} ms",
              f"<= {target} ms added" if target else "", added <= target if target else None)
    for base, key, target in (("first message when ready", "ahead", None), ("later messages", "warm", 1.2)):
        ratio = median(mine["ahead"]) / median(alone[key])
        b.row(22, "  new session, started ahead", ms(mine["ahead"]), f"its {base} {ms(alone[key])}",
              f"{ratio:.2f}x", f"<= {target}x" if target else "", ratio <= target if target else None)
