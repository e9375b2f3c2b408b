/* SPDX-License-Identifier: MIT */
/* Opening a web address in the user's browser: none but https, or http of this machine. */
#ifndef KT_CMD_BROWSER_H
#define KT_CMD_BROWSER_H

#include "base/err.h"

#include <sys/types.h>

/*
 * A program that is started with this address opens a web page and nothing else: https, or http to
 * this machine, of visible ASCII, a host, no user before it.
 */
bool kt_browser_may_open(const char *url);
/*
 * Start $BROWSER, else xdg-open, with the address, and do not wait for it; *out_pid may be NULL.
 * Returns KT_OK, KT_EPROTO (it may not be opened), KT_ENOTFOUND (no browser) or KT_EIO.
 */
KT_MUST_CHECK enum kt_code kt_browser_open(const char *url, pid_t *out_pid, struct kt_err *err);

#endif
