/* SPDX-License-Identifier: MIT */
/* The registry: all sessions of an application, the application itself, draining. */
#include "session/session_private.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "text/json.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define APP_CHECK_MS 100 /* how long a look at the folder counts */
#define SWEEP_MS (10 * 60 * 1000)

struct kt_loop *kt_sessions_loop(const struct kt_sessions *reg)
{
	return reg->loop;
}

bool kt_sessions_draining(const struct kt_sessions *reg)
{
	return reg->draining;
}

size_t kt_sessions_count(const struct kt_sessions *reg)
{
	return reg->order.len;
}

/* --- the application ----------------------------------------------------------------------- */

void kt_app_unref(struct kt_app_ref *ref)
{
	if (!ref || --ref->refs)
		return;
	kt_app_free(ref->app);
	free(ref);
}

static void find_program(struct kt_sessions *reg, struct kt_app_ref *ref)
{
	struct kt_err err = KT_ERR_INIT;

	if (ref->app->harness == KT_HARNESS_REHEARSAL)
		return;
	if (reg->harness_program) {
		kt_str_copy(ref->program.path, sizeof(ref->program.path), reg->harness_program);
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

static void free_env(char **env)
{
	for (size_t i = 0; env && env[i]; i++)
		free(env[i]);
	free(env);
}

/* What .env binds of the variables that karta.toml declares, for the harness. */
static void bind_env(struct kt_sessions *reg, const struct kt_app *app)
{
	char **env = kt_calloc(app->n_env + 1, sizeof(*env));
	size_t n = 0;

	for (size_t i = 0; i < app->n_env; i++) {
		if (app->env[i].value)
			env[n++] = kt_asprintf("%s=%s", app->env[i].name, app->env[i].value);
	}
	free_env(reg->bound_env);
	reg->bound_env = env;
	reg->env.extra_env = env;
}

static enum kt_code load_app(struct kt_sessions *reg, struct kt_err *err)
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
	find_program(reg, ref);
	bind_env(reg, app);
	if (reg->pool)
		kt_pool_set(reg->pool, ref->problem[0] ? NULL : ref->app,
			ref->program.path[0] ? ref->program.path : NULL, ref->fingerprint);
	kt_app_unref(reg->app);
	reg->app = ref;
	return KT_OK;
}

struct kt_app_ref *kt_app_ref_current(struct kt_sessions *reg)
{
	struct kt_err err = KT_ERR_INIT;
	int64_t now = kt_loop_now_ms(reg->loop);

	if (now - reg->app_checked_ms < APP_CHECK_MS)
		return reg->app;
	reg->app_checked_ms = now;
	if (kt_app_fingerprint(reg->dir) == reg->app->fingerprint &&
		!(reg->app->problem[0] && !reg->harness_program))
		return reg->app;
	if (load_app(reg, &err) != KT_OK)
		kt_log(KT_LOG_WARN, "app", "the folder cannot be read again: %s", err.msg);
	else
		kt_log(KT_LOG_DEBUG, "app", "the folder was read again");
	return reg->app;
}

const struct kt_app *kt_sessions_app(struct kt_sessions *reg)
{
	return kt_app_ref_current(reg)->app;
}

const struct kt_program *kt_sessions_program(const struct kt_sessions *reg)
{
	return &reg->app->program;
}

const char *kt_sessions_problem(const struct kt_sessions *reg)
{
	return reg->app->problem;
}

/* --- sessions ------------------------------------------------------------------------------ */

struct kt_session *kt_session_alloc(struct kt_sessions *reg, const char *id)
{
	struct kt_session *s = kt_calloc(1, sizeof(*s));

	s->reg = reg;
	kt_str_copy(s->id, sizeof(s->id), id);
	s->metadata = kt_strdup("{}");
	s->current_agent = kt_strdup("default");
	s->pump.fn = kt_session_pump;
	s->pump.arg = s;
	s->index = reg->order.len;
	kt_vec_push(&reg->order, s);
	kt_map_set(&reg->by_id, s->id, s);
	return s;
}

static void free_strings(struct kt_vec *v)
{
	for (size_t i = 0; i < v->len; i++)
		free(v->items[i]);
	kt_vec_release(v);
}

void kt_session_clear(struct kt_session *s)
{
	char **strings[] = { &s->metadata, &s->title, &s->current_agent, &s->parent_id,
		&s->permission_mode, &s->harness_session };

	for (size_t i = 0; i < s->participants.len; i++) {
		struct kt_participant *p = s->participants.items[i];

		free(p->name);
		free(p->type);
	}
	free_strings(&s->participants);
	free_strings(&s->remembered);
	free_strings(&s->interrupted);
	for (size_t i = 0; i < KT_ARRAY_LEN(strings); i++) {
		free(*strings[i]);
		*strings[i] = NULL;
	}
}

void kt_session_free(struct kt_session *s)
{
	struct kt_sessions *reg = s->reg;

	if (s->harness)
		kt_harness_kill(KT_STEAL(s->harness));
	(void)kt_vec_remove_ptr(&reg->live, s);
	kt_session_drop_inputs(s, NULL);
	kt_loop_undefer(reg->loop, &s->pump);
	kt_timer_free(s->idle);
	kt_evlog_free(s->log);
	kt_app_unref(s->app);
	kt_map_del(&reg->by_id, s->id);
	kt_vec_remove(&reg->order, s->index);
	for (size_t i = s->index; i < reg->order.len; i++)
		((struct kt_session *)reg->order.items[i])->index = i;
	kt_turn_free(s->turn);
	for (size_t i = 0; i < s->queue.len; i++)
		kt_turn_free(s->queue.items[i]);
	kt_vec_release(&s->queue);
	kt_vec_release(&s->inputs);
	kt_session_clear(s);
	free(s->answered);
	free(s);
}

/* Metadata of a new session: the caller's, with user_id of --user when it names none. */
static char *new_metadata(const struct kt_sessions *reg, const char *given)
{
	KT_AUTO_JSON cJSON *doc = NULL;
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(2 * KT_MAX_METADATA_BYTES);

	if (!reg->user)
		return kt_strdup(given ? given : "{}");
	if (kt_json_parse(given ? given : "{}", given ? strlen(given) : 2, KT_JSON_LENIENT, &doc,
		    NULL) != KT_OK)
		return kt_strdup("{}");
	if (!kt_json_get(doc, "user_id") && !cJSON_AddStringToObject(doc, "user_id", reg->user))
		return kt_strdup("{}");
	kt_json_add(&b, doc);
	return kt_buf_take(&b);
}

enum kt_code kt_session_create(struct kt_sessions *reg, const struct kt_session_new *n,
	struct kt_session **out, struct kt_err *err)
{
	struct kt_session *s;
	char id[KT_ID_MAX];

	if (reg->draining)
		return kt_fail(err, KT_EUNAVAIL, 0, "the server is shutting down");
	if (reg->order.len >= KT_MAX_SESSIONS)
		return kt_fail(err, KT_ELIMIT, 0, "there are %d sessions already; delete some",
			KT_MAX_SESSIONS);
	if (n->parent_id && !kt_session_get(reg, n->parent_id))
		return kt_fail(err, KT_ENOTFOUND, 0, "there is no session '%s' to be the parent",
			n->parent_id);
	kt_rand_id("sess_", id);
	s = kt_session_alloc(reg, id);
	free(s->metadata);
	s->metadata = new_metadata(reg, n->metadata);
	s->parent_id = n->parent_id ? kt_strdup(n->parent_id) : NULL;
	s->permission_mode = n->permission_mode ? kt_strdup(n->permission_mode) : NULL;
	free(s->current_agent);
	s->current_agent = kt_strdup(kt_sessions_app(reg)->default_agent);
	s->created_us = kt_time_us();
	s->updated_us = s->created_us;
	kt_journal_session(reg, s);
	*out = s;
	return KT_OK;
}

struct kt_session *kt_session_get(const struct kt_sessions *reg, const char *id)
{
	return kt_map_get(&reg->by_id, id);
}

struct kt_session *kt_session_older(const struct kt_sessions *reg, const struct kt_session *after)
{
	size_t i = after ? after->index : reg->order.len;

	return i ? reg->order.items[i - 1] : NULL;
}

void kt_session_delete(struct kt_session *s)
{
	struct kt_sessions *reg = s->reg;
	KT_AUTOFREE char *dir = kt_session_dir(s);
	struct kt_err err = KT_ERR_INIT;
	size_t turns = s->queue.len + (s->turn ? 1 : 0);

	kt_journal_deleted(reg, s->id);
	kt_session_notify(s, KT_NOTE_GONE, NULL);
	kt_assert(!s->watches);
	if (s->log)
		kt_evlog_detach(s->log);
	kt_session_free(s);
	if (kt_fs_remove_tree(dir, &err) != KT_OK)
		kt_log(KT_LOG_WARN, "session", "%s", err.msg);
	while (turns--)
		kt_sessions_turn_done(reg);
}

enum kt_code kt_session_log(struct kt_session *s, struct kt_evlog **out, struct kt_err *err)
{
	KT_AUTOFREE char *path = NULL;
	KT_AUTOFREE char *dir = NULL;
	struct kt_evlog_config cfg = { 0 };
	enum kt_code rc;

	if (s->log) {
		*out = s->log;
		return KT_OK;
	}
	cfg.session_id = s->id;
	cfg.max_memory_bytes = KT_MAX_LOG_MEMORY_BYTES;
	if (s->reg->app->app->event_retention_ms > 0) {
		dir = kt_session_dir(s);
		rc = kt_fs_mkdirs(dir, 0700, err);
		if (rc != KT_OK)
			return rc;
		path = kt_session_log_path(s);
		cfg.path = path;
	}
	rc = kt_evlog_open(s->reg->loop, &cfg, &s->log, err);
	if (rc != KT_OK)
		return rc;
	s->last_seq = kt_evlog_last_seq(s->log);
	kt_session_end_interrupted(s);
	*out = s->log;
	return KT_OK;
}

uint64_t kt_session_last_seq(const struct kt_session *s)
{
	return s->log ? kt_evlog_last_seq(s->log) : s->last_seq;
}

/* --- idempotency --------------------------------------------------------------------------- */

const struct kt_idem *kt_idem_get(const struct kt_sessions *reg, const char *scope, const char *key)
{
	KT_AUTOFREE char *full = kt_asprintf("%s\n%s", scope, key);

	return kt_map_get(&reg->idem, full);
}

void kt_idem_put(
	struct kt_sessions *reg, const char *scope, const char *key, const struct kt_idem *what)
{
	char *full = kt_asprintf("%s\n%s", scope, key);
	struct kt_idem *copy = kt_malloc(sizeof(*copy));
	int64_t oldest = kt_time_us() - (int64_t)KT_IDEMPOTENCY_MS * 1000;

	*copy = *what;
	while (reg->idem_order.len) {
		const struct kt_idem *first = kt_map_get(&reg->idem, reg->idem_order.items[0]);
		KT_AUTOFREE char *name = NULL;

		if (reg->idem_order.len < KT_MAX_IDEMPOTENCY_KEYS && first->at_us >= oldest)
			break;
		name = kt_vec_remove(&reg->idem_order, 0);
		free(kt_map_del(&reg->idem, name));
	}
	if (kt_map_get(&reg->idem, full)) {
		free(kt_map_set(&reg->idem, full, copy));
		free(full);
	} else {
		kt_map_set(&reg->idem, full, copy);
		kt_vec_push(&reg->idem_order, full);
	}
	if (reg->journal_fd >= 0)
		kt_journal_idem(reg, scope, key, what);
}

/* --- life ---------------------------------------------------------------------------------- */

void kt_sessions_turn_done(struct kt_sessions *reg)
{
	if (reg->running)
		reg->running--;
	if (reg->draining && !reg->running && reg->drained) {
		kt_loop_fn fn = reg->drained;

		reg->drained = NULL;
		fn(reg->drained_arg);
	}
}

static void drain_over(void *arg)
{
	struct kt_sessions *reg = arg;

	reg->running = 0;
	kt_sessions_turn_done(reg);
}

void kt_sessions_drain(struct kt_sessions *reg, int64_t limit_ms, kt_loop_fn done, void *arg)
{
	reg->draining = true;
	reg->drained = done;
	reg->drained_arg = arg;
	reg->drain_timer = kt_timer_new(reg->loop, drain_over, reg);
	kt_timer_start(reg->drain_timer, reg->running ? limit_ms : 0, 0);
}

/* Forget the events of sessions whose last turn is older than the retention. */
static void sweep(void *arg)
{
	struct kt_sessions *reg = arg;
	int64_t keep_us = reg->app->app->event_retention_ms * 1000;
	int64_t now = kt_time_us();

	for (size_t i = 0; i < reg->order.len; i++) {
		struct kt_session *s = reg->order.items[i];
		KT_AUTOFREE char *path = kt_session_log_path(s);
		struct kt_err err = KT_ERR_INIT;
		struct kt_evlog *log;

		if (s->turn || now - s->updated_us < keep_us || !kt_fs_is_file(path))
			continue;
		if (kt_session_log(s, &log, &err) == KT_OK &&
			kt_evlog_first_seq(log) <= kt_evlog_last_seq(log) &&
			kt_evlog_expire(log, &err) != KT_OK)
			kt_log(KT_LOG_WARN, "session", "%s", err.msg);
	}
}

static enum kt_code lock_data(struct kt_sessions *reg, struct kt_err *err)
{
	KT_AUTOFREE char *path = kt_path_join(reg->data_dir, "lock");

	reg->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (reg->lock_fd < 0)
		return kt_fail(err, KT_EIO, errno, "cannot open '%s'", path);
	if (flock(reg->lock_fd, LOCK_EX | LOCK_NB)) {
		kt_fail(err, KT_ECONFLICT, 0, "another karta server is serving this folder");
		return kt_hint(err, "stop it, or talk to it with 'karta chat'");
	}
	return KT_OK;
}

/* Turns that a crash cut off get their end now; opening a session's log writes it. */
static void end_unfinished(struct kt_sessions *reg)
{
	for (size_t i = 0; i < reg->order.len; i++) {
		struct kt_session *s = reg->order.items[i];
		struct kt_err err = KT_ERR_INIT;
		struct kt_evlog *log;

		if (!s->interrupted.len)
			continue;
		if (kt_session_log(s, &log, &err) != KT_OK)
			kt_log(KT_LOG_WARN, "session", "%s: %s", s->id, err.msg);
		else
			kt_evlog_idle(log);
	}
}

static void init_env(struct kt_sessions *reg, const struct kt_sessions_config *cfg)
{
	reg->env.loop = cfg->loop;
	reg->env.spawner = cfg->spawner;
	reg->env.start_ms = cfg->start_ms;
	reg->env.first_event_ms = cfg->first_event_ms;
	reg->env.silence_ms = cfg->silence_ms;
	reg->env.cancel_ms = cfg->cancel_ms;
	reg->env.rehearsal_speed = cfg->rehearsal_speed;
	if (cfg->record) {
		reg->record_dir = kt_path_join(cfg->dir, "rehearsals");
		reg->env.record_dir = reg->record_dir;
	}
}

enum kt_code kt_sessions_open(
	const struct kt_sessions_config *cfg, struct kt_sessions **out, struct kt_err *err)
{
	struct kt_sessions *reg = kt_calloc(1, sizeof(*reg));
	enum kt_code rc;

	reg->journal_fd = -1;
	reg->lock_fd = -1;
	reg->loop = cfg->loop;
	reg->dir = kt_strdup(cfg->dir);
	reg->data_dir = kt_strdup(cfg->data_dir);
	reg->user = cfg->user ? kt_strdup(cfg->user) : NULL;
	reg->harness_name = cfg->app.harness ? kt_strdup(cfg->app.harness) : NULL;
	reg->config_path = cfg->app.config ? kt_strdup(cfg->app.config) : NULL;
	reg->harness_program = cfg->harness_program ? kt_strdup(cfg->harness_program) : NULL;
	reg->app_opts.harness = reg->harness_name;
	reg->app_opts.config = reg->config_path;
	init_env(reg, cfg);
	rc = kt_fs_mkdirs(reg->data_dir, 0700, err);
	if (rc == KT_OK)
		rc = lock_data(reg, err);
	if (rc == KT_OK && cfg->warm)
		reg->pool = kt_pool_new(&reg->env, cfg->warm);
	if (rc == KT_OK)
		rc = load_app(reg, err);
	if (rc == KT_OK)
		rc = kt_journal_load(reg, err);
	if (rc != KT_OK) {
		kt_sessions_free(reg);
		return rc;
	}
	end_unfinished(reg);
	reg->app_checked_ms = kt_loop_now_ms(reg->loop);
	reg->sweep = kt_timer_new(reg->loop, sweep, reg);
	kt_timer_start(reg->sweep, SWEEP_MS, SWEEP_MS);
	*out = reg;
	return KT_OK;
}

void kt_sessions_free(struct kt_sessions *reg)
{
	size_t pos = 0;
	const char *key;
	void *value;

	if (!reg)
		return;
	while (reg->order.len) {
		struct kt_session *s = reg->order.items[reg->order.len - 1];

		kt_session_notify(s, KT_NOTE_GONE, NULL);
		kt_session_free(s);
	}
	kt_pool_free(reg->pool);
	kt_app_unref(reg->app);
	kt_timer_free(reg->sweep);
	kt_timer_free(reg->drain_timer);
	while (kt_map_next(&reg->idem, &pos, &key, &value))
		free(value);
	for (size_t i = 0; i < reg->idem_order.len; i++)
		free(reg->idem_order.items[i]);
	kt_map_release(&reg->idem);
	kt_vec_release(&reg->idem_order);
	kt_map_release(&reg->by_id);
	kt_vec_release(&reg->order);
	kt_vec_release(&reg->live);
	if (reg->journal_fd >= 0)
		close(reg->journal_fd);
	if (reg->lock_fd >= 0)
		close(reg->lock_fd);
	free(reg->dir);
	free(reg->data_dir);
	free(reg->user);
	free(reg->config_path);
	free(reg->harness_name);
	free(reg->harness_program);
	free(reg->record_dir);
	free_env(reg->bound_env);
	free(reg);
}
