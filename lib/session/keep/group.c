/* SPDX-License-Identifier: MIT */
/* The sessions of a project, and what their turns took together. */
#include "session/keep/keep_private.h"

#include "base/str.h"

struct kt_group *kt_group_get(struct kt_sessions *reg, const char *org_id, const char *project_id)
{
	struct kt_group *g = kt_map_get(&reg->groups, project_id);

	if (!g) {
		g = kt_calloc(1, sizeof(*g));
		kt_str_copy(g->project_id, sizeof(g->project_id), project_id);
		kt_str_copy(g->org_id, sizeof(g->org_id), org_id);
		(void)kt_map_set(&reg->groups, project_id, g);
	}
	return g;
}

void kt_group_put(struct kt_sessions *reg, struct kt_group *g)
{
	if (g->pins > 0 || g->has_gone)
		return;
	(void)kt_map_del(&reg->groups, g->project_id);
	free(g);
}

void kt_spent_group(struct kt_group *g, const struct kt_spent *spent, int sign)
{
	g->spent.input_tokens += sign * spent->input_tokens;
	g->spent.output_tokens += sign * spent->output_tokens;
	g->spent.cost_microusd += sign * spent->cost_microusd;
}
