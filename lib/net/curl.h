/* SPDX-License-Identifier: MIT */
/*
 * Outgoing HTTP for commands, over libcurl; to this machine in plain HTTP without it. The library
 * is loaded on first use through a table of function pointers: linking it would cost every start of
 * the program 4 to 5 ms and 5 MiB, also those that need no network. Blocking; one thread at a time.
 * What a server asks for is in fetch.h.
 *
 * Never follows redirects, reads no .netrc and no curlrc; http and https only; proxies from the
 * environment, but never for loopback hosts. Requests carry few headers: no Accept-Encoding, no
 * Expect.
 */
#ifndef KT_NET_CURL_H
#define KT_NET_CURL_H

#include "base/buf.h"
#include "base/err.h"

/* How far the body of a request is; written while the call runs. */
struct kt_http_sent {
	int64_t bytes; /* handed to the connection */
	bool all; /* the body was taken to its end */
};

struct kt_http_call {
	const char *method; /* "GET", "POST", ... */
	const char *url;
	const char *unix_socket; /* path of the socket that is the way there, or NULL */
	const char *const *headers; /* "Name: value", NULL-terminated, or NULL */
	const void *body;
	size_t body_len;
	/*
	 * > 0: the body is read from here to its end instead: of a regular file from its present
	 * position with its length told, of a pipe in chunks (it becomes non-blocking).
	 */
	int body_fd;
	struct kt_http_sent *sent; /* or NULL */
	int64_t connect_ms; /* 0 = 5 s */
	int64_t total_ms; /* 0 = none */
	size_t max_body_bytes; /* of the reply when it is kept; 0 = 64 MiB */
	/*
	 * Streaming: called with each piece of a 2xx reply's body instead of keeping it. Return
	 * false to stop: the call then ends with KT_ECANCEL. NULL keeps the body.
	 */
	bool (*on_data)(void *arg, const char *data, size_t len);
	/*
	 * Called at least every 100 ms and whenever watch_fd is readable. Return false to give up
	 * (KT_ECANCEL). NULL = none.
	 */
	bool (*on_poll)(void *arg);
	void *arg;
	int watch_fd; /* also wake on_poll for this descriptor; 0 or less = none (stdin: dup it) */
};

struct kt_http_reply {
	int status;
	char etag[128]; /* or "" */
	char content_type[128];
	char location[2048]; /* of a redirect, as it came (maybe relative), or "" */
	char request_id[64]; /* Request-Id of the server, or "" */
	int64_t retry_after_s; /* -1 = none */
	struct kt_buf body; /* of errors too, even when streaming */
};

/*
 * Do the call. Connections are kept and used again by later calls of this process to the same
 * server; a call inside another's functions has one of its own. Any HTTP status is KT_OK; look at
 * out->status.
 * Returns KT_OK, KT_EUNAVAIL (refused, no such host, connection lost; with a hint), KT_ETIMEOUT,
 * KT_ELIMIT (reply too large), KT_ECANCEL, KT_EINVAL (URL), KT_EIO (libcurl is not installed).
 */
KT_MUST_CHECK enum kt_code kt_http_do(
	const struct kt_http_call *call, struct kt_http_reply *out, struct kt_err *err);
/*
 * Load the library now if calls to url need it, for what can be done meanwhile by another thread: of
 * two libraries one waits for the other. A failure shows in the first call.
 */
void kt_http_load(const char *url);
/* Free what a reply holds. */
void kt_http_reply_release(struct kt_http_reply *r);

#endif
