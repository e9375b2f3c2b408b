/* SPDX-License-Identifier: MIT */
/*
 * The registry: opening it with what the journal has, sessions that are made and deleted, retention,
 * and the end of all.
 */
#include "session/talk/talk_private.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "store/datadir.h"
#include "text/json.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define SWEEP_MS (10 * 60 * 1000)
#define SWEEP_SESSIONS 500 /* looked at in one go */

struct kt_loop *kt_sessions_loop(const struct kt_sessions *reg)
{
	return reg->loop;
}

/* --- sessions ---------------------------------------------------------------------------- */

/* End what runs of it, close what is open, and forget it. */
static void session_free(struct kt_session *s)
{
	struct kt_sessions *reg = s->reg;

	if (s->harness)
		kt_harness_kill(KT_STEAL(s->harness));
	(void)kt_vec_remove_ptr(&reg->live, s);
	kt_memory_log_forget(s);
	kt_session_drop_inputs(s, NULL);
	kt_loop_undefer(reg->loop, &s->pump);
	kt_timer_free(s->idle);
	kt_evlog_free(s->log);
	kt_app_unref(s->app);
	kt_turn_free(s->turn);
	for (size_t i = 0; i < s->queue.len; i++)
		kt_turn_free(s->queue.items[i]);
	kt_vec_release(&s->queue);
	kt_vec_release(&s->inputs);
	kt_transcript_drop(s);
	free(s->answered);
	kt_session_forget(s);
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

static bool may_be_parent(const struct kt_sessions *reg, const char *id, const struct kt_target *t)
{
	const struct kt_session *parent = kt_session_get(reg, id);

	return parent &&
		(!t || (parent->pin && kt_str_eq(parent->pin->target.project_id, t->project_id)));
}

static bool is_project_deleted(
	const struct kt_sessions *reg, const char *org_id, const char *project_id)
{
	struct kt_target now;

	return kt_control_target(reg->control, org_id, project_id, &now, NULL) == KT_ENOTFOUND;
}

static bool is_deleted(const struct kt_sessions *reg, const struct kt_target *t)
{
	return is_project_deleted(reg, t->org_id, t->project_id);
}

static enum kt_code check_new(
	struct kt_sessions *reg, const struct kt_session_new *n, struct kt_err *err)
{
	if (reg->draining)
		return kt_fail(err, KT_EUNAVAIL, 0, "the server is shutting down");
	/* Perhaps while its release was being opened. */
	if (n->target && is_deleted(reg, n->target))
		return kt_fail(err, KT_ENOTFOUND, 0, "there is no such project");
	if (reg->n_sessions >= KT_MAX_SESSIONS)
		return kt_fail(err, KT_ELIMIT, 0,
			"there are %d sessions already (fixed); delete some", KT_MAX_SESSIONS);
	if (n->parent_id && !may_be_parent(reg, n->parent_id, n->target))
		return kt_fail(err, KT_ENOTFOUND, 0, "there is no session '%s' to be the parent",
			n->parent_id);
	return reg->control ? kt_sessions_health(reg, err) : KT_OK;
}

enum kt_code kt_session_create(struct kt_sessions *reg, const struct kt_session_new *n,
	struct kt_session **out, struct kt_err *err)
{
	const struct kt_app *app;
	struct kt_session *s;
	struct kt_used used;
	char id[KT_ID_MAX];
	enum kt_code rc = check_new(reg, n, err);

	if (rc != KT_OK)
		return rc;
	kt_assert(!reg->control == !n->target);
	app = n->target ? kt_sessions_app_of(reg, n->target) : kt_sessions_app(reg);
	if (!app)
		return kt_fail(err, KT_EUNAVAIL, 0, "the release is not ready");
	rc = kt_driver_check_mode(app, n->permission_mode, err);
	if (rc != KT_OK)
		return rc;
	kt_rand_id("sess_", id);
	s = kt_session_alloc(reg, id);
	if (n->target)
		kt_pin_set(s, kt_pin_get(reg, n->target));
	free(s->metadata);
	s->metadata = new_metadata(reg, n->metadata);
	s->parent_id = kt_strdup_opt(n->parent_id);
	s->permission_mode = kt_strdup_opt(n->permission_mode);
	free(s->current_agent);
	s->current_agent = kt_strdup(app->default_agent);
	s->created_us = kt_time_us();
	s->updated_us = s->created_us;
	kt_used_begin(&used, s, &n->key, NULL, 0);
	kt_journal_session(reg, s);
	reg->used = NULL;
	if (s->pin) {
		if (s->pin->target.release_id[0])
			kt_control_session_count(reg->control, s->pin->target.release_id, 1);
		kt_session_tell(s, "info", "session", "session created");
	}
	*out = s;
	return KT_OK;
}

void kt_session_delete(struct kt_session *s)
{
	struct kt_sessions *reg = s->reg;
	size_t turns = s->queue.len + (s->turn ? 1 : 0);

	kt_gone_add(s);
	kt_journal_deleted(reg, s);
	kt_setup_drop(s);
	kt_session_notify(s, KT_NOTE_GONE, NULL);
	kt_assert(!s->watches);
	if (s->log)
		kt_evlog_detach(s->log);
	if (s->harness)
		kt_harness_kill(KT_STEAL(s->harness));
	kt_session_remove_dir(s);
	if (s->pin) {
		kt_session_tell(s, "info", "session", "session deleted");
		if (s->pin->target.release_id[0])
			kt_control_session_count(reg->control, s->pin->target.release_id, -1);
	}
	session_free(s);
	while (turns--)
		kt_sessions_turn_done(reg);
}

void kt_sessions_delete_of(struct kt_sessions *reg, const char *project_id)
{
	struct kt_session *s;

	while ((s = kt_session_older_of(reg, project_id, NULL)) != NULL)
		kt_session_delete(s);
	kt_gone_drop(reg, project_id);
}

/* --- life -------------------------------------------------------------------------------- */

/* Forget the events of a session whose last turn is older than the retention. */
static void sweep_session(struct kt_session *s)
{
	KT_AUTOFREE char *path = NULL;
	struct kt_err err = KT_ERR_INIT;
	struct kt_evlog *log;

	if (s->turn || s->forgotten || (!s->last_seq && !s->log) ||
		kt_time_us() - s->updated_us < kt_session_retention_ms(s) * 1000)
		return;
	path = kt_session_log_path(s);
	s->forgotten = true;
	if (!kt_fs_is_file(path) || kt_session_log(s, &log, &err) != KT_OK)
		return;
	if (kt_evlog_first_seq(log) <= kt_evlog_last_seq(log) &&
		kt_evlog_expire(log, &err) != KT_OK)
		kt_log(KT_LOG_WARN, "session", "%s", err.msg);
	kt_evlog_idle(log);
}

/* A piece of the pass: with a million sessions the whole would hold up everything else. */
static void sweep_some(void *arg)
{
	struct kt_sessions *reg = arg;

	for (size_t i = 0; reg->sweep_at && i < SWEEP_SESSIONS; i++) {
		struct kt_session *s = reg->sweep_at;

		reg->sweep_at = s->newer;
		sweep_session(s);
	}
	kt_timer_start(reg->sweep, reg->sweep_at ? 1 : SWEEP_MS, 0);
}

static void sweep_sessions(void *arg)
{
	struct kt_sessions *reg = arg;

	if (!reg->sweep_at) {
		reg->sweep_at = reg->oldest;
		kt_idem_expire(reg);
		kt_apps_sweep(reg);
	}
	sweep_some(reg);
}

static enum kt_code lock_data(struct kt_sessions *reg, struct kt_err *err)
{
	KT_AUTOFREE char *path = kt_data_path(reg->data_dir, KT_DATA_LOCK);

	reg->lock_fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (reg->lock_fd < 0)
		return kt_fail(err, KT_EIO, errno, "cannot open '%s'", path);
	if (flock(reg->lock_fd, LOCK_EX | LOCK_NB)) {
		kt_fail(err, KT_ECONFLICT, 0, "another karta server is serving this folder");
		return kt_hint(err, "stop it, or talk to it with 'karta chat'");
	}
	return KT_OK;
}

/*
 * Turns that a crash cut off get their end now; opening a session's log writes it. And each session
 * holds its release, but for those whose project was deleted shortly before the server ended.
 */
static void take_up(struct kt_sessions *reg)
{
	struct kt_session *next;

	for (struct kt_session *s = reg->oldest; s; s = next) {
		struct kt_err err = KT_ERR_INIT;
		struct kt_evlog *log;

		next = s->newer;
		if (s->pin && s->pin->target.release_id[0])
			kt_control_session_count(reg->control, s->pin->target.release_id, 1);
		if (s->pin && is_deleted(reg, &s->pin->target)) {
			kt_session_delete(s);
			continue;
		}
		if (!s->interrupted.len)
			continue;
		if (kt_session_log(s, &log, &err) != KT_OK)
			kt_log(KT_LOG_WARN, "session", "%s: %s", s->id, err.msg);
		else
			kt_evlog_idle(log);
	}
	if (reg->control)
		kt_gone_sweep(reg, is_project_deleted);
}

static const struct kt_sessions_on what_happens = {
	.turn_due = kt_session_pump,
	.log_opened = kt_session_end_interrupted,
	.unready = kt_session_fail_turn,
	.turn_ended = kt_session_turn_ended,
	.asked = kt_turn_asked,
	.ask_withdrawn = kt_session_ask_withdrawn,
};

static void init_env(struct kt_sessions *reg, const struct kt_sessions_config *cfg)
{
	const struct kt_budget_config kept = {
		.server = KT_MAX_KEPT_BYTES,
		.org = KT_MAX_KEPT_ORG_BYTES,
	};

	reg->env.budget = kt_budget_new(&kept);
	reg->env.loop = cfg->loop;
	reg->env.sandbox = kt_sandbox_none(cfg->spawner);
	reg->env.start_ms = cfg->start_ms;
	reg->env.first_event_ms = cfg->first_event_ms;
	reg->env.silence_ms = cfg->silence_ms;
	reg->env.cancel_ms = cfg->cancel_ms;
	reg->env.rehearsal_speed = cfg->rehearsal_speed;
	if (cfg->record && cfg->dir) {
		reg->record_dir = kt_path_join(cfg->dir, "rehearsals");
		reg->env.record_dir = reg->record_dir;
	}
}

static struct kt_sessions *new_registry(const struct kt_sessions_config *cfg)
{
	struct kt_sessions *reg = kt_calloc(1, sizeof(*reg));

	kt_assert(!cfg->dir == (cfg->control != NULL));
	reg->journal_fd = -1;
	reg->lock_fd = -1;
	reg->on = &what_happens;
	reg->loop = cfg->loop;
	reg->control = cfg->control;
	reg->own_env = !cfg->control || cfg->own_env;
	reg->dir = kt_strdup_opt(cfg->dir);
	reg->data_dir = kt_strdup(cfg->data_dir);
	reg->user = kt_strdup_opt(cfg->user);
	reg->harness_name = kt_strdup_opt(
		cfg->control && cfg->offline ? "rehearsal" : cfg->app.harness);
	reg->config_path = kt_strdup_opt(cfg->app.config);
	reg->harness_program = kt_strdup_opt(cfg->harness_program);
	reg->app_opts.harness = reg->harness_name;
	reg->app_opts.config = reg->config_path;
	reg->app_opts.hosted = cfg->control != NULL;
	reg->tick.fn = kt_sessions_tick;
	reg->tick.arg = reg;
	init_env(reg, cfg);
	return reg;
}

enum kt_code kt_sessions_open(
	const struct kt_sessions_config *cfg, struct kt_sessions **out, struct kt_err *err)
{
	struct kt_sessions *reg = new_registry(cfg);
	enum kt_code rc = kt_fs_mkdirs(reg->data_dir, 0700, err);

	if (rc == KT_OK && !reg->control) {
		rc = lock_data(reg, err);
		if (rc == KT_OK && cfg->warm)
			reg->pool = kt_pool_new(&reg->env, cfg->warm);
		if (rc == KT_OK)
			rc = kt_app_load_local(reg, err);
	}
	if (rc == KT_OK)
		rc = kt_journal_load(reg, err);
	if (rc != KT_OK) {
		kt_sessions_free(reg);
		return rc;
	}
	take_up(reg);
	if (reg->control)
		kt_trash_empty(reg);
	reg->sweep = kt_timer_new(reg->loop, sweep_sessions, reg);
	kt_timer_start(reg->sweep, SWEEP_MS, 0);
	*out = reg;
	return KT_OK;
}

void kt_sessions_free(struct kt_sessions *reg)
{
	if (!reg)
		return;
	/* What was said last has to be in the file; whoever waits for the disk is gone already. */
	if (reg->journal_fd >= 0)
		kt_journal_flush(reg);
	kt_sync_release(reg);
	kt_doomed_release(reg);
	kt_copy_drop(reg);
	kt_journal_last_chance(reg);
	kt_setups_release(reg);
	while (reg->newest) {
		struct kt_session *s = reg->newest;

		kt_session_notify(s, KT_NOTE_GONE, NULL);
		session_free(s);
	}
	kt_pool_free(reg->pool);
	kt_sandbox_free(reg->env.sandbox);
	kt_budget_free(reg->env.budget);
	kt_apps_release(reg);
	kt_loop_undefer(reg->loop, &reg->tick);
	kt_timer_free(reg->sweep);
	kt_timer_free(reg->mend);
	kt_timer_free(reg->drain_timer);
	kt_idem_release(reg);
	kt_map_release(&reg->by_id);
	kt_map_release(&reg->pins);
	kt_gone_sweep(reg, NULL);
	kt_map_release(&reg->groups);
	kt_vec_release(&reg->live);
	kt_vec_release(&reg->in_memory);
	kt_vec_release(&reg->searches);
	kt_buf_release(&reg->lines);
	kt_buf_release(&reg->damaged);
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
	free(reg->settings);
	kt_free_env(reg->bound_env);
	free(reg);
}

void kt_sessions_set_settings(struct kt_sessions *reg, const char *settings)
{
	free(reg->settings);
	reg->settings = kt_strdup(settings);
	reg->env.settings = reg->settings;
}
