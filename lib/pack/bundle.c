/* SPDX-License-Identifier: MIT */
/*
 * Bundles. A second thread reads ahead what the first one compresses: it asks the source for the
 * files, in order, some megabytes before.
 */
#include "pack/archive_write_private.h"

#include "base/map.h"

#include <pthread.h>
#include <string.h>

#define AHEAD_FILES 64
#define AHEAD_BYTES (16 * 1024 * 1024)
#define MIN_FILES 4 /* fewer are not worth a thread */

struct slot {
	struct kt_content content;
	enum kt_code code;
	struct kt_err err;
};

struct ahead {
	const struct kt_manifest *m;
	const struct kt_bundle_source *source;
	const size_t *items; /* indexes of files of the manifest */
	size_t n;
	struct slot slots[AHEAD_FILES]; /* of item k: k % AHEAD_FILES */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	size_t n_read, n_taken; /* guarded by lock */
	int64_t bytes; /* read and not taken, guarded by lock */
	bool stop; /* guarded by lock */
};

void kt_content_release(struct kt_content *c)
{
	if (c->free_owner != NULL)
		c->free_owner(c->owner);
	*c = (struct kt_content){ 0 };
}

static bool is_streamed(const struct kt_bundle_source *source, size_t i)
{
	return source->in_pieces != NULL && source->in_pieces(source->arg, i);
}

static void *read_ahead(void *arg)
{
	struct ahead *a = arg;
	bool stop = false;
	for (size_t k = 0; k < a->n && !stop; k++) {
		const struct kt_file *f = &a->m->files[a->items[k]];
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
		if (!is_streamed(a->source, a->items[k]))
			s->code = a->source->read(
				a->source->arg, a->items[k], &s->content, &s->err);
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

static enum kt_code add_blob_piece(void *arg, const void *data, size_t len, struct kt_err *err)
{
	return kt_tar_data(arg, data, len, err);
}

static enum kt_code write_blob(const struct ahead *a, size_t i, const struct kt_content *c,
	struct kt_tar *tar, struct kt_err *err)
{
	const struct kt_file *f = &a->m->files[i];
	char name[sizeof("blobs/") + KT_DIGEST_MAX];
	(void)snprintf(name, sizeof(name), "blobs/%s", f->digest);
	enum kt_code rc = kt_tar_member(tar, name, KT_MODE_FILE, f->size, NULL, err);
	if (rc != KT_OK)
		return rc;
	return is_streamed(a->source, i)
		? a->source->pieces(a->source->arg, i, add_blob_piece, tar, err)
		: kt_tar_data(tar, c->data, c->len, err);
}

static enum kt_code write_blobs(const struct kt_manifest *m, const struct kt_bundle_source *source,
	const size_t *items, size_t n, struct kt_tar *tar, struct kt_err *err)
{
	KT_AUTOFREE struct ahead *a = kt_calloc(1, sizeof(*a));
	pthread_t thread;
	enum kt_code rc = KT_OK;
	a->m = m;
	a->source = source;
	a->items = items;
	a->n = n;
	(void)pthread_mutex_init(&a->lock, NULL);
	(void)pthread_cond_init(&a->changed, NULL);
	bool threaded = n >= MIN_FILES && pthread_create(&thread, NULL, read_ahead, a) == 0;
	for (size_t k = 0; k < n && rc == KT_OK; k++) {
		struct kt_content c = { 0 };
		if (threaded)
			rc = take_content_ahead(a, k, &c, err);
		else if (!is_streamed(source, items[k]))
			rc = source->read(source->arg, items[k], &c, err);
		if (rc == KT_OK)
			rc = write_blob(a, items[k], &c, tar, err);
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
static enum kt_code choose_files(const struct kt_manifest *m, const char *const *digests, size_t n,
	size_t *items, size_t *out_n, struct kt_err *err)
{
	static char wanted[] = "wanted"; /* only its address counts */
	struct kt_map map = KT_MAP_INIT;
	size_t found = 0;
	enum kt_code rc = KT_OK;
	for (size_t i = 0; i < n; i++)
		(void)kt_map_set(&map, digests[i], wanted);
	for (size_t i = 0; i < m->n_files && map.len > 0; i++)
		if (kt_map_del(&map, m->files[i].digest) != NULL)
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

enum kt_code kt_bundle_write(const struct kt_manifest *m, const struct kt_bundle_source *source,
	const char *publish_json, const char *const *digests, size_t n, int fd, int64_t *out_bytes,
	struct kt_err *err)
{
	KT_AUTOFREE size_t *items = kt_calloc(m->n_files + 1, sizeof(*items));
	struct kt_tar *tar = NULL;
	size_t n_items = 0;
	size_t len = strlen(publish_json);
	int64_t bytes = 0;
	enum kt_code rc = choose_files(m, digests, n, items, &n_items, err);
	for (size_t k = 0; k < n_items; k++)
		bytes += m->files[items[k]].size;
	if (rc == KT_OK)
		rc = kt_tar_open("tar.zst", bytes, fd, &tar, err);
	if (rc != KT_OK)
		return rc;
	rc = kt_tar_member(tar, "karta-publish.json", KT_MODE_FILE, (int64_t)len, NULL, err);
	if (rc == KT_OK)
		rc = kt_tar_data(tar, publish_json, len, err);
	if (rc == KT_OK)
		rc = write_blobs(m, source, items, n_items, tar, err);
	return kt_tar_close(tar, rc, out_bytes, err);
}
