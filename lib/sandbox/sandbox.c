/* SPDX-License-Identifier: MIT */
/* Any kind of sandbox. */
#include "sandbox/sandbox.h"

void kt_sandbox_free(struct kt_sandbox *sb)
{
	if (sb)
		sb->ops->free(sb);
}

enum kt_code kt_sandbox_spawn(struct kt_sandbox *sb, const struct kt_sandbox_start *start,
	const struct kt_child_spec *spec, const struct kt_child_ops *ops, void *arg,
	struct kt_child **out, struct kt_err *err)
{
	return sb->ops->spawn(sb, start, spec, ops, arg, out, err);
}
