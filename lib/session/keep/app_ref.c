/* SPDX-License-Identifier: MIT */
/* A loaded application, as long as somebody holds it. */
#include "session/keep/keep_private.h"

#include <string.h>

void kt_free_env(char **env)
{
	for (size_t i = 0; env && env[i]; i++)
		free(env[i]);
	free(env);
}

/* Values that the project bound are secrets as a rule. */
void kt_wipe_env(char **env)
{
	for (size_t i = 0; env && env[i]; i++)
		explicit_bzero(env[i], strlen(env[i]));
	kt_free_env(env);
}

void kt_app_unref(struct kt_app_ref *ref)
{
	if (!ref || --ref->refs)
		return;
	if (ref->control)
		kt_control_release_close(ref->control, ref->hold);
	kt_app_free(ref->app);
	kt_wipe_env(ref->env);
	free(ref->dir);
	free(ref);
}

struct kt_app_ref *kt_app_ref_find(struct kt_sessions *reg, const struct kt_target *t)
{
	char key[KT_RELEASE_KEY_MAX];

	kt_release_key(t, key);
	struct kt_app_ref *ref = kt_map_get(&reg->apps, key);
	if (ref)
		ref->used_ms = kt_loop_now_ms(reg->loop);
	return ref;
}
