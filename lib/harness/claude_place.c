/* SPDX-License-Identifier: MIT */
/*
 * Where a call of Claude Code will run. A `cd` of its shell lasts for the calls that follow in the
 * turn, and the request for a permission does not tell. The harness tells it in a hook before the
 * request: we have one, which never says anything.
 */
#include "harness/claude_private.h"

#include "base/limits.h"
#include "base/str.h"

#include <string.h>

enum {
	PLACES_MAX = 64, /* calls at once; of one that was forgotten the folder is not known */
};

/* Tools whose input means another thing in another folder. Others do not know that folder. */
static const char *const here[] = { "Bash", "Edit", "MultiEdit", "Write", "NotebookEdit", "Read",
	"Grep", "Glob", "LS" };

struct place {
	char *tool_use_id;
	char *cwd;
};

void kt_claude_place_hooks(struct kt_jw *w)
{
	KT_AUTO_BUF struct kt_buf matcher = KT_BUF_INIT(1024);

	for (size_t i = 0; i < KT_ARRAY_LEN(here); i++)
		kt_buf_addf(&matcher, "%s%s", i ? "|" : "", here[i]);
	kt_jw_obj(w, "hooks");
	kt_jw_arr(w, "PreToolUse");
	kt_jw_obj(w, NULL);
	kt_jw_str(w, "matcher", matcher.ptr);
	kt_jw_arr(w, "hookCallbackIds");
	kt_jw_str(w, NULL, "place");
	kt_jw_arr_end(w);
	kt_jw_obj_end(w);
	kt_jw_arr_end(w);
	kt_jw_obj_end(w);
}

static void place_free(struct place *p)
{
	free(p->tool_use_id);
	free(p->cwd);
	free(p);
}

static void remember_place(struct kt_claude *c, const char *tool_use_id, const char *cwd)
{
	struct place *p;

	if (!tool_use_id || !cwd || cwd[0] != '/' || strlen(cwd) >= KT_MAX_PATH_BYTES)
		return;
	if (c->places.len == PLACES_MAX)
		place_free(kt_vec_remove(&c->places, 0));
	p = kt_calloc(1, sizeof(*p));
	p->tool_use_id = kt_strdup(tool_use_id);
	p->cwd = kt_strdup(cwd);
	kt_vec_push(&c->places, p);
}

void kt_claude_place(struct kt_claude *c, const char *id, const cJSON *request)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_MAX_EVENT_BYTES);
	const cJSON *input = kt_json_obj(request, "input");
	const char *tool_use_id = kt_json_str(request, "tool_use_id");
	struct kt_jw w;

	remember_place(c, tool_use_id ? tool_use_id : kt_json_str(input, "tool_use_id"),
		kt_json_str(input, "cwd"));
	kt_claude_reply_begin(&w, &b, id);
	kt_claude_reply_end(c, &w);
}

const char *kt_claude_cwd(const struct kt_claude *c, const char *tool, const char *tool_use_id)
{
	/* The last word counts: a model may give an id twice. */
	for (size_t i = c->places.len; tool_use_id && i > 0; i--) {
		const struct place *p = c->places.items[i - 1];

		if (kt_str_eq(p->tool_use_id, tool_use_id))
			return p->cwd;
	}
	for (size_t i = 0; i < KT_ARRAY_LEN(here); i++) {
		if (kt_str_eq(here[i], tool))
			return NULL;
	}
	return c->cfg->cwd;
}

void kt_claude_places_clear(struct kt_claude *c)
{
	while (c->places.len)
		place_free(kt_vec_remove(&c->places, c->places.len - 1));
	kt_vec_release(&c->places);
}
