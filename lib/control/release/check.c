/* SPDX-License-Identifier: MIT */
/*
 * The check of a build: does the laid-out application load, is its harness here and the one of its
 * project, do its required variables have values. On a worker's thread; nothing is run. What it
 * finds becomes lines of the build's log and, when it is bad enough, the problem the build fails
 * with.
 */
#include "control/release/release_private.h"

#include "app/app.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>

#define MAX_FINDINGS_BYTES 65536
#define MAX_SECRETS 20 /* that are named */
#define MAX_PACKAGE_BYTES 262144 /* a package.json */

/* A line for the build's log, which the loop writes. */
static void note_line(struct kt_build *b, const char *level, const char *fmt, ...) KT_PRINTF(3, 4);
static void note_line(struct kt_build *b, const char *level, const char *fmt, ...)
{
	struct kt_build_work *w = b->work;
	struct kt_build_line *line = kt_arena_alloc(b->arena, sizeof(*line));
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(8192);
	va_list ap;

	va_start(ap, fmt);
	kt_buf_vaddf(&text, fmt, ap);
	va_end(ap);
	line->level = level;
	line->text = kt_arena_strdup(b->arena, text.ptr);
	*w->tail = line;
	w->tail = &line->next;
}

/* The first problem is the one that counts. */
static void build_problem(struct kt_build *b, const char *code, const char *fmt, ...)
	KT_PRINTF(3, 4);
static void build_problem(struct kt_build *b, const char *code, const char *fmt, ...)
{
	struct kt_build_work *w = b->work;
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(2048);
	va_list ap;

	if (w->code)
		return;
	va_start(ap, fmt);
	kt_buf_vaddf(&text, fmt, ap);
	va_end(ap);
	w->code = code;
	w->problem = kt_arena_strdup(b->arena, text.ptr);
}

/* --- the application --------------------------------------------------------------------- */

static void add_findings(struct kt_build *b, const struct kt_app *app)
{
	struct kt_build_work *w = b->work;
	KT_AUTO_BUF struct kt_buf all = KT_BUF_INIT(MAX_FINDINGS_BYTES);
	const struct kt_finding *first = NULL;

	for (const struct kt_finding *f = app->findings; f; f = f->next) {
		KT_AUTO_BUF struct kt_buf line = KT_BUF_INIT(4096);

		if (f->severity == KT_NOTE)
			continue;
		kt_finding_add(&line, f);
		note_line(b, f->severity == KT_ERROR ? "error" : "warn", "       %s", line.ptr);
		if (f->fix)
			note_line(b, "info", "         fix: %s", f->fix);
		if (f->severity == KT_ERROR && !first)
			first = f;
	}
	if (!first)
		return;
	kt_app_findings_add(&all, app);
	w->findings = kt_arena_strdup(b->arena, all.ptr);
	kt_buf_clear(&all);
	kt_finding_add(&all, first);
	if (app->n_errors > 1)
		kt_buf_addf(&all, " (and %zu more)", app->n_errors - 1);
	build_problem(b, "invalid_application", "%s", all.ptr);
}

static void tell_agents(struct kt_build *b, const struct kt_app *app)
{
	KT_AUTO_BUF struct kt_buf line = KT_BUF_INIT(4096);

	for (size_t i = 0; i < app->n_agents; i++) {
		if (!app->agents[i].primary)
			continue;
		kt_buf_adds(&line, line.len ? ", " : ", agents: ");
		kt_buf_adds(&line, app->agents[i].name);
	}
	note_line(b, "info", "       %s%s", app->harness_name, line.ptr);
}

static void detect_kind(struct kt_build *b, const struct kt_app *app)
{
	struct kt_build_work *w = b->work;
	KT_AUTOFREE char *file = kt_path_join(app->dir, "Dockerfile");
	bool docker = kt_fs_is_file(file);

	w->kind = docker ? "dockerfile" : app->buildpack ? "buildpack" : "file_copy";
	if (!docker && !app->buildpack) {
		w->image_ref = NULL;
		return;
	}
	note_line(b, "warn",
		"       %s is there, but images are not built yet: this release runs from its "
		"files",
		docker ? "a Dockerfile" : "a buildpack");
	note_line(b, "info", "       image %s", w->image_ref);
}

/* --- the harness ------------------------------------------------------------------------- */

/*
 * The version of a program that came as an npm package, from the package.json above it; "" when it
 * cannot be told without running it.
 */
static void program_version(const char *program, char *out, size_t size)
{
	KT_AUTOFREE char *dir = NULL;

	out[0] = '\0';
	if (kt_path_real(program, &dir, NULL) != KT_OK)
		return;
	for (int up = 0; up < 3; up++) {
		char *parent = kt_path_dir(dir);
		KT_AUTOFREE char *file = kt_path_join(parent, "package.json");
		KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(MAX_PACKAGE_BYTES);
		KT_AUTO_JSON cJSON *doc = NULL;

		free(dir);
		dir = parent;
		if (kt_fs_read(file, &text, NULL) != KT_OK)
			continue;
		if (kt_json_parse(text.ptr, text.len, KT_JSON_LENIENT, &doc, NULL) == KT_OK)
			(void)kt_str_copy(out, size, kt_json_str_or(doc, "version", ""));
		return;
	}
}

/* "2", "2.1" and "2.1.197" ask for what begins so; ranges and tags are not judged here. */
static bool harness_version_fits(const char *want, const char *have)
{
	size_t len = strlen(want);

	if (!*want || want[strspn(want, "0123456789.")])
		return true;
	return !strncmp(want, have, len) && (have[len] == '\0' || have[len] == '.');
}

static void check_build_harness(struct kt_build *b, const struct kt_app *app)
{
	struct kt_build_work *w = b->work;
	const struct kt_control_config *cfg = &b->ctl->cfg;
	struct kt_program program = { 0 };
	struct kt_err err = KT_ERR_INIT;
	char version[64];

	w->harness = app->harness_name;
	/* Before they had names of their own, all were one. */
	if (kt_str_eq(w->fixed_harness, "acp") && app->harness == KT_HARNESS_ACP)
		w->harness = w->fixed_harness;
	w->harness = kt_arena_strdup(b->arena, w->harness);
	if (w->fixed_harness && strcmp(w->fixed_harness, w->harness) != 0) {
		build_problem(b, "harness_fixed",
			"the project's harness is %s and stays so: publish a %s application under "
			"another name",
			w->fixed_harness, w->harness);
		return;
	}
	if (cfg->offline || app->harness == KT_HARNESS_REHEARSAL)
		return;
	if (cfg->harness_program)
		(void)kt_str_copy(program.path, sizeof(program.path), cfg->harness_program);
	else if (kt_app_program(app, &program, &err) != KT_OK && app->known) {
		/* It may come later; until then a session says the same. */
		note_line(b, "warn", "       %s is not available on this server yet: %s",
			w->harness, err.msg);
		note_line(b, "info", "         fix: %s", app->known->install);
		return;
	} else if (err.code != KT_OK) {
		if (err.hint[0])
			note_line(b, "info", "         fix, on the server: %s", err.hint);
		build_problem(b, "harness_unavailable", "%s is not available on this server: %s",
			w->harness, err.msg);
		return;
	}
	/* What speaks for a known harness has versions of its own. */
	if (!app->harness_version || app->known)
		return;
	program_version(program.path, version, sizeof(version));
	if (!version[0])
		note_line(b, "info", "       %s %s is asked for; which one is here was not checked",
			w->harness, app->harness_version);
	else if (!harness_version_fits(app->harness_version, version))
		build_problem(b, "harness_unavailable",
			"karta.toml asks for %s %s; this server has %s", w->harness,
			app->harness_version, version);
}

/* --- variables --------------------------------------------------------------------------- */

struct bound {
	struct kt_build *b;
	struct kt_map names;
};

static enum kt_code read_names(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	struct bound *bound = arg;
	const struct kt_release_row *row = bound->b->row;
	KT_AUTO_ARENA struct kt_arena *arena = kt_arena_new();
	struct kt_config_row *rows;
	size_t n;
	enum kt_code rc = kt_tx_config(
		tx, arena, row->project_id, row->config_version, &rows, &n, err);

	for (size_t i = 0; rc == KT_OK && i < n; i++)
		(void)kt_map_set(&bound->names, rows[i].name, bound);
	return rc;
}

static enum kt_code read_bound(struct bound *bound, struct kt_err *err)
{
	const struct kt_release_row *row = bound->b->row;
	enum kt_code rc = KT_OK;

	if (row->config_version > 0 && !row->fork)
		rc = kt_store_do(bound->b->ctl->store, false, read_names, bound, err);
	if (rc == KT_OK && !kt_release_names(&bound->names, row->env))
		rc = kt_fail(err, KT_EIO, 0, "the release's variables are damaged");
	return rc;
}

/* It is no error: it may come later, and is none of a release's. A fork gets no secrets anyway. */
static void warn_of_credential(struct kt_build *b, const struct kt_app *app, struct kt_map *names)
{
	const char *missing;

	if (b->ctl->cfg.offline || b->row->fork)
		return;
	for (size_t i = 0; i < app->n_env; i++) {
		if (app->env[i].value)
			(void)kt_map_set(names, app->env[i].name, b);
	}
	missing = kt_app_credential_missing(app->harness_name, app->dir, names);
	if (!missing)
		return;
	note_line(b, "warn",
		"       no credential for the model: sessions will fail until %s is set", missing);
	note_line(b, "info", "         fix: karta config set %s=- <file", missing);
}

static enum kt_code check_needed_env(
	struct kt_build *b, const struct kt_app *app, struct kt_err *err)
{
	struct bound bound = { .b = b, .names = KT_MAP_INIT };
	KT_AUTO_BUF struct kt_buf list = KT_BUF_INIT(1024);
	KT_AUTO_BUF struct kt_buf set = KT_BUF_INIT(1024);
	enum kt_code rc = read_bound(&bound, err);
	size_t n = 0;

	for (size_t i = 0; rc == KT_OK && i < app->n_env; i++) {
		const struct kt_env_decl *d = &app->env[i];

		if (!d->required || d->value || kt_map_get(&bound.names, d->name))
			continue;
		kt_buf_addf(&list, "%s%s", n ? ", " : "", d->name);
		kt_buf_addf(&set, " %s=...", d->name);
		n++;
	}
	if (rc == KT_OK)
		warn_of_credential(b, app, &bound.names);
	kt_map_release(&bound.names);
	if (rc != KT_OK || n == 0)
		return rc;
	if (b->row->fork) {
		note_line(b, "warn", "       no value for %s: a fork gets no secrets", list.ptr);
		return KT_OK;
	}
	note_line(b, "error", "       karta.toml requires %s", list.ptr);
	note_line(b, "info", "         fix: karta config set%s", set.ptr);
	build_problem(b, "config_unbound",
		"karta.toml requires %s, which %s no value: set %s with 'karta config set%s'",
		list.ptr, n == 1 ? "has" : "have", n == 1 ? "it" : "them", set.ptr);
	return KT_OK;
}

/* What was committed or sent is taken; whoever did it may not know. */
static enum kt_code warn_of_secrets(struct kt_build *b, struct kt_err *err)
{
	struct kt_manifest *m = NULL;
	size_t n = 0;
	enum kt_code rc = kt_layout_manifest(b->ctl, b->row->org_id, b->row->digest, &m, err);

	if (rc != KT_OK)
		return rc;
	for (size_t i = 0; i < m->n_files; i++) {
		if (!kt_pack_secret(m->files[i].path) || ++n > MAX_SECRETS)
			continue;
		note_line(b, "warn", "       '%s' looks like a secret, and is in the release",
			m->files[i].path);
	}
	if (n > MAX_SECRETS)
		note_line(b, "warn", "       and %zu more that look like secrets", n - MAX_SECRETS);
	if (n > 0)
		note_line(b, "info",
			"         fix: name it in .kartaignore, or git rm --cached and .gitignore; "
			"set values with 'karta config set'");
	kt_manifest_free(m);
	return KT_OK;
}

/* A change of configuration ships nothing: what is live got there when it was meant to. */
static void check_deploy_gate(struct kt_build *b, const struct kt_app *app)
{
	if (app->no_deploy && strcmp(b->row->source, "config") != 0)
		build_problem(b, "not_deployed",
			"karta.toml says deploy = false: write deploy = true to ship it");
}

enum kt_code kt_build_check(struct kt_build *b, struct kt_err *err)
{
	const struct kt_release_row *row = b->row;
	const struct kt_app_options opts = { .hosted = true };
	KT_AUTOFREE char *dir = kt_layout_path(b->ctl, row->org_id, row->digest);
	struct kt_app *app = NULL;
	enum kt_code rc = kt_layout_make(b->ctl, row->org_id, row->digest, err);

	if (rc == KT_ENOTFOUND || rc == KT_EPROTO) {
		build_problem(b, "release_gone", "%s", err->msg);
		return KT_OK;
	}
	if (rc != KT_OK)
		return rc;
	note_line(b, "info", "-----> Checking the application");
	rc = kt_app_load(dir, &opts, &app, err);
	if (rc != KT_OK)
		return rc;
	detect_kind(b, app);
	check_deploy_gate(b, app);
	/* First: what is wrong in karta.toml may be why it looks like another harness. */
	add_findings(b, app);
	check_build_harness(b, app);
	tell_agents(b, app);
	rc = check_needed_env(b, app, err);
	if (rc == KT_OK)
		rc = warn_of_secrets(b, err);
	kt_app_free(app);
	return rc;
}
