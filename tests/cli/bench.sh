#!/bin/sh
# SPDX-License-Identifier: MIT
# make bench: its programs are built of what karta is made of, and it starts; figures are not judged here.
. "$(dirname "$0")/../lib/test-lib.sh"

test_expect_success 'the programs that measure are built, and a run without rows ends well' '
	cd "$TEST_ROOT" && karta=${BUILD:-build}/release/karta && for tool in fan runstat stub spawn bundle; do rm -f "${BUILD:-build}/bench/$tool"; done &&
	tests/bench/run KARTA="$karta" --only 99 >"$TEST_DIR/out" && test_grep "^0 targets met, 0 missed, 0 skipped" "$TEST_DIR/out" &&
	for tool in fan runstat stub spawn bundle; do test -x "${BUILD:-build}/bench/$tool" || return 1; done
'

test_done
