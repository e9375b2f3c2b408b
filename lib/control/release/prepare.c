/* SPDX-License-Identifier: MIT */
/*
 * Reading a publish on a thread: the document, the manifest, what was sent. Large texts stay where
 * they are: of a document only its small members become a tree.
 */
#include "control/release/publish_private.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/str.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_NAMED 5000 /* missing files that one answer names */
#define MAX_DOC_BYTES (3 * (int64_t)KT_MAX_MANIFEST_BYTES / 2)
#define MAX_REST_BYTES (8 * 1024 * 1024) /* of a document without its files: the variables */
#define MAX_MESSAGE_BYTES 1000

/* --- one large text at a time -------------------------------------------------------- */

/*
 * A document, a manifest and a base of 32 MiB each take some 130 MiB together with what is made of
 * them. Those that may come to that are read one after the other: waiting takes a thread but no
 * memory.
 */
#define LARGE_BYTES (4 * 1024 * 1024)
static pthread_mutex_t large_gate = PTHREAD_MUTEX_INITIALIZER;

static void enter_gate(struct publish *p, int64_t bytes)
{
	if (p->large || bytes <= LARGE_BYTES)
		return;
	pthread_mutex_lock(&large_gate);
	p->large = true;
}

/* Also give back what the heaps keep between small pieces: it would stay for good. */
static void leave_gate(struct publish *p)
{
	if (!p->large)
		return;
	(void)malloc_trim(0);
	pthread_mutex_unlock(&large_gate);
	p->large = false;
}

static int64_t size_at(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_size : 0;
}

static int64_t size_of_blob(struct kt_op *op, const char *digest)
{
	KT_AUTOFD int fd = -1;
	struct stat st;

	if (kt_blobs_fd(op->ctl->blobs, op->who.org_id, digest, &fd, NULL) != KT_OK ||
		fstat(fd, &st) != 0)
		return 0;
	return st.st_size;
}

/* --- the document -------------------------------------------------------------------- */

static enum kt_code refuse_publish(
	struct kt_op *op, int status, const char *code, struct kt_err *err, const char *what)
{
	return kt_op_code(op, kt_fail(err, KT_EINVAL, 0, "%s", what), status, code);
}

static bool is_commit(const char *s)
{
	size_t len = strlen(s);

	return len >= 7 && len <= 64 && strspn(s, "0123456789abcdef") == len;
}

/* "main" is "refs/heads/main". */
static const char *full_ref(struct kt_op *op, const char *s)
{
	return kt_str_starts(s, "refs/") ? kt_arena_strdup(op->arena, s)
					 : kt_arena_printf(op->arena, "refs/heads/%s", s);
}

static const char *copy_message(struct kt_op *op, const char *s)
{
	char text[MAX_MESSAGE_BYTES];

	(void)kt_str_copy(text, sizeof(text), s);
	return kt_arena_strdup(op->arena, text);
}

static enum kt_code read_source(
	struct kt_op *op, struct publish *p, const cJSON *doc, struct kt_err *err)
{
	static const char *const known[] = { "git", "cli", "archive", "webhook", "redeploy" };
	const char *s = kt_json_str(doc, "source");

	for (size_t i = 0; s && i < KT_ARRAY_LEN(known); i++) {
		if (!strcmp(s, known[i]))
			p->source = known[i];
	}
	if (s && !p->source)
		return refuse_publish(op, 422, "validation_failed", err, "'source' is git or cli");
	if (!p->source)
		p->source = p->body_path && !p->unpacked.bundle ? "archive" : "cli";
	return KT_OK;
}

/* Keyed, because it is stored and values may be short. */
static const char *mac_of(struct kt_op *op, const cJSON *env)
{
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(KT_MAX_MANIFEST_BYTES);
	KT_AUTO_BUF struct kt_buf mac = KT_BUF_INIT(128);
	unsigned char hash[KT_KEY_HASH_BYTES];

	kt_json_add(&text, env);
	kt_api_key_hash(op->ctl->master, text.ptr, hash);
	kt_secret_wipe(text.ptr, text.len);
	kt_hex_add(&mac, hash, sizeof(hash));
	return kt_arena_strdup(op->arena, mac.ptr);
}

bool kt_publish_for_production(const struct publish *p, const char *production_ref)
{
	return !p->pr && !p->preview && (!p->git_ref || !strcmp(p->git_ref, production_ref));
}

/*
 * A pin is in its way. Who publishes hears of it; what a webhook brings is stored, as nobody
 * would send it again when the pin has ended.
 */
bool kt_publish_is_held(const struct publish *p, const char *production_ref)
{
	return p->activate && !p->unpin && kt_publish_for_production(p, production_ref) &&
		strcmp(p->source, "webhook") != 0;
}

/* Everything of the document but the files. */
static enum kt_code read_meta(
	struct kt_op *op, struct publish *p, const cJSON *doc, struct kt_err *err)
{
	const char *s = kt_json_str(doc, "commit_sha");
	const cJSON *env = kt_json_get(doc, "env");
	enum kt_code rc;

	if (s && *s && !is_commit(s))
		return refuse_publish(op, 422, "validation_failed", err,
			"'commit_sha' must be 7 to 64 lower-case hexadecimal digits");
	p->commit_sha = s && *s ? kt_arena_strdup(op->arena, s) : NULL;
	s = kt_json_str(doc, "ref");
	if (s && *s) {
		p->git_ref = full_ref(op, s);
		if (!kt_ref_ok(p->git_ref))
			return refuse_publish(
				op, 422, "invalid_name", err, "'ref' is no name git would take");
	}
	s = kt_json_str(doc, "message");
	p->message = s && *s ? copy_message(op, s) : NULL;
	p->pr = kt_json_int(doc, "pr", 0);
	if (p->pr < 0 || p->pr > INT32_MAX)
		return refuse_publish(op, 422, "validation_failed", err, "'pr' is out of range");
	p->fork = kt_json_bool(doc, "fork", false);
	p->preview = kt_json_bool(doc, "preview", false);
	p->activate = kt_json_bool(doc, "activate", true);
	p->unpin = kt_json_bool(doc, "unpin", false);
	s = kt_json_str(doc, "expected_commit");
	if (s && !kt_json_bool(doc, "force", false))
		p->expected = kt_arena_strdup(op->arena, s);
	if (env && !cJSON_IsObject(env) && !cJSON_IsNull(env))
		return refuse_publish(op, 422, "validation_failed", err, "'env' must be an object");
	rc = kt_env_seal(op->ctl, op->arena, op->who.org_id, env, &p->env, err);
	if (rc != KT_OK)
		return kt_op_code(op, rc, 422, "validation_failed");
	p->env_mac = p->env ? mac_of(op, env) : "";
	rc = read_source(op, p, doc, err);
	/* Said before files are asked for; what decides is the transaction. */
	if (rc == KT_OK && p->pin.reason && kt_publish_is_held(p, p->production_ref))
		rc = kt_pinned_refuse(op, &p->pin, err);
	return rc;
}

static enum kt_code read_blob_manifest(struct kt_op *op, struct publish *p, const char *digest,
	struct kt_manifest **out, struct kt_err *err)
{
	enum kt_code rc = KT_ENOTFOUND;

	if (kt_digest_ok(digest) && kt_blobs_has(op->ctl->blobs, op->who.org_id, digest)) {
		enter_gate(p, size_of_blob(op, digest));
		rc = kt_layout_manifest(op->ctl, op->who.org_id, digest, out, err);
	}
	if (rc == KT_ENOTFOUND || rc == KT_EPROTO)
		return kt_op_code(op,
			kt_fail(err, KT_ECONFLICT, 0, "the server has no manifest %.12s", digest),
			409, "base_unknown");
	return rc;
}

/* --- the files ----------------------------------------------------------------------- */

/* The manifest that the document gives in one of three ways. */
static enum kt_code read_files(
	struct kt_op *op, struct publish *p, const cJSON *doc, struct kt_err *err)
{
	const char *base = kt_json_str(doc, "base"), *digest = kt_json_str(doc, "digest");
	enum kt_code rc;

	if (p->manifest_text) {
		rc = kt_manifest_parse(
			p->manifest_text, p->manifest_len, &p->limits, &p->manifest, err);
	} else if (base) {
		rc = read_blob_manifest(op, p, base, &p->base, err);
		if (rc != KT_OK)
			return rc;
		rc = kt_manifest_apply(p->base, p->delta_text ? p->delta_text : "", p->delta_len,
			&p->limits, &p->manifest, err);
	} else if (digest) {
		rc = read_blob_manifest(op, p, digest, &p->manifest, err);
		if (rc != KT_OK)
			return rc;
	} else {
		return refuse_publish(op, 422, "validation_failed", err,
			"one of 'manifest', 'base' with 'delta', and 'digest' is needed");
	}
	if (rc != KT_OK)
		return kt_op_code(op, rc, 422, "invalid_manifest");
	if (digest && strcmp(digest, p->manifest->digest) != 0)
		return refuse_publish(op, 422, "invalid_manifest", err,
			"the files do not give the digest that was announced");
	return KT_OK;
}

/* --- the blobs ----------------------------------------------------------------------- */

static enum kt_code answer_missing(struct kt_op *op, const struct kt_vec *list, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(MAX_NAMED * 70 + 1000);
	struct kt_jw w;

	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_jw_arr(&w, "missing");
	for (size_t i = 0; i < list->len && i < MAX_NAMED; i++)
		kt_jw_str(&w, NULL, list->items[i]);
	kt_jw_arr_end(&w);
	kt_jw_int(&w, "missing_total", (int64_t)list->len);
	kt_jw_obj_end(&w);
	op->answer.extra = kt_arena_strndup(op->arena, b.ptr, b.len);
	return kt_op_code(op,
		kt_fail(err, KT_ECONFLICT, 0, "the server lacks %zu file%s", list->len,
			list->len == 1 ? "" : "s"),
		409, "files_missing");
}

/* A blob under this digest has the announced size; a link's target stays inside. */
static enum kt_code check_sent_file(struct kt_op *op, const struct kt_file *f, struct kt_err *err)
{
	struct kt_blobs *blobs = op->ctl->blobs;
	KT_AUTO_BUF struct kt_buf target = KT_BUF_INIT(KT_MAX_PATH_BYTES);
	KT_AUTOFD int fd = -1;
	struct stat st;
	enum kt_code rc;

	if (f->mode == KT_MODE_LINK) {
		rc = kt_blobs_read(blobs, op->who.org_id, f->digest, &target, err);
		if (rc == KT_ELIMIT)
			return refuse_publish(op, 422, "invalid_manifest", err,
				"a link's target is longer than a path may be (fixed)");
		if (rc == KT_OK && (int64_t)target.len == f->size)
			rc = kt_manifest_check_link(f, target.ptr, target.len, err);
		else if (rc == KT_OK)
			rc = kt_fail(err, KT_EINVAL, 0, "'%s' has another size than its content",
				f->path);
		return rc == KT_EINVAL ? kt_op_code(op, rc, 422, "invalid_manifest") : rc;
	}
	rc = kt_blobs_fd(blobs, op->who.org_id, f->digest, &fd, err);
	if (rc != KT_OK)
		return rc;
	if (fstat(fd, &st) != 0)
		return kt_fail(err, KT_EIO, errno, "cannot look at '%s'", f->path);
	if (st.st_size != f->size)
		return kt_op_code(op,
			kt_fail(err, KT_EINVAL, 0, "'%s' has %lld bytes, not %lld", f->path,
				(long long)st.st_size, (long long)f->size),
			422, "invalid_manifest");
	return KT_OK;
}

/* It is in the base as it is here, so it was checked when that was published. */
static bool in_base(const struct publish *p, const struct kt_file *f, size_t *at)
{
	const struct kt_manifest *m = p->base;
	int c = 1;

	/* Both are sorted by path. */
	while (m && *at < m->n_files && (c = strcmp(m->files[*at].path, f->path)) < 0)
		(*at)++;
	if (!m || *at >= m->n_files || c != 0)
		return false;
	return m->files[*at].mode == f->mode && m->files[*at].size == f->size &&
		!strcmp(m->files[*at].digest, f->digest);
}

static enum kt_code check_blobs(struct kt_op *op, struct publish *p, struct kt_err *err)
{
	const struct kt_manifest *m = p->manifest;
	struct kt_vec list = KT_VEC_INIT;
	struct kt_map seen = KT_MAP_INIT;
	/* No sweep takes what the live release has: neither now nor before this one has its row. */
	bool based = p->base && !strcmp(p->base->digest, p->live);
	enum kt_code rc = KT_OK;
	size_t at = 0;

	for (size_t i = 0; i < m->n_files; i++) {
		struct kt_file *f = &m->files[i];

		if (based && in_base(p, f, &at))
			continue;
		if (kt_blobs_has(op->ctl->blobs, op->who.org_id, f->digest) ||
			kt_map_get(&seen, f->digest))
			continue;
		(void)kt_map_set(&seen, f->digest, p);
		kt_vec_push(&list, f->digest);
	}
	if (list.len > 0)
		rc = answer_missing(op, &list, err);
	at = 0;
	for (size_t i = 0; rc == KT_OK && i < m->n_files; i++) {
		if (!in_base(p, &m->files[i], &at))
			rc = check_sent_file(op, &m->files[i], err);
	}
	kt_vec_release(&list);
	kt_map_release(&seen);
	return rc;
}

static enum kt_code store_manifest(struct kt_op *op, struct publish *p, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(KT_MAX_MANIFEST_BYTES);
	enum kt_code rc;

	p->n_files = (int64_t)p->manifest->n_files;
	p->n_bytes = p->manifest->n_bytes;
	/* Asking makes it young, so that no sweep takes it before the row is there. */
	if (kt_blobs_has(op->ctl->blobs, op->who.org_id, p->manifest->digest)) {
		memcpy(p->digest, p->manifest->digest, sizeof(p->digest));
		return KT_OK;
	}
	kt_manifest_render(p->manifest, &text);
	if (!kt_buf_ok(&text))
		return refuse_publish(op, 422, "invalid_manifest", err,
			"the manifest is longer than it may be (fixed)");
	rc = kt_blobs_put(op->ctl->blobs, op->who.org_id, text.ptr, text.len, p->digest, err);
	kt_assert(rc != KT_OK || !strcmp(p->digest, p->manifest->digest));
	return rc;
}

/* --- what was sent ------------------------------------------------------------------- */

static enum kt_code adopt_blobs(struct kt_op *op, struct publish *p, struct kt_err *err)
{
	KT_AUTOFREE char *blobs = kt_path_join(p->staging, "blobs");
	enum kt_code rc = kt_blobs_adopt(op->ctl->blobs, op->who.org_id, blobs, &p->n_new, err);

	/* An archive may hold no file: that is said later. */
	return rc == KT_ENOTFOUND ? KT_OK : rc;
}

static enum kt_code read_staged(struct kt_op *op, struct publish *p, const char *name,
	struct kt_buf *out, struct kt_err *err)
{
	KT_AUTOFREE char *path = kt_path_join(p->staging, name);
	enum kt_code rc;

	enter_gate(p, size_at(path));
	rc = kt_fs_read(path, out, err);
	if (rc == KT_ENOTFOUND || rc == KT_ELIMIT)
		return refuse_publish(
			op, 422, "archive_refused", err, "the archive has no readable contents");
	return rc;
}

static enum kt_code take_body_member(void *arg, const struct kt_json_member *m, struct kt_err *err)
{
	struct publish *p = arg;

	if (!strcmp(m->key, "manifest") && *m->value == '"')
		p->manifest_text = kt_json_member_str(m, &p->manifest_len);
	else if (!strcmp(m->key, "delta") && *m->value == '"')
		p->delta_text = kt_json_member_str(m, &p->delta_len);
	else
		kt_jw_raw(&p->rest_writer, m->key, m->value, m->len);
	return kt_buf_ok(&p->rest)
		? KT_OK
		: kt_fail(err, KT_ELIMIT, 0,
			  "beside its files the document has over %d bytes, which is the limit "
			  "(fixed)",
			  MAX_REST_BYTES);
}

/* The document in p->text: the large ones of its members stay there, the others become *out. */
static enum kt_code read_doc(struct kt_op *op, struct publish *p, cJSON **out, struct kt_err *err)
{
	enum kt_code rc;

	kt_buf_init(&p->rest, MAX_REST_BYTES);
	kt_jw_init(&p->rest_writer, &p->rest);
	kt_jw_obj(&p->rest_writer, NULL);
	rc = kt_json_members(p->text.ptr, p->text.len, KT_MAX_BODY_NODES, take_body_member, p, err);
	kt_jw_obj_end(&p->rest_writer);
	if (rc == KT_OK)
		rc = kt_json_parse_max(
			p->rest.ptr, p->rest.len, KT_JSON_STRICT, KT_MAX_BODY_NODES, out, err);
	kt_secret_wipe(p->rest.ptr, p->rest.len);
	kt_buf_release(&p->rest);
	if (rc == KT_ELIMIT)
		return kt_op_code(op, rc, 413, "too_large");
	if (rc == KT_EPROTO)
		return kt_op_code(op, rc, 422, "validation_failed");
	if (rc == KT_EINVAL)
		return kt_op_code(op, kt_wrap(err, "the body is not valid JSON"), 400, "bad_json");
	return rc;
}

/* What p->text says: of the release, and its files. */
static enum kt_code read_release_text(struct kt_op *op, struct publish *p, struct kt_err *err)
{
	KT_AUTO_JSON cJSON *doc = NULL;
	enum kt_code rc = read_doc(op, p, &doc, err);

	if (rc == KT_OK)
		rc = read_meta(op, p, doc, err);
	if (rc == KT_OK)
		rc = read_files(op, p, doc, err);
	return rc == KT_OK ? kt_publish_patches(op, p, kt_json_obj(doc, "files"), err) : rc;
}

static enum kt_code prepare_bundle(struct kt_op *op, struct publish *p, struct kt_err *err)
{
	enum kt_code rc = read_staged(op, p, "publish.json", &p->text, err);

	return rc == KT_OK ? read_release_text(op, p, err) : rc;
}

static enum kt_code prepare_archive(struct kt_op *op, struct publish *p, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(KT_MAX_MANIFEST_BYTES);
	KT_AUTO_JSON cJSON *doc = NULL;
	enum kt_code rc;

	kt_buf_adds(&p->text, p->doc ? p->doc : "{}");
	rc = read_doc(op, p, &doc, err);
	if (rc == KT_OK)
		rc = read_meta(op, p, doc, err);
	if (rc == KT_OK)
		rc = read_staged(op, p, "manifest", &text, err);
	if (rc != KT_OK)
		return rc;
	rc = kt_manifest_take(&text, &p->limits, &p->manifest, err);
	return rc == KT_OK ? rc : kt_op_code(op, rc, 422, "archive_refused");
}

static enum kt_code prepare_doc(struct kt_op *op, struct publish *p, struct kt_err *err)
{
	enum kt_code rc = KT_OK;

	if (p->doc_path) {
		enter_gate(p, size_at(p->doc_path));
		rc = kt_fs_read(p->doc_path, &p->text, err);
	} else {
		kt_buf_add(&p->text, p->doc, p->doc_len);
	}
	if (rc == KT_ELIMIT)
		return kt_op_code(op,
			kt_fail(err, KT_ELIMIT, 0,
				"the document is larger than a manifest can be, which is fixed"),
			413, "archive_too_large");
	return rc == KT_OK ? read_release_text(op, p, err) : rc;
}

static enum kt_code prepare_steps(struct kt_op *op, struct publish *p, struct kt_err *err)
{
	enum kt_code rc = p->staging ? adopt_blobs(op, p, err) : KT_OK;

	if (rc != KT_OK)
		return rc;
	if (!p->staging)
		rc = prepare_doc(op, p, err);
	else if (p->unpacked.bundle)
		rc = prepare_bundle(op, p, err);
	else
		rc = prepare_archive(op, p, err);
	/* What it said is in the manifest now; the variables are sealed. */
	kt_secret_wipe(p->text.ptr, p->text.len);
	kt_buf_release(&p->text);
	if (rc == KT_OK && p->manifest->n_files == 0)
		rc = refuse_publish(op, 422, "invalid_manifest", err, "there are no files");
	if (rc == KT_OK)
		rc = check_blobs(op, p, err);
	if (rc == KT_OK)
		rc = store_manifest(op, p, err);
	return rc;
}

/* What cannot be removed goes at the next start, with all of tmp/. */
void kt_publish_remove_staging(struct kt_op *op)
{
	struct publish *p = op->data;
	struct kt_err err = KT_ERR_INIT;

	if (p->staging && kt_fs_remove_tree(p->staging, &err) != KT_OK)
		kt_log(KT_LOG_WARN, "control", "%s", err.msg);
	p->staging = NULL;
}

enum kt_code kt_publish_prepare(struct kt_tx *tx, struct kt_op *op, struct kt_err *err)
{
	struct publish *p = op->data;
	enum kt_code rc;

	kt_buf_init(&p->text, MAX_DOC_BYTES);
	rc = prepare_steps(op, p, err);
	kt_buf_release(&p->text);
	if (p->manifest)
		memcpy(p->digest, p->manifest->digest, sizeof(p->digest));
	kt_manifest_free(p->manifest);
	kt_manifest_free(p->base);
	p->manifest = p->base = NULL;
	leave_gate(p);
	kt_publish_remove_staging(op);
	return rc;
}
