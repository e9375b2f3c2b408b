/* SPDX-License-Identifier: MIT */
/*
 * One line of progress, redrawn in place. Drawn by the caller's updates only: no thread, no timer,
 * so nothing is left behind when the caller is killed. Write errors are ignored: progress is talk.
 */
#include "base/env.h"
#include "base/fs.h"
#include "base/str.h"
#include "base/time.h"
#include "cli/term.h"
#include "text/clean.h"
#include "text/unicode.h"

#include <string.h>

#define FIRST_US 500000 /* what is quicker than this needs no progress */
#define EACH_US 100000

struct kt_progress {
	int fd;
	struct kt_term t;
	bool animate; /* a terminal that can move its cursor, with somebody before it */
	int64_t start_us;
	int64_t drawn_us; /* 0 = nothing is on the screen */
	unsigned frame;
};

struct kt_progress *kt_progress_new(int fd, const struct kt_term *t)
{
	struct kt_progress *p = kt_calloc(1, sizeof(*p));

	p->fd = fd;
	p->t = *t;
	p->animate = t->is_tty && !kt_str_eq(kt_env_get("TERM"), "dumb") && !kt_env_get("CI");
	p->start_us = kt_mono_us();
	return p;
}

static void put_progress(struct kt_progress *p, const struct kt_buf *b)
{
	enum kt_code rc = kt_fs_write_all(p->fd, b->ptr, b->len, NULL);

	(void)rc;
}

/* Longest head of s that takes at most width columns. */
static size_t fit_text(const char *s, size_t width)
{
	size_t len = strlen(s), used = 0, i = 0;

	while (i < len) {
		uint32_t cp;
		size_t n = kt_utf8_decode(s + i, len - i, &cp);

		used += n ? (size_t)kt_unicode_width(cp) : 1;
		if (used > width)
			break;
		i += n ? n : 1;
	}
	return i;
}

void kt_progress_update(struct kt_progress *p, const char *text)
{
	static const char *const dots[] = { "\xe2\xa0\x8b", "\xe2\xa0\x99", "\xe2\xa0\xb9",
		"\xe2\xa0\xb8", "\xe2\xa0\xbc", "\xe2\xa0\xb4", "\xe2\xa0\xa6", "\xe2\xa0\xa7" };
	static const char *const bars[] = { "|", "/", "-", "\\" };
	KT_AUTO_BUF struct kt_buf line = KT_BUF_INIT(8192);
	KT_AUTO_BUF struct kt_buf clean = KT_BUF_INIT(4096);
	int64_t now = kt_mono_us();
	size_t columns = (size_t)KT_MAX(p->t.columns, 20);

	if (!p->animate || now - p->start_us < FIRST_US)
		return;
	if (p->drawn_us && now - p->drawn_us < EACH_US)
		return;
	kt_clean_add(&clean, text, strlen(text), true);
	kt_buf_adds(&line, "\r\033[K");
	kt_term_add(&line, &p->t, KT_STYLE_CYAN,
		p->t.utf8 ? dots[p->frame % KT_ARRAY_LEN(dots)]
			  : bars[p->frame % KT_ARRAY_LEN(bars)]);
	kt_buf_addc(&line, ' ');
	/* Spinner, blanks and the seconds take 12 columns at most. */
	kt_buf_add(&line, clean.ptr, fit_text(clean.ptr, columns - 12));
	kt_buf_addf(&line, " %llds", (long long)((now - p->start_us) / 1000000));
	put_progress(p, &line);
	p->drawn_us = now;
	p->frame++;
}

void kt_progress_clear(struct kt_progress *p)
{
	KT_AUTO_BUF struct kt_buf line = KT_BUF_INIT(16);

	if (!p->drawn_us)
		return;
	kt_buf_adds(&line, "\r\033[K");
	put_progress(p, &line);
	p->drawn_us = 0;
}

void kt_progress_free(struct kt_progress *p)
{
	if (!p)
		return;
	kt_progress_clear(p);
	free(p);
}
