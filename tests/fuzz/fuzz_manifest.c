/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer target for manifests and their differences. The input is one or two manifests and a
 * delta, separated by an empty line. What is accepted must render to the very bytes that were read,
 * and every path in it must be fine alone; the difference of two manifests applied to the first
 * must give the second; a delta that is taken must be what the difference says.
 */
#include "pack/pack.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(
	const struct kt_manifest *m, const char *text, size_t len, const struct kt_pack_limits *l)
{
	KT_AUTO_BUF struct kt_buf again = KT_BUF_INIT(1 << 22);
	struct kt_manifest *made = NULL;
	kt_manifest_render(m, &again);
	kt_assert(kt_buf_ok(&again) && again.len == len && memcmp(again.ptr, text, len) == 0);
	for (size_t i = 0; i < m->n_files; i++) {
		const char *path = m->files[i].path;
		kt_assert(kt_pack_path_check(path, strlen(path), l, NULL) == KT_OK);
		kt_assert(kt_manifest_find(m, path) == &m->files[i]);
	}
	kt_assert(kt_manifest_make(m->files, m->n_files, l, &made, NULL) == KT_OK);
	kt_assert(strcmp(made->digest, m->digest) == 0 && made->n_bytes == m->n_bytes);
	kt_manifest_free(made);
}

static void check_delta(
	const struct kt_manifest *a, const struct kt_manifest *b, const struct kt_pack_limits *l)
{
	KT_AUTO_BUF struct kt_buf delta = KT_BUF_INIT(1 << 22);
	struct kt_manifest *c = NULL;
	kt_manifest_delta(a, b, &delta);
	kt_assert(kt_manifest_apply(a, delta.ptr, delta.len, l, &c, NULL) == KT_OK);
	kt_assert(strcmp(b->digest, c->digest) == 0);
	kt_manifest_free(c);
}

/* Apply any delta; what it was must come out again. */
static void check_apply(
	const struct kt_manifest *a, const char *text, size_t len, const struct kt_pack_limits *l)
{
	KT_AUTO_BUF struct kt_buf delta = KT_BUF_INIT(1 << 22);
	struct kt_manifest *c = NULL;
	if (kt_manifest_apply(a, text, len, l, &c, NULL) != KT_OK)
		return;
	kt_manifest_delta(a, c, &delta);
	kt_assert(delta.len == len && memcmp(delta.ptr, text, len) == 0);
	kt_manifest_free(c);
}

/* The part up to the next empty line; *rest is behind that. */
static size_t part(const char *s, const char *end, const char **rest)
{
	const char *gap = s;
	while ((gap = memchr(gap, '\n', (size_t)(end - gap))) != NULL) {
		if (end - gap > 1 && gap[1] == '\n') {
			*rest = gap + 2;
			return (size_t)(gap + 1 - s);
		}
		gap++;
	}
	*rest = end;
	return (size_t)(end - s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct kt_pack_limits l;
	struct kt_manifest *a = NULL;
	struct kt_manifest *b = NULL;
	struct kt_err err = KT_ERR_INIT;
	KT_AUTOFREE char *copy = kt_strndup((const char *)data, len);
	const char *end = copy + len;
	const char *next = end;
	kt_assert(kt_crypto_init(NULL) == KT_OK);
	kt_pack_limits_init(&l);
	(void)!kt_pack_path_check(copy, len, &l, &err);
	size_t n = part(copy, end, &next);
	if (kt_manifest_parse(copy, n, &l, &a, &err) != KT_OK)
		return 0;
	check(a, copy, n, &l);
	const char *second = next;
	n = part(second, end, &next);
	check_apply(a, second, n, &l);
	if (kt_manifest_parse(second, n, &l, &b, NULL) == KT_OK) {
		check(b, second, n, &l);
		check_delta(a, b, &l);
		check_delta(b, a, &l);
		check_apply(b, next, (size_t)(end - next), &l);
	}
	kt_manifest_free(a);
	kt_manifest_free(b);
	return 0;
}
