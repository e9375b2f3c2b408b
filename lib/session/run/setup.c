/* SPDX-License-Identifier: MIT */
/*
 * `[environment] setup`: a script of the application that runs once in a workspace, before the
 * first turn there, with the environment of the harness. That it has run is a file beside the
 * workspace, so that nothing in it can say so. A turn that needs it waits; while the script fails,
 * so does each turn, and the next one tries again.
 *
 *	needed -> runs -> exit 0: mark, go on
 *	             \--> fails, too long: the turns that wait end, no mark
 *
 * A release's workspace is one session's. A folder that is served from disk is that of all its
 * sessions: there it runs once for each text of the script, and who comes meanwhile waits as well.
 */
#include "session/run/run_private.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/str.h"
#include "crypto/crypto.h"
#include "crypto/masks.h"
#include "harness/harness_env.h"
#include "proc/proc.h"
#include "store/datadir.h"
#include "text/clean.h"
#include "text/redact.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES ((size_t)64 * 1024)

struct kt_setup {
	struct kt_sessions *reg;
	char *mark; /* its key in reg->setups, too */
	char *script; /* as karta.toml has it */
	struct kt_child *child; /* NULL when it is gone */
	struct kt_timer *timer;
	struct kt_vec waiting; /* struct setup_waiter */
	struct kt_buf line; /* of its output, not yet whole */
	struct kt_masks hidden; /* values of its variables: not in what is shown of it */
	char last[200]; /* line that was not empty, safe to show */
	size_t n_lines; /* that were told */
	bool skips; /* to the end of a line that is longer */
	bool too_long;
};

/* A session whose turn waits for it. */
struct setup_waiter {
	char session_id[KT_ID_MAX];
	kt_ready_fn on_set_up;
};

/* --- the mark ---------------------------------------------------------------------------- */

static bool in_folder(const struct kt_session *s, const struct kt_app_ref *ref)
{
	return !s->pin || ref->folder;
}

/* The file that says it was done; the caller's. NULL when the script cannot be read. */
static char *mark_of(const struct kt_session *s, const struct kt_app_ref *ref)
{
	KT_AUTOFREE char *script = kt_path_join(ref->app->dir, ref->app->setup);
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(KT_MAX_CONFIG_BYTES);
	char digest[KT_DIGEST_MAX];

	if (!in_folder(s, ref)) {
		KT_AUTOFREE char *dir = kt_session_dir(s);

		return kt_path_join(dir, "setup.done");
	}
	kt_buf_addf(&text, "%s\n", ref->app->dir);
	if (kt_crypto_init(NULL) != KT_OK || kt_fs_read(script, &text, NULL) != KT_OK)
		return NULL;
	kt_sha256_of(text.ptr, text.len, digest);
	return kt_data_setup(s->reg->data_dir, digest);
}

bool kt_setup_needed(const struct kt_session *s, const struct kt_app_ref *ref)
{
	KT_AUTOFREE char *mark = NULL;

	if (!ref->app->setup || ref->problem[0] || !kt_driver_for(ref->app->harness)->has_process)
		return false;
	mark = mark_of(s, ref);
	return !mark || !kt_fs_is_file(mark);
}

static enum kt_code set_mark(const char *mark, struct kt_err *err)
{
	KT_AUTOFREE char *dir = kt_path_dir(mark);
	enum kt_code rc = kt_fs_mkdirs(dir, 0700, err);

	return rc == KT_OK ? kt_fs_write_atomic(mark, "done\n", 5, 0600, true, err) : rc;
}

/* --- its end ----------------------------------------------------------------------------- */

static void setup_free(struct kt_setup *u)
{
	(void)kt_map_del(&u->reg->setups, u->mark);
	kt_timer_free(u->timer);
	for (size_t i = 0; i < u->waiting.len; i++)
		free(u->waiting.items[i]);
	kt_vec_release(&u->waiting);
	kt_buf_release(&u->line);
	kt_masks_release(&u->hidden);
	free(u->mark);
	free(u->script);
	free(u);
}

/* What was started ahead in the folder does not know what the script made. */
static void renew_pool(struct kt_sessions *reg)
{
	if (!reg->pool || !reg->app)
		return;
	kt_pool_set(reg->pool, NULL, NULL, 0);
	if (!reg->app->problem[0])
		kt_pool_set(
			reg->pool, reg->app->app, reg->app->program.path, reg->app->fingerprint);
}

/* For whose log it is told; NULL: for the server's. */
static const struct kt_session *pinned(const struct kt_setup *u)
{
	const struct setup_waiter *w = u->waiting.len ? u->waiting.items[0] : NULL;
	const struct kt_session *s = w ? kt_session_get(u->reg, w->session_id) : NULL;

	return s && s->pin ? s : NULL;
}

static void tell_setup(const struct kt_setup *u, const char *level, const char *text)
{
	const struct kt_session *s = pinned(u);

	if (s)
		kt_session_tell(s, level, "session", "setup: %s", text);
	else
		kt_log(kt_str_eq(level, "error") ? KT_LOG_ERROR : KT_LOG_INFO, "setup", "%s: %s",
			u->script, text);
}

/* Everyone who waits goes on, or ends its turn; a turn may delete sessions, so by id. */
static void setup_over(struct kt_setup *u, enum kt_code rc, struct kt_err *err)
{
	struct kt_vec waiting = u->waiting;
	struct kt_sessions *reg = u->reg;

	if (rc == KT_OK)
		rc = set_mark(u->mark, err);
	/* Its last line is in the project's log already, before anything was done to it. */
	tell_setup(u, rc == KT_OK ? "info" : "error",
		rc == KT_OK         ? "done"
			: pinned(u) ? "failed"
				    : err->msg);
	u->waiting = (struct kt_vec)KT_VEC_INIT;
	setup_free(u);
	if (rc == KT_OK && !reg->control)
		renew_pool(reg);
	for (size_t i = 0; i < waiting.len; i++) {
		struct setup_waiter *w = waiting.items[i];
		struct kt_session *s = kt_session_get(reg, w->session_id);

		if (s)
			w->on_set_up(s, rc, err);
		free(w);
	}
	kt_vec_release(&waiting);
}

/* --- while it runs ----------------------------------------------------------------------- */

static void end_setup_line(struct kt_setup *u)
{
	static const char too_long[] = "a line of over 64 KiB, which is left out (fixed)";
	KT_AUTO_BUF struct kt_buf plain = KT_BUF_INIT(2 * LINE_MAX_BYTES);
	KT_AUTO_BUF struct kt_buf known = KT_BUF_INIT(2 * LINE_MAX_BYTES);
	KT_AUTO_BUF struct kt_buf shown = KT_BUF_INIT(8 * LINE_MAX_BYTES);

	if (u->skips) {
		kt_buf_clear(&u->line);
		kt_buf_adds(&u->line, too_long);
		u->skips = false;
	}
	if (!u->line.len)
		return;
	kt_masks_apply(&u->hidden, u->line.ptr, u->line.len, LINE_MAX_BYTES, &plain);
	kt_redact_add(&known, plain.ptr, plain.len);
	kt_clean_add(&shown, known.ptr, known.len, true);
	/* What the project binds is found only in the whole of what was not changed. */
	if (!kt_str_copy(u->last, sizeof(u->last), shown.ptr) && pinned(u))
		(void)kt_str_copy(u->last, sizeof(u->last), "a long line, in the project's log");
	if (u->n_lines < KT_MAX_SETUP_LINES)
		tell_setup(u, "info", pinned(u) ? u->line.ptr : shown.ptr);
	else if (u->n_lines == KT_MAX_SETUP_LINES)
		tell_setup(u, "warn", "it writes more lines than are kept (fixed)");
	u->n_lines++;
	kt_buf_clear(&u->line);
}

/* Of what is not told, only how it ends matters: where the last whole line of data begins. */
static size_t skip_lines(struct kt_setup *u, const char *data, size_t len)
{
	const char *end = memrchr(data, '\n', len);
	const char *before = end ? memrchr(data, '\n', (size_t)(end - data)) : NULL;

	if (u->n_lines <= KT_MAX_SETUP_LINES || !before)
		return 0;
	kt_buf_clear(&u->line);
	u->skips = false;
	return (size_t)(before - data) + 1;
}

static void on_output(void *arg, const char *data, size_t len)
{
	struct kt_setup *u = arg;

	for (size_t i = skip_lines(u, data, len); i < len; i++) {
		if (data[i] == '\n')
			end_setup_line(u);
		else if (u->line.len == LINE_MAX_BYTES)
			u->skips = true;
		else if (data[i] != '\r')
			kt_buf_addc(&u->line, data[i] ? data[i] : '?');
	}
}

static void on_setup_gone(void *arg, int exit_code, int term_signal, int start_error)
{
	struct kt_setup *u = arg;
	struct kt_err err = KT_ERR_INIT;
	const char *colon;
	enum kt_code rc = KT_OK;

	u->child = NULL;
	end_setup_line(u);
	colon = u->last[0] ? ": " : "";
	if (start_error)
		rc = kt_fail(&err, KT_EIO, start_error, "setup '%s' cannot be started", u->script);
	else if (u->too_long)
		rc = kt_fail(&err, KT_ETIMEOUT, 0, "setup '%s' took longer than %d minutes%s%s",
			u->script, KT_SETUP_MS / 60000, colon, u->last);
	else if (term_signal)
		rc = kt_fail(&err, KT_EIO, 0, "setup '%s' was ended by signal %d%s%s", u->script,
			term_signal, colon, u->last);
	else if (exit_code)
		rc = kt_fail(&err, KT_EIO, 0, "setup '%s' failed with status %d%s%s", u->script,
			exit_code, colon, u->last);
	setup_over(u, rc, &err);
}

static void on_time(void *arg)
{
	struct kt_setup *u = arg;

	u->too_long = true;
	if (u->child)
		kt_child_kill_tree(u->child);
}

static const struct kt_child_ops setup_ops = {
	.out = on_output, .err = on_output, .gone = on_setup_gone
};

/* --- its start --------------------------------------------------------------------------- */

static enum kt_code spawn_setup(
	struct kt_setup *u, const struct kt_session *s, struct kt_app_ref *ref, struct kt_err *err)
{
	static char sh[] = "/bin/sh";
	KT_AUTO_ARENA struct kt_arena *arena = kt_arena_new();
	KT_AUTOFREE char *workspace = in_folder(s, ref) ? kt_strdup(ref->app->dir)
							: kt_session_workspace(s);
	KT_AUTOFREE char *home = in_folder(s, ref) ? NULL : kt_session_home(s);
	KT_AUTOFREE char *path = kt_path_join(workspace, ref->app->setup);
	struct kt_vec env = KT_VEC_INIT, none = KT_VEC_INIT;
	const struct kt_harness_env_parts parts = {
		.shared = s->reg->env.extra_env,
		.extra = s->pin ? ref->env : NULL,
		.of_driver = &none,
		.project = s->pin ? s->pin->target.project : NULL,
		.session_id = in_folder(s, ref) ? NULL : s->id,
		.sealed = !s->reg->own_env,
		.home = home,
	};
	const struct kt_sandbox_start start = {
		.session_id = parts.session_id,
		.workspace = workspace,
		.home = home,
	};
	char *by_itself[] = { path, NULL }, *by_shell[] = { sh, path, NULL };
	bool runs = faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0;
	enum kt_code rc;

	kt_harness_env_build(arena, &parts, &env);
	kt_masks_add_env(&u->hidden, parts.shared);
	kt_masks_add_env(&u->hidden, parts.extra);
	const struct kt_child_spec spec = {
		.argv = runs ? by_itself : by_shell,
		.envp = (char *const *)env.items,
		.cwd = workspace,
	};
	rc = kt_sandbox_spawn(s->reg->env.sandbox, &start, &spec, &setup_ops, u, &u->child, err);
	kt_vec_release(&env);
	if (rc == KT_OK)
		kt_child_close_stdin(u->child);
	return rc;
}

static void wait_for_setup(struct kt_setup *u, const struct kt_session *s, kt_ready_fn on_set_up)
{
	struct setup_waiter *w = kt_calloc(1, sizeof(*w));

	memcpy(w->session_id, s->id, sizeof(w->session_id));
	w->on_set_up = on_set_up;
	kt_vec_push(&u->waiting, w);
}

void kt_setup_run(struct kt_session *s, struct kt_app_ref *ref, kt_ready_fn on_set_up)
{
	KT_AUTOFREE char *mark = mark_of(s, ref);
	struct kt_setup *u = mark ? kt_map_get(&s->reg->setups, mark) : NULL;
	struct kt_err err = KT_ERR_INIT;

	if (!mark) {
		(void)kt_fail(&err, KT_ENOTFOUND, 0, "setup '%s' cannot be read", ref->app->setup);
		on_set_up(s, KT_ENOTFOUND, &err);
		return;
	}
	if (u) {
		wait_for_setup(u, s, on_set_up);
		return;
	}
	u = kt_calloc(1, sizeof(*u));
	u->reg = s->reg;
	u->mark = KT_STEAL(mark);
	u->script = kt_strdup(ref->app->setup);
	kt_buf_init(&u->line, 2 * LINE_MAX_BYTES);
	wait_for_setup(u, s, on_set_up);
	(void)kt_map_set(&s->reg->setups, u->mark, u);
	tell_setup(u, "info", "runs once, before the first turn");
	if (spawn_setup(u, s, ref, &err) != KT_OK) {
		setup_over(u, err.code, &err);
		return;
	}
	u->timer = kt_timer_new(s->reg->loop, on_time, u);
	kt_timer_start(u->timer, KT_SETUP_MS, 0);
}

void kt_setups_release(struct kt_sessions *reg)
{
	size_t pos = 0;
	const char *key;
	void *value;

	while (kt_map_next(&reg->setups, &pos, &key, &value)) {
		struct kt_setup *u = value;

		if (u->child)
			kt_child_abandon(u->child);
		setup_free(u);
	}
	kt_map_release(&reg->setups);
}

void kt_setup_drop(struct kt_session *s)
{
	KT_AUTOFREE char *dir = kt_session_dir(s);
	KT_AUTOFREE char *mark = kt_path_join(dir, "setup.done");
	struct kt_setup *u = kt_map_get(&s->reg->setups, mark);

	if (!u)
		return;
	if (u->child)
		kt_child_abandon(u->child);
	setup_free(u);
}
