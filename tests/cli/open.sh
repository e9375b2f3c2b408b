#!/bin/sh
# SPDX-License-Identifier: MIT
# karta open: the address of a project, and the browser.
. "$(dirname "$0")/../lib/test-lib.sh"

command -v curl >/dev/null || test_skip_all "curl is not installed"

start_serve && serve_publish bot || exit 1
use_serve
printf '#!/bin/sh\nprintf "%%s\\n" "$@" >"%s/opened"\n' "$TEST_DIR" >browser && chmod +x browser

test_expect_success '--print only prints' '
	BROWSER=$PWD/browser "$KARTA" open bot --print >out && echo "http://bot.localhost:$SERVE_PORT" >expect && test_cmp expect out &&
	test ! -e "$TEST_DIR/opened" && "$KARTA" open --print --json -p bot >out && test_json out "d[\"slug\"] == \"bot\""
'

test_expect_success 'BROWSER is started with the address, which answers' '
	BROWSER=$PWD/browser "$KARTA" open bot >out && test_cmp expect out && test_wait_for test -s "$TEST_DIR/opened" &&
	test_cmp expect "$TEST_DIR/opened" && curl -s -H "Host: bot.localhost" "$SERVE_URL/" >page && test_grep -F "<html" page
'

test_expect_success 'without a browser the address is printed' '
	BROWSER=nowhere "$KARTA" open bot >out 2>err && test_cmp expect out && test_grep "no browser" err
'

test_expect_success 'what the browser says is not said here; without a desktop none is tried' '
	printf "#!/bin/sh\necho NOISE; echo NOISE >&2; printf %%s \"\$1\" >\"%s/opened\"\n" "$PWD" >xdg-open && chmod +x xdg-open && rm -f opened &&
	env -u DISPLAY -u WAYLAND_DISPLAY PATH="$PWD:$PATH" "$KARTA" open bot >out 2>err && test_cmp expect out &&
	test_grep "no browser" err && test ! -e opened &&
	for desktop in DISPLAY WAYLAND_DISPLAY; do
		rm -f opened
		env -u DISPLAY -u WAYLAND_DISPLAY "$desktop=:0" PATH="$PWD:$PATH" "$KARTA" open bot >out 2>err &&
		test_wait_for test -s opened && test_cmp expect out && test_empty err || return 1
	done
'

test_expect_success 'what is not there' '
	test_must_exit 5 "$KARTA" open nope >out 2>err && test_empty out && test_grep "no project .nope. on $SERVE_URL" err
'

# A server whose projects and logins are at the address in the file `address`.
cat >server.py <<'EOT'
import http.server, json
class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self):
        self.rfile.read(int(self.headers.get("content-length") or 0))
        at = open("address", encoding="utf-8").read()
        body = json.dumps({"slug": "x", "url": at, "verification_uri_complete": at, "device_code": "d", "user_code": "BCDF-GHJK",
                           "interval": 1}).encode()
        if self.path.endswith("/token"):
            body = b'{"status":400,"code":"access_denied","detail":"no"}'
        self.send_response(400 if self.path.endswith("/token") else 200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_GET = do_POST = answer
    def log_message(self, *args): pass
s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(f"http://127.0.0.1:{s.server_address[1]}", flush=True)
s.serve_forever()
EOT
printf x >address
python3 server.py >server.url &
test_background $!
test_wait_for grep -q "^http" server.url || exit 1

# address WHAT: by printf(1), as it may hold anything.
test_expect_success 'only https, or http of this machine, is opened' '
	for bad in "javascript:alert(1)" "file:///etc/passwd" "-h" "--help" "http://evil.example/" "ftp://a/" "https:/a" "https://" "https://-h/" \
		"https://user@evil.example/" "http://localhost:80@evil.example/" "http://localhost\\\\@evil.example/" "https://a/ b" "https://a/\\001" "https://a/\\033[m" \
		"https://a/\\342\\200\\256" "https://a/\"b" "https://a/\`id\`" "HTTPS://a/" " https://a/" "data:text/html,x" "//a/" "" "x-man-page:a"; do
		printf -- "$bad" >address && rm -f "$TEST_DIR/opened" &&
		test_must_exit 3 env BROWSER="$PWD/browser" "$KARTA" --server "$(cat server.url)" open x >out 2>err || { echo "opened: $bad"; return 1; }
		test_empty out && test_grep "^karta: the server gave no web address" err && test ! -e "$TEST_DIR/opened" || { echo "with: $bad"; return 1; }
	done &&
	for good in "https://a.example/x?y=z&b=%%20#c" "http://localhost:80/" "http://bot.localhost/" "http://[::1]:8/" "http://127.0.0.1/"; do
		printf "$good" >address && rm -f "$TEST_DIR/opened" &&
		BROWSER=$PWD/browser "$KARTA" --server "$(cat server.url)" open x >out && test_wait_for test -s "$TEST_DIR/opened" && test_cmp out "$TEST_DIR/opened" || return 1
	done
'

if command -v script >/dev/null; then
	test_expect_success 'nor by karta login, on a terminal' '
		for bad in "javascript:alert(1)" "--help" "http://evil.example/" "file:///etc/passwd"; do
			printf -- "$bad" >address && rm -f "$TEST_DIR/opened" &&
			{ BROWSER=$PWD/browser script -qefc "\"$KARTA\" --server $(cat server.url) login" typed >out 2>&1; test $? -eq 4; } &&
			test_grep "is no web address that is opened" out && test ! -e "$TEST_DIR/opened" || return 1
		done &&
		printf "https://a.example/device" >address &&
		{ BROWSER=$PWD/browser script -qefc "\"$KARTA\" --server $(cat server.url) login" typed >out 2>&1; test $? -eq 4; } &&
		test_wait_for test -s "$TEST_DIR/opened"
	'
else
	test_skip 'nor by karta login, on a terminal' 'script is not installed'
fi

test_done
