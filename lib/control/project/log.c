/* SPDX-License-Identifier: MIT */
/*
 * One log a project: what happened to it, in order, kept for a time and a size. It is opened when a
 * line or a reader comes and closed when nothing came for a while. Credentials and the values of
 * the project's own configuration are taken out before a line is written, and before it is cut.
 */
#include "control/project/project_private.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "store/datadir.h"
#include "text/clean.h"
#include "text/redact.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_LINE 8192
/* Redaction shortens: a line is cut for good afterwards, and never through a credential. */
#define MAX_RAW_LINE ((size_t)65536)
#define LOG_MEMORY_BYTES ((size_t)256 * 1024) /* older lines are read from the file */
#define IDLE_MS 60000
#define PASS_MS (6 * 3600 * (int64_t)1000)
#define MAX_WAITING_BYTES ((size_t)1024 * 1024) /* of lines while it is read what is secret */
#define SLICE_PROJECTS 2000 /* looked at in one go */
#define SLICE_LOGS 32 /* of those, whose log is open: one is looked at in some ten microseconds */
#define EMPTY_BYTES 256 /* a log file without lines has its first line only */
#define SECRET_VERSIONS 5 /* of the configuration: older releases still run with them */

static char *project_log_path(const struct kt_control *ctl, const char *project_id)
{
	return kt_data_project_log(ctl->data_dir, project_id);
}

/* --- what must not be written ------------------------------------------------------------ */

void kt_log_secret(struct kt_project_mem *p, const char *value)
{
	kt_masks_add(&p->secrets, value);
}

/* Of the thread while it runs. */
struct load {
	struct kt_control *ctl;
	char org_id[KT_ID_MAX], project_id[KT_ID_MAX];
	int64_t version;
	struct kt_arena *arena;
	struct kt_masks secrets;
};

static enum kt_code load_work(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	struct load *l = arg;
	enum kt_code rc = KT_OK;

	for (int64_t v = l->version; v > 0 && v > l->version - SECRET_VERSIONS && rc == KT_OK;
		v--) {
		struct kt_config_row *rows;
		size_t n = 0;

		rc = kt_tx_config(tx, l->arena, l->project_id, v, &rows, &n, err);
		for (size_t i = 0; rc == KT_OK && i < n; i++) {
			KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_MAX_CONFIG_VALUE_BYTES);

			rc = kt_unseal(l->ctl->master,
				kt_config_context(l->arena, l->org_id, l->project_id, rows[i].name),
				rows[i].value, rows[i].value_len, &b, err);
			if (rc == KT_OK)
				kt_masks_add(&l->secrets, b.ptr);
			if (b.len)
				kt_secret_wipe(b.ptr, b.len);
		}
	}
	return rc;
}

static enum kt_code load_task(void *arg, struct kt_err *err)
{
	struct load *l = arg;

	return kt_store_do(l->ctl->store, false, load_work, l, err);
}

static struct load *load_new(struct kt_control *ctl, const struct kt_project_mem *p)
{
	struct load *l = kt_calloc(1, sizeof(*l));

	l->ctl = ctl;
	l->version = p->config_version;
	l->arena = kt_arena_new();
	(void)kt_str_copy(l->org_id, sizeof(l->org_id), p->org->id);
	(void)kt_str_copy(l->project_id, sizeof(l->project_id), p->id);
	return l;
}

static void load_free(struct load *l)
{
	kt_masks_release(&l->secrets);
	kt_arena_free(l->arena);
	free(l);
}

/* What the thread found, and what was told meanwhile. */
static void take_secrets(struct kt_project_mem *p, struct load *l)
{
	kt_masks_take(&l->secrets, &p->secrets);
	p->secrets = l->secrets;
	l->secrets = (struct kt_masks){ 0 };
	p->secrets_loaded = true;
}

/* Lines of before the secrets were known; err: they cannot be, and nothing is written. */
static void write_waiting(
	struct kt_control *ctl, struct kt_project_mem *p, const struct kt_err *err);

static void log_loaded(void *arg, enum kt_code rc, const struct kt_err *err)
{
	struct load *l = arg;
	struct kt_control *ctl = l->ctl;
	struct kt_project_mem *p = kt_map_get(&ctl->projects, l->project_id);

	if (p && p->secrets_loading) {
		p->secrets_loading = false;
		if (rc == KT_OK)
			take_secrets(p, l);
		write_waiting(ctl, p, rc == KT_OK ? NULL : err);
	}
	load_free(l);
}

/*
 * True when it is known what is secret, else it is being read: on a thread, as there may be
 * megabytes of it.
 */
static bool knows_secrets(struct kt_control *ctl, struct kt_project_mem *p)
{
	if (p->config_version <= 0)
		p->secrets_loaded = true;
	if (p->secrets_loaded || p->secrets_loading)
		return p->secrets_loaded;
	p->secrets_loading = true;
	kt_task_run(ctl, &(struct kt_task_for){ p->org->id, KT_WORK_SHORT, 0, true }, load_task,
		log_loaded, load_new(ctl, p));
	return false;
}

struct kt_log_files;
static void files_free(struct kt_log_files *f);

/* --- opening and closing ----------------------------------------------------------------- */

static enum kt_code open_file(struct kt_control *ctl, struct kt_project_mem *p, struct kt_err *err)
{
	KT_AUTOFREE char *path = project_log_path(ctl, p->id);
	KT_AUTOFREE char *damaged = kt_asprintf("%s.damaged", path);
	struct kt_evlog_config cfg = {
		.path = path,
		.session_id = p->id,
		.id_key = "project",
		.max_memory_bytes = LOG_MEMORY_BYTES,
	};
	enum kt_code rc = kt_evlog_open(ctl->loop, &cfg, &p->log, err);

	if (rc != KT_EPROTO)
		return rc;
	/* It must not keep the project from having a log at all. */
	kt_log(KT_LOG_ERROR, "control", "%s is damaged: put aside, begun anew", path);
	if (rename(path, damaged) != 0)
		return kt_fail(err, KT_EIO, errno, "cannot rename '%s'", path);
	return kt_evlog_open(ctl->loop, &cfg, &p->log, err);
}

static enum kt_code project_log_open(
	struct kt_control *ctl, struct kt_project_mem *p, struct kt_err *err)
{
	enum kt_code rc = p->log ? KT_OK : open_file(ctl, p, err);

	if (rc == KT_OK)
		p->log_used_ms = kt_loop_now_ms(ctl->loop);
	return rc;
}

/* What is secret stays known: of a release's own env it is told only once. */
static void close_file(struct kt_project_mem *p)
{
	p->trim = NULL;
	kt_evlog_free(p->log);
	p->log = NULL;
}

static void drop_waiting(struct kt_project_mem *p)
{
	for (size_t i = 0; i < p->log_waiting.len; i++)
		free(p->log_waiting.items[i]);
	kt_vec_release(&p->log_waiting);
	p->log_waiting_bytes = 0;
	p->log_lost = 0;
}

static void project_log_close(struct kt_control *ctl, struct kt_project_mem *p, bool remove)
{
	KT_AUTOFREE char *path = project_log_path(ctl, p->id);

	if (p->log && remove)
		kt_evlog_detach(p->log);
	close_file(p);
	drop_waiting(p);
	kt_masks_release(&p->secrets);
	p->secrets_loaded = p->secrets_loading = false;
	if (remove && unlink(path) != 0 && errno != ENOENT)
		kt_log(KT_LOG_WARN, "control", "cannot remove %s", path);
}

void kt_log_drop(struct kt_control *ctl, struct kt_project_mem *p)
{
	project_log_close(ctl, p, p->deleted);
}

void kt_logs_free(struct kt_control *ctl)
{
	size_t pos = 0;
	const char *key;
	void *value;

	kt_timer_free(KT_STEAL(ctl->logs.timer));
	files_free(KT_STEAL(ctl->logs.files));
	while (kt_map_next(&ctl->projects, &pos, &key, &value))
		project_log_close(ctl, value, false);
}

/* --- lines ------------------------------------------------------------------------------- */

static void log_line_render(struct kt_buf *b, const struct kt_log_line *line, const char *text)
{
	char version[24];
	struct kt_jw w;

	(void)snprintf(version, sizeof(version), "v%lld", (long long)line->version);
	kt_jw_init(&w, b);
	kt_jw_obj(&w, NULL);
	kt_jw_str(&w, "level", line->level ? line->level : "info");
	kt_jw_str(&w, "source", line->source ? line->source : "api");
	kt_jw_str(&w, "text", text);
	kt_jw_str(&w, "release", line->version > 0 ? version : NULL);
	kt_jw_str(&w, "session_id", line->session_id);
	kt_jw_str(&w, "request_id", line->request_id);
	kt_jw_obj_end(&w);
}

static void log_line_write(
	struct kt_control *ctl, struct kt_project_mem *p, const struct kt_log_line *line)
{
	/* A line of control characters is six times as long in JSON. */
	KT_AUTO_BUF struct kt_buf data = KT_BUF_INIT(8 * MAX_LINE);
	KT_AUTO_BUF struct kt_buf plain = KT_BUF_INIT(MAX_RAW_LINE + 16);
	KT_AUTO_BUF struct kt_buf known = KT_BUF_INIT(2 * MAX_RAW_LINE);
	KT_AUTO_BUF struct kt_buf safe = KT_BUF_INIT(4 * MAX_RAW_LINE);
	KT_AUTO_BUF struct kt_buf shown = KT_BUF_INIT(16 * MAX_RAW_LINE);
	struct kt_event_draft ev = { .type = KT_EV_LOG };
	struct kt_err err = KT_ERR_INIT;
	char text[MAX_LINE + 1];

	if (project_log_open(ctl, p, &err) != KT_OK) {
		kt_log(KT_LOG_WARN, "control", "log of %s: %s", p->slug, err.msg);
		return;
	}
	kt_masks_apply(&p->secrets, line->text, strlen(line->text), MAX_RAW_LINE, &plain);
	kt_redact_add(&known, plain.ptr, plain.len);
	kt_redact_local_add(&safe, known.ptr, known.len);
	while (safe.len > 0 && (safe.ptr[safe.len - 1] == '\n' || safe.ptr[safe.len - 1] == '\r'))
		kt_buf_truncate(&safe, safe.len - 1);
	kt_clean_add(&shown, safe.ptr, safe.len, false);
	if (!kt_str_copy(text, sizeof(text), shown.ptr))
		memcpy(text + strlen(text) - 3, "...", 3);
	log_line_render(&data, line, text);
	if (!kt_buf_ok(&data))
		return;
	ev.data = data.ptr;
	ev.data_len = data.len;
	(void)kt_evlog_append(p->log, &ev);
}

/* A copy in one piece. */
static struct kt_log_line *line_copy(const struct kt_log_line *line, size_t *out_bytes)
{
	const char *from[] = { line->level, line->source, line->session_id, line->request_id,
		line->text };
	size_t len[KT_ARRAY_LEN(from)], size = sizeof(*line);
	const char *to[KT_ARRAY_LEN(from)];
	struct kt_log_line *copy;
	char *at;

	for (size_t i = 0; i < KT_ARRAY_LEN(from); i++) {
		len[i] = from[i] ? strlen(from[i]) : 0;
		size += len[i] + 1;
	}
	copy = kt_malloc(size);
	at = (char *)(copy + 1);
	for (size_t i = 0; i < KT_ARRAY_LEN(from); i++) {
		to[i] = from[i] ? at : NULL;
		if (from[i])
			memcpy(at, from[i], len[i]);
		at[len[i]] = '\0';
		at += len[i] + 1;
	}
	*copy = (struct kt_log_line){ .level = to[0],
		.source = to[1],
		.version = line->version,
		.session_id = to[2],
		.request_id = to[3],
		.text = to[4] };
	*out_bytes = size;
	return copy;
}

static void write_waiting(
	struct kt_control *ctl, struct kt_project_mem *p, const struct kt_err *err)
{
	char lost[64];

	if (err && p->log_waiting.len)
		kt_log(KT_LOG_WARN, "control", "log of %s: %s", p->slug, err->msg);
	for (size_t i = 0; !err && i < p->log_waiting.len; i++)
		log_line_write(ctl, p, p->log_waiting.items[i]);
	if (!err && p->log_lost) {
		(void)snprintf(
			lost, sizeof(lost), "%zu lines came too fast and are missing", p->log_lost);
		log_line_write(ctl, p, &(struct kt_log_line){ .level = "warn", .text = lost });
	}
	drop_waiting(p);
}

void kt_control_log(struct kt_control *ctl, const struct kt_log_line *line)
{
	struct kt_project_mem *p = line->project_id ? kt_map_get(&ctl->projects, line->project_id)
						    : NULL;
	struct kt_log_line *copy;
	size_t bytes;

	if (!p || !line->text)
		return;
	/* Without knowing what is secret nothing is written. */
	if (knows_secrets(ctl, p)) {
		log_line_write(ctl, p, line);
		return;
	}
	copy = line_copy(line, &bytes);
	/* It may have been answered at once: the server ends. */
	if (!p->secrets_loading || p->log_waiting_bytes + bytes > MAX_WAITING_BYTES) {
		p->log_lost += p->secrets_loading;
		free(copy);
		return;
	}
	p->log_waiting_bytes += bytes;
	kt_vec_push(&p->log_waiting, copy);
}

void kt_logs_settle(struct kt_control *ctl)
{
	size_t pos = 0;
	const char *key;
	void *value;

	while (kt_map_next(&ctl->projects, &pos, &key, &value)) {
		struct kt_project_mem *p = value;
		struct kt_err err = KT_ERR_INIT;
		struct load *l;
		enum kt_code rc;

		if (!p->log_waiting.len || !ctl->store)
			continue;
		l = load_new(ctl, p);
		rc = load_task(l, &err);
		p->secrets_loading = false;
		if (rc == KT_OK)
			take_secrets(p, l);
		write_waiting(ctl, p, rc == KT_OK ? NULL : &err);
		load_free(l);
	}
}

enum kt_code kt_control_project_log(struct kt_control *ctl, const struct kt_actor *a,
	const char *ref, struct kt_evlog **out, struct kt_err *err)
{
	struct kt_project_mem *p = a->who ? kt_index_project(ctl, a->who->org_id, ref) : NULL;
	enum kt_code rc;

	if (!p)
		return kt_fail(err, KT_ENOTFOUND, 0, "there is no such project");
	rc = project_log_open(ctl, p, err);
	if (rc == KT_OK)
		*out = p->log;
	return rc;
}

/* --- retention --------------------------------------------------------------------------- */

struct kt_log_trim {
	struct kt_control *ctl;
	char org_id[KT_ID_MAX], project_id[KT_ID_MAX];
	struct kt_evtrim of;
};

static enum kt_code trim_work(void *arg, struct kt_err *err)
{
	struct kt_log_trim *t = arg;

	return kt_evtrim_copy(&t->of, err);
}

static void trim_copied(void *arg, enum kt_code rc, const struct kt_err *why)
{
	struct kt_log_trim *t = arg;
	struct kt_control *ctl = t->ctl;
	struct kt_project_mem *p = kt_map_get(&ctl->projects, t->project_id);
	struct kt_err err = *why;
	bool more = false;

	/* NULL: its log was closed meanwhile. */
	if (p && p->trim != t)
		p = NULL;
	if (p && rc == KT_OK)
		rc = kt_evtrim_end(p->log, &t->of, &more, &err);
	if (p && rc == KT_OK && more) {
		kt_task_run(ctl, &(struct kt_task_for){ t->org_id, KT_WORK_LONG, 0, true },
			trim_work, trim_copied, t);
		return;
	}
	if (p && rc != KT_OK && rc != KT_ECANCEL)
		kt_log(KT_LOG_WARN, "control", "log of %s: %s", p->slug, err.msg);
	if (p)
		p->trim = NULL;
	kt_evtrim_release(&t->of);
	free(t);
}

/* Copying what is kept takes a while, so a little too much is left first. */
static void project_log_trim(struct kt_control *ctl, struct kt_project_mem *p)
{
	int64_t before = kt_time_us() - ctl->cfg.max_log_ms * 1000;
	uint64_t max = (uint64_t)ctl->cfg.max_log_bytes;
	struct kt_err err = KT_ERR_INIT;
	bool needed = false;
	struct kt_log_trim *t;

	if (p->trim ||
		(kt_evlog_bytes(p->log) <= max + max / 4 && kt_evlog_begin_us(p->log) >= before))
		return;
	t = kt_calloc(1, sizeof(*t));
	t->ctl = ctl;
	(void)kt_str_copy(t->org_id, sizeof(t->org_id), p->org->id);
	(void)kt_str_copy(t->project_id, sizeof(t->project_id), p->id);
	if (kt_evtrim_begin(p->log, max, before, &t->of, &needed, &err) != KT_OK)
		kt_log(KT_LOG_WARN, "control", "log of %s: %s", p->slug, err.msg);
	if (!needed) {
		free(t);
		return;
	}
	p->trim = t;
	kt_task_run(ctl, &(struct kt_task_for){ t->org_id, KT_WORK_LONG, 0, true }, trim_work,
		trim_copied, t);
}

static void look_at_open(struct kt_control *ctl, struct kt_project_mem *p)
{
	project_log_trim(ctl, p);
	if (p->trim || kt_loop_now_ms(ctl->loop) - p->log_used_ms < IDLE_MS)
		return;
	if (kt_evlog_readers(p->log) > 0)
		kt_evlog_idle(p->log);
	else
		close_file(p);
}

/* The files of all logs, as a thread finds them. */
struct kt_log_files {
	struct kt_control *ctl;
	char *dir;
	int64_t old_s;
	char **names;
	size_t n, at;
	bool *old; /* by name: without a line for long */
};

static enum kt_code list_files(void *arg, struct kt_err *err)
{
	struct kt_log_files *f = arg;
	enum kt_code rc = kt_fs_list(f->dir, &f->names, &f->n, err);

	f->old = kt_calloc(f->n + 1, sizeof(*f->old));
	for (size_t i = 0; i < f->n; i++) {
		KT_AUTOFREE char *path = kt_path_join(f->dir, f->names[i]);
		struct stat st;

		f->old[i] = kt_str_ends(path, ".log") && stat(path, &st) == 0 &&
			st.st_size > EMPTY_BYTES && st.st_mtim.tv_sec < f->old_s;
	}
	return rc;
}

static void files_free(struct kt_log_files *f)
{
	if (!f)
		return;
	kt_fs_names_free(f->names, f->n);
	free(f->old);
	free(f->dir);
	free(f);
}

static void files_listed(void *arg, enum kt_code rc, const struct kt_err *err)
{
	struct kt_log_files *f = arg;
	struct kt_control *ctl = f->ctl;

	ctl->logs.listing = false;
	if (rc != KT_OK || ctl->closing) {
		if (rc != KT_OK && rc != KT_ECANCEL)
			kt_log(KT_LOG_WARN, "control", "logs: %s", err->msg);
		files_free(f);
		return;
	}
	ctl->logs.files = f;
	kt_timer_start(ctl->logs.timer, 0, 0);
}

/* Those of deleted projects go, those without a line for long are emptied. */
static void look_at_file(struct kt_control *ctl, const struct kt_log_files *f, size_t i)
{
	KT_AUTOFREE char *id = kt_strndup(f->names[i], strcspn(f->names[i], "."));
	struct kt_project_mem *p = kt_map_get(&ctl->projects, id);
	struct kt_err err = KT_ERR_INIT;

	if (!p) {
		KT_AUTOFREE char *path = kt_path_join(f->dir, f->names[i]);

		(void)unlink(path);
		return;
	}
	if (p->log || !f->old[i])
		return;
	if (project_log_open(ctl, p, &err) != KT_OK || kt_evlog_expire(p->log, &err) != KT_OK)
		kt_log(KT_LOG_WARN, "control", "log of %s: %s", p->slug, err.msg);
}

static void list_later(struct kt_control *ctl)
{
	struct kt_log_files *f = kt_calloc(1, sizeof(*f));

	ctl->logs.listing = true;
	ctl->logs.pass_ms = kt_loop_now_ms(ctl->loop);
	f->ctl = ctl;
	f->dir = kt_data_path(ctl->data_dir, KT_DATA_LOGS);
	f->old_s = (kt_time_us() - ctl->cfg.max_log_ms * 1000) / 1000000;
	kt_task_run(ctl, &(struct kt_task_for){ "", KT_WORK_SHORT, 0, true }, list_files,
		files_listed, f);
}

/* One slice: of the projects, then of the files. */
static void sweep_on(void *arg)
{
	struct kt_control *ctl = arg;
	struct kt_log_files *f = ctl->logs.files;
	const char *key;
	void *value;
	size_t n = 0, opened = 0;

	while (ctl->logs.walking && n++ < SLICE_PROJECTS && opened < SLICE_LOGS) {
		/* When the table grows meanwhile some are seen the next time. */
		ctl->logs.walking = kt_map_next(&ctl->projects, &ctl->logs.at, &key, &value);
		if (!ctl->logs.walking || !((struct kt_project_mem *)value)->log)
			continue;
		look_at_open(ctl, value);
		opened++;
	}
	for (n = 0; f && f->at < f->n && n < SLICE_LOGS; n++)
		look_at_file(ctl, f, f->at++);
	if (f && f->at == f->n)
		files_free(KT_STEAL(ctl->logs.files));
	if (ctl->logs.walking || ctl->logs.files)
		kt_timer_start(ctl->logs.timer, 0, 0);
}

void kt_logs_sweep(struct kt_control *ctl)
{
	int64_t now = kt_loop_now_ms(ctl->loop);

	if (ctl->closing)
		return;
	if (!ctl->logs.timer)
		ctl->logs.timer = kt_timer_new(ctl->loop, sweep_on, ctl);
	if (!ctl->logs.walking)
		ctl->logs.at = 0;
	ctl->logs.walking = true;
	if (!ctl->logs.listing && !ctl->logs.files &&
		(ctl->logs.pass_ms == 0 ||
			now - ctl->logs.pass_ms >= KT_MIN(PASS_MS, ctl->cfg.max_log_ms)))
		list_later(ctl);
	sweep_on(ctl);
}
