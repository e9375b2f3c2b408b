/* SPDX-License-Identifier: MIT */
/*
 * Keys made in the data folder itself, by who may write there: when the last key with scope admin
 * is lost, nobody can ask the server for another one. The row and its audit entry are written as
 * the server writes them, in one transaction, which SQLite keeps apart from the server's own; then
 * the server's bell is rung, and it reads the keys anew. It never takes an order from there.
 */
#include "control/access/access_private.h"

#include "base/fs.h"
#include "base/str.h"
#include "base/time.h"
#include "net/bell.h"
#include "store/datadir.h"

#include <string.h>
#include <unistd.h>

#define BELL_WAIT_MS 10000

struct making {
	struct kt_arena *arena;
	const struct kt_master *master;
	const char *org; /* slug, or NULL: there must be one only */
	struct kt_key_wish wish;
	struct kt_new_key *key;
};

static enum kt_code find_org(
	struct kt_tx *tx, const struct making *m, const char **out, struct kt_err *err)
{
	struct kt_org_row *orgs;
	size_t n;
	enum kt_code rc = kt_tx_orgs(tx, m->arena, &orgs, &n, err);

	if (rc != KT_OK)
		return rc;
	for (size_t i = 0; i < n; i++) {
		if (m->org ? strcmp(orgs[i].slug, m->org) != 0 : n > 1)
			continue;
		*out = orgs[i].id;
		return KT_OK;
	}
	if (n > 1 && !m->org)
		return kt_fail(err, KT_EINVAL, 0, "the server has %zu organizations: name one", n);
	return kt_fail(err, KT_ENOTFOUND, 0,
		n ? "there is no such organization" : "the data folder has no organization yet");
}

static enum kt_code add_key(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	struct making *m = arg;
	const char *org_id = NULL;
	struct kt_audit_row row = { .at_us = kt_time_us(),
		.actor = "system",
		.actor_name = "machine",
		.action = "key.create" };
	enum kt_code rc = find_org(tx, m, &org_id, err);

	if (rc == KT_OK)
		rc = kt_key_room(tx, m->arena, org_id, err);
	if (rc != KT_OK)
		return rc;
	m->key = kt_key_new(m->arena, m->master, org_id, &m->wish, "machine");
	row.org_id = org_id;
	row.object = kt_arena_printf(m->arena, "key/%s", m->key->id);
	row.detail = kt_json_pairs(m->arena, "name", m->key->row.name, "scopes",
		kt_scope_words(m->key->row.scopes), "prefix", m->key->prefix, "uid",
		kt_arena_printf(m->arena, "%u", (unsigned)getuid()), NULL);
	rc = kt_tx_key_add(tx, &m->key->row, err);
	return rc == KT_OK ? kt_tx_audit_add(tx, &row, err) : rc;
}

/* A database of another version is the server's to bring up to date: looking tells. */
static enum kt_code open_folder(const char *data_dir, struct making *m, struct kt_store **out_store,
	struct kt_master **out_master, struct kt_err *err)
{
	KT_AUTOFREE char *db = kt_data_path(data_dir, KT_DATA_DATABASE);
	KT_AUTOFREE char *key = kt_data_path(data_dir, KT_DATA_MASTER_KEY);
	struct kt_store_config cfg = { .path = db, .read_only = true };
	enum kt_code rc = kt_store_open(&cfg, out_store, err);

	if (rc == KT_OK) {
		kt_store_close(*out_store);
		*out_store = NULL;
		rc = kt_master_open(key, false, out_master, err);
	}
	cfg.read_only = false;
	if (rc == KT_OK)
		rc = kt_store_open(&cfg, out_store, err);
	m->master = *out_master;
	return rc;
}

enum kt_code kt_control_key_make(const char *data_dir, const char *org, const char *doc,
	size_t doc_len, struct kt_buf *out, bool *out_served, struct kt_err *err)
{
	KT_AUTO_ARENA struct kt_arena *arena = kt_arena_new();
	KT_AUTO_JSON cJSON *root = NULL;
	struct making m = { .arena = arena, .org = org };
	struct kt_master *master = NULL;
	struct kt_store *store = NULL;
	struct kt_err rung = KT_ERR_INIT;
	enum kt_code rc = kt_crypto_init(err);

	if (rc == KT_OK)
		rc = kt_json_parse(doc, doc_len, KT_JSON_STRICT, &root, err);
	if (rc == KT_OK)
		rc = kt_key_wish_take(root, &m.wish, err);
	if (rc == KT_OK)
		rc = open_folder(data_dir, &m, &store, &master, err);
	if (rc == KT_OK)
		rc = kt_store_do(store, true, add_key, &m, err);
	if (rc == KT_OK)
		kt_key_render(out, m.key, true);
	if (m.key)
		kt_secret_wipe(m.key->text, sizeof(m.key->text));
	kt_store_close(store);
	kt_master_free(master);
	if (rc != KT_OK)
		return rc;
	/* The key is made, whatever comes of this: without a server the next start reads it. */
	rc = kt_bell_ring(data_dir, KT_BELL_NAME, BELL_WAIT_MS, &rung);
	*out_served = rc == KT_OK;
	if (rc == KT_OK || rc == KT_ENOTFOUND)
		return KT_OK;
	*err = rung;
	(void)kt_wrap(err, "the key is made, but not known to the server that runs");
	return kt_hint(err, "restart the server: it reads all keys when it starts");
}
