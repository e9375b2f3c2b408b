/* SPDX-License-Identifier: MIT */
/* No walls: programs run as the server does, and the spawner ends them with it. */
#include "sandbox/sandbox.h"

#include <stdlib.h>

struct none {
	struct kt_sandbox base;
	struct kt_spawner *spawner;
};

static enum kt_code none_spawn(struct kt_sandbox *sb, const struct kt_sandbox_start *start,
	const struct kt_child_spec *spec, const struct kt_child_ops *ops, void *arg,
	struct kt_child **out, struct kt_err *err)
{
	struct none *n = (struct none *)sb;

	(void)start;
	return kt_child_spawn(n->spawner, spec, ops, arg, out, err);
}

static void none_free(struct kt_sandbox *sb)
{
	free(sb);
}

static const struct kt_sandbox_ops none_ops = {
	.name = "none",
	.spawn = none_spawn,
	.free = none_free,
};

struct kt_sandbox *kt_sandbox_none(struct kt_spawner *spawner)
{
	struct none *n = kt_calloc(1, sizeof(*n));

	n->base.ops = &none_ops;
	n->spawner = spawner;
	return &n->base;
}
