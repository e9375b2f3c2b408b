# fish completion of karta, made by 'karta completion fish'; changes here are lost
function __karta_path
	set -l path
	set -l skip 0
	set -l words (commandline -opc)
	for w in $words[2..-1]
		if test $skip = 1
			set skip 0
		else if contains -- $w --color --server --timeout
			set skip 1
		else if not string match -q -- '-*' $w
			set -l try (string join ' ' $path $w)
			if contains -- "$try" 'help' 'version' 'completion'
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
complete -c karta -n '__karta_at ""' -a help -d 'show help about karta or a command'
complete -c karta -n '__karta_at "help"' -s a -l all -d 'list the plug-in commands on PATH too'
complete -c karta -n '__karta_at "help"' -x -a 'help version completion' -d 'the command, and its sub-command'
complete -c karta -n '__karta_at ""' -a version -d 'print the version'
complete -c karta -n '__karta_at "version"' -l build -d 'also say how it was built and with which libraries'
complete -c karta -n '__karta_at ""' -a completion -d 'print the completion script of a shell'
complete -c karta -n '__karta_at "completion"' -x -a 'bash zsh fish' -d 'the shell'
