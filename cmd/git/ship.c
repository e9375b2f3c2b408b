/* SPDX-License-Identifier: MIT */
/* Finding the applications of a repository, and talking about how they are shipped. */
#include "cmd/git/ship.h"

#include "app/app.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/str.h"
#include "base/time.h"
#include "cmd/git/ci.h"
#include "cmd/remote.h"
#include "text/clean.h"
#include "text/toml.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#define LINE_MAX_BYTES ((size_t)64 * 1024)

/* --- applications ------------------------------------------------------------------------ */

static void close_ship(struct kt_ship *s)
{
	free(s->sub);
	free(s->name);
	kt_tree_free(s->tree);
}

void kt_ships_release(struct kt_ships *s)
{
	for (size_t i = 0; i < s->n; i++)
		close_ship(&s->items[i]);
	free(s->items);
	*s = (struct kt_ships){ .n = 0 };
}

static void on_packing(void *arg, size_t done, size_t total)
{
	KT_AUTOFREE char *text = kt_asprintf("Reading files %zu/%zu", done, total);

	kt_progress_update(arg, text);
}

static enum kt_code open_tree(const struct kt_ship_options *opts, const char *sub,
	struct kt_tree **out, struct kt_err *err)
{
	struct kt_tree_options to = {
		.sub = sub, .include = opts->include, .elsewhere = opts->elsewhere
	};

	kt_pack_limits_init(&to.limits);
	if (opts->progress) {
		to.progress = on_packing;
		to.arg = opts->progress;
	}
	return opts->rev ? kt_tree_commit(opts->dir, opts->rev, &to, out, err)
			 : kt_tree_folder(opts->dir, &to, out, err);
}

/* What karta.toml says of deploying. */
enum gate { UNSAID, SHIPS, STAYS };

/* Read name and deploy of the application's karta.toml; both stay as they are without one. */
static enum kt_code read_ship_toml(struct kt_ship *s, enum gate *gate, struct kt_err *err)
{
	const struct kt_file *f = kt_manifest_find(kt_tree_manifest(s->tree), "karta.toml");
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(KT_MAX_TOML_BYTES);
	KT_AUTO_ARENA struct kt_arena *arena = kt_arena_new();
	const struct kt_toml *doc, *v;
	enum kt_code rc;

	if (!f || f->mode == KT_MODE_LINK)
		return KT_OK;
	rc = kt_tree_read(s->tree, f, &text, err);
	if (rc == KT_OK)
		rc = kt_toml_parse(arena, text.ptr, text.len, &doc, err);
	if (rc != KT_OK)
		return kt_wrap(err, "%s%skarta.toml", s->sub, s->sub[0] ? "/" : "");
	v = kt_toml_get(doc, "name");
	if (v && v->type == KT_TOML_STRING && v->str[0])
		s->name = kt_strdup(v->str);
	v = kt_toml_get(doc, "deploy");
	if (v && v->type == KT_TOML_BOOL)
		*gate = v->i ? SHIPS : STAYS;
	return KT_OK;
}

/* Open one folder; *gate is what its karta.toml says. */
static enum kt_code open_ship(const struct kt_ship_options *opts, const char *sub,
	struct kt_ship *out, enum gate *gate, struct kt_err *err)
{
	struct kt_ship s = { .sub = kt_strdup(sub) };
	enum kt_code rc = open_tree(opts, sub, &s.tree, err);

	*gate = UNSAID;
	if (rc == KT_OK)
		rc = read_ship_toml(&s, gate, err);
	else if (sub[0])
		(void)kt_wrap(err, "folder '%s'", sub);
	if (rc == KT_OK)
		*out = s;
	else
		close_ship(&s);
	return rc;
}

/* A harness finds something to run here. */
static bool ship_is_application(const struct kt_manifest *m)
{
	static const char *const files[] = { "karta.toml", "CLAUDE.md", "AGENTS.md",
		"opencode.json", "opencode.jsonc" };
	static const char *const folders[] = { ".claude/", ".opencode/" };

	for (size_t i = 0; i < KT_ARRAY_LEN(files); i++) {
		if (kt_manifest_find(m, files[i]))
			return true;
	}
	for (size_t i = 0; i < m->n_files; i++) {
		for (size_t k = 0; k < KT_ARRAY_LEN(folders); k++) {
			if (kt_str_starts(m->files[i].path, folders[k]))
				return true;
		}
	}
	return false;
}

/* An application that is deployed alone must not say that it stays. */
static enum kt_code check_ship_gate(
	const struct kt_ship_options *opts, const char *sub, enum gate gate, struct kt_err *err)
{
	if (gate != STAYS)
		return KT_OK;
	(void)kt_fail(err, KT_EINVAL, 0, "%s%skarta.toml says deploy = false: nothing is deployed",
		sub, sub[0] ? "/" : "");
	return kt_hint(err, "write deploy = true into it%s", opts->rev ? " and commit it" : "");
}

/* The root stands alone, unless it is no application and a folder below is one that stays home. */
static enum kt_code check_root(const struct kt_ship *root, const char *other, struct kt_err *err)
{
	if (!other || ship_is_application(kt_tree_manifest(root->tree)))
		return KT_OK;
	(void)kt_fail(err, KT_EINVAL, 0, "no application here is to be deployed");
	return kt_hint(err, "write deploy = true into %s/karta.toml and commit it", other);
}

/* Those below the root that say deploy = true. *other is the first that does not. */
static enum kt_code find_ships_below(const struct kt_ship_options *opts, char **folders, size_t n,
	struct kt_ships *out, const char **other, struct kt_err *err)
{
	for (size_t i = 0; i < n; i++) {
		struct kt_ship s;
		enum gate gate;
		enum kt_code rc;

		if (!folders[i][0])
			continue;
		rc = open_ship(opts, folders[i], &s, &gate, err);
		if (rc != KT_OK)
			return rc;
		if (gate == SHIPS) {
			out->items[out->n++] = s;
			continue;
		}
		if (!*other)
			*other = folders[i];
		close_ship(&s);
	}
	return KT_OK;
}

static enum kt_code find_all_ships(const struct kt_ship_options *opts, char **folders, size_t n,
	struct kt_ships *out, struct kt_err *err)
{
	const char *other = NULL;
	struct kt_ship root;
	enum gate gate;
	bool has_root = n && !folders[0][0];
	enum kt_code rc;

	out->items = kt_calloc(n + 1, sizeof(*out->items));
	rc = find_ships_below(opts, folders, n, out, &other, err);
	if (rc != KT_OK || (out->n && !has_root))
		return rc;
	rc = open_ship(opts, "", &root, &gate, err);
	if (rc == KT_OK && out->n && gate != SHIPS) {
		close_ship(&root);
		return KT_OK;
	}
	if (rc == KT_OK && !out->n) {
		rc = check_root(&root, other, err);
		if (rc == KT_OK)
			rc = check_ship_gate(opts, "", gate, err);
		if (rc != KT_OK)
			close_ship(&root);
	}
	if (rc != KT_OK)
		return rc;
	memmove(out->items + 1, out->items, out->n * sizeof(*out->items));
	out->items[0] = root;
	out->n++;
	return KT_OK;
}

enum kt_code kt_ship_find(
	const struct kt_ship_options *opts, struct kt_ships *out, struct kt_err *err)
{
	struct kt_ships found = { .n = 0 };
	char **folders = NULL;
	size_t n = 0;
	enum gate gate;
	enum kt_code rc;

	if (opts->sub) {
		found.items = kt_calloc(1, sizeof(*found.items));
		rc = open_ship(opts, opts->sub, &found.items[0], &gate, err);
		found.n = rc == KT_OK;
		if (rc == KT_OK)
			rc = check_ship_gate(opts, opts->sub, gate, err);
	} else {
		rc = kt_git_apps(opts->dir, opts->rev, &folders, &n, err);
		if (rc == KT_OK)
			rc = find_all_ships(opts, folders, n, &found, err);
		kt_fs_names_free(folders, n);
	}
	if (rc == KT_OK)
		*out = found;
	else
		kt_ships_release(&found);
	return rc;
}

char *kt_ship_project(const struct kt_ships *s, size_t i, const char *dflt)
{
	const struct kt_ship *ship = &s->items[i];

	if (dflt && (s->n == 1 || !ship->sub[0] || kt_str_eq(ship->name, dflt)))
		return kt_strdup(dflt);
	return kt_strdup_opt(ship->name);
}

/* --- talk -------------------------------------------------------------------------------- */

void kt_ship_size(int64_t bytes, char *out)
{
	static const char *const units[] = { "B", "KB", "MB", "GB" };
	double v = (double)bytes;
	size_t u = 0;

	while (v >= 1000 && u + 1 < KT_ARRAY_LEN(units)) {
		v /= 1000;
		u++;
	}
	(void)snprintf(out, 16, u && v < 100 ? "%.1f %s" : "%.0f %s", v, units[u]);
}

static void put_line(struct kt_talk *t, enum kt_style style, const char *text)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(LINE_MAX_BYTES);
	KT_AUTO_BUF struct kt_buf clean = KT_BUF_INIT(LINE_MAX_BYTES);
	struct kt_ctx loud = { 0 };

	if (t->progress)
		kt_progress_clear(t->progress);
	kt_clean_add(&clean, text, strlen(text), true);
	kt_ci_defuse(clean.ptr);
	kt_buf_adds(&b, t->prefix);
	kt_term_add(&b, &t->ctx->errt, style, clean.ptr);
	kt_say_built(&loud, &b);
}

void kt_talk_say(struct kt_talk *t, const char *fmt, ...)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(LINE_MAX_BYTES);
	va_list ap;

	if (t->quiet)
		return;
	va_start(ap, fmt);
	kt_buf_vaddf(&b, fmt, ap);
	va_end(ap);
	put_line(t, KT_STYLE_NONE, b.ptr);
}

void kt_talk_log(void *arg, const char *level, const char *text)
{
	struct kt_talk *t = arg;
	bool error = kt_str_eq(level, "error"), warning = kt_str_starts(level, "warn");

	/* Whatever else is silenced, why it failed is said. */
	if ((t->quiet && !error) || (kt_str_eq(level, "debug") && !t->ctx->verbose))
		return;
	while (*text) {
		size_t len = strcspn(text, "\n");
		KT_AUTOFREE char *line = kt_strndup(text, len);

		put_line(t, error ? KT_STYLE_RED : warning ? KT_STYLE_YELLOW : KT_STYLE_NONE, line);
		text += len + (text[len] == '\n');
	}
}

void kt_talk_progress(void *arg, int64_t done, int64_t total)
{
	struct kt_talk *t = arg;
	KT_AUTOFREE char *text = NULL;
	char size[16];

	if (!t->progress || t->quiet)
		return;
	kt_ship_size(done, size);
	text = total ? kt_asprintf("Sending %s (%d %%)", size, (int)(done * 100 / total))
		     : kt_asprintf("Sending %s", size);
	kt_progress_update(t->progress, text);
}

bool kt_talk_poll(void *arg)
{
	struct kt_talk *t = arg;

	if (t->until_us && kt_mono_us() > t->until_us)
		t->timed_out = true;
	return !t->timed_out && !kt_remote_ints();
}

void kt_talk_released(
	struct kt_talk *t, const char *project, const cJSON *release, int64_t began_us)
{
	const char *version = kt_json_str_or(release, "version", "a release");
	const char *state = kt_json_str_or(release, "state", "");
	double s = (double)(kt_mono_us() - began_us) / 1e6;
	const char *what = "Released";

	if (kt_str_eq(state, "preview"))
		what = "Preview";
	else if (kt_str_eq(state, "queued") || kt_str_eq(state, "building"))
		what = "Queued";
	else if (!kt_str_eq(state, "active") && !kt_json_bool(release, "active", false))
		what = "Stored, not active:";
	kt_talk_say(t, "%s %s of %s in %.*fs", what, version, project, s < 0.1 ? 2 : 1, s);
}
