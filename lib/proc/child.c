/* SPDX-License-Identifier: MIT */
/*
 * The server's side: the spawner's socket and, for each child, its three pipes. A child is freed
 * when it was told gone and libuv has closed its handles. Runs on the loop's thread.
 */
#include "proc/proc.h"

#include "base/base.h"
#include "base/buf.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/rand.h"
#include "base/str.h"
#include "base/vec.h"
#include "proc/wire_private.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Output that still comes this long after a child's death is a descendant's, and is cut. */
#define GRACE_MS 500
#define READ_BYTES 65536
/* Of one call: a line of the largest size, and what is around it. */
#define ONE_BYTES (KT_MAX_LINE_BYTES + 65536)
/* Requests that the spawner did not take yet; about a thousand usual ones. */
#define MAX_REQUEST_BYTES (16 * 1024 * 1024)
/* The spawner gives up on its own after 5 s; see KILL_ALL_US there. */
#define SPAWNER_END_MS 8000

struct kt_spawner {
	pid_t pid;
	int fd; /* -1 once the spawner is gone */
	uint64_t next_id;
	struct kt_loop *loop; /* NULL until attached */
	uv_poll_t poll;
	bool want_write;
	struct kt_buf out;
	uint64_t n_sent; /* bytes that `out` had and the spawner has */
	struct kt_vec passes; /* of struct pass, by place */
	struct kt_child *children;
	char *read_buf; /* READ_BYTES, for all pipes: reading is synchronous */
};

/* Descriptors that go with a byte of what is sent. */
struct pass {
	uint64_t at; /* counted as n_sent */
	size_t n;
	int fds[KT_MAX_CHILD_FDS]; /* ours */
};

enum { PIPE_IN, PIPE_OUT, PIPE_ERR };

struct kt_child {
	struct kt_spawner *sp; /* NULL once the spawner object is freed */
	struct kt_child *prev;
	struct kt_child *next;
	uint64_t id;
	pid_t pid;
	const struct kt_child_ops *ops; /* NULL once abandoned or gone */
	void *arg;
	uv_pipe_t pipes[3];
	bool open[3]; /* the handle is there and not closing */
	int handles; /* handles that libuv did not give back yet */
	bool started;
	bool exited;
	bool leaving; /* ops->gone is running */
	bool finished; /* nothing but closing is left */
	bool close_stdin; /* after what is queued */
	bool paused; /* its output is not read */
	struct kt_defer resume; /* reads on */
	int exit_code;
	int term_signal;
	struct kt_timer *grace;
	struct kt_buf early; /* written before it was started */
	size_t queued; /* bytes that wait, early ones included */
};

struct write_req {
	uv_write_t uv;
	struct kt_child *child;
	size_t len;
	char data[];
};

/* --- the spawner's socket ---------------------------------------------------------------- */

enum kt_code kt_spawner_start(struct kt_spawner **out, struct kt_err *err)
{
	int fds[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return kt_fail(err, KT_EIO, errno, "cannot make a socket pair");
	pid_t pid = fork();
	if (pid < 0) {
		int e = errno;
		(void)close(fds[0]);
		(void)close(fds[1]);
		return kt_fail(err, KT_EIO, e, "cannot start the spawner");
	}
	if (pid == 0)
		kt_spawner_main(fds[1]);
	(void)close(fds[1]);
	struct kt_spawner *sp = kt_calloc(1, sizeof(*sp));
	sp->pid = pid;
	sp->fd = fds[0];
	kt_buf_init(&sp->out, MAX_REQUEST_BYTES);
	/* Unlike any other server's, so that markers tell whose a process is. Below 2^63. */
	sp->next_id = (kt_rand_below(UINT64_C(1) << 30) + 1) << 32;
	*out = sp;
	return KT_OK;
}

static void on_spawner_poll(uv_poll_t *h, int status, int events);

static void watch_spawner(struct kt_spawner *sp)
{
	bool want = sp->out.len > 0;
	if (sp->loop == NULL || sp->fd < 0 || want == sp->want_write)
		return;
	sp->want_write = want;
	(void)uv_poll_start(&sp->poll, UV_READABLE | (want ? UV_WRITABLE : 0), on_spawner_poll);
}

static void free_pass(struct pass *p)
{
	for (size_t i = 0; i < p->n; i++)
		(void)close(p->fds[i]);
	free(p);
}

/* Send the next bytes, with the descriptors that belong to the first of them. As send(). */
static ssize_t send_some(struct kt_spawner *sp)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(KT_MAX_CHILD_FDS * sizeof(int))];
	} control = { .bytes = { 0 } };
	struct pass *p = sp->passes.len > 0 ? sp->passes.items[0] : NULL;
	bool now = p != NULL && p->at == sp->n_sent;
	struct iovec iov = { .iov_base = sp->out.ptr, .iov_len = sp->out.len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	/* The next ones go with a byte of their own. */
	if (now)
		p = sp->passes.len > 1 ? sp->passes.items[1] : NULL;
	if (p != NULL)
		iov.iov_len = KT_MIN(iov.iov_len, (size_t)(p->at - sp->n_sent));
	if (now) {
		p = sp->passes.items[0];
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(p->n * sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(p->n * sizeof(int));
		memcpy(CMSG_DATA(c), p->fds, p->n * sizeof(int));
	}
	ssize_t n = sendmsg(sp->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n > 0 && now)
		free_pass(kt_vec_remove(&sp->passes, 0));
	return n;
}

static void flush_spawner(struct kt_spawner *sp)
{
	while (sp->fd >= 0 && sp->out.len > 0) {
		ssize_t n = send_some(sp);
		if (n < 0 && errno == EINTR)
			continue;
		/*
		 * EAGAIN, or too many descriptors under way: later. Others are its death, which the
		 * reading side sees.
		 */
		if (n < 0)
			break;
		kt_buf_drop(&sp->out, (size_t)n);
		sp->n_sent += (uint64_t)n;
	}
	watch_spawner(sp);
}

static void request_spawner(
	struct kt_spawner *sp, enum kt_wire_type type, uint64_t id, int64_t value)
{
	struct kt_wire_head head = { .type = type, .size = 0, .id = id, .value = value };
	if (sp == NULL || sp->fd < 0)
		return;
	kt_buf_add(&sp->out, &head, sizeof(head));
	if (!kt_buf_ok(&sp->out)) {
		/* It will never read again: end it, which ends the children. */
		kt_log(KT_LOG_ERROR, "proc", "spawner %d does not answer", (int)sp->pid);
		(void)shutdown(sp->fd, SHUT_RDWR);
		return;
	}
	flush_spawner(sp);
}

/* --- ends of a child --------------------------------------------------------------------- */

static void unlink_child(struct kt_child *c)
{
	if (c->prev != NULL)
		c->prev->next = c->next;
	else if (c->sp != NULL && c->sp->children == c)
		c->sp->children = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	if (c->sp != NULL)
		kt_loop_undefer(c->sp->loop, &c->resume);
	if (c->sp != NULL && c->sp->children == NULL)
		uv_unref((uv_handle_t *)&c->sp->poll);
	c->prev = NULL;
	c->next = NULL;
	c->sp = NULL;
}

static void free_if_done(struct kt_child *c)
{
	if (!c->finished || c->handles > 0)
		return;
	kt_buf_release(&c->early);
	free(c);
}

static void on_pipe_closed(uv_handle_t *h)
{
	struct kt_child *c = h->data;
	c->handles--;
	free_if_done(c);
}

static void close_pipe(struct kt_child *c, int which)
{
	if (!c->open[which])
		return;
	c->open[which] = false;
	uv_close((uv_handle_t *)&c->pipes[which], on_pipe_closed);
}

/* Close what is open, take it off the list, and free it when libuv lets go. */
static void finish_child(struct kt_child *c)
{
	if (c->finished)
		return;
	c->finished = true;
	c->ops = NULL;
	for (int i = 0; i < 3; i++)
		close_pipe(c, i);
	kt_timer_free(c->grace);
	c->grace = NULL;
	unlink_child(c);
	free_if_done(c);
}

static void child_gone(struct kt_child *c, int start_error)
{
	const struct kt_child_ops *ops = c->ops;
	c->ops = NULL;
	c->leaving = true;
	if (ops != NULL)
		ops->gone(c->arg, c->exit_code, c->term_signal, start_error);
	finish_child(c);
}

static void gone_if_read(struct kt_child *c)
{
	if (c->exited && !c->finished && !c->open[PIPE_OUT] && !c->open[PIPE_ERR])
		child_gone(c, 0);
}

static void on_grace(void *arg)
{
	struct kt_child *c = arg;
	/* What is not read is not a descendant's. */
	if (c->paused)
		kt_timer_start(c->grace, GRACE_MS, 0);
	else
		child_gone(c, 0);
}

/* --- pipes ------------------------------------------------------------------------------- */

static void on_child_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
	(void)suggested;
	const struct kt_child *c = h->data;
	if (c->sp == NULL) {
		*buf = uv_buf_init(NULL, 0);
		return;
	}
	*buf = uv_buf_init(c->sp->read_buf, READ_BYTES);
}

static void on_child_read(uv_stream_t *h, ssize_t n, const uv_buf_t *buf);

/* Read what is to be read, or nothing. */
static void read_pipes(struct kt_child *c, bool on)
{
	for (int i = PIPE_OUT; i <= PIPE_ERR; i++) {
		if (c->open[i] && !on)
			(void)uv_read_stop((uv_stream_t *)&c->pipes[i]);
		else if (c->open[i] && !c->paused && c->ops != NULL)
			(void)uv_read_start(
				(uv_stream_t *)&c->pipes[i], on_child_alloc, on_child_read);
	}
}

static void on_resume(void *arg)
{
	read_pipes(arg, true);
}

static void on_child_read(uv_stream_t *h, ssize_t n, const uv_buf_t *buf)
{
	struct kt_child *c = h->data;
	int which = h == (uv_stream_t *)&c->pipes[PIPE_OUT] ? PIPE_OUT : PIPE_ERR;
	if (n > 0 && c->ops != NULL) {
		if (which == PIPE_OUT)
			c->ops->out(c->arg, buf->base, (size_t)n);
		else
			c->ops->err(c->arg, buf->base, (size_t)n);
	}
	if (n < 0) {
		close_pipe(c, which);
		gone_if_read(c);
	} else if (n == READ_BYTES && !c->finished) {
		/* libuv would read on, 32 times: others get their turn first. */
		read_pipes(c, false);
		kt_loop_defer(c->sp->loop, &c->resume);
	}
}

static void on_child_written(uv_write_t *uv, int status)
{
	struct write_req *req = kt_container_of(uv, struct write_req, uv);
	struct kt_child *c = req->child;
	c->queued -= req->len;
	free(req);
	if (status < 0 || (c->close_stdin && c->queued == 0))
		close_pipe(c, PIPE_IN);
}

/* Write what the pipe takes now and queue the rest. Returns false when nobody reads any more. */
static bool push_child_input(struct kt_child *c, const char *data, size_t len)
{
	uv_stream_t *in = (uv_stream_t *)&c->pipes[PIPE_IN];
	if (c->queued == 0) {
		/* A call's length is ONE_BYTES at most, so unsigned holds it. */
		union {
			const char *in;
			char *out;
		} p = { .in = data };
		uv_buf_t buf = uv_buf_init(p.out, (unsigned)len);
		int n = uv_try_write(in, &buf, 1);
		if (n < 0 && n != UV_EAGAIN)
			return false;
		if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
	}
	if (len == 0)
		return true;
	struct write_req *req = kt_malloc(sizeof(*req) + len);
	req->child = c;
	req->len = len;
	memcpy(req->data, data, len);
	uv_buf_t buf = uv_buf_init(req->data, (unsigned)len);
	if (uv_write(&req->uv, in, &buf, 1, on_child_written) < 0) {
		free(req);
		return false;
	}
	c->queued += len;
	return true;
}

static void open_pipes(struct kt_child *c, const int fds[3])
{
	for (int i = 0; i < 3; i++) {
		kt_assert(uv_pipe_init(kt_loop_uv(c->sp->loop), &c->pipes[i], 0) == 0);
		c->pipes[i].data = c;
		c->open[i] = true;
		c->handles++;
		if (uv_pipe_open(&c->pipes[i], fds[i]) < 0) {
			(void)close(fds[i]);
			close_pipe(c, i);
		} else if (i != PIPE_IN) {
			(void)uv_read_start(
				(uv_stream_t *)&c->pipes[i], on_child_alloc, on_child_read);
		}
	}
	size_t early = c->early.len;
	c->queued -= early;
	if (early > 0 && c->open[PIPE_IN] && !push_child_input(c, c->early.ptr, early))
		close_pipe(c, PIPE_IN);
	kt_buf_release(&c->early);
	if (c->close_stdin && c->queued == 0)
		close_pipe(c, PIPE_IN);
}

/* --- answers ----------------------------------------------------------------------------- */

static void on_started(struct kt_child *c, pid_t pid, int fds[3], size_t n_fds)
{
	c->pid = pid;
	c->started = true;
	if (n_fds == 3 && c->ops != NULL) {
		open_pipes(c, fds);
		return;
	}
	for (size_t i = 0; i < n_fds; i++)
		(void)close(fds[i]);
	if (c->ops == NULL)
		return;
	/* This process has no descriptors left for its pipes. */
	request_spawner(c->sp, KT_WIRE_KILL_TREE, c->id, 0);
	c->exit_code = -1;
	child_gone(c, EMFILE);
}

static void on_exited(struct kt_child *c, int status)
{
	c->exited = true;
	c->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	c->term_signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	if (c->ops == NULL) {
		finish_child(c);
		return;
	}
	c->grace = kt_timer_new(c->sp->loop, on_grace, c);
	kt_timer_start(c->grace, GRACE_MS, 0);
	gone_if_read(c);
}

/* The spawner ended (killed, or a bug): so did the children, or they are ended now. */
static void on_spawner_gone(struct kt_spawner *sp)
{
	kt_log(KT_LOG_ERROR, "proc", "spawner %d is gone", (int)sp->pid);
	(void)uv_poll_stop(&sp->poll);
	(void)close(sp->fd);
	sp->fd = -1;
	for (struct kt_child *c = sp->children; c != NULL; c = c->next) {
		/* Orphans are not ours, so their numbers may be reused: the marker must agree. */
		if (c->pid > 0 && !c->exited && kt_proctree_marker(c->pid) == c->id)
			(void)kill(-c->pid, SIGKILL);
	}
	while (sp->children != NULL) {
		struct kt_child *c = sp->children;
		c->exit_code = -1;
		c->term_signal = c->started ? SIGKILL : 0;
		child_gone(c, c->started ? 0 : EPIPE);
	}
}

static void on_spawner_answer(
	struct kt_spawner *sp, const struct kt_wire_head *head, int fds[3], size_t n_fds)
{
	struct kt_child *c = sp->children;
	while (c != NULL && c->id != head->id)
		c = c->next;
	if (c == NULL || head->type != KT_WIRE_STARTED) {
		for (size_t i = 0; i < n_fds; i++)
			(void)close(fds[i]);
		if (c == NULL)
			return;
	}
	switch (head->type) {
	case KT_WIRE_STARTED:
		on_started(c, (pid_t)head->value, fds, n_fds);
		break;
	case KT_WIRE_FAILED:
		c->exit_code = -1;
		child_gone(c, (int)head->value);
		break;
	case KT_WIRE_EXITED:
		on_exited(c, (int)head->value);
		break;
	default:
		break;
	}
}

/* One message: 1 read, 0 none now, -1 the spawner is gone. */
static int receive_from_spawner(struct kt_spawner *sp)
{
	struct kt_wire_head head;
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(3 * sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = &head, .iov_len = sizeof(head) };
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes) };
	ssize_t n = recvmsg(sp->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	/* Heads are sent whole and are far below what a socket splits. */
	if (n != (ssize_t)sizeof(head))
		return -1;
	int fds[3] = { -1, -1, -1 };
	size_t n_fds = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c != NULL; c = CMSG_NXTHDR(&msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n_fds = KT_MIN((c->cmsg_len - CMSG_LEN(0)) / sizeof(int), KT_ARRAY_LEN(fds));
		memcpy(fds, CMSG_DATA(c), n_fds * sizeof(int));
	}
	on_spawner_answer(sp, &head, fds, n_fds);
	return 1;
}

static void on_spawner_poll(uv_poll_t *h, int status, int events)
{
	struct kt_spawner *sp = h->data;
	if (status == 0 && (events & UV_WRITABLE) != 0)
		flush_spawner(sp);
	int rc = 1;
	for (int i = 0; i < 64 && rc > 0; i++)
		rc = receive_from_spawner(sp);
	if (rc < 0)
		on_spawner_gone(sp);
}

/* --- life of the spawner object ---------------------------------------------------------- */

enum kt_code kt_spawner_attach(struct kt_spawner *sp, struct kt_loop *loop, struct kt_err *err)
{
	kt_assert(sp->loop == NULL);
	/* Writing to a child that closed its stdin must be an error, not this process's end. */
	struct sigaction sa = { .sa_handler = SIG_IGN };
	if (sigaction(SIGPIPE, &sa, NULL) < 0)
		return kt_fail(err, KT_EIO, errno, "cannot ignore SIGPIPE");
	int rc = uv_poll_init(kt_loop_uv(loop), &sp->poll, sp->fd);
	if (rc < 0)
		return kt_fail(err, KT_EIO, -rc, "cannot watch the spawner");
	sp->loop = loop;
	sp->poll.data = sp;
	sp->read_buf = kt_malloc(READ_BYTES);
	rc = uv_poll_start(&sp->poll, UV_READABLE, on_spawner_poll);
	/* Only children keep the loop running. */
	uv_unref((uv_handle_t *)&sp->poll);
	return rc < 0 ? kt_fail(err, KT_EIO, -rc, "cannot watch the spawner") : KT_OK;
}

static void wait_for_end(pid_t pid)
{
	useconds_t pause_us = 100;
	int64_t waited_us = 0;
	while (waitpid(pid, NULL, WNOHANG) == 0) {
		if (waited_us > SPAWNER_END_MS * 1000) {
			(void)kill(pid, SIGKILL);
			(void)waitpid(pid, NULL, 0);
			return;
		}
		(void)usleep(pause_us);
		waited_us += pause_us;
		pause_us = KT_MIN(pause_us * 2, 5000);
	}
}

static void on_poll_closed(uv_handle_t *h)
{
	struct kt_spawner *sp = h->data;
	free(sp);
}

void kt_spawner_free(struct kt_spawner *sp)
{
	if (sp == NULL)
		return;
	while (sp->children != NULL)
		finish_child(sp->children);
	if (sp->loop != NULL)
		(void)uv_poll_stop(&sp->poll);
	if (sp->fd >= 0)
		(void)close(sp->fd);
	sp->fd = -1;
	wait_for_end(sp->pid);
	kt_buf_release(&sp->out);
	for (size_t i = 0; i < sp->passes.len; i++)
		free_pass(sp->passes.items[i]);
	kt_vec_release(&sp->passes);
	free(sp->read_buf);
	sp->read_buf = NULL;
	if (sp->loop == NULL)
		free(sp);
	else
		uv_close((uv_handle_t *)&sp->poll, on_poll_closed);
}

/* --- children ---------------------------------------------------------------------------- */

/* Duplicates of a child's further descriptors, for the byte that is appended next. */
static enum kt_code add_pass(
	struct kt_spawner *sp, const struct kt_child_spec *spec, struct kt_err *err)
{
	if (spec->n_fds == 0)
		return KT_OK;
	struct pass *p = kt_calloc(1, sizeof(*p));
	p->at = sp->n_sent + sp->out.len;
	for (; p->n < spec->n_fds; p->n++) {
		p->fds[p->n] = fcntl(spec->fds[p->n], F_DUPFD_CLOEXEC, 0);
		if (p->fds[p->n] < 0) {
			int e = errno;
			free_pass(p);
			return kt_fail(err, KT_EIO, e, "cannot start '%s': cannot give it a file",
				spec->argv[0]);
		}
	}
	kt_vec_push(&sp->passes, p);
	return KT_OK;
}

/* Append a SPAWN request to sp->out. */
static enum kt_code add_spawn(
	struct kt_spawner *sp, const struct kt_child_spec *spec, uint64_t id, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_WIRE_MAX_SPAWN_BYTES);
	const char *program = spec->program ? spec->program : spec->argv[0];
	struct kt_wire_spawn w = { .n_fds = (uint32_t)spec->n_fds };
	size_t argc = 0;
	while (spec->argv[argc] != NULL)
		argc++;
	w.argc = (uint32_t)argc;
	if (spec->user != NULL) {
		w.other_user = 1;
		w.uid = spec->user->uid;
		w.gid = spec->user->gid;
	}
	kt_buf_add(&b, &w, sizeof(w));
	kt_buf_add(&b, spec->cwd, strlen(spec->cwd) + 1);
	kt_buf_add(&b, program, strlen(program) + 1);
	for (size_t i = 0; i < argc; i++)
		kt_buf_add(&b, spec->argv[i], strlen(spec->argv[i]) + 1);
	for (char *const *e = spec->envp; *e != NULL; e++)
		if (!kt_str_starts(*e, KT_WIRE_MARKER))
			kt_buf_add(&b, *e, strlen(*e) + 1);
	kt_buf_addf(&b, KT_WIRE_MARKER "%llu", (unsigned long long)id);
	kt_buf_addc(&b, '\0');
	struct kt_wire_head head = { .type = KT_WIRE_SPAWN, .size = (uint32_t)b.len, .id = id };
	if (!kt_buf_ok(&b) ||
		sp->out.len + sizeof(head) + b.len > MAX_REQUEST_BYTES - KT_WIRE_MAX_SPAWN_BYTES)
		return kt_fail(err, KT_ELIMIT, 0,
			"cannot start '%s': arguments and environment are too long", spec->argv[0]);
	enum kt_code rc = add_pass(sp, spec, err);
	if (rc != KT_OK)
		return rc;
	kt_buf_add(&sp->out, &head, sizeof(head));
	kt_buf_add(&sp->out, b.ptr, b.len);
	return KT_OK;
}

enum kt_code kt_child_spawn(struct kt_spawner *sp, const struct kt_child_spec *spec,
	const struct kt_child_ops *ops, void *arg, struct kt_child **out, struct kt_err *err)
{
	kt_assert(sp->loop != NULL && spec->argv[0] != NULL && ops != NULL);
	if (sp->fd < 0)
		return kt_fail(err, KT_EUNAVAIL, 0, "cannot start '%s': the spawner is gone",
			spec->argv[0]);
	if (spec->n_fds > KT_MAX_CHILD_FDS)
		return kt_fail(err, KT_ELIMIT, 0, "cannot start '%s' with %zu further files",
			spec->argv[0], spec->n_fds);
	/* Somebody else is meant to have fewer rights. */
	if (spec->user != NULL && (spec->user->uid == 0 || spec->user->gid == 0))
		return kt_fail(err, KT_EINVAL, 0, "cannot start '%s' as root", spec->argv[0]);
	uint64_t id = sp->next_id;
	enum kt_code rc = add_spawn(sp, spec, id, err);
	if (rc != KT_OK)
		return rc;
	sp->next_id++;
	struct kt_child *c = kt_calloc(1, sizeof(*c));
	c->sp = sp;
	c->id = id;
	c->resume.fn = on_resume;
	c->resume.arg = c;
	c->ops = ops;
	c->arg = arg;
	kt_buf_init(&c->early, KT_MAX_CHILD_QUEUE_BYTES);
	c->next = sp->children;
	if (c->next != NULL)
		c->next->prev = c;
	sp->children = c;
	uv_ref((uv_handle_t *)&sp->poll);
	flush_spawner(sp);
	*out = c;
	return KT_OK;
}

enum kt_code kt_child_write(struct kt_child *c, const char *data, size_t len, struct kt_err *err)
{
	if (c->close_stdin || c->finished || c->exited || (c->started && !c->open[PIPE_IN]))
		return kt_fail(err, KT_EUNAVAIL, 0, "the process does not read any more");
	/* An answer has the whole input of the call again, however long that is. */
	size_t max = c->started && c->queued == 0 ? ONE_BYTES : KT_MAX_CHILD_QUEUE_BYTES;
	if (len > max || c->queued > max - len)
		return kt_fail(
			err, KT_ELIMIT, 0, "the process does not read: %zu bytes wait", c->queued);
	if (len == 0)
		return KT_OK;
	if (!c->started) {
		kt_buf_add(&c->early, data, len);
		if (!kt_buf_ok(&c->early)) {
			c->early.overflow = false;
			return kt_fail(err, KT_ELIMIT, 0, "out of memory for %zu bytes", len);
		}
		c->queued += len;
		return KT_OK;
	}
	if (!push_child_input(c, data, len)) {
		close_pipe(c, PIPE_IN);
		return kt_fail(err, KT_EUNAVAIL, 0, "the process does not read any more");
	}
	return KT_OK;
}

size_t kt_child_queued(const struct kt_child *c)
{
	return c->queued;
}

void kt_child_pause(struct kt_child *c, bool paused)
{
	c->paused = paused;
	read_pipes(c, !paused);
}

void kt_child_close_stdin(struct kt_child *c)
{
	c->close_stdin = true;
	if (c->started && c->queued == 0)
		close_pipe(c, PIPE_IN);
}

void kt_child_signal(struct kt_child *c, int signum)
{
	request_spawner(c->sp, KT_WIRE_SIGNAL, c->id, signum);
}

void kt_child_kill_tree(struct kt_child *c)
{
	request_spawner(c->sp, KT_WIRE_KILL_TREE, c->id, 0);
}

void kt_child_abandon(struct kt_child *c)
{
	if (c->leaving)
		return;
	c->ops = NULL;
	kt_child_kill_tree(c);
	for (int i = 0; i < 3; i++)
		close_pipe(c, i);
	/* Nothing else comes for one that is dead already. */
	if (c->exited)
		finish_child(c);
}
