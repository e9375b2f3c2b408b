/* SPDX-License-Identifier: MIT */
/*
 * Variables of one release (`karta deploy --env`): a JSON object in its row, each value sealed and
 * written in hexadecimal. Bound to the organization only, so that a later release of the same code
 * takes them over as they are.
 */
#include "control/core/seal_private.h"

#include "base/env.h"
#include "base/limits.h"
#include "base/str.h"

#include <string.h>

#define MAX_ENV_BYTES (KT_MAX_HTTP_BODY_BYTES * 3)

static const char *context(struct kt_arena *arena, const char *org_id, const char *name)
{
	return kt_arena_printf(arena, "env/%s/%s", org_id, name);
}

enum kt_code kt_env_seal(const struct kt_control *ctl, struct kt_arena *arena, const char *org_id,
	const cJSON *env, const char **out, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf all = KT_BUF_INIT(MAX_ENV_BYTES);
	struct kt_jw w;
	size_t n = 0;

	*out = NULL;
	if (!env || !env->child)
		return KT_OK;
	kt_jw_init(&w, &all);
	kt_jw_obj(&w, NULL);
	for (const cJSON *v = env->child; v; v = v->next) {
		KT_AUTO_BUF struct kt_buf sealed = KT_BUF_INIT(KT_MAX_CONFIG_VALUE_BYTES + 64);
		KT_AUTO_BUF struct kt_buf hex = KT_BUF_INIT(2 * (KT_MAX_CONFIG_VALUE_BYTES + 64));

		if (!kt_env_name_ok(v->string))
			return kt_fail(err, KT_EINVAL, 0, "'%.100s' cannot be a variable's name",
				v->string);
		if (!cJSON_IsString(v))
			return kt_fail(
				err, KT_EINVAL, 0, "the value of '%s' must be a string", v->string);
		if (strlen(v->valuestring) > KT_MAX_CONFIG_VALUE_BYTES || ++n > KT_MAX_CONFIG_VARS)
			return kt_fail(err, KT_ELIMIT, 0,
				"more than %d variables, or '%s' is longer than %d bytes (fixed)",
				KT_MAX_CONFIG_VARS, v->string, KT_MAX_CONFIG_VALUE_BYTES);
		kt_seal(ctl->master, context(arena, org_id, v->string), v->valuestring,
			strlen(v->valuestring), &sealed);
		kt_hex_add(&hex, sealed.ptr, sealed.len);
		kt_jw_str(&w, v->string, hex.ptr);
	}
	kt_jw_obj_end(&w);
	if (!kt_buf_ok(&all))
		return kt_fail(err, KT_ELIMIT, 0, "the variables are too long together (fixed)");
	*out = kt_arena_strndup(arena, all.ptr, all.len);
	return KT_OK;
}

enum kt_code kt_env_without(struct kt_arena *arena, const char *sealed,
	bool (*drop)(void *arg, const char *name), void *arg, const char **out, bool *out_any,
	struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(MAX_ENV_BYTES);
	KT_AUTO_JSON cJSON *doc = NULL;
	enum kt_code rc;

	*out = sealed;
	*out_any = false;
	if (!sealed)
		return KT_OK;
	rc = kt_json_parse(sealed, strlen(sealed), KT_JSON_STRICT, &doc, err);
	if (rc != KT_OK)
		return rc;
	for (cJSON *v = doc->child, *next; v; v = next) {
		next = v->next;
		if (!drop(arg, v->string))
			continue;
		cJSON_Delete(cJSON_DetachItemViaPointer(doc, v));
		*out_any = true;
	}
	if (!*out_any)
		return KT_OK;
	kt_json_add(&text, doc);
	*out = doc->child ? kt_arena_strndup(arena, text.ptr, text.len) : NULL;
	return KT_OK;
}

static int env_nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool from_hex(const char *s, struct kt_buf *out)
{
	for (; s[0] && s[1]; s += 2) {
		int hi = env_nibble(s[0]), lo = env_nibble(s[1]);

		if (hi < 0 || lo < 0)
			return false;
		kt_buf_addc(out, (char)(hi << 4 | lo));
	}
	return !*s && kt_buf_ok(out);
}

enum kt_code kt_env_unseal(const struct kt_master *master, const char *org_id, const char *sealed,
	void (*fn)(void *arg, const char *name, const char *value), void *arg, struct kt_err *err)
{
	KT_AUTO_ARENA struct kt_arena *arena = kt_arena_new();
	KT_AUTO_JSON cJSON *doc = NULL;
	enum kt_code rc = kt_json_parse(sealed, strlen(sealed), KT_JSON_STRICT, &doc, err);

	for (const cJSON *v = rc == KT_OK ? doc->child : NULL; v; v = v->next) {
		KT_AUTO_BUF struct kt_buf bytes = KT_BUF_INIT(KT_MAX_CONFIG_VALUE_BYTES + 64);
		KT_AUTO_BUF struct kt_buf value = KT_BUF_INIT(KT_MAX_CONFIG_VALUE_BYTES);

		if (!cJSON_IsString(v) || !from_hex(v->valuestring, &bytes))
			return kt_fail(
				err, KT_EPROTO, 0, "the variables of the release are damaged");
		rc = kt_unseal(master, context(arena, org_id, v->string), bytes.ptr, bytes.len,
			&value, err);
		if (rc != KT_OK)
			return rc;
		fn(arg, v->string, value.ptr);
		kt_secret_wipe(value.ptr, value.len);
	}
	return rc;
}

bool kt_release_names(struct kt_map *names, const char *env)
{
	KT_AUTO_JSON cJSON *doc = NULL;

	if (env && kt_json_parse(env, strlen(env), KT_JSON_STRICT, &doc, NULL) != KT_OK)
		return false;
	for (const cJSON *v = doc ? doc->child : NULL; v; v = v->next)
		(void)kt_map_set(names, v->string, names);
	return true;
}
