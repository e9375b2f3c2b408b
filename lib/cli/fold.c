/* SPDX-License-Identifier: MIT */
/* Folding of styled text, see fold_private.h. */
#include "cli/fold_private.h"

#include "base/str.h"
#include "text/unicode.h"

#define LINE_MAX_BYTES ((size_t)16 * 1024 * 1024) /* a code line of a whole message at most */

struct folder {
	struct kt_vec *lines;
	struct kt_buf line;
	size_t at; /* columns of line */
	size_t width;
	bool blank; /* a blank waits before the next word */
	bool hard;
	unsigned style; /* what is wanted */
	unsigned shown; /* what the terminal was told */
};

static size_t glyph_len(const char *s, size_t len, size_t *out_width)
{
	uint32_t cp;
	size_t n = kt_utf8_decode(s, len, &cp);

	*out_width = n ? (size_t)kt_unicode_width(cp) : 1;
	return n ? n : 1;
}

size_t kt_fold_width(const char *s, size_t len)
{
	size_t width = 0;

	for (size_t i = 0; i < len;) {
		size_t w;

		if (s[i] == KT_MARK) {
			i += 2;
			continue;
		}
		i += glyph_len(s + i, len - i, &w);
		width += w;
	}
	return width;
}

static void show_style(struct folder *f)
{
	static const struct {
		unsigned mask;
		const char *code;
	} codes[] = {
		{ KT_MARK_BOLD, ";1" },
		{ KT_MARK_ITALIC, ";3" },
		{ KT_MARK_CODE, ";36" },
		{ KT_MARK_LINK, ";4" },
		{ KT_MARK_STRIKE, ";9" },
		{ KT_MARK_HEAD, ";1;35" },
		{ KT_MARK_DIM, ";2" },
	};

	if (f->shown == f->style)
		return;
	kt_buf_adds(&f->line, "\033[0");
	for (size_t i = 0; i < KT_ARRAY_LEN(codes); i++) {
		if (f->style & codes[i].mask)
			kt_buf_adds(&f->line, codes[i].code);
	}
	kt_buf_addc(&f->line, 'm');
	f->shown = f->style;
}

static void end_folded_line(struct folder *f)
{
	if (f->shown)
		kt_buf_adds(&f->line, "\033[0m");
	kt_vec_push(f->lines, kt_buf_take(&f->line));
	f->at = 0;
	f->shown = 0;
	f->blank = false;
}

/* Append one word (styles inside it take effect); s has no blanks. */
static void fold_word(struct folder *f, const char *s, size_t len)
{
	size_t width = kt_fold_width(s, len);

	if (width && f->at && f->at + f->blank + width > f->width)
		end_folded_line(f);
	if (width && f->blank) {
		/* What ends before the blank must not underline it. */
		if (f->shown & ~f->style)
			show_style(f);
		kt_buf_addc(&f->line, ' ');
		f->at++;
		f->blank = false;
	}
	for (size_t i = 0; i < len;) {
		size_t w, n;

		if (s[i] == KT_MARK) {
			f->style = i + 1 < len ? (unsigned char)s[i + 1] & 0x7fu : 0;
			i += 2;
			continue;
		}
		n = glyph_len(s + i, len - i, &w);
		if (f->hard && f->at && f->at + w > f->width)
			end_folded_line(f);
		show_style(f);
		kt_buf_add(&f->line, s + i, n);
		f->at += w;
		i += n;
	}
}

void kt_fold(struct kt_vec *lines, const char *s, size_t len, size_t width, bool hard)
{
	struct folder f = { .lines = lines, .width = KT_MAX(width, (size_t)1), .hard = hard };
	size_t i = 0;

	kt_buf_init(&f.line, LINE_MAX_BYTES);
	while (i < len) {
		size_t start = i;

		if (s[i] == ' ') {
			f.blank = f.at > 0;
			i++;
			continue;
		}
		if (s[i] == '\n') {
			end_folded_line(&f);
			i++;
			continue;
		}
		while (i < len && s[i] != ' ' && s[i] != '\n')
			i += s[i] == KT_MARK ? 2 : 1;
		i = KT_MIN(i, len);
		fold_word(&f, s + start, i - start);
	}
	if (f.at || f.line.len)
		end_folded_line(&f);
	kt_buf_release(&f.line);
}
