/* SPDX-License-Identifier: MIT */
/*
 * One log a project: what happened to it, in order, kept for a time and a size. It is opened when a
 * line or a reader comes and closed when nothing came for a while. Credentials and the values of
 * the project's own configuration are taken out before a line is written, and before it is cut.
 */
#include "control/control_private.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
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
#define MIN_SECRET 8 /* shorter values are words that lines are full of */
#define MIN_SECRET_LINE 16 /* a line of a longer value, such as a certificate */
#define EMPTY_BYTES 256 /* a log file without lines has its first line only */
#define SECRET_VERSIONS 5 /* of the configuration: older releases still run with them */

static char *log_path(const struct kt_control *ctl, const char *project_id)
{
	return kt_asprintf("%s/logs/%s.log", ctl->data_dir, project_id);
}

/* --- what must not be written ------------------------------------------------------------ */

static void add_secret(struct kt_project_mem *p, const char *s, size_t len)
{
	char *copy = kt_strndup(s, len);

	if (kt_map_get(&p->secrets, copy)) {
		kt_secret_wipe(copy, len);
		free(copy);
		return;
	}
	(void)kt_map_set(&p->secrets, copy, copy);
}

void kt_log_secret(struct kt_project_mem *p, const char *value)
{
	size_t len = strlen(value);

	if (len < MIN_SECRET)
		return;
	add_secret(p, value, len);
	if (!strchr(value, '\n'))
		return;
	for (const char *s = value; *s;) {
		size_t n = strcspn(s, "\r\n");

		if (n >= MIN_SECRET_LINE)
			add_secret(p, s, n);
		s += n;
		s += strspn(s, "\r\n");
	}
}

static void forget_secrets(struct kt_project_mem *p)
{
	size_t pos = 0;
	const char *key;
	void *value;

	while (kt_map_next(&p->secrets, &pos, &key, &value)) {
		kt_secret_wipe(value, strlen(value));
		free(value);
	}
	kt_map_release(&p->secrets);
	p->secrets_loaded = false;
}

struct load {
	struct kt_control *ctl;
	struct kt_project_mem *p;
	struct kt_arena *arena;
};

static enum kt_code load_work(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	struct load *l = arg;
	int64_t last = l->p->config_version;
	enum kt_code rc = KT_OK;

	for (int64_t v = last; v > 0 && v > last - SECRET_VERSIONS && rc == KT_OK; v--) {
		struct kt_config_row *rows;
		size_t n = 0;

		rc = kt_tx_config(tx, l->arena, l->p->id, v, &rows, &n, err);
		for (size_t i = 0; rc == KT_OK && i < n; i++) {
			KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_MAX_CONFIG_VALUE_BYTES);

			rc = kt_unseal(l->ctl->master,
				kt_config_context(l->arena, l->p->org->id, l->p->id, rows[i].name),
				rows[i].value, rows[i].value_len, &b, err);
			if (rc == KT_OK)
				kt_log_secret(l->p, b.ptr);
			if (b.len)
				kt_secret_wipe(b.ptr, b.len);
		}
	}
	return rc;
}

/* Some microseconds from the page cache, once in a project's lifetime in memory. */
static enum kt_code load_secrets(
	struct kt_control *ctl, struct kt_project_mem *p, struct kt_err *err)
{
	KT_AUTO_ARENA struct kt_arena *arena = kt_arena_new();
	struct load l = { .ctl = ctl, .p = p, .arena = arena };
	enum kt_code rc = KT_OK;

	if (p->secrets_loaded)
		return KT_OK;
	if (p->config_version > 0)
		rc = ctl->store ? kt_store_do(ctl->store, false, load_work, &l, err)
				: kt_fail(err, KT_EUNAVAIL, 0, "the server is shutting down");
	p->secrets_loaded = rc == KT_OK;
	return rc;
}

/* The first place in len bytes of s where a secret begins. */
static const char *next_secret(
	const struct kt_project_mem *p, const char *s, size_t len, size_t *out_n)
{
	const char *first = NULL;
	size_t pos = 0;
	const char *key;
	void *value;

	*out_n = 0;
	while (kt_map_next(&p->secrets, &pos, &key, &value)) {
		size_t n = strlen(value);
		const char *at = n <= len ? memmem(s, len, value, n) : NULL;

		/* Of two that begin together the longer one. */
		if (at && (!first || at < first || (at == first && n > *out_n))) {
			first = at;
			*out_n = n;
		}
	}
	return first;
}

/* Append text without secrets until out has MAX_RAW_LINE bytes; a secret is never cut in two. */
static void mask(const struct kt_project_mem *p, const char *text, struct kt_buf *out)
{
	size_t left = strlen(text);

	while (left > 0 && out->len < MAX_RAW_LINE) {
		size_t room = MAX_RAW_LINE - out->len;
		size_t look = KT_MIN(left, room + KT_MAX_CONFIG_VALUE_BYTES);
		size_t n;
		const char *at = next_secret(p, text, look, &n);
		size_t plain = at ? (size_t)(at - text) : KT_MIN(left, room);

		if (plain > room) {
			kt_buf_add(out, text, room);
			return;
		}
		kt_buf_add(out, text, plain);
		if (at)
			kt_buf_adds(out, "***");
		text += plain + n;
		left -= plain + n;
	}
}

/* --- opening and closing ----------------------------------------------------------------- */

static enum kt_code open_file(struct kt_control *ctl, struct kt_project_mem *p, struct kt_err *err)
{
	KT_AUTOFREE char *path = log_path(ctl, p->id);
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

static enum kt_code open_log(struct kt_control *ctl, struct kt_project_mem *p, struct kt_err *err)
{
	/* Without knowing what is secret nothing is written. */
	enum kt_code rc = load_secrets(ctl, p, err);

	if (rc == KT_OK && !p->log)
		rc = open_file(ctl, p, err);
	if (rc == KT_OK)
		p->log_used_ms = kt_loop_now_ms(ctl->loop);
	return rc;
}

/* What is secret stays known: of a release's own env it is told only once. */
static void close_file(struct kt_project_mem *p)
{
	kt_evlog_free(p->log);
	p->log = NULL;
}

void kt_log_close(struct kt_control *ctl, struct kt_project_mem *p, bool remove)
{
	KT_AUTOFREE char *path = log_path(ctl, p->id);

	if (p->log && remove)
		kt_evlog_detach(p->log);
	close_file(p);
	forget_secrets(p);
	if (remove && unlink(path) != 0 && errno != ENOENT)
		kt_log(KT_LOG_WARN, "control", "cannot remove %s", path);
}

void kt_logs_free(struct kt_control *ctl)
{
	size_t pos = 0;
	const char *key;
	void *value;

	while (kt_map_next(&ctl->projects, &pos, &key, &value))
		kt_log_close(ctl, value, false);
}

/* --- lines ------------------------------------------------------------------------------- */

static void render(struct kt_buf *b, const struct kt_log_line *line, const char *text)
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

void kt_control_log(struct kt_control *ctl, const struct kt_log_line *line)
{
	/* A line of control characters is six times as long in JSON. */
	KT_AUTO_BUF struct kt_buf data = KT_BUF_INIT(8 * MAX_LINE);
	KT_AUTO_BUF struct kt_buf plain = KT_BUF_INIT(MAX_RAW_LINE + 16);
	KT_AUTO_BUF struct kt_buf known = KT_BUF_INIT(2 * MAX_RAW_LINE);
	KT_AUTO_BUF struct kt_buf safe = KT_BUF_INIT(4 * MAX_RAW_LINE);
	struct kt_project_mem *p = line->project_id ? kt_map_get(&ctl->projects, line->project_id)
						    : NULL;
	struct kt_event_draft ev = { .type = KT_EV_LOG };
	struct kt_err err = KT_ERR_INIT;
	char text[MAX_LINE + 1];

	if (!p || !line->text)
		return;
	if (open_log(ctl, p, &err) != KT_OK) {
		kt_log(KT_LOG_WARN, "control", "log of %s: %s", p->slug, err.msg);
		return;
	}
	mask(p, line->text, &plain);
	kt_redact_add(&known, plain.ptr, plain.len);
	kt_redact_local_add(&safe, known.ptr, known.len);
	while (safe.len > 0 && (safe.ptr[safe.len - 1] == '\n' || safe.ptr[safe.len - 1] == '\r'))
		kt_buf_truncate(&safe, safe.len - 1);
	if (!kt_str_copy(text, sizeof(text), safe.ptr))
		memcpy(text + strlen(text) - 3, "...", 3);
	render(&data, line, text);
	if (!kt_buf_ok(&data))
		return;
	ev.data = data.ptr;
	ev.data_len = data.len;
	(void)kt_evlog_append(p->log, &ev);
}

enum kt_code kt_control_project_log(struct kt_control *ctl, const struct kt_actor *a,
	const char *ref, struct kt_evlog **out, struct kt_err *err)
{
	struct kt_project_mem *p = a->who ? kt_index_project(ctl, a->who->org_id, ref) : NULL;
	enum kt_code rc;

	if (!p)
		return kt_fail(err, KT_ENOTFOUND, 0, "no such project");
	rc = open_log(ctl, p, err);
	if (rc == KT_OK)
		*out = p->log;
	return rc;
}

/* --- retention --------------------------------------------------------------------------- */

static void trim(struct kt_control *ctl, struct kt_project_mem *p)
{
	int64_t before = kt_time_us() - ctl->cfg.max_log_ms * 1000;
	uint64_t max = (uint64_t)ctl->cfg.max_log_bytes;
	struct kt_err err = KT_ERR_INIT;
	uint64_t after = 0;
	bool large = kt_evlog_bytes(p->log) > max + max / 4;
	bool old = kt_evlog_last_seq(p->log) >= kt_evlog_first_seq(p->log) &&
		kt_evlog_last_seq(p->log) > 0 &&
		kt_evlog_seek_time(p->log, before, &after, &err) == KT_OK &&
		after >= kt_evlog_first_seq(p->log);

	/* Trimming copies what is kept, so a little too much is left first. */
	if ((large || old) && kt_evlog_trim(p->log, max, before, &err) != KT_OK)
		kt_log(KT_LOG_WARN, "control", "log of %s: %s", p->slug, err.msg);
}

/* Every file: those of deleted projects go, those without a line for long are emptied. */
static void look_at_files(struct kt_control *ctl)
{
	KT_AUTOFREE char *dir = kt_path_join(ctl->data_dir, "logs");
	int64_t old_s = (kt_time_us() - ctl->cfg.max_log_ms * 1000) / 1000000;
	char **names = NULL;
	size_t n = 0;

	if (kt_fs_list(dir, &names, &n, NULL) != KT_OK)
		return;
	for (size_t i = 0; i < n; i++) {
		KT_AUTOFREE char *path = kt_path_join(dir, names[i]);
		KT_AUTOFREE char *id = kt_strndup(names[i], strcspn(names[i], "."));
		struct kt_project_mem *p = kt_map_get(&ctl->projects, id);
		struct kt_err err = KT_ERR_INIT;
		struct stat st;

		if (stat(path, &st) != 0)
			continue;
		if (!p) {
			(void)unlink(path);
			continue;
		}
		if (p->log || !kt_str_ends(names[i], ".log") || st.st_size <= EMPTY_BYTES ||
			st.st_mtim.tv_sec >= old_s)
			continue;
		if (open_log(ctl, p, &err) != KT_OK || kt_evlog_expire(p->log, &err) != KT_OK)
			kt_log(KT_LOG_WARN, "control", "log of %s: %s", p->slug, err.msg);
	}
	kt_fs_names_free(names, n);
}

void kt_logs_sweep(struct kt_control *ctl)
{
	int64_t now = kt_loop_now_ms(ctl->loop);
	size_t pos = 0;
	const char *key;
	void *value;

	while (kt_map_next(&ctl->projects, &pos, &key, &value)) {
		struct kt_project_mem *p = value;

		if (!p->log)
			continue;
		trim(ctl, p);
		if (now - p->log_used_ms < IDLE_MS)
			continue;
		if (kt_evlog_readers(p->log) > 0)
			kt_evlog_idle(p->log);
		else
			close_file(p);
	}
	if (ctl->log_pass_ms == 0 ||
		now - ctl->log_pass_ms >= KT_MIN(PASS_MS, ctl->cfg.max_log_ms)) {
		ctl->log_pass_ms = now;
		look_at_files(ctl);
	}
}
