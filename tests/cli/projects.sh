#!/bin/sh
# SPDX-License-Identifier: MIT
# karta projects: list, show, create, add, rename, delete, link, bind; which project a folder means.
. "$(dirname "$0")/../lib/test-lib.sh"

command -v curl >/dev/null || test_skip_all "curl is not installed"

command -v git >/dev/null || test_skip_all "git is not installed"
git config --global init.defaultBranch main
git config --global user.email a@example.com
git config --global user.name A
start_serve || exit 1
use_serve
mkdir "$TEST_DIR/bin" && ln -s "$KARTA" "$TEST_DIR/bin/git-remote-karta"
PATH=$TEST_DIR/bin:$PATH

test_expect_success 'none at first' '
	"$KARTA" projects >out 2>err && test_empty out && test_grep "no projects yet" err &&
	"$KARTA" projects list --json >out && test_json out "d[\"data\"] == []"
'

test_expect_success 'create reserves a name and prints the address' '
	"$KARTA" projects create shop >out 2>err && test_grep "^http://shop\.localhost:$SERVE_PORT$" out &&
	test "$(wc -l <out)" -eq 1 && test_must_exit 6 "$KARTA" projects create shop 2>err &&
	test_grep "^karta: there is a project .shop. already on $SERVE_URL$" err && test_grep "^hint: .karta projects" err &&
	for bad in "" Shop a_b -a a- "a b" aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; do
		"$KARTA" projects create -- "$bad" 2>err
		test $? -eq 1 && test_grep "project name|must" err || return 1
	done
'

test_expect_success 'of a name with a slip the near one is said' '
	for command in "status -p shpo" "logs shpo" "send -p shpo Hello" "chat -p shpo" "rollback -p shpo" "projects delete shpo -y" "config set -p shpo A=1"; do
		test_must_exit 5 "$KARTA" $command </dev/null >out 2>err && test_grep "no project .shpo." err && test_grep "^hint: did you mean .shop.[?]" err || { echo "$command"; return 1; }
	done &&
	"$KARTA" chat -p shop </dev/null >out 2>&1 && test_grep "shop on .* has no live release yet" out && test_grep "git push karta main" out &&
	test_must_exit 5 "$KARTA" status -p entirely-else 2>err && test_must_exit 1 grep "did you mean" err
'

test_expect_success 'list and show; words of others work' '
	serve_publish bot && "$KARTA" projects >out && test_grep "^bot  *v1  *claude-code  *http://bot\.localhost" out &&
	test_grep "^shop  *-  " out && "$KARTA" apps >out2 && test_cmp out out2 && "$KARTA" project list >out2 && test_cmp out out2 &&
	"$KARTA" projects show bot >out && test_grep "^live  *v1$" out && test_grep "^branch  *main$" out &&
	"$KARTA" projects:info bot --json >out && test_json out "d[\"slug\"] == \"bot\" and d[\"current\"][\"version\"] == \"v1\"" &&
	test_must_exit 5 "$KARTA" projects show nope && "$KARTA" projects releases bot >out && test_grep "^v1 " out
'

test_expect_success 'a folder of this machine is served from disk' '
	cp -r "$TEST_ROOT/docs/examples/support-bot" folder && "$KARTA" project add folder disk >out &&
	test_grep "^http://disk\.localhost" out && "$KARTA" projects show disk >out && test_grep "^folder  *$PWD/folder$" out &&
	"$KARTA" -p disk send Hello >out 2>err && test_grep Beans out &&
	test_must_exit 6 "$KARTA" -p disk config set A=1 2>err;
	test_must_exit 5 "$KARTA" projects add nowhere x && test_must_exit 2 "$KARTA" projects add folder/CLAUDE.md x &&
	writer=$("$KARTA" keys create w --scopes read,write -q) &&
	test_must_exit 4 env KARTA_API_KEY="$writer" "$KARTA" projects add folder y
'

test_expect_success 'rename moves the address, and the remote of this repository' '
	git init -q repo && cd repo && "$KARTA" projects link shop && "$KARTA" projects rename shop store >out 2>err &&
	test_grep "^http://store\." out && test_grep "follows" err && test "$(git remote get-url karta)" = "karta::$SERVE_URL/store" &&
	test_must_exit 5 "$KARTA" projects show shop && test_must_exit 6 "$KARTA" projects rename store bot &&
	test_must_exit 5 "$KARTA" projects rename nope x && test_must_exit 2 "$KARTA" projects rename store &&
	"$KARTA" apps:rename kiosk 2>err && test_grep "^Renamed store to kiosk" err && test "$(git remote get-url karta)" = "karta::$SERVE_URL/kiosk" &&
	"$KARTA" rename store
'

test_expect_success 'link sets the remote, once' '
	cd repo && "$KARTA" git:remote -a store --remote staging && test "$(git remote get-url staging)" = "karta::$SERVE_URL/store" &&
	git remote remove staging && "$KARTA" projects link store --as staging && (unset KARTA_PROJECT KARTA_SERVER && "$KARTA" releases -r staging) && git remote remove staging &&
	"$KARTA" projects link store && test_must_exit 6 "$KARTA" projects link bot 2>err &&
	test_grep "^hint: add --force" err && "$KARTA" projects link bot --force --json >out &&
	test_json out "d[\"slug\"] == \"bot\"" && test "$(git remote get-url karta)" = "karta::$SERVE_URL/bot" &&
	test_must_exit 5 "$KARTA" projects link nope && cd .. && mkdir none && cd none &&
	test_must_exit 5 "$KARTA" projects link bot 2>err && test_grep "no git repository" err && test_grep "^hint: .git init" err
'

test_expect_success 'the project of a folder: option, variable, remote, karta.toml' '
	cd repo && cp -r "$TEST_ROOT/docs/examples/support-bot/." . && "$KARTA" projects show --json >out &&
	test_json out "d[\"slug\"] == \"bot\"" && "$KARTA" projects show --json -p disk >out && test_json out "d[\"slug\"] == \"disk\"" &&
	KARTA_PROJECT=store "$KARTA" projects show --json >out && test_json out "d[\"slug\"] == \"store\"" &&
	env -u KARTA_SERVER "$KARTA" projects show --json >out && test_json out "d[\"slug\"] == \"bot\"" &&
	mkdir sub && echo "name = \"disk\"" >sub/karta.toml && cd sub &&
	"$KARTA" projects show --json >out && test_json out "d[\"slug\"] == \"disk\"" &&
	cd ../.. && mkdir plain && cd plain && test_must_exit 2 "$KARTA" projects show 2>err && test_grep "^hint: .*--project" err
'

test_expect_success 'what is pushed goes where the other commands look' '
	cd repo && rm -rf sub && git add -A && git commit -qm pushed && git push -q karta main 2>err && cat err &&
	env -u KARTA_SERVER "$KARTA" releases >out && test_grep "^v2 .* pushed$" out &&
	env -u KARTA_SERVER "$KARTA" send Hello >out 2>err && test_grep Beans out &&
	env -u KARTA_SERVER "$KARTA" sessions >out && test_grep "^sess_" out
'

test_expect_success 'the default project is shown, said, and taken away' '
	"$KARTA" projects default >out 2>err && test_empty out && test_grep "There is no default project" err &&
	"$KARTA" projects default bot 2>err && test_grep "of bot from now on" err && test "$("$KARTA" projects default)" = bot &&
	"$KARTA" projects >out && test_grep "^bot \(default\) " out && "$KARTA" projects default --json >out && test_json out "d[\"slug\"] == \"bot\" and d[\"default\"]" &&
	test_must_exit 5 "$KARTA" projects default nope && test_must_exit 2 "$KARTA" projects default bot --unset &&
	"$KARTA" projects default --unset && "$KARTA" projects default --unset && "$KARTA" projects >out && test_grep -v "(default)" out
'

test_expect_success 'delete wants the name again' '
	test_must_exit 9 "$KARTA" projects delete store 2>err && test_grep "^hint: add --confirm=store" err &&
	test_must_exit 2 "$KARTA" projects delete store --confirm shop && "$KARTA" projects show store >out &&
	"$KARTA" projects delete store --confirm store && test_must_exit 5 "$KARTA" projects show store &&
	test_must_exit 5 "$KARTA" projects delete nope --yes && "$KARTA" projects create tmp && "$KARTA" projects destroy tmp --yes --json >out &&
	test_json out "d[\"schema_version\"] == 1"
'

test_expect_success 'bind prints what GitHub needs, the secret once' '
	"$KARTA" projects bind bot --repo https://github.com/acme/bot >out 2>err && test_grep "^url  *$SERVE_URL/webhooks/github/proj_[A-Za-z0-9]*$" out &&
	test_grep "^secret  *whsec_" out && "$KARTA" projects show bot >out && test_grep "^repository  *https://github.com/acme/bot$" out &&
	test_grep -v whsec_ out && echo token | "$KARTA" projects bind bot --repo https://github.com/acme/bot --token-stdin --json >out &&
	test_json out "d[\"webhook_url\"].endswith(\"/webhooks/github/\" + d[\"id\"]) and d[\"webhook_secret\"].startswith(\"whsec_\")" &&
	echo my-own-secret-0123456789 >secret && "$KARTA" projects bind bot --repo https://github.com/acme/bot --secret-file secret >out &&
	test_grep -v secret out && test_grep -v my-own out && "$KARTA" projects bind bot --none --json >out && test_json out "d[\"repo_url\"] is None" &&
	test_must_exit 2 "$KARTA" projects bind bot && test_must_exit 2 "$KARTA" projects bind bot --none --repo x &&
	test_must_exit 2 "$KARTA" projects bind bot --repo https://github.com/a/b --token-stdin </dev/null &&
	test_must_exit 5 "$KARTA" projects bind bot --repo https://github.com/a/b --secret-file nowhere &&
	! "$KARTA" projects bind bot --repo nonsense 2>err && test_grep "^karta: " err
'

test_expect_success 'the words of others: create, info, git:remote and destroy with -a' '
	"$KARTA" apps:create viaapp && "$KARTA" status viaapp >out && test_grep "^name  *viaapp" out &&
	"$KARTA" info -a viaapp >again && grep -v "^created" out >out.words && grep -v "^created" again >again.words && test_cmp out.words again.words && git init -q viaapp && cd viaapp && "$KARTA" git:remote -a viaapp &&
	git remote get-url karta | grep -q "/viaapp$" && cd .. &&
	test_must_exit 2 "$KARTA" apps:destroy 2>err && test_grep "which project" err &&
	"$KARTA" apps:destroy -a viaapp -c viaapp && test_must_exit 5 "$KARTA" info viaapp
'

test_expect_success 'a local server needs no key and no word of where it is' '
	unset KARTA_SERVER KARTA_API_KEY && rm -rf "$XDG_CONFIG_HOME/karta" &&
	{ "$KARTA" serve --offline --port 0 >url 2>log & } && server=$! && test_background "$server" && test_wait_for grep -q ^http url && url=$(cat url) &&
	cp -r "$TEST_ROOT/docs/examples/support-bot" app && "$KARTA" project add ./app support-bot >out && test_grep "^http://support-bot.localhost:${url##*:}" out &&
	"$KARTA" keys 2>err && test_grep "a local server asks for none" err &&
	"$KARTA" releases -p support-bot 2>err && test_grep "support-bot is served from $PWD/app, and what is in it is live" err &&
	test_must_exit 6 "$KARTA" rollback -p support-bot 2>err && test_grep "there are no releases" err &&
	mkdir -p none && "$KARTA" project add none empty 2>err && test_grep "^warning: there is no application in none" err && "$KARTA" projects rm empty -y &&
	cp -r app named && printf "name = \"by-its-name\"\n" >named/karta.toml && "$KARTA" project add named >out && test_grep "^http://by-its-name.localhost" out && "$KARTA" projects rm by-its-name -y &&
	"$KARTA" project list >out && test_grep "^support-bot  *folder" out && "$KARTA" whoami >out && test_grep "asks for no key" out &&
	"$KARTA" login 2>err && test_grep "asks for no key, and nothing was stored" err && test_must_exit 6 "$KARTA" keys create x 2>err && test_grep "require-keys" err &&
	"$KARTA" send -p support-bot Hello >out && test_grep Beans out &&
	cd app && git init -q -b main && git add -A && git commit -qm one && git remote add karta "karta::$url/pushed" && git push -q karta main && cd .. &&
	"$KARTA" logs pushed >out && test_grep "Activated v1" out && "$KARTA" deploy --dir app -p pushed >out 2>err &&
	test_stop "$server" && test_must_exit 3 "$KARTA" project list 2>err
'

test_done
