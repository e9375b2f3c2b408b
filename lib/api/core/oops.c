/* SPDX-License-Identifier: MIT */
/*
 * Problems as pages: a person who opens an address with a browser and gets nothing there reads why,
 * and how to go on. Only for that: what pages and programs ask for is JSON.
 */
#include "api/core/caller_private.h"

#include "base/str.h"

#include <string.h>

static bool has_value(const struct kt_request *rq, const char *name, const char *want)
{
	const char *value = kt_request_header(rq, name);

	return !value || kt_str_eq(value, want);
}

static bool opened_by_hand(const struct kt_request *rq)
{
	return (rq->method & (KT_GET | KT_HEAD)) && kt_api_accepts(rq, "text/html") &&
		!kt_api_from_page(rq) && has_value(rq, "sec-fetch-mode", "navigate") &&
		has_value(rq, "sec-fetch-dest", "document");
}

static void add_escaped(struct kt_buf *b, const char *s)
{
	for (; *s; s++) {
		switch (*s) {
		case '&':
			kt_buf_adds(b, "&amp;");
			break;
		case '<':
			kt_buf_adds(b, "&lt;");
			break;
		case '>':
			kt_buf_adds(b, "&gt;");
			break;
		case '"':
			kt_buf_adds(b, "&quot;");
			break;
		default:
			kt_buf_addc(b, *s);
		}
	}
}

static const char *title_of(int status)
{
	switch (status) {
	case 401:
		return "This address is for programs";
	case 403:
		return "This is not allowed";
	case 404:
	case 405:
		return "There is no page here";
	case 421:
		return "This server has another name";
	case 429:
		return "Too much at a time";
	default:
		return status >= 500 ? "The server cannot do this now"
				     : "This address does not work";
	}
}

static const char *words_of(int status)
{
	switch (status) {
	case 401:
		return "It takes an API key and answers with JSON. The pages of this server begin "
		       "at "
		       "the list of projects.";
	case 404:
	case 405:
		return "The address may be mistyped, or what it led to was deleted or renamed. "
		       "Previews end when their branch is deleted or their time is over.";
	case 421:
		return "It does not answer to the name in the address. On its own machine it is "
		       "localhost; whoever runs it knows its public name (public_url).";
	case 429:
	case 503:
		return "Try again in a moment.";
	default:
		return "";
	}
}

/* The way on; none from a name that is not the server's when it has no public one. */
static void add_link(struct kt_call *c, struct kt_buf *b, int status)
{
	char server[sizeof(c->by->base_url)] = "";

	if (status == 421 && c->by)
		(void)kt_str_copy(server, sizeof(server), c->api->base_url ? c->api->base_url : "");
	else if (c->by)
		kt_api_web_server(c, server, sizeof(server));
	if (status == 421 && !server[0])
		return;
	kt_buf_adds(b, "<p><a class=\"button primary\" href=\"");
	add_escaped(b, server);
	kt_buf_addf(b, "/\">%s</a></p>", c->by ? "All projects" : "To the chat");
}

/* Where "{{name}}" stands in the page. */
static void add_page_word(struct kt_call *c, struct kt_buf *b, const char *word, size_t len,
	int status, const char *detail)
{
	char code[16];
	const char *value = "";

	(void)snprintf(code, sizeof(code), "%d", status);
	if (len == 4 && memcmp(word, "root", 4) == 0)
		value = c->api->prefix ? c->api->prefix : "";
	else if (len == 5 && memcmp(word, "title", 5) == 0)
		value = title_of(status);
	else if (len == 5 && memcmp(word, "words", 5) == 0)
		value = words_of(status);
	else if (len == 6 && memcmp(word, "detail", 6) == 0)
		value = detail;
	else if (len == 6 && memcmp(word, "status", 6) == 0)
		value = code;
	else if (len == 4 && memcmp(word, "link", 4) == 0)
		add_link(c, b, status);
	add_escaped(b, value);
}

bool kt_api_problem_page(struct kt_call *c, int status, const char *detail)
{
	const struct kt_asset *a;
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(64 * 1024);
	const char *at, *end, *open, *close;
	size_t len;

	if (!opened_by_hand(c->rq))
		return false;
	a = kt_api_asset(c->api, "/oops");
	at = a ? kt_api_asset_bytes(c->api, a, &len) : NULL;
	if (!at)
		return false;
	end = at + len;
	while ((open = memmem(at, (size_t)(end - at), "{{", 2)) != NULL &&
		(close = memmem(open, (size_t)(end - open), "}}", 2)) != NULL) {
		kt_buf_add(&b, at, (size_t)(open - at));
		add_page_word(c, &b, open + 2, (size_t)(close - open) - 2, status, detail);
		at = close + 2;
	}
	kt_buf_add(&b, at, (size_t)(end - at));
	if (!kt_buf_ok(&b))
		return false;
	kt_api_page_headers(c);
	kt_exchange_header(c->ex, "Vary", "Accept");
	kt_respond(c->ex, status, a->type, b.ptr, b.len);
	return true;
}
