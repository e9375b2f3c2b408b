/* SPDX-License-Identifier: MIT */
/*
 * Harnesses started ahead, so that the first message of a session does not wait for a program to
 * start. One that dies unasked is replaced, with growing pauses; after a few deaths in a row the
 * pool waits for a new load of the folder, because what is wrong is in there.
 */
#include "harness/harness.h"

#include "base/log.h"
#include "base/vec.h"

enum {
	REFILL_MS = 250, /* after a take: let the turn that took it begin first */
	RETRY_MS = 1000, /* after a death; doubles */
	MAX_DEATHS = 4, /* in a row */
};

struct kt_pool {
	struct kt_harness_env *env;
	size_t size;
	const struct kt_app *app;
	char *program;
	uint64_t fingerprint;
	struct kt_vec slots; /* pool_slot */
	unsigned deaths; /* in a row */
	struct kt_timer *timer; /* NULL while nothing is to be started */
};

struct pool_slot {
	struct kt_pool *pool;
	struct kt_harness *harness;
};

static void refill_pool(void *arg);

static void refill_in(struct kt_pool *p, int64_t delay_ms)
{
	if (!p->timer)
		p->timer = kt_timer_new(p->env->loop, refill_pool, p);
	if (!kt_timer_active(p->timer))
		kt_timer_start(p->timer, delay_ms, 0);
}

static void slot_ready(void *arg, const char *harness_session)
{
	struct pool_slot *slot = arg;

	slot->pool->deaths = 0;
}

static void slot_stderr(void *arg, const char *line, const char *raw)
{
	(void)raw;
	kt_log(KT_LOG_DEBUG, "pool", "%s", line);
}

static void slot_gone(void *arg)
{
	struct pool_slot *slot = arg;
	struct kt_pool *p = slot->pool;

	kt_vec_remove_ptr(&p->slots, slot);
	free(slot);
	if (++p->deaths > MAX_DEATHS) {
		kt_log(KT_LOG_WARN, "pool",
			"the harness does not stay alive; it is started on demand from now on");
		return;
	}
	refill_in(p, (int64_t)RETRY_MS << (p->deaths - 1));
}

static const struct kt_harness_cbs slot_cbs = {
	.ready = slot_ready,
	.stderr_line = slot_stderr,
	.gone = slot_gone,
};

static void refill_pool(void *arg)
{
	struct kt_pool *p = arg;

	kt_timer_free(p->timer);
	p->timer = NULL;
	while (p->app && p->slots.len < p->size && p->deaths <= MAX_DEATHS) {
		struct pool_slot *slot = kt_calloc(1, sizeof(*slot));
		const struct kt_harness_start start = {
			.driver = { .app = p->app, .program = p->program },
		};
		struct kt_err err = KT_ERR_INIT;

		slot->pool = p;
		if (kt_harness_start(p->env, &start, &slot_cbs, slot, &slot->harness, &err) !=
			KT_OK) {
			kt_log(KT_LOG_WARN, "pool", "%s", err.msg);
			free(slot);
			return;
		}
		kt_vec_push(&p->slots, slot);
	}
}

static void empty_pool(struct kt_pool *p)
{
	while (p->slots.len) {
		struct pool_slot *slot = kt_vec_remove(&p->slots, p->slots.len - 1);

		kt_harness_kill(slot->harness);
		free(slot);
	}
	kt_timer_free(p->timer);
	p->timer = NULL;
}

struct kt_pool *kt_pool_new(struct kt_harness_env *env, size_t size)
{
	struct kt_pool *p = kt_calloc(1, sizeof(*p));

	p->env = env;
	p->size = size;
	return p;
}

void kt_pool_set(
	struct kt_pool *p, const struct kt_app *app, const char *program, uint64_t fingerprint)
{
	empty_pool(p);
	free(p->program);
	p->program = kt_strdup_opt(program);
	p->app = app;
	p->fingerprint = fingerprint;
	p->deaths = 0;
	/* On the next tick: the caller is in the middle of a load. */
	if (app && p->size)
		refill_in(p, 0);
}

struct kt_harness *kt_pool_take(
	struct kt_pool *p, uint64_t fingerprint, const struct kt_harness_cbs *cbs, void *arg)
{
	struct kt_harness *h;
	size_t best = 0;

	if (!p->app || p->fingerprint != fingerprint || p->slots.len == 0)
		return NULL;
	for (size_t i = 0; i < p->slots.len; i++) {
		const struct pool_slot *slot = p->slots.items[i];

		if (kt_harness_is_ready(slot->harness)) {
			best = i;
			break;
		}
	}
	struct pool_slot *slot = kt_vec_remove(&p->slots, best);

	h = slot->harness;
	free(slot);
	kt_harness_adopt(h, cbs, arg);
	refill_in(p, REFILL_MS);
	return h;
}

void kt_pool_free(struct kt_pool *p)
{
	if (!p)
		return;
	empty_pool(p);
	free(p->program);
	kt_vec_release(&p->slots);
	free(p);
}
