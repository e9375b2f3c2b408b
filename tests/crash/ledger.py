# SPDX-License-Identifier: MIT
"""What the crash tests share: a server, a client, and the client's ledger.

The ledger (class Ledger) is a model of what the server has acknowledged: projects with their pointer,
pin, configuration and previews, releases with version, digest and state, keys, sessions. A request is
an Op: how to send it, and what it does to the ledger. It is sent with an Idempotency-Key of its own.

After a crash the server is asked for everything (observe()), and that must be

    the ledger                        when every request was acknowledged;
    the ledger without, or with,      when the last one was not: it may or may not have happened, but
    the whole effect of the request   never by half;

then the request is repeated with the same key, and what is there must be the ledger with its effect,
once. Builds that a crash interrupted are taken up again by the server; observe() waits for them.
"""
import copy
import hashlib
import http.client
import io
import itertools
import json
import os
import random
import signal
import socket
import struct
import subprocess
import tarfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# The one that ships: sanitizers make other calls.
KARTA = os.path.abspath(os.environ.get("KARTA_CRASH") or os.path.join(
    ROOT, os.environ.get("BUILD", "build"), "release", "karta"))
# How much slower than a quiet machine this one is (tests/run measures it); what is waited for at most.
SLOW = max(1.0, float(os.environ.get("KARTA_TEST_SLOW", "1")))
PATIENCE_S = 90 * SLOW
READY_S = 5.0 * SLOW  # a server is ready by then, whatever happened to it
READY = []  # how long each start took
SEED = int(os.environ.get("KARTA_TEST_SEED") or int.from_bytes(os.urandom(4), "big"))
MAIN = "refs/heads/main"
KEYS = itertools.count(1)  # a folder is used by one run only


def ready_limit():
    """On a machine that has become slow meanwhile all starts are."""
    return max(READY_S, 20 * sorted(READY)[len(READY) // 2]) if READY else READY_S


class Failure(Exception):
    """The server broke a promise."""


class Unusable(Exception):
    """Nothing is known of the outcome: no answer came, or one that says the server cannot."""


def sha(data):
    return hashlib.sha256(data).hexdigest()


# --- a server -------------------------------------------------------------------------------------

def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def children_of(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
            return [int(p) for p in f.read().split()]
    except OSError:
        return []


def start_time(pid):
    """Tells a process from a later one of the same number; None when it is gone or a zombie."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
            fields = f.read().rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]
    except OSError:
        return None


class Server:
    """`karta serve` on a data folder. start() may be called again after kill()."""

    def __init__(self, data, key_file, log, env=None, offline=True):
        self.how = ["--offline"] if offline else []
        self.data, self.key_file, self.log = data, key_file, log
        self.env = {"PATH": os.environ["PATH"], "HOME": os.path.dirname(log), "TMPDIR": "/tmp",
                    "XDG_CONFIG_HOME": os.path.dirname(log) + "/config", **(env or {})}
        self.proc = self.key = None
        self.port = 0
        self.family = []  # (pid, start time) of the processes it made
        self.slowest_ready = 0.0

    def spawn(self, prefix=()):
        """The process, which is not ready yet. prefix: a program that becomes it."""
        args = [*prefix, KARTA, "serve", *self.how, "--data", self.data,
                "--key-file", self.key_file]
        self.port = free_port()
        with open(self.log, "ab") as log:
            log.write(f"--- start on port {self.port}\n".encode())
            log.flush()
            self.proc = subprocess.Popen(args + ["--listen", f"127.0.0.1:{self.port}"],
                                         env=self.env, stdin=subprocess.DEVNULL, stdout=log,
                                         stderr=log)

    def start(self):
        """Returns when it answers; the time that took, in seconds."""
        for attempt in range(3):
            began = time.monotonic()
            self.spawn()
            ready = self.wait_ready(began)
            if ready is not None:
                break
            # Somebody else may have taken the port.
            if attempt == 2 or "in use" not in self.tail(5):
                raise Failure(f"the server does not start (exit status {self.proc.poll()}):\n"
                              + self.tail())
        self.slowest_ready = max(self.slowest_ready, ready)
        self.remember_family()
        if self.key is None:
            try:
                with open(self.key_file, encoding="ascii") as f:
                    self.key = f.read().strip()
            except OSError:
                raise Failure("the server has no key for anybody") from None
        return ready

    def wait_ready(self, began):
        while True:
            try:
                if self.call("GET", "/readyz", key=False, timeout=2 * SLOW)[0] == 200:
                    READY.append(time.monotonic() - began)
                    return READY[-1]
            except Unusable:
                pass
            if self.proc.poll() is not None:
                return None
            if time.monotonic() - began > PATIENCE_S:
                self.kill()
                raise Failure(f"the server is not ready after {PATIENCE_S:.0f} s:\n" + self.tail())
            time.sleep(0.005)

    def remember_family(self):
        todo = children_of(self.proc.pid)
        while todo:
            pid = todo.pop()
            self.family.append((pid, start_time(pid)))
            todo += children_of(pid)

    def tail(self, lines=25):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return "".join(f.readlines()[-lines:])

    def kill(self):
        """SIGKILL; what it started must end by itself."""
        if self.proc.poll() is None:
            self.remember_family()
            self.proc.send_signal(signal.SIGKILL)
        self.proc.wait()
        end = time.monotonic() + PATIENCE_S / 3
        while True:
            left = [p for p, began in self.family if began and start_time(p) == began]
            if not left:
                self.family = []
                return
            if time.monotonic() > end:
                for pid in left:
                    os.kill(pid, signal.SIGKILL)
                raise Failure(f"processes {left} outlive the server")
            time.sleep(0.005)

    def stop(self):
        if self.proc and self.proc.poll() is None:
            self.proc.terminate()
            try:
                self.proc.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.kill()

    def call(self, method, path, body=None, headers=None, key=True, timeout=PATIENCE_S):
        """(status, document, headers); Unusable when no whole answer came."""
        head = dict(headers or {})
        if key:
            head["Authorization"] = "Bearer " + (self.key if key is True else key)
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
            head["Content-Type"] = "application/json"
        conn = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            conn.request(method, path, body, head)
            reply = conn.getresponse()
            text = reply.read()
            return reply.status, json.loads(text) if text[:1] in b"{[" and text else text, reply
        except (OSError, http.client.HTTPException, json.JSONDecodeError) as e:
            raise Unusable(str(e)) from None
        finally:
            conn.close()

    def get(self, path):
        status, doc, _ = self.call("GET", path)
        if status != 200:
            raise Failure(f"GET {path}: {status} {doc}")
        return doc

    # --- what holds after every crash

    def fsck(self):
        out = subprocess.run([KARTA, "fsck", "--json", "--data", self.data], env=self.env,
                             capture_output=True, timeout=2 * PATIENCE_S, check=False)
        doc = json.loads(out.stdout or b"{}")
        if out.returncode or not doc.get("ok") or doc.get("findings"):
            raise Failure(f"fsck: {out.stdout.decode()} {out.stderr.decode()}")

    def leftovers(self):
        left = ["tmp/" + n for n in os.listdir(self.data + "/tmp")]
        for folder, dirs, files in os.walk(self.data):
            rel = os.path.relpath(folder, self.data)
            # Unfinished files of blobs/ are swept when they are an hour old.
            if rel.split("/")[0] in ("blobs", "tmp"):
                continue
            left += [f"{rel}/{n}" for n in dirs + files
                     if n.startswith((".tmp-", ".karta-")) or ".new-" in n]
        return left

    def check_leftovers(self):
        """Nothing half-made is left once the server has recovered and answered."""
        end = time.monotonic() + PATIENCE_S / 3
        while self.leftovers():
            if time.monotonic() > end:
                raise Failure(f"left over: {self.leftovers()}")
            time.sleep(0.02)

    def stumble(self, seconds):
        """Start, and be killed that soon: a crash while recovering from a crash."""
        self.spawn()
        time.sleep(seconds)
        self.kill()


# --- the ledger -----------------------------------------------------------------------------------

class Ledger:
    """What must be there. Everything of one client: its names begin with `lane`."""

    def __init__(self, lane):
        self.lane = lane
        self.projects = {}  # slug -> dict
        self.keys = {}  # id -> {"name", "revoked", "text" or None}
        self.history = []  # what was acknowledged, for a failure's report
        self.sessions = {}  # id -> {"project", "version", "metadata", "turns"}

    def copy(self):
        return copy.deepcopy(self)

    def plain(self):
        """For comparing with observe(). Projects have private members besides: "_config"."""
        keys = {i: {"name": k["name"], "revoked": k["revoked"]} for i, k in self.keys.items()}
        projects = {slug: {k: v for k, v in p.items() if k[0] != "_"}
                    for slug, p in self.projects.items()}
        return {"projects": projects, "keys": keys, "sessions": self.sessions}

    def add_project(self, slug, ident):
        self.projects[slug] = {"id": ident, "current": None, "pinned": False, "config_version": 0,
                               "vars": {}, "previews": {}, "refs": {}, "releases": {},
                               "_config": {0: {}}}  # each version of it

    def add_release(self, slug, doc, **settled):
        p = self.projects[slug]
        p["releases"][doc["id"]] = {"version": doc["version"], "digest": doc["digest"],
                                    "message": doc["message"], "config": p["config_version"],
                                    **settled}

    def flip(self, slug, ident):
        p = self.projects[slug]
        if p["current"] and p["current"] != ident:
            p["releases"][p["current"]]["state"] = "superseded"
        p["current"] = ident
        p["releases"][ident]["state"] = "active"

    def go_to(self, slug, ident):
        """To a release that was built before: the configuration goes with the code."""
        p = self.projects[slug]
        self.flip(slug, ident)
        p["config_version"] = p["releases"][ident]["config"]
        p["vars"] = p["_config"][p["config_version"]]


def settled(server, prefix):
    """Wait until no build of these projects runs."""
    end = time.monotonic() + PATIENCE_S
    while True:
        busy = []
        for p in server.get("/agent_projects")["data"]:
            if p["slug"].startswith(prefix):
                page = server.get(f"/agent_projects/{p['id']}/releases?limit=5")["data"]
                busy += [r["version"] for r in page if r["state"] in ("queued", "building")]
        if not busy:
            return
        if time.monotonic() > end:
            raise Failure(f"builds {busy} never end")
        time.sleep(0.01)


def all_releases(server, path):
    found, before = [], ""
    while True:
        page = server.get(f"{path}/releases?limit=100{before}")
        found += page["data"]
        if not page["has_more"]:
            return found
        before = f"&before={page['data'][-1]['version']}"


def idle_sessions(server, project):
    """The sessions of a project, when the turns that were begun have ended."""
    end = time.monotonic() + PATIENCE_S
    while True:
        found = server.get(f"/v1/projects/{project}/sessions?limit=100")["data"]
        busy = [s["id"] for s in found if s["turn"]]
        if not busy:
            return found
        if time.monotonic() > end:
            raise Failure(f"turns of {busy} never end")
        time.sleep(0.01)


def observe(server, lane):
    """Everything of a lane that the server tells, in the ledger's form."""
    settled(server, lane)
    seen = {"projects": {}, "keys": {}, "sessions": {}}
    for p in server.get("/agent_projects")["data"]:
        if not p["slug"].startswith(lane):
            continue
        path = f"/agent_projects/{p['id']}"
        releases = all_releases(server, path)
        config = server.get(path + "/config")
        if config["version"] != p["config_version"]:
            raise Failure(f"two config versions: {config} {p}")
        seen["projects"][p["slug"]] = {
            "id": p["id"], "current": p["current"] and p["current"]["release"],
            "pinned": p["pinned"], "config_version": p["config_version"], "vars": config["vars"],
            "previews": {v["label"]: v["release"] for v in p["previews"]},
            "refs": server.get(path + "/refs")["refs"],
            "releases": {r["id"]: {"config": r["config_version"], **{
                k: r[k] for k in ("version", "digest", "message", "state")}} for r in releases}}
        if not p["current"]:
            continue
        for s in idle_sessions(server, p["id"]):
            seen["sessions"][s["id"]] = {"project": p["id"], "version": s["release"],
                                         "metadata": s["metadata"], "turns": s["turns"]}
    for k in server.get("/v1/keys")["data"]:
        if k["name"].startswith(lane):
            seen["keys"][k["id"]] = {"name": k["name"], "revoked": k["revoked_at"] is not None}
    return seen


def difference(want, got, path=""):
    """The places where two documents differ, one a line."""
    if isinstance(want, dict) and isinstance(got, dict):
        out = []
        for k in sorted(set(want) | set(got)):
            if k not in got:
                out.append(f"{path}/{k}: lost (was {want[k]})")
            elif k not in want:
                out.append(f"{path}/{k}: from nowhere ({got[k]})")
            else:
                out += difference(want[k], got[k], f"{path}/{k}")
        return out
    return [] if want == got else [f"{path}: {want} became {got}"]


def check_keys(server, ledger, sample=6):
    """Valid keys open, revoked ones do not; the newest few and two of the others."""
    items = [k for k in ledger.keys.values() if k["text"]]
    for k in items[-sample:] + items[:-sample][::max(1, len(items) // 2)]:
        status, _, _ = server.call("GET", "/v1/whoami", key=k["text"])
        if status != (401 if k["revoked"] else 200):
            raise Failure(f"key {k['name']} (revoked: {k['revoked']}): {status}")


def check_audit(server, ledger, limit=200):
    """The chain holds, and nothing of the ledger's newest has two entries or none (I7)."""
    doc = server.get("/v1/audit/verify")
    if not doc["ok"]:
        raise Failure(f"audit chain: {doc}")
    page = server.get(f"/v1/audit?limit={limit}")
    made = {}
    for e in page["data"]:
        ident = (e["detail"] or {}).get("release") if e["action"] == "release.create" else e["object"]
        made[e["action"], ident] = made.get((e["action"], ident), 0) + 1
    oldest = not page["has_more"]
    for what, ident in [("key.create", f"key/{i}") for i in ledger.keys] + \
            [("key.revoke", f"key/{i}") for i, k in ledger.keys.items() if k["revoked"]] + \
            [("release.create", i) for p in ledger.projects.values() for i in p["releases"]]:
        n = made.get((what, ident), 0)
        if n > 1 or (n == 0 and oldest):
            raise Failure(f"{n} audit entries of {what} {ident}")


# --- requests -------------------------------------------------------------------------------------

class Op:
    """A request. send(server) gives its answer; effect(ledger, answer) enters it."""

    def __init__(self, name, send, effect):
        self.name, self.send, self.effect = name, send, effect
        self.key = f"crash-{next(KEYS)}"
        self.answer = None
        self.sent = False

    def run(self, server, retry=False):
        """Its answer; Unusable when there is none, or one that says nothing about the outcome."""
        try:
            status, doc, _ = self.send(self, server)
        finally:
            self.sent = True
        if status in (409, 503) and isinstance(doc, dict) and \
                doc.get("code") == "idempotent_request_running" and retry:
            time.sleep(0.05)
            status, doc, _ = self.send(self, server)
        if status >= 500 and not retry:
            raise Unusable(f"{status} {doc}")
        if not 200 <= status < 300:
            raise Refused(f"{self.name}: {status} {doc}")
        return doc


class Refused(Failure):
    """An answer that is neither a success nor "I cannot"."""


def json_op(name, method, path, body, effect, gone_is_done=False):
    def send(op, server):
        reply = server.call(method, path, body, {"Idempotency-Key": op.key})
        # What is deleted already is deleted.
        return (204, b"", None) if gone_is_done and reply[0] == 404 and op.sent else reply

    return Op(name, send, effect)


def app_files(rng, name, n=4):
    """A small application: an executable, and n files of random content."""
    files = {"AGENTS.md": (0o644, f"{rng.random()}\n".encode()),
             "karta.toml": (0o644, f'name = "{name}"\n'.encode()),
             "bin/run": (0o755, f"#!/bin/sh\necho {rng.random()}\n".encode())}
    for i in range(n):
        files[f"doc/{i}.txt"] = (0o644, rng.randbytes(rng.choice([0, 10, 5000, 70000])))
    return files


def archive(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as tar:
        for path, (mode, data) in sorted(files.items()):
            info = tarfile.TarInfo(path)
            info.mode, info.size = mode, len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def manifest(files):
    lines = [f"100{mode:o} {len(data)} {sha(data)} {path}\n"
             for path, (mode, data) in sorted(files.items(), key=lambda i: i[0].encode())]
    return "".join(lines)


def zstd_stored(data):
    """A zstd frame of uncompressed blocks (RFC 8878, 3.1.1)."""
    out = bytearray(b"\x28\xb5\x2f\xfd\xa0" + struct.pack("<I", len(data)))
    step = 128 * 1024
    for at in range(0, len(data), step):
        piece = data[at:at + step]
        last = at + step >= len(data)
        out += struct.pack("<I", last | len(piece) << 3)[:3] + piece
    return bytes(out)


def bundle(doc, blobs):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for path, data in [("karta-publish.json", json.dumps(doc).encode())] + \
                [(f"blobs/{sha(d)}", d) for d in blobs]:
            info = tarfile.TarInfo(path)
            info.mode, info.size = 0o644, len(data)
            tar.addfile(info, io.BytesIO(data))
    return zstd_stored(out.getvalue())


def published(slug, files, message, activate=True):
    """What an acknowledged publish to production does."""
    def effect(ledger, doc):
        p = ledger.projects[slug]
        if doc["digest"] != sha(manifest(files).encode()):
            raise Failure(f"{slug}: another digest than what was sent")
        ledger.add_release(slug, doc, state="ready")
        ledger.projects[slug]["releases"][doc["id"]]["message"] = message
        if activate and not p["pinned"]:
            ledger.flip(slug, doc["id"])
    return effect


def op_archive(slug, files, message, how=None, query=""):
    """how: "async" is acknowledged when the row is there, and the build follows."""
    body = archive(files)

    def send(op, server):
        head = {"Idempotency-Key": op.key, "Content-Type": "application/gzip"}
        if how == "async":
            head["Prefer"] = "respond-async"
        status, doc, r = server.call(
            "PUT", f"/agent_projects/{slug}/releases?message={message}{query}", body, head)
        return status, doc.get("release", doc) if isinstance(doc, dict) else doc, r

    activate = "activate=false" not in query
    return Op(f"deploy {how or 'archive'}{query}", send, published(slug, files, message, activate))


def op_first(slug, files, message):
    """A publish that makes its project."""
    first = op_archive(slug, files, message)

    def send(op, server):
        status, doc, r = first.send(op, server)
        if status == 201:
            doc["project_id"] = server.get(f"/agent_projects/{slug}")["id"]
        return status, doc, r

    def effect(ledger, doc):
        ledger.add_project(slug, doc["project_id"])
        first.effect(ledger, doc)
    return Op("deploy first", send, effect)


def op_bundle(slug, files, message, commit, parent):
    """As a git push does: the manifest, then what the server lacks."""
    doc = {"manifest": manifest(files), "digest": sha(manifest(files).encode()), "message": message,
           "commit_sha": commit, "ref": MAIN, "expected_commit": parent, "source": "git"}
    by_digest = {sha(data): data for _, data in files.values()}

    def send(op, server):
        path = f"/agent_projects/{slug}/releases"
        reply = server.call("POST", path, doc, {"Idempotency-Key": op.key})
        if reply[0] == 409 and reply[1].get("code") == "files_missing":
            body = bundle(doc, [by_digest[d] for d in reply[1]["missing"]])
            reply = server.call("POST", path, body, {"Idempotency-Key": op.key,
                                                     "Content-Type": "application/vnd.karta.bundle"})
        return reply

    def effect(ledger, reply):
        published(slug, files, message)(ledger, reply)
        ledger.projects[slug]["refs"][MAIN] = commit
    return Op("deploy bundle", send, effect)


def op_unpinning(slug, files, message):
    """Acknowledged when the row is there; the build that follows ends the pin."""
    op = op_archive(slug, files, message, "async", "&unpin=true")
    publish = op.effect

    def effect(ledger, doc):
        ledger.projects[slug]["pinned"] = False
        publish(ledger, doc)
    op.effect = effect
    return op


def op_preview(slug, branch, files, message):
    def effect(ledger, doc):
        p = ledger.projects[slug]
        old = p["previews"].get(doc["preview"])
        if old:
            p["releases"][old]["state"] = "expired"
        ledger.add_release(slug, doc, state="preview")
        p["previews"][doc["preview"]] = doc["id"]
        p["refs"][f"refs/heads/{branch}"] = "c" * 40

    op = op_archive(slug, files, message, query=f"&ref=refs/heads/{branch}&commit_sha={'c' * 40}")
    op.name, op.effect = "preview", effect
    return op


def op_ref_delete(slug, branch, label):
    def effect(ledger, _):
        p = ledger.projects[slug]
        p["refs"].pop(f"refs/heads/{branch}")
        p["releases"][p["previews"].pop(label)]["state"] = "expired"
    return json_op("ref delete", "DELETE", f"/agent_projects/{slug}/refs?name=refs/heads/{branch}",
                   None, effect)


def op_redeploy(slug, commit, source):
    """A new release of a commit the server has; source: the release it was first seen in."""
    def effect(ledger, doc):
        p = ledger.projects[slug]
        p["releases"][doc["deploy"]["id"]] = {
            "version": doc["deploy"]["version"], "digest": p["releases"][source]["digest"],
            "message": "again", "config": p["config_version"], "state": "ready"}
        ledger.flip(slug, doc["deploy"]["id"])
    return json_op("redeploy", "POST", f"/agent_projects/{slug}/deploys",
                   {"commit_sha": commit, "message": "again"}, effect)


def op_activate(slug, version):
    return json_op("activate", "POST", f"/agent_projects/{slug}/activate", {"version": version},
                   lambda ledger, doc: ledger.go_to(slug, doc["id"]))


def op_rollback(slug):
    def effect(ledger, doc):
        ledger.go_to(slug, doc["id"])
        ledger.projects[slug]["pinned"] = True
    return json_op("rollback", "POST", f"/agent_projects/{slug}/rollback", {}, effect)


def op_unpin(slug):
    return json_op("unpin", "DELETE", f"/agent_projects/{slug}/pin", None,
                   lambda ledger, _: ledger.projects[slug].update(pinned=False))


def op_config(slug, values):
    def effect(ledger, doc):
        p = ledger.projects[slug]
        p["vars"] = p["_config"][doc["version"]] = {**p["vars"], **values}
        p["config_version"] = doc["version"]
        if doc["release"]:
            ledger.add_release(slug, doc["release"], state="ready")
            ledger.flip(slug, doc["release"]["id"])
    return json_op("config set", "PATCH", f"/agent_projects/{slug}/config", {"set": values}, effect)


def op_key_create(name):
    def effect(ledger, doc):
        # A repeated request is answered without the text: it is in no file of the server's.
        ledger.keys[doc["id"]] = {"name": name, "revoked": False, "text": doc.get("key")}
    return json_op("key create", "POST", "/v1/keys", {"name": name, "scopes": ["read"]}, effect)


def op_key_revoke(ident):
    return json_op("key revoke", "DELETE", f"/v1/keys/{ident}", None,
                   lambda ledger, _: ledger.keys[ident].update(revoked=True))


def op_project_create(slug):
    return json_op("project create", "POST", "/agent_projects", {"slug": slug},
                   lambda ledger, doc: ledger.add_project(slug, doc["id"]))


def op_project_rename(slug, new):
    def effect(ledger, _):
        ledger.projects[new] = ledger.projects.pop(slug)
    return json_op("project rename", "PATCH", f"/agent_projects/{slug}", {"slug": new}, effect)


def op_project_delete(slug):
    return json_op("project delete", "DELETE", f"/agent_projects/{slug}", None,
                   lambda ledger, _: ledger.projects.pop(slug), gone_is_done=True)


def op_session(slug, note):
    def effect(ledger, doc):
        ledger.sessions[doc["id"]] = {"project": ledger.projects[slug]["id"],
                                      "version": doc["release"], "metadata": {"note": note},
                                      "turns": 0}
    return json_op("session create", "POST", f"/v1/projects/{slug}/sessions",
                   {"metadata": {"note": note}}, effect)


def op_message(ident):
    """Taken, and then a turn."""
    def send(op, server):
        return server.call("POST", f"/v1/sessions/{ident}/messages", {"text": "hello"},
                           {"Idempotency-Key": op.key, "Prefer": "respond-async"})

    def effect(ledger, _):
        ledger.sessions[ident]["turns"] += 1
    return Op("message", send, effect)


def op_session_delete(ident):
    return json_op("session delete", "DELETE", f"/v1/sessions/{ident}", None,
                   lambda ledger, _: ledger.sessions.pop(ident), gone_is_done=True)


# --- scenarios ------------------------------------------------------------------------------------

class Maker:
    """Makes requests that fit the ledger at that moment.

    A scenario do_x() gives the requests that prepare it, and a function that makes the one it is
    about when those were acknowledged."""

    def __init__(self, ledger, seed):
        self.ledger, self.rng, self.n = ledger, random.Random(seed), 0
        self.app = ledger.lane + "-app"
        self.files = app_files(self.rng, self.app)

    def word(self, what=""):
        self.n += 1
        return f"{self.ledger.lane}-{what}{self.n}"

    def setup(self):
        """The releases that the scenarios go back and forth between."""
        return [op_project_create(self.app),
                op_archive(self.app, app_files(self.rng, self.app), "one"),
                op_archive(self.app, self.files, "two")]

    def make(self, name):
        return getattr(self, "do_" + name.replace("-", "_"))()

    def unpinned(self):
        return [op_unpin(self.app)] if self.ledger.projects[self.app]["pinned"] else []

    def new_files(self, n=4):
        self.files = app_files(self.rng, self.app, n)
        return self.files

    def do_deploy_new(self):
        return self.unpinned(), lambda: op_archive(self.app, self.new_files(), self.word("m"))

    def do_deploy_many(self):
        """More files than are synced one by one."""
        return self.unpinned(), lambda: op_archive(self.app, self.new_files(30), self.word("m"))

    def do_deploy_same(self):
        return self.unpinned(), lambda: op_archive(self.app, self.files, self.word("m"))

    def do_deploy_async(self):
        return self.unpinned(), lambda: op_archive(
            self.app, self.new_files(), self.word("m"), "async")

    def do_deploy_inactive(self):
        return [], lambda: op_archive(
            self.app, self.new_files(), self.word("m"), query="&activate=false")

    def do_deploy_unpin(self):
        pinned = self.ledger.projects[self.app]["pinned"]
        return [] if pinned else [op_rollback(self.app)], lambda: op_unpinning(
            self.app, self.new_files(), self.word("m"))

    def do_deploy_bundle(self):
        commit = f"{self.rng.getrandbits(160):040x}"
        parent = self.ledger.projects[self.app]["refs"].get(MAIN, "")
        return self.unpinned(), lambda: op_bundle(
            self.app, self.new_files(), self.word("m"), commit, parent)

    def do_deploy_first(self):
        slug = self.word("first")
        return [], lambda: op_first(slug, app_files(self.rng, slug), self.word("m"))

    def do_redeploy(self):
        before, make = self.do_deploy_bundle()
        push = make()
        return before + [push], lambda: op_redeploy(
            self.app, push.answer["commit_sha"], push.answer["id"])

    def do_activate(self):
        old = [r for r in self.ledger.projects[self.app]["releases"].values()
               if r["state"] in ("superseded", "ready")]
        return self.unpinned(), lambda: op_activate(self.app, self.rng.choice(old)["version"])

    def do_rollback(self):
        return self.unpinned(), lambda: op_rollback(self.app)

    def do_config_set(self):
        return self.unpinned(), lambda: op_config(
            self.app, {f"V{self.rng.randrange(4)}": self.word()})

    def do_key_create(self):
        return [], lambda: op_key_create(self.word("key"))

    def do_key_revoke(self):
        key = op_key_create(self.word("key"))
        return [key], lambda: op_key_revoke(key.answer["id"])

    def do_project_create(self):
        return [], lambda: op_project_create(self.word("p"))

    def do_project_rename(self):
        slug = self.word("p")
        return [op_project_create(slug)], lambda: op_project_rename(slug, self.word("new"))

    def do_project_delete(self):
        slug = self.word("p")
        return [op_first(slug, app_files(self.rng, slug), "gone")], lambda: op_project_delete(slug)

    def do_preview(self):
        return [], lambda: op_preview(self.app, "try", self.new_files(2), self.word("m"))

    def do_ref_delete(self):
        return [op_preview(self.app, "done", self.new_files(1), self.word("m"))], \
            lambda: op_ref_delete(self.app, "done", self.app + "-done")

    def do_session_create(self):
        return [], lambda: op_session(self.app, self.word("note"))

    def do_message(self):
        session = op_session(self.app, self.word("note"))
        return [session], lambda: op_message(session.answer["id"])

    def do_session_delete(self):
        session = op_session(self.app, self.word("note"))
        return [session], lambda: op_session_delete(session.answer["id"])


SCENARIOS = [n[3:].replace("_", "-") for n in vars(Maker) if n.startswith("do_")]


# --- after a crash --------------------------------------------------------------------------------

def acknowledge(op, ledger, answer):
    op.answer = answer
    what = {k: answer[k] for k in ("id", "version", "slug", "config_version")
            if k in answer} if isinstance(answer, dict) else ""
    ledger.history.append(f"{op.name} {what}")
    op.effect(ledger, answer)


def must(server, ledger, op):
    """A request that nothing disturbs."""
    acknowledge(op, ledger, op.run(server))
    settled(server, ledger.lane)


def judge(server, ledger, op):
    """
    The server is back. op: the request that was in flight and not acknowledged, or None. Everything
    acknowledged is there, op happened wholly or not at all; it is sent again and happened once.
    """
    seen = observe(server, ledger.lane)
    lost = difference(ledger.plain(), seen)
    if op is None:
        if lost:
            raise Failure("acknowledged, but not there:\n  " + "\n  ".join(lost))
    else:
        answer = op.run(server, retry=True)
        acknowledge(op, ledger, answer)
        half = lost and difference(ledger.plain(), seen)
        if half:
            raise Failure(f"'{op.name}' was not acknowledged and happened by half; without it:\n  "
                          + "\n  ".join(lost) + "\n with it:\n  " + "\n  ".join(half))
        wrong = difference(ledger.plain(), observe(server, ledger.lane))
        if wrong:
            raise Failure(f"'{op.name}' was repeated with its key:\n  " + "\n  ".join(wrong))
    check_keys(server, ledger)
    check_audit(server, ledger)
