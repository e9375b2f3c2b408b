/* SPDX-License-Identifier: MIT */
/* Inside of the store: the store itself, its connections and threads. Private to lib/store. */
#ifndef KT_STORE_STORE_PRIVATE_H
#define KT_STORE_STORE_PRIVATE_H

#include "store/db_private.h"

#include <pthread.h>

#define KT_STORE_READERS 2

/* --- store.c and thread.c ---------------------------------------------------------------- */

struct kt_job {
	struct kt_job *next;
	kt_tx_fn fn;
	kt_tx_done_fn done; /* or NULL */
	void *arg;
	enum kt_code code;
	struct kt_err *err; /* of a failed one, else NULL */
};
struct kt_jobs {
	struct kt_job *head;
	struct kt_job **tail;
	size_t n;
};

struct kt_store {
	char *path;
	bool read_only;
	struct kt_db *direct; /* of kt_store_do(); guarded by direct_mutex */
	pthread_mutex_t direct_mutex;
	/*
	 * Held while this process writes, so that its own threads wait in line here and the
	 * database only meets other processes. Taken after direct_mutex.
	 */
	pthread_mutex_t write_mutex;

	struct kt_loop *loop; /* or NULL: no threads */
	struct kt_db *writer; /* the writer's thread only */
	struct kt_db *readers[KT_STORE_READERS];
	pthread_t threads[1 + KT_STORE_READERS];
	size_t n_threads;
	struct uv_async_s *async;
	size_t pending; /* jobs whose done is still to come; the loop's thread only */
	bool closing; /* the loop's thread only */

	pthread_mutex_t mutex; /* guards all below */
	pthread_cond_t write_cond, read_cond;
	struct kt_jobs writes, reads, finished;
	/*
	 * A commit can be seen before the loop has heard of it: reads that end meanwhile wait in
	 * held, so that no answer is older than one that was given before it.
	 */
	bool committing;
	struct kt_jobs held;
	bool stop;
	uint64_t n_commits; /* of the writer's groups; for tests */
	struct kt_err trouble; /* of the last commit; code KT_OK: it is on disk */
	struct kt_timer *probe; /* tries again meanwhile, or NULL; the loop's thread only */
};

/* Start the threads, their connections are there. */
KT_MUST_CHECK enum kt_code kt_store_start(struct kt_store *st, struct kt_err *err);
/* Run what is queued, end the threads, call what `done`s are left. */
void kt_store_stop(struct kt_store *st);

#endif
