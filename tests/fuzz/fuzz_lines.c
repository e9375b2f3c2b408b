/* SPDX-License-Identifier: MIT */
/*
 * Line framing: the first bytes choose the maximum and the cuts; the lines and the error are the
 * same for every way to cut, and no line passes the maximum or holds a LF.
 */
#include "text/lines.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	struct kt_buf all;
	size_t max;
};

static void on_line(void *arg, char *line, size_t len)
{
	struct seen *s = arg;

	if (len > s->max || line[len] || memchr(line, '\n', len))
		abort();
	kt_buf_addf(&s->all, "%zu:", len);
	kt_buf_add(&s->all, line, len);
}

static void run(struct seen *s, const char *p, size_t len, size_t first, size_t step)
{
	struct kt_lines l;

	kt_lines_init(&l, s->max);
	for (size_t i = 0; i < len;) {
		size_t n = KT_MIN(i ? step : first, len - i);

		if (kt_lines_feed(&l, p + i, n, on_line, s, NULL) != KT_OK)
			kt_buf_adds(&s->all, "!");
		i += n;
	}
	kt_lines_end(&l, on_line, s);
	kt_lines_release(&l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct seen whole = { KT_BUF_INIT(64 * 1024 * 1024), 0 };
	struct seen cut = { KT_BUF_INIT(64 * 1024 * 1024), 0 };
	const char *p;

	if (size < 3)
		return 0;
	p = (const char *)data + 3;
	whole.max = cut.max = data[0];
	run(&whole, p, size - 3, size, size);
	run(&cut, p, size - 3, (size_t)data[1] + 1, (size_t)data[2] + 1);
	if (whole.all.len != cut.all.len || memcmp(whole.all.ptr, cut.all.ptr, cut.all.len) != 0)
		abort();
	kt_buf_release(&whole.all);
	kt_buf_release(&cut.all);
	return 0;
}
