/* SPDX-License-Identifier: MIT */
/*
 * The table of drivers, the one place that knows which driver speaks to which harness, and what is
 * alike for their configurations.
 */
#include "harness/driver.h"

#include "base/str.h"

#include <string.h>

const struct kt_driver_ops *kt_driver_for(enum kt_harness_type type)
{
	switch (type) {
	case KT_HARNESS_CLAUDE:
		return &kt_driver_claude;
	case KT_HARNESS_OPENCODE:
	case KT_HARNESS_ACP:
		return &kt_driver_acp;
	case KT_HARNESS_REHEARSAL:
		return &kt_driver_rehearsal;
	}
	kt_assert(!"harness type");
	return NULL;
}

static const char *copy(struct kt_arena *arena, const char *s)
{
	return s ? kt_arena_strdup(arena, s) : NULL;
}

void kt_driver_config_copy(
	struct kt_arena *arena, const struct kt_driver_config *from, struct kt_driver_config *to)
{
	*to = *from;
	to->program = copy(arena, from->program);
	to->cwd = copy(arena, from->cwd);
	to->resume_id = copy(arena, from->resume_id);
	to->new_id = copy(arena, from->new_id);
	to->transcript = copy(arena, from->transcript);
	to->permission_mode = copy(arena, from->permission_mode);
	to->model = copy(arena, from->model);
	to->home = copy(arena, from->home);
	to->settings = copy(arena, from->settings);
}

void kt_prompt_copy(const struct kt_prompt *from, struct kt_prompt *to)
{
	*to = *from;
	to->text = kt_strdup_opt(from->text);
	to->agent = kt_strdup_opt(from->agent);
	to->participant_name = kt_strdup_opt(from->participant_name);
}

void kt_prompt_clear(struct kt_prompt *p)
{
	free((char *)(uintptr_t)p->text);
	free((char *)(uintptr_t)p->agent);
	free((char *)(uintptr_t)p->participant_name);
	memset(p, 0, sizeof(*p));
}

enum kt_code kt_driver_check_mode(const struct kt_app *app, const char *mode, struct kt_err *err)
{
	const struct kt_driver_ops *ops = kt_driver_for(app->harness);
	const char *const *known = ops->permission_modes ? ops->permission_modes(app) : NULL;
	KT_AUTO_BUF struct kt_buf list = KT_BUF_INIT(300);

	if (!mode || !known)
		return KT_OK;
	for (size_t i = 0; known[i]; i++) {
		if (!strcmp(known[i], mode))
			return KT_OK;
		kt_buf_addf(&list, "%s%s", i ? ", " : "", known[i]);
	}
	return kt_fail(err, KT_EINVAL, 0, "'permission_mode' of %s is one of: %s",
		app->harness_name ? app->harness_name : kt_harness_name(app->harness), list.ptr);
}
