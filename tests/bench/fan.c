/* SPDX-License-Identifier: MIT */
/*
 * A fleet of readers of one event stream. It opens READERS connections, prints "ready" when each
 * has its 200, and follows the markers "@@<wall clock, ns>:<index>@@" in the bytes: how late each
 * was at each reader, and whether any was lost or came twice. It ends when every reader has marker
 * EVENTS - 1, when nothing came for QUIET_MS after the first, when stdin ends, or after SECONDS.
 *
 *   fan PORT PATH READERS SECONDS EVENTS      (EVENTS 0: stay connected, count nothing)
 *
 * The result is one line of JSON. Single-threaded; one epoll set.
 */
#include "bench.h"

#include "base/str.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define CARRY_BYTES 64 /* a marker is at most 2 + 19 + 1 + 7 + 2 bytes */
#define READ_BYTES (256 * 1024)
#define MAX_READERS 10000
#define MAX_EVENTS 1000000
#define MAX_SAMPLES (1024 * 1024)
#define QUIET_MS 2000
#define BATCH 256

/* Where in the framing of RFC 9112, 7.1 the next byte stands. */
enum frame {
	FRAME_NONE, /* the body is not chunked */
	FRAME_SIZE, /* in the line with the size of a chunk */
	FRAME_DATA,
	FRAME_END, /* in the CRLF after the data */
};

struct reader {
	int fd;
	bool head_done;
	enum frame frame;
	int64_t left; /* of the chunk; in FRAME_SIZE, the size so far */
	bool finished; /* has the last marker; what follows is not looked at */
	int64_t next; /* index it waits for */
	size_t carried;
	char carry[CARRY_BYTES];
};

struct fan {
	int64_t readers, events;
	double seconds;
	struct reader *all;
	int epfd;
	int64_t ready, refused, closed, finished;
	int64_t deliveries, lost, doubled, bytes;
	int64_t first_sent_ns, last_seen_ns;
	double *samples_us; /* the first MAX_SAMPLES latencies */
	size_t n_samples;
	int64_t *sent_ns; /* by index; 0 = nobody has seen it */
	int64_t *worst_ns; /* by index: when its last reader had it */
	int64_t *seen; /* by index: readers that had it */
};

static bool connect_all(struct fan *f, int64_t port, const char *path)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	char request[2048];
	int len = snprintf(request, sizeof(request),
		"GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAccept: text/event-stream\r\n\r\n", path,
		(int)port);

	for (int64_t i = 0; i < f->readers; i++) {
		struct reader *r = &f->all[i];
		struct epoll_event ev = { .events = EPOLLIN, .data.ptr = r };

		r->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (r->fd < 0 || connect(r->fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
			write(r->fd, request, (size_t)len) != len ||
			fcntl(r->fd, F_SETFL, O_NONBLOCK) < 0 ||
			epoll_ctl(f->epfd, EPOLL_CTL_ADD, r->fd, &ev) < 0) {
			fprintf(stderr, "fan: reader %lld: %s\n", (long long)i, strerror(errno));
			return false;
		}
	}
	return true;
}

static void note_marker(
	struct fan *f, struct reader *r, int64_t sent_ns, int64_t index, int64_t now_ns)
{
	if (index < r->next || index >= f->events) {
		f->doubled++;
		return;
	}
	f->lost += index - r->next;
	r->next = index + 1;
	f->deliveries++;
	if (f->n_samples < MAX_SAMPLES)
		f->samples_us[f->n_samples++] = (double)(now_ns - sent_ns) / 1e3;
	f->sent_ns[index] = sent_ns;
	f->worst_ns[index] = now_ns;
	f->seen[index]++;
	if (f->first_sent_ns == 0 || sent_ns < f->first_sent_ns)
		f->first_sent_ns = sent_ns;
	f->last_seen_ns = now_ns;
	if (index == f->events - 1) {
		r->finished = true;
		f->finished++;
	}
}

/* Digits at p up to stop; NULL when something else or the end comes first. */
static const char *digits(const char *p, const char *end, char stop, int64_t *out)
{
	int64_t n = 0;
	const char *from = p;

	while (p < end && *p >= '0' && *p <= '9' && p - from < 19)
		n = n * 10 + (*p++ - '0');
	if (p == end || *p != stop || p == from)
		return NULL;
	*out = n;
	return p + 1;
}

/* Look at all whole markers; returns where the bytes begin that must be seen again. */
static const char *scan(
	struct fan *f, struct reader *r, const char *p, const char *end, int64_t now_ns)
{
	while (!r->finished && (p = memchr(p, '@', (size_t)(end - p))) != NULL) {
		int64_t sent_ns = 0, index = 0;
		const char *q;

		if (end - p < CARRY_BYTES && memmem(p + 1, (size_t)(end - p - 1), "\n", 1) == NULL)
			return p; /* may be cut in the middle */
		q = p[1] == '@' ? digits(p + 2, end, ':', &sent_ns) : NULL;
		q = q != NULL ? digits(q, end, '@', &index) : NULL;
		if (q != NULL && *q == '@') {
			note_marker(f, r, sent_ns, index, now_ns);
			p = q + 1;
		} else {
			p++;
		}
	}
	return end;
}

/* Add a byte of the line with the chunk's size. */
static void size_byte(struct reader *r, char c)
{
	if (c >= '0' && c <= '9')
		r->left = r->left * 16 + (c - '0');
	else if (c >= 'a' && c <= 'f')
		r->left = r->left * 16 + (c - 'a' + 10);
	else if (c >= 'A' && c <= 'F')
		r->left = r->left * 16 + (c - 'A' + 10);
	else if (c == '\n')
		r->frame = FRAME_DATA;
}

/* Take the framing out of p to end, in place; returns the new end. Markers may lie across chunks.
 */
static char *unframe(struct reader *r, char *p, const char *end)
{
	char *to = p;

	if (r->frame == FRAME_NONE)
		return p + (end - p);
	while (p < end) {
		size_t n;

		switch (r->frame) {
		case FRAME_SIZE:
			size_byte(r, *p++);
			break;
		case FRAME_END:
			if (*p++ == '\n') {
				r->frame = FRAME_SIZE;
				r->left = 0;
			}
			break;
		case FRAME_DATA:
		case FRAME_NONE:
			n = KT_MIN((size_t)r->left, (size_t)(end - p));
			memmove(to, p, n);
			to += n;
			p += n;
			r->left -= (int64_t)n;
			if (r->left == 0)
				r->frame = FRAME_END;
			break;
		}
	}
	return to;
}

/*
 * Look at the head of the answer, which servers send in one piece, so that it is never longer than
 * one read. Returns where the body begins; NULL when it is no answer to follow.
 */
static char *read_head(struct fan *f, struct reader *r, char *p, const char *end)
{
	char *body = memmem(p, (size_t)(end - p), "\r\n\r\n", 4);

	if (body == NULL || memcmp(p + 9, "200", 3) != 0)
		return NULL;
	*body = '\0';
	if (strcasestr(p, "\r\ntransfer-encoding: chunked") != NULL)
		r->frame = FRAME_SIZE;
	r->head_done = true;
	if (++f->ready == f->readers) {
		printf("ready\n");
		fflush(stdout);
	}
	return body + 4;
}

static void drop(struct fan *f, struct reader *r)
{
	f->closed++;
	epoll_ctl(f->epfd, EPOLL_CTL_DEL, r->fd, NULL);
	close(r->fd);
	r->fd = -1;
}

static void on_readable(struct fan *f, struct reader *r)
{
	static char buf[CARRY_BYTES + READ_BYTES];
	char *p = buf + r->carried, *end;
	const char *rest;
	int64_t now_ns;
	ssize_t n;

	memcpy(buf, r->carry, r->carried);
	n = read(r->fd, p, READ_BYTES);
	now_ns = bench_wall_ns();
	if (n <= 0) {
		if (n == 0 || errno != EAGAIN)
			drop(f, r);
		return;
	}
	f->bytes += n;
	end = p + n;
	if (!r->head_done) {
		p = read_head(f, r, p, end);
		if (p == NULL) {
			f->refused++;
			drop(f, r);
			return;
		}
	}
	end = unframe(r, p, end);
	/* Before the body's first byte there is nothing carried. */
	p = r->carried > 0 ? buf : p;
	r->carried = 0;
	if (f->events == 0)
		return;
	rest = scan(f, r, p, end, now_ns);
	r->carried = (size_t)(end - rest);
	memcpy(r->carry, rest, r->carried);
}

static void loop(struct fan *f)
{
	int64_t start_ns = bench_wall_ns(), now_ns = start_ns;
	struct epoll_event ev[BATCH], in = { .events = EPOLLIN, .data.ptr = NULL };

	/* stdin: its end is the request to stop. A file or /dev/null cannot be polled: no matter.
	 */
	(void)epoll_ctl(f->epfd, EPOLL_CTL_ADD, STDIN_FILENO, &in);
	while ((double)(now_ns - start_ns) < f->seconds * 1e9) {
		int n = epoll_wait(f->epfd, ev, BATCH, 50);

		for (int i = 0; i < n; i++) {
			if (ev[i].data.ptr == NULL)
				return;
			on_readable(f, ev[i].data.ptr);
		}
		now_ns = bench_wall_ns();
		if (f->events > 0 && f->finished == f->readers)
			return;
		if (f->closed == f->readers)
			return;
		if (f->last_seen_ns != 0 && now_ns - f->last_seen_ns > QUIET_MS * (int64_t)1000000)
			return;
	}
}

static double at(const double *sorted, size_t n, double part)
{
	return n == 0 ? 0 : sorted[KT_MIN((size_t)((double)n * part), n - 1)];
}

static void report(struct fan *f)
{
	KT_AUTOFREE double *worst = kt_calloc((size_t)f->events + 1, sizeof(*worst));
	size_t n_worst = 0;
	struct rusage ru;

	for (int64_t i = 0; i < f->events; i++)
		if (f->seen[i] == f->readers)
			worst[n_worst++] = (double)(f->worst_ns[i] - f->sent_ns[i]) / 1e3;
	for (int64_t i = 0; i < f->readers; i++)
		f->lost += f->all[i].head_done ? f->events - f->all[i].next : 0;
	qsort(worst, n_worst, sizeof(*worst), bench_cmp);
	qsort(f->samples_us, f->n_samples, sizeof(*f->samples_us), bench_cmp);
	getrusage(RUSAGE_SELF, &ru);
	printf("{\"readers\":%lld,\"ready\":%lld,\"refused\":%lld,\"closed\":%lld,\"finished\":%"
	       "lld,"
	       "\"deliveries\":%lld,\"lost\":%lld,\"doubled\":%lld,\"bytes\":%lld,\"span_ms\":%.3f,"
	       "\"p50_us\":%.1f,\"p99_us\":%.1f,\"worst_p50_us\":%.1f,\"worst_p99_us\":%.1f,"
	       "\"cpu_ms\":%.1f}\n",
		(long long)f->readers, (long long)f->ready, (long long)f->refused,
		(long long)f->closed, (long long)f->finished, (long long)f->deliveries,
		(long long)f->lost, (long long)f->doubled, (long long)f->bytes,
		(double)(f->last_seen_ns - f->first_sent_ns) / 1e6,
		at(f->samples_us, f->n_samples, 0.5), at(f->samples_us, f->n_samples, 0.99),
		at(worst, n_worst, 0.5), at(worst, n_worst, 0.99),
		(double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1e3 +
			(double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e3);
}

int main(int argc, char **argv)
{
	struct fan f = { 0 };
	int64_t port, seconds;

	if (argc != 6 || !kt_str_int64(argv[1], 1, 65535, &port) ||
		!kt_str_int64(argv[3], 1, MAX_READERS, &f.readers) ||
		!kt_str_int64(argv[4], 1, 120, &seconds) ||
		!kt_str_int64(argv[5], 0, MAX_EVENTS, &f.events)) {
		fprintf(stderr, "usage: fan PORT PATH READERS SECONDS EVENTS\n");
		return 2;
	}
	f.seconds = (double)seconds;
	f.all = kt_calloc((size_t)f.readers, sizeof(*f.all));
	f.samples_us = kt_calloc(MAX_SAMPLES, sizeof(*f.samples_us));
	f.sent_ns = kt_calloc((size_t)f.events + 1, sizeof(*f.sent_ns));
	f.worst_ns = kt_calloc((size_t)f.events + 1, sizeof(*f.worst_ns));
	f.seen = kt_calloc((size_t)f.events + 1, sizeof(*f.seen));
	f.epfd = epoll_create1(EPOLL_CLOEXEC);
	if (f.epfd < 0 || !connect_all(&f, port, argv[2]))
		return 1;
	loop(&f);
	report(&f);
	return f.ready == f.readers ? 0 : 1;
}
