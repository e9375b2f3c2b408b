#!/bin/sh
# SPDX-License-Identifier: MIT
# karta agents
. "$(dirname "$0")/../lib/test-lib.sh"

mkdir -p app/.claude/agents app/.claude/skills/refund
echo "You are Beans." >app/CLAUDE.md
printf -- '---\nname: billing\ndescription: money\nmodel: haiku\n---\nBill.\n' \
	>app/.claude/agents/billing.md
printf -- '---\nname: refund\ndescription: how to refund\n---\n' >app/.claude/skills/refund/SKILL.md

test_expect_success 'agents and skills are listed' '
	"$KARTA" agents --dir app >out 2>err &&
	test_empty err &&
	test_grep "^AGENT +ROLE +MODEL +FILE +DESCRIPTION" out &&
	test_grep "^default +default +- +CLAUDE.md" out &&
	test_grep "^billing +sub-agent +haiku +.claude/agents/billing.md +money" out &&
	test_grep "^refund +.claude/skills/refund/SKILL.md +how to refund" out
'

test_expect_success '--json' '
	(cd app && "$KARTA" agents --json >../out) &&
	test_json out "d[\"default_agent\"] == \"default\" and d[\"harness\"] == \"claude-code\"" &&
	test_json out "[a[\"name\"] for a in d[\"agents\"]] == [\"default\", \"billing\"]" &&
	test_json out "d[\"agents\"][1][\"model\"] == \"haiku\" and d[\"skills\"][0][\"name\"] == \"refund\""
'

test_expect_success 'warnings go to stderr with a place and a fix, exit 0' '
	echo "naem = \"x\"" >app/karta.toml &&
	"$KARTA" agents --dir app >out 2>err &&
	test_grep "^karta.toml:1:1: warning: unknown key .naem. .did you mean .name.\?." err &&
	test_grep "^  fix: rename it to .name." err &&
	test_grep "^billing" out &&
	"$KARTA" agents --dir app --quiet 2>err &&
	test_empty err
'

test_expect_success 'errors: exit 1, also with --quiet' '
	printf "name = \"x\"\ndeploy = 1\n" >app/karta.toml &&
	test_must_exit 1 "$KARTA" agents --dir app --quiet >out 2>err &&
	test_grep "^karta.toml:2:1: error: .deploy. must be true or false" err &&
	test_grep "^billing" out &&
	test_grep "1 error in the application" err
'

test_expect_success 'errors with --json: one object, exit 1' '
	test_must_exit 1 "$KARTA" agents --dir app --json >out 2>err &&
	test_empty err &&
	test_json out "d[\"findings\"][0][\"line\"] == 2 and d[\"findings\"][0][\"severity\"] == \"error\""
'

test_expect_success 'what the harness leaves out is a warning and stops nothing' '
	rm app/karta.toml &&
	printf "%s\n" "---" "name: billing" "description: Use this: money" "---" >app/.claude/agents/billing.md &&
	printf "%s\n" "---" "name: silent" "---" >app/.claude/agents/silent.md &&
	printf "%s\n" "---" "name: \"x" "---" >app/.claude/agents/broken.md &&
	echo "# Our agents" >app/.claude/agents/README.md &&
	mkdir -p app/.claude/commands/git && echo "Commit." >app/.claude/commands/git/commit.md &&
	"$KARTA" agents --dir app >out 2>err &&
	test_grep "^billing +sub-agent .*Use this: money" out &&
	test_grep "^COMMAND +FILE" out &&
	test_grep "^/git:commit +.claude/commands/git/commit.md" out &&
	! grep -qE "^(silent|broken)" out &&
	test_grep "silent.md: warning: no agent for Claude Code: .silent. has no .description." err &&
	test_grep "broken.md:[0-9]+:[0-9]+: warning: no agent for Claude Code: its front matter is no YAML" err &&
	! grep -q README err &&
	"$KARTA" doctor --dir app >out 2>err || true &&
	test_grep "! folder +.claude/agents/silent.md: no agent for Claude Code" out
'

test_expect_success 'what keeps OpenCode from starting is an error, the rest is listed' '
	mkdir -p open/.opencode/agent && echo "You are Beans." >open/AGENTS.md &&
	printf "%s\n" "---" "description: helps" "---" >open/.opencode/agent/good.md &&
	printf "%s\n" "---" "tools: Read, Grep" "---" >open/.opencode/agent/bad.md &&
	test_must_exit 1 "$KARTA" agents --dir open >out 2>err &&
	test_grep "bad.md:1:1: error: OpenCode does not start with this: .tools. must be" err &&
	test_grep "^good" out
'

test_expect_success 'no application' '
	mkdir none &&
	test_must_exit 1 "$KARTA" agents --dir none >out 2>err &&
	test_empty out &&
	test_grep "no harness application here" err &&
	test_grep "fix: run .karta init." err &&
	test_must_exit 5 "$KARTA" agents --dir missing 2>err &&
	test_grep "missing" err
'

test_expect_success 'control characters in files do not reach the terminal' '
	printf -- "---\nname: evil\ndescription: \"a\\\\e[31mb\"\n---\n" >app/.claude/agents/evil.md &&
	rm -f app/karta.toml &&
	"$KARTA" agents --dir app >out &&
	test_grep "^evil" out &&
	! grep "$(printf "\033")" out
'

test_done
