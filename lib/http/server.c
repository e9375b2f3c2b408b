/* SPDX-License-Identifier: MIT */
/*
 * The server: listening sockets, the caps on connections, the one sweep timer, the queue of work
 * for the end of the tick, and drain. Accepting is done here and not by libuv, because libuv
 * offers no way to pause when descriptors run out.
 */
#include "http/conn_private.h"

#include "base/limits.h"
#include "base/log.h"
#include "base/rand.h"
#include "base/str.h"
#include "net/budget.h"

#include <arpa/inet.h>
#include <errno.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#define TRIM_CONNS 32 /* fewer leave too little behind to look for */
#define TRIM_BYTES (512 * 1024)
#define QUIET_BYTES (128 * 1024)
#define SWEEP_MS 500
#define PAUSE_MS 100
#define PAUSE_LOG_MS 10000
#define LATE_NS 5000000 /* work put off for longer lets new input go first */
#define ACCEPT_BURST 256 /* then let others run */
#define SPARE_FDS 384 /* logs, database, uploads, three pipes for each of some dozen harnesses */
#define BUSY_EXTRA 64 /* connections over the cap that still get an answer */
/* the kernel would keep megabytes for who takes nothing, uncounted */
#define SEND_BUF_BYTES 131072
#define BACKLOG 4096
#define USER_TIMEOUT_MS 30000
#define MAX_ANSWER_BYTES (256 * 1024) /* a head and what is joined to it */

union address {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_storage ss;
};

void kt_http_config_init(struct kt_http_config *cfg)
{
	*cfg = (struct kt_http_config){
		.max_body_bytes = KT_MAX_HTTP_BODY_BYTES,
		.max_conns = KT_MAX_HTTP_CONNS,
		.max_conns_per_ip = KT_MAX_HTTP_CONNS_PER_IP,
		.head_ms = KT_HTTP_HEAD_MS,
		.body_ms = KT_HTTP_BODY_MS,
		.idle_ms = KT_HTTP_IDLE_MS,
		.stall_ms = KT_HTTP_STALL_MS,
		.drain_ms = KT_HTTP_DRAIN_MS,
		.upload_grace_ms = KT_HTTP_UPLOAD_GRACE_MS,
		.upload_bytes_per_s = KT_MIN_UPLOAD_BYTES_PER_S,
		.heartbeat_ms = KT_SSE_HEARTBEAT_MS,
		.probe_ms = KT_HTTP_PROBE_MS,
	};
}

void kt_http_config_files(struct kt_http_config *cfg, size_t max_fds)
{
	size_t spare = KT_MIN(max_fds / 2, KT_MAX(max_fds / 4, (size_t)SPARE_FDS));

	cfg->max_conns = KT_MIN(cfg->max_conns, max_fds - spare);
	/* However few there are, one address cannot have them all. */
	cfg->max_conns_per_ip = KT_MIN(cfg->max_conns_per_ip, cfg->max_conns / 2);
}

void kt_server_later(struct kt_http_server *s, struct kt_conn *c)
{
	if (c->later)
		return;
	c->later = true;
	c->next_later = NULL;
	*(s->later ? &s->last_later->next_later : &s->later) = c;
	s->last_later = c;
	kt_loop_defer(s->loop, &s->defer);
}

static void run_later(void *arg)
{
	struct kt_http_server *s = arg;
	struct kt_conn *last = s->last_later;
	uint64_t until_ns = uv_hrtime() + LATE_NS;

	/* What is put off meanwhile has its turn in the next round. */
	s->read_again = 0;
	s->sent_bytes = 0;
	for (bool more = s->later; more && uv_hrtime() < until_ns;) {
		struct kt_conn *c = s->later;
		more = c != last && c->next_later;
		s->later = c->next_later;
		c->later = false;
		kt_conn_late(c);
	}
	if (s->later)
		kt_loop_defer(s->loop, &s->defer);
	if (s->draining && s->n_conns == 0 && s->drain_fn) {
		kt_loop_fn fn = s->drain_fn;
		s->drain_fn = NULL;
		kt_timer_stop(s->sweep);
		fn(s->drain_arg); /* may free s */
	}
}

size_t kt_server_count(struct kt_http_server *s, const char *peer, int change)
{
	char key[KT_BUDGET_ADDRESS_SIZE];

	kt_budget_address(peer, key);
	uintptr_t n = (uintptr_t)kt_map_get(&s->per_ip, key);
	if (change < 0 && n <= 1)
		(void)kt_map_del(&s->per_ip, key);
	else if (change != 0)
		(void)kt_map_set(&s->per_ip, key, (void *)(change > 0 ? n + 1 : n - 1));
	return (size_t)n;
}

void kt_server_forget(struct kt_http_server *s, struct kt_conn *c)
{
	if (c->prev)
		c->prev->next = c->next;
	else
		s->conns = c->next;
	if (c->next)
		c->next->prev = c->prev;
	s->n_conns--;
	if (s->cfg.max_conns_per_ip > 0 && !c->proxy)
		(void)kt_server_count(s, c->ex.rq.peer, -1);
}

/* Has it halved and more since the last time, from what is worth looking for? */
static bool has_fallen(size_t *most, size_t now, size_t least)
{
	if (now > *most / 2 || *most - now < least)
		return false;
	*most = now;
	return true;
}

/*
 * The heap does not shrink by itself when a crowd of readers or a flood of bodies has gone: a small
 * piece at its end holds the rest. Whenever half of it has gone, and once more when all is quiet.
 */
static void trim_after_conns(struct kt_http_server *s)
{
	size_t bytes = s->cfg.budget ? kt_budget_bytes(s->cfg.budget) : 0;
	size_t peak = s->cfg.budget ? kt_budget_peak(s->cfg.budget) : 0;
	bool left = has_fallen(&s->most_conns, s->n_conns, TRIM_CONNS);

	s->most_bytes = KT_MAX(s->most_bytes, peak);
	bool fallen = has_fallen(&s->most_bytes, bytes, TRIM_BYTES) || left;
	bool quiet = s->trimmed && bytes < QUIET_BYTES;
	if (fallen || quiet)
		(void)malloc_trim(0);
	s->trimmed = fallen || (s->trimmed && !quiet);
}

static void sweep_conns(void *arg)
{
	struct kt_http_server *s = arg;
	int64_t now_ms = kt_loop_now_ms(s->loop);
	bool late = s->draining && now_ms >= s->drain_until_ms;

	/* Nothing is unlinked meanwhile: closing waits for the end of the tick. */
	for (struct kt_conn *c = s->conns; c; c = c->next) {
		if (late || (c->last && c->phase == KT_CONN_IDLE))
			kt_conn_doom(c);
		else
			kt_conn_sweep(c, now_ms);
	}
	trim_after_conns(s);
}

enum kt_code kt_http_server_new(struct kt_loop *loop, const struct kt_http_config *cfg,
	kt_http_fn fn, void *arg, struct kt_http_server **out, struct kt_err *err)
{
	struct sigaction sa;

	/* libuv writes without MSG_NOSIGNAL; a client that is gone must not end the process. */
	if (sigaction(SIGPIPE, NULL, &sa) == 0 && sa.sa_handler == SIG_DFL) {
		sa.sa_handler = SIG_IGN;
		if (sigaction(SIGPIPE, &sa, NULL) != 0)
			return kt_fail(err, KT_EIO, errno, "cannot ignore SIGPIPE");
	}
	struct kt_http_server *s = kt_calloc(1, sizeof(*s));
	s->loop = loop;
	s->cfg = *cfg;
	if (cfg->server_headers)
		s->server_headers = kt_strdup(cfg->server_headers);
	s->fn = fn;
	s->arg = arg;
	s->defer.fn = run_later;
	s->defer.arg = s;
	s->date_s = -1;
	kt_rand_bytes(&s->id_seed, sizeof(s->id_seed));
	kt_buf_init(&s->out, MAX_ANSWER_BYTES);
	kt_buf_init(&s->common, 16384);
	s->sweep = kt_timer_new(loop, sweep_conns, s);
	*out = s;
	return KT_OK;
}

/* The shortest deadline decides how coarse the sweep may be. */
static int64_t sweep_ms(const struct kt_http_config *cfg)
{
	int64_t least = cfg->head_ms;

	least = KT_MIN(least, cfg->body_ms);
	least = KT_MIN(least, cfg->idle_ms);
	least = KT_MIN(least, cfg->stall_ms);
	least = KT_MIN(least, cfg->drain_ms);
	least = KT_MIN(least, cfg->upload_grace_ms);
	least = KT_MIN(least, cfg->heartbeat_ms);
	return KT_MAX((int64_t)10, KT_MIN((int64_t)SWEEP_MS, least / 4));
}

static void peer_text(const union address *a, char *out, size_t size)
{
	const void *bytes = &a->in.sin_addr;
	int family = a->sa.sa_family;

	out[0] = '\0';
	if (family == AF_INET6) {
		bytes = &a->in6.sin6_addr;
		if (IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr)) {
			bytes = a->in6.sin6_addr.s6_addr + 12;
			family = AF_INET;
		}
	} else if (family != AF_INET) {
		(void)kt_str_copy(out, size, "local");
		return;
	}
	if (!inet_ntop(family, bytes, out, (socklen_t)size))
		out[0] = '\0';
}

static void on_acceptable(uv_poll_t *h, int status, int events);

static void pause_over(void *arg)
{
	struct kt_http_server *s = arg;

	kt_timer_free(s->pause);
	s->pause = NULL;
	for (struct kt_listener *l = s->listeners; l; l = l->next)
		kt_assert(uv_poll_start(&l->poll, UV_READABLE, on_acceptable) == 0);
}

/* Out of descriptors: the waiting connection keeps the listener readable, so look away a while. */
static void pause_accepting(struct kt_http_server *s, int error)
{
	char buf[128];

	if (s->pause)
		return;
	/* The pauses repeat for as long as descriptors are short; the log need not. */
	if (!s->pause_logged_ms || kt_loop_now_ms(s->loop) - s->pause_logged_ms >= PAUSE_LOG_MS) {
		s->pause_logged_ms = kt_loop_now_ms(s->loop);
		kt_log(KT_LOG_WARN, "http", "cannot accept: %s; pausing",
			kt_strerror(error, buf, sizeof(buf)));
	}
	for (struct kt_listener *l = s->listeners; l; l = l->next)
		(void)uv_poll_stop(&l->poll);
	s->pause = kt_timer_new(s->loop, pause_over, s);
	kt_timer_start(s->pause, PAUSE_MS, 0);
}

static void admit_conn(const struct kt_listener *l, int fd, const union address *a)
{
	struct kt_http_server *s = l->server;
	char peer[64];
	const char *busy = s->n_conns >= s->cfg.max_conns
		? "the server has too many connections: send again later"
		: NULL;

	peer_text(a, peer, sizeof(peer));
	bool counts = s->cfg.max_conns_per_ip > 0 && !kt_trust_has(s->cfg.trust, peer);

	if (counts && kt_server_count(s, peer, 1) >= s->cfg.max_conns_per_ip)
		busy = "this address has too many connections: close some, or send again later";
	if (busy && s->n_conns >= s->cfg.max_conns + BUSY_EXTRA) {
		if (counts)
			(void)kt_server_count(s, peer, -1);
		(void)close(fd);
		return;
	}
	kt_conn_open(l, fd, peer, busy);
}

static void on_acceptable(uv_poll_t *h, int status, int events)
{
	struct kt_listener *l = kt_container_of(h, struct kt_listener, poll);

	for (int i = 0; i < ACCEPT_BURST; i++) {
		union address a;
		socklen_t len = sizeof(a);
		memset(&a, 0, sizeof(a.in6));
		int fd = accept4(l->fd, &a.sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			admit_conn(l, fd, &a);
			continue;
		}
		if (errno == EAGAIN)
			return;
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			pause_accepting(l->server, errno);
			return;
		}
		/* Others (ECONNABORTED, EPROTO, ...) belong to that one connection: accept(2). */
	}
}

static void on_listener_closed(uv_handle_t *h)
{
	struct kt_listener *l = kt_container_of(h, struct kt_listener, poll);

	(void)close(l->fd);
	free(l);
}

enum kt_code kt_http_serve_fd(struct kt_http_server *s, int fd, int tag, struct kt_err *err)
{
	KT_AUTOFD int own = fd;
	int on = 1, send_bytes = SEND_BUF_BYTES;

	if (s->draining)
		return kt_fail(err, KT_EUNAVAIL, 0, "the server is shutting down");
	/*
	 * Accepted sockets inherit all of it, which spares calls for each; AF_UNIX has little of
	 * it.
	 */
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_bytes, sizeof(send_bytes));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
#ifdef TCP_USER_TIMEOUT
	unsigned timeout_ms = USER_TIMEOUT_MS;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms));
#endif
	struct kt_listener *l = kt_calloc(1, sizeof(*l));
	int r = uv_poll_init(kt_loop_uv(s->loop), &l->poll, fd);
	if (r != 0) {
		free(l);
		return kt_fail(err, KT_EIO, -r, "cannot watch the listening socket");
	}
	l->server = s;
	l->fd = KT_STEAL_FD(own);
	l->tag = tag;
	l->next = s->listeners;
	s->listeners = l;
	if (!s->pause)
		kt_assert(uv_poll_start(&l->poll, UV_READABLE, on_acceptable) == 0);
	if (!kt_timer_active(s->sweep))
		kt_timer_start(s->sweep, sweep_ms(&s->cfg), sweep_ms(&s->cfg));
	return KT_OK;
}

static enum kt_code bind_error(struct kt_err *err, int error, const char *host, int port)
{
	enum kt_code rc = error == EADDRINUSE       ? KT_ECONFLICT
		: error == EACCES || error == EPERM ? KT_EDENIED
		: error == EADDRNOTAVAIL            ? KT_EINVAL
						    : KT_EIO;

	return kt_fail(err, rc, error, "cannot listen on %s port %d", host, port);
}

/* A listening socket on a; *out_port is its port. */
static enum kt_code listen_at_address(union address *a, const char *host, int port, int *out_fd,
	int *out_port, struct kt_err *err)
{
	bool six = a->sa.sa_family == AF_INET6;
	socklen_t len = six ? sizeof(a->in6) : sizeof(a->in);
	int on = 1;
	KT_AUTOFD int fd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (six)
		a->in6.sin6_port = htons((uint16_t)port);
	else
		a->in.sin_port = htons((uint16_t)port);
	if (fd < 0)
		return bind_error(err, errno, host, port);
	/* Not SO_REUSEPORT: two servers on one port must be an error. */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
		(six && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) != 0) ||
		bind(fd, &a->sa, len) != 0 || listen(fd, BACKLOG) != 0)
		return bind_error(err, errno, host, port);
	union address got;
	len = sizeof(got);
	if (getsockname(fd, &got.sa, &len) != 0)
		return bind_error(err, errno, host, port);
	*out_port = ntohs(six ? got.in6.sin6_port : got.in.sin_port);
	*out_fd = KT_STEAL_FD(fd);
	return KT_OK;
}

static bool parse_address(const char *host, union address *out)
{
	memset(out, 0, sizeof(*out));
	if (inet_pton(AF_INET, host, &out->in.sin_addr) == 1)
		out->sa.sa_family = AF_INET;
	else if (inet_pton(AF_INET6, host, &out->in6.sin6_addr) == 1)
		out->sa.sa_family = AF_INET6;
	else
		return false;
	return true;
}

/* 127.0.0.1 and, where the machine has it, ::1 on the same port. */
static enum kt_code bind_localhost(int port, struct kt_http_sockets *out, struct kt_err *err)
{
	for (int attempt = 0;; attempt++) {
		KT_AUTOFD int fd4 = -1;
		KT_AUTOFD int fd6 = -1;
		union address a;
		int got, got6;

		kt_assert(parse_address("127.0.0.1", &a));
		enum kt_code rc = listen_at_address(&a, "127.0.0.1", port, &fd4, &got, err);
		if (rc != KT_OK)
			return rc;
		struct kt_err err6 = KT_ERR_INIT;
		kt_assert(parse_address("::1", &a));
		rc = listen_at_address(&a, "::1", got, &fd6, &got6, &err6);
		/* A picked port may be taken on the other address only: pick again. */
		if (rc == KT_ECONFLICT && port == 0 && attempt < 16)
			continue;
		if (rc == KT_ECONFLICT) {
			if (err)
				*err = err6;
			return rc;
		}
		*out = (struct kt_http_sockets){ .port = got };
		out->fds[out->n++] = KT_STEAL_FD(fd4);
		if (fd6 >= 0)
			out->fds[out->n++] = KT_STEAL_FD(fd6);
		return KT_OK;
	}
}

enum kt_code kt_http_bind(
	const char *host, int port, struct kt_http_sockets *out, struct kt_err *err)
{
	struct kt_http_sockets one = { .n = 1 };
	union address a;
	enum kt_code rc;

	if (port < 0 || port > 65535)
		return kt_fail(err, KT_EINVAL, 0, "port %d is not between 0 and 65535", port);
	if (kt_str_ieq(host, "localhost"))
		return bind_localhost(port, out, err);
	if (!parse_address(host, &a))
		return kt_fail(
			err, KT_EINVAL, 0, "'%s' is neither a numeric address nor localhost", host);
	rc = listen_at_address(&a, host, port, &one.fds[0], &one.port, err);
	if (rc == KT_OK)
		*out = one;
	return rc;
}

void kt_http_unbind(struct kt_http_sockets *sockets)
{
	while (sockets->n)
		(void)close(sockets->fds[--sockets->n]);
}

enum kt_code kt_http_serve(
	struct kt_http_server *s, struct kt_http_sockets *sockets, int tag, struct kt_err *err)
{
	enum kt_code rc = KT_OK;

	for (int i = 0; i < sockets->n; i++) {
		if (rc == KT_OK)
			rc = kt_http_serve_fd(s, sockets->fds[i], tag, err);
		else
			(void)close(sockets->fds[i]);
	}
	sockets->n = 0;
	return rc;
}

void kt_http_unserve(struct kt_http_server *s, int tag)
{
	for (struct kt_listener **at = &s->listeners; *at;) {
		struct kt_listener *l = *at;

		if (l->tag != tag) {
			at = &l->next;
			continue;
		}
		/* Who waits in it has been let in, as far as clients can see. */
		on_acceptable(&l->poll, 0, UV_READABLE);
		*at = l->next;
		uv_close((uv_handle_t *)&l->poll, on_listener_closed);
	}
	/* Idle ones are left to the sweep: what was sent before this has time to come. */
	for (struct kt_conn *c = s->conns; c; c = c->next)
		c->last = c->last || c->ex.rq.tag == tag;
}

static void stop_listening(struct kt_http_server *s)
{
	struct kt_listener *next;

	kt_timer_free(s->pause);
	s->pause = NULL;
	for (struct kt_listener *l = KT_STEAL(s->listeners); l; l = next) {
		next = l->next;
		uv_close((uv_handle_t *)&l->poll, on_listener_closed);
	}
}

void kt_http_drain(struct kt_http_server *s, kt_loop_fn done, void *arg)
{
	s->drain_fn = done;
	s->drain_arg = arg;
	if (!s->draining) {
		s->draining = true;
		s->drain_until_ms = kt_loop_now_ms(s->loop) + s->cfg.drain_ms;
		stop_listening(s);
		for (struct kt_conn *c = s->conns; c; c = c->next) {
			if (c->phase == KT_CONN_IDLE)
				kt_conn_doom(c);
			else if (c->phase == KT_CONN_STREAM && !c->writing)
				kt_stream_pump(c);
		}
	}
	kt_loop_defer(s->loop, &s->defer);
}

void kt_http_server_free(struct kt_http_server *s)
{
	if (!s)
		return;
	stop_listening(s);
	kt_timer_free(s->sweep);
	while (s->conns)
		kt_conn_close(s->conns);
	/* Last: what closing told the handlers may have put off work for this server. */
	kt_loop_undefer(s->loop, &s->defer);
	kt_map_release(&s->per_ip);
	kt_buf_release(&s->out);
	kt_buf_release(&s->common);
	free(s->server_headers);
	free(s);
}
