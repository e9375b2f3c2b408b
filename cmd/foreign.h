/* SPDX-License-Identifier: MIT */
/*
 * Words that people know from elsewhere: heroku, fly, gh, vercel, docker, kubectl and relatives.
 * One table says for each of them what karta's words are, or in one sentence what karta has
 * instead. It is used before a word is refused, by `karta help heroku`, and by karta-foreign(7).
 */
#ifndef KT_CMD_FOREIGN_H
#define KT_CMD_FOREIGN_H

#include "base/buf.h"
#include "cli/term.h"

struct kt_foreign {
	const char *from; /* who says it, with blanks between: "heroku fly" */
	const char *words; /* as typed, with blanks between: "releases rollback" */
	const char *to; /* karta's words, options too, or NULL when it has none */
	const char *say; /* of one without `to`: what karta has instead, one line */
};

/* An option that people know from elsewhere, of one of karta's commands. */
struct kt_foreign_option {
	const char *from; /* as above */
	const char *command; /* "config set"; "*": of every one */
	const char *options; /* its spellings, with blanks between: "-d --detach" */
	bool value; /* a value follows */
	/* Karta's option; "" when it is what karta does anyway, "=" when the value alone is enough;
	 * NULL when it has none. */
	const char *to;
	const char *say; /* of one without `to`: what karta has instead, one line */
};
extern const struct kt_foreign_option kt_foreign_options[];
/*
 * The entry of an option ("--detach" or "--detach=x") that is none of the command's own; own: it is
 * one, and only what is said of this very command counts. NULL when there is none.
 */
const struct kt_foreign_option *kt_foreign_option_find(
	const char *command, const char *word, bool own);

/* The table; an entry without `words` ends it. */
extern const struct kt_foreign kt_foreign_table[];

/*
 * The entry of the words that were typed ("ps:scale" or "auth", "login"), the longest that fits;
 * *out_used is how many of them it is made of, and *out_rest what follows in the last of them
 * ("set" of "secrets:set"; BORROWS words), NULL for nothing. NULL when there is none. With
 * min_parts 2 an entry of one word does not count: the first is a command of karta's.
 */
const struct kt_foreign *kt_foreign_find(const char *const *words, size_t n, size_t min_parts,
	size_t *out_used, const char **out_rest);

/* True when somebody of this name ("heroku") says words of the table. */
bool kt_foreign_knows(const char *from);
/* Append the table of what `from` says, in two columns as wide as the terminal. */
void kt_foreign_help(struct kt_buf *b, const struct kt_term *t, const char *from);
/*
 * Append the tables for scripts, a line each: "foreign<TAB>from<TAB>words<TAB>to<TAB>say" and
 * "foreign-option<TAB>from<TAB>command<TAB>options<TAB>VALUE or nothing<TAB>to or -<TAB>say".
 */
void kt_foreign_dump(struct kt_buf *b);

#endif
