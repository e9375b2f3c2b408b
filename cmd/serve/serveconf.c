/* SPDX-License-Identifier: MIT */
/* Settings of `karta serve` from the command line, the environment, a file and the defaults. */
#include "cmd/serve/serveconf.h"

#include "base/buf.h"
#include "base/env.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/str.h"
#include "cmd/cmd.h"
#include "net/trust.h"
#include "text/clean.h"
#include "text/json.h"
#include "text/toml.h"

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define SYSTEM_FILE "/etc/karta/serve.toml"

enum type { T_STR, T_BOOL, T_INT, T_SIZE, T_TIME, T_TRUST };

struct setting {
	const char
		*name; /* as in the file; the flag has '-' for '_', the variable KARTA_ in front */
	enum type type;
	size_t offset;
	const char *dflt; /* as one writes it; NULL = none */
	int64_t min, max; /* of T_INT, T_SIZE (bytes) and T_TIME (milliseconds) */
};

#define AT(field) offsetof(struct kt_serve_conf, field)
#define DAYS_MS(n) ((int64_t)(n)*24 * 3600 * 1000)
#define GIB ((int64_t)1024 * 1024 * 1024)

static const struct setting settings[] = {
	{ "listen", T_STR, AT(listen), "127.0.0.1:8000", 0, 0 },
	{ "data", T_STR, AT(data), NULL, 0, 0 },
	{ "public_url", T_STR, AT(public_url), NULL, 0, 0 },
	{ "trust_proxy", T_TRUST, AT(trust_proxy), "false", 0, 0 },
	{ "offline", T_BOOL, AT(offline), "false", 0, 0 },
	{ "require_keys", T_BOOL, AT(require_keys), "false", 0, 0 },
	{ "harness_program", T_STR, AT(harness_program), NULL, 0, 0 },
	{ "github_url", T_STR, AT(github_url), NULL, 0, 0 },
	{ "private_hosts", T_STR, AT(private_hosts), NULL, 0, 0 },
	{ "log", T_STR, AT(log_level), "info", 0, 0 },
	{ "log_format", T_STR, AT(log_format), "auto", 0, 0 },
	{ "drain", T_TIME, AT(drain_ms), "30s", 0, 3600 * 1000 },
	{ "preview_life", T_TIME, AT(preview_ms), "72h", 1000, DAYS_MS(3650) },
	{ "release_retention", T_TIME, AT(release_retention_ms), "7d", 0, DAYS_MS(3650) },
	{ "log_retention", T_TIME, AT(log_retention_ms), "7d", 1000, DAYS_MS(3650) },
	{ "max_log_bytes", T_SIZE, AT(max_log_bytes), "64M", 65536, 16 * GIB },
	{ "max_archive_bytes", T_SIZE, AT(max_archive_bytes), "100M", 1024, 16 * GIB },
	{ "max_release_bytes", T_SIZE, AT(max_release_bytes), "512M", 1024, 64 * GIB },
	{ "max_release_files", T_INT, AT(max_release_files), "20000", 1, 1000000 },
	{ "max_file_bytes", T_SIZE, AT(max_file_bytes), "256M", 1024, 64 * GIB },
};
#define N_SETTINGS KT_ARRAY_LEN(settings)

static void *serve_setting_field(struct kt_serve_conf *c, const struct setting *s)
{
	return (char *)c + s->offset;
}

/* The variable of a setting: "KARTA_PUBLIC_URL". out holds 64 bytes. */
static void serve_setting_variable(const struct setting *s, char *out)
{
	size_t n = (size_t)snprintf(out, 64, "KARTA_%s", s->name);

	for (size_t i = 0; i < n; i++)
		out[i] = (char)toupper((unsigned char)out[i]);
}

static bool parse_bool(const char *text, bool *out)
{
	static const char *const yes[] = { "1", "true", "yes", "on" };
	static const char *const no[] = { "0", "false", "no", "off", "" };

	for (size_t i = 0; i < KT_ARRAY_LEN(yes); i++)
		if (kt_str_ieq(text, yes[i])) {
			*out = true;
			return true;
		}
	for (size_t i = 0; i < KT_ARRAY_LEN(no); i++)
		if (kt_str_ieq(text, no[i])) {
			*out = false;
			return true;
		}
	return false;
}

/* "true" is a proxy near by; a list names those that are trusted. */
static bool parse_trust(struct kt_arena *arena, const char *text, const char **out)
{
	struct kt_trust *t = NULL;
	bool on;

	if (parse_bool(text, &on)) {
		*out = on ? "" : NULL;
		return true;
	}
	if (kt_trust_new(text, &t, NULL) != KT_OK)
		return false;
	kt_trust_free(t);
	*out = kt_arena_strdup(arena, text);
	return true;
}

/* Take a value in text form; where names its place in errors. */
static enum kt_code take_serve_setting(struct kt_serve_settings *set, const struct setting *s,
	const char *text, const char *where, struct kt_err *err)
{
	void *to = serve_setting_field(&set->conf, s);
	bool ok = false;

	switch (s->type) {
	case T_STR:
		/* What has a default cannot be without a value. */
		ok = *text || (!s->dflt && s->offset != AT(data));
		if (ok)
			*(const char **)to = *text ? kt_arena_strdup(set->arena, text) : NULL;
		break;
	case T_BOOL:
		ok = parse_bool(text, to);
		break;
	case T_INT:
		ok = kt_str_int64(text, s->min, s->max, to);
		break;
	case T_SIZE:
		ok = kt_str_size(text, to) && *(int64_t *)to >= s->min && *(int64_t *)to <= s->max;
		break;
	case T_TIME:
		ok = kt_str_duration_ms(text, to) && *(int64_t *)to >= s->min &&
			*(int64_t *)to <= s->max;
		break;
	case T_TRUST:
		ok = parse_trust(set->arena, text, to);
		break;
	}
	if (ok) {
		set->origins[s - settings].text = kt_arena_strdup(set->arena, where);
		return KT_OK;
	}
	kt_fail(err, KT_EINVAL, 0, "%s: '%s' is no value for %s", where, text, s->name);
	if (s->type == T_STR)
		return KT_EINVAL;
	if (s->type == T_INT)
		return kt_hint(err, "give a number from %lld to %lld", (long long)s->min,
			(long long)s->max);
	if (s->type == T_SIZE)
		return kt_hint(err, "give a size from %lld to %lld bytes: 512K, 10M, 2G",
			(long long)s->min, (long long)s->max);
	return kt_hint(err, "%s",
		s->type == T_BOOL            ? "give true or false"
			: s->type == T_TRUST ? "give true, false, or addresses and networks: "
					       "10.1.0.0/16,::1"
					     : "give a time: 30s, 12h, 7d");
}

/* The text of a TOML value as a flag would give it; NULL for tables and arrays. */
static const char *toml_text(struct kt_arena *arena, const struct kt_toml *v)
{
	switch (v->type) {
	case KT_TOML_STRING:
		return v->str;
	case KT_TOML_BOOL:
		return v->i ? "true" : "false";
	case KT_TOML_INT:
		return kt_arena_printf(arena, "%lld", (long long)v->i);
	case KT_TOML_TABLE:
	case KT_TOML_ARRAY:
	case KT_TOML_FLOAT:
	case KT_TOML_DATETIME:
		break;
	}
	return NULL;
}

static enum kt_code take_entry(
	struct kt_serve_settings *set, const struct kt_toml *v, struct kt_err *err)
{
	const char *where = kt_arena_printf(set->arena, "%s:%d", set->file, v->line);
	const char *text = toml_text(set->arena, v);

	for (size_t i = 0; i < N_SETTINGS; i++) {
		if (!kt_str_eq(settings[i].name, v->key))
			continue;
		if (!text)
			return kt_fail(err, KT_EINVAL, 0, "%s: %s must not be %s", where, v->key,
				kt_toml_type_name(v->type));
		return take_serve_setting(set, &settings[i], text, where, err);
	}
	kt_fail(err, KT_EINVAL, 0, "%s: unknown setting '%s'", where, v->key);
	return kt_hint(err, "'karta serve --show-config' lists the settings");
}

static enum kt_code load_file(struct kt_serve_settings *set, const char *path, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_MAX_CONFIG_BYTES);
	const struct kt_toml *doc;
	enum kt_code rc = kt_fs_read(path, &b, err);

	if (rc != KT_OK)
		return rc;
	set->file = kt_arena_strdup(set->arena, path);
	rc = kt_toml_parse(set->arena, b.ptr, b.len, &doc, err);
	if (rc != KT_OK)
		return kt_wrap(err, "%s", path);
	for (const struct kt_toml *v = doc->child; v && rc == KT_OK; v = v->next)
		rc = take_entry(set, v, err);
	return rc;
}

/*
 * Settings that cannot be read (a link to a volume that is not mounted, another user's) are no
 * reason to start without them: that could be a server that asks for no key.
 */
static bool is_there(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

static enum kt_code find_file(struct kt_serve_settings *set, const char *file, struct kt_err *err)
{
	KT_AUTOFREE char *dir = kt_dir_config();
	KT_AUTOFREE char *own = kt_path_join(dir, "serve.toml");

	if (!file)
		file = kt_env_get("KARTA_SERVE_CONFIG");
	if (!file && is_there(own))
		file = own;
	if (!file && is_there(SYSTEM_FILE))
		file = SYSTEM_FILE;
	return file ? load_file(set, file, err) : KT_OK;
}

static enum kt_code check_serve_conf(const struct kt_serve_conf *c, struct kt_err *err)
{
	enum kt_log_level level;

	if (!kt_log_level_parse(c->log_level, &level))
		return kt_fail(err, KT_EINVAL, 0,
			"log: '%s' is no level (debug, info, warn, error)", c->log_level);
	if (!kt_str_eq(c->log_format, "auto") && !kt_str_eq(c->log_format, "text") &&
		!kt_str_eq(c->log_format, "json"))
		return kt_fail(err, KT_EINVAL, 0, "log_format: '%s' is not auto, text or json",
			c->log_format);
	if (c->public_url && !kt_str_starts(c->public_url, "http://") &&
		!kt_str_starts(c->public_url, "https://"))
		return kt_fail(err, KT_EINVAL, 0,
			"public_url: '%s' does not begin with https:// or http://", c->public_url);
	return KT_OK;
}

static enum kt_code load_serve_settings(struct kt_serve_settings *set,
	const struct kt_serve_flag *flags, const char *file, struct kt_err *err)
{
	enum kt_code rc = KT_OK;
	KT_AUTOFREE char *data = kt_dir_data();

	for (size_t i = 0; i < N_SETTINGS && rc == KT_OK; i++) {
		set->origins[i].text = "default";
		if (settings[i].dflt)
			rc = take_serve_setting(
				set, &settings[i], settings[i].dflt, "default", err);
	}
	set->conf.data = kt_arena_strdup(set->arena, data);
	if (rc == KT_OK)
		rc = find_file(set, file, err);
	for (size_t i = 0; i < N_SETTINGS && rc == KT_OK; i++) {
		char name[64];
		const char *value;

		serve_setting_variable(&settings[i], name);
		value = kt_env_get(name);
		if (value)
			rc = take_serve_setting(set, &settings[i], value, name, err);
	}
	for (const struct kt_serve_flag *f = flags; f->name && rc == KT_OK; f++)
		for (size_t i = 0; i < N_SETTINGS && f->value && rc == KT_OK; i++)
			if (kt_str_eq(settings[i].name, f->name))
				rc = take_serve_setting(set, &settings[i], f->value, "flag", err);
	return rc == KT_OK ? check_serve_conf(&set->conf, err) : rc;
}

enum kt_code kt_serve_settings_load(const struct kt_serve_flag *flags, const char *file,
	struct kt_serve_settings **out, struct kt_err *err)
{
	struct kt_arena *arena = kt_arena_new();
	struct kt_serve_settings *set = kt_arena_alloc(arena, sizeof(*set));
	enum kt_code rc;

	set->arena = arena;
	set->origins = kt_arena_alloc(arena, N_SETTINGS * sizeof(*set->origins));
	rc = load_serve_settings(set, flags, file, err);
	if (rc != KT_OK) {
		kt_arena_free(arena);
		return rc;
	}
	*out = set;
	return KT_OK;
}

void kt_serve_settings_free(struct kt_serve_settings *s)
{
	if (s)
		kt_arena_free(s->arena);
}

enum kt_code kt_serve_data_dir(const char *given, char **out, struct kt_err *err)
{
	const struct kt_serve_flag flags[] = { { "data", given }, { NULL, NULL } };
	struct kt_serve_settings *set;
	enum kt_code rc = kt_serve_settings_load(flags, NULL, &set, err);

	if (rc != KT_OK)
		return rc;
	*out = kt_strdup(set->conf.data);
	kt_serve_settings_free(set);
	return KT_OK;
}

/* A value as it can be written into the file. */
static void add_serve_value(
	struct kt_buf *b, const struct kt_serve_conf *c, const struct setting *s)
{
	const void *at = (const char *)c + s->offset;
	int64_t n;

	switch (s->type) {
	case T_STR:
		kt_toml_add_str(b, *(const char *const *)at ? *(const char *const *)at : "");
		return;
	case T_BOOL:
		kt_buf_adds(b, *(const bool *)at ? "true" : "false");
		return;
	case T_TRUST:
		if (!*(const char *const *)at || !**(const char *const *)at)
			kt_buf_adds(b, *(const char *const *)at ? "true" : "false");
		else
			kt_toml_add_str(b, *(const char *const *)at);
		return;
	case T_INT:
	case T_SIZE:
		kt_buf_addf(b, "%lld", (long long)*(const int64_t *)at);
		return;
	case T_TIME:
		n = *(const int64_t *)at;
		if (n % 1000)
			kt_buf_addf(b, "\"%lldms\"", (long long)n);
		else if (n % 3600000 || !n)
			kt_buf_addf(b, "\"%llds\"", (long long)n / 1000);
		else
			kt_buf_addf(b, "\"%lldh\"", (long long)n / 3600000);
		return;
	}
}

void kt_serve_settings_print(const struct kt_serve_settings *s, bool json)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(256 * 1024);
	struct kt_jw w;

	if (json) {
		kt_jw_init(&w, &b);
		kt_jw_obj(&w, NULL);
		kt_jw_int(&w, "schema_version", 1);
		kt_jw_obj(&w, "settings");
	}
	for (size_t i = 0; i < N_SETTINGS; i++) {
		KT_AUTO_BUF struct kt_buf v = KT_BUF_INIT(65536);

		add_serve_value(&v, &s->conf, &settings[i]);
		if (!json) {
			kt_clean_addf(&b, "%-18s = %-30s # %s\n", settings[i].name, v.ptr,
				s->origins[i].text);
			continue;
		}
		kt_jw_obj(&w, settings[i].name);
		if (v.ptr[0] == '"')
			kt_jw_strn(&w, "value", v.ptr + 1, v.len - 2);
		else
			kt_jw_raw(&w, "value", v.ptr, v.len);
		kt_jw_str(&w, "origin", s->origins[i].text);
		kt_jw_obj_end(&w);
	}
	if (json) {
		kt_jw_obj_end(&w);
		kt_jw_obj_end(&w);
		kt_buf_addc(&b, '\n');
	}
	kt_out(b.ptr, b.len);
}
