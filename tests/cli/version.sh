#!/bin/sh
# SPDX-License-Identifier: MIT
# karta version: one stable line, JSON, and facts about the build.
. "$(dirname "$0")/../lib/test-lib.sh"

test_expect_success 'the version is the one of the Makefile' '
	want=$(sed -n "s/^VERSION := //p" "$TEST_ROOT/Makefile") &&
	echo "karta $want" >expect &&
	"$KARTA" version >out 2>err && test_cmp expect out && test_empty err
'

test_expect_success '--build names compiler and libraries' '
	"$KARTA" version --build >out &&
	for name in compiler optimized sanitizer libuv cjson; do
		test_grep "^$name: ." out || return 1
	done
'

test_expect_success '--build --json' '
	"$KARTA" version --build --json >out &&
	test_json out "d[\"schema_version\"] == 1 and d[\"build\"][\"compiler\"] and d[\"build\"][\"libuv\"]"
'

test_done
