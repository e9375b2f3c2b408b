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

enum value_type {
	V_STRING,
	V_SLUG, /* string in the grammar of names */
	V_SHA256, /* string of 64 hexadecimal digits */
	V_BOOL,
	V_INT,
	V_CHOICE, /* string, one of choices */
	V_STRINGS, /* array of strings */
	V_CHOICES, /* array of strings, each one of choices */
	V_COMMAND, /* array of strings that is not empty, or one string */
};

static const char *const type_names[] = {
	[V_STRING] = "string",
	[V_SLUG] = "name",
	[V_SHA256] = "sha256",
	[V_BOOL] = "boolean",
	[V_INT] = "integer",
	[V_CHOICE] = "choice",
	[V_STRINGS] = "strings",
	[V_CHOICES] = "choices",
	[V_COMMAND] = "command",
};

/*
 * One key. In path, "*" stands for any name and "x[]" for each table of the array x. Tables need no
 * entry of their own: they are the beginnings of paths.
 */
struct setting {
	enum kt_settings_file file;
	const char *path;
	enum value_type type;
	const char *unit; /* of integers, or NULL */
	const char *dflt; /* text as one writes it, or NULL */
	int64_t min, max; /* of V_INT */
	const char *generation; /* "1", "2", "own": who invented the key */
	const char *const *choices;
	const char *help; /* one line, lower case, no full stop */
};

static const char *const buildpacks[] = { "python", "node", NULL };
static const char *const portabilities[] = { "static", "forkable", "explainable", NULL };
static const char *const audiences[] = { "organization", "named", NULL };
static const char *const policies[] = { "prompt", "deny", "approve_once", "approve_session",
	"error", NULL };
static const char *const modes[] = { "interactive", "autonomous", NULL };
static const char *const outcomes[] = { "deny", "approve_once", NULL };

static const struct setting settings[] = {
	{ TOML, "name", V_SLUG, NULL, NULL, 0, 0, "2", NULL,
		"name of the agent; the folder's name when absent" },
	{ TOML, "deploy", V_BOOL, NULL, "false", 0, 0, "2", NULL,
		"whether a deploy ships this folder; false: never" },
	{ TOML, "buildpack", V_CHOICE, NULL, NULL, 0, 0, "1", buildpacks,
		"how code of your own is built; absent for an agent without any" },
	{ TOML, "entry_point", V_STRING, NULL, NULL, 0, 0, "1", NULL,
		"what the build starts, as module:attribute" },
	{ TOML, "starters", V_STRINGS, NULL, NULL, 0, 0, "own", NULL,
		"messages that the page offers to begin with" },
	{ TOML, "harness.type", V_CHOICE, NULL, NULL, 0, 0, "2", kt_harness_types,
		"the harness that runs the agent; guessed from the files when absent" },
	{ TOML, "harness.version", V_STRING, NULL, NULL, 0, 0, "2", NULL,
		"version of the harness: a pin or the beginning of one" },
	{ TOML, "harness.command", V_COMMAND, NULL, NULL, 0, 0, "own", NULL,
		"program and arguments of an agent that speaks ACP" },
	{ TOML, "harness.model", V_STRING, NULL, NULL, 0, 0, "own", NULL,
		"model that the harness is told to use" },
	{ TOML, "environment.setup", V_STRING, NULL, NULL, 0, 0, "2", NULL,
		"script that runs once, when a workspace is first prepared" },
	{ TOML, "env.*.required", V_BOOL, NULL, "false", 0, 0, "2", NULL,
		"whether the agent cannot do without the variable" },
	{ TOML, "env.*.description", V_STRING, NULL, NULL, 0, 0, "2", NULL,
		"what the variable is for" },
	{ TOML, "genui.enabled", V_BOOL, NULL, "true", 0, 0, "2", NULL,
		"whether the agent may show components" },
	{ TOML, "genui.catalog_id", V_STRING, NULL, NULL, 0, 0, "2", NULL,
		"name of the set of components" },
	{ TOML, "genui.version", V_INT, NULL, NULL, 1, NO_MAX, "2", NULL,
		"version of the set; raise it when the list changes" },
	{ TOML, "genui.bundle", V_STRING, NULL, NULL, 0, 0, "2", NULL,
		"file with the code of the components" },
	{ TOML, "genui.bundle_sha256", V_SHA256, NULL, NULL, 0, 0, "2", NULL,
		"digest that the bundle must have" },
	{ TOML, "genui.components[].name", V_STRING, NULL, NULL, 0, 0, "2", NULL,
		"name of a component" },
	{ TOML, "genui.components[].tier", V_INT, NULL, NULL, 1, 3, "2", NULL,
		"1 declarative, 2 worker, 3 frame in a sandbox" },
	{ TOML, "genui.build.source", V_STRING, NULL, NULL, 0, 0, "2", NULL,
		"folder that the bundle is built from" },
	{ TOML, "artifacts.manifest", V_STRING, NULL, ".karta/artifacts.json", 0, 0, "2", NULL,
		"file in which artifacts are recorded" },
	{ TOML, "artifacts.kinds.*.renderer", V_STRING, NULL, NULL, 0, 0, "2", NULL,
		"what shows an artifact of this kind" },
	{ TOML, "artifacts.kinds.*.schema_version", V_INT, NULL, NULL, 1, NO_MAX, "2", NULL,
		"version of the kind's data" },
	{ TOML, "artifacts.kinds.*.portability", V_CHOICE, NULL, NULL, 0, 0, "2", portabilities,
		"what a reader may do with an artifact" },
	{ TOML, "artifacts.kinds.*.allowed_render_paths", V_STRINGS, NULL, NULL, 0, 0, "2", NULL,
		"patterns of files that may be shown" },
	{ TOML, "artifacts.kinds.*.allowed_evidence_paths", V_STRINGS, NULL, NULL, 0, 0, "2", NULL,
		"patterns of files that may be given as evidence" },
	{ TOML, "artifacts.kinds.*.allowed_provenance_paths", V_STRINGS, NULL, NULL, 0, 0, "2",
		NULL, "patterns of files that may say where it came from" },
	{ TOML, "artifacts.kinds.*.allowed_continuation_paths", V_STRINGS, NULL, NULL, 0, 0, "2",
		NULL, "patterns of files that a fork may go on with" },
	{ TOML, "artifacts.kinds.*.max_share_bytes", V_INT, "bytes", NULL, 1, NO_MAX, "2", NULL,
		"largest artifact that may be shared" },
	{ TOML, "artifacts.kinds.*.publish_audiences", V_CHOICES, NULL, NULL, 0, 0, "2", audiences,
		"whom an artifact may be published to" },

	{ JSONC, "cli.hidden_event_types", V_STRINGS, NULL, NULL, 0, 0, "1", NULL,
		"accepted; the terminal shows all" },
	{ JSONC, "cli.input_required_policy", V_CHOICE, NULL, "prompt", 0, 0, "1", policies,
		"what is done when the agent asks for an approval" },
	{ JSONC, "cli.input_required_hidden_policy", V_CHOICE, NULL, "deny", 0, 0, "1", policies,
		"accepted; no approval is hidden" },
	{ JSONC, "harness.claude.idle_timeout_seconds", V_INT, "seconds", "600", 1, 604800, "1",
		NULL, "idle time after which a session's harness process is stopped" },
	{ JSONC, "harness.claude.thinking_budget_tokens", V_INT, "tokens", NULL, 1, 1000000, "1",
		NULL, "most tokens that the model may think with" },
	{ JSONC, "harness.claude.permission_intercept", V_BOOL, NULL, "false", 0, 0, "1", NULL,
		"accepted; approvals always come to karta" },
	{ JSONC, "harness.claude.agent_command", V_BOOL, NULL, "false", 0, 0, "1", NULL,
		"accepted; the agent of a session is chosen with each message" },
	{ JSONC, "runtime.permission_mode", V_CHOICE, NULL, NULL, 0, 0, "1", modes,
		"interactive asks, autonomous approves for the session" },
	{ JSONC, "runtime.approval_timeout_seconds", V_INT, "seconds", "3600", 1, 604800, "own",
		NULL, "time after which an unanswered approval is decided" },
	{ JSONC, "runtime.approval_default", V_CHOICE, NULL, "deny", 0, 0, "own", outcomes,
		"how an unanswered approval is decided" },
	{ JSONC, "runtime.event_retention_hours", V_INT, "hours", "24", 0, 87600, "own", NULL,
		"how long events are kept; 0 keeps the running turn only" },
	{ JSONC, "profile.name", V_STRING, NULL, NULL, 0, 0, "1", NULL,
		"accepted: id of the user" },
	{ JSONC, "profile.display_name", V_STRING, NULL, NULL, 0, 0, "1", NULL,
		"accepted: name of the user" },
};

static const char *const file_names[] = { [TOML] = "karta.toml", [JSONC] = "karta.jsonc" };

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
static void check_array(const struct setting *st, const struct kt_toml *v,
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
	if (st->type == V_COMMAND && !v->child)
		kt_buf_adds(b, "must not be empty");
}

static void check_setting_string(
	const struct setting *st, const struct kt_toml *v, struct kt_buf *b)
{
	const char *near;

	if (strlen(v->str) != v->str_len) {
		kt_buf_adds(b, "must not hold a NUL character");
	} else if (st->type == V_SLUG && !kt_str_is_slug(v->str)) {
		kt_buf_addf(b, "must be lower-case letters, digits and hyphens, not '%s'", v->str);
	} else if (st->type == V_SHA256 && !is_sha256(v->str)) {
		kt_buf_adds(b, "must be 64 hexadecimal digits");
	} else if (st->type == V_COMMAND && !v->str[strspn(v->str, " \t")]) {
		kt_buf_adds(b, "must not be empty");
	} else if (st->type == V_CHOICE && !in_setting_list(v->str, st->choices)) {
		kt_buf_addf(b, "cannot be '%s'", v->str);
		near = kt_str_nearest(v->str, st->choices);
		if (near)
			kt_buf_addf(b, " (did you mean '%s'?)", near);
	}
}

static void check_int(const struct setting *st, const struct kt_toml *v, struct kt_buf *b)
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
static void check_setting_value(const struct setting *st, const struct kt_toml *v,
	const struct kt_toml **at, struct kt_buf *b)
{
	const char *want = NULL;

	*at = v;
	switch (st->type) {
	case V_BOOL:
		want = v->type == KT_TOML_BOOL ? NULL : "true or false";
		break;
	case V_INT:
		want = v->type == KT_TOML_INT ? NULL : "an integer";
		if (!want)
			check_int(st, v, b);
		break;
	case V_STRINGS:
	case V_CHOICES:
		want = v->type == KT_TOML_ARRAY ? NULL : "an array of strings";
		if (!want)
			check_array(st, v, at, b);
		break;
	case V_COMMAND:
		if (v->type == KT_TOML_ARRAY) {
			check_array(st, v, at, b);
			break;
		}
		want = v->type == KT_TOML_STRING ? NULL : "a string or an array of strings";
		if (!want)
			check_setting_string(st, v, b);
		break;
	case V_STRING:
	case V_SLUG:
	case V_SHA256:
	case V_CHOICE:
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
	char *next, size_t size, const struct setting **out)
{
	size_t n = strlen(pat), klen = strlen(key);

	for (size_t i = 0; i < KT_ARRAY_LEN(settings); i++) {
		const struct setting *st = &settings[i];
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
	const char **list = kt_arena_alloc(arena, (KT_ARRAY_LEN(settings) + 1) * sizeof(*list));
	size_t n = 0;

	for (size_t i = 0; i < KT_ARRAY_LEN(settings); i++) {
		const char *seg = settings[i].path + strlen(pat);

		if (settings[i].file != which || !kt_str_starts(settings[i].path, pat))
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

static void check_leaf(const struct check *c, const struct setting *st, const struct kt_toml *node,
	const char *shown)
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
		const struct setting *st = NULL;
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

static const struct setting *find_setting(enum kt_settings_file which, const char *path)
{
	for (size_t i = 0; i < KT_ARRAY_LEN(settings); i++) {
		if (settings[i].file == which && !strcmp(settings[i].path, path))
			return &settings[i];
	}
	return NULL;
}

const struct kt_toml *kt_settings_get(
	enum kt_settings_file which, const struct kt_toml *root, const char *path)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1024);
	const struct setting *st = find_setting(which, path);
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
	const struct setting *st = find_setting(which, path);
	int64_t dflt = 0;

	if (v)
		return v->i;
	return st->dflt && kt_str_int64(st->dflt, INT64_MIN, INT64_MAX, &dflt) ? dflt : 0;
}

static void add_setting_number(struct kt_buf *b, bool have, int64_t v)
{
	if (have)
		kt_buf_addf(b, "%lld\t", (long long)v);
	else
		kt_buf_adds(b, "-\t");
}

void kt_app_settings_dump(struct kt_buf *b)
{
	for (size_t i = 0; i < KT_ARRAY_LEN(settings); i++) {
		const struct setting *st = &settings[i];

		kt_buf_addf(b, "%s\t%s\t%s\t%s\t%s\t", file_names[st->file], st->path,
			type_names[st->type], st->unit ? st->unit : "-", st->dflt ? st->dflt : "-");
		add_setting_number(b, st->type == V_INT, st->min);
		add_setting_number(b, st->type == V_INT && st->max != NO_MAX, st->max);
		kt_buf_addf(b, "%s\t", st->generation);
		for (size_t k = 0; st->choices && st->choices[k]; k++)
			kt_buf_addf(b, "%s%s", k ? "," : "", st->choices[k]);
		kt_buf_addf(b, "%s\t%s\n", st->choices ? "" : "-", st->help);
	}
}
