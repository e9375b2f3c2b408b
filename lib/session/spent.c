/* SPDX-License-Identifier: MIT */
/*
 * What turns took: of each session, and of each project as a running sum over the sessions that are
 * there, so that asking costs nothing.
 */
#include "session/session_private.h"

#include "text/json.h"

/* Sums of a lifetime stay far below this; what a harness or a damaged journal says may not. */
#define MOST (INT64_C(1) << 53)

static int64_t bounded(int64_t n)
{
	return KT_MIN(KT_MAX(n, 0), MOST);
}

void kt_spent_group(struct kt_group *g, const struct kt_spent *spent, int sign)
{
	g->spent.input_tokens += sign * spent->input_tokens;
	g->spent.output_tokens += sign * spent->output_tokens;
	g->spent.cost_microusd += sign * spent->cost_microusd;
}

void kt_spent_set(struct kt_session *s, struct kt_spent now)
{
	now.input_tokens = bounded(now.input_tokens);
	now.output_tokens = bounded(now.output_tokens);
	now.cost_microusd = bounded(now.cost_microusd);
	if (s->pin) {
		kt_spent_group(s->pin->group, &s->spent, -1);
		kt_spent_group(s->pin->group, &now, 1);
	}
	s->spent = now;
}

void kt_spent_add(struct kt_session *s, const struct kt_usage *usage)
{
	struct kt_spent now = s->spent;

	/* What a harness does not say is -1. */
	now.input_tokens += bounded(usage->input_tokens) + bounded(usage->cache_read_tokens) +
		bounded(usage->cache_write_tokens);
	now.output_tokens += bounded(usage->output_tokens);
	now.cost_microusd += bounded(usage->cost_microusd);
	kt_spent_set(s, now);
}

bool kt_sessions_spent(const struct kt_sessions *reg, size_t *pos,
	const struct kt_target **out_target, size_t *out_n, struct kt_spent *out)
{
	const char *key;
	void *value;

	while (kt_map_next(&reg->groups, pos, &key, &value)) {
		const struct kt_group *g = value;

		if (!g->newest)
			continue;
		*out_target = &g->newest->pin->target;
		*out_n = g->n;
		*out = g->spent;
		return true;
	}
	return false;
}

void kt_spent_write(struct kt_jw *w, const char *key, const struct kt_spent *spent)
{
	kt_jw_obj(w, key);
	kt_jw_int(w, "input_tokens", spent->input_tokens);
	kt_jw_int(w, "output_tokens", spent->output_tokens);
	kt_jw_num(w, "cost_usd", (double)spent->cost_microusd / 1e6);
	kt_jw_obj_end(w);
}
