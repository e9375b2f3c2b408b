/* SPDX-License-Identifier: MIT */
/* What the store's tests share: a folder, a store in it, rows to put there, raw SQL. */
#ifndef KT_TESTS_STORE_TEST_H
#define KT_TESTS_STORE_TEST_H

#include "store/store_private.h"

#include "base/fs.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static char dir[64];
static char path[96];
static struct kt_arena *arena;

static int setup(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/kt-store-XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/karta.db", dir);
	arena = kt_arena_new();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	struct kt_err err = KT_ERR_INIT;

	kt_arena_free(arena);
	return kt_fs_remove_tree(dir, &err) == KT_OK ? 0 : -1;
}

/* Must be KT_OK, or the message shows why not. */
#define assert_ok(call, err)                                                                       \
	do {                                                                                       \
		enum kt_code code_ = (call);                                                       \
		if (code_ != KT_OK)                                                                \
			print_error("%s\n", (err).msg);                                            \
		assert_int_equal(code_, KT_OK);                                                    \
	} while (0)

KT_UNUSED static struct kt_store *open_store(struct kt_loop *loop)
{
	struct kt_store_config cfg = { .path = path, .loop = loop, .create = true };
	struct kt_err err = KT_ERR_INIT;
	struct kt_store *st = NULL;

	assert_ok(kt_store_open(&cfg, &st, &err), err);
	return st;
}

/* Run SQL on a connection of its own, as somebody with a database shell would. */
KT_UNUSED static void raw(const char *sql)
{
	struct kt_err err = KT_ERR_INIT;
	struct kt_db *db = NULL;

	assert_ok(kt_db_open(path, false, &db, &err), err);
	assert_ok(db->engine->exec(db, sql, &err), err);
	kt_db_close(db);
}

KT_UNUSED static int64_t raw_number(const char *sql)
{
	struct kt_err err = KT_ERR_INIT;
	struct kt_db *db = NULL;
	int64_t n = -1;

	assert_ok(kt_db_open(path, false, &db, &err), err);
	assert_ok(kt_db_number(db, sql, &n, &err), err);
	kt_db_close(db);
	return n;
}

KT_UNUSED static const struct kt_org_row org1 = { .id = "org_1",
	.slug = "default",
	.name = "Default",
	.created_us = 1 };
KT_UNUSED static const struct kt_org_row org2 = { .id = "org_2",
	.slug = "other",
	.name = "Other",
	.created_us = 2 };

KT_UNUSED static struct kt_project_row project(const char *id, const char *org, const char *slug)
{
	return (struct kt_project_row){ .id = id,
		.org_id = org,
		.slug = slug,
		.label = id,
		.production_ref = "refs/heads/main",
		.next_version = 1,
		.created_us = 3 };
}

KT_UNUSED static struct kt_release_row release(
	const char *id, const char *project_id, int64_t version, enum kt_release_state state)
{
	return (struct kt_release_row){ .id = id,
		.org_id = "org_1",
		.project_id = project_id,
		.version = version,
		.state = state,
		.digest = "d",
		.kind = "file_copy",
		.source = "cli",
		.created_by = "setup",
		.created_us = version };
}

/* Run an inline piece of work in a transaction that must succeed. */
KT_UNUSED static void run(struct kt_store *st, bool write, kt_tx_fn fn)
{
	struct kt_err err = KT_ERR_INIT;

	assert_ok(kt_store_do(st, write, fn, NULL, &err), err);
}

#endif
