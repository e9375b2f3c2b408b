# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2034
# Test library for shell tests that print TAP (https://testanything.org). A test file is:
#
#	#!/bin/sh
#	. "$(dirname "$0")/../lib/test-lib.sh"
#	test_expect_success 'version is printed' '
#		"$KARTA" --version >out &&
#		test_grep "^karta [0-9]" out
#	'
#	test_done
#
# Every file runs in a new folder ($TEST_DIR) with a new HOME, and without the user's settings.
# $KARTA is the program under test (default: build/asan/karta), $TEST_ROOT the source tree.
# TEST_VERBOSE=1 shows the output of passing tests too, TEST_KEEP=1 keeps the folder.

TEST_ROOT=${KARTA_TEST_ROOT:-$(cd "$(dirname "$0")/../.." && pwd)}
KARTA=${KARTA:-$TEST_ROOT/build/asan/karta}
case $KARTA in
/*) ;;
*) KARTA=$PWD/$KARTA ;;
esac
TEST_NAME=$(basename "$0" .sh)
TEST_DIR=$(mktemp -d "${TMPDIR:-/tmp}/karta-test-$TEST_NAME.XXXXXX") || exit 1

test_count=0
test_failed=0
test_pids=
test_finished=

# How much slower than a quiet machine this one is (tests/run measures it), rounded up.
TEST_SLOW=${KARTA_TEST_SLOW:-1}
case $TEST_SLOW in
*.*) TEST_SLOW=$((${TEST_SLOW%%.*} + 1)) ;;
esac

# Settings of the user must not change what is tested.
for test_var in $(env | sed -n 's/^\(KARTA_[A-Z_]*\)=.*/\1/p'); do
	case $test_var in
	KARTA_TEST_*) ;;
	*) unset "$test_var" ;;
	esac
done
unset NO_COLOR FORCE_COLOR CLICOLOR_FORCE COLUMNS LC_CTYPE LANG CI PAGER EDITOR BROWSER
unset ANTHROPIC_API_KEY ANTHROPIC_AUTH_TOKEN ANTHROPIC_BASE_URL CLAUDE_CODE_OAUTH_TOKEN
unset CLAUDE_CONFIG_DIR OPENAI_API_KEY OPENCODE_CONFIG_CONTENT HTTPS_PROXY https_proxy HTTP_PROXY
unset http_proxy ALL_PROXY all_proxy NO_PROXY no_proxy LINES DISPLAY GIT_DIR GIT_WORK_TREE
unset GITHUB_ACTIONS GITHUB_TOKEN GH_TOKEN LISTEN_PID LISTEN_FDS NOTIFY_SOCKET
umask 022
HOME=$TEST_DIR/home
XDG_CONFIG_HOME=$HOME/.config
XDG_STATE_HOME=$HOME/.local/state
XDG_DATA_HOME=$HOME/.local/share
XDG_CACHE_HOME=$HOME/.cache
XDG_RUNTIME_DIR=$TEST_DIR/run
LC_ALL=C.UTF-8
TERM=xterm
TZ=UTC
# A sanitizer's report ends the program with a status that no test expects.
ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}exitcode=99
UBSAN_OPTIONS=${UBSAN_OPTIONS:+$UBSAN_OPTIONS:}print_stacktrace=1:exitcode=99
export HOME XDG_CONFIG_HOME XDG_STATE_HOME XDG_DATA_HOME XDG_CACHE_HOME XDG_RUNTIME_DIR
export LC_ALL TERM TZ ASAN_OPTIONS UBSAN_OPTIONS KARTA TEST_ROOT TEST_DIR
mkdir -p "$HOME" "$XDG_RUNTIME_DIR" "$TEST_DIR/work"
chmod 700 "$XDG_RUNTIME_DIR"

# Send signal $1 to every background process that is still there.
test_signal_all() {
	test_alive=
	for test_pid in $test_pids; do
		kill -s "$1" "$test_pid" 2>/dev/null && test_alive=yes
	done
}

# End what test_background was told of: TERM, some seconds, KILL.
test_stop_background() {
	test_signal_all TERM
	test_tries=0
	while test -n "$test_alive" && test "$test_tries" -lt $((200 * TEST_SLOW)); do
		sleep 0.1
		test_tries=$((test_tries + 1))
		test_alive=
		for test_pid in $test_pids; do
			kill -0 "$test_pid" 2>/dev/null && test_alive=yes
		done
	done
	test -z "$test_alive" || test_signal_all KILL
	for test_pid in $test_pids; do
		wait "$test_pid" 2>/dev/null
	done
	test_pids=
}

test_at_exit() {
	test_status=$?
	trap - EXIT
	test_stop_background
	cd / || exit 1
	if test -n "$TEST_KEEP"; then
		echo "# kept $TEST_DIR"
	else
		chmod -R u+rwX "$TEST_DIR" 2>/dev/null
		rm -rf "$TEST_DIR"
	fi
	if test -z "$test_finished"; then
		echo "Bail out! $TEST_NAME ended before test_done"
		test "$test_status" -ne 0 || test_status=1
	fi
	exit "$test_status"
}
trap test_at_exit EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

cd "$TEST_DIR/work" || exit 1

# test_skip_all REASON: the whole file cannot run here.
test_skip_all() {
	echo "1..0 # SKIP $*"
	test_finished=yes
	exit 0
}

# test_skip TITLE REASON: one test cannot run here.
test_skip() {
	test_count=$((test_count + 1))
	echo "ok $test_count - $1 # SKIP $2"
}

# Show a file as diagnostics.
test_show() {
	sed 's/^/# /' "$1"
}

# A function of its own, so that `return 1` in a script ends the script and not the test's report.
test_eval() {
	eval "$1" </dev/null >"$TEST_DIR/output" 2>&1
}

# test_expect_success TITLE SCRIPT: SCRIPT must succeed. It runs in this shell (variables stay, the
# folder is set back), with an empty stdin; its output is shown when it fails.
test_expect_success() {
	test_count=$((test_count + 1))
	if test_eval "$2"; then
		echo "ok $test_count - $1"
		test -z "$TEST_VERBOSE" || test_show "$TEST_DIR/output"
	else
		test_failed=$((test_failed + 1))
		echo "not ok $test_count - $1"
		test_show "$TEST_DIR/output"
		printf '%s\n' "$2" | sed 's/^/#   | /'
	fi
	cd "$TEST_DIR/work" || exit 1
}

# test_done: print the plan and end the file.
test_done() {
	echo "1..$test_count"
	test_finished=yes
	test "$test_failed" -eq 0 || {
		echo "# $test_failed of $test_count failed in $TEST_NAME"
		exit 1
	}
	exit 0
}

# test_must_exit STATUS COMMAND...: the command must end with exactly this status.
test_must_exit() {
	test_want=$1
	shift
	"$@"
	test_got=$?
	test "$test_got" -eq "$test_want" && return 0
	echo "exit status $test_got instead of $test_want: $*" >&2
	return 1
}

# test_cmp EXPECTED ACTUAL: two files must be equal.
test_cmp() {
	diff -u "$1" "$2"
}

# test_grep [-v] [-F] [--] REGEX FILE: a line of FILE must match (with -v: no line may).
test_grep() {
	test_not=
	test_kind=-E
	while test $# -gt 2; do
		case $1 in
		-v) test_not=yes ;;
		-F) test_kind=-F ;;
		--)
			shift
			break
			;;
		*) break ;;
		esac
		shift
	done
	if grep "$test_kind" -q -e "$1" "$2"; then
		test -z "$test_not" && return 0
		echo "'$1' is in $2:"
	else
		test -n "$test_not" && return 0
		echo "'$1' is not in $2:"
	fi
	cat "$2"
	return 1
}

# test_empty FILE: the file must be empty.
test_empty() {
	test -s "$1" || return 0
	echo "$1 is not empty:"
	cat "$1"
	return 1
}

# test_background PID...: end these processes when the file ends, however it ends.
test_background() {
	test_pids="$test_pids $*"
}

# test_stop PID [SIGNAL]: end one of them now; returns its status.
test_stop() {
	kill -s "${2:-TERM}" "$1" 2>/dev/null
	wait "$1"
	test_status=$?
	test_left=
	for test_pid in $test_pids; do
		test "$test_pid" = "$1" || test_left="$test_left $test_pid"
	done
	test_pids=$test_left
	return "$test_status"
}

# test_wait_for COMMAND...: try again and again until the command succeeds; a minute and a half, more
# on a slow machine. (A number before the command has no meaning any more.)
test_wait_for() {
	case $1 in
	*[!0-9]*) ;;
	*) shift ;;
	esac
	test_until=$(($(date +%s) + 90 * TEST_SLOW))
	test_pause=0.02
	while ! "$@" >/dev/null 2>&1; do
		if test "$(date +%s)" -gt "$test_until"; then
			echo "waited in vain for: $*"
			return 1
		fi
		sleep "$test_pause"
		test_pause=0.1
	done
}

# test_json FILE EXPRESSION: a Python expression over `d`, the JSON of FILE, must be true.
test_json() {
	python3 -c 'import json, sys
d = json.load(open(sys.argv[1]))
if not eval(sys.argv[2]):
    print("not true:", sys.argv[2], "of", json.dumps(d))
    sys.exit(1)' "$1" "$2"
}

# bot_app: ./app is the support bot, and what karta keeps is below $TEST_DIR/data.
bot_app() {
	KARTA_DATA=$TEST_DIR/data
	export KARTA_DATA
	cp -r "$TEST_ROOT/docs/examples/support-bot" app
}

# start_dev SPEED [PORT]: `karta dev` of ./app, which replays rehearsals. Sets DEV_URL and DEV_PID.
start_dev() {
	: >"$TEST_DIR/dev.url"
	"$KARTA" dev --dir app --no-chat --offline --port "${2:-0}" --speed "$1" >"$TEST_DIR/dev.url" 2>"$TEST_DIR/dev.err" &
	DEV_PID=$!
	test_background "$DEV_PID"
	if ! test_wait_for grep -q '^http' "$TEST_DIR/dev.url"; then
		test_show "$TEST_DIR/dev.err"
		return 1
	fi
	DEV_URL=$(cat "$TEST_DIR/dev.url")
}

# start_serve [OPTION...]: a hosting server that replays rehearsals, on $SERVE_DATA. Sets SERVE_URL,
# SERVE_PID and SERVE_KEY (the admin key, also in the file $SERVE_KEY_FILE). A second call after
# stop_serve goes on with the same data at the same address. Its log is $TEST_DIR/serve.err.
start_serve() {
	SERVE_DATA=${SERVE_DATA:-$TEST_DIR/serve-data}
	SERVE_KEY_FILE=${SERVE_KEY_FILE:-$TEST_DIR/admin-key}
	: >"$TEST_DIR/serve.url"
	"$KARTA" serve --offline --listen "127.0.0.1:${SERVE_PORT:-0}" --data "$SERVE_DATA" \
		--key-file "$SERVE_KEY_FILE" "$@" >"$TEST_DIR/serve.url" 2>>"$TEST_DIR/serve.err" &
	SERVE_PID=$!
	test_background "$SERVE_PID"
	if ! test_wait_for grep -q '^http' "$TEST_DIR/serve.url"; then
		test_show "$TEST_DIR/serve.err"
		return 1
	fi
	SERVE_URL=$(tail -n 1 "$TEST_DIR/serve.url")
	SERVE_PORT=${SERVE_URL##*:}
	SERVE_KEY=$(cat "$SERVE_KEY_FILE")
}

# use_serve: commands go to that server, with the admin key.
use_serve() {
	KARTA_SERVER=$SERVE_URL
	KARTA_API_KEY=$SERVE_KEY
	export KARTA_SERVER KARTA_API_KEY
}

# stop_serve [SIGNAL]: end it; returns its status.
stop_serve() {
	test_stop "$SERVE_PID" "${1:-TERM}"
}

# serve_call METHOD PATH [JSON]: a request with the admin key; prints the answer, fails on an error.
serve_call() {
	if test $# -gt 2; then
		curl -sS -m "$((90 * TEST_SLOW))" --fail-with-body -X "$1" -H "Authorization: Bearer $SERVE_KEY" \
			-H 'Content-Type: application/json' -d "$3" "$SERVE_URL$2"
	else
		curl -sS -m "$((90 * TEST_SLOW))" --fail-with-body -X "$1" -H "Authorization: Bearer $SERVE_KEY" \
			"$SERVE_URL$2"
	fi
}

# serve_publish PROJECT [DIR [QUERY]]: publish a folder (default: the support bot) as an archive and wait.
serve_publish() {
	tar -czf "$TEST_DIR/publish.tar.gz" -C "${2:-$TEST_ROOT/docs/examples/support-bot}" . || return 1
	curl -sS -m "$((180 * TEST_SLOW))" --fail-with-body -H "Authorization: Bearer $SERVE_KEY" \
		-T "$TEST_DIR/publish.tar.gz" "$SERVE_URL/agent_projects/$1/releases${3:+?$3}" \
		>"$TEST_DIR/publish.json" && return 0
	cat "$TEST_DIR/publish.json"
	return 1
}

test -x "$KARTA" || {
	echo "Bail out! $KARTA is not there: run make first, or set KARTA"
	test_finished=yes
	exit 1
}
