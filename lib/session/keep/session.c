/* SPDX-License-Identifier: MIT */
/* A session in memory: its place among the others, what it remembers, where its files are. */
#include "session/keep/keep_private.h"

#include "base/str.h"
#include "store/datadir.h"

char *kt_session_dir(const struct kt_session *s)
{
	return kt_data_session(s->reg->data_dir, s->id, NULL);
}

char *kt_session_log_path(const struct kt_session *s)
{
	return kt_data_session(s->reg->data_dir, s->id, "events.log");
}

struct kt_session *kt_session_get(const struct kt_sessions *reg, const char *id)
{
	return kt_map_get(&reg->by_id, id);
}

struct kt_session *kt_session_older(const struct kt_sessions *reg, const struct kt_session *after)
{
	return after ? after->older : reg->newest;
}

size_t kt_sessions_count(const struct kt_sessions *reg)
{
	return reg->n_sessions;
}

uint64_t kt_session_last_seq(const struct kt_session *s)
{
	return s->log ? kt_evlog_last_seq(s->log) : s->last_seq;
}

struct kt_session *kt_session_alloc(struct kt_sessions *reg, const char *id)
{
	struct kt_session *s = kt_calloc(1, sizeof(*s));

	s->reg = reg;
	kt_str_copy(s->id, sizeof(s->id), id);
	s->metadata = kt_strdup("{}");
	s->current_agent = kt_strdup("default");
	s->pump.fn = reg->on->turn_due;
	s->pump.arg = s;
	s->older = reg->newest;
	if (reg->newest)
		reg->newest->newer = s;
	else
		reg->oldest = s;
	reg->newest = s;
	reg->n_sessions++;
	kt_map_set(&reg->by_id, s->id, s);
	return s;
}

static void free_strings(struct kt_vec *v)
{
	for (size_t i = 0; i < v->len; i++)
		free(v->items[i]);
	kt_vec_release(v);
}

void kt_session_clear(struct kt_session *s)
{
	char **strings[] = { &s->metadata, &s->title, &s->current_agent, &s->parent_id,
		&s->permission_mode, &s->harness_session };

	for (size_t i = 0; i < s->participants.len; i++) {
		struct kt_participant *p = s->participants.items[i];

		free(p->name);
		free(p->type);
	}
	free_strings(&s->participants);
	kt_approvals_release(&s->approvals);
	free_strings(&s->interrupted);
	for (size_t i = 0; i < KT_ARRAY_LEN(strings); i++) {
		free(*strings[i]);
		*strings[i] = NULL;
	}
}

void kt_session_forget(struct kt_session *s)
{
	struct kt_sessions *reg = s->reg;

	if (reg->copy && reg->copy->at == s)
		reg->copy->at = s->newer;
	if (reg->sweep_at == s)
		reg->sweep_at = s->newer;
	if (s->older)
		s->older->newer = s->newer;
	else
		reg->oldest = s->newer;
	if (s->newer)
		s->newer->older = s->older;
	else
		reg->newest = s->older;
	reg->n_sessions--;
	kt_map_del(&reg->by_id, s->id);
	kt_pin_clear(s);
	kt_session_clear(s);
	free(s);
}
