/* SPDX-License-Identifier: MIT */
/*
 * Logs that are in no file (event_retention_hours 0): each has a bound of its own, and all of them
 * together have one. The session whose last turn is longest ago gives its events up first; those of
 * running turns stay.
 */
#include "session/keep/keep_private.h"

#include "base/limits.h"
#include "base/log.h"

void kt_memory_log_forget(struct kt_session *s)
{
	struct kt_sessions *reg = s->reg;

	reg->in_memory_bytes -= s->in_memory;
	s->in_memory = 0;
	(void)kt_vec_remove_ptr(&reg->in_memory, s);
}

static bool is_memory_over(const struct kt_sessions *reg)
{
	return reg->in_memory_bytes > KT_MAX_MEMORY_LOGS_BYTES ||
		reg->in_memory.len > KT_MAX_MEMORY_LOGS;
}

void kt_memory_log_count(struct kt_session *s)
{
	struct kt_sessions *reg = s->reg;
	struct kt_err err = KT_ERR_INIT;

	if (!s->log_in_memory || !s->log)
		return;
	kt_memory_log_forget(s);
	s->in_memory = kt_evlog_memory(s->log);
	reg->in_memory_bytes += s->in_memory;
	kt_vec_push(&reg->in_memory, s);
	for (size_t i = 0; is_memory_over(reg) && i < reg->in_memory.len;) {
		struct kt_session *old = reg->in_memory.items[i];

		if (old->turn) {
			i++;
			continue;
		}
		kt_memory_log_forget(old);
		if (kt_evlog_expire(old->log, &err) != KT_OK)
			kt_log(KT_LOG_WARN, "session", "%s: %s", old->id, err.msg);
	}
}
