/* SPDX-License-Identifier: MIT */
/*
 * The way of an archive's bytes while it is unpacked: file -> (window guard) -> one decompressor
 * of libarchive -> (bomb guard) -> libarchive's tar reader. One thread.
 */
#ifndef KT_PACK_UNPACK_PRIVATE_H
#define KT_PACK_UNPACK_PRIVATE_H

#include "pack/archive_dl_private.h"
#include "pack/pack.h"

#define KT_UNPACK_READ_BYTES 65536

/*
 * Reads along a zstd stream (RFC 8878, section 3.1) without decompressing it: which window each of
 * its frames asks for.
 */
struct kt_zstd_scan {
	enum { KT_ZSTD_MAGIC, KT_ZSTD_HEAD, KT_ZSTD_BLOCK, KT_ZSTD_SKIP_SIZE } state;
	unsigned char bytes[16]; /* of the present state, n of them */
	size_t n;
	uint64_t skip; /* bytes that are of no interest, before the next state */
	bool last_block;
	bool checksum;
	uint64_t max_window; /* largest seen, in bytes */
};

struct kt_unpack_input {
	int fd; /* borrowed */
	const struct kt_pack_limits *limits; /* borrowed */
	int64_t deadline_us;
	int64_t in_bytes; /* read from fd */
	int64_t out_bytes; /* handed to the tar reader */
	int64_t max_out_bytes;
	bool compressed;
	bool is_zstd;
	bool ended; /* nothing more to hand out */
	struct kt_zstd_scan zstd;
	struct archive *raw; /* the decompressor */
	size_t n_ahead; /* bytes in buf that were read to find out what it is */
	const unsigned char *block; /* what was handed out last */
	size_t block_len;
	struct kt_err err; /* why reading stopped; code is KT_OK as long as it did not */
	unsigned char buf[KT_UNPACK_READ_BYTES];
};

/* Look at the first bytes of fd and set the decompressor up. Ended by kt_unpack_input_release(). */
KT_MUST_CHECK enum kt_code kt_unpack_input_open(
	struct kt_unpack_input *in, int fd, const struct kt_pack_limits *l, struct kt_err *err);
/* The tar reader's callback (archive_read_callback); arg is the input. */
la_ssize_t kt_unpack_input_read(struct archive *a, void *arg, const void **out_data);
/*
 * After the tar reader's end: read to the end of the file, so that damage there is found, and
 * refuse what is not padding. tar_bytes is how far the tar reader came.
 */
KT_MUST_CHECK enum kt_code kt_unpack_input_finish(
	struct kt_unpack_input *in, int64_t tar_bytes, struct kt_err *err);
/* KT_ETIMEOUT when the time is over. */
KT_MUST_CHECK enum kt_code kt_unpack_input_time(struct kt_unpack_input *in, struct kt_err *err);
void kt_unpack_input_release(struct kt_unpack_input *in);

#endif
