/* SPDX-License-Identifier: MIT */
/*
 * A journal that cannot be written. Nothing is durable then, and whoever asks is told so; what
 * happens goes on in memory, which has everything the journal has.
 *
 *   well --no room--> failed --written--> well
 *     \                  \--too many lines wait, or they cannot be cut back-->\
 *      \--a write or a sync failed------------------------------------------> broken
 *   broken --rewritten from memory, on disk, in place--> well
 *
 * "failed": the file has what it had, and the lines wait in memory. "broken": after a failed sync
 * nobody knows what the disk has (the kernel may have dropped the pages, and the next sync says
 * nothing of them), so only a new file counts.
 */
#include "session/keep/keep_private.h"

#include "base/limits.h"
#include "base/log.h"

#define FIRST_MS 250

static void arm_mend(struct kt_sessions *reg, int64_t ms);

/* A local server's journal is small. */
static void rewrite_journal(struct kt_sessions *reg)
{
	if (reg->control)
		kt_copy_begin(reg);
	else if (kt_journal_compact(reg, NULL) == KT_OK)
		kt_journal_mended(reg);
}

static void try_again(void *arg)
{
	struct kt_sessions *reg = arg;

	if (reg->journal_broken && !reg->copy)
		rewrite_journal(reg);
	/* Also what is due, but for which no descriptor was left. */
	if (reg->trouble.code != KT_OK) {
		kt_loop_defer(reg->loop, &reg->tick);
		arm_mend(reg, KT_MIN(reg->mend_ms * 2, (int64_t)KT_MEND_MS));
	}
}

static void arm_mend(struct kt_sessions *reg, int64_t ms)
{
	if (!reg->mend)
		reg->mend = kt_timer_new(reg->loop, try_again, reg);
	reg->mend_ms = ms;
	kt_timer_start(reg->mend, ms, 0);
}

void kt_journal_trouble(struct kt_sessions *reg, bool broken, int error, const char *doing)
{
	bool first = reg->trouble.code == KT_OK;

	reg->journal_broken = reg->journal_broken || broken;
	(void)kt_fail(&reg->trouble, KT_EIO, error, "cannot %s the session journal", doing);
	if (!first)
		return;
	kt_log(KT_LOG_ERROR, "session", "%s; %s until it can, which is tried again and again",
		reg->trouble.msg,
		reg->control ? "sessions and messages are refused" : "sessions are in memory only");
	arm_mend(reg, FIRST_MS);
}

void kt_journal_mended(struct kt_sessions *reg)
{
	reg->journal_failed = false;
	reg->journal_broken = false;
	reg->trouble = (struct kt_err)KT_ERR_INIT;
	if (reg->mend)
		kt_timer_stop(reg->mend);
	kt_log(KT_LOG_INFO, "session", "the session journal is written again; nothing was lost");
}

void kt_journal_last_chance(struct kt_sessions *reg)
{
	struct kt_err err = KT_ERR_INIT;

	if (reg->trouble.code != KT_OK && kt_journal_compact(reg, &err) != KT_OK)
		kt_log(KT_LOG_ERROR, "session", "the last changes of sessions are lost: %s",
			err.msg);
}

enum kt_code kt_sessions_health(const struct kt_sessions *reg, struct kt_err *err)
{
	if (reg->trouble.code != KT_OK && err)
		*err = reg->trouble;
	return reg->trouble.code;
}
