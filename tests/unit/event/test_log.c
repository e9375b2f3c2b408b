/* SPDX-License-Identifier: MIT */
/*
 * The log against its one promise: whatever is cut, dropped, expired, crashed or slow, a reader
 * sees each event once and in order, or a gap that names what it missed.
 */
#include "event/event.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/str.h"
#include "base/time.h"
#include "tests/unit/patience.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmocka.h>

static struct kt_loop *loop;
static char dir[64];
static char path[96];

static int setup(void **state)
{
	(void)state;
	struct kt_err err = KT_ERR_INIT;
	(void)snprintf(dir, sizeof(dir), "/tmp/kt-event-XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/events", dir);
	return kt_loop_new(&loop, &err) == KT_OK ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	struct kt_err err = KT_ERR_INIT;
	kt_loop_free(loop);
	return kt_fs_remove_tree(dir, &err) == KT_OK ? 0 : -1;
}

static struct kt_evlog *open_log(const char *file, size_t max_memory)
{
	struct kt_evlog_config cfg = { .path = file, .session_id = "sess_test",
		.max_memory_bytes = max_memory };
	struct kt_evlog *log = NULL;
	struct kt_err err = KT_ERR_INIT;
	enum kt_code code = kt_evlog_open(loop, &cfg, &log, &err);
	if (code != KT_OK)
		print_error("%s\n", err.msg);
	assert_int_equal(code, KT_OK);
	return log;
}

static uint64_t add(struct kt_evlog *log, size_t len)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(2 * KT_MAX_EVENT_BYTES);
	kt_buf_adds(&b, "{\"part\":{\"type\":\"text\",\"text\":\"");
	while (b.len < len)
		kt_buf_addc(&b, (char)('a' + (b.len * 7 + len) % 26));
	kt_buf_adds(&b, "\"},\"part_id\":\"p\"}");
	const struct kt_event_draft ev = { .type = KT_EV_TEXT, .turn_id = "turn_1", .data = b.ptr,
		.data_len = b.len };
	return kt_evlog_append(log, &ev);
}

/* Read all that comes, in pieces of at most `step` random bytes. */
static void drain(struct kt_evreader *r, struct kt_buf *b, size_t step)
{
	for (;;) {
		const char *p = NULL;
		size_t n = kt_evreader_peek(r, &p, step > 0 ? chance_below(step) + 1 : SIZE_MAX);
		if (n == 0)
			return;
		kt_buf_add(b, p, n);
		kt_evreader_advance(r, n);
		assert_true(kt_buf_ok(b));
		bool end = b->len >= 2 && memcmp(b->ptr + b->len - 2, "\n\n", 2) == 0;
		assert_true(kt_evreader_at_boundary(r) == end);
	}
}

/* Check that b is frames from..to, each once; gaps are counted and may name what is missing. */
static int check_frames(const struct kt_buf *b, uint64_t from, uint64_t to)
{
	size_t at = 0;
	int gaps = 0;
	uint64_t want = from;
	while (at < b->len) {
		struct kt_evframe f;
		assert_int_equal(kt_evframe_next(b->ptr + at, b->len - at, &f), 1);
		at += f.len;
		if (f.type == KT_EV_GAP) {
			char text[96];
			(void)snprintf(text, sizeof(text), "\"data\":{\"first\":%llu,\"last\":%llu}",
				(unsigned long long)want, (unsigned long long)f.seq);
			assert_non_null(memmem(f.json, f.json_len, text, strlen(text)));
			gaps++;
		} else {
			assert_int_equal(f.seq, want);
		}
		want = f.seq + 1;
	}
	assert_int_equal(want, to + 1);
	return gaps;
}

static void whole(struct kt_evlog *log, uint64_t after, struct kt_buf *b, size_t step)
{
	struct kt_evreader *r = kt_evreader_new(log, after, NULL, NULL);
	kt_buf_clear(b);
	drain(r, b, step);
	kt_evreader_free(r);
}

static void tick(void)
{
	(void)uv_run(kt_loop_uv(loop), UV_RUN_NOWAIT);
}

static void every_cut_joins(void **state)
{
	(void)state;
	KT_AUTO_BUF struct kt_buf all = KT_BUF_INIT(64 << 20);
	KT_AUTO_BUF struct kt_buf part = KT_BUF_INIT(64 << 20);
	for (int kind = 0; kind < 3; kind++) {
		struct kt_evlog *log = open_log(kind == 0 ? NULL : path, 4 << 20);
		for (int i = 0; i < 400; i++)
			add(log, chance_below(2000));
		tick();
		if (kind == 2)
			kt_evlog_idle(log);
		whole(log, 0, &all, 0);
		assert_int_equal(check_frames(&all, 1, kt_evlog_last_seq(log)), 0);
		for (int i = 0; i < 100; i++) {
			struct kt_evreader *r = kt_evreader_new(log, 0, NULL, NULL);
			size_t cut = chance_below(all.len);
			kt_buf_clear(&part);
			while (part.len < cut) {
				const char *p = NULL;
				size_t n = kt_evreader_peek(r, &p, chance_below(cut - part.len) + 1);
				kt_buf_add(&part, p, n);
				kt_evreader_advance(r, n);
				if (chance_below(8) == 0)
					kt_evlog_idle(log);
			}
			drain(r, &part, 1 + chance_below(5000));
			kt_evreader_free(r);
			assert_int_equal(part.len, all.len);
			assert_memory_equal(part.ptr, all.ptr, all.len);
		}
		kt_evlog_free(log);
		if (kind == 1)
			assert_int_equal(unlink(path), 0);
	}
}

static void torn_tail(void **state)
{
	(void)state;
	struct kt_err err = KT_ERR_INIT;
	KT_AUTO_BUF struct kt_buf file = KT_BUF_INIT(64 << 20);
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(64 << 20);
	struct kt_evlog *log = open_log(path, 4 << 20);
	for (int i = 0; i < 60; i++)
		add(log, i == 50 ? 300000 : chance_below(3000));
	kt_evlog_free(log);
	assert_int_equal(kt_fs_read(path, &file, &err), KT_OK);
	for (int i = 0; i < 50; i++) {
		size_t cut = i < 40 ? (size_t)i : chance_below(file.len);
		if (i >= 20 && i < 40)
			cut = file.len - (size_t)(i - 20);
		KT_AUTO_BUF struct kt_buf torn = KT_BUF_INIT(64 << 20);
		kt_buf_add(&torn, file.ptr, cut);
		if (i % 5 == 4 && cut > 40) {
			/* What a power cut leaves of blocks that were not written. */
			KT_AUTOFREE char *zeros = kt_calloc(1, 200000);
			kt_buf_add(&torn, zeros, 200000);
		}
		assert_int_equal(kt_fs_write_atomic(path, torn.ptr, torn.len, 0600, false, &err), KT_OK);
		log = open_log(path, 4 << 20);
		uint64_t last = kt_evlog_last_seq(log);
		whole(log, 0, &b, 0);
		assert_int_equal(check_frames(&b, 1, last), 0);
		assert_true(b.len <= cut);
		assert_memory_equal(b.ptr, file.ptr + (cut < 30 ? 0 : 24), cut < 30 ? 0 : b.len);
		assert_int_equal(add(log, 100), last + 1);
		assert_int_equal(add(log, 100), last + 2);
		kt_evlog_free(log);
		log = open_log(path, 4 << 20);
		assert_int_equal(kt_evlog_last_seq(log), last + 2);
		whole(log, 0, &b, 700);
		assert_int_equal(check_frames(&b, 1, last + 2), 0);
		kt_evlog_free(log);
	}
}

static void no_event_log(void **state)
{
	(void)state;
	static const char *const texts[] = { "hello\n\n", ": karta-log base_seq=x\n\n",
		": karta-log base_seq=0\n\nrubbish\n\n",
		": karta-log base_seq=5\n\nid: 5\nevent: text\ndata: {}\n\n" };
	for (size_t i = 0; i < KT_ARRAY_LEN(texts); i++) {
		struct kt_err err = KT_ERR_INIT;
		struct kt_evlog_config cfg = { .path = path, .session_id = "s",
			.max_memory_bytes = 1 << 20 };
		struct kt_evlog *log = NULL;
		assert_int_equal(kt_fs_write_atomic(path, texts[i], strlen(texts[i]), 0600, false, &err),
			KT_OK);
		assert_int_equal(kt_evlog_open(loop, &cfg, &log, &err), KT_EPROTO);
		assert_null(log);
	}
}

/* After a power cut a file may have its size without its bytes: it reads as zeros. */
static void size_without_bytes(void **state)
{
	(void)state;
	static const char zeros[5000];
	for (size_t n = 1; n <= sizeof(zeros); n = n * 3 + 1) {
		KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);
		struct kt_err err = KT_ERR_INIT;
		assert_int_equal(kt_fs_write_atomic(path, zeros, n, 0600, false, &err), KT_OK);
		struct kt_evlog *log = open_log(path, 1 << 20);
		add(log, 10);
		kt_evlog_free(log);
		log = open_log(path, 1 << 20);
		whole(log, 0, &b, 0);
		assert_int_equal(check_frames(&b, 1, 1), 0);
		kt_evlog_free(log);
		assert_int_equal(unlink(path), 0);
	}
}

static void resume_from_everywhere(void **state)
{
	(void)state;
	enum { N = 500 };
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(64 << 20);
	struct kt_evlog *log = open_log(path, 4 << 20);
	for (int i = 0; i < N; i++)
		add(log, i == 77 || i == 400 ? 200000 : chance_below(500));
	for (int round = 0; round < 3; round++) {
		for (uint64_t after = 0; after <= N + 1; after += round == 0 ? 1 : chance_below(9) + 1) {
			whole(log, after, &b, 0);
			assert_int_equal(check_frames(&b, KT_MIN(after, N) + 1, N), 0);
		}
		if (round == 0)
			kt_evlog_idle(log);
		if (round == 1) {
			kt_evlog_free(log);
			log = open_log(path, 4 << 20);
		}
	}
	assert_int_equal(kt_evlog_memory(log), 0);
	assert_int_equal(kt_evlog_first_seq(log), 1);
	/* New events go on after old ones for a reader that began in the file. */
	struct kt_evreader *r = kt_evreader_new(log, 490, NULL, NULL);
	kt_buf_clear(&b);
	add(log, 10);
	drain(r, &b, 100);
	add(log, 10);
	drain(r, &b, 100);
	kt_evreader_free(r);
	assert_int_equal(check_frames(&b, 491, N + 2), 0);
	kt_evlog_free(log);
}

static void memory_log_overflows_into_a_gap(void **state)
{
	(void)state;
	KT_AUTO_BUF struct kt_buf slow_b = KT_BUF_INIT(64 << 20);
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(64 << 20);
	struct kt_evlog *log = open_log(NULL, 200000);
	add(log, 1000);
	struct kt_evreader *slow = kt_evreader_new(log, 0, NULL, NULL);
	struct kt_evreader *unread = kt_evreader_new(log, 0, NULL, NULL);
	/* Stop within a frame: it must be finished before the gap. */
	const char *p = NULL;
	size_t n = kt_evreader_peek(slow, &p, 300);
	kt_buf_add(&slow_b, p, n);
	kt_evreader_advance(slow, n);
	for (int i = 0; i < 1000; i++) {
		add(log, 500);
		assert_true(kt_evlog_memory(log) <= 200000);
		tick();
	}
	assert_true(kt_evlog_first_seq(log) > 500);
	drain(slow, &slow_b, 333);
	assert_int_equal(check_frames(&slow_b, 1, 1001), 1);
	drain(unread, &b, 0);
	assert_int_equal(check_frames(&b, 1, 1001), 1);
	assert_true(b.len < slow_b.len);
	kt_evreader_free(slow);
	kt_evreader_free(unread);
	whole(log, 10, &b, 0);
	assert_int_equal(check_frames(&b, 11, 1001), 1);
	whole(log, kt_evlog_first_seq(log) - 1, &b, 0);
	assert_int_equal(check_frames(&b, kt_evlog_first_seq(log), 1001), 0);
	kt_evlog_free(log);
}

static void file_log_is_bounded_without_gaps(void **state)
{
	(void)state;
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(64 << 20);
	KT_AUTO_BUF struct kt_buf late = KT_BUF_INIT(64 << 20);
	struct kt_evlog *log = open_log(path, 200000);
	struct kt_evreader *r = kt_evreader_new(log, 0, NULL, NULL);
	for (int i = 0; i < 3000; i++) {
		add(log, chance_below(1500));
		assert_true(kt_evlog_memory(log) <= 200000);
		if (chance_below(400) == 0)
			kt_evlog_idle(log);
		if (chance_below(50) == 0) {
			const char *p = NULL;
			size_t n = kt_evreader_peek(r, &p, 20000);
			kt_buf_add(&late, p, n);
			kt_evreader_advance(r, n);
			tick();
		}
	}
	drain(r, &late, 0);
	assert_int_equal(check_frames(&late, 1, 3000), 0);
	whole(log, 0, &b, 100000);
	assert_int_equal(b.len, late.len);
	assert_memory_equal(b.ptr, late.ptr, b.len);
	kt_evreader_free(r);
	kt_evlog_free(log);
}

static void expire(void **state)
{
	(void)state;
	struct kt_err err = KT_ERR_INIT;
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(64 << 20);
	KT_AUTO_BUF struct kt_buf mid_b = KT_BUF_INIT(64 << 20);
	for (int kind = 0; kind < 3; kind++) {
		/* 0 memory, 1 file with memory, 2 file and idle */
		struct kt_evlog *log = open_log(kind == 0 ? NULL : path, 1 << 20);
		assert_int_equal(kt_evlog_expire(log, &err), KT_OK);
		for (int i = 0; i < 100; i++)
			add(log, 2000);
		struct kt_evreader *mid = kt_evreader_new(log, 40, NULL, NULL);
		struct kt_evreader *up = kt_evreader_new(log, 100, NULL, NULL);
		kt_buf_clear(&mid_b);
		const char *p = NULL;
		size_t n = kt_evreader_peek(mid, &p, 3000);
		assert_true(n > 0);
		kt_buf_add(&mid_b, p, n);
		kt_evreader_advance(mid, n);
		if (kind == 2)
			kt_evlog_idle(log);
		assert_int_equal(kt_evlog_expire(log, &err), KT_OK);
		assert_int_equal(kt_evlog_expire(log, &err), KT_OK);
		assert_int_equal(kt_evlog_first_seq(log), 101);
		assert_int_equal(kt_evlog_last_seq(log), 100);
		assert_int_equal(add(log, 10), 101);
		assert_int_equal(add(log, 10), 102);
		drain(mid, &mid_b, 0);
		assert_int_equal(check_frames(&mid_b, 41, 102), 1);
		kt_buf_clear(&b);
		drain(up, &b, 0);
		assert_int_equal(check_frames(&b, 101, 102), 0);
		kt_evreader_free(mid);
		kt_evreader_free(up);
		whole(log, 7, &b, 0);
		assert_int_equal(check_frames(&b, 8, 102), 1);
		kt_evlog_free(log);
		if (kind == 0)
			continue;
		log = open_log(path, 1 << 20);
		assert_int_equal(kt_evlog_first_seq(log), 101);
		assert_int_equal(kt_evlog_last_seq(log), 102);
		whole(log, 7, &b, 0);
		assert_int_equal(check_frames(&b, 8, 102), 1);
		whole(log, 101, &b, 0);
		assert_int_equal(check_frames(&b, 102, 102), 0);
		/* Everything expired, and nothing after it: only the gap. */
		assert_int_equal(kt_evlog_expire(log, &err), KT_OK);
		whole(log, 0, &b, 0);
		assert_int_equal(check_frames(&b, 1, 102), 1);
		kt_evlog_free(log);
		log = open_log(path, 1 << 20);
		assert_int_equal(add(log, 10), 103);
		kt_evlog_free(log);
		assert_int_equal(unlink(path), 0);
	}
}

struct sink {
	struct kt_evreader *r;
	struct kt_buf b;
	int wakes;
	size_t step;
};

static void take(void *arg)
{
	struct sink *s = arg;
	s->wakes++;
	drain(s->r, &s->b, s->step);
}

static void burst_with_hundred_readers(void **state)
{
	(void)state;
	enum { N = 100, EVENTS = 10000 };
	static struct sink sinks[N];
	struct kt_evlog *log = open_log(path, 256 * 1024);
	for (int i = 0; i < N; i++) {
		sinks[i] = (struct sink){ .step = 1 + chance_below(100000) };
		kt_buf_init(&sinks[i].b, 64 << 20);
		sinks[i].r = kt_evreader_new(log, 0, take, &sinks[i]);
	}
	assert_int_equal(kt_evlog_readers(log), N);
	int ticks = 0;
	for (int i = 0; i < EVENTS; i++) {
		add(log, 60);
		if (chance_below(500) == 0) {
			tick();
			ticks++;
		}
	}
	tick();
	for (int i = 0; i < N; i++) {
		/* Once a tick, whatever was appended in it. */
		assert_true(sinks[i].wakes <= ticks + 1);
		assert_int_equal(sinks[i].b.len, sinks[0].b.len);
		assert_memory_equal(sinks[i].b.ptr, sinks[0].b.ptr, sinks[0].b.len);
	}
	assert_int_equal(check_frames(&sinks[0].b, 1, EVENTS), 0);
	for (int i = 0; i < N; i++) {
		kt_evreader_free(sinks[i].r);
		kt_buf_release(&sinks[i].b);
	}
	kt_evlog_free(log);
}

struct killer {
	struct kt_evreader *self;
	struct kt_evreader **victims;
	size_t n;
	int wakes;
};

static void kill_some(void *arg)
{
	struct killer *k = arg;
	k->wakes++;
	for (size_t i = 0; i < k->n; i++) {
		kt_evreader_free(k->victims[i]);
		k->victims[i] = NULL;
	}
	k->n = 0;
}

static void freed_while_waking(void **state)
{
	(void)state;
	struct kt_evlog *log = open_log(NULL, 1 << 20);
	struct kt_evreader *r[6];
	struct killer k[6] = { { NULL } };
	for (int i = 0; i < 6; i++)
		r[i] = kt_evreader_new(log, 0, kill_some, &k[i]);
	/* Woken newest first: 5 frees itself and the next two, 2 frees one already woken. */
	struct kt_evreader *first[3] = { r[5], r[4], r[3] };
	struct kt_evreader *second[1] = { r[0] };
	k[5].victims = first;
	k[5].n = 3;
	k[2].victims = second;
	k[2].n = 1;
	add(log, 10);
	tick();
	assert_int_equal(k[5].wakes, 1);
	assert_int_equal(k[4].wakes + k[3].wakes + k[0].wakes, 0);
	assert_int_equal(k[2].wakes, 1);
	assert_int_equal(k[1].wakes, 1);
	assert_int_equal(kt_evlog_readers(log), 2);
	kt_evreader_free(r[1]);
	kt_evreader_free(r[2]);
	kt_evlog_free(log);
}

static void paging(void **state)
{
	(void)state;
	struct kt_err err = KT_ERR_INIT;
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(64 << 20);
	struct kt_evlog *log = open_log(path, 1 << 20);
	for (int i = 0; i < 250; i++)
		add(log, i == 100 ? 500000 : 200);
	for (int round = 0; round < 2; round++) {
		uint64_t after = 0;
		size_t total = 0;
		while (after < 250) {
			size_t n = 0;
			uint64_t last = 0;
			kt_buf_clear(&b);
			assert_int_equal(kt_evlog_read(log, after, 17, 3000, &b, &n, &last, &err), KT_OK);
			assert_in_range(n, 1, 17);
			assert_true(b.len <= 3000 || n == 1);
			assert_int_equal(last, after + n);
			assert_true(b.ptr[0] == '{' && b.ptr[b.len - 1] == '}');
			total += n;
			after = last;
		}
		assert_int_equal(total, 250);
		kt_evlog_idle(log);
	}
	size_t n = 9;
	uint64_t last = 0;
	kt_buf_clear(&b);
	assert_int_equal(kt_evlog_read(log, 250, 10, 1000, &b, &n, &last, &err), KT_OK);
	assert_int_equal(n, 0);
	assert_int_equal(last, 250);
	assert_int_equal(b.len, 0);
	assert_int_equal(kt_evlog_expire(log, &err), KT_OK);
	add(log, 20);
	assert_int_equal(kt_evlog_read(log, 30, 10, 1000, &b, &n, &last, &err), KT_OK);
	assert_int_equal(n, 2);
	assert_int_equal(last, 251);
	assert_non_null(strstr(b.ptr, "\"type\":\"gap\""));
	assert_non_null(strstr(b.ptr, "\"data\":{\"first\":31,\"last\":250}"));
	kt_evlog_free(log);
}

static void big_events(void **state)
{
	(void)state;
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(64 << 20);
	struct kt_evlog *log = open_log(path, 4 << 20);
	for (int i = 0; i < 12; i++) {
		add(log, KT_MAX_EVENT_BYTES - 100);
		add(log, 50);
		assert_true(kt_evlog_memory(log) <= (4 << 20));
	}
	add(log, KT_MAX_EVENT_BYTES + 100);
	whole(log, 0, &b, 0);
	assert_int_equal(check_frames(&b, 1, 25), 0);
	assert_non_null(strstr(b.ptr, "{\"truncated\":true,\"bytes\":"));
	/* Ids that grow sixfold when escaped. */
	KT_AUTOFREE char *id = kt_malloc(5001);
	memset(id, 1, 5000);
	id[5000] = '\0';
	const struct kt_event_draft ev = { .type = KT_EV_SYSTEM, .turn_id = id,
		.parent_tool_use_id = id, .data = "{}", .data_len = 2 };
	for (int i = 0; i < 40; i++)
		(void)kt_evlog_append(log, &ev);
	kt_evlog_idle(log);
	for (uint64_t after = 0; after < 25; after++) {
		whole(log, after, &b, 0);
		assert_int_equal(check_frames(&b, after + 1, 65), 0);
	}
	kt_evlog_free(log);
}

static void file_as_it_should_be(void **state)
{
	(void)state;
	struct kt_err err = KT_ERR_INIT;
	KT_AUTO_BUF struct kt_buf file = KT_BUF_INIT(64 << 20);
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(64 << 20);
	struct kt_evlog *log = open_log(path, 1 << 20);
	struct stat st;
	assert_int_equal(stat(path, &st), -1); /* nothing before the first event */
	add(log, 10);
	assert_int_equal(stat(path, &st), -1); /* nor before the tick's end */
	tick();
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	add(log, 10);
	/* A look in between writes first. */
	whole(log, 0, &b, 0);
	assert_int_equal(kt_fs_read(path, &file, &err), KT_OK);
	static const char header[] = ": karta-log base_seq=0\n\n";
	assert_memory_equal(file.ptr, header, sizeof(header) - 1);
	assert_int_equal(file.len, sizeof(header) - 1 + b.len);
	assert_memory_equal(file.ptr + sizeof(header) - 1, b.ptr, b.len);
	/* Detached, the file may go, and is not made again. */
	kt_evlog_detach(log);
	assert_int_equal(unlink(path), 0);
	add(log, 10);
	tick();
	assert_int_equal(kt_evlog_expire(log, &err), KT_OK);
	add(log, 10);
	kt_evlog_free(log);
	assert_int_equal(stat(path, &st), -1);
}

static void unwritable_goes_on_in_memory(void **state)
{
	(void)state;
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(64 << 20);
	char deep[128];
	(void)snprintf(deep, sizeof(deep), "%s/none/events", dir);
	struct kt_evlog *log = open_log(deep, 200000);
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(add(log, 500), i + 1);
		tick();
	}
	assert_true(kt_evlog_memory(log) <= 200000);
	whole(log, 0, &b, 0);
	assert_int_equal(check_frames(&b, 1, 1000), 1);
	kt_evlog_free(log);
	/* A file that somebody else wrote to in between is left alone; what it had is still read. */
	log = open_log(path, 200000);
	for (int i = 0; i < 10; i++)
		add(log, 500);
	kt_evlog_idle(log);
	int fd = open(path, O_WRONLY | O_APPEND);
	assert_int_equal(write(fd, "junk", 4), 4);
	close(fd);
	for (int i = 0; i < 1000; i++) {
		add(log, 500);
		tick();
	}
	whole(log, 0, &b, 0);
	assert_int_equal(check_frames(&b, 1, 1010), 1);
	kt_evlog_free(log);
}

/* A disk that has no room behind some bytes of a file. */
struct full_disk {
	struct rlimit was;
	struct sigaction old;
};

static struct full_disk disk_begin(void)
{
	struct sigaction sa = { .sa_handler = SIG_IGN };
	struct full_disk d;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &d.was), 0);
	assert_int_equal(sigaction(SIGXFSZ, &sa, &d.old), 0);
	return d;
}

static void disk_has(const struct full_disk *d, rlim_t bytes)
{
	struct rlimit small = { .rlim_cur = bytes, .rlim_max = d->was.rlim_max };

	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
}

static void disk_is_back(const struct full_disk *d)
{
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &d->was), 0);
}

static void disk_end(const struct full_disk *d)
{
	disk_is_back(d);
	assert_int_equal(sigaction(SIGXFSZ, &d->old, NULL), 0);
}

/* 20 events are written; of the 30 behind them a write comes only in part. */
static struct kt_evlog *cut_log(const struct full_disk *d)
{
	struct kt_evlog *log = open_log(path, 200000);

	for (int i = 0; i < 20; i++)
		add(log, 500);
	tick();
	disk_has(d, 20000);
	for (int i = 0; i < 30; i++)
		add(log, 500);
	tick();
	return log;
}

static void full_disk_leaves_whole_frames(void **state)
{
	(void)state;
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(64 << 20);
	struct full_disk disk = disk_begin();
	struct kt_evlog *log = cut_log(&disk);
	assert_int_equal(kt_evlogs_failed(), 1);
	for (int i = 0; i < 10; i++)
		add(log, 500);
	tick();
	whole(log, 0, &b, 400);
	assert_int_equal(check_frames(&b, 1, 60), 0);
	/* Memory overflows now: 1 to 20 are in the file, the next are lost. */
	for (int i = 0; i < 1000; i++)
		add(log, 500);
	whole(log, 0, &b, 400);
	assert_int_equal(check_frames(&b, 1, 1060), 1);
	assert_non_null(strstr(b.ptr, "\"data\":{\"first\":21,"));
	/* There is room again: what memory has is written, and the gap stays a gap. */
	disk_end(&disk);
	while (kt_evlogs_failed() > 0)
		tick();
	for (int i = 0; i < 10; i++)
		add(log, 500);
	tick();
	uint64_t first = kt_evlog_first_seq(log);
	assert_true(first > 21);
	kt_evlog_free(log);
	log = open_log(path, 200000);
	assert_int_equal(kt_evlog_last_seq(log), 1070);
	assert_int_equal(kt_evlog_first_seq(log), first);
	kt_evlog_free(log);
}

/* Nothing is lost by a disk that was full for a while, also of a log that is idle by then. */
static void full_disk_for_a_while(void **state)
{
	(void)state;
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(64 << 20);
	struct full_disk disk = disk_begin();
	/* From the first byte on, and in the middle of a frame. */
	static const rlim_t limits[] = { 0, 20000 };
	for (size_t i = 0; i < KT_ARRAY_LEN(limits); i++) {
		(void)unlink(path);
		struct kt_evlog *log = open_log(path, 200000);
		disk_has(&disk, limits[i]);
		for (int j = 0; j < 60; j++) {
			add(log, 500);
			tick();
		}
		kt_evlog_idle(log);
		assert_int_equal(kt_evlogs_failed(), 1);
		disk_is_back(&disk);
		while (kt_evlogs_failed() > 0)
			tick();
		assert_int_equal(kt_evlog_memory(log), 0);
		whole(log, 0, &b, 400);
		assert_int_equal(check_frames(&b, 1, 60), 0);
		/* Deleted while it fails: nothing is left that would try again. */
		disk_has(&disk, 0);
		add(log, 500);
		tick();
		assert_int_equal(kt_evlogs_failed(), 1);
		disk_is_back(&disk);
		kt_evlog_free(log);
		assert_int_equal(kt_evlogs_failed(), 0);
		log = open_log(path, 200000);
		assert_int_equal(kt_evlog_last_seq(log), 61);
		kt_evlog_free(log);
	}
	disk_end(&disk);
}

/* The disk is full to the end: the file ends at a whole frame. */
static void full_disk_and_restart(void **state)
{
	(void)state;
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(64 << 20);
	struct full_disk disk = disk_begin();
	struct kt_evlog *log = cut_log(&disk);
	kt_evlog_free(log);
	assert_int_equal(kt_evlogs_failed(), 0);
	disk_end(&disk);
	log = open_log(path, 200000);
	assert_int_equal(kt_evlog_last_seq(log), 20);
	whole(log, 0, &b, 0);
	assert_int_equal(check_frames(&b, 1, 20), 0);
	kt_evlog_free(log);
}

size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

static size_t allocated(void)
{
	if (__sanitizer_get_current_allocated_bytes != NULL)
		return __sanitizer_get_current_allocated_bytes();
	return mallinfo2().uordblks;
}

static void idle_is_small(void **state)
{
	(void)state;
	enum { N = 1000 };
	static struct kt_evlog *logs[N];
	char name[160];
	size_t before = allocated();
	for (int i = 0; i < N; i++) {
		/* As long as usual ones. */
		(void)snprintf(name, sizeof(name), "%s/data/sessions/sess_0123456789abcdefABCD%02d/events",
			dir, i % 100);
		logs[i] = open_log(i < 100 ? path : name, 1 << 20);
		if (i == 0) {
			add(logs[0], 1000);
			struct kt_evreader *r = kt_evreader_new(logs[0], 0, NULL, NULL);
			tick();
			kt_evlog_idle(logs[0]);
			const char *p = NULL;
			assert_true(kt_evreader_peek(r, &p, 10) > 0);
			kt_evreader_free(r);
		}
	}
	size_t each = (allocated() - before) / N;
	print_message("# %zu bytes for an idle log\n", each);
	assert_true(each <= 320);
	for (int i = 0; i < N; i++)
		kt_evlog_free(logs[i]);
}

static void speed(void **state)
{
	(void)state;
	enum { N = 200000 };
	static const char data[] =
		"{\"part\":{\"type\":\"text\",\"text\":\"a delta of the usual length, some words\"},"
		"\"part_id\":\"msg_0123456789\"}";
	const struct kt_event_draft ev = { .type = KT_EV_TEXT,
		.turn_id = "turn_0123456789abcdefghijkl", .data = data, .data_len = sizeof(data) - 1 };
	struct kt_evlog *log = open_log(path, KT_MAX_LOG_MEMORY_BYTES);
	int64_t begin = kt_mono_us();
	for (int i = 0; i < N; i++)
		(void)kt_evlog_append(log, &ev);
	int64_t us = kt_mono_us() - begin;
	print_message("# %lld ns for an append with its share of writing\n",
		(long long)(us * 1000 / N));
	kt_evlog_idle(log);
	begin = kt_mono_us();
	for (int i = 0; i < 1000; i++)
		kt_evreader_free(kt_evreader_new(log, chance_below(N), NULL, NULL));
	us = kt_mono_us() - begin;
	print_message("# %lld us to find a number among %d in the file\n", (long long)(us / 1000), N);
	kt_evlog_free(log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_cut_joins, setup, teardown),
		cmocka_unit_test_setup_teardown(torn_tail, setup, teardown),
		cmocka_unit_test_setup_teardown(no_event_log, setup, teardown),
		cmocka_unit_test_setup_teardown(size_without_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(resume_from_everywhere, setup, teardown),
		cmocka_unit_test_setup_teardown(memory_log_overflows_into_a_gap, setup, teardown),
		cmocka_unit_test_setup_teardown(file_log_is_bounded_without_gaps, setup, teardown),
		cmocka_unit_test_setup_teardown(expire, setup, teardown),
		cmocka_unit_test_setup_teardown(burst_with_hundred_readers, setup, teardown),
		cmocka_unit_test_setup_teardown(freed_while_waking, setup, teardown),
		cmocka_unit_test_setup_teardown(paging, setup, teardown),
		cmocka_unit_test_setup_teardown(big_events, setup, teardown),
		cmocka_unit_test_setup_teardown(file_as_it_should_be, setup, teardown),
		cmocka_unit_test_setup_teardown(unwritable_goes_on_in_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(full_disk_leaves_whole_frames, setup, teardown),
		cmocka_unit_test_setup_teardown(full_disk_for_a_while, setup, teardown),
		cmocka_unit_test_setup_teardown(full_disk_and_restart, setup, teardown),
		cmocka_unit_test_setup_teardown(idle_is_small, setup, teardown),
		cmocka_unit_test_setup_teardown(speed, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
