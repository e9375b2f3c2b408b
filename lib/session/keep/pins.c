/* SPDX-License-Identifier: MIT */
/*
 * Which release a session runs. A pin is shared by all sessions of a release and keeps what its
 * name meant when they were created; the sessions of a project are a list of their own, so that
 * listing one project does not walk over those of the others.
 */
#include "session/keep/keep_private.h"

#include "base/str.h"
#include "text/json.h"

#include <string.h>

void kt_release_key(const struct kt_target *t, char out[KT_RELEASE_KEY_MAX])
{
	const char *id = t->folder ? t->project_id : t->release_id;
	size_t n = strnlen(id, KT_ID_MAX - 1);

	memcpy(out, id, n);
	/* The harness of a preview is told so. */
	if (t->preview)
		out[n++] = '+';
	out[n] = '\0';
}

static char *target_json(const struct kt_target *t, size_t *out_len)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(4096);
	struct kt_jw w;

	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_jw_str(&w, "org_id", t->org_id);
	kt_jw_str(&w, "org", t->org_slug);
	kt_jw_str(&w, "project_id", t->project_id);
	kt_jw_str(&w, "project", t->project);
	kt_jw_str(&w, "release_id", t->release_id);
	kt_jw_int(&w, "version", t->version);
	kt_jw_bool(&w, "folder", t->folder);
	kt_jw_bool(&w, "preview", t->preview);
	kt_jw_obj_end(&w);
	*out_len = b.len;
	return kt_buf_take(&b);
}

struct kt_pin *kt_pin_get(struct kt_sessions *reg, const struct kt_target *t)
{
	char key[KT_RELEASE_KEY_MAX];

	kt_release_key(t, key);
	struct kt_pin *pin = kt_map_get(&reg->pins, key);
	if (!pin) {
		pin = kt_calloc(1, sizeof(*pin));
		pin->group = kt_group_get(reg, t->org_id, t->project_id);
		pin->group->pins++;
		(void)kt_map_set(&reg->pins, key, pin);
	}
	pin->refs++;
	/* A project may have got another name since. */
	if (!pin->json || !kt_str_eq(pin->target.project, t->project) ||
		!kt_str_eq(pin->target.org_slug, t->org_slug)) {
		pin->target = *t;
		free(pin->json);
		pin->json = target_json(t, &pin->json_len);
	}
	return pin;
}

static void pin_put(struct kt_sessions *reg, struct kt_pin *pin)
{
	char key[KT_RELEASE_KEY_MAX];

	if (--pin->refs)
		return;
	kt_release_key(&pin->target, key);
	(void)kt_map_del(&reg->pins, key);
	pin->group->pins--;
	kt_group_put(reg, pin->group);
	free(pin->json);
	free(pin);
}

void kt_pin_set(struct kt_session *s, struct kt_pin *pin)
{
	struct kt_group *g = pin->group;

	kt_pin_clear(s);
	s->pin = pin;
	s->older_of = g->newest;
	if (g->newest)
		g->newest->newer_of = s;
	else
		g->oldest = s;
	g->newest = s;
	g->n++;
	kt_spent_group(g, &s->spent, 1);
}

void kt_pin_clear(struct kt_session *s)
{
	struct kt_pin *pin = KT_STEAL(s->pin);
	struct kt_group *g;

	if (!pin)
		return;
	g = pin->group;
	if (s->older_of)
		s->older_of->newer_of = s->newer_of;
	else
		g->oldest = s->newer_of;
	if (s->newer_of)
		s->newer_of->older_of = s->older_of;
	else
		g->newest = s->older_of;
	s->older_of = s->newer_of = NULL;
	g->n--;
	kt_spent_group(g, &s->spent, -1);
	pin_put(s->reg, pin);
}

const struct kt_target *kt_session_target(const struct kt_session *s)
{
	return s->pin ? &s->pin->target : NULL;
}

struct kt_session *kt_session_older_of(
	const struct kt_sessions *reg, const char *project_id, const struct kt_session *after)
{
	const struct kt_group *g = kt_map_get(&reg->groups, project_id);

	if (!g || (after && (!after->pin || after->pin->group != g)))
		return NULL;
	return after ? after->older_of : g->newest;
}

size_t kt_sessions_count_of(const struct kt_sessions *reg, const char *project_id)
{
	const struct kt_group *g = kt_map_get(&reg->groups, project_id);

	return g ? g->n : 0;
}
