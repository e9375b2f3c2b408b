/* SPDX-License-Identifier: MIT */
/*
 * The environment variables karta reads, in one table that karta(1) ENVIRONMENT is checked
 * against. No other file calls getenv(). And which names the variables of an application may have.
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

/* What kt_env_name_ok() takes, for messages. */
#define KT_ENV_NAME_RULE                                                                           \
	"letters, digits and _, at most 128, not beginning with a digit, KARTA_ or LD_"
/* May an application be given a variable of this name. */
bool kt_env_name_ok(const char *name);

#endif
