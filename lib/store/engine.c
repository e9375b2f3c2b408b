/* SPDX-License-Identifier: MIT */
/* Which engine a database's name means. */
#include "store/db_private.h"

const struct kt_engine *kt_engine_of(const char *where)
{
	(void)where;
	return &kt_sqlite_engine;
}

enum kt_code kt_db_open(const char *where, bool read_only, struct kt_db **out, struct kt_err *err)
{
	const struct kt_engine *engine = kt_engine_of(where);
	enum kt_code rc = engine->open(where, read_only, out, err);

	if (rc == KT_OK)
		(*out)->engine = engine;
	return rc;
}

enum kt_code kt_db_open_first(
	const char *where, bool create, bool read_only, struct kt_db **out, struct kt_err *err)
{
	const struct kt_engine *engine = kt_engine_of(where);
	enum kt_code rc = engine->open_first(where, create, read_only, out, err);

	if (rc == KT_OK)
		(*out)->engine = engine;
	return rc;
}
