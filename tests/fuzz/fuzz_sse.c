/* SPDX-License-Identifier: MIT */
/*
 * Event stream reader: the first bytes choose the maximum and the cuts; the events and the result
 * are the same for every way to cut, and nothing passes the maximum.
 */
#include "text/sse.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	struct kt_buf all;
	size_t max;
};

static bool on_event(void *arg, const struct kt_sse_event *ev)
{
	struct seen *s = arg;

	if (ev->data_len > s->max || ev->data[ev->data_len] || !ev->event[0] ||
		strpbrk(ev->id, "\r\n") || strpbrk(ev->event, "\r\n") ||
		memchr(ev->data, '\r', ev->data_len))
		abort();
	kt_buf_addf(&s->all, "<%s|%s|%zu|", ev->id, ev->event, ev->data_len);
	kt_buf_add(&s->all, ev->data, ev->data_len);
	return ev->data_len != 4 || memcmp(ev->data, "stop", 4) != 0;
}

static void run(struct seen *s, const char *p, size_t len, size_t first, size_t step)
{
	struct kt_sse r;
	enum kt_code code = KT_OK;

	kt_sse_init(&r, s->max);
	for (size_t i = 0; i < len && code == KT_OK;) {
		size_t n = KT_MIN(i ? step : first, len - i);

		code = kt_sse_feed(&r, p + i, n, on_event, s, NULL);
		i += n;
	}
	kt_buf_addf(&s->all, "code %d retry %lld id %s", code, (long long)r.retry_ms, r.id);
	kt_sse_release(&r);
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
