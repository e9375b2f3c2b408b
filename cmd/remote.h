/* SPDX-License-Identifier: MIT */
/* What the commands that talk to a server share: finding it, and small words about it. */
#ifndef KT_CMD_REMOTE_H
#define KT_CMD_REMOTE_H

#include "client/client.h"
#include "cmd/cmd.h"

/*
 * Client of the server that is meant: --server or KARTA_SERVER, else the one that `karta dev` runs
 * for this folder, else http://127.0.0.1:8000. With the key of KARTA_API_KEY. Does not connect.
 * kt_client_free() ends *out.
 */
KT_MUST_CHECK enum kt_code kt_remote_open(
	const struct kt_ctx *ctx, struct kt_client **out, struct kt_err *err);

/*
 * The project that is meant: given (a positional) or --project, KARTA_PROJECT, else the name in the
 * karta.toml of this folder. *out is the caller's. Returns KT_OK or KT_EINVAL with a hint.
 */
KT_MUST_CHECK enum kt_code kt_remote_project(
	const struct kt_ctx *ctx, const char *given, char **out, struct kt_err *err);

/*
 * Print len bytes and a line end on stdout: as they are to a file or pipe, sanitized to a terminal.
 */
void kt_remote_line(const struct kt_ctx *ctx, const char *text, size_t len);
/* As kt_remote_line() with several lines and no line end added. */
void kt_remote_text(const struct kt_ctx *ctx, const char *text, size_t len);

/* Count SIGINT from now on instead of dying of it. */
void kt_remote_catch_int(void);
/* End as SIGINT ends a program that does not catch it: without a word. */
KT_NORETURN void kt_remote_die_by_int(void);
/* How often SIGINT came since. */
int kt_remote_ints(void);

#endif
