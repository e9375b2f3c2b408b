#!/bin/sh
# SPDX-License-Identifier: MIT
# karta releases: list, show, diff, download, activate, unpin.
. "$(dirname "$0")/../lib/test-lib.sh"

command -v curl >/dev/null || test_skip_all "curl is not installed"

start_serve && serve_publish bot || exit 1
cp -r "$TEST_ROOT/docs/examples/support-bot" two && chmod -R u+w two &&
	echo more >>two/CLAUDE.md && rm two/orders.csv && echo new >two/new.txt && serve_publish bot two || exit 1
KARTA_SERVER=$SERVE_URL
KARTA_API_KEY=$SERVE_KEY
KARTA_PROJECT=bot
export KARTA_SERVER KARTA_API_KEY KARTA_PROJECT

test_expect_success 'list, newest first' '
	"$KARTA" releases >out && test "$(wc -l <out)" -eq 3 && sed -n 2p out >first && test_grep "^v2  *active  *-  .* admin " first &&
	test_grep "^v1  *superseded " out && "$KARTA" releases list --limit 1 --json >out &&
	test_json out "[r[\"version\"] for r in d[\"data\"]] == [\"v2\"]" && "$KARTA" releases bot >out && test_grep "^v2 " out &&
	test_must_exit 5 "$KARTA" releases nope && test_must_exit 2 "$KARTA" releases --limit 0 &&
	"$KARTA" projects create empty && "$KARTA" releases empty >out 2>err && test_empty out && test_grep "no releases yet" err
'

test_expect_success 'a list longer than a page' '
	for i in $(seq 1 104); do serve_call PATCH /agent_projects/bot/config "{\"set\":{\"N\":\"$i\"}}" >/dev/null || return 1; done &&
	"$KARTA" releases --limit 1000 --json >out && test_json out "[r[\"version\"] for r in d[\"data\"]] == [f\"v{n}\" for n in range(106, 0, -1)]" &&
	"$KARTA" releases --limit 103 --json >out && test_json out "len(d[\"data\"]) == 103" && "$KARTA" releases activate v2
'

test_expect_success 'show' '
	"$KARTA" releases show v1 >out && test_grep "^release  *v1$" out && test_grep "^state  *superseded$" out &&
	test_grep "^digest  *[0-9a-f]{64}$" out && "$KARTA" releases show >out && test_grep "^release  *v2$" out &&
	"$KARTA" releases show --json v1 >out && test_json out "d[\"version\"] == \"v1\" and not d[\"active\"]" &&
	"$KARTA" releases show --files v2 >out && test_grep "^100644 4 [0-9a-f]{64} new\.txt$" out &&
	test_must_exit 5 "$KARTA" releases show v999 && test_must_exit 5 "$KARTA" releases show nonsense &&
	test_must_exit 1 "$KARTA" releases show ../x
'

test_expect_success 'diff' '
	"$KARTA" releases diff v1 v2 >out && printf "M CLAUDE.md\n+ new.txt\n- orders.csv\n" >expect && test_cmp expect out &&
	"$KARTA" releases diff v2 v1 --json >out &&
	test_json out "{c[\"path\"]: c[\"change\"] for c in d[\"changes\"]} == {\"CLAUDE.md\": \"modified\", \"new.txt\": \"removed\", \"orders.csv\": \"added\"}" &&
	"$KARTA" releases diff v1 v1 >out && test_empty out && test_must_exit 5 "$KARTA" releases diff v1 v999 2>err && test_grep v999 err &&
	test_must_exit 2 "$KARTA" releases diff v1
'

test_expect_success 'download gives the files back' '
	"$KARTA" releases download v2 >out && echo bot-v2.tar.gz >expect && test_cmp expect out &&
	mkdir x && tar -xzf bot-v2.tar.gz -C x && diff -r two x &&
	"$KARTA" releases download -o - v1 | tar -tzf - >list && test_grep orders.csv list &&
	"$KARTA" releases download --output live.tar.zst --format tar.zst && test "$(head -c 4 live.tar.zst | od -An -tx1 | tr -d " ")" = 28b52ffd &&
	test_must_exit 5 "$KARTA" releases download v999 && test ! -e bot-v999.tar.gz && test ! -e bot-v999.tar.gz.part &&
	test_must_exit 1 "$KARTA" releases download -o nowhere/x v1 && test_must_exit 1 "$KARTA" releases download -o - v1 >/dev/full &&
	test_must_exit 2 "$KARTA" releases download --format zip
'

test_expect_success 'of a project that is not there every command says the same' '
	echo "karta: there is no project NOPE on $SERVE_URL" >expect &&
	for cmd in show "show v1" "show --files" "show --files v1" "diff v1 v2" download "download v1" "activate v1"; do
		test_must_exit 5 "$KARTA" releases $cmd -p NOPE >out 2>err && test_empty out &&
		sed -n "s/'"'"'//g;1p" err >said && test_cmp expect said && test_grep "^hint: .karta projects. lists" err || return 1
	done &&
	for cmd in "show v999" "show --files v999" "diff v1 v999" "download v999"; do
		test_must_exit 5 "$KARTA" releases $cmd 2>err && test_grep "^karta: there is no release .v999. of bot on $SERVE_URL$" err || return 1
	done
'

test_expect_success 'activate, which is idempotent' '
	"$KARTA" releases activate v1 >out 2>err && test_grep "v1 is live" err && test_grep "^http://bot\.localhost" out &&
	"$KARTA" releases activate v1 && "$KARTA" projects show --json >out && test_json out "d[\"current\"][\"version\"] == \"v1\"" &&
	test_must_exit 5 "$KARTA" releases activate v999 && "$KARTA" releases activate v2 --json >out && test_json out "d[\"active\"]"
'

test_expect_success 'a failed build is listed with its reason, and cannot be activated' '
	cp -r two broken && echo "name = " >broken/karta.toml && ! serve_publish bot broken &&
	"$KARTA" releases --limit 1 --json >out && test_json out "d[\"data\"][0][\"state\"] == \"failed\" and d[\"data\"][0][\"error\"][\"message\"]" &&
	version=$(sed "s/.*\"version\":\"\(v[0-9]*\)\".*/\1/" out) && "$KARTA" releases --limit 1 >out && test_grep "karta.toml" out &&
	test_must_exit 6 "$KARTA" releases activate "$version" 2>err && test_grep "never ready" err &&
	"$KARTA" projects show --json >out && test_json out "d[\"current\"][\"version\"] == \"v2\""
'

test_expect_success 'unpin ends the pin of a rollback, and is no error without one' '
	"$KARTA" rollback --to v1 && test_must_exit 6 "$KARTA" releases activate v2 2>err && test_grep pinned err &&
	"$KARTA" releases unpin 2>err && "$KARTA" releases activate v2 && "$KARTA" releases unpin bot --json >out && test_json out "not d[\"pinned\"]" &&
	test_must_exit 5 "$KARTA" releases unpin nope
'

test_done
