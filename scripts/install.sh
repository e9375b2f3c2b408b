#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Installs karta from the files that `make dist` makes:
#
#   curl -fsSL URL/install.sh | KARTA_INSTALL_URL=URL sh
#   curl -fsSL URL/install.sh | sh -s -- --from URL
#   sh install.sh --from FOLDER
#
# The whole script is functions, and the last line calls one of them. So a download that was cut does
# nothing.

# Where the files are, when nobody says; `make dist INSTALL_URL=...` writes it here.
default_url=

usage() {
	cat <<'END'
usage: install.sh [--from URL|FOLDER] [--version VERSION] [--prefix FOLDER]
       install.sh --uninstall [--prefix FOLDER]

  --from URL|FOLDER   where the files are (default: KARTA_INSTALL_URL)
  --version VERSION   another than the newest
  --prefix FOLDER     default: /usr/local for root, ~/.local for others
  --uninstall         take away what was installed; applications, settings and data stay
END
}

say() {
	printf '%s\n' "$*"
}

fail() {
	printf 'install.sh: error: %s\n' "$1" >&2
	shift
	for line in "$@"; do
		printf 'hint: %s\n' "$line" >&2
	done
	exit 1
}

have() {
	command -v "$1" >/dev/null 2>&1
}

# find_platform: sets $platform to the name in the files' names.
find_platform() {
	kernel=$(uname -s) cpu=$(uname -m)
	case $kernel in
	Linux) ;;
	Darwin) fail 'karta runs on Linux only' 'use it in a virtual machine or a container' ;;
	*) fail "karta runs on Linux, not on $kernel" ;;
	esac
	case $cpu in
	x86_64 | amd64) platform=linux-x64 ;;
	aarch64 | arm64) platform=linux-arm64 ;;
	*) fail "there is no karta for the processor $cpu" 'build it from source' ;;
	esac
}

# check_url: https, or this machine: what a network can change is not installed.
check_url() {
	case $from in
	https://*) ;;
	http://127.0.0.1 | http://127.0.0.1[:/]* | http://localhost | http://localhost[:/]* | "http://[::1]"*) ;;
	http://*) fail "'$from' is not https" 'download the files, and name their folder with --from' ;;
	*://*) fail "'$from' is neither https nor a folder" ;;
	*)
		[ -d "$from" ] || fail "there is no folder '$from'"
		return 0
		;;
	esac
	have curl || have wget || fail 'neither curl nor wget is installed' 'install one of them'
}

# fetch NAME FILE: the file NAME of $from.
fetch() {
	case $from in
	*://*) ;;
	*)
		[ -f "$from/$1" ] || fail "there is no '$1' in '$from'"
		cp -- "$from/$1" "$2" || fail "cannot copy '$from/$1'"
		return 0
		;;
	esac
	# What came over https is not gone on with over http, wherever the answer leads: wget has no option
	# for that, so its way over http ends at a proxy that is not there.
	case $from in
	https:*) protocols='=https' no_http=http://127.0.0.1:9/ ;;
	*) protocols='=http,https' no_http=${http_proxy:-} ;;
	esac
	if have curl; then
		curl -fsSL --proto "$protocols" --retry 2 -o "$2" -- "$from/$1"
	else
		http_proxy=$no_http wget -q -O "$2" -- "$from/$1"
	fi || fail "cannot download '$from/$1'" 'is the address right, and the network there?'
}

# digest FILE: its sha256.
digest() {
	if have sha256sum; then
		sha256sum <"$1"
	elif have shasum; then
		shasum -a 256 <"$1"
	else
		openssl dgst -sha256 -r <"$1"
	fi | sed 's/[^0-9a-f].*//'
}

# check_prefix: sets $prefix, absolute.
check_prefix() {
	if [ -z "$prefix" ]; then
		if [ "$(id -u)" = 0 ]; then
			prefix=/usr/local
		else
			[ -n "${HOME:-}" ] || fail 'HOME is not set' 'name a folder with --prefix'
			prefix=$HOME/.local
		fi
	fi
	case $prefix in
	/*) ;;
	*) prefix=$PWD/$prefix ;;
	esac
	record=$prefix/lib/karta/files
}

# taken_away FILE: removes the files that the record FILE names, and their folders when empty.
taken_away() {
	while IFS= read -r path; do
		case $path in
		'' | /* | *..*) continue ;;
		esac
		rm -f -- "$prefix/$path"
		folder=$(dirname -- "$path")
		while [ "$folder" != . ]; do
			case $folder in
			bin | lib | share | libexec) break ;;
			esac
			rmdir -- "$prefix/$folder" 2>/dev/null || break
			folder=$(dirname -- "$folder")
		done
	done <"$1"
}

uninstall() {
	[ -f "$record" ] || fail "install.sh has installed nothing into '$prefix'" \
		'another place is named with --prefix; a package is removed with apt or npm'
	[ -w "$prefix/bin" ] || fail "'$prefix/bin' cannot be written to" 'run it as the user who installed it'
	list=$(mktemp) || fail 'cannot make a temporary file'
	cp -- "$record" "$list"
	taken_away "$list"
	rm -f -- "$list" "$record"
	rmdir -- "$prefix/lib/karta" 2>/dev/null
	say "karta is taken away from $prefix."
	say "What it wrote stays: settings in ~/.config/karta, a server's data in ~/.local/share/karta."
}

# unpack: downloads, checks, and unpacks into $stage, which is where it is to go, so that the files
# only need to be renamed.
unpack() {
	have sha256sum || have shasum || have openssl ||
		fail 'none of sha256sum, shasum and openssl is installed' 'install one of them'
	if [ -z "$version" ]; then
		fetch VERSION "$stage/VERSION"
		version=$(head -n 1 "$stage/VERSION")
	fi
	case $version in
	'' | *[!0-9A-Za-z.+~-]*) fail "'$version' is no version" ;;
	esac
	name=karta-$version-$platform
	fetch SHA256SUMS "$stage/SHA256SUMS"
	want=$(sed -n "s/^\([0-9a-f]\{64\}\) [ *]$name\.tar\.gz\$/\1/p" "$stage/SHA256SUMS")
	[ -n "$want" ] || fail "'$from' has no karta $version for $platform"
	fetch "$name.tar.gz" "$stage/karta.tar.gz"
	got=$(digest "$stage/karta.tar.gz")
	[ "$got" = "$want" ] || fail "$name.tar.gz is damaged: its sha256 is $got, not $want" 'nothing was installed'
	(cd "$stage" && gzip -dc karta.tar.gz | tar -xof -) || fail "cannot unpack $name.tar.gz"
	"$stage/$name/bin/karta" version >/dev/null 2>"$stage/why" || fail \
		"karta does not start on this machine: $(head -n 1 "$stage/why")" \
		'it needs glibc 2.34 or newer (Debian 12, Ubuntu 22.04); nothing was installed'
}

# put: renames what was unpacked into its place, the program last.
put() {
	(cd "$stage/$name" && find . \( -type f -o -type l \) | sed 's|^\./||' | grep -vx bin/karta) >"$stage/files" || return 1
	printf '%s\n' lib/karta/files lib/karta/source bin/karta >>"$stage/files"
	printf '%s\n' "$from" >"$stage/$name/lib/karta/source" || return 1
	cp "$stage/files" "$stage/$name/lib/karta/files" || return 1
	if [ -f "$record" ]; then
		grep -vxFf "$stage/files" "$record" >"$stage/old"
	fi
	while IFS= read -r path; do
		mkdir -p "$prefix/$(dirname -- "$path")" && mv -f -- "$stage/$name/$path" "$prefix/$path" || return 1
	done <"$stage/files"
	# What an older version had and this one has not.
	[ ! -s "$stage/old" ] || taken_away "$stage/old"
}

# outcome: what was done, and what to do.
outcome() {
	if [ -n "$before" ] && [ "$before" != "karta $version" ]; then
		say "$before became karta $version in $prefix."
	else
		say "karta $version is installed in $prefix."
	fi
	first=$(command -v karta)
	if [ "$first" = "$prefix/bin/karta" ]; then
		have git-remote-karta || say 'git does not find git-remote-karta: is it on your PATH?'
	elif [ -n "$first" ]; then
		say "Your PATH has another karta first: $first. To use this one, add to your shell's profile:"
		say "  export PATH=\"$prefix/bin:\$PATH\""
	else
		say 'It is not on your PATH yet. Add to your shell'"'"'s profile (~/.profile, ~/.bashrc, ~/.zshrc):'
		say "  export PATH=\"$prefix/bin:\$PATH\""
	fi
	have git || say 'git is not installed: karta dev works without, git push karta does not.'
	say "Begin with 'karta init' in a folder, or 'karta help'. Taken away with: install.sh --uninstall"
}

install() {
	[ -n "$from" ] || fail 'where are the files?' \
		'set KARTA_INSTALL_URL, or --from, to the address (or folder) that install.sh came from'
	from=${from%/}
	case $from in
	*://*) ;;
	*) from=$(cd -- "$from" 2>/dev/null && pwd) || fail "there is no folder '$1'" ;;
	esac
	check_url
	find_platform
	if ! mkdir -p -- "$prefix/bin" 2>/dev/null || [ ! -w "$prefix" ] || [ ! -w "$prefix/bin" ]; then
		fail "'$prefix' cannot be written to" 'name another folder with --prefix, or run it as root'
	fi
	before=
	[ ! -x "$prefix/bin/karta" ] || before=$("$prefix/bin/karta" version 2>/dev/null)
	stage=$(mktemp -d "$prefix/.karta-install.XXXXXX") || fail "cannot write to '$prefix'"
	trap 'rm -rf -- "$stage"' EXIT
	trap 'exit 1' HUP INT TERM
	unpack
	put || fail "cannot write to '$prefix'" 'run it again when it can be written to'
	outcome
}

main() {
	umask 022
	LC_ALL=C
	export LC_ALL
	from=${KARTA_INSTALL_URL:-$default_url}
	version='' prefix='' what=install
	while [ $# -gt 0 ]; do
		case $1 in
		--from | --version | --prefix)
			[ $# -gt 1 ] || fail "$1 needs a value"
			case $1 in
			--from) from=$2 ;;
			--version) version=$2 ;;
			--prefix) prefix=$2 ;;
			esac
			shift
			;;
		--from=*) from=${1#*=} ;;
		--version=*) version=${1#*=} ;;
		--prefix=*) prefix=${1#*=} ;;
		--uninstall) what=uninstall ;;
		-h | --help)
			usage
			return 0
			;;
		*)
			usage >&2
			fail "unknown argument: $1"
			;;
		esac
		shift
	done
	check_prefix
	"$what" "$from"
}

# In braces: half of this line is no command.
{ main "$@"; }
