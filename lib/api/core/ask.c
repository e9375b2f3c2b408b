/* SPDX-License-Identifier: MIT */
/* What a request says of the answer it wants, and of who asks: its headers and query alone. */
#include "api/core/core_private.h"

#include "base/str.h"

#include <string.h>
#include <strings.h>

#define TEXT_TYPE "text/plain"

bool kt_api_async(const struct kt_request *rq)
{
	const char *prefer = kt_request_header(rq, "prefer");

	return prefer && strstr(prefer, "respond-async");
}

bool kt_api_accepts(const struct kt_request *rq, const char *type)
{
	const char *accept = kt_request_header(rq, "accept");

	return accept && strcasestr(accept, type);
}

bool kt_api_wants_stream(const struct kt_request *rq)
{
	char flag[8];

	return kt_api_accepts(rq, "text/event-stream") ||
		(kt_request_query(rq, "stream", flag, sizeof(flag)) &&
			(kt_str_eq(flag, "1") || kt_str_eq(flag, "true")));
}

bool kt_api_wants_lines(const struct kt_request *rq)
{
	const char *accept = kt_request_header(rq, "accept");

	return accept && strncasecmp(accept, TEXT_TYPE, strlen(TEXT_TYPE)) == 0;
}

/* A page of ours asks: other origins cannot send this header without being allowed to. */
bool kt_api_from_page(const struct kt_request *rq)
{
	const char *value = kt_request_header(rq, "karta-page");

	return value && *value;
}
