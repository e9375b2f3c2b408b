#!/bin/sh
# SPDX-License-Identifier: MIT
# karta run: the agent of a folder once, from the shell; what karta send prints and exits with, and
# nothing left afterwards.
. "$(dirname "$0")/../lib/test-lib.sh"

bot_app
cat >app/rehearsals/test.jsonl <<'EOT'
{"karta_rehearsal":1,"match":{"text":"slow"}}
{"t":10,"type":"text","data":{"part":{"type":"text","text":"It begins."},"part_id":"p1"}}
{"t":60000,"end":{"text":"It ends."}}
{"karta_rehearsal":1,"match":{"text":"fails"}}
{"t":2,"end":{"stop_reason":"error","error_code":"rate_limited","error_message":"too many requests","retryable":true}}
EOT
refund="My mug came broken, I'd like a refund for NB-1042"

test_expect_success 'the answer is on standard output, and nothing is left' '
	cd app && "$KARTA" run --offline --speed 0 Hello >out 2>err &&
	test_grep "Northbound Coffee" out && test_must_exit 1 grep "go on with" err && cd .. &&
	test -z "$(ls "$KARTA_DATA/run")" && test ! -e "$KARTA_DATA"/dev/app-*/sessions && test ! -e "$KARTA_DATA"/dev/app-*/server.json
'

test_expect_success 'the message from standard input, JSON, events, another folder' '
	echo Hello | "$KARTA" run --offline --speed 0 --dir app - >out && test_grep "Northbound Coffee" out &&
	echo Hello | "$KARTA" run --offline --speed 0 --dir app --json >out &&
	test_json out "\"Northbound\" in d[\"text\"] and d[\"schema_version\"] == 1" &&
	"$KARTA" run --offline --speed 0 --dir app --stream Hello >out && tail -1 out >last && test_json last "d[\"type\"] == \"done\"" &&
	"$KARTA" run --offline --speed 0 --dir app -- bash >out && test -s out
'

test_expect_success 'exit statuses are those of send' '
	test_must_exit 1 "$KARTA" run --offline --speed 0 --dir app fails >out 2>err && test_grep "too many requests" err &&
	test_must_exit 1 "$KARTA" run --offline --speed 0 --dir app --json fails >out 2>err && test_json out "d[\"error\"][\"type\"] == \"rate_limited\"" &&
	test_must_exit 2 "$KARTA" run --offline --dir app "" 2>err && test_grep "is empty" err &&
	test_must_exit 2 "$KARTA" run --offline --dir app </dev/null 2>err && test_grep "nothing came" err &&
	test_must_exit 3 "$KARTA" run --offline --dir app --timeout 300ms slow >out 2>err && test_grep "no answer in time" err &&
	test_must_exit 5 "$KARTA" run --dir nowhere x && test_must_exit 2 "$KARTA" run --speed x --dir app y &&
	test -z "$(ls "$KARTA_DATA/run")"
'

test_expect_success 'a harness that is not there is said once, with what works without it' '
	mkdir lone && printf "name = \"lone\"\n[harness]\ntype = \"claude-code\"\n" >lone/karta.toml && echo Hello >lone/CLAUDE.md && mkdir -p lonebin &&
	for program in sh cat; do ln -sf "$(command -v $program)" lonebin/; done &&
	test_must_exit 1 env -u KARTA_CLAUDE PATH="$PWD/lonebin" "$KARTA" run --dir lone Hello >out 2>err && test_empty out &&
	test "$(grep -c "cannot find the program .claude." err)" -eq 1 && test_grep "^hint: .karta run --offline" err && test_grep -v "karta dev" err &&
	test "$(wc -l <err)" -eq 2 &&
	test_must_exit 1 env -u KARTA_CLAUDE PATH="$PWD/lonebin" "$KARTA" run --dir lone --json Hello >out 2>err && test_json out "d[\"error\"][\"type\"] == \"harness_not_installed\""
'

test_expect_success 'with one file for the answer and what is beside it, each line is one of them' '
	"$KARTA" run --offline --speed 0 --dir app Hello >out 2>err && "$KARTA" run --offline --speed 0 --dir app Hello >both 2>&1 &&
	cat out err | sed "s/[0-9.]* s$//" >expect && sed "s/[0-9.]* s$//" both >got && test_cmp expect got && test -s err &&
	"$KARTA" run --offline --speed 0 --dir app --approve once "$refund" >both 2>&1 && test_grep "^[^A-Za-z]*Bash|^[^A-Za-z]*Read|^[^A-Za-z]*mcp" both
'

test_expect_success 'approvals are answered as told; without a terminal nobody is' '
	test_must_exit 9 "$KARTA" run --offline --speed 0 --dir app "$refund" >out 2>err && test_grep -F -- "--approve" err &&
	"$KARTA" run --offline --speed 0 --dir app --approve once "$refund" >out 2>err && test_grep "All done, Mia" out &&
	"$KARTA" run --offline --speed 0 --dir app --approve once --stream "$refund" >out && grep -q input_required out && ! grep -q "\"local\"" out &&
	"$KARTA" run --offline --speed 0 --dir app --approve deny "$refund" >out 2>err && test_grep "not able to finish" out
'

test_expect_success 'a project or server that is named is another matter' '
	test_must_exit 2 "$KARTA" run --offline --dir app -p shop Hello 2>err && test_grep "^hint: karta send -p shop" err &&
	test_must_exit 2 "$KARTA" run --offline --dir app --server http://localhost:1 Hello 2>err && test_grep "^hint: karta send" err &&
	KARTA_PROJECT=shop KARTA_SERVER=http://localhost:1 "$KARTA" run --offline --speed 0 --dir app Hello >out && test_grep "Northbound" out
'

test_expect_success 'beside karta dev, and beside itself' '
	"$KARTA" dev --offline --no-chat --port 0 --dir app >url 2>dev.err & test_background $!
	test_wait_for grep -q "^http" url &&
	{ "$KARTA" run --offline --speed 0 --dir app Hello >one & } && one=$! && "$KARTA" run --offline --speed 0 --dir app Hello >two && wait "$one" &&
	test_grep "Northbound" one && test_cmp one two && "$KARTA" sessions --server "$(cat url)" --json >out && test_json out "d[\"data\"] == []"
'

test_expect_success 'Ctrl-C ends the turn, and all of it' '
	python3 - "$KARTA" >out <<-\END
	import os, signal, subprocess, sys
	p = subprocess.Popen([sys.argv[1], "run", "--offline", "--dir", "app", "--stream", "slow"], stdout=subprocess.PIPE,
	                     stderr=subprocess.PIPE, start_new_session=True)
	for line in p.stdout:
	    if b"It begins" in line:
	        os.killpg(p.pid, signal.SIGINT)
	        break
	p.communicate(timeout=60)
	assert p.returncode == 130, p.returncode
	END
	test -z "$(ls "$KARTA_DATA/run")"
'

test_done
