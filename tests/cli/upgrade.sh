#!/bin/sh
# SPDX-License-Identifier: MIT
# karta upgrade: how this copy was installed and the command that upgrades it; who is asked for a newer
# version, and that nobody is asked otherwise.
. "$(dirname "$0")/../lib/test-lib.sh"

version=$(sed -n 's/^VERSION := //p' "$TEST_ROOT/Makefile")
mkdir -p "$TEST_DIR/copy/bin" "$TEST_DIR/copy/lib/karta" www && cp "$KARTA" "$TEST_DIR/copy/bin/karta"
copy=$TEST_DIR/copy/bin/karta
notes=$TEST_DIR/copy/lib/karta

python3 -c 'import http.server, functools
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(http.server.SimpleHTTPRequestHandler, directory="www"))
print("http://127.0.0.1:%d" % server.server_port, flush=True)
server.serve_forever()' >url 2>requests &
test_background $!
test_wait_for test -s url || exit 1
url=$(cat url)

test_expect_success 'each way to install has its command' '
	"$copy" upgrade >out 2>err && test_grep "^version    $version$" out && test_grep "^installed  built from source, in $TEST_DIR/copy$" out &&
	test_grep "^upgrade    git pull" out && test_grep "^Nobody was asked" err &&
	for row in "deb|Debian package|sudo apt install" "npm|npm package|npm install -g @karta/cli@latest" \
		"image|container image|pull the newer image" "tarball|tarball|unpack the newer tarball over $TEST_DIR/copy" \
		"nonsense|built from source|git pull"; do
		echo "${row%%|*}" >"$notes/channel" && row=${row#*|} && "$copy" upgrade >out &&
		test_grep "^installed  ${row%%|*}," out && test_grep "^upgrade    ${row#*|}" out || return 1
	done
'

test_expect_success 'a copy of install.sh: from where, to where' '
	echo tarball >"$notes/channel" && echo https://karta.example/dist >"$notes/source" && "$copy" upgrade >out &&
	test_grep "^upgrade    curl -fsSL https://karta\.example/dist/install\.sh \| sh -s -- --from https://karta\.example/dist --prefix .$TEST_DIR/copy.$" out &&
	echo /srv/dist >"$notes/source" && "$copy" upgrade --json >out &&
	test_json out "d[\"installed\"] == \"tarball\" and d[\"command\"].startswith(\"sh '\''/srv/dist/install.sh'\'' --from\") and d[\"newest\"] is None and d[\"newer\"] is None"
'

test_expect_success 'nobody is asked: not a socket is opened' '
	for words in upgrade "upgrade --check" version "version --build" help; do
		ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 strace -f -o trace -e trace=socket,connect "$copy" $words >out 2>err &&
		test_grep -v "AF_INET" trace || return 1
	done && ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 KARTA_UPGRADE_URL=$url strace -f -o trace -e trace=socket,connect "$copy" upgrade >out 2>err &&
	test_grep -v "AF_INET" trace && test_grep -v GET requests
'

test_expect_success 'asked where it is said: newer, the same, older' '
	for row in "99.0 true" "$version false" "0.0.9 false" "$version.1 true" "$version-rc1 false" "0.10.0 true" "000.1.0 false"; do
		echo "${row% *}" >www/VERSION && "$copy" upgrade --check --from "$url/" --json >out &&
		test_json out "[d[\"newest\"], d[\"newer\"]] == [\"${row% *}\", \"${row#* }\" == \"true\"]" || return 1
	done &&
	echo 99.0 >www/VERSION && KARTA_UPGRADE_URL=$url "$copy" upgrade --check >out 2>err && test_grep "^newest     99\.0$" out &&
	test_grep "^upgrade    sh " out && test_empty err &&
	echo "$version" >www/VERSION && "$copy" upgrade --from "$url" >out && test_grep -v "^upgrade" out &&
	test_grep "GET /VERSION" requests
'

test_expect_success 'what is no version, not there, not https' '
	printf "\033[31m9\n" >www/VERSION && test_must_exit 3 "$copy" upgrade --from "$url" >out 2>err && test_grep "holds no version" err && test_empty out &&
	: >www/VERSION && test_must_exit 3 "$copy" upgrade --from "$url" 2>err && test_grep "holds no version" err &&
	test_must_exit 5 "$copy" upgrade --from "$url/x" 2>err && test_grep "answers 404" err && test_grep "^hint: " err &&
	test_must_exit 3 "$copy" upgrade --from http://127.0.0.1:1 2>err &&
	test_must_exit 4 "$copy" upgrade --from http://192.0.2.1/dist 2>err && test_grep "is not https" err &&
	test_must_exit 2 "$copy" upgrade --from ftp://x 2>err && test_must_exit 2 "$copy" upgrade now 2>err
'

test_done
