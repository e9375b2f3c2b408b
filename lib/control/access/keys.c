/* SPDX-License-Identifier: MIT */
/* API keys: who am I, list, make, revoke. The key itself is in one answer and nowhere else. */
#include "control/access/access_private.h"

#include "base/limits.h"
#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "text/clean.h"

#include <string.h>

#define MAX_KEY_NAME_BYTES 100
#define MAX_EXPIRY_S (10 * 366 * (int64_t)86400)

bool kt_control_has_keys(const struct kt_control *ctl)
{
	return ctl->keys_by_id.len > 0;
}

void kt_keys_sweep(struct kt_control *ctl)
{
	int64_t now = kt_time_us();
	size_t pos = 0;
	const char *id;
	void *value;
	bool ended = false;

	while (kt_map_next(&ctl->keys_by_id, &pos, &id, &value)) {
		struct kt_key_mem *k = value;

		if (k->ended || k->expires_us == 0 || k->expires_us > now)
			continue;
		k->ended = ended = true;
	}
	if (ended)
		kt_bus_tell(ctl->cfg.bus, KT_TOPIC_KEYS);
}

void kt_control_whoami(struct kt_control *ctl, const struct kt_actor *a, kt_result_fn fn, void *arg)
{
	struct kt_op *op = kt_op_new(ctl, a, NULL, fn, arg);
	const struct kt_key_mem *k = kt_index_key(ctl, op->who.key_id);
	bool local = !kt_control_has_keys(ctl);
	struct kt_jw w;

	if (!k && !local) {
		kt_op_fail(op, KT_EAUTH, 401, "unauthorized", NULL, "the API key is not valid");
		return;
	}
	kt_jw_init(&w, &op->json);
	kt_jw_obj(&w, NULL);
	kt_jw_obj(&w, "org");
	kt_jw_str(&w, "id", op->who.org_id);
	kt_jw_str(&w, "slug", op->who.org_slug);
	kt_jw_obj_end(&w);
	if (k) {
		kt_jw_obj(&w, "key");
		kt_jw_str(&w, "id", k->who.key_id);
		kt_jw_str(&w, "name", k->who.key_name);
		kt_jw_str(&w, "prefix", k->prefix);
		kt_jw_str(&w, "last4", k->last4);
		kt_write_scopes(&w, "scopes", k->who.scopes);
		kt_write_time(&w, "expires_at", k->expires_us);
		kt_jw_obj_end(&w);
	} else {
		kt_jw_null(&w, "key");
	}
	kt_jw_bool(&w, "local", local);
	kt_jw_obj(&w, "server");
	kt_jw_str(&w, "version", KT_VERSION);
	kt_jw_obj_end(&w);
	kt_jw_obj_end(&w);
	kt_op_end(op, KT_OK, NULL);
}

/* --- list -------------------------------------------------------------------------------- */

static enum kt_code keys_list_work(struct kt_tx *tx, struct kt_op *op, struct kt_err *err)
{
	struct kt_key_row *keys;
	struct kt_jw w;
	size_t n;
	enum kt_code rc = kt_tx_keys(tx, op->arena, op->who.org_id, &keys, &n, err);

	if (rc != KT_OK)
		return rc;
	kt_jw_init(&w, &op->json);
	kt_jw_obj(&w, NULL);
	kt_jw_arr(&w, "data");
	for (size_t i = 0; i < n; i++) {
		kt_jw_obj(&w, NULL);
		kt_write_key(&w, &keys[i]);
		kt_jw_obj_end(&w);
	}
	kt_jw_arr_end(&w);
	kt_jw_obj_end(&w);
	return KT_OK;
}

void kt_control_keys(struct kt_control *ctl, const struct kt_actor *a, kt_result_fn fn, void *arg)
{
	kt_op_last(kt_op_new(ctl, a, NULL, fn, arg), KT_STEP_READ, keys_list_work, NULL);
}

/* --- make -------------------------------------------------------------------------------- */

bool kt_scopes_parse(const cJSON *list, unsigned *out)
{
	unsigned scopes = 0;
	const cJSON *s;

	if (!cJSON_IsArray(list))
		return false;
	cJSON_ArrayForEach (s, list) {
		if (!cJSON_IsString(s))
			return false;
		if (strcmp(s->valuestring, "read") == 0)
			scopes |= KT_SCOPE_READ;
		else if (strcmp(s->valuestring, "write") == 0)
			scopes |= KT_SCOPE_WRITE;
		else if (strcmp(s->valuestring, "admin") == 0)
			scopes |= KT_SCOPE_ADMIN;
		else
			return false;
	}
	*out = scopes;
	return scopes != 0;
}

bool kt_key_name_ok(const char *name)
{
	size_t len = name ? strlen(name) : 0;

	if (len == 0 || len > MAX_KEY_NAME_BYTES || !kt_utf8_valid(name, len))
		return false;
	/* Names are compared by eye: by who approves a login, by who revokes a key. */
	if (name[0] == ' ' || name[len - 1] == ' ')
		return false;
	for (size_t i = 0; i < len;) {
		uint32_t cp = 0;

		i += kt_utf8_decode(name + i, len - i, &cp);
		if (cp < ' ' || cp == 0x7f || kt_clean_is_hidden(cp))
			return false;
	}
	return true;
}

const char *kt_scope_words(unsigned scopes)
{
	static const char *const words[] = { "", "read", "write", "read,write", "admin",
		"read,admin", "write,admin", "read,write,admin" };

	return words[scopes & 7];
}

struct kt_new_key *kt_key_new(struct kt_arena *arena, const struct kt_master *master,
	const char *org_id, const struct kt_key_wish *wish, const char *created_by)
{
	struct kt_new_key *k = kt_arena_alloc(arena, sizeof(*k));

	kt_rand_id("key_", k->id);
	kt_api_key_new(!wish->test, k->text);
	kt_api_key_hash(master, k->text, k->hash);
	(void)kt_str_copy(k->prefix, sizeof(k->prefix), k->text);
	k->row = (struct kt_key_row){
		.id = k->id,
		.org_id = org_id,
		.name = kt_arena_strdup(arena, wish->name),
		.prefix = k->prefix,
		.last4 = kt_arena_strdup(arena, k->text + KT_API_KEY_LEN - 4),
		.hash = k->hash,
		.scopes = wish->scopes,
		.created_us = kt_time_us(),
		.created_by = kt_arena_strdup(arena, created_by),
		.expires_us = wish->expires_us,
	};
	return k;
}

/* It is taken. */
static bool key_opens(const struct kt_key_row *k, int64_t now)
{
	return k->revoked_us == 0 && (k->expires_us == 0 || k->expires_us > now);
}

enum kt_code kt_key_room(
	struct kt_tx *tx, struct kt_arena *arena, const char *org_id, struct kt_err *err)
{
	struct kt_key_row *keys;
	size_t n, valid = 0;
	int64_t now = kt_time_us();
	enum kt_code rc = kt_tx_keys(tx, arena, org_id, &keys, &n, err);

	for (size_t i = 0; rc == KT_OK && i < n; i++)
		valid += key_opens(&keys[i], now);
	if (rc == KT_OK && valid >= KT_MAX_KEYS)
		rc = kt_fail(err, KT_ELIMIT, 0, "an organization has at most %d keys (fixed)",
			KT_MAX_KEYS);
	return rc;
}

enum kt_code kt_key_add(
	struct kt_tx *tx, struct kt_op *op, const struct kt_new_key *k, struct kt_err *err)
{
	enum kt_code rc = kt_key_room(tx, op->arena, op->who.org_id, err);

	if (rc == KT_ELIMIT)
		return kt_op_code(op, rc, 422, "too_many_keys");
	if (rc == KT_OK)
		rc = kt_tx_key_add(tx, &k->row, err);
	if (rc == KT_OK)
		rc = kt_op_audit(tx, op, "key.create", kt_arena_printf(op->arena, "key/%s", k->id),
			kt_json_pairs(op->arena, "name", k->row.name, "scopes",
				kt_scope_words(k->row.scopes), "prefix", k->prefix, NULL),
			err);
	return rc;
}

void kt_key_render(struct kt_buf *b, const struct kt_new_key *k, bool with_text)
{
	struct kt_jw w;

	kt_buf_clear(b);
	kt_jw_init(&w, b);
	kt_jw_obj(&w, NULL);
	kt_write_key(&w, &k->row);
	if (with_text)
		kt_jw_str(&w, "key", k->text);
	kt_jw_obj_end(&w);
}

static enum kt_code key_create_work(struct kt_tx *tx, struct kt_op *op, struct kt_err *err)
{
	const struct kt_new_key *k = op->data;
	bool replay;
	enum kt_code rc = kt_op_idem_begin(tx, op, &replay, err);

	if (rc != KT_OK || replay)
		return rc;
	rc = kt_key_add(tx, op, k, err);
	if (rc != KT_OK)
		return rc;
	op->answer.status = 201;
	/* What is kept to answer a repeated request must not hold the key. */
	kt_key_render(&op->json, k, false);
	return kt_op_idem_end(tx, op, 201, NULL, err);
}

static void key_create_after(struct kt_op *op)
{
	struct kt_new_key *k = op->data;

	kt_index_key_put(op->ctl, &k->row);
	kt_key_render(&op->json, k, true);
	kt_secret_wipe(k->text, sizeof(k->text));
}

enum kt_code kt_key_wish_take(const cJSON *doc, struct kt_key_wish *out, struct kt_err *err)
{
	const cJSON *test = kt_json_get(doc, "test"), *expires = kt_json_get(doc, "expires_in_s");
	int64_t s = kt_json_int(doc, "expires_in_s", -1);

	*out = (struct kt_key_wish){ .name = kt_json_str(doc, "name") };
	if (!kt_key_name_ok(out->name))
		return kt_fail(err, KT_EINVAL, 0,
			"'name' must have 1 to %d bytes on one line, all of them visible, and no "
			"blank at its ends",
			MAX_KEY_NAME_BYTES);
	if (!kt_scopes_parse(kt_json_get(doc, "scopes"), &out->scopes))
		return kt_fail(
			err, KT_EINVAL, 0, "'scopes' must be a list of read, write and admin");
	if (test && !cJSON_IsNull(test) && !cJSON_IsBool(test))
		return kt_fail(err, KT_EINVAL, 0, "'test' must be a boolean");
	out->test = cJSON_IsTrue(test);
	if (!expires || cJSON_IsNull(expires))
		return KT_OK;
	if (s < 1 || s > MAX_EXPIRY_S)
		return kt_fail(err, KT_EINVAL, 0,
			"'expires_in_s' must be a number of seconds, from 1 to ten years");
	out->expires_us = kt_time_us() + s * 1000000;
	return KT_OK;
}

void kt_control_key_create(struct kt_control *ctl, const struct kt_actor *a, const char *doc,
	size_t doc_len, const struct kt_precond *pre, kt_result_fn fn, void *arg)
{
	static const char *const members[] = { "name", "scopes", "test", "expires_in_s", NULL };
	struct kt_op *op = kt_op_new(ctl, a, pre, fn, arg);
	KT_AUTO_JSON cJSON *root = NULL;
	struct kt_err err = KT_ERR_INIT;
	struct kt_key_wish wish;

	if (!kt_op_doc(op, doc, doc_len, members, &root))
		return;
	if (kt_key_wish_take(root, &wish, &err) != KT_OK) {
		kt_op_fail(op, KT_EINVAL, 422, "validation_failed", NULL, "%s", err.msg);
		return;
	}
	op->data = kt_key_new(op->arena, ctl->master, op->who.org_id, &wish, op->who.key_name);
	kt_op_last(op, KT_STEP_WRITE, key_create_work, key_create_after);
}

/* --- revoke ------------------------------------------------------------------------------ */

struct revoke {
	const char *word; /* id or prefix */
	const char *id; /* NULL: it was revoked before */
	int64_t at_us;
};

/* The key of an id, or the only valid one of a prefix. */
static const struct kt_key_row *find_key(
	const struct kt_key_row *keys, size_t n, const char *word, bool *out_several)
{
	const struct kt_key_row *found = NULL;

	*out_several = false;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(keys[i].id, word) == 0)
			return &keys[i];
	}
	for (size_t i = 0; i < n; i++) {
		if (strcmp(keys[i].prefix, word) != 0)
			continue;
		if (found && found->revoked_us == 0 && keys[i].revoked_us == 0)
			*out_several = true;
		if (!found || found->revoked_us > 0)
			found = &keys[i];
	}
	return found;
}

/* Nobody can make a key any more when the last one with scope admin is gone. */
static bool last_admin(
	const struct kt_key_row *keys, size_t n, const struct kt_key_row *k, int64_t now)
{
	if (!(k->scopes & KT_SCOPE_ADMIN))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (&keys[i] != k && (keys[i].scopes & KT_SCOPE_ADMIN) && key_opens(&keys[i], now))
			return false;
	}
	return true;
}

static enum kt_code revoke_work(struct kt_tx *tx, struct kt_op *op, struct kt_err *err)
{
	struct revoke *r = op->data;
	const struct kt_key_row *k;
	struct kt_key_row *keys;
	size_t n;
	bool several;
	enum kt_code rc = kt_tx_keys(tx, op->arena, op->who.org_id, &keys, &n, err);

	if (rc != KT_OK)
		return rc;
	k = find_key(keys, n, r->word, &several);
	if (!k)
		return kt_op_code(op, kt_fail(err, KT_ENOTFOUND, 0, "there is no such key"), 404,
			"not_found");
	if (several)
		return kt_op_code(op,
			kt_fail(err, KT_ECONFLICT, 0, "several keys begin with '%s': name the id",
				r->word),
			409, "ambiguous");
	op->answer.status = 204;
	if (k->revoked_us > 0)
		return KT_OK;
	if (key_opens(k, r->at_us) && last_admin(keys, n, k, r->at_us))
		return kt_op_code(op,
			kt_fail(err, KT_ECONFLICT, 0,
				"this is the last key with scope admin: make another one first"),
			409, "last_admin_key");
	rc = kt_tx_key_revoke(tx, op->who.org_id, k->id, r->at_us, err);
	if (rc == KT_OK)
		rc = kt_op_audit(tx, op, "key.revoke", kt_arena_printf(op->arena, "key/%s", k->id),
			kt_json_pairs(op->arena, "name", k->name, "prefix", k->prefix, NULL), err);
	r->id = k->id;
	return rc;
}

static void revoke_after(struct kt_op *op)
{
	struct revoke *r = op->data;
	struct kt_key_mem *k = kt_index_key(op->ctl, r->id);

	if (!k)
		return;
	k->revoked_us = r->at_us;
	kt_bus_tell(op->ctl->cfg.bus, KT_TOPIC_KEYS);
}

void kt_control_key_revoke(struct kt_control *ctl, const struct kt_actor *a, const char *id,
	kt_result_fn fn, void *arg)
{
	struct kt_op *op = kt_op_new(ctl, a, NULL, fn, arg);
	struct revoke *r = kt_arena_alloc(op->arena, sizeof(*r));

	/* A machine signs itself out; the keys of others are for administrators. */
	if (!(op->who.scopes & KT_SCOPE_ADMIN) && (!id || strcmp(id, op->who.key_id) != 0)) {
		kt_op_fail(op, KT_EDENIED, 403, "forbidden", "\"scope\":\"admin\"",
			"revoking another key needs a key with scope admin");
		return;
	}
	r->word = kt_arena_strdup(op->arena, id ? id : "");
	r->at_us = kt_time_us();
	op->data = r;
	kt_op_last(op, KT_STEP_WRITE, revoke_work, revoke_after);
}
