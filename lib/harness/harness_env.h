/* SPDX-License-Identifier: MIT */
/* The environment that a harness is started with. For harness.c only. */
#ifndef KT_HARNESS_HARNESS_ENV_H
#define KT_HARNESS_HARNESS_ENV_H

#include "base/arena.h"
#include "base/vec.h"

/*
 * Append to env, as execve() takes it (with the NULL at its end): our own environment without what
 * is withheld, extra ("NAME=value", NULL-terminated, or NULL), the driver's entries, KARTA_PROJECT
 * and KARTA_SESSION_ID (each when not NULL). Of one name the later counts. Entries are BORROWED or
 * live in arena.
 */
void kt_harness_env_build(struct kt_arena *arena, char *const *extra,
	const struct kt_vec *of_driver, const char *project, const char *session_id,
	struct kt_vec *env);

#endif
