#!/bin/sh
# SPDX-License-Identifier: MIT
# The demo that the README shows first.
. "$(dirname "$0")/../lib/test-lib.sh"



test_expect_success 'the demo greets without a harness, and ends by itself' '
	KARTA_DEMO_ONCE=1 KARTA="$KARTA" PATH=/usr/bin:/bin sh "$TEST_ROOT/scripts/demo" >out 2>err &&
	test_grep "Beans" out &&
	test_grep "rehearsal" err &&
	test_grep "http://localhost:" err
'

test_done
