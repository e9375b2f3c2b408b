/* SPDX-License-Identifier: MIT */
/* The service manager: sockets it has opened (sd_listen_fds(3)), telling it the state
 * (sd_notify(3)). */
#ifndef KT_CMD_SERVE_SYSTEMD_H
#define KT_CMD_SERVE_SYSTEMD_H

#include "base/err.h"

/* Number of listening sockets handed over; they are the descriptors from 3 on, closed on exec. */
int kt_systemd_listen_fds(void);
/* Tell it "READY=1", "STOPPING=1", "RELOADING=1"...; nothing when there is no service manager. */
void kt_systemd_notify(const char *state);

#endif
