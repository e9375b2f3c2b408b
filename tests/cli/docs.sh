#!/bin/sh
# SPDX-License-Identifier: MIT
# The manual, the README and the completions say what the command table says.
. "$(dirname "$0")/../lib/test-lib.sh"

command -v mandoc >/dev/null || test_skip_all 'mandoc is not installed'

test_expect_success 'documents and tables agree (scripts/check-docs)' '
	"$TEST_ROOT/scripts/check-docs" "$KARTA"
'

test_expect_success 'what sentences name is there (scripts/check-names)' '
	"$TEST_ROOT/scripts/check-names" "$KARTA"
'

test_expect_success 'a name that is not there is found, in a document and in a manual page' '
	printf "%s\n" "\`karta releses\`, \`karta deploy --bogus\` and \`karta config nothing\`" "\`--bogus\` \`KARTA_BOGUS=1\` \`bogus_error\`" \
		"\`GET /v1/bogus\` \`lib/bogus/*.c\` \`lib/base/buf.c:kt_buf_bogus\` \`lib/base/bogus.c:kt_buf_add\` \`kt_bogus_free()\` 77 MiB \"at\":\"2026-01-01T00:00:00Z\"" "fine: \`karta send --agent\` \`karta ps\` \`GET /v1/sessions/{id}\`" >bogus.md &&
	printf "%s\n" ".Ql karta nonsense ." ".Ev KARTA_NONSENSE" >bogus.7 &&
	test_must_exit 1 "$TEST_ROOT/scripts/check-names" "$KARTA" "$PWD/bogus.md" "$PWD/bogus.7" >out &&
	test "$(grep -c "bogus.md:[123]: " out)" -eq 13 && test "$(grep -c "bogus.7:" out)" -eq 2 && test_grep ", 15 problems$" out
'

test_expect_success 'completions are those of this program (make generated)' '
	"$TEST_ROOT/scripts/gen-completions" "$KARTA" made &&
	diff -ru "$TEST_ROOT/completions" made
'

# A copy of what check-docs reads, to break it.
copy() {
	rm -rf copy && mkdir -p copy/lib copy/tests &&
	cp -R "$TEST_ROOT/man" "$TEST_ROOT/scripts" copy/ &&
	cp -R "$TEST_ROOT/tests/cli" copy/tests/ &&
	mkdir copy/docs && cp "$TEST_ROOT/docs/limits.md" copy/docs/ &&
	{ test ! -f "$TEST_ROOT/README.md" || cp "$TEST_ROOT/README.md" copy/; } &&
	(cd "$TEST_ROOT" && find lib -name node_modules -prune -o -name "*.h" -print | tar -cf - -T -) | tar -xf - -C copy &&
	test -f copy/lib/base/limits.h
}

# broken REGEX: check-docs of the copy fails with this line.
broken() {
	test_must_exit 1 copy/scripts/check-docs "$KARTA" >out && test_grep "$1" out
}

test_expect_success 'a missing page is found' '
	copy && rm copy/man/karta-version.1 &&
	broken "^man/karta-version.1: the page of the command .version. is missing"
'

test_expect_success 'a page without a command is found' '
	copy && cp copy/man/karta-version.1 copy/man/karta-nonsense.1 &&
	broken "^man/karta-nonsense.1: no such command"
'

test_expect_success 'an option that is not in its page is found, and the reverse' '
	copy && sed -i.bak "s/^\.It Fl -build/.It Fl -bulid/" copy/man/karta-version.1 &&
	broken "^man/karta-version.1: option .--build. is missing" &&
	test_grep "^man/karta-version.1: option .--bulid. is not in the table" out
'

test_expect_success 'a synopsis that differs from the usage line is found' '
	copy && sed -i.bak "s/^\.Op Fl -build/.Op Fl -build Ar X/" copy/man/karta-version.1 &&
	broken "^man/karta-version.1: synopsis .karta version \[--build\]. is missing"
'

test_expect_success 'a variable or an exit status that is not in karta(1) is found' '
	copy && sed -i.bak -e "/^\.It Ev KARTA_SERVER/d" -e "s/^\.It 7$/.It 10/" copy/man/karta.1 &&
	broken "^man/karta.1: variable .KARTA_SERVER. is missing" &&
	test_grep "^man/karta.1: EXIT STATUS lists" out
'

test_expect_success 'a command without a test is found' '
	copy && rm copy/tests/cli/version.sh &&
	broken "^tests/cli/version.sh: the command .version. has no test"
'

test_expect_success 'a public function without a comment is found' '
	copy && printf "\nint kt_bare(int a);\n" >>copy/lib/base/vec.h &&
	broken "^lib/base/vec.h:[0-9]+: no comment above: kt_bare"
'

test_expect_success 'a limit that is not in docs/limits.md is found' '
	copy && echo "#define KT_MAX_X 1 /* why */" >>copy/lib/base/limits.h &&
	broken "^docs/limits.md: differs"
'

test_expect_success 'a page that mandoc dislikes is found' '
	copy && echo ".Nonsense" >>copy/man/karta.1 &&
	broken "^mandoc: "
'

test_expect_success 'a static function whose name is in two files is found, a constant one too (scripts/check-style)' '
	rm -rf style && mkdir -p style/scripts style/lib style/cmd && cp "$TEST_ROOT/scripts/check-style" style/scripts/ &&
	printf "/* SPDX-License-Identifier: MIT */\nstatic int run(int a);\n\nstatic int run(int a)\n{\n\treturn a;\n}\n" >style/lib/a.c &&
	printf "/* SPDX-License-Identifier: MIT */\nstatic const char *\nword_of(int a)\n{\n\treturn 0;\n}\n" >style/lib/b.c &&
	style/scripts/check-style >out &&
	printf "/* SPDX-License-Identifier: MIT */\nstatic const char *word_of(int a)\n{\n\treturn 0;\n}\n" >style/lib/c.c &&
	printf "/* SPDX-License-Identifier: MIT */\nstatic void run(\n\tint a)\n{\n}\n" >style/cmd/d.c &&
	test_must_exit 1 style/scripts/check-style >out && test_grep ", 2 problems$" out &&
	test_grep "^lib/c.c:2: a static function called word_of is in lib/b.c too: give it its noun$" out &&
	test_grep "^cmd/d.c:2: a static function called run is in lib/a.c too: give it its noun$" out
'

test_expect_success 'a second writer of the pointer is found, however it is written (scripts/check-style)' '
	rm -rf style && mkdir -p style/scripts style/lib/control/release style/lib/control/core && cp "$TEST_ROOT/scripts/check-style" style/scripts/ &&
	writes() { printf "%s\n" "/* SPDX-License-Identifier: MIT */" "$@"; } &&
	writes "void f(void) { to->state = KT_REL_ACTIVE; p->current_release_id = to->id; kt_index_current(ctl, p, to); }" >style/lib/control/release/pointer.c &&
	cp style/lib/control/release/pointer.c style/lib/control/core/index.c &&
	writes "/* a->state = KT_REL_ACTIVE */ bool g(void) { return a->state == KT_REL_ACTIVE || a.current_release_id == b; }" \
		"unsigned h(void) { a->state = KT_REL_READY; return 1U << KT_REL_ACTIVE; }" >style/lib/control/release/reads.c &&
	style/scripts/check-style >out &&
	writes "void i(void) { a->state = b == c ? KT_REL_READY :" "	KT_REL_SUPERSEDED; }" "struct row r = { .id = x, .state = KT_REL_ACTIVE };" \
		"void j(void) { p.current_release_id = NULL; }" "void k(void) { kt_index_current(ctl, p, NULL); }" >style/lib/control/release/writes.c &&
	test_must_exit 1 style/scripts/check-style >out && test_grep ", 4 problems$" out &&
	for line in 2 4 5 6; do test_grep "^lib/control/release/writes.c:$line: writes what kt_pointer_move" out || return 1; done
'

test_expect_success 'who puts a path of the data folder together is found (scripts/check-style)' '
	rm -rf style && mkdir -p style/scripts style/lib/session && cp "$TEST_ROOT/scripts/check-style" style/scripts/ &&
	writes() { printf "%s\n" "/* SPDX-License-Identifier: MIT */" "$@"; } &&
	writes "char *a(void) { return kt_path_join(b->data_dir, name); }" "char *b(void) { return kt_asprintf(\"%s%s\", data_dir, id); }" >style/lib/session/a.c &&
	style/scripts/check-style >out &&
	writes "char *c(void) { return kt_path_join(reg->data_dir, \"lock\"); }" "char *d(void) { return kt_arena_printf(a, \"%s/tmp/%s\"," "	ctl->data_dir, id); }" >style/lib/session/b.c &&
	test_must_exit 1 style/scripts/check-style >out && test_grep ", 2 problems$" out &&
	test_grep "^lib/session/b.c:2: puts a path of the data folder together" out && test_grep "^lib/session/b.c:3: " out
'

test_expect_success 'two files of a module that need each other are found (scripts/check-circles)' '
	rm -rf ring && mkdir -p ring/scripts ring/lib/m/low ring/o/m/low && sed "/^EXCEPT = \[/,/^\]/c EXCEPT = []" "$TEST_ROOT/scripts/check-circles" >ring/scripts/check-circles &&
	chmod +x ring/scripts/check-circles &&
	echo "int b(void); int a(void) { return b(); } int deep(void) { return 1; }" >ring/lib/m/a.c &&
	echo "int c(void); int b(void) { return c(); }" >ring/lib/m/b.c && echo "int c(void) { return 1; }" >ring/lib/m/low/c.c &&
	made() { (cd ring && for f in a b low/c; do gcc -c -o "o/m/$f.o" "lib/m/$f.c" || return 1; done); } &&
	made && ring/scripts/check-circles "$PWD/ring/o" >out && test_grep "1 modules, 0 circles" out &&
	echo "int deep(void); int c(void) { return deep(); }" >ring/lib/m/low/c.c && made &&
	test_must_exit 1 ring/scripts/check-circles "$PWD/ring/o" >out && test_grep "^lib/m: 3 files in a circle:$" out && test_grep "low/c needs a: deep" out
'

test_done
