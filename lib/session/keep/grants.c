/* SPDX-License-Identifier: MIT */
/* What was approved for a session, in its line of the journal and out of it. */
#include "session/keep/keep_private.h"

#include "base/str.h"
#include "text/json.h"

#include <string.h>

void kt_approval_free(struct kt_approval *a)
{
	free(a->key);
	free(a->tool);
	free(a->words);
	free(a->by);
	free(a);
}

void kt_approvals_release(struct kt_vec *list)
{
	for (size_t i = 0; i < list->len; i++)
		kt_approval_free(list->items[i]);
	kt_vec_release(list);
}

void kt_approvals_save(struct kt_jw *w, const struct kt_session *s)
{
	kt_jw_arr(w, "approvals");
	for (size_t i = 0; i < s->approvals.len; i++) {
		const struct kt_approval *a = s->approvals.items[i];

		kt_jw_obj(w, NULL);
		kt_jw_str(w, "id", a->id);
		kt_jw_str(w, "decision", kt_decision_name(a->decision));
		kt_jw_str(w, "key", a->key);
		kt_jw_str(w, "tool", a->tool);
		kt_jw_str(w, "words", a->words);
		kt_jw_str(w, "by", a->by);
		kt_jw_int(w, "at_us", a->at_us);
		kt_jw_obj_end(w);
	}
	kt_jw_arr_end(w);
}

/* What versions before kept ("remembered") covered more than was shown: it is asked for again. */
void kt_approvals_load(struct kt_session *s, const cJSON *doc)
{
	const cJSON *it;

	cJSON_ArrayForEach (it, kt_json_arr(doc, "approvals")) {
		const char *id = kt_json_str(it, "id"), *key = kt_json_str(it, "key");
		const char *by = kt_json_str(it, "by");
		enum kt_decision decision;
		struct kt_approval *a;

		if (!id || !key || strlen(id) >= KT_ID_MAX ||
			!kt_decision_parse(kt_json_str(it, "decision"), &decision))
			continue;
		a = kt_calloc(1, sizeof(*a));
		kt_str_copy(a->id, sizeof(a->id), id);
		a->decision = decision;
		a->key = kt_strdup(key);
		a->tool = kt_strdup(kt_json_str_or(it, "tool", ""));
		a->words = kt_strdup(kt_json_str_or(it, "words", ""));
		a->by = kt_strdup_opt(by);
		a->at_us = kt_json_int(it, "at_us", 0);
		kt_vec_push(&s->approvals, a);
	}
}
