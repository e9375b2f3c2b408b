#!/bin/sh
# SPDX-License-Identifier: MIT
# karta chat: on a terminal (a pty that a small script drives), and from a pipe.
. "$(dirname "$0")/../lib/test-lib.sh"

bot_app
cat >app/rehearsals/test.jsonl <<'EOT'
{"karta_rehearsal":1,"match":{"text":"slow"}}
{"t":10,"type":"text","data":{"part":{"type":"text","text":"It begins.\n\nAnd goes on."},"part_id":"p1"}}
{"t":60000,"end":{"text":"It ends."}}
{"karta_rehearsal":1,"match":{"text":"edits"}}
{"t":1,"type":"tool_use","data":{"tool_name":"Edit","tool_input":{"file_path":"/a/long/path/to/notes.txt","old_string":"one\ntwo\n","new_string":"one\nTWO\n"},"tool_use_id":"t1","state":"running"}}
{"t":2,"ask":{"id":"e1","tool":"Edit","tool_use_id":"t1","message":"Allow Edit: notes.txt?","input":{"file_path":"/a/long/path/to/notes.txt","old_string":"one\ntwo\n","new_string":"one\nTWO\n","replace_all":false,"why":{"because":["x","1"]}}}}
{"t":3,"when":{"e1":"any"},"type":"tool_result","data":{"tool_use_id":"t1","output":"The file was updated.","is_error":false,"status":"completed"}}
{"t":4,"when":{"e1":"any"},"type":"tool_use","data":{"tool_name":"edit","tool_input":{"filePath":"b.txt"},"tool_use_id":"t2","state":"running"}}
{"t":5,"when":{"e1":"any"},"type":"tool_result","data":{"tool_use_id":"t2","output":[{"type":"text","text":"Edit applied."},{"type":"diff","path":"b.txt","oldText":"x\ny","newText":"x\nz","text":"b.txt"}],"is_error":false,"status":"completed"}}
{"t":6,"when":{"e1":"any"},"type":"tool_use","data":{"tool_name":"Bash","tool_input":{"command":"seq 9"},"tool_use_id":"t3","state":"running"}}
{"t":7,"when":{"e1":"any"},"type":"tool_result","data":{"tool_use_id":"t3","output":"\u001b[31m1\u001b[0m\n2\n3\n4\n5\n6\n","is_error":false,"status":"completed"}}
{"t":8,"when":{"e1":"any"},"type":"tool_use","data":{"tool_name":"Bash","tool_input":{"command":"false"},"tool_use_id":"t4","state":"running"}}
{"t":9,"when":{"e1":"any"},"type":"tool_result","data":{"tool_use_id":"t4","output":"exit 1\n","is_error":true,"status":"failed"}}
{"t":10,"when":{"e1":"any"},"end":{"text":"All edited."}}
{"karta_rehearsal":1,"match":{"text":"works"}}
{"t":10,"type":"tool_use","data":{"tool_name":"Bash","tool_input":{"command":"npm test"},"tool_use_id":"w1","state":"running"}}
{"t":60000,"end":{"text":"It ends."}}
{"karta_rehearsal":1,"match":{"text":"halfway"}}
{"t":10,"type":"text","data":{"part":{"type":"text","text":"A paragraph.\n\n- one\n- two is **bold and"},"part_id":"p1"}}
{"t":60000,"end":{"text":"It ends."}}
{"karta_rehearsal":1,"match":{"text":"pick"}}
{"t":1,"ask":{"id":"q","kind":"question","tool":"AskUserQuestion","message":"Which?","input":{},"questions":[{"question":"Which color?","options":[{"label":"Red","description":"warm"},{"label":"Blue"}],"multi":false},{"question":"Which sizes?","options":["S","M","L"],"multi":true}]}}
{"t":2,"answer":{"id":"q","decision":"answer"}}
{"t":3,"end":{"text":"Thank you for choosing."}}
{"karta_rehearsal":1,"match":{"text":"evil"}}
{"t":1,"ask":{"id":"e","tool":"Bash","message":"Allow \u001b[2JBash?","input":{"command":"echo a\nrm -rf \u202e/ \u001b]0;pwned\u0007"}}}
{"t":2,"when":{"e":"any"},"end":{"text":"Well."}}
{"karta_rehearsal":1,"match":{"text":"hides"}}
{"t":1,"ask":{"id":"h1","tool":"mcp__fs__write","message":"Allow one?","input":{"path":"/root/.profile","content":"evil one","old_string":"fine","new_string":"better","asked by":"you"}}}
{"t":2,"when":{"h1":"any"},"end":{"text":"Well."}}
{"karta_rehearsal":1,"match":{"text":"hides more"}}
{"t":1,"ask":{"id":"h2","tool":"mcp__fs__edit","message":"Allow two?","input":{"path":"f","edits":[{"old_string":"fine","new_string":"better","also":"evil two"}],"new_source":"evil three","old_string":{"x":"evil four"},"new_string":"y"}}}
{"t":2,"when":{"h2":"any"},"end":{"text":"Well."}}
{"karta_rehearsal":1,"match":{"text":"two\nlines"}}
{"t":1,"end":{"text":"Both lines came."}}
{"karta_rehearsal":1,"match":{"text":"grüße äöx"}}
{"t":1,"end":{"text":"Umlauts came."}}
EOT

python3 - >>app/rehearsals/test.jsonl <<'EOT'
import json
print('{"karta_rehearsal":1,"match":{"text":"far"}}')
print(json.dumps({"t": 1, "type": "tool_use", "data": {"tool_name": "Read", "tool_input": {"file_path": "/f" * 150000 + "/end.c"}, "tool_use_id": "f1", "state": "running"}}))
print(json.dumps({"t": 2, "type": "tool_result", "data": {"tool_use_id": "f1", "output": "x", "is_error": False, "status": "completed"}}))
print('{"t":3,"end":{"text":"It was far."}}')
text = """Words in **bold** and \u4e2d\u6587\u5b57 that are folded at the width.

- one
- two https://example.org/wide

```c
int a;
\tif (a)
```

| a | b |
|---|---|
| 1 | 2 |

""" + "".join("%d. item\n" % i for i in range(1, 31)) + (
    "\nA last paragraph that is wider than forty columns and not as wide as a hundred.\n\nThe end.\n")
print('{"karta_rehearsal":1,"match":{"text":"grow"}}')
for i in range(0, len(text), 5):
    print(json.dumps({"t": 1 + 2 * i, "type": "text", "data": {"part": {"type": "text", "text": text[i:i + 5]}, "part_id": "p1"}}))
print(json.dumps({"t": 2 * len(text) + 10, "end": {"text": text}}))
content = "".join("row %07d of the file\n" % i for i in range(70000))
print('{"karta_rehearsal":1,"match":{"text":"large"}}')
print(json.dumps({"t": 1, "ask": {"id": "w", "tool": "Write", "message": "Allow Write: big.txt?",
    "input": {"file_path": "big.txt", "content": content}}}))
print('{"t":2,"when":{"w":"any"},"end":{"text":"That was large."}}')
EOT

# drive SCRIPT [ARGUMENT...]: run karta chat on a pty; SCRIPT is Python with expect(), send(), ...
cat >drive.py <<'EOT'
import codecs, fcntl, os, pty, select, signal, struct, subprocess, sys, termios, time

sys.path.insert(0, os.environ["TEST_ROOT"] + "/tests/lib")
from vt import Screen

karta, script, argv = os.environ["KARTA"], sys.argv[1], sys.argv[2:]
PATIENCE = 90 * float(os.environ.get("KARTA_TEST_SLOW", "1"))
go = os.pipe()  # the terminal is as it has to be
pid, fd = pty.fork()
if pid == 0:
    os.read(go[0], 1)
    os.execv(karta, [karta, "chat"] + argv)
screen = Screen(int(os.environ.get("WIDTH", "80")), 24)
decoder = codecs.getincrementaldecoder("utf-8")("replace")

def size(columns, rows):
    screen.columns, screen.height = columns, rows
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

size(screen.columns, screen.height)
before = termios.tcgetattr(fd)
os.write(go[1], b"g")
log, at = b"", 0

def pump(seconds):
    global log
    if not select.select([fd], [], [], seconds)[0]:
        return True
    try:
        data = os.read(fd, 65536)
    except OSError:
        return False
    log += data
    screen.feed(decoder.decode(data))
    return bool(data)

def until(there):
    """Wait until there() is true of the screen."""
    end = time.time() + PATIENCE
    while not there():
        if time.time() > end or not pump(0.1):
            sys.exit("not on the screen: " + "\n".join(screen.screen()))

def expect(text):
    """Wait until text comes after what was expected last; returns what came before it."""
    global at
    end = time.time() + PATIENCE
    while True:
        i = log.find(text.encode(), at)
        if i >= 0:
            was = log[at:i].decode("utf-8", "replace")
            at = i + len(text.encode())
            return was
        if time.time() > end or not pump(0.1):
            sys.exit(f"not seen: {text!r}; since the last: {log[at:]!r}")

def send(text):
    os.write(fd, text.encode())

def leave(status=0):
    while pump(0.5):
        pass
    got = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert got == status, f"status {got}: {log!r}"

def run(*args):
    return subprocess.run([karta, *args], capture_output=True, text=True, check=True).stdout

def restored():
    assert termios.tcgetattr(fd)[3] == before[3], "the terminal was not restored"
    assert log.rstrip().endswith(b"\x1b[?2004l"), log[-200:]

REFUND = "My mug came broken, I'd like a refund for NB-1042"
exec(open(script).read())
EOT

start() {
	start_dev "$@" && server=$DEV_PID KARTA_SERVER=$DEV_URL && export KARTA_SERVER
}
drive() {
	cat >script.py && timeout $((600 * TEST_SLOW)) python3 drive.py script.py "$@"
}

export TEST_ROOT

test_expect_success 'without a server the error says how to start one' '
	test_must_exit 3 "$KARTA" --server http://127.0.0.1:1 chat 2>err && test_grep -F "karta dev" err
'

start 0 || exit 1

test_expect_success 'greeting, reply, commands, leaving' '
	drive <<-\EOT
	expect("support-bot"); expect("http://localhost:"); expect("replies are replayed")
	expect("> "); send("Hello\r"); expect("Beans"); expect("612 tokens in"); expect("> ")
	send("/help\r"); expect("/thinking on|off"); expect("> ")
	send("/sessions\r"); expect("sess_"); expect("Hello"); expect("> ")
	send("/thinking on\r"); expect("thinking is on"); expect("> ")
	send("Hello\r"); expect("greeting. I "); expect("Beans"); expect("> ")
	send("/agent nobody\r"); expect("there is no agent"); expect("default"); expect("> ")
	send("/nonsense\r"); expect("there is no command /nonsense"); expect("> ")
	send("/agnet\r"); expect("did you mean /agent?"); expect("> ")
	send("/agents\r"); expect("default"); expect("> ")
	send("/resume sess_x\r"); expect("karta chat --session sess_x"); expect("> ")
	send("/clear\r"); expect("the next message begins a new session"); expect("> ")
	send("/new\r"); expect("new session"); expect("> ")
	send("Hello\r"); expect("Beans"); expect("> ")
	send("exit\r"); expect("go on with: karta chat --session sess_")
	leave(); restored()
	EOT
	"$KARTA" sessions --json >out && test_json out "[s[\"turns\"] for s in d[\"data\"]] == [1, 2]"
'

test_expect_success 'approvals: once, for the session, no' '
	drive <<-\EOT
	expect("> "); send(REFUND + "\r")
	shown = expect("[o]nce / [s]ession / [f]ile / fo[l]der / [d]eny> ")
	assert "from now on in this session: this exact call of Write: orders.csv" in shown, shown
	assert "asked by: default\r" in shown and "for a message from" not in shown, shown
	assert "from now on in this session: every edit of the file orders.csv" in shown, shown
	assert "from now on in this session: every edit of a file that is directly" in shown, shown
	for row in open("app/orders.csv"):
	    row = row.strip().replace("31.40,shipped", "31.40,refunded")
	    assert row in shown, (row, shown)
	assert "604 bytes, sha256" in shown and "file_path: orders.csv" in shown
	send("maybe\r"); expect("please answer"); expect("[d]eny> ")
	send("n\r"); expect("rejected"); expect("not able to finish"); expect("tokens in"); expect("> ")
	send(REFUND + "\r"); expect("[d]eny> "); send("y\r"); expect("All done, Mia"); expect("tokens in"); expect("> ")
	send(REFUND + "\r"); expect("[d]eny> "); send("session\r"); expect("All done, Mia"); expect("tokens in"); expect("> ")
	send(REFUND + "\r"); expect("approved without asking"); expect("All done, Mia"); expect("tokens in"); expect("> ")
	send("\x04"); leave(); restored()
	EOT
'

test_expect_success 'an edit is shown as what it changes, a call by what it gave, and ? explains the answers' '
	drive <<-\EOT
	def rows_from(first):
	    rows = [r.split(" (0.")[0].rstrip() for r in screen.all().split("\n")]
	    return rows[rows.index(first):]
	expect("> "); send("edits\r"); until(lambda: screen.screen()[-1:] == ["[o]nce / [s]ession / [d]eny>"])
	rows = rows_from("Allow Edit: notes.txt?")
	at = rows.index("  file_path: /a/long/path/to/notes.txt")
	assert rows[at:at + 8] == ["  file_path: /a/long/path/to/notes.txt", "  replace_all: false", "  why:", "    because:",
	    "      - x", "      - \"1\"", "    one", "  - two"], rows
	assert screen.style_at("- two") == "31" and screen.style_at("+ TWO") == "32"
	assert "{" not in "".join(rows), rows
	send("?\r"); until(lambda: "the agent is told so" in screen.all() and screen.screen()[-1] == "[o]nce / [s]ession / [d]eny>")
	assert "yes, this time" in screen.all() and "do not ask again in this session for this exact call" in screen.all()
	send("once\r"); until(lambda: "All edited." in screen.all() and screen.screen()[-1] == ">")
	rows = rows_from("✓ Edit /a/long/path/to/notes.txt +1 -1")
	assert rows[:15] == ["✓ Edit /a/long/path/to/notes.txt +1 -1", "✓ edit b.txt +1 -1", "    x", "  - y", "  + z", "✓ Bash seq 9", "  1", "  2",
	    "  3", "  4", "  ... 2 more lines", "✗ Bash false", "  exit 1", "", "All edited."], rows
	send("\x04"); leave(); restored()
	EOT
'

test_expect_success 'an input over 1 MiB is shown in part, and whole when asked for' '
	drive <<-\EOT
	expect("> "); send("large\r")
	shown = expect("[a]ll of it / [o]nce / [f]ile / fo[l]der / [d]eny> ")
	assert "tool: Write" in shown and "shown in part" in shown and "sha256: " in shown, shown[:300]
	assert "row 0000001" in shown and "more bytes were cut" in shown and "row 0069999" not in shown
	send("a\r")
	shown = expect("row 0069999"); expect("[o]nce / [f]ile / fo[l]der / [d]eny> ")
	assert "row 0000001" in shown and "shown in part" not in shown
	send("o\r"); expect("That was large."); expect("> ")
	send("\x04"); leave(); restored()
	EOT
'

test_expect_success 'keys typed before the question do not answer it' '
	drive <<-\EOT
	expect("> "); send(REFUND + "\ro\r"); expect("[d]eny> "); time.sleep(1); pump(0.5)
	assert b"All done" not in log
	send("d\r"); expect("not able to finish"); expect("rehearsal")
	send("\x04"); leave()
	EOT
'

test_expect_success 'a held Enter approves nothing' '
	drive <<-\EOT
	expect("> "); send(REFUND + "\r" + "\r" * 50); expect("[d]eny> ")
	for i in range(20):
	    send("\r" * 5); pump(0.05)
	send(" \r"); expect("please answer"); pump(0.5)
	assert b"All done" not in log
	send("d\r"); expect("not able to finish"); expect("> ")
	send("\x04"); leave()
	EOT
'

test_expect_success 'half a line that was typed before the question is no part of the answer' '
	TERM=dumb drive <<-\EOT
	expect("> "); send(REFUND + "\no"); expect("[d]eny> "); pump(0.5)
	send("\n"); expect("please answer"); pump(0.5)
	assert b"All done" not in log
	send("d\n"); expect("not able to finish"); expect("> ")
	send("\x04"); leave()
	EOT
'

test_expect_success 'an approval that is answered elsewhere closes the question' '
	drive <<-\EOT
	import json, urllib.request
	expect("> "); send(REFUND + "\r"); expect("[d]eny> ")
	s = json.loads(run("sessions", "--limit", "1", "--json"))["data"][0]
	r = urllib.request.Request("%s/v1/sessions/%s/inputs/%s" % (os.environ["KARTA_SERVER"], s["id"], s["pending_input"]["request_id"]),
	    json.dumps({"decision": "approve_once"}).encode(), {"Content-Type": "application/json"}, method="PUT")
	urllib.request.urlopen(r).read()
	expect("answered elsewhere: approved once"); expect("All done, Mia"); expect("> ")
	send("\x04"); leave()
	EOT
'

test_expect_success 'questions take numbers and own words' '
	drive <<-\EOT
	expect("> "); send("pick\r"); expect("Which color?"); expect("1. Red"); expect("2. Blue"); expect("answer> ")
	send("2\r"); expect("Which sizes?"); expect("3. L"); expect("answer> ")
	send("1,3\r"); expect("Thank you for choosing."); expect("> ")
	send("\x04"); leave()
	EOT
'

test_expect_success 'what is approved is shown whole and cannot drive the terminal' '
	drive <<-\EOT
	expect("> "); send("evil\r"); shown = expect("[d]eny> ")
	assert "rm -rf \\u202e/ \\x1b]0;pwned\\x07" in shown, shown
	assert "Allow \\x1b[2JBash?" in shown, shown
	assert "\u202e" not in shown and "\x1b[2J" not in shown and "\x07" not in shown
	send("d\r"); expect("Well."); expect("> "); send("\x04"); leave()
	EOT
'

test_expect_success 'an approval that is an edit hides nothing else that is in its input' '
	drive <<-\EOT
	expect("> "); send("hides\r"); shown = expect("[d]eny> ")
	for words in ("- fine", "+ better", "content: evil one", "\"asked by\": you"):
	    assert words in shown, (words, shown)
	send("d\r"); expect("Well."); expect("> "); send("hides more\r"); expect("Allow two?"); shown = expect("[d]eny> ")
	for words in ("- fine", "+ better", "also: evil two", "new_source: evil three", "x: evil four"):
	    assert words in shown, (words, shown)
	send("d\r"); expect("Well."); expect("> "); send("\x04"); leave()
	EOT
'

test_expect_success 'a path of any length is cut at once' '
	drive <<-\EOT
	expect("> "); send("far\r"); shown = expect("It was far."); assert "/f/end.c" in shown, shown; expect("> "); send("\x04"); leave()
	EOT
'

test_expect_success 'line editing, history and paste' '
	rm -f "$XDG_STATE_HOME/karta/history" &&
	drive <<-\EOT
	expect("> "); send("xello\x01\x1b[C\x7fH\x05 you\x17\x7f\r"); expect("Beans"); expect("tokens in"); expect("> ")
	send("gr\u00fc\u00dfe \u00e4\u00f6\u00fcy\x1b[D\x1b[D\x0bx\r"); expect("Umlauts came."); expect("> ")
	send("\x1b[200~two\rlines\x1b[201~\r"); expect("Both lines came."); expect("> ")
	send("\x1b[A\x1b[A\x1b[A"); time.sleep(0.3); send("\r"); expect("Umlauts"); expect("> ")
	send("drop me\x15\x04"); leave(); restored()
	EOT
	printf "Hello\ngrüße äöx\ntwo\\\\nlines\ngrüße äöx\n" >expect &&
	test_cmp expect "$XDG_STATE_HOME/karta/history" &&
	test "$(stat -c %a "$XDG_STATE_HOME/karta/history")" = 600
'

test_expect_success 'turns of others appear above the prompt, and the draft stays' '
	drive <<-\EOT
	import json
	expect("> "); send("Hello\r"); expect("Beans"); expect("tokens in"); expect("> "); send("my draft"); expect("my draft")
	s = json.loads(run("sessions", "--limit", "1", "--json"))["data"][0]["id"]
	run("send", "--session", s, "Hello"); expect("user> "); expect("Hello"); expect("Beans"); expect("> my draft")
	send("\x03"); send("\x04"); leave()
	EOT
'

test_expect_success 'a session is gone on with' '
	id=$("$KARTA" sessions --limit 1 --json | python3 -c "import json,sys; print(json.load(sys.stdin)[\"data\"][0][\"id\"])") &&
	drive --session "$id" <<-\EOT &&
	expect("> Hello"); expect("Beans"); expect("\x1b[2C"); send("Hello\r"); expect("tokens in"); expect("\x1b[2C")
	send("\x03"); expect("Ctrl-C again or"); send("\x03"); leave(); restored()
	EOT
	test_must_exit 5 "$KARTA" chat --session sess_none </dev/null
'

test_expect_success '--continue goes on with the session that was talked to last' '
	first=$("$KARTA" send --json Hello 2>err >out && sed -n "s/^session \(sess_[A-Za-z0-9]*\) .*/\1/p" err) &&
	"$KARTA" send Hello >out 2>err && sleep 1.1 && "$KARTA" send --session "$first" Hello >out 2>err &&
	"$KARTA" send --continue Hello >out 2>err && test_grep "^session $first " err &&
	drive -c <<-\EOT &&
	expect("> Hello"); expect("Beans"); until(lambda: screen.screen()[-1] == ">"); send("\x04"); expect("go on with: karta chat --session"); leave()
	EOT
	test_must_exit 2 "$KARTA" chat --continue --session "$first" 2>err </dev/null && test_grep "say one of them" err &&
	test_must_exit 2 "$KARTA" send -c --permission-mode plan hi 2>err && test_grep "permission-mode is for a new session, not with --continue" err && test_grep "^hint: .karta sessions list. has" err
'

test_expect_success 'SIGTERM restores the terminal' '
	drive <<-\EOT
	expect("> "); os.kill(pid, signal.SIGTERM); leave(); restored()
	EOT
'

test_expect_success 'TERM=dumb gets plain lines' '
	TERM=dumb drive <<-\EOT
	expect("> "); send("Hello\n"); expect("Beans"); expect("tokens in"); expect("> ")
	send(REFUND + "\n"); expect("[d]eny> "); send("o\n"); expect("All done, Mia"); expect("> ")
	send("\x04"); leave()
	assert b"\x1b" not in log, log
	EOT
'

test_expect_success 'lines of a pipe are messages' '
	printf "Hello\n\npick\n" | test_must_exit 9 "$KARTA" chat >out 2>err &&
	test_grep Beans out && test_grep -F -- "--approve" err &&
	printf "Hello" | "$KARTA" chat >out 2>err && test_grep Beans out && test_grep "go on with" err &&
	test_grep "^support-bot  \(rehearsal\)  http" err && test_grep -v "go on with\|http" out && test_grep -v "$(printf "\033")" out
'
test_stop "$server"
start 1 || exit 1

test_expect_success 'Ctrl-C interrupts the turn and the chat goes on' '
	drive <<-\EOT
	expect("> "); send("slow\r"); expect("It begins."); expect("Ctrl-C interrupts")
	send("\x03"); expect("interrupting"); expect("interrupted"); expect("> ")
	send("Hello\r"); expect("Beans"); expect("tokens in"); expect("> ")
	send("slow\r"); expect("It begins."); send("\x03\x03"); leave(); restored()
	EOT
'

test_expect_success 'waiting says for what, with the seconds after a while' '
	drive <<-\EOT
	import re
	expect("> "); send("works\r"); until(lambda: screen.screen()[-1].startswith("running Bash: npm test  "))
	until(lambda: re.fullmatch(r"running Bash: npm test  [0-9]+ s  \(Ctrl-C interrupts\)", screen.screen()[-1]))
	send("\x03"); expect("interrupted"); expect("> "); send("\x04"); leave(); restored()
	EOT
'

test_expect_success 'an open block grows on the screen, its marks closed' '
	drive <<-\EOT
	expect("> "); send("halfway\r"); until(lambda: "• two is bold and" in screen.screen())
	rows = screen.screen(); at = rows.index("A paragraph.")
	assert rows[at:at + 4] == ["A paragraph.", "", "• one", "• two is bold and"], rows
	assert screen.style_at("bold and") == "1" and screen.style_at("two is") == "", screen.style_at("bold and")
	send("\x03"); expect("interrupted"); expect("> "); send("\x04"); leave(); restored()
	EOT
	NO_COLOR=1 drive <<-\EOT
	expect("> "); send("halfway\r"); until(lambda: "• two is **bold and" in screen.screen())
	assert b"m" not in [s[-1:] for s in __import__("re").findall(rb"\x1b\[[0-9;]*[a-zA-Z]", log)]
	send("\x03"); expect("interrupted"); expect("> "); send("\x04"); leave(); restored()
	EOT
	TERM=dumb drive <<-\EOT
	expect("> "); send("halfway\n"); expect("- two is **bold and")
	send("\x03"); expect("interrupted"); expect("> "); send("\x04"); leave()
	assert b"\x1b" not in log, log
	EOT
'

cat >want.py <<'EOT'
# What the screen ends with at some width: the same words, folded.
def want(first):
    rows = first + ["", "• one"] + TWO + ["", "int a;", "        if (a)", "", "a │ b", "──┼──", "1 │ 2", ""]
    rows += ["%d. item" % i for i in range(1, 31)] + [""] + LAST + ["", "The end.", ""]
    got = screen.all().split("\n")
    end = max(i for i, row in enumerate(got) if row == "The end.") + 2
    # All of it, when nothing that scrolled away was drawn in another form before.
    assert got[end - len(rows):end] == rows, (got, rows)
EOT

test_expect_success 'an answer that grew is at the end as if drawn at once, at any width' '
	for width in 40 80 200; do
		WIDTH=$width drive <<-\EOT || return 1
		exec(open("want.py").read())
		expect("> "); send("grow\r"); until(lambda: "The end." in screen.screen() and screen.screen()[-1] == ">")
		TWO = ["• two https://example.org/wide"]
		LAST = ["A last paragraph that is wider than", "forty columns and not as wide as a", "hundred."] if screen.columns == 40 else [
		    "A last paragraph that is wider than forty columns and not as wide as a hundred."]
		want(["Words in bold and 中文字 that are folded", "at the width."] if screen.columns == 40 else
		     ["Words in bold and 中文字 that are folded at the width."])
		assert "│ int" not in screen.all() and screen.style_at("int a") == "35"
		send("\x04"); leave(); restored()
		EOT
	done
'

test_expect_success 'the width of the terminal is followed while an answer grows' '
	WIDTH=40 drive <<-\EOT
	expect("> "); send("grow\r"); until(lambda: "• one" in screen.all()); size(100, 30)
	until(lambda: "The end." in screen.screen() and screen.screen()[-1] == ">")
	assert "at the width." in screen.all().split("\n"), screen.all()
	assert "A last paragraph that is wider than forty columns and not as wide as a hundred." in screen.screen(), screen.screen()
	send("\x04"); leave(); restored()
	EOT
'

test_expect_success 'a killed server comes back and the chat goes on' '
	sh -c "while test ! -e die; do sleep 0.1; done; kill -KILL $server" & helper=$! &&
	test_background "$helper" &&
	drive <<-\EOT
	expect("> "); send("slow\r"); expect("It begins."); expect("Ctrl-C interrupts")
	open("die", "w").close(); expect("reconnecting")
	port = os.environ["KARTA_SERVER"].rsplit(":", 1)[1]
	p = subprocess.Popen([karta, "dev", "--dir", "app", "--no-chat", "--offline", "--port", port, "--speed", "0"],
	    stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
	try:
	    expect("the server stopped"); expect("> ")
	    assert log.count(b"It begins.") == 1, log
	    send("Hello\r"); expect("Beans"); expect("tokens in"); expect("> ")
	    send("\x04"); leave(); restored()
	finally:
	    p.terminate(); p.wait()
	EOT
'

test_done
