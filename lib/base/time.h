/* SPDX-License-Identifier: MIT */
/* Clocks and time text. Microseconds since 1970 UTC for times, monotonic for deadlines. */
#ifndef KT_BASE_TIME_H
#define KT_BASE_TIME_H

#include "base/base.h"

/* Wall clock in microseconds UTC. */
int64_t kt_time_us(void);
/* Monotonic clock in microseconds; for deadlines and durations only. */
int64_t kt_mono_us(void);
/* RFC 3339 with "+00:00": "2026-06-01T12:00:00+00:00" (size >= 33; microseconds if with_us). */
void kt_time_iso(int64_t us, bool with_us, char *out, size_t size);
/* Parse RFC 3339 ("...Z" or an offset, optional fraction) or plain seconds; false when neither. */
KT_MUST_CHECK bool kt_time_parse(const char *s, int64_t *out_us);
/* "3 seconds ago", "2 hours ago", "5 days ago" for tables. */
void kt_time_ago(int64_t us, int64_t now_us, char *out, size_t size);
/* "2026-11-30 17:42:03" in the zone of this machine. */
void kt_time_local(int64_t us, char *out, size_t size);
/* The start of a line of a log, in the zone of this machine: "Nov 30 17:42:03". */
void kt_time_log(int64_t us, char *out, size_t size);
/*
 * A time in the zone of this machine as people type it, whole or its end left out:
 * "2026-11-30 17:42:03", "2026-11-30 17:42", "2026-11-30", "17:42" (the last one before now_us).
 */
KT_MUST_CHECK bool kt_time_parse_local(const char *s, int64_t now_us, int64_t *out_us);
/*
 * A time as people say it, in the zone of this machine: within a day as kt_time_ago(), in the same
 * year or within half a year "Nov 30 17:42", else "Nov 30 2025". At most 14 columns of ASCII.
 */
void kt_time_human(int64_t us, int64_t now_us, char *out, size_t size);

#endif
