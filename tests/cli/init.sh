#!/bin/sh
# SPDX-License-Identifier: MIT
# karta init
. "$(dirname "$0")/../lib/test-lib.sh"

test_expect_success 'an empty folder gets the starter and is ready' '
	"$KARTA" init my-bot >out 2>err &&
	test_grep "^wrote karta.toml" out &&
	test_grep "^wrote CLAUDE.md" out &&
	test_grep "^wrote .gitignore" out &&
	test_grep "Next: karta dev --dir my-bot" err &&
	test_grep "^name = \"my-bot\"" my-bot/karta.toml &&
	test_grep "^\.env$" my-bot/.gitignore &&
	test_grep "^\.karta/$" my-bot/.gitignore &&
	"$KARTA" agents --dir my-bot >out 2>err &&
	test_empty err
'

test_expect_success 'the second run changes nothing' '
	find my-bot -type f -exec cksum {} + | sort >before &&
	"$KARTA" init my-bot --name other --harness opencode >out &&
	test_grep -v "^wrote" out &&
	test_grep "^kept +karta.toml" out &&
	find my-bot -type f -exec cksum {} + | sort >after &&
	test_cmp before after
'

test_expect_success 'files that are there are never overwritten' '
	mkdir mine && echo "be kind" >mine/AGENTS.md && printf "*.o" >mine/.gitignore &&
	"$KARTA" init mine --name kind >out 2>err &&
	test "$(cat mine/AGENTS.md)" = "be kind" &&
	printf "*.o\n.karta/\n.env\n" >want && test_cmp want mine/.gitignore &&
	test_grep "^type = \"opencode\"" mine/karta.toml &&
	test ! -e mine/CLAUDE.md
'

test_expect_success 'a folder without instructions is told what to add' '
	mkdir code && echo "print()" >code/main.py &&
	"$KARTA" init code >out 2>err &&
	test_grep "^wrote karta.toml" out &&
	test_grep "no harness application here" err &&
	test_grep "fix: write CLAUDE.md or AGENTS.md" err &&
	test_grep -v "Next:" err
'

test_expect_success 'the current folder is the default' '
	mkdir here && (cd here && "$KARTA" init --harness opencode </dev/null >../out 2>../err) &&
	test -f here/AGENTS.md && test -d here/.opencode && test ! -e here/.claude &&
	test_grep "Next: karta dev$" err &&
	"$KARTA" agents --dir here >out 2>err &&
	test_empty err
'

test_expect_success '--json prints one object' '
	"$KARTA" init --json j >out 2>err &&
	test_empty err &&
	test_json out "d[\"name\"] == \"j\" and d[\"starter\"] and \"karta.toml\" in d[\"written\"]" &&
	test_json out "d[\"harness\"] == \"claude-code\" and d[\"kept\"] == [] and d[\"findings\"] == []"
'

test_expect_success 'bad names and harnesses are usage errors and write nothing' '
	test_must_exit 2 "$KARTA" init bad --name "Not a name" 2>err &&
	test_grep "cannot be a name" err &&
	test_must_exit 2 "$KARTA" init bad --harness emacs 2>err &&
	test ! -e bad
'

test_expect_success 'a folder that cannot be made is an error' '
	echo x >file &&
	test_must_exit 1 "$KARTA" init file/below 2>err &&
	test_grep "Not a directory" err
'

test_expect_success 'the next step can be pasted, and a starter tells of --offline' '
	"$KARTA" init "it'\''s mine" >out 2>err &&
	test_grep -F "Next: karta dev --dir '\''it'\''\\'\'''\''s mine'\''" err && test_grep "^Without a key.* --offline$" err &&
	mkdir bare && echo Hi >bare/CLAUDE.md && "$KARTA" init bare >out 2>err &&
	test_grep "Next: karta dev --dir bare$" err && test_grep -v offline err
'

test_done
