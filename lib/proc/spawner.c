/* SPDX-License-Identifier: MIT */
/*
 * The spawner process. It starts children on request, tells of their ends, and is the sub-reaper
 * of all that descends from them, so that no process gets out of its sight by losing its parent.
 * One thread, one poll(); the socket's end is the server's end, whatever ended it.
 *
 * It runs on nothing but the socket: standard files are /dev/null, the environment is wiped.
 */
#include "proc/wire_private.h"

#include "base/base.h"
#include "base/buf.h"
#include "base/time.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Processes that cannot be killed (in the kernel, or another user's) are given up after this. */
#define KILL_TREE_US (2 * 1000 * 1000)
#define KILL_ALL_US (5 * 1000 * 1000)
/* After so many rounds of stopping, a tree that still grows is killed as it is, and again. */
#define STOP_ROUNDS 20

struct slot {
	pid_t pid;
	uint64_t id;
};

/* Descriptors that came for one SPAWN. */
struct fd_batch {
	size_t n;
	int fds[KT_MAX_CHILD_FDS];
};

struct spawner {
	int fd;
	int sigfd;
	pid_t self;
	struct kt_buf in;
	struct slot *slots; /* direct children that were not reaped yet */
	size_t n;
	size_t cap;
	struct fd_batch *batches; /* of SPAWNs that were not read yet, in their order */
	size_t n_batches;
	size_t batches_cap;
	struct kt_proctree tree;
	struct kt_proctree last; /* targets of the round before */
};

static struct slot *slot_by_pid(struct spawner *s, pid_t pid)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->slots[i].pid == pid)
			return &s->slots[i];
	return NULL;
}

static struct slot *slot_by_id(struct spawner *s, uint64_t id)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->slots[i].id == id)
			return &s->slots[i];
	return NULL;
}

/* --- killing ----------------------------------------------------------------------------- */

/* Which processes kill_rounds() is after: one child's, or (id 0) everyone's. */
static bool is_target(struct spawner *s, struct kt_proctree_proc *p, uint64_t id)
{
	if (!p->alive || p->pid == s->self)
		return false;
	struct kt_proctree_proc *branch = kt_proctree_branch(&s->tree, p, s->self);
	if (branch == NULL)
		return false;
	if (id == 0)
		return true;
	const struct slot *owner = slot_by_pid(s, branch->pid);
	if (owner != NULL)
		return owner->id == id;
	/*
	 * An orphan. Its own marker counts, then that of the branch it hangs on. Without any, or
	 * with that of a child that is no more, nobody else will ever clean it up.
	 */
	uint64_t marker = kt_proctree_marker(p->pid);
	if (marker == 0 && branch != p)
		marker = kt_proctree_marker(branch->pid);
	return marker == id || marker == 0 || slot_by_id(s, marker) == NULL;
}

/* Mark the targets; returns how many there are, *out_new how many the last round did not have. */
static size_t find_targets(struct spawner *s, uint64_t id, size_t *out_new)
{
	size_t n = 0;
	*out_new = 0;
	for (size_t i = 0; i < s->tree.n; i++) {
		struct kt_proctree_proc *p = &s->tree.procs[i];
		if (!is_target(s, p, id))
			continue;
		p->target = true;
		n++;
		const struct kt_proctree_proc *was = kt_proctree_find(&s->last, p->pid);
		if (was == NULL || was->start != p->start || !was->target) {
			/* Stopped, it cannot fork away from under the walk. */
			kt_proctree_signal(p, SIGSTOP);
			(*out_new)++;
		}
	}
	return n;
}

/* Kill child id with all its descendants, or everything (id 0). */
static void kill_rounds(struct spawner *s, uint64_t id, int64_t limit_us)
{
	int64_t deadline = kt_mono_us() + limit_us;
	int stops = 0;
	s->last.n = 0;
	while (kt_mono_us() < deadline) {
		size_t fresh = 0;
		if (!kt_proctree_scan(&s->tree) || find_targets(s, id, &fresh) == 0)
			return;
		if (fresh == 0 || ++stops > STOP_ROUNDS) {
			for (size_t i = 0; i < s->tree.n; i++)
				if (s->tree.procs[i].target)
					kt_proctree_signal(&s->tree.procs[i], SIGKILL);
			stops = 0;
			(void)usleep(1000);
		}
		struct kt_proctree swap = s->last;
		s->last = s->tree;
		s->tree = swap;
	}
}

/*
 * True unless the kernel's list of our children shows that all are known. The list is exact
 * enough here: it may miss a child while others come and go, but an orphan stays.
 */
static bool has_orphans(struct spawner *s)
{
	char path[64];
	(void)snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)s->self);
	KT_AUTOFD int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return true; /* a kernel without CONFIG_PROC_CHILDREN: look at everything */
	char text[4096];
	int64_t pid = 0;
	bool in_number = false;
	for (;;) {
		ssize_t n = read(fd, text, sizeof(text));
		if (n <= 0)
			return in_number && slot_by_pid(s, (pid_t)pid) == NULL;
		for (ssize_t i = 0; i < n; i++) {
			if (text[i] >= '0' && text[i] <= '9') {
				pid = (in_number ? pid * 10 : 0) + (text[i] - '0');
				in_number = true;
			} else if (in_number) {
				in_number = false;
				if (slot_by_pid(s, (pid_t)pid) == NULL)
					return true;
			}
		}
	}
}

/* --- telling the server ------------------------------------------------------------------ */

static void tell_server(struct spawner *s, enum kt_wire_type type, uint64_t id, int64_t value)
{
	struct kt_wire_head head = { .type = type, .size = 0, .id = id, .value = value };
	/* May wait until the server reads; when it is gone the main loop sees that next. */
	while (send(s->fd, &head, sizeof(head), MSG_NOSIGNAL) < 0 && errno == EINTR)
		;
}

static bool tell_started(struct spawner *s, uint64_t id, pid_t pid, const int fds[3])
{
	struct kt_wire_head head = { .type = KT_WIRE_STARTED, .size = 0, .id = id, .value = pid };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(3 * sizeof(int))];
	} control = { .bytes = { 0 } };
	struct iovec iov = { .iov_base = &head, .iov_len = sizeof(head) };
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(3 * sizeof(int));
	memcpy(CMSG_DATA(c), fds, 3 * sizeof(int));
	ssize_t n = 0;
	do {
		n = sendmsg(s->fd, &msg, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n >= 0;
}

/* Collect the dead. Unknown ones were orphans. */
static void reap_children(struct spawner *s)
{
	struct signalfd_siginfo info;
	while (read(s->sigfd, &info, sizeof(info)) > 0)
		;
	for (;;) {
		int status = 0;
		pid_t pid = waitpid(-1, &status, WNOHANG);
		if (pid <= 0)
			return;
		struct slot *slot = slot_by_pid(s, pid);
		if (slot == NULL)
			continue;
		uint64_t id = slot->id;
		*slot = s->slots[--s->n];
		tell_server(s, KT_WIRE_EXITED, id, status);
		/* The kernel gave us its children before it told of its death. */
		if (has_orphans(s))
			kill_rounds(s, id, KILL_TREE_US);
	}
}

/* --- starting ---------------------------------------------------------------------------- */

static void close_batch(const struct fd_batch *b)
{
	for (size_t i = 0; i < b->n; i++)
		(void)close(b->fds[i]);
}

/* The descriptors that came with the SPAWN that is read now; how many they are is to be checked. */
static struct fd_batch take_batch(struct spawner *s)
{
	struct fd_batch b = { .n = 0 };

	if (s->n_batches == 0)
		return b;
	b = s->batches[0];
	s->n_batches--;
	memmove(s->batches, s->batches + 1, s->n_batches * sizeof(*s->batches));
	return b;
}

/* Start it and tell of it. Returns an errno. */
static int start_child(struct spawner *s, uint64_t id, const struct kt_start *st)
{
	int ends[3];
	pid_t pid = 0;
	int rc = kt_start_process(st, ends, &pid);

	if (rc != 0)
		return rc;
	void *slots = s->slots;
	kt_grow(&slots, &s->cap, s->n + 1, sizeof(*s->slots));
	s->slots = slots;
	s->slots[s->n++] = (struct slot){ .pid = pid, .id = id };
	/* Without pipes (too many descriptors under way) the child is of no use. */
	if (!tell_started(s, id, pid, ends)) {
		rc = errno;
		(void)kill(pid, SIGKILL);
		s->n--;
	}
	for (int i = 0; i < 3; i++)
		(void)close(ends[i]);
	return rc;
}

/*
 * Take the strings of a SPAWN apart, which stay where they are, and start what they say. Returns
 * an errno.
 */
static int start_by(struct spawner *s, uint64_t id, const struct kt_wire_spawn *w, char *strings,
	size_t size, const struct fd_batch *b)
{
	size_t count = 0;
	for (size_t i = 0; i < size; i++)
		count += strings[i] == '\0';
	if (size == 0 || strings[size - 1] != '\0' || w->argc < 1 || (size_t)w->argc + 2 > count ||
		(w->other_user && (w->uid == 0 || w->gid == 0)))
		return EINVAL;
	if (b->n != w->n_fds)
		return EMFILE;
	size_t argc = w->argc;
	size_t envc = count - 2 - argc;
	KT_AUTOFREE char **argv = kt_calloc(argc + 1, sizeof(*argv));
	KT_AUTOFREE char **envp = kt_calloc(envc + 1, sizeof(*envp));
	const char *program = strings + strlen(strings) + 1;
	char *p = strings + strlen(strings) + 1;
	p += strlen(p) + 1;
	for (size_t i = 0; i < argc; i++, p += strlen(p) + 1)
		argv[i] = p;
	for (size_t i = 0; i < envc; i++, p += strlen(p) + 1)
		envp[i] = p;
	const struct kt_start st = { .cwd = strings,
		.program = program,
		.argv = argv,
		.envp = envp,
		.fds = b->fds,
		.n_fds = b->n,
		.other_user = w->other_user,
		.uid = w->uid,
		.gid = w->gid };
	return start_child(s, id, &st);
}

static void on_spawn(struct spawner *s, const struct kt_wire_head *head, char *payload)
{
	struct kt_wire_spawn w;
	struct fd_batch b = { .n = 0 };
	int rc = EINVAL;

	if (head->size >= sizeof(w)) {
		memcpy(&w, payload, sizeof(w));
		if (w.n_fds > 0)
			b = take_batch(s);
		rc = start_by(s, head->id, &w, payload + sizeof(w), head->size - sizeof(w), &b);
	}
	close_batch(&b);
	if (rc != 0)
		tell_server(s, KT_WIRE_FAILED, head->id, rc);
}

/* --- the loop ---------------------------------------------------------------------------- */

static void on_message(struct spawner *s, const struct kt_wire_head *head, char *payload)
{
	const struct slot *slot = slot_by_id(s, head->id);
	switch (head->type) {
	case KT_WIRE_SPAWN:
		on_spawn(s, head, payload);
		break;
	case KT_WIRE_SIGNAL:
		/* Not reaped yet, so the pid is still its own. */
		if (slot != NULL)
			(void)kill(slot->pid, (int)head->value);
		break;
	case KT_WIRE_KILL_TREE:
		if (slot != NULL)
			kill_rounds(s, head->id, KILL_TREE_US);
		break;
	default:
		break;
	}
}

/*
 * Keep what came with bytes for the SPAWN that they begin, out of the way of the numbers that
 * descriptors are to get in a child. Those that there was no room for are missing then.
 */
static void keep_batch(struct spawner *s, struct msghdr *msg)
{
	struct fd_batch b = { .n = 0 };
	bool any = (msg->msg_flags & MSG_CTRUNC) != 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		any = true;
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			int high = fcntl(fd, F_DUPFD_CLOEXEC, KT_WIRE_FIRST_FREE_FD);
			(void)close(fd);
			if (high >= 0 && b.n < KT_ARRAY_LEN(b.fds))
				b.fds[b.n++] = high;
			else if (high >= 0)
				(void)close(high);
		}
	}
	if (!any)
		return;
	void *batches = s->batches;
	kt_grow(&batches, &s->batches_cap, s->n_batches + 1, sizeof(*s->batches));
	s->batches = batches;
	s->batches[s->n_batches++] = b;
}

/* As recv(); the kernel ends it behind bytes that descriptors came with. */
static ssize_t receive(struct spawner *s, char *to, size_t size)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(KT_MAX_CHILD_FDS * sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = to, .iov_len = size };
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes) };
	ssize_t n = recvmsg(s->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n > 0)
		keep_batch(s, &msg);
	return n;
}

/* Returns false when the server is gone or talks nonsense. */
static bool on_readable(struct spawner *s)
{
	char *to = kt_buf_reserve(&s->in, 65536);
	if (to == NULL)
		return false;
	ssize_t n = receive(s, to, 65536);
	if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
		return false;
	if (n < 0)
		return true;
	kt_buf_commit(&s->in, (size_t)n);
	size_t at = 0;
	for (;;) {
		struct kt_wire_head head;
		if (s->in.len - at < sizeof(head))
			break;
		memcpy(&head, s->in.ptr + at, sizeof(head));
		if (head.size > KT_WIRE_MAX_SPAWN_BYTES)
			return false;
		if (s->in.len - at < sizeof(head) + head.size)
			break;
		on_message(s, &head, s->in.ptr + at + sizeof(head));
		at += sizeof(head) + head.size;
	}
	kt_buf_drop(&s->in, at);
	/* Environments hold credentials; what is done with goes away. */
	if (s->in.len == 0 && s->in.cap > 0) {
		explicit_bzero(s->in.ptr, s->in.cap);
		kt_buf_release(&s->in);
	}
	return true;
}

/* Give up all that was inherited but the socket, which becomes descriptor 3. */
static bool set_up(struct spawner *s, int fd)
{
	for (char **e = environ; e != NULL && *e != NULL; e++)
		explicit_bzero(*e, strlen(*e));
	/* The server may itself have been started with some of 0 to 3 closed. */
	int sock = fcntl(fd, F_DUPFD_CLOEXEC, 10);
	int opened = open("/dev/null", O_RDWR | O_CLOEXEC);
	int null = fcntl(opened, F_DUPFD_CLOEXEC, 10);
	if (sock < 0 || null < 0 || dup2(sock, 3) < 0)
		return false;
	for (int i = 0; i < 3; i++)
		if (dup2(null, i) < 0)
			return false;
	(void)syscall(SYS_close_range, 4U, ~0U, 0U);
	if (fcntl(3, F_SETFD, FD_CLOEXEC) < 0)
		return false;
	(void)setsid();
	(void)prctl(PR_SET_NAME, "karta-spawner");
	/* Its children must not look into it: environments with credentials pass through. */
	(void)prctl(PR_SET_DUMPABLE, 0);
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		return false;
	/* Only the socket's end ends it: a signal to the whole group must not leave orphans. */
	static const int ignored[] = { SIGINT, SIGHUP, SIGTERM, SIGQUIT, SIGPIPE };
	struct sigaction sa = { .sa_handler = SIG_IGN };
	for (size_t i = 0; i < KT_ARRAY_LEN(ignored); i++)
		(void)sigaction(ignored[i], &sa, NULL);
	sa.sa_handler = SIG_DFL;
	(void)sigaction(SIGCHLD, &sa, NULL);
	sigset_t mask;
	(void)sigemptyset(&mask);
	(void)sigaddset(&mask, SIGCHLD);
	if (sigprocmask(SIG_SETMASK, &mask, NULL) < 0)
		return false;
	s->fd = 3;
	s->sigfd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	s->self = getpid();
	return s->sigfd >= 0;
}

void kt_spawner_main(int fd)
{
	static struct spawner spawner; /* reachable to the end: the process ends by _exit() */
	struct spawner *s = &spawner;
	if (!set_up(s, fd))
		_exit(1);
	kt_buf_init(&s->in, KT_WIRE_MAX_SPAWN_BYTES + sizeof(struct kt_wire_head) + 2 * 65536);
	for (;;) {
		struct pollfd polls[2] = {
			{ .fd = s->fd, .events = POLLIN },
			{ .fd = s->sigfd, .events = POLLIN },
		};
		if (poll(polls, 2, -1) < 0 && errno != EINTR)
			break;
		/* Deaths first: a pid in a request must not be one that is about to be reaped. */
		if (polls[1].revents != 0)
			reap_children(s);
		if (polls[0].revents != 0 && !on_readable(s))
			break;
	}
	kill_rounds(s, 0, KILL_ALL_US);
	_exit(0);
}
