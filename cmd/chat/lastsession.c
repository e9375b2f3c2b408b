/* SPDX-License-Identifier: MIT */
/* Which session "go on" means, see lastsession.h. */
#include "cmd/chat/lastsession.h"

#include "base/str.h"

#include <string.h>

#define LOOKED_AT 200

enum kt_code kt_last_session(struct kt_client *c, char **out, struct kt_err *err)
{
	KT_AUTO_JSON cJSON *doc = NULL;
	const cJSON *s, *last = NULL;
	enum kt_code rc = kt_client_list(c, LOOKED_AT, NULL, &doc, err);

	*out = NULL;
	if (rc != KT_OK)
		return rc;
	/* Times of one server, in one form: their order is that of the text. */
	cJSON_ArrayForEach (s, kt_json_arr(doc, "data")) {
		if (kt_json_int(s, "turns", 0) <= 0 && !kt_json_obj(s, "turn"))
			continue;
		if (!last ||
			strcmp(kt_json_str_or(s, "updated_at", ""),
				kt_json_str_or(last, "updated_at", "")) > 0)
			last = s;
	}
	*out = kt_strdup_opt(kt_json_str(last, "id"));
	return KT_OK;
}

enum kt_code kt_last_check(bool continued, const char *session, struct kt_err *err)
{
	if (!continued || !session)
		return KT_OK;
	return kt_fail(err, KT_EINVAL, 0,
		"--continue is the last session, --session another one: say one of them");
}
