/* SPDX-License-Identifier: MIT */
/* Places found by count and time, and the oldest part given up under readers. */
#include "event/event.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/str.h"
#include "base/time.h"
#include "tests/unit/patience.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static struct kt_loop *loop;
static char dir[64];
static char path[96];

static int setup(void **state)
{
	struct kt_err err = KT_ERR_INIT;
	(void)snprintf(dir, sizeof(dir), "/tmp/kt-seek-XXXXXX");
	if (mkdtemp(dir) == NULL)
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

static struct kt_evlog *open_log(void)
{
	struct kt_evlog_config cfg = { .path = path, .session_id = "proj_1", .id_key = "project",
		.max_memory_bytes = 8192 };
	struct kt_evlog *log = NULL;
	assert_int_equal(kt_evlog_open(loop, &cfg, &log, NULL), KT_OK);
	return log;
}

static void add(struct kt_evlog *log, uint64_t n)
{
	char data[128];
	for (uint64_t i = 0; i < n; i++) {
		int len = snprintf(data, sizeof(data), "{\"text\":\"line %llu\"}",
			(unsigned long long)kt_evlog_last_seq(log) + 1);
		const struct kt_event_draft ev = { .type = KT_EV_LOG, .data = data,
			.data_len = (size_t)len };
		(void)kt_evlog_append(log, &ev);
	}
}

/* All three steps at once. */
static enum kt_code trim(struct kt_evlog *log, uint64_t max_bytes, int64_t before_us)
{
	struct kt_evtrim t;
	bool more = false;
	enum kt_code code = kt_evtrim_begin(log, max_bytes, before_us, &t, &more, NULL);
	while (code == KT_OK && more) {
		code = kt_evtrim_copy(&t, NULL);
		if (code == KT_OK)
			code = kt_evtrim_end(log, &t, &more, NULL);
	}
	kt_evtrim_release(&t);
	return code;
}

/* Read everything; checks that numbers are dense from `first` on; returns the last one. */
static uint64_t read_dense(struct kt_evreader *r, uint64_t first)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(64 * 1024 * 1024);
	const char *p = NULL;
	size_t n;
	while ((n = kt_evreader_peek(r, &p, 65536)) > 0) {
		kt_buf_add(&b, p, n);
		kt_evreader_advance(r, n);
	}
	uint64_t expect = first;
	size_t at = 0;
	struct kt_evframe f;
	while (kt_evframe_next(b.ptr + at, b.len - at, &f) == 1) {
		assert_int_equal(f.type, KT_EV_LOG);
		assert_int_equal(f.seq, expect);
		expect++;
		at += f.len;
	}
	assert_int_equal(at, b.len);
	return expect - 1;
}

static void names_its_owner(void **state)
{
	struct kt_evlog *log = open_log();
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(65536);
	size_t n = 0;
	uint64_t last = 0;
	add(log, 1);
	assert_int_equal(kt_evlog_read(log, 0, 10, 65536, &b, &n, &last, NULL), KT_OK);
	assert_non_null(strstr(b.ptr, "\"project\":\"proj_1\""));
	assert_null(strstr(b.ptr, "session_id"));
	assert_non_null(strstr(b.ptr, "\"type\":\"log\""));
	kt_evlog_free(log);
}

static void last_lines(void **state)
{
	struct kt_evlog *log = open_log();
	uint64_t after = 99;
	assert_int_equal(kt_evlog_seek_last(log, 5, &after, NULL), KT_OK);
	assert_int_equal(after, 0);
	add(log, 100);
	assert_int_equal(kt_evlog_seek_last(log, 5, &after, NULL), KT_OK);
	assert_int_equal(after, 95);
	assert_int_equal(kt_evlog_seek_last(log, 0, &after, NULL), KT_OK);
	assert_int_equal(after, 100);
	assert_int_equal(kt_evlog_seek_last(log, 1000, &after, NULL), KT_OK);
	assert_int_equal(after, 0);
	kt_evlog_free(log);
}

static void by_time(void **state)
{
	struct kt_evlog *log = open_log();
	uint64_t after = 0;
	add(log, 50);
	usleep(20000);
	int64_t middle = kt_time_us();
	usleep(20000);
	add(log, 50);
	assert_int_equal(kt_evlog_seek_time(log, middle, &after, NULL), KT_OK);
	assert_int_equal(after, 50);
	assert_int_equal(kt_evlog_seek_time(log, 0, &after, NULL), KT_OK);
	assert_int_equal(after, 0);
	assert_int_equal(kt_evlog_seek_time(log, kt_time_us() + 1000000, &after, NULL), KT_OK);
	assert_int_equal(after, 100);
	/* And from the file alone. */
	kt_evlog_idle(log);
	assert_int_equal(kt_evlog_seek_time(log, middle, &after, NULL), KT_OK);
	assert_int_equal(after, 50);
	kt_evlog_free(log);
}

static void trim_by_size(void **state)
{
	struct kt_evlog *log = open_log();
	add(log, 2000);
	struct kt_evreader *end = kt_evreader_new(log, 2000, NULL, NULL);
	struct kt_evreader *old = kt_evreader_new(log, 0, NULL, NULL);
	const char *p = NULL;
	/* In the middle of the first frame when it goes. */
	assert_true(kt_evreader_peek(old, &p, 20) == 20);
	kt_evreader_advance(old, 20);
	assert_int_equal(trim(log, 50000, 0), KT_OK);
	assert_true(kt_evlog_bytes(log) <= 50000);
	assert_true(kt_evlog_bytes(log) > 49000);
	uint64_t first = kt_evlog_first_seq(log);
	assert_true(first > 1 && first < 2000);
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	assert_in_range(st.st_size, 49000, 50100);
	/* New readers get a gap, then the rest; nothing twice. */
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);
	size_t n = 0;
	uint64_t last = 0;
	assert_int_equal(kt_evlog_read(log, 0, 1, 65536, &b, &n, &last, NULL), KT_OK);
	assert_non_null(strstr(b.ptr, "\"gap\""));
	assert_int_equal(last, first - 1);
	struct kt_evreader *r = kt_evreader_new(log, first - 1, NULL, NULL);
	assert_int_equal(read_dense(r, first), 2000);
	kt_evreader_free(r);
	/* The one in the middle of a frame gets its rest, then a gap up to what is kept. */
	KT_AUTO_BUF struct kt_buf rest = KT_BUF_INIT(1 << 20);
	while ((n = kt_evreader_peek(old, &p, 65536)) > 0) {
		kt_buf_add(&rest, p, n);
		kt_evreader_advance(old, n);
	}
	char *cut = strstr(rest.ptr, "\n\n");
	assert_non_null(cut);
	assert_non_null(strstr(rest.ptr, "line 1\""));
	struct kt_evframe f;
	assert_int_equal(kt_evframe_next(cut + 2, rest.len - (size_t)(cut + 2 - rest.ptr), &f),
		1);
	assert_int_equal(f.type, KT_EV_GAP);
	assert_int_equal(f.seq, first - 1);
	kt_evreader_free(old);
	/* Appending goes on, also after a restart. */
	add(log, 10);
	assert_int_equal(read_dense(end, 2001), 2010);
	kt_evreader_free(end);
	kt_evlog_free(log);
	log = open_log();
	assert_int_equal(kt_evlog_last_seq(log), 2010);
	assert_int_equal(kt_evlog_first_seq(log), first);
	r = kt_evreader_new(log, first - 1, NULL, NULL);
	assert_int_equal(read_dense(r, first), 2010);
	kt_evreader_free(r);
	/* Nothing to do, nothing done. */
	assert_int_equal(trim(log, 1 << 20, 0), KT_OK);
	assert_int_equal(kt_evlog_first_seq(log), first);
	kt_evlog_free(log);
}

static bool there(const char *name)
{
	struct stat st;
	return stat(name, &st) == 0;
}

/* While what is kept is copied the log is used as ever. */
static void trim_beside_use(void **state)
{
	KT_AUTOFREE char *beside = kt_asprintf("%s.new", path);
	struct kt_evlog *log = open_log();
	struct kt_evtrim t;
	bool more = false;
	struct kt_err err = KT_ERR_INIT;
	add(log, 2000);
	struct kt_evreader *r = kt_evreader_new(log, 2000, NULL, NULL);
	assert_int_equal(kt_evtrim_begin(log, 50000, 0, &t, &more, &err), KT_OK);
	assert_true(more);
	assert_int_equal(kt_evlog_first_seq(log), 1);
	/* Before, while and after it is copied: little, then much. */
	add(log, 10);
	assert_int_equal(kt_evtrim_copy(&t, &err), KT_OK);
	add(log, 4000);
	kt_evlog_idle(log);
	assert_int_equal(kt_evtrim_end(log, &t, &more, &err), KT_OK);
	assert_true(more);
	assert_int_equal(kt_evlog_first_seq(log), 1);
	assert_int_equal(kt_evtrim_copy(&t, &err), KT_OK);
	add(log, 100);
	assert_int_equal(kt_evtrim_end(log, &t, &more, &err), KT_OK);
	assert_false(more);
	kt_evtrim_release(&t);
	uint64_t first = kt_evlog_first_seq(log);
	assert_in_range(first, 1000, 2000);
	assert_int_equal(read_dense(r, 2001), 6110);
	kt_evreader_free(r);
	add(log, 5);
	kt_evlog_free(log);
	log = open_log();
	assert_int_equal(kt_evlog_first_seq(log), first);
	r = kt_evreader_new(log, first - 1, NULL, NULL);
	assert_int_equal(read_dense(r, first), 6115);
	kt_evreader_free(r);
	/* Emptied meanwhile: that stands, and nothing is left beside it. */
	assert_int_equal(kt_evtrim_begin(log, 50000, 0, &t, &more, &err), KT_OK);
	assert_true(there(beside));
	assert_int_equal(kt_evtrim_copy(&t, &err), KT_OK);
	assert_int_equal(kt_evlog_expire(log, &err), KT_OK);
	assert_int_equal(kt_evtrim_end(log, &t, &more, &err), KT_ECONFLICT);
	kt_evtrim_release(&t);
	assert_false(there(beside));
	assert_int_equal(kt_evlog_first_seq(log), 6116);
	add(log, 1);
	kt_evlog_free(log);
}

static void trim_by_age(void **state)
{
	struct kt_evlog *log = open_log();
	add(log, 30);
	usleep(20000);
	int64_t middle = kt_time_us();
	usleep(20000);
	add(log, 7);
	assert_true(kt_evlog_begin_us(log) < middle);
	assert_int_equal(trim(log, UINT64_MAX, middle), KT_OK);
	assert_int_equal(kt_evlog_first_seq(log), 31);
	struct kt_evreader *r = kt_evreader_new(log, 30, NULL, NULL);
	assert_int_equal(read_dense(r, 31), 37);
	kt_evreader_free(r);
	assert_int_equal(trim(log, UINT64_MAX, kt_time_us() + 1000000), KT_OK);
	assert_int_equal(kt_evlog_first_seq(log), 38);
	assert_true(kt_evlog_begin_us(log) == INT64_MAX);
	add(log, 1);
	assert_true(kt_evlog_begin_us(log) > middle);
	assert_int_equal(kt_evlog_last_seq(log), 38);
	kt_evlog_free(log);
}

/* Numbers that somebody saw are not used twice, though their events are gone. */
static void skips_numbers(void **state)
{
	struct kt_evlog *log = open_log();
	struct kt_evreader *r;
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(65536);
	size_t n = 0;
	uint64_t last = 0;
	add(log, 5);
	assert_int_equal(kt_evlog_skip_to(log, 3, NULL), KT_OK);
	assert_int_equal(kt_evlog_first_seq(log), 1);
	assert_int_equal(kt_evlog_skip_to(log, 9, NULL), KT_OK);
	add(log, 2);
	assert_int_equal(kt_evlog_last_seq(log), 11);
	assert_int_equal(kt_evlog_read(log, 4, 1, 65536, &b, &n, &last, NULL), KT_OK);
	assert_non_null(strstr(b.ptr, "\"first\":5,\"last\":9"));
	kt_evlog_free(log);
	log = open_log();
	assert_int_equal(kt_evlog_last_seq(log), 11);
	r = kt_evreader_new(log, 9, NULL, NULL);
	assert_int_equal(read_dense(r, 10), 11);
	kt_evreader_free(r);
	kt_evlog_free(log);
}

/* Readers anywhere, trims at random: each number once, or in one gap. */
static void readers_under_trims(void **state)
{
	struct kt_evlog *log = open_log();
	struct kt_evreader *readers[8];
	struct kt_buf got[8];
	for (int i = 0; i < 8; i++) {
		readers[i] = kt_evreader_new(log, 0, NULL, NULL);
		kt_buf_init(&got[i], 64 * 1024 * 1024);
	}
	for (int round = 0; round < 300; round++) {
		const char *p = NULL;
		add(log, 1 + chance_below(40));
		int i = (int)chance_below(8);
		size_t n = kt_evreader_peek(readers[i], &p, 1 + chance_below(9000));
		kt_buf_add(&got[i], p, n);
		kt_evreader_advance(readers[i], n);
		if (chance_below(6) == 0)
			assert_int_equal(
				trim(log, 1 + chance_below(60000), 0), KT_OK);
	}
	for (int i = 0; i < 8; i++) {
		const char *p = NULL;
		size_t n, at = 0;
		struct kt_evframe f;
		uint64_t seen = 0;
		while ((n = kt_evreader_peek(readers[i], &p, 65536)) > 0) {
			kt_buf_add(&got[i], p, n);
			kt_evreader_advance(readers[i], n);
		}
		while (kt_evframe_next(got[i].ptr + at, got[i].len - at, &f) == 1) {
			if (f.type == KT_EV_GAP)
				assert_true(f.seq > seen);
			else
				assert_int_equal(f.seq, seen + 1);
			seen = f.seq;
			at += f.len;
		}
		assert_int_equal(at, got[i].len);
		assert_int_equal(seen, kt_evlog_last_seq(log));
		kt_evreader_free(readers[i]);
		kt_buf_release(&got[i]);
	}
	kt_evlog_free(log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(names_its_owner, setup, teardown),
		cmocka_unit_test_setup_teardown(last_lines, setup, teardown),
		cmocka_unit_test_setup_teardown(by_time, setup, teardown),
		cmocka_unit_test_setup_teardown(trim_by_size, setup, teardown),
		cmocka_unit_test_setup_teardown(trim_beside_use, setup, teardown),
		cmocka_unit_test_setup_teardown(trim_by_age, setup, teardown),
		cmocka_unit_test_setup_teardown(skips_numbers, setup, teardown),
		cmocka_unit_test_setup_teardown(readers_under_trims, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
