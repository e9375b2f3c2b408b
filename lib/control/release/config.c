/* SPDX-License-Identifier: MIT */
/*
 * Config vars. Each version is the whole set, sealed value by value; a release names its version,
 * so that rolling back restores code and configuration together. Values are in no audit row, no log
 * and no problem, only in answers to keys with scope admin and in the environment of harnesses.
 */
#include "control/release/release_private.h"

#include "base/env.h"
#include "base/limits.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>

#define MESSAGE_NAMES_BYTES 200 /* of the names in a release's message */

/* --- show -------------------------------------------------------------------------------- */

static enum kt_code write_vars(struct kt_tx *tx, struct kt_op *op, struct kt_jw *w,
	const struct kt_project_row *p, struct kt_err *err)
{
	struct kt_config_row *rows = NULL;
	size_t n = 0;
	enum kt_code rc = KT_OK;

	if (p->config_version > 0)
		rc = kt_tx_config(tx, op->arena, p->id, p->config_version, &rows, &n, err);
	for (size_t i = 0; rc == KT_OK && i < n; i++) {
		KT_AUTO_BUF struct kt_buf value = KT_BUF_INIT(KT_MAX_CONFIG_VALUE_BYTES);

		/* A page shows names: nothing that got into it may carry the values off. */
		if (!(op->who.scopes & KT_SCOPE_ADMIN) || op->who.web[0]) {
			kt_jw_null(w, rows[i].name);
			continue;
		}
		rc = kt_unseal(op->ctl->master,
			kt_config_context(op->arena, p->org_id, p->id, rows[i].name), rows[i].value,
			rows[i].value_len, &value, err);
		if (rc != KT_OK)
			return kt_wrap(err, "config var '%s'", rows[i].name);
		kt_jw_strn(w, rows[i].name, value.ptr, value.len);
		kt_secret_wipe(value.ptr, value.len);
	}
	return rc;
}

static enum kt_code config_show_work(struct kt_tx *tx, struct kt_op *op, struct kt_err *err)
{
	struct kt_project_row p;
	struct kt_jw w;
	enum kt_code rc = kt_tx_project(tx, op->arena, op->who.org_id, op->data, &p, err);

	if (rc == KT_ENOTFOUND)
		return kt_op_code(op, rc, 404, "project_not_found");
	if (rc != KT_OK)
		return rc;
	kt_jw_init(&w, &op->json);
	kt_jw_obj(&w, NULL);
	kt_jw_int(&w, "version", p.config_version);
	kt_jw_obj(&w, "vars");
	rc = write_vars(tx, op, &w, &p, err);
	kt_jw_obj_end(&w);
	kt_jw_obj_end(&w);
	return rc;
}

void kt_control_config(struct kt_control *ctl, const struct kt_actor *a, const char *ref,
	kt_result_fn fn, void *arg)
{
	struct kt_op *op = kt_op_new(ctl, a, NULL, fn, arg);
	struct kt_project_mem *p = kt_op_project(op, ref);

	if (!p)
		return;
	op->data = kt_arena_strdup(op->arena, p->id);
	kt_op_last(op, KT_STEP_READ, config_show_work, NULL);
}

/* --- change ------------------------------------------------------------------------------ */

struct var {
	const char *name;
	const char *value; /* NULL = unset */
	bool changed;
};

struct change {
	char project_id[KT_ID_MAX];
	struct var *vars;
	size_t n;
	struct kt_config_row *next; /* the new set */
	size_t n_next;
	bool any;
	struct kt_project_row row;
	struct kt_release_row release; /* id NULL = nothing is live */
};

static struct var *var_of(struct change *c, const char *name)
{
	for (size_t i = 0; i < c->n; i++) {
		if (strcmp(c->vars[i].name, name) == 0)
			return &c->vars[i];
	}
	return NULL;
}

static enum kt_code same_value(struct kt_op *op, const struct kt_project_row *p,
	const struct kt_config_row *row, const char *value, bool *out, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf old = KT_BUF_INIT(KT_MAX_CONFIG_VALUE_BYTES);
	enum kt_code rc = kt_unseal(op->ctl->master,
		kt_config_context(op->arena, p->org_id, p->id, row->name), row->value,
		row->value_len, &old, err);

	if (rc != KT_OK)
		return kt_wrap(err, "config var '%s'", row->name);
	*out = old.len == strlen(value) && memcmp(old.ptr, value, old.len) == 0;
	kt_secret_wipe(old.ptr, old.len);
	return KT_OK;
}

static void add_sealed(struct kt_op *op, struct change *c, const struct var *v)
{
	KT_AUTO_BUF struct kt_buf sealed = KT_BUF_INIT(KT_MAX_CONFIG_VALUE_BYTES + 64);
	struct kt_config_row *row = &c->next[c->n_next++];

	kt_seal(op->ctl->master, kt_config_context(op->arena, c->row.org_id, c->row.id, v->name),
		v->value, strlen(v->value), &sealed);
	row->name = v->name;
	row->value = kt_arena_strndup(op->arena, sealed.ptr, sealed.len);
	row->value_len = sealed.len;
}

/* The new set from the old one: what stays keeps its sealed bytes. */
static enum kt_code make_set(struct kt_tx *tx, struct kt_op *op, struct kt_err *err)
{
	struct change *c = op->data;
	struct kt_config_row *old = NULL;
	size_t n_old = 0;
	enum kt_code rc = KT_OK;

	if (c->row.config_version > 0)
		rc = kt_tx_config(
			tx, op->arena, c->row.id, c->row.config_version, &old, &n_old, err);
	if (rc != KT_OK)
		return rc;
	c->next = kt_arena_alloc(op->arena, (n_old + c->n + 1) * sizeof(*c->next));
	for (size_t i = 0; i < c->n; i++)
		c->vars[i].changed = c->vars[i].value != NULL;
	for (size_t i = 0; i < n_old; i++) {
		struct var *v = var_of(c, old[i].name);
		bool same = false;

		if (v && v->value) {
			rc = same_value(op, &c->row, &old[i], v->value, &same, err);
			if (rc != KT_OK)
				return rc;
		}
		if (v)
			v->changed = !same;
		if (!v || same)
			c->next[c->n_next++] = old[i];
	}
	for (size_t i = 0; i < c->n; i++) {
		c->any = c->any || c->vars[i].changed;
		if (c->vars[i].changed && c->vars[i].value)
			add_sealed(op, c, &c->vars[i]);
	}
	if (c->n_next > KT_MAX_CONFIG_VARS)
		return kt_op_code(op,
			kt_fail(err, KT_ELIMIT, 0, "a project has at most %d config vars (fixed)",
				KT_MAX_CONFIG_VARS),
			422, "too_many_config_vars");
	return KT_OK;
}

static const char *detail(struct kt_op *op, const struct change *c)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_MAX_HTTP_BODY_BYTES);
	struct kt_jw w;

	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_jw_int(&w, "version", c->row.config_version);
	for (int set = 1; set >= 0; set--) {
		kt_jw_arr(&w, set ? "set" : "unset");
		for (size_t i = 0; i < c->n; i++) {
			if (c->vars[i].changed && (c->vars[i].value != NULL) == (set == 1))
				kt_jw_str(&w, NULL, c->vars[i].name);
		}
		kt_jw_arr_end(&w);
	}
	kt_jw_obj_end(&w);
	return kt_arena_strdup(op->arena, b.ptr);
}

static enum kt_code write_set(struct kt_tx *tx, struct kt_op *op, struct kt_err *err)
{
	struct change *c = op->data;
	int64_t version = 0;
	enum kt_code rc = kt_tx_config_next(tx, c->row.id, &version, err);

	if (rc != KT_OK)
		return rc;
	c->row.config_version = version;
	rc = kt_tx_config_add(tx, c->row.id, version, c->next, c->n_next, err);
	if (rc == KT_OK)
		rc = kt_tx_project_put(tx, &c->row, err);
	if (rc == KT_OK)
		rc = kt_op_audit(tx, op, "config.change", kt_object_project(op->arena, c->row.slug),
			detail(op, c), err);
	return rc;
}

static bool config_is_named(void *arg, const char *name)
{
	return var_of(arg, name) != NULL;
}

/* What the release of a change is about: "config: set A, B; unset C". */
static const char *message_of(struct kt_op *op, const struct change *c)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1024);
	size_t more = 0;

	for (int set = 1; set >= 0; set--) {
		size_t n = 0;

		for (size_t i = 0; i < c->n; i++) {
			const struct var *v = &c->vars[i];

			if (!v->changed || (v->value != NULL) != (set == 1))
				continue;
			if (b.len + strlen(v->name) > MESSAGE_NAMES_BYTES) {
				more++;
				continue;
			}
			kt_buf_addf(&b, "%s%s%s",
				n               ? ", "
					: b.len ? "; "
						: "config: ",
				n             ? ""
					: set ? "set "
					      : "unset ",
				v->name);
			n++;
		}
	}
	if (more && b.len)
		kt_buf_addf(&b, " and %zu more", more);
	else if (more)
		kt_buf_addf(&b, "config: %zu variables", more);
	/* What is live had an older one, as after a build that failed. */
	if (!b.len)
		kt_buf_addf(&b, "config: version %lld", (long long)c->row.config_version);
	return kt_arena_strdup(op->arena, b.ptr);
}

/*
 * The live code with the new configuration. Also when nothing changed but what is live has an older
 * one, as after a build that failed. A release's own variable of a name that was set (or unset)
 * here goes: it would hide the new value.
 */
static enum kt_code release_live(struct kt_tx *tx, struct kt_op *op, struct kt_err *err)
{
	struct change *c = op->data;
	struct kt_project_row *p = &c->row;
	struct kt_release_row live;
	bool hidden = false;
	enum kt_code rc;

	if (!p->current_release_id)
		return KT_OK;
	rc = kt_tx_release(tx, op->arena, p->org_id, p->current_release_id, &live, err);
	if (rc == KT_OK)
		rc = kt_env_without(
			op->arena, live.env, config_is_named, c, &live.env, &hidden, err);
	if (rc != KT_OK || (!c->any && !hidden && live.config_version == p->config_version))
		return rc;
	return kt_release_again(
		tx, op, p, &live, KT_AIM_LIVE, "config", message_of(op, c), &c->release, err);
}

static enum kt_code change_answer(struct kt_tx *tx, struct kt_op *op, struct kt_err *err)
{
	struct change *c = op->data;
	struct kt_project_mem *p;
	struct kt_jw w;
	enum kt_code rc = KT_OK;

	kt_jw_init(&w, &op->json);
	kt_jw_obj(&w, NULL);
	kt_jw_int(&w, "version", c->row.config_version);
	if (c->release.id) {
		rc = kt_project_temp(tx, op, &c->row, &p, err);
		if (rc != KT_OK)
			return rc;
		kt_jw_obj(&w, "release");
		kt_write_release(&w, op, p, &c->release, false);
		kt_jw_obj_end(&w);
	} else {
		kt_jw_null(&w, "release");
	}
	kt_jw_obj_end(&w);
	return rc;
}

static enum kt_code config_change_work(struct kt_tx *tx, struct kt_op *op, struct kt_err *err)
{
	struct change *c = op->data;
	bool replay;
	enum kt_code rc = kt_op_idem_begin(tx, op, &replay, err);

	if (rc != KT_OK || replay)
		return rc;
	rc = kt_tx_project(tx, op->arena, op->who.org_id, c->project_id, &c->row, err);
	if (rc == KT_ENOTFOUND)
		return kt_op_code(op, rc, 404, "project_not_found");
	if (rc == KT_OK)
		rc = kt_op_if_match(op, &c->row, err);
	if (rc == KT_OK)
		rc = make_set(tx, op, err);
	if (rc == KT_OK && c->any)
		rc = write_set(tx, op, err);
	if (rc == KT_OK)
		rc = release_live(tx, op, err);
	if (rc == KT_OK)
		rc = change_answer(tx, op, err);
	if (rc == KT_OK)
		rc = kt_op_idem_end(tx, op, 200, c->release.id, err);
	return rc;
}

static void config_change_after(struct kt_op *op)
{
	struct change *c = op->data;
	struct kt_project_mem *p;

	if (!c->any && !c->release.id)
		return;
	p = kt_index_project_put(op->ctl, &c->row);
	for (size_t i = 0; i < c->n; i++) {
		if (c->vars[i].value)
			kt_log_secret(p, c->vars[i].value);
	}
	if (c->release.id)
		kt_build_begin(op->ctl, p, &c->release, op, -1);
}

/* --- the request ------------------------------------------------------------------------- */

/* Answer op: this cannot be done. */
static bool config_bad(struct kt_op *op, const char *fmt, ...) KT_PRINTF(2, 3);
static bool config_bad(struct kt_op *op, const char *fmt, ...)
{
	char text[240];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	kt_op_fail(op, KT_EINVAL, 422, "validation_failed", NULL, "%s", text);
	return false;
}

static bool config_take_name(struct kt_op *op, struct change *c, const char *name)
{
	if (!kt_env_name_ok(name))
		return config_bad(op, "'%.80s' cannot be set: " KT_ENV_NAME_RULE, name);
	if (var_of(c, name))
		return config_bad(op, "'%s' is both set and unset", name);
	c->vars[c->n++].name = kt_arena_strdup(op->arena, name);
	return true;
}

static bool take_vars(struct kt_op *op, struct change *c, const cJSON *set, const cJSON *unset)
{
	size_t n = (size_t)cJSON_GetArraySize(set) + (size_t)cJSON_GetArraySize(unset);
	const cJSON *v;

	if (n > 2 * (size_t)KT_MAX_CONFIG_VARS)
		return config_bad(
			op, "more than %d config vars at once (fixed)", 2 * KT_MAX_CONFIG_VARS);
	c->vars = kt_arena_alloc(op->arena, (n + 1) * sizeof(*c->vars));
	cJSON_ArrayForEach (v, set) {
		if (!config_take_name(op, c, v->string))
			return false;
		if (!cJSON_IsString(v))
			return config_bad(op, "the value of '%s' must be a string", v->string);
		if (strlen(v->valuestring) > KT_MAX_CONFIG_VALUE_BYTES)
			return config_bad(op, "the value of '%s' is longer than %d bytes (fixed)",
				v->string, KT_MAX_CONFIG_VALUE_BYTES);
		c->vars[c->n - 1].value = kt_arena_strdup(op->arena, v->valuestring);
	}
	cJSON_ArrayForEach (v, unset) {
		if (!cJSON_IsString(v))
			return config_bad(op, "'unset' must be a list of names");
		if (!var_of(c, v->valuestring) || var_of(c, v->valuestring)->value) {
			if (!config_take_name(op, c, v->valuestring))
				return false;
		}
	}
	return true;
}

void kt_control_config_change(struct kt_control *ctl, const struct kt_actor *a, const char *ref,
	const char *doc, size_t doc_len, const struct kt_precond *pre, kt_result_fn fn, void *arg)
{
	static const char *const members[] = { "set", "unset", NULL };
	struct kt_op *op = kt_op_new(ctl, a, pre, fn, arg);
	struct change *c = kt_arena_alloc(op->arena, sizeof(*c));
	struct kt_project_mem *p = kt_op_project(op, ref);
	KT_AUTO_JSON cJSON *root = NULL;
	const cJSON *set, *unset;

	op->data = c;
	if (!p)
		return;
	(void)kt_str_copy(c->project_id, sizeof(c->project_id), p->id);
	if (!kt_op_doc(op, doc, doc_len, members, &root))
		return;
	set = kt_json_get(root, "set");
	unset = kt_json_get(root, "unset");
	if (set && !cJSON_IsObject(set)) {
		(void)config_bad(op, "'set' must be an object");
		return;
	}
	if (unset && !cJSON_IsArray(unset)) {
		(void)config_bad(op, "'unset' must be a list of names");
		return;
	}
	if (!take_vars(op, c, set, unset) || (p->current && kt_builds_full(op, p)))
		return;
	kt_op_last(op, KT_STEP_WRITE, config_change_work, config_change_after);
}
