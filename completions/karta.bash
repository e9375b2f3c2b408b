# shellcheck shell=bash disable=SC2207
# bash completion of karta, made by 'karta completion bash'; changes here are lost
_karta_kind()
{
	kind=''
	case $1 in
	'init --name') kind='any' ;;
	'init --harness') kind='words claude-code opencode acp rehearsal codex-cli deepagents goose' ;;
	'init --project') kind='any' ;;
	'init #0') kind='dir' ;;
	'dev --port' | 'dev -p') kind='any' ;;
	'dev --dir') kind='dir' ;;
	'dev --harness') kind='words claude-code opencode acp rehearsal codex-cli deepagents goose' ;;
	'dev --harness-program') kind='file' ;;
	'dev --config') kind='file' ;;
	'dev --speed') kind='any' ;;
	'dev --user') kind='any' ;;
	'dev --session' | 'dev -s') kind='any' ;;
	'dev --warm') kind='any' ;;
	'run --agent' | 'run -a') kind='any' ;;
	'run --approve') kind='words once session deny' ;;
	'run --permission-mode') kind='any' ;;
	'run --dir') kind='dir' ;;
	'run --harness') kind='words claude-code opencode acp rehearsal codex-cli deepagents goose' ;;
	'run --harness-program') kind='file' ;;
	'run --config') kind='file' ;;
	'run --speed') kind='any' ;;
	'run --user') kind='any' ;;
	'run #0') kind='any' ;;
	'agents --dir') kind='dir' ;;
	'doctor --dir') kind='dir' ;;
	'deploy --commit') kind='any' ;;
	'deploy --dir') kind='any' ;;
	'deploy --ref') kind='any' ;;
	'deploy --pr') kind='any' ;;
	'deploy --env' | 'deploy -e') kind='any' ;;
	'deploy --message' | 'deploy -m') kind='any' ;;
	'deploy --include') kind='any' ;;
	'deploy #0') kind='any' ;;
	'releases --num' | 'releases -n') kind='any' ;;
	'releases -L') kind='any' ;;
	'releases --limit') kind='any' ;;
	'releases #0') kind='any' ;;
	'releases list --num' | 'releases list -n') kind='any' ;;
	'releases list -L') kind='any' ;;
	'releases list --limit') kind='any' ;;
	'releases list #0') kind='any' ;;
	'releases show #0') kind='any' ;;
	'releases diff #0') kind='any' ;;
	'releases diff #1') kind='any' ;;
	'releases download --output' | 'releases download -o') kind='file' ;;
	'releases download --format') kind='words tar.gz tar.zst' ;;
	'releases download #0') kind='any' ;;
	'releases activate #0') kind='any' ;;
	'releases pin --reason') kind='any' ;;
	'releases pin #0') kind='any' ;;
	'releases unpin #0') kind='any' ;;
	'rollback --to') kind='any' ;;
	'rollback --to-revision') kind='any' ;;
	'rollback --reason') kind='any' ;;
	'rollback #'*) kind='any' ;;
	'config get #0') kind='any' ;;
	'config set #'*) kind='any' ;;
	'config unset #'*) kind='any' ;;
	'config import #0') kind='file' ;;
	'logs --lines' | 'logs -n') kind='any' ;;
	'logs --num') kind='any' ;;
	'logs --since') kind='any' ;;
	'logs --until') kind='any' ;;
	'logs --level') kind='words debug info warn error' ;;
	'logs --source') kind='words build release session turn harness api' ;;
	'logs --session') kind='any' ;;
	'logs --release') kind='any' ;;
	'logs #0') kind='any' ;;
	'projects show #0') kind='any' ;;
	'projects create #0') kind='any' ;;
	'projects add #0') kind='dir' ;;
	'projects add #1') kind='any' ;;
	'projects rename #0') kind='any' ;;
	'projects rename #1') kind='any' ;;
	'projects delete --confirm' | 'projects delete -c') kind='any' ;;
	'projects delete #0') kind='any' ;;
	'projects link --as') kind='any' ;;
	'projects link --remote' | 'projects link -r') kind='any' ;;
	'projects link #0') kind='any' ;;
	'projects bind --repo') kind='any' ;;
	'projects bind --secret-file') kind='file' ;;
	'projects bind #0') kind='any' ;;
	'projects default #0') kind='any' ;;
	'projects releases --num' | 'projects releases -n') kind='any' ;;
	'projects releases -L') kind='any' ;;
	'projects releases --limit') kind='any' ;;
	'projects releases #0') kind='any' ;;
	'open #0') kind='any' ;;
	'chat --session' | 'chat -s') kind='any' ;;
	'chat --agent' | 'chat -a') kind='any' ;;
	'chat --permission-mode') kind='any' ;;
	'send --session' | 'send -s') kind='any' ;;
	'send --agent' | 'send -a') kind='any' ;;
	'send --permission-mode') kind='any' ;;
	'send --on-busy') kind='words enqueue reject interrupt' ;;
	'send --idempotency-key') kind='any' ;;
	'send --approve') kind='words once session deny' ;;
	'send #0') kind='any' ;;
	'sessions --num' | 'sessions -n') kind='any' ;;
	'sessions -L') kind='any' ;;
	'sessions --limit') kind='any' ;;
	'sessions list --num' | 'sessions list -n') kind='any' ;;
	'sessions list -L') kind='any' ;;
	'sessions list --limit') kind='any' ;;
	'sessions show #0') kind='any' ;;
	'sessions tail --after') kind='any' ;;
	'sessions tail #0') kind='any' ;;
	'sessions export --format') kind='words jsonl markdown' ;;
	'sessions export #0') kind='any' ;;
	'sessions approvals --revoke') kind='any' ;;
	'sessions approvals #0') kind='any' ;;
	'sessions rename #0') kind='any' ;;
	'sessions rename #1') kind='any' ;;
	'sessions delete #'*) kind='any' ;;
	'login --name') kind='any' ;;
	'login #0') kind='any' ;;
	'keys create --scopes') kind='any' ;;
	'keys create --expires') kind='any' ;;
	'keys create #0') kind='any' ;;
	'keys revoke #0') kind='any' ;;
	'audit --num' | 'audit -n') kind='any' ;;
	'audit -L') kind='any' ;;
	'audit --limit') kind='any' ;;
	'audit --before') kind='any' ;;
	'audit list --num' | 'audit list -n') kind='any' ;;
	'audit list -L') kind='any' ;;
	'audit list --limit') kind='any' ;;
	'audit list --before') kind='any' ;;
	'audit verify --head') kind='any' ;;
	'serve --listen') kind='any' ;;
	'serve --port' | 'serve -p') kind='any' ;;
	'serve --data') kind='dir' ;;
	'serve --public-url') kind='any' ;;
	'serve --config') kind='file' ;;
	'serve --harness-program') kind='file' ;;
	'serve --log-format') kind='words auto text json' ;;
	'serve --key-file') kind='file' ;;
	'serve backup --data') kind='dir' ;;
	'serve backup #0') kind='file' ;;
	'serve restore --data') kind='dir' ;;
	'serve restore #0') kind='file' ;;
	'serve keys create --scopes') kind='any' ;;
	'serve keys create --expires') kind='any' ;;
	'serve keys create --data') kind='dir' ;;
	'serve keys create --org') kind='any' ;;
	'serve keys create #0') kind='any' ;;
	'fsck --data') kind='dir' ;;
	'help #'*) kind='command' ;;
	'upgrade --from') kind='any' ;;
	'completion #0') kind='words bash zsh fish' ;;
	*' --color') kind='words auto always never' ;;
	*' --server') kind='any' ;;
	*' --project' | *' -p') kind='any' ;;
	*' --app' | *' -a') kind='any' ;;
	*' --remote' | *' -r') kind='any' ;;
	*' --profile') kind='any' ;;
	*' --timeout') kind='any' ;;
	esac
}
_karta_lists()
{
	subs='' opts=''
	case $1 in
	'') subs='init dev run agents doctor deploy releases rollback config logs projects open chat send sessions login logout whoami keys audit serve fsck help version upgrade completion' ;;
	'init') subs='' opts=' --name --harness --project --no-remote --force -f' ;;
	'dev') subs='' opts=' --port -p --dir --harness --harness-program --config --offline --record --speed --user --continue -c --session -s --warm --no-chat --open --trust' ;;
	'run') subs='' opts=' --agent -a --approve --permission-mode --thinking --stream --dir --harness --harness-program --config --offline --speed --user --trust' ;;
	'agents') subs='' opts=' --dir' ;;
	'doctor') subs='' opts=' --dir' ;;
	'deploy') subs='' opts=' --commit --dir --ref --pr --env -e --message -m --dirty --include --no-activate --unpin --no-wait --dry-run -n --force -f' ;;
	'releases') subs='list show diff download activate pin unpin' opts=' --limit' ;;
	'releases list') subs='' opts=' --limit' ;;
	'releases show') subs='' opts=' --files' ;;
	'releases diff') subs='' opts='' ;;
	'releases download') subs='' opts=' --output -o --format' ;;
	'releases activate') subs='' opts='' ;;
	'releases pin') subs='' opts=' --reason' ;;
	'releases unpin') subs='' opts='' ;;
	'rollback') subs='' opts=' --to --reason' ;;
	'config') subs='list get set unset edit import' opts=' --shell -s' ;;
	'config list') subs='' opts=' --shell -s' ;;
	'config get') subs='' opts='' ;;
	'config set') subs='' opts=' --no-wait' ;;
	'config unset') subs='' opts=' --no-wait' ;;
	'config edit') subs='' opts=' --no-wait' ;;
	'config import') subs='' opts=' --no-wait' ;;
	'logs') subs='' opts=' --follow -f --tail -t --lines -n --since --until --level --source --session --release' ;;
	'projects') subs='list show create add rename delete link bind default releases' opts='' ;;
	'projects list') subs='' opts='' ;;
	'projects show') subs='' opts='' ;;
	'projects create') subs='' opts='' ;;
	'projects add') subs='' opts='' ;;
	'projects rename') subs='' opts='' ;;
	'projects delete') subs='' opts=' --confirm -c' ;;
	'projects link') subs='' opts=' --as --force -f' ;;
	'projects bind') subs='' opts=' --repo --token-stdin --secret-file --none' ;;
	'projects default') subs='' opts=' --unset' ;;
	'projects releases') subs='' opts=' --limit' ;;
	'open') subs='' opts=' --print' ;;
	'chat') subs='' opts=' --session -s --continue -c --agent -a --permission-mode --thinking' ;;
	'send') subs='' opts=' --session -s --continue -c --agent -a --permission-mode --thinking --stream --on-busy --idempotency-key --approve' ;;
	'sessions') subs='list show tail export approvals rename delete' opts=' --limit' ;;
	'sessions list') subs='' opts=' --limit' ;;
	'sessions show') subs='' opts='' ;;
	'sessions tail') subs='' opts=' --after --follow -f' ;;
	'sessions export') subs='' opts=' --format' ;;
	'sessions approvals') subs='' opts=' --revoke --all' ;;
	'sessions rename') subs='' opts='' ;;
	'sessions delete') subs='' opts='' ;;
	'login') subs='' opts=' --with-key --read-only --admin --no-browser --name' ;;
	'logout') subs='' opts=' --keep-key' ;;
	'whoami') subs='' opts='' ;;
	'keys') subs='list create revoke' opts=' --all' ;;
	'keys list') subs='' opts=' --all' ;;
	'keys create') subs='' opts=' --scopes --test --expires' ;;
	'keys revoke') subs='' opts='' ;;
	'audit') subs='list verify' opts=' --limit --before' ;;
	'audit list') subs='' opts=' --limit --before' ;;
	'audit verify') subs='' opts=' --head' ;;
	'serve') subs='backup restore keys' opts=' --listen --port -p --data --public-url --config --harness-program --trust-proxy --offline --require-keys --log-format --init-only --key-file --show-config' ;;
	'serve backup') subs='' opts=' --data' ;;
	'serve restore') subs='' opts=' --data --force -f --skip-damaged' ;;
	'serve keys') subs='create' opts='' ;;
	'serve keys create') subs='' opts=' --scopes --test --expires --data --org' ;;
	'fsck') subs='' opts=' --data --quick' ;;
	'help') subs='' opts=' --all -a' ;;
	'version') subs='' opts=' --build' ;;
	'upgrade') subs='' opts=' --check --from' ;;
	'completion') subs='' opts='' ;;
	esac
	opts+=' --help -h --version --json --quiet -q --verbose -v --debug --color --no-color --no-input --yes -y --server --project -p --remote -r --profile --timeout'
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
