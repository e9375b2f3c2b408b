#!/bin/sh
# SPDX-License-Identifier: MIT
# karta login: a key from standard input or approved in a browser, where it is kept, and that it is
# nowhere else.
. "$(dirname "$0")/../lib/test-lib.sh"

command -v curl >/dev/null || test_skip_all 'curl is not installed'

start_serve || exit 1
KARTA_SERVER=$SERVE_URL
export KARTA_SERVER
credentials=$XDG_CONFIG_HOME/karta/credentials
name=${SERVE_URL#http://}
name=${name%%:*}

test_expect_success 'with a key: checked, kept in a file of mode 0600, and said so' '
	"$KARTA" login --with-key <"$SERVE_KEY_FILE" >out 2>err && test_empty out &&
	test_grep "^Signed in to $SERVE_URL as .admin. of default\.$" err &&
	test_grep "mode 0600; no Secret Service" err &&
	test "$(stat -c %a "$credentials")" = 600 &&
	test "$(stat -c %a "$XDG_CONFIG_HOME/karta")" = 700 &&
	test_json "$credentials" "d[\"default\"] == \"$name\" and d[\"profiles\"][\"$name\"][\"store\"] == \"file\"" &&
	env -u KARTA_SERVER "$KARTA" whoami >out && test_grep "^server  *$SERVE_URL$" out &&
	test_grep "^from  *the profile$" out
'

test_expect_success 'the server may be named alone; what is no key is told so, and a file is not a server' '
	env -u KARTA_SERVER "$KARTA" login "$SERVE_URL" --with-key <"$SERVE_KEY_FILE" 2>err && test_grep "^Signed in to $SERVE_URL " err &&
	echo guess >bad && test_must_exit 4 "$KARTA" login --with-key <bad 2>err && test_grep "no key of $SERVE_URL: those begin with kt_live_" err &&
	test_must_exit 4 env KARTA_API_KEY=guess "$KARTA" whoami 2>err && test_grep "value of KARTA_API_KEY is no key of $SERVE_URL" err &&
	test_must_exit 4 env KARTA_API_KEY="kt_live_$(printf %034d 0)abcd" "$KARTA" whoami 2>err && test_grep "ends in abcd" err &&
	test_must_exit 2 "$KARTA" login --with-key "$SERVE_KEY_FILE" 2>err && test_grep "^hint: karta login --with-key <$SERVE_KEY_FILE$" err
'

test_expect_success 'again, with --json and with blanks around the key' '
	printf "  \r\n" >bad && test_must_exit 2 "$KARTA" login --with-key <bad 2>err &&
	printf "%s \r\nmore\n" "$SERVE_KEY" | "$KARTA" auth login --with-token --json >out &&
	test_json out "d[\"schema_version\"] == 1 and d[\"key\"][\"name\"] == \"admin\"" && test_grep -v "kt_live_[A-Za-z0-9]{20}" out &&
	test_json "$credentials" "len(d[\"profiles\"]) == 1"
'

test_expect_success 'typed on a terminal it is not shown, also when Ctrl-C ends it' '
	rm "$credentials" && python3 "$TEST_ROOT/tests/lib/unseen.py" "Key: " "$SERVE_KEY\n" "$KARTA" login --with-key >out && echo "0 hidden echo unseen" >expect &&
	test_cmp expect out && test_json "$credentials" "len(d[\"profiles\"]) == 1" &&
	python3 "$TEST_ROOT/tests/lib/unseen.py" "Key: " "half\x03" "$KARTA" login --with-key >out && echo "-2 hidden echo unseen" >expect && test_cmp expect out
'

test_expect_success 'a wrong key is refused and not kept' '
	rm "$credentials" && echo kt_live_wrong >wrong &&
	test_must_exit 4 "$KARTA" login --with-key <wrong 2>err && test_grep "^hint: " err && test ! -e "$credentials" &&
	test_must_exit 4 "$KARTA" login --with-key --json <wrong >out &&
	test_json out "d[\"error\"][\"code\"] == 4" &&
	test_must_exit 2 "$KARTA" login --with-key </dev/null 2>err && test_grep "no key on standard input" err &&
	test_must_exit 3 "$KARTA" --server http://127.0.0.1:1 login --with-key <"$SERVE_KEY_FILE"
'

# What is written comes late, so that the helper has ended before.
test_expect_success 'a helper that does not start: the key goes to the file' '
	mkdir lone && cp "$KARTA" lone/karta && printf "#!/bin/sh\nexit 1\n" >lone/karta-credential-secretservice &&
	chmod +x lone/karta-credential-secretservice &&
	rm -f "$credentials" && ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 strace -o /dev/null -e trace=write,sendto \
		-e inject=write,sendto:delay_enter=50000 lone/karta login --with-key <"$SERVE_KEY_FILE" 2>err &&
	test_grep "mode 0600; no Secret Service" err && test -s "$credentials"
'

test_expect_success 'no key travels over plain http to another machine' '
	for how in --with-key --no-browser; do
		test_must_exit 4 "$KARTA" --timeout 1s --server http://192.0.2.1 login "$how" <"$SERVE_KEY_FILE" 2>err &&
		test_grep "^karta: a key is not sent over plain http" err || return 1
	done
'

test_expect_success 'without a terminal nobody is asked' '
	test_must_exit 9 "$KARTA" login 2>err && test_grep "^hint: karta login --with-key" err
'

# approve true|false: what the person in the browser does, by the API.
approve() {
	test_wait_for grep -q "approve the code" err &&
		code=$(sed -n "s/^and approve the code \(.*\)\.$/\1/p" err) &&
		serve_call GET "/v1/device/$code" >asked &&
		serve_call POST "/v1/device/$code" "{\"approve\":$1}" >/dev/null
}

test_expect_success 'approved in a browser: a key of this machine'"'"'s own' '
	rm -f err; "$KARTA" login --no-browser >out 2>err & pid=$! && test_background "$pid" &&
	approve true && test_json asked "d[\"scopes\"] == [\"read\", \"write\"] and d[\"client_name\"]" &&
	wait "$pid" && test_empty out && test_grep "^Open $SERVE_URL/device\?code=" err &&
	test_grep "^Signed in to $SERVE_URL as " err &&
	"$KARTA" whoami --json >out && test_json out "d[\"key\"][\"name\"] != \"admin\" and len(d[\"key\"][\"scopes\"]) == 2" &&
	test_grep "^The page names this login: .*, from 127\.0\.0\.1, asked at 20[0-9-]+ [0-9:]+, to read and write\.$" err &&
	test_grep "^The key ends [A-Z][a-z][a-z] [0-9].*; karta login makes a new one\.$" err && "$KARTA" whoami >out && test_grep "^ends  *20" out &&
	test_must_exit 4 "$KARTA" audit && KARTA_API_KEY=$SERVE_KEY "$KARTA" audit --json >out && test_json out "d[\"data\"][0][\"action\"].startswith(\"key.\") or d[\"data\"][1][\"action\"].startswith(\"key.\")"
'

test_expect_success 'a second login takes the place of the first one, whose key ends' '
	"$KARTA" whoami --json >first && rm -f err; "$KARTA" login --no-browser --admin >out 2>err & pid=$! && test_background "$pid" &&
	approve true && test_json asked "len(d[\"scopes\"]) == 3" && wait "$pid" && test_grep -v warning err &&
	"$KARTA" keys --all --json >out && test_json out "[k for k in d[\"data\"] if k[\"id\"] == \"$(python3 -c "import json; print(json.load(open(\"first\"))[\"key\"][\"id\"])")\"][0][\"revoked_at\"]" &&
	test_must_exit 2 "$KARTA" login --no-browser --admin --read-only
'

# ends WHEN: the profile says so, the key is what it is.
ends() {
	python3 - "$credentials" "$1" <<-'EOT'
	import datetime, json, sys
	d = json.load(open(sys.argv[1]))
	at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=float(sys.argv[2]))
	d["profiles"][d["default"]]["expires_at"] = at.isoformat(timespec="seconds")
	json.dump(d, open(sys.argv[1], "w"))
	EOT
}

test_expect_success 'a key that ends soon, or has ended, is spoken of' '
	"$KARTA" whoami 2>err && test_empty err && ends 3.5 && "$KARTA" whoami >out 2>err && test_grep "^warning: the key for $SERVE_URL ends in 3 days; .*: karta login --server $SERVE_URL$" err &&
	"$KARTA" -q whoami 2>err && test_empty err && KARTA_API_KEY=$SERVE_KEY "$KARTA" whoami 2>err && test_empty err &&
	ends -1 && "$KARTA" whoami 2>err && test_grep "^warning: the key for $SERVE_URL ended 1 day ago; .*: karta login --server $SERVE_URL$" err && ends 60
'

test_expect_success 'a key that may read only' '
	rm -f err; "$KARTA" login --no-browser --read-only --name reader >out 2>err & pid=$! && test_background "$pid" &&
	approve true && test_json asked "d[\"scopes\"] == [\"read\"]" && wait "$pid" &&
	"$KARTA" --profile reader whoami --json >out && test_json out "d[\"key\"][\"scopes\"] == [\"read\"]" &&
	test_must_exit 4 "$KARTA" --profile reader keys create x
'

test_expect_success 'refused' '
	cp "$credentials" before; rm -f err; "$KARTA" login --no-browser >out 2>err & pid=$! && test_background "$pid" &&
	approve false && { wait "$pid"; test $? -eq 4; } && test_grep "refused" err && cmp "$credentials" before
'

test_expect_success 'with --timeout the wait for a person ends' '
	test_must_exit 3 timeout 60 "$KARTA" --timeout 1s login --no-browser 2>err && test_grep "^karta: nobody approved the login in time$" err &&
	test_grep "^hint: .*karta login" err && cmp "$credentials" before
'

test_expect_success 'Ctrl-C ends the wait at once' '
	rm -f err; "$KARTA" login --no-browser >out 2>err & pid=$! && test_background "$pid" &&
	test_wait_for grep -q "approve the code" err && kill -INT "$pid" &&
	{ wait "$pid"; test $? -eq 130; }
'

# The second server is called as the first one.
test_expect_success 'several servers are several profiles' '
	first=$SERVE_URL && first_port=$SERVE_PORT && SERVE_DATA=$TEST_DIR/second SERVE_KEY_FILE=$TEST_DIR/second-key SERVE_PORT=0 &&
	first_pid=$SERVE_PID && start_serve && test "$SERVE_URL" != "$first" &&
	"$KARTA" --server "$first" login --with-key <"$TEST_DIR/admin-key" &&
	"$KARTA" --server "$SERVE_URL/" login --with-key <"$TEST_DIR/second-key" &&
	test_json "$credentials" "sorted(p[\"server\"] for p in d[\"profiles\"].values())[-1:] and {p[\"server\"] for p in d[\"profiles\"].values()} == {\"$first\", \"$SERVE_URL\"}" &&
	"$KARTA" --server "$first" whoami >out && test_grep "$first" out &&
	env -u KARTA_SERVER "$KARTA" whoami >out && test_grep "$SERVE_URL" out &&
	env -u KARTA_SERVER "$KARTA" --profile "$name" whoami >out && test_grep "$first" out &&
	env -u KARTA_SERVER KARTA_PROFILE="${SERVE_URL#http://}" "$KARTA" whoami >out && test_grep "$SERVE_URL" out &&
	test_must_exit 5 env -u KARTA_SERVER "$KARTA" --profile nobody whoami 2>err && test_grep nobody err &&
	stop_serve && SERVE_URL=$first SERVE_PORT=$first_port SERVE_PID=$first_pid
'

test_expect_success 'a file that others can read is not used, nor written' '
	"$KARTA" login --with-key <"$TEST_DIR/admin-key" && chmod 644 "$credentials" &&
	test_must_exit 4 "$KARTA" whoami 2>err && test_grep "can be read by other users" err &&
	test_grep "^hint: chmod 600 " err &&
	test_must_exit 4 "$KARTA" login --with-key <"$TEST_DIR/admin-key" &&
	KARTA_API_KEY=$(cat "$TEST_DIR/admin-key") "$KARTA" whoami >out && chmod 600 "$credentials"
'

test_expect_success 'a damaged file is no reason to lose it' '
	cp "$credentials" before && echo "{" >"$credentials" &&
	test_must_exit 1 "$KARTA" whoami 2>err && test_grep credentials err && test_grep "^hint: " err &&
	test_must_exit 1 "$KARTA" login --with-key <"$TEST_DIR/admin-key" && test "$(cat "$credentials")" = "{" &&
	cp before "$credentials"
'

test_expect_success 'KARTA_API_KEY beats what is kept' '
	"$KARTA" login --with-key <"$TEST_DIR/admin-key" &&
	KARTA_API_KEY=$(KARTA_API_KEY=$(cat "$TEST_DIR/admin-key") "$KARTA" keys create fromenv -q) &&
	export KARTA_API_KEY && "$KARTA" whoami >out && test_grep "^key  *fromenv$" out &&
	test_grep "^from  *KARTA_API_KEY$" out && "$KARTA" login --with-key <"$TEST_DIR/admin-key" 2>err &&
	test_grep "KARTA_API_KEY is set" err && KARTA_API_KEY=kt_live_wrong &&
	test_must_exit 4 "$KARTA" whoami; rc=$?; unset KARTA_API_KEY; test "$rc" -eq 0
'

# A server that takes the request and never answers.
cat >hang.py <<'EOT'
import socket, time
s = socket.create_server(("127.0.0.1", 0))
print(f"http://127.0.0.1:{s.getsockname()[1]}", flush=True)
kept = []
while True:
    kept.append(s.accept())
    open("accepted", "w").close()
EOT
python3 hang.py >hang.url &
test_background $!
test_wait_for grep -q "^http" hang.url || exit 1

test_expect_success 'the key is in no argument, no output and no error' '
	"$KARTA" --debug -vv --server "$(cat hang.url)" login --with-key <"$TEST_DIR/admin-key" >out 2>err & pid=$! &&
	test_background "$pid" && test_wait_for test -e accepted &&
	for p in "$pid" $(pgrep -P "$pid"); do
		tr "\0" " " <"/proc/$p/cmdline" >argv && test_grep -v "kt_live" argv || return 1
	done
	kill "$pid"; wait "$pid"
	test_grep -v "kt_live_[A-Za-z0-9]{12}" out && test_grep -v "kt_live_[A-Za-z0-9]{12}" err &&
	"$KARTA" --debug -vv whoami >out 2>err && test_grep -v "kt_live_[A-Za-z0-9]{12}" out && test_grep -v "kt_live_[A-Za-z0-9]{12}" err &&
	test_grep -v "kt_live_[A-Za-z0-9]{12}" "$TEST_DIR/serve.err"
'

if command -v python3 >/dev/null && command -v script >/dev/null; then
	test_expect_success 'on a terminal the key is typed unseen' '
		: >out && { test_wait_for grep -q "Key: " out; cat "$TEST_DIR/admin-key"; test_wait_for grep -q "Signed in" out; } |
			script -qefc "\"$KARTA\" login --with-key" typed >out 2>&1 &&
		test_grep "Key: " out && test_grep -v kt_live out && test_grep "Signed in" out
	'
else
	test_skip 'on a terminal the key is typed unseen' 'script is not installed'
fi

# With a Secret Service: in a session bus and a keyring of its own.
if command -v dbus-run-session >/dev/null && command -v gnome-keyring-daemon >/dev/null &&
	command -v secret-tool >/dev/null; then
	cat >secrets.sh <<'EOT'
set -e
printf x | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1
"$KARTA" login --with-key --name ring <"$TEST_DIR/admin-key" 2>err
grep -q "kept by the Secret Service" err
! grep -q kt_live "$XDG_CONFIG_HOME/karta/credentials"
"$KARTA" --profile ring whoami >out
grep -q "^key  *admin" out
secret-tool lookup host "$KARTA_SERVER" profile ring | cmp - "$TEST_DIR/key-line"
"$KARTA" --profile ring logout
test -z "$(secret-tool lookup host "$KARTA_SERVER" profile ring)"
"$KARTA" login --with-key --name ring <"$TEST_DIR/admin-key" 2>err
EOT
	test_expect_success 'with a Secret Service the key is there and not in the file' '
		rm -f "$credentials" && printf %s "$(cat "$TEST_DIR/admin-key")" >"$TEST_DIR/key-line" &&
		dbus-run-session -- sh -x secrets.sh
	'
	test_expect_success 'a Secret Service that is gone: the command says so' '
		test_must_exit 4 "$KARTA" --profile ring whoami 2>err && test_grep "Secret Service" err &&
		test_grep "^hint: .*KARTA_API_KEY" err &&
		KARTA_API_KEY=$(cat "$TEST_DIR/admin-key") "$KARTA" --profile ring whoami >out &&
		test_must_exit 3 "$KARTA" --profile ring logout 2>err && test_grep "Secret Service" err
	'
else
	test_skip 'with a Secret Service the key is there and not in the file' 'no gnome-keyring, libsecret-tools or dbus'
fi

test_done
