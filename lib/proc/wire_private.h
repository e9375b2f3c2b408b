/* SPDX-License-Identifier: MIT */
/*
 * What the server and its spawner say to each other over a stream socket pair, and the tree walk
 * that the spawner kills by. Private to lib/proc.
 */
#ifndef KT_PROC_WIRE_PRIVATE_H
#define KT_PROC_WIRE_PRIVATE_H

#include "proc/proc.h"

/* argv, environment and folder of one child together; Linux takes 2 MiB at most by default. */
#define KT_WIRE_MAX_SPAWN_BYTES (1024 * 1024)
/* How the children's environment names the child they descend from. */
#define KT_WIRE_MARKER "KARTA_PROC_ID="

enum kt_wire_type {
	/*
	 * server: payload: struct kt_wire_spawn; folder, program, argv, environment, each with its
	 * NUL. Descriptors come with its first byte.
	 */
	KT_WIRE_SPAWN = 1,
	KT_WIRE_SIGNAL, /* server: value = signal number, to the child alone */
	KT_WIRE_KILL_TREE, /* server */
	KT_WIRE_STARTED, /* spawner: value = pid; carries the pipe ends 0, 1, 2 */
	KT_WIRE_FAILED, /* spawner: value = errno */
	KT_WIRE_EXITED, /* spawner: value = status as of waitpid() */
};

/* Head of each message; the spawner's messages are heads only. One machine, so native order. */
struct kt_wire_head {
	uint32_t type;
	uint32_t size; /* bytes of payload that follow */
	uint64_t id;
	int64_t value;
};

/* What stands before the strings of a SPAWN. */
struct kt_wire_spawn {
	uint32_t argc;
	uint32_t n_fds; /* KT_MAX_CHILD_FDS at most */
	uint32_t other_user; /* 1: uid and gid count */
	uint32_t uid;
	uint32_t gid;
};

/* The spawner process: serves the socket until its end, kills all that is left, and exits. */
KT_NORETURN void kt_spawner_main(int fd);

/* --- start.c --- */

/* Descriptors that a child is to find at 3 and above lie at this number or above till then. */
#define KT_WIRE_FIRST_FREE_FD (3 + KT_MAX_CHILD_FDS)

/* A process to be started; all of it borrowed. */
struct kt_start {
	const char *cwd;
	const char *program;
	char *const *argv;
	char *const *envp;
	const int *fds; /* become 3 and so on; each is KT_WIRE_FIRST_FREE_FD at least */
	size_t n_fds;
	bool other_user;
	uid_t uid; /* of the other user, not 0 */
	gid_t gid;
};
/*
 * Start it in a process group of its own with pipes as standard files. Returns 0 with our ends of
 * the pipes (0, 1, 2; the caller's) in `ends` and the process id in *out, or an errno.
 */
KT_MUST_CHECK int kt_start_process(const struct kt_start *st, int ends[3], pid_t *out);

/* --- proctree.c --- */

/* One process of a walk through /proc. */
struct kt_proctree_proc {
	pid_t pid;
	pid_t ppid;
	uint64_t start; /* clock ticks since boot; with pid it names a process for good */
	bool alive; /* no zombie */
	bool target; /* for the caller */
};

/* All processes, sorted by pid. */
struct kt_proctree {
	struct kt_proctree_proc *procs;
	size_t n;
	size_t cap;
};

/* Read /proc; false when it cannot be read. */
KT_MUST_CHECK bool kt_proctree_scan(struct kt_proctree *t);
/* The process with this pid, or NULL. */
struct kt_proctree_proc *kt_proctree_find(const struct kt_proctree *t, pid_t pid);
/* Topmost ancestor of p (or p) whose parent is `top`; NULL when p does not descend from `top`. */
struct kt_proctree_proc *kt_proctree_branch(
	const struct kt_proctree *t, struct kt_proctree_proc *p, pid_t top);
/* Signal p unless its pid means another process by now. */
void kt_proctree_signal(const struct kt_proctree_proc *p, int signum);
/* The id in the marker of a process's environment; 0 when it has none or cannot be read. */
uint64_t kt_proctree_marker(pid_t pid);

#endif
