/* SPDX-License-Identifier: MIT */
/*
 * Applications: the one of a local server's folder, and those of the releases that a hosting
 * server's sessions run. A release is opened once for all who need it; its application stays while
 * a harness runs with it, and for a while after.
 */
#include "session/run/run_private.h"

#include "base/log.h"
#include "base/str.h"
#include "base/vec.h"

#include <string.h>

#define APP_CHECK_MS 100 /* how long a look at the folder counts */
#define APP_IDLE_MS (10 * 60 * 1000) /* an unused release is let go of after this */
#define MAX_IDLE_APPS 256 /* unused ones that are kept; each takes about 50 KiB */

static const struct kt_err no_error = KT_ERR_INIT;

/* Of the harness: the one that is given, or what the application's folder and PATH have. */
static void find_program(const char *given, struct kt_app_ref *ref)
{
	struct kt_err err = KT_ERR_INIT;

	if (ref->app->harness == KT_HARNESS_REHEARSAL)
		return;
	if (given) {
		kt_str_copy(ref->program.path, sizeof(ref->program.path), given);
		return;
	}
	if (kt_app_program(ref->app, &ref->program, &err) == KT_OK)
		return;
	ref->program.path[0] = '\0';
	kt_str_copy(ref->problem, sizeof(ref->problem), err.msg);
	if (err.hint[0]) {
		size_t n = strlen(ref->problem);

		snprintf(ref->problem + n, sizeof(ref->problem) - n, " (%s)", err.hint);
	}
}

/* --- of a local server ------------------------------------------------------------------- */

/* What .env binds of the variables that karta.toml declares, for the harness. */
static void bind_env(struct kt_sessions *reg, const struct kt_app *app)
{
	char **env = kt_calloc(app->n_env + 1, sizeof(*env));
	size_t n = 0;

	for (size_t i = 0; i < app->n_env; i++) {
		if (app->env[i].value)
			env[n++] = kt_asprintf("%s=%s", app->env[i].name, app->env[i].value);
	}
	kt_free_env(reg->bound_env);
	reg->bound_env = env;
	reg->env.extra_env = env;
}

enum kt_code kt_app_load_local(struct kt_sessions *reg, struct kt_err *err)
{
	struct kt_app_ref *ref;
	struct kt_app *app;
	enum kt_code rc = kt_app_load(reg->dir, &reg->app_opts, &app, err);

	if (rc != KT_OK)
		return rc;
	ref = kt_calloc(1, sizeof(*ref));
	ref->refs = 1;
	ref->app = app;
	ref->fingerprint = kt_app_fingerprint(reg->dir);
	find_program(reg->harness_program, ref);
	bind_env(reg, app);
	if (reg->pool)
		kt_pool_set(reg->pool, ref->problem[0] ? NULL : ref->app,
			ref->program.path[0] ? ref->program.path : NULL, ref->fingerprint);
	kt_app_unref(reg->app);
	reg->app = ref;
	reg->app_checked_ms = kt_loop_now_ms(reg->loop);
	return KT_OK;
}

static struct kt_app_ref *current_app_ref(struct kt_sessions *reg)
{
	struct kt_err err = KT_ERR_INIT;
	int64_t now = kt_loop_now_ms(reg->loop);

	if (now - reg->app_checked_ms < APP_CHECK_MS)
		return reg->app;
	reg->app_checked_ms = now;
	if (kt_app_fingerprint(reg->dir) == reg->app->fingerprint &&
		!(reg->app->problem[0] && !reg->harness_program))
		return reg->app;
	if (kt_app_load_local(reg, &err) != KT_OK)
		kt_log(KT_LOG_WARN, "app", "the folder cannot be read again: %s", err.msg);
	else
		kt_log(KT_LOG_DEBUG, "app", "the folder was read again");
	return reg->app;
}

const struct kt_app *kt_sessions_app(struct kt_sessions *reg)
{
	return reg->control ? NULL : current_app_ref(reg)->app;
}

const struct kt_program *kt_sessions_program(const struct kt_sessions *reg)
{
	static const struct kt_program none;

	return reg->app ? &reg->app->program : &none;
}

const char *kt_sessions_problem(const struct kt_sessions *reg)
{
	return reg->app ? reg->app->problem : "";
}

/* --- of releases ------------------------------------------------------------------------- */

/*
 * A release on its way; all who want it meanwhile wait for the same opening. The control plane lays
 * its files out, then a thread reads them: as many as the limits of a release allow.
 */
struct opening {
	struct kt_sessions *reg; /* NULL when that is gone */
	struct kt_control *control;
	struct kt_target target;
	char key[KT_RELEASE_KEY_MAX];
	struct kt_vec waiters; /* struct waiter */
	struct kt_session_job job;
	struct kt_app_ref *ref; /* what the thread makes; none but it looks meanwhile */
	char *harness, *config, *program; /* as the server's; the thread's own */
	char **env; /* what the project bound */
	bool sealed; /* that is all its harness gets */
	uint64_t hold;
	bool held; /* `hold` has to be given back */
	enum kt_code rc;
	struct kt_err err;
};

/* Somebody from outside, or a session whose turn begins then. */
struct waiter {
	kt_prepared_fn fn;
	void *arg;
	kt_ready_fn on_prepared; /* of the session, when it is still there */
	char session_id[KT_ID_MAX];
};

static bool same_env(char *const *a, char *const *b)
{
	size_t i = 0;

	for (; a[i] && b[i]; i++) {
		if (strcmp(a[i], b[i]) != 0)
			return false;
	}
	return !a[i] && !b[i];
}

static char **copy_env(char *const *env)
{
	size_t n = 0;

	while (env && env[n])
		n++;
	char **copy = kt_calloc(n + 1, sizeof(*copy));
	for (size_t i = 0; i < n; i++)
		copy[i] = kt_strdup(env[i]);
	return copy;
}

/*
 * Of the application's own .env what it declares, then what the project's configuration binds, then
 * what tells the harness where it is.
 */
static char **release_env(const struct kt_app *app, char *const *bound, const struct kt_target *t)
{
	size_t n_bound = 0, n = 0;

	while (bound[n_bound])
		n_bound++;
	char **env = kt_calloc(app->n_env + n_bound + 3, sizeof(*env));
	for (size_t i = 0; i < app->n_env; i++) {
		if (app->env[i].value)
			env[n++] = kt_asprintf("%s=%s", app->env[i].name, app->env[i].value);
	}
	for (size_t i = 0; i < n_bound; i++)
		env[n++] = kt_strdup(bound[i]);
	env[n++] = kt_asprintf("KARTA_ENVIRONMENT=%s", t->preview ? "preview" : "production");
	if (!t->folder)
		env[n++] = kt_asprintf("KARTA_RELEASE=v%lld", (long long)t->version);
	return env;
}

/* A session of an application that lacks it fails at its first message. */
static const char *lacking(const struct kt_app *app, char *const *env)
{
	struct kt_map names = KT_MAP_INIT;
	const char *lacks;

	for (; *env; env++) {
		KT_AUTOFREE char *name = kt_strndup(*env, strcspn(*env, "="));

		(void)kt_map_set(&names, name, &names);
	}
	lacks = kt_app_credential_missing(app->harness_name, app->dir, &names);
	kt_map_release(&names);
	return lacks;
}

static void run_load(struct kt_session_job *job)
{
	struct opening *o = kt_container_of(job, struct opening, job);
	struct kt_app_ref *ref = o->ref;
	const struct kt_app_options opts = {
		.harness = o->harness, .config = o->config, .hosted = true
	};

	ref->fingerprint = ref->folder ? kt_app_fingerprint(ref->dir) : 0;
	o->rc = kt_app_load(ref->dir, &opts, &ref->app, &o->err);
	if (o->rc == KT_OK)
		find_program(o->program, ref);
	if (o->rc == KT_OK && o->sealed)
		ref->lacks = lacking(ref->app, o->env);
}

/* What was loaded takes the place of what was there, unless that is the same. */
static void take_loaded(struct opening *o)
{
	struct kt_sessions *reg = o->reg;
	struct kt_app_ref *old = kt_map_get(&reg->apps, o->key), *ref = o->ref;
	int64_t now = kt_loop_now_ms(reg->loop);

	ref->env = release_env(ref->app, o->env, &o->target);
	if (old && old->fingerprint == ref->fingerprint && same_env(old->env, ref->env) &&
		!old->problem[0]) {
		old->checked_ms = old->used_ms = now;
		return;
	}
	ref->control = o->control;
	ref->hold = o->hold;
	o->held = false;
	ref->checked_ms = ref->used_ms = now;
	kt_app_unref(kt_map_set(&reg->apps, o->key, KT_STEAL(o->ref)));
}

static void free_opening(struct opening *o)
{
	if (o->held)
		kt_control_release_close(o->control, o->hold);
	kt_app_unref(o->ref);
	kt_wipe_env(o->env);
	free(o->harness);
	free(o->config);
	free(o->program);
	free(o);
}

static void tell_waiting_session(
	struct kt_sessions *reg, const struct waiter *w, enum kt_code rc, const struct kt_err *err)
{
	struct kt_session *s = kt_session_get(reg, w->session_id);

	if (s)
		w->on_prepared(s, rc, err);
}

/* Tell all who wait. FREES o. */
static void opening_ends(struct opening *o, enum kt_code rc, const struct kt_err *err)
{
	if (o->reg)
		(void)kt_map_del(&o->reg->openings, o->key);
	for (size_t i = 0; i < o->waiters.len; i++) {
		struct waiter *w = o->waiters.items[i];

		if (o->reg && w->fn)
			w->fn(w->arg, rc, err);
		else if (o->reg)
			tell_waiting_session(o->reg, w, rc, err);
		free(w);
	}
	kt_vec_release(&o->waiters);
	free_opening(o);
}

static void on_loaded(struct kt_session_job *job)
{
	struct opening *o = kt_container_of(job, struct opening, job);

	kt_session_job_end(job);
	if (o->reg && o->rc == KT_OK)
		take_loaded(o);
	opening_ends(o, o->rc, &o->err);
}

/* The control plane may be gone before the thread is done. */
static void load_orphaned(struct kt_session_job *job)
{
	struct opening *o = kt_container_of(job, struct opening, job);

	kt_control_release_close(o->control, o->hold);
	o->held = false;
}

static void on_opened(
	void *arg, enum kt_code rc, const struct kt_opened *opened, const struct kt_err *why)
{
	struct opening *o = arg;
	struct kt_sessions *reg = o->reg;

	if (rc == KT_OK) {
		o->hold = opened->hold;
		o->held = true;
	}
	if (rc != KT_OK || !reg) {
		opening_ends(o, rc, why ? why : &no_error);
		return;
	}
	o->ref = kt_calloc(1, sizeof(*o->ref));
	o->ref->refs = 1;
	o->ref->dir = kt_strdup(opened->dir);
	o->ref->folder = opened->folder;
	o->env = copy_env(opened->env);
	o->sealed = !reg->own_env;
	o->harness = kt_strdup_opt(reg->harness_name);
	o->config = kt_strdup_opt(reg->config_path);
	o->program = kt_strdup_opt(reg->harness_program);
	o->job.run = run_load;
	o->job.done = on_loaded;
	o->job.orphaned = load_orphaned;
	kt_session_job_start(reg, KT_WORK_LONG, o->target.org_id, &o->job);
}

/* A folder may be edited, a program installed: look again. */
static struct kt_app_ref *fresh_ref(struct kt_sessions *reg, const struct kt_target *t)
{
	struct kt_app_ref *ref = kt_app_ref_find(reg, t);

	if (ref && (ref->folder || ref->problem[0]) &&
		kt_loop_now_ms(reg->loop) - ref->checked_ms >= APP_CHECK_MS)
		return NULL;
	return ref;
}

/* Let w wait for the release of t, and begin to open it unless that is on its way. TAKES w. */
static void wait_for_release(struct kt_sessions *reg, const struct kt_target *t, struct waiter *w)
{
	struct opening *o;
	char key[KT_RELEASE_KEY_MAX];
	bool begun;

	kt_release_key(t, key);
	o = kt_map_get(&reg->openings, key);
	begun = o != NULL;
	if (!begun) {
		o = kt_calloc(1, sizeof(*o));
		o->reg = reg;
		o->control = reg->control;
		o->target = *t;
		memcpy(o->key, key, sizeof(key));
		(void)kt_map_set(&reg->openings, key, o);
	}
	kt_vec_push(&o->waiters, w);
	if (!begun)
		kt_control_release_open(reg->control, t, on_opened, o);
}

void kt_sessions_prepare(
	struct kt_sessions *reg, const struct kt_target *t, kt_prepared_fn fn, void *arg)
{
	struct waiter *w;

	kt_assert(reg->control);
	if (fresh_ref(reg, t)) {
		fn(arg, KT_OK, &no_error);
		return;
	}
	w = kt_calloc(1, sizeof(*w));
	w->fn = fn;
	w->arg = arg;
	wait_for_release(reg, t, w);
}

void kt_session_prepare(struct kt_session *s, kt_ready_fn on_prepared)
{
	struct waiter *w = kt_calloc(1, sizeof(*w));

	w->on_prepared = on_prepared;
	memcpy(w->session_id, s->id, sizeof(w->session_id));
	wait_for_release(s->reg, &s->pin->target, w);
}

const struct kt_app *kt_sessions_app_of(struct kt_sessions *reg, const struct kt_target *t)
{
	struct kt_app_ref *ref = kt_app_ref_find(reg, t);

	return ref ? ref->app : NULL;
}

const char *kt_sessions_problem_of(struct kt_sessions *reg, const struct kt_target *t)
{
	const struct kt_app_ref *ref = kt_app_ref_find(reg, t);

	return ref ? ref->problem : "";
}

const char *kt_sessions_lacks_of(struct kt_sessions *reg, const struct kt_target *t)
{
	const struct kt_app_ref *ref = kt_app_ref_find(reg, t);

	return ref ? ref->lacks : NULL;
}

struct kt_app_ref *kt_app_ref_of(struct kt_session *s)
{
	return s->pin ? kt_app_ref_find(s->reg, &s->pin->target) : current_app_ref(s->reg);
}

struct kt_app_ref *kt_app_ref_fresh(struct kt_session *s)
{
	return s->pin ? fresh_ref(s->reg, &s->pin->target) : current_app_ref(s->reg);
}

void kt_apps_sweep(struct kt_sessions *reg)
{
	int64_t now = kt_loop_now_ms(reg->loop);
	size_t pos = 0, idle = 0;
	const char *key;
	void *value;

	while (kt_map_next(&reg->apps, &pos, &key, &value)) {
		struct kt_app_ref *ref = value;

		if (ref->refs > 1)
			continue;
		if (now - ref->used_ms < APP_IDLE_MS && ++idle <= MAX_IDLE_APPS)
			continue;
		(void)kt_map_del(&reg->apps, key);
		kt_app_unref(ref);
	}
}

void kt_apps_release(struct kt_sessions *reg)
{
	size_t pos = 0;
	const char *key;
	void *value;

	while (kt_map_next(&reg->apps, &pos, &key, &value))
		kt_app_unref(value);
	kt_map_release(&reg->apps);
	pos = 0;
	while (kt_map_next(&reg->openings, &pos, &key, &value))
		((struct opening *)value)->reg = NULL;
	kt_map_release(&reg->openings);
	kt_app_unref(KT_STEAL(reg->app));
}
