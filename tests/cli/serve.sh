#!/bin/sh
# SPDX-License-Identifier: MIT
# karta serve: the first start and its key, settings and where they come from, signals, service
# manager, a path prefix, backup and restore.
. "$(dirname "$0")/../lib/test-lib.sh"

command -v curl >/dev/null || test_skip_all 'curl is not installed'

test_expect_success 'the first start makes the folder and one key, prints it once, then the address' '
	"$KARTA" serve --init-only --data d1 >out 2>err &&
	test_grep "^admin key \(shown this once\): kt_live_[A-Za-z0-9]{38}$" out &&
	test "$(wc -l <out)" -eq 1 && test "$(stat -c %a d1)" = 700 &&
	test "$(stat -c %a d1/master.key)" = 600 &&
	"$KARTA" serve --init-only --data d1 >out 2>err && test_empty out && test_grep initialized err
'

test_expect_success 'the key goes into a file that only its owner reads, or as JSON' '
	"$KARTA" serve --init-only --data d2 --key-file key >out 2>err && test_empty out &&
	test "$(stat -c %a key)" = 600 && test_grep "^kt_live_[A-Za-z0-9]{38}$" key &&
	test_grep -v kt_live err &&
	"$KARTA" serve --init-only --data d3 --json >out && test_json out "d[\"admin_key\"].startswith(\"kt_live_\")"
'

test_expect_success 'a key that could not be handed out is not made' '
	test_must_exit 1 "$KARTA" serve --init-only --data d4 --key-file nowhere/key 2>err &&
	test_grep "cannot write .nowhere/key" err && test ! -e d4/karta.db &&
	mkdir folder && test_must_exit 2 "$KARTA" serve --init-only --data d4 --key-file folder 2>err &&
	"$KARTA" serve --init-only --data d4 --key-file key4 && test_grep kt_live key4
'

test_expect_success 'an address that is none is refused before anything is made' '
	for listen in nonsense 127.0.0.1 127.0.0.1:x 127.0.0.1:70000 :-1; do
		test_must_exit 2 "$KARTA" serve --data d5 --listen "$listen" >out 2>err &&
		test_empty out && test ! -e d5 || return 1
	done
'

test_expect_success 'a first start that cannot listen leaves no folder, no key file and shows no key' '
	python3 -c "
import socket, subprocess, sys
s = socket.socket(); s.bind((\"127.0.0.1\", 0)); s.listen()
at = \"127.0.0.1:%d\" % s.getsockname()[1]
for argv in ([\"serve\", \"--data\", \"d6\", \"--key-file\", \"key6\", \"--listen\", at], [\"serve\", \"--data\", \"d6\", \"--listen\", at],
        [\"serve\", \"--data\", \"d6\", \"--json\", \"--listen\", at]):
    p = subprocess.run([sys.argv[1]] + argv, capture_output=True, text=True, timeout=60)
    assert p.returncode == 6 and \"kt_live\" not in p.stdout + p.stderr and \"--port\" in p.stderr, (p.returncode, p.stdout, p.stderr)
p = subprocess.run([sys.argv[1], \"dev\", \"--offline\", \"--no-chat\", \"--port\", at.split(\":\")[1], \"--dir\", sys.argv[2]],
    capture_output=True, text=True, timeout=60, env=dict(__import__(\"os\").environ, KARTA_DATA=\"d7\"))
assert p.returncode == 6 and \"--port\" in p.stderr, (p.returncode, p.stderr)
" "$KARTA" "$TEST_ROOT/docs/examples/support-bot" && test ! -e d6 && test ! -e key6 && test ! -e d7
'

test_expect_success 'the port of the socket is in every address: a picked one, and one that was passed in' '
	python3 - "$KARTA" <<-\EOT
	import json, os, re, signal, socket, subprocess, sys, urllib.request
	def serve(data, listen):
	    p = subprocess.Popen([sys.argv[1], "serve", "--offline", "--data", data, "--key-file", data + ".key", "--listen", listen], stdout=subprocess.PIPE, text=True)
	    url = p.stdout.readline().strip()
	    got = int(re.fullmatch("http://localhost:([0-9]+)", url).group(1))
	    assert got, url
	    key = open(data + ".key").read().strip()
	    rq = urllib.request.Request("http://127.0.0.1:%d/agent_projects" % got, data=b"{\"slug\":\"bot\"}", headers={"authorization": "Bearer " + key, "content-type": "application/json"})
	    assert json.load(urllib.request.urlopen(rq))["url"] == "http://bot.localhost:%d" % got
	    code = urllib.request.Request("http://127.0.0.1:%d/v1/device/code" % got, data=b"{\"client_name\":\"x\",\"scopes\":[\"read\"]}", headers={"content-type": "application/json"})
	    assert ":%d/" % got in json.load(urllib.request.urlopen(code))["verification_uri"]
	    doc = json.load(urllib.request.urlopen("http://127.0.0.1:%d/openapi.json" % got))
	    assert doc["servers"][0]["url"].endswith(":%d" % got), doc["servers"]
	    p.send_signal(signal.SIGTERM); p.wait(60)
	serve("d8", "127.0.0.1:0")
	s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen()
	# LISTEN_PID is that of the server: a shell of one line stands for the service manager.
	os.dup2(s.fileno(), 3)
	os.set_inheritable(3, True)
	sh = "LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\""
	p = subprocess.Popen(["/bin/sh", "-c", sh, "sh", sys.argv[1], "serve", "--offline", "--data", "d9", "--key-file", "d9.key"], stdout=subprocess.PIPE, text=True, pass_fds=[3])
	url = p.stdout.readline().strip()
	p.send_signal(signal.SIGTERM)
	p.wait(60)
	assert url == "http://localhost:%d" % s.getsockname()[1], url
	EOT
'

test_expect_success 'every setting has a value and an origin' '
	"$KARTA" serve --show-config >out && test_grep "^listen  *= \"127.0.0.1:8000\"  *# default$" out &&
	mkdir -p "$XDG_CONFIG_HOME/karta" &&
	printf "# of mine\nlisten = \"127.0.0.1:1\"\ndrain = \"5s\"\nmax_release_files = 10\noffline = true\n" \
		>"$XDG_CONFIG_HOME/karta/serve.toml" &&
	"$KARTA" serve --show-config >out &&
	test_grep "^listen  *= \"127.0.0.1:1\"  *# .*/serve.toml:2$" out &&
	test_grep "^drain  *= \"5s\"  *# .*:3$" out && test_grep "^offline  *= true " out &&
	KARTA_LISTEN=127.0.0.1:2 "$KARTA" serve --show-config >out &&
	test_grep "^listen  *= \"127.0.0.1:2\"  *# KARTA_LISTEN$" out &&
	KARTA_LISTEN=127.0.0.1:2 "$KARTA" serve --listen 127.0.0.1:3 --show-config --json >out &&
	test_json out "d[\"settings\"][\"listen\"] == {\"value\": \"127.0.0.1:3\", \"origin\": \"flag\"}" &&
	test_json out "d[\"settings\"][\"max_release_files\"][\"value\"] == 10" &&
	test_json out "d[\"settings\"][\"offline\"][\"value\"] is True" &&
	"$KARTA" serve --show-config >"$TEST_DIR/all.toml" &&
	"$KARTA" serve --config "$TEST_DIR/all.toml" --show-config >out && test_grep "^drain  *= \"5s\" " out
'
rm -f "$XDG_CONFIG_HOME/karta/serve.toml"

test_expect_success 'settings that are there and cannot be read are not passed over: it could be without keys then' '
	for kind in "ln -s /nowhere/serve.toml" mkdir mkfifo; do
		$kind "$XDG_CONFIG_HOME/karta/serve.toml" || return 1
		if "$KARTA" serve --show-config >out 2>err; then return 1; fi
		test_grep "^karta: .*serve\.toml" err && rm -r "$XDG_CONFIG_HOME/karta/serve.toml" || return 1
	done
'

test_expect_success 'a list of proxies that is empty trusts nobody' '
	test_must_exit 2 "$KARTA" serve --trust-proxy= --show-config 2>err && test_grep "trust-proxy. needs a value" err &&
	test_must_exit 2 "$KARTA" serve --trust-proxy 10.0.0.1 2>err && test_grep "^hint: a value stands behind a .=.: --trust-proxy=10.0.0.1$" err &&
	test_must_exit 2 "$KARTA" serve --trust-proxy=10.0.0.1, 10.0.0.2 2>err && test_grep "^hint: put a value with blanks in quotes: .--trust-proxy=10.0.0.1, 10.0.0.2.$" err &&
	"$KARTA" serve "--trust-proxy=10.0.0.1, 10.0.0.2" --show-config >out && test_grep "^trust_proxy *= .10.0.0.1, 10.0.0.2." out &&
	"$KARTA" serve --trust-proxy --show-config >out && test_grep "^trust_proxy *= true" out &&
	KARTA_TRUST_PROXY= "$KARTA" serve --show-config >out && test_grep "^trust_proxy *= false" out
'

test_expect_success 'a wrong setting names its place' '
	printf "drain = \"long\"\n" >bad.toml &&
	test_must_exit 2 "$KARTA" serve --config bad.toml --show-config 2>err &&
	test_grep "bad.toml:1: .long. is no value for drain" err && test_grep "^hint: " err &&
	printf "colour = 1\n" >bad.toml &&
	test_must_exit 2 "$KARTA" serve --config bad.toml --show-config 2>err &&
	test_grep "bad.toml:1: unknown setting .colour." err &&
	printf "data = [1]\n" >bad.toml && test_must_exit 2 "$KARTA" serve --config bad.toml --show-config &&
	printf "listen = \"\"\n" >bad.toml && test_must_exit 2 "$KARTA" serve --config bad.toml &&
	printf "data = \"\"\n" >bad.toml && test_must_exit 2 "$KARTA" serve --config bad.toml &&
	printf "log = \"loud\"\n" >bad.toml && test_must_exit 2 "$KARTA" serve --config bad.toml &&
	printf "public_url = \"ftp://x\"\n" >bad.toml && test_must_exit 2 "$KARTA" serve --config bad.toml &&
	test_must_exit 5 "$KARTA" serve --config nowhere.toml &&
	test_must_exit 2 env KARTA_MAX_RELEASE_FILES=0 "$KARTA" serve --show-config 2>err &&
	test_grep "^karta: KARTA_MAX_RELEASE_FILES: " err && test_grep "from 1 to" err &&
	test_must_exit 2 env KARTA_TRUST_PROXY=perhaps "$KARTA" serve --show-config
'

start_serve || exit 1

test_expect_success 'it serves, with the key only' '
	test "$(curl -s -o out -w "%{http_code}" "$SERVE_URL/v1/whoami")" = 401 &&
	serve_call GET /v1/whoami >out && test_json out "d[\"org\"][\"slug\"] == \"default\"" &&
	curl -s "$SERVE_URL/healthz" >out && curl -sf "$SERVE_URL/readyz" >out
'

test_expect_success 'a second server on the folder, and one on the port, are refused' '
	test_must_exit 6 "$KARTA" serve --data "$SERVE_DATA" --listen 127.0.0.1:0 >out 2>err &&
	test_grep "another server uses" err && test_grep "^hint: .*--data DIR" err && test_empty out &&
	test_must_exit 6 "$KARTA" serve --data d6 --listen "127.0.0.1:$SERVE_PORT" --key-file key6 >out 2>err &&
	test_grep "^hint: choose another with --port" err &&
	test_must_exit 6 "$KARTA" serve --data "$SERVE_DATA" --listen "127.0.0.1:$SERVE_PORT" >out 2>err &&
	test_grep "^hint: a server of this data folder runs already" err
'

test_expect_success 'a session over HTTP at the address of the project' '
	serve_publish bot && test_json "$TEST_DIR/publish.json" "d[\"state\"] == \"active\"" &&
	curl -sS -H "Host: bot.localhost" -H "Authorization: Bearer $SERVE_KEY" \
		-H "Content-Type: application/json" -d "{}" "$SERVE_URL/v1/sessions" >session &&
	id=$(sed -n "s/.*\"id\":\"\(sess_[^\"]*\)\".*/\1/p" session) && test -n "$id" &&
	curl -sS -m 90 -H "Host: bot.localhost" -H "Authorization: Bearer $SERVE_KEY" \
		-H "Content-Type: application/json" -d "{\"text\":\"Hello\"}" \
		"$SERVE_URL/v1/sessions/$id/messages" >out && test_grep Beans out
'

test_expect_success 'SIGHUP reads the settings again, and keeps the old ones when they are wrong' '
	mkdir -p "$XDG_CONFIG_HOME/karta" && printf "log = \"debug\"\n" >"$XDG_CONFIG_HOME/karta/serve.toml" &&
	kill -HUP "$SERVE_PID" && test_wait_for grep -q "settings read again" "$TEST_DIR/serve.err" &&
	printf "log = \"loud\"\n" >"$XDG_CONFIG_HOME/karta/serve.toml" && kill -HUP "$SERVE_PID" &&
	test_wait_for grep -q "the settings stay as they are: .*loud" "$TEST_DIR/serve.err" &&
	printf "trust_proxy = true\n" >"$XDG_CONFIG_HOME/karta/serve.toml" && kill -HUP "$SERVE_PID" &&
	test_wait_for grep -q "change with a restart" "$TEST_DIR/serve.err" &&
	serve_call GET /v1/whoami >out
'
rm -f "$XDG_CONFIG_HOME/karta/serve.toml"

turns_begun() {
	serve_call GET /v1/sessions >runs.json &&
		python3 -c 'import json; print(sum(bool(s["turn"]) + s["turns"] for s in json.load(open("runs.json"))["data"]))'
}
has_one_more() {
	test "$(turns_begun)" -gt "$begun"
}

begun=$(turns_begun)
test_expect_success 'SIGTERM lets a running turn end, and is status 0' '
	KARTA_API_KEY=$SERVE_KEY "$KARTA" --server "$SERVE_URL" --project bot send Hello \
		>reply 2>err & sender=$! &&
	test_background "$sender" && test_wait_for has_one_more && stop_serve && wait "$sender" &&
	test_grep Beans reply && test_grep stopping "$TEST_DIR/serve.err"
'

test_expect_success 'a second start prints no key, and has everything' '
	start_serve && test_grep -v kt_live "$TEST_DIR/serve.url" &&
	serve_call GET /agent_projects/bot >out && test_json out "d[\"current\"][\"version\"] == \"v1\""
'

test_expect_success 'no key is in the log, in argv or in the address' '
	test_grep -v kt_live "$TEST_DIR/serve.err" &&
	tr "\0" " " <"/proc/$SERVE_PID/cmdline" >argv && test_grep -v kt_live argv
'

test_expect_success 'a backup is made while serving, and is all there is' '
	"$KARTA" serve backup --data "$SERVE_DATA" b.tar 2>err && test_grep "holds all of" err &&
	test "$(stat -c %a b.tar)" = 600 &&
	test_must_exit 6 "$KARTA" serve backup --data "$SERVE_DATA" b.tar 2>err && test_grep exists err &&
	"$KARTA" serve backup --data "$SERVE_DATA" b2.tar --json >out && test_json out "d[\"file\"] == \"b2.tar\"" &&
	test_must_exit 5 "$KARTA" serve backup --data nowhere b3.tar && test ! -e b3.tar &&
	"$KARTA" serve restore --data restored b.tar 2>err && "$KARTA" fsck --data restored
'

test_expect_success 'restore replaces nothing unless told to, and nothing by a damaged file' '
	test_must_exit 6 "$KARTA" serve restore --data restored b.tar 2>err && test_grep "^hint: .*--force" err &&
	head -c 9000 b.tar >cut.tar && ! "$KARTA" serve restore --force --data restored cut.tar 2>err &&
	test_grep -v "unknown reason" err &&
	"$KARTA" fsck --data restored &&
	sed "s/Northbound Coffee/Northbound Tea!!!/" b.tar >bad.tar && ! cmp -s b.tar bad.tar &&
	! "$KARTA" serve restore --force --data restored bad.tar 2>err && "$KARTA" fsck --data restored &&
	test_must_exit 5 "$KARTA" serve restore --data other nowhere.tar &&
	test_must_exit 6 "$KARTA" serve restore --force --data "$SERVE_DATA" b.tar 2>err &&
	"$KARTA" serve restore --force --data restored b.tar && "$KARTA" fsck --data restored
'

test_expect_success 'a file that is no backup gets no advice to skip what is damaged' '
	echo hello >plain && tar -cf other.tar plain &&
	for f in plain other.tar; do
		test_must_exit 1 "$KARTA" serve restore --data none "$f" 2>err && test_grep "is no backup of karta" err && test_grep -v skip-damaged err &&
		test_must_exit 1 "$KARTA" serve restore --skip-damaged --data none "$f" 2>err && test_grep "is no backup of karta" err && test ! -e none || return 1
	done
'

test_expect_success 'what comes of the damage is listed, and not counted with the damaged' '
	python3 - b.tar blob.tar <<-\EOF &&
	import sys, tarfile
	d = bytearray(open(sys.argv[1], "rb").read())
	m = max((m for m in tarfile.open(sys.argv[1]) if m.name.startswith("blobs/")), key=lambda m: m.size)
	d[m.offset_data] ^= 1
	open(sys.argv[2], "wb").write(d)
	EOF
	"$KARTA" serve restore --skip-damaged --data some blob.tar >out 2>err && test_grep "^therefore " out &&
	test "$(grep -c "^lost " out)" -eq 1 && test_grep "but for 1 thing that is damaged" err
'

test_expect_success 'a damaged member is named, and the rest restored when asked for' '
	python3 - b.tar rot.tar <<-\EOF &&
	import sys, tarfile
	d = bytearray(open(sys.argv[1], "rb").read())
	m = next(m for m in tarfile.open(sys.argv[1]) if m.name.startswith("logs/") and m.size)
	d[m.offset_data + m.size // 2] ^= 1
	open(sys.argv[2], "wb").write(d)
	EOF
	test_must_exit 1 "$KARTA" serve restore --data rest rot.tar 2>err && test ! -e rest &&
	test_grep "logs/.*has other bytes than what was copied" err &&
	test_grep "^hint: --skip-damaged" err &&
	"$KARTA" serve restore --skip-damaged --data rest rot.tar >out 2>err &&
	test_grep "^lost logs/.*: has other bytes" out && test_grep "but for 1 thing" err &&
	"$KARTA" fsck --data rest && test -e rest/karta.db && test ! -e "rest/$(sed -n "s/^lost \(.*\): .*/\1/p" out)" &&
	"$KARTA" serve restore --force --skip-damaged --json --data rest rot.tar >out &&
	test_json out "d[\"lost\"][0][\"member\"].startswith(\"logs/\")"
'

test_expect_success 'of several damaged members each is named, with its whole name' '
	python3 - b.tar rot2.tar <<-\EOF &&
	import sys, tarfile
	d = bytearray(open(sys.argv[1], "rb").read())
	for m in tarfile.open(sys.argv[1]):
	    if m.isfile() and m.size and m.name.split("/")[0] in ("logs", "builds"):
	        d[m.offset_data] ^= 1
	open(sys.argv[2], "wb").write(d)
	EOF
	python3 - b.tar rot2.tar >names <<-\EOF &&
	import sys, tarfile
	a, b = (open(f, "rb").read() for f in sys.argv[1:])
	for m in tarfile.open(sys.argv[1]):
	    if a[m.offset_data:m.offset_data + m.size] != b[m.offset_data:m.offset_data + m.size]: print(m.name)
	EOF
	test "$(wc -l <names)" -ge 2 && test_must_exit 1 "$KARTA" serve restore --data rest2 rot2.tar 2>err && test ! -e rest2 &&
	while read -r name; do test_grep "^damaged: $name: has other bytes" err || return 1; done <names
'

test_expect_success 'of a damaged data folder there is no backup, and a damaged database is not served' '
	cp -a "$SERVE_DATA" hurt && f=$(find hurt/blobs -type f | head -n 1) && chmod u+w "$f" && printf x | dd of="$f" conv=notrunc status=none &&
	test_must_exit 1 "$KARTA" serve backup --data hurt hurt.tar 2>err && test ! -e hurt.tar && test_grep "^hint: .*karta fsck" err &&
	rm -f hurt/karta.db-* && head -c 4000 /dev/zero >hurt/karta.db &&
	test_must_exit 1 timeout 60 "$KARTA" serve --listen 127.0.0.1:0 --data hurt 2>err && test_grep "karta\.db" err
'

test_expect_success 'backup and fsck find the folder where the settings have it' '
	printf "data = \"%s\"\n" "$SERVE_DATA" >serve.toml &&
	KARTA_SERVE_CONFIG=$PWD/serve.toml "$KARTA" fsck 2>err && test_grep "$SERVE_DATA is in order" err &&
	KARTA_SERVE_CONFIG=$PWD/serve.toml "$KARTA" serve backup b4.tar 2>err && test_grep "$SERVE_DATA" err
'
stop_serve

test_expect_success 'what was restored serves, with the same key' '
	SERVE_DATA=$PWD/restored && start_serve && serve_call GET /agent_projects/bot/releases >out &&
	test_json out "d[\"data\"][0][\"version\"] == \"v1\"" && stop_serve
'

test_expect_success 'two signals end it at once' '
	start_serve && { KARTA_API_KEY=$SERVE_KEY "$KARTA" --server "$SERVE_URL" -p bot send Hello >reply 2>err & } &&
	test_background $! && sleep 0.5 && kill -TERM "$SERVE_PID" && sleep 0.2 && stop_serve INT
'

test_expect_success 'behind a proxy with TLS, under a path' '
	port=$SERVE_PORT && start_serve --public-url https://karta.example/agents/ --trust-proxy &&
	test_grep "^https://karta.example/agents" "$TEST_DIR/serve.url" && SERVE_PORT=$port &&
	curl -sf -H "Host: karta.example" -H "X-Forwarded-For: 192.0.2.7" -H "X-Forwarded-Proto: https" \
		-H "Authorization: Bearer $SERVE_KEY" "http://127.0.0.1:$port/agents/agent_projects/bot" >out &&
	test_json out "d[\"slug\"] == \"bot\" and d[\"url\"].startswith(\"https://\")" &&
	curl -sf -X POST -H "Host: karta.example" -H "Content-Type: application/json" \
		-d "{\"client_name\":\"x\"}" "http://127.0.0.1:$port/agents/v1/device/code" >out &&
	test_json out "d[\"verification_uri\"] == \"https://karta.example/agents/device\"" &&
	test "$(curl -s -o out -w "%{http_code}" -H "Host: evil.example" "http://127.0.0.1:$port/agents/v1/whoami")" = 421 &&
	stop_serve
'

# Runs a program with a listening socket as descriptor 3, as a service manager does; prints what the
# program told NOTIFY_SOCKET into the file notified.
cat >manager.py <<'EOT'
import os, signal, socket, subprocess, sys, time
karta, data = sys.argv[1:]
note = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
note.bind("notify.sock")
listener = socket.create_server(("127.0.0.1", 0))
port = listener.getsockname()[1]
pid = os.fork()
if pid == 0:
    os.dup2(listener.fileno(), 3, inheritable=True)
    env = dict(os.environ, LISTEN_FDS="1", LISTEN_PID=str(os.getpid()),
               NOTIFY_SOCKET=os.path.abspath("notify.sock"))
    os.execve(karta, [karta, "serve", "--offline", "--data", data, "--key-file", "manager.key"], env)
note.settimeout(300)
got = [note.recv(4096).decode()]
s = socket.create_connection(("127.0.0.1", port))
s.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
status = s.recv(100).split(b"\r\n")[0].decode()
os.kill(pid, signal.SIGHUP)
while "RELOADING" not in got[-1]:
    got.append(note.recv(4096).decode())
got.append(note.recv(4096).decode())
os.kill(pid, signal.SIGTERM)
got.append(note.recv(4096).decode())
code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
print(status, code, " ".join(x.split("\n")[0] for x in got))
EOT

test_expect_success 'sockets of a service manager, and what it is told' '
	python3 manager.py "$KARTA" d9 >out 2>err </dev/null || { cat err; false; } &&
	tail -n 1 out >last && test_grep "^HTTP/1.1 200 OK 0 READY=1 RELOADING=1 READY=1 STOPPING=1$" last
'

test_expect_success 'few files that may be open are told at the start, and a client which limit it met' '
	sh -c "ulimit -n 128 && exec \"\$@\"" sh "$KARTA" serve --offline --listen 127.0.0.1:0 --data few --key-file few.key >few.url 2>few.err &
	few=$! && test_background "$few" && test_wait_for grep -q "^http" few.url &&
	test_grep "no more than 64 connections: of files 128 may be open" few.err &&
	cat >few.py <<-\EOF &&
	import socket, sys
	many = [socket.create_connection(("127.0.0.1", int(sys.argv[1])), 60) for _ in range(33)]
	print(many[-1].makefile().read())
	EOF
	python3 few.py "$(sed "s/.*://" few.url)" >out && test_grep "^HTTP/1.1 503" out &&
	test_grep "this address has too many connections: close some" out && test_stop "$few" TERM
'

test_expect_success 'the unit files have the command right' '
	test_grep "^ExecStart=.*/karta serve --key-file" "$TEST_ROOT/scripts/systemd/karta.service" &&
	if command -v systemd-analyze >/dev/null; then
		sed "s,^ExecStart=[^ ]*,ExecStart=$KARTA," "$TEST_ROOT/scripts/systemd/karta.service" >karta.service &&
		cp "$TEST_ROOT/scripts/systemd/karta.socket" . &&
		systemd-analyze verify --man=no ./karta.service ./karta.socket
	fi
'

test_expect_success '--port: loopback, 0 picks one, not together with --listen' '
	"$KARTA" serve --port 3 --show-config --json >out && test_json out "d[\"settings\"][\"listen\"][\"value\"] == \"127.0.0.1:3\"" &&
	KARTA_LISTEN=127.0.0.1:2 "$KARTA" serve -p 4 --show-config >out && test_grep "127.0.0.1:4" out &&
	test_must_exit 2 "$KARTA" serve --port 3 --listen :4 2>err && test_grep "leave out --port" err &&
	test_must_exit 2 "$KARTA" serve --port 70000 && test_must_exit 2 "$KARTA" serve --port x &&
	mkdir ported && { "$KARTA" serve --offline --port 0 --data ported/data --key-file ported/key >ported/url 2>ported/err & } &&
	test_background $! && test_wait_for grep -q "^http://localhost:[1-9]" ported/url && curl -fsS "$(cat ported/url)/healthz"
'


test_expect_success 'a lost last key is replaced on the machine, while the server runs' '
	{ "$KARTA" serve --offline --port 0 --data lost --key-file lost.key >lost.url 2>lost.err & } && test_background $! &&
	test_wait_for grep -q "^http" lost.url && url=$(cat lost.url) &&
	key=$("$KARTA" serve keys create rescue --data lost 2>err) && test_grep "only time" err && test "$(printf %s "$key" | wc -l)" -eq 0 &&
	KARTA_API_KEY=$key "$KARTA" whoami --server "$url" >out && test_grep "^may  *read, write, admin" out && test_grep "^key  *rescue" out &&
	KARTA_API_KEY=$key "$KARTA" audit --server "$url" --json >out &&
	test_json out "[e for e in d[\"data\"] if e[\"action\"] == \"key.create\" and e[\"actor_name\"] == \"machine\"][0][\"detail\"][\"uid\"] == str(__import__(\"os\").getuid())" &&
	KARTA_API_KEY=$key "$KARTA" audit verify --server "$url" &&
	"$KARTA" serve:keys create short --scopes read --expires 1h --test --json --data lost >out 2>err &&
	test_json out "d[\"scopes\"] == [\"read\"] and d[\"expires_at\"] and d[\"key\"].startswith(\"kt_test_\") and d[\"schema_version\"] == 1" &&
	KARTA_API_KEY=$key "$KARTA" keys revoke "$(sed "s/.*\"id\":\"\([^\"]*\)\".*/\1/" out)" --server "$url" &&
	"$KARTA" fsck --data lost
'

test_expect_success 'keys of the machine: without a server too; what is wrong makes none' '
	"$KARTA" serve --init-only --data alone --key-file alone.key && "$KARTA" serve keys create again --data alone >key 2>err &&
	test_grep "valid when one does" err && test_must_exit 5 "$KARTA" serve keys create x --data nowhere 2>err && test_grep "no data folder" err &&
	test_must_exit 2 "$KARTA" serve keys create x --scopes king --data alone && test_must_exit 2 "$KARTA" serve keys create --data alone &&
	test_must_exit 2 "$KARTA" serve keys create "" --data alone && test_must_exit 5 "$KARTA" serve keys create x --org nope --data alone &&
	{ "$KARTA" serve --offline --port 0 --data alone >alone.url 2>alone.err & } && test_background $! && test_wait_for grep -q "^http" alone.url &&
	KARTA_API_KEY=$(cat key) "$KARTA" keys --json --server "$(cat alone.url)" >out && test_json out "len(d[\"data\"]) == 2"
'

test_expect_success 'sizes take units, in the environment and in the file' '
	KARTA_MAX_LOG_BYTES=10M "$KARTA" serve --show-config >out && test_grep "^max_log_bytes *= 10485760 " out &&
	printf "max_archive_bytes = \"2G\"\nmax_file_bytes = 4096\n" >sizes.toml && "$KARTA" serve --config sizes.toml --show-config >out &&
	test_grep "^max_archive_bytes *= 2147483648 " out && test_grep "^max_file_bytes *= 4096 " out &&
	test_must_exit 2 env KARTA_MAX_LOG_BYTES=10X "$KARTA" serve --show-config 2>err && test_grep "^hint: give a size .* 10M" err
'

test_done
