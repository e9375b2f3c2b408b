#!/bin/sh
# SPDX-License-Identifier: MIT
# karta rollback: back to a release that was ready; the pin; sessions that run stay.
. "$(dirname "$0")/../lib/test-lib.sh"

command -v curl >/dev/null || test_skip_all "curl is not installed"

start_serve && serve_publish bot || exit 1
cp -r "$TEST_ROOT/docs/examples/support-bot" two && chmod -R u+w two && echo more >>two/CLAUDE.md || exit 1
KARTA_SERVER=$SERVE_URL
KARTA_API_KEY=$SERVE_KEY
KARTA_PROJECT=bot
export KARTA_SERVER KARTA_API_KEY KARTA_PROJECT

# live VERSION: that one is live.
live() {
	"$KARTA" projects show --json >shown && test_json shown "d[\"current\"][\"version\"] == \"$1\""
}

test_expect_success 'with one release there is none before' '
	test_must_exit 6 "$KARTA" rollback >out 2>err && test_empty out && test_grep "no release before" err && live v1
'

test_expect_success 'to the one before: at once, with the address on stdout' '
	"$KARTA" send Hello 2>err >out && old=$(sed -n "s/^session \(sess_[A-Za-z0-9]*\) .*/\1/p" err) &&
	serve_publish bot two && live v2 && "$KARTA" rollback >out 2>err && echo "http://bot.localhost:$SERVE_PORT" >expect &&
	test_cmp expect out && test_grep "^v1 is live again on bot" err && live v1
'

test_expect_success 'pinned: a later publish is refused, or kept; every list says so' '
	! serve_publish bot two && test_json "$TEST_DIR/publish.json" "d[\"code\"] == \"pinned\" and d[\"pinned_by\"] == \"admin\" and d[\"pin_reason\"] == \"rollback to v1\" and d[\"pinned_at\"]" && live v1 &&
	serve_publish bot two activate=false && test_json "$TEST_DIR/publish.json" "not d[\"activated\"] and d[\"pinned\"]" && live v1 &&
	"$KARTA" projects show >out && test_grep "^pinned  *rollback to v1$" out && test_grep "^pinned by  *admin$" out && test_grep "^since  *20.* \((just now|.* ago)\)$" out &&
	"$KARTA" projects >out && test_grep "^NAME .*PINNED$" out && test_grep "^bot .* (just now|ago) by admin: rollback to v1$" out &&
	"$KARTA" releases >out 2>err && test_grep "^v1 .* active .* (just now|ago) by admin: rollback to v1$" out && test_grep "bot is pinned.*karta releases unpin" err &&
	"$KARTA" releases show >out && test_grep "^pinned by  *admin$" out && test_grep "^since  *20.* \((just now|.* ago)\)$" out &&
	"$KARTA" releases show v2 >out && test_grep "^pinned  *another release.*rollback to v1" out &&
	"$KARTA" releases --json >out && test_json out "all(r[\"pinned\"] and r[\"pinned_by\"] == \"admin\" for r in d[\"data\"])" &&
	"$KARTA" open --print 2>err >out && test_grep "pinned.*rollback to v1" err &&
	curl -sf --resolve "bot.localhost:$SERVE_PORT:127.0.0.1" -H "Authorization: Bearer $SERVE_KEY" \
		"http://bot.localhost:$SERVE_PORT/v1/dev" >out && test_json out "d[\"pin_reason\"] == \"rollback to v1\"" &&
	"$KARTA" releases unpin && serve_publish bot two && test_json "$TEST_DIR/publish.json" "d[\"activated\"]" && live v4
'

test_expect_success 'to a version, with a reason that is shown' '
	"$KARTA" rollback bot --to v2 --reason "v4 answers in French" --json >out &&
	test_json out "d[\"version\"] == \"v2\" and d[\"rolled_back_from\"] == \"v4\"" && live v2 &&
	"$KARTA" projects show >out && test_grep "^pinned  *v4 answers in French$" out &&
	"$KARTA" audit --limit 1 --json >out && test_grep "answers in French" out &&
	test_json out "d[\"data\"][0][\"action\"] == \"release.rollback\"" &&
	"$KARTA" logs --source release --lines 1 >out && test_grep "rolled back to v2" out
'

test_expect_success 'what is not there, was never ready, or is meant otherwise' '
	test_must_exit 5 "$KARTA" rollback --to v99 && test_must_exit 5 "$KARTA" rollback --to nonsense &&
	test_must_exit 5 "$KARTA" rollback nope && cp -r two broken && echo "name = " >broken/karta.toml &&
	! serve_publish bot broken activate=false && test_must_exit 6 "$KARTA" rollback --to v5 2>err && test_grep "never ready" err &&
	test_must_exit 5 "$KARTA" rollback v99 2>err && test_must_exit 2 "$KARTA" rollback bot other && live v2
'

test_expect_success 'configuration goes live on a pinned project, and the pin stays' '
	"$KARTA" config set WORD=new 2>err && test_grep "is live; new sessions get it" err && test_grep "bot stays pinned: v4 answers" err &&
	"$KARTA" releases show --json >out && test_json out "d[\"source\"] == \"config\" and d[\"active\"] and d[\"pinned\"]" &&
	"$KARTA" config unset WORD 2>err && test_grep "bot stays pinned" err && "$KARTA" releases show --json >out &&
	test_json out "d[\"source\"] == \"config\" and d[\"active\"] and d[\"config_version\"] == 2" &&
	"$KARTA" rollback bot --to v2 2>err && live v2
'

test_expect_success 'pinned by hand' '
	"$KARTA" releases unpin && "$KARTA" releases pin --reason "the fair" 2>err && test_grep "bot stays at v2 until" err &&
	"$KARTA" projects show >out && test_grep "^pinned  *the fair$" out && test_must_exit 6 "$KARTA" releases activate v4 2>err &&
	test_grep "held at v2" err && test_grep "^hint: .karta releases unpin" err &&
	"$KARTA" releases unpin bot && "$KARTA" releases activate v4 && "$KARTA" rollback --to v2
'

test_expect_success 'a key without scope admin may not' '
	writer=$("$KARTA" keys create w -q) && test_must_exit 4 env KARTA_API_KEY="$writer" "$KARTA" rollback 2>err && test_grep admin err && live v2
'

test_expect_success 'a session that runs stays on its release' '
	"$KARTA" sessions show "$old" --json >out && test_json out "d[\"release\"] == \"v1\"" &&
	"$KARTA" send --session "$old" Hello >out && test_grep Beans out &&
	"$KARTA" sessions show "$old" --json >out && test_json out "d[\"release\"] == \"v1\""
'

test_expect_success 'the version is an argument, as elsewhere; with the project in any order' '
	"$KARTA" releases unpin bot; for words in "rollback v1" "rollback 2" "releases:rollback v1" "releases rollback v2" \
		"rollback bot 1" "rollout undo --to-revision=2" "rollback v1 bot"; do
		"$KARTA" $words 2>err || { cat err; return 1; }
		want=$(printf %s "$words" | tr -cd 12) && live "v$want" || return 1
	done
'

test_done
