/* SPDX-License-Identifier: MIT */
/* The last turns of a server that is shutting down. */
#include "session/run/run_private.h"

bool kt_sessions_draining(const struct kt_sessions *reg)
{
	return reg->draining;
}

void kt_sessions_turn_done(struct kt_sessions *reg)
{
	if (reg->running)
		reg->running--;
	if (reg->draining && !reg->running && reg->drained) {
		kt_loop_fn fn = reg->drained;

		reg->drained = NULL;
		fn(reg->drained_arg);
	}
}

static void drain_over(void *arg)
{
	struct kt_sessions *reg = arg;

	reg->running = 0;
	kt_sessions_turn_done(reg);
}

void kt_sessions_drain(struct kt_sessions *reg, int64_t limit_ms, kt_loop_fn done, void *arg)
{
	reg->draining = true;
	reg->drained = done;
	reg->drained_arg = arg;
	reg->drain_timer = kt_timer_new(reg->loop, drain_over, reg);
	kt_timer_start(reg->drain_timer, reg->running ? limit_ms : 0, 0);
}
