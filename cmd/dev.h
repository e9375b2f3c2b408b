/* SPDX-License-Identifier: MIT */
/* What `karta dev` has for `karta run`: the engine of a folder, for one command. */
#ifndef KT_CMD_DEV_H
#define KT_CMD_DEV_H

#include "cmd/cmd.h"

/* How a folder's application is started. */
struct kt_dev_args {
	int64_t port;
	const char *dir;
	const char *harness;
	const char *program;
	const char *config;
	bool offline;
	bool record;
	const char *user;
	const char *session; /* that the chat goes on with, or NULL */
	bool go_on; /* the chat goes on with the last one */
	bool no_chat;
	bool open;
	bool trust;
	int64_t warm;
	const char *speed;
};

/*
 * Serve the folder on a socket that only this user reaches, with state that goes at the end, for as
 * long as one command runs: karta itself with the words argv (NULL-terminated) behind
 * "--server ADDRESS". *out_status is its exit status.
 */
KT_MUST_CHECK enum kt_code kt_dev_once(const struct kt_ctx *ctx, const struct kt_dev_args *a,
	const struct kt_vec *argv, int *out_status, struct kt_err *err);

#endif
