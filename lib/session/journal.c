/* SPDX-License-Identifier: MIT */
/*
 * The journal: sessions.jsonl, one JSON line for each change, the last one of a session counts. A
 * torn last line (crash in mid-write) is dropped. Written with one write(2) a line: what a client
 * was told survives a killed server.
 */
#include "session/session_private.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "text/json.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define JOURNAL_MAX_BYTES ((size_t)512 * 1024 * 1024)
#define LINE_MAX_BYTES (4 * 1024 * 1024) /* metadata, remembered approvals, participants */
#define COMPACT_LINES 1000 /* at start: rewrite when this many lines are out of date */
#define COMPACT_LINES_RUNNING 20000 /* while serving, where it costs a pause */

char *kt_session_dir(const struct kt_session *s)
{
	return kt_asprintf("%s/sessions/%s", s->reg->data_dir, s->id);
}

char *kt_session_log_path(const struct kt_session *s)
{
	return kt_asprintf("%s/sessions/%s/events.log", s->reg->data_dir, s->id);
}

static char *journal_path(const struct kt_sessions *reg)
{
	return kt_path_join(reg->data_dir, "sessions.jsonl");
}

static void write_session(struct kt_buf *b, const struct kt_session *s)
{
	struct kt_jw w;

	kt_jw_init(&w, b);
	kt_jw_obj(&w, NULL);
	kt_jw_str(&w, "id", s->id);
	kt_jw_raw(&w, "metadata", s->metadata, strlen(s->metadata));
	kt_jw_str(&w, "title", s->title);
	kt_jw_str(&w, "current_agent", s->current_agent);
	kt_jw_str(&w, "parent_id", s->parent_id);
	kt_jw_str(&w, "permission_mode", s->permission_mode);
	kt_jw_str(&w, "harness_session", s->harness_session);
	kt_jw_bool(&w, "prompted", s->prompted);
	kt_jw_int(&w, "created_us", s->created_us);
	kt_jw_int(&w, "updated_us", s->updated_us);
	kt_jw_int(&w, "turns", s->turns);
	kt_jw_int(&w, "last_seq", (int64_t)kt_session_last_seq(s));
	kt_jw_arr(&w, "open_turns");
	if (s->turn)
		kt_jw_str(&w, NULL, s->turn->id);
	for (size_t i = 0; i < s->queue.len; i++)
		kt_jw_str(&w, NULL, ((const struct kt_turn *)s->queue.items[i])->id);
	for (size_t i = 0; i < s->interrupted.len; i++)
		kt_jw_str(&w, NULL, s->interrupted.items[i]);
	kt_jw_arr_end(&w);
	kt_jw_arr(&w, "participants");
	for (size_t i = 0; i < s->participants.len; i++) {
		const struct kt_participant *p = s->participants.items[i];

		kt_jw_obj(&w, NULL);
		kt_jw_str(&w, "name", p->name);
		kt_jw_str(&w, "type", p->type);
		kt_jw_obj_end(&w);
	}
	kt_jw_arr_end(&w);
	kt_jw_arr(&w, "remembered");
	for (size_t i = 0; i < s->remembered.len; i++)
		kt_jw_str(&w, NULL, s->remembered.items[i]);
	kt_jw_arr_end(&w);
	kt_jw_obj_end(&w);
}

static void write_idem(
	struct kt_buf *b, const char *scope, const char *key, const struct kt_idem *what)
{
	struct kt_jw w;

	kt_jw_init(&w, b);
	kt_jw_obj(&w, NULL);
	kt_jw_str(&w, "idempotency_key", key);
	kt_jw_str(&w, "scope", scope);
	kt_jw_str(&w, "session", what->session_id);
	kt_jw_str(&w, "turn", what->turn_id);
	kt_jw_int(&w, "after_seq", (int64_t)what->after_seq);
	/* As text: JSON numbers are exact to 2^53 only. */
	kt_buf_addf(b, ",\"fingerprint\":\"%llu\"", (unsigned long long)what->fingerprint);
	kt_jw_int(&w, "at_us", what->at_us);
	kt_jw_obj_end(&w);
}

/* Rewrite the journal with what counts only. */
static enum kt_code compact(struct kt_sessions *reg, const char *path, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(JOURNAL_MAX_BYTES);

	for (size_t i = 0; i < reg->order.len; i++) {
		write_session(&b, reg->order.items[i]);
		kt_buf_addc(&b, '\n');
	}
	for (size_t i = 0; i < reg->idem_order.len; i++) {
		const char *full = reg->idem_order.items[i];
		const char *lf = strchr(full, '\n');
		KT_AUTOFREE char *scope = kt_strndup(full, (size_t)(lf - full));

		write_idem(&b, scope, lf + 1, kt_map_get(&reg->idem, full));
		kt_buf_addc(&b, '\n');
	}
	if (!kt_buf_ok(&b))
		return kt_fail(err, KT_ELIMIT, 0, "the session journal is too large");
	reg->journal_lines = reg->order.len + reg->idem_order.len;
	return kt_fs_write_atomic(path, b.ptr, b.len, 0600, false, err);
}

/* Open the journal for appending. */
static enum kt_code reopen(struct kt_sessions *reg, const char *path, struct kt_err *err)
{
	if (reg->journal_fd >= 0)
		close(reg->journal_fd);
	reg->journal_fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (reg->journal_fd < 0)
		return kt_fail(err, KT_EIO, errno, "cannot open '%s'", path);
	return KT_OK;
}

/* Rewrite the journal when most of it is out of date. */
static void maybe_compact(struct kt_sessions *reg)
{
	KT_AUTOFREE char *path = NULL;
	struct kt_err err = KT_ERR_INIT;
	size_t live = reg->order.len + reg->idem_order.len;

	if (reg->journal_lines < 2 * live + COMPACT_LINES_RUNNING)
		return;
	path = journal_path(reg);
	if (compact(reg, path, &err) != KT_OK || reopen(reg, path, &err) != KT_OK)
		kt_log(KT_LOG_ERROR, "session", "%s", err.msg);
}

static void append_line(struct kt_sessions *reg, struct kt_buf *b)
{
	struct kt_err err = KT_ERR_INIT;

	kt_buf_addc(b, '\n');
	if (!kt_buf_ok(b)) {
		kt_log(KT_LOG_ERROR, "session", "a journal line is too long and was not written");
		return;
	}
	if (reg->journal_fd < 0)
		return;
	if (kt_fs_write_all(reg->journal_fd, b->ptr, b->len, &err) != KT_OK)
		kt_log(KT_LOG_ERROR, "session", "cannot write the session journal: %s", err.msg);
	reg->journal_lines++;
	maybe_compact(reg);
}

void kt_journal_session(struct kt_sessions *reg, const struct kt_session *s)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(LINE_MAX_BYTES);

	write_session(&b, s);
	append_line(reg, &b);
}

void kt_journal_deleted(struct kt_sessions *reg, const char *id)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(256);

	kt_buf_addf(&b, "{\"id\":\"%s\",\"deleted\":true}", id);
	append_line(reg, &b);
}

void kt_journal_idem(
	struct kt_sessions *reg, const char *scope, const char *key, const struct kt_idem *what)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(LINE_MAX_BYTES);

	write_idem(&b, scope, key, what);
	append_line(reg, &b);
}

static char *dup_or_null(const char *s)
{
	return s ? kt_strdup(s) : NULL;
}

static void load_lists(struct kt_session *s, const cJSON *doc)
{
	const cJSON *it;

	cJSON_ArrayForEach (it, kt_json_arr(doc, "participants")) {
		struct kt_participant *p = kt_calloc(1, sizeof(*p));

		p->name = kt_strdup(kt_json_str_or(it, "name", ""));
		p->type = kt_strdup(kt_json_str_or(it, "type", "human"));
		kt_vec_push(&s->participants, p);
	}
	cJSON_ArrayForEach (it, kt_json_arr(doc, "open_turns")) {
		if (cJSON_IsString(it))
			kt_vec_push(&s->interrupted, kt_strdup(it->valuestring));
	}
	cJSON_ArrayForEach (it, kt_json_arr(doc, "remembered")) {
		if (cJSON_IsString(it))
			kt_vec_push(&s->remembered, kt_strdup(it->valuestring));
	}
}

static void load_session(struct kt_sessions *reg, const char *id, const cJSON *doc)
{
	struct kt_session *s = kt_map_get(&reg->by_id, id);
	KT_AUTO_BUF struct kt_buf meta = KT_BUF_INIT(LINE_MAX_BYTES);

	if (kt_json_bool(doc, "deleted", false)) {
		if (s)
			kt_session_free(s);
		return;
	}
	/* A later line replaces what the session holds, never its place in the order. */
	if (s)
		kt_session_clear(s);
	else
		s = kt_session_alloc(reg, id);
	kt_json_add(&meta, kt_json_obj(doc, "metadata"));
	free(s->metadata);
	s->metadata = kt_strdup(kt_json_obj(doc, "metadata") ? meta.ptr : "{}");
	s->title = dup_or_null(kt_json_str(doc, "title"));
	free(s->current_agent);
	s->current_agent = kt_strdup(kt_json_str_or(doc, "current_agent", "default"));
	s->parent_id = dup_or_null(kt_json_str(doc, "parent_id"));
	s->permission_mode = dup_or_null(kt_json_str(doc, "permission_mode"));
	s->harness_session = dup_or_null(kt_json_str(doc, "harness_session"));
	s->prompted = kt_json_bool(doc, "prompted", false);
	s->created_us = kt_json_int(doc, "created_us", 0);
	s->updated_us = kt_json_int(doc, "updated_us", 0);
	s->turns = (uint32_t)kt_json_int(doc, "turns", 0);
	s->last_seq = (uint64_t)kt_json_int(doc, "last_seq", 0);
	load_lists(s, doc);
}

static void load_idem(struct kt_sessions *reg, const char *key, const cJSON *doc)
{
	struct kt_idem what = { 0 };
	const char *fp = kt_json_str_or(doc, "fingerprint", "0");

	kt_str_copy(what.session_id, sizeof(what.session_id), kt_json_str_or(doc, "session", ""));
	kt_str_copy(what.turn_id, sizeof(what.turn_id), kt_json_str_or(doc, "turn", ""));
	what.after_seq = (uint64_t)kt_json_int(doc, "after_seq", 0);
	what.at_us = kt_json_int(doc, "at_us", 0);
	for (const char *p = fp; *p >= '0' && *p <= '9'; p++)
		what.fingerprint = what.fingerprint * 10 + (uint64_t)(*p - '0');
	if (kt_time_us() - what.at_us < (int64_t)KT_IDEMPOTENCY_MS * 1000)
		kt_idem_put(reg, kt_json_str_or(doc, "scope", ""), key, &what);
}

static void load_line(struct kt_sessions *reg, const char *line, size_t len)
{
	KT_AUTO_JSON cJSON *doc = NULL;
	struct kt_err err = KT_ERR_INIT;
	const char *id, *key;

	if (kt_json_parse(line, len, KT_JSON_LENIENT, &doc, &err) != KT_OK) {
		kt_log(KT_LOG_WARN, "session", "a line of the session journal is damaged: %s",
			err.msg);
		return;
	}
	reg->journal_lines++;
	id = kt_json_str(doc, "id");
	key = kt_json_str(doc, "idempotency_key");
	if (id && kt_str_starts(id, "sess_") && strlen(id) < KT_ID_MAX)
		load_session(reg, id, doc);
	else if (key)
		load_idem(reg, key, doc);
}

enum kt_code kt_journal_load(struct kt_sessions *reg, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(JOURNAL_MAX_BYTES);
	KT_AUTOFREE char *path = journal_path(reg);
	struct kt_err ignored = KT_ERR_INIT;
	enum kt_code rc = kt_fs_read(path, &b, &ignored);
	size_t kept = 0;

	if (rc != KT_OK && rc != KT_ENOTFOUND) {
		if (err)
			*err = ignored;
		return rc;
	}
	reg->journal_fd = -1; /* nothing is written while loading */
	for (size_t at = 0; at < b.len;) {
		char *lf = memchr(b.ptr + at, '\n', b.len - at);

		if (!lf)
			break;
		load_line(reg, b.ptr + at, (size_t)(lf - (b.ptr + at)));
		at = (size_t)(lf - b.ptr) + 1;
		kept = at;
	}
	if (kept < b.len ||
		reg->journal_lines > reg->order.len + reg->idem_order.len + COMPACT_LINES) {
		rc = compact(reg, path, err);
		if (rc != KT_OK)
			return rc;
	}
	return reopen(reg, path, err);
}
