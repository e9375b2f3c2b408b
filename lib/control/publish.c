/* SPDX-License-Identifier: MIT */
/*
 * Publishing: a document, a bundle or a whole archive becomes a release's row, and its build
 *begins.
 *
 *	archive -> unpacker -> staging -> blobs        (only when something was sent)
 *	document -> manifest -> are all blobs here?    409 files_missing; what came is kept
 *	one transaction: project, version, row, audit, idempotency record -> kt_build_begin()
 *
 * Reading and hashing is a worker's; until everything is here nothing is written but blobs.
 */
#include "control/work_private.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/str.h"
#include "base/time.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_NAMED 5000 /* missing files that one answer names */
#define MAX_DOC_BYTES (3 * (int64_t)KT_MAX_MANIFEST_BYTES / 2)
#define MAX_MESSAGE_BYTES 1000
#define MAX_ARRIVED 1000 /* uploads that are under way */

struct publish {
	char *ref; /* slug or id of the project */
	char *doc; /* NULL: it is in the bundle */
	size_t doc_len;
	size_t held; /* of it, counted in the server's `documents` */
	char *body_path, *staging;
	struct kt_unpacked unpacked;
	struct kt_pack_limits limits;
	char live[KT_DIGEST_MAX]; /* manifest of the project's live release, or "" */
	bool builds_now; /* no other build of the project is before it */
	struct kt_pinned pin; /* of the project when this began */
	const char *production_ref; /* then, NULL = there was no project */
	/* What it says. */
	const char *commit_sha, *git_ref, *message, *source, *env;
	const char *env_mac; /* tells variables from others; sealing does so each time anew */
	int64_t pr;
	bool fork, preview;
	bool as_deploy; /* answered as a deploy */
	struct kt_build_aim aim;
	/* What came of it. */
	struct kt_manifest *manifest; /* NULL again before the transaction */
	struct kt_manifest *base;
	char digest[KT_DIGEST_MAX];
	char release_id[KT_ID_MAX];
	int64_t n_files, n_bytes;
	size_t n_new;
	char label[64]; /* of a preview */
	char counted[KT_ID_MAX]; /* the project in whose `publishing` this one is */
	struct kt_project_row project;
	struct kt_release_row row;
};

/* --- the worker: the document ------------------------------------------------------------ */

static enum kt_code refuse(
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
		return refuse(op, 422, "validation_failed", err, "'source' is git or cli");
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

static bool for_production(const struct publish *p, const char *production_ref)
{
	return !p->pr && !p->preview && (!p->git_ref || !strcmp(p->git_ref, production_ref));
}

/*
 * A pin is in its way. Who publishes hears of it; what a webhook brings is stored, as nobody
 * would send it again when the pin has ended.
 */
static bool is_held(const struct publish *p, const char *production_ref)
{
	return p->aim.activate && !p->aim.unpin && for_production(p, production_ref) &&
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
		return refuse(op, 422, "validation_failed", err,
			"'commit_sha' must be 7 to 64 lower-case hexadecimal digits");
	p->commit_sha = s && *s ? kt_arena_strdup(op->arena, s) : NULL;
	s = kt_json_str(doc, "ref");
	if (s && *s) {
		p->git_ref = full_ref(op, s);
		if (!kt_ref_ok(p->git_ref))
			return refuse(
				op, 422, "invalid_name", err, "'ref' is no name git would take");
	}
	s = kt_json_str(doc, "message");
	p->message = s && *s ? copy_message(op, s) : NULL;
	p->pr = kt_json_int(doc, "pr", 0);
	if (p->pr < 0 || p->pr > INT32_MAX)
		return refuse(op, 422, "validation_failed", err, "'pr' is out of range");
	p->fork = kt_json_bool(doc, "fork", false);
	p->preview = kt_json_bool(doc, "preview", false);
	p->aim.activate = kt_json_bool(doc, "activate", true);
	p->aim.unpin = kt_json_bool(doc, "unpin", false);
	s = kt_json_str(doc, "expected_commit");
	if (s && !kt_json_bool(doc, "force", false))
		p->aim.expected = kt_arena_strdup(op->arena, s);
	if (env && !cJSON_IsObject(env) && !cJSON_IsNull(env))
		return refuse(op, 422, "validation_failed", err, "'env' must be an object");
	rc = kt_env_seal(op->ctl, op->arena, op->who.org_id, env, &p->env, err);
	if (rc != KT_OK)
		return kt_op_code(op, rc, 422, "validation_failed");
	p->env_mac = p->env ? mac_of(op, env) : "";
	rc = read_source(op, p, doc, err);
	/* Said before files are asked for; what decides is the transaction. */
	if (rc == KT_OK && p->pin.reason && is_held(p, p->production_ref))
		rc = kt_pinned_refuse(op, &p->pin, err);
	return rc;
}

static enum kt_code read_blob_manifest(struct kt_op *op, struct publish *p, const char *digest,
	struct kt_manifest **out, struct kt_err *err)
{
	enum kt_code rc = KT_ENOTFOUND;

	(void)p;
	if (kt_digest_ok(digest) && kt_blobs_has(op->ctl->blobs, op->who.org_id, digest))
		rc = kt_layout_manifest(op->ctl, op->who.org_id, digest, out, err);
	if (rc == KT_ENOTFOUND || rc == KT_EPROTO)
		return kt_op_code(op,
			kt_fail(err, KT_ECONFLICT, 0, "the server has no manifest %.12s", digest),
			409, "base_unknown");
	return rc;
}

/* The manifest that the document gives in one of three ways. */
static enum kt_code read_files(
	struct kt_op *op, struct publish *p, const cJSON *doc, struct kt_err *err)
{
	const char *text = kt_json_str(doc, "manifest"), *base = kt_json_str(doc, "base");
	const char *delta = kt_json_str(doc, "delta"), *digest = kt_json_str(doc, "digest");
	enum kt_code rc;

	if (text) {
		rc = kt_manifest_parse(text, strlen(text), &p->limits, &p->manifest, err);
	} else if (base) {
		rc = read_blob_manifest(op, p, base, &p->base, err);
		if (rc != KT_OK)
			return rc;
		delta = delta ? delta : "";
		rc = kt_manifest_apply(
			p->base, delta, strlen(delta), &p->limits, &p->manifest, err);
	} else if (digest) {
		rc = read_blob_manifest(op, p, digest, &p->manifest, err);
		if (rc != KT_OK)
			return rc;
	} else {
		return refuse(op, 422, "validation_failed", err,
			"one of 'manifest', 'base' with 'delta', and 'digest' is needed");
	}
	if (rc != KT_OK)
		return kt_op_code(op, rc, 422, "invalid_manifest");
	if (digest && strcmp(digest, p->manifest->digest) != 0)
		return refuse(op, 422, "invalid_manifest", err,
			"the files do not give the digest that was announced");
	return KT_OK;
}

/* --- the worker: the blobs --------------------------------------------------------------- */

static enum kt_code missing(struct kt_op *op, const struct kt_vec *list, struct kt_err *err)
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
	op->extra = kt_arena_strndup(op->arena, b.ptr, b.len);
	return kt_op_code(op,
		kt_fail(err, KT_ECONFLICT, 0, "the server lacks %zu file%s", list->len,
			list->len == 1 ? "" : "s"),
		409, "files_missing");
}

/* A blob under this digest has the announced size; a link's target stays inside. */
static enum kt_code check_file(struct kt_op *op, const struct kt_file *f, struct kt_err *err)
{
	struct kt_blobs *blobs = op->ctl->blobs;
	KT_AUTO_BUF struct kt_buf target = KT_BUF_INIT(KT_MAX_PATH_BYTES);
	KT_AUTOFD int fd = -1;
	struct stat st;
	enum kt_code rc;

	if (f->mode == KT_MODE_LINK) {
		rc = kt_blobs_read(blobs, op->who.org_id, f->digest, &target, err);
		if (rc == KT_ELIMIT)
			return refuse(op, 422, "invalid_manifest", err,
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
		rc = missing(op, &list, err);
	at = 0;
	for (size_t i = 0; rc == KT_OK && i < m->n_files; i++) {
		if (!in_base(p, &m->files[i], &at))
			rc = check_file(op, &m->files[i], err);
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
		return refuse(op, 422, "invalid_manifest", err,
			"the manifest is longer than it may be (fixed)");
	rc = kt_blobs_put(op->ctl->blobs, op->who.org_id, text.ptr, text.len, p->digest, err);
	kt_assert(rc != KT_OK || !strcmp(p->digest, p->manifest->digest));
	return rc;
}

/* --- the worker: what was sent ----------------------------------------------------------- */

static enum kt_code adopt(struct kt_op *op, struct publish *p, struct kt_err *err)
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
	enum kt_code rc = kt_fs_read(path, out, err);

	if (rc == KT_ENOTFOUND || rc == KT_ELIMIT)
		return refuse(
			op, 422, "archive_refused", err, "the archive has no readable contents");
	return rc;
}

static enum kt_code read_doc(
	struct kt_op *op, const char *text, size_t len, cJSON **out, struct kt_err *err)
{
	enum kt_code rc = kt_json_parse(text, len, KT_JSON_STRICT, out, err);

	if (rc != KT_OK)
		return kt_op_code(op, rc, 400, "bad_json");
	if (!cJSON_IsObject(*out))
		return refuse(op, 422, "validation_failed", err, "the document must be an object");
	return KT_OK;
}

static enum kt_code prepare_bundle(struct kt_op *op, struct publish *p, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(MAX_DOC_BYTES);
	KT_AUTO_JSON cJSON *doc = NULL;
	enum kt_code rc = read_staged(op, p, "publish.json", &text, err);

	if (rc == KT_OK)
		rc = read_doc(op, text.ptr, text.len, &doc, err);
	if (rc == KT_OK)
		rc = read_meta(op, p, doc, err);
	if (rc == KT_OK)
		rc = read_files(op, p, doc, err);
	return rc;
}

static enum kt_code prepare_archive(struct kt_op *op, struct publish *p, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(KT_MAX_MANIFEST_BYTES);
	KT_AUTO_JSON cJSON *doc = NULL;
	const char *given = p->doc ? p->doc : "{}";
	enum kt_code rc = read_doc(op, given, strlen(given), &doc, err);

	if (rc == KT_OK)
		rc = read_meta(op, p, doc, err);
	if (rc == KT_OK)
		rc = read_staged(op, p, "manifest", &text, err);
	if (rc != KT_OK)
		return rc;
	rc = kt_manifest_parse(text.ptr, text.len, &p->limits, &p->manifest, err);
	return rc == KT_OK ? rc : kt_op_code(op, rc, 422, "archive_refused");
}

static enum kt_code prepare_doc(struct kt_op *op, struct publish *p, struct kt_err *err)
{
	KT_AUTO_JSON cJSON *doc = NULL;
	enum kt_code rc = read_doc(op, p->doc, p->doc_len, &doc, err);

	if (rc == KT_OK)
		rc = read_meta(op, p, doc, err);
	if (rc == KT_OK)
		rc = read_files(op, p, doc, err);
	return rc;
}

static enum kt_code prepare_steps(struct kt_op *op, struct publish *p, struct kt_err *err)
{
	enum kt_code rc = p->staging ? adopt(op, p, err) : KT_OK;

	if (rc != KT_OK)
		return rc;
	if (!p->staging)
		rc = prepare_doc(op, p, err);
	else if (p->unpacked.bundle)
		rc = prepare_bundle(op, p, err);
	else
		rc = prepare_archive(op, p, err);
	if (rc == KT_OK && p->manifest->n_files == 0)
		rc = refuse(op, 422, "invalid_manifest", err, "there are no files");
	if (rc == KT_OK)
		rc = check_blobs(op, p, err);
	if (rc == KT_OK)
		rc = store_manifest(op, p, err);
	if (rc == KT_OK)
		rc = kt_build_note(op->ctl, p->release_id, &p->aim, err);
	return rc;
}

/* What cannot be removed goes at the next start, with all of tmp/. */
static void remove_staging(struct kt_op *op)
{
	struct publish *p = op->data;
	struct kt_err err = KT_ERR_INIT;

	if (p->staging && kt_fs_remove_tree(p->staging, &err) != KT_OK)
		kt_log(KT_LOG_WARN, "control", "%s", err.msg);
	p->staging = NULL;
}

static enum kt_code prepare(void *arg, struct kt_err *err)
{
	struct kt_op *op = arg;
	struct publish *p = op->data;
	enum kt_code rc = prepare_steps(op, p, err);

	if (p->manifest)
		memcpy(p->digest, p->manifest->digest, sizeof(p->digest));
	kt_manifest_free(p->manifest);
	kt_manifest_free(p->base);
	p->manifest = p->base = NULL;
	remove_staging(op);
	return rc;
}

/* --- the transaction --------------------------------------------------------------------- */

static enum kt_code find_or_add(
	struct kt_tx *tx, struct kt_op *op, struct publish *p, struct kt_err *err)
{
	enum kt_code rc = kt_tx_project(tx, op->arena, op->who.org_id, p->ref, &p->project, err);

	if (rc == KT_ENOTFOUND) {
		rc = kt_project_add(tx, op, p->ref, NULL, &p->project, err);
		p->builds_now = true;
	}
	if (rc != KT_OK)
		return rc;
	if (p->project.dir)
		return kt_op_code(op,
			kt_fail(err, KT_ECONFLICT, 0, "project '%s' is served from a folder",
				p->project.slug),
			409, "folder_project");
	return kt_op_if_match(op, &p->project, err);
}

/* The ref is where the publisher saw it. */
static enum kt_code check_expected(
	struct kt_tx *tx, struct kt_op *op, struct publish *p, struct kt_err *err)
{
	struct kt_ref_row *refs;
	const char *now = "";
	size_t n;
	enum kt_code rc;

	if (!p->aim.expected || !p->git_ref)
		return KT_OK;
	rc = kt_tx_refs(tx, op->arena, p->project.id, &refs, &n, err);
	for (size_t i = 0; rc == KT_OK && i < n; i++) {
		if (!strcmp(refs[i].name, p->git_ref))
			now = refs[i].commit_sha;
	}
	if (rc != KT_OK || !strcmp(now, p->aim.expected))
		return rc;
	op->extra = kt_json_pairs(op->arena, "commit_sha", now, NULL);
	return kt_op_code(op,
		kt_fail(err, KT_ECONFLICT, 0, "'%s' moved meanwhile, to %.12s", p->git_ref, now),
		409, "ref_moved");
}

static void fill_row(struct kt_op *op, struct publish *p)
{
	const struct kt_project_row *pr = &p->project;
	bool production = for_production(p, pr->production_ref);

	if (!production)
		kt_preview_label(pr->label, p->git_ref, p->pr, p->label);
	p->row = (struct kt_release_row){
		.id = p->release_id,
		.org_id = pr->org_id,
		.project_id = pr->id,
		.version = pr->next_version,
		.state = p->builds_now ? KT_REL_BUILDING : KT_REL_QUEUED,
		.digest = p->digest,
		.kind = "file_copy",
		.commit_sha = p->commit_sha,
		.ref = p->git_ref,
		.message = p->message,
		.source = p->source,
		.env = p->env,
		.preview = production ? NULL : p->label,
		.pr = p->pr,
		.fork = p->fork,
		.config_version = pr->config_version,
		.n_files = p->n_files,
		.n_bytes = p->n_bytes,
		.created_by = op->who.key_name[0] ? op->who.key_name : "system",
		.created_us = kt_time_us(),
	};
}

static enum kt_code answer_row(
	struct kt_tx *tx, struct kt_op *op, struct publish *p, struct kt_err *err)
{
	struct kt_project_mem *mem;
	struct kt_jw w;
	enum kt_code rc;

	if (p->as_deploy)
		return kt_deploy_answer(tx, op, &p->project, &p->row, err);
	rc = kt_project_temp(tx, op, &p->project, &mem, err);
	if (rc != KT_OK)
		return rc;
	kt_jw_init(&w, &op->json);
	kt_jw_obj(&w, NULL);
	kt_write_release(&w, op, mem, &p->row, false);
	kt_jw_obj_end(&w);
	kt_op_etag(op, p->project.current_release_id);
	op->status = 202;
	return KT_OK;
}

/*
 * What is published tells one publish from another under the same key, not how it was sent: a
 * document and the bundle that follows it are one.
 */
static void set_fingerprint(struct kt_op *op, const struct publish *p)
{
	const char *text;
	char *digest;

	if (!op->pre.idem_key || op->pre.fingerprint)
		return;
	text = kt_arena_printf(op->arena, "%s\n%s\n%s\n%s\n%s\n%lld %d %d %d%s", p->digest,
		p->commit_sha ? p->commit_sha : "", p->git_ref ? p->git_ref : "",
		p->message ? p->message : "", p->env_mac ? p->env_mac : "", (long long)p->pr,
		p->fork, p->preview, p->aim.activate, p->aim.unpin ? " unpin" : "");
	digest = kt_arena_alloc(op->arena, KT_DIGEST_MAX);
	kt_sha256_of(text, strlen(text), digest);
	op->pre.fingerprint = digest;
}

static enum kt_code publish_work(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	struct kt_op *op = arg;
	struct publish *p = op->data;
	bool replay;
	enum kt_code rc;

	set_fingerprint(op, p);
	rc = kt_op_idem_begin(tx, op, &replay, err);
	if (rc != KT_OK || replay)
		return rc;
	rc = find_or_add(tx, op, p, err);
	if (rc == KT_OK && is_held(p, p->project.production_ref))
		rc = kt_pinned_check(tx, op, &p->project, err);
	if (rc == KT_OK && p->aim.unpin)
		rc = kt_pinned_may_end(op, err);
	if (rc == KT_OK)
		rc = check_expected(tx, op, p, err);
	if (rc != KT_OK)
		return rc;
	fill_row(op, p);
	p->project.next_version++;
	rc = kt_tx_project_put(tx, &p->project, err);
	if (rc == KT_OK)
		rc = kt_tx_release_add(tx, &p->row, err);
	if (rc == KT_OK)
		rc = kt_op_audit(tx, op, "release.create",
			kt_object_project(op->arena, p->project.slug),
			kt_json_pairs(op->arena, "version",
				kt_version_text(op->arena, p->row.version), "release",
				p->release_id, "digest", p->digest, "ref", p->git_ref, "commit_sha",
				p->commit_sha, NULL),
			err);
	if (rc == KT_OK)
		rc = answer_row(tx, op, p, err);
	if (rc == KT_OK)
		rc = kt_op_idem_end(tx, op, 202, p->release_id, err);
	return rc;
}

static void published(void *arg, enum kt_code rc, const struct kt_err *err)
{
	struct kt_op *op = arg;
	struct publish *p = op->data;
	struct kt_project_mem *mem = kt_map_get(&op->ctl->projects, p->counted);

	if (mem)
		mem->publishing--;
	if (rc == KT_OK && !op->replayed) {
		mem = kt_index_project_put(op->ctl, &p->project);
		kt_build_begin(op->ctl, mem, &p->row, &p->aim, op, (int64_t)p->n_new);
	} else {
		kt_build_unnote(op->ctl, p->release_id);
	}
	kt_op_end(op, rc, err);
}

/* --- the way through --------------------------------------------------------------------- */

static void end_publish(struct kt_op *op, enum kt_code rc, const struct kt_err *err)
{
	/* The worker did it unless it was never called. */
	remove_staging(op);
	if (rc == KT_ECANCEL)
		kt_op_fail(
			op, KT_EUNAVAIL, 503, "shutting_down", NULL, "the server is shutting down");
	else
		kt_op_end(op, rc, err);
}

/* Another project's host name cannot become a preview's. */
static bool label_taken(struct kt_op *op, const struct publish *p)
{
	const struct kt_project_mem *mem = kt_index_project(op->ctl, op->who.org_id, p->ref);
	const struct kt_label_mem *l;
	char label[64];

	if (!mem || for_production(p, mem->production_ref))
		return false;
	kt_preview_label(mem->label, p->git_ref, p->pr, label);
	l = kt_map_get(&op->ctl->labels, label);
	return l && (l->project != mem || !l->preview);
}

/*
 * An upload of many files comes in several bundles, and each but the last is answered with what is
 * still missing. What came with those counts as new, too.
 */
static void count_new(struct kt_op *op, struct publish *p, bool whole)
{
	struct kt_map *arrived = &kt_works_get(op->ctl)->arrived;
	const char *key = kt_arena_printf(op->arena, "%s/%s", op->who.org_id, p->digest);
	int64_t *before = p->digest[0] ? kt_map_get(arrived, key) : NULL;

	if (whole && before) {
		p->n_new += (size_t)*before;
		free(kt_map_del(arrived, key));
	} else if (!whole && p->n_new && before) {
		*before += (int64_t)p->n_new;
	} else if (!whole && p->n_new && p->digest[0]) {
		if (arrived->len >= MAX_ARRIVED)
			kt_works_forget(arrived);
		before = kt_malloc(sizeof(*before));
		*before = (int64_t)p->n_new;
		(void)kt_map_set(arrived, key, before);
	}
}

static void prepared(void *arg, enum kt_code rc, const struct kt_err *err)
{
	struct kt_op *op = arg;
	struct publish *p = op->data;
	struct kt_project_mem *mem = kt_index_project(op->ctl, op->who.org_id, p->ref);

	op->ctl->documents -= p->held;
	count_new(op, p, rc == KT_OK);
	if (rc != KT_OK) {
		end_publish(op, rc, err);
		return;
	}
	/* Many may have begun when there was room for one. */
	if (mem && kt_builds_full(op, mem)) {
		kt_build_unnote(op->ctl, p->release_id);
		return;
	}
	if (label_taken(op, p)) {
		kt_build_unnote(op->ctl, p->release_id);
		kt_op_fail(op, KT_ECONFLICT, 409, "label_taken", NULL,
			"a project has the host name that this preview would get");
		return;
	}
	p->builds_now = mem && mem->builds.len == 0 && mem->publishing == 0;
	if (mem) {
		mem->publishing++;
		memcpy(p->counted, mem->id, sizeof(p->counted));
	}
	kt_op_store(op, true, publish_work, published);
}

static void on_unpacked(
	void *arg, enum kt_code rc, const struct kt_unpacked *u, const struct kt_err *err)
{
	struct kt_op *op = arg;
	struct publish *p = op->data;

	if (rc == KT_OK) {
		p->unpacked = *u;
		kt_task_run(op->ctl,
			&(struct kt_task_for){ op->who.org_id, KT_WORK_LONG, 0, false }, prepare,
			prepared, op);
		return;
	}
	if (rc == KT_EIO || rc == KT_EUNAVAIL || rc == KT_ECANCEL)
		end_publish(op, rc, err);
	else
		end_publish(op, kt_op_code(op, rc, 422, "archive_refused"), err);
}

static void unpack(struct kt_op *op)
{
	struct publish *p = op->data;
	struct kt_err err = KT_ERR_INIT;
	char *staging = kt_arena_printf(op->arena, "%s/tmp/up-XXXXXX", op->ctl->data_dir);

	if (!mkdtemp(staging)) {
		kt_op_end(op,
			kt_fail(&err, KT_EIO, errno, "cannot make a folder in '%s/tmp'",
				op->ctl->data_dir),
			&err);
		return;
	}
	p->staging = staging;
	kt_unpack_start(op->ctl, p->body_path, staging, on_unpacked, op);
}

/* What can be said before anything is read. */
static bool may_begin(struct kt_op *op, const char *ref)
{
	struct kt_project_mem *mem = kt_index_project(op->ctl, op->who.org_id, ref);
	struct kt_err err = KT_ERR_INIT;
	enum kt_code rc;

	if (op->ctl->draining) {
		kt_op_fail(
			op, KT_EUNAVAIL, 503, "shutting_down", NULL, "the server is shutting down");
		return false;
	}
	if (mem && kt_builds_full(op, mem))
		return false;
	rc = mem ? KT_OK : kt_project_new_check(op, ref, &err);
	if (rc != KT_OK)
		kt_op_end(op, rc, &err);
	return rc == KT_OK;
}

/* Manifests are large, and the workers that read them few: the rest would wait in memory. */
static bool admit_document(struct kt_op *op, size_t len)
{
	if (op->ctl->documents + len <= KT_MAX_DOCUMENTS_BYTES)
		return true;
	kt_op_fail(op, KT_EUNAVAIL, 503, "too_many_documents", NULL,
		"too much is being published at once (fixed); try again later");
	return false;
}

static void publish(struct kt_control *ctl, const struct kt_actor *a, const char *ref,
	const char *doc, size_t doc_len, const char *body_path, bool as_deploy,
	const struct kt_precond *pre, kt_result_fn fn, void *arg)
{
	struct kt_op *op = kt_op_new(ctl, a, pre, fn, arg);
	struct publish *p = kt_arena_alloc(op->arena, sizeof(*p));
	const struct kt_project_mem *mem;

	op->data = p;
	p->as_deploy = as_deploy;
	if (!may_begin(op, ref) || (doc && !body_path && !admit_document(op, doc_len)))
		return;
	mem = kt_index_project(ctl, op->who.org_id, ref);
	if (mem && mem->current)
		memcpy(p->live, mem->current->digest, sizeof(p->live));
	kt_pinned_of(mem, op->arena, &p->pin);
	if (mem)
		p->production_ref = kt_arena_strdup(op->arena, mem->production_ref);
	p->ref = kt_arena_strdup(op->arena, ref);
	p->limits = ctl->limits;
	kt_rand_id("rel_", p->release_id);
	if (doc) {
		p->doc = kt_arena_strndup(op->arena, doc, doc_len);
		p->doc_len = doc_len;
	}
	if (body_path) {
		p->body_path = kt_arena_strdup(op->arena, body_path);
		unpack(op);
	} else if (doc) {
		p->held = doc_len;
		ctl->documents += doc_len;
		kt_task_run(ctl,
			&(struct kt_task_for){ op->who.org_id, KT_WORK_LONG, doc_len, false },
			prepare, prepared, op);
	} else {
		kt_op_fail(op, KT_EINVAL, 422, "validation_failed", NULL, "nothing was sent");
	}
}

void kt_control_publish(struct kt_control *ctl, const struct kt_actor *a, const char *ref,
	const char *doc, size_t doc_len, const char *body_path, const struct kt_precond *pre,
	kt_result_fn fn, void *arg)
{
	publish(ctl, a, ref, doc, doc_len, body_path, false, pre, fn, arg);
}

void kt_publish_archive(struct kt_control *ctl, const struct kt_actor *a, const char *ref,
	const char *body_path, const struct kt_publish_meta *meta, const struct kt_precond *pre,
	kt_result_fn fn, void *arg)
{
	KT_AUTO_BUF struct kt_buf doc = KT_BUF_INIT(KT_MAX_HTTP_BODY_BYTES);
	struct kt_jw w;

	kt_jw_init(&w, &doc);
	kt_jw_obj(&w, NULL);
	kt_jw_str(&w, "commit_sha", meta->commit_sha);
	kt_jw_str(&w, "ref", meta->ref);
	kt_jw_str(&w, "message", meta->message);
	kt_jw_str(&w, "source", meta->source);
	kt_jw_int(&w, "pr", meta->pr);
	kt_jw_bool(&w, "fork", meta->fork);
	kt_jw_bool(&w, "activate", !meta->no_activate);
	kt_jw_bool(&w, "unpin", meta->unpin);
	kt_jw_obj_end(&w);
	publish(ctl, a, ref, doc.ptr, doc.len, body_path, meta->as_deploy, pre, fn, arg);
}
