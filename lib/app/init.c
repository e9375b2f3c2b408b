/* SPDX-License-Identifier: MIT */
/*
 * Making a folder ready. Every file is created with O_EXCL, so nothing is ever overwritten;
 * .gitignore alone is appended to. karta.toml comes last: a folder that has one is done.
 */
#include "app/app_private.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/inside.h"
#include "base/limits.h"
#include "base/str.h"
#include "base/vec.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static const struct kt_asset *starter_files;

void kt_app_set_starter(const struct kt_asset *files)
{
	starter_files = files;
}

struct init {
	struct kt_arena *arena;
	const char *dir;
	int top; /* dir, opened: what is written goes through it and through no link */
	const char *name;
	enum kt_harness_type harness;
	const char *type; /* of karta.toml, for the harness */
	bool have_harness;
	struct kt_vec written, kept, below;
};

/* Create a file (relative) and its folders, or note that it is there. */
static enum kt_code put_init_file(
	struct init *in, const char *file, const void *data, size_t len, struct kt_err *err)
{
	enum kt_code rc = kt_inside_write_new(in->top, file, data, len, 0644, err);
	bool there = rc == KT_ECONFLICT;

	if (rc != KT_OK && !there)
		return rc;
	kt_vec_push(there ? &in->kept : &in->written, kt_arena_strdup(in->arena, file));
	return KT_OK;
}

/* Nothing but what a new repository has: no work of the user that the starter would mix with. */
static enum kt_code is_empty_folder(const char *dir, bool *out, struct kt_err *err)
{
	static const char *const harmless[] = { ".git", ".gitignore", ".gitattributes", ".github",
		".karta", ".env", ".DS_Store", "LICENSE", "LICENSE.md", "README.md" };
	char **names;
	size_t n;
	enum kt_code rc = kt_fs_list(dir, &names, &n, err);

	if (rc != KT_OK)
		return rc;
	*out = true;
	for (size_t i = 0; i < n; i++) {
		bool found = false;

		for (size_t k = 0; k < KT_ARRAY_LEN(harmless); k++)
			found |= !strcmp(names[i], harmless[k]);
		*out &= found;
	}
	kt_fs_names_free(names, n);
	return KT_OK;
}

static void add_toml(struct kt_buf *b, const struct init *in)
{
	kt_buf_adds(b, "# Settings of this agent: see karta.toml(5).\nname = ");
	kt_toml_add_str(b, in->name);
	kt_buf_adds(b,
		"\n\n# false: a deploy does not ship this folder.\ndeploy = true\n\n[harness]\n");
	if (in->have_harness) {
		kt_buf_adds(b, "type = ");
		kt_toml_add_str(b, in->type);
	} else {
		kt_buf_adds(b,
			"# type = \"claude-code\"  # or \"opencode\"; found from the files "
			"without");
	}
	kt_buf_addc(b, '\n');
	if (in->have_harness && kt_str_eq(in->type, "acp"))
		kt_buf_adds(b,
			"# The program that speaks the Agent Client Protocol, and its arguments:\n"
			"# command = [\"program\", \"argument\"]\n");
}

/* --- the starter ------------------------------------------------------------------------- */

/*
 * The starter is laid out for Claude Code. Path of one of its files for another harness (arena), or
 * NULL when it has no meaning there.
 */
static const char *map_path(struct init *in, const char *path)
{
	static const char agents[] = ".claude/agents/", skills[] = ".claude/skills/";

	if (in->harness == KT_HARNESS_CLAUDE)
		return path;
	if (!strcmp(path, "CLAUDE.md"))
		return "AGENTS.md";
	if (!strcmp(path, ".mcp.json"))
		return NULL;
	if (!kt_str_starts(path, ".claude/"))
		return path;
	if (in->harness != KT_HARNESS_OPENCODE)
		return NULL;
	if (kt_str_starts(path, agents))
		return kt_arena_printf(in->arena, ".opencode/agents/%s", path + strlen(agents));
	if (kt_str_starts(path, skills))
		return kt_arena_printf(in->arena, ".opencode/skills/%s", path + strlen(skills));
	return NULL;
}

static size_t init_line_len(const char *p, const char *end)
{
	const char *lf = memchr(p, '\n', (size_t)(end - p));

	return lf ? (size_t)(lf - p) + 1 : (size_t)(end - p);
}

static bool line_is(const char *p, size_t n, const char *start)
{
	return n >= strlen(start) && !memcmp(p, start, strlen(start));
}

/*
 * An agent of Claude Code as one of OpenCode: name and description stay, the rest of the front
 * matter (tools, model) means something else there, and sub-agents say so.
 */
static void map_agent(struct kt_buf *b, const char *data, size_t len)
{
	const char *p = data, *end = data + len;
	size_t n = init_line_len(p, end);
	bool keep = false;

	if (!line_is(p, n, "---")) {
		kt_buf_add(b, data, len);
		return;
	}
	kt_buf_add(b, p, n);
	for (p += n; p < end; p += n) {
		n = init_line_len(p, end);
		if (line_is(p, n, "---"))
			break;
		/* Lines that are indented belong to the key above them. */
		if (*p != ' ' && *p != '\t')
			keep = line_is(p, n, "name:") || line_is(p, n, "description:");
		if (keep)
			kt_buf_add(b, p, n);
	}
	kt_buf_adds(b, "mode: subagent\n");
	kt_buf_add(b, p, (size_t)(end - p));
}

/* The starter's karta.toml under the name of this folder and for the harness wanted. */
static void map_toml(struct kt_buf *b, const struct init *in, const char *data, size_t len)
{
	const char *p = data, *end = data + len;
	bool top = true, in_harness = false;

	while (p < end) {
		size_t n = init_line_len(p, end);

		if (*p == '[') {
			top = false;
			in_harness = line_is(p, n, "[harness]");
		}
		if (top && (line_is(p, n, "name =") || line_is(p, n, "name="))) {
			kt_buf_adds(b, "name = ");
			kt_toml_add_str(b, in->name);
			kt_buf_addc(b, '\n');
		} else if (in_harness && (line_is(p, n, "type =") || line_is(p, n, "type="))) {
			kt_buf_adds(b, "type = ");
			kt_toml_add_str(b, in->type);
			kt_buf_addc(b, '\n');
		} else if (!(in_harness && in->harness != KT_HARNESS_CLAUDE &&
				   (line_is(p, n, "version") || line_is(p, n, "model")))) {
			kt_buf_add(b, p, n);
		}
		p += n;
	}
}

static enum kt_code put_asset(struct init *in, const struct kt_asset *a, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_MAX_AGENT_FILE_BYTES);
	const char *path = map_path(in, a->path);
	const char *data = (const char *)a->data;

	if (!path)
		return KT_OK;
	if (!strcmp(path, "karta.toml"))
		map_toml(&b, in, data, a->len);
	else if (kt_str_starts(path, ".opencode/agents/"))
		map_agent(&b, data, a->len);
	else
		return put_init_file(in, path, a->data, a->len, err);
	if (!kt_buf_ok(&b))
		return kt_fail(err, KT_EINTERNAL, 0, "the starter's '%s' is too large", path);
	return put_init_file(in, path, b.ptr, b.len, err);
}

static enum kt_code put_starter(struct init *in, struct kt_err *err)
{
	const struct kt_asset *toml = NULL;

	for (const struct kt_asset *a = starter_files; a->path; a++) {
		enum kt_code rc = KT_OK;

		if (!strcmp(a->path, "karta.toml"))
			toml = a;
		else
			rc = put_asset(in, a, err);
		if (rc != KT_OK)
			return rc;
	}
	return toml ? put_asset(in, toml, err) : KT_OK;
}

/* --- .gitignore -------------------------------------------------------------------------- */

/* True when a line of text is the pattern, whatever slashes stand around it. */
static bool has_pattern(const char *text, size_t len, const char *pattern)
{
	const char *p = text, *end = text + len;
	size_t want = strlen(pattern) - kt_str_ends(pattern, "/");

	while (p < end) {
		size_t n = init_line_len(p, end), k = n;
		const char *s = p;

		while (k && strchr("\r\n \t/", s[k - 1]))
			k--;
		if (k && *s == '/') {
			s++;
			k--;
		}
		if (k == want && !memcmp(s, pattern, k))
			return true;
		p += n;
	}
	return false;
}

static bool has_name(const struct kt_vec *v, const char *name)
{
	for (size_t i = 0; i < v->len; i++) {
		if (kt_str_eq(v->items[i], name))
			return true;
	}
	return false;
}

static void drop_name(struct kt_vec *v, const char *name)
{
	for (size_t i = v->len; i > 0; i--) {
		if (kt_str_eq(v->items[i - 1], name))
			(void)kt_vec_remove(v, i - 1);
	}
}

/* A missing one is empty. */
static enum kt_code read_gitignore(const struct init *in, struct kt_buf *b, struct kt_err *err)
{
	enum kt_code rc = kt_inside_read(in->top, ".gitignore", b, err);

	return rc == KT_ENOTFOUND ? KT_OK : rc;
}

static enum kt_code put_gitignore(struct init *in, struct kt_err *err)
{
	static const char *const patterns[] = { ".karta/", ".env", ".claude/settings.local.json" };
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(KT_MAX_CONFIG_BYTES);
	KT_AUTO_BUF struct kt_buf add = KT_BUF_INIT(256);
	size_t head;
	enum kt_code rc = read_gitignore(in, &text, err);

	if (rc != KT_OK)
		return rc;
	if (text.len && text.ptr[text.len - 1] != '\n')
		kt_buf_addc(&add, '\n');
	head = add.len;
	for (size_t i = 0; i < KT_ARRAY_LEN(patterns); i++) {
		if (!has_pattern(text.ptr, text.len, patterns[i]))
			kt_buf_addf(&add, "%s\n", patterns[i]);
	}
	if (add.len == head || has_name(&in->written, ".gitignore")) {
		if (!has_name(&in->written, ".gitignore") && !has_name(&in->kept, ".gitignore"))
			kt_vec_push(&in->kept, kt_arena_strdup(in->arena, ".gitignore"));
	} else {
		drop_name(&in->kept, ".gitignore");
		kt_vec_push(&in->written, kt_arena_strdup(in->arena, ".gitignore"));
	}
	if (add.len == head)
		return KT_OK;
	/* Appended in place, so that its mode and a reader's open file stay as they are. */
	return kt_inside_append(in->top, ".gitignore", add.ptr, add.len, 0644, err);
}

/* --- all of it --------------------------------------------------------------------------- */

static const char **arena_list_of(struct kt_arena *arena, const struct kt_vec *v)
{
	const char **list = kt_arena_alloc(arena, (v->len + 1) * sizeof(*list));

	for (size_t i = 0; i < v->len; i++)
		list[i] = v->items[i];
	return list;
}

static enum kt_code choose_init_name(
	struct init *in, const char *dir, const char *name, struct kt_err *err)
{
	KT_AUTOFREE char *real = NULL;
	KT_AUTOFREE char *base = NULL;
	KT_AUTOFREE char *slug = NULL;
	enum kt_code rc = kt_path_real(dir, &real, err);

	if (rc != KT_OK)
		return rc;
	in->dir = kt_arena_strdup(in->arena, real);
	base = kt_path_base(real);
	slug = kt_str_slugify(base);
	in->name = kt_arena_strdup(in->arena, name ? name : slug);
	return KT_OK;
}

/* The name that a karta.toml which was there already gives. */
static enum kt_code take_init_name(struct init *in, struct kt_err *err)
{
	struct kt_app *app;
	enum kt_code rc = kt_app_load(in->dir, NULL, &app, err);

	if (rc != KT_OK)
		return rc;
	in->name = kt_arena_strdup(in->arena, app->name);
	kt_app_free(app);
	return KT_OK;
}

/* Applications in the folders below (relative, "" for dir itself), to this depth. */
static void find_apps_below(struct init *in, const char *below, int depth)
{
	KT_AUTOFREE char *dir = kt_path_join(in->dir, below);
	char **names;
	size_t n;

	if (kt_fs_list(dir, &names, &n, NULL) != KT_OK)
		return;
	for (size_t i = 0; i < n && in->below.len < KT_APP_MAX_ITEMS; i++) {
		KT_AUTOFREE char *path = kt_path_join(dir, names[i]);
		char *rel = kt_arena_printf(
			in->arena, "%s%s%s", below, *below ? "/" : "", names[i]);
		enum kt_harness_type type;

		if (names[i][0] == '.' || !strcmp(names[i], "node_modules") || !kt_fs_is_dir(path))
			continue;
		if (kt_app_has_file(path, "karta.toml") || kt_app_guess(path, &type))
			kt_vec_push(&in->below, rel);
		else if (depth > 1)
			find_apps_below(in, rel, depth - 1);
	}
	kt_fs_names_free(names, n);
}

static enum kt_code lay_out_starter(struct init *in, bool *out_starter, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf toml = KT_BUF_INIT(4096);
	KT_AUTO_BUF struct kt_buf ignore = KT_BUF_INIT(KT_MAX_CONFIG_BYTES);
	/* What cannot be written at the end is told before anything is. */
	enum kt_code rc = read_gitignore(in, &ignore, err);

	if (rc == KT_OK)
		rc = is_empty_folder(in->dir, out_starter, err);

	if (rc != KT_OK)
		return rc;
	if (!starter_files || (in->have_harness && in->harness == KT_HARNESS_REHEARSAL))
		*out_starter = false;
	if (*out_starter) {
		in->have_harness = true;
		rc = put_starter(in, err);
	} else if (!in->have_harness) {
		in->have_harness = kt_app_guess(in->dir, &in->harness);
		in->type = kt_harness_name(in->harness);
	}
	if (!in->have_harness && !kt_app_has_file(in->dir, "karta.toml"))
		find_apps_below(in, "", 2);
	if (rc == KT_OK && !in->below.len &&
		!(*out_starter && kt_app_has_file(in->dir, "karta.toml"))) {
		add_toml(&toml, in);
		rc = put_init_file(in, "karta.toml", toml.ptr, toml.len, err);
	}
	if (rc == KT_OK && has_name(&in->kept, "karta.toml"))
		rc = take_init_name(in, err);
	return rc == KT_OK ? put_gitignore(in, err) : rc;
}

enum kt_code kt_app_init(struct kt_arena *arena, const char *dir, const char *name,
	const char *harness, struct kt_init_result *out, struct kt_err *err)
{
	struct init in = { .arena = arena,
		.top = -1,
		.harness = KT_HARNESS_CLAUDE,
		.type = kt_harness_name(KT_HARNESS_CLAUDE) };
	struct kt_init_result res = { 0 };
	enum kt_code rc;

	if (name && !kt_str_is_slug(name)) {
		(void)kt_fail(err, KT_EINVAL, 0, "'%s' cannot be a name", name);
		(void)kt_hint(err, "use lower-case letters, digits and hyphens, at most 63");
		return KT_EINVAL;
	}
	if (harness) {
		in.type = kt_harness_type_find(harness, &in.harness);
		if (!in.type)
			return kt_app_no_harness(harness, err);
		in.have_harness = true;
	}
	rc = kt_fs_mkdirs(dir, 0755, err);
	if (rc == KT_OK)
		rc = choose_init_name(&in, dir, name, err);
	if (rc == KT_OK)
		rc = kt_inside_open(in.dir, &in.top, err);
	if (rc == KT_OK)
		rc = lay_out_starter(&in, &res.starter, err);
	if (rc == KT_OK) {
		res.name = in.name;
		res.written = arena_list_of(arena, &in.written);
		res.kept = arena_list_of(arena, &in.kept);
		res.below = arena_list_of(arena, &in.below);
		*out = res;
	}
	if (in.top >= 0)
		close(in.top);
	kt_vec_release(&in.written);
	kt_vec_release(&in.kept);
	kt_vec_release(&in.below);
	return rc;
}
