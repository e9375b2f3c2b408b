/* SPDX-License-Identifier: MIT */
/*
 * The environment variables karta reads, in one table that karta(1) ENVIRONMENT is checked
 * against. No other file calls getenv().
 */
#ifndef KT_BASE_ENV_H
#define KT_BASE_ENV_H

#include "base/base.h"

struct kt_env_var {
	const char *name;
	const char *help; /* one line */
};

/* The table, ended by a NULL name. */
const struct kt_env_var *kt_env_table(void);
/* Value of a variable that is in the table (asserted), NULL when unset or empty. */
const char *kt_env_get(const char *name);
/* True when set to 1, true, yes or on. */
bool kt_env_flag(const char *name);
/* The whole environment as execve() takes it. BORROWS; not for changing. */
char **kt_env_all(void);

#endif
