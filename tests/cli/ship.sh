#!/bin/sh
# SPDX-License-Identifier: MIT
# What ships and what does not: secrets, packages, files that are not in git, what karta.toml says;
# with a key that may write and nothing else; by deploy, by push and by curl.
. "$(dirname "$0")/../lib/test-lib.sh"

command -v git >/dev/null || test_skip_all 'git is not installed'
for var in $(env | sed -n 's/^\(GITHUB_[A-Z_]*\)=.*/\1/p'); do unset "$var"; done

GIT_CONFIG_NOSYSTEM=1
GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.com
GIT_COMMITTER_NAME=A GIT_COMMITTER_EMAIL=a@example.com
export GIT_CONFIG_NOSYSTEM GIT_AUTHOR_NAME GIT_AUTHOR_EMAIL GIT_COMMITTER_NAME GIT_COMMITTER_EMAIL
git config --global init.defaultBranch main
git config --global protocol.file.allow always
PATH=$(dirname "$KARTA"):$PATH
# What libgit2 keeps of its regular expressions, when it looks at submodules.
printf 'leak:libpcre2\n' >lsan.supp
LSAN_OPTIONS=${LSAN_OPTIONS:+$LSAN_OPTIONS:}suppressions=$PWD/lsan.supp:print_suppressions=0
export LSAN_OPTIONS

"$KARTA" serve --listen 127.0.0.1:0 --data "$TEST_DIR/data" --offline --key-file key >url 2>serve.err &
test_background $!
test_wait_for grep -q "^http" url || { cat serve.err; exit 1; }
KARTA_SERVER=$(cat url)
KARTA_API_KEY=$(cat key)
export KARTA_SERVER KARTA_API_KEY

# application DIR: a folder that ships.
application() {
	mkdir -p "$1" && echo 'You help.' >"$1/CLAUDE.md"
}
# commit DIR: with git.
commit() {
	git -C "$1" init -q && git -C "$1" add -A && git -C "$1" commit -qm first
}
# files PROJECT: what is live.
files() {
	"$KARTA" releases download -p "$1" -o "$TEST_DIR/live.tgz" >/dev/null 2>&1 && tar tzf "$TEST_DIR/live.tgz"
}

test_expect_success 'files that look like secrets are refused by name, and sent when they are named' '
	application sec && cd sec && mkdir -p .claude keys && echo "{}" >.claude/settings.local.json &&
	echo k >keys/id_rsa && echo x=1 >.env && echo x= >.env.example && echo t >.npmrc && echo c >cert.pem &&
	test_must_exit 2 "$KARTA" deploy sec >out 2>err && test_empty out &&
	for f in .env .npmrc .claude/settings.local.json cert.pem keys/id_rsa; do test_grep "$f" err || return 1; done &&
	test_grep -v "env.example" err && test_grep "^hint: .*--include" err && rm -f out err &&
	"$KARTA" deploy sec --include .env --include keys --include ./.claude/settings.local.json \
		--include .npmrc --include cert.pem >../out 2>../err && test_grep "looks like a secret" ../err &&
	files sec >../list && test_grep "^\.env$" ../list && test_grep "^keys/id_rsa$" ../list &&
	test_must_exit 2 "$KARTA" deploy sec --include nothing >../out 2>../err && test_grep "nothing" ../err
'

test_expect_success 'packages and what git ignores stay behind, with a note' '
	application mods && cd mods && mkdir -p node_modules/x && echo 1 >node_modules/x/i.js && echo tmp >.gitignore &&
	echo 1 >tmp && "$KARTA" deploy mods >../out 2>../err && files mods >../list &&
	test_grep "^Left out: node_modules, one that git ignores .--include" ../err &&
	test_grep -v "node_modules|tmp" ../list && "$KARTA" deploy mods --include node_modules >../out 2>../err &&
	files mods >../list && test_grep "node_modules/x/i.js" ../list
'

test_expect_success 'a committed secret is a warning of the build' '
	application warned && echo x=1 >warned/.env && commit warned && cd warned &&
	git remote add karta "karta::$KARTA_SERVER/warned" && git push karta main >../out 2>../err &&
	test_grep "^remote: .*\.env. looks like a secret" ../err && test_grep "Released v1" ../err
'

test_expect_success 'what a commit lacks is taken from where it is checked out, as the refused push says' '
	mkdir dep && echo d >dep/d.txt && commit dep && application sub && commit sub && cd sub &&
	git submodule --quiet add "$PWD/../dep" dep && git commit -qm two &&
	git remote add karta "karta::$KARTA_SERVER/sub" && test_must_exit 1 git push karta main >../out 2>../err &&
	test_grep "run: git submodule update --init && karta deploy" ../err &&
	git submodule update --init >/dev/null 2>&1 && "$KARTA" deploy >../out 2>../err &&
	files sub >../list && test_grep "^dep/d.txt$" ../list &&
	test "$("$KARTA" releases --json -p sub | python3 -c "import json,sys; print(json.load(sys.stdin)[\"data\"][0][\"commit_sha\"])")" = \
		"$(git rev-parse HEAD)" &&
	git submodule --quiet deinit -f dep && test_must_exit 2 "$KARTA" deploy >../out 2>../err &&
	test_grep "not checked out" ../err && test_grep "^hint: run: git submodule" ../err
'

test_expect_success 'a Git LFS pointer: the content, when it is there' '
	application lfs && printf "version https://git-lfs.github.com/spec/v1\noid sha256:%064d\nsize 3\n" 0 >lfs/big.bin &&
	commit lfs && cd lfs && test_must_exit 2 "$KARTA" deploy lfs >../out 2>../err &&
	test_grep "LFS pointer" ../err && test_grep "^hint: run: git lfs pull, then push or deploy again" ../err &&
	echo big >big.bin && git update-index --assume-unchanged big.bin &&
	"$KARTA" deploy lfs >../out 2>../err && files lfs >../list && test_grep "^big.bin$" ../list
'

# kept FILE: puts FILE into the store of git-lfs in this repository, and its pointer in its place.
kept() {
	sum=$(sha256sum "$1" | cut -c1-64) && size=$(wc -c <"$1") && store=.git/lfs/objects/$(echo "$sum" | cut -c1-2)/$(echo "$sum" | cut -c3-4) &&
	mkdir -p "$store" && mv "$1" "$store/$sum" &&
	printf "version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n" "$sum" "$size" >"$1"
}

test_expect_success 'what git-lfs keeps here is packed, small and large, by deploy and by push' '
	application kept && cd kept && git init -q && head -c 3000 /dev/urandom >small.bin && head -c 6000000 /dev/urandom >large.bin &&
	cp small.bin ../small && cp large.bin ../large && kept small.bin && kept large.bin && cd .. && commit kept && cd kept &&
	"$KARTA" deploy kept >../out 2>../err && "$KARTA" releases download -p kept -o ../kept.tgz && mkdir ../got && tar xzf ../kept.tgz -C ../got &&
	cmp ../small ../got/small.bin && cmp ../large ../got/large.bin &&
	head -c 3000 /dev/urandom >third.bin && kept third.bin && git add third.bin && git commit -qm third &&
	head -c 3000 /dev/zero >"$store/$sum" && ! "$KARTA" deploy kept >../out 2>../err &&
	test_grep "what git-lfs keeps of .third.bin. is damaged" ../err && test_grep "git lfs fsck" ../err
'

test_expect_success 'tar and curl, as the document says, in a git folder' '
	application my-agent && commit my-agent && ln my-agent/.git/HEAD my-agent/.git/second &&
	tar czf app.tar.gz -C my-agent . &&
	curl -sS -H "Authorization: Bearer $KARTA_API_KEY" -T app.tar.gz "$KARTA_SERVER/agent_projects/curled/releases" >out &&
	test_json out "d[\"state\"] == \"active\"" && files curled >list && test "$(cat list)" = CLAUDE.md &&
	cd my-agent && { tar czf app.tar.gz . 2>../err || test $? -eq 1; } &&
	curl -sS -H "Authorization: Bearer $KARTA_API_KEY" -T app.tar.gz "$KARTA_SERVER/agent_projects/curled/releases" >../out &&
	test_json ../out "d[\"version\"] == \"v2\""
'

test_expect_success 'deploy = false ships by no way, and what is live stays' '
	application home && printf "name = \"home\"\ndeploy = false\n" >home/karta.toml && commit home && cd home &&
	git remote add karta "karta::$KARTA_SERVER/home" && test_must_exit 1 git push karta main >../out 2>../err &&
	test_grep "rejected.*deploy = false" ../err && test_must_exit 2 "$KARTA" deploy >../out 2>../err &&
	test_grep "deploy = false" ../err && test_grep "^hint: write deploy = true" ../err && test_empty ../out &&
	test_must_exit 2 "$KARTA" deploy --dirty >../out 2>../err && test_must_exit 2 "$KARTA" deploy --dir . >../out 2>../err &&
	tar czf ../home.tgz . && test "$(curl -sS -o ../out -w "%{http_code}" -H "Authorization: Bearer $KARTA_API_KEY" \
		-T ../home.tgz "$KARTA_SERVER/agent_projects/home/releases")" = 422 && test_grep "deploy = false" ../out &&
	printf "name = \"home\"\ndeploy = true\n" >karta.toml && git commit -qam ships && git push -q karta main 2>../err &&
	printf "name = \"home\"\ndeploy = false\n" >karta.toml && test_must_exit 2 "$KARTA" deploy --dirty >../out 2>../err &&
	"$KARTA" config set A=b >../out 2>../err && test_grep "v3" ../err
'

test_expect_success 'of several applications the one that says false stays' '
	mkdir three && for a in one two; do
		application three/$a && printf "name = \"three-$a\"\ndeploy = true\n" >three/$a/karta.toml || return 1
	done && printf "name = \"three-two\"\ndeploy = false\n" >three/two/karta.toml && commit three && cd three &&
	"$KARTA" deploy >../out 2>../err && test_grep "^http://three-one" ../out && test "$(wc -l <../out)" -eq 1 &&
	cd two && test_must_exit 2 "$KARTA" deploy >../../out 2>../../err && test_grep "two/karta.toml says deploy = false" ../../err
'

test_expect_success 'a key that may write and nothing else pushes, deploys and uploads' '
	writer=$("$KARTA" keys create w --scopes write -q) && application only && commit only && cd only &&
	git remote add karta "karta::$KARTA_SERVER/only" && export KARTA_API_KEY="$writer" &&
	git push karta main >../out 2>../err && test_grep "Released v1 of only" ../err &&
	echo more >>CLAUDE.md && git commit -qam more && git push karta main >../out 2>../err && test_grep "Released v2" ../err &&
	echo more >>CLAUDE.md && git commit -qam again && "$KARTA" deploy >../out 2>../err && test_grep "^http" ../out &&
	"$KARTA" deploy --no-wait >../out 2>../err && "$KARTA" deploy --commit "$(git rev-parse HEAD)" only >../out 2>../err &&
	(mkdir -p ../away && cd ../away && "$KARTA" deploy only --commit "$(git -C ../only rev-parse HEAD)" >../out 2>../err) &&
	git push karta main:feature >../out 2>../err && git push karta :feature >../out 2>../err &&
	tar czf ../only.tgz . && curl -sSf -H "Authorization: Bearer $writer" -H "Accept: text/event-stream" -N -T ../only.tgz \
		"$KARTA_SERVER/agent_projects/only/releases" >../out && test_grep "event: release" ../out &&
	for path in /agent_projects /agent_projects/only /agent_projects/only/releases /agent_projects/only/config \
		/agent_projects/only/releases/v1/archive /agent_projects/only/logs /v1/sessions; do
		test "$(curl -s -o /dev/null -w "%{http_code}" -H "Authorization: Bearer $writer" "$KARTA_SERVER$path")" = 403 || return 1
	done
'
KARTA_API_KEY=$(cat key)

test_expect_success 'a server that was given: the project is the one of the folder' '
	application given && printf "name = \"given\"\n" >given/karta.toml && "$KARTA" deploy --dir given >out 2>err && cd given &&
	test_must_exit 1 "$KARTA" send hi >../out 2>../err && test_grep "no rehearsal answers" ../err &&
	"$KARTA" sessions >../out && test_grep " hi$" ../out &&
	cd .. && test_must_exit 2 "$KARTA" send hi >out 2>err && test_grep "which project.*has .*given" err
'

test_expect_success 'a name that is reserved for the server is one of a project, at another address' '
	for name in app api www; do
		application $name && commit $name && git -C $name remote add karta "karta::$KARTA_SERVER/$name" &&
		git -C $name push karta main >out 2>err && test_grep "Released v1 of $name" err &&
		test_grep "no project gets the host name .$name." err &&
		test_grep "^remote: $KARTA_SERVER/v1/projects/$name$" err || return 1
	done && cd app && echo more >>CLAUDE.md && git commit -qam more && url=$("$KARTA" deploy) &&
	test "$url" = "$KARTA_SERVER/v1/projects/app" &&
	curl -sSf -X POST -H "Authorization: Bearer $KARTA_API_KEY" "$url/sessions" >../out &&
	test_json ../out "d[\"release\"] == \"v2\"" && "$KARTA" projects show app --json >../out &&
	test_json ../out "d[\"url\"].endswith(\"/v1/projects/app\")" &&
	test_must_exit 1 "$KARTA" send hi 2>../err && test_grep "no rehearsal" ../err
'

test_expect_success 'the count of new files is that of all parts of an upload' '
	application much && mkdir much/d && (cd much/d && seq 100001 105100 | split -l 1 -a 4 -d - f) && commit much && cd much &&
	git remote add karta "karta::$KARTA_SERVER/much" && git push karta main >../out 2>../err &&
	test_grep "Unpacked 5101 files .5100 new." ../err && echo more >>CLAUDE.md && git commit -qam more &&
	git push karta main >../out 2>../err && test_grep "Unpacked 5101 files .1 new." ../err
'

test_done
