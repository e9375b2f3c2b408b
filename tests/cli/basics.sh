#!/bin/sh
# SPDX-License-Identifier: MIT
# The command line's manners: help, errors, streams, colors, dispatch.
. "$(dirname "$0")/../lib/test-lib.sh"

test_expect_success 'without arguments the overview is shown' '
	"$KARTA" >out 2>err &&
	test_empty err &&
	test_grep "^usage: karta " out &&
	test_grep "^  version +print the version" out
'

test_expect_success 'help and --help and -h are the same' '
	"$KARTA" help >a && "$KARTA" --help >b && "$KARTA" -h >c &&
	"$KARTA" >d &&
	test_cmp a b && test_cmp a c && test_cmp a d
'

test_expect_success 'help CMD equals CMD --help' '
	"$KARTA" help completion >a && "$KARTA" completion --help >b &&
	"$KARTA" completion bash -h >c &&
	test_cmp a b && test_cmp a c && test_grep "^usage: karta completion <shell>" a
'

test_expect_success 'help of an unknown command' '
	test_must_exit 2 "$KARTA" help nonsense >out 2>err &&
	test_empty out &&
	test_grep "^karta: no help for .nonsense." err
'

test_expect_success 'help folds to COLUMNS' '
	COLUMNS=50 "$KARTA" help >out &&
	test "$(awk "length > 50" out | wc -l)" -eq 0 &&
	COLUMNS=200 "$KARTA" help completion >wide &&
	test "$(awk "length > 100" wide | wc -l)" -eq 1
'

test_expect_success 'unknown command: suggestion, exit 2, nothing on stdout' '
	test_must_exit 2 "$KARTA" versoin >out 2>err &&
	test_empty out &&
	printf "%s\n" "karta: '\''versoin'\'' is not a karta command" \
		"hint: did you mean '\''version'\''?" >expect &&
	test_cmp expect err
'

test_expect_success 'unknown command far from any: points to help' '
	test_must_exit 2 "$KARTA" qqqqqqq 2>err &&
	test_grep "^hint: .karta help. lists" err
'

test_expect_success 'unknown option: suggestion, usage line, exit 2' '
	test_must_exit 2 "$KARTA" version --biuld >out 2>err &&
	test_empty out &&
	printf "%s\n" "karta: unknown option '\''--biuld'\''" "hint: did you mean '\''--build'\''?" \
		"usage: karta version [--build]" >expect &&
	test_cmp expect err
'

test_expect_success 'unknown option without a command' '
	test_must_exit 2 "$KARTA" --nonsense 2>err &&
	test_grep "^karta: unknown option .--nonsense." err
'

test_expect_success 'an option without a command' '
	test_must_exit 2 "$KARTA" --quiet 2>err &&
	test_grep "^karta: no command given" err
'

test_expect_success 'a long option with one dash' '
	test_must_exit 2 "$KARTA" version -build 2>err &&
	test_grep "^hint: did you mean .--build.\?" err
'

test_expect_success 'an option that needs a value, and one that takes none' '
	test_must_exit 2 "$KARTA" version --server 2>err &&
	test_grep "^karta: option .--server. needs a value \(URL\)" err &&
	test_must_exit 2 "$KARTA" version --quiet=1 2>err &&
	test_grep "takes no value" err
'

test_expect_success 'abbreviated options' '
	"$KARTA" version --bu >out &&
	test_grep "^compiler: " out &&
	test_must_exit 2 "$KARTA" version --no- 2>err &&
	test_grep "ambiguous" err
'

test_expect_success 'a bad choice and a bad time are named' '
	test_must_exit 2 "$KARTA" version --color=sometimes 2>err &&
	test_grep "^karta: .--color.: .sometimes. is not one of auto, always, never" err &&
	test_must_exit 2 "$KARTA" --timeout soon version 2>err &&
	test_grep "^karta: .--timeout.: .soon. is not a time" err &&
	test_must_exit 2 env KARTA_TIMEOUT=soon "$KARTA" version 2>err &&
	test_grep "^karta: KARTA_TIMEOUT: .soon." err
'

test_expect_success 'missing and surplus arguments' '
	test_must_exit 2 "$KARTA" completion 2>err &&
	test_grep "^karta: missing argument <shell>" err &&
	test_must_exit 2 "$KARTA" version surplus 2>err &&
	test_grep "^karta: unexpected argument .surplus." err
'

test_expect_success '--version is one plain line' '
	"$KARTA" --version >a && "$KARTA" version >b && "$KARTA" help --version >c &&
	test_cmp a b && test_cmp a c &&
	test "$(wc -l <a)" -eq 1 && test_grep "^karta [0-9]+\.[0-9]+\.[0-9]+$" a
'

test_expect_success 'version --json, before and after the command' '
	"$KARTA" version --json >a && "$KARTA" --json version >b && "$KARTA" --json --version >c &&
	test_cmp a b && test_cmp a c &&
	test_json a "d[\"schema_version\"] == 1 and d[\"version\"][0].isdigit()" &&
	KARTA_JSON=1 "$KARTA" version >d && test_cmp a d &&
	KARTA_JSON=1 "$KARTA" version --no-json >e && test_grep "^karta " e
'

test_expect_success '--json: errors are an object on stdout and a line on stderr' '
	test_must_exit 2 "$KARTA" --json versoin >out 2>err &&
	test_json out "d[\"schema_version\"] == 1 and d[\"error\"][\"type\"] == \"invalid\"" &&
	test_json out "d[\"error\"][\"code\"] == 2 and \"versoin\" in d[\"error\"][\"message\"]" &&
	test_json out "\"version\" in d[\"error\"][\"hint\"]" &&
	test_grep "^karta: .versoin." err &&
	test_must_exit 2 "$KARTA" version --nonsense --json >out 2>err &&
	test_json out "d[\"error\"][\"hint\"] is None"
'

test_expect_success 'colors: none in a pipe, --color=always, FORCE_COLOR, NO_COLOR' '
	esc=$(printf "\033") &&
	"$KARTA" help >out && test_grep -v "$esc" out &&
	"$KARTA" --color=always help >out && test_grep "$esc" out &&
	FORCE_COLOR=1 "$KARTA" help >out && test_grep "$esc" out &&
	CLICOLOR_FORCE=1 "$KARTA" help >out && test_grep "$esc" out &&
	CLICOLOR_FORCE=0 "$KARTA" help >out && test_grep -v "$esc" out &&
	FORCE_COLOR=1 NO_COLOR=1 "$KARTA" help >out && test_grep -v "$esc" out &&
	FORCE_COLOR=1 KARTA_NO_COLOR=1 "$KARTA" help >out && test_grep -v "$esc" out &&
	NO_COLOR=1 "$KARTA" help --color always >out && test_grep "$esc" out &&
	FORCE_COLOR=1 "$KARTA" help --no-color >out && test_grep -v "$esc" out &&
	test_must_exit 2 env FORCE_COLOR=1 "$KARTA" nonsense 2>err && test_grep "$esc" err &&
	test_must_exit 2 env FORCE_COLOR=1 "$KARTA" --no-color version --x 2>err &&
	test_grep -v "$esc" err
'

test_expect_success 'control characters of an argument are not echoed' '
	test_must_exit 2 "$KARTA" "$(printf "a\033]0;x\007b")" 2>err &&
	test_grep -v "$(printf "\033")" err && test_grep -v "$(printf "\007")" err
'

test_expect_success '-- ends the options' '
	test_must_exit 2 "$KARTA" completion -- --help 2>err &&
	test_grep "^karta: <shell>: .--help. is not one of" err &&
	"$KARTA" completion -- bash >a && "$KARTA" completion bash >b && test_cmp a b &&
	test_must_exit 2 "$KARTA" -- version 2>err
'

test_expect_success 'global options before and after the command' '
	"$KARTA" --server http://127.0.0.1:9 -qv --timeout=5s version --build --no-input >out &&
	test_grep "^compiler" out &&
	"$KARTA" --color never version -y >out && test_grep "^karta " out
'

test_expect_success 'a broken pipe is quiet' '
	{ "$KARTA" completion bash 2>err; echo $? >status; } | head -n 1 >out &&
	test_empty err && test "$(wc -l <out)" -eq 1 &&
	(trap "" PIPE; "$KARTA" completion bash 2>err | : ) &&
	test_empty err
'

test_expect_success 'output that cannot be written is an error' '
	test_must_exit 1 "$KARTA" version >&- 2>err &&
	test_grep "^karta: cannot write to standard output: " err
'

if test -c /dev/full; then
	test_expect_success 'a full disk is an error' '
		test_must_exit 1 "$KARTA" version >/dev/full 2>err &&
		test_grep "^karta: cannot write to standard output: No space left" err
	'
else
	test_skip 'a full disk is an error' 'no /dev/full'
fi

test_expect_success 'closed stdin and stderr do no harm' '
	"$KARTA" version <&- >out && test_grep "^karta " out &&
	"$KARTA" version 2>&- >out && test_grep "^karta " out &&
	test_must_exit 2 "$KARTA" nonsense <&- >out 2>&- && test_empty out
'

test_expect_success 'started as karta-NAME it is the command NAME' '
	ln -s "$KARTA" karta-version && ./karta-version >a && "$KARTA" version >b && test_cmp a b &&
	./karta-version --build >out && test_grep "^compiler" out &&
	test_must_exit 2 ./karta-version surplus 2>err &&
	test_grep "^usage: karta version" err
'

test_expect_success 'started by another name it is karta' '
	ln -s "$KARTA" k && ./k version >a && "$KARTA" version >b && test_cmp a b
'

test_done
