/* SPDX-License-Identifier: MIT */
/*
 * What stands in front of the tar reader. libarchive would find out by itself how an archive is
 * compressed, and again how what comes out of that is; so the one compression is determined here
 * and libarchive is told. Everything that gets bigger is counted while it does.
 */
#include "pack/unpack_private.h"

#include "base/time.h"

#include <errno.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

/* A decompressor allocates what a frame asks for. `zstd -19` asks for 8 MiB, `--ultra -21` 64. */
#define MAX_WINDOW_BYTES ((uint64_t)32 * 1024 * 1024)
#define RATIO_FREE_BYTES (8 * 1024 * 1024) /* small archives of much alike text are fine */
#define HEADER_BYTES 4096 /* a member's headers and padding, more than any real one has */
#define MAGIC_BYTES 6

#define ZSTD_MAGIC 0xfd2fb528U
#define ZSTD_SKIP_MAGIC 0x184d2a50U /* and the fifteen after it */

static uint64_t read_little_endian(const unsigned char *p, size_t n)
{
	uint64_t v = 0;

	while (n-- > 0)
		v = v << 8 | p[n];
	return v;
}

/* Bytes of a frame's head behind its first, the descriptor. */
static size_t head_len(unsigned char d, size_t *out_size_at, size_t *out_size_len)
{
	static const size_t dict_lens[] = { 0, 1, 2, 4 };
	static const size_t size_lens[] = { 0, 2, 4, 8 };
	bool single = d & 0x20;

	*out_size_at = 1 + (single ? 0 : 1) + dict_lens[d & 3];
	*out_size_len = d >> 6 == 0 && single ? 1 : size_lens[d >> 6];
	return *out_size_at + *out_size_len;
}

static void take_head(struct kt_zstd_scan *z, size_t size_at, size_t size_len)
{
	unsigned char d = z->bytes[0];
	uint64_t window;

	if (d & 0x20) { /* a single segment: the content is the window */
		window = read_little_endian(z->bytes + size_at, size_len) +
			(size_len == 2 ? 256 : 0);
	} else {
		window = (uint64_t)1 << (10 + (z->bytes[1] >> 3));
		window += window / 8 * (z->bytes[1] & 7);
	}
	z->max_window = KT_MAX(z->max_window, window);
	z->checksum = d & 4;
	z->last_block = false;
	z->state = KT_ZSTD_BLOCK;
}

/* How many bytes the present state needs; a frame's head is known by its first one. */
static size_t wanted_zstd_bytes(const struct kt_zstd_scan *z)
{
	size_t at, len;

	switch (z->state) {
	case KT_ZSTD_HEAD:
		return z->n > 0 ? head_len(z->bytes[0], &at, &len) : 1;
	case KT_ZSTD_BLOCK:
		return 3;
	case KT_ZSTD_MAGIC:
	case KT_ZSTD_SKIP_SIZE:
		break;
	}
	return 4;
}

/* The bytes of a state are there. False when they make no sense. */
static bool take_state(struct kt_zstd_scan *z)
{
	uint64_t v = read_little_endian(z->bytes, KT_MIN(z->n, 8));
	size_t at, len;

	switch (z->state) {
	case KT_ZSTD_MAGIC:
		if ((v & ~UINT64_C(15)) == ZSTD_SKIP_MAGIC)
			z->state = KT_ZSTD_SKIP_SIZE;
		else if (v == ZSTD_MAGIC)
			z->state = KT_ZSTD_HEAD;
		else
			return false;
		break;
	case KT_ZSTD_SKIP_SIZE:
		z->skip = v;
		z->state = KT_ZSTD_MAGIC;
		break;
	case KT_ZSTD_HEAD:
		(void)head_len(z->bytes[0], &at, &len);
		take_head(z, at, len);
		break;
	case KT_ZSTD_BLOCK:
		if ((v >> 1 & 3) == 3)
			return false;
		/* Type 1 repeats one byte as often as its size says. */
		z->skip = (v >> 1 & 3) == 1 ? 1 : v >> 3;
		z->last_block = v & 1;
		if (z->last_block) {
			z->skip += z->checksum ? 4 : 0;
			z->state = KT_ZSTD_MAGIC;
		}
		break;
	}
	z->n = 0;
	return true;
}

/* Look at the next bytes. False when they cannot be zstd; max_window counts up to there. */
static bool zstd_scan_add(struct kt_zstd_scan *z, const unsigned char *data, size_t len)
{
	size_t at = 0;

	while (at < len) {
		if (z->skip > 0) {
			uint64_t n = KT_MIN(z->skip, len - at);

			z->skip -= n;
			at += (size_t)n;
			continue;
		}
		z->bytes[z->n++] = data[at++];
		if (z->n >= wanted_zstd_bytes(z) && !take_state(z))
			return false;
	}
	return true;
}

enum kt_code kt_unpack_input_time(struct kt_unpack_input *in, struct kt_err *err)
{
	if (kt_mono_us() <= in->deadline_us)
		return KT_OK;
	return kt_fail(err, KT_ETIMEOUT, 0, "unpacking takes longer than the fixed limit of %lld",
		(long long)in->limits->max_ms);
}

/* Wait for a pipe or socket no longer than the deadline; a file is always ready. */
static enum kt_code wait_readable(struct kt_unpack_input *in, struct kt_err *err)
{
	for (;;) {
		struct pollfd p = { .fd = in->fd, .events = POLLIN };
		int64_t left_ms = (in->deadline_us - kt_mono_us()) / 1000 + 1;
		enum kt_code rc = kt_unpack_input_time(in, err);
		int r;

		if (rc != KT_OK)
			return rc;
		r = poll(&p, 1, (int)KT_MIN(left_ms, INT32_MAX));
		if (r > 0)
			return KT_OK;
		if (r < 0 && errno != EINTR)
			return kt_fail(err, KT_EIO, errno, "cannot read the archive");
	}
}

/* Read up to size bytes; *out_n is 0 at the end. Counts and looks at them. */
static enum kt_code read_input_file(struct kt_unpack_input *in, unsigned char *to, size_t size,
	size_t *out_n, struct kt_err *err)
{
	ssize_t n;

	do {
		enum kt_code rc = wait_readable(in, err);

		if (rc != KT_OK)
			return rc;
		n = read(in->fd, to, size);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return kt_fail(err, KT_EIO, errno, "cannot read the archive");
	in->in_bytes += n;
	if (in->in_bytes > in->limits->max_archive_bytes)
		return kt_fail(err, KT_ELIMIT, 0,
			"the archive is larger than the limit max_archive_bytes of %lld",
			(long long)in->limits->max_archive_bytes);
	*out_n = (size_t)n;
	return KT_OK;
}

static enum kt_code check_zstd(
	struct kt_unpack_input *in, const unsigned char *data, size_t len, struct kt_err *err)
{
	bool sane = zstd_scan_add(&in->zstd, data, len);

	if (in->zstd.max_window > MAX_WINDOW_BYTES) {
		kt_fail(err, KT_ELIMIT, 0,
			"the archive's zstd window is %llu bytes; the fixed limit is %llu",
			(unsigned long long)in->zstd.max_window,
			(unsigned long long)MAX_WINDOW_BYTES);
		return kt_hint(err, "compress it with zstd -19 or less and without --long");
	}
	if (!sane)
		return kt_fail(err, KT_EPROTO, 0,
			"the archive is damaged: its zstd frames do not follow one another");
	return KT_OK;
}

/* The decompressor's callback: the file's bytes, those that were read ahead first. */
static la_ssize_t read_compressed(struct archive *a, void *arg, const void **out_data)
{
	struct kt_unpack_input *in = arg;
	size_t n = in->n_ahead;
	enum kt_code rc = KT_OK;

	in->n_ahead = 0;
	if (n == 0)
		rc = read_input_file(in, in->buf, sizeof(in->buf), &n, &in->err);
	if (rc == KT_OK && in->is_zstd)
		rc = check_zstd(in, in->buf, n, &in->err);
	if (rc != KT_OK) {
		kt_archive->set_error(a, EIO, "refused");
		return ARCHIVE_FATAL;
	}
	*out_data = in->buf;
	return (la_ssize_t)n;
}

static enum kt_code check_growth(struct kt_unpack_input *in, struct kt_err *err)
{
	if (in->out_bytes > in->max_out_bytes)
		return kt_fail(err, KT_ELIMIT, 0,
			"the archive unpacks to more than the limit max_release_bytes of %lld",
			(long long)in->limits->max_bytes);
	if (in->compressed && in->out_bytes > RATIO_FREE_BYTES &&
		in->out_bytes / in->limits->max_ratio > in->in_bytes)
		return kt_fail(err, KT_ELIMIT, 0,
			"the archive unpacks to more than %lld times its size, the limit max_ratio "
			"(fixed)",
			(long long)in->limits->max_ratio);
	return kt_unpack_input_time(in, err);
}

la_ssize_t kt_unpack_input_read(struct archive *a, void *arg, const void **out_data)
{
	struct kt_unpack_input *in = arg;
	size_t len = 0;
	la_int64_t offset;
	int r = ARCHIVE_EOF;

	if (!in->ended)
		r = kt_archive->read_data_block(in->raw, out_data, &len, &offset);
	if (r == ARCHIVE_EOF) {
		in->ended = true;
		in->block_len = 0;
		return 0;
	}
	if (r != ARCHIVE_OK && in->err.code == KT_OK)
		kt_fail(&in->err, KT_EPROTO, 0, "the archive is damaged: %s",
			kt_archive->error_string(in->raw));
	in->out_bytes += (int64_t)len;
	if (in->err.code != KT_OK || check_growth(in, &in->err) != KT_OK) {
		if (a)
			kt_archive->set_error(a, EIO, "refused");
		return ARCHIVE_FATAL;
	}
	in->block = *out_data;
	in->block_len = len;
	return (la_ssize_t)len;
}

/* Read the first bytes; a pipe may give them one by one. */
static enum kt_code read_magic(struct kt_unpack_input *in, struct kt_err *err)
{
	while (in->n_ahead < MAGIC_BYTES) {
		size_t n = 0;
		enum kt_code rc = read_input_file(
			in, in->buf + in->n_ahead, sizeof(in->buf) - in->n_ahead, &n, err);

		if (rc != KT_OK)
			return rc;
		if (n == 0)
			return kt_fail(err, KT_EPROTO, 0, "this is no archive: it has %zu bytes",
				in->n_ahead);
		in->n_ahead += n;
	}
	return KT_OK;
}

static int add_decompressor(struct kt_unpack_input *in)
{
	const unsigned char *m = in->buf;
	int filter = ARCHIVE_FILTER_NONE;

	if (m[0] == 0x1f && m[1] == 0x8b && m[2] == 8)
		filter = ARCHIVE_FILTER_GZIP;
	else if (read_little_endian(m, 4) == ZSTD_MAGIC)
		filter = ARCHIVE_FILTER_ZSTD;
	in->compressed = filter != ARCHIVE_FILTER_NONE;
	in->is_zstd = filter == ARCHIVE_FILTER_ZSTD;
	/* append_filter() sets the chain; support_filter_gzip() would unwrap gzip in gzip. */
	return in->compressed ? kt_archive->read_append_filter(in->raw, filter) : ARCHIVE_OK;
}

enum kt_code kt_unpack_input_open(
	struct kt_unpack_input *in, int fd, const struct kt_pack_limits *l, struct kt_err *err)
{
	struct archive_entry *entry;
	struct stat st;
	enum kt_code rc;

	in->fd = fd;
	in->limits = l;
	in->deadline_us = kt_mono_us() + l->max_ms * 1000;
	in->max_out_bytes = l->max_bytes + (l->max_files + 2) * HEADER_BYTES;
	if (fstat(fd, &st))
		return kt_fail(err, KT_EIO, errno, "cannot read the archive");
	if (S_ISREG(st.st_mode) && st.st_size > l->max_archive_bytes)
		return kt_fail(err, KT_ELIMIT, 0,
			"the archive has %lld bytes; the limit max_archive_bytes is %lld",
			(long long)st.st_size, (long long)l->max_archive_bytes);
	rc = read_magic(in, err);
	if (rc != KT_OK)
		return rc;
	in->raw = kt_archive->read_new();
	if (!in->raw)
		return kt_fail(err, KT_ENOMEM, 0, "no memory to unpack");
	if (kt_archive->read_support_format_raw(in->raw) == ARCHIVE_OK &&
		add_decompressor(in) == ARCHIVE_OK &&
		kt_archive->read_open(in->raw, in, NULL, read_compressed, NULL) == ARCHIVE_OK &&
		kt_archive->read_next_header(in->raw, &entry) == ARCHIVE_OK)
		return KT_OK;
	if (in->err.code != KT_OK && err)
		*err = in->err;
	if (in->err.code != KT_OK)
		return in->err.code;
	return kt_fail(err, KT_EPROTO, 0, "this is no archive, or it is damaged: %s",
		kt_archive->error_string(in->raw));
}

enum kt_code kt_unpack_input_finish(
	struct kt_unpack_input *in, int64_t tar_bytes, struct kt_err *err)
{
	const unsigned char *p = in->block;
	size_t len = in->block_len;
	const void *next = NULL;

	/* The tar reader stopped somewhere in its last block. */
	if (tar_bytes > in->out_bytes - (int64_t)len) {
		size_t used = (size_t)KT_MIN(
			tar_bytes - (in->out_bytes - (int64_t)len), (int64_t)len);

		p += used;
		len -= used;
	}
	for (;;) {
		for (size_t i = 0; i < len; i++) {
			if (p[i])
				return kt_fail(
					err, KT_EINVAL, 0, "the archive has more behind its end");
		}
		if (in->ended)
			return KT_OK;
		if (kt_unpack_input_read(NULL, in, &next) < 0) {
			if (err)
				*err = in->err;
			return in->err.code;
		}
		p = next;
		len = in->block_len;
	}
}

void kt_unpack_input_release(struct kt_unpack_input *in)
{
	if (in->raw)
		(void)kt_archive->read_free(in->raw);
	in->raw = NULL;
}
