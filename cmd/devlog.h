/* SPDX-License-Identifier: MIT */
/*
 * The readable log of `karta dev`: one line an entry ("12:03:04.120 info  turn     ..."), into
 * dev.log of the state folder, and to stderr when there is no chat in the terminal.
 */
#ifndef KT_CMD_DEVLOG_H
#define KT_CMD_DEVLOG_H

#include "base/err.h"
#include "base/log.h"
#include "cli/term.h"

/*
 * Open the log (the old one is kept as dev.log.1 when it is larger than 8 MiB) and make it the sink
 * of kt_log(). console NULL: the file only. Entries below `lowest` are dropped.
 */
KT_MUST_CHECK enum kt_code kt_devlog_open(const char *data_dir, const struct kt_term *console,
	enum kt_log_level lowest, struct kt_err *err);
/* Path of the log; valid after kt_devlog_open(). */
const char *kt_devlog_path(void);
/* Stop logging and close. */
void kt_devlog_close(void);

#endif
