/* SPDX-License-Identifier: MIT */
/* A whole log read beside the loop: what the loop does to it meanwhile changes nothing. */
#include "event/event.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/str.h"

#include <pthread.h>
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
	(void)snprintf(dir, sizeof(dir), "/tmp/kt-scan-XXXXXX");
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

static struct kt_evlog *open_log(const char *file, size_t memory)
{
	struct kt_evlog_config cfg = { .path = file, .session_id = "s", .max_memory_bytes = memory };
	struct kt_evlog *log = NULL;
	assert_int_equal(kt_evlog_open(loop, &cfg, &log, NULL), KT_OK);
	return log;
}

static void add(struct kt_evlog *log, uint64_t n, size_t bytes)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_MAX_EVENT_BYTES);
	kt_buf_adds(&b, "{\"text\":\"");
	for (size_t i = 0; i < bytes; i++)
		kt_buf_addc(&b, 'x');
	kt_buf_adds(&b, "\"}");
	for (uint64_t i = 0; i < n; i++) {
		const struct kt_event_draft ev = { .type = KT_EV_TEXT, .data = b.ptr, .data_len = b.len };
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

struct seen {
	uint64_t first, last, n, stop_at;
	pthread_t on;
};

static bool see(void *arg, const struct kt_evframe *f)
{
	struct seen *x = arg;
	assert_int_equal(kt_evframe_check(f), KT_LINESUM_OK);
	if (x->n++ == 0)
		x->first = f->seq;
	else
		assert_int_equal(f->seq, x->last + 1);
	x->last = f->seq;
	x->on = pthread_self();
	return f->seq != x->stop_at;
}

static void expect(struct kt_evscan *scan, uint64_t first, uint64_t last)
{
	struct seen x = { 0 };
	assert_int_equal(kt_evscan_run(scan, NULL, see, &x, NULL), KT_OK);
	assert_int_equal(x.first, first);
	assert_int_equal(x.last, last);
	kt_evscan_release(scan);
	assert_int_equal(scan->fd, -1);
}

static void in_file_and_memory(void **state)
{
	static const uint64_t after[] = { 0, 1, 500, 999, 1000 };
	struct kt_evlog *log = open_log(path, 8192);
	struct kt_evscan scan;
	assert_int_equal(kt_evscan_open(log, 0, &scan, NULL), KT_OK);
	assert_int_equal(kt_evscan_bytes(&scan), 0);
	expect(&scan, 0, 0);
	add(log, 1000, 300);
	for (size_t i = 0; i < KT_ARRAY_LEN(after); i++) {
		assert_int_equal(kt_evscan_open(log, after[i], &scan, NULL), KT_OK);
		expect(&scan, after[i] < 1000 ? after[i] + 1 : 0, after[i] < 1000 ? 1000 : 0);
	}
	/* What is in the file is not copied. */
	assert_int_equal(kt_evscan_open(log, 0, &scan, NULL), KT_OK);
	assert_int_equal(scan.rest.len, 0);
	assert_true(kt_evscan_bytes(&scan) > 300 * 1000);
	expect(&scan, 1, 1000);
	kt_evlog_free(log);
}

static void what_comes_later_is_not_in_it(void **state)
{
	struct kt_evlog *log = open_log(path, 8192);
	struct kt_evscan scans[3];
	add(log, 2000, 300);
	for (size_t i = 0; i < KT_ARRAY_LEN(scans); i++)
		assert_int_equal(kt_evscan_open(log, 0, &scans[i], NULL), KT_OK);
	add(log, 100, 300);
	expect(&scans[0], 1, 2000);
	assert_int_equal(trim(log, 50000, 0), KT_OK);
	assert_true(kt_evlog_first_seq(log) > 1000);
	expect(&scans[1], 1, 2000);
	assert_int_equal(kt_evlog_expire(log, NULL), KT_OK);
	kt_evlog_detach(log);
	assert_int_equal(unlink(path), 0);
	kt_evlog_free(log);
	expect(&scans[2], 1, 2000);
}

static void memory_only(void **state)
{
	struct kt_evlog *log = open_log(NULL, 65536);
	struct kt_evscan scan;
	add(log, 1000, 300);
	assert_true(kt_evlog_first_seq(log) > 1);
	assert_int_equal(kt_evscan_open(log, 0, &scan, NULL), KT_OK);
	assert_true(scan.rest.len <= 65536 + 65536);
	uint64_t first = kt_evlog_first_seq(log);
	kt_evlog_free(log);
	expect(&scan, first, 1000);
}

static void an_idle_log_stays_closed(void **state)
{
	struct kt_evlog *log = open_log(path, 8192);
	struct kt_evscan scan;
	char at[64];
	add(log, 100, 300);
	kt_evlog_idle(log);
	assert_int_equal(kt_evscan_open(log, 50, &scan, NULL), KT_OK);
	assert_true(scan.fd >= 0);
	int own = scan.fd;
	expect(&scan, 51, 100);
	for (int fd = own - 2; fd <= own + 2; fd++) {
		char to[128];
		(void)snprintf(at, sizeof(at), "/proc/self/fd/%d", fd);
		ssize_t n = readlink(at, to, sizeof(to) - 1);
		to[n > 0 ? n : 0] = '\0';
		assert_string_not_equal(to, path);
	}
	kt_evlog_free(log);
}

/* Frames of the largest size, and as many small ones as there are between pieces. */
static void every_size(void **state)
{
	static const size_t sizes[] = { 0, 1000, 65400, 262000, 524288, KT_MAX_EVENT_BYTES - 20, 3 };
	struct kt_evlog *log = open_log(path, 8192);
	struct kt_evscan scan;
	for (size_t i = 0; i < 40; i++)
		add(log, 3, sizes[i % KT_ARRAY_LEN(sizes)]);
	assert_int_equal(kt_evscan_open(log, 0, &scan, NULL), KT_OK);
	expect(&scan, 1, 120);
	kt_evlog_free(log);
}

static void ends_when_told(void **state)
{
	struct kt_evlog *log = open_log(path, 8192);
	struct kt_evscan scan;
	struct seen x = { .stop_at = 7 };
	atomic_bool canceled = true;
	struct kt_err err = KT_ERR_INIT;
	add(log, 100, 300);
	assert_int_equal(kt_evscan_open(log, 0, &scan, NULL), KT_OK);
	assert_int_equal(kt_evscan_run(&scan, &canceled, see, &x, &err), KT_ECANCEL);
	assert_int_equal(x.n, 0);
	canceled = false;
	assert_int_equal(kt_evscan_run(&scan, &canceled, see, &x, &err), KT_OK);
	assert_int_equal(x.last, 7);
	kt_evscan_release(&scan);
	kt_evlog_free(log);
}

static void damage_is_told(void **state)
{
	struct kt_evlog *log = open_log(path, 8192);
	struct kt_evscan scan;
	struct seen x = { 0 };
	struct kt_err err = KT_ERR_INIT;
	struct stat st;
	add(log, 100, 300);
	assert_int_equal(kt_evscan_open(log, 0, &scan, NULL), KT_OK);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(truncate(path, st.st_size - 10), 0);
	assert_int_equal(kt_evscan_run(&scan, NULL, see, &x, &err), KT_EIO);
	assert_int_equal(x.last, 99);
	kt_evscan_release(&scan);
	kt_evlog_detach(log);
	kt_evlog_free(log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(in_file_and_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(what_comes_later_is_not_in_it, setup, teardown),
		cmocka_unit_test_setup_teardown(memory_only, setup, teardown),
		cmocka_unit_test_setup_teardown(an_idle_log_stays_closed, setup, teardown),
		cmocka_unit_test_setup_teardown(every_size, setup, teardown),
		cmocka_unit_test_setup_teardown(ends_when_told, setup, teardown),
		cmocka_unit_test_setup_teardown(damage_is_told, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
