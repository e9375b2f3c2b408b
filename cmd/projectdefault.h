/* SPDX-License-Identifier: MIT */
/* karta projects default, a command of its own file. */
#ifndef KT_CMD_PROJECTDEFAULT_H
#define KT_CMD_PROJECTDEFAULT_H

#include "cmd/cmd.h"

extern const struct kt_cmd kt_cmd_projects_default;

#endif
