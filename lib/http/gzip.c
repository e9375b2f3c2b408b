/* SPDX-License-Identifier: MIT */
/* The only file that knows zlib's soname and its symbols. */
#include "http/gzip.h"

#include "base/dl.h"
#include "base/str.h"

#include <limits.h>
#include <pthread.h>
#include <string.h>
#include <zlib.h>

#define GZIP_WINDOW (15 + 16) /* the largest window, and gzip's frame with its checksum */

/* --- zlib ----------------------------------------------------------------------------------- */

static struct {
	int (*init)(z_stream *, int, const char *, int);
	int (*inflate)(z_stream *, int);
	int (*end)(z_stream *);
} z; /* written once, guarded by load_once */

static pthread_once_t load_once = PTHREAD_ONCE_INIT;
static struct kt_err load_error; /* of the one attempt; guarded by load_once */

static void load_zlib(void)
{
	static const char *const sonames[] = { KT_SO_Z, NULL };
	static const struct kt_dl_symbol symbols[] = {
		{ (void **)&z.init, "inflateInit2_" },
		{ (void **)&z.inflate, "inflate" },
		{ (void **)&z.end, "inflateEnd" },
	};

	if (kt_dl_load(sonames, symbols, KT_ARRAY_LEN(symbols), "zlib1g", &load_error) != KT_OK)
		kt_assert(load_error.code != KT_OK);
}

enum kt_code kt_gunzip(const void *data, size_t len, void *out, size_t out_len, struct kt_err *err)
{
	z_stream s = { .next_in = (Bytef *)(uintptr_t)data, .next_out = out };
	int got;

	(void)pthread_once(&load_once, load_zlib);
	if (load_error.code != KT_OK) {
		if (err)
			*err = load_error;
		return load_error.code;
	}
	if (len > UINT_MAX || out_len > UINT_MAX)
		return kt_fail(err, KT_EPROTO, 0, "gzip of more than 4 GiB");
	s.avail_in = (unsigned)len;
	s.avail_out = (unsigned)out_len;
	if (z.init(&s, GZIP_WINDOW, ZLIB_VERSION, (int)sizeof(s)) != Z_OK)
		return kt_fail(err, KT_EIO, 0, "zlib does not start");
	got = z.inflate(&s, Z_FINISH);
	(void)z.end(&s);
	if (got != Z_STREAM_END || s.avail_out || s.avail_in)
		return kt_fail(err, KT_EPROTO, 0, "gzip data is damaged");
	return KT_OK;
}

/* --- Accept-Encoding ------------------------------------------------------------------------- */

static const char *blanks(const char *p)
{
	return p + strspn(p, " \t");
}

/* "gzip;q=0.5": what stands behind the name lets it be. What is no weight does not. */
static bool is_weight(const char *p)
{
	p = blanks(p);
	if (*p == ',' || *p == '\0')
		return true;
	if (*p != ';')
		return false;
	p = blanks(p + 1);
	if ((*p != 'q' && *p != 'Q') || p[1] != '=')
		return false;
	p += 2;
	if (*p == '1')
		return true;
	if (p[0] != '0' || p[1] != '.')
		return false;
	p += 2;
	p += strspn(p, "0");
	return *p >= '1' && *p <= '9';
}

bool kt_request_takes_gzip(const struct kt_request *rq)
{
	int gzip = -1, any = -1; /* -1 = not named */

	for (size_t i = 0; i < rq->n_headers; i++) {
		const char *p = rq->headers[i].value;

		if (!kt_str_eq(rq->headers[i].name, "accept-encoding"))
			continue;
		for (p = blanks(p); *p; p = blanks(p + (*p == ','))) {
			size_t n = strcspn(p, " \t;,");

			if (n == 4 && strncasecmp(p, "gzip", n) == 0)
				gzip = is_weight(p + n);
			else if (n == 1 && *p == '*')
				any = is_weight(p + n);
			p += strcspn(p, ",");
		}
	}
	return (gzip >= 0 ? gzip : any) > 0;
}
