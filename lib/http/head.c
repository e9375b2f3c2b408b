/* SPDX-License-Identifier: MIT */
/*
 * Request head parser. It judges line by line, and each line in the same order (bytes, then
 * structure, then meaning), so that the verdict on a message is the same however it was cut into
 * reads. A line that is not complete is only refused for what would refuse it complete.
 */
#include "http/head_private.h"

#include "base/limits.h"
#include "base/str.h"

#include <string.h>

/* tchar of RFC 9110 5.6.2. */
static bool is_token(unsigned char c)
{
	static const bool table[256] = {
		['!'] = true,
		['#'] = true,
		['$'] = true,
		['%'] = true,
		['&'] = true,
		['\''] = true,
		['*'] = true,
		['+'] = true,
		['-'] = true,
		['.'] = true,
		['^'] = true,
		['_'] = true,
		['`'] = true,
		['|'] = true,
		['~'] = true,
		['0' ... '9'] = true,
		['A' ... 'Z'] = true,
		['a' ... 'z'] = true,
	};
	return table[c];
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int hex_value(char c)
{
	if (is_digit(c))
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static char lower_char(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

/* A piece of the buffer, before any NUL is written. */
struct span {
	char *ptr;
	size_t len;
};

static bool span_is(struct span s, const char *lower_text)
{
	if (s.len != strlen(lower_text))
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (lower_char(s.ptr[i]) != lower_text[i])
			return false;
	return true;
}

/* What the lines said, until the head is complete. */
struct parse {
	struct kt_head *h;
	struct span target, path, query, host;
	struct span value[KT_MAX_HTTP_HEADERS];
	size_t name_len[KT_MAX_HTTP_HEADERS];
	struct span transfer, length;
	size_t n_hosts, n_transfers, n_lengths;
	bool close, alive, absolute;
	int status; /* 0 = fine so far */
};

static bool refuse_head(struct parse *p, int status)
{
	p->status = status;
	return false;
}

/*
 * host [":" port] of RFC 3986 3.2, letters, digits, "-._~" or a bracketed address only: names
 * with escapes or user information have no business in a Host.
 */
static bool parse_authority(struct span s, struct span *out_host, int *out_port)
{
	size_t n = 0;

	if (s.len > 0 && s.ptr[0] == '[') {
		for (n = 1; n < s.len && s.ptr[n] != ']'; n++)
			if (hex_value(s.ptr[n]) < 0 && s.ptr[n] != ':' && s.ptr[n] != '.')
				return false;
		if (n >= s.len || n < 3)
			return false;
		n++;
	} else {
		while (n < s.len && s.ptr[n] != ':') {
			char c = s.ptr[n++];
			if (!is_digit(c) && !(lower_char(c) >= 'a' && lower_char(c) <= 'z') &&
				c != '-' && c != '.' && c != '_' && c != '~')
				return false;
		}
	}
	if (n == 0 || n > 255)
		return false;
	int port = 0;
	if (n < s.len) {
		if (s.ptr[n] != ':' || s.len - n > 6)
			return false;
		for (size_t i = n + 1; i < s.len; i++) {
			if (!is_digit(s.ptr[i]))
				return false;
			port = port * 10 + (s.ptr[i] - '0');
		}
		if (port > 65535 || (port == 0 && s.len > n + 1))
			return false;
	}
	*out_host = (struct span){ s.ptr, n };
	*out_port = port;
	return true;
}

/* Origin-form, absolute-form, or "*" for OPTIONS (RFC 9112 3.2). */
static bool parse_target(struct parse *p)
{
	struct span t = p->target;

	for (size_t i = 0; i < t.len; i++) {
		unsigned char c = (unsigned char)t.ptr[i];
		if (c <= ' ' || c >= 0x7f || strchr("\"<>\\#", c))
			return refuse_head(p, 400);
	}
	if (t.len == 1 && t.ptr[0] == '*' && p->h->method == KT_OPTIONS) {
		p->path = t;
		return true;
	}
	if (t.ptr[0] != '/') {
		size_t skip = 0;
		if (t.len > 7 && span_is((struct span){ t.ptr, 7 }, "http://"))
			skip = 7;
		else if (t.len > 8 && span_is((struct span){ t.ptr, 8 }, "https://"))
			skip = 8;
		else
			return refuse_head(p, 400);
		struct span a = { t.ptr + skip, 0 };
		while (skip + a.len < t.len && a.ptr[a.len] != '/' && a.ptr[a.len] != '?')
			a.len++;
		if (!parse_authority(a, &p->host, &p->h->port))
			return refuse_head(p, 400);
		p->absolute = true;
		t = (struct span){ a.ptr + a.len, t.len - skip - a.len };
	}
	const char *q = t.len > 0 ? memchr(t.ptr, '?', t.len) : NULL;
	p->path = (struct span){ t.ptr, q ? (size_t)(q - t.ptr) : t.len };
	if (q)
		p->query = (struct span){ t.ptr + p->path.len + 1, t.len - p->path.len - 1 };
	return true;
}

static enum kt_method method_of(struct span s)
{
	static const struct {
		const char *name;
		enum kt_method method;
	} methods[] = { { "get", KT_GET }, { "post", KT_POST }, { "head", KT_HEAD },
		{ "put", KT_PUT }, { "delete", KT_DELETE }, { "patch", KT_PATCH },
		{ "options", KT_OPTIONS } };

	for (size_t i = 0; i < KT_ARRAY_LEN(methods); i++)
		if (span_is(s, methods[i].name))
			return methods[i].method;
	return 0;
}

/* The method's bytes may be judged before the line is complete: binary garbage has no line end. */
static bool method_bytes(struct parse *p, struct span line, size_t *out_len)
{
	size_t n = 0;

	while (n < line.len && line.ptr[n] != ' ') {
		char c = line.ptr[n++];
		if (!((c >= 'A' && c <= 'Z') || (c == '-' && n > 1)) || n > 24)
			return refuse_head(p, 400);
	}
	*out_len = n;
	return true;
}

static bool parse_request_line(struct parse *p, struct span line)
{
	size_t m;

	if (!method_bytes(p, line, &m))
		return false;
	if (m == 0 || m == line.len)
		return refuse_head(p, 400);
	struct span t = { line.ptr + m + 1, 0 };
	while (m + 1 + t.len < line.len && t.ptr[t.len] != ' ')
		t.len++;
	struct span v = { t.ptr + t.len, line.len - m - 1 - t.len };
	if (t.len == 0 || v.len != 9 || memcmp(v.ptr, " HTTP/", 6) != 0 || !is_digit(v.ptr[6]) ||
		v.ptr[7] != '.' || !is_digit(v.ptr[8]))
		return refuse_head(p, 400);
	if (v.ptr[6] != '1' || (v.ptr[8] != '1' && v.ptr[8] != '0'))
		return refuse_head(p, 505);
	p->h->http10 = v.ptr[8] == '0';
	p->h->method = method_of((struct span){ line.ptr, m });
	if (p->h->method == 0)
		return refuse_head(p, 501);
	if (t.len > KT_MAX_HTTP_TARGET_BYTES)
		return refuse_head(p, 414);
	p->target = t;
	return parse_target(p);
}

/* Connection is a list of tokens; only two of them mean something here. */
static void parse_connection(struct parse *p, struct span v)
{
	for (size_t i = 0; i < v.len;) {
		while (i < v.len && (v.ptr[i] == ',' || v.ptr[i] == ' ' || v.ptr[i] == '\t'))
			i++;
		struct span word = { v.ptr + i, 0 };
		while (i < v.len && v.ptr[i] != ',' && v.ptr[i] != ' ' && v.ptr[i] != '\t') {
			word.len++;
			i++;
		}
		if (span_is(word, "close"))
			p->close = true;
		else if (span_is(word, "keep-alive"))
			p->alive = true;
	}
}

static bool parse_length(struct parse *p, struct span v)
{
	int64_t n = 0;

	if (v.len == 0 || v.len > 18)
		return refuse_head(p, 400);
	for (size_t i = 0; i < v.len; i++) {
		if (!is_digit(v.ptr[i]))
			return refuse_head(p, 400);
		n = n * 10 + (v.ptr[i] - '0');
	}
	if (p->n_lengths++ > 0)
		return refuse_head(p, 400);
	p->h->content_length = n;
	return true;
}

/* Fields that frame or route the message. */
static bool parse_known(struct parse *p, struct span name, struct span v)
{
	switch (name.len) {
	case 4:
		if (!span_is(name, "host"))
			return true;
		if (p->n_hosts++ > 0)
			return refuse_head(p, 400);
		struct span host;
		int port;
		if (!parse_authority(v, &host, &port))
			return refuse_head(p, 400);
		/* RFC 9112 3.2.2: the authority of an absolute-form target replaces Host. */
		if (!p->absolute) {
			p->host = host;
			p->h->port = port;
		}
		return true;
	case 6:
		if (!span_is(name, "expect"))
			return true;
		if (!span_is(v, "100-continue"))
			return refuse_head(p, 417);
		p->h->expect_continue = true;
		return true;
	case 10:
		if (span_is(name, "connection"))
			parse_connection(p, v);
		return true;
	case 14:
		return span_is(name, "content-length") ? parse_length(p, v) : true;
	case 17:
		if (span_is(name, "transfer-encoding") && p->n_transfers++ == 0)
			p->transfer = v;
		return true;
	default:
		return true;
	}
}

static bool parse_field(struct parse *p, struct span line)
{
	struct kt_head *h = p->h;
	size_t n = 0;

	while (n < line.len && is_token((unsigned char)line.ptr[n]))
		n++;
	/* Catches obs-fold (a blank first), a blank before the colon and an empty name. */
	if (n == 0 || n == line.len || line.ptr[n] != ':')
		return refuse_head(p, 400);
	if (h->n_headers == KT_MAX_HTTP_HEADERS)
		return refuse_head(p, 431);
	struct span v = { line.ptr + n + 1, line.len - n - 1 };
	while (v.len > 0 && (v.ptr[0] == ' ' || v.ptr[0] == '\t')) {
		v.ptr++;
		v.len--;
	}
	while (v.len > 0 && (v.ptr[v.len - 1] == ' ' || v.ptr[v.len - 1] == '\t'))
		v.len--;
	size_t i = h->n_headers++;
	h->headers[i].name = line.ptr;
	p->name_len[i] = n;
	p->value[i] = v;
	return parse_known(p, (struct span){ line.ptr, n }, v);
}

/* What only the whole head can tell. */
static bool check_whole(struct parse *p)
{
	struct kt_head *h = p->h;

	if (p->n_hosts == 0 && !h->http10)
		return refuse_head(p, 400);
	if (p->n_transfers > 0) {
		if (!span_is(p->transfer, "chunked"))
			return refuse_head(p, 501);
		/* Either alone frames the body; both, or any in HTTP/1.0, is an attack (6.1). */
		if (p->n_transfers > 1 || p->n_lengths > 0 || h->http10)
			return refuse_head(p, 400);
		h->chunked = true;
	}
	h->keep_alive = h->http10 ? p->alive && !p->close : !p->close;
	return true;
}

bool kt_percent_decode(const char *s, size_t len, bool plus, char *out, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		char c = s[i];
		if (c == '%') {
			int hi = i + 2 < len ? hex_value(s[i + 1]) : -1;
			int lo = i + 2 < len ? hex_value(s[i + 2]) : -1;
			if (hi < 0 || lo < 0)
				return false;
			c = (char)(hi * 16 + lo);
			i += 2;
		} else if (plus && c == '+') {
			c = ' ';
		}
		if (c == '\0' || n + 1 >= size)
			return false;
		out[n++] = c;
	}
	if (n >= size)
		return false;
	out[n] = '\0';
	return true;
}

/*
 * Decode the path into out (path.len + 2 bytes). An escaped slash, control byte or broken UTF-8
 * would mean different things to different readers, and dot segments are the client's to remove.
 */
static bool decode_path(struct span path, char *out)
{
	const char *end = path.ptr + path.len;

	if (path.len == 0) {
		memcpy(out, "/", 2);
		return true;
	}
	for (const char *s = path.ptr; s + 2 < end; s++)
		if (s[0] == '%' && s[1] == '2' && lower_char(s[2]) == 'f')
			return false;
	if (!kt_percent_decode(path.ptr, path.len, false, out, path.len + 1))
		return false;
	size_t len = strlen(out);
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)out[i] < ' ' || out[i] == 0x7f)
			return false;
	for (const char *s = out; *s;) {
		const char *slash = strchr(s + 1, '/');
		size_t n = slash ? (size_t)(slash - s - 1) : strlen(s + 1);
		if ((n == 1 && s[1] == '.') || (n == 2 && s[1] == '.' && s[2] == '.'))
			return false;
		if (!slash)
			break;
		s = slash;
	}
	return kt_utf8_valid(out, len);
}

/*
 * Path and host need bytes of their own when they differ from what was sent: the target and the
 * Host header stay readable as received.
 */
static bool place_strings(struct parse *p)
{
	struct kt_head *h = p->h;
	bool plain = p->path.ptr == p->target.ptr && p->path.len == p->target.len &&
		!memchr(p->path.ptr, '%', p->path.len) && !memchr(p->path.ptr, '.', p->path.len);
	size_t path_size = plain ? 0 : p->path.len + 2;
	size_t need = path_size + p->host.len + 1;
	char *mem = h->small;

	if (need > sizeof(h->small)) {
		mem = h->mem = kt_try_malloc(need);
		if (!mem)
			return refuse_head(p, 503);
	}
	if (plain) {
		h->path = p->path.ptr;
	} else {
		h->path = mem;
		if (!decode_path(p->path, mem)) {
			kt_head_release(h);
			return refuse_head(p, 400);
		}
	}
	h->host = mem + path_size;
	for (size_t i = 0; i < p->host.len; i++)
		h->host[i] = lower_char(p->host.ptr[i]);
	h->host[p->host.len] = '\0';
	return true;
}

/* The head is good: write the NULs. Each falls on a delimiter, never on kept text. */
static void terminate_head(struct parse *p)
{
	static char empty[1] = "";
	struct kt_head *h = p->h;

	h->target = p->target.ptr;
	h->target[p->target.len] = '\0';
	h->query = p->query.ptr ? p->query.ptr : empty;
	for (size_t i = 0; i < h->n_headers; i++) {
		struct span name = { p->value[i].ptr, p->name_len[i] };
		/* The names lie in the buffer, which is ours to change; const is for readers. */
		name.ptr = (char *)(uintptr_t)h->headers[i].name;
		for (size_t k = 0; k < name.len; k++)
			name.ptr[k] = lower_char(name.ptr[k]);
		name.ptr[name.len] = '\0';
		p->value[i].ptr[p->value[i].len] = '\0';
		h->headers[i].value = p->value[i].ptr;
	}
}

/* Control bytes but HTAB, and CR or LF alone, are refused everywhere (RFC 9112 2.2). */
static bool line_bytes(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];
		if ((c < ' ' && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

/*
 * Find the next line in s. Returns 1 with *out_line, 0 when it is not complete, -1 when its bytes
 * are wrong.
 */
static int next_line(char *s, size_t len, struct span *out_line)
{
	char *lf = memchr(s, '\n', len);
	size_t n = lf ? (size_t)(lf - s) : len;

	if (lf && (n == 0 || s[n - 1] != '\r'))
		return -1;
	if (n > 0 && s[n - 1] == '\r')
		n--;
	if (!line_bytes(s, n))
		return -1;
	*out_line = (struct span){ s, n };
	return lf ? 1 : 0;
}

void kt_head_release(struct kt_head *h)
{
	free(h->mem);
	h->mem = NULL;
}

static enum kt_head_result bad_head(int status, int *out_status)
{
	*out_status = status;
	return KT_HEAD_BAD;
}

enum kt_head_result kt_head_parse(char *buf, size_t len, struct kt_head *out, int *out_status)
{
	size_t have = KT_MIN(len, (size_t)KT_MAX_HTTP_HEAD_BYTES), at = 0, skipped = 0;
	struct parse p;

	p.h = out;
	p.n_hosts = p.n_transfers = p.n_lengths = 0;
	p.close = p.alive = p.absolute = false;
	p.status = 0;
	p.query = p.host = (struct span){ NULL, 0 };
	out->mem = NULL;
	out->n_headers = 0;
	out->port = 0;
	out->content_length = -1;
	out->chunked = out->expect_continue = false;
	/* RFC 9112 2.2: one empty line before the request line is left by clumsy clients. */
	if (have >= 2 && buf[0] == '\r' && buf[1] == '\n')
		skipped = at = 2;
	for (;;) {
		struct span line;
		int r = next_line(buf + at, have - at, &line);
		if (r < 0)
			return bad_head(400, out_status);
		size_t m;
		if (r == 0) {
			if (at == skipped && !method_bytes(&p, line, &m))
				return bad_head(p.status, out_status);
			return have == KT_MAX_HTTP_HEAD_BYTES ? bad_head(431, out_status)
							      : KT_HEAD_MORE;
		}
		bool first = at == skipped;
		at += line.len + 2;
		if (first) {
			if (!parse_request_line(&p, line))
				return bad_head(p.status, out_status);
		} else if (line.len == 0) {
			break;
		} else if (!parse_field(&p, line)) {
			return bad_head(p.status, out_status);
		}
	}
	if (!check_whole(&p) || !place_strings(&p))
		return bad_head(p.status, out_status);
	terminate_head(&p);
	out->head_len = at;
	return KT_HEAD_OK;
}
