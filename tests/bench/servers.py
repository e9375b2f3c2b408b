# SPDX-License-Identifier: MIT
"""The servers that are measured: karta, sandbox-agent and nginx, each behind the same few calls.

A `stream` is what readers connect to: begin() makes one and gives its path, burst() makes the stub
agent behind it (or, for nginx, a publisher) send events on it, end() forgets it.
"""
import contextlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import time

from measure import Http, HERE, Pinned, Skip, background, call, free_port, stop, stop_group, temp_dir, tree, wait_ready

SA = os.path.join(HERE, "node_modules/@sandbox-agent/cli-linux-x64/bin/sandbox-agent")


def prompt_text(events, gap_ms):
    return f"N={events} GAP={gap_ms}"


class Server:
    """A started server process."""
    name = ready_path = None

    def __init__(self, stack, line, env, cwd, port):
        self.port = port
        self.log = open(os.path.join(cwd, "bench.log"), "ab")
        self.proc = subprocess.Popen(line, env=env, cwd=cwd, stdin=subprocess.DEVNULL,
                                     stdout=self.log, stderr=self.log, preexec_fn=Pinned.to(0))
        stack.callback(self.log.close)
        stack.callback(stop, self.proc)
        wait_ready(port, self.ready_path, self.proc)

    @property
    def pid(self):
        return self.proc.pid

    def pids(self):
        return tree(self.pid)

    def stop(self):
        stop(self.proc)


class Karta(Server):
    name = "karta"
    ready_path = "/healthz"

    def __init__(self, stack, program, app, warm=0, env=None):
        data = temp_dir(stack, "data")
        port = free_port()
        super().__init__(stack, self.line(program, app, port, warm), {**self.env(data), **(env or {})},
                         data, port)

    @staticmethod
    def app(stack, stub):
        """A folder whose agent is the stub."""
        folder = temp_dir(stack, "app")
        with open(os.path.join(folder, "AGENTS.md"), "w", encoding="utf-8") as f:
            f.write("A stub.\n")
        with open(os.path.join(folder, "karta.toml"), "w", encoding="utf-8") as f:
            f.write(f'name = "bench"\n[harness]\ntype = "acp"\ncommand = ["{stub}"]\n')
        return folder

    @staticmethod
    def env(data):
        return {"PATH": os.environ["PATH"], "HOME": data, "KARTA_DATA": data,
                "XDG_CONFIG_HOME": data, "XDG_CACHE_HOME": data, "XDG_STATE_HOME": data}

    @staticmethod
    def line(program, app, port, warm=0):
        return [program, "dev", "--no-chat", "--warm", str(warm), "--dir", app, "--port", str(port)]

    def begin(self):
        self.session = call(self.port, "POST", "/v1/sessions", {})["id"]
        return f"/v1/sessions/{self.session}/events"

    def burst(self, events, gap_ms=0):
        return background(call, self.port, "POST", f"/v1/sessions/{self.session}/messages",
                          {"text": prompt_text(events, gap_ms)}, ("Prefer: respond-async",))

    def end(self):
        limit = time.monotonic() + 30
        while time.monotonic() < limit:
            if not call(self.port, "GET", f"/v1/sessions/{self.session}")["turn"]:
                break
            time.sleep(0.02)
        call(self.port, "DELETE", f"/v1/sessions/{self.session}")


class KartaServe(Server):
    """`karta serve` on a data folder of its own, or on one that is there."""
    name = "karta serve"
    ready_path = "/healthz"

    def __init__(self, stack, program, data=None, offline=True):
        self.program = program
        self.data = data or temp_dir(stack, "data")
        self.key_file = os.path.join(self.data, "bench.key")
        if not os.path.exists(self.key_file):
            subprocess.run([program, "serve", "--init-only", "--data", self.data, "--key-file",
                            self.key_file, "--quiet"], check=True, stdout=subprocess.DEVNULL)
        with open(self.key_file, encoding="ascii") as f:
            self.key = f.read().strip()
        port = free_port()
        super().__init__(stack, self.line(program, self.data, port, offline), Karta.env(self.data),
                         self.data, port)
        self.bearer = f"Authorization: Bearer {self.key}"

    @staticmethod
    def line(program, data, port, offline=True):
        return [program, "serve", "--data", data, "--listen", f"127.0.0.1:{port}", "--log-format",
                "json"] + (["--offline"] if offline else [])

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def call(self, method, path, body=None, headers=(), timeout=60):
        return call(self.port, method, path, body, (self.bearer, *headers), timeout)

    def publish(self, slug, files, timeout=60):
        """Release these files {path: text}, as one archive; waits until they are live."""
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w:gz", compresslevel=1) as tar:
            for path, text in files.items():
                member = tarfile.TarInfo(path)
                member.size = len(text.encode())
                tar.addfile(member, io.BytesIO(text.encode()))
        http = Http(self.port, timeout)
        try:
            body = data.getvalue()
            http.sock.sendall((f"POST /agent_projects/{slug}/releases HTTP/1.1\r\nHost: localhost\r\n"
                               f"{self.bearer}\r\nContent-Type: application/gzip\r\n"
                               f"Content-Length: {len(body)}\r\n\r\n").encode() + body)
            status = http.head()
            answer = json.loads(http.body())
        finally:
            http.close()
        if status != 201:
            raise RuntimeError(f"publishing: {status} {answer.get('detail')}")
        return answer

    def command(self, *args):
        """A command of karta with its environment."""
        return [self.program, *args, "--server", self.url], \
            {**Karta.env(self.data), "KARTA_API_KEY": self.key}


class SandboxAgent(Server):
    name = "sandbox-agent"
    ready_path = "/v1/health"

    def __init__(self, stack, home):
        port = free_port()
        super().__init__(stack, self.line(port), self.env(home), home, port)
        self.count = 0

    @staticmethod
    def find():
        if not os.path.exists(SA):
            raise Skip("sandbox-agent is not installed: scripts/setup --bench")
        if not os.access(SA, os.X_OK):
            os.chmod(SA, 0o755)
        return SA

    @staticmethod
    def home(stack, stub):
        """A home in which its agent "pi" is the stub."""
        SandboxAgent.find()
        home = temp_dir(stack, "sa")
        folder = os.path.join(home, ".local/share/sandbox-agent/bin")
        os.makedirs(os.path.join(folder, "agent_processes"))
        for name in ("pi", "agent_processes/pi-acp"):
            shutil.copy(stub, os.path.join(folder, name))
        return home

    @staticmethod
    def env(home):
        return {"PATH": os.environ["PATH"], "HOME": home}

    @staticmethod
    def line(port):
        return [SA, "server", "--no-token", "--no-telemetry", "--host", "127.0.0.1",
                "--port", str(port)]

    def rpc(self, method, params, name=None, http=None):
        self.count += 1
        body = {"jsonrpc": "2.0", "id": self.count, "method": method, "params": params}
        path = f"/v1/acp/{name or self.acp}?agent=pi"
        return http.call("POST", path, body) if http else call(self.port, "POST", path, body)

    def begin(self):
        self.acp = f"bench{self.count}"
        self.rpc("initialize", {"protocolVersion": 1, "clientCapabilities": {}})
        self.session = self.rpc("session/new", {"cwd": "/tmp", "mcpServers": []})[
            "result"]["sessionId"]
        return f"/v1/acp/{self.acp}"

    def burst(self, events, gap_ms=0):
        return background(self.rpc, "session/prompt", {
            "sessionId": self.session, "prompt": [{"type": "text",
                                                   "text": prompt_text(events, gap_ms)}]})

    def end(self):
        # It ends the agent process at once but does not always answer.
        with contextlib.suppress(RuntimeError, EOFError, OSError):
            call(self.port, "DELETE", f"/v1/acp/{self.acp}", timeout=0.3)


NCHAN = "/usr/lib/nginx/modules/ngx_nchan_module.so"
NGINX_CONF = """{module}
worker_processes 1; daemon off; pid {dir}/pid; error_log {dir}/error.log; {user}
worker_rlimit_nofile 20000;
events {{ worker_connections 10000; }}
http {{
  access_log off; keepalive_requests 100000000; tcp_nodelay on;
  client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
  server {{
    listen 127.0.0.1:{port};
    location = /ready {{ return 204; }}
    location = /json {{ default_type application/json; return 200 '{json}'; }}
    {nchan}
    {git}
  }}
}}
"""
NCHAN_CONF = """location = /sub { nchan_subscriber eventsource; nchan_channel_id $arg_id; }
    location = /pub { nchan_publisher; nchan_channel_id $arg_id; nchan_store_messages off; }"""


class Nginx(Server):
    name = "nginx"
    ready_path = "/ready"

    def __init__(self, stack, answer, git=None):
        """git: the settings of a location that runs git's own CGI program."""
        program = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
        if not program:
            raise Skip("nginx is not installed: scripts/setup --bench")
        folder = temp_dir(stack, "nginx")
        port = free_port()
        self.has_nchan = os.path.exists(NCHAN)
        conf = NGINX_CONF.format(
            dir=folder, port=port, json=answer.replace("'", ""),
            user="user root;" if os.getuid() == 0 else "",
            module=f"load_module {NCHAN};" if self.has_nchan else "",
            nchan=NCHAN_CONF if self.has_nchan else "", git=git or "")
        with open(os.path.join(folder, "nginx.conf"), "w", encoding="utf-8") as f:
            f.write(conf)
        super().__init__(stack, [program, "-p", folder, "-c", os.path.join(folder, "nginx.conf")],
                         None, folder, port)
        self.count = 0


class Nchan:
    """Streams of an nginx with nchan; its name in the table."""
    name = "nchan"

    def __init__(self, nginx):
        if not nginx.has_nchan:
            raise Skip("libnginx-mod-nchan is not installed: scripts/setup --bench")
        self.nginx, self.port = nginx, nginx.port

    def begin(self):
        self.nginx.count += 1
        return f"/sub?id=s{self.nginx.count}"

    def burst(self, events, gap_ms=0):
        return background(self.publish, events, gap_ms)

    def publish(self, events, gap_ms):
        http = Http(self.port)
        for i in range(events):
            body = json.dumps({"type": "text", "text": f" @@{time.time_ns()}:{i}@@"})
            http.sock.sendall((f"POST /pub?id=s{self.nginx.count} HTTP/1.1\r\nHost: x\r\n"
                               f"Content-Type: application/json\r\nContent-Length: {len(body)}"
                               f"\r\n\r\n{body}").encode())
            http.head()
            http.body()
            time.sleep(gap_ms / 1000)
        http.close()

    def end(self):
        pass


GIT_CONF = """location / {{
      client_max_body_size 0; client_body_buffer_size 64m;
      fastcgi_pass unix:{dir}/fcgi.sock; include /etc/nginx/fastcgi_params;
      fastcgi_param SCRIPT_FILENAME {program}; fastcgi_param GIT_HTTP_EXPORT_ALL 1;
      fastcgi_param GIT_PROJECT_ROOT {dir}; fastcgi_param PATH_INFO $uri;
      fastcgi_param REMOTE_USER bench; fastcgi_param HOME {dir};
      fastcgi_request_buffering off; fastcgi_buffering off;
    }}"""
# What a server like dokku does with a push: the files of the commit into a folder of their own, and
# the link that says which one is live is replaced.
DEPLOY_HOOK = """#!/bin/sh
while read -r old new ref; do
    dir=$GIT_PROJECT_ROOT/releases/$(basename "$PWD")/$new
    mkdir -p "$dir"
    git archive "$new" | tar -xf - -C "$dir"
    ln -s "$dir" "$dir.link" && mv -T "$dir.link" "$(dirname "$dir")/live"
done
"""


class GitHttp(Nginx):
    """git's own server over HTTP: nginx, fcgiwrap, git http-backend."""
    name = "git http"

    def __init__(self, stack):
        self.root = temp_dir(stack, "git")
        backend = os.path.join(subprocess.run(["git", "--exec-path"], capture_output=True,
                                              text=True, check=True).stdout.strip(), "git-http-backend")
        wrap = shutil.which("fcgiwrap", path=os.environ["PATH"] + ":/usr/sbin")
        if not wrap or not os.path.exists(backend):
            raise Skip("fcgiwrap is not installed: scripts/setup --bench")
        self.wrap = subprocess.Popen([wrap, "-c", "2", "-s", f"unix:{self.root}/fcgi.sock"],
                                     env={"PATH": os.environ["PATH"], "HOME": self.root,
                                          "GIT_CONFIG_NOSYSTEM": "1"},
                                     stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                     stderr=subprocess.DEVNULL, start_new_session=True)
        # Its workers do not end with it.
        stack.callback(stop_group, self.wrap)
        super().__init__(stack, "{}", GIT_CONF.format(dir=self.root, program=backend))

    def make(self, name, hook=None):
        """A new empty repository; its URL."""
        path = os.path.join(self.root, name + ".git")
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", path], check=True)
        for key, value in (("http.receivepack", "true"), ("receive.autogc", "false")):
            subprocess.run(["git", "-C", path, "config", key, value], check=True)
        if hook:
            with open(os.path.join(path, "hooks/post-receive"), "w", encoding="ascii") as f:
                f.write(hook)
            os.chmod(os.path.join(path, "hooks/post-receive"), 0o755)
        return f"http://127.0.0.1:{self.port}/{name}.git"

    def forget(self, name):
        shutil.rmtree(os.path.join(self.root, name + ".git"), ignore_errors=True)
        shutil.rmtree(os.path.join(self.root, "releases", name + ".git"), ignore_errors=True)
