/* SPDX-License-Identifier: MIT */
/* Sealed values: for what they are sealed, and the variables of one release. */
#ifndef KT_CONTROL_SEAL_PRIVATE_H
#define KT_CONTROL_SEAL_PRIVATE_H

#include "control/core/index_private.h"

struct kt_op;

/* --- for what a value is sealed (seal.c) -------------------------------------------------- */

/* Context under which a project's "repo_token" or "webhook_secret" is sealed. In arena. */
const char *kt_project_context(
	struct kt_arena *arena, const char *what, const char *org_id, const char *project_id);
/* Context under which a config var's value is sealed. In arena. */
const char *kt_config_context(
	struct kt_arena *arena, const char *org_id, const char *project_id, const char *name);
/* What is sealed in a project's row under `what`, "" when nothing is; in op's arena. */
KT_MUST_CHECK enum kt_code kt_project_unseal(struct kt_op *op, const struct kt_project_row *p,
	const char *what, const void *sealed, size_t len, char **out, struct kt_err *err);

/* --- variables of one release (env.c) ----------------------------------------------------- */

/*
 * The JSON object of sealed values that a release row holds, from a doc's {"NAME": "value"}; NULL
 * for none. In arena. Returns KT_OK, KT_EINVAL or KT_ELIMIT.
 */
KT_MUST_CHECK enum kt_code kt_env_seal(const struct kt_control *ctl, struct kt_arena *arena,
	const char *org_id, const cJSON *env, const char **out, struct kt_err *err);
/*
 * Such an object (or NULL) without the variables that drop() names; NULL when none is left. In
 * arena. *out_any: there was one.
 */
KT_MUST_CHECK enum kt_code kt_env_without(struct kt_arena *arena, const char *sealed,
	bool (*drop)(void *arg, const char *name), void *arg, const char **out, bool *out_any,
	struct kt_err *err);
/* Call fn for each value of such an object. */
KT_MUST_CHECK enum kt_code kt_env_unseal(const struct kt_master *master, const char *org_id,
	const char *sealed, void (*fn)(void *arg, const char *name, const char *value), void *arg,
	struct kt_err *err);
/* Add the names of a release's own variables (its `env`) to names; false when it is damaged. */
bool kt_release_names(struct kt_map *names, const char *env);

#endif
