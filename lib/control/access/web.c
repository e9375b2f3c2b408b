/* SPDX-License-Identifier: MIT */
/*
 * Browsers that are signed in. A session is a random id, which stands for a key. A browser never
 * shows the id alone: what it holds for each host name is "ID.MAC", the MAC under the master key
 * over id and host. So one row is a sign-in at all names of the server, what leaks from one name
 * opens no other, and signing out ends them together.
 *
 * The server keeps the keyed hash of the id: neither the database nor memory shows what opens.
 *
 * A browser comes to another name with a code, "ID.RANDOM": known by a hash that has host and
 * `state` in it, so it is void anywhere else and for anybody but the page that made the state up.
 */
#include "control/access/access_private.h"

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"

#include <string.h>

#define ID_LEN 22 /* base62 characters of kt_rand_id() */

/* Keyed hash of a few words, told apart by what they are for; out holds KT_DIGEST_MAX. */
static void web_hash(const struct kt_control *ctl, const char *what, const char *a, const char *b,
	const char *c, char *out)
{
	unsigned char hash[KT_KEY_HASH_BYTES];
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(2048);
	KT_AUTO_BUF struct kt_buf hex = KT_BUF_INIT(KT_DIGEST_MAX);

	/* None of the words has a line end: hosts, ids and states are checked. */
	kt_buf_addf(&text, "karta web %s\n%s\n%s\n%s\n", what, a, b, c);
	kt_assert(kt_buf_ok(&text));
	kt_api_key_hash(ctl->master, text.ptr, hash);
	kt_secret_wipe(text.ptr, text.len);
	kt_hex_add(&hex, hash, sizeof(hash));
	memcpy(out, hex.ptr, KT_DIGEST_MAX);
}

static void web_token(const struct kt_control *ctl, const char *id, const char *host, char *out)
{
	char mac[KT_DIGEST_MAX];

	web_hash(ctl, "token", id, host, "", mac);
	(void)snprintf(out, KT_WEB_TOKEN_MAX, "%s.%s", id, mac);
	kt_secret_wipe(mac, sizeof(mac));
}

/* "ID.REST": the id, and where the rest begins; NULL when it has another form. */
static const char *split_id(const char *text, char id[ID_LEN + 1])
{
	if (!text || strlen(text) >= KT_WEB_TOKEN_MAX || strcspn(text, ".") != ID_LEN ||
		!text[ID_LEN])
		return NULL;
	memcpy(id, text, ID_LEN);
	id[ID_LEN] = '\0';
	return kt_rand_is_id("", id) ? text + ID_LEN + 1 : NULL;
}

/* --- what there is ------------------------------------------------------------------------ */

/* The key of a session that is good now, or NULL. */
static struct kt_key_mem *web_key_of(
	struct kt_control *ctl, const struct kt_web_mem *w, int64_t now)
{
	struct kt_key_mem *k = w && w->expires_us > now ? kt_index_key(ctl, w->key_id) : NULL;

	return k && k->revoked_us == 0 && (k->expires_us == 0 || k->expires_us > now) ? k : NULL;
}

static enum kt_code web_expire_work(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	(void)arg;
	return kt_tx_webs_expire(tx, kt_time_us(), err);
}

static void web_expire_done(void *arg, enum kt_code rc, const struct kt_err *err)
{
	(void)arg;
	if (rc != KT_OK)
		kt_log(KT_LOG_WARN, "control", "old sessions of browsers: %s", err->msg);
}

void kt_webs_sweep(struct kt_control *ctl)
{
	int64_t now = kt_time_us();
	size_t pos = 0, n = 0;
	const char *key;
	void *value;

	while (kt_map_next(&ctl->webs, &pos, &key, &value)) {
		struct kt_web_mem *w = value;

		if (web_key_of(ctl, w, now))
			continue;
		kt_web_drop(ctl, w->hash);
		n++;
	}
	if (n > 0)
		kt_store_write(ctl->store, web_expire_work, web_expire_done, NULL);
}

/* --- who ---------------------------------------------------------------------------------- */

static enum kt_code not_signed_in(struct kt_err *err)
{
	return kt_fail(err, KT_EAUTH, 0, "not signed in");
}

enum kt_code kt_control_web_again(
	struct kt_control *ctl, const char *web, struct kt_principal *out, struct kt_err *err)
{
	struct kt_web_mem *w = kt_map_get(&ctl->webs, web);
	struct kt_key_mem *k;

	if (!ctl->loaded || ctl->closing || !ctl->master)
		return kt_fail(err, KT_EUNAVAIL, 0, "keys cannot be checked now");
	k = web_key_of(ctl, w, kt_time_us());
	if (!k)
		return not_signed_in(err);
	kt_key_note_use(ctl, k, kt_time_us());
	*out = k->who;
	(void)kt_str_copy(out->web, sizeof(out->web), w->hash);
	return KT_OK;
}

/* The same work whatever is wrong, as with keys. */
enum kt_code kt_control_web_principal(struct kt_control *ctl, const char *token, const char *host,
	struct kt_principal *out, struct kt_err *err)
{
	char id[ID_LEN + 1] = "", want[KT_WEB_TOKEN_MAX], hash[KT_DIGEST_MAX];
	bool shape, same;

	if (!ctl->loaded || ctl->closing || !ctl->master)
		return kt_fail(err, KT_EUNAVAIL, 0, "keys cannot be checked now");
	shape = split_id(token, id) != NULL;
	web_token(ctl, id, host, want);
	web_hash(ctl, "session", id, "", "", hash);
	same = kt_secret_eq(want, token ? token : "");
	kt_secret_wipe(want, sizeof(want));
	kt_secret_wipe(id, sizeof(id));
	if (!shape || !same)
		return not_signed_in(err);
	return kt_control_web_again(ctl, hash, out, err);
}

/* --- sign in ------------------------------------------------------------------------------ */

struct begin {
	struct kt_web_row row;
	char hash[KT_DIGEST_MAX];
};

static enum kt_code begin_work(struct kt_tx *tx, struct kt_op *op, struct kt_err *err)
{
	const struct begin *b = op->data;
	enum kt_code rc = KT_OK;

	if (op->who.web[0])
		rc = kt_tx_web_delete(tx, op->who.web, err);
	/* First room, then the new one: it stays, whatever the clock says. */
	if (rc == KT_OK)
		rc = kt_tx_webs_trim(tx, b->row.key_id, KT_MAX_WEB_SESSIONS - 1, err);
	if (rc == KT_OK)
		rc = kt_tx_web_add(tx, &b->row, err);
	if (rc == KT_OK)
		rc = kt_op_audit(tx, op, "web.sign_in",
			kt_arena_printf(op->arena, "key/%s", op->who.key_id), NULL, err);
	op->answer.status = 201;
	return rc;
}

/* As the database has done it: of a key's sessions the oldest go, one more finds room. */
static void web_make_room(struct kt_control *ctl, const struct kt_key_mem *k)
{
	struct kt_web_mem *w = k ? k->webs : NULL, *next;

	for (size_t n = 1; w && n < KT_MAX_WEB_SESSIONS; n++)
		w = w->older;
	for (; w; w = next) {
		next = w->older;
		kt_web_drop(ctl, w->hash);
	}
}

static void begin_after(struct kt_op *op)
{
	const struct begin *b = op->data;

	if (op->who.web[0])
		kt_web_drop(op->ctl, op->who.web);
	web_make_room(op->ctl, kt_index_key(op->ctl, op->who.key_id));
	kt_web_put(op->ctl, &b->row);
}

/* What a key can have written to the audit log has an end, whatever its scopes. */
static bool counts_sign_in(struct kt_key_mem *k, int64_t now)
{
	int64_t hour = now / INT64_C(3600000000);

	if (k->web_hour != hour) {
		k->web_hour = hour;
		k->web_sign_ins = 0;
	}
	return k->web_sign_ins < KT_MAX_WEB_SIGN_INS && ++k->web_sign_ins;
}

static void render_session(struct kt_op *op, const struct kt_key_mem *k, int64_t expires_us)
{
	struct kt_jw w;

	kt_jw_init(&w, &op->json);
	kt_jw_obj(&w, NULL);
	kt_jw_obj(&w, "org");
	kt_jw_str(&w, "id", k->who.org_id);
	kt_jw_str(&w, "slug", k->who.org_slug);
	kt_jw_obj_end(&w);
	kt_jw_obj(&w, "key");
	kt_jw_str(&w, "id", k->who.key_id);
	kt_jw_str(&w, "name", k->who.key_name);
	kt_write_scopes(&w, "scopes", k->who.scopes);
	kt_jw_obj_end(&w);
	kt_write_time(&w, "expires_at", expires_us);
	kt_jw_obj_end(&w);
}

void kt_control_web_begin(struct kt_control *ctl, const struct kt_actor *a, const char *host,
	kt_result_fn fn, void *arg)
{
	struct kt_op *op = kt_op_new(ctl, a, NULL, fn, arg);
	struct kt_key_mem *k = kt_index_key(ctl, op->who.key_id);
	struct begin *b = kt_arena_alloc(op->arena, sizeof(*b));
	int64_t now = kt_time_us(), end = now + KT_WEB_SESSION_S * INT64_C(1000000);
	char id[KT_ID_MAX], *token = kt_arena_alloc(op->arena, KT_WEB_TOKEN_MAX);

	if (!k || !ctl->master) {
		kt_op_fail(op, KT_EAUTH, 401, "unauthorized", NULL, "the API key is not valid");
		return;
	}
	if (!counts_sign_in(k, now)) {
		kt_op_fail(op, KT_ELIMIT, 429, "limit_reached", NULL,
			"a key signs in at most %d browsers in an hour: use one that is signed in, "
			"or wait",
			KT_MAX_WEB_SIGN_INS);
		return;
	}
	if (k->expires_us > 0 && k->expires_us < end)
		end = k->expires_us;
	kt_rand_id("", id);
	web_token(ctl, id, host, token);
	web_hash(ctl, "session", id, "", "", b->hash);
	kt_secret_wipe(id, sizeof(id));
	b->row = (struct kt_web_row){
		.hash = b->hash,
		.org_id = op->who.org_id,
		.key_id = kt_arena_strdup(op->arena, k->who.key_id),
		.created_us = now,
		.expires_us = end,
	};
	op->data = b;
	op->answer.token = token;
	op->answer.max_age_s = (end - now) / 1000000;
	render_session(op, k, end);
	kt_op_last(op, KT_STEP_WRITE, begin_work, begin_after);
}

/* --- sign out ----------------------------------------------------------------------------- */

static enum kt_code web_end_work(struct kt_tx *tx, struct kt_op *op, struct kt_err *err)
{
	enum kt_code rc = kt_tx_web_delete(tx, op->who.web, err);

	if (rc == KT_OK)
		rc = kt_op_audit(tx, op, "web.sign_out",
			kt_arena_printf(op->arena, "key/%s", op->who.key_id), NULL, err);
	return rc;
}

static void web_end_after(struct kt_op *op)
{
	kt_web_drop(op->ctl, op->who.web);
	kt_bus_tell(op->ctl->cfg.bus, KT_TOPIC_KEYS);
}

void kt_control_web_end(
	struct kt_control *ctl, const struct kt_actor *a, kt_result_fn fn, void *arg)
{
	struct kt_op *op = kt_op_new(ctl, a, NULL, fn, arg);

	op->answer.status = 204;
	if (op->who.web[0])
		kt_op_last(op, KT_STEP_WRITE, web_end_work, web_end_after);
	else
		kt_op_end(op, KT_OK, NULL);
}

/* --- from one name of the server to another ----------------------------------------------- */

enum kt_code kt_control_web_code(struct kt_control *ctl, const char *token, const char *from_host,
	const char *host, const char *state, char *out, struct kt_err *err)
{
	struct kt_principal who;
	struct kt_web_mem *w;
	struct kt_web_code *slot;
	char id[ID_LEN + 1] = "", rest[KT_ID_MAX];
	enum kt_code rc = kt_control_web_principal(ctl, token, from_host, &who, err);

	if (rc != KT_OK)
		return rc;
	w = kt_map_get(&ctl->webs, who.web);
	if (!w || !split_id(token, id))
		return not_signed_in(err);
	slot = &w->codes[0];
	for (size_t i = 1; i < KT_ARRAY_LEN(w->codes); i++) {
		if (w->codes[i].until_ms < slot->until_ms)
			slot = &w->codes[i];
	}
	kt_rand_id("", rest);
	(void)snprintf(out, KT_WEB_TOKEN_MAX, "%s.%s", id, rest);
	web_hash(ctl, "code", out, host, state, slot->hash);
	slot->until_ms = kt_loop_now_ms(ctl->loop) + KT_WEB_CODE_MS;
	kt_secret_wipe(id, sizeof(id));
	return KT_OK;
}

enum kt_code kt_control_web_redeem(struct kt_control *ctl, const char *code, const char *host,
	const char *state, char *out_token, int64_t *out_age_s, struct kt_err *err)
{
	char id[ID_LEN + 1] = "", hash[KT_DIGEST_MAX];
	struct kt_web_mem *w;
	int64_t now = kt_time_us();
	bool good = false;

	if (!ctl->loaded || ctl->closing || !ctl->master)
		return kt_fail(err, KT_EUNAVAIL, 0, "keys cannot be checked now");
	if (!split_id(code, id))
		return not_signed_in(err);
	web_hash(ctl, "session", id, "", "", hash);
	w = kt_map_get(&ctl->webs, hash);
	web_hash(ctl, "code", code, host, state, hash);
	for (size_t i = 0; w && i < KT_ARRAY_LEN(w->codes); i++) {
		struct kt_web_code *slot = &w->codes[i];

		if (!kt_secret_eq(slot->hash, hash))
			continue;
		good = slot->until_ms > kt_loop_now_ms(ctl->loop);
		memset(slot, 0, sizeof(*slot));
	}
	if (!good || !web_key_of(ctl, w, now))
		return not_signed_in(err);
	web_token(ctl, id, host, out_token);
	*out_age_s = (w->expires_us - now) / 1000000;
	kt_secret_wipe(id, sizeof(id));
	return KT_OK;
}
