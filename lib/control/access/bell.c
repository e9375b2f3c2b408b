/* SPDX-License-Identifier: MIT */
/*
 * The server's side of keys that are made in its data folder (keymake.c): its bell is rung, and it
 * reads the keys anew. It takes no order from there; the database says what is.
 */
#include "control/access/access_private.h"

#include "base/log.h"
#include "net/bell.h"

struct reread {
	struct kt_control *ctl;
	struct kt_arena *arena;
	struct kt_key_row *keys;
	size_t n;
};

static enum kt_code reread_work(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	struct reread *r = arg;

	return kt_tx_keys(tx, r->arena, NULL, &r->keys, &r->n, err);
}

static void take_key(struct kt_control *ctl, const struct kt_key_row *row)
{
	const struct kt_key_mem *k = kt_index_key(ctl, row->id);

	if (!kt_map_get(&ctl->orgs, row->org_id))
		return;
	if (!k)
		kt_log(KT_LOG_INFO, "control", "key %s (%s) was made in the data folder", row->id,
			row->name);
	kt_index_key_put(ctl, row);
}

static void reread_done(void *arg, enum kt_code rc, const struct kt_err *err)
{
	struct reread *r = arg;
	struct kt_control *ctl = r->ctl;

	for (size_t i = 0; rc == KT_OK && !ctl->closing && i < r->n; i++)
		take_key(ctl, &r->keys[i]);
	if (rc == KT_OK)
		kt_bus_tell(ctl->cfg.bus, KT_TOPIC_KEYS);
	else
		kt_log(KT_LOG_WARN, "control", "the keys could not be read again: %s", err->msg);
	if (ctl->bell)
		kt_bell_answer(ctl->bell, rc == KT_OK);
	kt_arena_free(r->arena);
	free(r);
}

static void on_bell(void *arg)
{
	struct reread *r = kt_calloc(1, sizeof(*r));

	r->ctl = arg;
	r->arena = kt_arena_new();
	kt_store_read(r->ctl->store, reread_work, reread_done, r);
}

enum kt_code kt_bell_start(struct kt_control *ctl, struct kt_err *err)
{
	return kt_bell_new(ctl->loop, ctl->data_dir, KT_BELL_NAME, on_bell, ctl, &ctl->bell, err);
}

void kt_bell_stop(struct kt_control *ctl)
{
	kt_bell_free(KT_STEAL(ctl->bell));
}
