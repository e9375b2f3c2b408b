/* SPDX-License-Identifier: MIT */
/*
 * The settings of karta.toml and karta.jsonc as one table, from which files are checked and read,
 * and the manual is compared. Both generations of keys are in it: a file written for either loads
 * without a complaint. karta.jsonc is brought into the shape of TOML nodes first, so that there is
 * one checker.
 */
#include "app/app_private.h"

#include "base/buf.h"
#include "base/str.h"
#include "text/json.h"

#include <stdio.h>
#include <string.h>

#define PATH_MAX_BYTES 512
#define TOML KT_SETTINGS_TOML
#define JSONC KT_SETTINGS_JSONC
#define NO_MAX INT64_MAX

static const char *const buildpacks[] = { "python", "node", NULL };
static const char *const portabilities[] = { "static", "forkable", "explainable", NULL };
static const char *const audiences[] = { "organization", "named", NULL };
static const char *const policies[] = { "prompt", "deny", "approve_once", "approve_session",
	"error", NULL };
static const char *const modes[] = { "interactive", "autonomous", NULL };
static const char *const outcomes[] = { "deny", "approve_once", NULL };

const struct kt_setting kt_settings[] = {
	{ TOML, "name", KT_SET_SLUG, NULL, NULL, 0, 0, NULL },
	{ TOML, "deploy", KT_SET_BOOL, NULL, "false", 0, 0, NULL },
	{ TOML, "buildpack", KT_SET_CHOICE, NULL, NULL, 0, 0, buildpacks },
	{ TOML, "entry_point", KT_SET_STRING, NULL, NULL, 0, 0, NULL },
	{ TOML, "starters", KT_SET_STRINGS, NULL, NULL, 0, 0, NULL },
	{ TOML, "harness.type", KT_SET_CHOICE, NULL, NULL, 0, 0, kt_harness_types },
	{ TOML, "harness.version", KT_SET_STRING, NULL, NULL, 0, 0, NULL },
	{ TOML, "harness.command", KT_SET_COMMAND, NULL, NULL, 0, 0, NULL },
	{ TOML, "harness.model", KT_SET_STRING, NULL, NULL, 0, 0, NULL },
	{ TOML, "environment.setup", KT_SET_STRING, NULL, NULL, 0, 0, NULL },
	{ TOML, "env.*.required", KT_SET_BOOL, NULL, "false", 0, 0, NULL },
	{ TOML, "env.*.description", KT_SET_STRING, NULL, NULL, 0, 0, NULL },
	{ TOML, "genui.enabled", KT_SET_BOOL, NULL, "true", 0, 0, NULL },
	{ TOML, "genui.catalog_id", KT_SET_STRING, NULL, NULL, 0, 0, NULL },
	{ TOML, "genui.version", KT_SET_INT, NULL, NULL, 1, NO_MAX, NULL },
	{ TOML, "genui.bundle", KT_SET_STRING, NULL, NULL, 0, 0, NULL },
	{ TOML, "genui.bundle_sha256", KT_SET_SHA256, NULL, NULL, 0, 0, NULL },
	{ TOML, "genui.components[].name", KT_SET_STRING, NULL, NULL, 0, 0, NULL },
	{ TOML, "genui.components[].tier", KT_SET_INT, NULL, NULL, 1, 3, NULL },
	{ TOML, "genui.build.source", KT_SET_STRING, NULL, NULL, 0, 0, NULL },
	{ TOML, "artifacts.manifest", KT_SET_STRING, NULL, ".karta/artifacts.json", 0, 0, NULL },
	{ TOML, "artifacts.kinds.*.renderer", KT_SET_STRING, NULL, NULL, 0, 0, NULL },
	{ TOML, "artifacts.kinds.*.schema_version", KT_SET_INT, NULL, NULL, 1, NO_MAX, NULL },
	{ TOML, "artifacts.kinds.*.portability", KT_SET_CHOICE, NULL, NULL, 0, 0, portabilities },
	{ TOML, "artifacts.kinds.*.allowed_render_paths", KT_SET_STRINGS, NULL, NULL, 0, 0, NULL },
	{ TOML, "artifacts.kinds.*.allowed_evidence_paths", KT_SET_STRINGS, NULL, NULL, 0, 0,
		NULL },
	{ TOML, "artifacts.kinds.*.allowed_provenance_paths", KT_SET_STRINGS, NULL, NULL, 0, 0,
		NULL },
	{ TOML, "artifacts.kinds.*.allowed_continuation_paths", KT_SET_STRINGS, NULL, NULL, 0, 0,
		NULL },
	{ TOML, "artifacts.kinds.*.max_share_bytes", KT_SET_INT, "bytes", NULL, 1, NO_MAX, NULL },
	{ TOML, "artifacts.kinds.*.publish_audiences", KT_SET_CHOICES, NULL, NULL, 0, 0,
		audiences },

	{ JSONC, "cli.hidden_event_types", KT_SET_STRINGS, NULL, NULL, 0, 0, NULL },
	{ JSONC, "cli.input_required_policy", KT_SET_CHOICE, NULL, "prompt", 0, 0, policies },
	{ JSONC, "cli.input_required_hidden_policy", KT_SET_CHOICE, NULL, "deny", 0, 0, policies },
	{ JSONC, "harness.claude.idle_timeout_seconds", KT_SET_INT, "seconds", "600", 1, 604800,
		NULL },
	{ JSONC, "harness.claude.thinking_budget_tokens", KT_SET_INT, "tokens", NULL, 1, 1000000,
		NULL },
	{ JSONC, "harness.claude.permission_intercept", KT_SET_BOOL, NULL, "false", 0, 0, NULL },
	{ JSONC, "harness.claude.agent_command", KT_SET_BOOL, NULL, "false", 0, 0, NULL },
	{ JSONC, "runtime.permission_mode", KT_SET_CHOICE, NULL, NULL, 0, 0, modes },
	{ JSONC, "runtime.approval_timeout_seconds", KT_SET_INT, "seconds", "3600", 1, 604800,
		NULL },
	{ JSONC, "runtime.approval_default", KT_SET_CHOICE, NULL, "deny", 0, 0, outcomes },
	{ JSONC, "runtime.event_retention_hours", KT_SET_INT, "hours", "24", 0, 87600, NULL },
	{ JSONC, "profile.name", KT_SET_STRING, NULL, NULL, 0, 0, NULL },
	{ JSONC, "profile.display_name", KT_SET_STRING, NULL, NULL, 0, 0, NULL },
};

const size_t kt_n_settings = KT_ARRAY_LEN(kt_settings);

static bool in_setting_list(const char *s, const char *const *list)
{
	for (size_t i = 0; list[i]; i++) {
		if (!strcmp(s, list[i]))
			return true;
	}
	return false;
}

static bool is_sha256(const char *s)
{
	return strlen(s) == 64 && strspn(s, "0123456789abcdefABCDEF") == 64;
}

/* What the value must be, appended to b; nothing when it is that. *at is where it is wrong. */
static void check_array(const struct kt_setting *st, const struct kt_toml *v,
	const struct kt_toml **at, struct kt_buf *b)
{
	for (const struct kt_toml *c = v->child; c; c = c->next) {
		*at = c;
		if (c->type != KT_TOML_STRING) {
			kt_buf_addf(
				b, "must hold strings only, not %s", kt_toml_type_name(c->type));
			return;
		}
		if (st->choices && !in_setting_list(c->str, st->choices)) {
			kt_buf_addf(b, "cannot hold '%s'", c->str);
			return;
		}
	}
	*at = v;
	if (st->type == KT_SET_COMMAND && !v->child)
		kt_buf_adds(b, "must not be empty");
}

static void check_setting_string(
	const struct kt_setting *st, const struct kt_toml *v, struct kt_buf *b)
{
	const char *near;

	if (strlen(v->str) != v->str_len) {
		kt_buf_adds(b, "must not hold a NUL character");
	} else if (st->type == KT_SET_SLUG && !kt_str_is_slug(v->str)) {
		kt_buf_addf(b, "must be lower-case letters, digits and hyphens, not '%s'", v->str);
	} else if (st->type == KT_SET_SHA256 && !is_sha256(v->str)) {
		kt_buf_adds(b, "must be 64 hexadecimal digits");
	} else if (st->type == KT_SET_COMMAND && !v->str[strspn(v->str, " \t")]) {
		kt_buf_adds(b, "must not be empty");
	} else if (st->type == KT_SET_CHOICE && !in_setting_list(v->str, st->choices)) {
		kt_buf_addf(b, "cannot be '%s'", v->str);
		near = kt_str_nearest(v->str, st->choices);
		if (near)
			kt_buf_addf(b, " (did you mean '%s'?)", near);
	}
}

static void check_int(const struct kt_setting *st, const struct kt_toml *v, struct kt_buf *b)
{
	if (v->i >= st->min && v->i <= st->max)
		return;
	if (st->max == NO_MAX)
		kt_buf_addf(b, "must be at least %lld", (long long)st->min);
	else
		kt_buf_addf(b, "must be from %lld to %lld", (long long)st->min, (long long)st->max);
	kt_buf_addf(b, ", not %lld", (long long)v->i);
}

/* Append what is wrong with the value, nothing when it is right; *at is the place. */
static void check_setting_value(const struct kt_setting *st, const struct kt_toml *v,
	const struct kt_toml **at, struct kt_buf *b)
{
	const char *want = NULL;

	*at = v;
	switch (st->type) {
	case KT_SET_BOOL:
		want = v->type == KT_TOML_BOOL ? NULL : "true or false";
		break;
	case KT_SET_INT:
		want = v->type == KT_TOML_INT ? NULL : "an integer";
		if (!want)
			check_int(st, v, b);
		break;
	case KT_SET_STRINGS:
	case KT_SET_CHOICES:
		want = v->type == KT_TOML_ARRAY ? NULL : "an array of strings";
		if (!want)
			check_array(st, v, at, b);
		break;
	case KT_SET_COMMAND:
		if (v->type == KT_TOML_ARRAY) {
			check_array(st, v, at, b);
			break;
		}
		want = v->type == KT_TOML_STRING ? NULL : "a string or an array of strings";
		if (!want)
			check_setting_string(st, v, b);
		break;
	case KT_SET_STRING:
	case KT_SET_SLUG:
	case KT_SET_SHA256:
	case KT_SET_CHOICE:
		want = v->type == KT_TOML_STRING ? NULL : "a string";
		if (!want)
			check_setting_string(st, v, b);
		break;
	}
	if (want)
		kt_buf_addf(b, "must be %s, not %s", want, kt_toml_type_name(v->type));
}

/* --- walking a file ---------------------------------------------------------------------- */

struct check {
	struct kt_load *ld;
	enum kt_settings_file which;
	const char *file;
	const char *text; /* JSONC, or NULL */
	size_t len;
};

/* Place of a node: its own, or that of the key in the JSONC text. */
static void setting_place(
	const struct check *c, const struct kt_toml *node, const char *shown, int *line, int *col)
{
	*line = node->line;
	*col = node->col;
	/* The search reads the text from its beginning: not for each of thousands of keys. */
	if (c->ld->n_findings >= KT_APP_MAX_FINDINGS)
		return;
	if (c->text && !kt_jsonc_locate(c->text, c->len, shown, line, col))
		*line = *col = 0;
}

/* Kind of a key below a table: what the table says about it. */
enum kind { UNKNOWN, LEAF, TABLE, TABLES };

/*
 * Look up key below the tables whose paths begin with pat ("genui." or ""). The path so far is put
 * into next, with "." behind it for tables.
 */
static enum kind classify_key(enum kt_settings_file which, const char *pat, const char *key,
	char *next, size_t size, const struct kt_setting **out)
{
	size_t n = strlen(pat), klen = strlen(key);

	for (size_t i = 0; i < kt_n_settings; i++) {
		const struct kt_setting *st = &kt_settings[i];
		const char *seg = st->path + n;
		bool tables, same;
		size_t len;

		if (st->file != which || !kt_str_starts(st->path, pat))
			continue;
		len = strcspn(seg, ".");
		tables = len > 2 && seg[len - 2] == '[';
		same = (len == 1 && *seg == '*') ||
			(len - (tables ? 2 : 0) == klen && !memcmp(seg, key, klen));
		if (!same)
			continue;
		if (!seg[len]) {
			*out = st;
			return LEAF;
		}
		snprintf(next, size, "%s%.*s.", pat, (int)len, seg);
		return tables ? TABLES : TABLE;
	}
	return UNKNOWN;
}

/* Known names directly below pat, NULL-terminated; arena. */
static const char *const *names_below(
	struct kt_arena *arena, enum kt_settings_file which, const char *pat)
{
	const char **list = kt_arena_alloc(arena, (kt_n_settings + 1) * sizeof(*list));
	size_t n = 0;

	for (size_t i = 0; i < kt_n_settings; i++) {
		const char *seg = kt_settings[i].path + strlen(pat);

		if (kt_settings[i].file != which || !kt_str_starts(kt_settings[i].path, pat))
			continue;
		list[n++] = kt_arena_strndup(arena, seg, strcspn(seg, ".["));
	}
	return list;
}

static void unknown_key(
	const struct check *c, const struct kt_toml *node, const char *pat, const char *shown)
{
	KT_AUTO_ARENA struct kt_arena *scratch = kt_arena_new();
	const char *near = kt_str_nearest(node->key, names_below(scratch, c->which, pat));
	int line, col;

	setting_place(c, node, shown, &line, &col);
	if (near)
		kt_load_note(c->ld, KT_WARNING, c->file, line, col,
			kt_arena_printf(scratch, "rename it to '%s', or remove it", near),
			"unknown key '%s' (did you mean '%s'?)", shown, near);
	else
		kt_load_note(c->ld, KT_WARNING, c->file, line, col, "remove it", "unknown key '%s'",
			shown);
}

static void check_leaf(const struct check *c, const struct kt_setting *st,
	const struct kt_toml *node, const char *shown)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1024);
	const char *fix = NULL;
	const struct kt_toml *at;
	int line, col;

	check_setting_value(st, node, &at, &b);
	if (!b.len && !b.overflow)
		return;
	if (st->choices) {
		KT_AUTO_BUF struct kt_buf list = KT_BUF_INIT(512);

		for (size_t i = 0; st->choices[i]; i++)
			kt_buf_addf(&list, "%s%s", i ? ", " : "use one of: ", st->choices[i]);
		fix = kt_arena_strdup(c->ld->app->arena, list.ptr);
	}
	setting_place(c, at, shown, &line, &col);
	kt_load_note(c->ld, KT_ERROR, c->file, line, col, fix, "'%s' %s", shown,
		b.len ? b.ptr : "has a value that is not allowed");
}

/* True when node is a table or, for TABLES, an array of nothing else; else an error is noted. */
static bool right_shape(
	const struct check *c, enum kind kind, const struct kt_toml *node, const char *shown)
{
	const struct kt_toml *at = node;
	int line, col;

	if (kind == TABLE && node->type == KT_TOML_TABLE)
		return true;
	if (kind == TABLES && node->type == KT_TOML_ARRAY) {
		for (at = node->child; at && at->type == KT_TOML_TABLE; at = at->next)
			;
		if (!at)
			return true;
	}
	setting_place(c, at, shown, &line, &col);
	kt_load_note(c->ld, KT_ERROR, c->file, line, col, NULL, "'%s' must be %s, not %s", shown,
		kind == TABLE ? "a table" : "an array of tables", kt_toml_type_name(at->type));
	return false;
}

/* Depth is bounded by the table's longest path, whatever the file holds. */
static void check_settings_table(
	const struct check *c, const struct kt_toml *table, const char *pat, const char *shown_pat)
{
	for (const struct kt_toml *node = table->child; node; node = node->next) {
		char next[PATH_MAX_BYTES], shown[PATH_MAX_BYTES], below[PATH_MAX_BYTES + 1];
		const struct kt_setting *st = NULL;
		enum kind kind = classify_key(c->which, pat, node->key, next, sizeof(next), &st);

		snprintf(shown, sizeof(shown), "%s%s", shown_pat, node->key);
		snprintf(below, sizeof(below), "%s.", shown);
		if (kind == UNKNOWN)
			unknown_key(c, node, pat, shown);
		else if (kind == LEAF)
			check_leaf(c, st, node, shown);
		else if (!right_shape(c, kind, node, shown))
			continue;
		else if (kind == TABLE)
			check_settings_table(c, node, next, below);
		else
			for (const struct kt_toml *e = node->child; e; e = e->next)
				check_settings_table(c, e, next, below);
	}
}

void kt_settings_check(struct kt_load *ld, enum kt_settings_file which, const char *file,
	const struct kt_toml *root, const char *text, size_t len)
{
	struct check c = { ld, which, file, text, len };

	check_settings_table(&c, root, "", "");
}

/* --- reading ----------------------------------------------------------------------------- */

static const struct kt_setting *find_setting(enum kt_settings_file which, const char *path)
{
	for (size_t i = 0; i < kt_n_settings; i++) {
		if (kt_settings[i].file == which && !strcmp(kt_settings[i].path, path))
			return &kt_settings[i];
	}
	return NULL;
}

const struct kt_toml *kt_settings_get(
	enum kt_settings_file which, const struct kt_toml *root, const char *path)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1024);
	const struct kt_setting *st = find_setting(which, path);
	const struct kt_toml *at;

	kt_assert(st != NULL);
	while (root && *path) {
		KT_AUTOFREE char *key = kt_strndup(path, strcspn(path, "."));

		root = root->type == KT_TOML_TABLE ? kt_toml_get(root, key) : NULL;
		path += strlen(key);
		path += *path == '.';
	}
	if (!root)
		return NULL;
	check_setting_value(st, root, &at, &b);
	return b.len || b.overflow ? NULL : root;
}

const char *kt_settings_str(
	enum kt_settings_file which, const struct kt_toml *root, const char *path)
{
	const struct kt_toml *v = kt_settings_get(which, root, path);

	return v && v->type == KT_TOML_STRING ? v->str : NULL;
}

int64_t kt_settings_int(enum kt_settings_file which, const struct kt_toml *root, const char *path)
{
	const struct kt_toml *v = kt_settings_get(which, root, path);
	const struct kt_setting *st = find_setting(which, path);
	int64_t dflt = 0;

	if (v)
		return v->i;
	return st->dflt && kt_str_int64(st->dflt, INT64_MIN, INT64_MAX, &dflt) ? dflt : 0;
}
