/* SPDX-License-Identifier: MIT */
/*
 * Logs of builds: builds/REL_ID.log, an event log of `log` lines and one last `release` event. It
 * is open while the build runs and for a while after, and again when somebody asks for an old one.
 */
#include "control/release/release_private.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/str.h"
#include "store/datadir.h"
#include "text/redact.h"

#include <stdio.h>
#include <string.h>

#define MAX_LINE_BYTES 8192
#define IDLE_MS 1000 /* most readers have read the end by then */

static char *buildlog_path(const struct kt_control *ctl, const char *release_id)
{
	return kt_data_build_log(ctl->data_dir, release_id);
}

enum kt_code kt_build_open_log(struct kt_build *b, struct kt_err *err)
{
	KT_AUTOFREE char *path = buildlog_path(b->ctl, b->release_id);
	const struct kt_evlog_config cfg = {
		.path = path,
		.session_id = b->release_id,
		.id_key = "release_id",
		.max_memory_bytes = KT_MAX_LOG_MEMORY_BYTES,
	};

	return kt_evlog_open(b->ctl->loop, &cfg, &b->log, err);
}

static void buildlog_append(struct kt_build *b, enum kt_event_type type, const struct kt_buf *data)
{
	const struct kt_event_draft ev = {
		.type = type,
		.data = data->ptr,
		.data_len = data->len,
	};

	if (b->log)
		(void)kt_evlog_append(b->log, &ev);
}

static void buildlog_say(struct kt_build *b, const char *level, const char *text)
{
	KT_AUTO_BUF struct kt_buf clean = KT_BUF_INIT(2 * MAX_LINE_BYTES);
	KT_AUTO_BUF struct kt_buf data = KT_BUF_INIT(KT_MAX_EVENT_BYTES);
	char version[24];
	struct kt_jw w;
	struct kt_log_line line = {
		.project_id = b->row->project_id,
		.level = level,
		.source = "build",
		.version = b->version,
		.text = text,
	};

	kt_redact_add(&clean, text, strlen(text));
	(void)snprintf(version, sizeof(version), "v%lld", (long long)b->version);
	kt_jw_init(&w, &data);
	kt_jw_obj(&w, NULL);
	kt_jw_str(&w, "level", level);
	kt_jw_str(&w, "source", "build");
	kt_jw_str(&w, "text", clean.ptr);
	kt_jw_str(&w, "release", version);
	kt_jw_obj_end(&w);
	buildlog_append(b, KT_EV_LOG, &data);
	if (!((struct kt_build_work *)b->work)->canceled)
		kt_control_log(b->ctl, &line);
}

void kt_build_say(struct kt_build *b, const char *level, const char *fmt, ...)
{
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(MAX_LINE_BYTES);
	va_list ap;

	va_start(ap, fmt);
	kt_buf_vaddf(&text, fmt, ap);
	va_end(ap);
	buildlog_say(b, level, text.ptr);
}

/* --- the end ----------------------------------------------------------------------------- */

static void buildlog_linger(void *arg)
{
	struct kt_build *b = arg;

	if (b->log && kt_evlog_readers(b->log) > 0) {
		kt_timer_start(b->linger, KT_BUILD_LOG_MS, 0);
		return;
	}
	(void)kt_map_del(&b->ctl->builds, b->release_id);
	kt_build_free(b);
}

/* Many builds a minute must not keep as many descriptors. */
static void become_idle(void *arg)
{
	struct kt_build *b = arg;
	struct kt_timer *t = b->linger;

	if (b->log)
		kt_evlog_idle(b->log);
	b->linger = kt_timer_new(b->ctl->loop, buildlog_linger, b);
	kt_timer_start(b->linger, KT_BUILD_LOG_MS, 0);
	kt_timer_free(t);
}

static void start_linger(struct kt_build *b)
{
	b->over = true;
	b->linger = kt_timer_new(b->ctl->loop, become_idle, b);
	kt_timer_start(b->linger, IDLE_MS, 0);
}

/* The same however often it is asked for, as a publish that is repeated does. */
static int64_t took_ms(const struct kt_release_row *r, const struct kt_build *b)
{
	if (r->built_us >= r->created_us)
		return (r->built_us - r->created_us) / 1000;
	return b ? kt_loop_now_ms(b->ctl->loop) - b->started_ms : 0;
}

/* The last event. */
static void append_release(struct kt_build *b)
{
	const struct kt_build_work *work = b->work;
	const struct kt_release_row *r = b->row;
	KT_AUTO_BUF struct kt_buf data = KT_BUF_INIT(KT_MAX_EVENT_BYTES);
	struct kt_jw w;

	kt_jw_init(&w, &data);
	kt_jw_obj(&w, NULL);
	kt_jw_obj(&w, "release");
	kt_write_release(&w, b->op, b->project, r, work->activated);
	kt_jw_obj_end(&w);
	if (r->state == KT_REL_FAILED) {
		kt_jw_obj(&w, "error");
		kt_jw_str(&w, "code", r->error_code);
		kt_jw_str(&w, "message", r->error);
		kt_jw_obj_end(&w);
	} else {
		kt_jw_null(&w, "error");
	}
	kt_jw_bool(&w, "activated", work->activated);
	kt_jw_bool(&w, "pinned", work->held != NULL);
	if (work->replaced_by)
		kt_jw_str(&w, "replaced_by", work->replaced_by);
	kt_jw_int(&w, "took_ms", took_ms(r, b));
	kt_jw_obj_end(&w);
	buildlog_append(b, KT_EV_RELEASE, &data);
}

/* What a build that ended well adds to the release object. */
static void write_outcome(
	struct kt_jw *w, const struct kt_release_row *row, const struct kt_build *b)
{
	const struct kt_build_work *work = b ? b->work : NULL;

	kt_jw_bool(w, "activated", work ? work->activated : row->activated_us > 0);
	kt_jw_int(w, "took_ms", took_ms(row, b));
}

void kt_release_answer(struct kt_op *op, const struct kt_project_mem *p,
	const struct kt_release_row *row, const struct kt_build *b)
{
	const struct kt_build_work *work = b ? b->work : NULL;
	KT_AUTO_BUF struct kt_buf extra = KT_BUF_INIT(KT_MAX_EVENT_BYTES);
	struct kt_jw w;

	if (row->state == KT_REL_FAILED) {
		const char *why = row->error ? row->error : "the build failed";

		kt_jw_init(&w, &extra);
		kt_jw_obj(&w, NULL);
		kt_jw_obj(&w, "release");
		kt_write_release(&w, op, p, row, false);
		kt_jw_obj_end(&w);
		kt_jw_obj(&w, "error");
		kt_jw_str(&w, "code", row->error_code);
		kt_jw_str(&w, "message", why);
		kt_jw_obj_end(&w);
		kt_jw_obj_end(&w);
		kt_op_fail(op, KT_EINVAL, 422, "build_failed",
			kt_buf_ok(&extra) ? kt_arena_strdup(op->arena, extra.ptr) : NULL, "%s",
			work && work->findings ? work->findings : why);
		return;
	}
	kt_buf_clear(&op->json);
	kt_jw_init(&w, &op->json);
	kt_jw_obj(&w, NULL);
	kt_write_release(&w, op, p, row, row->state == KT_REL_ACTIVE);
	write_outcome(&w, row, b);
	kt_jw_obj_end(&w);
	op->answer.status = 201;
	kt_op_end(op, KT_OK, NULL);
}

static void answer_waiters(struct kt_build *b)
{
	struct kt_build_work *work = b->work;

	while (b->waiters.len > 0) {
		struct kt_op *op = kt_vec_remove(&b->waiters, 0);

		if (work->canceled)
			kt_op_fail(op, KT_ENOTFOUND, 404, "project_not_found", NULL,
				"the project was deleted");
		else
			kt_release_answer(op, b->project, b->row, b);
	}
}

void kt_build_over(struct kt_build *b)
{
	const struct kt_build_work *work = b->work;

	if (!work->canceled)
		append_release(b);
	answer_waiters(b);
	b->project = NULL;
	kt_op_end(KT_STEAL(b->op), KT_OK, NULL);
	start_linger(b);
}

void kt_build_free(struct kt_build *b)
{
	kt_timer_free(b->linger);
	kt_evlog_free(b->log);
	kt_vec_release(&b->waiters);
	kt_arena_free(b->arena);
	free(b);
}

/* --- asking ------------------------------------------------------------------------------ */

struct find {
	const char *project_id, *word;
	struct kt_project_row project;
	struct kt_release_row row;
};

static enum kt_code find_release(struct kt_tx *tx, struct kt_op *op, struct kt_err *err)
{
	struct find *f = op->data;
	enum kt_code rc = kt_project_find(tx, op, f->project_id, &f->project, err);

	if (rc != KT_OK)
		return rc;
	return kt_release_find(tx, op, &f->project, f->word, &f->row, err);
}

static bool is_build(const struct kt_build *b, const struct kt_project_mem *p, const char *word)
{
	char version[24];

	(void)snprintf(version, sizeof(version), "v%lld", (long long)b->version);
	return !strcmp(b->row->project_id, p->id) &&
		(!strcmp(b->release_id, word) || !strcmp(version, word));
}

static struct kt_build *known_build(
	struct kt_control *ctl, const struct kt_project_mem *p, const char *word)
{
	struct kt_build *b = kt_map_get(&ctl->builds, word);
	size_t pos = 0;
	const char *key;
	void *value;

	if (b)
		return is_build(b, p, word) ? b : NULL;
	while (kt_map_next(&ctl->builds, &pos, &key, &value)) {
		if (is_build(value, p, word))
			return value;
	}
	return NULL;
}

/* Open the log of a build that ended long ago; it stays for a while, as after its end. */
static enum kt_code open_old(struct kt_control *ctl, const struct kt_release_row *row,
	struct kt_build **out, struct kt_err *err)
{
	KT_AUTOFREE char *path = buildlog_path(ctl, row->id);
	struct kt_build *b;
	enum kt_code rc;

	if (!kt_fs_is_file(path))
		return kt_fail(err, KT_ENOTFOUND, 0, "the log of v%lld is no longer kept",
			(long long)row->version);
	b = kt_calloc(1, sizeof(*b));
	b->ctl = ctl;
	b->arena = kt_arena_new();
	b->row = kt_release_copy(b->arena, row);
	b->work = kt_arena_alloc(b->arena, sizeof(struct kt_build_work));
	(void)kt_str_copy(b->release_id, sizeof(b->release_id), row->id);
	b->version = row->version;
	rc = kt_build_open_log(b, err);
	if (rc != KT_OK) {
		kt_build_free(b);
		return rc;
	}
	(void)kt_map_set(&ctl->builds, b->release_id, b);
	start_linger(b);
	*out = b;
	return KT_OK;
}

static void release_found(struct kt_op *op, enum kt_code rc, const struct kt_err *err)
{
	const struct find *f = op->data;
	struct kt_err why = *err;
	struct kt_build *b;

	if (rc == KT_OK && !kt_map_get(&op->ctl->builds, f->row.id))
		rc = open_old(op->ctl, &f->row, &b, &why);
	kt_op_end(op, rc, &why);
}

void kt_control_build_find(struct kt_control *ctl, const struct kt_actor *a, const char *ref,
	const char *release, kt_result_fn fn, void *arg)
{
	struct kt_op *op = kt_op_new(ctl, a, NULL, fn, arg);
	struct kt_project_mem *p = kt_op_project(op, ref);
	struct find *f = kt_arena_alloc(op->arena, sizeof(*f));

	if (!p)
		return;
	if (known_build(ctl, p, release)) {
		kt_op_end(op, KT_OK, NULL);
		return;
	}
	f->project_id = kt_arena_strdup(op->arena, p->id);
	f->word = kt_arena_strdup(op->arena, release);
	op->data = f;
	kt_op_step(op, KT_STEP_READ, find_release, release_found);
}

enum kt_code kt_control_build_log(struct kt_control *ctl, const struct kt_actor *a, const char *ref,
	const char *release, struct kt_build_log *out, struct kt_err *err)
{
	struct kt_project_mem *p = kt_index_project(ctl, a->who ? a->who->org_id : "", ref);
	struct kt_build *b;

	if (!p)
		return kt_fail(err, KT_ENOTFOUND, 0, "there is no such project");
	b = known_build(ctl, p, release);
	if (!b)
		return kt_fail(err, KT_ENOTFOUND, 0, "no such build");
	if (!b->log)
		return kt_fail(
			err, KT_EIO, 0, "the log of v%lld cannot be read", (long long)b->version);
	*out = (struct kt_build_log){ b->log, b->version, b->over };
	return KT_OK;
}
