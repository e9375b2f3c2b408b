/* SPDX-License-Identifier: MIT */
/* Parsing through the validator, and typed getters. No state; thread-safe. */
#include "text/json.h"

#include "base/limits.h"
#include "text/json_check_private.h"

#include <math.h>
#include <string.h>

#define INT_SAFE 9007199254740992.0 /* 2^53: every integer up to here is exact in a double */

enum kt_code kt_json_check(const char *s, size_t len, int flags, struct kt_err *err)
{
	struct kt_json_faults faults;

	return kt_json_check_faults(s, len, flags, SIZE_MAX, &faults, err);
}

/* cJSON keeps doubles only: above this, and when infinite, the text of a number is kept too. */
static bool is_inexact(const cJSON *v)
{
	return cJSON_IsNumber(v) && !(fabs(v->valuedouble) < INT_SAFE);
}

static bool has_inexact(const cJSON *v)
{
	const cJSON *m;

	if (is_inexact(v))
		return true;
	cJSON_ArrayForEach (m, v)
		if (has_inexact(m))
			return true;
	return false;
}

/* The next number of a valid text at *p, or NULL; *p goes behind it. */
static const char *next_number(const char **p, const char *end, size_t *out_len)
{
	bool in_string = false;
	const char *s = *p;

	for (; s < end && (in_string || (*s != '-' && !(*s >= '0' && *s <= '9'))); s++) {
		if (*s == '"')
			in_string = !in_string;
		else if (in_string && *s == '\\')
			s++;
	}
	*p = s;
	while (*p < end && ((**p >= '0' && **p <= '9') || memchr("+-.eE", **p, 5)))
		++*p;
	*out_len = (size_t)(*p - s);
	return *out_len > 0 ? s : NULL;
}

/*
 * Give inexact numbers their text as valuestring, for kt_json_add(): the tree's numbers come in
 * the order of the text. cJSON_Delete() frees it. Returns false when memory is out.
 */
static bool keep_numbers(cJSON *v, const char **p, const char *end)
{
	cJSON *m;

	if (cJSON_IsNumber(v)) {
		size_t len;
		const char *text = next_number(p, end, &len);
		if (!text || !is_inexact(v))
			return text != NULL;
		v->valuestring = cJSON_malloc(len + 1);
		if (!v->valuestring)
			return false;
		memcpy(v->valuestring, text, len);
		v->valuestring[len] = '\0';
		return true;
	}
	cJSON_ArrayForEach (m, v)
		if (!keep_numbers(m, p, end))
			return false;
	return true;
}

enum kt_code kt_json_parse(const char *s, size_t len, int flags, cJSON **out, struct kt_err *err)
{
	return kt_json_parse_max(s, len, flags, KT_MAX_JSON_NODES, out, err);
}

enum kt_code kt_json_parse_max(
	const char *s, size_t len, int flags, size_t max_nodes, cJSON **out, struct kt_err *err)
{
	const char *text = s, *end = s + len;
	KT_AUTOFREE char *copy = NULL;
	enum kt_code rc;
	struct kt_json_faults faults;
	cJSON *doc;

	rc = kt_json_check_faults(s, len, flags, max_nodes, &faults, err);
	if (rc != KT_OK)
		return rc;
	/* cJSON steps over a byte order mark, but not in four bytes. */
	if (len >= 3 && memcmp(s, "\xef\xbb\xbf", 3) == 0) {
		s += 3;
		len -= 3;
	}
	if (faults.any) {
		copy = kt_try_malloc(len + 2 * faults.controls + 1);
		if (!copy)
			return kt_fail(err, KT_ENOMEM, 0, "no memory for %zu bytes of JSON", len);
		len = kt_json_fix(copy, s, len, flags);
		s = copy;
	}
	/* The text is known to be right, so that cJSON can only fail for want of memory. */
	doc = cJSON_ParseWithLength(s, len);
	if (!doc)
		return kt_fail(err, KT_ENOMEM, 0, "no memory for %zu bytes of JSON", len);
	if (has_inexact(doc) && !keep_numbers(doc, &text, end)) {
		cJSON_Delete(doc);
		return kt_fail(err, KT_ENOMEM, 0, "no memory for %zu bytes of JSON", len);
	}
	*out = doc;
	return KT_OK;
}

size_t kt_json_memory(const cJSON *doc)
{
	const cJSON *m;
	size_t n = doc ? sizeof(*doc) : 0;

	if (doc && doc->string)
		n += strlen(doc->string);
	if (doc && doc->valuestring)
		n += strlen(doc->valuestring);
	cJSON_ArrayForEach (m, doc)
		n += kt_json_memory(m);
	return n;
}

void kt_json_cleanup(cJSON **p)
{
	cJSON_Delete(*p);
}

/* Not cJSON's getter: with duplicate keys it takes the first, everyone else the last. */
static const cJSON *get_n(const cJSON *obj, const char *key, size_t len)
{
	const cJSON *found = NULL;

	if (!cJSON_IsObject(obj))
		return NULL;
	for (const cJSON *m = obj->child; m; m = m->next)
		if (m->string && strncmp(m->string, key, len) == 0 && m->string[len] == '\0')
			found = m;
	return found;
}

const cJSON *kt_json_get(const cJSON *obj, const char *key)
{
	return get_n(obj, key, strlen(key));
}

const cJSON *kt_json_path(const cJSON *obj, const char *path)
{
	while (obj) {
		size_t n = strcspn(path, ".");

		obj = get_n(obj, path, n);
		if (path[n] == '\0')
			break;
		path += n + 1;
	}
	return obj;
}

const char *kt_json_str(const cJSON *obj, const char *key)
{
	return kt_json_str_or(obj, key, NULL);
}

const char *kt_json_str_or(const cJSON *obj, const char *key, const char *dflt)
{
	const cJSON *v = kt_json_get(obj, key);

	return cJSON_IsString(v) ? v->valuestring : dflt;
}

int64_t kt_json_int(const cJSON *obj, const char *key, int64_t dflt)
{
	const cJSON *v = kt_json_get(obj, key);

	if (!cJSON_IsNumber(v) || !(fabs(v->valuedouble) <= INT_SAFE))
		return dflt;
	return trunc(v->valuedouble) == v->valuedouble ? (int64_t)v->valuedouble : dflt;
}

double kt_json_num(const cJSON *obj, const char *key, double dflt)
{
	const cJSON *v = kt_json_get(obj, key);

	return cJSON_IsNumber(v) && isfinite(v->valuedouble) ? v->valuedouble : dflt;
}

bool kt_json_bool(const cJSON *obj, const char *key, bool dflt)
{
	const cJSON *v = kt_json_get(obj, key);

	return cJSON_IsBool(v) ? cJSON_IsTrue(v) : dflt;
}

const cJSON *kt_json_arr(const cJSON *obj, const char *key)
{
	const cJSON *v = kt_json_get(obj, key);

	return cJSON_IsArray(v) ? v : NULL;
}

const cJSON *kt_json_obj(const cJSON *obj, const char *key)
{
	const cJSON *v = kt_json_get(obj, key);

	return cJSON_IsObject(v) ? v : NULL;
}
