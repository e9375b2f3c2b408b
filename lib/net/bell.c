/* SPDX-License-Identifier: MIT */
/*
 * Nothing is read from who rings, and what is written is one byte into a fresh socket: neither can
 * keep the loop waiting. Who finds the room full is let go of, as one that got no answer.
 */
#include "net/bell.h"

#include "base/fs.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#define WAITING_MAX 16
#define REST_MS 1000 /* without descriptors the socket stays readable */

struct ringers {
	int fds[WAITING_MAX];
	size_t n;
};

struct kt_bell {
	uv_poll_t poll; /* first: its memory goes in the close callback */
	struct kt_loop *loop;
	struct kt_defer again;
	struct kt_timer *rest;
	kt_loop_fn fn;
	void *arg;
	char *path;
	int fd;
	bool looking; /* fn was called and has not answered */
	struct ringers asked; /* before fn was called */
	struct ringers since;
};

/* A path of any length has a short name while its folder is open. */
static enum kt_code address_of(const char *dir, const char *name, int *out_dir,
	struct sockaddr_un *out, struct kt_err *err)
{
	int n;

	*out = (struct sockaddr_un){ .sun_family = AF_UNIX };
	*out_dir = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*out_dir < 0)
		return kt_fail(err, errno == ENOENT ? KT_ENOTFOUND : KT_EIO, errno,
			"cannot open '%s'", dir);
	n = snprintf(out->sun_path, sizeof(out->sun_path), "/proc/self/fd/%d/%s", *out_dir, name);
	kt_assert(n > 0 && (size_t)n < sizeof(out->sun_path));
	return KT_OK;
}

/* --- the server's side ------------------------------------------------------------------- */

static void tell_ringers(struct ringers *r, bool done)
{
	while (r->n) {
		int fd = r->fds[--r->n];

		if (done)
			(void)!send(fd, "1", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
		close(fd);
	}
}

static void look_at_bell(void *arg)
{
	struct kt_bell *b = arg;

	if (b->looking || !b->since.n)
		return;
	b->asked = b->since;
	b->since.n = 0;
	b->looking = true;
	b->fn(b->arg);
}

void kt_bell_answer(struct kt_bell *b, bool done)
{
	tell_ringers(&b->asked, done);
	b->looking = false;
	if (b->since.n)
		kt_loop_defer(b->loop, &b->again);
}

static bool may_ring(int fd)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 &&
		(who.uid == 0 || who.uid == geteuid());
}

static void on_ring(uv_poll_t *poll, int status, int events)
{
	struct kt_bell *b = (struct kt_bell *)poll;
	int fd;

	(void)status;
	(void)events;
	while ((fd = accept4(b->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
		if (may_ring(fd) && b->since.n < WAITING_MAX)
			b->since.fds[b->since.n++] = fd;
		else
			close(fd);
	}
	if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
		(void)uv_poll_stop(&b->poll);
		kt_timer_start(b->rest, REST_MS, 0);
	}
	look_at_bell(b);
}

static void on_rested(void *arg)
{
	struct kt_bell *b = arg;

	(void)uv_poll_start(&b->poll, UV_READABLE, on_ring);
}

static void on_bell_closed(uv_handle_t *h)
{
	struct kt_bell *b = (struct kt_bell *)h;

	free(b->path);
	free(b);
}

void kt_bell_free(struct kt_bell *b)
{
	if (!b)
		return;
	kt_loop_undefer(b->loop, &b->again);
	kt_timer_free(b->rest);
	tell_ringers(&b->asked, false);
	tell_ringers(&b->since, false);
	(void)unlink(b->path);
	(void)uv_poll_stop(&b->poll);
	close(b->fd);
	uv_close((uv_handle_t *)&b->poll, on_bell_closed);
}

static enum kt_code listen_at_bell(
	const char *dir, const char *name, const char *path, int *out, struct kt_err *err)
{
	KT_AUTOFD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	KT_AUTOFD int at = -1;
	struct sockaddr_un addr;
	enum kt_code rc = address_of(dir, name, &at, &addr, err);

	if (rc != KT_OK)
		return rc;
	if (unlinkat(at, name, 0) != 0 && errno != ENOENT)
		return kt_fail(err, KT_EIO, errno, "cannot remove '%s'", path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0 ||
		fchmodat(at, name, 0600, 0) != 0 || listen(fd, WAITING_MAX) != 0)
		return kt_fail(err, KT_EIO, errno, "cannot make the socket '%s'", path);
	*out = KT_STEAL_FD(fd);
	return KT_OK;
}

enum kt_code kt_bell_new(struct kt_loop *loop, const char *dir, const char *name, kt_loop_fn fn,
	void *arg, struct kt_bell **out, struct kt_err *err)
{
	KT_AUTOFREE char *path = kt_path_join(dir, name);
	struct kt_bell *b;
	int fd = -1;
	enum kt_code rc = listen_at_bell(dir, name, path, &fd, err);

	if (rc != KT_OK)
		return rc;
	b = kt_calloc(1, sizeof(*b));
	if (uv_poll_init(kt_loop_uv(loop), &b->poll, fd) < 0) {
		close(fd);
		free(b);
		return kt_fail(err, KT_EIO, 0, "cannot watch the socket '%s'", path);
	}
	b->loop = loop;
	b->again = (struct kt_defer){ .fn = look_at_bell, .arg = b };
	b->fn = fn;
	b->arg = arg;
	b->fd = fd;
	b->path = KT_STEAL(path);
	b->rest = kt_timer_new(loop, on_rested, b);
	(void)uv_poll_start(&b->poll, UV_READABLE, on_ring);
	uv_unref((uv_handle_t *)&b->poll);
	*out = b;
	return KT_OK;
}

/* --- who rings --------------------------------------------------------------------------- */

enum kt_code kt_bell_ring(const char *dir, const char *name, int timeout_ms, struct kt_err *err)
{
	KT_AUTOFD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	KT_AUTOFD int at = -1;
	struct pollfd p = { fd, POLLIN, 0 };
	struct sockaddr_un addr;
	char answer = 0;
	enum kt_code rc = address_of(dir, name, &at, &addr, err);

	if (rc != KT_OK)
		return rc;
	if (fd < 0)
		return kt_fail(err, KT_EIO, errno, "cannot make a socket");
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0)
		return kt_fail(err,
			errno == ENOENT || errno == ECONNREFUSED    ? KT_ENOTFOUND
				: errno == EACCES || errno == EPERM ? KT_EDENIED
								    : KT_EIO,
			errno, "cannot reach the server at '%s'", dir);
	if (poll(&p, 1, timeout_ms) <= 0)
		return kt_fail(err, KT_ETIMEOUT, 0, "the server does not answer");
	if (recv(fd, &answer, 1, 0) != 1 || answer != '1')
		return kt_fail(err, KT_EUNAVAIL, 0, "the server could not look again");
	return KT_OK;
}
