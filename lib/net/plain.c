/* SPDX-License-Identifier: MIT */
/*
 * HTTP/1.1 to this machine: one request on one connection, over TCP to a loopback address or over a
 * socket in the file system. Most commands talk to the server beside them, and loading libcurl with
 * its forty libraries takes 5 ms, which is more than all else that they do.
 *
 * What comes is read strictly (RFC 9112): a head of 64 KiB at most, one length, chunks as they are
 * written down. One connection is kept for the next call.
 */
#include "net/plain_private.h"

#include "base/fs.h"
#include "base/str.h"
#include "base/time.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define CONNECT_MS 5000
#define SLICE_MS 100
#define HEAD_MAX_BYTES ((size_t)64 * 1024)
#define PIECE_BYTES ((size_t)128 * 1024) /* of a body from a descriptor */
#define BODY_MAX_BYTES ((size_t)64 * 1024 * 1024)
#define ERROR_BODY_MAX_BYTES ((size_t)1024 * 1024) /* of a stream that did not begin */
#define READ_BYTES 16384

/* libcurl's numbers of failures: what err->sys says is the same whoever did the call. */
enum {
	NO_HTTP = 1,
	NO_CONNECTION = 7,
	CUT = 18,
	TIMED_OUT = 28,
	NOTHING = 52,
	SENDING = 55,
	RECEIVING = 56
};

enum stage { HEAD, BODY, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILER, UNTIL_CLOSE, DONE };

struct plain {
	const struct kt_http_call *call;
	const struct kt_url *url;
	char name[sizeof(((struct sockaddr_un *)0)->sun_path) + KT_MAX_HOST_BYTES];
	int fd;
	int64_t began_us;
	/* What is sent. */
	struct kt_buf out; /* the head, then pieces of a body from a descriptor */
	size_t out_at;
	const char *body; /* in memory */
	size_t body_left;
	int64_t body_size; /* of body_fd, -1 = not known */
	off_t body_start;
	int64_t file_left; /* of a file, not read yet */
	bool from_fd; /* body_fd has more */
	bool sent_all, gave_up; /* the server wants no more */
	/* What came. */
	struct kt_http_reply reply;
	struct kt_buf line; /* the head, or a line of the chunks */
	enum stage stage;
	int64_t left; /* of the body or the chunk */
	int64_t got; /* bytes of the answer */
	bool keep, chunked, sized;
};

/* --- answers' heads ------------------------------------------------------------------------- */

bool kt_http_is_one_line(const char *s)
{
	for (; *s; s++) {
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			return false;
	}
	return true;
}

/* The value of a header line when it is of this name, cut to size; false when it is another. */
static bool take_header(const char *line, size_t len, const char *name, char *out, size_t size)
{
	size_t n = strlen(name), keep;
	const char *v, *end = line + len;

	if (len <= n || line[n] != ':' || strncasecmp(line, name, n) != 0)
		return false;
	v = line + n + 1;
	while (v < end && (*v == ' ' || *v == '\t'))
		v++;
	while (end > v && (unsigned char)end[-1] <= ' ')
		end--;
	keep = KT_MIN((size_t)(end - v), size - 1);
	memcpy(out, v, keep);
	out[keep] = '\0';
	return true;
}

void kt_http_reply_line(struct kt_http_reply *r, const char *line, size_t len)
{
	char text[32];

	if (take_header(line, len, "Content-Type", r->content_type, sizeof(r->content_type)) ||
		take_header(line, len, "Request-Id", r->request_id, sizeof(r->request_id)) ||
		take_header(line, len, "Location", r->location, sizeof(r->location)) ||
		take_header(line, len, "ETag", r->etag, sizeof(r->etag)))
		return;
	/* Seconds only; the other form, a date, needs clocks that agree. */
	if (take_header(line, len, "Retry-After", text, sizeof(text)) &&
		!kt_str_int64(text, 0, INT32_MAX, &r->retry_after_s))
		r->retry_after_s = -1;
}

void kt_http_reply_release(struct kt_http_reply *r)
{
	kt_buf_release(&r->body);
}

/* --- failures ------------------------------------------------------------------------------- */

static enum kt_code plain_failed(
	const struct plain *p, enum kt_code rc, int sys, struct kt_err *err, const char *why)
{
	(void)kt_fail(err, rc, 0, "%s:%d: %s", p->url->host, p->url->port, why);
	if (err)
		err->sys = sys;
	return rc;
}

static enum kt_code no_answer_http(const struct plain *p, struct kt_err *err, const char *why)
{
	return plain_failed(p, KT_EPROTO, NO_HTTP, err, why);
}

/* The connection ended before the answer did. */
static enum kt_code plain_cut(const struct plain *p, int e, struct kt_err *err)
{
	char why[128];

	if (e) {
		(void)snprintf(why, sizeof(why), "Recv failure: %s", strerrordesc_np(e));
		return plain_failed(p, KT_EUNAVAIL, RECEIVING, err, why);
	}
	if (!p->got)
		return plain_failed(p, KT_EUNAVAIL, NOTHING, err, "Empty reply from server");
	if (p->stage == BODY)
		(void)snprintf(why, sizeof(why),
			"transfer closed with %lld bytes remaining to read", (long long)p->left);
	else
		(void)snprintf(
			why, sizeof(why), "transfer closed with outstanding read data remaining");
	return plain_failed(p, KT_EUNAVAIL, CUT, err, why);
}

static int64_t passed_ms(const struct plain *p)
{
	return (kt_mono_us() - p->began_us) / 1000;
}

/* --- connections ---------------------------------------------------------------------------- */

/* The connection of the last call that left one open. */
static struct {
	int fd;
	char name[sizeof(((struct plain *)0)->name)];
} idle = { -1, "" }; /* guarded by idle_lock */
static pthread_mutex_t idle_lock = PTHREAD_MUTEX_INITIALIZER;

/* Take the idle connection when it leads there and is alive; -1: there is none. */
static int take_idle(const char *name)
{
	int fd = -1;
	char c;

	(void)pthread_mutex_lock(&idle_lock);
	if (idle.fd >= 0 && !strcmp(idle.name, name)) {
		fd = idle.fd;
		idle.fd = -1;
	}
	(void)pthread_mutex_unlock(&idle_lock);
	/* Its end, or what nobody asked for. */
	if (fd >= 0 && (recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN)) {
		(void)close(fd);
		fd = -1;
	}
	return fd;
}

static void give_idle(int fd, const char *name)
{
	int old;

	(void)pthread_mutex_lock(&idle_lock);
	old = idle.fd;
	idle.fd = fd;
	(void)kt_str_copy(idle.name, sizeof(idle.name), name);
	(void)pthread_mutex_unlock(&idle_lock);
	if (old >= 0)
		(void)close(old);
}

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_un local;
};

/* The n-th address to try; returns its length, 0 = there are no more. */
static socklen_t plain_address(const struct plain *p, int n, union address *out)
{
	bool named = !p->url->ipv6 && inet_pton(AF_INET, p->url->host, &out->v4.sin_addr) != 1;

	memset(out, 0, sizeof(*out));
	if (p->call->unix_socket) {
		out->local.sun_family = AF_UNIX;
		return n ||
				!kt_str_copy(out->local.sun_path, sizeof(out->local.sun_path),
					p->call->unix_socket)
			? 0
			: sizeof(out->local);
	}
	/* "localhost" and the names below it have both, in this order. */
	if (p->url->ipv6 || (named && n == 0)) {
		out->v6 = (struct sockaddr_in6){ .sin6_family = AF_INET6,
			.sin6_port = htons((uint16_t)p->url->port),
			.sin6_addr = IN6ADDR_LOOPBACK_INIT };
		return n ? 0 : sizeof(out->v6);
	}
	out->v4 = (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_port = htons((uint16_t)p->url->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	if (!named)
		(void)inet_pton(AF_INET, p->url->host, &out->v4.sin_addr);
	return n > named ? 0 : sizeof(out->v4);
}

static bool ask_caller(const struct plain *p)
{
	return !p->call->on_poll || p->call->on_poll(p->call->arg);
}

/* Wait for the connection. Returns 0 or an errno; ECANCELED: the caller gave up. */
static int plain_await(const struct plain *p, int fd)
{
	int64_t most = p->call->connect_ms > 0 ? p->call->connect_ms : CONNECT_MS;

	for (;;) {
		struct pollfd w = { fd, POLLOUT, 0 };
		int n = poll(&w, 1, SLICE_MS), e = 0;
		socklen_t len = sizeof(e);

		if (n > 0)
			return getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len) == 0 ? e : errno;
		if (n < 0 && errno != EINTR)
			return errno;
		if (!ask_caller(p))
			return ECANCELED;
		if (passed_ms(p) > most)
			return ETIMEDOUT;
	}
}

static int plain_connect_to(
	const struct plain *p, const union address *a, socklen_t len, int *out_fd)
{
	int fd = socket(a->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1, e;

	if (fd < 0)
		return errno;
	e = connect(fd, &a->any, len) == 0 ? 0 : errno;
	if (e == EINPROGRESS || e == EINTR)
		e = plain_await(p, fd);
	if (e) {
		(void)close(fd);
		return e;
	}
	/* What cannot be set is waited for a little longer. */
	if (a->any.sa_family != AF_UNIX)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	*out_fd = fd;
	return 0;
}

static enum kt_code plain_connect(struct plain *p, struct kt_err *err)
{
	char why[KT_MAX_HOST_BYTES + 128];
	union address a;
	socklen_t len;
	int e = EADDRNOTAVAIL;

	for (int n = 0; e && e != ECANCELED && (len = plain_address(p, n, &a)) > 0; n++)
		e = plain_connect_to(p, &a, len, &p->fd);
	if (!e)
		return KT_OK;
	if (e == ECANCELED)
		return kt_fail(err, KT_ECANCEL, 0, "interrupted");
	if (e == ETIMEDOUT) {
		(void)snprintf(why, sizeof(why), "Connection timed out after %lld milliseconds",
			(long long)passed_ms(p));
		return plain_failed(p, KT_ETIMEOUT, TIMED_OUT, err, why);
	}
	(void)snprintf(why, sizeof(why),
		"Failed to connect to %s port %d after %lld ms: Couldn't connect to server",
		p->url->host, p->url->port, (long long)passed_ms(p));
	(void)plain_failed(p, KT_EUNAVAIL, NO_CONNECTION, err, why);
	(void)kt_hint(err, "is the server running, and is the port right");
	if (err)
		err->sys = NO_CONNECTION;
	return KT_EUNAVAIL;
}

/* --- the request ---------------------------------------------------------------------------- */

/* Learn what body_fd is. */
static enum kt_code plain_open_body(struct plain *p, struct kt_err *err)
{
	const struct kt_http_call *call = p->call;
	struct stat st;

	p->body_size = -1;
	if (call->sent)
		*call->sent = (struct kt_http_sent){ .bytes = 0 };
	if (call->body_fd <= 0)
		return KT_OK;
	if (fstat(call->body_fd, &st) != 0)
		return kt_fail(err, KT_EIO, errno, "cannot read what is to be sent");
	if (!S_ISREG(st.st_mode))
		return kt_fd_nonblock(call->body_fd, true, err);
	p->body_start = lseek(call->body_fd, 0, SEEK_CUR);
	if (p->body_start < 0)
		return kt_fail(err, KT_EIO, errno, "cannot read what is to be sent");
	p->body_size = KT_MAX((int64_t)(st.st_size - p->body_start), 0);
	return KT_OK;
}

static bool names_header(const struct kt_http_call *call, const char *name)
{
	for (size_t i = 0; call->headers && call->headers[i]; i++) {
		if (!strncasecmp(call->headers[i], name, strlen(name)))
			return true;
	}
	return false;
}

static enum kt_code write_plain_head(struct plain *p, struct kt_err *err)
{
	const struct kt_http_call *call = p->call;
	bool with_body = call->body || call->body_fd > 0;
	struct kt_buf *b = &p->out;

	if (!kt_http_is_one_line(call->method) || strchr(call->method, ' '))
		return kt_fail(err, KT_EINVAL, 0, "a method is one word");
	kt_buf_clear(b);
	kt_buf_addf(b, "%s %s HTTP/1.1\r\nHost: %s%s%s", call->method, p->url->path,
		p->url->ipv6 ? "[" : "", p->url->host, p->url->ipv6 ? "]" : "");
	if (p->url->port != 80)
		kt_buf_addf(b, ":%d", p->url->port);
	kt_buf_adds(b, "\r\nUser-Agent: karta/" KT_VERSION "\r\n");
	if (!names_header(call, "Accept:"))
		kt_buf_adds(b, "Accept: */*\r\n");
	for (size_t i = 0; call->headers && call->headers[i]; i++) {
		if (!kt_http_is_one_line(call->headers[i]))
			return kt_fail(err, KT_EINVAL, 0, "a header must be one line of text");
		kt_buf_addf(b, "%s\r\n", call->headers[i]);
	}
	/* A body is JSON unless the caller says otherwise. */
	if (with_body && !names_header(call, "Content-Type:"))
		kt_buf_adds(b, "Content-Type: application/json\r\n");
	if (call->body_fd > 0 && p->body_size < 0)
		kt_buf_adds(b, "Transfer-Encoding: chunked\r\n");
	else if (call->body_fd > 0)
		kt_buf_addf(b, "Content-Length: %lld\r\n", (long long)p->body_size);
	else if (call->body || !strcmp(call->method, "POST"))
		kt_buf_addf(b, "Content-Length: %zu\r\n", call->body ? call->body_len : 0);
	kt_buf_adds(b, "\r\n");
	p->out_at = 0;
	p->body = call->body_fd > 0 ? NULL : call->body;
	p->body_left = p->body ? call->body_len : 0;
	p->file_left = p->body_size;
	p->from_fd = call->body_fd > 0 && p->body_size != 0;
	p->sent_all = p->gave_up = false;
	if (call->body_fd > 0 && p->body_size == 0 && call->sent)
		call->sent->all = true;
	return kt_buf_ok(b) ? KT_OK : kt_fail(err, KT_ELIMIT, 0, "the request's head is too long");
}

/* Read a piece of the body from its descriptor into out. *out_wait: it has none now. */
static enum kt_code read_body_piece(struct plain *p, bool *out_wait, struct kt_err *err)
{
	struct kt_http_sent *sent = p->call->sent;
	bool piped = p->body_size < 0;
	char size[24], *to;
	int n_size;
	ssize_t n;

	kt_buf_clear(&p->out);
	p->out_at = 0;
	to = kt_buf_reserve(&p->out, PIECE_BYTES + sizeof(size) * 2);
	if (!to)
		return kt_fail(err, KT_ENOMEM, 0, "no memory for what is to be sent");
	/* Room for the chunk's size before the bytes. */
	do
		n = read(p->call->body_fd, to + sizeof(size), PIECE_BYTES);
	while (n < 0 && errno == EINTR);
	*out_wait = n < 0 && errno == EAGAIN;
	if (*out_wait)
		return KT_OK;
	if (n < 0)
		return kt_fail(err, KT_EIO, 0, "cannot read what is to be sent");
	if (!piped && n == 0)
		return plain_failed(
			p, KT_EIO, CUT, err, "the file became shorter while it was sent");
	if (!piped) {
		n = (ssize_t)KT_MIN((int64_t)n, p->file_left);
		p->file_left -= n;
	}
	p->from_fd = piped ? n > 0 : p->file_left > 0;
	if (sent) {
		sent->bytes += n;
		sent->all = !p->from_fd;
	}
	n_size = piped ? snprintf(size, sizeof(size), "%zx\r\n", (size_t)n) : 0;
	memcpy(to + sizeof(size) - n_size, size, (size_t)n_size);
	if (piped)
		memcpy(to + sizeof(size) + n, "\r\n", 2);
	kt_buf_commit(&p->out, sizeof(size) + (size_t)n + (piped ? 2 : 0));
	p->out_at = sizeof(size) - (size_t)n_size;
	return KT_OK;
}

/* Send what can be sent. *out_wait: only when body_fd has more. */
static enum kt_code plain_send(struct plain *p, bool *out_wait, struct kt_err *err)
{
	*out_wait = false;
	while (!p->sent_all && !p->gave_up) {
		size_t head = p->out.len - p->out_at;
		struct iovec v[2] = { { p->out.ptr + p->out_at, head },
			{ (void *)(uintptr_t)p->body, p->body_left } };
		struct msghdr m = { .msg_iov = v, .msg_iovlen = 2 };
		ssize_t n;

		if (!head && !p->body_left && p->from_fd) {
			enum kt_code rc = read_body_piece(p, out_wait, err);

			if (rc != KT_OK || *out_wait)
				return rc;
			continue;
		}
		if (!head && !p->body_left) {
			p->sent_all = true;
			return KT_OK;
		}
		n = sendmsg(p->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return KT_OK;
		/* It wants no more: its answer says why, if there is one. */
		if (n < 0) {
			p->gave_up = true;
			return KT_OK;
		}
		p->out_at += KT_MIN((size_t)n, head);
		if ((size_t)n > head) {
			p->body += (size_t)n - head;
			p->body_left -= (size_t)n - head;
		}
	}
	return KT_OK;
}

/* --- the answer ----------------------------------------------------------------------------- */

static bool has_token(const char *line, size_t len, const char *name, const char *token)
{
	char text[128];

	return take_header(line, len, name, text, sizeof(text)) && strcasestr(text, token);
}

/* One line of the head, without its end. */
static enum kt_code plain_head_line(
	struct plain *p, const char *line, size_t len, struct kt_err *err)
{
	char text[64];
	int64_t n;

	kt_http_reply_line(&p->reply, line, len);
	if (has_token(line, len, "Connection", "close"))
		p->keep = false;
	if (take_header(line, len, "Transfer-Encoding", text, sizeof(text))) {
		if (strcasecmp(text, "chunked") != 0)
			return no_answer_http(p, err, "the answer's coding is not known");
		p->chunked = true;
	}
	if (take_header(line, len, "Content-Length", text, sizeof(text))) {
		if (!kt_str_int64(text, 0, INT64_MAX, &n) || (p->sized && n != p->left))
			return no_answer_http(p, err, "the answer's length makes no sense");
		p->sized = true;
		p->left = n;
	}
	return KT_OK;
}

/* "HTTP/1.1 200 OK" */
static enum kt_code plain_status_line(
	struct plain *p, const char *line, size_t len, struct kt_err *err)
{
	int64_t status;

	if (len < 12 || (memcmp(line, "HTTP/1.1 ", 9) != 0 && memcmp(line, "HTTP/1.0 ", 9) != 0) ||
		!kt_str_int64n(line + 9, 3, 100, 599, &status) || (len > 12 && line[12] != ' '))
		return no_answer_http(p, err, "Received HTTP/0.9 when not allowed");
	p->reply.status = (int)status;
	p->keep = line[7] == '1';
	p->chunked = p->sized = false;
	p->left = 0;
	p->reply.retry_after_s = -1;
	p->reply.etag[0] = p->reply.content_type[0] = p->reply.location[0] = '\0';
	p->reply.request_id[0] = '\0';
	return KT_OK;
}

/* The head is whole in p->line. */
static enum kt_code plain_head(struct plain *p, struct kt_err *err)
{
	const char *at = p->line.ptr, *end = at + p->line.len;
	enum kt_code rc = KT_OK;

	for (bool first = true; rc == KT_OK && at < end; first = false) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		size_t len = (size_t)(stop - at);

		if (len && at[len - 1] == '\r')
			len--;
		rc = first ? plain_status_line(p, at, len, err) : plain_head_line(p, at, len, err);
		at = stop + 1;
	}
	kt_buf_clear(&p->line);
	if (rc != KT_OK || p->reply.status < 200)
		return rc; /* HEAD again: the answer comes after it */
	if (!strcmp(p->call->method, "HEAD") || p->reply.status == 204 || p->reply.status == 304)
		p->stage = DONE;
	else if (p->chunked)
		p->stage = CHUNK_SIZE;
	else if (p->sized)
		p->stage = p->left ? BODY : DONE;
	else
		p->stage = UNTIL_CLOSE;
	/* Refused before it was sent: the rest is not wanted. */
	if (!p->sent_all && p->reply.status >= 300)
		p->gave_up = true;
	return KT_OK;
}

/* Bytes of the body. */
static enum kt_code plain_body(struct plain *p, const char *data, size_t len, struct kt_err *err)
{
	struct kt_buf *b = &p->reply.body;

	if (p->call->on_data && p->reply.status / 100 == 2) {
		if (len && !p->call->on_data(p->call->arg, data, len))
			return kt_fail(err, KT_ECANCEL, 0, "stopped");
		return KT_OK;
	}
	kt_buf_add(b, data, len);
	if (kt_buf_ok(b))
		return KT_OK;
	return kt_fail(
		err, KT_ELIMIT, 0, "%s:%d: the answer is too large", p->url->host, p->url->port);
}

/* A line of the chunks is whole in p->line, with its end. */
static enum kt_code plain_chunk_line(struct plain *p, struct kt_err *err)
{
	size_t len = p->line.len - 1, n = 0;
	const char *s = p->line.ptr;

	if (len && s[len - 1] == '\r')
		len--;
	if (p->stage == CHUNK_END) {
		if (len)
			return no_answer_http(p, err, "a chunk of the answer has no end");
		p->stage = CHUNK_SIZE;
	} else if (p->stage == TRAILER) {
		if (!len)
			p->stage = DONE;
	} else {
		p->left = 0;
		for (; n < len && n < 15 && strchr("0123456789abcdefABCDEF", s[n]); n++) {
			char c = s[n] > '9' ? (char)((s[n] | 0x20) - 'a' + 10) : (char)(s[n] - '0');

			p->left = p->left * 16 + c;
		}
		if (!n || (n < len && s[n] != ';' && s[n] != ' '))
			return no_answer_http(p, err, "a chunk of the answer has no length");
		p->stage = p->left ? CHUNK_DATA : TRAILER;
	}
	kt_buf_clear(&p->line);
	return KT_OK;
}

/* Take a line's bytes, and it when it is whole; returns how many were taken. */
static size_t plain_line(
	struct plain *p, const char *data, size_t len, enum kt_code *rc, struct kt_err *err)
{
	const char *end = memchr(data, '\n', len);
	size_t n = end ? (size_t)(end - data) + 1 : len;
	const struct kt_buf *b = &p->line;

	kt_buf_add(&p->line, data, n);
	if (!kt_buf_ok(b) || memchr(data, '\0', n))
		*rc = no_answer_http(p, err, "the answer's head is no head");
	else if (p->stage == HEAD && b->len >= 5 && memcmp(b->ptr, "HTTP/", 5) != 0)
		*rc = no_answer_http(p, err, "Received HTTP/0.9 when not allowed");
	else if (!end)
		*rc = KT_OK;
	else if (p->stage != HEAD)
		*rc = plain_chunk_line(p, err);
	else if (kt_str_ends(b->ptr, "\n\n") || kt_str_ends(b->ptr, "\n\r\n"))
		*rc = plain_head(p, err);
	return n;
}

/* Bytes that came. What comes after the answer's end makes the connection useless. */
static enum kt_code plain_take(struct plain *p, const char *data, size_t len, struct kt_err *err)
{
	enum kt_code rc = KT_OK;

	p->got += (int64_t)len;
	while (rc == KT_OK && len && p->stage != DONE) {
		size_t n = len;

		if (p->stage == UNTIL_CLOSE) {
			rc = plain_body(p, data, n, err);
		} else if (p->stage == BODY || p->stage == CHUNK_DATA) {
			n = (size_t)KT_MIN((int64_t)len, p->left);
			rc = plain_body(p, data, n, err);
			p->left -= (int64_t)n;
			if (!p->left)
				p->stage = p->stage == BODY ? DONE : CHUNK_END;
		} else {
			n = plain_line(p, data, len, &rc, err);
		}
		data += n;
		len -= n;
	}
	if (len)
		p->keep = false;
	return rc;
}

/* Read what is there. *out_dead: the connection ended before an answer began. */
static enum kt_code plain_receive(struct plain *p, bool *out_dead, struct kt_err *err)
{
	char buf[READ_BYTES];
	ssize_t n = recv(p->fd, buf, sizeof(buf), MSG_DONTWAIT);

	if (n > 0)
		return plain_take(p, buf, (size_t)n, err);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return KT_OK;
	p->keep = false;
	if (n == 0 && p->stage == UNTIL_CLOSE) {
		p->stage = DONE;
		return KT_OK;
	}
	*out_dead = !p->got;
	return plain_cut(p, n < 0 ? errno : 0, err);
}

/* --- the call ------------------------------------------------------------------------------- */

static enum kt_code plain_in_time(const struct plain *p, struct kt_err *err)
{
	char why[128];

	if (!ask_caller(p))
		return kt_fail(err, KT_ECANCEL, 0, "interrupted");
	if (p->call->total_ms <= 0 || passed_ms(p) < p->call->total_ms)
		return KT_OK;
	(void)snprintf(why, sizeof(why),
		"Operation timed out after %lld milliseconds with %lld bytes received",
		(long long)passed_ms(p), (long long)p->reply.body.len);
	return plain_failed(p, KT_ETIMEOUT, TIMED_OUT, err, why);
}

/* Sleep until there is something to do. */
static void plain_sleep(const struct plain *p, bool body_waits, bool *out_readable)
{
	bool more = !p->sent_all && !p->gave_up;
	struct pollfd w[3] = { { p->fd, (short)(POLLIN | (more && !body_waits ? POLLOUT : 0)),
		0 } };
	nfds_t n = 1;

	if (more && body_waits)
		w[n++] = (struct pollfd){ p->call->body_fd, POLLIN, 0 };
	if (p->call->on_poll && p->call->watch_fd > 0)
		w[n++] = (struct pollfd){ p->call->watch_fd, POLLIN, 0 };
	*out_readable = poll(w, n, SLICE_MS) > 0 && w[0].revents & ~POLLOUT;
}

/* One try, on the connection there is. */
static enum kt_code plain_exchange(struct plain *p, bool *out_dead, struct kt_err *err)
{
	enum kt_code rc = KT_OK;
	bool waits, readable;

	while (rc == KT_OK && p->stage != DONE) {
		rc = plain_in_time(p, err);
		if (rc == KT_OK)
			rc = plain_send(p, &waits, err);
		if (rc != KT_OK)
			break;
		plain_sleep(p, waits, &readable);
		if (readable)
			rc = plain_receive(p, out_dead, err);
	}
	return rc;
}

/* A kept connection was dead: the request can go out again when its body can. */
static bool plain_again(struct plain *p)
{
	const struct kt_http_sent *sent = p->call->sent;

	if (p->call->body_fd <= 0)
		return true;
	if (p->body_size < 0)
		return p->from_fd && sent && !sent->bytes;
	if (p->call->sent)
		*p->call->sent = (struct kt_http_sent){ .bytes = 0 };
	return lseek(p->call->body_fd, p->body_start, SEEK_SET) >= 0;
}

static enum kt_code plain_run(struct plain *p, struct kt_err *err)
{
	enum kt_code rc = plain_open_body(p, err);
	bool dead = false;

	if (rc == KT_OK)
		rc = write_plain_head(p, err);
	if (rc != KT_OK)
		return rc;
	p->fd = take_idle(p->name);
	if (p->fd >= 0) {
		rc = plain_exchange(p, &dead, err);
		if (rc == KT_OK || !dead || !plain_again(p))
			return rc;
		(void)close(KT_STEAL_FD(p->fd));
		if (err)
			*err = (struct kt_err)KT_ERR_INIT;
		rc = write_plain_head(p, err);
	}
	if (rc == KT_OK)
		rc = plain_connect(p, err);
	return rc == KT_OK ? plain_exchange(p, &dead, err) : rc;
}

bool kt_plain_can(const struct kt_http_call *call, const struct kt_url *url)
{
	return !url->https && (url->loopback || call->unix_socket);
}

enum kt_code kt_plain_do(const struct kt_http_call *call, const struct kt_url *url,
	struct kt_http_reply *out, struct kt_err *err)
{
	size_t max = call->max_body_bytes > 0 ? call->max_body_bytes : BODY_MAX_BYTES;
	struct plain p = { .call = call, .url = url, .fd = -1, .began_us = kt_mono_us() };
	enum kt_code rc;

	p.reply.retry_after_s = -1;
	kt_buf_init(&p.reply.body, call->on_data ? KT_MIN(max, ERROR_BODY_MAX_BYTES) : max);
	kt_buf_init(&p.out, KT_MAX(HEAD_MAX_BYTES, 2 * PIECE_BYTES));
	kt_buf_init(&p.line, HEAD_MAX_BYTES);
	(void)snprintf(p.name, sizeof(p.name), "%s%s:%d",
		call->unix_socket ? call->unix_socket : "", call->unix_socket ? "" : url->host,
		url->port);
	rc = plain_run(&p, err);
	if (rc == KT_OK && p.keep && p.sent_all)
		give_idle(KT_STEAL_FD(p.fd), p.name);
	if (p.fd >= 0)
		(void)close(p.fd);
	kt_buf_release(&p.out);
	kt_buf_release(&p.line);
	if (rc == KT_OK)
		*out = p.reply;
	else
		kt_http_reply_release(&p.reply);
	return rc;
}
