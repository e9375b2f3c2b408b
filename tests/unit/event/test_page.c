/* SPDX-License-Identifier: MIT */
/* Pages that are measured and sent from the log are those that are built. */
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

	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/kt-page-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	(void)snprintf(path, sizeof(path), "%s/events", dir);
	return kt_loop_new(&loop, &err) == KT_OK ? 0 : -1;
}

static int teardown(void **state)
{
	struct kt_err err = KT_ERR_INIT;

	(void)state;
	kt_loop_free(loop);
	return kt_fs_remove_tree(dir, &err) == KT_OK ? 0 : -1;
}

static struct kt_evlog *filled(void)
{
	const struct kt_evlog_config cfg = {
		.path = path, .session_id = "sess_test", .max_memory_bytes = 65536
	};
	struct kt_evlog *log = NULL;

	assert_int_equal(kt_evlog_open(loop, &cfg, &log, NULL), KT_OK);
	for (size_t i = 0; i < 300; i++) {
		KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_MAX_EVENT_BYTES);
		size_t len = i == 150 ? 300000 : 20 + i * 37 % 900;

		kt_buf_adds(&b, "{\"d\":\"id: 7,");
		while (b.len < len)
			kt_buf_addc(&b, "data: event:\\n"[b.len % 12]);
		kt_buf_adds(&b, "\"}");
		const struct kt_event_draft ev = {
			.type = KT_EV_TEXT, .turn_id = "t", .data = b.ptr, .data_len = b.len
		};
		kt_evlog_append(log, &ev);
	}
	return log;
}

/* The envelopes after a number up to another, taken in pieces of at most `step`. */
static void take(struct kt_evlog *log, uint64_t after, uint64_t last, size_t step, struct kt_buf *out)
{
	struct kt_evreader *r = kt_evreader_new(log, after, NULL, NULL);
	struct kt_evenv e = { .n = 0 };
	size_t commas = 0, n;
	const char *p;

	kt_evreader_stop_after(r, last);
	while ((n = kt_evreader_peek(r, &p, step)) > 0) {
		bool envelope;

		n = kt_evenv_next(&e, p, n, &envelope);
		assert_true(n > 0);
		if (envelope && commas + 1 < e.n) {
			kt_buf_addc(out, ',');
			commas++;
		}
		if (envelope)
			kt_buf_add(out, p, n);
		kt_evreader_advance(r, n);
	}
	assert_true(kt_evreader_done(r));
	kt_evreader_free(r);
}

/* A gap is told when it is read: its time is another at each reading. */
static void no_gap_time(struct kt_buf *b)
{
	char *p = memmem(b->ptr, b->len, "\"timestamp\":", 12);

	if (!memmem(b->ptr, KT_MIN(b->len, 200), "\"type\":\"gap\"", 12) || !p)
		return;
	for (p += 12; *p >= '0' && *p <= '9'; p++)
		*p = '0';
}

static void agrees(struct kt_evlog *log, size_t max_events, size_t max_bytes, size_t step)
{
	uint64_t after = 0, last;

	for (;;) {
		KT_AUTO_BUF struct kt_buf want = KT_BUF_INIT(64 << 20), got = KT_BUF_INIT(64 << 20);
		struct kt_evpage pg;
		size_t n;

		assert_int_equal(
			kt_evpage_measure(log, after, max_events, max_bytes, &pg, NULL), KT_OK);
		assert_int_equal(kt_evlog_read(log, after, max_events, max_bytes, &want, &n, &last,
					 NULL),
			KT_OK);
		assert_int_equal(pg.n, n);
		assert_int_equal(pg.last, last);
		assert_int_equal(pg.bytes, want.len);
		assert_true(n <= 1 || pg.bytes <= max_bytes);
		if (!n)
			break;
		take(log, after, pg.last, step, &got);
		assert_int_equal(got.len, want.len);
		no_gap_time(&want);
		no_gap_time(&got);
		assert_memory_equal(got.ptr, want.ptr, want.len);
		after = last;
	}
	assert_int_equal(after, kt_evlog_last_seq(log));
}

static void measured_is_built(void **state)
{
	struct kt_evlog *log = filled();

	(void)state;
	for (int round = 0; round < 2; round++) {
		agrees(log, SIZE_MAX, 3000, 1);
		agrees(log, 17, SIZE_MAX, 7);
		agrees(log, 1, 1, 65536);
		agrees(log, SIZE_MAX, SIZE_MAX, 4096);
		kt_evlog_idle(log);
	}
	kt_evlog_free(log);
}

static void a_gap_is_an_event(void **state)
{
	struct kt_evlog *log = filled();
	const struct kt_event_draft ev = { .type = KT_EV_STATUS, .data = "{}", .data_len = 2 };
	struct kt_evpage pg;

	(void)state;
	assert_int_equal(kt_evlog_expire(log, NULL), KT_OK);
	kt_evlog_append(log, &ev);
	assert_int_equal(kt_evpage_measure(log, 30, 10, SIZE_MAX, &pg, NULL), KT_OK);
	assert_int_equal(pg.n, 2);
	assert_int_equal(pg.last, 301);
	agrees(log, 1, SIZE_MAX, 5);
	kt_evlog_free(log);
}

static void damage_is_told(void **state)
{
	struct kt_evlog *log = filled();
	const char bad[] = "no frame\n\n";
	struct kt_evpage pg;
	struct kt_err err = KT_ERR_INIT;
	FILE *f;

	(void)state;
	kt_evlog_idle(log);
	f = fopen(path, "r+");
	assert_non_null(f);
	assert_int_equal(fseek(f, 700, SEEK_SET), 0);
	assert_int_equal(fwrite(bad, 1, sizeof(bad) - 1, f), sizeof(bad) - 1);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(kt_evpage_measure(log, 0, SIZE_MAX, SIZE_MAX, &pg, &err), KT_EIO);
	assert_non_null(strstr(err.msg, "damaged"));
	kt_evlog_free(log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(measured_is_built, setup, teardown),
		cmocka_unit_test_setup_teardown(a_gap_is_an_event, setup, teardown),
		cmocka_unit_test_setup_teardown(damage_is_told, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
