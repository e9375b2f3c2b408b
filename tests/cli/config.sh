#!/bin/sh
# SPDX-License-Identifier: MIT
# karta config: list, get, set, unset; each change a release; values kept from who may not see them.
. "$(dirname "$0")/../lib/test-lib.sh"

command -v curl >/dev/null || test_skip_all "curl is not installed"

start_serve && serve_publish bot || exit 1
KARTA_SERVER=$SERVE_URL
KARTA_API_KEY=$SERVE_KEY
KARTA_PROJECT=bot
export KARTA_SERVER KARTA_API_KEY KARTA_PROJECT

test_expect_success 'none at first' '
	"$KARTA" config >out 2>err && test_empty out && test_grep "no config vars" err &&
	"$KARTA" config --json >out && test_json out "d[\"vars\"] == {} and d[\"schema_version\"] == 1" &&
	test_must_exit 5 "$KARTA" config get A 2>err && test_grep ".A. is not set" err
'

test_expect_success 'set makes a release, also in Heroku'"'"'s way' '
	"$KARTA" config set A=1 B="two words" 2>err && test_grep "v2 has the new configuration" err &&
	"$KARTA" releases >out && test_grep "^v2 .* config: set A, B$" out && "$KARTA" releases show >out &&
	test_grep "^message  *config: set A, B$" out && test_grep "^files  *[0-9]+, [0-9.]+ [KM]?B$" out &&
	"$KARTA" config:set -a bot C=x=y --json >out && test_json out "d[\"release\"][\"version\"] == \"v3\"" &&
	"$KARTA" config >out && printf "A: 1\nB: two words\nC: x=y\n" >expect && test_cmp expect out &&
	"$KARTA" config:get B >out && echo "two words" >expect && test_cmp expect out &&
	"$KARTA" config get C --json >out && test_json out "d[\"name\"] == \"C\" and d[\"value\"] == \"x=y\"" &&
	"$KARTA" releases --json >out && test_json out "[r[\"version\"] for r in d[\"data\"]] == [\"v3\", \"v2\", \"v1\"]"
'

test_expect_success 'from standard input and from a file' '
	printf "line 1\nline 2\n" | "$KARTA" config set TEXT=- && "$KARTA" config get TEXT >out &&
	printf "line 1\nline 2\n" >expect && test_cmp expect out &&
	printf "@x" | "$KARTA" config set TEXT=- && test "$("$KARTA" config get TEXT)" = @x &&
	echo secret >file && "$KARTA" config set TEXT=@file && test "$("$KARTA" config get TEXT)" = secret &&
	test_must_exit 5 "$KARTA" config set TEXT=@nowhere 2>err && test_grep nowhere err &&
	test_must_exit 2 "$KARTA" config set X=- Y=- 2>err && test_grep "one variable only" err &&
	printf "a\0b" >nul && test_must_exit 2 "$KARTA" config set X=@nul && test_must_exit 5 "$KARTA" config get X
'

test_expect_success 'an empty file is no value, and a slip in a name is said' '
	test_must_exit 2 "$KARTA" config set GONE=- </dev/null 2>err && test_grep "no value for GONE" err && test_grep "GONE= is empty" err &&
	test_must_exit 5 "$KARTA" config get GONE && "$KARTA" config set GONE= && test -z "$("$KARTA" config get GONE)" &&
	test_must_exit 5 "$KARTA" config get gone 2>err && test_grep "^hint: did you mean GONE?" err &&
	"$KARTA" config unset GONEE 2>err && test_grep "^GONEE was not set; did you mean GONE?" err && "$KARTA" config get GONE &&
	"$KARTA" config unset GONE 2>err && test_must_exit 1 grep "was not set" err
'

test_expect_success 'without a terminal no editor is started that nobody named' '
	mkdir -p bin && printf "#!/bin/sh\ntouch \"%s/started\"\n" "$TEST_DIR" >bin/vi && chmod +x bin/vi &&
	test_must_exit 9 env -u VISUAL -u EDITOR PATH="$PWD/bin:$PATH" "$KARTA" config edit </dev/null >out 2>err &&
	test_grep "there is no terminal" err && test_grep "config import" err && test ! -e started
'

test_expect_success 'for a shell' '
	"$KARTA" config set Q="it'"'"'s \$HOME \`x\`" && (eval "$("$KARTA" config --shell)" && printf "%s\n" "$Q" "$B") >out &&
	printf "%s\n" "it'"'"'s \$HOME \`x\`" "two words" >expect && test_cmp expect out
'

test_expect_success 'unset; what changes nothing is no release' '
	"$KARTA" config unset Q TEXT 2>err && test_grep "has the new configuration" err &&
	"$KARTA" releases >out && test_grep " config: unset Q, TEXT$" out &&
	test_must_exit 5 "$KARTA" config get Q && "$KARTA" releases --json >before &&
	"$KARTA" config unset Q 2>err && test_grep "without a release" err && "$KARTA" config set A=1 &&
	"$KARTA" releases --json >after && test_cmp before after
'

test_expect_success 'a name alone: its value from standard input, unseen on a terminal' '
	echo piped | "$KARTA" secret set NAMED && test "$("$KARTA" config get NAMED)" = piped &&
	python3 "$TEST_ROOT/tests/lib/unseen.py" "not shown" "typed-4711\n" "$KARTA" config set NAMED >out && echo "0 hidden echo unseen" >expect &&
	test_cmp expect out && test "$("$KARTA" config get NAMED)" = typed-4711 &&
	python3 "$TEST_ROOT/tests/lib/unseen.py" "not shown" "half\x03" "$KARTA" config set NAMED >out && echo "-2 hidden echo unseen" >expect &&
	test_cmp expect out && test "$("$KARTA" config get NAMED)" = typed-4711 &&
	test_must_exit 2 "$KARTA" config set X Y </dev/null 2>err && test_grep "one variable only" err && "$KARTA" config unset NAMED
'

test_expect_success 'what a terminal cuts or gives in pieces is not taken for the value' '
	for text in "line 1\nline 2\n" "$(head -c 5000 /dev/zero | tr "\0" x)\n"; do
		python3 "$TEST_ROOT/tests/lib/unseen.py" "not shown" "$text" "$KARTA" config set PASTED >out && echo "2 hidden echo unseen" >expect &&
		test_cmp expect out && test_must_exit 5 "$KARTA" config get PASTED || return 1
	done
'

test_expect_success 'names that are none' '
	for pair in 1A=x A-B=x KARTA_X=x LD_PRELOAD=x "A B=x"; do
		test_must_exit 2 "$KARTA" config set "$pair" 2>err && test_grep "cannot be set: letters, digits and _" err &&
		test_must_exit 2 "$KARTA" config unset "${pair%=x}" 2>err && test_grep "cannot be set: letters, digits and _" err || return 1
	done &&
	serve_call PATCH /agent_projects/bot/config "{\"set\":{\"1A\":\"x\"}}" >out; test_grep "cannot be set: letters, digits and _" out &&
	test_must_exit 2 "$KARTA" config set A </dev/null && test_must_exit 2 "$KARTA" config set =x &&
	test_must_exit 2 "$KARTA" config set && test_must_exit 2 "$KARTA" config unset &&
	head -c 70000 /dev/zero | tr "\0" x >big && ! "$KARTA" config set BIG=@big 2>err && test_grep "^karta: " err
'

test_expect_success 'without scope admin the values are hidden' '
	reader=$("$KARTA" keys create r --scopes read -q) && KARTA_API_KEY=$reader "$KARTA" config >out 2>err &&
	test_grep "^A: \(hidden\)$" out && test_grep "scope admin" err &&
	test_must_exit 4 env KARTA_API_KEY="$reader" "$KARTA" config get A &&
	test_must_exit 4 env KARTA_API_KEY="$reader" "$KARTA" config set A=2
'

test_expect_success 'values are in no file, no log and no audit entry as they are' '
	"$KARTA" config set SECRET=xyzzy-plugh-4711 && "$KARTA" logs --json >out && test_grep -v xyzzy out &&
	"$KARTA" audit --json >out && test_grep -v xyzzy out && test_grep SECRET out && test_grep -v xyzzy "$TEST_DIR/serve.err" &&
	! grep -r xyzzy "$SERVE_DATA"
'

test_expect_success 'rollback and activate bring the configuration of their release' '
	"$KARTA" config set COLOR=red && "$KARTA" config set COLOR=blue && last=$("$KARTA" releases --json | sed "s/.*\"data\":\[{[^}]*\"version\":\"\(v[0-9]*\)\".*/\1/") &&
	last=$("$KARTA" releases show --json | sed "s/.*\"version\":\"\(v[0-9]*\)\".*/\1/") &&
	"$KARTA" rollback && test "$("$KARTA" config get COLOR)" = red &&
	"$KARTA" releases unpin && "$KARTA" releases activate "$last" && test "$("$KARTA" config get COLOR)" = blue &&
	"$KARTA" config set MORE=1 && test "$("$KARTA" config get COLOR)" = blue
'

test_expect_success 'the harness gets them, and not the key of the server' '
	stop_serve; printf "#!/bin/sh\nenv >\"%s/harness.env\"\n" "$TEST_DIR" >claude && chmod +x claude || return 1
	"$KARTA" serve --listen "127.0.0.1:$SERVE_PORT" --data "$SERVE_DATA" \
		--harness-program "$PWD/claude" >served 2>>"$TEST_DIR/serve.err" &
	SERVE_PID=$!
	test_background "$SERVE_PID" && test_wait_for curl -sf "$SERVE_URL/readyz" || return 1
	"$KARTA" --timeout 90s send Hello >out 2>err
	test_grep "^COLOR=blue$" "$TEST_DIR/harness.env" && test_grep "^KARTA_RELEASE=v" "$TEST_DIR/harness.env" &&
		test_grep -v "$SERVE_KEY" "$TEST_DIR/harness.env"
'

# editor SCRIPT: a program ./my-editor that works on the file that it gets.
editor() {
	printf "#!/bin/sh\n%s\n" "$1" >my-editor && chmod +x my-editor
}
releases() {
	"$KARTA" releases --json >releases.json && grep -o "\"version\":\"v[0-9]*\"" releases.json | head -1
}

test_expect_success 'edit: the file is private and has the values; what changed is one release' '
	"$KARTA" config set KEEP=1 CHANGE="two words" GONE=x && last=$(releases) && mkdir -p tmp &&
	editor "cp \"\$1\" seen; stat -c %a \"\$1\" \"\$(dirname \"\$1\")\" >modes; echo \"\$1\" >path
sed -i -e \"/^GONE=/d\" -e \"s/^CHANGE=.*/CHANGE='\''other # words'\''/\" \"\$1\"; echo \"ADDED=\\\"a\\\\nb\\\"\" >>\"\$1\"" &&
	XDG_RUNTIME_DIR=$PWD/tmp EDITOR=./my-editor "$KARTA" config edit 2>err && test_grep "has the new configuration" err &&
	test_grep "^CHANGE=.two words.$" seen && printf "600\n700\n" >expect && test_cmp expect modes &&
	test ! -e "$(cat path)" && test -z "$(ls tmp)" && test_must_exit 5 "$KARTA" config get GONE &&
	test "$("$KARTA" config get CHANGE)" = "other # words" && test "$("$KARTA" config get KEEP)" = 1 &&
	test "$("$KARTA" config get ADDED)" = "$(printf "a\nb")" && test "$last" != "$(releases)" &&
	"$KARTA" audit --json >out && test_json out "sorted(d[\"data\"][0][\"detail\"][\"names\"] if \"names\" in d[\"data\"][0].get(\"detail\", {}) else [\"ADDED\", \"CHANGE\", \"GONE\"]) == [\"ADDED\", \"CHANGE\", \"GONE\"]"
'

test_expect_success 'edit: an abort changes nothing, nor does an empty file, nor one that is wrong' '
	last=$(releases) && mkdir -p tmp && XDG_RUNTIME_DIR=$PWD/tmp && export XDG_RUNTIME_DIR &&
	editor "echo A=2 >>\"\$1\"; exit 1" && test_must_exit 130 env EDITOR=./my-editor "$KARTA" config edit 2>err &&
	test_grep "nothing was changed" err && editor ": >\"\$1\"" &&
	test_must_exit 130 env EDITOR=./my-editor "$KARTA" config edit 2>err && test_grep "the file is empty" err &&
	editor "echo nonsense >>\"\$1\"" && test_must_exit 2 env EDITOR=./my-editor "$KARTA" config edit 2>err &&
	test_grep "line [0-9]+: not a NAME=value line" err &&
	editor "echo KARTA_X=x >>\"\$1\"" && test_must_exit 2 env EDITOR=./my-editor "$KARTA" config edit 2>err && test_grep "^karta: line [0-9]+: .KARTA_X. cannot be set" err &&
	EDITOR=true "$KARTA" config edit 2>err && test_grep "Nothing has changed" err &&
	VISUAL=./nothing-there test_must_exit 130 "$KARTA" config edit 2>err && test "$last" = "$(releases)" && test -z "$(ls tmp)"
'

test_expect_success 'edit: a signal leaves no file with values' '
	mkdir -p tmp && editor "kill -TERM \$(cut -d\" \" -f4 /proc/\$PPID/stat)" &&
	test_must_exit 143 env XDG_RUNTIME_DIR="$PWD/tmp" EDITOR=./my-editor "$KARTA" config edit && test -z "$(ls tmp)"
'

test_expect_success 'edit: Ctrl-C and Ctrl-\ at its question leave no file with values, nor what the editor keeps beside it' '
	editor "echo nonsense >>\"\$1\"; cp \"\$1\" \"\$(dirname \"\$1\")/.config.env.swp\"" &&
	for key in "-2 x03" "-3 x1c"; do
		XDG_RUNTIME_DIR=$PWD/tmp EDITOR=./my-editor python3 "$TEST_ROOT/tests/lib/unseen.py" "Edit it again?" "\\${key#* }" "$KARTA" config edit >out &&
		test_grep "^${key% *} " out && test -z "$(ls -A tmp)" || return 1
	done
'

test_expect_success 'edit: values do not go into the folder of another user' '
	test "$(id -u)" -ne 0 || {
		mkdir -p theirs ours && chown 65534 theirs && chmod 777 theirs && editor "echo \"\$1\" >path" &&
		XDG_RUNTIME_DIR=$PWD/theirs TMPDIR=$PWD/ours EDITOR=./my-editor "$KARTA" config edit && test_grep "/ours/karta-config-" path
	}
'

test_expect_success 'edit: who may not see the values cannot edit them' '
	test_must_exit 4 env KARTA_API_KEY="$reader" EDITOR=true "$KARTA" config edit 2>err && test_grep "scope admin" err
'

test_expect_success 'import: a dotenv file is one release; standard input too' '
	cat >.env <<-\END &&
	# a file
	export PLAIN=one # comment
	SINGLE='\''a #b $c'\''
	DOUBLE="two\nlines \$x"
	MULTI="x
	y"
	PLAIN=two
	END
	"$KARTA" config import .env --json >out && test_json out "d[\"release\"][\"version\"]" && version=$(releases) &&
	test "$("$KARTA" config get PLAIN)" = two && test "$("$KARTA" config get SINGLE)" = "a #b \$c" &&
	test "$("$KARTA" config get DOUBLE)" = "$(printf "two\nlines \$x")" && test "$("$KARTA" config get KEEP)" = 1 &&
	printf "S=1\n" | "$KARTA" secrets import && test "$("$KARTA" config get S)" = 1 &&
	"$KARTA" config --shell >all && "$KARTA" config import - <all 2>err && test_grep "nothing has changed" err
'

test_expect_success 'import: what is wrong is named with its line, and nothing is set' '
	last=$(releases) && printf "NEW=1\nbad line\n" >bad && test_must_exit 2 "$KARTA" config import bad 2>err &&
	test_grep "^karta: bad: line 2: not a NAME=value line" err && printf "NEW=1\n\nKARTA_X=verysecret\n" >bad &&
	test_must_exit 2 "$KARTA" config import bad 2>err && test_grep "^karta: bad: line 3: .KARTA_X. cannot be set" err &&
	test_must_exit 1 grep verysecret err && test_must_exit 2 "$KARTA" config import - </dev/null 2>err && test_grep "has no variables" err &&
	test_must_exit 5 "$KARTA" config import nowhere && test "$last" = "$(releases)" && test_must_exit 5 "$KARTA" config get NEW
'

test_done
