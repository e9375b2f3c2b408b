/* SPDX-License-Identifier: MIT */
/*
 * Patterns of gitignore(5), and the one attribute of gitattributes(5) that decides what is packed.
 * One difference to git besides that of kt_pack_glob(): $GIT_DIR/info/attributes does not count.
 */
#include "git/ignore_private.h"

#include "base/str.h"
#include "base/vec.h"
#include "pack/pack.h"

#include <string.h>

#define ATTRIBUTE "export-ignore"

enum state { UNNAMED = 0, SET, NOT_SET };

struct rule {
	char *pattern;
	size_t base_len; /* of its folder, with the slash; 0 for the root */
	bool attribute; /* from .gitattributes */
	bool dir_only;
	bool whole; /* against the path from base on, not only its last component */
	bool literal; /* no character of it is special */
	bool leave_out; /* what it says when it matches */
};

struct macro {
	char *name;
	enum state state;
};

struct kt_ignore {
	struct kt_vec rules; /* struct rule */
	struct kt_vec macros; /* struct macro, of the root's .gitattributes */
};

struct kt_ignore *kt_ignore_new(void)
{
	return kt_calloc(1, sizeof(struct kt_ignore));
}

static void free_rule(struct rule *r)
{
	free(r->pattern);
	free(r);
}

void kt_ignore_free(struct kt_ignore *ig)
{
	if (ig == NULL)
		return;
	kt_ignore_pop(ig, 0);
	for (size_t i = 0; i < ig->macros.len; i++) {
		struct macro *m = ig->macros.items[i];
		free(m->name);
		free(m);
	}
	kt_vec_release(&ig->rules);
	kt_vec_release(&ig->macros);
	free(ig);
}

size_t kt_ignore_mark(const struct kt_ignore *ig)
{
	return ig->rules.len;
}

void kt_ignore_pop(struct kt_ignore *ig, size_t mark)
{
	while (ig->rules.len > mark)
		free_rule(ig->rules.items[--ig->rules.len]);
}

/* --- matching ---------------------------------------------------------------------------- */

static bool rule_matches(const struct rule *r, const char *path, const char *name, bool is_dir)
{
	if (r->dir_only && !is_dir)
		return false;
	const char *subject = r->whole ? path + r->base_len : name;
	return r->literal ? strcmp(r->pattern, subject) == 0 : kt_pack_glob(r->pattern, subject);
}

bool kt_ignore_match(const struct kt_ignore *ig, const char *path, bool is_dir)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash != NULL ? slash + 1 : path;
	bool attribute_known = false;
	bool ignore_known = false;
	/* The last rule that matches decides; deeper folders come later. */
	for (size_t i = ig->rules.len; i > 0; i--) {
		const struct rule *r = ig->rules.items[i - 1];
		bool *known = r->attribute ? &attribute_known : &ignore_known;
		if (*known || !rule_matches(r, path, name, is_dir))
			continue;
		if (r->leave_out)
			return true;
		*known = true;
	}
	return false;
}

/* --- reading ----------------------------------------------------------------------------- */

/* Next line of text: its end, without CR LF; *next is the one behind. */
static const char *pattern_line_end(const char *line, const char *end, const char **next)
{
	const char *lf = memchr(line, '\n', (size_t)(end - line));
	*next = lf != NULL ? lf + 1 : end;
	lf = lf != NULL ? lf : end;
	return lf > line && lf[-1] == '\r' ? lf - 1 : lf;
}

static void add_rule(struct kt_ignore *ig, const char *base, const char *p, size_t len,
	bool attribute, bool leave_out)
{
	struct rule *r = kt_calloc(1, sizeof(*r));
	r->attribute = attribute;
	r->leave_out = leave_out;
	r->base_len = base[0] != '\0' ? strlen(base) + 1 : 0;
	if (len > 0 && p[len - 1] == '/') {
		r->dir_only = true;
		len--;
	}
	r->whole = memchr(p, '/', len) != NULL;
	if (len > 0 && p[0] == '/') {
		p++;
		len--;
	}
	r->pattern = kt_strndup(p, len);
	r->literal = strpbrk(r->pattern, "*?[\\") == NULL;
	if (len == 0 || strlen(r->pattern) != len)
		free_rule(r);
	else
		kt_vec_push(&ig->rules, r);
}

static const char *skip_bom(const char *text, size_t len)
{
	return len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? text + 3 : text;
}

void kt_ignore_push(struct kt_ignore *ig, const char *base, const char *text, size_t len)
{
	const char *next = NULL;
	for (const char *p = skip_bom(text, len); p < text + len; p = next) {
		const char *end = pattern_line_end(p, text + len, &next);
		bool keep = p < end && *p == '!';
		if (p == end || *p == '#')
			continue;
		/* Blanks at the end do not count, unless a backslash holds them. */
		const char *last = p;
		for (const char *q = p; q < end; q++) {
			if (*q == '\\' && q + 1 < end)
				last = ++q + 1;
			else if (*q != ' ')
				last = q + 1;
		}
		add_rule(ig, base, p + keep, (size_t)(last - p) - keep, false, !keep);
	}
}

/* A pattern in double quotes as C writes it; appends it and returns what follows, or NULL. */
static const char *unquote_pattern(const char *p, const char *end, struct kt_buf *out)
{
	static const char from[] = "abfnrtv\\\"";
	static const char to[] = "\a\b\f\n\r\t\v\\\"";
	for (p++; p < end && *p != '"'; p++) {
		if (*p != '\\') {
			kt_buf_addc(out, *p);
			continue;
		}
		const char *known = ++p < end ? memchr(from, *p, sizeof(from) - 1) : NULL;
		if (known != NULL) {
			kt_buf_addc(out, to[known - from]);
		} else if (end - p >= 3 && p[0] >= '0' && p[0] <= '3' && p[1] >= '0' &&
			p[1] <= '7' && p[2] >= '0' && p[2] <= '7') {
			kt_buf_addc(out, (char)((p[0] - '0') * 64 + (p[1] - '0') * 8 + p[2] - '0'));
			p += 2;
		} else {
			return NULL;
		}
	}
	return p < end ? p + 1 : NULL;
}

static const char *word_end(const char *p, const char *end)
{
	while (p < end && *p != ' ' && *p != '\t')
		p++;
	return p;
}

static const char *skip_blanks(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	return p;
}

static enum state macro_state(const struct kt_ignore *ig, const char *name, size_t len)
{
	for (size_t i = ig->macros.len; i > 0; i--) {
		const struct macro *m = ig->macros.items[i - 1];
		if (strlen(m->name) == len && memcmp(m->name, name, len) == 0)
			return m->state;
	}
	return UNNAMED;
}

/* What the attributes from p on say of export-ignore; the last that speaks of it decides. */
static enum state read_states(const struct kt_ignore *ig, const char *p, const char *end)
{
	enum state state = UNNAMED;
	for (p = skip_blanks(p, end); p < end; p = skip_blanks(p, end)) {
		const char *word = p;
		p = word_end(p, end);
		bool off = *word == '-' || *word == '!';
		word += off;
		const char *equals = memchr(word, '=', (size_t)(p - word));
		size_t len = (size_t)((equals != NULL ? equals : p) - word);
		if (len == strlen(ATTRIBUTE) && memcmp(word, ATTRIBUTE, len) == 0)
			state = off || equals != NULL ? NOT_SET : SET;
		else if (!off && equals == NULL && macro_state(ig, word, len) != UNNAMED)
			state = macro_state(ig, word, len);
	}
	return state;
}

void kt_ignore_push_attributes(struct kt_ignore *ig, const char *base, const char *text, size_t len)
{
	const char *next = NULL;
	for (const char *p = skip_bom(text, len); p < text + len; p = next) {
		const char *end = pattern_line_end(p, text + len, &next);
		KT_AUTO_BUF struct kt_buf pattern = KT_BUF_INIT(4096);
		p = skip_blanks(p, end);
		if (p == end || *p == '#')
			continue;
		if (end - p > 6 && memcmp(p, "[attr]", 6) == 0) {
			const char *name = skip_blanks(p + 6, end);
			const char *stop = word_end(name, end);
			if (base[0] != '\0')
				continue; /* git takes macros from the root only */
			struct macro *m = kt_calloc(1, sizeof(*m));
			m->name = kt_strndup(name, (size_t)(stop - name));
			m->state = read_states(ig, stop, end);
			kt_vec_push(&ig->macros, m);
			continue;
		}
		const char *rest = word_end(p, end);
		if (*p == '"')
			rest = unquote_pattern(p, end, &pattern);
		else
			kt_buf_add(&pattern, p, (size_t)(rest - p));
		/* A '!' in front is an error to git, which leaves the line out. */
		if (rest == NULL || pattern.ptr[0] == '!')
			continue;
		enum state state = read_states(ig, rest, end);
		if (state != UNNAMED)
			add_rule(ig, base, pattern.ptr, pattern.len, true, state == SET);
	}
}
