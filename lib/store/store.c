/* SPDX-License-Identifier: MIT */
/* The store as a whole: opening, closing, checking, copying. The threads are in thread.c. */
#include "store/store_private.h"

#include "crypto/crypto.h"

/* Open the connection of kt_store_do(), check and migrate. */
static enum kt_code open_first(
	struct kt_store *st, const struct kt_store_config *cfg, struct kt_err *err)
{
	enum kt_code rc = kt_db_open_first(
		cfg->path, cfg->create, cfg->read_only, &st->direct, err);

	if (rc == KT_OK)
		rc = kt_db_migrate(st->direct, cfg->path, st->direct->engine->migrations,
			st->direct->engine->n_migrations, err);
	return rc;
}

static enum kt_code open_rest(struct kt_store *st, struct kt_err *err)
{
	enum kt_code rc = KT_OK;

	if (!st->loop)
		return KT_OK;
	if (!st->read_only)
		rc = kt_db_open(st->path, false, &st->writer, err);
	for (size_t i = 0; rc == KT_OK && i < KT_STORE_READERS; i++)
		rc = kt_db_open(st->path, true, &st->readers[i], err);
	return rc == KT_OK ? kt_store_start(st, err) : rc;
}

enum kt_code kt_store_open(
	const struct kt_store_config *cfg, struct kt_store **out, struct kt_err *err)
{
	enum kt_code rc = kt_crypto_init(err);
	struct kt_store *st;

	if (rc != KT_OK)
		return rc;
	st = kt_calloc(1, sizeof(*st));
	st->path = kt_strdup(cfg->path);
	st->read_only = cfg->read_only;
	st->loop = cfg->loop;
	/* With default attributes these cannot fail on Linux. */
	kt_assert(pthread_mutex_init(&st->direct_mutex, NULL) == 0);
	kt_assert(pthread_mutex_init(&st->write_mutex, NULL) == 0);
	kt_assert(pthread_mutex_init(&st->mutex, NULL) == 0);
	kt_assert(pthread_cond_init(&st->write_cond, NULL) == 0);
	kt_assert(pthread_cond_init(&st->read_cond, NULL) == 0);
	rc = open_first(st, cfg, err);
	if (rc == KT_OK)
		rc = open_rest(st, err);
	if (rc != KT_OK) {
		kt_store_close(st);
		return rc;
	}
	*out = st;
	return KT_OK;
}

void kt_store_close(struct kt_store *st)
{
	if (!st)
		return;
	kt_store_stop(st);
	for (size_t i = 0; i < KT_STORE_READERS; i++)
		kt_db_close(st->readers[i]);
	kt_db_close(st->writer);
	/* The last connection to close moves the log into the file. */
	kt_db_close(st->direct);
	(void)pthread_cond_destroy(&st->read_cond);
	(void)pthread_cond_destroy(&st->write_cond);
	(void)pthread_mutex_destroy(&st->mutex);
	(void)pthread_mutex_destroy(&st->write_mutex);
	(void)pthread_mutex_destroy(&st->direct_mutex);
	free(st->path);
	free(st);
}

static enum kt_code do_locked(
	struct kt_store *st, bool write, kt_tx_fn fn, void *arg, struct kt_err *err)
{
	struct kt_db *db = st->direct;
	struct kt_tx tx = { .db = db, .write = write };
	enum kt_code rc = db->engine->begin(db, write, err);

	if (rc != KT_OK)
		return rc;
	rc = fn(&tx, arg, err);
	if (rc == KT_OK && !db->engine->in_tx(db))
		rc = kt_fail(err, KT_EIO, 0, "database: the transaction was lost");
	if (rc == KT_OK)
		return db->engine->commit(db, err);
	db->engine->rollback(db);
	return rc;
}

enum kt_code kt_store_do(
	struct kt_store *st, bool write, kt_tx_fn fn, void *arg, struct kt_err *err)
{
	enum kt_code rc;

	if (write && st->read_only)
		return kt_fail(err, KT_EDENIED, 0, "the database is open for reading only");
	kt_assert(pthread_mutex_lock(&st->direct_mutex) == 0);
	if (write)
		kt_assert(pthread_mutex_lock(&st->write_mutex) == 0);
	rc = do_locked(st, write, fn, arg, err);
	if (write)
		kt_assert(pthread_mutex_unlock(&st->write_mutex) == 0);
	kt_assert(pthread_mutex_unlock(&st->direct_mutex) == 0);
	return rc;
}

/* --- checking and copying ---------------------------------------------------------------- */

enum kt_code kt_store_check(struct kt_store *st, struct kt_buf *out, struct kt_err *err)
{
	enum kt_code rc = st->direct->engine->check(st->path, out, err);

	if (rc == KT_OK && !kt_buf_ok(out))
		return kt_fail(err, KT_ELIMIT, 0, "too many findings");
	return rc;
}

enum kt_code kt_store_backup(struct kt_store *st, const char *path, struct kt_err *err)
{
	return st->direct->engine->backup(st->path, path, err);
}
