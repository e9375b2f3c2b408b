#!/bin/sh
# SPDX-License-Identifier: MIT
# karta open: the address of a project, and the browser.
. "$(dirname "$0")/../lib/test-lib.sh"

command -v curl >/dev/null || test_skip_all "curl is not installed"

start_serve && serve_publish bot || exit 1
KARTA_SERVER=$SERVE_URL
KARTA_API_KEY=$SERVE_KEY
export KARTA_SERVER KARTA_API_KEY
printf '#!/bin/sh\nprintf "%%s\\n" "$@" >"%s/opened"\n' "$TEST_DIR" >browser && chmod +x browser

test_expect_success '--print only prints' '
	BROWSER=$PWD/browser "$KARTA" open bot --print >out && echo "http://bot.localhost:$SERVE_PORT" >expect && test_cmp expect out &&
	test ! -e "$TEST_DIR/opened" && "$KARTA" open --print --json -p bot >out && test_json out "d[\"slug\"] == \"bot\""
'

test_expect_success 'BROWSER is started with the address, which answers' '
	BROWSER=$PWD/browser "$KARTA" open bot >out && test_cmp expect out && test_wait_for test -s "$TEST_DIR/opened" &&
	test_cmp expect "$TEST_DIR/opened" && curl -s -H "Host: bot.localhost" "$SERVE_URL/" >page && test_grep -F "<html" page
'

test_expect_success 'without a browser the address is printed' '
	BROWSER=nowhere "$KARTA" open bot >out 2>err && test_cmp expect out && test_grep "no browser" err
'

test_expect_success 'what is not there' '
	test_must_exit 5 "$KARTA" open nope >out 2>err && test_empty out && test_must_exit 2 "$KARTA" open
'

test_done
