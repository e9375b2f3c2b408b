#!/bin/sh
# SPDX-License-Identifier: MIT
# karta completion: the scripts are valid, load, and complete, in every shell that is here.
. "$(dirname "$0")/../lib/test-lib.sh"

ln -s "$KARTA" karta
PATH=$PWD:$PATH
for shell in bash zsh fish; do
	"$KARTA" completion $shell >"c.$shell"
done

has() {
	command -v "$1" >/dev/null
}

test_expect_success 'another shell is refused' '
	test_must_exit 2 "$KARTA" completion csh 2>err &&
	test_grep "is not one of bash, zsh, fish" err
'

if has shellcheck; then
	test_expect_success 'shellcheck has nothing to say about the bash script' '
		shellcheck c.bash
	'
else
	test_skip 'shellcheck of the bash script' 'no shellcheck'
fi

cat >try.bash <<'EOF'
. ./c.bash
complete -p karta >&2 || exit 1
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_karta
printf '%s\n' "${COMPREPLY[@]}"
EOF

# completes EXPECTED WORD...: bash completes the last word to EXPECTED (words divided by blanks).
completes() {
	want=$1
	shift
	bash --norc --noprofile try.bash "$@" >got 2>err || { cat err; return 1; }
	# shellcheck disable=SC2086
	printf '%s\n' $want >want
	test_cmp want got
}

if has bash; then
	test_expect_success 'bash: loads and is bound to karta' '
		completes completion karta compl && test_grep "complete -F _karta karta" err
	'
	test_expect_success 'bash: commands, options, choices' '
		completes "version" karta vers &&
		completes "--build" karta version --bu &&
		completes "--json" karta version --js &&
		completes "bash" karta completion ba &&
		completes "auto always" karta version --color a &&
		completes "always" karta --color = al &&
		completes "auto always never" karta --color = &&
		completes "--color=never" karta --color=n &&
		completes "zsh" karta --color never --server http://x completion z
	'
	test_expect_success 'bash: nothing after --, nothing for free text' '
		completes "" karta --server v &&
		completes "" karta version -- --b
	'
	test_expect_success 'bash: every command of the table is offered' '
		"$KARTA" help --dump | sed -n "s/^command	\([a-z-]*\)	.*/\1/p" | sort >want &&
		bash --norc --noprofile try.bash karta "" 2>/dev/null | sort >got &&
		test_cmp want got
	'
else
	test_skip 'bash' 'no bash'
fi

if has zsh; then
	test_expect_success 'zsh: the script is valid and defines its function' '
		zsh -n c.zsh &&
		mkdir fpath && cp c.zsh fpath/_karta &&
		zsh -f -c "autoload -U compinit && fpath=(\$PWD/fpath \$fpath) && compinit -u -d zcd &&
			print \$_comps[karta]" >out &&
		test_grep "^_karta$" out &&
		zsh -f -c "autoload -U compinit && compinit -u -d zcd2 && source ./c.zsh &&
			print \$_comps[karta] && whence -w _karta_version" >out &&
		test_grep "^_karta_version: function" out
	'
else
	test_skip 'zsh' 'no zsh'
fi

fish_has() {
	fish --no-config -c "source c.fish; complete -C '$1'" >got 2>err || { cat err; return 1; }
	test_empty err && test_grep "^$2(	|$)" got
}

if has fish; then
	test_expect_success 'fish: the script is valid and completes' '
		fish -n c.fish &&
		fish_has "karta vers" version &&
		fish_has "karta version --bu" --build &&
		fish_has "karta --color " always &&
		fish_has "karta --server version completion " zsh &&
		fish_has "karta help comp" completion
	'
	test_expect_success 'fish: options of another command are not offered' '
		fish --no-config -c "source c.fish; complete -C \"karta completion --b\"" >got &&
		test_grep -v -- "--build" got
	'
else
	test_skip 'fish' 'no fish'
fi

test_done
