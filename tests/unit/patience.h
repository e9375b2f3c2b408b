/* SPDX-License-Identifier: MIT */
/*
 * What the unit tests share about time and chance. A wait ends on what it waits for; how long it may
 * take at most is generous, and longer on a machine that tests/run found slow (KARTA_TEST_SLOW).
 * Numbers at random come from KARTA_TEST_SEED, and the seed is printed.
 */
#ifndef TEST_PATIENCE_H
#define TEST_PATIENCE_H

#include "base/env.h"
#include "base/rand.h"
#include "base/str.h"
#include "base/time.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 60000

KT_UNUSED static const char *test_setting(const char *name)
{
	size_t n = strlen(name);

	for (char **e = kt_env_all(); *e; e++)
		if (!strncmp(*e, name, n) && (*e)[n] == '=')
			return *e + n + 1;
	return NULL;
}

/* That many milliseconds of a quiet machine on this one. */
KT_UNUSED static int64_t slowed_ms(int64_t ms)
{
	const char *s = test_setting("KARTA_TEST_SLOW");
	int64_t factor = 1;

	/* The whole part, and one for the rest of it. */
	if (s && kt_str_int64n(s, strcspn(s, "."), 1, 1000, &factor) && s[strcspn(s, ".")])
		factor++;
	return ms * factor;
}

/* Wait until the condition holds; what it reads another thread or process changes. */
#define EVENTUALLY(cond)                                                                           \
	do {                                                                                       \
		int64_t until_us_ = kt_mono_us() + slowed_ms(PATIENCE_MS) * 1000;                  \
		while (!(cond)) {                                                                  \
			if (kt_mono_us() > until_us_)                                              \
				fail_msg("waited in vain for: %s", #cond);                         \
			(void)usleep(2000);                                                        \
		}                                                                                  \
	} while (0)

/* Processor time of this process in microseconds: work is measured by it, whatever runs beside. */
KT_UNUSED static int64_t cpu_us(void)
{
	struct timespec ts;

	assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts), 0);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* From 0 to n - 1, the same ones in every run with the same seed (for one thread). */
KT_UNUSED static uint64_t chance_below(uint64_t n)
{
	static uint64_t state;
	static bool seeded;

	if (!seeded) {
		const char *s = test_setting("KARTA_TEST_SEED");
		int64_t seed = (int64_t)kt_rand_below(INT32_MAX);

		if (s)
			assert_true(kt_str_int64(s, 0, INT64_MAX, &seed));
		print_message("# KARTA_TEST_SEED=%lld\n", (long long)seed);
		state = (uint64_t)seed;
		seeded = true;
	}
	/* splitmix64 */
	state += 0x9e3779b97f4a7c15U;
	uint64_t z = state;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
	return (z ^ (z >> 31)) % n;
}

KT_UNUSED static void chance_bytes(void *out, size_t len)
{
	unsigned char *p = out;

	for (size_t i = 0; i < len; i++)
		p[i] = (unsigned char)chance_below(256);
}

#endif
