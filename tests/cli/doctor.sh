#!/bin/sh
# SPDX-License-Identifier: MIT
# karta doctor
. "$(dirname "$0")/../lib/test-lib.sh"

mkdir -p app bin
echo "You are Beans." >app/CLAUDE.md

# fake NAME LINE...: a program that answers --version
fake() {
	{
		echo '#!/bin/sh'
		shift
		printf '%s\n' "$@"
	} >"bin/program"
	chmod +x bin/program
}

test_expect_success 'a harness that is there: its version, exit 0' '
	fake x "echo \"2.1.197 (Claude Code)\"" &&
	KARTA_CLAUDE="$PWD/bin/program" ANTHROPIC_API_KEY=sk-secret-value \
		"$KARTA" doctor --dir app >out 2>err &&
	test_empty err &&
	test_grep "^✓ folder +app: claude-code, 0 agents, 0 skills" out &&
	test_grep "^✓ harness +claude-code 2\.1\.197 \(.*/bin/program\)" out &&
	test_grep "^✓ credential +ANTHROPIC_API_KEY is set" out &&
	test_grep "^✓ data " out &&
	test_grep -v -F "sk-secret-value" out
'

test_expect_success 'a harness that is missing: an error with its fix, exit 1' '
	KARTA_CLAUDE="$PWD/bin/nothing" test_must_exit 1 "$KARTA" doctor --dir app >out 2>err &&
	test_grep "^✗ harness +claude-code: KARTA_CLAUDE names" out &&
	test_grep "fix: correct or unset KARTA_CLAUDE" out &&
	test_grep "^! credential +no credential for Claude Code" out &&
	test_grep "1 problem stands in the way of karta dev" err
'

test_expect_success 'a log-in file counts as a credential' '
	mkdir -p "$HOME/.claude" && echo "{\"token\":\"sk-secret-value\"}" >"$HOME/.claude/.credentials.json" &&
	KARTA_CLAUDE="$PWD/bin/program" "$KARTA" doctor --dir app >out &&
	test_grep "^✓ credential +Claude Code is logged in" out &&
	test_grep -v -F "sk-secret-value" out
'

test_expect_success 'a version that does not fit is a warning' '
	printf "[harness]\ntype = \"claude-code\"\nversion = \"2.1.1\"\n" >app/karta.toml &&
	KARTA_CLAUDE="$PWD/bin/program" "$KARTA" doctor --dir app >out &&
	test_grep "^! harness +claude-code 2\.1\.197 is not the version 2\.1\.1" out &&
	sed -i "s/2\.1\.1/2.1/" app/karta.toml &&
	KARTA_CLAUDE="$PWD/bin/program" "$KARTA" doctor --dir app >out &&
	test_grep "^✓ harness +claude-code 2\.1\.197" out
'

test_expect_success 'a program that hangs is stopped after 5 seconds, with its children' '
	fake x "sleep 600 & echo \$! >child; wait" &&
	start=$(date +%s) &&
	KARTA_CLAUDE="$PWD/bin/program" "$KARTA" doctor --dir app >out &&
	test $(($(date +%s) - start)) -lt 300 &&
	test_grep "^! harness +claude-code: no answer to --version within 5 seconds" out &&
	test_wait_for sh -c "! kill -0 $(cat child)"
'

test_expect_success 'a program that fails is an error' '
	fake x "exit 3" &&
	KARTA_CLAUDE="$PWD/bin/program" test_must_exit 1 "$KARTA" doctor --dir app >out 2>err &&
	test_grep "^✗ harness +claude-code: the program does not run" out
'

test_expect_success '--json: one object, also with errors' '
	KARTA_CLAUDE="$PWD/bin/nothing" test_must_exit 1 "$KARTA" doctor --dir app --json >out 2>err &&
	test_empty err &&
	test_json out "d[\"ok\"] is False and d[\"errors\"] == 1" &&
	test_json out "[c[\"fix\"] for c in d[\"checks\"] if c[\"status\"] == \"error\"][0]"
'

test_expect_success 'findings of the folder are shown, --quiet shows nothing else' '
	fake x "echo 2.1.197" &&
	printf "deploi = true\n" >app/karta.toml &&
	KARTA_CLAUDE="$PWD/bin/program" "$KARTA" doctor --dir app --quiet >out &&
	test_grep "^! folder +karta.toml:1:1: unknown key .deploi." out &&
	test_grep -v "^✓" out
'

test_expect_success 'no application: run karta init' '
	mkdir none &&
	test_must_exit 1 "$KARTA" doctor --dir none >out 2>err &&
	test_grep "^✗ folder +no harness application here" out &&
	test_grep "fix: run .karta init." out &&
	test_must_exit 5 "$KARTA" doctor --dir missing 2>err
'

test_expect_success 'a data folder that others can read, and one that cannot be' '
	mkdir -m 755 data && echo x >file && rm app/karta.toml &&
	KARTA_DATA="$PWD/data" KARTA_CLAUDE="$PWD/bin/program" "$KARTA" doctor --dir app >out &&
	test_grep "^! data +other users can look" out &&
	test_grep "fix: chmod 700" out &&
	KARTA_DATA="$PWD/file/data" KARTA_CLAUDE="$PWD/bin/program" \
		test_must_exit 1 "$KARTA" doctor --dir app >out 2>err &&
	test_grep "^✗ data +cannot write" out
'

test_expect_success 'without UTF-8 the marks are ASCII' '
	LC_ALL=C KARTA_CLAUDE="$PWD/bin/program" "$KARTA" doctor --dir app >out &&
	test_grep "^\+ folder" out
'

test_done
