/* SPDX-License-Identifier: MIT */
/*
 * Releases that sessions run. The first who opens one has its files laid out and its variables
 * unsealed; the others share them until the last gives back. Values are wiped then.
 */
#include "control/release/release_private.h"

#include "base/limits.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>

struct waiter {
	kt_opened_fn fn;
	void *arg;
};

struct kt_open_release {
	struct kt_control *ctl;
	char key[2 * KT_ID_MAX]; /* in ctl->opened */
	struct kt_target target;
	char *dir;
	struct kt_vec env; /* char *: "NAME=value" */
	bool ready;
	bool pending; /* being opened */
	bool layout_due; /* its files have to be laid out, as the second step */
	bool damaged; /* they cannot be */
	struct kt_vec waiting; /* struct waiter * */
	struct kt_vec holds; /* uint64_t * */
	struct kt_release_row row;
	struct kt_arena *arena; /* of row */
};

/* Sessions on a release. */
struct kt_count {
	int64_t n;
};

static void drop_env(struct kt_open_release *o)
{
	for (size_t i = 0; i < o->env.len; i++) {
		char *s = o->env.items[i];

		if (s)
			kt_secret_wipe(s, strlen(s));
		free(s);
	}
	kt_vec_release(&o->env);
}

static void free_open(struct kt_open_release *o)
{
	(void)kt_map_del(&o->ctl->opened, o->key);
	drop_env(o);
	for (size_t i = 0; i < o->waiting.len; i++)
		free(o->waiting.items[i]);
	for (size_t i = 0; i < o->holds.len; i++)
		free(o->holds.items[i]);
	kt_vec_release(&o->waiting);
	kt_vec_release(&o->holds);
	kt_arena_free(o->arena);
	free(o->dir);
	free(o);
}

/* --- the environment --------------------------------------------------------------------- */

/* Later ones replace earlier ones of the same name. */
static void set_env(void *arg, const char *name, const char *value)
{
	struct kt_open_release *o = arg;
	char *s = kt_asprintf("%s=%s", name, value);
	size_t len = strlen(name) + 1;

	for (size_t i = 0; i < o->env.len; i++) {
		char *old = o->env.items[i];

		if (!strncmp(old, s, len)) {
			kt_secret_wipe(old, strlen(old));
			free(old);
			o->env.items[i] = s;
			return;
		}
	}
	kt_vec_push(&o->env, s);
}

static enum kt_code open_read_config(
	struct kt_tx *tx, struct kt_open_release *o, int64_t version, struct kt_err *err)
{
	const struct kt_target *t = &o->target;
	struct kt_config_row *rows;
	size_t n;
	enum kt_code rc = kt_tx_config(tx, o->arena, t->project_id, version, &rows, &n, err);

	for (size_t i = 0; rc == KT_OK && i < n; i++) {
		KT_AUTO_BUF struct kt_buf value = KT_BUF_INIT(KT_MAX_CONFIG_VALUE_BYTES);

		rc = kt_unseal(o->ctl->master,
			kt_config_context(o->arena, t->org_id, t->project_id, rows[i].name),
			rows[i].value, rows[i].value_len, &value, err);
		if (rc != KT_OK)
			return kt_wrap(err, "config var %s", rows[i].name);
		set_env(o, rows[i].name, value.ptr);
		kt_secret_wipe(value.ptr, value.len);
	}
	return rc;
}

/* On a worker's thread: everything in one read. */
static enum kt_code read_open(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	struct kt_open_release *o = arg;
	struct kt_target *t = &o->target;
	struct kt_project_row p;
	int64_t version = 0;
	enum kt_code rc = kt_tx_project(tx, o->arena, t->org_id, t->project_id, &p, err);

	if (rc == KT_OK && t->folder)
		version = p.config_version;
	else if (rc == KT_OK)
		rc = kt_tx_release(tx, o->arena, t->org_id, t->release_id, &o->row, err);
	if (rc != KT_OK)
		return rc;
	if (!t->folder)
		version = o->row.fork && o->row.preview ? 0 : o->row.config_version;
	if (version > 0)
		rc = open_read_config(tx, o, version, err);
	if (rc == KT_OK && o->row.env)
		rc = kt_env_unseal(o->ctl->master, t->org_id, o->row.env, set_env, o, err);
	return rc;
}

static enum kt_code open_work(void *arg, struct kt_err *err)
{
	struct kt_open_release *o = arg;
	const struct kt_release_row *r = &o->row;
	enum kt_code rc = kt_store_do(o->ctl->store, false, read_open, o, err);

	if (rc != KT_OK)
		return rc;
	set_env(o, "KARTA_ENVIRONMENT", r->preview ? "preview" : "production");
	if (r->commit_sha)
		set_env(o, "KARTA_COMMIT_SHA", r->commit_sha);
	if (o->target.folder)
		return KT_OK;
	o->dir = kt_layout_path(o->ctl, o->target.org_id, r->digest);
	o->layout_due = !kt_layout_ready(o->ctl, o->target.org_id, r->digest);
	return KT_OK;
}

/* Its files are not there any more (or not yet): seconds of work. */
static enum kt_code open_layout_work(void *arg, struct kt_err *err)
{
	struct kt_open_release *o = arg;
	const struct kt_release_row *r = &o->row;
	enum kt_code rc = kt_layout_make(o->ctl, o->target.org_id, r->digest, err);

	o->damaged = rc == KT_ENOTFOUND || rc == KT_EPROTO;
	if (o->damaged)
		return kt_fail(err, KT_EUNAVAIL, 0, "the files of v%lld are damaged or gone",
			(long long)r->version);
	return rc;
}

/* --- giving ------------------------------------------------------------------------------ */

static void give_opened(struct kt_open_release *o, kt_opened_fn fn, void *arg)
{
	struct kt_opened opened = { .dir = o->dir, .folder = o->target.folder };
	uint64_t *hold = kt_malloc(sizeof(*hold));

	*hold = o->ctl->next_hold++;
	kt_vec_push(&o->holds, hold);
	opened.env = (char *const *)o->env.items;
	opened.hold = *hold;
	fn(arg, KT_OK, &opened, NULL);
}

/* What must not be seen in the project's log. */
static void hide_values(struct kt_open_release *o)
{
	struct kt_project_mem *p = kt_map_get(&o->ctl->projects, o->target.project_id);

	for (size_t i = 0; p && i + 1 < o->env.len; i++) {
		const char *s = o->env.items[i];

		if (!kt_str_starts(s, "KARTA_"))
			kt_log_secret(p, strchr(s, '=') + 1);
	}
}

static void answer_all(struct kt_open_release *o, enum kt_code rc, const struct kt_err *err)
{
	struct kt_vec waiting = o->waiting;

	o->waiting = (struct kt_vec)KT_VEC_INIT;
	for (size_t i = 0; i < waiting.len; i++) {
		struct waiter *w = waiting.items[i];

		if (rc == KT_OK)
			give_opened(o, w->fn, w->arg);
		else
			w->fn(w->arg, rc, NULL, err);
		free(w);
	}
	kt_vec_release(&waiting);
}

/* Use of a damaged release is refused, and that is worth a row. */
static enum kt_code audit_damage(struct kt_tx *tx, struct kt_op *op, struct kt_err *err)
{
	return kt_op_audit(tx, op, "release.damaged",
		kt_arena_printf(op->arena, "release/%s", (const char *)op->data), NULL, err);
}

static void tell_damage(const struct kt_open_release *o)
{
	struct kt_op *op = kt_op_new(o->ctl, NULL, NULL, NULL, NULL);

	(void)kt_str_copy(op->who.org_id, sizeof(op->who.org_id), o->target.org_id);
	op->data = kt_arena_strdup(op->arena, o->target.release_id);
	kt_op_last(op, KT_STEP_WRITE, audit_damage, NULL);
}

static void release_opened(void *arg, enum kt_code rc, const struct kt_err *err)
{
	struct kt_open_release *o = arg;

	if (rc == KT_OK && o->layout_due) {
		o->layout_due = false;
		kt_task_run(o->ctl,
			&(struct kt_task_for){ o->target.org_id, KT_WORK_LONG, 0, false },
			open_layout_work, release_opened, o);
		return;
	}
	o->pending = false;
	if (rc != KT_OK) {
		/* One who asks again from the callback begins anew. */
		(void)kt_map_del(&o->ctl->opened, o->key);
		if (o->damaged)
			tell_damage(o);
		answer_all(o, rc, err);
		o->key[0] = '\0';
		free_open(o);
		return;
	}
	kt_vec_push(&o->env, NULL);
	hide_values(o);
	o->ready = true;
	/* Callbacks may give back at once: not the last one before all were told. */
	o->pending = true;
	answer_all(o, KT_OK, NULL);
	o->pending = false;
	if (o->holds.len == 0)
		free_open(o);
}

static void refuse_open(kt_opened_fn fn, void *arg, enum kt_code rc, const char *why)
{
	struct kt_err err = KT_ERR_INIT;

	(void)kt_fail(&err, rc, 0, "%s", why);
	fn(arg, rc, NULL, &err);
}

void kt_control_release_open(
	struct kt_control *ctl, const struct kt_target *t, kt_opened_fn fn, void *arg)
{
	struct kt_project_mem *p = kt_map_get(&ctl->projects, t->project_id);
	char key[2 * KT_ID_MAX];
	struct kt_open_release *o;
	struct waiter *w;

	if (!p) {
		refuse_open(fn, arg, KT_ENOTFOUND, "there is no such project");
		return;
	}
	if (!t->folder && !t->release_id[0]) {
		refuse_open(fn, arg, KT_ECONFLICT, "the project has no active release");
		return;
	}
	if (t->folder)
		(void)snprintf(
			key, sizeof(key), "%s@%lld", t->project_id, (long long)p->config_version);
	else
		(void)kt_str_copy(key, sizeof(key), t->release_id);
	o = kt_map_get(&ctl->opened, key);
	if (o && o->ready) {
		give_opened(o, fn, arg);
		return;
	}
	w = kt_malloc(sizeof(*w));
	*w = (struct waiter){ .fn = fn, .arg = arg };
	if (!o) {
		o = kt_calloc(1, sizeof(*o));
		o->ctl = ctl;
		o->target = *t;
		o->arena = kt_arena_new();
		if (t->folder)
			o->dir = kt_strdup(p->dir ? p->dir : "");
		memcpy(o->key, key, sizeof(key));
		(void)kt_map_set(&ctl->opened, key, o);
	}
	kt_vec_push(&o->waiting, w);
	if (!o->pending) {
		o->pending = true;
		kt_task_run(ctl, &(struct kt_task_for){ o->target.org_id, KT_WORK_SHORT, 0, false },
			open_work, release_opened, o);
	}
}

void kt_control_release_close(struct kt_control *ctl, uint64_t hold)
{
	size_t pos = 0;
	const char *key;
	void *value;

	while (kt_map_next(&ctl->opened, &pos, &key, &value)) {
		struct kt_open_release *o = value;

		for (size_t i = 0; i < o->holds.len; i++) {
			if (*(uint64_t *)o->holds.items[i] != hold)
				continue;
			free(kt_vec_remove(&o->holds, i));
			if (o->holds.len == 0 && !o->pending)
				free_open(o);
			return;
		}
	}
}

void kt_control_session_count(struct kt_control *ctl, const char *release_id, int delta)
{
	struct kt_count *c;

	if (!release_id || !*release_id)
		return;
	c = kt_map_get(&ctl->sessions, release_id);
	if (!c) {
		c = kt_calloc(1, sizeof(*c));
		(void)kt_map_set(&ctl->sessions, release_id, c);
	}
	c->n += delta;
	if (c->n <= 0) {
		(void)kt_map_del(&ctl->sessions, release_id);
		free(c);
	}
}

bool kt_release_used(const struct kt_control *ctl, const char *release_id)
{
	const struct kt_build *b = kt_map_get(&ctl->builds, release_id);

	return kt_map_get(&ctl->sessions, release_id) || kt_map_get(&ctl->opened, release_id) ||
		(b && !b->over);
}

void kt_opened_free(struct kt_control *ctl)
{
	size_t pos;
	const char *key;
	void *value;

	while (pos = 0, kt_map_next(&ctl->opened, &pos, &key, &value))
		free_open(value); /* out of the map, too */
	kt_map_release(&ctl->opened);
	while (pos = 0, kt_map_next(&ctl->sessions, &pos, &key, &value)) {
		/* The key goes with its entry. */
		(void)kt_map_del(&ctl->sessions, key);
		free(value);
	}
	kt_map_release(&ctl->sessions);
}
