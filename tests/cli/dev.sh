#!/bin/sh
# SPDX-License-Identifier: MIT
# karta dev: the server's start, what it prints, its state files, and its end.
. "$(dirname "$0")/../lib/test-lib.sh"

command -v curl >/dev/null || test_skip_all 'curl is not installed'
KARTA_DATA=$TEST_DIR/data
export KARTA_DATA

# folder NAME: an application with one rehearsal.
folder() {
	mkdir -p "$1/rehearsals" && echo "A test." >"$1/CLAUDE.md" &&
	printf "name = \"%s\"\n[harness]\ntype = \"claude-code\"\n" "$1" >"$1/karta.toml" &&
	cat >"$1/rehearsals/hello.jsonl" <<-'JSONL'
		{"karta_rehearsal": 1, "match": {"text": "Hello"}}
		{"t": 0, "type": "text", "parent": null, "data": {"part": {"type": "text", "text": "Hi there."}, "part_id": "p1"}}
		{"t": 1, "end": {"stop_reason": "end_turn", "text": "Hi there."}}
	JSONL
}

# start NAME OPTION...: a server; its process is $pid, its address $url, its output NAME.out and NAME.err.
start() {
	name=$1
	shift
	"$KARTA" dev --no-chat "$@" >"$name.out" 2>"$name.err" &
	pid=$!
	test_background "$pid"
	test_wait_for test -s "$name.out" || { cat "$name.err"; return 1; }
	url=$(sed -n "s/.*\(http:[^\"]*\).*/\1/p" "$name.out")
}

# call PATH [CURL OPTION...]: the body of an answer.
call() {
	route=$1
	shift
	curl -s --max-time 20 "$url$route" "$@"
}

post() {
	call "$1" -H "Content-Type: application/json" -d "$2"
}

session() {
	post /v1/sessions '{}' | sed 's/.*"id":"\([^"]*\)".*/\1/'
}

test_expect_success '--port 0 --no-chat prints the URL and nothing else on stdout' '
	folder app &&
	start one --dir app --port 0 --offline --speed 0 &&
	test "$(wc -l <one.out)" -eq 1 &&
	test_grep "^http://localhost:[0-9]+$" one.out &&
	test_grep "^app \(rehearsal, offline\) at $url" one.err &&
	call /v1/dev >dev && test_json dev "d[\"mode\"] == \"offline\" and d[\"project\"] == \"app\""
'

test_expect_success '--offline answers without network, also as a stream' '
	s=$(session) &&
	post "/v1/sessions/$s/messages" "{\"text\":\"Hello\"}" >answer &&
	test_json answer "d[\"text\"] == \"Hi there.\" and d[\"stop_reason\"] == \"end_turn\"" &&
	post "/v1/sessions/$s/messages" "{\"text\":\"Hello\",\"stream\":true}" >stream &&
	test_grep "^event: done$" stream
'

test_expect_success 'a message without a rehearsal names the file that would answer it' '
	post "/v1/sessions/$(session)/messages" "{\"text\":\"What is this?\"}" >answer &&
	test_json answer "d[\"code\"] == \"no_rehearsal\" and \"rehearsals/\" in d[\"detail\"]"
'

test_expect_success 'server.json tells of the server, for its user only' '
	state=$(echo "$KARTA_DATA"/dev/app-*) &&
	test_json "$state/server.json" "d[\"url\"] == \"$url\" and d[\"pid\"] == $pid and d[\"project\"] == \"app\"" &&
	test "$(stat -c %a "$state/server.json")" = 600 &&
	test "$(stat -c %a "$state")" = 700
'

test_expect_success 'dev.log has the outcome of each turn' '
	test_grep "turn +$s turn_[^ ]+: end_turn" "$state/dev.log" &&
	test_grep "warn +turn .*: no_rehearsal: " "$state/dev.log" &&
	test_grep -F "$state/dev.log" one.err
'

test_expect_success 'a second server on the same folder is refused, and the first goes on' '
	test_must_exit 6 "$KARTA" dev --no-chat --dir app --port 0 --offline >out 2>err &&
	test_empty out &&
	test_grep "^karta: another karta server is serving this folder" err &&
	test_grep "^hint: .*karta chat" err &&
	test_json "$state/server.json" "d[\"pid\"] == $pid" &&
	call /healthz >ok && test_grep ok ok
'

test_expect_success 'a port that is taken: exit 6 with a hint' '
	folder other &&
	test_must_exit 6 "$KARTA" dev --no-chat --dir other --port "${url##*:}" --offline >out 2>err &&
	test_empty out &&
	test_grep "^karta: .*${url##*:}" err &&
	test_grep "^hint: .*--port 0" err
'

test_expect_success 'without a port the next free one is taken, and said' '
	was=$pid at=$url && folder third && folder fourth && start eight --dir third --offline && first=$pid &&
	start nine --dir fourth --offline && test_grep "^port 8000 is taken; this is at 8[0-9]+$" nine.err &&
	test_stop "$first" && test_stop "$pid" && pid=$was url=$at
'

test_expect_success 'SIGTERM ends it with 0, and server.json goes' '
	test_stop "$pid" && test ! -e "$state/server.json" &&
	test_grep -v "Sanitizer|Assertion" one.err
'

test_expect_success 'sessions and events are there after a restart' '
	start two --dir app --port 0 --offline &&
	call "/v1/sessions/$s" >kept && test_json kept "d[\"turns\"] == 2 and d[\"turn\"] is None" &&
	call "/v1/sessions/$s/events?until=idle" >stream &&
	test "$(grep -c "^event: done$" stream)" -eq 2
'

test_expect_success 'SIGINT ends it with 0, too' '
	test_stop "$pid" INT && test ! -e "$state/server.json"
'

test_expect_success '--json prints one object' '
	start three --dir app --port 0 --offline --json &&
	test_json three.out "d == {\"schema_version\": 1, \"url\": \"$url\", \"pid\": $pid}" &&
	test_stop "$pid"
'

test_expect_success '--user goes into the metadata of new sessions that name none' '
	start four --dir app --port 0 --offline --user ann &&
	post /v1/sessions "{}" >s1 && test_json s1 "d[\"metadata\"] == {\"user_id\": \"ann\"}" &&
	post /v1/sessions "{\"metadata\":{\"user_id\":\"bob\"}}" >s2 &&
	test_json s2 "d[\"metadata\"] == {\"user_id\": \"bob\"}" &&
	test_stop "$pid"
'

test_expect_success 'a harness that is not installed: how to install it, that --offline works, and the server serves' '
	mkdir -p bare && (
		PATH=/usr/bin:/bin && export PATH && start five --dir app --port 0 && echo "$pid $url" >bare/five
	) &&
	read -r pid url <bare/five && test_background "$pid" &&
	test_grep "npm install|https://" five.err &&
	test_grep ".karta dev --offline. works without" five.err &&
	call /v1/dev >dev && test_json dev "d[\"mode\"] == \"live\" and d[\"problem\"]" &&
	post "/v1/sessions/$(session)/messages" "{\"text\":\"Hello\"}" >answer &&
	test_json answer "d[\"code\"] == \"harness_not_installed\" and d[\"status\"] == 503" &&
	call / >page && test_grep -F "<!doctype html>" page
'

test_expect_success 'without --offline nothing is replayed' '
	test_grep -v "Hi there" answer && kill "$pid" &&
	test_wait_for test ! -e "$state/server.json"
'

for type in codex-cli deepagents goose; do
	test_expect_success "--harness $type runs that one, whatever the folder says" '
		start "known-$type" --dir app --port 0 --harness "$type" &&
		call /v1/dev >dev && test_json dev "d[\"harness\"] == \"$type\"" &&
		test_stop "$pid"
	'
done

test_expect_success 'a folder that is not there: exit 5' '
	test_must_exit 5 "$KARTA" dev --no-chat --dir nowhere >out 2>err &&
	test_empty out && test_grep "^karta: .*nowhere" err
'

for bad in fast -1 nan 1x ""; do
	test_expect_success "--speed '$bad' is wrong usage" '
		test_must_exit 2 "$KARTA" dev --no-chat --dir app --port 0 --offline "--speed=$bad" >out 2>err &&
		test_empty out && test_grep "^karta: .*--speed" err
	'
done

test_expect_success 'a harness or port that cannot be: exit 2' '
	test_must_exit 2 "$KARTA" dev --no-chat --dir app --harness nonsense 2>err &&
	test_grep "^karta: .*nonsense" err &&
	test_must_exit 2 "$KARTA" dev --port 70000 2>err && test_grep "^karta: .*--port" err &&
	test_must_exit 2 "$KARTA" dev --warm 9 2>err && test_grep "^karta: .*--warm" err
'

test_expect_success 'an edited file is picked up without a restart, and a broken one is told' '
	start six --dir app --port 0 --offline &&
	sed -i.bak "s/\"app\"/\"renamed\"/" app/karta.toml && renamed() { call /v1/dev >dev && test_json dev "d[\"project\"] == \"renamed\""; } &&
	test_wait_for renamed && test_stop "$pid" &&
	echo "naem = 1" >>other/karta.toml && start seven --dir other --port 0 --offline &&
	test_grep "^karta.toml:[0-9]+:[0-9]+: warning: .*naem" seven.err && test_stop "$pid"
'

test_expect_success 'a missing harness program and a data folder that cannot be are told at once' '
	mkdir told && echo Hi >told/CLAUDE.md &&
	test_must_exit 5 "$KARTA" dev --dir told --no-chat --harness-program nowhere >out 2>err &&
	test_empty out && test_grep "^karta: --harness-program: " err &&
	: >file && KARTA_DATA=$PWD/file/sub test_must_exit 1 "$KARTA" dev --dir told --no-chat 2>err &&
	test_grep "^hint: KARTA_DATA" err
'

cat >ondev.py <<'EOT'
# karta dev with a chat, on a terminal: what it says until it is left.
import os, pty, select, sys
sys.path.insert(0, os.environ["TEST_ROOT"] + "/tests/lib")
from vt import Screen
pid, fd = pty.fork()
if pid == 0:
    os.execv(os.environ["KARTA"], [os.environ["KARTA"], "dev", "--dir", "talk", "--port", "0", "--offline", "--speed", "0"] + sys.argv[2:])
screen, said, left, log = Screen(), False, False, b""
while True:
    select.select([fd], [], [])
    try:
        data = os.read(fd, 65536)
    except OSError:
        break
    log += data
    screen.feed(data.decode("utf-8", "replace"))
    if screen.screen()[-1:] != [">"]:
        continue
    if not said and sys.argv[1]:
        said = True
        os.write(fd, sys.argv[1].encode() + b"\r")
    elif not left and (not said or "Beans" in screen.all()):
        left = True
        os.write(fd, b"\x04")
print(screen.all())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
EOT
export TEST_ROOT KARTA

test_expect_success '--continue and --session go on with a session of the folder, in the chat' '
	cp -r "$TEST_ROOT/docs/examples/support-bot" talk && TERM=xterm && export TERM &&
	timeout $((300 * TEST_SLOW)) python3 ondev.py "" --continue >none && test_grep "there is no session to go on with" none &&
	timeout $((300 * TEST_SLOW)) python3 ondev.py Hello >first && test_grep Beans first &&
	last=$(sed -n "s/.*go on with: karta dev --session \(sess_[A-Za-z0-9]*\).*/\1/p" first) && test -n "$last" &&
	timeout $((300 * TEST_SLOW)) python3 ondev.py "" --continue >again && test_grep "^> Hello" again && test_grep -F "$last" again &&
	timeout $((300 * TEST_SLOW)) python3 ondev.py "" --session "$last" >again && test_grep "^> Hello" again &&
	test_must_exit 2 "$KARTA" dev --dir talk --continue --no-chat 2>err && test_grep "continue is for the chat" err &&
	test_must_exit 2 "$KARTA" dev --dir talk --continue --session "$last" 2>err && test_grep "say one of them" err
'

test_done
