#!/bin/sh
# SPDX-License-Identifier: MIT
# karta help: every command of the table has help, and the dump for scripts is complete.
. "$(dirname "$0")/../lib/test-lib.sh"

test_expect_success 'the dump lists commands, options, variables and exit statuses' '
	"$KARTA" help --dump >dump &&
	printf "command\thelp\tshow help about karta or a command\n" >expect &&
	grep -F -x -f expect dump &&
	grep -q "^option		--json			" dump &&
	grep -q "^option	version	--build			" dump &&
	grep -q "^usage	completion	karta completion <shell>$" dump &&
	grep -q "^env	NO_COLOR	" dump &&
	grep -q "^exit	5	not_found$" dump
'

test_expect_success 'every command has help that begins with its usage and fits 80 columns' '
	cut -f1,2 dump | sed -n "s/^command	//p" >names &&
	test -s names &&
	while read -r name; do
		"$KARTA" help $name >out || return 1
		test_grep "^usage: karta $name" out || return 1
		test "$(awk "length > 80" out | grep -c -v "^  karta ")" -eq 0 || { cat out; return 1; }
		"$KARTA" $name --help >out2 || return 1
		test_cmp out out2 || return 1
	done <names
'

test_expect_success 'every option of the dump is in its command'\''s help' '
	sed -n "s/^option	//p" dump | grep -v "^	" | cut -f1,2 >pairs &&
	while IFS="	" read -r name option; do
		"$KARTA" help $name >out || return 1
		test_grep -- "$option" out || return 1
	done <pairs
'

test_expect_success 'too deep a command is an error' '
	test_must_exit 2 "$KARTA" help version build 2>err &&
	test_grep "^karta: .karta version. has no sub-commands" err
'

test_expect_success 'a sub-command may be joined with a colon, and a near miss is named' '
	"$KARTA" help sessions:list >a && "$KARTA" help sessions list >b && test_cmp b a &&
	test_must_exit 2 "$KARTA" help dve 2>err && test_grep "did you mean .dev." err &&
	test_must_exit 2 "$KARTA" help sessions lst 2>err && test_grep "did you mean .list." err &&
	test_must_exit 2 "$KARTA" sessions lst 2>err && test_grep "did you mean .list." err &&
	test_must_exit 2 "$KARTA" sessions:lst 2>err && test_grep "did you mean .list." err &&
	test_must_exit 2 "$KARTA" -x 2>err && test_grep "^hint: " err
'

test_expect_success 'help and completion are JSON when asked' '
	"$KARTA" help dev >text && "$KARTA" help dev --json >out &&
	test_json out "d[\"text\"] == open(\"text\").read()" &&
	"$KARTA" dev --help --json >out && test_json out "d[\"text\"] == open(\"text\").read()" &&
	"$KARTA" completion bash >text && "$KARTA" completion bash --json >out &&
	test_json out "d[\"text\"] == open(\"text\").read()"
'

test_expect_success 'the usage line of an error is folded' '
	test_must_exit 2 "$KARTA" dev --nope 2>err && test_grep -F "usage: karta dev" err &&
	test "$(wc -L <err)" -le 80
'

test_done
