/* SPDX-License-Identifier: MIT */
/* What the commands that talk to a server share: finding it, and small words about it. */
#ifndef KT_CMD_REMOTE_H
#define KT_CMD_REMOTE_H

#include "client/client.h"
#include "cmd/cmd.h"

/*
 * Client for talking: of the server that is meant (cmd/dest.h), with the key of KARTA_API_KEY, else
 * the one stored for that server. On a server of many projects it is the client of the one that is
 * meant; an address that was given is asked whether it is such a server, and where nothing names a
 * project, which ones it has. Where it talks to is told on a terminal, unless anybody would expect
 * it. kt_client_free() ends *out.
 */
KT_MUST_CHECK enum kt_code kt_remote_open(
	const struct kt_ctx *ctx, struct kt_client **out, struct kt_err *err);

/* Would a key be readable on its way there: plain http to another machine? */
bool kt_remote_is_plain(const char *url);
/* The address that the line, the environment or the folder gives; NULL: none. The caller's. */
KT_MUST_CHECK char *kt_remote_given(const struct kt_ctx *ctx);
/*
 * Server that a folder is made ready for: as the line, the environment and the login have it, and
 * not what a folder says. *out is the caller's.
 */
KT_MUST_CHECK enum kt_code kt_remote_home(const struct kt_ctx *ctx, char **out, struct kt_err *err);
/* As kt_remote_open(), but never the server of `karta dev`: for projects and releases. */
KT_MUST_CHECK enum kt_code kt_remote_open_host(
	const struct kt_ctx *ctx, struct kt_client **out, struct kt_err *err);
/* URL of the server that kt_remote_open_host() means; *out is the caller's. Needs no key. */
KT_MUST_CHECK enum kt_code kt_remote_server(
	const struct kt_ctx *ctx, char **out, struct kt_err *err);
/*
 * Server and project of a remote's URL: "karta::https://host/base/project" or
 * "karta://host/project" (https; http for loopback names). Either out may be NULL; the caller's.
 * Returns KT_OK or KT_EINVAL.
 */
KT_MUST_CHECK enum kt_code kt_remote_parse(
	const char *url, char **out_server, char **out_project, struct kt_err *err);

/*
 * The project that the line, the environment or the folder names (cmd/dest.h), without asking a
 * server: for what makes a project. given is a positional or NULL. *out is the caller's. Returns
 * KT_OK or KT_EINVAL with a hint.
 */
KT_MUST_CHECK enum kt_code kt_remote_project(
	const struct kt_ctx *ctx, const char *given, char **out, struct kt_err *err);

/*
 * Client of the server and the project for a command about a project; when nothing names one, the
 * only one of the server. Not looked up when out_project is NULL.
 */
KT_MUST_CHECK enum kt_code kt_remote_start(const struct kt_ctx *ctx, const char *given,
	struct kt_client **out, char **out_project, struct kt_err *err);
/* Path of something of a project: "/agent_projects/PROJECT" and the rest. The caller's. */
KT_MUST_CHECK char *kt_remote_path(const char *project, const char *rest);
/* Print an answer as one JSON object with schema_version first. */
void kt_remote_json(const struct kt_ctx *ctx, const cJSON *doc);
/* Append "NAME        value\n", sanitized; nothing for an empty value. */
void kt_remote_field(
	struct kt_buf *b, const struct kt_ctx *ctx, const char *name, const char *value);
/*
 * Append a time member as a field: "2026-11-30 17:42:03 (3 minutes ago)" in the zone of this
 * machine; nothing when it has none.
 */
void kt_remote_when(struct kt_buf *b, const struct kt_ctx *ctx, const char *name, const cJSON *obj,
	const char *key);
/* A time member as people say it (kt_time_human()), "-" when it has none. */
void kt_remote_ago(const cJSON *obj, const char *key, char *out, size_t size);
/*
 * "2 hours ago by admin: v4 answers in French" of a pinned project or release object; NULL when it
 * is not pinned. The caller's.
 */
char *kt_remote_pin(const cJSON *obj);
/* The fields "pinned" (why), "pinned by" and "since" of such an object. */
void kt_remote_pin_fields(struct kt_buf *b, const struct kt_ctx *ctx, const cJSON *obj);
/*
 * KT_EINVAL when a permission mode is given for a session that there is: it keeps its own. Either
 * may be NULL; last: the session is that of --continue.
 */
KT_MUST_CHECK enum kt_code kt_remote_check_mode(
	bool last, const char *session, const char *mode, struct kt_err *err);
/*
 * Ask for a destructive act: --confirm=NAME must be the name, or a person on the terminal types it.
 * Returns KT_OK, KT_ECONFIRM or KT_ECANCEL.
 */
KT_MUST_CHECK enum kt_code kt_remote_confirm(const struct kt_ctx *ctx, const char *what,
	const char *name, const char *given, struct kt_err *err);

/* Print a JSON document of len bytes as one line on stdout; what a terminal obeys is escaped. */
void kt_remote_json_line(const char *json, size_t len);
/* Print len bytes of text on stdout, cleaned; LF and TAB stay. */
void kt_remote_text(const char *text, size_t len);
/* Print a value on stdout: to a terminal as kt_remote_text(), to a file or pipe as it is. */
void kt_remote_exact(const struct kt_ctx *ctx, const char *text, size_t len);

/* Count SIGINT from now on instead of dying of it. */
void kt_remote_catch_int(void);
/* SIGINT does again what it did before. */
void kt_remote_let_int(void);
/* End as SIGINT ends a program that does not catch it: without a word. */
KT_NORETURN void kt_remote_die_by_int(void);
/* How often SIGINT came since. */
int kt_remote_ints(void);

#endif
