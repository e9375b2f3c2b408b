#!/bin/sh
# SPDX-License-Identifier: MIT
# karta deploy: commits, folders and commits the server has; outcomes, previews, GitHub Actions,
# Ctrl-C; against a real server and against one that has bad luck.
. "$(dirname "$0")/../lib/test-lib.sh"

command -v git >/dev/null || test_skip_all 'git is not installed'
command -v node >/dev/null || test_skip_all 'node is not installed'
for var in $(env | sed -n 's/^\(GITHUB_[A-Z_]*\)=.*/\1/p'); do unset "$var"; done

GIT_CONFIG_NOSYSTEM=1
GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.com
GIT_COMMITTER_NAME=A GIT_COMMITTER_EMAIL=a@example.com
export GIT_CONFIG_NOSYSTEM GIT_AUTHOR_NAME GIT_AUTHOR_EMAIL GIT_COMMITTER_NAME GIT_COMMITTER_EMAIL
git config --global init.defaultBranch main
# What tests write beside the application must not make the tree dirty.
printf 'out\nerr\nlist\nlast.json\n' >"$HOME/ignore" && git config --global core.excludesFile "$HOME/ignore"
app=$TEST_ROOT/docs/examples/support-bot

"$KARTA" serve --listen 127.0.0.1:0 --data "$TEST_DIR/data" --offline --key-file key >url 2>serve.err &
test_background $!
test_wait_for grep -q "^http" url || { cat serve.err; exit 1; }
FAKE_LOG=$TEST_DIR/requests
export FAKE_LOG
node "$TEST_ROOT/tests/lib/fake-platform.mjs" >fake.url &
test_background $!
test_wait_for grep -q "^http" fake.url || exit 1
fake=$(cat fake.url)
KARTA_SERVER=$(cat url)
KARTA_API_KEY=$(cat key)
export KARTA_SERVER KARTA_API_KEY

cp -r "$app" shop && rm -rf shop/.karta && sed -i.bak 's/^name = .*/name = "shop"/' shop/karta.toml &&
	rm shop/*.bak && git -C shop init -q && git -C shop add -A && git -C shop commit -qm 'first line' || exit 1

# live PROJECT MEMBER: of the live release.
live() {
	curl -s -H "Authorization: Bearer $KARTA_API_KEY" "$KARTA_SERVER/agent_projects/$1/refs" |
		python3 -c 'import json, sys; print((json.load(sys.stdin).get("live") or {}).get(sys.argv[1]))' "$2"
}
# change: one more commit here.
change() {
	text="more $(git rev-list --all --count)" && echo "$text" >>CLAUDE.md && git commit -qam "$text"
}

test_expect_success 'a commit goes live; the URL is all of stdout' '
	cd shop && "$KARTA" deploy </dev/null >out 2>err && test "$(wc -l <out)" -eq 1 &&
	test_grep "^http://shop\.localhost:[0-9]+$" out && test_grep "^-----> " err &&
	test_grep "^Released v1 of shop in [0-9.]*s" err &&
	test "$(live shop commit_sha)" = "$(git rev-parse HEAD)"
'

test_expect_success 'quiet and --json' '
	cd shop && "$KARTA" deploy -q >out 2>err && test_empty err && test "$(wc -l <out)" -eq 1 &&
	"$KARTA" deploy --json >out 2>err &&
	test_json out "d[\"schema_version\"] == 1 and d[\"release\"][\"state\"] == \"active\"" &&
	test_json out "d[\"url\"].startswith(\"http://shop.\") and d[\"release\"][\"message\"] == \"first line\"" &&
	test_json out "d[\"release\"][\"ref\"] == \"refs/heads/main\" and d[\"release\"][\"source\"] == \"cli\""
'

test_expect_success 'changes that are not committed are refused, or taken as they are' '
	cd shop && echo dirt >>CLAUDE.md && before=$(live shop version) &&
	test_must_exit 6 "$KARTA" deploy >out 2>err && test_empty out &&
	test_grep "not committed (.*)$" err && test_grep "^hint: .*--dirty" err &&
	test "$(live shop version)" = "$before" &&
	"$KARTA" deploy --prod --commit HEAD -q && test "$(live shop commit_sha)" = "$(git rev-parse HEAD)" &&
	"$KARTA" deploy --dirty -m "as it is" --json >out 2>err &&
	test_json out "d[\"release\"][\"commit_sha\"] is None and d[\"release\"][\"message\"] == \"as it is\"" &&
	test_json out "d[\"release\"][\"state\"] == \"active\"" && git checkout -q CLAUDE.md
'

test_expect_success 'previews: a branch, a pull request' '
	cd shop && git checkout -qb feature && change && "$KARTA" deploy >out 2>err &&
	test_grep "^http://shop-feature\." out && test_grep "^Preview v" err &&
	"$KARTA" deploy --pr 7 >out 2>err && test_grep "^http://shop-pr-7\." out &&
	"$KARTA" deploy --ref other >out 2>err && test_grep "^http://shop-other\." out &&
	git checkout -q main
'

test_expect_success '--no-activate and --no-wait' '
	cd shop && change && before=$(live shop version) && "$KARTA" deploy --no-activate --json >out 2>err &&
	test_json out "d[\"release\"][\"state\"] == \"ready\"" && test "$(live shop version)" = "$before" &&
	"$KARTA" deploy --no-wait >out 2>err && test "$(wc -l <out)" -eq 1 && test_grep "^Queued v" err &&
	test_wait_for test "$(live shop version)" != "$before"
'

test_expect_success 'a dry run publishes nothing' '
	cd shop && before=$(live shop version) && change && "$KARTA" deploy -n >out 2>err && test_empty out &&
	test_grep "^Would deploy [0-9]+ files" err && test "$(live shop version)" = "$before" &&
	"$KARTA" deploy -n --json >out 2>err && test_json out "d[\"dry_run\"] and d[\"plan\"][\"files\"] > 5"
'

test_expect_success 'variables for one release; a value never shows in an error' '
	cd shop && "$KARTA" deploy -q --env A=1 -e B=x=y >out 2>err &&
	test_must_exit 2 "$KARTA" deploy --env topsecret >out 2>err && test_grep -v topsecret err &&
	test_must_exit 2 "$KARTA" deploy --env 1A=topsecret >out 2>err && test_grep "cannot be set: letters, digits" err && test_grep -v topsecret err
'

test_expect_success 'a commit that the server has, from anywhere' '
	(cd shop && "$KARTA" deploy -q >out && git rev-parse HEAD >../sha && change && "$KARTA" deploy -q >out) &&
	mkdir -p empty && cd empty && "$KARTA" deploy shop --commit "$(cat ../sha)" >out 2>err &&
	test_grep "^http://shop\." out && test "$(live shop commit_sha)" = "$(cat ../sha)" &&
	"$KARTA" deploy shop --commit "$(cut -c1-8 ../sha)" -q >out 2>err &&
	test_must_exit 5 "$KARTA" deploy shop --commit 0123456789 >out 2>err && test_empty out &&
	test_must_exit 2 "$KARTA" deploy shop --commit main >out 2>err &&
	test_must_exit 2 "$KARTA" deploy shop --commit "$(cat ../sha)" --pr 3 >out 2>err
'

test_expect_success 'a folder without git' '
	cp -r "$app" plain && rm -rf plain/.karta && cd plain && echo secret >.env && echo .env >.gitignore &&
	sed -i.bak "s/^name = .*/name = \"plain\"/" karta.toml && rm ./*.bak &&
	"$KARTA" deploy >out 2>err && test_grep "^http://plain\." out &&
	"$KARTA" --server "$KARTA_SERVER" releases download -p plain -o ../plain.tgz >/dev/null 2>&1 &&
	tar tzf ../plain.tgz >list && test_grep "CLAUDE.md" list && test_grep -v "\.env" list && test_grep "^Left out: one that git ignores " err &&
	cd .. && "$KARTA" deploy --dir plain other-name >out 2>err && test_grep "^http://other-name\." out
'

test_expect_success 'nowhere in particular there is nothing to deploy' '
	mkdir -p nowhere && cd nowhere && test_must_exit 2 "$KARTA" deploy >out 2>err && test_empty out &&
	test_grep "no application here" err && test_grep "^hint:" err
'

test_expect_success 'several applications, and one of them' '
	mkdir many && cd many && git init -q && for a in alpha beta; do
		cp -r "$app" $a && printf "name = \"%s\"\ndeploy = true\n" $a >$a/karta.toml || return 1
	done && git add -A && git commit -qm many &&
	"$KARTA" deploy >out 2>err && test_grep "^http://alpha\." out && test_grep "^http://beta\." out &&
	test "$(wc -l <out)" -eq 2 && cd beta && "$KARTA" deploy >out 2>err && test "$(wc -l <out)" -eq 1 &&
	test_grep "^http://beta\." out && cd .. && "$KARTA" deploy --dir alpha >out 2>err &&
	test_grep "^http://alpha\." out && test "$(wc -l <out)" -eq 1
'

test_expect_success 'a failed build is status 1, and what is live stays' '
	cd shop && before=$(live shop version) && cp karta.toml ../good.toml && echo "name = 3" >karta.toml &&
	git commit -qam bad && test_must_exit 1 "$KARTA" deploy shop >out 2>err && test_empty out &&
	test_grep "^karta: .*v[0-9]+ failed: " err && test "$(live shop version)" = "$before" &&
	test_must_exit 1 "$KARTA" deploy shop --json >out 2>err && test_json out "d[\"error\"][\"code\"] == 1" &&
	cp ../good.toml karta.toml && git commit -qam good
'

test_expect_success 'pinned after a rollback is status 6' '
	cd shop && "$KARTA" deploy -q >out && "$KARTA" rollback shop --yes >out 2>err && change &&
	last=$("$KARTA" releases shop --limit 1 | sed -n "2s/ .*//p") &&
	test_must_exit 6 "$KARTA" deploy >out 2>err && test_empty out &&
	test_grep "^karta: shop is pinned: held at v[0-9]+ since 20[0-9-]+ [0-9:]+ by admin " err &&
	test_grep "^hint: .karta releases unpin shop.*--unpin.*--no-activate" err &&
	test "$("$KARTA" releases shop --limit 1 | sed -n "2s/ .*//p")" = "$last" &&
	"$KARTA" deploy --no-activate >out 2>err && test_grep "^Stored, not active" err &&
	writer=$("$KARTA" keys create pinned -q) &&
	test_must_exit 4 env KARTA_API_KEY="$writer" "$KARTA" deploy --unpin >out 2>err && test_grep "scope .admin." err &&
	"$KARTA" deploy --unpin >out 2>err && test_grep "^Released" err &&
	"$KARTA" projects show shop >out && test_grep -v "^pinned" out
'

test_expect_success 'a shallow clone is enough' '
	git clone -q --depth 1 "file://$PWD/shop" shallow && cd shallow && "$KARTA" deploy shallow >out 2>err &&
	test_grep "^http://shallow\." out
'

# --- GitHub Actions -----------------------------------------------------------------------------

GITHUB_FILES=$TEST_DIR/work/gh
mkdir "$GITHUB_FILES"
cat >"$GITHUB_FILES/event.json" <<'EOT'
{"number": 12, "pull_request": {"number": 12, "head": {"sha": "x", "repo": {"full_name": "them/shop"}},
 "base": {"repo": {"full_name": "us/shop"}}}}
EOT
# actions COMMAND...: as a step of a job.
actions() {
	: >"$GITHUB_FILES/out" && : >"$GITHUB_FILES/summary"
	env GITHUB_ACTIONS=true CI=true GITHUB_OUTPUT="$GITHUB_FILES/out" \
		GITHUB_STEP_SUMMARY="$GITHUB_FILES/summary" "$@"
}

test_expect_success 'a push in GitHub Actions: outputs and summary' '
	cd shop && git checkout -q --detach && actions GITHUB_REF=refs/heads/main "$KARTA" deploy >out 2>err &&
	test_grep "^url=http://shop\." ../gh/out && test_grep "^release=rel_" ../gh/out &&
	test_grep "^version=v" ../gh/out && test_grep "^commit=$(git rev-parse HEAD)" ../gh/out &&
	test_grep "^\| shop \| v[0-9]+ \| active \| http" ../gh/summary && test "$(wc -l <out)" -eq 1 &&
	git checkout -q main
'

test_expect_success 'a pull request from a fork in GitHub Actions' '
	cd shop && actions GITHUB_REF=refs/pull/12/merge GITHUB_HEAD_REF=patch-1 \
		GITHUB_EVENT_PATH="$GITHUB_FILES/event.json" "$KARTA" deploy --json >out 2>err &&
	test_json out "d[\"release\"][\"pr\"] == 12 and d[\"release\"][\"fork\"] is True" &&
	test_json out "d[\"release\"][\"ref\"] == \"refs/heads/patch-1\" and d[\"release\"][\"state\"] == \"preview\""
'

test_expect_success 'annotations are commands of their own, also with a hostile server' '
	cd shop && test_must_exit 1 actions GITHUB_REF=refs/heads/main "$KARTA" --server "$fake" deploy fails >out 2>err &&
	test_grep "^::warning title=karta deploy,file=karta.toml,line=3,col=1::a remark$" err &&
	test_grep "^::error title=karta deploy,file=karta.toml,line=1,col=1::no " err &&
	actions "$KARTA" --server "$fake" deploy evil >out 2>err &&
	test "$(grep -c "^::" err)" -eq 1
'

test_expect_success 'outside of GitHub Actions nothing of it' '
	cd shop && GITHUB_OUTPUT=../gh/none "$KARTA" --server "$fake" deploy cut >out 2>err &&
	test ! -e ../gh/none && test_grep -v "^::" err
'

# --- misfortunes ----------------------------------------------------------------------------------

test_expect_success 'the log goes on where it broke off, each line once' '
	cd shop && "$KARTA" --server "$fake" deploy cut >out 2>err &&
	test "$(grep -c "^-----> Unpacked" err)" -eq 1 && test "$(grep -c "^-----> Checking" err)" -eq 1
'

test_expect_success 'a ref that moved is status 6 unless it is forced' '
	cd shop && test_must_exit 6 "$KARTA" --server "$fake" deploy moved >out 2>err && test_empty out &&
	grep "\"expected_commit\"\|\"force\"" "$FAKE_LOG" | tail -1 >last.json && test_json last.json "d[\"body\"][\"expected_commit\"] == \"\"" &&
	test_must_exit 6 "$KARTA" --server "$fake" deploy moved --force >out 2>err &&
	grep "\"expected_commit\"\|\"force\"" "$FAKE_LOG" | tail -1 >last.json &&
	test_json last.json "\"expected_commit\" not in d[\"body\"] and d[\"body\"][\"force\"]" && rm last.json
'

test_expect_success 'no right, no server, no time' '
	cd shop && test_must_exit 4 "$KARTA" --server "$fake" deploy denied >out 2>err && test_empty out &&
	test_grep "this key may not write" err &&
	test_must_exit 3 "$KARTA" --server http://127.0.0.1:1 deploy >out 2>err && test_empty out &&
	test_must_exit 4 env KARTA_API_KEY=kt_live_wrong "$KARTA" deploy >out 2>err && test_grep -v kt_live err &&
	test_must_exit 3 "$KARTA" --server "$fake" --timeout $((3 * TEST_SLOW))s deploy slow >out 2>err && test_empty out &&
	test_grep "the deploy goes on" err && test_grep "release rel_" err &&
	test_must_exit 3 "$KARTA" --server "$fake" --timeout 1s deploy hang >out 2>err &&
	test_grep "nothing was released" err
'

test_expect_success 'Ctrl-C lets go and says what goes on' '
	cd shop && python3 -c "
import signal, subprocess, sys, time
p = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=open(\"../int.out\", \"w\"),
    stderr=open(\"../int.err\", \"w\"))
for _ in range(1800):
    if \"Unpacked\" in open(\"../int.err\").read(): break
    time.sleep(0.05)
p.send_signal(signal.SIGINT)
sys.exit(p.wait(90) != -signal.SIGINT)" "$KARTA" --server "$fake" deploy slow &&
	test_empty ../int.out && test_grep "^The deploy goes on without this terminal: release rel_" ../int.err &&
	test_grep "karta logs -p slow" ../int.err
'

test_expect_success 'in a linked repository the remote names the project, as for a push' '
	cd shop && git remote add karta "karta::$KARTA_SERVER/linked" && "$KARTA" deploy >out 2>err &&
	test_grep "^http://linked\.localhost:" out &&
	test_grep "^Released v1 of linked" err && git remote remove karta
'

test_expect_success 'the repository is read without the certificates of the system' '
	cd shop && ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 strace -f -o ../trace -e trace=openat "$KARTA" deploy --dry-run >out 2>err &&
	test_grep "libgit2" ../trace && test_grep "/objects/" ../trace && test_must_exit 1 grep -E "ssl/certs|ca-cert" ../trace
'

test_done
