/* SPDX-License-Identifier: MIT */
/*
 * Colors of code, by a tokenizer that knows comments, strings, numbers and words of a few families
 * of languages. It is a help for the eye: what it takes wrong costs a color and nothing else.
 */
#include "cli/listing_private.h"

#include "base/str.h"
#include "text/clean.h"

#include <string.h>

struct kt_listing_language {
	const char *names; /* with blanks around each */
	const char *line_comments[2];
	bool block_comments; /* C's */
	const char *quotes;
	const char *long_quotes; /* that go on over lines: three of them, or one backtick */
	const char *words; /* with blanks around each */
};

static const struct kt_listing_language languages[] = {
	{ " c h cpp c++ cc hpp cs csharp java kotlin kt swift scala dart objc php proto ", { "//" },
		true, "\"'", "",
		" auto break case catch char class const continue default delete do double else "
		"enum "
		"extends extern final finally float fn for foreach func fun function goto if "
		"implements "
		"import in inline instanceof int interface let long namespace new null nullptr "
		"override package private protected public return short signed sizeof static "
		"struct "
		"super switch template this throw throws true try typedef typename union unsigned "
		"using val var virtual void volatile while bool false string using async await " },
	{ " js javascript jsx ts typescript tsx mjs cjs vue svelte json jsonc json5 ", { "//" },
		true, "\"'", "`",
		" abstract any as async await break case catch class const continue debugger "
		"default "
		"delete do else enum export extends false finally for from function get if "
		"implements "
		"import in instanceof interface let new null number of private protected public "
		"readonly return set static string super switch this throw true try type typeof "
		"undefined var void while yield boolean " },
	{ " go golang rust rs zig ", { "//" }, true, "\"'", "`",
		" as async await bool break case chan const continue crate default defer else enum "
		"error extern false fallthrough fn for func go goto if impl import in interface "
		"let "
		"loop map match mod move mut nil package pub range ref return select self Self "
		"static "
		"string struct super switch trait true type unsafe use var where while int i32 u32 "
		"i64 "
		"u64 usize u8 str String Vec Option Result Some None Ok Err " },
	{ " py python python3 pycon ", { "#" }, false, "\"'", "\"'",
		" and as assert async await break class continue def del elif else except False "
		"finally "
		"for from global if import in is lambda None nonlocal not or pass raise return "
		"self "
		"True try while with yield match case " },
	{ " sh bash zsh shell console fish dockerfile docker make makefile ", { "#" }, false, "\"'",
		"",
		" case do done elif else esac export fi for function if in local return select set "
		"then until while unset source FROM RUN COPY CMD ENV WORKDIR EXPOSE ENTRYPOINT "
		"ARG " },
	{ " rb ruby pl perl r elixir ex yaml yml toml ini conf properties tf hcl nix ", { "#" },
		false, "\"'", "",
		" begin class def do else elsif end ensure false for if in module my nil not or "
		"and "
		"require rescue return self sub then true unless until use when while yield null "
		"yes "
		"no on off " },
	{ " sql postgres postgresql mysql sqlite lua haskell hs ", { "--" }, true, "'\"", "",
		" select from where insert into values update set delete create table index drop "
		"alter "
		"add column primary key foreign references not null and or in is like between join "
		"left right inner outer on group by order having limit offset union all as "
		"distinct "
		"case when then else end begin commit rollback with returning exists default "
		"unique "
		"SELECT FROM WHERE INSERT INTO VALUES UPDATE SET DELETE CREATE TABLE INDEX DROP "
		"ALTER "
		"ADD COLUMN PRIMARY KEY FOREIGN REFERENCES NOT NULL AND OR IN IS LIKE BETWEEN JOIN "
		"LEFT RIGHT INNER OUTER ON GROUP BY ORDER HAVING LIMIT OFFSET UNION ALL AS "
		"DISTINCT "
		"CASE WHEN THEN ELSE END BEGIN COMMIT ROLLBACK WITH RETURNING EXISTS DEFAULT "
		"UNIQUE "
		"local function if for while do repeat until return nil true false let where " },
	{ " css scss less ", { NULL }, true, "\"'", "", " important media import keyframes " },
};

/* True when word stands in a list with blanks around each. */
static bool is_listed_word(const char *list, const char *word, size_t len)
{
	char key[26];

	if (!len || len > sizeof(key) - 3)
		return false;
	key[0] = ' ';
	memcpy(key + 1, word, len);
	key[len + 1] = ' ';
	key[len + 2] = '\0';
	return strstr(list, key) != NULL;
}

void kt_listing_begin(struct kt_listing *c, const char *info, size_t len)
{
	size_t n = 0;

	memset(c, 0, sizeof(*c));
	while (n < len && !strchr(" \t{,:", info[n]))
		n++;
	if (n >= sizeof(c->name))
		return;
	for (size_t i = 0; i < n; i++)
		c->name[i] = info[i] >= 'A' && info[i] <= 'Z' ? (char)(info[i] | 0x20) : info[i];
	for (size_t i = 0; i < KT_ARRAY_LEN(languages) && !c->language; i++)
		c->language = is_listed_word(languages[i].names, c->name, n) ? &languages[i] : NULL;
}

void kt_listing_fence(const struct kt_listing *c, struct kt_buf *b, bool opening)
{
	kt_buf_adds(b, "```");
	if (opening)
		kt_clean_add(b, c->name, strlen(c->name), true);
	kt_buf_addc(b, '\n');
}

static void add_token(struct kt_buf *b, enum kt_style style, const char *s, size_t len)
{
	if (!len)
		return;
	kt_buf_adds(b, kt_term_sgr(style));
	kt_clean_add(b, s, len, false);
	if (style != KT_STYLE_NONE)
		kt_buf_adds(b, "\033[0m");
}

static bool at_text(const char *s, size_t len, const char *text)
{
	return text && len >= strlen(text) && !memcmp(s, text, strlen(text));
}

static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		c == '_' || (unsigned char)c >= 0x80;
}

/* Bytes up to and with the end of what the quote at `inside` began; all when it goes on. */
static size_t inside_len(struct kt_listing *c, const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (c->inside == '*' && at_text(s + i, len - i, "*/")) {
			c->inside = 0;
			return i + 2;
		}
		if (c->inside == '`' && s[i] == '`') {
			c->inside = 0;
			return i + 1;
		}
		if (c->inside != '*' && c->inside != '`' && len - i >= 3 && s[i] == c->inside &&
			s[i + 1] == s[i] && s[i + 2] == s[i]) {
			c->inside = 0;
			return i + 3;
		}
		if (c->inside != '*' && s[i] == '\\')
			i++;
	}
	return len;
}

/* Bytes of the string that begins at s; one that is not closed ends with its line. */
static size_t string_len(struct kt_listing *c, const char *s, size_t len)
{
	size_t i = 1;

	if (strchr(c->language->long_quotes, s[0]) &&
		(s[0] == '`' || at_text(s, len, "\"\"\"") || at_text(s, len, "'''"))) {
		size_t n = s[0] == '`' ? 1 : 3;

		c->inside = s[0];
		return n + inside_len(c, s + n, len - n);
	}
	while (i < len && s[i] != s[0])
		i += s[i] == '\\' ? 2 : 1;
	return KT_MIN(i + 1, len);
}

/* The token at s: its bytes, and how it looks. */
static size_t next_token(struct kt_listing *c, const char *s, size_t len, enum kt_style *out)
{
	const struct kt_listing_language *l = c->language;
	size_t n = 0;

	if (c->inside) {
		*out = c->inside == '*' ? KT_STYLE_DIM : KT_STYLE_GREEN;
		return inside_len(c, s, len);
	}
	*out = KT_STYLE_DIM;
	if (at_text(s, len, l->line_comments[0]))
		return len;
	if (l->block_comments && at_text(s, len, "/*")) {
		c->inside = '*';
		return 2 + inside_len(c, s + 2, len - 2);
	}
	*out = KT_STYLE_GREEN;
	if (strchr(l->quotes, s[0]) || strchr(l->long_quotes, s[0]))
		return string_len(c, s, len);
	while (n < len && is_word(s[n]))
		n++;
	*out = n && s[0] >= '0' && s[0] <= '9'   ? KT_STYLE_YELLOW
		: is_listed_word(l->words, s, n) ? KT_STYLE_MAGENTA
						 : KT_STYLE_NONE;
	return n ? n : 1;
}

static enum kt_style diff_style(const char *s, size_t len)
{
	switch (len ? s[0] : ' ') {
	case '+':
		return KT_STYLE_GREEN;
	case '-':
		return KT_STYLE_RED;
	case '@':
		return KT_STYLE_CYAN;
	default:
		return KT_STYLE_NONE;
	}
}

void kt_listing_line(
	struct kt_listing *c, struct kt_buf *b, const struct kt_term *t, const char *s, size_t len)
{
	size_t plain = 0; /* bytes before `i` that have no color */

	while (len && s[len - 1] == ' ')
		len--;
	if (!t->color || !len) {
		kt_clean_add(b, s, len, false);
	} else if (kt_str_eq(c->name, "diff") || kt_str_eq(c->name, "patch")) {
		add_token(b, diff_style(s, len), s, len);
	} else if (!c->language) {
		add_token(b, KT_STYLE_CYAN, s, len);
	} else {
		for (size_t i = 0; i < len;) {
			enum kt_style style;
			size_t n = next_token(c, s + i, len - i, &style);

			if (style != KT_STYLE_NONE) {
				add_token(b, KT_STYLE_NONE, s + plain, i - plain);
				add_token(b, style, s + i, n);
				plain = i + n;
			}
			i += n;
		}
		add_token(b, KT_STYLE_NONE, s + plain, len - plain);
	}
	kt_buf_addc(b, '\n');
}
