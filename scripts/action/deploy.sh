#!/bin/sh
# SPDX-License-Identifier: MIT
# Second step of action.yml: `karta deploy` with what the inputs say; the exit status is karta's. A pull request that
# was closed ends its preview instead.
set -eu

fail() {
	printf '::error title=karta deploy::%s\n' "$*"
	exit 2
}

# yes NAME VALUE: true or false, nothing else.
yes() {
	case $2 in
	true) return 0 ;;
	false) return 1 ;;
	esac
	fail "the input '$1' is true or false, not '$2'"
}

yes deploy "${INPUT_DEPLOY:-true}" || exit 0
[ -n "${INPUT_SERVER:-}" ] || fail "the input 'server' is missing"
if [ -z "${INPUT_API_KEY:-}" ]; then
	# GitHub gives no secrets to a pull request from a fork. That is no failure of the pull request.
	if [ "${EVENT_FORK:-}" = true ]; then
		echo '::notice title=karta deploy::no preview: a pull request from a fork gets no secrets'
		exit 0
	fi
	fail "the input 'api-key' is empty: is there a secret of this name?"
fi
[ "${GITHUB_ACTIONS:-}" != true ] || printf '::add-mask::%s\n' "$INPUT_API_KEY"
KARTA_SERVER=${INPUT_SERVER%/}
KARTA_API_KEY=$INPUT_API_KEY
export KARTA_SERVER KARTA_API_KEY
unset INPUT_API_KEY

# name_of DIR: what its karta.toml calls the project.
name_of() {
	[ -f "$1/karta.toml" ] || return 0
	sed -n '/^[[:space:]]*\[/q; s/^[[:space:]]*name[[:space:]]*=[[:space:]]*["'\'']\([^"'\'']*\)["'\''].*/\1/p' "$1/karta.toml" | head -n 1
}

# end_preview NUMBER: by HTTP; the key does not show in the list of processes.
end_preview() {
	project=${INPUT_PROJECT:-$(name_of "${INPUT_DIR:-.}")}
	[ -n "$project" ] || fail "which project? set the input 'project'"
	# A name that a pull request wrote is no path to something else of the key's.
	case $project in
	*[!0-9a-z-]*) fail "'project' is no name of a project" ;;
	esac
	status=$(printf 'header = "Authorization: Bearer %s"\n' "$KARTA_API_KEY" |
		curl -sS -K - -o /dev/null -w '%{http_code}' --max-time 60 -X DELETE \
			"$KARTA_SERVER/agent_projects/$project/refs?name=refs/pull/$1/head") || exit 3
	case $status in
	204) echo "The preview $project-pr-$1 has ended." ;;
	404) echo "There is no project $project." ;;
	401 | 403)
		printf '::error title=karta deploy::the server answered %s: is the key valid, with the scope write?\n' "$status"
		exit 4
		;;
	*)
		printf '::error title=karta deploy::the preview %s-pr-%s has not ended: the server answered %s\n' "$project" "$1" "$status"
		exit 1
		;;
	esac
}

pr=${INPUT_PR:-}
case $pr in
*[!0-9]*) fail "the input 'pr' is a number, not '$pr'" ;;
esac
if [ "${EVENT_ACTION:-}" = closed ] && [ -n "${pr:-${EVENT_PR:-}}" ]; then
	end_preview "${pr:-$EVENT_PR}"
	exit 0
fi

set -- --no-input deploy --timeout "${INPUT_TIMEOUT:-15m}"
[ -z "${INPUT_DIR:-}" ] || set -- "$@" --dir "$INPUT_DIR"
[ -z "$pr" ] || set -- "$@" --pr "$pr"
[ -z "${INPUT_REF:-}" ] || set -- "$@" --ref "$INPUT_REF"
[ -z "${INPUT_MESSAGE:-}" ] || set -- "$@" --message "$INPUT_MESSAGE"
yes activate "${INPUT_ACTIVATE:-true}" || set -- "$@" --no-activate
yes wait "${INPUT_WAIT:-true}" || set -- "$@" --no-wait
while IFS= read -r line; do
	[ -z "$line" ] || set -- "$@" --env "$line"
done <<END
${INPUT_ENV:-}
END
[ -z "${INPUT_PROJECT:-}" ] || set -- "$@" -- "$INPUT_PROJECT"
exec "${KARTA:-karta}" "$@"
