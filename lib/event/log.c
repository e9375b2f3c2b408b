/* SPDX-License-Identifier: MIT */
/*
 * The log: appending into memory segments, and once a tick one write to the file before readers
 * are woken, so that nobody sees an event that a restart would forget. One thread.
 */
#include "event/log_private.h"

#include "base/base.h"
#include "base/fs.h"
#include "base/log.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define FIRST_SEGMENT_BYTES 4096
#define SEGMENT_BYTES 65536
/* A tick that appends more than this saves in between. */
#define MAX_UNSAVED_BYTES (1024 * 1024)
/* Two ids of 512 bytes and the session's, each escaped sixfold at worst, and what is fixed. */
#define ENVELOPE_BYTES 16384
#define MAX_IOV 64
#define RETRY_MS 250 /* after the first failure */

/* --- file side --------------------------------------------------------------------------- */

/* Logs whose disk failed and that are not written again yet; of the loop's thread. */
static size_t n_failed;

size_t kt_evlogs_failed(void)
{
	return n_failed;
}

static void on_retry(void *arg);

static void file_failed(struct kt_evlog *log, const struct kt_err *err)
{
	log->has_file = false;
	if (!log->failed)
		kt_log(KT_LOG_ERROR, "event", "%s: events stay in memory: %s",
			kt_evlog_session(log), err->msg);
	/* A file that somebody else changed is not ours to mend. */
	if (err->code != KT_EIO)
		return;
	n_failed += !log->failed;
	log->retry_ms = log->failed ? KT_MIN(log->retry_ms * 2, (int64_t)KT_MEND_MS) : RETRY_MS;
	log->failed = true;
	if (!log->retry)
		log->retry = kt_timer_new(log->loop, on_retry, log);
	kt_timer_start(log->retry, log->retry_ms, 0);
}

/* It is written again, or nobody wants it to be. */
static void end_failed(struct kt_evlog *log)
{
	n_failed -= log->failed;
	log->failed = false;
	kt_timer_free(log->retry);
	log->retry = NULL;
}

/*
 * What memory had to give up is in no file. A new one begins with what memory has: after a gap
 * nothing older could be found in it.
 */
static enum kt_code begin_anew(struct kt_evlog *log, struct kt_err *err)
{
	char header[KT_EVLOG_HEADER_BYTES];
	uint64_t base = log->head->first_seq - 1;
	size_t len = kt_evfile_header(base, header);
	enum kt_code rc = kt_fs_write_atomic(kt_evlog_path(log), header, len, 0600, false, err);
	if (rc != KT_OK)
		return rc;
	kt_evreaders_lose(log, 0, log->head->off);
	kt_evlog_release_file(log);
	log->base_seq = base;
	log->file_start = log->head->off;
	log->file_delta = log->head->off - len;
	log->saved_off = log->head->off;
	log->saved_seq = base;
	return KT_OK;
}

/* Try the file again. Returns false when it fails still. */
static bool try_file(struct kt_evlog *log)
{
	struct kt_err err = KT_ERR_INIT;
	enum kt_code rc = KT_OK;
	off_t size = (off_t)(log->saved_off - log->file_delta);
	if (log->saved_off < log->end && log->saved_off < kt_evlog_mem_off(log))
		rc = begin_anew(log, &err);
	else if (log->can_read && truncate(kt_evlog_path(log), size) != 0)
		/* Half a frame may be there yet. */
		rc = kt_fail(&err, KT_EIO, errno, "cannot cut '%s'", kt_evlog_path(log));
	if (rc != KT_OK) {
		file_failed(log, &err);
		return false;
	}
	log->has_file = true;
	kt_evlog_save(log);
	return log->has_file;
}

static void on_retry(void *arg)
{
	struct kt_evlog *log = arg;
	if (!try_file(log))
		return;
	end_failed(log);
	kt_log(KT_LOG_INFO, "event", "%s: events are written again", kt_evlog_session(log));
	if (log->idle)
		kt_evlog_idle(log);
}

/* Write the unsaved bytes of all segments. Returns false with errno set. */
static bool write_unsaved(struct kt_evlog *log)
{
	uint64_t at = log->saved_off;
	struct kt_evseg *seg = log->head;
	while (at < log->end) {
		struct iovec iov[MAX_IOV];
		int n = 0;
		while (seg != NULL && seg->off + seg->len <= at)
			seg = seg->next;
		uint64_t from = at;
		for (struct kt_evseg *s = seg; s != NULL && n < MAX_IOV; s = s->next) {
			size_t skip = (size_t)(from - s->off);
			iov[n].iov_base = s->data + skip;
			iov[n].iov_len = s->len - skip;
			from = s->off + s->len;
			n++;
		}
		ssize_t wrote = writev(log->fd, iov, n);
		if (wrote < 0 && errno == EINTR)
			continue;
		if (wrote <= 0) {
			errno = wrote == 0 ? EIO : errno;
			return false;
		}
		at += (uint64_t)wrote;
	}
	return true;
}

void kt_evlog_save(struct kt_evlog *log)
{
	struct kt_err err = KT_ERR_INIT;
	if (!log->has_file || log->saved_off == log->end)
		return;
	if (log->fd < 0 && kt_evfile_open(log, true, &err) != KT_OK) {
		file_failed(log, &err);
		return;
	}
	log->can_read = true;
	if (!write_unsaved(log)) {
		(void)kt_fail(&err, KT_EIO, errno, "cannot write '%s'", kt_evlog_path(log));
		/* Half a frame must not stay: the file goes to a frame's end, always. */
		if (ftruncate(log->fd, (off_t)(log->saved_off - log->file_delta)) < 0)
			kt_log(KT_LOG_WARN, "event", "cannot cut '%s'", kt_evlog_path(log));
		file_failed(log, &err);
		return;
	}
	log->saved_off = log->end;
	log->saved_seq = log->last_seq;
}

void kt_evlog_release_file(struct kt_evlog *log)
{
	log->epoch++;
	free(log->fbuf);
	log->fbuf = NULL;
	if (log->fd >= 0)
		(void)close(log->fd);
	log->fd = -1;
}

/* --- memory side ------------------------------------------------------------------------- */

static void drop_head(struct kt_evlog *log)
{
	struct kt_evseg *seg = log->head;
	log->head = seg->next;
	if (log->head == NULL)
		log->tail = NULL;
	log->mem_bytes -= (uint32_t)(sizeof(*seg) + seg->cap);
	log->epoch++;
	free(seg);
}

/* Oldest number in memory. */
static uint64_t mem_first_seq(const struct kt_evlog *log)
{
	return log->head != NULL ? log->head->first_seq : log->last_seq + 1;
}

/* Drop old segments until memory is within its limit; the newest stays. */
static void trim_evlog(struct kt_evlog *log)
{
	while (log->mem_bytes > log->max_mem_bytes && log->head != log->tail) {
		struct kt_evseg *seg = log->head;
		uint64_t seg_end = seg->off + seg->len;
		if (log->has_file && seg_end > log->saved_off)
			kt_evlog_save(log);
		bool saved = log->can_read && seg_end <= log->saved_off;
		if (!saved)
			kt_evreaders_lose(log, log->can_read ? log->saved_off : 0, seg_end);
		drop_head(log);
		if (!log->can_read)
			log->base_seq = mem_first_seq(log) - 1;
	}
}

static struct kt_evseg *add_segment(struct kt_evlog *log, size_t min_bytes)
{
	size_t cap = log->head == NULL ? FIRST_SEGMENT_BYTES : SEGMENT_BYTES;
	cap = KT_MAX(cap - sizeof(struct kt_evseg), min_bytes);
	struct kt_evseg *seg = kt_malloc(sizeof(*seg) + cap);
	*seg = (struct kt_evseg){ .off = log->end, .first_seq = log->last_seq + 1, .cap = cap };
	if (log->tail != NULL)
		log->tail->next = seg;
	else
		log->head = seg;
	log->tail = seg;
	log->mem_bytes += (uint32_t)(sizeof(*seg) + cap);
	return seg;
}

/* Render into what is left of seg; returns the frame's length, 0 when it does not fit. */
static size_t render_into(
	struct kt_evlog *log, struct kt_evseg *seg, const struct kt_event_draft *ev)
{
	size_t room = seg->cap - seg->len;
	if (room < 2)
		return 0;
	/* A buffer over memory that is not its own: within max it never reallocates. */
	struct kt_buf b = { .ptr = seg->data + seg->len, .len = 0, .cap = room, .max = room - 1 };
	kt_evlog_render(&b, log->id_key, kt_evlog_session(log), log->last_seq + 1, ev);
	return kt_buf_ok(&b) ? b.len : 0;
}

static void on_tick(void *arg)
{
	struct kt_evlog *log = arg;
	kt_evlog_save(log);
	kt_evreaders_wake(log);
}

uint64_t kt_evlog_append(struct kt_evlog *log, const struct kt_event_draft *ev)
{
	size_t len = log->tail != NULL ? render_into(log, log->tail, ev) : 0;
	if (len == 0) {
		size_t data = ev->data_len <= KT_MAX_EVENT_BYTES ? ev->data_len : 0;
		size_t raw = ev->raw_len <= KT_MAX_EVENT_BYTES ? ev->raw_len : 0;
		size_t most = ENVELOPE_BYTES + data + raw;
		/* Usual envelopes have 200 bytes; the worst is assumed only after that. */
		struct kt_evseg *seg = add_segment(log, data + raw + 512);
		len = render_into(log, seg, ev);
		if (len == 0 && seg->cap < most) {
			seg = add_segment(log, most);
			len = render_into(log, seg, ev);
		}
		kt_assert(len > 0);
	}
	log->tail->len += len;
	log->end += len;
	log->last_seq++;
	log->idle = false;
	if (log->has_file && log->end - log->saved_off > MAX_UNSAVED_BYTES)
		kt_evlog_save(log);
	if (log->mem_bytes > log->max_mem_bytes)
		trim_evlog(log);
	kt_loop_defer(log->loop, &log->tick);
	return log->last_seq;
}

/* --- life -------------------------------------------------------------------------------- */

enum kt_code kt_evlog_open(struct kt_loop *loop, const struct kt_evlog_config *cfg,
	struct kt_evlog **out, struct kt_err *err)
{
	size_t id_len = strlen(cfg->session_id);
	size_t path_len = cfg->path != NULL ? strlen(cfg->path) : 0;
	if (path_len > KT_MAX_PATH_BYTES)
		return kt_fail(err, KT_EIO, ENAMETOOLONG, "cannot open '%.100s...'", cfg->path);
	struct kt_evlog *log = kt_calloc(1, sizeof(*log) + id_len + path_len + 2);
	memcpy(log->names, cfg->session_id, id_len);
	if (cfg->path != NULL)
		memcpy(log->names + id_len + 1, cfg->path, path_len);
	log->loop = loop;
	log->id_key = cfg->id_key != NULL ? cfg->id_key : "session_id";
	log->tick.fn = on_tick;
	log->tick.arg = log;
	log->max_mem_bytes = (uint32_t)KT_MIN(cfg->max_memory_bytes, (size_t)UINT32_MAX / 2);
	log->fd = -1;
	log->idle = true;
	log->path_len = (uint16_t)path_len;
	log->has_file = cfg->path != NULL;
	enum kt_code rc = log->has_file ? kt_evfile_load(log, err) : KT_OK;
	if (rc != KT_OK) {
		kt_evlog_release_file(log);
		free(log);
		return rc;
	}
	*out = log;
	return KT_OK;
}

void kt_evlog_free(struct kt_evlog *log)
{
	if (log == NULL)
		return;
	kt_assert(log->readers == NULL);
	kt_loop_undefer(log->loop, &log->tick);
	if (log->failed)
		(void)try_file(log);
	else
		kt_evlog_save(log);
	end_failed(log);
	while (log->head != NULL)
		drop_head(log);
	kt_evlog_release_file(log);
	free(log);
}

uint64_t kt_evlog_last_seq(const struct kt_evlog *log)
{
	return log->last_seq;
}

uint64_t kt_evlog_first_seq(const struct kt_evlog *log)
{
	return log->base_seq + 1;
}

size_t kt_evlog_memory(const struct kt_evlog *log)
{
	return log->mem_bytes;
}

size_t kt_evlog_readers(const struct kt_evlog *log)
{
	return log->n_readers;
}

void kt_evlog_idle(struct kt_evlog *log)
{
	log->idle = true;
	kt_evlog_save(log);
	/* Without a file memory is all there is. */
	while (log->has_file && log->head != NULL)
		drop_head(log);
	kt_evlog_release_file(log);
}

/* Nothing before the end can be read any more. */
static void forget_evlog(struct kt_evlog *log)
{
	kt_evreaders_lose(log, 0, log->end);
	while (log->head != NULL)
		drop_head(log);
	kt_evlog_release_file(log);
	log->base_seq = log->last_seq;
}

enum kt_code kt_evlog_expire(struct kt_evlog *log, struct kt_err *err)
{
	kt_evlog_save(log);
	if (log->base_seq == log->last_seq)
		return KT_OK;
	char header[KT_EVLOG_HEADER_BYTES];
	size_t len = kt_evfile_header(log->last_seq, header);
	if (log->can_read) {
		enum kt_code rc = KT_OK;
		/* Readers need the old file for the rest of their frame: it stays open. */
		if (log->fd < 0)
			rc = kt_evfile_open(log, false, err);
		if (rc == KT_OK)
			rc = kt_fs_write_atomic(kt_evlog_path(log), header, len, 0600, false, err);
		if (rc != KT_OK)
			return rc;
	}
	forget_evlog(log);
	/* A file that failed before starts anew. */
	log->has_file = log->has_file || log->can_read;
	if (log->has_file)
		end_failed(log);
	log->file_start = log->end;
	log->file_delta = log->end - len;
	log->saved_off = log->end;
	log->saved_seq = log->last_seq;
	kt_loop_defer(log->loop, &log->tick);
	return KT_OK;
}

enum kt_code kt_evlog_skip_to(struct kt_evlog *log, uint64_t seq, struct kt_err *err)
{
	uint64_t before = log->last_seq;
	if (seq <= before)
		return KT_OK;
	kt_evlog_save(log);
	log->last_seq = seq;
	enum kt_code rc = kt_evlog_expire(log, err);
	if (rc != KT_OK)
		log->last_seq = before;
	return rc;
}

void kt_evlog_detach(struct kt_evlog *log)
{
	kt_evlog_save(log);
	end_failed(log);
	if (log->can_read)
		kt_evreaders_lose(log, 0, kt_evlog_mem_off(log));
	kt_evlog_release_file(log);
	log->has_file = false;
	log->can_read = false;
	log->base_seq = mem_first_seq(log) - 1;
}
