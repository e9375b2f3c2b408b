/* SPDX-License-Identifier: MIT */
/*
 * Children. A spawner process, forked first thing while the program is still small, starts every
 * child by posix_spawn, is their sub-reaper, and kills all of them with all of their descendants
 * when the server is gone, however it went. The server talks to it over a socket pair and gets
 * the parent's pipe ends back by SCM_RIGHTS.
 *
 * Each child gets KARTA_PROC_ID=<n> in its environment: descendants that left its process tree
 * (tool commands make their own sessions) are found by it.
 */
#ifndef KT_PROC_PROC_H
#define KT_PROC_PROC_H

#include "base/err.h"
#include "net/loop.h"

struct kt_spawner;
struct kt_child;

/*
 * Fork the spawner. Call first thing in main(), before threads, the loop or big allocations.
 * kt_spawner_free() ends it and, with it, every child.
 */
KT_MUST_CHECK enum kt_code kt_spawner_start(struct kt_spawner **out, struct kt_err *err);
/* Attach to the loop; once, before the first kt_child_spawn(). Makes the process ignore SIGPIPE. */
KT_MUST_CHECK enum kt_code kt_spawner_attach(
	struct kt_spawner *sp, struct kt_loop *loop, struct kt_err *err);
/*
 * Kill all children with their descendants, end the spawner process, free. NULL is fine. Waits for
 * the end (milliseconds; 8 s at most). Children that are not gone are freed without a call.
 * Before kt_loop_free(); not from a child's callback.
 */
void kt_spawner_free(struct kt_spawner *sp);

#define KT_MAX_CHILD_FDS 8 /* that a child gets beside its standard files */

/* Somebody else that a child runs as. */
struct kt_child_user {
	uid_t uid;
	gid_t gid;
};

struct kt_child_spec {
	const char *program; /* path of the file to run (no PATH search); NULL = argv[0] */
	char *const *argv; /* NULL-terminated */
	char *const *envp; /* the whole environment; NULL-terminated */
	const char *cwd;
	/* Further descriptors: fds[i] is 3 + i of the child. BORROWED, duplicated by the call. */
	const int *fds;
	size_t n_fds;
	/*
	 * NULL: it runs as this process. Else as that user for good: no other groups, no rights
	 * (capabilities), and none by set-user-ID programs (no_new_privs); where this process may not
	 * do all of that, the start fails with EPERM. The folder and program are opened as that user.
	 * Where root may not read others' environments (a container without CAP_SYS_PTRACE), what
	 * loses its parent belongs to nobody, and is killed with the next child that ends.
	 */
	const struct kt_child_user *user;
};

struct kt_child_ops {
	/* Bytes from stdout; data is valid during the call. */
	void (*out)(void *arg, const char *data, size_t len);
	/* Bytes from stderr. */
	void (*err)(void *arg, const char *data, size_t len);
	/*
	 * The child is gone and its output is read to the end (or was cut 500 ms after its death
	 * because a descendant held the pipe). Last call; the child frees itself after it.
	 * exit_code is -1 when it died by term_signal. start_error is an errno when it could not be
	 * started (exit_code -1, term_signal 0), else 0.
	 */
	void (*gone)(void *arg, int exit_code, int term_signal, int start_error);
};

/*
 * Start a child; answers come by ops on the loop. The child is the module's until ops->gone; then
 * the pointer is dead. spec is copied.
 * Returns KT_OK, KT_ELIMIT (arguments and environment over 1 MiB, too many descriptors),
 * KT_EINVAL (root as the other user), KT_EIO (a descriptor cannot be duplicated) or KT_EUNAVAIL
 * (the spawner is gone).
 */
KT_MUST_CHECK enum kt_code kt_child_spawn(struct kt_spawner *sp, const struct kt_child_spec *spec,
	const struct kt_child_ops *ops, void *arg, struct kt_child **out, struct kt_err *err);
/*
 * Queue len bytes for its stdin, in order, never half a call's bytes dropped. Of a process that
 * runs and has read all else a call may have up to KT_MAX_LINE_BYTES.
 * Returns KT_OK, KT_ELIMIT (KT_MAX_CHILD_QUEUE_BYTES wait already) or KT_EUNAVAIL (stdin closed).
 */
KT_MUST_CHECK enum kt_code kt_child_write(
	struct kt_child *c, const char *data, size_t len, struct kt_err *err);
/* Bytes of these that wait. */
size_t kt_child_queued(const struct kt_child *c);
/* Read nothing of its output until told otherwise; it waits when its pipes are full. */
void kt_child_pause(struct kt_child *c, bool paused);
/* Close its stdin after what is queued. */
void kt_child_close_stdin(struct kt_child *c);
/* Send a signal to the child only. */
void kt_child_signal(struct kt_child *c, int signum);
/* SIGKILL the child and all its descendants, also those in sessions of their own. */
void kt_child_kill_tree(struct kt_child *c);
/* Detach the callbacks (none is called any more) and kill the tree. For shutting down. */
void kt_child_abandon(struct kt_child *c);

#endif
