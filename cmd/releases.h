/* SPDX-License-Identifier: MIT */
/* The listing of releases, for `karta releases` and `karta projects releases`. */
#ifndef KT_CMD_RELEASES_H
#define KT_CMD_RELEASES_H

#include "cmd/cmd.h"

struct kt_releases_args {
	const char *project;
	int64_t limit;
};
extern const struct kt_opt kt_releases_opts[];
void kt_releases_defaults(void *args);
enum kt_code kt_releases_run(struct kt_ctx *ctx, const void *args, struct kt_err *err);

#endif
