/* SPDX-License-Identifier: MIT */
/* The log of a session, opened when it is needed. */
#include "session/keep/keep_private.h"

#include "base/fs.h"
#include "base/limits.h"

#define RETENTION_MS (24 * 3600 * 1000) /* while the release's own setting is not known */

/* How long events are kept after the last turn; 0 = not at all. */
int64_t kt_session_retention_ms(const struct kt_session *s)
{
	const struct kt_app_ref *ref = s->app ? s->app : NULL;

	if (!ref && s->pin)
		ref = kt_app_ref_find(s->reg, &s->pin->target);
	else if (!ref)
		ref = s->reg->app;
	return ref ? ref->app->event_retention_ms : RETENTION_MS;
}

enum kt_code kt_session_log(struct kt_session *s, struct kt_evlog **out, struct kt_err *err)
{
	KT_AUTOFREE char *path = NULL;
	KT_AUTOFREE char *dir = NULL;
	struct kt_evlog_config cfg = { 0 };
	uint64_t journaled = s->last_seq;
	enum kt_code rc;

	if (s->log) {
		*out = s->log;
		return KT_OK;
	}
	cfg.session_id = s->id;
	cfg.max_memory_bytes = KT_MAX_LOG_MEMORY_BYTES;
	s->log_in_memory = kt_session_retention_ms(s) == 0;
	if (!s->log_in_memory) {
		dir = kt_session_dir(s);
		rc = kt_fs_mkdirs(dir, 0700, err);
		if (rc != KT_OK)
			return rc;
		path = kt_session_log_path(s);
		cfg.path = path;
	}
	rc = kt_evlog_open(s->reg->loop, &cfg, &s->log, err);
	/* The journal is on disk before the log is: it may know of events that a power cut took. */
	if (rc == KT_OK)
		rc = kt_evlog_skip_to(s->log, journaled, err);
	if (rc != KT_OK) {
		kt_evlog_free(KT_STEAL(s->log));
		return rc;
	}
	s->last_seq = kt_evlog_last_seq(s->log);
	s->reg->on->log_opened(s, journaled);
	*out = s->log;
	return KT_OK;
}
