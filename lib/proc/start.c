/* SPDX-License-Identifier: MIT */
/*
 * How the spawner starts one process: its standard files are pipes, its further descriptors those
 * that came with the request. As the spawner's own user by posix_spawn(), which is the fastest; as
 * another user by fork(): a process that shares the spawner's memory, as posix_spawn's does until
 * it runs the program, must not belong to somebody else, who could stop it and the spawner with it.
 */
#include "proc/wire_private.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* From fork() to execve(); its new user's other processes could keep it from getting there. */
#define START_MS 2000

static void close_pair(int fds[2])
{
	for (int i = 0; i < 2; i++) {
		if (fds[i] >= 0)
			(void)close(fds[i]);
		fds[i] = -1;
	}
}

/* Attributes and file actions; child[] are its standard files. Returns an errno. */
static int spawn_with(const struct kt_start *st, const int child[3], pid_t *out)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	int rc = posix_spawn_file_actions_init(&files);
	if (rc != 0)
		return rc;
	rc = posix_spawnattr_init(&attr);
	if (rc != 0) {
		(void)posix_spawn_file_actions_destroy(&files);
		return rc;
	}
	sigset_t none;
	sigset_t all;
	(void)sigemptyset(&none);
	(void)sigfillset(&all);
	for (int i = 0; i < 3 && rc == 0; i++)
		rc = posix_spawn_file_actions_adddup2(&files, child[i], i);
	for (size_t i = 0; i < st->n_fds && rc == 0; i++)
		rc = posix_spawn_file_actions_adddup2(&files, st->fds[i], 3 + (int)i);
	if (rc == 0)
		rc = posix_spawn_file_actions_addchdir_np(&files, st->cwd);
	if (rc == 0)
		rc = posix_spawnattr_setsigmask(&attr, &none);
	if (rc == 0)
		rc = posix_spawnattr_setsigdefault(&attr, &all);
	if (rc == 0)
		rc = posix_spawnattr_setpgroup(&attr, 0);
	if (rc == 0)
		rc = posix_spawnattr_setflags(&attr,
			POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
	if (rc == 0)
		rc = posix_spawn(out, st->program, &files, &attr, st->argv, st->envp);
	(void)posix_spawnattr_destroy(&attr);
	(void)posix_spawn_file_actions_destroy(&files);
	return rc;
}

/* Become that user for good, with none of this one's groups and rights. Returns an errno. */
static int become_user(uid_t uid, gid_t gid)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { { 0 } };
	uid_t uids[3];
	gid_t gids[3];

	if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return errno;
	/* Without root, rights may have come with the process and stay over the change. */
	if (syscall(SYS_capset, &head, none) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return errno;
	if (getresuid(&uids[0], &uids[1], &uids[2]) < 0 ||
		getresgid(&gids[0], &gids[1], &gids[2]) < 0)
		return errno;
	for (int i = 0; i < 3; i++)
		if (uids[i] != uid || gids[i] != gid)
			return EPERM;
	/* The way back must be closed. */
	return setuid(0) == 0 || setgid(0) == 0 || getgroups(0, NULL) != 0 ? EPERM : 0;
}

/* In the new process: all that posix_spawn() does for others, and the user. Returns an errno. */
static int run_as(const struct kt_start *st, const int child[3])
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	sigset_t none;
	int rc;

	for (int i = 0; i < 3; i++)
		if (dup2(child[i], i) < 0)
			return errno;
	for (size_t i = 0; i < st->n_fds; i++)
		if (dup2(st->fds[i], 3 + (int)i) < 0)
			return errno;
	/* SIGKILL, SIGSTOP and those of the C library refuse it. */
	for (int i = 1; i < NSIG; i++)
		(void)sigaction(i, &dfl, NULL);
	(void)sigemptyset(&none);
	if (setpgid(0, 0) < 0)
		return errno;
	rc = become_user(st->uid, st->gid);
	if (rc != 0)
		return rc;
	if (chdir(st->cwd) < 0 || sigprocmask(SIG_SETMASK, &none, NULL) < 0)
		return errno;
	(void)execve(st->program, st->argv, st->envp);
	return errno;
}

/* What the new process says of its start: nothing when its program runs, else an errno. */
static int await_start(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int said = 0;
	int n;

	do {
		n = poll(&p, 1, START_MS);
	} while (n < 0 && errno == EINTR);
	if (n == 0)
		return ETIMEDOUT;
	if (n < 0)
		return errno;
	ssize_t got = read(fd, &said, sizeof(said));
	if (got < 0)
		return errno;
	return got == (ssize_t)sizeof(said) ? said : 0;
}

static int fork_as(const struct kt_start *st, const int child[3], pid_t *out)
{
	int report[2] = { -1, -1 };
	int rc = 0;

	if (pipe2(report, O_CLOEXEC) < 0)
		return errno;
	/* Out of the way of what the process is to find at 3 and above. */
	int told = fcntl(report[1], F_DUPFD_CLOEXEC, KT_WIRE_FIRST_FREE_FD);
	if (told < 0)
		rc = errno;
	pid_t pid = rc == 0 ? fork() : -1;
	if (pid == 0) {
		rc = run_as(st, child);
		(void)!write(told, &rc, sizeof(rc));
		_exit(127);
	}
	if (rc == 0 && pid < 0)
		rc = errno;
	if (told >= 0)
		(void)close(told);
	(void)close(report[1]);
	report[1] = -1;
	if (rc == 0)
		rc = await_start(report[0]);
	if (rc != 0 && pid > 0) {
		(void)kill(pid, SIGKILL);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	close_pair(report);
	*out = pid;
	return rc;
}

int kt_start_process(const struct kt_start *st, int ends[3], pid_t *out)
{
	int pipes[3][2] = { { -1, -1 }, { -1, -1 }, { -1, -1 } };
	int rc = 0;

	for (int i = 0; i < 3 && rc == 0; i++)
		if (pipe2(pipes[i], O_CLOEXEC) < 0)
			rc = errno;
	if (rc == 0) {
		const int child[3] = { pipes[0][0], pipes[1][1], pipes[2][1] };
		rc = st->other_user ? fork_as(st, child, out) : spawn_with(st, child, out);
	}
	for (int i = 0; i < 3 && rc == 0; i++) {
		int mine = i == 0 ? 1 : 0;
		ends[i] = pipes[i][mine];
		pipes[i][mine] = -1;
	}
	for (int i = 0; i < 3; i++)
		close_pair(pipes[i]);
	return rc;
}
