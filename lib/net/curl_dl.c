/* SPDX-License-Identifier: MIT */
/*
 * The only file that knows libcurl's symbols. It is opened with dlopen() at the first call that
 * needs it: linking it would cost every start of the program 4 to 5 ms, and most commands make no
 * request, or one that plain.c can do.
 */
#include "net/curl_private.h"

#include "base/base.h"
#include "base/dl.h"
#include "base/str.h"
#include "net/plain_private.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define CONNECT_MS 5000

struct kt_curl_api kt_curl;

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static atomic_bool curl_loaded;
static enum kt_code curl_code;
static struct kt_err curl_err;

static void load_curl(void)
{
	static const char *const names[] = { "libcurl.so.4", "libcurl-gnutls.so.4",
		"libcurl-nss.so.4", NULL };
	static const struct kt_dl_symbol symbols[] = {
		{ (void **)&kt_curl.global_init, "curl_global_init" },
		{ (void **)&kt_curl.easy_init, "curl_easy_init" },
		{ (void **)&kt_curl.setopt, "curl_easy_setopt" },
		{ (void **)&kt_curl.getinfo, "curl_easy_getinfo" },
		{ (void **)&kt_curl.easy_cleanup, "curl_easy_cleanup" },
		{ (void **)&kt_curl.easy_pause, "curl_easy_pause" },
		{ (void **)&kt_curl.strerror, "curl_easy_strerror" },
		{ (void **)&kt_curl.slist_append, "curl_slist_append" },
		{ (void **)&kt_curl.slist_free, "curl_slist_free_all" },
		{ (void **)&kt_curl.multi_init, "curl_multi_init" },
		{ (void **)&kt_curl.multi_cleanup, "curl_multi_cleanup" },
		{ (void **)&kt_curl.multi_setopt, "curl_multi_setopt" },
		{ (void **)&kt_curl.multi_add, "curl_multi_add_handle" },
		{ (void **)&kt_curl.multi_remove, "curl_multi_remove_handle" },
		{ (void **)&kt_curl.multi_perform, "curl_multi_perform" },
		{ (void **)&kt_curl.multi_poll, "curl_multi_poll" },
		{ (void **)&kt_curl.multi_act, "curl_multi_socket_action" },
		{ (void **)&kt_curl.multi_act_all, "curl_multi_socket_all" },
		{ (void **)&kt_curl.multi_assign, "curl_multi_assign" },
		{ (void **)&kt_curl.multi_info, "curl_multi_info_read" },
	};
	curl_code = kt_dl_load(names, symbols, KT_ARRAY_LEN(symbols), "libcurl4", &curl_err);
	if (curl_code == KT_OK && kt_curl.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		curl_code = kt_fail(&curl_err, KT_EIO, 0, "libcurl does not start");
	curl_loaded = true;
}

enum kt_code kt_curl_load(struct kt_err *err)
{
	(void)pthread_once(&curl_once, load_curl);
	if (curl_code != KT_OK && err != NULL)
		*err = curl_err;
	return curl_code;
}

bool kt_curl_loaded(void)
{
	return curl_loaded;
}

enum kt_code kt_curl_add_header(struct curl_slist **list, const char *line, struct kt_err *err)
{
	if (!kt_http_is_one_line(line))
		return kt_fail(err, KT_EINVAL, 0, "a header must be one line of text");
	struct curl_slist *more = kt_curl.slist_append(*list, line);
	kt_assert(more != NULL); /* memory is out, as in kt_malloc() */
	*list = more;
	return KT_OK;
}

/* Set one option; libcurl refuses only options that it was built without, or does not know yet. */
#define SET(easy, option, value) ((void)kt_curl.setopt((easy), (option), (value)))

void kt_curl_set_common(CURL *easy, const struct kt_url *url, const char *target, char *text)
{
	SET(easy, CURLOPT_URL, target);
	SET(easy, CURLOPT_NOSIGNAL, 1L);
	SET(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	SET(easy, CURLOPT_FOLLOWLOCATION, 0L);
	SET(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	SET(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	SET(easy, CURLOPT_USERAGENT, "karta/" KT_VERSION);
	SET(easy, CURLOPT_ERRORBUFFER, text);
	/* A proxy cannot reach this machine's own loopback, and must not learn of it. */
	if (url->loopback)
		SET(easy, CURLOPT_NOPROXY, "*");
}

void kt_curl_set_time(CURL *easy, int64_t connect_ms, int64_t total_ms)
{
	SET(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)(connect_ms > 0 ? connect_ms : CONNECT_MS));
	SET(easy, CURLOPT_TIMEOUT_MS, (long)total_ms);
}

void kt_curl_set_method(
	CURL *easy, const char *method, const void *body, size_t len, bool has_reader)
{
	if (has_reader) {
		SET(easy, CURLOPT_UPLOAD, 1L);
	} else if (body != NULL || strcmp(method, "POST") == 0) {
		SET(easy, CURLOPT_POSTFIELDS, body != NULL ? body : "");
		SET(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(body != NULL ? len : 0));
	} else if (strcmp(method, "HEAD") == 0) {
		SET(easy, CURLOPT_NOBODY, 1L);
	}
	if (strcmp(method, "HEAD") != 0)
		SET(easy, CURLOPT_CUSTOMREQUEST, method);
}

enum kt_code kt_curl_error(
	const struct kt_url *url, CURLcode status, const char *text, struct kt_err *err)
{
	const char *why = text[0] != '\0' ? text : kt_curl.strerror(status);
	enum kt_code rc = KT_EIO;
	const char *hint = NULL;
	switch ((int)status) {
	case CURLE_COULDNT_CONNECT:
		rc = KT_EUNAVAIL;
		hint = "is the server running, and is the port right";
		break;
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		rc = KT_EUNAVAIL;
		hint = "check the host name and the network";
		break;
	case CURLE_OPERATION_TIMEDOUT:
		rc = KT_ETIMEOUT;
		break;
	case CURLE_GOT_NOTHING:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
	case CURLE_PARTIAL_FILE:
	case CURLE_SEND_FAIL_REWIND:
		rc = KT_EUNAVAIL;
		break;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
		rc = KT_EUNAVAIL;
		hint = "the server's certificate is not trusted on this machine";
		break;
	case CURLE_SSL_CONNECT_ERROR:
		rc = KT_EUNAVAIL;
		hint = "does the server speak https at this port";
		break;
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_BAD_CONTENT_ENCODING:
		rc = KT_EPROTO;
		break;
	case CURLE_URL_MALFORMAT:
		rc = KT_EINVAL;
		break;
	case CURLE_OUT_OF_MEMORY:
		rc = KT_ENOMEM;
		break;
	default:
		break;
	}
	(void)kt_fail(err, rc, 0, "%s:%d: %s", url->host, url->port, why);
	if (hint != NULL)
		(void)kt_hint(err, "%s", hint);
	if (err != NULL)
		err->sys = (int)status;
	return rc;
}
