/* SPDX-License-Identifier: MIT */
/*
 * Inside of the program git-remote-karta: what git asks for, and what is done about it. See
 * gitremote-helpers(7) and git-remote-karta(1).
 */
#ifndef KT_CMD_GIT_GIT_REMOTE_H
#define KT_CMD_GIT_GIT_REMOTE_H

#include "base/vec.h"
#include "client/client.h"
#include "cmd/git/ship.h"

#include <pthread.h>

/* One line of a push: "[+]src:dst". */
struct push {
	char *src; /* "" = delete dst */
	char *dst;
	bool force;
	bool done; /* has an answer: why is NULL = ok */
	char *why;
	char sha[80]; /* commit of src */
	struct kt_ships ships;
};

struct helper {
	struct kt_ctx ctx;
	struct kt_talk talk;
	char *server, *project;
	const char *remote; /* its name, or its URL where it has none */
	struct kt_client *client;
	/* Options that git gave. */
	int64_t verbosity;
	bool progress, dry_run, atomic;
	/* Push options. */
	bool no_activate, unpin, no_wait;
	char *message;
	int64_t pr;
	struct kt_vec env; /* of char * */
	/* What the server said to `list`. */
	cJSON *refs; /* "pushed": commit of the production ref where another one is live */
	bool own_refs; /* of h->project, not of the applications below */
	char *live; /* digest of the live release, "" = none */
	/* git's library is loaded while git itself compares refs. */
	pthread_t warm;
	bool warming;
	pthread_mutex_t lock;
	pthread_cond_t told;
	bool is_told, is_needed; /* guarded by lock: what the server's refs say of it */
	bool loaded; /* info and what follows is set */
	struct kt_git_info info;
	enum kt_code info_rc;
	struct kt_err info_err;
};

/* The program, for main()'s table of programs. Returns the exit status. */
int kt_git_remote_main(int argc, char **argv);
/*
 * Begin to load what a push needs, in a thread, when the server's answer takes longer than the
 * blink of an eye or kt_helper_told() says that there will be something to push.
 */
void kt_helper_warm(struct helper *h);
/* The refs of the server are known. */
void kt_helper_told(struct helper *h);
/* A push option ("key=value"). Returns KT_OK or KT_EINVAL. */
KT_MUST_CHECK enum kt_code kt_helper_push_option(
	struct helper *h, const char *text, struct kt_err *err);
/* Do a batch and fill `why` of each. */
void kt_helper_push(struct helper *h, struct push *pushes, size_t n);
/* What git gets that lists to fetch; without the end of the list. */
KT_MUST_CHECK enum kt_code kt_helper_list(struct helper *h, struct kt_buf *out, struct kt_err *err);
/* A line "fetch COMMIT REF" of git: KT_OK when the commit is here anyway. */
KT_MUST_CHECK enum kt_code kt_helper_fetch(struct helper *h, const char *line, struct kt_err *err);
/* The error of who wants commits. */
enum kt_code kt_helper_no_history(const struct helper *h, struct kt_err *err);
/* One of the server's refs that git may hear of. */
bool kt_helper_ref_listed(const cJSON *ref);
/* GIT_DIR, which git sets for its helpers; NULL outside of a repository. */
const char *kt_helper_git_dir(void);
/* Before git's hooks run: what git-lfs has to know of this remote. */
void kt_helper_lfs(struct helper *h);
/* A commit that is here. Loads git's library. */
bool kt_helper_has_commit(const char *sha);
/* A ref that may be sent: full, and one that git itself would take. */
bool kt_helper_ref_ok(const char *ref);

#endif
