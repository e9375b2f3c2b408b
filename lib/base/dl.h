/* SPDX-License-Identifier: MIT */
/*
 * Libraries that are loaded when they are first needed. Linking libcurl, libgit2, libarchive,
 * SQLite and libsodium would cost every start of the program, `karta --version` included, 10 ms and
 * more; so each is known to one file only, which keeps a table of function pointers.
 *
 * The sonames come from the Makefile (KT_SO_GIT2, KT_SO_ARCHIVE, KT_SO_SQLITE3, and so on):
 * those of the -dev packages that the headers came from.
 *
 * A program that is to run without these packages (`make dist`) has the functions linked in:
 * scripts/dist/builtins writes kt_dl_builtins from the tables, and no library is opened.
 */
#ifndef KT_BASE_DL_H
#define KT_BASE_DL_H

#include "base/err.h"

#include <stdbool.h>

struct kt_dl_symbol {
	void **slot; /* the function's pointer is put here */
	const char *name;
};

typedef void (*kt_dl_function)(void);
struct kt_dl_builtin {
	const char *name;
	kt_dl_function function;
};
/* Ends with a NULL name; only in a program that has them linked in. */
extern const struct kt_dl_builtin kt_dl_builtins[] __attribute__((weak, visibility("default")));

/* Whether this program has its libraries linked in. */
bool kt_dl_linked_in(void);

/*
 * Open the first of sonames (NULL-terminated) that is there and fill every slot. Never closed
 * again. Call under pthread_once(). Returns KT_OK or KT_EIO, with a hint that names `package`.
 */
KT_MUST_CHECK enum kt_code kt_dl_load(const char *const *sonames,
	const struct kt_dl_symbol *symbols, size_t n, const char *package, struct kt_err *err);

#endif
