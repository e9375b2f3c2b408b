/* SPDX-License-Identifier: MIT */
/*
 * libcurl, as the two ways of asking share it: curl.c, which waits, and fetch.c, which does not.
 * Private to lib/net. The types come from <curl/curl.h>, the functions from the table.
 */
#ifndef KT_NET_CURL_PRIVATE_H
#define KT_NET_CURL_PRIVATE_H

#include "base/err.h"
#include "net/url.h"

#include <curl/curl.h>

/* libcurl's checking macros take the real functions only. */
#undef curl_easy_setopt
#undef curl_easy_getinfo

struct kt_curl_api {
	__typeof__(curl_global_init) *global_init;
	__typeof__(curl_easy_init) *easy_init;
	__typeof__(curl_easy_setopt) *setopt;
	__typeof__(curl_easy_getinfo) *getinfo;
	__typeof__(curl_easy_cleanup) *easy_cleanup;
	__typeof__(curl_easy_pause) *easy_pause;
	__typeof__(curl_easy_strerror) *strerror;
	__typeof__(curl_slist_append) *slist_append;
	__typeof__(curl_slist_free_all) *slist_free;
	__typeof__(curl_multi_init) *multi_init;
	__typeof__(curl_multi_cleanup) *multi_cleanup;
	__typeof__(curl_multi_setopt) *multi_setopt;
	__typeof__(curl_multi_add_handle) *multi_add;
	__typeof__(curl_multi_remove_handle) *multi_remove;
	__typeof__(curl_multi_perform) *multi_perform;
	__typeof__(curl_multi_poll) *multi_poll;
	__typeof__(curl_multi_socket_action) *multi_act;
	/* curl_multi_socket_all, which headers disown. */
	CURLMcode (*multi_act_all)(CURLM *, int *);
	__typeof__(curl_multi_assign) *multi_assign;
	__typeof__(curl_multi_info_read) *multi_info;
};
/* Written by the first kt_curl_load(); nobody looks at it before. */
extern struct kt_curl_api kt_curl;

/*
 * Open the library, once for the process; threads wait for each other. Takes some milliseconds.
 * Returns KT_OK or KT_EIO (it is not installed).
 */
KT_MUST_CHECK enum kt_code kt_curl_load(struct kt_err *err);
/* Whether kt_curl_load() would return at once. */
bool kt_curl_loaded(void);

/* Append a header line to *list. KT_EINVAL: a line break would start another header or request. */
KT_MUST_CHECK enum kt_code kt_curl_add_header(
	struct curl_slist **list, const char *line, struct kt_err *err);
/*
 * The options of every request: http and https only, no redirects, no .netrc, no signals, no proxy
 * for loopback hosts. Messages of libcurl go to text (CURL_ERROR_SIZE bytes).
 */
void kt_curl_set_common(CURL *easy, const struct kt_url *url, const char *target, char *text);
/* connect_ms 0 = 5 s; total_ms 0 = none. */
void kt_curl_set_time(CURL *easy, int64_t connect_ms, int64_t total_ms);
/* GET, HEAD, POST, ...; body NULL: there is none here, or it is read by a function. */
void kt_curl_set_method(
	CURL *easy, const char *method, const void *body, size_t len, bool has_reader);
/* libcurl's error as ours, with a hint; text is what kt_curl_set_common() got. Returns the code. */
enum kt_code kt_curl_error(
	const struct kt_url *url, CURLcode status, const char *text, struct kt_err *err);

#endif
