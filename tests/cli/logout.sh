#!/bin/sh
# SPDX-License-Identifier: MIT
# karta logout: forgets, revokes what login made for this machine, and nothing else.
. "$(dirname "$0")/../lib/test-lib.sh"

command -v curl >/dev/null || test_skip_all "curl is not installed"

start_serve || exit 1
KARTA_SERVER=$SERVE_URL
export KARTA_SERVER
credentials=$XDG_CONFIG_HOME/karta/credentials

# A key of this machine's own.
browser_login() {
	rm -f login.err
	"$KARTA" login --no-browser "$@" 2>login.err &
	login=$!
	test_background "$login"
	test_wait_for grep -q 'approve the code' login.err || return 1
	code=$(sed -n 's/^and approve the code \(.*\)\.$/\1/p' login.err)
	serve_call POST "/v1/device/$code" '{"approve":true}' >/dev/null && wait "$login"
}
# Ids of the keys that are valid.
valid_keys() {
	KARTA_API_KEY=$SERVE_KEY "$KARTA" keys | sed 1d | awk '{print $1}'
}

test_expect_success 'not signed in is no error, but a profile that is named must be there' '
	env -u KARTA_SERVER "$KARTA" logout >out 2>err && test_empty out && test_grep "Not signed in" err &&
	env -u KARTA_SERVER "$KARTA" logout --json >out && test_json out "d == {\"schema_version\": 1}" &&
	test_must_exit 5 env -u KARTA_SERVER "$KARTA" --profile x logout &&
	test_must_exit 5 "$KARTA" logout
'

test_expect_success 'a key from standard input is forgotten and stays valid' '
	valid_keys >before && "$KARTA" login --with-key <"$SERVE_KEY_FILE" &&
	"$KARTA" --server "$SERVE_URL/" logout --json >out 2>err && test_grep "Signed out of $SERVE_URL" err &&
	test_json out "d[\"server\"] == \"$SERVE_URL\"" && test_grep -v kt_live "$credentials" &&
	test_must_exit 4 "$KARTA" whoami && valid_keys >after && test_cmp before after
'

test_expect_success 'a key made for this machine is revoked' '
	valid_keys >before && browser_login && valid_keys >during && ! cmp -s before during &&
	"$KARTA" logout 2>err && test_grep -v "still valid" err && valid_keys >after && test_cmp before after
'

test_expect_success 'unless it shall stay' '
	browser_login && valid_keys >before && "$KARTA" logout --keep-key && valid_keys >after && test_cmp before after
'

test_expect_success 'also one that may only read' '
	valid_keys >before && browser_login --read-only && "$KARTA" logout 2>err && test_grep -v "still valid" err &&
	test_grep "Signed out" err && valid_keys >after && test_cmp before after
'

test_expect_success 'one that was revoked before is no matter' '
	browser_login --admin && id=$("$KARTA" whoami --json | sed -n "s/.*\"id\":\"\(key_[^\"]*\)\".*/\1/p") &&
	serve_call DELETE "/v1/keys/$id" && "$KARTA" logout 2>err && test_grep -v "still valid" err
'

test_expect_success 'of several profiles only the one is forgotten, and another is the default' '
	"$KARTA" login --with-key --name one <"$SERVE_KEY_FILE" && "$KARTA" login --with-key --name two <"$SERVE_KEY_FILE" &&
	env -u KARTA_SERVER "$KARTA" logout && test_json "$credentials" "list(d[\"profiles\"]) == [\"one\"] and d[\"default\"] == \"one\"" &&
	env -u KARTA_SERVER "$KARTA" --profile one logout && env -u KARTA_SERVER "$KARTA" logout 2>err && test_grep "Not signed in" err
'

test_expect_success 'a server that is gone does not keep one signed in' '
	browser_login && stop_serve && "$KARTA" logout 2>err && test_grep "still valid" err &&
	test_json "$credentials" "not d[\"profiles\"]"
'

test_done
