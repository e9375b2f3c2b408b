/* SPDX-License-Identifier: MIT */
/* A walk gives each frame once, whatever pieces its bytes come in, and stands where it stopped. */
#include "event/event.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct kt_loop *loop;
static char dir[64];
static char path[96];

static int setup(void **state)
{
	struct kt_err err = KT_ERR_INIT;

	(void)snprintf(dir, sizeof(dir), "/tmp/kt-walk-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	(void)snprintf(path, sizeof(path), "%s/log", dir);
	return kt_loop_new(&loop, &err) == KT_OK ? 0 : -1;
}

static int teardown(void **state)
{
	struct kt_err err = KT_ERR_INIT;

	kt_loop_free(loop);
	return kt_fs_remove_tree(dir, &err) == KT_OK ? 0 : -1;
}

/* Events of so many bytes each, in a file. */
static struct kt_evlog *filled(size_t n, size_t bytes)
{
	const struct kt_evlog_config cfg = {
		.path = path, .session_id = "s", .max_memory_bytes = 65536
	};
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_MAX_EVENT_BYTES);
	struct kt_evlog *log = NULL;

	kt_buf_adds(&b, "{\"d\":\"");
	while (b.len < bytes)
		kt_buf_addc(&b, 'x');
	kt_buf_adds(&b, "\"}");
	assert_int_equal(kt_evlog_open(loop, &cfg, &log, NULL), KT_OK);
	for (size_t i = 0; i < n; i++) {
		const struct kt_event_draft ev = {
			.type = KT_EV_TEXT, .data = b.ptr, .data_len = b.len
		};
		(void)kt_evlog_append(log, &ev);
	}
	return log;
}

struct seen {
	uint64_t last;
	size_t n, bytes;
	size_t stop_each; /* 0: never; n: at each n-th */
};

static bool see(void *arg, const struct kt_evframe *f)
{
	struct seen *x = arg;

	assert_int_equal(f->seq, x->last + 1);
	assert_int_equal(kt_evframe_check(f), KT_LINESUM_OK);
	assert_memory_equal(f->bytes, "id: ", 4);
	assert_memory_equal(f->bytes + f->len - 2, "\n\n", 2);
	assert_true(f->json > f->bytes && f->json + f->json_len < f->bytes + f->len);
	x->last = f->seq;
	x->bytes += f->json_len;
	return !x->stop_each || ++x->n % x->stop_each != 0;
}

/* The bytes of a log's frames. */
static void bytes_of(struct kt_evlog *log, struct kt_buf *out)
{
	struct kt_evreader *r = kt_evreader_new(log, 0, NULL, NULL);
	const char *p;
	size_t n;

	while ((n = kt_evreader_peek(r, &p, SIZE_MAX)) > 0) {
		kt_buf_add(out, p, n);
		kt_evreader_advance(r, n);
	}
	kt_evreader_free(r);
}

static void in_pieces_of_any_size(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);
	struct kt_evlog *log = filled(9, 30);

	bytes_of(log, &b);
	kt_evlog_free(log);
	for (size_t step = 1; step <= b.len; step++) {
		for (size_t stop = 0; stop < 3; stop++) {
			struct seen x = { .stop_each = stop };
			struct kt_evwalk w;

			kt_evwalk_init(&w);
			for (size_t at = 0, used; at < b.len; at += used) {
				size_t n = KT_MIN(step, b.len - at);
				uint64_t before = x.last;
				enum kt_evwalked was = kt_evwalk_bytes(
					&w, b.ptr + at, n, &used, see, &x);

				assert_true(was == KT_WALK_END || was == KT_WALK_STOPPED);
				assert_true(was == KT_WALK_STOPPED || used == n);
				assert_true(was == KT_WALK_END || x.last > before);
			}
			assert_int_equal(x.last, 9);
			assert_false(kt_evwalk_torn(&w));
			kt_evwalk_release(&w);
		}
	}
}

static void a_torn_end(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);
	struct kt_evlog *log = filled(3, 30);

	bytes_of(log, &b);
	kt_evlog_free(log);
	for (size_t cut = 0; cut <= b.len; cut++) {
		struct seen x = { 0 };
		struct kt_evwalk w;
		size_t used;

		kt_evwalk_init(&w);
		assert_int_equal(kt_evwalk_bytes(&w, b.ptr, cut, &used, see, &x), KT_WALK_END);
		assert_int_equal(x.last, cut * 3 / b.len);
		assert_int_equal(kt_evwalk_torn(&w), cut % (b.len / 3) != 0);
		kt_evwalk_release(&w);
	}
}

static void damage(void **state)
{
	static const char *const bad[] = { "x\n\n", "id: 4\nevent: text\n\n", "\n\n", ": 1\n\n" };
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);
	struct kt_evlog *log = filled(3, 30);
	size_t whole;

	bytes_of(log, &b);
	kt_evlog_free(log);
	whole = b.len;
	for (size_t i = 0; i < KT_ARRAY_LEN(bad); i++) {
		kt_buf_truncate(&b, whole);
		kt_buf_adds(&b, bad[i]);
		for (size_t step = 1; step <= b.len; step++) {
			enum kt_evwalked was = KT_WALK_END;
			struct seen x = { 0 };
			struct kt_evwalk w;
			size_t used;

			kt_evwalk_init(&w);
			for (size_t at = 0; was == KT_WALK_END && at < b.len; at += step)
				was = kt_evwalk_bytes(
					&w, b.ptr + at, KT_MIN(step, b.len - at), &used, see, &x);
			assert_int_equal(was, KT_WALK_DAMAGED);
			assert_int_equal(x.last, 3);
			kt_evwalk_release(&w);
		}
	}
}

/* What never ends is not kept without an end. */
static void a_frame_that_does_not_end(void **state)
{
	enum kt_evwalked was = KT_WALK_END;
	struct seen x = { 0 };
	struct kt_evwalk w;
	char piece[65536];
	size_t used, n = 0;

	memset(piece, 'x', sizeof(piece));
	kt_evwalk_init(&w);
	for (; was == KT_WALK_END && n < (size_t)16 * KT_MAX_EVENT_BYTES; n += sizeof(piece))
		was = kt_evwalk_bytes(&w, piece, sizeof(piece), &used, see, &x);
	assert_int_equal(was, KT_WALK_DAMAGED);
	assert_true(n > (size_t)2 * KT_MAX_EVENT_BYTES && n < (size_t)3 * KT_MAX_EVENT_BYTES);
	kt_evwalk_release(&w);
}

/* A reader in slices: no slice takes more than it may, and each goes on where the last one ended. */
static void in_slices(void **state)
{
	static const size_t sizes[] = { 1, 7, 64, 1000, 65536, 1 << 20 };
	struct kt_evlog *log = filled(500, 700);

	kt_evlog_idle(log);
	for (size_t i = 0; i < KT_ARRAY_LEN(sizes); i++) {
		struct kt_evreader *r = kt_evreader_new(log, 0, NULL, NULL);
		struct seen x = { .stop_each = i % 2 ? 3 : 0 };
		enum kt_evwalked was = KT_WALK_MORE;
		struct kt_evwalk w;
		size_t calls = 0, stops = 0;

		kt_evwalk_init(&w);
		for (; was != KT_WALK_END; calls++) {
			uint64_t before = x.last;

			was = kt_evwalk_reader(&w, r, sizes[i], see, &x);
			assert_int_not_equal(was, KT_WALK_DAMAGED);
			assert_true((x.last - before) <= sizes[i] / 700 + 1);
			stops += was == KT_WALK_STOPPED;
		}
		assert_int_equal(x.last, 500);
		assert_int_equal(stops, i % 2 ? 500 / 3 : 0);
		assert_true(calls >= 500 * 700 / sizes[i]);
		kt_evwalk_release(&w);
		kt_evreader_free(r);
	}
	kt_evlog_free(log);
}

static void as_many_bytes_as_wanted(void **state)
{
	static const size_t max[] = { 1, 1000, 5000, 100000 };
	struct kt_evlog *log = filled(100, 700);
	struct seen x = { 0 };

	for (size_t i = 0; i < KT_ARRAY_LEN(max); i++) {
		size_t each;

		x = (struct seen){ .last = 40 };
		assert_int_equal(kt_evlog_each(log, 40, max[i], see, &x, NULL), KT_OK);
		each = x.bytes / (x.last - 40);
		assert_true(x.last == 100 || (x.bytes >= max[i] && x.bytes < max[i] + each + 10));
		assert_true(x.last < 100 || max[i] > x.bytes);
	}
	x = (struct seen){ .last = 40, .stop_each = 5 };
	assert_int_equal(kt_evlog_each(log, 40, SIZE_MAX, see, &x, NULL), KT_OK);
	assert_int_equal(x.last, 45);
	kt_evlog_free(log);
}

static void damage_of_a_log(void **state)
{
	struct kt_evlog *log = filled(100, 700);
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(1 << 20);
	struct kt_err err = KT_ERR_INIT;
	struct seen x = { 0 };

	kt_evlog_free(log);
	assert_int_equal(kt_fs_read(path, &text, &err), KT_OK);
	memcpy(strstr(text.ptr, "id: 90\n"), "it:", 3);
	assert_int_equal(kt_fs_write_atomic(path, text.ptr, text.len, 0600, false, &err), KT_OK);
	log = filled(0, 0);
	assert_int_equal(kt_evlog_each(log, 0, SIZE_MAX, see, &x, &err), KT_EIO);
	assert_string_equal(err.msg, "the event log of s is damaged");
	assert_int_equal(x.last, 89);
	kt_evlog_free(log);
}

static void the_header(void **state)
{
	static const struct {
		const char *text;
		size_t len;
		int rc;
	} cases[] = {
		{ ": karta-log base_seq=41\n\nid: 42\n", 32, 1 },
		{ ": karta-log base_seq=41\n", 24, 0 },
		{ ": kar", 5, 0 },
		{ "", 0, 0 },
		{ "\0\0\0\0", 4, 0 },
		{ ": karta-log base_seq=\n\n", 23, -1 },
		{ ": karta-log base_seq=-1\n\n", 25, -1 },
		{ "id: 42\n\n", 8, -1 },
		{ ": karta-log base_seq=1234567890123456789012345678901234567890123", 64, -1 },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		uint64_t base = 0;
		size_t len = 0;

		assert_int_equal(
			kt_evlog_header(cases[i].text, cases[i].len, &len, &base), cases[i].rc);
		assert_int_equal(len, cases[i].rc == 1 ? 25 : 0);
		assert_int_equal(base, cases[i].rc == 1 ? 41 : 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(in_pieces_of_any_size, setup, teardown),
		cmocka_unit_test_setup_teardown(a_torn_end, setup, teardown),
		cmocka_unit_test_setup_teardown(damage, setup, teardown),
		cmocka_unit_test_setup_teardown(a_frame_that_does_not_end, setup, teardown),
		cmocka_unit_test_setup_teardown(in_slices, setup, teardown),
		cmocka_unit_test_setup_teardown(as_many_bytes_as_wanted, setup, teardown),
		cmocka_unit_test_setup_teardown(damage_of_a_log, setup, teardown),
		cmocka_unit_test(the_header),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
