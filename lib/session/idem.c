/* SPDX-License-Identifier: MIT */
/* What idempotency keys were used for: the newest ones, for a day, over restarts. */
#include "session/session_private.h"

#include "base/limits.h"
#include "base/str.h"
#include "base/time.h"

#include <string.h>

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
}

void kt_used_begin(struct kt_used *used, struct kt_session *s, const struct kt_request_key *key,
	const char *turn_id, uint64_t after_seq)
{
	*used = (struct kt_used){ .session = s, .key = key };
	if (!key || !key->key || !key->key[0])
		return;
	used->what.after_seq = after_seq;
	used->what.fingerprint = key->fingerprint;
	used->what.at_us = kt_time_us();
	memcpy(used->what.session_id, s->id, sizeof(used->what.session_id));
	if (turn_id)
		kt_str_copy(used->what.turn_id, sizeof(used->what.turn_id), turn_id);
	kt_idem_put(s->reg, key->scope, key->key, &used->what);
	s->reg->used = used;
}

void kt_used_end(struct kt_used *used)
{
	struct kt_sessions *reg = used->session->reg;

	if (reg->used == used)
		kt_journal_session(reg, used->session);
	reg->used = NULL;
}

void kt_idem_release(struct kt_sessions *reg)
{
	size_t pos = 0;
	const char *key;
	void *value;

	while (kt_map_next(&reg->idem, &pos, &key, &value))
		free(value);
	for (size_t i = 0; i < reg->idem_order.len; i++)
		free(reg->idem_order.items[i]);
	kt_map_release(&reg->idem);
	kt_vec_release(&reg->idem_order);
}
