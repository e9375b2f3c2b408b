/* SPDX-License-Identifier: MIT */
/* Bundles of a source in memory: whole files and those in pieces, and a source that fails. */
#include "pack/pack.h"

#include "base/fs.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define N 200

struct memory {
	char *texts[N];
	size_t lens[N];
	size_t fails; /* this file cannot be read; N: all can */
};

static enum kt_code read_text(void *arg, size_t i, struct kt_content *out, struct kt_err *err)
{
	struct memory *m = arg;

	if (i == m->fails)
		return kt_fail(err, KT_ECONFLICT, 0, "file %zu is gone", i);
	out->owner = kt_strndup(m->texts[i], m->lens[i]);
	out->data = out->owner;
	out->len = m->lens[i];
	out->free_owner = free;
	return KT_OK;
}

static bool every_third(void *arg, size_t i)
{
	return i % 3 == 0;
}

static enum kt_code give_text(void *arg, size_t i, kt_piece_fn piece, void *to, struct kt_err *err)
{
	struct memory *m = arg;
	enum kt_code rc = KT_OK;

	if (i == m->fails)
		return kt_fail(err, KT_ECONFLICT, 0, "file %zu is gone", i);
	for (size_t at = 0; at < m->lens[i] && rc == KT_OK; at += 7)
		rc = piece(to, m->texts[i] + at, KT_MIN(m->lens[i] - at, (size_t)7), err);
	return rc;
}

/* Files a000, a001, ..., each with a text of its own. */
static struct kt_manifest *make(struct memory *m)
{
	struct kt_file files[N] = { 0 };
	struct kt_pack_limits limits;
	struct kt_manifest *out = NULL;
	char *names[N];

	kt_pack_limits_init(&limits);
	m->fails = N;
	for (size_t i = 0; i < N; i++) {
		names[i] = kt_asprintf("a%03zu", i);
		m->texts[i] = kt_asprintf("text %zu %0*d", i, (int)i, 0);
		m->lens[i] = strlen(m->texts[i]);
		files[i] = (struct kt_file){
			.path = names[i], .mode = KT_MODE_FILE, .size = (int64_t)m->lens[i]
		};
		kt_sha256_of(m->texts[i], m->lens[i], files[i].digest);
	}
	assert_int_equal(kt_manifest_make(files, N, &limits, &out, NULL), KT_OK);
	for (size_t i = 0; i < N; i++)
		free(names[i]);
	return out;
}

static enum kt_code bundle(struct memory *m, const struct kt_manifest *of, bool pieces, size_t n,
	int fd, struct kt_err *err)
{
	const struct kt_bundle_source source = { .read = read_text,
		.in_pieces = pieces ? every_third : NULL,
		.pieces = give_text,
		.arg = m };
	const char *digests[N];
	int64_t bytes = -1;

	for (size_t i = 0; i < n; i++)
		digests[i] = of->files[i].digest;
	return kt_bundle_write(of, &source, "{}", digests, n, fd, &bytes, err);
}

static void test_source(void **state)
{
	char staging[] = "/tmp/karta-bundle-XXXXXX";
	struct memory m;
	struct kt_manifest *of = make(&m);
	KT_AUTOFD int whole = memfd_create("whole", MFD_CLOEXEC);
	KT_AUTOFD int pieces = memfd_create("pieces", MFD_CLOEXEC);
	struct kt_pack_limits limits;
	struct kt_unpacked u;
	struct kt_err err = KT_ERR_INIT;
	char a[65536], b[65536];
	ssize_t n;

	kt_pack_limits_init(&limits);
	assert_int_equal(bundle(&m, of, false, N, whole, &err), KT_OK);
	assert_int_equal(bundle(&m, of, true, N, pieces, &err), KT_OK);
	/* However a file is given, the bytes are the same. */
	n = pread(whole, a, sizeof(a), 0);
	assert_in_range(n, 1, sizeof(a) - 1);
	assert_int_equal(pread(pieces, b, sizeof(b), 0), n);
	assert_memory_equal(a, b, n);
	assert_non_null(mkdtemp(staging));
	assert_int_equal(lseek(pieces, 0, SEEK_SET), 0);
	assert_int_equal(kt_unpack(pieces, staging, &limits, &u, &err), KT_OK);
	assert_true(u.bundle);
	assert_int_equal(u.n_files, N);
	assert_int_equal(u.n_bytes, of->n_bytes);
	assert_int_equal(kt_fs_remove_tree(staging, NULL), KT_OK);
	for (size_t i = 0; i < N; i++)
		free(m.texts[i]);
	kt_manifest_free(of);
}

/* The first files, alone, with the thread that reads ahead, in pieces, and far behind it. */
static void test_source_fails(void **state)
{
	static const size_t failing[] = { 0, 1, 150, N - 2 };
	struct memory m;
	struct kt_manifest *of = make(&m);

	for (size_t i = 0; i < KT_ARRAY_LEN(failing) * 2; i++) {
		KT_AUTOFREE char *words = NULL;
		KT_AUTOFD int fd = memfd_create("bundle", MFD_CLOEXEC);
		struct kt_err err = KT_ERR_INIT;

		m.fails = failing[i / 2];
		words = kt_asprintf("file %zu is gone", m.fails);
		assert_int_equal(bundle(&m, of, i % 2, N, fd, &err), KT_ECONFLICT);
		assert_string_equal(err.msg, words);
		if (m.fails < 2)
			assert_int_equal(bundle(&m, of, i % 2, 2, fd, &err), KT_ECONFLICT);
	}
	for (size_t i = 0; i < N; i++)
		free(m.texts[i]);
	kt_manifest_free(of);
}

static int set_up(void **state)
{
	return kt_crypto_init(NULL) == KT_OK ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_source),
		cmocka_unit_test(test_source_fails),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
