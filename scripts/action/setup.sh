#!/bin/sh
# SPDX-License-Identifier: MIT
# First step of action.yml: which karta to run. The one that is named, the one on PATH, one that is installed from
# where the workflow says, or one that is built from the source around this file, of the very version that the
# workflow names. It is on PATH for later steps.
set -eu

fail() {
	printf '::error title=karta::%s\n' "$*"
	exit 2
}

program=${INPUT_KARTA:-}
if [ -n "$program" ]; then
	[ -x "$program" ] || fail "'$program' is no program"
elif program=$(command -v karta); then
	:
elif [ -n "${INPUT_INSTALL_FROM:-}" ]; then
	prefix=${RUNNER_TEMP:-/tmp}/karta
	set -- --from "$INPUT_INSTALL_FROM" --prefix "$prefix"
	[ -z "${INPUT_INSTALL_VERSION:-}" ] || set -- "$@" --version "$INPUT_INSTALL_VERSION"
	echo '::group::Installing karta'
	sh "$GITHUB_ACTION_PATH/../install.sh" "$@" || fail "karta cannot be installed from '$INPUT_INSTALL_FROM'"
	echo '::endgroup::'
	program=$prefix/bin/karta
else
	[ "${RUNNER_OS:-Linux}" = Linux ] || fail 'karta is not installed, and is built on Linux only: name it with the input karta'
	source=$(cd "$GITHUB_ACTION_PATH/../.." && pwd)
	[ -f "$source/Makefile" ] || fail "karta is not installed, and '$source' is not its source"
	build=${RUNNER_TEMP:-/tmp}/karta-build
	echo '::group::Building karta'
	(cd "$source" && scripts/setup && make -j"$(nproc)" BUILD="$build") || fail 'karta cannot be built'
	echo '::endgroup::'
	program=$build/release/karta
fi
"$program" --version
case $program in
/*) [ -z "${GITHUB_PATH:-}" ] || dirname -- "$program" >>"$GITHUB_PATH" ;;
esac
printf 'program=%s\n' "$program" >>"$GITHUB_OUTPUT"
