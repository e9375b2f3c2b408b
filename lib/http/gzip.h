/* SPDX-License-Identifier: MIT */
/* Content-Encoding: what a client takes, and back to the bytes for one that takes none. */
#ifndef KT_HTTP_GZIP_H
#define KT_HTTP_GZIP_H

#include "http/http.h"

/*
 * Whether Accept-Encoding lets the answer be gzip (RFC 9110 12.5.3); without the header it may not.
 */
KT_MUST_CHECK bool kt_request_takes_gzip(const struct kt_request *rq);

/*
 * Unpack gzip: exactly out_len bytes. zlib is loaded at the first call. Returns KT_OK, KT_EIO (no
 * zlib, with a hint) or KT_EPROTO: damaged, or of another length.
 */
KT_MUST_CHECK enum kt_code kt_gunzip(
	const void *data, size_t len, void *out, size_t out_len, struct kt_err *err);

#endif
