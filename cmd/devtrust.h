/* SPDX-License-Identifier: MIT */
/* Whether `karta dev` lets the settings of a folder allow things without asking. */
#ifndef KT_CMD_DEVTRUST_H
#define KT_CMD_DEVTRUST_H

#include "app/app.h"
#include "cmd/cmd.h"

/*
 * Ask once a folder, unless trust is given; the answer is kept in data_dir together with what was
 * agreed to, and other settings are asked about again. *out_settings is what may be passed to the
 * harness, the caller's; NULL when nothing. Without a terminal nothing is agreed to and a note says
 * how to. Returns KT_OK or KT_EIO.
 */
KT_MUST_CHECK enum kt_code kt_dev_trust(const struct kt_ctx *ctx, const char *data_dir,
	const struct kt_app *app, bool trust, char **out_settings, struct kt_err *err);

#endif
