/* SPDX-License-Identifier: MIT */
/* Finding what was typed in the table of words from elsewhere, and showing it. */
#include "cmd/foreign.h"

#include "base/str.h"
#include "cli/help.h"
#include "cmd/cmd.h"

#include <string.h>

#define PARTS_MAX 8
#define PART_MAX 64
#define OPTION_COLUMNS 28

/* Words as parts: those with colons are several; aliases of a command of karta's are its name. */
struct parts {
	char text[PARTS_MAX][PART_MAX];
	size_t word[PARTS_MAX]; /* the word that it is of */
	const char *rest[PARTS_MAX]; /* what follows the part in its word, NULL for nothing */
	size_t n;
};

static void add_parts(struct parts *p, const char *word, size_t index)
{
	while (p->n < PARTS_MAX) {
		size_t len = strcspn(word, ": ");
		char *part = p->text[p->n];
		const struct kt_cmd *cmd;

		if (!len || len >= PART_MAX)
			return;
		memcpy(part, word, len);
		part[len] = '\0';
		cmd = p->n ? NULL : kt_cmd_find(kt_commands, part);
		if (cmd)
			kt_str_copy(part, PART_MAX, cmd->name);
		p->word[p->n] = index;
		p->rest[p->n++] = word[len] == ':' ? word + len + 1 : NULL;
		if (!word[len])
			return;
		word += len + 1;
	}
}

/* How many parts the entry is made of when the typed ones begin with them; 0 otherwise. */
static size_t entry_fits_words(const struct kt_foreign *f, const struct parts *typed)
{
	struct parts own = { .n = 0 };

	add_parts(&own, f->words, 0);
	if (own.n > typed->n)
		return 0;
	for (size_t i = 0; i < own.n; i++) {
		if (!kt_str_eq(own.text[i], typed->text[i]))
			return 0;
	}
	return own.n;
}

/* Of "ps:x" nothing is taken for "ps", unless its own words are a command that may have an x. */
static bool may_leave(const struct kt_foreign *f, const char *rest)
{
	const struct kt_cmd *cmd;

	if (!rest || !f->to)
		return true;
	cmd = kt_cmd_find(kt_commands, f->to);
	return cmd && cmd->subs;
}

const struct kt_foreign *kt_foreign_find(const char *const *words, size_t n, size_t min_parts,
	size_t *out_used, const char **out_rest)
{
	const struct kt_foreign *found = NULL;
	struct parts typed = { .n = 0 };
	size_t best = min_parts - 1;

	for (size_t i = 0; i < n; i++)
		add_parts(&typed, words[i], i);
	for (const struct kt_foreign *f = kt_foreign_table; f->words; f++) {
		size_t len = entry_fits_words(f, &typed);

		if (len <= best || !may_leave(f, typed.rest[len - 1]))
			continue;
		best = len;
		found = f;
		*out_used = typed.word[len - 1] + 1;
		*out_rest = typed.rest[len - 1];
	}
	return found;
}

/* Is name one of a list with blanks between? */
static bool list_says_name(const char *list, const char *name)
{
	size_t len = strlen(name);

	while (*list) {
		size_t n = strcspn(list, " ");

		if (n == len && !strncmp(list, name, n))
			return true;
		list += n + (list[n] == ' ');
	}
	return false;
}

bool kt_foreign_knows(const char *from)
{
	for (const struct kt_foreign *f = kt_foreign_table; f->words; f++) {
		if (list_says_name(f->from, from))
			return true;
	}
	return false;
}

/* What karta does with an option, for people. The caller's. */
static char *option_words(const struct kt_foreign_option *o)
{
	if (!o->to)
		return kt_strdup(o->say);
	if (!*o->to)
		return kt_strdup("is what it does anyway");
	return kt_str_eq(o->to, "=") ? kt_strdup("is the argument") : kt_strdup(o->to);
}

static void option_help(struct kt_buf *b, const struct kt_term *t, const char *from)
{
	bool any = false;

	for (const struct kt_foreign_option *o = kt_foreign_options; o->from; o++) {
		KT_AUTOFREE char *own = option_words(o);
		KT_AUTOFREE char *name = kt_asprintf("%s%s%s",
			kt_str_eq(o->command, "*") ? "" : o->command,
			kt_str_eq(o->command, "*") ? "" : " ", o->options);

		if (!list_says_name(o->from, from))
			continue;
		if (!any) {
			kt_buf_addc(b, '\n');
			kt_term_add(b, t, KT_STYLE_BOLD, "its options, at karta's commands");
			kt_buf_addc(b, '\n');
		}
		any = true;
		kt_help_item(b, t, name, OPTION_COLUMNS, own);
	}
}

void kt_foreign_help(struct kt_buf *b, const struct kt_term *t, const char *from)
{
	size_t width = 0;

	for (const struct kt_foreign *f = kt_foreign_table; f->words; f++) {
		if (list_says_name(f->from, from))
			width = KT_MAX(width, strlen(f->words));
	}
	for (int pass = 0; pass < 2; pass++) {
		KT_AUTOFREE char *title = pass
			? kt_asprintf("what karta has instead, and says so")
			: kt_asprintf("words of %s that karta takes, and its own", from);

		kt_buf_adds(b, pass ? "\n" : "");
		kt_term_add(b, t, KT_STYLE_BOLD, title);
		kt_buf_addc(b, '\n');
		for (const struct kt_foreign *f = kt_foreign_table; f->words; f++) {
			KT_AUTOFREE char *own = f->to ? kt_asprintf("karta %s", f->to) : NULL;

			if (list_says_name(f->from, from) && (pass == 1) == !f->to)
				kt_help_item(b, t, f->words, width, own ? own : f->say);
		}
	}
	option_help(b, t, from);
	kt_buf_adds(b, "\nA blank between words may be a colon: 'karta apps:info'.\n");
}

void kt_foreign_dump(struct kt_buf *b)
{
	for (const struct kt_foreign *f = kt_foreign_table; f->words; f++)
		kt_buf_addf(b, "foreign\t%s\t%s\t%s\t%s\n", f->from, f->words, f->to ? f->to : "",
			f->say ? f->say : "");
	for (const struct kt_foreign_option *o = kt_foreign_options; o->from; o++)
		kt_buf_addf(b, "foreign-option\t%s\t%s\t%s\t%s\t%s\t%s\n", o->from, o->command,
			o->options, o->value ? "VALUE" : "", o->to ? o->to : "-",
			o->say ? o->say : "");
}
