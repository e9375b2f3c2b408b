/* SPDX-License-Identifier: MIT */
/*
 * The only file that knows libcurl. It is opened with dlopen() at the first call: linking it would
 * cost every start of the program 4 to 5 ms, and most commands make no request.
 */
#include "net/curl.h"

#include "base/base.h"
#include "base/str.h"
#include "net/url.h"

#include <curl/curl.h>

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

/* libcurl's checking macros take the real functions only. */
#undef curl_easy_setopt
#undef curl_easy_getinfo

#define CONNECT_MS 5000
#define POLL_MS 100
#define MAX_BODY_BYTES ((size_t)64 * 1024 * 1024)
#define MAX_ERROR_BODY_BYTES ((size_t)1024 * 1024) /* of a stream that did not begin */

static struct api {
	__typeof__(curl_global_init) *global_init;
	__typeof__(curl_easy_init) *easy_init;
	__typeof__(curl_easy_setopt) *setopt;
	__typeof__(curl_easy_getinfo) *getinfo;
	__typeof__(curl_easy_cleanup) *easy_cleanup;
	__typeof__(curl_easy_strerror) *strerror;
	__typeof__(curl_slist_append) *slist_append;
	__typeof__(curl_slist_free_all) *slist_free;
	__typeof__(curl_multi_init) *multi_init;
	__typeof__(curl_multi_cleanup) *multi_cleanup;
	__typeof__(curl_multi_add_handle) *multi_add;
	__typeof__(curl_multi_remove_handle) *multi_remove;
	__typeof__(curl_multi_perform) *multi_perform;
	__typeof__(curl_multi_poll) *multi_poll;
	__typeof__(curl_multi_info_read) *multi_info;
	bool ready;
} api; /* written once, guarded by api_once */

static pthread_once_t api_once = PTHREAD_ONCE_INIT;

static void load_api(void)
{
	static const char *const names[] = { "libcurl.so.4", "libcurl-gnutls.so.4",
		"libcurl-nss.so.4" };
	const struct {
		void **to;
		const char *name;
	} symbols[] = {
		{ (void **)&api.global_init, "curl_global_init" },
		{ (void **)&api.easy_init, "curl_easy_init" },
		{ (void **)&api.setopt, "curl_easy_setopt" },
		{ (void **)&api.getinfo, "curl_easy_getinfo" },
		{ (void **)&api.easy_cleanup, "curl_easy_cleanup" },
		{ (void **)&api.strerror, "curl_easy_strerror" },
		{ (void **)&api.slist_append, "curl_slist_append" },
		{ (void **)&api.slist_free, "curl_slist_free_all" },
		{ (void **)&api.multi_init, "curl_multi_init" },
		{ (void **)&api.multi_cleanup, "curl_multi_cleanup" },
		{ (void **)&api.multi_add, "curl_multi_add_handle" },
		{ (void **)&api.multi_remove, "curl_multi_remove_handle" },
		{ (void **)&api.multi_perform, "curl_multi_perform" },
		{ (void **)&api.multi_poll, "curl_multi_poll" },
		{ (void **)&api.multi_info, "curl_multi_info_read" },
	};
	void *lib = NULL;
	for (size_t i = 0; i < KT_ARRAY_LEN(names) && lib == NULL; i++)
		lib = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
	if (lib == NULL)
		return;
	for (size_t i = 0; i < KT_ARRAY_LEN(symbols); i++) {
		*symbols[i].to = dlsym(lib, symbols[i].name);
		if (*symbols[i].to == NULL)
			return;
	}
	api.ready = api.global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
}

/* What one call needs while it runs. */
struct work {
	const struct kt_http_call *call;
	CURL *easy;
	CURLM *multi;
	struct curl_slist *headers;
	struct kt_http_reply reply;
	bool stopped; /* on_data() said stop */
	char text[CURL_ERROR_SIZE];
};

static void end_work(struct work *w)
{
	if (w->multi != NULL && w->easy != NULL)
		(void)api.multi_remove(w->multi, w->easy);
	if (w->easy != NULL)
		api.easy_cleanup(w->easy);
	if (w->multi != NULL)
		(void)api.multi_cleanup(w->multi);
	api.slist_free(w->headers);
	kt_http_reply_release(&w->reply);
}

/* The value of a header line when it is of this name, cut to size; false when it is another. */
static bool take_header(const char *line, size_t len, const char *name, char *out, size_t size)
{
	size_t n = strlen(name);
	if (len <= n || line[n] != ':' || strncasecmp(line, name, n) != 0)
		return false;
	const char *v = line + n + 1;
	const char *end = line + len;
	while (v < end && (*v == ' ' || *v == '\t'))
		v++;
	while (end > v && (unsigned char)end[-1] <= ' ')
		end--;
	size_t keep = KT_MIN((size_t)(end - v), size - 1);
	memcpy(out, v, keep);
	out[keep] = '\0';
	return true;
}

static size_t on_head(char *data, size_t size, size_t n, void *arg)
{
	struct work *w = arg;
	struct kt_http_reply *r = &w->reply;
	size_t len = size * n;
	char text[32];
	if (take_header(data, len, "Content-Type", r->content_type, sizeof(r->content_type)) ||
		take_header(data, len, "Request-Id", r->request_id, sizeof(r->request_id)))
		return len;
	/* Seconds only; the other form, a date, needs clocks that agree. */
	if (take_header(data, len, "Retry-After", text, sizeof(text)) &&
		!kt_str_int64(text, 0, INT32_MAX, &r->retry_after_s))
		r->retry_after_s = -1;
	return len;
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
	struct work *w = arg;
	size_t len = size * n;
	long status = 0;
	(void)api.getinfo(w->easy, CURLINFO_RESPONSE_CODE, &status);
	if (w->call->on_data != NULL && status / 100 == 2) {
		w->stopped = !w->call->on_data(w->call->arg, data, len);
		return w->stopped ? 0 : len;
	}
	kt_buf_add(&w->reply.body, data, len);
	return kt_buf_ok(&w->reply.body) ? len : 0;
}

/* A line break in a header would start another header, or another request. */
static bool is_one_line(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			return false;
	return true;
}

static enum kt_code add_header(struct work *w, const char *line, struct kt_err *err)
{
	if (!is_one_line(line))
		return kt_fail(err, KT_EINVAL, 0, "a header must be one line of text");
	struct curl_slist *more = api.slist_append(w->headers, line);
	kt_assert(more != NULL); /* memory is out, as in kt_malloc() */
	w->headers = more;
	return KT_OK;
}

static enum kt_code add_headers(struct work *w, struct kt_err *err)
{
	const char *const *headers = w->call->headers;
	/* No waiting for "100 Continue"; a body is JSON unless the caller says otherwise. */
	enum kt_code code = add_header(w, "Expect:", err);
	bool typed = w->call->body == NULL;
	for (size_t i = 0; code == KT_OK && headers != NULL && headers[i] != NULL; i++) {
		code = add_header(w, headers[i], err);
		typed = typed || strncasecmp(headers[i], "Content-Type:", 13) == 0;
	}
	if (code == KT_OK && !typed)
		code = add_header(w, "Content-Type: application/json", err);
	return code;
}

/* Set one option; libcurl refuses only options that it was built without. */
#define SET(w, option, value) ((void)api.setopt((w)->easy, (option), (value)))

static void set_options(struct work *w, const struct kt_url *url)
{
	const struct kt_http_call *call = w->call;
	SET(w, CURLOPT_URL, call->url);
	SET(w, CURLOPT_NOSIGNAL, 1L);
	SET(w, CURLOPT_PROTOCOLS_STR, "http,https");
	SET(w, CURLOPT_FOLLOWLOCATION, 0L);
	SET(w, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	SET(w, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(w, CURLOPT_TCP_KEEPALIVE, 1L);
	SET(w, CURLOPT_USERAGENT, "karta/" KT_VERSION);
	SET(w, CURLOPT_ERRORBUFFER, w->text);
	SET(w, CURLOPT_CONNECTTIMEOUT_MS,
		(long)(call->connect_ms > 0 ? call->connect_ms : CONNECT_MS));
	SET(w, CURLOPT_TIMEOUT_MS, (long)call->total_ms);
	/* A proxy cannot reach this machine's own loopback, and must not learn of it. */
	if (url->loopback)
		SET(w, CURLOPT_NOPROXY, "*");
	SET(w, CURLOPT_HEADERFUNCTION, on_head);
	SET(w, CURLOPT_HEADERDATA, w);
	SET(w, CURLOPT_WRITEFUNCTION, on_body);
	SET(w, CURLOPT_WRITEDATA, w);
	SET(w, CURLOPT_HTTPHEADER, w->headers);
	if (call->body != NULL || strcmp(call->method, "POST") == 0) {
		SET(w, CURLOPT_POSTFIELDS, call->body != NULL ? call->body : "");
		SET(w, CURLOPT_POSTFIELDSIZE_LARGE,
			(curl_off_t)(call->body != NULL ? call->body_len : 0));
	} else if (strcmp(call->method, "HEAD") == 0) {
		SET(w, CURLOPT_NOBODY, 1L);
	}
	if (strcmp(call->method, "HEAD") != 0)
		SET(w, CURLOPT_CUSTOMREQUEST, call->method);
}

/* Turn a CURLcode into our error. */
static enum kt_code failed(
	struct work *w, const struct kt_url *url, CURLcode rc, struct kt_err *err)
{
	const char *why = w->text[0] != '\0' ? w->text : api.strerror(rc);
	enum kt_code code = KT_EIO;
	const char *hint = NULL;
	switch ((int)rc) {
	case CURLE_COULDNT_CONNECT:
		code = KT_EUNAVAIL;
		hint = "is the server running, and is the port right";
		break;
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		code = KT_EUNAVAIL;
		hint = "check the host name and the network";
		break;
	case CURLE_OPERATION_TIMEDOUT:
		code = KT_ETIMEOUT;
		break;
	case CURLE_GOT_NOTHING:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
	case CURLE_PARTIAL_FILE:
		code = KT_EUNAVAIL;
		break;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
		code = KT_EUNAVAIL;
		hint = "the server's certificate is not trusted on this machine";
		break;
	case CURLE_SSL_CONNECT_ERROR:
		code = KT_EUNAVAIL;
		hint = "does the server speak https at this port";
		break;
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_BAD_CONTENT_ENCODING:
		code = KT_EPROTO;
		break;
	case CURLE_URL_MALFORMAT:
		code = KT_EINVAL;
		break;
	case CURLE_OUT_OF_MEMORY:
		code = KT_ENOMEM;
		break;
	default:
		break;
	}
	(void)kt_fail(err, code, 0, "%s:%d: %s", url->host, url->port, why);
	if (hint != NULL)
		(void)kt_hint(err, "%s", hint);
	if (err != NULL)
		err->sys = (int)rc;
	return code;
}

/* Run to the end. KT_OK leaves the transfer's result in *out_rc. */
static enum kt_code run(struct work *w, CURLcode *out_rc, struct kt_err *err)
{
	const struct kt_http_call *call = w->call;
	struct curl_waitfd watch = { .fd = call->watch_fd, .events = CURL_WAIT_POLLIN };
	unsigned n_watch = call->on_poll != NULL && call->watch_fd > 0 ? 1 : 0;
	if (api.multi_add(w->multi, w->easy) != CURLM_OK)
		return kt_fail(err, KT_EINTERNAL, 0, "libcurl does not take the request");
	for (;;) {
		int running = 0;
		int left = 0;
		if (call->on_poll != NULL && !call->on_poll(call->arg))
			return kt_fail(err, KT_ECANCEL, 0, "interrupted");
		CURLMcode mc = api.multi_perform(w->multi, &running);
		const CURLMsg *msg = mc == CURLM_OK ? api.multi_info(w->multi, &left) : NULL;
		if (msg != NULL && msg->msg == CURLMSG_DONE) {
			*out_rc = msg->data.result;
			return KT_OK;
		}
		if (mc == CURLM_OK)
			mc = api.multi_poll(w->multi, &watch, n_watch, POLL_MS, NULL);
		if (mc != CURLM_OK)
			return kt_fail(err, KT_EIO, 0, "libcurl failed (%d)", (int)mc);
	}
}

static enum kt_code perform(
	struct work *w, const struct kt_url *url, struct kt_http_reply *out, struct kt_err *err)
{
	CURLcode rc = CURLE_OK;
	long status = 0;
	enum kt_code code = add_headers(w, err);
	if (code != KT_OK)
		return code;
	set_options(w, url);
	code = run(w, &rc, err);
	if (code != KT_OK)
		return code;
	if (w->stopped)
		return kt_fail(err, KT_ECANCEL, 0, "stopped");
	if (!kt_buf_ok(&w->reply.body))
		return kt_fail(
			err, KT_ELIMIT, 0, "%s:%d: the answer is too large", url->host, url->port);
	if (rc != CURLE_OK)
		return failed(w, url, rc, err);
	(void)api.getinfo(w->easy, CURLINFO_RESPONSE_CODE, &status);
	*out = w->reply;
	out->status = (int)status;
	kt_buf_init(&w->reply.body, 0);
	return KT_OK;
}

enum kt_code kt_http_do(
	const struct kt_http_call *call, struct kt_http_reply *out, struct kt_err *err)
{
	struct kt_url url;
	enum kt_code code = kt_url_parse(call->url, &url, err);
	if (code != KT_OK)
		return code;
	(void)pthread_once(&api_once, load_api);
	if (!api.ready) {
		kt_url_release(&url);
		(void)kt_fail(err, KT_EIO, 0, "cannot load libcurl.so.4");
		return kt_hint(err, "install libcurl (Debian and Ubuntu: libcurl4)");
	}
	size_t max = call->max_body_bytes > 0 ? call->max_body_bytes : MAX_BODY_BYTES;
	struct work w = { .call = call, .reply = { .retry_after_s = -1 } };
	kt_buf_init(&w.reply.body, call->on_data != NULL ? KT_MIN(max, MAX_ERROR_BODY_BYTES) : max);
	w.easy = api.easy_init();
	w.multi = api.multi_init();
	if (w.easy == NULL || w.multi == NULL)
		code = kt_fail(err, KT_EINTERNAL, 0, "libcurl does not start");
	else
		code = perform(&w, &url, out, err);
	end_work(&w);
	kt_url_release(&url);
	return code;
}

void kt_http_reply_release(struct kt_http_reply *r)
{
	kt_buf_release(&r->body);
}
