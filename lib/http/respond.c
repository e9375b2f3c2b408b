/* SPDX-License-Identifier: MIT */
/*
 * Answers with a known length: head and small bodies are put together in the server's one output
 * buffer and leave in one write. Also problem details (RFC 9457) and reason phrases.
 */
#include "http/conn_private.h"

#include "base/rand.h"
#include "base/time.h"
#include "text/json.h"

#include <limits.h>
#include <string.h>

#define JOIN_BYTES 16384 /* a larger body is sent from where it is, not copied behind its head */

const char *kt_http_reason(int status)
{
	static const struct {
		int status;
		const char *reason;
	} table[] = {
		{ 200, "OK" },
		{ 201, "Created" },
		{ 202, "Accepted" },
		{ 204, "No Content" },
		{ 206, "Partial Content" },
		{ 301, "Moved Permanently" },
		{ 302, "Found" },
		{ 303, "See Other" },
		{ 304, "Not Modified" },
		{ 307, "Temporary Redirect" },
		{ 308, "Permanent Redirect" },
		{ 400, "Bad Request" },
		{ 401, "Unauthorized" },
		{ 402, "Payment Required" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 406, "Not Acceptable" },
		{ 408, "Request Timeout" },
		{ 409, "Conflict" },
		{ 410, "Gone" },
		{ 411, "Length Required" },
		{ 412, "Precondition Failed" },
		{ 413, "Content Too Large" },
		{ 414, "URI Too Long" },
		{ 415, "Unsupported Media Type" },
		{ 416, "Range Not Satisfiable" },
		{ 417, "Expectation Failed" },
		{ 421, "Misdirected Request" },
		{ 422, "Unprocessable Content" },
		{ 425, "Too Early" },
		{ 426, "Upgrade Required" },
		{ 428, "Precondition Required" },
		{ 429, "Too Many Requests" },
		{ 431, "Request Header Fields Too Large" },
		{ 500, "Internal Server Error" },
		{ 501, "Not Implemented" },
		{ 502, "Bad Gateway" },
		{ 503, "Service Unavailable" },
		{ 504, "Gateway Timeout" },
		{ 505, "HTTP Version Not Supported" },
		{ 507, "Insufficient Storage" },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(table); i++)
		if (table[i].status == status)
			return table[i].reason;
	return "Unknown";
}

void kt_respond_id(struct kt_http_server *s, char *out)
{
	static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz";

	/* Unique, not secret: a mixed counter (splitmix64) spares a system call a request. */
	memcpy(out, "req_", 4);
	char *p = out + 4;
	for (int half = 0; half < 2; half++) {
		uint64_t z = s->id_seed + ++s->id_count * 0x9e3779b97f4a7c15u;
		z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
		z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
		z ^= z >> 31;
		for (int i = 0; i < 11; i++) {
			*p++ = digits[z % 62];
			z /= 62;
		}
	}
	*p = '\0';
}

static void add_number(struct kt_buf *b, size_t n)
{
	char text[24];
	char *p = text + sizeof(text);

	do {
		*--p = (char)('0' + n % 10);
		n /= 10;
	} while (n > 0);
	kt_buf_add(b, p, (size_t)(text + sizeof(text) - p));
}

/* Header lines that are the same for all answers of one second (IMF-fixdate, RFC 9110 5.6.7). */
static const struct kt_buf *common_lines(struct kt_http_server *s)
{
	static const char days[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug",
		"Sep", "Oct", "Nov", "Dec" };
	int64_t now_s = kt_time_us() / 1000000;
	time_t t = (time_t)now_s;
	struct tm tm;

	if (now_s == s->date_s || !gmtime_r(&t, &tm))
		return &s->common;
	s->date_s = now_s;
	kt_buf_clear(&s->common);
	kt_buf_addf(&s->common, "Date: %s, %02d %s %d %02d:%02d:%02d GMT\r\n", days[tm.tm_wday],
		tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
	kt_buf_adds(&s->common, "X-Content-Type-Options: nosniff\r\n");
	if (s->server_headers)
		kt_buf_adds(&s->common, s->server_headers);
	return &s->common;
}

void kt_respond_head(struct kt_exchange *ex, int status, const char *content_type)
{
	struct kt_conn *c = kt_conn_of(ex);
	struct kt_buf *b = &c->server->out;
	const struct kt_buf *common = common_lines(c->server);

	kt_buf_clear(b);
	kt_buf_add(b, "HTTP/1.1 ", 9);
	add_number(b, (size_t)status);
	kt_buf_addc(b, ' ');
	kt_buf_adds(b, kt_http_reason(status));
	kt_buf_add(b, "\r\n", 2);
	kt_buf_add(b, common->ptr, common->len);
	kt_buf_add(b, "Request-Id: ", 12);
	kt_buf_adds(b, ex->rq.id);
	kt_buf_add(b, "\r\n", 2);
	if (content_type) {
		kt_buf_add(b, "Content-Type: ", 14);
		kt_buf_adds(b, content_type);
		kt_buf_add(b, "\r\n", 2);
	}
	if (c->io && c->io->extra.len > 0)
		kt_buf_add(b, c->io->extra.ptr, c->io->extra.len);
	if (c->server->draining || c->last)
		c->keep_alive = false;
	if (!c->keep_alive)
		kt_buf_adds(b, "Connection: close\r\n");
	else if (ex->rq.http10)
		kt_buf_adds(b, "Connection: keep-alive\r\n");
}

void kt_exchange_header(struct kt_exchange *ex, const char *name, const char *value)
{
	struct kt_conn *c = kt_conn_of(ex);

	if (c->doomed || !c->io || c->phase != KT_CONN_HANDLE || !*name)
		return;
	/* A header that could end its line early is dropped: better none than a split answer. */
	for (const char *p = name; *p; p++)
		if (*p <= ' ' || *p == ':' || *p == 0x7f)
			return;
	for (const unsigned char *p = (const unsigned char *)value; *p; p++)
		if ((*p < ' ' && *p != '\t') || *p == 0x7f)
			return;
	kt_buf_addf(&c->io->extra, "%s: %s\r\n", name, value);
}

/* The bytes of an answer: `first` is small and copied, `rest` only when it is not fixed. */
struct body {
	const char *first;
	size_t first_len;
	const char *rest;
	size_t len;
	bool fixed;
};

static void respond_body(struct kt_exchange *ex, int status, const char *type, struct body body)
{
	struct kt_conn *c = kt_conn_of(ex);
	struct kt_buf *b = &c->server->out;

	if (c->phase != KT_CONN_HANDLE || ex->ops)
		return;
	ex->close_fn = NULL;
	c->deadline_ms = 0;
	if (c->doomed)
		return;
	bool bodiless = status == 204 || status == 304;
	if (bodiless)
		body.len = body.first_len = 0;
	kt_respond_head(ex, status, bodiless ? NULL : type);
	if (!bodiless) {
		kt_buf_add(b, "Content-Length: ", 16);
		add_number(b, body.first_len + body.len);
		kt_buf_add(b, "\r\n", 2);
	}
	kt_buf_add(b, "\r\n", 2);
	if (ex->rq.method == KT_HEAD)
		body.len = body.first_len = 0;
	bool join = body.len <= JOIN_BYTES;
	kt_buf_add(b, body.first, body.first_len);
	if (join)
		kt_buf_add(b, body.rest, body.len);
	c->phase = KT_CONN_WRITE;
	if (!kt_buf_ok(b) || body.len > UINT_MAX) {
		kt_conn_doom(c);
		return;
	}
	uv_buf_t bufs[2];
	bufs[0] = uv_buf_init(b->ptr, (unsigned)b->len);
	/* libuv takes char * for both directions; writing does not change it. */
	bufs[1] = uv_buf_init((char *)(uintptr_t)body.rest, join ? 0 : (unsigned)body.len);
	kt_conn_send(c, bufs, join ? 1 : 2, body.fixed && !join);
	if (!c->doomed && !c->writing)
		kt_conn_answered(c);
}

void kt_respond(
	struct kt_exchange *ex, int status, const char *content_type, const void *body, size_t len)
{
	respond_body(ex, status, content_type, (struct body){ .rest = body, .len = len });
}

void kt_respond_static(
	struct kt_exchange *ex, int status, const char *content_type, const void *body, size_t len)
{
	kt_respond_static_after(ex, status, content_type, NULL, 0, body, len);
}

void kt_respond_static_after(struct kt_exchange *ex, int status, const char *content_type,
	const void *first, size_t first_len, const void *rest, size_t len)
{
	respond_body(ex, status, content_type, (struct body){ first, first_len, rest, len, true });
}

void kt_respond_json(struct kt_exchange *ex, int status, const struct kt_buf *b)
{
	if (!kt_buf_ok(b)) {
		const struct kt_problem p = {
			.status = 500,
			.code = "answer_too_large",
			.detail = "the answer is larger than the server makes them, which is fixed"
		};

		kt_respond_problem(ex, &p);
		return;
	}
	kt_respond(ex, status, "application/json", b->ptr, b->len);
}

void kt_respond_problem(struct kt_exchange *ex, const struct kt_problem *p)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1024 * 1024);
	const char *code = p->code ? p->code : "error";
	const char *title = p->title ? p->title : kt_http_reason(p->status);
	struct kt_jw w;

	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	char type[128];
	(void)snprintf(type, sizeof(type), "urn:karta:problem:%s", code);
	kt_jw_str(&w, "type", type);
	kt_jw_str(&w, "title", title);
	kt_jw_int(&w, "status", p->status);
	if (p->detail)
		kt_jw_str(&w, "detail", p->detail);
	/* Not of RFC 9457: what most clients read of an error. */
	kt_jw_str(&w, "message", p->detail ? p->detail : title);
	kt_jw_str(&w, "code", code);
	kt_jw_str(&w, "request_id", ex->rq.id);
	if (p->extra && *p->extra) {
		kt_buf_addc(&b, ',');
		kt_buf_adds(&b, p->extra);
	}
	kt_jw_obj_end(&w);
	kt_respond(ex, p->status, "application/problem+json", b.ptr, b.len);
}
