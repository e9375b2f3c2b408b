/* SPDX-License-Identifier: MIT */
/*
 * The log of `karta serve` on stderr, one line an entry: JSON ({"time","level","source","message"})
 * for collectors, or text for people.
 */
#ifndef KT_CMD_SERVE_SERVELOG_H
#define KT_CMD_SERVE_SERVELOG_H

#include "base/log.h"

/* Make stderr the sink of kt_log(). */
void kt_servelog_open(bool json, enum kt_log_level lowest);

#endif
