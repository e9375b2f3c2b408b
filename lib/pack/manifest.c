/* SPDX-License-Identifier: MIT */
/*
 * Manifests: the text and its strict reader, the checks that concern several files at once, and
 * differences. A manifest that exists has passed all checks of the limits it was made with.
 */
#include "pack/pack.h"

#include "base/limits.h"
#include "base/str.h"
#include "text/unicode.h"

#include <string.h>

#define MAX_LINK_BYTES KT_MAX_PACK_PATH_BYTES /* a link's target is a path */
#define DIGEST_LEN (KT_DIGEST_MAX - 1)
#define MODE_LEN 6
/* A line around its path: mode, size, digest, three blanks, line feed. */
#define LINE_EXTRA_BYTES (MODE_LEN + 19 + DIGEST_LEN + 4)

const struct kt_pack_limits kt_pack_no_limits = {
	.max_files = INT32_MAX,
	.max_bytes = INT64_MAX,
	.max_file_bytes = INT64_MAX,
	.max_archive_bytes = INT64_MAX,
	.max_ratio = INT64_MAX,
	.max_path_bytes = KT_MAX_PATH_BYTES,
	.max_depth = KT_MAX_PATH_BYTES,
	.max_ms = INT64_MAX,
};

struct kt_file *kt_files_add(
	struct kt_files *f, const char *path, size_t len, enum kt_file_mode mode, int64_t size)
{
	if (f->arena == NULL)
		f->arena = kt_arena_new();
	kt_grow((void **)&f->items, &f->cap, f->len + 1, sizeof(*f->items));
	struct kt_file *file = &f->items[f->len++];
	*file = (struct kt_file){ kt_arena_strndup(f->arena, path, len), mode, size, "" };
	return file;
}

void kt_files_release(struct kt_files *f)
{
	kt_arena_free(f->arena);
	free(f->items);
	*f = (struct kt_files){ 0 };
}

void kt_manifest_free(struct kt_manifest *m)
{
	if (m == NULL)
		return;
	struct kt_arena *arena = m->arena; /* m is in it */
	free(m->text);
	kt_arena_free(arena);
}

static struct kt_manifest *new_manifest(size_t n)
{
	struct kt_arena *arena = kt_arena_new();
	struct kt_manifest *m = kt_arena_alloc(arena, sizeof(*m));
	m->arena = arena;
	m->files = kt_arena_alloc(arena, (n > 0 ? n : 1) * sizeof(*m->files));
	return m;
}

/* --- checks ------------------------------------------------------------------------------ */

static enum kt_code check_manifest_file(const struct kt_file *f, size_t path_len,
	const struct kt_pack_limits *l, struct kt_err *err)
{
	enum kt_code rc = kt_pack_path_check(f->path, path_len, l, err);
	if (rc != KT_OK)
		return rc;
	if (f->size < 0)
		return kt_fail(err, KT_EINVAL, 0, "file '%s' has no size", f->path);
	if (f->mode == KT_MODE_LINK && f->size == 0)
		return kt_fail(err, KT_EINVAL, 0, "link '%s' has no target", f->path);
	if (f->mode == KT_MODE_LINK && f->size > MAX_LINK_BYTES)
		return kt_fail(err, KT_ELIMIT, 0,
			"link '%s': its target is over the fixed limit of %d bytes", f->path,
			MAX_LINK_BYTES);
	if (f->size > l->max_file_bytes)
		return kt_fail(err, KT_ELIMIT, 0,
			"file '%s' has %lld bytes, over the limit max_file_bytes of %lld", f->path,
			(long long)f->size, (long long)l->max_file_bytes);
	return KT_OK;
}

/* A path folded, with where it comes from. */
struct folded {
	const char *key;
	size_t len;
	const char *path;
};

/* '/' comes before all else, so that what is in a folder follows directly behind its name. */
static int compare_folded(const void *left, const void *right)
{
	const struct folded *l = left;
	const struct folded *r = right;
	size_t n = KT_MIN(l->len, r->len);
	for (size_t i = 0; i < n; i++) {
		unsigned char a = l->key[i] == '/' ? 0 : (unsigned char)l->key[i];
		unsigned char b = r->key[i] == '/' ? 0 : (unsigned char)r->key[i];
		if (a != b)
			return a < b ? -1 : 1;
	}
	return (l->len > r->len) - (l->len < r->len);
}

/* No two files that are one when case is folded, no file that is a folder of another too. */
static enum kt_code check_names(const struct kt_manifest *m, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(SIZE_MAX / 2);
	KT_AUTOFREE struct folded *keys = kt_calloc(m->n_files + 1, sizeof(*keys));
	size_t size = 0;

	for (size_t i = 0; i < m->n_files; i++)
		size += strlen(m->files[i].path) + 1;
	(void)kt_buf_reserve(&text, size);
	for (size_t i = 0; i < m->n_files; i++) {
		size_t before = text.len;
		kt_unicode_fold(m->files[i].path, strlen(m->files[i].path), &text);
		keys[i] = (struct folded){ NULL, text.len - before, m->files[i].path };
	}
	if (!kt_buf_ok(&text))
		return kt_fail(err, KT_ENOMEM, 0, "no memory to compare %zu paths", m->n_files);
	const char *at = text.ptr;
	for (size_t i = 0; i < m->n_files; i++) {
		keys[i].key = at;
		at += keys[i].len;
	}
	qsort(keys, m->n_files, sizeof(*keys), compare_folded);
	for (size_t i = 1; i < m->n_files; i++) {
		const struct folded *a = &keys[i - 1];
		const struct folded *b = &keys[i];
		if (b->len < a->len || memcmp(a->key, b->key, a->len) != 0)
			continue;
		if (a->len == b->len)
			return kt_fail(err, KT_EINVAL, 0,
				"paths '%s' and '%s' are one where case does not count", a->path,
				b->path);
		if (b->key[a->len] == '/')
			return kt_fail(err, KT_EINVAL, 0,
				"path '%s' is a file and also a folder ('%s')", a->path, b->path);
	}
	return KT_OK;
}

/* What concerns all files; fills n_bytes. */
static enum kt_code check_all_files(
	struct kt_manifest *m, const struct kt_pack_limits *l, struct kt_err *err)
{
	if ((int64_t)m->n_files > l->max_files)
		return kt_fail(err, KT_ELIMIT, 0,
			"%zu files are over the limit max_release_files of %lld", m->n_files,
			(long long)l->max_files);
	m->n_bytes = 0;
	for (size_t i = 0; i < m->n_files; i++) {
		if (m->files[i].size > l->max_bytes - m->n_bytes)
			return kt_fail(err, KT_ELIMIT, 0,
				"file '%s': all files together are over the limit "
				"max_release_bytes of "
				"%lld",
				m->files[i].path, (long long)l->max_bytes);
		m->n_bytes += m->files[i].size;
	}
	return check_names(m, err);
}

enum kt_code kt_manifest_check_link(
	const struct kt_file *link, const char *target, size_t len, struct kt_err *err)
{
	size_t depth = 0;
	bool down = false;
	for (const char *p = link->path; *p != '\0'; p++)
		depth += *p == '/';
	if (len == 0 || memchr(target, '\0', len) != NULL || !kt_utf8_valid(target, len))
		return kt_fail(
			err, KT_EINVAL, 0, "link '%s' has a target that is no path", link->path);
	if (target[0] == '/')
		return kt_fail(err, KT_EINVAL, 0, "link '%s' has the absolute target '%.*s'",
			link->path, (int)KT_MIN(len, (size_t)100), target);
	for (size_t at = 0; at < len;) {
		const char *end = memchr(target + at, '/', len - at);
		size_t n = end != NULL ? (size_t)(end - (target + at)) : len - at;
		bool up = n == 2 && target[at] == '.' && target[at + 1] == '.';
		/*
		 * Up at the start only: there it goes through real folders. Behind a name, which
		 * may be a link itself, nobody could tell where it leads.
		 */
		if (up && (down || depth == 0))
			return kt_fail(err, KT_EINVAL, 0,
				"link '%s' leaves the tree: its target is '%.*s'", link->path,
				(int)KT_MIN(len, (size_t)100), target);
		if (up)
			depth--;
		else if (n > 1 || (n == 1 && target[at] != '.'))
			down = true;
		at += n + 1;
	}
	return KT_OK;
}

/* --- text -------------------------------------------------------------------------------- */

static void add_manifest_line(struct kt_buf *out, const struct kt_file *f)
{
	size_t n = strlen(f->path);
	char number[24];
	size_t at = sizeof(number);
	int64_t size = f->size;
	char *line = kt_buf_reserve(out, n + LINE_EXTRA_BYTES);
	if (line == NULL)
		return;
	do {
		number[--at] = (char)('0' + size % 10);
		size /= 10;
	} while (size > 0);
	const char *mode = f->mode == KT_MODE_EXEC ? "100755 "
		: f->mode == KT_MODE_LINK          ? "120000 "
						   : "100644 ";
	char *p = mempcpy(line, mode, MODE_LEN + 1);
	p = mempcpy(p, number + at, sizeof(number) - at);
	*p++ = ' ';
	p = mempcpy(p, f->digest, DIGEST_LEN);
	*p++ = ' ';
	p = mempcpy(p, f->path, n);
	*p++ = '\n';
	kt_buf_commit(out, (size_t)(p - line));
}

void kt_manifest_render(const struct kt_manifest *m, struct kt_buf *out)
{
	size_t size = 0;

	/* At once: doubling would take three times as much. */
	for (size_t i = 0; i < m->n_files; i++)
		size += strlen(m->files[i].path) + LINE_EXTRA_BYTES;
	if (size < out->max - out->len)
		(void)kt_buf_reserve(out, size);
	for (size_t i = 0; i < m->n_files; i++)
		add_manifest_line(out, &m->files[i]);
}

static enum kt_code bad_manifest_line(size_t number, const char *why, struct kt_err *err)
{
	return kt_fail(err, KT_EPROTO, 0, "manifest line %zu: %s", number, why);
}

/*
 * Read one line without its line feed; text is writable and stays: f->path points into it, and its
 * line feed is overwritten by NUL.
 */
static enum kt_code parse_manifest_line(char *text, size_t len, size_t number,
	const struct kt_pack_limits *l, struct kt_file *f, struct kt_err *err)
{
	char *end = text + len;
	if (len < MODE_LEN + 1 || text[MODE_LEN] != ' ')
		return bad_manifest_line(number, "no mode", err);
	if (memcmp(text, "100644", MODE_LEN) == 0)
		f->mode = KT_MODE_FILE;
	else if (memcmp(text, "100755", MODE_LEN) == 0)
		f->mode = KT_MODE_EXEC;
	else if (memcmp(text, "120000", MODE_LEN) == 0)
		f->mode = KT_MODE_LINK;
	else
		return bad_manifest_line(number, "the mode is not 100644, 100755 or 120000", err);
	char *size = text + MODE_LEN + 1;
	char *blank = memchr(size, ' ', (size_t)(end - size));
	if (blank == NULL || !kt_str_int64n(size, (size_t)(blank - size), 0, INT64_MAX, &f->size) ||
		(size[0] == '0' && blank - size > 1) || size[0] == '-')
		return bad_manifest_line(number, "the size is no number", err);
	char *digest = blank + 1;
	if (end - digest < DIGEST_LEN + 2 || digest[DIGEST_LEN] != ' ')
		return bad_manifest_line(number, "no digest or no path", err);
	memcpy(f->digest, digest, DIGEST_LEN);
	f->digest[DIGEST_LEN] = '\0';
	if (!kt_digest_ok(f->digest))
		return bad_manifest_line(
			number, "the digest is not 64 lower-case hexadecimal digits", err);
	char *path = digest + DIGEST_LEN + 1;
	*end = '\0';
	f->path = path;
	return check_manifest_file(f, (size_t)(end - path), l, err);
}

static size_t count_lines(const char *text, size_t len)
{
	size_t n = 0;
	const char *p = text;
	while ((p = memchr(p, '\n', len - (size_t)(p - text))) != NULL) {
		n++;
		p++;
	}
	return n;
}

/* TAKES text. */
static enum kt_code parse_text(char *text, size_t len, const struct kt_pack_limits *l,
	struct kt_manifest **out, struct kt_err *err)
{
	size_t n = count_lines(text, len);
	struct kt_manifest *m = new_manifest((int64_t)n > l->max_files ? 0 : n);
	enum kt_code rc = KT_OK;

	m->text = text;
	if ((int64_t)n > l->max_files)
		rc = kt_fail(err, KT_ELIMIT, 0,
			"%zu files are over the limit max_release_files of %lld", n,
			(long long)l->max_files);
	else
		kt_sha256_of(text, len, m->digest);
	for (size_t at = 0; at < len && rc == KT_OK; m->n_files++) {
		size_t line = (size_t)((char *)memchr(text + at, '\n', len - at) - (text + at));
		struct kt_file *f = &m->files[m->n_files];
		rc = parse_manifest_line(text + at, line, m->n_files + 1, l, f, err);
		if (rc == KT_OK && m->n_files > 0 && strcmp(f[-1].path, f->path) >= 0)
			rc = bad_manifest_line(m->n_files + 1,
				strcmp(f[-1].path, f->path) == 0 ? "the path is there twice"
								 : "the paths are not sorted",
				err);
		at += line + 1;
	}
	if (rc == KT_OK)
		rc = check_all_files(m, l, err);
	if (rc != KT_OK) {
		kt_manifest_free(m);
		return rc;
	}
	*out = m;
	return KT_OK;
}

static enum kt_code check_manifest_text(const char *text, size_t len, struct kt_err *err)
{
	if (len > KT_MAX_MANIFEST_BYTES)
		return kt_fail(err, KT_ELIMIT, 0,
			"the manifest is over the fixed limit of %d bytes", KT_MAX_MANIFEST_BYTES);
	if (len > 0 && text[len - 1] != '\n')
		return kt_fail(err, KT_EPROTO, 0, "the manifest does not end with a line feed");
	return KT_OK;
}

enum kt_code kt_manifest_parse(const char *text, size_t len, const struct kt_pack_limits *l,
	struct kt_manifest **out, struct kt_err *err)
{
	enum kt_code rc = check_manifest_text(text, len, err);

	return rc == KT_OK ? parse_text(kt_strndup(text, len), len, l, out, err) : rc;
}

enum kt_code kt_manifest_take(struct kt_buf *text, const struct kt_pack_limits *l,
	struct kt_manifest **out, struct kt_err *err)
{
	size_t len = text->len;
	enum kt_code rc = check_manifest_text(text->ptr, len, err);

	return rc == KT_OK ? parse_text(kt_buf_take(text), len, l, out, err) : rc;
}

/* --- making ------------------------------------------------------------------------------ */

static int compare_manifest_files(const void *left, const void *right)
{
	const struct kt_file *l = left;
	const struct kt_file *r = right;
	return strcmp(l->path, r->path);
}

static void set_digest(struct kt_manifest *m)
{
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(SIZE_MAX / 2);
	kt_manifest_render(m, &text);
	kt_assert(kt_buf_ok(&text));
	kt_sha256_of(text.ptr, text.len, m->digest);
}

enum kt_code kt_manifest_make(const struct kt_file *files, size_t n, const struct kt_pack_limits *l,
	struct kt_manifest **out, struct kt_err *err)
{
	enum kt_code rc = KT_OK;
	struct kt_manifest *m = new_manifest(n);
	bool sorted = true;
	for (size_t i = 0; i < n && rc == KT_OK; i++) {
		size_t len = strlen(files[i].path);
		m->files[i] = files[i];
		m->files[i].path = kt_arena_strndup(m->arena, files[i].path, len);
		sorted = sorted && (i == 0 || strcmp(files[i - 1].path, files[i].path) <= 0);
		rc = check_manifest_file(&m->files[i], len, l, err);
		if (rc == KT_OK && !kt_digest_ok(files[i].digest))
			rc = kt_fail(err, KT_EINVAL, 0, "file '%s' has no digest", files[i].path);
		m->n_files++;
	}
	if (rc == KT_OK && !sorted)
		qsort(m->files, n, sizeof(*m->files), compare_manifest_files);
	for (size_t i = 1; i < n && rc == KT_OK; i++)
		if (strcmp(m->files[i - 1].path, m->files[i].path) == 0)
			rc = kt_fail(
				err, KT_EINVAL, 0, "path '%s' is there twice", m->files[i].path);
	if (rc == KT_OK)
		rc = check_all_files(m, l, err);
	if (rc != KT_OK) {
		kt_manifest_free(m);
		return rc;
	}
	set_digest(m);
	*out = m;
	return KT_OK;
}

const struct kt_file *kt_manifest_find(const struct kt_manifest *m, const char *path)
{
	struct kt_file key = { .path = path };
	return bsearch(&key, m->files, m->n_files, sizeof(key), compare_manifest_files);
}

/* --- differences ------------------------------------------------------------------------- */

static bool same_file(const struct kt_file *a, const struct kt_file *b)
{
	return a->mode == b->mode && a->size == b->size && strcmp(a->digest, b->digest) == 0;
}

void kt_manifest_delta(
	const struct kt_manifest *base, const struct kt_manifest *next, struct kt_buf *out)
{
	size_t i = 0;
	size_t j = 0;
	while (i < base->n_files || j < next->n_files) {
		int order = i == base->n_files ? 1
			: j == next->n_files   ? -1
					       : strcmp(base->files[i].path, next->files[j].path);
		if (order < 0) {
			kt_buf_addf(out, "-%s\n", base->files[i++].path);
			continue;
		}
		if (order > 0 || !same_file(&base->files[i], &next->files[j])) {
			kt_buf_addc(out, '+');
			add_manifest_line(out, &next->files[j]);
		}
		i += order == 0;
		j++;
	}
}

/* A delta that is being applied. */
struct applying {
	const struct kt_manifest *base;
	const struct kt_pack_limits *l;
	size_t at; /* of base's files: the first that is not yet taken or dropped */
	struct kt_file *files;
	size_t n_files;
	const char *last; /* path of the line before */
};

static enum kt_code apply_line(
	struct applying *a, char *line, size_t len, size_t number, struct kt_err *err)
{
	const struct kt_manifest *base = a->base;
	struct kt_file f = { 0 };
	bool add = line[0] == '+';
	if (len < 2 || (!add && line[0] != '-'))
		return kt_fail(err, KT_EPROTO, 0, "delta line %zu begins with neither '+' nor '-'",
			number);
	if (add) {
		enum kt_code rc = parse_manifest_line(line + 1, len - 1, number, a->l, &f, err);
		if (rc != KT_OK)
			return rc;
	} else {
		line[len] = '\0';
		f.path = line + 1;
		if (strlen(f.path) != len - 1)
			return kt_fail(err, KT_EPROTO, 0, "delta line %zu has a NUL", number);
	}
	if (a->last != NULL && strcmp(a->last, f.path) >= 0)
		return kt_fail(err, KT_EPROTO, 0, "delta line %zu is not sorted", number);
	a->last = f.path;
	while (a->at < base->n_files && strcmp(base->files[a->at].path, f.path) < 0)
		a->files[a->n_files++] = base->files[a->at++];
	bool there = a->at < base->n_files && strcmp(base->files[a->at].path, f.path) == 0;
	if (add ? there && same_file(&base->files[a->at], &f) : !there)
		return kt_fail(err, KT_EPROTO, 0, "delta line %zu does not fit the base", number);
	a->at += there;
	if (add)
		a->files[a->n_files++] = f;
	return KT_OK;
}

enum kt_code kt_manifest_apply(const struct kt_manifest *base, const char *delta, size_t len,
	const struct kt_pack_limits *l, struct kt_manifest **out, struct kt_err *err)
{
	if (len > KT_MAX_MANIFEST_BYTES)
		return kt_fail(err, KT_ELIMIT, 0, "the delta is over the fixed limit of %d bytes",
			KT_MAX_MANIFEST_BYTES);
	if (len > 0 && delta[len - 1] != '\n')
		return kt_fail(err, KT_EPROTO, 0, "the delta does not end with a line feed");
	size_t n_lines = count_lines(delta, len);
	/* All files of the base go, and as many come as may be. */
	if (n_lines > base->n_files && (int64_t)(n_lines - base->n_files) > l->max_files)
		return kt_fail(err, KT_ELIMIT, 0,
			"%zu lines of the delta are over the limit max_release_files of %lld",
			n_lines, (long long)l->max_files);
	KT_AUTOFREE char *copy = kt_strndup(delta, len);
	KT_AUTOFREE struct kt_file *files = kt_calloc(base->n_files + n_lines + 1, sizeof(*files));
	struct applying a = { .base = base, .l = l, .files = files };
	size_t number = 1;
	for (size_t at = 0; at < len; number++) {
		size_t line = (size_t)((char *)memchr(copy + at, '\n', len - at) - (copy + at));
		enum kt_code rc = apply_line(&a, copy + at, line, number, err);
		if (rc != KT_OK)
			return rc;
		at += line + 1;
	}
	while (a.at < base->n_files)
		a.files[a.n_files++] = base->files[a.at++];
	return kt_manifest_make(a.files, a.n_files, l, out, err);
}
