/* SPDX-License-Identifier: MIT */
/* What the files that assemble the plane share. */
#ifndef KT_CONTROL_CONTROL_PRIVATE_H
#define KT_CONTROL_CONTROL_PRIVATE_H

#include "control/core/index_private.h"

/* Sweep from now on as often as the settings ask for. (direct.c) */
void kt_sweep_start(struct kt_control *ctl);

#endif
