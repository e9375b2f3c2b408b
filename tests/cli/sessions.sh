#!/bin/sh
# SPDX-License-Identifier: MIT
# karta sessions: list, show, tail, export, delete.
. "$(dirname "$0")/../lib/test-lib.sh"

bot_app
start_dev 0 || exit 1
KARTA_SERVER=$DEV_URL
export KARTA_SERVER

test_expect_success 'there are none at first' '
	"$KARTA" sessions >out 2>err && test_empty out && test_grep "no sessions yet" err &&
	"$KARTA" sessions list --json >out && test_json out "d[\"data\"] == [] and not d[\"has_more\"]"
'

for i in 1 2 3; do
	"$KARTA" send Hello >/dev/null 2>"err$i" || exit 1
	sed -n 's/^session \(sess_[A-Za-z0-9]*\) .*/\1/p' "err$i" >"id$i"
done
id=$(cat id3)

test_expect_success 'list is the default, newest first' '
	"$KARTA" sessions >out && test "$(wc -l <out)" -eq 4 &&
	sed -n 2p out >second && test_grep "$id .* 1 .* idle .* Hello" second &&
	"$KARTA" sessions --limit 2 --json >out &&
	test_json out "len(d[\"data\"]) == 2 and d[\"has_more\"] and d[\"data\"][0][\"id\"] == \"$id\"" &&
	"$KARTA" sessions -n 1 >out && test "$(wc -l <out)" -eq 2 && "$KARTA" sessions list --limit 1 2>err >out && test "$(wc -l <out)" -eq 2 && test_grep limit err
'

test_expect_success 'show' '
	"$KARTA" sessions show "$id" >out && test_grep "^title  *Hello" out && test_grep "^turns  *1" out &&
	"$KARTA" sessions show "$id" --json >out && test_json out "d[\"id\"] == \"$id\" and d[\"schema_version\"] == 1" &&
	test_must_exit 5 "$KARTA" sessions show sess_none 2>err && test_grep "sess_none" err
'

test_expect_success 'approvals are listed in words and revoked' '
	refund="My mug came broken, I'"'"'d like a refund for NB-1042" &&
	"$KARTA" send "$refund" --approve session >/dev/null 2>err &&
	test_grep "from now on in this session: this exact call of Write" err &&
	asked=$(sed -n "s/^session \(sess_[A-Za-z0-9]*\) .*/\1/p" err) &&
	"$KARTA" sessions approvals "$asked" >out && test_grep "^appr_.*this exact call of Write" out &&
	"$KARTA" sessions approvals "$asked" --json >out &&
	test_json out "len(d[\"data\"]) == 1 and d[\"data\"][0][\"decision\"] == \"approve_session\"" &&
	approval=$(python3 -c "import json; print(json.load(open(\"out\"))[\"data\"][0][\"id\"])") &&
	test_must_exit 5 "$KARTA" sessions approvals "$asked" --revoke appr_none 2>err && test_grep appr_none err &&
	test_must_exit 2 "$KARTA" sessions approvals "$asked" --revoke "$approval" --all &&
	"$KARTA" sessions approvals "$asked" --revoke "$approval" 2>err && test_grep "revoked: 1" err &&
	test_must_exit 9 "$KARTA" send "$refund" --session "$asked" >/dev/null 2>err &&
	"$KARTA" sessions approvals "$asked" 2>err >out && test_empty out && test_grep "without asking" err &&
	"$KARTA" sessions approvals "$asked" --all --json >out && test_json out "d[\"revoked\"] == 0" &&
	"$KARTA" sessions delete --yes "$asked"
'

test_expect_success 'tail prints the conversation, or the events' '
	"$KARTA" sessions tail "$id" >out && test_grep "^user> Hello" out && test_grep Beans out &&
	"$KARTA" sessions tail "$id" --json >events && head -1 events >one.json &&
	test_json one.json "d[\"seq\"] == 1" &&
	"$KARTA" sessions tail "$id" --json --after 3 >after && head -1 after >one.json &&
	test_json one.json "d[\"seq\"] == 4" &&
	sed 1,3d events >expect && test_cmp expect after &&
	test_must_exit 5 "$KARTA" sessions tail sess_none
'

test_expect_success 'tail --follow goes on with what comes, until Ctrl-C' '
	"$KARTA" sessions tail "$id" --follow --json >followed 2>err & pid=$! &&
	test_background "$pid" &&
	test_wait_for grep -q "\"type\":\"done\"" followed &&
	"$KARTA" send Hello --session "$id" >out 2>err2 &&
	test_wait_for sh -c "test \$(grep -c \"\\\"type\\\":\\\"done\\\"\" followed) -eq 2" &&
	kill -INT "$pid" && { wait "$pid"; test "$?" -eq 130; } &&
	"$KARTA" sessions tail "$id" --json >all && test_cmp all followed
'

test_expect_success 'tail --follow survives a restart of the server without losing or doubling' '
	"$KARTA" sessions tail "$id" --follow --json >followed 2>err & pid=$! &&
	test_background "$pid" &&
	test_wait_for grep -q "\"type\":\"done\"" followed &&
	kill -KILL "$DEV_PID" && { wait "$DEV_PID"; true; } &&
	test_wait_for grep -q reconnecting err &&
	start_dev 0 "${KARTA_SERVER##*:}" &&
	"$KARTA" send Hello --session "$id" >out 2>err2 &&
	test_wait_for sh -c "test \$(grep -c \"\\\"type\\\":\\\"done\\\"\" followed) -eq 3" &&
	kill -INT "$pid" && { wait "$pid"; test "$?" -eq 130; } &&
	"$KARTA" sessions tail "$id" --json >all && test_cmp all followed
'

test_expect_success 'export' '
	"$KARTA" sessions export "$id" >out && "$KARTA" sessions tail "$id" --json >all && test_cmp all out &&
	"$KARTA" sessions export --format markdown "$id" >out && head -1 out >first &&
	test_grep "^# Hello$" first && test_grep "^## User$" out && test_grep "^Hello! I.m \*\*Beans" out &&
	test_must_exit 5 "$KARTA" sessions export sess_none
'

test_expect_success 'rename' '
	"$KARTA" sessions rename "$id" "  Return of order 1041	" >out && echo "Return of order 1041" >expect && test_cmp expect out &&
	"$KARTA" sessions show "$id" --json >out && test_json out "d[\"title\"] == \"Return of order 1041\"" &&
	"$KARTA" sessions >out && test_grep "Return of order" out &&
	"$KARTA" sessions rename "$id" Hello --json >out && test_json out "d[\"title\"] == \"Hello\"" &&
	test_must_exit 2 "$KARTA" sessions rename "$id" "$(printf "%0201d" 0)" 2>err && test_grep "200 bytes" err &&
	test_must_exit 1 "$KARTA" sessions rename "$id" " " 2>err && test_grep "empty" err &&
	test_must_exit 5 "$KARTA" sessions rename sess_none x
'

test_expect_success 'delete asks first, and without a terminal wants --yes' '
	test_must_exit 9 "$KARTA" sessions delete "$id" 2>err && test_grep -F -- "--yes" err &&
	"$KARTA" sessions show "$id" >out &&
	"$KARTA" sessions delete --yes "$id" "$(cat id2)" >out && test "$(wc -l <out)" -eq 2 &&
	test_must_exit 5 "$KARTA" sessions show "$id" &&
	test_must_exit 5 "$KARTA" sessions delete --yes sess_none "$(cat id1)" >out 2>err &&
	test_grep sess_none err && echo "$(cat id1)" >expect && test_cmp expect out &&
	"$KARTA" sessions --json >out && test_json out "d[\"data\"] == []"
'

test_expect_success 'an unknown sub-command is wrong usage' '
	test_must_exit 2 "$KARTA" sessions frobnicate
'

test_done
