/* SPDX-License-Identifier: MIT */
/*
 * What the process of a harness writes: bytes to lines, lines to the driver. A line that takes
 * longer than a tick may is read on a thread (aside.c). Until that is over the driver is the
 * thread's: nothing more is read of the process, and what others want of the driver waits.
 */
#include "harness/harness_private.h"

#include "base/limits.h"
#include "base/str.h"

#include <string.h>

/* --- how much is kept ---------------------------------------------------------------------- */

/* As much as a line that a tick may take costs nothing: every harness has that. */
static size_t line_bytes_kept(struct kt_harness *h)
{
	size_t bytes = h->out.buf.len + h->lines.len;

	if (!h->driver)
		h->driver_kept = 0;
	else if (!h->aside || !kt_aside_has_driver(h->aside))
		h->driver_kept = h->driver->kept;
	bytes += h->driver_kept;
	if (h->child)
		bytes += kt_child_queued(h->child);
	if (h->aside)
		bytes += kt_aside_bytes(h->aside);
	return bytes > KT_MAX_TICK_LINE_BYTES ? bytes : 0;
}

bool kt_harness_count(struct kt_harness *h, size_t more)
{
	enum kt_budget_limit limit = kt_hold_set(&h->hold, line_bytes_kept(h) + more);
	bool own = limit == KT_BUDGET_ORG;
	char *text;

	if (limit == KT_BUDGET_FITS)
		return true;
	if (h->deaf || h->dead)
		return false;
	text = kt_asprintf(
		"there is no room for what the harness writes: what the sessions of %s keep in "
		"memory is at its limit of %d MiB (fixed); it was stopped. Send again when "
		"other turns have ended",
		own ? "this organization" : "this server",
		(own ? KT_MAX_KEPT_ORG_BYTES : KT_MAX_KEPT_BYTES) / (1024 * 1024));
	if (own)
		kt_harness_kill_because(h, "limit_reached", text);
	else
		kt_harness_kill_because(h, "unavailable", text);
	return false;
}

/* --- beside the loop --------------------------------------------------------------------- */

/* An answer that came while the driver was away. */
struct held_answer {
	char *ask_id, *answers, *note;
	enum kt_decision decision;
};

void kt_harness_hold_answer(struct kt_harness *h, const char *ask_id, enum kt_decision decision,
	const char *answers, const char *note)
{
	struct held_answer *held = kt_calloc(1, sizeof(*held));

	held->ask_id = kt_strdup(ask_id);
	held->answers = kt_strdup_opt(answers);
	held->note = kt_strdup_opt(note);
	held->decision = decision;
	kt_vec_push(&h->answers, held);
}

static void held_answer_free(struct held_answer *held)
{
	free(held->ask_id);
	free(held->answers);
	free(held->note);
	free(held);
}

/* What others wanted of the driver meanwhile, in the order that matters. */
static void give_held(struct kt_harness *h)
{
	while (h->answers.len && !h->dead) {
		struct held_answer *held = kt_vec_remove(&h->answers, 0);

		kt_harness_answer(h, held->ask_id, held->decision, held->answers, held->note);
		held_answer_free(held);
	}
	kt_harness_give_prompt(h);
	if (h->interrupt_waits)
		kt_harness_interrupt(h);
	h->interrupt_waits = false;
	if (h->stop_waits)
		kt_harness_stop(h);
	h->stop_waits = false;
}

/* The line is read, and all that it caused was told: those that came with it are next. */
static void line_over(struct kt_harness *h)
{
	struct kt_buf lines = h->lines;

	h->aside = NULL;
	kt_buf_init(&h->lines, KT_MAX_LINE_BYTES);
	for (size_t at = 0; at < lines.len;) {
		char *line = lines.ptr + at;
		size_t n = (size_t)((char *)memchr(line, '\n', lines.len - at) - line);

		line[n] = '\0';
		at += n + 1;
		kt_harness_line(h, line, n);
	}
	kt_buf_release(&lines);
	kt_harness_count(h, 0);
	give_held(h);
}

static void on_line_over(void *arg)
{
	struct kt_harness *h = arg;

	kt_harness_enter(h);
	kt_aside_free(h->aside);
	line_over(h);
	if (h->child && !h->dead && !h->aside)
		kt_child_pause(h->child, false);
	kt_harness_leave(h);
}

static void aside_enter(void *arg)
{
	kt_harness_enter(arg);
}

/* Less is left of it. */
static void aside_leave(void *arg)
{
	kt_harness_count(arg, 0);
	kt_harness_leave(arg);
}

static struct kt_aside_owner owner_of(struct kt_harness *h)
{
	return (struct kt_aside_owner){ on_line_over, aside_enter, aside_leave, h };
}

static const char *org_of(const struct kt_harness *h)
{
	return h->org ? h->org : "";
}

void kt_harness_read_out(struct kt_harness *h)
{
	if (!h->aside)
		return;
	kt_aside_finish(h->aside);
	line_over(h);
}

void kt_harness_read_drop(struct kt_harness *h)
{
	kt_aside_free(KT_STEAL(h->aside));
	while (h->answers.len)
		held_answer_free(kt_vec_remove(&h->answers, h->answers.len - 1));
	kt_vec_release(&h->answers);
	kt_buf_release(&h->lines);
}

/* --- lines ------------------------------------------------------------------------------- */

void kt_harness_line(void *arg, char *line, size_t len)
{
	struct kt_harness *h = arg;

	if (h->dead || h->restart || h->deaf || !h->driver)
		return;
	if (h->aside) {
		kt_buf_add(&h->lines, line, len);
		kt_buf_addc(&h->lines, '\n');
		return;
	}
	kt_harness_touch(h);
	/* Half of a line that its process has died over is nothing that the loop has time for. */
	if (len > KT_MAX_TICK_LINE_BYTES && !h->child)
		return;
	if (len <= KT_MAX_TICK_LINE_BYTES || line != h->out.buf.ptr) {
		h->ops->line(h->driver, line, len);
		return;
	}
	const struct kt_aside_owner owner = owner_of(h);

	/* The line itself is in the buffer still. */
	if (!kt_harness_count(h, kt_aside_cost(len) - len))
		return;
	kt_child_pause(h->child, true);
	h->aside = kt_aside_new(
		h->env->loop, org_of(h), h->driver, kt_lines_take(&h->out), len, &owner);
}

void kt_harness_prompt_aside(struct kt_harness *h)
{
	const struct kt_aside_owner owner = owner_of(h);

	h->aside = kt_aside_prompt(h->env->loop, org_of(h), h->driver, &h->prompt, &owner);
}

void kt_harness_out(void *arg, const char *data, size_t len)
{
	struct kt_harness *h = arg;

	kt_harness_enter(h);
	if (kt_lines_feed(&h->out, data, len, kt_harness_line, h, NULL) != KT_OK && !h->deaf)
		kt_harness_kill_because(h, "line_too_long",
			kt_asprintf("the harness wrote a line of over %d MiB, which is more than "
				    "karta reads (fixed); it was stopped",
				KT_MAX_LINE_BYTES / (1024 * 1024)));
	/* Who is not heard any more keeps nothing. */
	if (!kt_harness_count(h, 0) || h->deaf) {
		kt_lines_clear(&h->out);
		kt_harness_count(h, 0);
	}
	kt_harness_leave(h);
}

void kt_harness_err_line(void *arg, char *line, size_t len)
{
	KT_AUTO_BUF struct kt_buf shown = KT_BUF_INIT((size_t)8 * KT_STDERR_LINE_BYTES);
	struct kt_harness *h = arg;

	if (h->dead || len == 0)
		return;
	if (h->driver && h->ops->err_line && h->ops->err_line(h->driver, line))
		return;
	/* Few harnesses write here: what their variables hold is looked at when one does. */
	if (!h->tail.hides)
		kt_tail_hide(&h->tail, h->env->extra_env, h->cfg.extra_env);
	kt_tail_add(&h->tail, line, len, &shown);
	for (char *nul = line; (nul = memchr(nul, '\0', len - (size_t)(nul - line)));)
		*nul = '?';
	KT_TELL(h, stderr_line, shown.ptr, line);
}

void kt_harness_err(void *arg, const char *data, size_t len)
{
	struct kt_harness *h = arg;

	kt_harness_enter(h);
	/* An endless line is dropped, to its end: its rest would begin in the midst of a word. */
	while (len > 0) {
		const char *lf = memchr(data, '\n', len);
		size_t n = lf ? (size_t)(lf - data) + 1 : len;

		if (h->err_skips) {
			h->err_skips = !lf;
		} else if (kt_lines_feed(&h->err, data, n, kt_harness_err_line, h, NULL) != KT_OK) {
			kt_lines_clear(&h->err);
			h->err_skips = !lf;
		}
		data += n;
		len -= n;
	}
	kt_harness_leave(h);
}
