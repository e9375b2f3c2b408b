/* SPDX-License-Identifier: MIT */
/*
 * Two caches next to a repository, in GIT_DIR/karta:
 *   digests            "karta-digests 1 LF", SHA-256 of the rest as text, LF, then records of 64
 *                      bytes sorted by blob id, so that it is searched as it lies in memory;
 *   manifests/DIGEST   the text of a manifest, so that a later one can be sent as a difference.
 * The checksum makes damage a miss. Both are replaced at once and not synced: a power cut costs
 * reading again.
 */
#include "git/cache_private.h"

#include "base/fs.h"
#include "base/inside.h"
#include "base/limits.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC "karta-digests 1\n"
#define HEAD_BYTES (sizeof(MAGIC) - 1 + KT_DIGEST_MAX)
#define MAX_RECORDS 200000 /* 12.8 MB: ten of the largest releases without a common file */
#define MAX_MANIFESTS 16
#define DIGESTS "karta/digests" /* inside of GIT_DIR */
#define MANIFESTS "karta/manifests"

struct record {
	unsigned char id[KT_BLOB_ID_BYTES];
	unsigned char sha256[KT_SHA256_BYTES];
	unsigned char size[8]; /* low byte first */
	unsigned char flags[4]; /* the first: 1 = LFS pointer */
};
_Static_assert(sizeof(struct record) == 64, "records are written as they are");

struct kt_digests {
	char *git_dir; /* it may have come in an archive: nothing is followed in it */
	struct kt_buf file; /* as read; empty when there is none */
	const struct record *old; /* in file, sorted by id */
	size_t n_old;
	struct record *added;
	size_t n_added, added_cap;
};

static int compare_ids(const void *a, const void *b)
{
	return memcmp(a, b, KT_BLOB_ID_BYTES);
}

static bool is_whole(const struct kt_buf *b)
{
	char digest[KT_DIGEST_MAX];
	if (b->len < HEAD_BYTES || (b->len - HEAD_BYTES) % sizeof(struct record) != 0 ||
		memcmp(b->ptr, MAGIC, sizeof(MAGIC) - 1) != 0)
		return false;
	kt_sha256_of(b->ptr + HEAD_BYTES, b->len - HEAD_BYTES, digest);
	return memcmp(digest, b->ptr + sizeof(MAGIC) - 1, KT_DIGEST_MAX - 1) == 0;
}

struct kt_digests *kt_digests_open(const char *git_dir)
{
	struct kt_digests *d = kt_calloc(1, sizeof(*d));
	d->git_dir = kt_strdup(git_dir);
	kt_buf_init(&d->file, HEAD_BYTES + MAX_RECORDS * sizeof(struct record));
	KT_AUTOFD int top = -1;
	if (kt_inside_open(git_dir, &top, NULL) == KT_OK &&
		kt_inside_read(top, DIGESTS, &d->file, NULL) == KT_OK && is_whole(&d->file)) {
		/* Records are bytes only, so any address will do. */
		d->old = (const struct record *)(const void *)(d->file.ptr + HEAD_BYTES);
		d->n_old = (d->file.len - HEAD_BYTES) / sizeof(struct record);
	}
	return d;
}

static void hex_to_bytes(const char *hex, unsigned char *out)
{
	for (size_t i = 0; i < KT_SHA256_BYTES; i++) {
		unsigned char high = (unsigned char)hex[2 * i];
		unsigned char low = (unsigned char)hex[2 * i + 1];
		high = high >= 'a' ? high - 'a' + 10 : high - '0';
		low = low >= 'a' ? low - 'a' + 10 : low - '0';
		out[i] = (unsigned char)(high << 4 | low);
	}
}

bool kt_digests_get(const struct kt_digests *d, const unsigned char *id, struct kt_blob_note *out)
{
	static const char digits[] = "0123456789abcdef";
	if (d->n_old == 0)
		return false;
	const struct record *r = bsearch(id, d->old, d->n_old, sizeof(*r), compare_ids);
	if (r == NULL)
		return false;
	uint64_t size = 0;
	for (size_t i = 8; i > 0; i--)
		size = size << 8 | r->size[i - 1];
	out->size = (int64_t)(size & INT64_MAX);
	out->lfs = (r->flags[0] & 1) != 0;
	for (size_t i = 0; i < KT_SHA256_BYTES; i++) {
		out->digest[2 * i] = digits[r->sha256[i] >> 4];
		out->digest[2 * i + 1] = digits[r->sha256[i] & 15];
	}
	out->digest[KT_DIGEST_MAX - 1] = '\0';
	return true;
}

void kt_digests_put(struct kt_digests *d, const unsigned char *id, const struct kt_blob_note *note)
{
	kt_grow((void **)&d->added, &d->added_cap, d->n_added + 1, sizeof(*d->added));
	struct record *r = &d->added[d->n_added++];
	*r = (struct record){ 0 };
	memcpy(r->id, id, sizeof(r->id));
	hex_to_bytes(note->digest, r->sha256);
	for (size_t i = 0; i < 8; i++)
		r->size[i] = (unsigned char)((uint64_t)note->size >> (8 * i));
	r->flags[0] = note->lfs;
}

/* Both sorted lists as one; a record that is in both comes once. */
static void merge_digests(const struct kt_digests *d, struct kt_buf *out)
{
	/* Over the maximum the old ones are forgotten. */
	size_t n_old = d->n_old + d->n_added <= MAX_RECORDS ? d->n_old : 0;
	const struct record *last = NULL;
	size_t i = 0;
	size_t j = 0;
	while (i < n_old || j < d->n_added) {
		bool take_old = j == d->n_added ||
			(i < n_old && compare_ids(&d->old[i], &d->added[j]) <= 0);
		const struct record *r = take_old ? &d->old[i++] : &d->added[j++];
		if (last == NULL || compare_ids(last, r) != 0)
			kt_buf_add(out, r, sizeof(*r));
		last = r;
	}
}

void kt_digests_save(struct kt_digests *d)
{
	char digest[KT_DIGEST_MAX];
	if (d->n_added == 0)
		return;
	KT_AUTO_BUF struct kt_buf out = KT_BUF_INIT(d->file.max);
	KT_AUTOFD int top = -1;
	qsort(d->added, d->n_added, sizeof(*d->added), compare_ids);
	(void)kt_buf_reserve(&out, HEAD_BYTES + (d->n_old + d->n_added) * sizeof(struct record));
	out.overflow = false;
	kt_buf_adds(&out, MAGIC);
	kt_buf_addf(&out, "%064d\n", 0);
	merge_digests(d, &out);
	if (!kt_buf_ok(&out))
		return;
	kt_sha256_of(out.ptr + HEAD_BYTES, out.len - HEAD_BYTES, digest);
	memcpy(out.ptr + sizeof(MAGIC) - 1, digest, KT_DIGEST_MAX - 1);
	/* A failure is no failure: the next time reads the blobs again. */
	if (kt_inside_open(d->git_dir, &top, NULL) == KT_OK &&
		kt_inside_replace(top, DIGESTS, out.ptr, out.len, 0644, NULL) == KT_OK)
		d->n_added = 0;
}

void kt_digests_free(struct kt_digests *d)
{
	if (d == NULL)
		return;
	kt_buf_release(&d->file);
	free(d->added);
	free(d->git_dir);
	free(d);
}

/* --- manifests --------------------------------------------------------------------------- */

/* The oldest file of a manifest in the folder; false when there is none that can be looked at. */
static bool oldest_of(int dir, char **names, size_t n, const char **out)
{
	struct timespec oldest_at = { .tv_sec = INT64_MAX };
	*out = NULL;
	for (size_t i = 0; i < n; i++) {
		struct stat st;
		if (!kt_digest_ok(names[i]) ||
			fstatat(dir, names[i], &st, AT_SYMLINK_NOFOLLOW) != 0 ||
			st.st_mtim.tv_sec > oldest_at.tv_sec ||
			(st.st_mtim.tv_sec == oldest_at.tv_sec &&
				st.st_mtim.tv_nsec >= oldest_at.tv_nsec))
			continue;
		oldest_at = st.st_mtim;
		*out = names[i];
	}
	return *out != NULL;
}

/* Remove the oldest until max are left. */
static void drop_old(int dir, size_t max)
{
	char path[64];
	char **names = NULL;
	size_t n = 0, left = 0;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", dir);
	if (kt_fs_list(path, &names, &n, NULL) != KT_OK)
		return;
	for (size_t i = 0; i < n; i++)
		left += kt_digest_ok(names[i]);
	for (const char *oldest; left > max && oldest_of(dir, names, n, &oldest); left--) {
		if (unlinkat(dir, oldest, 0) != 0)
			break; /* not ours to remove */
	}
	kt_fs_names_free(names, n);
}

void kt_manifest_cache_put(const char *git_dir, const struct kt_manifest *m)
{
	KT_AUTOFD int top = -1;
	KT_AUTOFD int dir = -1;
	struct stat st;
	if (kt_inside_open(git_dir, &top, NULL) != KT_OK ||
		kt_inside_dir(top, MANIFESTS, true, &dir, NULL) != KT_OK ||
		fstatat(dir, m->digest, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return;
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(KT_MAX_MANIFEST_BYTES);
	kt_manifest_render(m, &text);
	if (!kt_buf_ok(&text))
		return;
	drop_old(dir, MAX_MANIFESTS - 1);
	if (kt_inside_replace(dir, m->digest, text.ptr, text.len, 0644, NULL) != KT_OK)
		return; /* a cache */
}

enum kt_code kt_manifest_cache_get(
	const char *git_dir, const char *digest, struct kt_manifest **out, struct kt_err *err)
{
	struct kt_manifest *m = NULL;
	if (!kt_digest_ok(digest))
		return kt_fail(err, KT_EINVAL, 0, "'%s' is no digest", digest);
	KT_AUTOFD int top = -1;
	KT_AUTOFD int dir = -1;
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(KT_MAX_MANIFEST_BYTES);
	if (kt_inside_open(git_dir, &top, NULL) == KT_OK &&
		kt_inside_dir(top, MANIFESTS, false, &dir, NULL) == KT_OK &&
		kt_inside_read(dir, digest, &text, NULL) == KT_OK) {
		if (kt_manifest_parse(text.ptr, text.len, &kt_pack_no_limits, &m, NULL) == KT_OK &&
			strcmp(m->digest, digest) == 0) {
			*out = m;
			return KT_OK;
		}
		kt_manifest_free(m);
		(void)unlinkat(dir, digest, 0); /* damaged */
	}
	return kt_fail(err, KT_ENOTFOUND, 0, "no manifest %s is remembered", digest);
}
