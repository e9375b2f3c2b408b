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
	test_grep "^\.karta/$" my-bot/.gitignore && test_grep "^deploy = true$" my-bot/karta.toml &&
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
	printf "*.o\n.karta/\n.env\n.claude/settings.local.json\n" >want && test_cmp want mine/.gitignore &&
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

for type in rehearsal codex-cli deepagents goose; do
	test_expect_success "--harness $type writes what karta.toml takes" '
		"$KARTA" init "known-$type" --harness "$type" >out 2>err &&
		test_grep "^type = \"$type\"" "known-$type/karta.toml" && test_grep -v "error:" err &&
		test_grep -v command "known-$type/karta.toml"
	'
done

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

# --- the git remote -------------------------------------------------------------------------------

if command -v git >/dev/null; then
	GIT_CONFIG_NOSYSTEM=1
	export GIT_CONFIG_NOSYSTEM

	test_expect_success 'the root of several applications does not become one more' '
		git init -q many && "$KARTA" init --no-remote many/a >out 2>err && mkdir -p many/apps/b && echo hi >many/apps/b/CLAUDE.md &&
		"$KARTA" init many >out 2>err && test ! -e many/karta.toml && test_grep "\.karta/" many/.gitignore &&
		test_grep "applications are in a, apps/b" err && test_grep -v "no harness" err &&
		test "$(git -C many config remote.karta.url)" = karta::http://localhost:8000/many &&
		"$KARTA" init many --json >out && test_json out "d[\"applications_below\"] == [\"a\", \"apps/b\"]" &&
		test_json out "d[\"findings\"] == [] and d[\"written\"] == []" && test ! -e many/karta.toml &&
		"$KARTA" init many --project other >out 2>err && test ! -e many/karta.toml &&
		"$KARTA" init many --harness opencode >out 2>err && test_grep "^type = \"opencode\"" many/karta.toml
	'

	test_expect_success 'in a git repository the remote karta is added, without a server' '
		git init -q repo && "$KARTA" init repo --name shop >out 2>err &&
		test_grep "^added git remote karta karta::http://localhost:8000/shop$" out &&
		test "$(git -C repo config remote.karta.url)" = karta::http://localhost:8000/shop &&
		test_grep "git push karta" err &&
		"$KARTA" init repo >out 2>err && test_grep "^kept  git remote karta" out &&
		"$KARTA" init repo --json >out 2>err &&
		test_json out "d[\"remote\"] == \"karta::http://localhost:8000/shop\" and not d[\"remote_added\"]"
	'

	test_expect_success 'another remote is kept unless it is forced' '
		"$KARTA" --server https://karta.example/base/ init repo >out 2>err &&
		test_grep "^kept  git remote karta karta::http://localhost:8000/shop$" out && test_grep "^warning: .*--force" err &&
		test "$(git -C repo config remote.karta.url)" = karta::http://localhost:8000/shop &&
		"$KARTA" --server https://karta.example/base/ init repo --force >out 2>err &&
		test_grep "^moved git remote karta karta::https://karta.example/base/shop$" out &&
		test "$(git -C repo config remote.karta.url)" = karta::https://karta.example/base/shop
	'

	test_expect_success '--project binds: name and remote' '
		cp repo/karta.toml before && "$KARTA" init repo --project other --force >out 2>err &&
		test_grep "^name = \"other\"$" repo/karta.toml &&
		sed "s/^name = .*/name = \"other\"/" before >want && test_cmp want repo/karta.toml &&
		test "$(git -C repo config remote.karta.url)" = karta::http://localhost:8000/other &&
		test_must_exit 2 "$KARTA" init repo --project other --name shop >out 2>err &&
		test_must_exit 2 "$KARTA" init repo --project "No Slug" >out 2>err
	'

	test_expect_success '--no-remote and folders without git leave remotes alone' '
		git init -q alone && "$KARTA" init alone --no-remote >out 2>err && test_grep -v remote out &&
		! git -C alone config remote.karta.url && "$KARTA" init nogit >out 2>err && test_grep -v remote out
	'

	test_expect_success 'a configuration of the repository that is a link is not written' '
		git init -q linked && mv linked/.git/config "$TEST_DIR/away" && ln -s "$TEST_DIR/away" linked/.git/config && cp "$TEST_DIR/away" before &&
		test_must_exit 4 "$KARTA" init linked >out 2>err && test_grep "config. is a link, which is not followed" err &&
		test_cmp before "$TEST_DIR/away" && test -L linked/.git/config
	'
else
	test_skip 'the git remote' 'git is not installed'
fi

test_expect_success 'a link that was planted is not followed' '
	for how in file dangling loop; do
		mkdir "trap-$how" && rm -rf out-there && mkdir out-there && echo kept >out-there/file && echo x >"trap-$how/CLAUDE.md" &&
		case $how in
		file) ln -s ../out-there/file "trap-$how/.gitignore" ;;
		dangling) ln -s ../out-there/none "trap-$how/.gitignore" ;;
		loop) ln -s .gitignore "trap-$how/.gitignore" ;;
		esac &&
		test_must_exit 4 "$KARTA" init "trap-$how" >out 2>err && test_empty out && test_grep "^karta: .\.gitignore. is a link, which is not followed$" err &&
		test_grep "^hint: " err && test "$(cat out-there/file)" = kept && test "$(ls out-there)" = file &&
		test ! -e "trap-$how/karta.toml" || return 1
	done &&
	mkdir trap-toml && echo "name = \"mine\"" >out-there/toml && cp out-there/toml before && ln -s ../out-there/toml trap-toml/karta.toml && echo x >trap-toml/CLAUDE.md &&
	test_must_exit 4 "$KARTA" init trap-toml --project other >out 2>err && test_cmp before out-there/toml && test -L trap-toml/karta.toml
'

test_done
