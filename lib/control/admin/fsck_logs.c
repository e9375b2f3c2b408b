/* SPDX-License-Identifier: MIT */
/*
 * fsck: the journal of sessions, and event logs. Lines and frames have a check of themselves; those
 * that were written before there was one can only be parsed. A log begins with a comment that says
 * which numbers are forgotten; then come frames, numbered without a gap. A torn frame at the end is
 * none of our business: a crash may leave one, and who opens the log next cuts it off.
 */
#include "control/admin/fsck_private.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/str.h"
#include "event/event.h"
#include "store/datadir.h"
#include "text/json.h"
#include "text/linesum.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADER_MAX 64
#define PIECE_BYTES (256 * 1024)
#define KT_DATA_JOURNAL_LINE_MAX (4 * 1024 * 1024)
#define TURN_KEY "\"turn_id\":\""
#define MAX_TURN_ID 520 /* of a file; ours have 27 bytes */

static char running, done; /* values of a turn */

struct log {
	struct kt_fsck *f;
	const char *object;
	bool turns; /* a session's */
	bool checked; /* a frame had a check: all that follow have one */
	uint64_t seq; /* of the frame before */
	struct kt_map turn; /* id -> running, done */
};

/* The id of the turn of an event, from its envelope, which has it before the data; "" = none. */
static void turn_of(const struct kt_evframe *fr, char out[MAX_TURN_ID])
{
	const char *data = memmem(fr->json, fr->json_len, "\"data\":", 7);
	size_t n = data ? (size_t)(data - fr->json) : fr->json_len;
	const char *at = memmem(fr->json, n, TURN_KEY, strlen(TURN_KEY));
	const char *end;

	out[0] = '\0';
	if (!at)
		return;
	at += strlen(TURN_KEY);
	end = memchr(at, '"', n - (size_t)(at - fr->json));
	if (!end || end == at || end - at >= MAX_TURN_ID)
		return;
	memcpy(out, at, (size_t)(end - at));
	out[end - at] = '\0';
}

/* A turn has one `done`, and nothing after it. */
static void check_turn(struct log *l, const struct kt_evframe *fr)
{
	char id[MAX_TURN_ID];
	const void *was;

	turn_of(fr, id);
	if (id[0] == '\0')
		return;
	was = kt_map_get(&l->turn, id);
	if (was == &done)
		kt_fsck_say(l->f, "I12", l->object, "event %llu belongs to turn %s, which is done",
			(unsigned long long)fr->seq, id);
	(void)kt_map_set(&l->turn, id, fr->type == KT_EV_DONE || was == &done ? &done : &running);
}

/* Its bytes are what was written, as far as it can be told. */
static void check_frame_bytes(struct log *l, const struct kt_evframe *fr)
{
	KT_AUTO_JSON cJSON *doc = NULL;
	enum kt_linesum sum = kt_evframe_check(fr);

	if (sum == KT_LINESUM_BAD)
		kt_fsck_say(l->f, "I12", l->object, "event %llu has other bytes than were written",
			(unsigned long long)fr->seq);
	else if (sum == KT_LINESUM_NONE && l->checked)
		kt_fsck_say(l->f, "I12", l->object, "event %llu has lost its check",
			(unsigned long long)fr->seq);
	else if (sum == KT_LINESUM_NONE &&
		kt_json_parse(fr->json, fr->json_len, KT_JSON_LENIENT, &doc, NULL) != KT_OK)
		kt_fsck_say(l->f, "I12", l->object, "event %llu is no JSON",
			(unsigned long long)fr->seq);
	l->checked = l->checked || sum != KT_LINESUM_NONE;
}

static bool check_frame(void *arg, const struct kt_evframe *fr)
{
	struct log *l = arg;

	if (fr->seq != l->seq + 1)
		kt_fsck_say(l->f, "I12", l->object, "event %llu follows event %llu",
			(unsigned long long)fr->seq, (unsigned long long)l->seq);
	check_frame_bytes(l, fr);
	if (l->turns)
		check_turn(l, fr);
	l->seq = fr->seq;
	return true;
}

/* The first bytes of a log; the length of its header, 0 = nothing that can be compared follows. */
static size_t check_header(struct log *l, const char *p, size_t len)
{
	size_t used = 0;

	if (kt_evlog_header(p, len, &used, &l->seq) < 0)
		kt_fsck_say(l->f, "I12", l->object, "it does not begin as an event log does");
	return used;
}

static enum kt_code read_log(struct log *l, struct kt_evwalk *walk, int fd, struct kt_err *err)
{
	KT_AUTOFREE char *piece = kt_malloc(PIECE_BYTES);
	enum kt_evwalked was = KT_WALK_END;
	size_t at = 0, used;

	while (was == KT_WALK_END) {
		ssize_t n = pread(fd, piece, at ? PIECE_BYTES : HEADER_MAX, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return kt_fail(err, KT_EIO, errno, "cannot read '%s'", l->object);
		if (at == 0) {
			at = check_header(l, piece, (size_t)n);
			n = at ? n : 0;
		} else {
			was = kt_evwalk_bytes(walk, piece, (size_t)n, &used, check_frame, l);
			at += (size_t)n;
		}
		if (n == 0)
			return KT_OK;
	}
	kt_fsck_say(l->f, "I12", l->object, "what follows event %llu is no event",
		(unsigned long long)l->seq);
	return KT_OK;
}

/* One log, if it is there. object is its path below the data folder. */
static enum kt_code check_log(struct kt_fsck *f, const char *object, bool turns, struct kt_err *err)
{
	KT_AUTOFREE char *path = kt_path_join(f->data_dir, object);
	/* Sessions' folders are not ours alone: no link, no pipe. */
	KT_AUTOFD int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct log l = { .f = f, .object = object, .turns = turns };
	struct kt_evwalk walk;
	struct stat st;
	enum kt_code rc;

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return KT_OK;
	if (fd < 0) {
		kt_fsck_say(f, "I12", object, "it cannot be opened: %s", strerror(errno));
		return KT_OK;
	}
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		kt_fsck_say(f, "I12", object, "it is no file");
		return KT_OK;
	}
	kt_evwalk_init(&walk);
	rc = read_log(&l, &walk, fd, err);
	kt_evwalk_release(&walk);
	kt_map_release(&l.turn);
	return rc;
}

/* The logs of a folder: files that end in .log, or (sessions) events.log in each of its folders. */
static enum kt_code check_log_folder(
	struct kt_fsck *f, const char *folder, bool sessions, struct kt_err *err)
{
	KT_AUTOFREE char *path = kt_path_join(f->data_dir, folder);
	char **names = NULL;
	size_t n = 0;
	enum kt_code rc = kt_fs_list(path, &names, &n, err);

	for (size_t i = 0; rc == KT_OK && i < n; i++) {
		KT_AUTOFREE char *object = kt_asprintf(
			"%s/%s%s", folder, names[i], sessions ? "/events.log" : "");

		if (sessions || kt_str_ends(names[i], ".log"))
			rc = check_log(f, object, sessions, err);
	}
	if (names)
		kt_fs_names_free(names, n);
	return rc == KT_ENOTFOUND ? KT_OK : rc;
}

/* --- the journal ------------------------------------------------------------------------- */

struct journal {
	struct kt_fsck *f;
	size_t n; /* lines */
	bool checked; /* a line had a check: all that follow have one */
};

static void check_line(struct journal *j, const char *line, size_t len)
{
	KT_AUTO_JSON cJSON *doc = NULL;
	enum kt_linesum sum = kt_linesum_check(line, len);

	j->n++;
	/* A power cut left its length, but not its bytes; nobody was told of it. */
	if (len == 0 || line[0] == '\0')
		return;
	if (sum == KT_LINESUM_BAD)
		kt_fsck_say(j->f, "I12", KT_DATA_JOURNAL,
			"line %zu has other bytes than were written", j->n);
	else if (kt_json_parse(line, len, KT_JSON_LENIENT, &doc, NULL) != KT_OK)
		kt_fsck_say(j->f, "I12", KT_DATA_JOURNAL, "line %zu is no JSON", j->n);
	else if (sum == KT_LINESUM_NONE && j->checked)
		kt_fsck_say(j->f, "I12", KT_DATA_JOURNAL, "line %zu has lost its check", j->n);
	j->checked = j->checked || sum != KT_LINESUM_NONE;
}

static enum kt_code check_journal(struct kt_fsck *f, struct kt_err *err)
{
	KT_AUTOFREE char *path = kt_path_join(f->data_dir, KT_DATA_JOURNAL);
	KT_AUTO_BUF struct kt_buf buf = KT_BUF_INIT(KT_DATA_JOURNAL_LINE_MAX + PIECE_BYTES);
	KT_AUTOFD int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct journal j = { .f = f };

	if (fd < 0 && errno == ENOENT)
		return KT_OK;
	for (;;) {
		char *at = kt_buf_reserve(&buf, PIECE_BYTES);
		ssize_t n = at && fd >= 0 ? read(fd, at, PIECE_BYTES) : -1;
		size_t used = 0;

		if (n < 0 && at && errno == EINTR)
			continue;
		if (!at) {
			kt_fsck_say(f, "I12", KT_DATA_JOURNAL, "line %zu is too long", j.n + 1);
			return KT_OK;
		}
		if (n < 0)
			return kt_fail(err, KT_EIO, errno, "cannot read '%s'", path);
		/* What is left without a LF was cut off, and will be when it is opened. */
		if (n == 0)
			return KT_OK;
		kt_buf_commit(&buf, (size_t)n);
		for (const char *lf; (lf = memchr(buf.ptr + used, '\n', buf.len - used)) != NULL;
			used = (size_t)(lf - buf.ptr) + 1)
			check_line(&j, buf.ptr + used, (size_t)(lf - buf.ptr) - used);
		kt_buf_drop(&buf, used);
	}
}

enum kt_code kt_fsck_logs(struct kt_fsck *f, struct kt_err *err)
{
	enum kt_code rc = check_journal(f, err);

	if (rc == KT_OK)
		rc = check_log_folder(f, KT_DATA_BUILDS, false, err);

	if (rc == KT_OK)
		rc = check_log_folder(f, KT_DATA_LOGS, false, err);
	if (rc == KT_OK)
		rc = check_log_folder(f, KT_DATA_SESSIONS, true, err);
	return rc;
}
