/* SPDX-License-Identifier: MIT */
/*
 * Logging a machine in, in the shape of RFC 8628 (OAuth 2.0 Device Authorization Grant): it asks
 * for a code, a person approves the code with a key of scope admin, the machine fetches a key of
 * its own.
 *
 * What waits is in memory only: a restart of the server ends it, and the machine asks again. The
 * key is made when the machine fetches it, so that no key exists that nobody holds; it ends after
 * KT_LOGIN_KEY_S.
 *
 * Who asks has no key, so nobody is refused for what others ask: an address has a few places, all
 * together have many, and where there is none left the oldest login that nobody has approved goes.
 */
#include "control/access/access_private.h"

#include "base/limits.h"
#include "base/str.h"
#include "base/time.h"
#include "net/budget.h"

#include <ctype.h>
#include <string.h>

#define USER_CODE_LEN 8
#define DEVICE_CODE_BYTES 43

/*
 *   waiting <--> deciding --> approved --> minting --> (gone)
 *                   |             ^------------+  the transaction failed
 *                   +------> denied
 */
enum device_state {
	DEVICE_WAITING,
	DEVICE_DECIDING,
	DEVICE_APPROVED,
	DEVICE_MINTING,
	DEVICE_DENIED
};

struct kt_device {
	char code[DEVICE_CODE_BYTES + 1];
	char user_code[USER_CODE_LEN + 1];
	char *client_name;
	char peer[KT_BUDGET_ADDRESS_SIZE]; /* address that asks, as it is shown */
	char home[KT_BUDGET_ADDRESS_SIZE]; /* what that counts as */
	unsigned scopes;
	int64_t created_us;
	int64_t expires_ms, polled_ms; /* loop time */
	int64_t wait_ms; /* between polls; grows with each that comes too early */
	enum device_state state;
	struct kt_principal by; /* who approved */
};

static void device_free(struct kt_device *d)
{
	if (!d)
		return;
	kt_secret_wipe(d->code, sizeof(d->code));
	free(d->client_name);
	free(d);
}

void kt_devices_sweep(struct kt_control *ctl)
{
	int64_t now = kt_loop_now_ms(ctl->loop);
	size_t pos = 0;
	const char *key;
	void *value;

	while (kt_map_next(&ctl->devices, &pos, &key, &value)) {
		struct kt_device *d = value;

		/* One that is being given its key goes when that has ended. */
		if (d->expires_ms > now || d->state == DEVICE_MINTING)
			continue;
		(void)kt_map_del(&ctl->devices, key);
		device_free(d);
	}
}

void kt_devices_free(struct kt_control *ctl)
{
	size_t pos = 0;
	const char *key;
	void *value;

	while (kt_map_next(&ctl->devices, &pos, &key, &value))
		device_free(value);
	kt_map_release(&ctl->devices);
}

/* --- begin ------------------------------------------------------------------------------- */

/* RFC 8628, 6.1: consonants only, so that no words come about and none looks like another. */
static const char user_alphabet[] = "BCDFGHJKLMNPQRSTVWXZ";

/* Letters of a user code as typed: any case, with or without hyphens and blanks. */
static bool normalize_code(const char *s, char *out)
{
	size_t n = 0;

	for (; s && *s; s++) {
		char c = (char)toupper((unsigned char)*s);

		if (c == '-' || c == ' ')
			continue;
		if (n == USER_CODE_LEN || !strchr(user_alphabet, c))
			return false;
		out[n++] = c;
	}
	out[n] = '\0';
	return n == USER_CODE_LEN;
}

static struct kt_device *by_user_code(struct kt_control *ctl, const char *typed)
{
	int64_t now = kt_loop_now_ms(ctl->loop);
	char code[USER_CODE_LEN + 1];
	size_t pos = 0;
	const char *key;
	void *value;

	if (!normalize_code(typed, code))
		return NULL;
	while (kt_map_next(&ctl->devices, &pos, &key, &value)) {
		struct kt_device *d = value;

		if (d->expires_ms > now && strcmp(d->user_code, code) == 0)
			return d;
	}
	return NULL;
}

static void make_codes(struct kt_control *ctl, struct kt_device *d)
{
	char id[KT_ID_MAX], more[KT_ID_MAX];

	/* Two ids are 260 random bits; 43 characters of them 256. */
	kt_rand_id("", id);
	kt_rand_id("", more);
	(void)kt_str_copy(d->code, sizeof(d->code), id);
	(void)kt_str_copy(d->code + strlen(d->code), sizeof(d->code) - strlen(d->code), more);
	do {
		for (size_t i = 0; i < USER_CODE_LEN; i++)
			d->user_code[i] = user_alphabet[kt_rand_below(sizeof(user_alphabet) - 1)];
	} while (by_user_code(ctl, d->user_code));
}

/* "BCDF-GHJK". */
static const char *shown_code(struct kt_op *op, const struct kt_device *d)
{
	return kt_arena_printf(op->arena, "%.4s-%s", d->user_code, d->user_code + 4);
}

static void render_begin(struct kt_op *op, const struct kt_device *d)
{
	size_t len = strlen(op->by.base_url);
	const char *base, *uri, *code;
	struct kt_jw w;

	while (len > 0 && op->by.base_url[len - 1] == '/')
		len--;
	base = kt_arena_strndup(op->arena, op->by.base_url, len);
	code = shown_code(op, d);
	uri = kt_arena_printf(op->arena, "%s/device", base);
	kt_jw_init(&w, &op->json);
	kt_jw_obj(&w, NULL);
	kt_jw_str(&w, "device_code", d->code);
	kt_jw_str(&w, "user_code", code);
	kt_jw_str(&w, "verification_uri", uri);
	kt_jw_str(&w, "verification_uri_complete",
		kt_arena_printf(op->arena, "%s?code=%s", uri, code));
	kt_jw_int(&w, "expires_in", KT_DEVICE_CODE_MS / 1000);
	kt_jw_int(&w, "interval", KT_DEVICE_POLL_MS / 1000);
	/* What the person who approves is shown, to be compared. */
	kt_jw_str(&w, "client_name", d->client_name);
	kt_jw_str(&w, "address", d->peer[0] ? d->peer : NULL);
	kt_write_time(&w, "created_at", d->created_us);
	kt_jw_obj_end(&w);
}

/* Nobody has decided about it: it may go for another one. */
static bool may_go(const struct kt_device *d)
{
	return d->state == DEVICE_WAITING || d->state == DEVICE_DENIED;
}

/* Logins of an address, and the oldest of them that may go. */
static size_t of_home(struct kt_control *ctl, const char *home, struct kt_device **out_oldest)
{
	size_t pos = 0, n = 0;
	const char *key;
	void *value;

	*out_oldest = NULL;
	while (kt_map_next(&ctl->devices, &pos, &key, &value)) {
		struct kt_device *d = value;

		if (strcmp(d->home, home) != 0)
			continue;
		n++;
		if (may_go(d) && (!*out_oldest || d->created_us < (*out_oldest)->created_us))
			*out_oldest = d;
	}
	return n;
}

/* The oldest login that may go of the address that has most of them; of several such, the oldest.
 */
static struct kt_device *of_fullest(struct kt_control *ctl)
{
	KT_AUTOFREE size_t *counts = kt_calloc(ctl->devices.len + 1, sizeof(*counts));
	struct kt_device *found = NULL;
	struct kt_map homes = KT_MAP_INIT;
	size_t pos = 0, n_homes = 0, most = 0;
	const char *key;
	void *value;

	while (kt_map_next(&ctl->devices, &pos, &key, &value)) {
		const struct kt_device *d = value;
		size_t *count = kt_map_get(&homes, d->home);

		if (!count) {
			count = &counts[n_homes++];
			(void)kt_map_set(&homes, d->home, count);
		}
		(*count)++;
	}
	for (pos = 0; kt_map_next(&ctl->devices, &pos, &key, &value);) {
		struct kt_device *d = value;
		size_t n = *(size_t *)kt_map_get(&homes, d->home);

		if (may_go(d) && (n > most || (n == most && d->created_us < found->created_us))) {
			most = n;
			found = d;
		}
	}
	kt_map_release(&homes);
	return found;
}

static void device_drop(struct kt_control *ctl, struct kt_device *d)
{
	(void)kt_map_del(&ctl->devices, d->code);
	device_free(d);
}

/* Make room for one more login of home; false when all that is there was approved. */
static bool device_make_room(struct kt_control *ctl, const char *home)
{
	struct kt_device *oldest;

	kt_devices_sweep(ctl);
	if (of_home(ctl, home, &oldest) >= KT_MAX_DEVICE_CODES_PER_IP) {
		if (!oldest)
			return false;
		device_drop(ctl, oldest);
	}
	if (ctl->devices.len >= KT_MAX_DEVICE_CODES) {
		oldest = of_fullest(ctl);
		if (!oldest)
			return false;
		device_drop(ctl, oldest);
	}
	return true;
}

void kt_control_device_begin(struct kt_control *ctl, const struct kt_actor *a, const char *doc,
	size_t doc_len, kt_result_fn fn, void *arg)
{
	static const char *const members[] = { "client_name", "scopes", NULL };
	struct kt_op *op = kt_op_new(ctl, a, NULL, fn, arg);
	KT_AUTO_JSON cJSON *root = NULL;
	const cJSON *list;
	struct kt_device *d;
	unsigned scopes = KT_SCOPE_READ | KT_SCOPE_WRITE;
	char home[KT_BUDGET_ADDRESS_SIZE];

	if (!kt_op_doc(op, doc, doc_len, members, &root))
		return;
	list = kt_json_get(root, "scopes");
	if (!kt_key_name_ok(kt_json_str(root, "client_name")) ||
		(list && !cJSON_IsNull(list) && !kt_scopes_parse(list, &scopes))) {
		kt_op_fail(op, KT_EINVAL, 422, "validation_failed", NULL,
			"'client_name' must have 1 to 100 bytes, all of them visible, 'scopes' be "
			"a list of read, write and admin");
		return;
	}
	kt_budget_address(op->by.remote_ip, home);
	if (!device_make_room(ctl, home)) {
		kt_op_fail(op, KT_ELIMIT, 429, "limit_reached", NULL,
			"too many approved logins wait for their machines (fixed); try again "
			"later");
		return;
	}
	d = kt_calloc(1, sizeof(*d));
	(void)kt_str_copy(d->home, sizeof(d->home), home);
	d->client_name = kt_strdup(kt_json_str(root, "client_name"));
	(void)kt_str_copy(d->peer, sizeof(d->peer), op->by.remote_ip);
	d->scopes = scopes;
	d->created_us = kt_time_us();
	d->expires_ms = kt_loop_now_ms(ctl->loop) + KT_DEVICE_CODE_MS;
	d->polled_ms = INT64_MIN / 2;
	d->wait_ms = KT_DEVICE_POLL_MS;
	make_codes(ctl, d);
	(void)kt_map_set(&ctl->devices, d->code, d);
	render_begin(op, d);
	kt_op_end(op, KT_OK, NULL);
}

/* --- poll -------------------------------------------------------------------------------- */

struct mint {
	char code[DEVICE_CODE_BYTES + 1];
	struct kt_new_key *key;
};

static enum kt_code mint_work(struct kt_tx *tx, struct kt_op *op, struct kt_err *err)
{
	struct mint *m = op->data;

	return kt_key_add(tx, op, m->key, err);
}

static void mint_done(struct kt_op *op, enum kt_code rc, const struct kt_err *err)
{
	struct mint *m = op->data;
	struct kt_device *d = kt_map_get(&op->ctl->devices, m->code);
	struct kt_jw w;

	if (rc != KT_OK) {
		/* The machine asks again. */
		if (d)
			d->state = DEVICE_APPROVED;
		kt_op_end(op, rc, err);
		return;
	}
	(void)kt_map_del(&op->ctl->devices, m->code);
	device_free(d);
	kt_index_key_put(op->ctl, &m->key->row);
	kt_jw_init(&w, &op->json);
	kt_jw_obj(&w, NULL);
	kt_jw_str(&w, "key", m->key->text);
	kt_jw_str(&w, "id", m->key->id);
	kt_jw_str(&w, "org", op->who.org_slug);
	kt_jw_str(&w, "name", m->key->row.name);
	kt_write_scopes(&w, "scopes", m->key->row.scopes);
	kt_write_time(&w, "expires_at", m->key->row.expires_us);
	kt_jw_obj_end(&w);
	kt_secret_wipe(m->key->text, sizeof(m->key->text));
	kt_op_end(op, KT_OK, NULL);
}

static void device_mint(struct kt_op *op, struct kt_device *d)
{
	struct kt_key_mem *by = kt_index_key(op->ctl, d->by.key_id);
	struct mint *m = kt_arena_alloc(op->arena, sizeof(*m));
	struct kt_key_wish wish;

	if (!by || by->revoked_us > 0) {
		d->state = DEVICE_DENIED;
		kt_op_fail(op, KT_EDENIED, 400, "access_denied", NULL,
			"the key that approved the login was revoked");
		return;
	}
	d->state = DEVICE_MINTING;
	/* Who approved is who makes the key. */
	op->who = d->by;
	(void)kt_str_copy(m->code, sizeof(m->code), d->code);
	wish = (struct kt_key_wish){ .name = d->client_name,
		.scopes = d->scopes,
		.expires_us = kt_time_us() + KT_LOGIN_KEY_S * (int64_t)1000000 };
	m->key = kt_key_new(op->arena, op->ctl->master, op->who.org_id, &wish, "login");
	op->data = m;
	kt_op_step(op, KT_STEP_WRITE, mint_work, mint_done);
}

static void poll_answer(struct kt_op *op, const char *code, const char *text)
{
	kt_op_fail(op, KT_EINVAL, 400, code, NULL, "%s", text);
}

void kt_control_device_poll(struct kt_control *ctl, const struct kt_actor *a, const char *doc,
	size_t doc_len, kt_result_fn fn, void *arg)
{
	static const char *const members[] = { "device_code", NULL };
	struct kt_op *op = kt_op_new(ctl, a, NULL, fn, arg);
	KT_AUTO_JSON cJSON *root = NULL;
	int64_t now = kt_loop_now_ms(ctl->loop);
	const char *code;
	struct kt_device *d;
	bool early;

	if (!kt_op_doc(op, doc, doc_len, members, &root))
		return;
	code = kt_json_str(root, "device_code");
	d = code && strlen(code) == DEVICE_CODE_BYTES ? kt_map_get(&ctl->devices, code) : NULL;
	if (!d || d->expires_ms <= now) {
		poll_answer(
			op, "expired_token", "the login took too long, or the server restarted");
		return;
	}
	early = now - d->polled_ms < d->wait_ms;
	d->polled_ms = now;
	if (d->state == DEVICE_DENIED) {
		poll_answer(op, "access_denied", "the login was denied");
	} else if (early && d->state != DEVICE_APPROVED) {
		/* RFC 8628, 3.5: from now on slower. */
		d->wait_ms = KT_MIN(d->wait_ms * 2, 10 * (int64_t)KT_DEVICE_POLL_MS);
		poll_answer(op, "slow_down", "asked again too early");
	} else if (d->state == DEVICE_APPROVED) {
		device_mint(op, d);
	} else {
		poll_answer(op, "authorization_pending", "the login waits for its approval");
	}
}

/* --- approve ----------------------------------------------------------------------------- */

/* The login of a code that waits for a decision by who has scope admin; else op is answered. */
static struct kt_device *device_waiting(struct kt_op *op, const char *user_code)
{
	struct kt_device *d;

	if (!(op->who.scopes & KT_SCOPE_ADMIN)) {
		kt_op_fail(op, KT_EDENIED, 403, "forbidden", "\"scope\":\"admin\"",
			"approving a login needs a key with scope admin");
		return NULL;
	}
	d = by_user_code(op->ctl, user_code);
	if (!d || d->state != DEVICE_WAITING) {
		kt_op_fail(
			op, KT_ENOTFOUND, 404, "not_found", NULL, "no login waits under this code");
		return NULL;
	}
	return d;
}

void kt_control_device_show(struct kt_control *ctl, const struct kt_actor *a, const char *user_code,
	kt_result_fn fn, void *arg)
{
	struct kt_op *op = kt_op_new(ctl, a, NULL, fn, arg);
	struct kt_device *d = device_waiting(op, user_code);
	struct kt_jw w;

	if (!d)
		return;
	kt_jw_init(&w, &op->json);
	kt_jw_obj(&w, NULL);
	kt_jw_str(&w, "user_code", shown_code(op, d));
	kt_jw_str(&w, "client_name", d->client_name);
	kt_jw_str(&w, "address", d->peer[0] ? d->peer : NULL);
	kt_write_scopes(&w, "scopes", d->scopes);
	kt_write_time(&w, "created_at", d->created_us);
	kt_write_time(&w, "key_expires_at", kt_time_us() + KT_LOGIN_KEY_S * (int64_t)1000000);
	kt_jw_obj_end(&w);
	kt_op_end(op, KT_OK, NULL);
}

struct decision {
	char user_code[USER_CODE_LEN + 1];
	const char *client_name, *address;
	bool approve;
};

static enum kt_code decide_work(struct kt_tx *tx, struct kt_op *op, struct kt_err *err)
{
	const struct decision *x = op->data;

	op->answer.status = 204;
	return kt_op_audit(tx, op, x->approve ? "login.approve" : "login.deny", "login",
		kt_json_pairs(
			op->arena, "client_name", x->client_name, "address", x->address, NULL),
		err);
}

static void device_decided(struct kt_op *op, enum kt_code rc, const struct kt_err *err)
{
	const struct decision *x = op->data;
	struct kt_device *d = by_user_code(op->ctl, x->user_code);

	/* It may have expired meanwhile. */
	if (d && d->state == DEVICE_DECIDING) {
		d->state = rc != KT_OK ? DEVICE_WAITING
			: x->approve   ? DEVICE_APPROVED
				       : DEVICE_DENIED;
		d->by = op->who;
	}
	kt_op_end(op, rc, err);
}

void kt_control_device_decide(struct kt_control *ctl, const struct kt_actor *a,
	const char *user_code, bool approve, kt_result_fn fn, void *arg)
{
	struct kt_op *op = kt_op_new(ctl, a, NULL, fn, arg);
	struct kt_device *d = device_waiting(op, user_code);
	struct decision *x;

	if (!d)
		return;
	x = kt_arena_alloc(op->arena, sizeof(*x));
	memcpy(x->user_code, d->user_code, sizeof(x->user_code));
	x->client_name = kt_arena_strdup(op->arena, d->client_name);
	x->address = kt_arena_strdup(op->arena, d->peer[0] ? d->peer : "unknown");
	x->approve = approve;
	op->data = x;
	/* Whoever is first decides; for others nothing waits any more. */
	d->state = DEVICE_DECIDING;
	kt_op_step(op, KT_STEP_WRITE, decide_work, device_decided);
}
