#!/bin/sh
# SPDX-License-Identifier: MIT
# git-remote-karta: `git push karta` against a real server, what git's t5801 asks of a remote helper
# that pushes, and what a hostile address, ref or server may not do.
. "$(dirname "$0")/../lib/test-lib.sh"

command -v git >/dev/null || test_skip_all 'git is not installed'
command -v node >/dev/null || test_skip_all 'node is not installed'

mkdir "$TEST_DIR/bin" && ln -s "$KARTA" "$TEST_DIR/bin/git-remote-karta"
PATH=$TEST_DIR/bin:$PATH
GIT_CONFIG_NOSYSTEM=1
GIT_TERMINAL_PROMPT=0
GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.com
GIT_COMMITTER_NAME=A GIT_COMMITTER_EMAIL=a@example.com
export PATH GIT_CONFIG_NOSYSTEM GIT_TERMINAL_PROMPT GIT_AUTHOR_NAME GIT_AUTHOR_EMAIL
export GIT_COMMITTER_NAME GIT_COMMITTER_EMAIL
git config --global init.defaultBranch main
helper=$TEST_DIR/bin/git-remote-karta
app=$TEST_ROOT/docs/examples/support-bot

"$KARTA" serve --listen 127.0.0.1:0 --data "$TEST_DIR/data" --offline --key-file key >url 2>serve.err &
test_background $!
test_wait_for grep -q "^http" url || { cat serve.err; exit 1; }
url=$(cat url)
KARTA_API_KEY=$(cat key)
export KARTA_API_KEY

# refs PROJECT: what the server says, into refs.json.
refs() {
	curl -s -H "Authorization: Bearer $KARTA_API_KEY" "$url/agent_projects/$1/refs" >"$TEST_DIR/work/refs.json"
}

# app DIR [PROJECT]: a repository with an application, one commit, and the remote.
app() {
	cp -r "$app" "$1" && rm -rf "$1/.karta" && git -C "$1" init -q &&
	git -C "$1" add -A && git -C "$1" commit -qm "first of $1" &&
	git -C "$1" remote add karta "karta::$url/${2:-$1}"
}

# change [TEXT]: one more commit here, another one than any before, also within the same second.
change() {
	text=${1:-more $(git rev-list --all --count)}
	echo "$text" >>CLAUDE.md && git commit -qam "$text"
}

test_expect_success 'a first push of another branch says what goes live; init does, too' '
	app branchy && cd branchy && git branch -m trunk && "$KARTA" --server "$url" init --force --project branchy >out 2>err && test_grep "git push karta trunk:main$" err &&
	git push karta trunk 2>err && test_grep "nothing is live yet: the branch main goes live" err && test_grep "fix: git push karta trunk:main" err &&
	git push karta trunk:main 2>err && test_grep "Activated" err && git commit -q --allow-empty -m next &&
	git push karta trunk 2>err && test_grep "Preview" err && test_must_exit 1 grep "nothing is live" err
'

test_expect_success 'the first push makes the project, the release and its URL' '
	app shop && cd shop && git push karta main >out 2>err &&
	test_grep "^remote: -----> " err &&
	test_grep "^remote: Released v1 of shop in [0-9.]*s" err &&
	test_grep "^remote: http://shop\.localhost" err &&
	test_grep "\* \[new branch\] +main -> main" err &&
	refs shop && test_json ../refs.json "d[\"refs\"][\"refs/heads/main\"] == \"$(git rev-parse HEAD)\"" &&
	test_json ../refs.json "d[\"live\"][\"version\"] == \"v1\""
'

test_expect_success 'nothing new: nothing is sent' '
	cd shop && git push karta main 2>err && test_grep "^Everything up-to-date" err
'

test_expect_success 'a change is the next release; -q says nothing' '
	cd shop && change && git push -q karta main >out 2>err && test_empty out && test_empty err &&
	refs shop && test_json ../refs.json "d[\"live\"][\"version\"] == \"v2\""
'

test_expect_success 'only what is new is sent' '
	cd shop && head -c 100000 /dev/urandom >big.bin && git add big.bin && git commit -qm big &&
	git push -q karta main && change &&
	strace -f -qq -e trace=sendto,sendmsg -o ../trace git push -q karta main 2>err ||
	{ grep -q "strace: not found" err && git push -q karta main && return 0; }
	test "$(sed -n "s/.* = \([0-9]*\)\$/\1/p" ../trace | awk "{ s += \$1 } END { print s }")" -lt 20000
'

test_expect_success 'small changes of text go in the document, others as a bundle' '
	cd shop && { strace -V >/dev/null 2>&1 || return 0; }
	printf "grüße\nzwei\n" >u.txt && git add u.txt && git commit -qm text && git push -q karta main &&
	printf "grüne\nzweí\n" >u.txt && git commit -qam text &&
	strace -f -qq -s 9999 -e trace=sendmsg -o ../trace git push -q karta main 2>err &&
	grep -q "from.*head.*text" ../trace && ! grep -q karta.bundle ../trace &&
	refs shop && test_json ../refs.json "d[\"live\"][\"commit_sha\"] == \"$(git rev-parse HEAD)\"" &&
	: >u.txt && git commit -qam none &&
	strace -f -qq -s 9999 -e trace=sendmsg -o ../trace git push -q karta main 2>err &&
	! grep -q karta.bundle ../trace &&
	printf "a\000b" >u.txt && git commit -qam bytes &&
	strace -f -qq -s 9999 -e trace=sendmsg -o ../trace git push -q karta main 2>err &&
	grep -q karta.bundle ../trace &&
	refs shop && test_json ../refs.json "d[\"live\"][\"commit_sha\"] == \"$(git rev-parse HEAD)\""
'

test_expect_success 'another branch is a preview, deleting it ends that' '
	cd shop && git checkout -qb feature/x && change && git push karta HEAD 2>err &&
	test_grep "^remote: Preview v[0-9]+ of shop" err &&
	test_grep "^remote: http://shop-feature-x\.localhost" err &&
	git push karta --delete feature/x 2>err && test_grep -- "- \[deleted\] +feature/x" err &&
	refs shop && test_json ../refs.json "\"refs/heads/feature/x\" not in d[\"refs\"]" &&
	git checkout -q main
'

test_expect_success 'the production branch is not deleted' '
	cd shop && test_must_exit 1 git push karta :main 2>err &&
	test_grep "! \[remote rejected\] main \(the production branch" err
'

test_expect_success 'what is not there cannot be deleted' '
	cd shop && ! git push karta :nothing 2>err && refs shop &&
	test_json ../refs.json "d[\"live\"] is not None"
'

test_expect_success 'a dry run changes nothing' '
	cd shop && change && refs shop && cp ../refs.json ../before.json &&
	git push -n karta main >out 2>err && test_grep "main -> main" err && test_grep -v "^remote:" err &&
	refs shop && test_cmp ../before.json ../refs.json
'

test_expect_success 'several refs at once, the production branch last' '
	cd shop && git branch -f one && git branch -f two && git push karta main one two >out 2>err &&
	grep -o "^remote: [A-Z][a-z]* v[0-9]*" err | sed "s/ v.*//" >kinds &&
	printf "remote: Preview\nremote: Preview\nremote: Released\n" >want && test_cmp want kinds
'

test_expect_success 'fifty refs' '
	cd shop && set -- && for i in $(seq 50); do git branch -f "n/$i" && set -- "$@" "n/$i"; done &&
	git push -q karta "$@" 2>err && refs shop &&
	test_json ../refs.json "len([r for r in d[\"refs\"] if r.startswith(\"refs/heads/n/\")]) == 50" &&
	git push -q karta $(printf ":%s " "$@")
'

test_expect_success 'a push that is no fast-forward is refused unless it is forced' '
	cd shop && git reset -q --hard HEAD~1 && change other && test_must_exit 1 git push karta main 2>err &&
	test_grep "! \[rejected\] +main -> main \((non-fast-forward|fetch first)\)" err &&
	git push -f karta main 2>err && test_grep "\(forced update\)" err &&
	change && git push --force-with-lease=main:"$(git rev-parse HEAD~1)" karta main 2>err &&
	change && ! git push --force-with-lease=main:"$(git rev-parse HEAD~3)" karta main 2>err &&
	test_grep "stale info" err && git push -q karta main
'

test_expect_success 'a commit that is not known here asks to fetch first' '
	git clone -q shop other && cd other && git remote add karta "karta::$url/shop" &&
	change elsewhere && git push -q karta HEAD:main && cd ../shop && change here &&
	test_must_exit 1 git push karta main 2>err &&
	test_grep "! \[rejected\] +main -> main \(fetch first\)" err && git push -qf karta main
'

test_expect_success 'tags: of a released commit nothing happens, else a release that is not live' '
	cd shop && git tag -a v1.0 -m one && git push karta v1.0 2>err &&
	test_grep "is released already" err && test_grep "\[new tag\]" err &&
	git push karta v1.0 2>err && test_grep "\[new tag\]" err &&
	refs shop && cp ../refs.json ../before.json &&
	git checkout -q --detach && change tagged && git tag v2.0 && git push karta v2.0 2>err &&
	test_grep "\[new tag\]" err && git checkout -q main && refs shop &&
	test_json ../refs.json "d[\"live\"] == __import__(\"json\").load(open(\"../before.json\"))[\"live\"]"
'

test_expect_success '--atomic: one that is refused refuses all' '
	cd shop && change && refs shop && cp ../refs.json ../before.json &&
	test_must_exit 1 git push --atomic karta one main:refs/heads/a1 :two :main 2>err &&
	test_grep "atomic push failed" err && refs shop && test_cmp ../before.json ../refs.json &&
	git push -q --atomic karta main main:refs/heads/a1 && refs shop &&
	test_json ../refs.json "\"refs/heads/a1\" in d[\"refs\"]"
'

test_expect_success 'names of all sorts' '
	cd shop && for name in "a-b--c" "übung/größe" "日本" "x+y=z" "a.b_c"; do
		git push -q karta "main:refs/heads/$name" || return 1
		refs shop && test_json ../refs.json "\"refs/heads/$name\" in d[\"refs\"]" || return 1
	done &&
	test_must_exit 1 git push karta main:refs/heads/-x 2>err &&
	test_grep "! \[remote rejected\] main -> -x \(karta takes no ref of this name\)" err
'

test_expect_success 'push options' '
	cd shop && git push -o no-activate -o message="by hand" -o env=A=b karta main:refs/heads/opt 2>err &&
	change && refs shop && cp ../refs.json ../before.json &&
	test_must_exit 128 git push -o nonsense karta main 2>err &&
	test_grep "no push option of karta: .nonsense." err && refs shop && test_cmp ../before.json ../refs.json &&
	git push -o no-activate karta main 2>err && test_grep "not active" err && refs shop &&
	test_json ../refs.json "d[\"live\"][\"commit_sha\"] != \"$(git rev-parse HEAD)\""
'

test_expect_success 'a failed build rejects the ref, and the same commit can be pushed again' '
	app broken && cd broken && cp karta.toml ../good.toml && echo "name = 3" >karta.toml &&
	git commit -qam broken && test_must_exit 1 git push karta main 2>err &&
	test_grep "! \[remote rejected\] main -> main \(v1 failed: " err &&
	test_must_exit 1 git push karta main 2>err && test_grep "v2 failed" err &&
	cp ../good.toml karta.toml && git commit -qam good && git push -q karta main
'

# live: the version that is live.
live() {
	"$KARTA" --server "$url" releases show -p shop --json >../live.json &&
	sed "s/.*\"version\":\"\(v[0-9]*\)\".*/\1/" ../live.json
}

test_expect_success 'a pinned project refuses the push before anything is sent, unless it is to unpin or to store' '
	cd shop && git push -q karta main && change && git push -q karta main && newest=$(live) &&
	"$KARTA" --server "$url" rollback shop --yes --reason "in French" >/dev/null 2>&1 && old=$(live) &&
	test "$old" != "$newest" &&
	test_must_exit 1 git push karta main 2>err && test_grep "^remote: shop is held at $old since 20" err &&
	test_grep "! \[remote rejected\] main -> main \(held at $old since 20.* by admin \(in French\): karta releases unpin, or git push -o unpin karta main\)" err &&
	change && test_must_exit 1 git push karta main 2>err && test_grep -v "Unpacked" err && test "$(live)" = "$old" &&
	git push karta HEAD:refs/heads/beside 2>err && test_grep "Preview" err &&
	git push -o no-activate karta main 2>err && test_grep "Stored, not active" err && test "$(live)" = "$old" &&
	git push -o unpin karta main 2>err && test_grep "^remote: Released" err && test "$(live)" != "$old" &&
	"$KARTA" --server "$url" projects show shop >../out && test_grep -v "^pinned" ../out &&
	git push karta main 2>err && test_grep "^Everything up-to-date" err
'

test_expect_success 'what was pushed and is not live is pushed again, but not over newer commits' '
	cd shop && change && git push -q -o no-activate karta main && refs shop &&
	test_json ../refs.json "d[\"live\"][\"commit_sha\"] != \"$(git rev-parse HEAD)\"" &&
	git push karta main 2>err && test_grep "^remote: Released" err && refs shop &&
	test_json ../refs.json "d[\"live\"][\"commit_sha\"] == \"$(git rev-parse HEAD)\"" &&
	"$KARTA" --server "$url" rollback shop --yes >/dev/null 2>&1 && "$KARTA" --server "$url" releases unpin shop 2>/dev/null &&
	refs shop && git checkout -q -b aside "$(sed "s/.*\"live\":{[^}]*\"commit_sha\":\"\([0-9a-f]*\)\".*/\1/" ../refs.json)" && change &&
	test_must_exit 1 git push karta HEAD:main 2>err && test_grep "rejected.*non-fast-forward" err &&
	git checkout -q main && git push karta main 2>err && test_grep "^remote: Released" err
'

test_expect_success 'several applications in one repository: each goes to its own project' '
	mkdir many && cd many && git init -q && for a in alpha beta gamma; do
		cp -r "$app" $a && printf "name = \"%s\"\ndeploy = true\n" $a >$a/karta.toml || return 1
	done && sed -i.bak "s/true/false/" gamma/karta.toml && rm gamma/*.bak &&
	git add -A && git commit -qm many && git remote add karta "karta::$url/many" &&
	git push karta main 2>err && test_grep "^remote: Released v1 of alpha" err &&
	test_grep "^remote: Released v1 of beta" err && test_grep -v gamma err &&
	refs alpha && test_json ../refs.json "d[\"live\"][\"version\"] == \"v1\"" &&
	git push karta main 2>err && test_grep "^Everything up-to-date" err &&
	echo "name = 3" >beta/karta.toml && echo "deploy = true" >>beta/karta.toml && git commit -qam bad &&
	test_must_exit 1 git push karta main 2>err &&
	test_grep "! \[remote rejected\] main -> main" err &&
	printf "name = \"beta\"\ndeploy = true\n" >beta/karta.toml && git commit -qam good &&
	git push karta main 2>err && test_grep "^remote: Released v[0-9]* of beta" err &&
	git push karta main 2>err && test_grep "^Everything up-to-date" err
'

test_expect_success 'folders that are not to be deployed are named' '
	mkdir none && cd none && git init -q && mkdir agent && echo "name = \"n\"" >agent/karta.toml &&
	git add -A && git commit -qm none && git remote add karta "karta::$url/none" &&
	test_must_exit 1 git push karta main 2>err && test_grep "deploy = true into agent/karta.toml" err
'

test_expect_success 'from a shallow clone, a worktree and a bare repository' '
	git clone -q --depth 1 "file://$PWD/shop" shallow && git -C shallow push "karta::$url/shallow" main 2>err &&
	test_grep "Released v1 of shallow" err &&
	git -C shop worktree add -q ../tree -b tree && git -C tree push "karta::$url/tree" HEAD:main 2>err &&
	test_grep "Released v1 of tree" err &&
	git clone -q --bare shop bare.git && git -C bare.git push "karta::$url/bare" main 2>err &&
	test_grep "Released v1 of bare" err
'

test_expect_success 'another object format says why' '
	git init -q --object-format=sha256 sha256 2>/dev/null || return 0
	cd sha256 && cp "$app/CLAUDE.md" . && git add -A && git commit -qm x &&
	test_must_exit 1 git push "karta::$url/sha256" main 2>err &&
	test_grep "! \[remote rejected\] main -> main \(.*SHA-256" err
'

test_expect_success 'what cannot be packed says why' '
	app sub && cd sub && git -c protocol.file.allow=always submodule --quiet add ../shop shop && git commit -qm sub &&
	test_must_exit 1 git push karta main 2>err && test_grep "remote rejected.*submodule" err
'

test_expect_success 'fetch, pull, ls-remote and remote show say where the refs are' '
	cd shop && git push -qf karta main && sha=$(git rev-parse main) && git update-ref -d refs/remotes/karta/main &&
	git fetch karta 2>err && test "$(git rev-parse karta/main)" = "$sha" && git fetch --all && git pull -q karta main &&
	git fetch --refetch karta main && git ls-remote karta >out && grep -q "^$sha	refs/heads/main$" out && grep -q "^$sha	HEAD$" out &&
	git remote show karta >out && test_grep "HEAD branch: main" out && test_grep "up to date" out && git remote update &&
	(cd / && git ls-remote "karta::$url/shop") >out && grep -q "^$sha	refs/heads/main$" out
'

test_expect_success 'a commit that is not here is left out with a word, and breaks no fetch' '
	git clone -q shop away && (cd away && change away && git push -qf "karta::$url/shop" HEAD:main) && cd shop &&
	git fetch karta 2>err && test_grep "^remote: main is at .*, which is not in this repository" err &&
	test_grep "no history" err && git fetch -q --all 2>err && test_empty err && git ls-remote karta >out 2>err && ! grep -q "refs/heads/main$" out && test_grep "main is at" err &&
	! git pull karta main 2>err && test_grep "^remote: main is at" err && git push -qf karta main
'

test_expect_success 'clone is refused with what to do; a project that is none says how to make it' '
	! git clone -q "karta::$url/shop" x 2>err && test_grep "^hint: .*karta releases download -p shop" err && test ! -e x &&
	git init -q fresh && cd fresh && git remote add karta "karta::$url/fresh" && git fetch karta 2>err &&
	test_grep "no project fresh yet: git push karta main" err
'

test_expect_success 'the hook of git-lfs is told that its files stay here, and another store is left alone' '
	app hooked && cd hooked && cat >.git/hooks/pre-push <<-\END && chmod +x .git/hooks/pre-push &&
	#!/bin/sh
	# git lfs pre-push
	test "$(git config remote.karta.lfspushurl)" = "file://$(pwd -P | sed "s/ /%20/g")/.git/"
	END
	git push karta main 2>err && test_grep "^remote: git-lfs: .*remote.karta.lfspushurl" err && change && git push karta main 2>err &&
	! grep -q git-lfs err && cd .. && mv hooked "hooked there" && cd "hooked there" && change && git push karta main 2>err && ! grep -q "^remote: git-lfs" err &&
	git config remote.karta.lfspushurl https://lfs.example && echo "exit 0" >.git/hooks/pre-push && mkdir .git/lfs && change && git push -q karta main &&
	test "$(git config remote.karta.lfspushurl)" = https://lfs.example
'

test_expect_success 'git-lfs itself' '
	command -v git-lfs >/dev/null || { echo "git-lfs is not installed"; return 0; }
	app large && cd large && git lfs install --local && git lfs track "*.bin" && head -c 5000000 /dev/urandom >a.bin && git add -A && git commit -qm lfs &&
	git push karta main >out 2>err && test_grep "Released" err && "$KARTA" releases download --server "$url" -p large -o ../large.tgz &&
	git config --unset remote.karta.lfspushurl && change && git push "karta::$url/large" main 2>err && test_grep "Released" err &&
	git remote remove karta && echo more >b.bin && git add -A && git commit -qm more && ! git push "karta::$url/large" main 2>err &&
	test_grep "^remote: git-lfs: its hook stops new files of a push to a URL; git push --no-verify" err &&
	git push --no-verify "karta::$url/large" main 2>err && test_grep "Released" err &&
	mkdir ../large.got && tar xzf ../large.tgz -C ../large.got && cmp a.bin ../large.got/a.bin && cd .. &&
	GIT_LFS_SKIP_SMUDGE=1 git clone -q large thin && cd thin && git remote add karta "karta::$url/thin" && ! git push karta main 2>err &&
	test_grep "LFS pointer.*git lfs pull" err && git lfs pull && git push karta main
'

test_expect_success 'karta:// is http on this machine' '
	cd shop && change && git push "karta://${url#http://}/shop" main 2>err && test_grep "Released" err
'

test_expect_success 'a wrong key, and none' '
	cd shop && change && for key in kt_live_wrong ""; do
		test_must_exit 128 env KARTA_API_KEY=$key git push karta main 2>err &&
		test_grep "^karta: " err && test_grep -v kt_live_wrong err || return 1
	done && git push -q karta main
'

test_expect_success 'a dead server' '
	cd shop && test_must_exit 128 git push karta::http://127.0.0.1:1/shop main 2>err &&
	test_grep "no karta server answers at http://127.0.0.1:1" err
'

# --- the program by itself ------------------------------------------------------------------------

test_expect_success 'hostile addresses are refused without a request' '
	cr=$(printf "\r") && lf=$(printf "\n.") && esc=$(printf "\033") &&
	long=$(printf "%070000d" 0) &&
	for bad in "-x" "karta://-oProxyCommand=x/p" "http://h/" "http://h" "http:///p" "http://u:p@h/p" \
		"https://h/p${cr}x" "https://h/p${lf%.}x" "https://h/${esc}[2J" "https://h/p?x=1" "https://h/p#x" \
		"ext::sh -c id" "file:///etc/passwd" "karta://h/../p/-x" "https://h/%0a" "https://h/p%0d%0aX" \
		"https://h:99999/p" "https://h/p q" "https://h h/p" "http://[::1/p" "https://h/$long" ""; do
		printf "capabilities\n\n" | "$helper" origin "$bad" >out 2>err && { echo "taken: $bad"; return 1; }
		test_empty out && test_grep "^karta: " err || return 1
		LC_ALL=C tr -d "[:print:]\t\n" <err | grep -q . && { echo "unclean: $bad"; return 1; }
	done
	for bad in "-x" "" "$(printf "a\033b")"; do
		! "$helper" "$bad" "https://h/p" </dev/null >out 2>err || return 1
	done
	! "$helper" </dev/null 2>err && test_grep "git starts this program" err
'

test_expect_success 'capabilities and options' '
	printf "capabilities\noption verbosity 0\noption progress true\noption dry-run true\noption atomic true\n%s\n\n" \
		"option depth 1" | "$helper" origin "https://h/p" >out 2>err && test_empty err &&
	printf "option\nfetch\npush\n\nok\nok\nok\nok\nunsupported\n" >want && test_cmp want out
'

test_expect_success 'lines that git would not send' '
	cd shop && for line in "bogus" "push" "push :" "push refs/heads/main" "$(printf "list for-push\tx")" \
		"$(printf "push a:b\rc")" "option $(printf "%09000d" 0)"; do
		printf "%s\n\n" "$line" | "$helper" origin "$url/p" >out 2>err && { echo "taken: $line"; return 1; }
		test_empty out && test_grep "^karta: " err || return 1
	done
'

test_expect_success 'refs that git would not send get an answer each' '
	cd shop && for dst in "refs/heads/a b" "refs/heads/../x" "refs/heads/-x" "main" "refs/heads/x.lock" \
		"refs/heads/a..b" "refs/heads/a@{1}" "refs/heads/.x" "refs/" "../../etc/passwd"; do
		printf "list for-push\npush HEAD:%s\n\n\n" "$dst" | "$helper" origin "$url/hostile" >out 2>err &&
		test_grep -F "error $dst karta takes no ref of this name" out || return 1
	done &&
	for src in "-x" "--exec=id" "nothing" "HEAD~99999" "HEAD; id" "HEAD:x/../../y"; do
		printf "list for-push\npush %s:refs/heads/main\n\n\n" "$src" |
			"$helper" origin "$url/hostile" >out 2>err &&
		test_grep "^error refs/heads/main " out || test_grep "^error " out || return 1
	done &&
	curl -s -o /dev/null -w "%{http_code}" -H "Authorization: Bearer $KARTA_API_KEY" \
		"$url/agent_projects/hostile/refs" >code && test_grep "^404" code
'

# --- misfortunes ------------------------------------------------------------------------------------

FAKE_LOG=$TEST_DIR/requests
export FAKE_LOG
node "$TEST_ROOT/tests/lib/fake-platform.mjs" >fake.url &
test_background $!
test_wait_for grep -q "^http" fake.url || exit 1
fake=$(cat fake.url)

test_expect_success 'the log goes on where it broke off, each line once' '
	cd shop && git push "karta::$fake/cut" main 2>err && test_grep "Released v1 of cut" err &&
	test "$(grep -c "remote: ----->" err)" -eq 2 && test "$(grep -c "a remark" err)" -eq 1
'

test_expect_success 'files that the server lacks are sent' '
	cd shop && git push "karta::$fake/needs" main 2>err && test_grep "Released v1 of needs" err &&
	tail -1 "$FAKE_LOG" >last.json &&
	test_json last.json "d[\"headers\"][\"content-type\"] == \"application/vnd.karta.bundle\" and d[\"bytes\"] > 500"
'

test_expect_success 'a lost answer and a restart are repaired' '
	cd shop && git push "karta::$fake/lost" main 2>err && test_grep "Released v1 of lost" err &&
	git push "karta::$fake/busy" main 2>err && test_grep "Released v1 of busy" err
'

test_expect_success 'more branches than a list may have are an error, and git does not wait' '
	cd shop && ! git push "karta::$fake/many" main 2>err &&
	test_grep "lists more branches than fit into [0-9]* bytes" err
'

test_expect_success 'a ref that moved meanwhile asks to fetch first' '
	cd shop && test_must_exit 1 git push "karta::$fake/moved" main 2>err &&
	test_grep "! \[rejected\] +main -> main \(fetch first\)" err
'

test_expect_success 'what the server says cannot play with the terminal' '
	cd shop && git push "karta::$fake/evil" main 2>err && test_grep "Released v1 of evil" err &&
	test_grep -F "remote: \x1b]0;title" err && test_grep "^remote: two$" err && test_grep "^remote: lines$" err &&
	! LC_ALL=C grep -q "$(printf "\033")" err &&
	test_must_exit 1 git push "karta::$fake/fails" main 2>err && ! LC_ALL=C grep -q "$(printf "\033")" err &&
	test_grep "remote rejected.*v1 failed: karta.toml:1:1: no" err
'

test_expect_success 'a key without the right says so' '
	cd shop && test_must_exit 1 git push "karta::$fake/denied" main 2>err &&
	test_grep "remote rejected.*this key may not write" err
'

test_expect_success 'Ctrl-C lets go and says what goes on' '
	cd shop && python3 -c "
import signal, subprocess, sys, time
p = subprocess.Popen([sys.argv[1], \"origin\", sys.argv[2]], stdin=subprocess.PIPE,
    stdout=subprocess.DEVNULL, stderr=open(\"int.err\", \"w\"))
p.stdin.write(b\"list for-push\npush HEAD:refs/heads/main\n\n\"); p.stdin.flush()
for _ in range(1800):
    if \"Unpacked\" in open(\"int.err\").read(): break
    time.sleep(0.05)
p.send_signal(signal.SIGINT)
sys.exit(p.wait(90) != -signal.SIGINT)" "$helper" "$fake/slow" &&
	test_grep "goes on without this terminal: release rel_" int.err && test_grep "karta logs -p slow" int.err
'

test_done
