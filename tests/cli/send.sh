#!/bin/sh
# SPDX-License-Identifier: MIT
# karta send: the answer on stdout, approvals, streams, interrupts, a server that comes back.
. "$(dirname "$0")/../lib/test-lib.sh"

bot_app
cat >app/rehearsals/test.jsonl <<'EOT'
{"karta_rehearsal":1,"match":{"text":"slow"}}
{"t":10,"type":"text","data":{"part":{"type":"text","text":"It begins."},"part_id":"p1"}}
{"t":60000,"end":{"text":"It ends."}}
{"karta_rehearsal":1,"match":{"text":"pause"}}
{"t":10,"type":"text","data":{"part":{"type":"text","text":"First half, "},"part_id":"p1"}}
{"t":600000,"type":"text","data":{"part":{"type":"text","text":"second half."},"part_id":"p1"}}
{"t":600010,"end":{}}
{"karta_rehearsal":1,"match":{"text":"half"}}
{"t":10,"type":"text","data":{"part":{"type":"text","text":"A first paragraph.\n\n- An open item"},"part_id":"p1"}}
{"t":60000,"end":{"text":"It ends."}}
{"karta_rehearsal":1,"match":{"text":"evil"}}
{"t":1,"type":"tool_use","data":{"tool_name":"Ba\u001b]0;x\u0007sh","tool_input":{"command":"ls \u202e\u001b[2J"},"tool_use_id":"t1","state":"running"}}
{"t":2,"type":"tool_result","data":{"tool_use_id":"t1","output":"no \u001b[31mway","is_error":true,"status":"failed"}}
{"t":3,"end":{"text":"plain \u001b[1mbytes"}}
{"karta_rehearsal":1,"match":{"text":"fails"}}
{"t":1,"type":"status","data":{"state":"retrying","attempt":1,"max_retries":1,"delay_ms":1,"code":"connection_failed"}}
{"t":2,"end":{"stop_reason":"error","error_code":"rate_limited","error_message":"too many requests","retryable":true}}
{"karta_rehearsal":1,"match":{"text":"refuse"}}
{"t":1,"end":{"stop_reason":"refused","error_code":"refused","error_message":"a hook said no"}}
{"karta_rehearsal":1,"match":{"text":"agents"}}
{"t":1,"type":"tool_use","data":{"tool_name":"Task","tool_input":{"description":"look around"},"tool_use_id":"p","state":"running"}}
{"t":2,"type":"tool_use","parent":"p","data":{"tool_name":"Grep","tool_input":{"pattern":"needle"},"tool_use_id":"c","state":"running"}}
{"t":3,"type":"tool_result","parent":"p","data":{"tool_use_id":"c","output":"","is_error":false,"status":"completed"}}
{"t":4,"type":"tool_result","data":{"tool_use_id":"p","output":"","is_error":false,"status":"completed"}}
{"t":5,"end":{"text":"done"}}
EOT

start() {
	start_dev "$@" && url=$DEV_URL server=$DEV_PID
}
cd "$TEST_DIR/work" || exit 1

test_expect_success 'without a server the error says how to start one' '
	test_must_exit 3 "$KARTA" --server http://127.0.0.1:1 send hi >out 2>err &&
	test_empty out &&
	test_grep -F "no karta server answers at http://127.0.0.1:1" err &&
	test_grep -F "karta dev" err
'

start 0 || exit 1

test_expect_success 'the answer is on stdout and the session on stderr' '
	(cd app && "$KARTA" send Hello) >out 2>err &&
	head -1 out >first && test_grep -F "I'\''m **Beans**" first &&
	test_grep "^session sess_[A-Za-z0-9]* \(go on with: karta send --session sess_" err &&
	test_grep "612 tokens in" err &&
	sed -n "s/^session \(sess_[A-Za-z0-9]*\) .*/\1/p" err >id
'

test_expect_success 'a refused message leaves no session and names none' '
	"$KARTA" --server "$url" sessions --json >before.json &&
	test_must_exit 1 "$KARTA" --server "$url" send --agent nobody hi >out 2>err &&
	test_empty out && test_grep -v "^session" err &&
	test_must_exit 5 "$KARTA" --server "$url" send --session sess_none hi >out 2>err &&
	test_grep -v "^session" err &&
	"$KARTA" --server "$url" sessions --json >after.json &&
	test_json after.json "len(d[\"data\"]) == len(json.load(open(\"before.json\"))[\"data\"])"
'

test_expect_success 'wrong use tells what is right' '
	test_must_exit 2 "$KARTA" send </dev/null 2>err && test_grep "^hint: .karta send" err &&
	test_must_exit 2 "$KARTA" send where are you 2>err && test_grep "^hint: .*quotes" err &&
	test_must_exit 2 "$KARTA" send --server localhost:8000 hi 2>err &&
	test_grep "localhost:8000. is not the address" err && test_grep "^hint: it begins with http" err
'

test_expect_success 'the session goes on, and the text may come from stdin' '
	echo Hello | "$KARTA" --server "$url" send - --session "$(cat id)" >out 2>err &&
	test_grep Beans out && test_grep -F "session $(cat id)" err &&
	echo Hello | "$KARTA" --server "$url" send --session "$(cat id)" --quiet >out 2>err &&
	test_grep Beans out && test_empty err &&
	"$KARTA" --server "$url" sessions show "$(cat id)" --json >s.json &&
	test_json s.json "d[\"turns\"] == 3"
'

test_expect_success 'bad input is wrong usage' '
	test_must_exit 2 "$KARTA" --server "$url" send "" &&
	printf "\377" | test_must_exit 2 "$KARTA" --server "$url" send - &&
	test_must_exit 2 "$KARTA" --server "$url" send hi --on-busy maybe &&
	test_must_exit 5 "$KARTA" --server "$url" send hi --session sess_none 2>err &&
	test_grep "there is no session .sess_none. of $url" err && test_grep "^hint: .karta sessions --server $url. lists" err &&
	test_must_exit 2 "$KARTA" --server ftp://x send hi
'

test_expect_success '--permission-mode is that of the new session' '
	"$KARTA" --server "$url" send Hello --permission-mode plan --json >out 2>err &&
	"$KARTA" --server "$url" sessions show "$(sed -n "s/^session \(sess_[A-Za-z0-9]*\) .*/\1/p" err)" --json >s.json &&
	test_json s.json "d[\"permission_mode\"] == \"plan\"" &&
	test_must_exit 2 "$KARTA" --server "$url" send hi --session "$(cat id)" --permission-mode plan 2>err &&
	test_grep "permission-mode is for a new session" err
'

test_expect_success 'an unknown permission mode is refused with the known ones' '
	mkdir claude && printf "[harness]\ntype = \"claude-code\"\n" >claude/karta.toml && echo hi >claude/CLAUDE.md &&
	("$KARTA" dev --dir claude --no-chat --port 0 >curl 2>cdev.err & echo $! >pid) &&
	test_background "$(cat pid)" && test_wait_for grep -q "^http" curl &&
	test_must_exit 1 "$KARTA" --server "$(cat curl)" send hi --permission-mode sometimes 2>err &&
	test_grep "one of: default, plan, acceptEdits" err &&
	printf "hi" | test_must_exit 1 "$KARTA" --server "$(cat curl)" chat --permission-mode sometimes >out 2>err &&
	cat err >>out && test_grep "one of: default, plan, acceptEdits" out &&
	test_must_exit 2 "$KARTA" --server "$(cat curl)" chat --session sess_x --permission-mode plan 2>err &&
	test_grep "permission-mode is for a new session" err &&
	kill "$(cat pid)"
'

test_expect_success '--json is one object' '
	"$KARTA" --server "$url" send Hello --json >out 2>err &&
	test "$(wc -l <out)" -eq 1 &&
	test_json out "d[\"schema_version\"] == 1 and d[\"text\"].startswith(\"Hello!\") and d[\"stop_reason\"] == \"end_turn\""
'

test_expect_success '--stream is the events, a line each' '
	"$KARTA" --server "$url" send Hello --stream >out 2>err &&
	python3 -c "
import json
e = [json.loads(l) for l in open(\"out\")]
assert [x[\"seq\"] for x in e] == list(range(1, len(e) + 1)), e
assert e[0][\"type\"] == \"status\" and e[-1][\"type\"] == \"done\"
text = \"\".join(x[\"data\"][\"part\"][\"text\"] for x in e if x[\"type\"] == \"text\")
assert text == e[-1][\"data\"][\"message\"][\"text\"]
"
'

refund="My mug came broken, I'd like a refund for NB-1042"

test_expect_success 'an approval without a terminal is refused with the option that answers it' '
	test_must_exit 9 "$KARTA" --server "$url" send "$refund" >out 2>err &&
	tail -1 out >last && test_grep "mark it as refunded now.$" last &&
	test_grep -F -- "--approve" err && test_grep "^interrupted" err &&
	sed -n "s/^session \(sess_[A-Za-z0-9]*\) .*/\1/p" err >id &&
	"$KARTA" --server "$url" sessions show "$(cat id)" --json >s.json &&
	test_json s.json "d[\"turn\"] is None and d[\"pending_input\"] is None"
'

test_expect_success '--approve answers once, for the session, or no' '
	"$KARTA" --server "$url" send "$refund" --approve once >out 2>err &&
	test_grep "All done, Mia" out && test_grep "Write orders.csv" err &&
	"$KARTA" --server "$url" send "$refund" --approve session >out 2>err &&
	test_grep "All done, Mia" out &&
	sed -n "s/^session \(sess_[A-Za-z0-9]*\) .*/\1/p" err >id &&
	"$KARTA" --server "$url" send "$refund" --session "$(cat id)" >out 2>err &&
	test_grep "All done, Mia" out && test_grep "approved without asking" err &&
	"$KARTA" --server "$url" send "$refund" --approve deny >out 2>err &&
	test_grep "not able to finish" out && test_grep "Write orders.csv.*rejected" err &&
	"$KARTA" --server "$url" send "$refund" --approve once --json >out 2>err &&
	test_json out "\"All done, Mia\" in d[\"text\"] and d[\"stop_reason\"] == \"end_turn\""
'

test_expect_success 'a failed turn is status 1 with its code' '
	test_must_exit 1 "$KARTA" --server "$url" send fails >out 2>err &&
	test_empty out && test_grep -F "too many requests (rate_limited)" err &&
	test_grep "trying again: connection_failed" err &&
	test_must_exit 1 "$KARTA" --server "$url" send fails --json >out 2>err &&
	test_json out "\"rate_limited\" in d[\"error\"][\"message\"]" &&
	test_json out "d[\"error\"][\"type\"] == \"rate_limited\" and d[\"error\"][\"code\"] == 1" &&
	test_json out "d[\"error\"][\"turn_id\"].startswith(\"turn_\")" &&
	sed -n "s/^session \(sess_[A-Za-z0-9]*\) .*/\1/p" err >id &&
	test_json out "d[\"error\"][\"session_id\"] == \"$(cat id)\"" &&
	test_must_exit 1 "$KARTA" --server "$url" send refuse --json >out 2>err &&
	test_json out "d[\"error\"][\"type\"] == \"refused\" and d[\"error\"][\"turn_id\"]" &&
	test_must_exit 9 "$KARTA" --server "$url" send "$refund" --json >out 2>err &&
	test_json out "d[\"error\"][\"code\"] == 9 and d[\"error\"][\"session_id\"] and d[\"error\"][\"turn_id\"]" &&
	test_must_exit 5 "$KARTA" --server "$url" send hi --session sess_none --json >out 2>err &&
	test_json out "d[\"error\"][\"type\"] == \"not_found\" and \"turn_id\" not in d[\"error\"]"
'

test_expect_success 'what tools are called and say cannot drive the terminal' '
	"$KARTA" --server "$url" send evil >out 2>err &&
	test_grep -v "$(printf "\033")" err && test_grep -v "$(printf "\342\200\256")" err &&
	test_grep -F "\x1b[2J" err && test_grep -F "\u202e" err &&
	printf "plain %s\n" "\x1b[1mbytes" >expect && test_cmp expect out
'

test_expect_success 'tools of sub-agents stand under the call that began them' '
	"$KARTA" --server "$url" send agents >out 2>err &&
	test_grep "^. Task look around$" err && test_grep "^  . Grep needle \(" err &&
	test_grep "^. Task look around \(" err
'

test_expect_success 'an idempotency key sends once' '
	"$KARTA" --server "$url" send Hello 2>err >out &&
	sed -n "s/^session \(sess_[A-Za-z0-9]*\) .*/\1/p" err >id &&
	"$KARTA" --server "$url" send again --session "$(cat id)" --idempotency-key k1 >one 2>err &&
	"$KARTA" --server "$url" send again --session "$(cat id)" --idempotency-key k1 >two 2>err &&
	test_cmp one two &&
	"$KARTA" --server "$url" sessions show "$(cat id)" --json >s.json &&
	test_json s.json "d[\"turns\"] == 2"
'
cat >onatty.py <<'EOT'
import os, pty, select, sys
karta, url, text, keys = sys.argv[1:]
pid, fd = pty.fork()
if pid == 0:
    os.execv(karta, [karta, "--server", url, "send", text])
log = b""
while True:
    select.select([fd], [], [])
    try:
        data = os.read(fd, 65536)
    except OSError:
        break
    log += data
    if keys and log.endswith(b"[d]eny> "):
        os.write(fd, keys[0].encode() + b"\n")
        keys = keys[1:]
sys.stdout.buffer.write(log)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
EOT

test_expect_success 'a terminal is asked' '
	timeout $((300 * TEST_SLOW)) python3 onatty.py "$KARTA" "$url" "$refund" xo >out &&
	test_grep "file_path: orders.csv" out && test_grep "input: 604 bytes" out &&
	test_grep "All done, Mia" out && test "$(grep -c -F "[d]eny>" out)" -eq 2 &&
	timeout $((300 * TEST_SLOW)) python3 onatty.py "$KARTA" "$url" "$refund" d >out && test_grep "not able to finish" out
'
test_stop "$server"
start 1 || exit 1

test_expect_success 'Ctrl-C interrupts the turn, and status 130 says so' '
	"$KARTA" --server "$url" send slow --stream >out 2>err & pid=$! &&
	test_background "$pid" &&
	test_wait_for grep -q "It begins" out &&
	kill -INT "$pid" && { wait "$pid"; test "$?" -eq 130; } &&
	test_grep "interrupting the turn" err &&
	tail -1 out >last.json && test_json last.json "d[\"data\"][\"stop_reason\"] == \"interrupted\""
'

test_expect_success 'the answer streams to a pipe, and ends with its line' '
	"$KARTA" --server "$url" send slow >out 2>err & pid=$! &&
	test_background "$pid" &&
	test_wait_for grep -q "It begins" out &&
	kill -INT "$pid" && { wait "$pid"; test "$?" -eq 130; } &&
	printf "It begins.\n" >expect && test_cmp expect out
'

cat >grows.py <<'EOT'
import codecs, fcntl, os, pty, select, signal, struct, sys, termios
sys.path.insert(0, os.environ["TEST_ROOT"] + "/tests/lib")
from vt import Screen
karta, url = sys.argv[1:]
go = os.pipe()
pid, fd = pty.fork()
if pid == 0:
    os.read(go[0], 1)
    os.execv(karta, [karta, "--server", url, "send", "half"])
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
os.write(go[1], b"g")
screen, decoder, asked = Screen(40, 24), codecs.getincrementaldecoder("utf-8")("replace"), False
while True:
    select.select([fd], [], [])
    try:
        data = os.read(fd, 65536)
    except OSError:
        break
    screen.feed(decoder.decode(data))
    # The line of state comes below, and says what is waited for.
    if not asked and "An open item" in screen.all() and "Ctrl-C" in screen.all():
        asked = True
        print("\n".join(screen.screen()))
        os.write(fd, b"\x03")
print("\n".join(screen.screen()))
assert "(Ctrl-C" not in screen.screen()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
EOT

test_expect_success 'on a terminal the open block grows, above what is waited for' '
	TEST_ROOT="$TEST_ROOT" TERM=xterm LANG=C.UTF-8 timeout $((300 * TEST_SLOW)) python3 grows.py "$KARTA" "$url" >out
	test "$?" -eq 130 && test_grep "^A first paragraph.$" out && test_grep "^• An open item$" out &&
	test_grep "^interrupted" out
'

python3 - >app/rehearsals/long.jsonl <<'EOT'
import json
for name, row in ("list", "- an item with a few words in it\n"), ("text", "A paragraph of a few words of it\n\n"):
    text = row * 3000
    print(json.dumps({"karta_rehearsal": 1, "match": {"text": "long " + name}}))
    for i in range(0, len(text), 40):
        print(json.dumps({"t": i // 400, "type": "text", "data": {"part": {"type": "text", "text": text[i:i + 40]}, "part_id": "p"}}))
    print(json.dumps({"t": len(text) // 400, "end": {}}))
EOT
cat >cost.py <<'EOT'
# An open block costs what blocks that are closed cost, whatever its length: CPU time of both.
import os, pty, select, sys
karta, url = sys.argv[1:]

def cost(text):
    pid, fd = pty.fork()
    if pid == 0:
        os.execv(karta, [karta, "--server", url, "send", text])
    while True:
        select.select([fd], [], [])
        try:
            os.read(fd, 65536)
        except OSError:
            break
    _, status, used = os.wait4(pid, 0)
    assert status == 0, status
    return used.ru_utime + used.ru_stime

closed = cost("long text")
# A machine that is busy may count against one of them: the best of three.
opened = min(cost("long list") for _ in range(3))
assert opened < 8 * closed, (opened, closed)
EOT

test_expect_success 'an open block that is long is drawn again seldom enough to cost little' '
	TERM=xterm timeout $((300 * TEST_SLOW)) python3 cost.py "$KARTA" "$url"
'

test_expect_success '--timeout gives up, and the turn goes on' '
	test_must_exit 3 "$KARTA" --server "$url" --timeout $((3 * TEST_SLOW))s send slow >out 2>err &&
	test_grep "the turn goes on in sess_" err
'

test_expect_success 'a busy session may be refused' '
	sed -n "s/^session \(sess_[A-Za-z0-9]*\) .*/\1/p" err >id &&
	test_must_exit 6 "$KARTA" --server "$url" send hi --on-busy reject --session "$(cat id)" 2>err &&
	test_grep "a turn is running" err
'

test_expect_success 'a server that is killed and comes back ends the turn for the client too' '
	"$KARTA" --server "$url" send pause >out 2>err & pid=$! &&
	test_background "$pid" &&
	runs() { curl -sf "$url/v1/sessions/$(sed -n "s/^session \(sess_[A-Za-z0-9]*\) .*/\1/p" err)" | grep -q "\"state\": *\"running\""; } &&
	test_wait_for grep -q "^session" err && test_wait_for runs &&
	kill -KILL "$server" && { wait "$server"; true; } &&
	test_wait_for grep -q "reconnecting" err &&
	start 1 "${url##*:}" &&
	{ wait "$pid"; test "$?" -eq 1; } &&
	test_grep "the server stopped" err
'

test_done
