/* SPDX-License-Identifier: MIT */
/* The environment that a harness is started with, and what runs for it. */
#ifndef KT_HARNESS_HARNESS_ENV_H
#define KT_HARNESS_HARNESS_ENV_H

#include "base/arena.h"
#include "base/vec.h"
#include "harness/driver.h"
#include "proc/proc.h"

struct kt_harness_env_parts {
	char *const *shared; /* of all harnesses: "NAME=value", NULL-terminated, or NULL */
	char *const *extra; /* of this one, as above */
	const struct kt_vec *of_driver; /* kt_harness_spec()'s own */
	const char *project, *session_id; /* KARTA_PROJECT, KARTA_SESSION_ID; or NULL */
	bool sealed; /* of our own environment only an allow-list */
	const char *home; /* HOME, with the places below it that programs look for; or NULL */
};

/*
 * Append to env, as execve() takes it (with the NULL at its end): our own environment without what
 * is withheld, then the parts in their order. Of one name the later counts. Entries are BORROWED
 * or live in arena.
 */
void kt_harness_env_build(
	struct kt_arena *arena, const struct kt_harness_env_parts *parts, struct kt_vec *env);
/* What the driver runs and with which environment; lives as long as arena, and BORROWS as above. */
void kt_harness_spec(struct kt_arena *arena, const struct kt_driver_ops *ops,
	const struct kt_driver_config *cfg, const struct kt_harness_env_parts *parts,
	struct kt_child_spec *out);

#endif
