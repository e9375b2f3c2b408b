/* SPDX-License-Identifier: MIT */
/* Due times with one timer; see dues.h. */
#include "harness/dues_private.h"

#include "base/base.h"

void kt_dues_schedule(struct kt_dues *d)
{
	int64_t first = 0;

	for (size_t i = 0; i < KT_DUES; i++) {
		if (d->at_ms[i] && (!first || d->at_ms[i] < first))
			first = d->at_ms[i];
	}
	if (!first) {
		kt_timer_free(d->timer);
		d->timer = NULL;
		return;
	}
	if (!d->timer)
		d->timer = kt_timer_new(d->loop, d->fn, d->arg);
	/* One that fires too early looks again: so events need not restart it. */
	if (kt_timer_active(d->timer) && d->timer_ms <= first)
		return;
	d->timer_ms = first;
	kt_timer_start(d->timer, KT_MAX(first - kt_loop_now_ms(d->loop), 0), 0);
}

void kt_dues_set(struct kt_dues *d, size_t which, int64_t delay_ms)
{
	/* Never 0, which means "not due". */
	d->at_ms[which] = KT_MAX(kt_loop_now_ms(d->loop) + delay_ms, 1);
	kt_dues_schedule(d);
}

void kt_dues_clear(struct kt_dues *d, size_t which)
{
	if (!d->at_ms[which])
		return;
	d->at_ms[which] = 0;
	kt_dues_schedule(d);
}
