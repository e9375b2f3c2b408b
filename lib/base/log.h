/* SPDX-License-Identifier: MIT */
/*
 * The server's own log: one line an entry, to a sink that main() sets (none by default, so lib/
 * prints nothing by itself). Levels: debug, info, warn, error.
 */
#ifndef KT_BASE_LOG_H
#define KT_BASE_LOG_H

#include "base/base.h"

enum kt_log_level { KT_LOG_DEBUG, KT_LOG_INFO, KT_LOG_WARN, KT_LOG_ERROR };

/* source is a short word ("http", "harness", "turn"); text is one line without control bytes. */
typedef void (*kt_log_fn)(void *arg, enum kt_log_level level, const char *source, const char *text);

/* Set the sink and the lowest level it gets. Call before threads start. */
void kt_log_set(kt_log_fn fn, void *arg, enum kt_log_level lowest);
/* Log one line; control characters are escaped, length is bounded (4 KiB). */
void kt_log(enum kt_log_level level, const char *source, const char *fmt, ...) KT_PRINTF(3, 4);
/* "debug", "info", "warn", "error". */
const char *kt_log_level_name(enum kt_log_level level);
/* Parse a level name; false when unknown. */
KT_MUST_CHECK bool kt_log_level_parse(const char *s, enum kt_log_level *out);

#endif
