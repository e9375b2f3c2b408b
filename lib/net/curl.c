/* SPDX-License-Identifier: MIT */
/*
 * The only file that knows libcurl. It is opened with dlopen() at the first call: linking it would
 * cost every start of the program 4 to 5 ms, and most commands make no request.
 */
#include "net/curl.h"

#include "base/base.h"
#include "base/dl.h"
#include "base/fs.h"
#include "base/str.h"
#include "net/proxy_private.h"
#include "net/reach.h"
#include "net/url.h"

#include <curl/curl.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* libcurl's checking macros take the real functions only. */
#undef curl_easy_setopt
#undef curl_easy_getinfo

#define CONNECT_MS 5000
#define POLL_MS 100
#define UPLOAD_PIECE_BYTES (256L * 1024)
#define MAX_BODY_BYTES ((size_t)64 * 1024 * 1024)
#define MAX_ERROR_BODY_BYTES ((size_t)1024 * 1024) /* of a stream that did not begin */

static struct api {
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
	__typeof__(curl_multi_add_handle) *multi_add;
	__typeof__(curl_multi_remove_handle) *multi_remove;
	__typeof__(curl_multi_perform) *multi_perform;
	__typeof__(curl_multi_poll) *multi_poll;
	__typeof__(curl_multi_info_read) *multi_info;
} api; /* written once, guarded by api_once */

static pthread_once_t api_once = PTHREAD_ONCE_INIT;
static enum kt_code api_code;
static struct kt_err api_err;

static void load_api(void)
{
	static const char *const names[] = { "libcurl.so.4", "libcurl-gnutls.so.4",
		"libcurl-nss.so.4", NULL };
	static const struct kt_dl_symbol symbols[] = {
		{ (void **)&api.global_init, "curl_global_init" },
		{ (void **)&api.easy_init, "curl_easy_init" },
		{ (void **)&api.setopt, "curl_easy_setopt" },
		{ (void **)&api.getinfo, "curl_easy_getinfo" },
		{ (void **)&api.easy_cleanup, "curl_easy_cleanup" },
		{ (void **)&api.easy_pause, "curl_easy_pause" },
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
	api_code = kt_dl_load(names, symbols, KT_ARRAY_LEN(symbols), "libcurl4", &api_err);
	if (api_code == KT_OK && api.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		api_code = kt_fail(&api_err, KT_EIO, 0, "libcurl does not start");
}

/*
 * The connections of calls that ended, kept by one multi handle. A call takes it and gives it back;
 * one that finds it taken (a call inside another's functions, another thread) makes its own.
 */
static CURLM *idle_multi; /* guarded by idle_lock */
static pthread_mutex_t idle_lock = PTHREAD_MUTEX_INITIALIZER;

static CURLM *take_multi(void)
{
	(void)pthread_mutex_lock(&idle_lock);
	CURLM *m = idle_multi;
	idle_multi = NULL;
	(void)pthread_mutex_unlock(&idle_lock);
	return m != NULL ? m : api.multi_init();
}

static void give_multi(CURLM *m)
{
	(void)pthread_mutex_lock(&idle_lock);
	if (idle_multi == NULL) {
		idle_multi = m;
		m = NULL;
	}
	(void)pthread_mutex_unlock(&idle_lock);
	if (m != NULL)
		(void)api.multi_cleanup(m);
}

/* What one call needs while it runs. */
struct work {
	const struct kt_http_call *call;
	CURL *easy;
	CURLM *multi;
	struct curl_slist *headers;
	struct kt_http_reply reply;
	int64_t body_size; /* of body_fd, -1 = not known */
	off_t body_start; /* its position at first */
	bool waiting; /* for body_fd to have more */
	bool body_failed; /* it could not be read */
	bool stopped; /* on_data() said stop */
	const struct kt_reach *reach; /* NULL: anywhere */
	struct kt_proxy *proxy; /* with reach: what is connected to instead, or NULL */
	bool named; /* the operator allows the host by its name */
	bool refused; /* an address was */
	char text[CURL_ERROR_SIZE];
};

static void end_work(struct work *w)
{
	if (w->multi != NULL && w->easy != NULL)
		(void)api.multi_remove(w->multi, w->easy);
	if (w->easy != NULL)
		api.easy_cleanup(w->easy);
	if (w->multi != NULL)
		give_multi(w->multi);
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
		take_header(data, len, "Request-Id", r->request_id, sizeof(r->request_id)) ||
		take_header(data, len, "Location", r->location, sizeof(r->location)) ||
		take_header(data, len, "ETag", r->etag, sizeof(r->etag)))
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

/* Give libcurl more of body_fd. */
static size_t on_curl_read(char *buf, size_t size, size_t n, void *arg)
{
	struct work *w = arg;
	struct kt_http_sent *sent = w->call->sent;
	ssize_t got;
	do
		got = read(w->call->body_fd, buf, size * n);
	while (got < 0 && errno == EINTR);
	if (got < 0 && errno == EAGAIN) {
		w->waiting = true;
		return CURL_READFUNC_PAUSE;
	}
	if (got < 0) {
		w->body_failed = true;
		return CURL_READFUNC_ABORT;
	}
	if (sent != NULL) {
		sent->bytes += got;
		/* Of a file with a known length libcurl does not ask for the end. */
		sent->all = got == 0 || sent->bytes == w->body_size;
	}
	return (size_t)got;
}

/* libcurl begins again: a kept connection turned out to be dead. */
static int on_seek(void *arg, curl_off_t offset, int origin)
{
	struct work *w = arg;
	if (w->body_size < 0 || origin != SEEK_SET)
		return CURL_SEEKFUNC_CANTSEEK;
	if (lseek(w->call->body_fd, w->body_start + (off_t)offset, SEEK_SET) < 0)
		return CURL_SEEKFUNC_FAIL;
	if (w->call->sent != NULL)
		*w->call->sent = (struct kt_http_sent){ .bytes = offset };
	return CURL_SEEKFUNC_OK;
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
	enum kt_code rc = add_header(w, "Expect:", err);
	bool typed = w->call->body == NULL && w->call->body_fd <= 0;
	for (size_t i = 0; rc == KT_OK && headers != NULL && headers[i] != NULL; i++) {
		rc = add_header(w, headers[i], err);
		typed = typed || strncasecmp(headers[i], "Content-Type:", 13) == 0;
	}
	if (rc == KT_OK && !typed)
		rc = add_header(w, "Content-Type: application/json", err);
	return rc;
}

/* Set one option; libcurl refuses only options that it was built without. */
#define SET(w, option, value) ((void)api.setopt((w)->easy, (option), (value)))

static void set_options(struct work *w, const struct kt_url *url)
{
	const struct kt_http_call *call = w->call;
	SET(w, CURLOPT_URL, call->url);
	if (call->unix_socket)
		SET(w, CURLOPT_UNIX_SOCKET_PATH, call->unix_socket);
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
	if (call->body_fd > 0) {
		SET(w, CURLOPT_UPLOAD, 1L);
		SET(w, CURLOPT_READFUNCTION, on_curl_read);
		SET(w, CURLOPT_READDATA, w);
		SET(w, CURLOPT_SEEKFUNCTION, on_seek);
		SET(w, CURLOPT_SEEKDATA, w);
		SET(w, CURLOPT_INFILESIZE_LARGE, (curl_off_t)w->body_size);
		SET(w, CURLOPT_UPLOAD_BUFFERSIZE, UPLOAD_PIECE_BYTES);
	} else if (call->body != NULL || strcmp(call->method, "POST") == 0) {
		SET(w, CURLOPT_POSTFIELDS, call->body != NULL ? call->body : "");
		SET(w, CURLOPT_POSTFIELDSIZE_LARGE,
			(curl_off_t)(call->body != NULL ? call->body_len : 0));
	} else if (strcmp(call->method, "HEAD") == 0) {
		SET(w, CURLOPT_NOBODY, 1L);
	}
	if (strcmp(call->method, "HEAD") != 0)
		SET(w, CURLOPT_CUSTOMREQUEST, call->method);
}

/* --- where a connection may lead -------------------------------------------------------------- */

/* With reach: before each connect, with the address itself. */
static curl_socket_t on_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
	struct work *w = arg;
	bool ok = w->named || kt_reach_address(w->reach, &a->addr) ||
		kt_proxy_is_at(w->proxy, &a->addr);
	if (purpose != CURLSOCKTYPE_IPCXN || !ok) {
		w->refused = true;
		return CURL_SOCKET_BAD;
	}
	return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

/* An operator who allows a host by its name has it reached directly, not through the proxy. */
static void guard_transfer(struct work *w)
{
	SET(w, CURLOPT_OPENSOCKETFUNCTION, on_socket);
	SET(w, CURLOPT_OPENSOCKETDATA, w);
	if (w->named || w->proxy == NULL)
		SET(w, CURLOPT_PROXY, "");
}

/* Turn a CURLcode into our error. */
static enum kt_code curl_failed(
	struct work *w, const struct kt_url *url, CURLcode status, struct kt_err *err)
{
	const char *why = w->text[0] != '\0' ? w->text : api.strerror(status);
	enum kt_code rc = KT_EIO;
	const char *hint = NULL;
	if (w->refused)
		return kt_fail(err, KT_EDENIED, 0,
			"%s leads to this machine or to a network that is not public", url->host);
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

/* Sleep until the connection, the body's descriptor or the caller's has something, or 100 ms. */
static CURLMcode wait_for_more(struct work *w)
{
	const struct kt_http_call *call = w->call;
	struct curl_waitfd fds[2];
	unsigned n = 0;
	if (call->on_poll != NULL && call->watch_fd > 0)
		fds[n++] = (struct curl_waitfd){ .fd = call->watch_fd, .events = CURL_WAIT_POLLIN };
	if (w->waiting)
		fds[n++] = (struct curl_waitfd){ .fd = call->body_fd, .events = CURL_WAIT_POLLIN };
	CURLMcode mc = api.multi_poll(w->multi, fds, n, POLL_MS, NULL);
	/* Whatever woke it: libcurl does not report the hang-up that a pipe's end is. */
	if (mc == CURLM_OK && w->waiting) {
		w->waiting = false;
		(void)api.easy_pause(w->easy, CURLPAUSE_CONT);
	}
	return mc;
}

/* Run to the end. KT_OK leaves the transfer's result in *out_rc. */
static enum kt_code run_transfer(struct work *w, CURLcode *out_rc, struct kt_err *err)
{
	const struct kt_http_call *call = w->call;
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
			mc = wait_for_more(w);
		if (mc != CURLM_OK)
			return kt_fail(err, KT_EIO, 0, "libcurl failed (%d)", (int)mc);
	}
}

/* Learn what body_fd is. */
static enum kt_code open_body(struct work *w, struct kt_err *err)
{
	struct stat st;
	int fd = w->call->body_fd;
	w->body_size = -1;
	if (w->call->sent != NULL)
		*w->call->sent = (struct kt_http_sent){ .bytes = 0 };
	if (fd <= 0)
		return KT_OK;
	if (fstat(fd, &st) != 0)
		return kt_fail(err, KT_EIO, errno, "cannot read what is to be sent");
	if (!S_ISREG(st.st_mode))
		return kt_fd_nonblock(fd, true, err);
	w->body_start = lseek(fd, 0, SEEK_CUR);
	if (w->body_start < 0)
		return kt_fail(err, KT_EIO, errno, "cannot read what is to be sent");
	w->body_size = KT_MAX((int64_t)(st.st_size - w->body_start), 0);
	return KT_OK;
}

static enum kt_code perform_transfer(
	struct work *w, const struct kt_url *url, struct kt_http_reply *out, struct kt_err *err)
{
	CURLcode result = CURLE_OK;
	long status = 0;
	enum kt_code rc = open_body(w, err);
	if (rc == KT_OK)
		rc = add_headers(w, err);
	if (rc != KT_OK)
		return rc;
	set_options(w, url);
	if (w->reach != NULL)
		guard_transfer(w);
	rc = run_transfer(w, &result, err);
	if (rc != KT_OK)
		return rc;
	if (w->stopped)
		return kt_fail(err, KT_ECANCEL, 0, "stopped");
	if (w->body_failed)
		return kt_fail(err, KT_EIO, 0, "cannot read what is to be sent");
	if (!kt_buf_ok(&w->reply.body))
		return kt_fail(
			err, KT_ELIMIT, 0, "%s:%d: the answer is too large", url->host, url->port);
	if (result != CURLE_OK)
		return curl_failed(w, url, result, err);
	(void)api.getinfo(w->easy, CURLINFO_RESPONSE_CODE, &status);
	*out = w->reply;
	out->status = (int)status;
	kt_buf_init(&w->reply.body, 0);
	return KT_OK;
}

static enum kt_code do_call(const struct kt_http_call *call, const struct kt_reach *reach,
	struct kt_http_reply *out, struct kt_err *err)
{
	struct kt_url url;
	enum kt_code rc = kt_url_parse(call->url, &url, err);
	if (rc != KT_OK)
		return rc;
	if (reach != NULL)
		rc = kt_reach_url(reach, &url, err);
	if (rc != KT_OK) {
		kt_url_release(&url);
		return rc;
	}
	(void)pthread_once(&api_once, load_api);
	if (api_code != KT_OK) {
		kt_url_release(&url);
		if (err != NULL)
			*err = api_err;
		return api_code;
	}
	size_t max = call->max_body_bytes > 0 ? call->max_body_bytes : MAX_BODY_BYTES;
	struct work w = { .call = call, .reach = reach, .reply = { .retry_after_s = -1 } };
	if (reach != NULL) {
		w.named = kt_reach_names(reach, url.host);
		w.proxy = kt_proxy_of(&url);
	}
	kt_buf_init(&w.reply.body, call->on_data != NULL ? KT_MIN(max, MAX_ERROR_BODY_BYTES) : max);
	w.easy = api.easy_init();
	w.multi = take_multi();
	if (w.easy == NULL || w.multi == NULL)
		rc = kt_fail(err, KT_EINTERNAL, 0, "libcurl does not start");
	else
		rc = perform_transfer(&w, &url, out, err);
	end_work(&w);
	kt_proxy_free(w.proxy);
	kt_url_release(&url);
	return rc;
}

enum kt_code kt_http_do(
	const struct kt_http_call *call, struct kt_http_reply *out, struct kt_err *err)
{
	return do_call(call, NULL, out, err);
}

enum kt_code kt_http_do_for_client(const struct kt_http_call *call, const struct kt_reach *reach,
	struct kt_http_reply *out, struct kt_err *err)
{
	return do_call(call, reach, out, err);
}

void kt_http_load(void)
{
	(void)pthread_once(&api_once, load_api);
}

void kt_http_reply_release(struct kt_http_reply *r)
{
	kt_buf_release(&r->body);
}
