/* SPDX-License-Identifier: MIT */
/*
 * Shell commands that can only read, and only inside of the session's folder, whatever arguments
 * they have of those that are listed here. Not on the list means no: an option that nobody thought
 * of asks a person.
 */
#include "session/talk/approvals_private.h"

#include "base/limits.h"
#include "text/shell.h"

#include <string.h>
#include <sys/stat.h>

struct reader {
	const char *name;
	const char *flags; /* one letter each */
	const char *numbers; /* letters that take a number: "-n5", "-n 5" */
	const char *longs; /* "--x " each; "--x=" takes a value */
	bool count; /* "-20" */
	bool files; /* operands are paths; else they are what git takes */
	bool some; /* at least one operand: without it reads what the shell was given */
};

#define DIFF_FLAGS "pswbaRM"
#define DIFF_LONGS                                                                                 \
	"--stat --shortstat --numstat --name-only --name-status --summary --patch --no-patch "     \
	"--cached --staged --no-color --word-diff --ignore-all-space --ignore-space-change "       \
	"--no-ext-diff --no-textconv --unified= --stat= --color= --diff-filter= "
#define LOG_LONGS                                                                                  \
	DIFF_LONGS                                                                                 \
	"--oneline --graph --all --decorate --no-decorate --merges --no-merges --reverse "         \
	"--follow "                                                                                \
	"--first-parent --abbrev-commit --max-count= --skip= --since= --until= --after= "          \
	"--before= "                                                                               \
	"--author= --grep= --date= "

static const struct reader readers[] = {
	{ "pwd", "LP", "", "", false, true, false },
	{ "ls", "1aAlhrtSRdFpisGgonUvxXCmNQBbq", "",
		"--all --almost-all --human-readable --reverse --recursive --size --inode "
		"--directory --color --color= --sort= --time= ",
		false, true, false },
	{ "cat", "AbeEnstTuv", "", "--number --number-nonblank --show-all --squeeze-blank ", false,
		true, true },
	{ "head", "qv", "nc", "--lines= --bytes= --quiet --verbose ", true, true, true },
	{ "tail", "qv", "nc", "--lines= --bytes= --quiet --verbose ", true, true, true },
	{ "wc", "clmwL", "", "--lines --words --bytes --chars --max-line-length ", false, true,
		true },
	{ "git status", "sbvz", "",
		"--short --branch --long --verbose --porcelain --porcelain= --untracked-files "
		"--untracked-files= --ignored --ahead-behind --no-renames ",
		false, false, false },
	{ "git diff", DIFF_FLAGS, "U", DIFF_LONGS, false, false, false },
	{ "git log", DIFF_FLAGS, "nU", LOG_LONGS, true, false, false },
	{ "git show", DIFF_FLAGS, "U", DIFF_LONGS "--oneline --abbrev-commit --date= ", false,
		false, false },
};

static bool is_number(const char *s)
{
	size_t n = strspn(s, "0123456789");

	return n > 0 && n < 10 && !s[n];
}

/* "--x" or the "--x=" of "--x=value" is in the list, to the letter: git completes what is not. */
static bool has_long(const char *longs, const char *word)
{
	const char *eq = strchr(word, '=');
	size_t n = eq ? (size_t)(eq - word) + 1 : strlen(word);

	for (const char *p = longs; *p; p += strcspn(p, " ") + 1) {
		if (strcspn(p, " ") == n && !strncmp(p, word, n))
			return true;
	}
	return false;
}

/* A word that begins with "-"; *takes_next when the number is the next word. */
static bool take_option(const struct reader *r, const char *word, bool *takes_next)
{
	if (word[1] == '-')
		return has_long(r->longs, word);
	if (r->count && is_number(word + 1))
		return true;
	for (const char *c = word + 1; *c; c++) {
		if (strchr(r->flags, *c))
			continue;
		if (!strchr(r->numbers, *c))
			return false;
		*takes_next = !c[1];
		return !c[1] || is_number(c + 1);
	}
	return word[1] != '\0';
}

/*
 * A revision, a range, or a path of git's own kind, that leads to no other place. What is there is
 * looked at like any file: git compares any two where it takes the repository for none, as when it
 * is another user's.
 */
static bool take_git_operand(const struct kt_inside *in, const char *word)
{
	KT_AUTO_BUF struct kt_buf rel = KT_BUF_INIT(KT_MAX_PATH_BYTES);
	KT_AUTOFREE char *path = kt_asprintf("%s/%s", in->cwd, word);
	struct stat st;

	if (!word[0])
		return false;
	if (word[0] == '/' || lstat(path, &st) == 0)
		return kt_inside(in, word, false, &rel);
	for (const char *p = word; *p; p += strspn(p, "/")) {
		size_t n = strcspn(p, "/");

		if (n == 2 && !strncmp(p, "..", n))
			return false;
		p += n;
	}
	return true;
}

static bool take_words(
	const struct kt_inside *in, const struct reader *r, const struct kt_vec *words, size_t at)
{
	bool operands = false, number = false;
	size_t n = 0;

	for (; at < words->len; at++) {
		KT_AUTO_BUF struct kt_buf rel = KT_BUF_INIT(KT_MAX_PATH_BYTES);
		const char *word = words->items[at];

		if (number) {
			if (!is_number(word))
				return false;
			number = false;
		} else if (!operands && !strcmp(word, "--")) {
			operands = true;
		} else if (!operands && word[0] == '-') {
			if (!take_option(r, word, &number))
				return false;
		} else if (r->files ? !kt_inside(in, word, false, &rel)
				    : !take_git_operand(in, word)) {
			return false;
		} else {
			n++;
		}
	}
	return !number && (n > 0 || !r->some);
}

/*
 * Below the folder a repository that was put there could say what git runs; where git finds none it
 * looks for one above.
 */
static bool is_own_repository(const struct kt_inside *in)
{
	static const char *const folders[] = { "", "/objects", "/refs" };
	KT_AUTOFREE char *head = kt_asprintf("%s/.git/HEAD", in->root);
	struct stat st;

	for (size_t i = 0; i < KT_ARRAY_LEN(folders); i++) {
		KT_AUTOFREE char *dir = kt_asprintf("%s/.git%s", in->root, folders[i]);

		if (lstat(dir, &st) != 0 || !S_ISDIR(st.st_mode))
			return false;
	}
	return !strcmp(in->root, in->cwd) && lstat(head, &st) == 0 && S_ISREG(st.st_mode);
}

bool kt_readonly(const struct kt_inside *in, const char *command, struct kt_buf *out)
{
	struct kt_vec words = KT_VEC_INIT;
	bool ok = false;

	if (!kt_shell_words(command, &words)) {
		kt_vec_release(&words);
		return false;
	}
	bool git = !strcmp(words.items[0], "git");
	KT_AUTOFREE char *name = git && words.len > 1
		? kt_asprintf("git %s", (const char *)words.items[1])
		: kt_strdup(words.items[0]);

	for (size_t i = 0; i < KT_ARRAY_LEN(readers); i++) {
		if (strcmp(readers[i].name, name) != 0)
			continue;
		ok = (!git || is_own_repository(in)) &&
			take_words(in, &readers[i], &words, git ? 2 : 1);
		break;
	}
	if (ok)
		kt_buf_adds(out, name);
	while (words.len)
		free(kt_vec_remove(&words, words.len - 1));
	kt_vec_release(&words);
	return ok && kt_buf_ok(out);
}
