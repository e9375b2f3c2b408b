#!/bin/sh
# SPDX-License-Identifier: MIT
# karta logs: what is kept, filters, following across lost connections and restarts, pipes.
. "$(dirname "$0")/../lib/test-lib.sh"

command -v curl >/dev/null || test_skip_all "curl is not installed"
start_serve && serve_publish bot || exit 1
KARTA_SERVER=$SERVE_URL
KARTA_API_KEY=$SERVE_KEY
KARTA_PROJECT=bot
export KARTA_SERVER KARTA_API_KEY KARTA_PROJECT
"$KARTA" send Hello >/dev/null 2>sent || exit 1
id=$(sed -n 's/^session \(sess_[A-Za-z0-9]*\) .*/\1/p' sent)

# seqs FILE: the numbers of its lines, which must go up by one or by the step of a filter.
seqs() {
	python3 -c 'import json, sys
s = [json.loads(l)["seq"] for l in open(sys.argv[1])]
assert s and s == sorted(set(s)), s
print(*s)' "$1"
}
# texts FILE: the texts of JSON lines.
texts() {
	python3 -c 'import json, sys
for l in open(sys.argv[1]): print(json.loads(l)["data"]["text"])' "$1"
}

test_expect_success 'the past, and then it ends' '
	timeout $((120 * TEST_SLOW)) "$KARTA" logs >out 2>err && test_empty err && test_grep "^[0-9-]*T[0-9:.]*\+00:00 build\[v1\]: -----> Activated v1$" out &&
	test_grep " session\[v1 $id\]: session created$" out && test_grep " release\[v1\]: v1 is active$" out &&
	timeout $((120 * TEST_SLOW)) "$KARTA" logs bot --json >all && seqs all && texts all >t && test_grep "^session created$" t
'

test_expect_success '--lines' '
	"$KARTA" logs --lines 2 --json >out && tail -n 2 all >expect && test_cmp expect out &&
	"$KARTA" logs --lines 0 >out && test_empty out && test_must_exit 2 "$KARTA" logs --lines -1 && test_must_exit 2 "$KARTA" logs --lines 10001
'

test_expect_success 'source, session, release, level' '
	"$KARTA" logs --source build >out && test_grep -v -F " turn[" out && test_grep build out &&
	"$KARTA" logs --session "$id" --json >out && test_json all "True" 2>/dev/null; seqs out && texts out >t && test_grep "started, agent default" t && test_grep -v Activated t &&
	"$KARTA" logs --source build --lines 1 --json >out && test "$(wc -l <out)" -eq 1 &&
	"$KARTA" config set A=1 && "$KARTA" logs --release v2 >out && test_grep -F "[v2]" out && test_grep -v -F "[v1" out &&
	"$KARTA" logs --release 2 >out2 && test_cmp out out2 && "$KARTA" logs --level error >out && test_empty out &&
	test_must_exit 2 "$KARTA" logs --level loud && test_must_exit 2 "$KARTA" logs --source nowhere
'

test_expect_success 'since and until' '
	"$KARTA" logs --since 1h --json >out && seqs out >/dev/null && "$KARTA" logs --since 2020-01-01T00:00:00Z --until 2020-01-02T00:00:00Z >out && test_empty out &&
	"$KARTA" logs --until 1h >out && test_empty out && "$KARTA" logs --since 1ms >out && test_empty out &&
	test_must_exit 2 "$KARTA" logs --since yesterday 2>err && test_grep "^hint: " err
'

cat >terminal.py <<'EOT'
import os, pty, sys
os.environ["TERM"] = "dumb"
sys.exit(pty.spawn(sys.argv[1:]) >> 8)
EOT

test_expect_success 'on a terminal times are of the zone of the machine, and are typed so' '
	"$KARTA" logs --json >all && TZ=IST-5:30 python3 terminal.py "$KARTA" -q logs --lines 1 >out </dev/null && test_grep "^[A-Z][a-z][a-z] [ 0-9][0-9] [0-9:]{8} release\[v2\]: " out &&
	python3 - out all <<-\EOT
	import datetime, json, sys
	shown = open(sys.argv[1]).read()[:15]
	event = json.loads(open(sys.argv[2]).read().split("\n")[-2])
	at = datetime.datetime.utcfromtimestamp(event["timestamp"] / 1000 + 5.5 * 3600)
	assert shown == at.strftime("%b ") + "%2d" % at.day + at.strftime(" %H:%M:%S"), (shown, at)
	EOT
	TZ=IST-5:30 "$KARTA" logs --json --since "$(TZ=IST-5:30 date -d "1 hour ago" "+%Y-%m-%d %H:%M")" >out && test_cmp all out &&
	"$KARTA" logs --since 2020-01-01 --until "2020-01-02 10:00" >out && test_empty out &&
	test_must_exit 2 "$KARTA" logs --since 2020-02-31 && test_must_exit 2 "$KARTA" logs --since 25:00
'

test_expect_success 'what is not there' '
	test_must_exit 5 "$KARTA" logs nope && test_must_exit 5 "$KARTA" logs nope --tail &&
	test_must_exit 4 env KARTA_API_KEY=kt_live_wrong "$KARTA" logs --tail
'

test_expect_success 'following: each line at once, until Ctrl-C' '
	: >out; "$KARTA" logs --tail --lines 1 --json >out 2>err & pid=$!; test_background "$pid"
	test_wait_for test -s out && before=$(wc -l <out) && "$KARTA" config set B=1 &&
	test_wait_for grep -q "v3 is active" out && kill -INT "$pid" && { wait "$pid"; test $? -eq 130; } &&
	test "$before" -eq 1 && seqs out && test_empty err
'

test_expect_success 'following through restarts: no line lost, none twice' '
	"$KARTA" logs --json --lines 10000 >start && : >out || return 1
	"$KARTA" logs -f --json --lines 1 >out 2>err & pid=$!; test_background "$pid"
	test_wait_for test -s out && "$KARTA" config set C=1 && test_wait_for grep -q "v4 is active" out && stop_serve && sleep 1 && start_serve &&
	"$KARTA" config set C=2 && test_wait_for grep -q "v5 is active" out && stop_serve KILL; start_serve &&
	"$KARTA" config set C=3 && test_wait_for grep -q "v6 is active" out &&
	"$KARTA" logs --json --lines 10000 >all && tail -n "+$(wc -l <start)" all >expect && test_wait_for cmp -s expect out
	kill -INT "$pid"; wait "$pid"; test_cmp expect out && test_grep "connection broke" err
'

test_expect_success 'following with a filter goes on where it was' '
	: >out; "$KARTA" logs -f --json --source release --lines 1 >out 2>err & pid=$!; test_background "$pid"
	test_wait_for test -s out && stop_serve && start_serve && "$KARTA" config set D=1 && test_wait_for grep -q "v7 is active" out && kill -INT "$pid"; wait "$pid"
	test "$(wc -l <out)" -eq 2 && texts out >t && test_grep "v6 is active" t
'

test_expect_success 'following up to a time ends there' '
	until=$(date -u -d "+3 seconds" +%Y-%m-%dT%H:%M:%SZ) && timeout $((120 * TEST_SLOW)) "$KARTA" logs --tail --until "$until" --lines 1 >out 2>err &&
	test -s out && test_empty err
'

test_expect_success 'a server that is gone: --timeout gives up' '
	: >out; "$KARTA" logs --tail --timeout $((3 * TEST_SLOW))s --lines 1 >out 2>err & pid=$!; test_background "$pid"
	test_wait_for test -s out && stop_serve && { wait "$pid"; test $? -eq 3; } && start_serve
'

test_expect_success 'a pipe that is closed ends it quietly' '
	("$KARTA" logs --tail 2>err; echo $? >status) | head -n 1 >out; for i in 1 2 3; do "$KARTA" config set "P=$i" || return 1; done
	test_wait_for test -s status && test_empty err && test "$(wc -l <out)" -eq 1
'

test_expect_success 'no control bytes reach a terminal or a line' '
	cp -r "$TEST_ROOT/docs/examples/support-bot" odd && chmod -R u+w odd && printf "name = \"a\033[31mb\"\n" >odd/karta.toml &&
	! serve_publish bot odd; "$KARTA" logs --lines 20 >out && ! LC_ALL=C grep -q "$(printf "\033")" out
'

test_expect_success 'following ends when the project is deleted' '
	serve_publish gone "$TEST_ROOT/docs/examples/support-bot" && : >out; "$KARTA" logs gone --tail >out 2>err & pid=$!; test_background "$pid"
	test_wait_for test -s out && "$KARTA" projects delete gone --confirm gone && { wait "$pid"; test $? -eq 5; } && test_grep "there is no project .gone. on " err
'

test_expect_success 'the number of lines in the words of others' '
	"$KARTA" logs --lines 2 --json >two && for words in "-n 2" "-n2" "--num 2" "--tail=2" "--tail 2" "bot --tail=2" "--no-tail -n 2"; do
		"$KARTA" logs $words --json >out && test_cmp two out || { echo "$words"; return 1; }
	done &&
	test_must_exit 2 "$KARTA" logs --tail=x 2>err && test_grep "is no number" err && test_must_exit 2 "$KARTA" logs --tail=20000
'

test_done
