/* SPDX-License-Identifier: MIT */
/*
 * Plain words of a shell command. What is taken is a list, what is not on it is refused: shells
 * differ in what else they know, and whoever is in doubt can ask a person.
 */
#include "text/shell.h"

#include "base/buf.h"

#include <string.h>

#define WORDS_MAX 64
#define WORD_MAX_BYTES 4096

/* Characters that are themselves in every shell, anywhere in a word. */
static bool is_plain_shell_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		(c && strchr("_./,:@%+-", c));
}

/* Those that are so only inside of a word: "a=b", "HEAD~2", "HEAD^". */
static bool is_inner(char c)
{
	return c == '=' || c == '~' || c == '^';
}

/* The quoted part at *p (behind its quote) into word; false when it is not closed or not plain. */
static bool take_quoted(const char **p, struct kt_buf *word)
{
	const char *s = *p, quote = s[-1];

	for (; *s != quote; s++) {
		if (*s < ' ' || *s > '~' || (quote == '"' && strchr("$`\\!", *s)))
			return false;
		kt_buf_addc(word, *s);
	}
	*p = s + 1;
	return true;
}

/* One word at *p. */
static bool take_word(const char **p, struct kt_buf *word)
{
	const char *begin = *p, *s = begin;

	while (*s && *s != ' ' && *s != '\t') {
		if (*s == '\'' || *s == '"') {
			s++;
			if (!take_quoted(&s, word))
				return false;
			continue;
		}
		if (!is_plain_shell_char(*s) && (!is_inner(*s) || s == begin))
			return false;
		/* "x=~" and "a:~" are folders of somebody to some shells. */
		if (*s == '~' && strchr("=:", s[-1]))
			return false;
		kt_buf_addc(word, *s++);
	}
	*p = s;
	return kt_buf_ok(word);
}

/* A name that is looked up in PATH: no assignment, no path, nothing quoted. */
static bool is_program_name(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (!(text[i] >= 'a' && text[i] <= 'z'))
			return false;
	}
	return len > 0;
}

bool kt_shell_words(const char *command, struct kt_vec *out)
{
	size_t before = out->len;
	const char *p = command;

	while (true) {
		KT_AUTO_BUF struct kt_buf word = KT_BUF_INIT(WORD_MAX_BYTES);
		const char *begin;

		p += strspn(p, " \t");
		if (!*p && out->len > before)
			return true;
		begin = p;
		if (out->len - before == WORDS_MAX || !take_word(&p, &word) ||
			(out->len == before && !is_program_name(begin, (size_t)(p - begin))))
			break;
		kt_vec_push(out, kt_buf_take(&word));
	}
	while (out->len > before)
		free(kt_vec_remove(out, out->len - 1));
	return false;
}
