/* SPDX-License-Identifier: MIT */
/*
 * SQLite, loaded on first use (base/dl.h): the table of its functions that this module calls.
 * Written once, under pthread_once, by the first connection.
 */
#ifndef KT_STORE_SQLITE_SQLITE_DL_PRIVATE_H
#define KT_STORE_SQLITE_SQLITE_DL_PRIVATE_H

#include "base/err.h"

#include <sqlite3.h>

/* clang-format off */
#define KT_SQLITE_FUNCTIONS(X) \
	X(backup_finish) X(backup_init) X(backup_step) X(bind_blob64) X(bind_int64) X(bind_null) \
	X(bind_parameter_index) X(bind_text) X(busy_timeout) X(changes64) X(clear_bindings) \
	X(close_v2) X(column_blob) X(column_bytes) X(column_int64) X(column_text) X(column_type) \
	X(db_config) X(db_readonly) X(errmsg) X(errstr) X(exec) X(extended_errcode) X(finalize) \
	X(free) X(get_autocommit) X(libversion_number) X(open_v2) X(prepare_v3) X(reset) X(step) \
	X(system_errno)
/* clang-format on */

#define KT_SQLITE_MEMBER(name) __typeof__(sqlite3_##name) *name;
struct kt_sqlite_api {
	KT_SQLITE_FUNCTIONS(KT_SQLITE_MEMBER)
};
#undef KT_SQLITE_MEMBER

extern struct kt_sqlite_api kt_sqlite;

#endif
