# shellcheck shell=bash disable=SC2207
# bash completion of karta, made by 'karta completion bash'; changes here are lost
_karta_kind()
{
	kind=''
	case $1 in
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
	'') subs='help version completion' ;;
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
