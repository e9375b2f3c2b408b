/* SPDX-License-Identifier: MIT */
/* What is told of a session: events of ours in its log, lines in the log of its project. */
#include "session/keep/keep_private.h"

#include "base/limits.h"
#include "base/log.h"
#include "text/json.h"
#include "text/redact.h"

#include <string.h>

void kt_session_emit(struct kt_session *s, enum kt_event_type type, const struct kt_turn *t,
	const struct kt_buf *data)
{
	struct kt_evlog *log;
	struct kt_event_draft ev = {
		.type = type,
		.turn_id = t ? t->id : NULL,
		.data = data->ptr,
		.data_len = data->len,
	};
	struct kt_err err = KT_ERR_INIT;

	if (!kt_buf_ok(data)) {
		ev.data = "{\"truncated\":true}";
		ev.data_len = strlen(ev.data);
	}
	if (kt_session_log(s, &log, &err) != KT_OK) {
		kt_log(KT_LOG_ERROR, "session", "%s: cannot log an event: %s", s->id, err.msg);
		return;
	}
	s->last_seq = kt_evlog_append(log, &ev);
}

void kt_session_status(struct kt_session *s, const struct kt_turn *t, const char *state,
	const char *key, const char *value)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_MAX_EVENT_BYTES);
	struct kt_jw w;

	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_jw_str(&w, "state", state);
	if (key)
		kt_jw_str(&w, key, value);
	kt_jw_obj_end(&w);
	kt_session_emit(s, KT_EV_STATUS, t, &b);
}

const char *kt_session_plain(const struct kt_session *s, const char *text, struct kt_buf *buf)
{
	if (!s->pin)
		return text;
	kt_redact_local_add(buf, text, strlen(text));
	return kt_buf_ok(buf) && buf->len ? buf->ptr : "";
}

void kt_session_tell(
	const struct kt_session *s, const char *level, const char *source, const char *fmt, ...)
{
	/* Whole: a secret is not found any more in what was cut. The log cuts, afterwards. */
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT((size_t)2 * KT_MAX_EVENT_BYTES);
	va_list ap;

	if (!s->pin)
		return;
	va_start(ap, fmt);
	kt_buf_vaddf(&text, fmt, ap);
	va_end(ap);
	const struct kt_log_line line = {
		.project_id = s->pin->target.project_id,
		.level = level,
		.source = source,
		.version = s->pin->target.version,
		.session_id = s->id,
		.text = kt_buf_ok(&text) ? text.ptr : "a line that is too long to be kept",
	};
	kt_control_log(s->reg->control, &line);
}
