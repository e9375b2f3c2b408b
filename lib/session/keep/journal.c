/* SPDX-License-Identifier: MIT */
/*
 * The journal: sessions.jsonl, one JSON line for each change, the last one of a session counts. A
 * torn last line (crash in mid-write) is dropped. What belongs together is one line, so that no cut
 * can part it: a session that was created, or a turn that began, has the request's Idempotency-Key
 * in its line ("used"). Each line ends with a check of itself (text/linesum.h); one that was
 * damaged counts for nothing, and is kept for who wants to look at it.
 *
 * A local server writes each line at once with one write(2): what a client was told survives a
 * killed server. A hosting server writes once a tick, and whoever has to be told waits for the disk
 * besides (sync.c).
 */
#include "session/keep/keep_private.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "text/json.h"
#include "text/linesum.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_BYTES (1024 * 1024)
#define LINE_MAX_BYTES (4 * 1024 * 1024) /* metadata, approvals, participants */
#define LINES_MAX_BYTES (64 * 1024 * 1024) /* of one tick, or kept while the disk is full */
/* memory that stays for the next tick; local: for the next line */
#define LINES_KEEP_BYTES (64 * 1024)
#define DAMAGED_BYTES (4 * 1024 * 1024) /* of damaged lines that are kept */
#define COMPACT_LINES 1000 /* at start: rewrite when this many lines are out of date */
#define COMPACT_LINES_RUNNING 20000 /* while serving */

/* Rewrite the journal when most of it is out of date. */
static void maybe_compact(struct kt_sessions *reg)
{
	struct kt_err err = KT_ERR_INIT;
	size_t live = reg->n_sessions + reg->idem.len + reg->n_gone;

	if (reg->journal_lines < 2 * live + COMPACT_LINES_RUNNING ||
		kt_mono_us() < reg->copy_after_us)
		return;
	if (reg->control) {
		kt_copy_begin(reg);
	} else if (kt_journal_compact(reg, &err) != KT_OK) {
		kt_log(KT_LOG_ERROR, "session", "%s", err.msg);
		reg->copy_after_us = kt_mono_us() + (int64_t)KT_REWRITE_PAUSE_MS * 1000;
	}
}

/* Half a line must not stay in front of the next one. */
static void cut_back(struct kt_sessions *reg)
{
	if (ftruncate(reg->journal_fd, reg->journal_size) != 0)
		reg->journal_torn = true;
}

/*
 * Write lines into the file. One that is broken will be replaced; until then it gets what it takes,
 * for a server that is killed before.
 */
static bool write_lines(struct kt_sessions *reg, struct kt_err *err)
{
	struct kt_buf *b = &reg->lines;

	if (reg->journal_torn)
		return false;
	if (kt_fs_write_all(reg->journal_fd, b->ptr, b->len, err) != KT_OK) {
		cut_back(reg);
		return false;
	}
	reg->journal_size += (int64_t)b->len;
	return true;
}

/*
 * A file that only lacked room has all that it had: the lines wait. A local server has one line,
 * and writes everything anew.
 */
static bool may_wait(const struct kt_sessions *reg, int error)
{
	return reg->control && !reg->journal_torn && kt_errno_full(error);
}

void kt_journal_flush(struct kt_sessions *reg)
{
	struct kt_buf *b = &reg->lines;
	struct kt_err err = KT_ERR_INIT;

	if (reg->copy)
		kt_copy_flush(reg);
	if (!b->len)
		return;
	if (!write_lines(reg, &err) && !reg->journal_broken) {
		reg->journal_failed = may_wait(reg, err.sys);
		kt_journal_trouble(reg, !reg->journal_failed, err.sys, "write");
		if (reg->journal_failed)
			return;
	}
	reg->written += b->len;
	if (b->cap > LINES_KEEP_BYTES * (reg->control ? 64 : 1))
		kt_buf_release(b);
	else
		kt_buf_clear(b);
	if (reg->journal_broken)
		return;
	if (reg->journal_failed)
		kt_journal_mended(reg);
	maybe_compact(reg);
}

/* The line that begins at byte `from` of lines is whole. copied: it belongs into a rewrite too. */
static void line_end(struct kt_sessions *reg, size_t from, bool copied)
{
	struct kt_buf *b = &reg->lines;

	kt_buf_addc(b, '\n');
	if (!kt_buf_ok(b) || b->len - from > LINE_MAX_BYTES) {
		kt_log(KT_LOG_ERROR, "session", "a journal line is too long and was not written");
		bool full = !kt_buf_ok(b);

		b->overflow = false;
		kt_buf_truncate(b, from);
		if (full)
			kt_journal_trouble(reg, true, 0, "keep what waits for");
		return;
	}
	reg->journal_lines++;
	if (reg->copy && copied) {
		kt_buf_add(&reg->copy->lines, b->ptr + from, b->len - from);
		reg->copy->n_lines++;
	}
	if (reg->control)
		kt_loop_defer(reg->loop, &reg->tick);
	else
		kt_journal_flush(reg);
}

void kt_journal_session(struct kt_sessions *reg, struct kt_session *s)
{
	const struct kt_used *used = reg->used && reg->used->session == s ? reg->used : NULL;
	size_t from = reg->lines.len;

	if (reg->journal_fd < 0)
		return;
	if (used)
		reg->used = NULL;
	kt_journal_write_session(&reg->lines, s, used);
	line_end(reg, from, kt_copy_has(reg, s));
}

void kt_journal_deleted(struct kt_sessions *reg, const struct kt_session *s)
{
	bool has_gone = s->pin && s->pin->group->has_gone;
	size_t from = reg->lines.len;
	struct kt_jw w;

	if (reg->journal_fd < 0)
		return;
	kt_jw_init(&w, &reg->lines);
	kt_jw_obj(&w, NULL);
	kt_jw_str(&w, "id", s->id);
	kt_jw_bool(&w, "deleted", true);
	if (has_gone)
		kt_gone_write(&w, s->pin->group);
	kt_jw_obj_end(&w);
	kt_linesum_add(&reg->lines, from);
	/* A rewrite may be past its project's sum. */
	line_end(reg, from, has_gone || kt_copy_has(reg, s));
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
	kt_approvals_load(s, doc);
}

/* The release of a session, as the line says; false when it names none. */
static bool load_target(const cJSON *doc, struct kt_target *t)
{
	const cJSON *it = kt_json_obj(doc, "target");

	memset(t, 0, sizeof(*t));
	kt_str_copy(t->org_id, sizeof(t->org_id), kt_json_str_or(it, "org_id", ""));
	kt_str_copy(t->org_slug, sizeof(t->org_slug), kt_json_str_or(it, "org", ""));
	kt_str_copy(t->project_id, sizeof(t->project_id), kt_json_str_or(it, "project_id", ""));
	kt_str_copy(t->project, sizeof(t->project), kt_json_str_or(it, "project", ""));
	kt_str_copy(t->release_id, sizeof(t->release_id), kt_json_str_or(it, "release_id", ""));
	t->version = kt_json_int(it, "version", 0);
	t->folder = kt_json_bool(it, "folder", false);
	t->preview = kt_json_bool(it, "preview", false);
	return t->project_id[0] && (t->folder || t->release_id[0]);
}

static void load_session(struct kt_sessions *reg, const char *id, const cJSON *doc)
{
	struct kt_session *s = kt_map_get(&reg->by_id, id);
	KT_AUTO_BUF struct kt_buf meta = KT_BUF_INIT(LINE_MAX_BYTES);
	struct kt_target target;

	if (kt_json_bool(doc, "deleted", false)) {
		if (s)
			kt_session_forget(s);
		return;
	}
	if (!s && reg->control && !load_target(doc, &target)) {
		kt_log(KT_LOG_WARN, "session", "%s is of no project and is left out", id);
		return;
	}
	/* A later line replaces what the session holds, never its place in the order. */
	if (s) {
		kt_session_clear(s);
	} else {
		s = kt_session_alloc(reg, id);
		if (reg->control)
			kt_pin_set(s, kt_pin_get(reg, &target));
	}
	kt_json_add(&meta, kt_json_obj(doc, "metadata"));
	free(s->metadata);
	s->metadata = kt_strdup(kt_json_obj(doc, "metadata") ? meta.ptr : "{}");
	s->title = kt_strdup_opt(kt_json_str(doc, "title"));
	free(s->current_agent);
	s->current_agent = kt_strdup(kt_json_str_or(doc, "current_agent", "default"));
	s->parent_id = kt_strdup_opt(kt_json_str(doc, "parent_id"));
	s->permission_mode = kt_strdup_opt(kt_json_str(doc, "permission_mode"));
	s->harness_session = kt_strdup_opt(kt_json_str(doc, "harness_session"));
	s->prompted = kt_json_bool(doc, "prompted", false);
	s->created_us = kt_json_int(doc, "created_us", 0);
	s->updated_us = kt_json_int(doc, "updated_us", 0);
	s->turns = (uint32_t)kt_json_int(doc, "turns", 0);
	kt_spent_set(s,
		(struct kt_spent){ kt_json_int(doc, "spent_in", 0),
			kt_json_int(doc, "spent_out", 0), kt_json_int(doc, "spent_microusd", 0) });
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

/*
 * A line that is not what was written is left out, and stays in the file: it may be all that is
 * left of a session. One that begins with a zero is no such thing: a power cut left its length, but
 * not its bytes, so it was never on the disk, and nobody was told.
 */
static void keep_damaged(struct kt_sessions *reg, const char *line, size_t len, size_t number)
{
	if (line[0] == '\0') {
		kt_log(KT_LOG_INFO, "session", "line %zu of the session journal was cut off",
			number);
		return;
	}
	reg->journal_damaged++;
	kt_log(KT_LOG_ERROR, "session",
		"line %zu of the session journal is damaged and left out: 'karta fsck' tells more",
		number);
	if (len < reg->damaged.max - reg->damaged.len) {
		kt_buf_add(&reg->damaged, line, len);
		kt_buf_addc(&reg->damaged, '\n');
	}
}

static void load_line(struct kt_sessions *reg, const char *line, size_t len, size_t number)
{
	KT_AUTO_JSON cJSON *doc = NULL;
	const cJSON *used, *gone;
	const char *id, *key;

	reg->journal_lines++;
	if (len == 0)
		return;
	if (kt_linesum_check(line, len) == KT_LINESUM_BAD ||
		kt_json_parse(line, len, KT_JSON_LENIENT, &doc, NULL) != KT_OK) {
		keep_damaged(reg, line, len, number);
		return;
	}
	id = kt_json_str(doc, "id");
	key = kt_json_str(doc, "idempotency_key");
	used = kt_json_obj(doc, "used");
	gone = kt_json_obj(doc, "gone");
	if (id && kt_str_starts(id, "sess_") && strlen(id) < KT_ID_MAX)
		load_session(reg, id, doc);
	else if (key)
		load_idem(reg, key, doc);
	if (gone)
		kt_gone_load(reg, gone);
	if (used)
		load_idem(reg, kt_json_str_or(used, "idempotency_key", ""), used);
}

/* Read the lines of fd; *out_whole is where the last whole one ends. */
static enum kt_code load_lines(
	struct kt_sessions *reg, int fd, const char *path, int64_t *out_whole, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(LINE_MAX_BYTES + READ_BYTES);
	int64_t whole = 0;
	size_t n_lines = 0;

	for (;;) {
		char *room = kt_buf_reserve(&b, READ_BYTES);
		size_t at = 0;
		ssize_t n;

		if (!room)
			return kt_fail(err, KT_EPROTO, 0, "'%s' has a line that is too long", path);
		do {
			n = read(fd, room, READ_BYTES);
		} while (n < 0 && errno == EINTR);
		if (n < 0)
			return kt_fail(err, KT_EIO, errno, "cannot read '%s'", path);
		if (n == 0)
			break;
		kt_buf_commit(&b, (size_t)n);
		for (char *lf; (lf = memchr(b.ptr + at, '\n', b.len - at)) != NULL;) {
			size_t end = (size_t)(lf - b.ptr);

			load_line(reg, b.ptr + at, end - at, ++n_lines);
			at = end + 1;
		}
		whole += (int64_t)at;
		kt_buf_drop(&b, at);
	}
	*out_whole = whole;
	return KT_OK;
}

enum kt_code kt_journal_load(struct kt_sessions *reg, struct kt_err *err)
{
	KT_AUTOFREE char *path = kt_journal_path(reg);
	KT_AUTOFD int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	struct kt_err failed = KT_ERR_INIT;
	int64_t whole = 0;
	struct stat st;

	if (fd < 0)
		return kt_fail(err, KT_EIO, errno, "cannot open '%s'", path);
	reg->journal_fd = -1; /* nothing is written while loading */
	kt_buf_init(&reg->lines, LINES_MAX_BYTES);
	kt_buf_init(&reg->damaged, DAMAGED_BYTES);
	enum kt_code rc = load_lines(reg, fd, path, &whole, err);
	if (rc != KT_OK)
		return rc;
	if (fstat(fd, &st) != 0 || (st.st_size > whole && ftruncate(fd, whole) != 0))
		return kt_fail(err, KT_EIO, errno, "cannot mend '%s'", path);
	reg->journal_fd = KT_STEAL_FD(fd);
	reg->journal_size = whole;
	/* One that is long is no reason not to start. */
	if (reg->journal_lines > reg->n_sessions + reg->idem.len + reg->n_gone + COMPACT_LINES &&
		kt_journal_compact(reg, &failed) != KT_OK)
		kt_log(KT_LOG_ERROR, "session", "the session journal cannot be rewritten: %s",
			failed.msg);
	return KT_OK;
}

void kt_used_begin(struct kt_used *used, struct kt_session *s, const struct kt_request_key *key,
	const char *turn_id, uint64_t after_seq)
{
	*used = (struct kt_used){ .session = s, .key = key };
	if (!key || !key->key || !key->key[0])
		return;
	used->what.after_seq = after_seq;
	used->what.fingerprint = key->fingerprint;
	used->what.at_us = kt_time_us();
	memcpy(used->what.session_id, s->id, sizeof(used->what.session_id));
	if (turn_id)
		kt_str_copy(used->what.turn_id, sizeof(used->what.turn_id), turn_id);
	kt_idem_put(s->reg, key->scope, key->key, &used->what);
	s->reg->used = used;
}

void kt_used_end(struct kt_used *used)
{
	struct kt_sessions *reg = used->session->reg;

	if (reg->used == used)
		kt_journal_session(reg, used->session);
	reg->used = NULL;
}
