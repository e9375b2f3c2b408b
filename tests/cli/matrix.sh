#!/bin/sh
# SPDX-License-Identifier: MIT
# Every command with its input closed, without a terminal, with a dead server, and with --json: the
# exit status is the one that karta(1) documents, and the output is where it belongs.
. "$(dirname "$0")/../lib/test-lib.sh"

KARTA_DATA=$TEST_DIR/data
export KARTA_DATA
cp -r "$TEST_ROOT/docs/examples/support-bot" app
mkdir empty
cat >app/rehearsals/rmtmp.jsonl <<'EOT'
{"karta_rehearsal":1,"match":{"text":"rmtmp"}}
{"t":1,"type":"tool_use","data":{"tool_name":"Bash","tool_input":{"command":"rm -r tmp"},"tool_use_id":"t1","state":"running"}}
{"t":2,"ask":{"id":"rm","tool":"Bash","tool_use_id":"t1","message":"Allow Bash: rm -r tmp?","input":{"command":"rm -r tmp"}}}
{"t":3,"end":{"text":"All clean."}}
EOT

# A harness program that is there makes `karta doctor` independent of this machine.
printf '#!/bin/sh\necho "1.0.0 (Claude Code)"\n' >claude
chmod +x claude
KARTA_CLAUDE=$PWD/claude
ANTHROPIC_API_KEY=unused
export KARTA_CLAUDE ANTHROPIC_API_KEY

"$KARTA" dev --dir app --no-chat --offline --port 0 --speed 0 >url 2>dev.err &
test_background $!
test_wait_for 30 grep -q "^http" url || { cat dev.err; exit 1; }
url=$(cat url)
dead=http://127.0.0.1:1
"$KARTA" --server "$url" send --json hello >sent.json 2>sent.err || { cat sent.err; exit 1; }
id=$(sed -n 's/.*"session_id":"\([^"]*\)".*/\1/p' sent.json)

# json_object FILE [EXPRESSION]: one line, an object with schema_version.
json_object() {
	test "$(wc -l <"$1")" -eq 1 || { echo "not one line:"; cat "$1"; return 1; }
	test_json "$1" "d[\"schema_version\"] == 1 and (${2:-True})"
}

# check STATUS: what must be true of out and err after a command that ended so.
check() {
	test_got=$?
	test "$test_got" -eq "$1" || { echo "status $test_got, not $1"; cat out err; return 1; }
	test "$1" -eq 0 && return 0
	test_empty out && test_grep "^karta: " err
}

# One row: STATUS with a server, with a dead server, then the words of the command. A dash is a
# column that does not apply. Words are split at blanks; @ID and the like are replaced.
while read -r live gone words; do
	case $live in '' | '#'*) continue ;; esac
	words=$(printf '%s' "$words" | sed "s/@ID/$id/; s,@EMPTY,$PWD/empty,; s,@APP,$PWD/app,; s,@NOWHERE,$PWD/nowhere,")
	row_live=$live row_gone=$gone row_words=$words

	test "$live" = - || test_expect_success "$words: no terminal, status $live" '
		"$KARTA" --server "$url" $row_words </dev/null >out 2>err
		check "$row_live"
	'
	test "$live" = - || test_expect_success "$words: input closed, status $live" '
		"$KARTA" --server "$url" $row_words <&- >out 2>err
		check "$row_live"
	'
	case $words in *"format markdown"*) json=no ;; *) json=yes ;; esac
	test "$live$json" = "${live#-}yes" && test_expect_success "$words --json: an object, status $live" '
		test_must_exit "$row_live" "$KARTA" --server "$url" $row_words --json </dev/null \
			>out 2>err || return 1
		case $row_words in
		*tail* | *export*) python3 -c "import json; [json.loads(l) for l in open(\"out\")]" ;;
		*) if test "$row_live" -eq 0; then
			json_object out
		   else
			json_object out "d.get(\"error\", {}).get(\"code\") == $row_live or \"findings\" in d"
		   fi ;;
		esac
	'
	test "$gone" = - || test_expect_success "$words: dead server, status $gone" '
		"$KARTA" --server "$dead" $row_words </dev/null >out 2>err
		check "$row_gone" && test_empty out && test_grep "^hint: start one with" err
	'
	test "$gone$json" = "${gone#-}yes" && test_expect_success "$words --json: dead server, an object" '
		test_must_exit "$row_gone" "$KARTA" --server "$dead" $row_words --json </dev/null \
			>out 2>err &&
		json_object out "d[\"error\"][\"type\"] == \"unavailable\"" &&
		test_json out "d[\"error\"][\"code\"] == $row_gone and d[\"error\"][\"hint\"]"
	'
	test "$live" != 0 || test_expect_success "$words: full disk, status 1" '
		"$KARTA" --server "$url" $row_words </dev/null >/dev/full 2>err
		test $? -eq 1 && test_grep "^karta: cannot write to standard output" err
	'
done <<'EOT'
0 - help
0 - help sessions
0 - help sessions:show
0 - send --help
2 - help nonsense
0 - version
0 - --version
0 - completion bash
2 - completion tcsh
2 - completion
0 - agents --dir @APP
1 - agents --dir @EMPTY
5 - agents --dir @NOWHERE
0 - doctor --dir @APP
5 - doctor --dir @NOWHERE
0 - init --harness opencode fresh
2 - init --harness nonsense fresh
5 - dev --dir @NOWHERE --no-chat
2 - dev --speed x --no-chat
2 - dev --harness nonsense
5 - dev --dir @EMPTY --harness-program @NOWHERE
6 - dev --dir @APP --no-chat
0 3 send hello
2 - send
2 - send hello there
2 - send --approve maybe hello
5 3 send --session sess_none hello
1 3 send --agent nobody hello
9 3 send rmtmp
0 3 sessions
0 3 sessions list
0 3 sessions:list
0 3 sessions show @ID
0 3 sessions tail @ID
0 3 sessions export @ID
0 3 sessions export --format markdown @ID
5 3 sessions show sess_none
5 3 sessions tail sess_none
5 3 sessions export sess_none
2 - sessions show
2 - sessions nonsense
2 - sessions:nonsense
9 - sessions delete @ID
5 3 sessions delete --yes sess_none
2 - nonsense
2 - --nonsense
EOT

test_expect_success 'chat: each line is a message, and its end the end' '
	printf "hello\n" | "$KARTA" --server "$url" chat >out 2>err && test_grep Beans out &&
	"$KARTA" --server "$url" chat <&- >out 2>err &&
	test_must_exit 3 "$KARTA" --server "$dead" chat </dev/null >out 2>err &&
	test_grep "^hint: " err &&
	test_must_exit 2 "$KARTA" --server "$url" chat --json </dev/null >out 2>err &&
	json_object out "d[\"error\"][\"code\"] == 2"
'

test_expect_success 'Markdown is not JSON' '
	test_must_exit 2 "$KARTA" --server "$url" sessions export --format markdown "$id" --json \
		>out 2>err && json_object out "d[\"error\"][\"code\"] == 2"
'

test_done
