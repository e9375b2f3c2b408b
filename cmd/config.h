/* SPDX-License-Identifier: MIT */
/* What the commands of `karta config` share. */
#ifndef KT_CMD_CONFIG_H
#define KT_CMD_CONFIG_H

#include "client/client.h"
#include "cmd/cmd.h"
#include "text/json.h"

#define KT_CONFIG_TEXT_BYTES ((size_t)16 * 1024 * 1024) /* all variables of a project as text */

/*
 * Get the project's variables: the member "vars" of *out. That, the client and the name of the
 * project are the caller's.
 */
KT_MUST_CHECK enum kt_code kt_config_fetch(const struct kt_ctx *ctx, struct kt_client **c,
	char **project, cJSON **out, struct kt_err *err);
/* KT_EINVAL, with the rule, for a name that the server would not take either. */
KT_MUST_CHECK enum kt_code kt_config_check_name(const char *name, struct kt_err *err);
/*
 * Send a change, a JSON object with "set" and "unset", as one release; wait until it is live unless
 * no_wait; say what came of it.
 */
KT_MUST_CHECK enum kt_code kt_config_change(
	const struct kt_ctx *ctx, const char *body, bool no_wait, struct kt_err *err);
/* Read all of standard input into out; a buffer that is full stays marked so. */
KT_MUST_CHECK enum kt_code kt_config_stdin(struct kt_buf *out, struct kt_err *err);

extern const struct kt_cmd kt_cmd_config_edit;
extern const struct kt_cmd kt_cmd_config_import;

#endif
