#!/bin/sh
# SPDX-License-Identifier: MIT
# The npm packages, installed from a registry on this machine: what `npm install -g @karta/cli` gives, in a
# root that has nothing else; the launcher leaves no trace; karta is gone with `npm uninstall -g`.
. "$(dirname "$0")/../lib/test-lib.sh"
command -v npm >/dev/null || test_skip_all 'npm is not installed'
. "$TEST_ROOT/tests/lib/dist.sh"

node "$TEST_ROOT/tests/lib/registry.mjs" "$dist" >registry 2>&1 &
test_background $!
test_wait_for grep -q ^http registry || exit 1
prefix=$TEST_DIR/prefix

# packages WORD...: npm with nothing of this machine.
packages() {
	npm "$@" --prefix "$prefix" --registry "$(cat registry)" --cache "$TEST_DIR/cache" \
		--no-audit --no-fund --no-update-notifier --userconfig /dev/null
}

test_expect_success 'npm install -g @karta/cli: both programs, and the manual pages' '
	packages install -g @karta/cli >out 2>&1 || { cat out; return 1; }
	"$prefix/bin/karta" version >out && echo "karta $version" | test_cmp - out &&
	test -x "$prefix/bin/git-remote-karta" &&
	for page in man1/karta.1 man1/git-remote-karta.1 man5/karta.toml.5; do
		test -s "$prefix/share/man/$page" || return 1
	done
'

test_expect_success 'in a clean root: a push' '
	root_new root && root_git root && root_add_tools root && root_add root readlink &&
	cp -R "$TEST_ROOT/docs/examples/support-bot" root/app && mkdir -p root/usr/local && cp -R "$prefix/." root/usr/local/ &&
	root_run root "$first_hour" >out 2>&1 || { cat out; return 1; }
	cat out && test_grep "^karta $version$" out && test_grep "^remote: Released v1 of support-bot" out
'

test_expect_success 'standard input, status and signals are those of the program itself' '
	echo kt_live_wrong >wrong && test_must_exit 4 "$prefix/bin/karta" --server http://192.0.2.1 --timeout 1s login --with-key <wrong 2>err &&
	test_grep "not sent over plain http" err && test_must_exit 2 "$prefix/bin/karta" --no-such-option 2>err || return 1
	"$prefix/bin/karta" serve --listen 127.0.0.1:0 --data data --offline --key-file key >url 2>log &
	pid=$! && test_background "$pid" && test_wait_for grep -q ^http url &&
	readlink "/proc/$pid/exe" >exe && test_grep "/cli-linux-x64/bin/karta$" exe &&
	test_stop "$pid" TERM && test_grep "stopping" log
'

test_expect_success 'the launcher costs the start of a shell and of readlink, no more' '
	strace -f -o trace -e trace=execve "$prefix/bin/karta" version >out && grep -c "execve(.*= 0$" trace >count &&
	echo 3 | test_cmp - count && test_must_exit 1 grep -E "execve.*/node[\" ]" trace
'

test_expect_success 'beside it, as npm install in a folder puts it; without it, a word about it' '
	mkdir -p flat/@karta/cli/bin flat/@karta/cli-linux-x64 && cp "$prefix/lib/node_modules/@karta/cli/bin/karta" flat/@karta/cli/bin/ &&
	cp -R "$prefix/lib/node_modules/@karta/cli/node_modules/@karta/cli-linux-x64/." flat/@karta/cli-linux-x64/ &&
	(cd flat/@karta/cli/bin && ./karta version) && rm -r flat/@karta/cli-linux-x64 &&
	test_must_exit 1 flat/@karta/cli/bin/karta version 2>err && test_grep "^hint: install @karta/cli again" err
'

test_expect_success 'npm uninstall -g takes all of it away' '
	packages uninstall -g @karta/cli >out 2>&1 || { cat out; return 1; }
	find "$prefix" -path "*karta*" ! -type d >left && test_empty left
'

test_done
