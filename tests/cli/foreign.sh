#!/bin/sh
# SPDX-License-Identifier: MIT
# Words from elsewhere: what people of heroku, fly, gh, vercel, docker and kubectl type leads to a
# command of karta's, or to one line that says what karta has instead.
. "$(dirname "$0")/../lib/test-lib.sh"

# Each entry is typed; with blanks between, in every second run of words with colons, and with
# LONG=1 in both forms. Commands and options that a line names are looked up in the table.
cat >walk.py <<'END'
import os, re, subprocess, sys
karta = os.environ["KARTA"]
dump = subprocess.run([karta, "help", "--dump"], check=True, capture_output=True, text=True).stdout
rows = [line.split("\t") for line in dump.splitlines()]
commands = {row[1] for row in rows if row[0] == "command"}
options = {(row[1], name) for row in rows if row[0] == "option" for name in row[2:4] if name}
entries = [row[1:] for row in rows if row[0] == "foreign"]
bad = []

def target(words):
    """The command that a line of words begins with, and its options."""
    words = words.split()
    n = max((n for n in range(1, len(words) + 1) if " ".join(words[:n]) in commands), default=0)
    return " ".join(words[:n]), [w.split("=")[0] for w in words[n:] if w.startswith("-") and w != "-"]

def check(where, text):
    command, flags = target(text)
    if not command:
        bad.append(f"{where}: 'karta {text}' is no command")
    for flag in flags:
        if (command, flag) not in options and ("", flag) not in options:
            bad.append(f"{where}: 'karta {command}' has no {flag}")

def run(words):
    return subprocess.run([karta, *words], capture_output=True, text=True, stdin=subprocess.DEVNULL)

for i, (_, words, to, say) in enumerate(entries):
    forms = [words.split(), [words.replace(" ", ":")]]
    if " " not in words:
        forms = forms[:1]
    elif not os.environ.get("LONG"):
        forms = [forms[i % 2]]
    for form in forms:
        if to:
            out = run([*form, "--help"])
            if out.returncode or not out.stdout.startswith(f"usage: karta {target(to)[0]}"):
                bad.append(f"{form}: {out.returncode} {out.stdout[:80]}{out.stderr[:200]}")
        else:
            out = run([*form, "something"] if form[0] != "run" else form)
            if out.returncode != 2 or out.stdout or out.stderr.count("\n") != 1:
                bad.append(f"{form}: {out.returncode} {out.stdout}{out.stderr}")
            if not out.stderr.startswith(f"karta: no '{words}' here: ") or say not in out.stderr:
                bad.append(f"{form}: says {out.stderr}")
    if to:
        check(words, to)
    named = re.findall(r"'karta ([^']+)'", say)
    for text in named:
        check(words, text)
    if say and len(say) > 140:
        bad.append(f"{words}: {len(say)} characters are not one line")
# Options: what karta takes is taken, and the rest is told in one line. Those of every command are tried at one.
own = [row[1:] for row in rows if row[0] == "foreign-option"]
for who, command, spellings, value, to, say in own:
    at = (command if command != "*" else "open").split()
    for i, option in enumerate(spellings.split()):
        if i and not os.environ.get("LONG"):
            break
        if (command, option) in options and to == "-":
            bad.append(f"{command} {option}: is karta's own")
        if option == "-a":  # karta's own, which takes a name; alone it is theirs
            out = run(["--server", "http://127.0.0.1:1", *at, option])
            if out.returncode != 3:
                bad.append(f"{command} {option}: {out.stderr}")
            continue
        out = run([*at, option, *(["5"] if value else []), "--help"])
        if to != "-" and (out.returncode or not re.match(r"(\x1b\[1m)?(usage:|karta [0-9])", out.stdout)):
            bad.append(f"{command} {option}: {out.returncode} {out.stdout[:80]}{out.stderr[:200]}")
        if to == "-" and (out.returncode != 2 or out.stderr != f"karta: no '{option}' here: {say}\n"):
            bad.append(f"{command} {option}: {out.returncode} {out.stdout[:80]}{out.stderr[:200]}")
    if to.startswith("-") and to != "-" and (command, to.split("=")[0]) not in options and ("", to.split("=")[0]) not in options:
        bad.append(f"{command}: there is no {to}")
    for text in re.findall(r"'karta ([^']+)'", say):
        check(f"{command} {spellings}", text)
    if len(say) > 120:
        bad.append(f"{command} {spellings}: {len(say)} characters are not one line")
print("\n".join(bad))
print(len(entries), "entries")
sys.exit(bool(bad) or len(entries) < 150)
END

test_expect_success 'no word of the table is a dead end' '
	python3 walk.py >out 2>&1 || { cat out; return 1; }
'

test_expect_success 'help shows the table of one that people come from, and what a word means' '
	"$KARTA" help heroku >out && test_grep "^  ps  *karta sessions list$" out &&
	test_grep "^  maintenance  *there is no such mode" out && test "$(wc -L <out)" -le 80 &&
	test_must_exit 1 grep "port-forward" out && "$KARTA" help kubectl >out && test_grep "port-forward" out &&
	"$KARTA" help releases:rollback >out 2>err && test_grep "^usage: karta rollback" out &&
	test_grep "^.releases rollback. is .karta rollback. here" err &&
	test_must_exit 2 "$KARTA" help ps:scale 2>err && test_grep "nothing is scaled" err &&
	test_must_exit 2 "$KARTA" help nonsense 2>err && test_grep "no such command" err
'

test_expect_success 'what would ship under the name of a version, a process or a remote ships nothing' '
	for line in "release create v1" "container:push web" "push origin main" "push karta main"; do
		test_must_exit 2 "$KARTA" $line 2>err && test_grep "karta deploy" err || return 1
	done
'

test_expect_success 'the name of another program, and -v, are understood' '
	"$KARTA" -v >out && "$KARTA" --version >expect && test_cmp expect out && test_must_exit 2 "$KARTA" -v -q 2>err &&
	test_must_exit 2 "$KARTA" heroku logs 2>err && test_grep "^hint: leave out .heroku." err &&
	test_must_exit 2 "$KARTA" git push karta main 2>err && test_grep "git push karta main" err
'

test_expect_success 'a git remote names server and project, as for heroku' '
	mkdir repo && (cd repo && git init -q . && git remote add staging karta::http://127.0.0.1:1/beans &&
		test_must_exit 3 "$KARTA" logs -r staging 2>../err && test_grep "no karta server answers at http://127.0.0.1:1$" ../err &&
		test_must_exit 3 env KARTA_SERVER=http://127.0.0.1:2 "$KARTA" releases --remote=staging 2>../err && test_grep "127.0.0.1:1$" ../err &&
		test_must_exit 2 "$KARTA" logs -r prod 2>../err && test_grep "there is no git remote .prod. here" ../err)
'

test_expect_success 'an option that takes a value and options in a row are read as they are' '
	test_must_exit 2 "$KARTA" logs -n 2>err && test_grep "needs a value" err &&
	test_must_exit 2 "$KARTA" logs --nonsense 2>err && test_grep "unknown option .--nonsense." err &&
	test_must_exit 2 "$KARTA" send -- --prod x 2>err && test_grep "unexpected argument" err &&
	"$KARTA" -V >out && test_grep "^karta [0-9]" out && "$KARTA" help vercel >out && test_grep "deploy --prod" out && test "$(wc -L <out)" -le 80
'

test_expect_success 'what is none of them is still a wrong word' '
	test_must_exit 2 "$KARTA" ps:nonsense 2>err && test_grep "is not a karta command" err &&
	test_must_exit 2 "$KARTA" secrets:nonsense 2>err && test_grep "is not a command of .karta config" err &&
	test_must_exit 2 "$KARTA" releses 2>err && test_grep "did you mean .releases." err
'

test_expect_success 'the line is JSON when asked; options may come first' '
	test_must_exit 2 "$KARTA" --json restart >out 2>err && test_json out "d[\"error\"][\"type\"] == \"invalid\"" &&
	test_must_exit 2 "$KARTA" -a shop ps:scale web=1 2>err && test_grep "^karta: no .ps scale. here" err
'

test_expect_success 'a program karta-NAME comes first' '
	mkdir bin && printf "#!/bin/sh\necho mine \"\$@\"\n" >bin/karta-restart && chmod +x bin/karta-restart &&
	PATH=$PWD/bin:$PATH "$KARTA" restart now >out && echo "mine now" >expect && test_cmp expect out
'

test_done
