#!/bin/sh
# SPDX-License-Identifier: MIT
# scripts/install.sh: from a folder and from a server, in a root that has nothing else; what is damaged, cut,
# or not there changes nothing; what was installed can be taken away.
. "$(dirname "$0")/../lib/test-lib.sh"
. "$TEST_ROOT/tests/lib/dist.sh"

name=karta-$version-$dist_platform
script=$dist/install.sh

# install ARGUMENT...: as sh has it, with the HOME of the test.
install() {
	dash "$script" "$@"
}
command -v dash >/dev/null || test_skip_all 'dash is not installed'

# A web server over $dist; its address is in the file url.
python3 -c 'import functools, http.server, sys
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[1])
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
print("http://127.0.0.1:%d" % server.server_port, flush=True)
server.serve_forever()' "$dist" >url 2>requests &
test_background $!
test_wait_for test -s url || exit 1
url=$(cat url)

# one_of DIST: a copy of $dist that may be damaged.
one_of() {
	mkdir "$1" && cp "$dist/VERSION" "$dist/SHA256SUMS" "$dist/$name.tar.gz" "$1/"
}

test_expect_success 'in a clean root, by curl | sh: it says the line for PATH, and with it all works' '
	root_new root && root_git root && root_add_tools root && cp -R "$TEST_ROOT/docs/examples/support-bot" root/app &&
	root_add root curl uname id mktemp head sed grep sha256sum gzip tar find dirname mv rm rmdir ls &&
	root_run root "curl -fsSL \$1/install.sh | sh -s -- --from \$1 --prefix /home/user/.local; ls -A .local" "$url" >out 2>&1 &&
	cat out && test_grep "^karta $version is installed in /home/user/\.local\.$" out &&
	test_grep "^  export PATH=\"/home/user/\.local/bin:.PATH\"$" out && test_grep -v "karta-install" out &&
	ROOT_PATH=/home/user/.local/bin:/usr/bin:/bin root_run root "$first_hour" >out 2>&1 || { cat out; return 1; }
	cat out && test_grep "^remote: Released v1 of support-bot" out && test -f root/home/user/.local/share/man/man1/karta.1
'

test_expect_success 'without root: into ~/.local, and a second time the same' '
	cat >id <<-\EOF && chmod +x id &&
	#!/bin/sh
	echo 1000
	EOF
	(PATH=$PWD:$PATH && install --from "$dist") >out && ls -l "$HOME/.local/bin" && cat out &&
	test_grep "^karta $version is installed in $HOME/\.local\.$" out &&
	test_grep "^  export PATH=\"$HOME/\.local/bin:.PATH\"$" out && "$HOME/.local/bin/karta" version &&
	find "$HOME/.local" | sort >first && (PATH=$PWD:$PATH && install --from "$url") >out &&
	find "$HOME/.local" | sort | test_cmp first - && test "$(cat "$HOME/.local/lib/karta/source")" = "$url"
'

test_expect_success 'taken away: nothing of it is left, what it wrote is' '
	mkdir -p "$HOME/.local/share/karta" && echo mine >"$HOME/.local/share/karta/karta.db" &&
	(PATH=$PWD:$PATH && install --uninstall) >out && test_grep "is taken away from $HOME/\.local" out &&
	test "$(find "$HOME/.local" -type f)" = "$HOME/.local/share/karta/karta.db" && test -z "$(find "$HOME/.local" -type l)" &&
	test_must_exit 1 install --uninstall --prefix "$HOME/.local" 2>err && test_grep "^hint: " err
'

test_expect_success 'a prefix with blanks, another karta on PATH' '
	mkdir other && printf "#!/bin/sh\necho karta 0.0.1\n" >other/karta && chmod +x other/karta &&
	(PATH=$PWD/other:$PATH && install --from "$dist" --prefix "a place") >out && cat out &&
	test_grep "another karta first: $PWD/other/karta" out && "./a place/bin/karta" version &&
	cp other/karta "a place/bin/karta" && echo share/old >>"a place/lib/karta/files" && echo old >"a place/share/old" &&
	install --from "$dist" --prefix "a place" >out && test_grep "^karta 0\.0\.1 became karta $version" out &&
	test ! -e "a place/share/old" && test -f "a place/share/man/man1/karta.1"
'

test_expect_success 'a download that was cut does nothing, wherever' '
	size=$(wc -c <"$script") && at=0 && ok=0 && while test "$at" -lt "$size"; do
		head -c "$at" "$script" | dash -s -- --from "$dist" --prefix "$PWD/cut" >/dev/null 2>&1
		test ! -e cut || { echo "cut after $at of $size bytes, it does something"; return 1; }
		if test "$at" -gt $((size - 40)); then at=$((at + 1)); else at=$((at + 397)); fi
		test "$at" -le $((size - 2)) || break
	done
'

test_expect_success 'a damaged tarball, a wrong checksum, a version that is not there: refused, nothing changes' '
	one_of damaged && printf x | dd of="damaged/$name.tar.gz" bs=1 seek=1000 conv=notrunc 2>/dev/null &&
	test_must_exit 1 install --from damaged --prefix p 2>err && test_grep "is damaged: its sha256 is [0-9a-f]{64}, not" err &&
	one_of unlisted && sed -i "/$name/d" unlisted/SHA256SUMS &&
	test_must_exit 1 install --from unlisted --prefix p 2>err && test_grep "has no karta $version for" err &&
	test_must_exit 1 install --from "$dist" --version 99.1 --prefix p 2>err && test_grep "has no karta 99\.1" err &&
	one_of odd && echo "../../x" >odd/VERSION && test_must_exit 1 install --from odd --prefix p 2>err &&
	test_grep "is no version" err && test -z "$(find p -type f)" && test "$(find p | wc -l)" -le 2
'

test_expect_success 'one that does not start here is not installed' '
	mkdir -p "build/$name/bin" old && printf "#!/bin/sh\necho too old >&2\nexit 1\n" >"build/$name/bin/karta" &&
	chmod +x "build/$name/bin/karta" && tar -C build -czf "old/$name.tar.gz" "$name" && echo "$version" >old/VERSION &&
	(cd old && sha256sum -- *.gz >SHA256SUMS) && test_must_exit 1 install --from old --prefix p 2>err &&
	test_grep "does not start on this machine: too old" err && test -z "$(find p -type f)"
'

test_expect_success 'what came over https is not gone on with over http' '
	mkdir tools && for tool in dash uname id mktemp head sed grep sha256sum gzip tar find dirname mkdir mv rm; do
		ln -s "$(command -v $tool)" tools/ || return 1
	done &&
	printf "#!/bin/dash\necho \"curl \$*\" >>asked\nexit 1\n" >tools/curl && chmod +x tools/curl &&
	(PATH=$PWD/tools && test_must_exit 1 dash "$script" --from https://karta.invalid/d --prefix p 2>err) &&
	grep -F -e "--proto =https " asked && rm tools/curl asked &&
	printf "#!/bin/dash\necho \"wget \$http_proxy\" >>asked\nexit 1\n" >tools/wget && chmod +x tools/wget &&
	(PATH=$PWD/tools && test_must_exit 1 dash "$script" --from https://karta.invalid/d --prefix p 2>err) &&
	grep -F "wget http://127.0.0.1:9/" asked
'

test_expect_success 'wrong words' '
	test_must_exit 1 install --prefix p 2>err && test_grep "where are the files" err && test_grep "^hint: .*KARTA_INSTALL_URL" err &&
	test_must_exit 1 install --from http://192.0.2.1/x --prefix p 2>err && test_grep "is not https" err &&
	test_must_exit 1 install --from ftp://192.0.2.1/x --prefix p 2>err &&
	test_must_exit 1 install --from nowhere --prefix p 2>err && test_grep "there is no folder .nowhere." err &&
	test_must_exit 1 install --what 2>err && test_grep "^usage: " err && install --help | grep -q uninstall &&
	test_must_exit 1 install --from "$url/nothing" --prefix p 2>err && test_grep "cannot download" err
'

test_done
