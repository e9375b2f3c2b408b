/* SPDX-License-Identifier: MIT */
/* One request at a time, for who has nothing else to do until it has ended. */
#include "net/curl.h"

#include "base/base.h"
#include "base/fs.h"
#include "base/str.h"
#include "net/curl_private.h"
#include "net/plain_private.h"
#include "net/url.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define POLL_MS 100
#define UPLOAD_PIECE_BYTES (256L * 1024)
#define MAX_BODY_BYTES ((size_t)64 * 1024 * 1024)
#define MAX_ERROR_BODY_BYTES ((size_t)1024 * 1024) /* of a stream that did not begin */

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
	return m != NULL ? m : kt_curl.multi_init();
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
		(void)kt_curl.multi_cleanup(m);
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
	char text[CURL_ERROR_SIZE];
};

static void end_work(struct work *w)
{
	if (w->multi != NULL && w->easy != NULL)
		(void)kt_curl.multi_remove(w->multi, w->easy);
	if (w->easy != NULL)
		kt_curl.easy_cleanup(w->easy);
	if (w->multi != NULL)
		give_multi(w->multi);
	kt_curl.slist_free(w->headers);
	kt_http_reply_release(&w->reply);
}

static size_t on_head(char *data, size_t size, size_t n, void *arg)
{
	struct work *w = arg;
	kt_http_reply_line(&w->reply, data, size * n);
	return size * n;
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
	struct work *w = arg;
	size_t len = size * n;
	long status = 0;
	(void)kt_curl.getinfo(w->easy, CURLINFO_RESPONSE_CODE, &status);
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

static enum kt_code add_headers(struct work *w, struct kt_err *err)
{
	const char *const *headers = w->call->headers;
	/* No waiting for "100 Continue"; a body is JSON unless the caller says otherwise. */
	enum kt_code rc = kt_curl_add_header(&w->headers, "Expect:", err);
	bool typed = w->call->body == NULL && w->call->body_fd <= 0;
	for (size_t i = 0; rc == KT_OK && headers != NULL && headers[i] != NULL; i++) {
		rc = kt_curl_add_header(&w->headers, headers[i], err);
		typed = typed || strncasecmp(headers[i], "Content-Type:", 13) == 0;
	}
	if (rc == KT_OK && !typed)
		rc = kt_curl_add_header(&w->headers, "Content-Type: application/json", err);
	return rc;
}

/* Set one option; libcurl refuses only options that it was built without. */
#define SET(w, option, value) ((void)kt_curl.setopt((w)->easy, (option), (value)))

static void set_options(struct work *w, const struct kt_url *url)
{
	const struct kt_http_call *call = w->call;
	kt_curl_set_common(w->easy, url, call->url, w->text);
	kt_curl_set_time(w->easy, call->connect_ms, call->total_ms);
	kt_curl_set_method(w->easy, call->method, call->body, call->body_len, call->body_fd > 0);
	if (call->unix_socket)
		SET(w, CURLOPT_UNIX_SOCKET_PATH, call->unix_socket);
	SET(w, CURLOPT_HEADERFUNCTION, on_head);
	SET(w, CURLOPT_HEADERDATA, w);
	SET(w, CURLOPT_WRITEFUNCTION, on_body);
	SET(w, CURLOPT_WRITEDATA, w);
	SET(w, CURLOPT_HTTPHEADER, w->headers);
	if (call->body_fd > 0) {
		SET(w, CURLOPT_READFUNCTION, on_curl_read);
		SET(w, CURLOPT_READDATA, w);
		SET(w, CURLOPT_SEEKFUNCTION, on_seek);
		SET(w, CURLOPT_SEEKDATA, w);
		SET(w, CURLOPT_INFILESIZE_LARGE, (curl_off_t)w->body_size);
		SET(w, CURLOPT_UPLOAD_BUFFERSIZE, UPLOAD_PIECE_BYTES);
	}
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
	CURLMcode mc = kt_curl.multi_poll(w->multi, fds, n, POLL_MS, NULL);
	/* Whatever woke it: libcurl does not report the hang-up that a pipe's end is. */
	if (mc == CURLM_OK && w->waiting) {
		w->waiting = false;
		(void)kt_curl.easy_pause(w->easy, CURLPAUSE_CONT);
	}
	return mc;
}

/* Run to the end. KT_OK leaves the transfer's result in *out_rc. */
static enum kt_code run_transfer(struct work *w, CURLcode *out_rc, struct kt_err *err)
{
	const struct kt_http_call *call = w->call;
	if (kt_curl.multi_add(w->multi, w->easy) != CURLM_OK)
		return kt_fail(err, KT_EINTERNAL, 0, "libcurl does not take the request");
	for (;;) {
		int running = 0;
		int left = 0;
		if (call->on_poll != NULL && !call->on_poll(call->arg))
			return kt_fail(err, KT_ECANCEL, 0, "interrupted");
		CURLMcode mc = kt_curl.multi_perform(w->multi, &running);
		const CURLMsg *msg = mc == CURLM_OK ? kt_curl.multi_info(w->multi, &left) : NULL;
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
		return kt_curl_error(url, result, w->text, err);
	(void)kt_curl.getinfo(w->easy, CURLINFO_RESPONSE_CODE, &status);
	*out = w->reply;
	out->status = (int)status;
	kt_buf_init(&w->reply.body, 0);
	return KT_OK;
}

enum kt_code kt_http_do(
	const struct kt_http_call *call, struct kt_http_reply *out, struct kt_err *err)
{
	struct kt_url url;
	enum kt_code rc = kt_url_parse(call->url, &url, err);
	if (rc != KT_OK)
		return rc;
	if (kt_plain_can(call, &url)) {
		rc = kt_plain_do(call, &url, out, err);
		kt_url_release(&url);
		return rc;
	}
	rc = kt_curl_load(err);
	if (rc != KT_OK) {
		kt_url_release(&url);
		return rc;
	}
	size_t max = call->max_body_bytes > 0 ? call->max_body_bytes : MAX_BODY_BYTES;
	struct work w = { .call = call, .reply = { .retry_after_s = -1 } };
	kt_buf_init(&w.reply.body, call->on_data != NULL ? KT_MIN(max, MAX_ERROR_BODY_BYTES) : max);
	w.easy = kt_curl.easy_init();
	w.multi = take_multi();
	if (w.easy == NULL || w.multi == NULL)
		rc = kt_fail(err, KT_EINTERNAL, 0, "libcurl does not start");
	else
		rc = perform_transfer(&w, &url, out, err);
	end_work(&w);
	kt_url_release(&url);
	return rc;
}

void kt_http_load(const char *url)
{
	const struct kt_http_call call = { .url = url };
	struct kt_url u;
	if (kt_url_parse(url, &u, NULL) != KT_OK)
		return;
	if (!kt_plain_can(&call, &u))
		(void)!kt_curl_load(NULL);
	kt_url_release(&u);
}
