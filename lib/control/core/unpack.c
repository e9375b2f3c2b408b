/* SPDX-License-Identifier: MIT */
/*
 * Starting the one-shot unpacker: hostile bytes are read by a process that can do nothing else. It
 * gets an empty environment but for what a sanitizer's build needs, its job on stdin, and answers
 * one line of JSON.
 *
 * Most of what unpacking a few files takes is the start of the process. Who asks for refs is about
 * to push: one process is started a moment later (after a push without a change, not during it),
 * and waits some seconds for its job. A process reads one archive and ends, also one that was
 * started ahead.
 */
#include "control/core/task_private.h"

#include "base/env.h"
#include "base/limits.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>

#define MAX_ANSWER_BYTES 16384 /* one line: a message is 400 bytes at most */
#define GRACE_MS 5000 /* start and end of the process; reading itself keeps its own deadline */
#define AHEAD_MS 10000 /* that one waits for a job */
#define MOMENT_MS 3 /* a push without a change is over by then */

struct kt_unpack {
	struct kt_works *works;
	char org_id[KT_ID_MAX]; /* who has to wait for whom */
	bool runs; /* its turn has come */
	struct kt_child *child;
	struct kt_timer *deadline;
	struct kt_buf out, errs;
	char *job; /* NULL until there is one */
	bool ahead; /* was started before it had one */
	bool late;
	kt_unpack_fn fn;
	void *arg;
};

static void free_unpack(struct kt_unpack *u)
{
	(void)kt_vec_remove_ptr(&u->works->unpacks, u);
	if (u->works->ahead == u)
		u->works->ahead = NULL;
	kt_timer_free(u->deadline);
	free(u->job);
	kt_buf_release(&u->out);
	kt_buf_release(&u->errs);
	free(u);
}

static void unpack_run_next(struct kt_works *w);

static void unpack_answer(struct kt_unpack *u, enum kt_code rc, const struct kt_unpacked *res,
	const struct kt_err *err)
{
	kt_unpack_fn fn = u->fn;
	struct kt_works *w = u->works;
	void *arg = u->arg;

	free_unpack(u);
	fn(arg, rc, res, err);
	unpack_run_next(w);
}

static enum kt_code unpack_code_of(const char *word)
{
	for (int c = KT_OK + 1; word && c < KT_CODE_COUNT_; c++) {
		if (!strcmp(word, kt_code_name((enum kt_code)c)))
			return (enum kt_code)c;
	}
	return KT_EPROTO;
}

static void on_out(void *arg, const char *data, size_t len)
{
	struct kt_unpack *u = arg;

	kt_buf_add(&u->out, data, len);
}

static void on_err(void *arg, const char *data, size_t len)
{
	struct kt_unpack *u = arg;

	/* Only the beginning is of use, in the server's log. */
	kt_buf_add(&u->errs, data, KT_MIN(len, u->errs.max - u->errs.len));
}

static enum kt_code unpack_read_answer(
	struct kt_unpack *u, int exit_code, struct kt_unpacked *out, struct kt_err *err)
{
	KT_AUTO_JSON cJSON *doc = NULL;
	const char *message;
	enum kt_code rc;

	if (!kt_buf_ok(&u->out) ||
		kt_json_parse(u->out.ptr, u->out.len, KT_JSON_STRICT, &doc, NULL) != KT_OK)
		return kt_fail(err, KT_EPROTO, 0,
			"the unpacker ended without an answer (status %d)", exit_code);
	if (kt_json_bool(doc, "ok", false) && exit_code == 0) {
		out->bundle = kt_json_bool(doc, "bundle", false);
		out->n_files = kt_json_int(doc, "files", 0);
		out->n_bytes = kt_json_int(doc, "bytes", 0);
		return KT_OK;
	}
	message = kt_json_str_or(doc, "message", "the archive was refused");
	rc = kt_fail(err, unpack_code_of(kt_json_str(doc, "code")), 0, "%s", message);
	message = kt_json_str(doc, "hint");
	if (message)
		(void)kt_hint(err, "%s", message);
	return rc;
}

static bool start_again(struct kt_unpack *u);

static void on_unpack_gone(void *arg, int exit_code, int term_signal, int start_error)
{
	struct kt_unpack *u = arg;
	struct kt_unpacked res = { 0 };
	struct kt_err err = KT_ERR_INIT;
	enum kt_code rc;

	u->child = NULL;
	if (!u->job) {
		free_unpack(u);
		return;
	}
	/* One that was started ahead may have ended just before it got its job. */
	if (u->ahead && !u->late && !u->out.len && start_again(u))
		return;
	if (start_error)
		rc = kt_fail(&err, KT_EIO, start_error, "cannot start the unpacker");
	else if (u->late)
		rc = kt_fail(&err, KT_ETIMEOUT, 0, "unpacking took longer than %lld s",
			(long long)u->works->ctl->limits.max_ms / 1000);
	else if (exit_code < 0)
		rc = kt_fail(&err, KT_EPROTO, 0, "unpacking was stopped by signal %d", term_signal);
	else
		rc = unpack_read_answer(u, exit_code, &res, &err);
	unpack_answer(u, rc, &res, &err);
}

static const struct kt_child_ops child_ops = {
	.out = on_out, .err = on_err, .gone = on_unpack_gone
};

static enum kt_code unpack_spawn(struct kt_unpack *u, struct kt_err *err);

/* A moment after it was asked for ahead; and when it takes too long, or nobody needs it. */
static void on_unpack_time(void *arg)
{
	struct kt_unpack *u = arg;

	if (u->ahead && !u->job && !u->child) {
		if (unpack_spawn(u, NULL) == KT_OK)
			kt_timer_start(u->deadline, AHEAD_MS, 0);
		else
			free_unpack(u);
		return;
	}
	u->late = true;
	if (u->works->ahead == u)
		u->works->ahead = NULL;
	if (u->child)
		kt_child_kill_tree(u->child);
}

static char *make_job(const char *archive, const char *staging, const struct kt_pack_limits *l)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(MAX_ANSWER_BYTES);
	struct kt_jw w;

	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_jw_str(&w, "archive", archive);
	kt_jw_str(&w, "staging", staging);
	kt_jw_obj(&w, "limits");
	kt_jw_int(&w, "max_files", l->max_files);
	kt_jw_int(&w, "max_bytes", l->max_bytes);
	kt_jw_int(&w, "max_file_bytes", l->max_file_bytes);
	kt_jw_int(&w, "max_archive_bytes", l->max_archive_bytes);
	kt_jw_int(&w, "max_ratio", l->max_ratio);
	kt_jw_int(&w, "max_path_bytes", l->max_path_bytes);
	kt_jw_int(&w, "max_depth", l->max_depth);
	kt_jw_int(&w, "max_ms", l->max_ms);
	kt_jw_obj_end(&w);
	kt_jw_obj_end(&w);
	return kt_buf_take(&b);
}

static bool variable_passes(const char *var)
{
	static const char *const names[] = {
		"PATH=", "ASAN_OPTIONS=", "UBSAN_OPTIONS=", "LSAN_OPTIONS=", "TSAN_OPTIONS="
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(names); i++) {
		if (kt_str_starts(var, names[i]))
			return true;
	}
	return false;
}

static enum kt_code unpack_spawn(struct kt_unpack *u, struct kt_err *err)
{
	struct kt_control *ctl = u->works->ctl;
	char name[] = "karta-unpack", on_stdin[] = "-";
	char *env[8] = { NULL };
	char *argv[] = { name, on_stdin, NULL };
	/* Here, so that it finds the data folder under the name that the server knows. */
	struct kt_child_spec spec = { .program = ctl->self, .argv = argv, .envp = env, .cwd = "." };
	size_t n = 0;

	if (!ctl->cfg.spawner || !ctl->self)
		return kt_fail(err, KT_EUNAVAIL, 0, "this server has no unpacker");
	for (char **e = kt_env_all(); *e && n + 1 < KT_ARRAY_LEN(env); e++) {
		if (variable_passes(*e))
			env[n++] = *e;
	}
	return kt_child_spawn(ctl->cfg.spawner, &spec, &child_ops, u, &u->child, err);
}

static enum kt_code give_job(struct kt_unpack *u, struct kt_err *err)
{
	enum kt_code rc = kt_child_write(u->child, u->job, strlen(u->job), err);

	if (rc == KT_OK)
		kt_child_close_stdin(u->child);
	return rc;
}

static bool start_again(struct kt_unpack *u)
{
	u->ahead = false;
	kt_buf_clear(&u->errs);
	if (u->works->stopped || unpack_spawn(u, NULL) != KT_OK)
		return false;
	/* When it does not take it, it ends without an answer. */
	(void)give_job(u, NULL);
	return true;
}

/* A failed start is answered in a later tick, as everything else. */
static void on_start_failed(void *arg)
{
	struct kt_unpack *u = arg;
	struct kt_err err = KT_ERR_INIT;

	unpack_answer(u, kt_fail(&err, KT_EUNAVAIL, 0, "cannot start the unpacker"), NULL, &err);
}

static struct kt_unpack *new_unpack(struct kt_works *w)
{
	struct kt_unpack *u = kt_calloc(1, sizeof(*u));

	u->works = w;
	kt_buf_init(&u->out, MAX_ANSWER_BYTES);
	kt_buf_init(&u->errs, MAX_ANSWER_BYTES);
	u->deadline = kt_timer_new(w->ctl->loop, on_unpack_time, u);
	return u;
}

void kt_unpack_ahead(struct kt_control *ctl)
{
	struct kt_works *w = kt_works_get(ctl);
	struct kt_unpack *u;

	if (w->ahead || w->stopped || ctl->draining)
		return;
	u = new_unpack(w);
	u->ahead = true;
	w->ahead = u;
	kt_timer_start(u->deadline, MOMENT_MS, 0);
}

/* The one that was started ahead is taken instead: it has no owner yet. */
static void take_ahead(struct kt_unpack *u)
{
	struct kt_unpack *ahead = u->works->ahead;

	u->works->ahead = NULL;
	memcpy(ahead->org_id, u->org_id, sizeof(ahead->org_id));
	ahead->fn = u->fn;
	ahead->arg = u->arg;
	ahead->job = KT_STEAL(u->job);
	kt_vec_push(&ahead->works->unpacks, ahead);
	free_unpack(u);
}

static void unpack_run(struct kt_unpack *u)
{
	struct kt_control *ctl = u->works->ctl;
	struct kt_err err = KT_ERR_INIT;

	if (u->works->ahead && !u->ahead) {
		struct kt_unpack *ahead = u->works->ahead;

		take_ahead(u);
		u = ahead;
	}
	u->runs = true;
	(void)kt_str_copy(u->works->unpacked_last, sizeof(u->works->unpacked_last), u->org_id);
	if (!u->child && unpack_spawn(u, &err) != KT_OK) {
		kt_timer_free(u->deadline);
		u->deadline = kt_timer_new(ctl->loop, on_start_failed, u);
		kt_timer_start(u->deadline, 0, 0);
		return;
	}
	kt_timer_start(u->deadline, ctl->limits.max_ms + GRACE_MS, 0);
	/* What cannot be given shows when the process is gone. */
	(void)give_job(u, NULL);
}

static size_t unpack_count(const struct kt_works *w, const char *org_id, bool run_only)
{
	size_t n = 0;

	for (size_t i = 0; i < w->unpacks.len; i++) {
		const struct kt_unpack *u = w->unpacks.items[i];

		n += (!run_only || u->runs) && (!org_id || !strcmp(u->org_id, org_id));
	}
	return n;
}

/*
 * The one whose turn it is, or NULL: the oldest of an organization that may have another process,
 * and was not the last to get one, if there is such.
 */
static struct kt_unpack *unpack_next(const struct kt_works *w)
{
	struct kt_unpack *found = NULL;

	for (size_t i = 0; i < w->unpacks.len; i++) {
		struct kt_unpack *u = w->unpacks.items[i];

		if (u->runs || unpack_count(w, u->org_id, true) >= KT_MAX_UNPACKERS_EACH)
			continue;
		if (strcmp(u->org_id, w->unpacked_last) != 0)
			return u;
		if (!found)
			found = u;
	}
	return found;
}

static void unpack_run_next(struct kt_works *w)
{
	struct kt_unpack *u;

	while (!w->stopped && unpack_count(w, NULL, true) < KT_MAX_UNPACKERS &&
		(u = unpack_next(w)))
		unpack_run(u);
}

static void on_too_many(void *arg)
{
	struct kt_unpack *u = arg;
	struct kt_err err = KT_ERR_INIT;

	unpack_answer(u,
		kt_fail(&err, KT_EUNAVAIL, 0,
			"%d uploads of this organization wait to be unpacked already (fixed)",
			KT_MAX_UNPACKS_WAITING),
		NULL, &err);
}

void kt_unpack_start(struct kt_control *ctl, const char *org_id, const char *archive,
	const char *staging, kt_unpack_fn fn, void *arg)
{
	struct kt_works *w = kt_works_get(ctl);
	struct kt_unpack *u = new_unpack(w);
	bool full = unpack_count(w, org_id, false) >= KT_MAX_UNPACKS_WAITING;

	u->fn = fn;
	u->arg = arg;
	u->job = make_job(archive, staging, &ctl->limits);
	kt_vec_push(&w->unpacks, u);
	if (full) {
		kt_timer_free(u->deadline);
		u->deadline = kt_timer_new(ctl->loop, on_too_many, u);
		kt_timer_start(u->deadline, 0, 0);
		/* Of nobody, so that it waits for nothing and nobody for it. */
		u->runs = true;
		return;
	}
	(void)kt_str_copy(u->org_id, sizeof(u->org_id), org_id);
	unpack_run_next(w);
}

void kt_unpacks_stop(struct kt_works *w)
{
	struct kt_err err = KT_ERR_INIT;

	(void)kt_fail(&err, KT_ECANCEL, 0, "the server is shutting down");
	if (w->ahead) {
		if (w->ahead->child)
			kt_child_abandon(w->ahead->child);
		free_unpack(w->ahead);
	}
	while (w->unpacks.len > 0) {
		struct kt_unpack *u = w->unpacks.items[0];

		if (u->child)
			kt_child_abandon(u->child);
		unpack_answer(u, KT_ECANCEL, NULL, &err);
	}
	kt_vec_release(&w->unpacks);
}
