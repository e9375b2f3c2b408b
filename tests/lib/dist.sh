# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2034
# For tests of what is handed out (`make dist`): after test-lib.sh. They run in roots of their own,
# which have of this machine only what a test puts there.

. /etc/os-release
test "$ID $VERSION_ID" = 'debian 12' || test_skip_all 'what is handed out is made on Debian 12'
case $(uname -m) in
x86_64) dist_platform=linux-x64 ;;
*) test_skip_all 'the names here are those of x86_64' ;;
esac
if test "$(id -u)" -eq 0; then
	unshare -m true 2>/dev/null || test_skip_all 'no mount namespace here'
	dist_unshare='unshare -m'
else
	unshare -rm true 2>/dev/null || test_skip_all 'no user namespace here'
	dist_unshare='unshare -rm'
fi

build=${BUILD:-build}
case $build in /*) ;; *) build=$TEST_ROOT/$build ;; esac
# One at a time: each test of this kind comes by here. MAKEFLAGS is that of a make around the tests.
(
	unset MAKEFLAGS MFLAGS MAKELEVEL
	mkdir -p "$build" && flock 9 && make -s -C "$TEST_ROOT" BUILD="${BUILD:-build}" CI=true dist >"$TEST_DIR/dist.log" 2>&1
) 9>"$build/.dist-lock" || {
	tail -n 40 "$TEST_DIR/dist.log"
	exit 1
}
dist=$build/dist
version=$(cat "$dist/VERSION")

# root_new FOLDER: a root with a shell, the C library, and nothing else.
root_new() {
	mkdir -p "$1/bin" "$1/lib" "$1/lib64" "$1/usr/bin" "$1/usr/lib" "$1/usr/sbin" "$1/tmp" "$1/proc" "$1/dev" \
		"$1/etc" "$1/home/user" "$1/root" "$1/var/lib" "$1/run"
	chmod 1777 "$1/tmp"
	echo 'root:x:0:0::/root:/bin/sh' >"$1/etc/passwd"
	echo 'root:x:0:' >"$1/etc/group"
	echo '127.0.0.1 localhost' >"$1/etc/hosts"
	root_add "$1" sh
	root_file "$1" /lib/x86_64-linux-gnu/libm.so.6
}

# root_file ROOT PATH: the file of this machine at the same place.
root_file() {
	test -e "$1$2" && return 0
	mkdir -p "$1$(dirname "$2")" && cp -L "$2" "$1$2"
}

# root_libs ROOT FILE...: what these load.
root_libs() {
	root_libs_of=$1
	shift
	for root_lib in $(ldd "$@" 2>/dev/null | grep -oE '/[^ :]+\.so[^ :]*' | sort -u); do
		root_file "$root_libs_of" "$root_lib" || return 1
	done
}

# root_add ROOT PROGRAM...: programs of this machine, with what they load.
root_add() {
	root_to=$1
	shift
	for root_program in "$@"; do
		root_path=$(command -v "$root_program") || return 1
		root_file "$root_to" "$root_path" && root_libs "$root_to" "$root_path" || return 1
		# Scripts name some of them by /bin.
		test -e "$root_to/bin/$root_program" || ln -s "$root_path" "$root_to/bin/$root_program" || return 1
	done
}

# root_add_tools ROOT: what $first_hour calls.
root_add_tools() {
	root_add "$1" env cat cp mkdir sleep
}

# root_git ROOT: git, as a user has it.
root_git() {
	root_add "$1" git && mkdir -p "$1/usr/lib/git-core" && ln -sf /usr/bin/git "$1/usr/lib/git-core/git"
}

# root_run ROOT SCRIPT [ARGUMENT [ARGUMENT]]: in it, with a home and an environment of its own.
root_run() {
	root_of=$1
	shift
	# shellcheck disable=SC2086
	env -i PATH="$PATH" ROOT_PATH="$ROOT_PATH" $dist_unshare sh -c '
		mount --rbind /proc "$1/proc" && mount --rbind /dev "$1/dev" || exit 1
		root=$1
		shift
		exec chroot "$root" /usr/bin/env -i PATH="${ROOT_PATH:-/usr/local/bin:/usr/bin:/bin}" \
			HOME=/home/user LC_ALL=C.UTF-8 sh -c "cd; $1" sh "$2" "$3"' sh "$root_of" "$@"
}

# What a user does first, in a root that has karta on its PATH and /app: the version, and a push to a
# server that runs there too. Prints what each says.
first_hour='
	set -eu
	cd "$HOME"
	karta version
	karta serve --listen 127.0.0.1:0 --data data --offline --key-file key >url 2>serve.log &
	server=$!
	trap "kill $server; wait $server || true" EXIT
	while [ ! -s url ]; do
		kill -0 "$server" 2>/dev/null || { cat serve.log; exit 1; }
		sleep 0.05
	done
	karta login --server "$(cat url)" --with-key <key
	git config --global user.email a@example.com
	git config --global user.name A
	cp -R /app app
	cd app
	git init -q -b main
	git add -A
	git commit -qm first
	git remote add karta "karta::$(cat ../url)/support-bot"
	git push karta main
	karta releases list --json --project support-bot
'
