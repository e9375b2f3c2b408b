/* SPDX-License-Identifier: MIT */
/*
 * What a push and a deploy have in common: which folders are applications that ship, to which
 * project each goes, and the talk about an upload and its build.
 */
#ifndef KT_CMD_GIT_SHIP_H
#define KT_CMD_GIT_SHIP_H

#include "cmd/cmd.h"
#include "git/git.h"
#include "text/json.h"

/* An application that ships. */
struct kt_ship {
	char *sub; /* its folder in the repository, "" = the root */
	char *name; /* of its karta.toml, or NULL */
	struct kt_tree *tree;
};
struct kt_ships {
	struct kt_ship *items;
	size_t n;
};
void kt_ships_release(struct kt_ships *s);
#define KT_AUTO_SHIPS __attribute__((cleanup(kt_ships_release)))

struct kt_ship_options {
	const char *dir; /* of the repository, or the folder itself */
	const char *rev; /* a revision; NULL = the files as they are in dir */
	const char *sub; /* only the application in this folder; NULL = find them */
	const char *const *include; /* as of struct kt_tree_options */
	bool *elsewhere; /* as of struct kt_tree_options */
	struct kt_progress *progress; /* or NULL */
};
/*
 * The applications of a commit or a folder, packed: all folders below the root whose karta.toml has
 * `deploy = true`, and the root if there are none, or if its own has it too. What says `deploy =
 * false` never ships. *out is the caller's, kt_ships_release().
 * Returns KT_OK, KT_EINVAL (nothing ships; a karta.toml is broken; what cannot be packed), ...
 */
KT_MUST_CHECK enum kt_code kt_ship_find(
	const struct kt_ship_options *opts, struct kt_ships *out, struct kt_err *err);
/*
 * The project that application i goes to: the one of the remote or command line (`dflt`, or NULL)
 * for the only one, for the root, and for the one of that name; else its own name. New memory; NULL
 * when it has no name.
 */
KT_MUST_CHECK char *kt_ship_project(const struct kt_ships *s, size_t i, const char *dflt);

/* Talk about one publish, as the callbacks of struct kt_client_publish; arg is a struct kt_talk. */
struct kt_talk {
	const struct kt_ctx *ctx;
	const char *prefix; /* "remote: " or "" */
	bool quiet;
	struct kt_progress *progress; /* or NULL */
	int64_t until_us; /* monotonic; give up then; 0 = never */
	bool timed_out; /* poll gave up for that */
};
void kt_talk_log(void *arg, const char *level, const char *text);
void kt_talk_progress(void *arg, int64_t done, int64_t total);
/* False after Ctrl-C (kt_remote_catch_int()) and when the time is over. */
bool kt_talk_poll(void *arg);
/* One line of ours, with the prefix, unless quiet. */
void kt_talk_say(struct kt_talk *t, const char *fmt, ...) KT_PRINTF(2, 3);
/* "v3 of shop is live", "Preview v4 of ..." with the time since began_us. */
void kt_talk_released(
	struct kt_talk *t, const char *project, const cJSON *release, int64_t began_us);
/* "1.2 MB" of bytes into out (16 bytes). */
void kt_ship_size(int64_t bytes, char *out);

#endif
