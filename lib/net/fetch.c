/* SPDX-License-Identifier: MIT */
/*
 * Requests on the loop: libcurl's multi handle says which sockets it wants watched and when it
 * wants to be called, and libuv does both. libcurl must not be called from within its own
 * callbacks, so whatever our users do from theirs (begin, go on, cancel) waits for the end of the
 * tick.
 *
 *	BEGINS -> LOADS -> ASKS -> RUNS -> RUNS (next hop) -> gone
 */
#include "net/fetch.h"

#include "base/base.h"
#include "base/buf.h"
#include "base/str.h"
#include "net/curl_private.h"
#include "net/proxy_private.h"
#include "net/work.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_HEAD_BYTES 65536
#define MAX_REDIRECT_BODY_BYTES 65536 /* thrown away */
#define MAX_LOCATION_BYTES 2048
#define KEPT_CONNECTIONS 8L

enum fetch_state {
	FETCH_BEGINS, /* at the end of this tick */
	FETCH_LOADS, /* until libcurl is there */
	FETCH_ASKS, /* where the proxy is */
	FETCH_RUNS, /* libcurl has it */
};

/* A question for the addresses of a proxy. It outlives a request that was canceled. */
struct lookup {
	uv_getaddrinfo_t uv;
	struct kt_http_fetcher *fr; /* NULL: nobody waits for it any more */
};

struct kt_http_fetcher {
	struct kt_loop *loop;
	const struct kt_reach *reach;
	CURLM *multi; /* NULL until the first request */
	struct kt_timer *timer; /* libcurl's */
	struct kt_http_fetch *all; /* list */
	struct kt_work load;
	bool loading;
	struct lookup *lookup; /* the one that runs, or NULL */
	struct kt_http_fetch *asker; /* whose it is; NULL: was canceled */
	bool inside; /* libcurl runs */
	bool unwatched; /* it has given up a socket meanwhile */
};

struct kt_http_fetch {
	struct kt_http_fetcher *fr;
	struct kt_http_fetch *prev, *next;
	const struct kt_http_fetch_ops *ops; /* NULL: canceled, or over */
	void *arg;
	enum fetch_state state;
	struct kt_defer late; /* begin, go on reading, or be gone */
	struct kt_timer *quiet; /* when nothing comes */
	int64_t last_ms; /* when something came */
	int64_t until_ms; /* 0 = no limit */

	/* What is asked for. */
	struct kt_http_fetch_spec spec; /* its numbers; what it points to is below */
	char *method;
	char **headers, **own_headers;
	char *body;
	int64_t body_size, body_start, body_at; /* of body_fd */

	/* The hop. */
	char *target; /* its URL */
	struct kt_url at, first; /* path is NULL until set */
	int hops; /* redirects that were followed */
	struct kt_proxy proxy;
	struct addrinfo *proxy_at; /* what is connected to instead; or NULL */
	bool named; /* the operator allows the host by its name */
	bool refused; /* an address was */
	CURL *easy;
	struct curl_slist *list;
	char text[CURL_ERROR_SIZE];

	/* Its reply. */
	struct kt_buf head; /* header lines, each with a NUL */
	bool head_whole, redirect, begun, paused;
	int64_t bytes;
	enum kt_code rc; /* why it is to end; KT_OK: it is not */
	struct kt_err err;
};

/* Set one option; libcurl refuses only options that it was built without. */
#define SET(f, option, value) ((void)kt_curl.setopt((f)->easy, (option), (value)))

static void fetch_over(struct kt_http_fetch *f, enum kt_code rc, const struct kt_err *err);
static void begin_hop(struct kt_http_fetch *f);

/* --- memory ---------------------------------------------------------------------------------- */

static char **copy_lines(const char *const *lines)
{
	size_t n = 0;

	while (lines && lines[n])
		n++;
	char **out = kt_calloc(n + 1, sizeof(*out));
	for (size_t i = 0; i < n; i++)
		out[i] = kt_strdup(lines[i]);
	return out;
}

static void free_header_lines(char **lines)
{
	for (char **l = lines; *l; l++) {
		/* Credentials, maybe. */
		explicit_bzero(*l, strlen(*l));
		free(*l);
	}
	free(lines);
}

static void end_hop(struct kt_http_fetch *f)
{
	if (f->easy) {
		kt_assert(!f->fr->inside);
		(void)kt_curl.multi_remove(f->fr->multi, f->easy);
		kt_curl.easy_cleanup(f->easy);
	}
	f->easy = NULL;
	if (f->list)
		kt_curl.slist_free(f->list);
	f->list = NULL;
	if (f->proxy_at)
		uv_freeaddrinfo(f->proxy_at);
	f->proxy_at = NULL;
	kt_timer_stop(f->quiet);
}

static void free_fetch(struct kt_http_fetch *f)
{
	struct kt_http_fetcher *fr = f->fr;

	end_hop(f);
	*(f->prev ? &f->prev->next : &fr->all) = f->next;
	if (f->next)
		f->next->prev = f->prev;
	if (fr->asker == f)
		fr->asker = NULL;
	kt_loop_undefer(fr->loop, &f->late);
	kt_timer_free(f->quiet);
	free(f->method);
	free_header_lines(f->headers);
	free_header_lines(f->own_headers);
	if (f->body)
		explicit_bzero(f->body, f->spec.body_len);
	free(f->body);
	free(f->target);
	kt_url_release(&f->at);
	kt_url_release(&f->first);
	kt_buf_release(&f->head);
	free(f);
}

/* --- sockets and time ------------------------------------------------------------------------ */

struct watched {
	uv_poll_t poll; /* first: its close callback frees the whole */
	struct kt_http_fetcher *fr;
	curl_socket_t fd;
};

static void hop_over(struct kt_http_fetch *f, CURLcode result);

/* libcurl cannot go on with anything. What begins meanwhile does not run yet. */
static void all_failed(struct kt_http_fetcher *fr, CURLMcode mc)
{
	for (struct kt_http_fetch *f = fr->all; f;) {
		struct kt_err err = KT_ERR_INIT;

		if (f->state != FETCH_RUNS || !f->ops) {
			f = f->next;
			continue;
		}
		fetch_over(f, kt_fail(&err, KT_EIO, 0, "libcurl failed (%d)", (int)mc), &err);
		f = fr->all;
	}
}

/* Let libcurl go on, then see what has ended. */
static void act(struct kt_http_fetcher *fr, curl_socket_t fd, int events)
{
	int running = 0, left = 0;
	const CURLMsg *msg;

	kt_assert(!fr->inside);
	fr->inside = true;
	CURLMcode mc = kt_curl.multi_act(fr->multi, fd, events, &running);
	/* When an address was in vain, 7.88 asks for no call that would try the next one. */
	if (mc == CURLM_OK && fr->unwatched)
		mc = kt_curl.multi_act_all(fr->multi, &running);
	fr->unwatched = false;
	fr->inside = false;
	while ((msg = kt_curl.multi_info(fr->multi, &left)) != NULL) {
		CURLcode result = msg->data.result;
		char *of = NULL;

		if (msg->msg != CURLMSG_DONE)
			continue;
		kt_assert(kt_curl.getinfo(msg->easy_handle, CURLINFO_PRIVATE, &of) == CURLE_OK);
		hop_over((struct kt_http_fetch *)(void *)of, result);
	}
	if (mc != CURLM_OK)
		all_failed(fr, mc);
}

static void on_watched(uv_poll_t *h, int status, int events)
{
	const struct watched *w = kt_container_of(h, struct watched, poll);
	int what = 0;

	if (status < 0)
		what = CURL_CSELECT_ERR;
	if (events & UV_READABLE)
		what |= CURL_CSELECT_IN;
	if (events & UV_WRITABLE)
		what |= CURL_CSELECT_OUT;
	act(w->fr, w->fd, what);
}

static void on_watched_closed(uv_handle_t *h)
{
	free(kt_container_of((uv_poll_t *)h, struct watched, poll));
}

/* libcurl wants a socket watched, or no more. */
static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *of_socket)
{
	struct kt_http_fetcher *fr = arg;
	struct watched *w = of_socket;
	int events = 0;

	if (what == CURL_POLL_REMOVE) {
		fr->unwatched = true;
		if (w) {
			(void)kt_curl.multi_assign(fr->multi, fd, NULL);
			uv_close((uv_handle_t *)&w->poll, on_watched_closed);
		}
		return 0;
	}
	if (!w) {
		w = kt_calloc(1, sizeof(*w));
		w->fr = fr;
		w->fd = fd;
		if (uv_poll_init(kt_loop_uv(fr->loop), &w->poll, fd) != 0) {
			free(w);
			return -1;
		}
		(void)kt_curl.multi_assign(fr->multi, fd, w);
	}
	if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
		events |= UV_READABLE;
	if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
		events |= UV_WRITABLE;
	return uv_poll_start(&w->poll, events, on_watched) == 0 ? 0 : -1;
}

static void on_curl_due(void *arg)
{
	act(arg, CURL_SOCKET_TIMEOUT, 0);
}

static int on_curl_timer(CURLM *multi, long ms, void *arg)
{
	struct kt_http_fetcher *fr = arg;

	if (ms < 0)
		kt_timer_stop(fr->timer);
	else
		kt_timer_start(fr->timer, ms, 0);
	return 0;
}

static void fetch_alive(struct kt_http_fetch *f)
{
	f->last_ms = kt_loop_now_ms(f->fr->loop);
}

/* Look again when nothing may have come for too long. */
static void watch_quiet(struct kt_http_fetch *f)
{
	int64_t max_ms = f->begun ? f->spec.stall_ms : f->spec.first_ms;
	int64_t left_ms = f->last_ms + max_ms - kt_loop_now_ms(f->fr->loop);

	if (max_ms > 0 && !f->paused)
		kt_timer_start(f->quiet, KT_MAX(left_ms, 0), 0);
	else
		kt_timer_stop(f->quiet);
}

static void on_quiet(void *arg)
{
	struct kt_http_fetch *f = arg;
	int64_t max_ms = f->begun ? f->spec.stall_ms : f->spec.first_ms;
	struct kt_err err = KT_ERR_INIT;

	if (f->paused || !f->ops || max_ms <= 0)
		return;
	if (kt_loop_now_ms(f->fr->loop) - f->last_ms < max_ms) {
		watch_quiet(f);
		return;
	}
	fetch_over(f,
		kt_fail(&err, KT_ETIMEOUT, 0, "nothing came for %g seconds", (double)max_ms / 1000),
		&err);
}

/* --- what libcurl tells of a request --------------------------------------------------------- */

/* Before each connect, with the address itself. */
static curl_socket_t on_fetch_connect(
	void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct kt_http_fetch *f = arg;
	const struct sockaddr *sa = &address->addr;

	if (purpose != CURLSOCKTYPE_IPCXN ||
		!(f->named || kt_reach_address(f->fr->reach, sa) ||
			kt_proxy_is_at(f->proxy_at, sa))) {
		f->refused = true;
		return CURL_SOCKET_BAD;
	}
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static long fetch_status(const struct kt_http_fetch *f)
{
	long status = 0;

	(void)kt_curl.getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
	return status;
}

/* The head is whole. False: it is to end. */
static bool take_fetch_head(struct kt_http_fetch *f)
{
	long status = fetch_status(f);

	if (status < 200) { /* interim */
		kt_buf_clear(&f->head);
		return true;
	}
	f->head_whole = true;
	const char *location = kt_http_fetch_header(f, "Location");
	f->redirect = status / 100 == 3 && f->spec.max_redirects > 0 && location && *location;
	if (!f->redirect && f->ops->head)
		f->rc = f->ops->head(f->arg, (int)status, &f->err);
	return f->rc == KT_OK && f->ops;
}

static size_t on_fetch_head(char *data, size_t size, size_t n, void *arg)
{
	struct kt_http_fetch *f = arg;
	size_t len = size * n;
	size_t text = len;

	fetch_alive(f);
	if (!f->ops)
		return 0;
	if (!f->begun) {
		f->begun = true;
		watch_quiet(f);
	}
	if (f->head_whole) /* a trailer */
		return len;
	while (text > 0 && (data[text - 1] == '\r' || data[text - 1] == '\n'))
		text--;
	if (text == 0)
		return take_fetch_head(f) ? len : 0;
	kt_buf_add(&f->head, data, text);
	kt_buf_addc(&f->head, '\0');
	if (kt_buf_ok(&f->head))
		return len;
	f->rc = kt_fail(&f->err, KT_ELIMIT, 0, "%s:%d: the headers of the answer are too large",
		f->at.host, f->at.port);
	return 0;
}

static size_t on_fetch_body(char *data, size_t size, size_t n, void *arg)
{
	struct kt_http_fetch *f = arg;
	size_t len = size * n;
	int64_t max = f->redirect ? MAX_REDIRECT_BODY_BYTES : f->spec.max_bytes;

	fetch_alive(f);
	if (!f->ops)
		return 0;
	if (f->paused && !f->redirect)
		return CURL_WRITEFUNC_PAUSE;
	if (max > 0 && (int64_t)len > max - f->bytes) {
		f->rc = kt_fail(&f->err, KT_ELIMIT, 0, "%s:%d: the answer is too large", f->at.host,
			f->at.port);
		return 0;
	}
	f->bytes += (int64_t)len;
	if (!f->redirect && f->ops->data)
		f->rc = f->ops->data(f->arg, data, len, &f->err);
	return f->rc == KT_OK && f->ops ? len : 0;
}

/* Give libcurl more of body_fd. */
static size_t on_body_wanted(char *buf, size_t size, size_t n, void *arg)
{
	struct kt_http_fetch *f = arg;
	ssize_t got;

	do {
		got = pread(f->spec.body_fd, buf, size * n, (off_t)f->body_at);
	} while (got < 0 && errno == EINTR);
	fetch_alive(f);
	if (!f->ops)
		return CURL_READFUNC_ABORT;
	if (got < 0) {
		f->rc = kt_fail(&f->err, KT_EIO, errno, "cannot read what is to be sent");
		return CURL_READFUNC_ABORT;
	}
	f->body_at += got;
	return (size_t)got;
}

/* libcurl begins again: a kept connection turned out to be dead. */
static int on_body_again(void *arg, curl_off_t offset, int origin)
{
	struct kt_http_fetch *f = arg;

	if (origin != SEEK_SET)
		return CURL_SEEKFUNC_CANTSEEK;
	f->body_at = f->body_start + (int64_t)offset;
	return CURL_SEEKFUNC_OK;
}

/* --- one hop --------------------------------------------------------------------------------- */

/* Where a redirect leads: absolute, or below the origin of the URL that was asked. */
static enum kt_code resolve_location(
	const struct kt_url *from, const char *location, char **out, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(4096);

	if (location[0] == '/' && location[1] != '/')
		kt_url_add_origin(&b, from);
	else if (!kt_str_starts(location, "https://") && !kt_str_starts(location, "http://"))
		location = NULL;
	if (!location || strlen(location) >= MAX_LOCATION_BYTES)
		return kt_fail(err, KT_EPROTO, 0, "%s redirects to no usable address", from->host);
	kt_buf_adds(&b, location);
	*out = kt_buf_take(&b);
	return KT_OK;
}

/* Go where the reply says. */
static enum kt_code follow_redirect(struct kt_http_fetch *f, struct kt_err *err)
{
	const char *location = kt_http_fetch_header(f, "Location");
	char *next = NULL;
	enum kt_code rc = resolve_location(&f->at, location, &next, err);

	if (rc != KT_OK)
		return rc;
	if (f->hops == f->spec.max_redirects) {
		free(next);
		return kt_fail(err, KT_EPROTO, 0, "%s redirects too often", f->first.host);
	}
	f->hops++;
	free(f->target);
	f->target = next;
	return KT_OK;
}

/* libcurl has ended a hop, well or not. */
static void hop_over(struct kt_http_fetch *f, CURLcode result)
{
	struct kt_err err = KT_ERR_INIT;
	enum kt_code rc = KT_OK;

	if (!f->ops)
		return; /* at the end of the tick */
	if (f->rc != KT_OK) {
		err = f->err;
		rc = f->rc;
	} else if (f->refused) {
		rc = kt_fail(&err, KT_EDENIED, 0,
			"%s leads to this machine or to a network that is not public", f->at.host);
	} else if (result != CURLE_OK) {
		rc = kt_curl_error(&f->at, result, f->text, &err);
	} else if (!f->head_whole) {
		rc = kt_fail(&err, KT_EUNAVAIL, 0, "%s:%d: the answer was cut off", f->at.host,
			f->at.port);
	} else if (f->redirect) {
		rc = follow_redirect(f, &err);
		if (rc == KT_OK) {
			end_hop(f);
			begin_hop(f);
			return;
		}
	}
	fetch_over(f, rc, &err);
}

static enum kt_code add_fetch_lines(
	struct kt_http_fetch *f, char *const *lines, bool *typed, struct kt_err *err)
{
	enum kt_code rc = KT_OK;

	for (; *lines && rc == KT_OK; lines++) {
		*typed = *typed || strncasecmp(*lines, "Content-Type:", 13) == 0;
		rc = kt_curl_add_header(&f->list, *lines, err);
	}
	return rc;
}

static enum kt_code add_fetch_headers(struct kt_http_fetch *f, struct kt_err *err)
{
	bool typed = false;
	/* No waiting for "100 Continue". */
	enum kt_code rc = kt_curl_add_header(&f->list, "Expect:", err);

	if (rc == KT_OK)
		rc = add_fetch_lines(f, f->headers, &typed, err);
	/* Redirects are followed here, so that these go no further. */
	if (rc == KT_OK && kt_url_same_origin(&f->at, &f->first))
		rc = add_fetch_lines(f, f->own_headers, &typed, err);
	/* libcurl's own guess is that of a browser's form. */
	if (rc == KT_OK && !typed)
		rc = kt_curl_add_header(&f->list, "Content-Type:", err);
	return rc;
}

static void set_hop(struct kt_http_fetch *f)
{
	int64_t left_ms = f->until_ms - kt_loop_now_ms(f->fr->loop);

	f->text[0] = '\0';
	kt_curl_set_common(f->easy, &f->at, f->target, f->text);
	kt_curl_set_time(
		f->easy, f->spec.connect_ms, f->until_ms > 0 ? KT_MAX(left_ms, (int64_t)1) : 0);
	kt_curl_set_method(f->easy, f->method, f->body, f->spec.body_len, f->spec.body_fd > 0);
	SET(f, CURLOPT_PRIVATE, f);
	SET(f, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L); /* those of the way through a proxy */
	SET(f, CURLOPT_HTTPHEADER, f->list);
	SET(f, CURLOPT_HEADERFUNCTION, on_fetch_head);
	SET(f, CURLOPT_HEADERDATA, f);
	SET(f, CURLOPT_WRITEFUNCTION, on_fetch_body);
	SET(f, CURLOPT_WRITEDATA, f);
	SET(f, CURLOPT_OPENSOCKETFUNCTION, on_fetch_connect);
	SET(f, CURLOPT_OPENSOCKETDATA, f);
	/* An operator who allows a host by its name has it reached directly, not through the proxy. */
	if (f->named || !f->proxy_at)
		SET(f, CURLOPT_PROXY, "");
#if LIBCURL_VERSION_NUM >= 0x075700
	/* Giving up must not wait for the thread that resolves a name. */
	SET(f, CURLOPT_QUICK_EXIT, 1L);
#endif
	if (f->spec.body_fd > 0) {
		f->body_at = f->body_start;
		SET(f, CURLOPT_READFUNCTION, on_body_wanted);
		SET(f, CURLOPT_READDATA, f);
		SET(f, CURLOPT_SEEKFUNCTION, on_body_again);
		SET(f, CURLOPT_SEEKDATA, f);
		SET(f, CURLOPT_INFILESIZE_LARGE, (curl_off_t)f->body_size);
	}
}

static enum kt_code make_multi(struct kt_http_fetcher *fr, struct kt_err *err)
{
	if (fr->multi)
		return KT_OK;
	fr->multi = kt_curl.multi_init();
	if (!fr->multi)
		return kt_fail(err, KT_EINTERNAL, 0, "libcurl does not start");
	(void)kt_curl.multi_setopt(fr->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
	(void)kt_curl.multi_setopt(fr->multi, CURLMOPT_SOCKETDATA, fr);
	(void)kt_curl.multi_setopt(fr->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
	(void)kt_curl.multi_setopt(fr->multi, CURLMOPT_TIMERDATA, fr);
	(void)kt_curl.multi_setopt(fr->multi, CURLMOPT_MAXCONNECTS, KEPT_CONNECTIONS);
	return KT_OK;
}

/* All that is needed is known: libcurl has it from now on. */
static enum kt_code run_hop(struct kt_http_fetch *f, struct kt_err *err)
{
	enum kt_code rc = make_multi(f->fr, err);

	if (rc == KT_OK)
		rc = add_fetch_headers(f, err);
	if (rc != KT_OK)
		return rc;
	f->easy = kt_curl.easy_init();
	if (!f->easy)
		return kt_fail(err, KT_EINTERNAL, 0, "libcurl does not start");
	set_hop(f);
	f->state = FETCH_RUNS;
	fetch_alive(f);
	watch_quiet(f);
	if (kt_curl.multi_add(f->fr->multi, f->easy) != CURLM_OK)
		return kt_fail(err, KT_EINTERNAL, 0, "libcurl does not take the request");
	return KT_OK;
}

/* --- what a hop waits for -------------------------------------------------------------------- */

static void on_curl_loaded(struct kt_work *w)
{
	struct kt_http_fetcher *fr = kt_container_of(w, struct kt_http_fetcher, load);

	fr->loading = false;
	for (struct kt_http_fetch *f = fr->all; f; f = f->next)
		if (f->state == FETCH_LOADS)
			kt_loop_defer(fr->loop, &f->late);
}

static void load_library(struct kt_work *w)
{
	/* A failure shows when it is needed. */
	(void)!kt_curl_load(NULL);
}

static void wait_for_library(struct kt_http_fetch *f)
{
	struct kt_http_fetcher *fr = f->fr;

	f->state = FETCH_LOADS;
	if (fr->loading)
		return;
	fr->loading = true;
	fr->load = (struct kt_work){ .run = load_library, .done = on_curl_loaded };
	kt_work_add(fr->loop, KT_WORK_SHORT, "", &fr->load);
}

static void ask_next(struct kt_http_fetcher *fr);

static void on_proxy_known(uv_getaddrinfo_t *uv, int status, struct addrinfo *found)
{
	struct lookup *l = kt_container_of(uv, struct lookup, uv);
	struct kt_http_fetcher *fr = l->fr;
	struct kt_http_fetch *f = fr ? KT_STEAL(fr->asker) : NULL;
	struct kt_err err = KT_ERR_INIT;
	enum kt_code rc;

	free(l);
	if (fr)
		fr->lookup = NULL;
	if (!f || !f->ops) {
		if (status == 0)
			uv_freeaddrinfo(found);
	} else {
		/* A name that means nothing is no proxy. */
		f->proxy_at = status == 0 ? found : NULL;
		rc = run_hop(f, &err);
		if (rc != KT_OK)
			fetch_over(f, rc, &err);
	}
	if (fr)
		ask_next(fr);
}

/* One question at a time: they take threads that others need. */
static void ask_next(struct kt_http_fetcher *fr)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct kt_http_fetch *f = fr->all;
	struct kt_err err = KT_ERR_INIT;

	while (f && (f->state != FETCH_ASKS || !f->ops))
		f = f->next;
	if (!f || fr->lookup)
		return;
	struct lookup *l = kt_calloc(1, sizeof(*l));
	l->fr = fr;
	if (uv_getaddrinfo(kt_loop_uv(fr->loop), &l->uv, on_proxy_known, f->proxy.host,
		    f->proxy.port, &hints) != 0) {
		free(l);
		fetch_over(f, kt_fail(&err, KT_EUNAVAIL, 0, "the proxy cannot be looked up"), &err);
		return;
	}
	fr->lookup = l;
	fr->asker = f;
}

/* Judge where the next hop leads. */
static enum kt_code judge_hop(struct kt_http_fetch *f, struct kt_err *err)
{
	struct kt_url to = { 0 };
	bool is_first = !f->first.path;
	enum kt_code rc = kt_url_parse(f->target, &to, err);

	if (rc != KT_OK)
		return rc;
	if (f->ops->may)
		rc = f->ops->may(f->arg, &to, is_first ? NULL : &f->at, err);
	if (rc == KT_OK && f->ops)
		rc = kt_reach_url(f->fr->reach, &to, err);
	kt_url_release(&f->at);
	f->at = to;
	if (rc == KT_OK && is_first)
		rc = kt_url_parse(f->target, &f->first, err);
	return rc;
}

static void begin_hop(struct kt_http_fetch *f)
{
	struct kt_err err = KT_ERR_INIT;
	enum kt_code rc = f->rc;

	f->head_whole = f->redirect = f->begun = f->refused = false;
	f->bytes = 0;
	kt_buf_clear(&f->head);
	if (rc != KT_OK)
		err = f->err;
	else
		rc = judge_hop(f, &err);
	if (!f->ops)
		return;
	f->named = rc == KT_OK && kt_reach_names(f->fr->reach, f->at.host);
	if (rc == KT_OK && !f->named && !f->at.loopback && kt_proxy_find(&f->at, &f->proxy)) {
		f->state = FETCH_ASKS;
		ask_next(f->fr);
		return;
	}
	if (rc == KT_OK)
		rc = run_hop(f, &err);
	if (rc != KT_OK)
		fetch_over(f, rc, &err);
}

/* --- life of a request ----------------------------------------------------------------------- */

static void fetch_over(struct kt_http_fetch *f, enum kt_code rc, const struct kt_err *err)
{
	const struct kt_http_fetch_ops *ops = f->ops;
	void *arg = f->arg;

	free_fetch(f);
	ops->ended(arg, rc, err);
}

/* End of the tick: what could not be done from within a callback. */
static void on_fetch_late(void *arg)
{
	struct kt_http_fetch *f = arg;
	struct kt_err err = KT_ERR_INIT;
	enum kt_code rc;

	if (!f->ops) {
		free_fetch(f);
	} else if (f->state == FETCH_BEGINS && !kt_curl_loaded()) {
		wait_for_library(f);
	} else if (f->state == FETCH_BEGINS || f->state == FETCH_LOADS) {
		rc = kt_curl_load(&err);
		if (rc == KT_OK)
			begin_hop(f);
		else
			fetch_over(f, rc, &err);
	} else if (f->state == FETCH_RUNS && !f->paused) {
		fetch_alive(f);
		watch_quiet(f);
		/* May call back at once, as from within libcurl. */
		f->fr->inside = true;
		(void)kt_curl.easy_pause(f->easy, CURLPAUSE_CONT);
		f->fr->inside = false;
		act(f->fr, CURL_SOCKET_TIMEOUT, 0);
	}
}

/* What cannot be asked is told as everything else, later. */
static void open_body_file(struct kt_http_fetch *f)
{
	struct stat st;

	if (f->spec.body_fd <= 0)
		return;
	if (fstat(f->spec.body_fd, &st) == 0 && !S_ISREG(st.st_mode)) {
		f->rc = kt_fail(&f->err, KT_EINVAL, 0, "what is to be sent is no file");
		return;
	}
	f->body_start = lseek(f->spec.body_fd, 0, SEEK_CUR);
	if (f->body_start < 0)
		f->rc = kt_fail(&f->err, KT_EIO, errno, "cannot read what is to be sent");
	else
		f->body_size = KT_MAX((int64_t)st.st_size - f->body_start, (int64_t)0);
}

struct kt_http_fetch *kt_http_fetch_start(struct kt_http_fetcher *fr,
	const struct kt_http_fetch_spec *spec, const struct kt_http_fetch_ops *ops, void *arg)
{
	struct kt_http_fetch *f = kt_calloc(1, sizeof(*f));

	f->fr = fr;
	f->ops = ops;
	f->arg = arg;
	f->spec = *spec;
	f->spec.headers = f->spec.own_headers = NULL;
	f->spec.method = f->spec.url = f->spec.body = NULL;
	f->method = kt_strdup(spec->method);
	f->headers = copy_lines(spec->headers);
	f->own_headers = copy_lines(spec->own_headers);
	if (spec->body) {
		f->body = kt_malloc(spec->body_len + 1);
		memcpy(f->body, spec->body, spec->body_len);
	}
	f->target = kt_strdup(spec->url);
	/* A body is sent once. */
	if (!kt_str_eq(spec->method, "GET") && !kt_str_eq(spec->method, "HEAD"))
		f->spec.max_redirects = 0;
	if (spec->total_ms > 0)
		f->until_ms = kt_loop_now_ms(fr->loop) + spec->total_ms;
	kt_buf_init(&f->head, MAX_HEAD_BYTES);
	open_body_file(f);
	f->quiet = kt_timer_new(fr->loop, on_quiet, f);
	f->late = (struct kt_defer){ .fn = on_fetch_late, .arg = f };
	f->next = fr->all;
	if (f->next)
		f->next->prev = f;
	fr->all = f;
	kt_loop_defer(fr->loop, &f->late);
	return f;
}

void kt_http_fetch_pause(struct kt_http_fetch *f, bool paused)
{
	if (f->paused == paused)
		return;
	f->paused = paused;
	if (!paused && f->state == FETCH_RUNS)
		kt_loop_defer(f->fr->loop, &f->late);
}

void kt_http_fetch_cancel(struct kt_http_fetch *f)
{
	f->ops = NULL;
	kt_loop_defer(f->fr->loop, &f->late);
}

const char *kt_http_fetch_header(const struct kt_http_fetch *f, const char *name)
{
	size_t len = strlen(name);

	for (size_t at = 0; at < f->head.len; at += strlen(f->head.ptr + at) + 1) {
		const char *line = f->head.ptr + at;

		if (strncasecmp(line, name, len) != 0 || line[len] != ':')
			continue;
		line += len + 1;
		return line + strspn(line, " \t");
	}
	return NULL;
}

const struct kt_url *kt_http_fetch_url(const struct kt_http_fetch *f)
{
	return &f->at;
}

struct kt_http_fetcher *kt_http_fetcher_new(struct kt_loop *loop, const struct kt_reach *reach)
{
	struct kt_http_fetcher *fr = kt_calloc(1, sizeof(*fr));

	fr->loop = loop;
	fr->reach = reach;
	fr->timer = kt_timer_new(loop, on_curl_due, fr);
	return fr;
}

void kt_http_fetcher_free(struct kt_http_fetcher *fr)
{
	if (!fr)
		return;
	kt_assert(!fr->inside);
	while (fr->all)
		free_fetch(fr->all);
	if (fr->loading)
		(void)kt_work_end(fr->loop, &fr->load);
	if (fr->lookup)
		fr->lookup->fr = NULL;
	if (fr->multi)
		(void)kt_curl.multi_cleanup(fr->multi);
	kt_timer_free(fr->timer);
	free(fr);
}
