/* SPDX-License-Identifier: MIT */
/*
 * What turns took: of each session, and of each project as running sums over the sessions that are
 * there and over those that were deleted, so that asking costs nothing. The second sum is in the
 * journal with each deletion; the last line of a project counts.
 */
#include "session/keep/keep_private.h"

#include "base/limits.h"
#include "text/json.h"
#include "text/linesum.h"

#include <string.h>

#define GONE_AT_ONCE 500 /* lines, in one tick */

/* Sums of a lifetime stay far below these; what a harness or a damaged journal says may not. */
#define MOST (INT64_C(1) << 53)
#define MOST_OF_SESSION (INT64_C(1) << 43) /* as many as there may be have a sum */
_Static_assert(KT_MAX_SESSIONS <= INT64_MAX / MOST_OF_SESSION, "the sum of all sessions overflows");

static int64_t bounded_spent(int64_t n)
{
	return KT_MIN(KT_MAX(n, 0), MOST);
}

static int64_t of_session(int64_t n)
{
	return KT_MIN(KT_MAX(n, 0), MOST_OF_SESSION);
}

void kt_spent_set(struct kt_session *s, struct kt_spent now)
{
	now.input_tokens = of_session(now.input_tokens);
	now.output_tokens = of_session(now.output_tokens);
	now.cost_microusd = of_session(now.cost_microusd);
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
	now.input_tokens += bounded_spent(usage->input_tokens) +
		bounded_spent(usage->cache_read_tokens) + bounded_spent(usage->cache_write_tokens);
	now.output_tokens += bounded_spent(usage->output_tokens);
	now.cost_microusd += bounded_spent(usage->cost_microusd);
	kt_spent_set(s, now);
}

/* --- of sessions that were deleted -------------------------------------------------------- */

static struct kt_spent sum_spent(const struct kt_spent *a, const struct kt_spent *b)
{
	return (struct kt_spent){ bounded_spent(a->input_tokens + b->input_tokens),
		bounded_spent(a->output_tokens + b->output_tokens),
		bounded_spent(a->cost_microusd + b->cost_microusd) };
}

static bool is_nothing(const struct kt_spent *s)
{
	return !s->input_tokens && !s->output_tokens && !s->cost_microusd;
}

static void set_gone(struct kt_sessions *reg, struct kt_group *g, struct kt_spent gone)
{
	g->gone = gone;
	if (g->has_gone)
		return;
	g->has_gone = true;
	g->gone_prev = reg->gone_last;
	if (reg->gone_last)
		reg->gone_last->gone_next = g;
	else
		reg->gone_first = g;
	reg->gone_last = g;
	reg->n_gone++;
}

static void clear_gone(struct kt_sessions *reg, struct kt_group *g)
{
	if (reg->copy && reg->copy->gone_at == g)
		reg->copy->gone_at = g->gone_next;
	if (g->gone_prev)
		g->gone_prev->gone_next = g->gone_next;
	else
		reg->gone_first = g->gone_next;
	if (g->gone_next)
		g->gone_next->gone_prev = g->gone_prev;
	else
		reg->gone_last = g->gone_prev;
	g->gone_prev = g->gone_next = NULL;
	g->has_gone = false;
	reg->n_gone--;
	kt_group_put(reg, g);
}

void kt_gone_add(struct kt_session *s)
{
	struct kt_group *g = s->pin ? s->pin->group : NULL;

	if (g && !is_nothing(&s->spent))
		set_gone(s->reg, g, sum_spent(&g->gone, &s->spent));
}

void kt_gone_drop(struct kt_sessions *reg, const char *project_id)
{
	struct kt_group *g = kt_map_get(&reg->groups, project_id);

	if (g && g->has_gone)
		clear_gone(reg, g);
}

void kt_gone_sweep(struct kt_sessions *reg,
	bool (*is_deleted)(
		const struct kt_sessions *reg, const char *org_id, const char *project_id))
{
	struct kt_group *next;

	for (struct kt_group *g = reg->gone_first; g; g = next) {
		next = g->gone_next;
		if (!is_deleted || is_deleted(reg, g->org_id, g->project_id))
			clear_gone(reg, g);
	}
}

void kt_gone_write(struct kt_jw *w, const struct kt_group *g)
{
	kt_jw_obj(w, "gone");
	kt_jw_str(w, "org_id", g->org_id);
	kt_jw_str(w, "project_id", g->project_id);
	kt_jw_int(w, "spent_in", g->gone.input_tokens);
	kt_jw_int(w, "spent_out", g->gone.output_tokens);
	kt_jw_int(w, "spent_microusd", g->gone.cost_microusd);
	kt_jw_obj_end(w);
}

void kt_gone_load(struct kt_sessions *reg, const cJSON *gone)
{
	const char *org = kt_json_str_or(gone, "org_id", "");
	const char *project = kt_json_str_or(gone, "project_id", "");

	if (!reg->control || !project[0] || strlen(project) >= KT_ID_MAX ||
		strlen(org) >= KT_ID_MAX)
		return;
	set_gone(reg, kt_group_get(reg, org, project),
		(struct kt_spent){ bounded_spent(kt_json_int(gone, "spent_in", 0)),
			bounded_spent(kt_json_int(gone, "spent_out", 0)),
			bounded_spent(kt_json_int(gone, "spent_microusd", 0)) });
}

size_t kt_journal_write_gone(struct kt_buf *b, struct kt_group **at)
{
	size_t n = 0;

	for (; *at && n < GONE_AT_ONCE; *at = (*at)->gone_next, n++) {
		size_t from = b->len;
		struct kt_jw w;

		kt_jw_init(&w, b);
		kt_jw_obj(&w, NULL);
		kt_gone_write(&w, *at);
		kt_jw_obj_end(&w);
		kt_linesum_add(b, from);
		kt_buf_addc(b, '\n');
	}
	return n;
}

/* --- what is told -------------------------------------------------------------------------- */

bool kt_sessions_spent(const struct kt_sessions *reg, size_t *pos, struct kt_project_spent *out)
{
	const char *key;
	void *value;

	if (!kt_map_next(&reg->groups, pos, &key, &value))
		return false;
	const struct kt_group *g = value;

	*out = (struct kt_project_spent){ .org_id = g->org_id,
		.project_id = g->project_id,
		.sessions = g->n,
		.spent = sum_spent(&g->spent, &g->gone) };
	return true;
}

void kt_spent_write(struct kt_jw *w, const char *key, const struct kt_spent *spent)
{
	kt_jw_obj(w, key);
	kt_jw_int(w, "input_tokens", spent->input_tokens);
	kt_jw_int(w, "output_tokens", spent->output_tokens);
	kt_jw_num(w, "cost_usd", (double)spent->cost_microusd / 1e6);
	kt_jw_obj_end(w);
}
