/* SPDX-License-Identifier: MIT */
/* The sub-command `keys` of `karta serve`. */
#ifndef KT_CMD_SERVE_SERVEKEYS_H
#define KT_CMD_SERVE_SERVEKEYS_H

#include "cmd/cmd.h"

extern const struct kt_cmd kt_cmd_serve_keys;

#endif
