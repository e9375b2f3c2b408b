#!/bin/sh
# SPDX-License-Identifier: MIT
# karta whoami: server, organization, key, and where the key came from.
. "$(dirname "$0")/../lib/test-lib.sh"

command -v curl >/dev/null || test_skip_all "curl is not installed"

start_serve || exit 1
KARTA_SERVER=$SERVE_URL
export KARTA_SERVER

test_expect_success 'without a key, with a wrong one, with one that was revoked' '
	test_must_exit 4 "$KARTA" whoami >out 2>err && test_empty out && test_grep "^karta: not signed in to $SERVE_URL$" err && test_grep "^hint: karta login --server $SERVE_URL" err &&
	test_must_exit 4 env KARTA_API_KEY=kt_live_wrong "$KARTA" whoami 2>err && test_grep -v kt_live_wrong err &&
	test_grep "^karta: $SERVE_URL does not take the key that ends in rong: " err && test_grep "^hint: .*karta login" err &&
	for cmd in projects keys "send hi" "config -p bot"; do
		test_must_exit 4 "$KARTA" $cmd 2>err </dev/null && test_grep "^karta: not signed in to $SERVE_URL$" err || return 1
	done &&
	key=$(KARTA_API_KEY=$SERVE_KEY "$KARTA" keys create gone --json) &&
	id=$(echo "$key" | sed "s/.*\"id\":\"\(key_[^\"]*\)\".*/\1/") && key=$(echo "$key" | sed "s/.*\"key\":\"\([^\"]*\)\".*/\1/") &&
	KARTA_API_KEY=$key "$KARTA" whoami >out && KARTA_API_KEY=$SERVE_KEY "$KARTA" keys revoke "$id" &&
	test_must_exit 4 env KARTA_API_KEY="$key" "$KARTA" whoami
'

test_expect_success 'with a key from the environment' '
	KARTA_API_KEY=$SERVE_KEY "$KARTA" whoami >out &&
	test_grep "^server  *$SERVE_URL$" out && test_grep "^org  *default$" out && test_grep "^key  *admin$" out &&
	test_grep "^may  *read, write, admin$" out && test_grep "^from  *KARTA_API_KEY$" out &&
	test_grep "^ends with  *$(printf %s "$SERVE_KEY" | tail -c 4)$" out && test_grep -v "$SERVE_KEY" out
'

test_expect_success 'as JSON' '
	KARTA_API_KEY=$SERVE_KEY "$KARTA" whoami --json >out &&
	test_json out "d[\"schema_version\"] == 1 and d[\"org\"][\"slug\"] == \"default\"" &&
	test_json out "d[\"key\"][\"scopes\"] == [\"read\", \"write\", \"admin\"] and d[\"url\"] == \"$SERVE_URL\"" &&
	test_json out "d[\"server\"][\"version\"]"
'

test_expect_success 'a profile on the line goes before the server of the environment' '
	"$KARTA" login --with-key --name mine <"$SERVE_KEY_FILE" &&
	KARTA_SERVER=http://127.0.0.1:1 "$KARTA" --profile mine whoami >out && test_grep "^server  *$SERVE_URL$" out &&
	test_grep "^from  *the profile$" out &&
	test_must_exit 3 env KARTA_PROFILE=mine "$KARTA" --server http://127.0.0.1:1 whoami
'

test_expect_success 'in a repository the remote says which server' '
	git init -q repo && git -C repo remote add karta "karta::$SERVE_URL/bot" && cd repo &&
	env -u KARTA_SERVER KARTA_API_KEY="$SERVE_KEY" "$KARTA" whoami >out && test_grep "^server  *$SERVE_URL$" out
'

test_expect_success 'what is no karta server' '
	mkdir www && cd www && python3 -u -m http.server --bind 127.0.0.1 0 >../www.out 2>&1 & test_background $! &&
	test_wait_for grep -q "port [0-9]" www.out &&
	port=$(sed -n "s/.*port \([0-9]*\).*/\1/p" www.out) &&
	test_must_exit 5 "$KARTA" --server "http://127.0.0.1:$port" whoami 2>err && test_grep "^karta: " err &&
	test_must_exit 2 "$KARTA" --server nonsense whoami 2>err && test_grep "^hint: it begins with http" err
'

test_done
