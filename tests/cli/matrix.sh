#!/bin/sh
# SPDX-License-Identifier: MIT
# Every command with its input closed, without a terminal, with a dead server, and with --json: the
# exit status is the one that karta(1) documents, and the output is where it belongs.
. "$(dirname "$0")/../lib/test-lib.sh"

bot_app
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

start_dev 0 || exit 1
url=$DEV_URL
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
0 3 sessions rename @ID renamed
5 3 sessions rename sess_none renamed
2 - sessions rename @ID
9 - sessions delete @ID
5 3 sessions delete --yes sess_none
2 - nonsense
2 - --nonsense
EOT

# The commands of a hosting server. Columns: status with a server, with a dead server, with a wrong
# key, then the words. Output that is no single object is named below.
if command -v curl >/dev/null && start_serve && serve_publish bot; then
	git init -q repo
	KARTA_API_KEY=$SERVE_KEY
	KARTA_PROJECT=bot
	export KARTA_API_KEY KARTA_PROJECT
	"$KARTA" --server "$SERVE_URL" config set A=1 2>/dev/null
	rows=0
	while read -r live gone wrong words; do
		case $live in '' | '#'*) continue ;; esac
		rows=$((rows + 1))
		words=$(printf '%s' "$words" | sed "s/@ROW/$rows/g; s,@DATA,$SERVE_DATA,; s,@FOLDER,$PWD/app,; s,@NOWHERE,$PWD/nowhere,; s,@OUT,$PWD/out-$rows,")
		row_live=$live row_gone=$gone row_wrong=$wrong row_words=$words row_at=.
		case $words in *link*) row_at=repo ;; esac

		test_expect_success "$words: no terminal, status $live" '
			(cd "$row_at" && "$KARTA" --server "$SERVE_URL" $row_words </dev/null) >out 2>err
			check "$row_live"
		'
		case $words in *config\ set* | *" create "* | *" add "* | *bind* | *backup* | *restore*) ;; *)
			test_expect_success "$words: input closed, status $live" '
				(cd "$row_at" && "$KARTA" --server "$SERVE_URL" $row_words <&-) >out 2>err
				check "$row_live"
			' ;;
		esac
		again=$live
		# What was made the first time is there the second time.
		case $live$words in 0*" create bot-"* | 0*" add "* | 0*backup*) again=6 ;; esac
		row_again=$again
		case $words in
		*" --files"* | *download*) ;;
		*)
			test_expect_success "$words --json: an object, status $again" '
				(cd "$row_at" && test_must_exit "$row_again" "$KARTA" --server "$SERVE_URL" $row_words --json </dev/null) \
					>out 2>err || return 1
				case $row_words in
				logs*) python3 -c "import json; [json.loads(l) for l in open(\"out\")]" ;;
				*) if test "$row_again" -eq 0; then
					json_object out "not d.get(\"error\")"
				   else
					json_object out "d[\"error\"][\"code\"] == $row_again and d[\"error\"][\"message\"]"
				   fi ;;
				esac
			' ;;
		esac
		test "$gone" = - || test_expect_success "$words: dead server, status $gone" '
			(cd "$row_at" && "$KARTA" --server "$dead" $row_words </dev/null) >out 2>err
			check "$row_gone" && test_grep "^hint: start one with" err &&
			(cd "$row_at" && test_must_exit "$row_gone" "$KARTA" --server "$dead" --json $row_words </dev/null) >out 2>err &&
			json_object out "d[\"error\"][\"type\"] == \"unavailable\""
		'
		test "$wrong" = - || test_expect_success "$words: wrong key, status $wrong" '
			(cd "$row_at" && KARTA_API_KEY=kt_live_wrongwrongwrong "$KARTA" --server "$SERVE_URL" $row_words </dev/null) >out 2>err
			check "$row_wrong" && test_grep "^hint: " err && test_grep -v wrongwrong err &&
			(cd "$row_at" && KARTA_API_KEY=kt_live_wrongwrongwrong test_must_exit "$row_wrong" "$KARTA" --server "$SERVE_URL" --json $row_words </dev/null) >out 2>err &&
			json_object out "d[\"error\"][\"code\"] == $row_wrong"
		'
	done <<'EOT'
0 3 4 whoami
0 3 4 projects
0 3 4 projects list
0 3 4 projects show
0 3 4 projects default
0 3 4 projects show bot
5 3 4 projects show nope
0 3 4 projects create bot-@ROW
6 3 4 projects create bot
6 - - projects create
0 3 4 projects add @FOLDER folder-@ROW
5 - - projects add @NOWHERE x
0 3 4 projects link bot
5 3 4 projects link nope
5 3 4 projects rename nope x
9 - - projects delete bot
5 3 4 projects delete nope --yes
2 - - projects bind bot
0 3 4 projects bind bot --repo https://github.com/acme/bot
0 3 4 projects bind bot --none
0 3 4 projects releases
2 - - projects nonsense
0 3 4 releases
0 3 4 releases show
5 3 4 releases show v99
0 3 4 releases show v1 --files
0 3 4 releases diff v1 v2
5 3 4 releases diff v1 v99
0 3 4 releases download v1 -o @OUT
5 3 4 releases download v99 -o @OUT
0 3 4 releases activate v2
5 3 4 releases activate v99
0 3 4 releases unpin
2 - - releases nonsense extra
0 3 4 rollback --to v1
5 3 4 rollback --to v99
0 3 4 releases unpin bot
0 3 4 config
0 3 4 config list
0 3 4 config set B=2
5 3 4 config get NONE
0 3 4 config get B
0 3 4 config unset B
2 - - config set B
0 3 4 logs
0 3 4 logs --lines 1
5 3 4 logs nope
2 - - logs --since never
0 3 4 open --print
5 3 4 open nope
0 3 4 keys
0 3 4 keys create k@ROW
2 - - keys create
5 3 4 keys revoke key_none
0 3 4 audit
0 3 4 audit verify
2 - - audit verify --head 1
9 - - login
2 - - login --with-key
5 - - logout
0 - - fsck --data @DATA
5 - - fsck --data @NOWHERE
0 - - serve --show-config
2 - - serve --listen nonsense
6 - - serve --listen 127.0.0.1:0 --data @DATA
0 - - serve backup --data @DATA @OUT
5 - - serve restore --data @NOWHERE @NOWHERE
0 3 4 send hello
5 3 4 sessions show sess_none
EOT
	test_expect_success 'chat with a dead server and a wrong key' '
		test_must_exit 3 "$KARTA" --server "$dead" chat </dev/null 2>err &&
		test_must_exit 4 env KARTA_API_KEY=kt_live_wrong "$KARTA" --server "$SERVE_URL" chat </dev/null 2>err
	'
	unset KARTA_API_KEY KARTA_PROJECT
else
	test_skip 'the commands of a hosting server' 'curl is not installed, or the server did not start'
fi

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
