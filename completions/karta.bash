# shellcheck shell=bash disable=SC2207
# bash completion of karta, made by 'karta completion bash'; changes here are lost
_karta_kind()
{
	kind=''
	case $1 in
	'init --name') kind='any' ;;
	'init --harness') kind='words claude-code opencode acp' ;;
	'init #0') kind='dir' ;;
	'dev --port' | 'dev -p') kind='any' ;;
	'dev --dir') kind='dir' ;;
	'dev --harness') kind='words claude-code opencode acp rehearsal' ;;
	'dev --harness-program') kind='file' ;;
	'dev --config') kind='file' ;;
	'dev --speed') kind='any' ;;
	'dev --user') kind='any' ;;
	'dev --warm') kind='any' ;;
	'agents --dir') kind='dir' ;;
	'doctor --dir') kind='dir' ;;
	'chat --session' | 'chat -s') kind='any' ;;
	'chat --agent' | 'chat -a') kind='any' ;;
	'send --session' | 'send -s') kind='any' ;;
	'send --agent' | 'send -a') kind='any' ;;
	'send --on-busy') kind='words enqueue reject interrupt' ;;
	'send --idempotency-key') kind='any' ;;
	'send --approve') kind='words once session deny' ;;
	'send #0') kind='any' ;;
	'sessions --limit') kind='any' ;;
	'sessions list --limit') kind='any' ;;
	'sessions show #0') kind='any' ;;
	'sessions tail --after') kind='any' ;;
	'sessions tail #0') kind='any' ;;
	'sessions export --format') kind='words jsonl markdown' ;;
	'sessions export #0') kind='any' ;;
	'sessions delete #'*) kind='any' ;;
	'help #'*) kind='command' ;;
	'completion #0') kind='words bash zsh fish' ;;
	*' --color') kind='words auto always never' ;;
	*' --server') kind='any' ;;
	*' --timeout') kind='any' ;;
	esac
}
_karta_lists()
{
	subs='' opts=''
	case $1 in
	'') subs='init dev agents doctor chat send sessions help version completion' ;;
	'init') subs='' opts=' --name --harness' ;;
	'dev') subs='' opts=' --port -p --dir --harness --harness-program --config --offline --record --speed --user --warm --no-chat --open' ;;
	'agents') subs='' opts=' --dir' ;;
	'doctor') subs='' opts=' --dir' ;;
	'chat') subs='' opts=' --session -s --agent -a --thinking' ;;
	'send') subs='' opts=' --session -s --agent -a --thinking --stream --on-busy --idempotency-key --approve' ;;
	'sessions') subs='list show tail export delete' opts=' --limit' ;;
	'sessions list') subs='' opts=' --limit' ;;
	'sessions show') subs='' opts='' ;;
	'sessions tail') subs='' opts=' --after --follow -f' ;;
	'sessions export') subs='' opts=' --format' ;;
	'sessions delete') subs='' opts='' ;;
	'help') subs='' opts=' --all -a' ;;
	'version') subs='' opts=' --build' ;;
	'completion') subs='' opts='' ;;
	esac
	opts+=' --help -h --version --json --quiet -q --verbose -v --debug --color --no-color --no-input --yes -y --server --timeout'
}
_karta()
{
	local cur=${COMP_WORDS[COMP_CWORD]} word path='' kind='' subs='' opts='' prefix=''
	local i nargs=0 skip=0 ended=0 IFS=$' \t\n'
	COMPREPLY=()
	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		if ((skip)); then
			[[ $word == '=' ]] || skip=0
		elif ((!ended)) && [[ $word == -- ]]; then
			ended=1
		elif ((!ended)) && [[ $word == -?* ]]; then
			_karta_kind "$path $word"
			[[ -z $kind ]] || skip=1
		else
			_karta_lists "$path"
			if [[ " $subs " == *" $word "* ]] && ((!ended && !nargs)); then
				path=${path:+$path }$word
			else
				nargs=$((nargs + 1))
			fi
		fi
	done
	[[ $cur != '=' ]] || cur=''
	if ((!skip && !ended)) && [[ $cur == --*=* ]]; then
		_karta_kind "$path ${cur%%=*}"
		prefix=${cur%%=*}= cur=${cur#*=} skip=1
	fi
	_karta_lists "$path"
	if ((!skip && !ended)) && [[ $cur == -* ]]; then
		kind="words $opts"
	elif ((!skip)); then
		_karta_kind "$path #$nargs"
		if [[ -n $subs ]] && ((!nargs && !ended)); then
			kind="words $subs"
		fi
	fi
	[[ $kind != command ]] || { _karta_lists ''; kind="words $subs"; }
	[[ $kind != session ]] || kind="words $(karta sessions list --ids 2>/dev/null)"
	IFS=$' \t\n'
	case $kind in
	file) local IFS=$'\n'; compopt -o filenames 2>/dev/null
		COMPREPLY=($(compgen -P "$prefix" -f -- "$cur")) ;;
	dir) local IFS=$'\n'; compopt -o filenames 2>/dev/null
		COMPREPLY=($(compgen -P "$prefix" -d -- "$cur")) ;;
	'words '*) COMPREPLY=($(compgen -P "$prefix" -W "${kind#words }" -- "$cur")) ;;
	esac
}
complete -F _karta karta
