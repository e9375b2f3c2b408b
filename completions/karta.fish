# fish completion of karta, made by 'karta completion fish'; changes here are lost
function __karta_path
	set -l path
	set -l skip 0
	set -l words (commandline -opc)
	for w in $words[2..-1]
		if test $skip = 1
			set skip 0
		else if contains -- $w --name --harness --port -p --dir --harness --harness-program --config --speed --user --warm --dir --dir --session -s --agent -a --session -s --agent -a --on-busy --idempotency-key --approve --limit --limit --after --format --color --server --timeout
			set skip 1
		else if not string match -q -- '-*' $w
			set -l try (string join ' ' $path $w)
			if contains -- "$try" 'init' 'dev' 'agents' 'doctor' 'chat' 'send' 'sessions' 'sessions list' 'sessions show' 'sessions tail' 'sessions export' 'sessions delete' 'help' 'version' 'completion'
				set path $try
			end
		end
	end
	echo "$path"
end
function __karta_at
	test "$(__karta_path)" = "$argv[1]"
end
complete -c karta -f
complete -c karta -s h -l help -d 'show help'
complete -c karta -l version -d 'print the version'
complete -c karta -l json -d 'print one JSON object, errors too'
complete -c karta -s q -l quiet -d 'print results and errors only'
complete -c karta -s v -l verbose -d 'say more; twice says all'
complete -c karta -l debug -d 'show what is sent and received'
complete -c karta -l color -x -a 'auto always never' -d 'use color'
complete -c karta -l no-color -d 'same as --color=never'
complete -c karta -l no-input -d 'never ask; fail instead'
complete -c karta -s y -l yes -d 'answer yes to every question'
complete -c karta -l server -x -d 'server to talk to'
complete -c karta -l timeout -x -d 'give up after this long: 30s, 5m'
complete -c karta -n '__karta_at ""' -a init -d 'make a folder ready: settings, and a starter when it is empty'
complete -c karta -n '__karta_at "init"' -l name -x -d 'name of the agent (default: the folder\'s name)'
complete -c karta -n '__karta_at "init"' -l harness -x -a 'claude-code opencode acp' -d 'harness that runs the agent (default: found from the files, or claude-code)'
complete -c karta -n '__karta_at "init"' -x -a '(__fish_complete_directories (commandline -ct))' -d 'folder to make ready, created when missing (default: .)'
complete -c karta -n '__karta_at ""' -a dev -d 'serve the application of a folder here, with a chat'
complete -c karta -n '__karta_at "dev"' -s p -l port -x -d 'port on loopback; 0 picks one (default: 8000, or the next free one)'
complete -c karta -n '__karta_at "dev"' -l dir -x -a '(__fish_complete_directories (commandline -ct))' -d 'folder of the application (default: .)'
complete -c karta -n '__karta_at "dev"' -l harness -x -a 'claude-code opencode acp rehearsal' -d 'harness to use, whatever the folder says'
complete -c karta -n '__karta_at "dev"' -l harness-program -r -F -d 'program of the harness, instead of the one on PATH'
complete -c karta -n '__karta_at "dev"' -l config -r -F -d 'settings (default: karta.jsonc)'
complete -c karta -n '__karta_at "dev"' -l offline -d 'replay rehearsals/ instead of running the harness'
complete -c karta -n '__karta_at "dev"' -l record -d 'record each turn into rehearsals/'
complete -c karta -n '__karta_at "dev"' -l speed -x -d 'speed of rehearsals: 1 as recorded, 0 at once (default: 1)'
complete -c karta -n '__karta_at "dev"' -l user -x -d 'user_id of new sessions'
complete -c karta -n '__karta_at "dev"' -l warm -x -d 'harnesses started ahead (default: 1)'
complete -c karta -n '__karta_at "dev"' -l no-chat -d 'serve only, without a chat here'
complete -c karta -n '__karta_at "dev"' -l open -d 'open the page in a browser'
complete -c karta -n '__karta_at ""' -a agents -d 'list the agents and skills of a folder'
complete -c karta -n '__karta_at "agents"' -l dir -x -a '(__fish_complete_directories (commandline -ct))' -d 'folder of the application (default: .)'
complete -c karta -n '__karta_at ""' -a doctor -d 'check what karta dev needs, with a fix for each finding'
complete -c karta -n '__karta_at "doctor"' -l dir -x -a '(__fish_complete_directories (commandline -ct))' -d 'folder of the application (default: .)'
complete -c karta -n '__karta_at ""' -a chat -d 'talk to the application in the terminal'
complete -c karta -n '__karta_at "chat"' -s s -l session -x -d 'go on with this session'
complete -c karta -n '__karta_at "chat"' -s a -l agent -x -d 'agent to talk to'
complete -c karta -n '__karta_at "chat"' -l thinking -d 'ask for the reasoning and show it'
complete -c karta -n '__karta_at ""' -a send -d 'send one message and print the answer'
complete -c karta -n '__karta_at "send"' -s s -l session -x -d 'go on with this session'
complete -c karta -n '__karta_at "send"' -s a -l agent -x -d 'agent to answer'
complete -c karta -n '__karta_at "send"' -l thinking -d 'ask for the reasoning and show it'
complete -c karta -n '__karta_at "send"' -l stream -d 'print the events, one JSON line each'
complete -c karta -n '__karta_at "send"' -l on-busy -x -a 'enqueue reject interrupt' -d 'when a turn is running'
complete -c karta -n '__karta_at "send"' -l idempotency-key -x -d 'send once only, however often it is repeated'
complete -c karta -n '__karta_at "send"' -l approve -x -a 'once session deny' -d 'answer to every approval'
complete -c karta -n '__karta_at ""' -a sessions -d 'list, show, follow, export and delete sessions'
complete -c karta -n '__karta_at "sessions"' -l limit -x -d 'at most so many, newest first'
complete -c karta -n '__karta_at "sessions"' -a list -d 'list sessions, newest first'
complete -c karta -n '__karta_at "sessions list"' -l limit -x -d 'at most so many, newest first'
complete -c karta -n '__karta_at "sessions"' -a show -d 'show one session'
complete -c karta -n '__karta_at "sessions"' -a tail -d 'print the events of a session'
complete -c karta -n '__karta_at "sessions tail"' -l after -x -d 'only events after this number'
complete -c karta -n '__karta_at "sessions tail"' -s f -l follow -d 'go on with what comes, until Ctrl-C'
complete -c karta -n '__karta_at "sessions"' -a export -d 'print a whole session for keeping'
complete -c karta -n '__karta_at "sessions export"' -l format -x -a 'jsonl markdown' -d 'jsonl: every event; markdown: what was said'
complete -c karta -n '__karta_at "sessions"' -a delete -d 'delete sessions with their events'
complete -c karta -n '__karta_at ""' -a help -d 'show help about karta or a command'
complete -c karta -n '__karta_at "help"' -s a -l all -d 'list the plug-in commands on PATH too'
complete -c karta -n '__karta_at "help"' -x -a 'init dev agents doctor chat send sessions help version completion' -d 'the command, and its sub-command'
complete -c karta -n '__karta_at ""' -a version -d 'print the version'
complete -c karta -n '__karta_at "version"' -l build -d 'also say how it was built and with which libraries'
complete -c karta -n '__karta_at ""' -a completion -d 'print the completion script of a shell'
complete -c karta -n '__karta_at "completion"' -x -a 'bash zsh fish' -d 'the shell'
