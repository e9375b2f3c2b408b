#!/bin/sh
# SPDX-License-Identifier: MIT
# karta keys: create, list, revoke; scopes and expiry hold.
. "$(dirname "$0")/../lib/test-lib.sh"

command -v curl >/dev/null || test_skip_all "curl is not installed"

start_serve || exit 1
use_serve

test_expect_success 'create prints the key and nothing else on stdout' '
	"$KARTA" keys create ci >key 2>err && test "$(wc -l <key)" -eq 1 && test_grep "^kt_live_[A-Za-z0-9]{38}$" key &&
	test_grep "only time that the key is shown:" err && "$KARTA" keys create soon --expires 2m >/dev/null 2>err &&
	test_grep "it expires in [12] minutes?:" err && "$KARTA" keys revoke soon && "$KARTA" keys >out && test_grep "^key_.* ci .* read,write " out &&
	test_grep -v "$(cat key)" out && KARTA_API_KEY=$(cat key) "$KARTA" whoami >out
'

test_expect_success 'scopes, kind and expiry' '
	"$KARTA" keys create --scopes "read, admin" --test --expires 30d dash --json >out &&
	test_json out "d[\"key\"].startswith(\"kt_test_\") and d[\"scopes\"] == [\"read\", \"admin\"] and d[\"expires_at\"]" &&
	test_must_exit 2 "$KARTA" keys create x --scopes write,root 2>err && test_grep ".root. is no scope" err &&
	test_must_exit 2 "$KARTA" keys create x --scopes "" && test_must_exit 2 "$KARTA" keys create x --scopes , &&
	test_must_exit 2 "$KARTA" keys create && test_must_exit 2 "$KARTA" keys create x --expires soon
'

test_expect_success 'a scope holds no other' '
	reader=$("$KARTA" keys create r --scopes read -q) && writer=$("$KARTA" keys create w --scopes write -q) &&
	KARTA_API_KEY=$reader "$KARTA" projects && KARTA_API_KEY=$reader "$KARTA" keys >out &&
	test_must_exit 4 env KARTA_API_KEY="$reader" "$KARTA" projects create p 2>err && test_grep "write" err &&
	KARTA_API_KEY=$writer "$KARTA" projects create p && test_must_exit 4 env KARTA_API_KEY="$writer" "$KARTA" projects &&
	test_must_exit 4 env KARTA_API_KEY="$writer" "$KARTA" keys create y &&
	test_must_exit 4 env KARTA_API_KEY="$reader" "$KARTA" audit
'

test_expect_success 'what needs admin says how to get it' '
	plain=$("$KARTA" keys create plain --scopes read,write -q) && "$KARTA" projects create adm &&
	"$KARTA" config set -p adm NAME=x &&
	for args in "keys create z" "keys revoke key_none" "audit" "audit verify" "rollback -p adm v1" \
		"releases unpin adm" "projects delete adm --confirm=adm" "config get NAME -p adm"; do
		test_must_exit 4 env KARTA_API_KEY="$plain" "$KARTA" $args 2>err && test_grep "scope .*admin" err &&
		test_grep "^hint: .*karta login --admin" err || { echo "$args"; cat err; return 1; }
	done &&
	test_must_exit 4 env KARTA_API_KEY="$reader" "$KARTA" projects create q 2>err && test_grep -v "login --admin" err &&
	test_grep "^hint: set KARTA_API_KEY .*karta login" err
'

test_expect_success 'an expired key is refused, and listed with --all only' '
	short=$("$KARTA" keys create brief --expires "$((2 * TEST_SLOW))s" -q) && KARTA_API_KEY=$short "$KARTA" whoami &&
	test_wait_for test_must_exit 4 env KARTA_API_KEY="$short" "$KARTA" whoami &&
	"$KARTA" keys >out && test_grep -v brief out && "$KARTA" keys list --all >out && test_grep "brief .* expired$" out
'

test_expect_success 'revoke by id or beginning; twice is fine; unknown is not found' '
	key=$("$KARTA" keys create two -q) && id=$("$KARTA" keys | awk "/ two /{print \$1}") &&
	"$KARTA" keys revoke "$id" 2>err && test_grep "^Revoked $id" err &&
	test_must_exit 4 env KARTA_API_KEY="$key" "$KARTA" whoami &&
	"$KARTA" keys >out && test_grep -v " two " out && "$KARTA" keys --all >out && test_grep " two .* revoked$" out &&
	"$KARTA" keys revoke "$id" && test_must_exit 5 "$KARTA" keys revoke key_none &&
	key=$("$KARTA" keys create three -q) && "$KARTA" keys rm "$(printf %.14s "$key")" &&
	test_must_exit 4 env KARTA_API_KEY="$key" "$KARTA" whoami
'

test_expect_success 'the list says when a key ends; revoke takes a name, when one key has it' '
	"$KARTA" keys create by-name --expires 30d -q >/dev/null && "$KARTA" keys create forever -q >/dev/null &&
	"$KARTA" keys >out && test_grep "^ID  *NAME  *ENDS  *SCOPES  *USED  *EXPIRES$" out &&
	test_grep " by-name .*  [A-Z][a-z][a-z] [0-9][0-9]* [0-9:]*$" out && test_grep " forever .*  never$" out &&
	id=$(awk "/ by-name /{print \$1}" out) && "$KARTA" keys revoke by-name 2>err && test_grep "^Revoked $id \(by-name\)\.$" err &&
	test_must_exit 5 "$KARTA" keys revoke by-name 2>err && test_grep "there is no key .by-name. on $SERVE_URL" err &&
	"$KARTA" keys create twice -q >/dev/null && "$KARTA" keys create twice -q >/dev/null &&
	test_must_exit 2 "$KARTA" keys revoke twice 2>err && test_grep "2 keys on .* have the name .twice." err && test_grep "^hint: .*id" err
'

test_expect_success 'the last key with scope admin stays' '
	for id in $("$KARTA" keys | awk "/ dash /{print \$1}"); do "$KARTA" keys revoke "$id" || return 1; done &&
	id=$("$KARTA" whoami --json | sed "s/.*\"id\":\"\(key_[^\"]*\)\".*/\1/") &&
	test_must_exit 6 "$KARTA" keys revoke "$id" 2>err && test_grep "last key" err && "$KARTA" whoami >out
'

test_expect_success 'the list as JSON has no key in it' '
	"$KARTA" keys --json >out && test_json out "d[\"schema_version\"] == 1 and all(\"key\" not in k and len(k[\"last4\"]) == 4 for k in d[\"data\"])"
'

test_done
