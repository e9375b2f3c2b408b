#!/bin/sh
# SPDX-License-Identifier: MIT
# scripts/dist/Containerfile, built over a base made of this machine's files, without network: the user, the
# volume, the first key, the health check, a push, the end. In full only with `make check-long`.
. "$(dirname "$0")/../lib/test-lib.sh"
test -n "$KARTA_TEST_LONG" || test_skip_all 'part of make check-long'
command -v buildah >/dev/null || test_skip_all 'buildah is not installed'
test "$(id -u)" -eq 0 || test_skip_all 'buildah runs as root here'
. "$TEST_ROOT/tests/lib/dist.sh"

# image WORD...: buildah with storage of its own.
image() {
	buildah --root "$TEST_DIR/storage" --runroot "$TEST_DIR/runroot" --storage-driver vfs "$@"
}
image from --name base scratch >/dev/null 2>&1 || test_skip_all 'buildah does not work here'

test_expect_success 'it builds, offline, from build/dist' '
	root_new root && root_add root bash env tar gzip mkdir useradd chown cat stat && rm -rf root/tmp/* &&
	root_file root /usr/sbin/nologin && root_file root /lib/x86_64-linux-gnu/libnss_files.so.2 &&
	: >root/etc/shadow && : >root/etc/gshadow && : >root/etc/login.defs && chmod 755 root &&
	image copy -q base root / && image commit -q base localhost/base && image rm base &&
	image build --isolation chroot --format docker --pull-never --build-arg BASE=localhost/base --build-arg PACKAGES= \
		-t localhost/karta -f "$TEST_ROOT/scripts/dist/Containerfile" "$dist" >out 2>&1 || { cat out; return 1; }
	image inspect --type image localhost/karta >inspected &&
	test_json inspected "d[\"Docker\"][\"config\"][\"User\"] == \"karta\" and \"/data\" in d[\"Docker\"][\"config\"][\"Volumes\"]" &&
	test_json inspected "\"/readyz\" in d[\"Docker\"][\"config\"][\"Healthcheck\"][\"Test\"][3]"
'

# in_image WORD...: another process in the container, as `podman exec` starts one.
in_image() {
	image run --isolation chroot it -- "$@"
}

test_expect_success 'it serves as a user without rights; its key is in the volume and not in the log' '
	image from --pull-never --name it localhost/karta || return 1
	in_image env KARTA_LISTEN=127.0.0.1:18000 karta serve --offline --key-file /data/admin-key >log 2>&1 &
	test_background $! && test_wait_for grep -q "admin key written to" log &&
	in_image cat /data/admin-key >key && test_grep "^kt_live_" key && test_grep -v -F "$(cat key)" log &&
	test "$(in_image stat -c "%U %a" /data/admin-key)" = "karta 600" &&
	python3 -c "import json; print(json.load(open(\"inspected\"))[\"Docker\"][\"config\"][\"Healthcheck\"][\"Test\"][3])" >health &&
	test_wait_for env KARTA_LISTEN=127.0.0.1:18000 bash health &&
	test_must_exit 1 env KARTA_LISTEN=127.0.0.1:1 bash health
'

test_expect_success 'a push to it' '
	mkdir bin && ln -s "$KARTA" bin/git-remote-karta && cp -R "$TEST_ROOT/docs/examples/support-bot" app && cd app &&
	git init -q -b main && git add -A && git -c user.name=A -c user.email=a@example.com commit -qm first &&
	PATH=$PWD/../bin:$PATH KARTA_API_KEY=$(cat ../key) git push karta::http://127.0.0.1:18000/support-bot main 2>err &&
	test_grep "^remote: Released v1 of support-bot" err &&
	KARTA_API_KEY=$(cat ../key) "$KARTA" --server http://127.0.0.1:18000 releases list -p support-bot
'

test_expect_success 'its karta says that it is an image' '
	in_image karta upgrade >out 2>&1 && test_grep "^installed  container image" out &&
	in_image sh -c "test -w /data && test ! -w /usr/local/bin"
'

test_done
