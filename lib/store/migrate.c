/* SPDX-License-Identifier: MIT */
/*
 * Migrations: numbered SQL that the binary carries (lib/store/schema, scripts/embed-schema). The
 * database knows the number of the last one that ran.
 */
#include "store/db_private.h"

/* What the file is: its version, 0 when it is new and empty. */
static enum kt_code read_version(
	struct kt_db *db, const char *path, size_t newest, int64_t *out, struct kt_err *err)
{
	int64_t version = 0;
	/* One snapshot: another process may be making it. */
	enum kt_code rc = db->engine->begin(db, false, err);

	if (rc == KT_OK)
		rc = db->engine->version(db, &version, err);
	db->engine->rollback(db);
	if (rc != KT_OK) {
		kt_wrap(err, "cannot read '%s'", path);
		return rc;
	}
	if (version < 0)
		return kt_fail(err, KT_EPROTO, 0, "'%s' is not a database of karta", path);
	if ((uint64_t)version > newest) {
		kt_fail(err, KT_EPROTO, 0,
			"'%s' was made by a newer karta: its version is %lld, this program knows "
			"%zu",
			path, (long long)version, newest);
		return kt_hint(err, "use the newer program, or put back the copy it made before");
	}
	*out = version;
	return KT_OK;
}

static enum kt_code run_migration(
	struct kt_db *db, const struct kt_migration *m, struct kt_err *err)
{
	int64_t broken = 0;
	enum kt_code rc = db->engine->exec(db, m->sql, err);

	if (rc == KT_OK)
		rc = db->engine->dangling(db, &broken, err);
	if (rc == KT_OK && broken > 0)
		rc = kt_fail(err, KT_EPROTO, 0, "%lld rows refer to what is not there",
			(long long)broken);
	return rc == KT_OK ? db->engine->set_version(db, m->number, err) : rc;
}

/*
 * All steps up in one transaction: nobody meets a database between two of them, and takes it for an
 * old one. Another process may have been here first: then nothing.
 */
static enum kt_code step_up(
	struct kt_db *db, const struct kt_migration *list, size_t n, struct kt_err *err)
{
	int64_t version = 0;
	enum kt_code rc = db->engine->begin(db, true, err);

	if (rc != KT_OK)
		return rc;
	rc = db->engine->version(db, &version, err);
	for (size_t i = (size_t)version; rc == KT_OK && i < n; i++) {
		rc = run_migration(db, &list[i], err);
		if (rc != KT_OK)
			kt_wrap(err, "migration %s", list[i].name);
	}
	if (rc == KT_OK)
		return db->engine->commit(db, err);
	db->engine->rollback(db);
	return rc;
}

enum kt_code kt_db_migrate(struct kt_db *db, const char *path, const struct kt_migration *list,
	size_t n, struct kt_err *err)
{
	int64_t version = 0;
	enum kt_code rc = read_version(db, path, n, &version, err);

	if (rc != KT_OK || version == (int64_t)n)
		return rc;
	if (db->read_only) {
		kt_fail(err, KT_EPROTO, 0, "'%s' was made by an older karta", path);
		return kt_hint(err, "start the server once: it brings the database up to date");
	}
	if (version > 0)
		rc = db->engine->keep_copy(db, path, (int)version + 1, err);
	/* Tables are rebuilt under their old names: references are checked at the end instead. */
	if (rc == KT_OK)
		rc = db->engine->loosen(db, true, err);
	if (rc == KT_OK)
		rc = step_up(db, list, n, err);
	/* Who gets an error closes the connection. */
	return rc == KT_OK ? db->engine->loosen(db, false, err) : rc;
}
