/* SPDX-License-Identifier: MIT */
/*
 * Who is calling, answered from memory. It denies by default: whatever is wrong with a key is the
 * same answer.
 */
#include "control/access/access_private.h"

#include "base/str.h"
#include "base/time.h"

/* Time of last use is written at most this often for a key. */
#define USED_EVERY_US (60 * (int64_t)1000000)

struct used {
	char key_id[KT_ID_MAX];
	int64_t at_us;
};

static enum kt_code write_used(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	struct used *u = arg;

	return kt_tx_key_used(tx, u->key_id, u->at_us, err);
}

static void used_written(void *arg, enum kt_code rc, const struct kt_err *err)
{
	/* Not worth a failed request: the next use after a minute tries again. */
	(void)rc;
	(void)err;
	free(arg);
}

void kt_key_note_use(struct kt_control *ctl, struct kt_key_mem *k, int64_t now)
{
	struct used *u;

	/* Also when the clock was set back. */
	if (now >= k->used_us && now - k->used_us < USED_EVERY_US)
		return;
	k->used_us = now;
	u = kt_calloc(1, sizeof(*u));
	(void)kt_str_copy(u->key_id, sizeof(u->key_id), k->who.key_id);
	u->at_us = now;
	kt_store_write(ctl->store, write_used, used_written, u);
}

/*
 * Whatever is wrong with a key, its hash is computed and compared once at least, and the answer is
 * the same: neither text nor time tells a wrong key from an unknown, revoked or expired one.
 */
enum kt_code kt_control_principal(
	struct kt_control *ctl, const char *bearer, struct kt_principal *out, struct kt_err *err)
{
	static const unsigned char nobody[KT_KEY_HASH_BYTES];
	unsigned char hash[KT_KEY_HASH_BYTES];
	char key[KT_API_KEY_LEN + 1] = "";
	char prefix[KT_API_KEY_PREFIX_LEN + 1];
	struct kt_key_mem *found = NULL;
	int64_t now = kt_time_us();
	bool shape;

	if (!ctl->loaded || ctl->closing || !ctl->master)
		return kt_fail(err, KT_EUNAVAIL, 0, "keys cannot be checked now");
	shape = bearer != NULL && kt_api_key_ok(bearer);
	(void)kt_str_copy(key, sizeof(key), bearer ? bearer : "");
	(void)kt_str_copy(prefix, sizeof(prefix), key);
	kt_api_key_hash(ctl->master, key, hash);
	if (kt_api_key_hash_eq(hash, nobody))
		shape = false;
	for (struct kt_key_mem *k = kt_map_get(&ctl->keys, prefix); k; k = k->next) {
		if (kt_api_key_hash_eq(hash, k->hash))
			found = k;
	}
	kt_secret_wipe(key, sizeof(key));
	if (!shape || !found || found->revoked_us > 0 ||
		(found->expires_us > 0 && found->expires_us <= now))
		return kt_fail(err, KT_EAUTH, 0, "the API key is not valid");
	kt_key_note_use(ctl, found, now);
	*out = found->who;
	return KT_OK;
}
