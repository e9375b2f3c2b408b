/* SPDX-License-Identifier: MIT */
/*
 * Unpacking: no crash; what is refused leaves nothing; what is taken has blobs that are what their
 * names say and a manifest that is well formed and has them all; the same archive inside zstd
 * frames gives the same. Checksums of headers are put right first, or nothing would come past them.
 */
#include "base/fs.h"
#include "pack/pack.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK 512
#define SUM_AT 148
#define MAGIC_AT 257
#define FRAME_BYTES 700 /* of a zstd frame: not a multiple of a block */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char root[] = "/tmp/karta-fuzz-unpack-XXXXXX";
static char *staging;

static void remove_root(void)
{
	free(staging);
	if (kt_fs_remove_tree(root, NULL) != KT_OK)
		abort();
}

static void set_up(void)
{
	if (staging)
		return;
	if (!mkdtemp(root))
		abort();
	staging = kt_path_join(root, "staging");
	(void)atexit(remove_root);
}

static void fix_sums(uint8_t *data, size_t size)
{
	for (size_t at = 0; at + BLOCK <= size; at += BLOCK) {
		unsigned sum = 0;
		char text[8];

		if (memcmp(data + at + MAGIC_AT, "ustar", 5) != 0)
			continue;
		memset(data + at + SUM_AT, ' ', 8);
		for (size_t i = 0; i < BLOCK; i++)
			sum += data[at + i];
		snprintf(text, sizeof(text), "%06o", sum);
		memcpy(data + at + SUM_AT, text, 7);
	}
}

static int memory_file(const void *data, size_t size)
{
	int fd = memfd_create("archive", MFD_CLOEXEC);

	if (fd < 0 || kt_fs_write_all(fd, data, size, NULL) != KT_OK || lseek(fd, 0, SEEK_SET) != 0)
		abort();
	return fd;
}

static void read_all(const char *dir, const char *name, struct kt_buf *out)
{
	KT_AUTOFREE char *path = kt_path_join(dir, name);

	if (kt_fs_read(path, out, NULL) != KT_OK)
		abort();
}

static void check_blobs(void)
{
	KT_AUTOFREE char *blobs = kt_path_join(staging, "blobs");
	char **names;
	size_t n;

	if (kt_fs_list(blobs, &names, &n, NULL) != KT_OK)
		abort();
	for (size_t i = 0; i < n; i++) {
		KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT((size_t)1 << 24);
		char digest[KT_DIGEST_MAX];

		read_all(blobs, names[i], &b);
		kt_sha256_of(b.ptr, b.len, digest);
		if (strcmp(digest, names[i]) != 0)
			abort();
	}
	kt_fs_names_free(names, n);
}

static void check_manifest(const struct kt_pack_limits *l, const struct kt_buf *text)
{
	struct kt_manifest *m = NULL;

	if (kt_manifest_parse(text->ptr, text->len, l, &m, NULL) != KT_OK)
		abort();
	for (size_t i = 0; i < m->n_files; i++) {
		KT_AUTOFREE char *path = kt_asprintf("%s/blobs/%s", staging, m->files[i].digest);
		struct stat st;

		if (stat(path, &st) || st.st_size != m->files[i].size)
			abort();
	}
	kt_manifest_free(m);
}

/* Unpack; the manifest, or of a bundle publish.json, is appended to out. */
static enum kt_code unpack(
	const void *data, size_t size, const struct kt_pack_limits *l, struct kt_buf *out)
{
	KT_AUTOFD int fd = memory_file(data, size);
	struct kt_err err = KT_ERR_INIT;
	struct kt_unpacked done = { 0 };
	enum kt_code code;

	if (kt_fs_remove_tree(staging, NULL) != KT_OK || kt_fs_mkdirs(staging, 0700, NULL) != KT_OK)
		abort();
	code = kt_unpack(fd, staging, l, &done, &err);
	if (code == KT_OK) {
		check_blobs();
		read_all(staging, done.bundle ? "publish.json" : "manifest", out);
		if (!done.bundle)
			check_manifest(l, out);
	} else {
		if (code != KT_EINVAL && code != KT_ELIMIT && code != KT_EPROTO)
			abort();
		for (const char *p = err.msg; *p; p++) {
			if ((unsigned char)*p < 0x20)
				abort();
		}
		/* An empty folder can be removed. */
		if (rmdir(staging))
			abort();
	}
	return code;
}

static void wrap(const uint8_t *data, size_t size, struct kt_buf *out)
{
	for (size_t at = 0; at < size; at += FRAME_BYTES) {
		size_t n = KT_MIN(size - at, (size_t)FRAME_BYTES);
		uint32_t block = (uint32_t)(n << 3 | 1);

		kt_buf_add(out, "\x28\xb5\x2f\xfd\x00\x58", 6);
		kt_buf_add(out, &block, 3);
		kt_buf_add(out, data + at, n);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	KT_AUTO_BUF struct kt_buf wrapped = KT_BUF_INIT((size_t)1 << 24);
	KT_AUTO_BUF struct kt_buf first = KT_BUF_INIT((size_t)1 << 24);
	KT_AUTO_BUF struct kt_buf second = KT_BUF_INIT((size_t)1 << 24);
	KT_AUTOFREE uint8_t *copy = kt_malloc(size);
	struct kt_pack_limits l;
	bool plain;

	set_up();
	kt_pack_limits_init(&l);
	l.max_files = 500;
	l.max_bytes = 4 * 1024 * 1024;
	if (size > 0)
		memcpy(copy, data, size);
	fix_sums(copy, size);
	plain = size > 4 && memcmp(copy, "\x1f\x8b", 2) != 0 &&
		memcmp(copy, "\x28\xb5\x2f\xfd", 4) != 0;
	if (unpack(copy, size, &l, &first) != KT_OK || !plain)
		return 0;
	wrap(copy, size, &wrapped);
	if (unpack(wrapped.ptr, wrapped.len, &l, &second) != KT_OK || first.len != second.len ||
		memcmp(first.ptr, second.ptr, first.len) != 0)
		abort();
	return 0;
}
