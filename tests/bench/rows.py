# SPDX-License-Identifier: MIT
"""The rows of the table that need no real harness. Each function measures one row or a group of
rows that share their servers; it is called with the Bench and tells its results by bench.row()."""
import contextlib
import json
import os
import re
import shutil
import subprocess
import time

from measure import (Fan, Http, Pinned, ROOT, Skip, call, cpu_ms, free_port, median, pss_kib,
                     rss_kib, runstat, status_kib, temp_dir)
from servers import Karta, Nchan, Nginx, SandboxAgent

MIB = 1024


def ms(values):
    """Median, and the minimum of the runs in parentheses."""
    return f"{median(values):.2f} ms ({min(values):.2f})"


def start_up(b):
    """Rows 1 and 2: a command that does nothing much."""
    names = ["karta", "git"]
    commands = [[b.karta, "--version"], ["git", "--version"]]
    with contextlib.suppress(Skip):
        commands.append([SandboxAgent.find(), "--version"])
        names.append("sandbox-agent")
    if shutil.which("gh"):
        commands.append(["gh", "--version"])
        names.append("gh")
    commands += [[b.karta, "--help"], ["git", "--help"]]
    names += ["karta --help", "git --help"]
    results = dict(zip(names, runstat(b.tools, commands, 10 if b.quick else 40)))
    wall = {n: r["wall_ms"] for n, r in results.items()}
    rss = {n: r["rss_kib"] for n, r in results.items()}
    mine = median(wall["karta"])
    for other, least in (("git", 1.0), ("sandbox-agent", None), ("gh", 30)):
        if other not in wall:
            b.skip(1, f"--version beside {other}", f"{other} is not installed")
            continue
        ratio = median(wall[other]) / mine
        b.row(1, "--version, wall", ms(wall["karta"]), f"{other} {ms(wall[other])}",
              f"{ratio:.2f}x faster", f">= {least}x faster" if least else "",
              None if least is None else ratio >= least)
    for what, key, base in (("--version", "karta", "git"), ("--help", "karta --help", "git --help")):
        size = median(rss[key]) / MIB
        b.row(2, f"{what}, peak RSS", f"{size:.2f} MiB", f"{base} {median(rss[base]) / MIB:.2f} MiB",
              f"{median(rss[base]) / 1024 / size:.2f}x smaller", "<= 2.5 MiB", size <= 2.5)


def du_kib(path):
    if os.path.isfile(path):
        return os.stat(path).st_blocks // 2
    return sum(os.lstat(os.path.join(folder, n)).st_blocks // 2
               for folder, dirs, names in os.walk(path) for n in names + dirs)


def install_into(b, dest):
    """`make install` when this Makefile has it, else what it would copy."""
    build = os.path.dirname(os.path.dirname(b.karta))
    env = {k: v for k, v in os.environ.items() if not k.startswith("MAKE") and k != "MFLAGS"}
    # -o: what is measured is not rebuilt meanwhile.
    done = subprocess.run(["make", "-C", ROOT, "-o", b.karta, f"BUILD={build}", "VARIANT=release",
                           "PREFIX=/usr", f"DESTDIR={dest}", "install"], env=env, capture_output=True)
    if done.returncode == 0 and os.path.exists(os.path.join(dest, "usr/bin/karta")):
        return "make install"
    shutil.rmtree(dest)
    os.makedirs(dest)
    shutil.copy(b.karta, dest)
    subprocess.run(["strip", os.path.join(dest, os.path.basename(b.karta))], check=True)
    for folder in ("man", "completions"):
        shutil.copytree(os.path.join(ROOT, folder), os.path.join(dest, folder))
    return "stripped binary, man pages, completions"


def installed_size(b):
    """Row 3."""
    dest = temp_dir(b.stack, "install")
    how = install_into(b, dest)
    size = du_kib(dest) / MIB
    libs = re.findall(r"=> (/\S*/lib(?:uv|cjson|md4c)\S*)",
                      subprocess.run(["ldd", b.karta], capture_output=True, text=True).stdout)
    with_libs = size + sum(du_kib(os.path.realpath(x)) for x in libs) / MIB
    other = du_kib(SandboxAgent.find()) / MIB
    b.row(3, f"installed size ({how})", f"{size:.2f} MiB", f"sandbox-agent {other:.1f} MiB",
          f"{other / size:.1f}x smaller", "<= 2 MiB, >= 10x", size <= 2 and other / size >= 10)
    b.row(3, "  with its shared libraries", f"{with_libs:.2f} MiB", f"sandbox-agent {other:.1f} MiB",
          f"{other / with_libs:.1f}x smaller", "", None)


def start_server(b):
    """Row 4: start of the program to the first 200."""
    data = temp_dir(b.stack, "data")
    home = SandboxAgent.home(b.stack, b.stub)
    mine, theirs = [], []
    for i in range(5 if b.quick else 15):
        port = free_port()
        mine += runstat(b.tools, [Karta.line(b.karta, b.app, port)], 1, 0, (port, Karta.ready_path),
                        Karta.env(data), data)[0]["wall_ms"]
        port = free_port()
        theirs += runstat(b.tools, [SandboxAgent.line(port)], 1, 0,
                          (port, SandboxAgent.ready_path), SandboxAgent.env(home), home)[0]["wall_ms"]
    ratio = median(theirs) / median(mine)
    b.row(4, "karta dev to first 200", ms(mine), f"sandbox-agent {ms(theirs)}", f"{ratio:.1f}x faster",
          "<= 6 ms, >= 6x", median(mine) <= 6 and ratio >= 6)


def memory(b):
    """Rows 5 to 7: an idle server, then many idle sessions, then many idle readers."""
    home = SandboxAgent.home(b.stack, b.stub)
    with contextlib.ExitStack() as stack:
        karta, sa = Karta(stack, b.karta, b.app), SandboxAgent(stack, home)
        time.sleep(1 if b.quick else 5)
        mine, theirs = rss_kib(karta.pids()) / MIB, rss_kib(sa.pids()) / MIB
        b.row(5, "idle server, RSS of its processes", f"{mine:.2f} MiB", f"sandbox-agent {theirs:.2f} MiB",
              f"{theirs / mine:.1f}x smaller", "<= 4 MiB, >= 3.3x", mine <= 4 and theirs / mine >= 3.3)
        b.note(f"of which karta's alone (PSS): {pss_kib(karta.pids()) / MIB:.2f} MiB, "
               f"sandbox-agent's {pss_kib(sa.pids()) / MIB:.2f} MiB; the rest are shared library pages")
        idle_readers(b, karta, sa)
    with contextlib.ExitStack() as stack:
        idle_sessions(b, Karta(stack, b.karta, b.app), SandboxAgent(stack, home))


def growth_per(server, count, act):
    before = rss_kib([server.pid])
    act()
    return (rss_kib([server.pid]) - before) / count


def idle_sessions(b, karta, sa):
    """Row 6. A session of sandbox-agent is a connection to an agent process of its own; karta starts
    one when there is something to do. The agent processes are not counted."""
    n, m = (2000 if b.quick else 10000), 100
    http = Http(karta.port)
    for _ in range(20):
        http.call("POST", "/v1/sessions", {})
    start = time.monotonic()
    mine = growth_per(karta, n, lambda: [http.call("POST", "/v1/sessions", {}) for _ in range(n)])
    took = time.monotonic() - start
    sa.begin()
    theirs = growth_per(sa, m, lambda: [sa.begin() for _ in range(m)])
    b.row(6, f"RSS per idle session, {n:,} of them", f"{mine:.2f} KiB",
          f"sandbox-agent {theirs:.1f} KiB ({m})", f"{theirs / mine:.0f}x smaller", "<= 4 KiB, >= 8x",
          mine <= 4 and theirs / mine >= 8)
    b.note(f"creating them, one after the other: {n / took:,.0f} a second")


def idle_readers(b, karta, sa):
    """Row 7."""
    n, sizes = 1000, []
    for server in (karta, sa):
        path = server.begin()
        time.sleep(0.3)
        before = rss_kib(server.pids())
        fan = Fan(b.tools, server.port, path, n, 0, 60)
        time.sleep(1)
        sizes.append((rss_kib(server.pids()) - before) / n)
        fan.leave()
        server.end()
    b.row(7, "RSS per idle reader, 1,000 of them", f"{sizes[0]:.2f} KiB",
          f"sandbox-agent {sizes[1]:.0f} KiB", f"{sizes[1] / sizes[0]:.0f}x smaller", "<= 8 KiB, >= 35x",
          sizes[0] <= 8 and sizes[1] / sizes[0] >= 35)


def wrk(server, path, seconds, connections=64, script=None):
    """Requests a second, server CPU in microseconds a request."""
    pids = server.pids()
    before = cpu_ms(pids)
    out = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s",
                          *(("-s", script) if script else ()),
                          f"http://127.0.0.1:{server.port}{path}"], capture_output=True,
                         text=True, timeout=60).stdout
    used = cpu_ms(pids) - before
    if "Non-2xx" in out or "Requests/sec" not in out:
        raise RuntimeError("wrk: " + out.strip()[-200:])
    return (float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1]),
            used * 1000 / int(re.search(r"(\d+) requests in", out)[1]))


def requests(b):
    """Row 8."""
    if not shutil.which("wrk"):
        raise Skip("wrk is not installed: scripts/setup --bench")
    with contextlib.ExitStack() as stack:
        karta = Karta(stack, b.karta, b.app)
        karta.begin()
        path = f"/v1/sessions/{karta.session}"
        answer = json.dumps(call(karta.port, "GET", path), separators=(",", ":"))
        servers = [(karta, path)]
        for make, where in ((lambda: Nginx(stack, answer), "/json"),
                            (lambda: SandboxAgent(stack, SandboxAgent.home(stack, b.stub)), "/v1/acp")):
            try:
                servers.append((make(), where))
            except Skip as e:
                b.skip(8, "GET of a session, 64 connections", str(e))
        got = {s.name: [] for s, _ in servers}
        for _ in range(1 if b.quick else 3):
            for server, where in servers:
                got[server.name].append(wrk(server, where, 2 if b.quick else 3))
    mine = median([r for r, _ in got["karta"]])
    for other, least in (("nginx", 0.75), ("sandbox-agent", 2.5)):
        if other not in got:
            continue
        theirs = median([r for r, _ in got[other]])
        b.row(8, "GET of a session, 64 connections", f"{mine / 1000:.1f} k/s",
              f"{other} {theirs / 1000:.1f} k/s", f"{mine / theirs:.2f}x", f">= {least}x",
              mine / theirs >= least)
    cost = median([c for _, c in got["karta"]])
    b.row(8, "  server CPU of a request", f"{cost:.1f} us",
          ", ".join(f"{n} {median([c for _, c in v]):.1f} us" for n, v in got.items() if n != "karta"),
          "", "<= 10 us", cost <= 10)


# --- event streams -----------------------------------------------------------------------------

def one_burst(b, server, readers, events, gap_ms, seconds=30):
    """Readers connect, the agent sends, readers report."""
    fan = Fan(b.tools, server.port, server.begin(), readers, events, seconds)
    job = server.burst(events, gap_ms)
    result = fan.result()
    with contextlib.suppress(Exception):
        job.join(5)
    server.end()
    return result


def stream_servers(b, stack):
    """karta first, then what there is of the others."""
    servers = [Karta(stack, b.karta, b.app)]
    for make in (lambda: SandboxAgent(stack, SandboxAgent.home(stack, b.stub)),
                 lambda: Nchan(Nginx(stack, "{}"))):
        try:
            servers.append(make())
        except Skip as e:
            b.skip(10, "added latency per event", str(e))
    return servers


def latency(b):
    """Rows 10 and 11: how late an event is, from the agent's write to a reader's read."""
    plan = [(1, 100, 10), (100, 60, 20), (1000, 30, 60)] if b.quick else \
        [(1, 200, 10), (100, 120, 20), (1000, 50, 60)]
    with contextlib.ExitStack() as stack:
        servers = stream_servers(b, stack)
        for readers, events, gap_ms in plan:
            got = {s.name: [] for s in servers}
            for _ in range(1 if b.quick else 3):
                for s in servers:
                    got[s.name].append(one_burst(b, s, readers, events, gap_ms))
            latency_rows(b, readers, got)


def latency_rows(b, readers, got):
    keys = ("p50_us", "p99_us") if readers == 1 else ("worst_p50_us",)
    for key in keys:
        values = {n: [r[key] / 1000 for r in v] for n, v in got.items()}
        mine = median(values["karta"])
        what = {"p50_us": "latency of an event, 1 reader, p50", "p99_us": "  p99",
                "worst_p50_us": f"last of {readers:,} readers has an event, p50"}[key]
        for other in list(values)[1:]:
            ratio = mine / median(values[other])
            limit = None if other != "sandbox-agent" else 1 / 1.2 if readers == 1 else 0.85
            b.row(10 if readers == 1 else 11, what, ms(values["karta"]),
                  f"{other} {ms(values[other])}", f"{ratio:.2f}x",
                  "" if limit is None else f"<= {limit:.2f}x", None if limit is None else ratio <= limit)


def saturated(b):
    """Row 12: as many deliveries as can be, 1,000 readers."""
    events = 1000 if b.quick else 4000
    with contextlib.ExitStack() as stack:
        servers = [Karta(stack, b.karta, b.app),
                   SandboxAgent(stack, SandboxAgent.home(stack, b.stub))]
        got = {s.name: [] for s in servers}
        for _ in range(1 if b.quick else 2):
            for s in servers:
                before = cpu_ms(s.pids())
                r = one_burst(b, s, 1000, events, 0)
                r["server_cpu_ms"] = cpu_ms(s.pids()) - before
                got[s.name].append(r)
    rate = {n: [r["deliveries"] / r["span_ms"] for r in v] for n, v in got.items()}
    mine, theirs = median(rate["karta"]), median(rate["sandbox-agent"])
    b.row(12, f"fan-out, 1,000 readers, burst of {events:,}", f"{mine:,.0f} k/s",
          f"sandbox-agent {theirs:,.0f} k/s", f"{mine / theirs:.1f}x", ">= 6x", mine / theirs >= 6)
    r = got["karta"][-1]
    lost = got["sandbox-agent"][-1]
    b.note(f"karta: {r['span_ms']:.0f} ms, CPU of the server {r['server_cpu_ms']:.0f} ms, of the readers "
           f"{r['cpu_ms']:.0f} ms; {r['bytes'] / 1e9:.1f} GB, "
           f"lost {r['lost']}. sandbox-agent lost {lost['lost']:,} of "
           f"{events * 1000:,} deliveries")


def exactness(b):
    """Row 13: 10,000 events at once, nothing lost, nothing twice, and again after reconnecting."""
    events = 10000
    with contextlib.ExitStack() as stack:
        servers = [Karta(stack, b.karta, b.app)]
        with contextlib.suppress(Skip):
            servers.append(SandboxAgent(stack, SandboxAgent.home(stack, b.stub)))
        for readers in ((1, 100) if b.quick else (1, 10, 100)):
            bad = {}
            for s in servers:
                r = one_burst(b, s, readers, events, 0)
                bad[s.name] = (r["lost"], r["doubled"])
            theirs = bad.get("sandbox-agent")
            b.row(13, f"burst of {events:,}, {readers} readers: lost, doubled",
                  "{:,}, {:,}".format(*bad["karta"]),
                  f"sandbox-agent {theirs[0] / events / readers:.1%} lost" if theirs else "", "",
                  "0, 0", bad["karta"] == (0, 0))
        replay(b, servers[0], events)
        b.note(f"karta's peak RSS after these bursts: {status_kib(servers[0].pid, 'VmHWM') / MIB:.1f} MiB")


def frames_until_done(karta, last_id, most_bytes):
    """Blocks of the stream after last_id; ends with the turn's end or soon after most_bytes."""
    http = Http(karta.port)
    http.send("GET", f"/v1/sessions/{karta.session}/events", None,
              ("Accept: text/event-stream",) + ((f"Last-Event-ID: {last_id}",) if last_id else ()))
    http.head()
    text, taken = b"", 0
    while b"event: done" not in text and taken < most_bytes:
        piece = http.piece()
        taken += len(piece)
        text += piece
    while b"event: done" in text and not text.endswith(b"\n\n"):
        text += http.piece()
    http.close()
    blocks = text.split(b"\n\n")[:-1]
    return [x for x in blocks if x.startswith(b"id: ")]


def replay(b, karta, events):
    """A reader that is cut again and again gets the same bytes as one that is not, and all of them:
    pieces that came at once are one event."""
    karta.begin()
    job = karta.burst(events)
    cut, last, cuts = [], None, 0
    limit = time.monotonic() + 30
    while not (cut and b"event: done" in cut[-1]) and time.monotonic() < limit:
        cut += frames_until_done(karta, last, 40_000 + 7_003 * (cuts % 5))
        last = cut[-1].split(b"\n")[0][4:].decode() if cut else None
        cuts += 1
    job.join()
    whole = frames_until_done(karta, None, 1 << 30)
    ids = [int(x.split(b"\n")[0][4:]) for x in cut]
    pieces = [int(n) for x in whole if b"event: text" in x
              for n in re.findall(rb"@@\d+:(\d+)@@", x)]
    good = cut == whole and ids == list(range(1, len(ids) + 1)) and \
        pieces == list(range(events))
    b.row(13, f"  replay after {cuts - 1} cuts: ids", f"1 to {ids[-1]:,}" + ("" if good else " BROKEN"),
          "uncut stream", "equal" if good else "differs", "equal, gapless", good)
    karta.end()


def crowd(b, make):
    """A server that 1,000 readers came to and left, beside one that nobody came to, in turn."""
    runs = 4 if b.quick else 12
    with contextlib.ExitStack() as stack:
        # Where the scheduler puts the two ends of a wake-up matters more than what is measured here.
        stack.enter_context(Pinned.all())
        used, fresh = make(stack), make(stack)
        for s in (used, fresh):
            one_burst(b, s, 1, 20, 1)
        before = rss_kib([used.pid])
        path = used.begin()
        fan = Fan(b.tools, used.port, path, 1000, 0, 30)
        used.burst(100, 5)
        time.sleep(2)
        fan.leave()
        used.end()
        time.sleep(1.5)
        after = rss_kib([used.pid])
        got = [(one_burst(b, used, 1, 60, 3)["p50_us"], one_burst(b, fresh, 1, 60, 3)["p50_us"])
               for _ in range(runs)]
    return median([g[0] for g in got]) / median([g[1] for g in got]), before, after


def come_and_go(b):
    """Row 14: what 1,000 readers leave behind."""
    mine = crowd(b, lambda stack: Karta(stack, b.karta, b.app))
    other = ("", "")
    with contextlib.suppress(Skip):
        home = SandboxAgent.home(b.stack, b.stub)
        theirs = crowd(b, lambda stack: SandboxAgent(stack, home))
        other = (f"sandbox-agent {theirs[0]:.2f}x", f"sandbox-agent {theirs[2] / theirs[1]:.2f}x")
    b.row(14, "latency after 1,000 readers / on a fresh one", f"{mine[0]:.2f}x", other[0], "", "<= 1.1x",
          mine[0] <= 1.1)
    growth = mine[2] / mine[1]
    b.row(14, "RSS after / before 1,000 readers",
          f"{growth:.2f}x ({mine[1] / MIB:.1f} to {mine[2] / MIB:.1f} MiB)", other[1], "", "<= 1.1x",
          growth <= 1.1)


def children(b):
    """Row 23: starting a child from a server with 300 MiB."""
    out = subprocess.run([os.path.join(b.tools, "spawn"), "300", "40" if b.quick else "150"],
                         capture_output=True, text=True, timeout=60, check=True).stdout
    r = {k: [v["median_us"] / 1000, v["min_us"] / 1000] for k, v in json.loads(out).items()}
    show = lambda v: f"{v[0]:.2f} ms ({v[1]:.2f})"
    b.row(23, "child started and gone, 300 MiB server", show(r["spawner"]), f"fork {show(r['fork'])}",
          f"{r['fork'][0] / r['spawner'][0]:.1f}x faster", "<= 1 ms", r["spawner"][0] <= 1)
    b.row(23, "  beside a bare posix_spawn", show(r["spawner"]), f"posix_spawn {show(r['posix_spawn'])}",
          f"{r['spawner'][0] / r['posix_spawn'][0]:.2f}x", "", None)
