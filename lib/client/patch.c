/* SPDX-License-Identifier: MIT */
/*
 * Small changes as text: of a file whose version in the live release git has, what is between the
 * part that stays before it and the part that stays behind it. It goes in the document, so that
 * nothing is packed here and nothing unpacked there.
 */
#include "client/client_private.h"

#include "base/str.h"
#include "git/git.h"

#include <string.h>

#define FILES_MAX 16
#define FILE_MAX_BYTES ((int64_t)1024 * 1024) /* compared */
#define TEXT_MAX_BYTES ((size_t)4096) /* of all: more is sent compressed */

/* In mid-character. */
static bool is_rest(const struct kt_buf *b, size_t at)
{
	return at < b->len && ((unsigned char)b->ptr[at] & 0xc0) == 0x80;
}

/* How much two contents share in front and behind, at bounds of characters of the new one. */
static void find_common(
	const struct kt_buf *old, const struct kt_buf *new, size_t *out_head, size_t *out_tail)
{
	size_t most = KT_MIN(old->len, new->len), head = 0, tail = 0;

	while (head < most && old->ptr[head] == new->ptr[head])
		head++;
	while (head > 0 && is_rest(new, head))
		head--;
	while (tail < most - head && old->ptr[old->len - 1 - tail] == new->ptr[new->len - 1 - tail])
		tail++;
	while (tail > 0 && is_rest(new, new->len - tail))
		tail--;
	*out_head = head;
	*out_tail = tail;
}

static bool add_patch(struct kt_jw *w, struct kt_tree *tree, const char *commit,
	const struct kt_file *f, const struct kt_file *was, size_t *room)
{
	KT_AUTO_BUF struct kt_buf old = KT_BUF_INIT((size_t)FILE_MAX_BYTES);
	KT_AUTO_BUF struct kt_buf new = KT_BUF_INIT((size_t)FILE_MAX_BYTES);
	size_t head, tail, len;

	if (!was || was->mode == KT_MODE_LINK || f->mode == KT_MODE_LINK ||
		was->size > FILE_MAX_BYTES || f->size > FILE_MAX_BYTES ||
		kt_tree_read_at(tree, commit, was, &old, NULL) != KT_OK ||
		kt_tree_read(tree, f, &new, NULL) != KT_OK)
		return false;
	find_common(&old, &new, &head, &tail);
	len = new.len - head - tail;
	if (len > *room || memchr(new.ptr + head, '\0', len) || !kt_utf8_valid(new.ptr + head, len))
		return false;
	*room -= len;
	kt_jw_obj(w, f->digest);
	kt_jw_str(w, "from", was->digest);
	if (head)
		kt_jw_int(w, "head", (int64_t)head);
	if (tail)
		kt_jw_int(w, "tail", (int64_t)tail);
	kt_jw_strn(w, "text", new.ptr + head, len);
	kt_jw_obj_end(w);
	return true;
}

char *kt_client_patches(const struct client_patches *of)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(64 * 1024);
	size_t n = 0, room = TEXT_MAX_BYTES;
	struct kt_jw w;

	/* The server named the commit: nothing but an id, git's words for revisions are not its. */
	if (!of->n_digests || of->n_digests > FILES_MAX || !of->commit ||
		of->commit[strspn(of->commit, "0123456789abcdef")])
		return NULL;
	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	for (size_t i = 0; i < of->m->n_files && n < of->n_digests; i++) {
		const struct kt_file *f = &of->m->files[i];
		size_t at = 0;

		while (at < of->n_digests && strcmp(of->digests[at], f->digest) != 0)
			at++;
		/* Of files with one content the first is told. */
		if (at == of->n_digests || strstr(b.ptr, f->digest))
			continue;
		if (!add_patch(&w, of->tree, of->commit, f, kt_manifest_find(of->base, f->path),
			    &room))
			return NULL;
		n++;
	}
	kt_jw_obj_end(&w);
	return n == of->n_digests && kt_buf_ok(&b) ? kt_buf_take(&b) : NULL;
}
