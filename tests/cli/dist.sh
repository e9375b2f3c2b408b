#!/bin/sh
# SPDX-License-Identifier: MIT
# What `make dist` makes: the tarball and the .deb, each in a root that has nothing else; the checksums.
. "$(dirname "$0")/../lib/test-lib.sh"
. "$TEST_ROOT/tests/lib/dist.sh"

tarball=$dist/karta-$version-$dist_platform.tar.gz
deb=$dist/karta_${version}_amd64.deb
app=$TEST_ROOT/docs/examples/support-bot

test_expect_success 'the version is that of the Makefile, in all names' '
	test "$version" = "$(sed -n "s/^VERSION := //p" "$TEST_ROOT/Makefile")" &&
	test -f "$tarball" && test -f "$deb"
'

test_expect_success 'the checksums are those of all files' '
	(cd "$dist" && sha256sum -c SHA256SUMS) >out && (cd "$dist" && ls) | grep -v SHA256SUMS >files &&
	sed "s/: OK$//" out | sort >summed && sort files | test_cmp - summed
'

test_expect_success 'the tarball is one folder, of nobody, with nothing outside' '
	tar -tvzf "$tarball" >list &&
	test_grep -v -E "^.{10} [^0]" list && test_grep -v "^[^ ]+ +0/[^0]" list &&
	tar -tzf "$tarball" | test_must_exit 1 grep -qv "^karta-$version-$dist_platform/" &&
	tar -tzf "$tarball" | grep -qx "karta-$version-$dist_platform/share/doc/karta/third-party.txt"
'

test_expect_success 'the program needs nothing but glibc 2.34 and what lies beside it' '
	mkdir unpacked && tar -C unpacked -xzf "$tarball" && cd unpacked/karta-* &&
	objdump -p bin/karta lib/karta/*.so.* | sed -n "s/^ *NEEDED *//p" | sort -u >needed &&
	ls lib/karta | grep "\.so" >beside && grep -vxFf beside needed >outside &&
	printf "libc.so.6\nlibm.so.6\n" | test_cmp - outside &&
	newest=$(objdump -T bin/karta lib/karta/*.so.* | grep -o "GLIBC_[0-9.]*" | sort -Vu | tail -n 1) &&
	echo "$newest" && test "$(printf "%s\nGLIBC_2.34\n" "$newest" | sort -V | tail -n 1)" = GLIBC_2.34
'

test_expect_success 'the tarball in a clean root: version, login, a push, the manual page' '
	root_new root && root_git root && root_add_tools root && cp -R "$app" root/app &&
	mkdir -p root/usr/local && tar -C root/usr/local --strip-components=1 -xzf "$tarball" &&
	root_run root "$first_hour" >out 2>&1 || { cat out; return 1; }
	cat out && test_grep "^karta $version$" out && test_grep "^remote: Released v1 of support-bot" out &&
	test_grep "\"version\": *\"v1\"" out && mandoc -T lint -W error root/usr/local/share/man/man1/karta.1
'

test_expect_success 'the .deb: fields, places, nothing that lintian names' '
	dpkg-deb -f "$deb" Package Version Architecture Depends Recommends >fields && cat fields &&
	test_grep "^Version: $version$" fields && test_grep "^Depends: .*libgit2-1.5.*" fields &&
	test_grep "^Recommends: libglib.*bubblewrap" fields &&
	dpkg-deb -c "$deb" >list && for file in usr/bin/karta usr/lib/karta/channel \
		usr/share/bash-completion/completions/karta usr/share/zsh/vendor-completions/_karta \
		usr/share/fish/vendor_completions.d/karta.fish lib/systemd/system/karta.service \
		lib/systemd/system/karta.socket usr/libexec/karta/karta-credential-secretservice \
		usr/share/doc/karta/copyright usr/share/doc/karta/changelog.gz; do
		test_grep -F " ./$file" list || return 1
	done &&
	test_grep " ./usr/bin/git-remote-karta -> karta$" list && test_grep -v "^[^ ]+ +[^r]" list &&
	dpkg-deb --fsys-tarfile "$deb" | tar -xO ./lib/systemd/system/karta.service >unit &&
	test_grep "^ExecStart=/usr/bin/karta serve" unit && test_grep -v useradd unit &&
	if test -n "$KARTA_TEST_LONG" && command -v lintian >/dev/null; then lintian --fail-on error,warning,info "$deb"; fi
'

test_expect_success 'what is installed takes at most 2 MiB' '
	dpkg-deb -x "$deb" installed && du -sk installed | tee size && test "$(cut -f1 size)" -le 2048
'

# deb_root ROOT: with what dpkg and the scripts of a package call.
deb_root() {
	root_new "$1" && root_git "$1" &&
		root_add_tools "$1" && root_add "$1" dpkg-deb dpkg-split tar rm getent useradd &&
		mkdir -p "$1/var/lib/dpkg/info" "$1/var/lib/dpkg/updates" "$1/usr/share" && : >"$1/var/lib/dpkg/status" &&
		root_file "$1" /usr/sbin/nologin && root_file "$1" /lib/x86_64-linux-gnu/libnss_files.so.2 &&
		echo "x" >"$1/etc/shadow" && : >"$1/etc/shadow" && : >"$1/etc/gshadow" && : >"$1/etc/login.defs"
}

# in_deb_root ROOT DPKG-ARGUMENT...: dpkg of this machine, its scripts in the root.
in_deb_root() {
	deb_of=$1
	shift
	# shellcheck disable=SC2086
	env PATH="$PATH:/usr/sbin:/sbin" $dist_unshare dpkg --root="$PWD/$deb_of" --force-depends --force-not-root \
		--log="$PWD/dpkg.log" "$@"
}

test_expect_success 'the .deb in a clean root: what Depends names is all that it needs' '
	deb_root debian && cp -R "$app" debian/app &&
	in_deb_root debian -i "$deb" >out 2>&1 && cat out &&
	for package in $(dpkg-deb -f "$deb" Depends | sed "s/([^)]*)//g; s/,/ /g"); do
		for lib in $(dpkg -L "$package" | grep -E "/lib[^/]+\.so\.[0-9.]+$"); do
			root_file debian "$lib" && root_libs debian "$lib" || return 1
		done
	done &&
	root_run debian "$first_hour" >out 2>&1 || { cat out; return 1; }
	cat out && test_grep "^karta $version$" out && test_grep "^remote: Released v1 of support-bot" out &&
	test_grep "^karta:x:.*:/var/lib/karta:/usr/sbin/nologin$" debian/etc/passwd &&
	zcat debian/usr/share/man/man1/karta-serve.1.gz | mandoc -T lint -W error
'

test_expect_success 'upgraded, removed, purged: what people have stays' '
	mkdir -p debian/var/lib/karta && echo mine >debian/var/lib/karta/karta.db &&
	mkdir newer && dpkg-deb -R "$deb" newer && sed -i "s/^Version: .*/Version: 99.0/" newer/DEBIAN/control &&
	dpkg-deb --root-owner-group -Znone -b newer newer.deb >/dev/null &&
	in_deb_root debian -i newer.deb >out 2>&1 && cat out &&
	dpkg-query --admindir=debian/var/lib/dpkg -W karta >out && test_grep "99\.0" out &&
	test "$(grep -c "^karta:" debian/etc/passwd)" -eq 1 &&
	in_deb_root debian -r karta && test ! -e debian/usr/bin/karta && test ! -e debian/usr/bin/git-remote-karta &&
	test "$(cat debian/var/lib/karta/karta.db)" = mine && test -d debian/home/user/data &&
	in_deb_root debian -P karta >out 2>&1 && test "$(cat debian/var/lib/karta/karta.db)" = mine &&
	test -d debian/home/user/data && test_grep "/var/lib/karta is kept" out &&
	test -z "$(find debian/usr -name "*karta*")"
'

# again FOLDER SOURCE BUILD: what `make dist` makes there, at a time of its own.
again() {
	(unset MAKEFLAGS MFLAGS MAKELEVEL && SOURCE_DATE_EPOCH=1773394200 make -s -j"$(nproc)" -C "$2" CI=true \
		BUILD="$3" DIST="$PWD/$1" "$PWD/$1/SHA256SUMS")
}

if test -n "$KARTA_TEST_LONG"; then
	test_expect_success 'made by a copy of the tree in another place, the bytes are the same' '
		mkdir -p another/place && git -C "$TEST_ROOT" ls-files -z | (cd "$TEST_ROOT" && xargs -0 tar -cf -) | tar -C another/place -xf - &&
		cp -R "$TEST_ROOT/lib/api/web/node_modules" another/place/lib/api/web/ &&
		again here "$TEST_ROOT" "${BUILD:-build}" && again there another/place build &&
		grep -v " karta-$version\.tar\.gz$" here/SHA256SUMS | test_cmp - there/SHA256SUMS
	'
else
	test_skip 'made by a copy of the tree in another place, the bytes are the same' 'part of make check-long'
fi

test_done
