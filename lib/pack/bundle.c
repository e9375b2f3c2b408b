/* SPDX-License-Identifier: MIT */
/*
 * Bundles. A second thread reads ahead what the first one compresses: it inflates git's blobs or
 * reads and hashes files, in order, some megabytes before.
 */
#include "pack/archive_write_private.h"
#include "pack/tree_private.h"

#include "base/map.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#define AHEAD_FILES 64
#define AHEAD_BYTES (16 * 1024 * 1024)
#define MIN_FILES 4 /* fewer are not worth a thread */
#define READ_BYTES ((size_t)256 * 1024)

struct slot {
	struct kt_content content;
	enum kt_code code;
	struct kt_err err;
};

struct ahead {
	struct kt_tree *t;
	const size_t *items; /* indexes of files of the manifest */
	size_t n;
	struct slot slots[AHEAD_FILES]; /* of item k: k % AHEAD_FILES */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	size_t n_read, n_taken; /* guarded by lock */
	int64_t bytes; /* read and not taken, guarded by lock */
	bool stop; /* guarded by lock */
};

/* Large files of a folder are read in pieces by who writes them. */
static bool is_streamed(const struct kt_tree *t, const struct kt_file *f)
{
	return kt_tree_on_disk(t, f) && f->mode != KT_MODE_LINK && f->size >= KT_STREAM_BYTES;
}

static void *read_ahead(void *arg)
{
	struct ahead *a = arg;
	bool stop = false;
	for (size_t k = 0; k < a->n && !stop; k++) {
		const struct kt_file *f = &a->t->m->files[a->items[k]];
		struct slot *s = &a->slots[k % AHEAD_FILES];
		(void)pthread_mutex_lock(&a->lock);
		/* One file is always read, however large. */
		while (!a->stop &&
			(k - a->n_taken == AHEAD_FILES ||
				(k > a->n_taken && a->bytes + f->size > AHEAD_BYTES)))
			(void)pthread_cond_wait(&a->changed, &a->lock);
		stop = a->stop;
		(void)pthread_mutex_unlock(&a->lock);
		if (stop)
			break;
		*s = (struct slot){ .code = KT_OK };
		if (!is_streamed(a->t, f))
			s->code = kt_tree_content(a->t, a->items[k], &s->content, &s->err);
		stop = s->code != KT_OK;
		(void)pthread_mutex_lock(&a->lock);
		a->n_read++;
		a->bytes += (int64_t)s->content.len;
		(void)pthread_cond_signal(&a->changed);
		(void)pthread_mutex_unlock(&a->lock);
	}
	return NULL;
}

/* Content of item k from the thread; the caller's. */
static enum kt_code take_content_ahead(
	struct ahead *a, size_t k, struct kt_content *out, struct kt_err *err)
{
	(void)pthread_mutex_lock(&a->lock);
	while (a->n_read == k)
		(void)pthread_cond_wait(&a->changed, &a->lock);
	struct slot *s = &a->slots[k % AHEAD_FILES];
	enum kt_code rc = s->code;
	if (rc != KT_OK && err != NULL)
		*err = s->err;
	*out = s->content;
	s->content = (struct kt_content){ 0 };
	a->bytes -= (int64_t)out->len;
	a->n_taken++;
	(void)pthread_cond_signal(&a->changed);
	(void)pthread_mutex_unlock(&a->lock);
	return rc;
}

static enum kt_code stream_file(
	struct kt_tree *t, const struct kt_file *f, struct kt_tar *tar, struct kt_err *err)
{
	char digest[KT_DIGEST_MAX];
	KT_AUTOFD int fd = -1;
	enum kt_code rc = kt_tree_open(t, f, &fd, err);
	if (rc != KT_OK)
		return rc;
	KT_AUTOFREE char *buf = kt_malloc(READ_BYTES);
	struct kt_sha256 *sha = kt_sha256_new();
	int64_t left = f->size;
	while (rc == KT_OK && left > 0) {
		ssize_t n = read(fd, buf, READ_BYTES);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0 || n > left) {
			rc = kt_tree_changed(f, err);
			break;
		}
		kt_sha256_update(sha, buf, (size_t)n);
		rc = kt_tar_data(tar, buf, (size_t)n, err);
		left -= n;
	}
	kt_sha256_hex(sha, digest);
	kt_sha256_free(sha);
	if (rc == KT_OK && strcmp(digest, f->digest) != 0)
		rc = kt_tree_differs(t, f, err);
	return rc;
}

static enum kt_code write_blob(struct kt_tree *t, size_t i, const struct kt_content *c,
	struct kt_tar *tar, struct kt_err *err)
{
	const struct kt_file *f = &t->m->files[i];
	char name[sizeof("blobs/") + KT_DIGEST_MAX];
	(void)snprintf(name, sizeof(name), "blobs/%s", f->digest);
	enum kt_code rc = kt_tar_member(tar, name, KT_MODE_FILE, f->size, NULL, err);
	if (rc != KT_OK)
		return rc;
	return is_streamed(t, f) ? stream_file(t, f, tar, err)
				 : kt_tar_data(tar, c->data, c->len, err);
}

static enum kt_code write_blobs(struct kt_tree *t, const size_t *items, size_t n, bool threaded,
	struct kt_tar *tar, struct kt_err *err)
{
	KT_AUTOFREE struct ahead *a = kt_calloc(1, sizeof(*a));
	pthread_t thread;
	enum kt_code rc = KT_OK;
	a->t = t;
	a->items = items;
	a->n = n;
	(void)pthread_mutex_init(&a->lock, NULL);
	(void)pthread_cond_init(&a->changed, NULL);
	threaded = threaded && pthread_create(&thread, NULL, read_ahead, a) == 0;
	for (size_t k = 0; k < n && rc == KT_OK; k++) {
		struct kt_content c = { 0 };
		if (threaded)
			rc = take_content_ahead(a, k, &c, err);
		else if (!is_streamed(t, &t->m->files[items[k]]))
			rc = kt_tree_content(t, items[k], &c, err);
		if (rc == KT_OK)
			rc = write_blob(t, items[k], &c, tar, err);
		kt_content_release(&c);
	}
	if (threaded) {
		(void)pthread_mutex_lock(&a->lock);
		a->stop = true;
		(void)pthread_cond_signal(&a->changed);
		(void)pthread_mutex_unlock(&a->lock);
		(void)pthread_join(thread, NULL);
	}
	for (size_t k = 0; k < AHEAD_FILES; k++)
		kt_content_release(&a->slots[k].content);
	(void)pthread_cond_destroy(&a->changed);
	(void)pthread_mutex_destroy(&a->lock);
	return rc;
}

/* Indexes of the files that have the wanted digests, each digest once, in the manifest's order. */
static enum kt_code choose_files(struct kt_tree *t, const char *const *digests, size_t n,
	size_t *items, size_t *out_n, struct kt_err *err)
{
	static char wanted[] = "wanted"; /* only its address counts */
	struct kt_map map = KT_MAP_INIT;
	size_t found = 0;
	enum kt_code rc = KT_OK;
	for (size_t i = 0; i < n; i++)
		(void)kt_map_set(&map, digests[i], wanted);
	for (size_t i = 0; i < t->m->n_files && map.len > 0; i++)
		if (kt_map_del(&map, t->m->files[i].digest) != NULL)
			items[found++] = i;
	if (map.len > 0) {
		size_t pos = 0;
		const char *key = "";
		void *value = NULL;
		(void)kt_map_next(&map, &pos, &key, &value);
		rc = kt_fail(
			err, KT_EINVAL, 0, "no file has the digest %s that was asked for", key);
	}
	kt_map_release(&map);
	*out_n = found;
	return rc;
}

enum kt_code kt_bundle_write(struct kt_tree *t, const char *publish_json,
	const char *const *digests, size_t n, int fd, int64_t *out_bytes, struct kt_err *err)
{
	KT_AUTOFREE size_t *items = kt_calloc(t->m->n_files + 1, sizeof(*items));
	struct kt_tar *tar = NULL;
	size_t n_items = 0;
	size_t len = strlen(publish_json);
	int64_t bytes = 0;
	enum kt_code rc = choose_files(t, digests, n, items, &n_items, err);
	for (size_t k = 0; k < n_items; k++)
		bytes += t->m->files[items[k]].size;
	if (rc == KT_OK)
		rc = kt_tar_open("tar.zst", bytes, fd, &tar, err);
	if (rc != KT_OK)
		return rc;
	rc = kt_tar_member(tar, "karta-publish.json", KT_MODE_FILE, (int64_t)len, NULL, err);
	if (rc == KT_OK)
		rc = kt_tar_data(tar, publish_json, len, err);
	if (rc == KT_OK)
		rc = write_blobs(t, items, n_items, n_items >= MIN_FILES, tar, err);
	return kt_tar_close(tar, rc, out_bytes, err);
}
