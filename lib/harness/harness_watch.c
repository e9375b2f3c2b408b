/* SPDX-License-Identifier: MIT */
/*
 * The watchdogs of a running harness, and how it is stopped politely: each step harder than the
 * last.
 */
#include "harness/harness_private.h"

#include "base/limits.h"
#include "base/str.h"

#include <signal.h>

enum {
	STOP_INTERRUPT_MS = 2000, /* interrupt until the turn's end */
	STOP_EOF_MS = 3000, /* end of input until the exit */
	STOP_TERM_MS = 2000, /* SIGTERM until the tree is killed */
	AWAY_MS = 20, /* until the watchdogs look again when a thread has the driver */
};

int64_t kt_harness_limit_ms(int64_t configured, int64_t standard)
{
	return configured > 0 ? configured : standard;
}

/* --- stopping ---------------------------------------------------------------------------- */

/* The next, harder step. */
void kt_harness_stop_next(struct kt_harness *h)
{
	kt_dues_clear(&h->dues, DUE_STOP);
	if (!h->ops->has_process || h->waits) {
		kt_loop_defer(h->env->loop, &h->later);
		return;
	}
	if (!h->child)
		return;
	if (h->stop < STOP_EOF && h->ops->exits_on_eof(h->driver)) {
		h->stop = STOP_EOF;
		kt_child_close_stdin(h->child);
		kt_dues_set(&h->dues, DUE_STOP, STOP_EOF_MS);
	} else if (h->stop < STOP_TERM) {
		h->stop = STOP_TERM;
		kt_child_signal(h->child, SIGTERM);
		kt_dues_set(&h->dues, DUE_STOP, STOP_TERM_MS);
	} else if (h->stop < STOP_KILLED) {
		h->stop = STOP_KILLED;
		kt_child_kill_tree(h->child);
	}
}

void kt_harness_stop(struct kt_harness *h)
{
	if (h->dead || h->stop != STOP_NOT)
		return;
	if (h->aside) {
		h->stop_waits = true;
		return;
	}
	kt_harness_enter(h);
	h->stop = STOP_TURN;
	if (h->in_turn && h->prompt_given) {
		kt_dues_set(&h->dues, DUE_STOP, STOP_INTERRUPT_MS);
		h->ops->interrupt(h->driver);
	} else {
		if (h->in_turn)
			kt_harness_abort(h, "interrupted", NULL, NULL);
		if (!h->dead && h->stop == STOP_TURN)
			kt_harness_stop_next(h);
	}
	kt_harness_leave(h);
}

/* --- watchdogs --------------------------------------------------------------------------- */

/* Nothing comes: ask it to stop, and let the cancel watchdog do the rest. */
static void harness_unresponsive(struct kt_harness *h, int64_t ms, const char *what)
{
	kt_dues_clear(&h->dues, DUE_FIRST);
	kt_dues_clear(&h->dues, DUE_SILENCE);
	kt_harness_set_why(h, "unresponsive",
		kt_asprintf("%s for %lld s (fixed)", what, (long long)((ms + 999) / 1000)));
	kt_dues_set(
		&h->dues, DUE_CANCEL, kt_harness_limit_ms(h->env->cancel_ms, KT_TURN_CANCEL_MS));
	h->ops->interrupt(h->driver);
}

static void due_act(struct kt_harness *h, enum due which)
{
	int64_t start_ms = kt_harness_limit_ms(h->env->start_ms, KT_TURN_START_MS);

	switch (which) {
	case DUE_START:
		kt_harness_kill_because(h, "harness_start_failed",
			kt_asprintf("the harness was not ready after %lld s (fixed)",
				(long long)((start_ms + 999) / 1000)));
		break;
	case DUE_FIRST:
		harness_unresponsive(h,
			kt_harness_limit_ms(h->env->first_event_ms, KT_TURN_FIRST_EVENT_MS),
			"no answer to the message");
		break;
	case DUE_SILENCE:
		harness_unresponsive(h, kt_harness_limit_ms(h->env->silence_ms, KT_TURN_SILENCE_MS),
			"no sign of life");
		break;
	case DUE_CANCEL:
		kt_harness_kill_because(h, "unresponsive",
			kt_strdup("the harness did not stop the turn and was killed"));
		break;
	case DUE_STOP:
		kt_harness_stop_next(h);
		break;
	case DUE_DRIVER:
		h->ops->timer(h->driver);
		break;
	case DUE_TEXT:
		kt_harness_give_text(h);
		break;
	case DUE_N_:
		break;
	}
}

void kt_harness_timer(void *arg)
{
	struct kt_harness *h = arg;
	int64_t now = kt_loop_now_ms(h->env->loop);

	kt_harness_enter(h);
	/* The driver is away, and reads what it said: there is life. */
	for (size_t i = 0; i < DUE_N_ && h->aside; i++) {
		if (h->dues.at_ms[i] && h->dues.at_ms[i] <= now)
			h->dues.at_ms[i] = now + AWAY_MS;
	}
	for (size_t i = 0; i < DUE_N_ && !h->dead; i++) {
		if (!h->dues.at_ms[i] || h->dues.at_ms[i] > now)
			continue;
		h->dues.at_ms[i] = 0;
		due_act(h, (enum due)i);
	}
	if (!h->dead)
		kt_dues_schedule(&h->dues);
	kt_harness_leave(h);
}
