/* SPDX-License-Identifier: MIT */
/* Inside of lib/net: calls to this machine without libcurl, and what answers' heads say. */
#ifndef KT_NET_PLAIN_PRIVATE_H
#define KT_NET_PLAIN_PRIVATE_H

#include "net/curl.h"
#include "net/url.h"

/* The call goes to this machine in plain HTTP, so it needs no TLS, no proxy and no name server. */
bool kt_plain_can(const struct kt_http_call *call, const struct kt_url *url);
/*
 * Do such a call; url is call->url taken apart. Returns as kt_http_do(); err->sys is the number that
 * libcurl has for the failure.
 */
KT_MUST_CHECK enum kt_code kt_plain_do(const struct kt_http_call *call, const struct kt_url *url,
	struct kt_http_reply *out, struct kt_err *err);
/* Take what is wanted of a line of an answer's head into r. */
void kt_http_reply_line(struct kt_http_reply *r, const char *line, size_t len);
/* True when s has no line breaks and no control characters: it can be a header. */
bool kt_http_is_one_line(const char *s);

#endif
