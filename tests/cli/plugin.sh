#!/bin/sh
# SPDX-License-Identifier: MIT
# A program karta-NAME on PATH is the command NAME.
. "$(dirname "$0")/../lib/test-lib.sh"

mkdir bin bin2
cat >bin/karta-greet <<'EOF'
#!/bin/sh
echo "name=$0"
for a in "$@"; do echo "arg=$a"; done
exit 7
EOF
printf '#!/bin/sh\necho shadowed\n' >bin2/karta-greet
printf '#!/bin/sh\necho mine\n' >bin/karta-version
printf 'not a program\n' >bin/karta-readme
chmod +x bin/karta-greet bin2/karta-greet bin/karta-version
PATH=$PWD/bin:$PWD/bin2:$PATH

test_expect_success 'a plug-in gets its arguments untouched and gives the exit status' '
	test_must_exit 7 "$KARTA" greet --help "a b" -- -x >out &&
	printf "arg=%s\n" --help "a b" -- -x >expect &&
	grep "^arg=" out >args && test_cmp expect args &&
	test_grep "^name=.*karta-greet$" out
'

test_expect_success 'options before the name are handed on too' '
	test_must_exit 7 "$KARTA" --json greet x >out &&
	printf "arg=%s\n" --json x >expect &&
	grep "^arg=" out >args && test_cmp expect args
'

test_expect_success 'a plug-in does not replace a command' '
	"$KARTA" version >out && test_grep "^karta [0-9]" out
'

test_expect_success 'help --all lists plug-ins once, without commands and plain files' '
	"$KARTA" help --all >out &&
	test "$(grep -c "^  greet$" out)" -eq 1 &&
	test_grep -v "^  readme$" out &&
	sed "1,/^plug-in/d" out >tail && test_grep -v "version" tail &&
	"$KARTA" help >out && test_grep -v greet out
'

test_expect_success 'help NAME asks the plug-in' '
	test_must_exit 7 "$KARTA" help greet >out && test_grep "^arg=--help$" out
'

test_expect_success 'a file that is not executable is no command' '
	test_must_exit 2 "$KARTA" readme 2>err && test_grep "is not a karta command" err
'

test_expect_success 'names with slashes and dashes are no plug-ins' '
	mkdir -p "bin/karta-.." && printf "#!/bin/sh\necho bad\n" >bin/evil && chmod +x bin/evil &&
	test_must_exit 2 "$KARTA" ../evil >out 2>err && test_empty out
'

test_expect_success 'a plug-in that cannot start is an error' '
	printf "#!/nonexistent/interpreter\n" >bin/karta-broken && chmod +x bin/karta-broken &&
	test_must_exit 1 "$KARTA" broken 2>err && test_grep "^karta: cannot run .*karta-broken" err
'

test_done
