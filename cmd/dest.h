/* SPDX-License-Identifier: MIT */
/*
 * Which server and which project a command talks to: found here and nowhere else, and told from
 * where when a person could not know.
 *
 * server:  --server, --profile, KARTA_SERVER, KARTA_PROFILE; else the one that `karta dev` runs for
 *          this folder (for talking, when no project is named); else that of the git remote
 * `karta`; else the one signed in to last; else the one that `karta serve` runs here without keys;
 *          else http://localhost:8000, but not in CI
 * project: given as an argument, --project, KARTA_PROJECT; else in the root of a repository the git
 *          remote `karta`, when it is of that server; else the name in the nearest karta.toml; else
 *          the remote; else the server's default project, or the only one that it has
 */
#ifndef KT_CMD_DEST_H
#define KT_CMD_DEST_H

#include "client/client.h"
#include "cmd/cmd.h"
#include "cmd/profile.h"

#define KT_DEFAULT_URL "http://localhost:8000"

/* What named a server or project. */
enum kt_from {
	KT_FROM_NOTHING,
	KT_FROM_LINE, /* an option or argument */
	KT_FROM_ENV, /* KARTA_SERVER, KARTA_PROJECT */
	KT_FROM_PROFILE, /* --profile, KARTA_PROFILE */
	KT_FROM_DEV, /* karta dev runs here */
	KT_FROM_REMOTE, /* the git remote */
	KT_FROM_TOML, /* karta.toml */
	KT_FROM_LOGIN, /* signed in to last */
	KT_FROM_LOCAL, /* karta serve runs here */
	KT_FROM_DEFAULT, /* KT_DEFAULT_URL; the server's default project */
	KT_FROM_ONLY, /* there is no other one */
};

struct kt_dest {
	struct kt_profile profile; /* its server, and the key that is kept for it */
	enum kt_from server_from;
	char *project; /* or NULL */
	enum kt_from project_from;
};
void kt_dest_release(struct kt_dest *d);
#define KT_AUTO_DEST __attribute__((cleanup(kt_dest_release)))

/*
 * The server, by the rule above; dev: that of `karta dev` counts. Nothing connects. Returns KT_OK,
 * KT_EINVAL (CI, and nothing names one), and what kt_profile_find() returns.
 */
KT_MUST_CHECK enum kt_code kt_dest_server(
	const struct kt_ctx *ctx, bool dev, struct kt_dest *d, struct kt_err *err);
/*
 * The project as the line, the environment and the folder have it; given is an argument or NULL.
 * It stays NULL when they name none. Returns KT_OK or KT_EINVAL (an empty name).
 */
KT_MUST_CHECK enum kt_code kt_dest_project(
	const struct kt_ctx *ctx, const char *given, struct kt_dest *d, struct kt_err *err);
/* Server and project of a git remote of this folder; the caller's. KT_EINVAL: there is none. */
KT_MUST_CHECK enum kt_code kt_dest_remote(
	const char *name, char **out_server, char **out_project, struct kt_err *err);
/* "server from KARTA_SERVER, project from karta.toml"; NULL where it is obvious. The caller's. */
KT_MUST_CHECK char *kt_dest_why(const struct kt_dest *d);
/* Is it another server or project than the folder's own, whoever named it? */
KT_MUST_CHECK bool kt_dest_elsewhere(const struct kt_dest *d);
/* As kt_remote_open(), and says what it found instead of telling it. */
KT_MUST_CHECK enum kt_code kt_dest_open(
	const struct kt_ctx *ctx, struct kt_dest *d, struct kt_client **out, struct kt_err *err);
/* Tell on a terminal where this goes, unless it is what anybody would expect. */
void kt_dest_say(const struct kt_ctx *ctx, const struct kt_dest *d);

#endif
