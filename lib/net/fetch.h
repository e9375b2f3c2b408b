/* SPDX-License-Identifier: MIT */
/*
 * Outgoing HTTP of a server, on its loop: nothing here waits. Over libcurl, as curl.h, which is
 * loaded by a thread when the first request is made. Where requests may lead is what reach.h says,
 * of the URL and of each address that is connected to; redirects are followed here, each hop judged
 * anew. All functions are for the loop's thread; callbacks come on it, never from within a function
 * of this header.
 */
#ifndef KT_NET_FETCH_H
#define KT_NET_FETCH_H

#include "net/loop.h"
#include "net/reach.h"
#include "net/url.h"

struct kt_http_fetcher; /* requests of one loop, and the connections they have left to the next */
struct kt_http_fetch; /* one request */

/* reach is BORROWED until kt_http_fetcher_free() ends it. */
struct kt_http_fetcher *kt_http_fetcher_new(struct kt_loop *loop, const struct kt_reach *reach);
/*
 * Cancel what runs and close all connections. NULL is fine. Not from a callback; before
 * kt_loop_free().
 */
void kt_http_fetcher_free(struct kt_http_fetcher *fr);

/* What is asked for. All is copied but body_fd. */
struct kt_http_fetch_spec {
	const char *method; /* "GET", "POST", ... */
	const char *url;
	const char *const *headers; /* "Name: value", NULL-terminated, or NULL */
	/* Those that only the origin of url gets, however often it leads elsewhere and back. */
	const char *const *own_headers;
	const void *body; /* or NULL; its Content-Type is among the headers */
	size_t body_len;
	/* > 0: a regular file that is sent from its present position on instead. BORROWED. */
	int body_fd;
	int max_redirects; /* of GET and HEAD; 0: a redirect is an answer as any other */
	int64_t max_bytes; /* of the body of the reply; 0 = no limit */
	int64_t connect_ms; /* of each connection; 0 = 5 s */
	/*
	 * Of each hop: until its reply begins, and then between pieces of it. 0 = no limit. While it
	 * is paused none counts.
	 */
	int64_t first_ms, stall_ms;
	int64_t total_ms; /* of all hops, pauses included; 0 = no limit */
};

struct kt_http_fetch_ops {
	/*
	 * Whether `to` may be asked, besides what reach says; from is what leads there, NULL of the
	 * first URL. NULL = anything. What it returns other than KT_OK ends the request, with err.
	 */
	enum kt_code (*may)(
		void *arg, const struct kt_url *to, const struct kt_url *from, struct kt_err *err);
	/* The reply is here up to its body. As may. kt_http_fetch_header() has its headers. */
	enum kt_code (*head)(void *arg, int status, struct kt_err *err);
	/* Next bytes of its body (16 KiB at most), which are valid during the call. As may. */
	enum kt_code (*data)(void *arg, const char *data, size_t len, struct kt_err *err);
	/*
	 * It is over, and the pointer dead: last call, always in a later tick than the start. KT_OK
	 * (whatever the status is), what a function above returned, KT_EDENIED (reach), KT_EINVAL
	 * (URL or header), KT_EUNAVAIL (refused, no such host, connection lost; with a hint),
	 * KT_ETIMEOUT, KT_ELIMIT (reply too large), KT_EPROTO (no HTTP, redirects too often or to
	 * nowhere), KT_EIO (libcurl is not installed).
	 */
	void (*ended)(void *arg, enum kt_code rc, const struct kt_err *err);
};

/* Begin; ops is BORROWED until the end. The request is the module's until ops->ended. */
struct kt_http_fetch *kt_http_fetch_start(struct kt_http_fetcher *fr,
	const struct kt_http_fetch_spec *spec, const struct kt_http_fetch_ops *ops, void *arg);
/* Take no more of its body until told otherwise; the sender waits when its way is full. */
void kt_http_fetch_pause(struct kt_http_fetch *f, bool paused);
/* Give up: none of its functions is called any more, and the pointer is dead. Also from them. */
void kt_http_fetch_cancel(struct kt_http_fetch *f);
/* A header of the reply from ops->head on (its first, when there are several), or NULL. BORROWS. */
const char *kt_http_fetch_header(const struct kt_http_fetch *f, const char *name);
/* Where it is now, for messages. BORROWS. */
const struct kt_url *kt_http_fetch_url(const struct kt_http_fetch *f);

#endif
