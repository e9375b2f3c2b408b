/* SPDX-License-Identifier: MIT */
/*
 * The members of a large object, one after the other, in the text itself: no tree, no copy. No
 * state; thread-safe.
 */
#include "text/json.h"
#include "text/json_check_private.h"

#include <string.h>

static char *skip_member_blanks(char *p)
{
	return p + strspn(p, " \t\r\n");
}

/* Behind the string that begins at p. */
static char *member_string_end(char *p)
{
	for (p++; *p != '"'; p++)
		p += *p == '\\';
	return p + 1;
}

/* Behind the value that begins at p. */
static char *value_end(char *p)
{
	size_t depth = 0;

	do {
		if (*p == '"') {
			p = member_string_end(p);
			continue;
		}
		if (*p == '{' || *p == '[') {
			depth++;
		} else if (*p == '}' || *p == ']') {
			depth--;
		} else if (depth == 0) {
			return p + strcspn(p, ",}] \t\r\n");
		}
		p++;
	} while (depth > 0);
	return p;
}

char *kt_json_member_str(const struct kt_json_member *m, size_t *out_len)
{
	return *m->value == '"' ? kt_json_unquote(m->value, m->len, out_len) : NULL;
}

enum kt_code kt_json_members(
	char *s, size_t len, size_t max_nodes, kt_json_member_fn fn, void *arg, struct kt_err *err)
{
	struct kt_json_faults faults;
	enum kt_code rc = kt_json_check_faults(s, len, KT_JSON_STRICT, max_nodes, &faults, err);
	char *p = s;

	if (rc != KT_OK)
		return rc;
	/* It is known to be right from here on, and to hold no NUL. */
	p = skip_member_blanks(p);
	if (*p != '{')
		return kt_fail(err, KT_EPROTO, 0, "the document must be an object");
	p = skip_member_blanks(p + 1);
	while (rc == KT_OK && *p == '"') {
		struct kt_json_member m;
		char *end = member_string_end(p);
		size_t key_len;

		m.value = skip_member_blanks(skip_member_blanks(end) + 1);
		m.key = kt_json_unquote(p, (size_t)(end - p), &key_len);
		end = value_end(m.value);
		m.len = (size_t)(end - m.value);
		p = skip_member_blanks(end);
		if (*p == ',')
			p = skip_member_blanks(p + 1);
		rc = fn(arg, &m, err);
	}
	return rc;
}
