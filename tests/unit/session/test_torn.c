/* SPDX-License-Identifier: MIT */
/*
 * The journal after a loss of power inside its last write: cut at each byte, with what a file
 * system may leave behind the cut. What was there before is there; of what the write said a whole
 * fact is there or nothing of it: a session with the key that made it, a turn with the key that
 * sent it.
 */
#include "session/session.h"

#include "base/fs.h"
#include "base/log.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fake_control.h"
#include "common.h"

#define JOURNAL_BYTES (16 << 20)
#define MAX_FACTS 8

struct fact {
	char session[KT_ID_MAX], scope[KT_ID_MAX + 16], key[16];
	bool turn; /* that was sent with the key; else the session was made with it */
	bool gone; /* the session is deleted by the write */
	bool old; /* it was there before the write */
};

struct world {
	char dir[64];
	char *root, *data, *torn, *journal;
	struct kt_sessions *reg;
	struct kt_buf before, after; /* the journal */
	struct fact facts[MAX_FACTS];
	size_t n_facts;
};

static struct kt_sessions *open_at(const char *data)
{
	const struct kt_sessions_config cfg = { .loop = the_loop,
		.control = (struct kt_control *)&fake,
		.data_dir = data,
		.offline = true };
	struct kt_sessions *reg = NULL;
	struct kt_err err = KT_ERR_INIT;

	if (kt_sessions_open(&cfg, &reg, &err) != KT_OK)
		fail_msg("%s", err.msg);
	return reg;
}

static int set_up(void **state)
{
	struct world *w = kt_calloc(1, sizeof(*w));

	/* Thousands of starts, and no disk is what this is about. */
	(void)snprintf(w->dir, sizeof(w->dir), "%s/karta-torn-XXXXXX",
		kt_fs_is_dir("/dev/shm") ? "/dev/shm" : "/tmp");
	if (!mkdtemp(w->dir))
		return -1;
	w->root = kt_path_join(w->dir, "releases");
	w->data = kt_path_join(w->dir, "data");
	w->torn = kt_path_join(w->dir, "torn");
	w->journal = kt_path_join(w->torn, "sessions.jsonl");
	kt_buf_init(&w->before, JOURNAL_BYTES);
	kt_buf_init(&w->after, JOURNAL_BYTES);
	fake.root = w->root;
	kt_buf_init(&fake.log, 0);
	put(w->root, "rel_1/CLAUDE.md", "x\n");
	/* A turn that takes until the server is killed. */
	put(w->root, "rel_1/rehearsals/any.jsonl",
		"{\"karta_rehearsal\":1,\"match\":{\"text\":\"*\"}}\n"
		"{\"t\":1000000,\"end\":{\"stop_reason\":\"end_turn\",\"text\":\"x\"}}\n");
	w->reg = open_at(w->data);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	kt_sessions_free(w->reg);
	fake_release();
	kt_loop_run(the_loop);
	assert_int_equal(kt_fs_remove_tree(w->dir, NULL), KT_OK);
	kt_buf_release(&w->before);
	kt_buf_release(&w->after);
	free(w->root);
	free(w->data);
	free(w->torn);
	free(w->journal);
	free(w);
	return 0;
}

static void on_done(void *arg, enum kt_code rc, const struct kt_err *err)
{
	*(int *)arg = rc == KT_OK ? 1 : -1;
	kt_loop_stop(the_loop);
}

/* All that was said so far is in the file, which is read. */
static void settle(struct world *w, struct kt_buf *out)
{
	KT_AUTOFREE char *path = kt_path_join(w->data, "sessions.jsonl");
	int done = 0;

	kt_sessions_sync(w->reg, on_done, &done);
	while (!done)
		kt_loop_run(the_loop);
	assert_int_equal(done, 1);
	kt_buf_clear(out);
	assert_int_equal(kt_fs_read(path, out, NULL), KT_OK);
}

/* --- facts -------------------------------------------------------------------------------- */

static struct fact *add_fact(struct world *w, const char *session, const char *scope)
{
	struct fact *f = &w->facts[w->n_facts];

	assert_true(w->n_facts < MAX_FACTS);
	*f = (struct fact){ .turn = strcmp(scope, session) == 0 };
	(void)kt_str_copy(f->session, sizeof(f->session), session);
	(void)kt_str_copy(f->scope, sizeof(f->scope), scope);
	(void)snprintf(f->key, sizeof(f->key), "key%zu", w->n_facts++);
	return f;
}

static struct kt_session *create(struct world *w)
{
	struct kt_target t = { .org_id = "org_1",
		.org_slug = "default",
		.project_id = "prj_1",
		.project = "one",
		.release_id = "rel_1",
		.version = 1 };
	struct fact *f = add_fact(w, "", "create:org_1");
	const struct kt_session_new n = { .target = &t, .key = { f->scope, f->key, 77 } };
	struct kt_session *s = NULL;
	int done = 0;

	kt_sessions_prepare(w->reg, &t, on_done, &done);
	while (!done)
		kt_loop_run(the_loop);
	assert_int_equal(done, 1);
	assert_int_equal(kt_session_create(w->reg, &n, &s, NULL), KT_OK);
	memcpy(f->session, s->id, sizeof(f->session));
	return s;
}

static void say(struct world *w, struct kt_session *s, enum kt_on_busy on_busy)
{
	struct fact *f = add_fact(w, s->id, s->id);
	const struct kt_message m = {
		.text = "hello", .on_busy = on_busy, .key = { f->scope, f->key, 78 }
	};
	struct kt_sent sent;

	assert_int_equal(kt_session_send(s, &m, &sent, NULL), KT_OK);
}

/* The registry on what the cut left. whole: all of the write is there. */
static void check_facts(const struct world *w, const struct kt_sessions *reg, bool whole,
	const char *what, size_t at)
{
	for (size_t i = 0; i < w->n_facts; i++) {
		const struct fact *f = &w->facts[i];
		const struct kt_session *s = kt_session_get(reg, f->session);
		const struct kt_idem *seen = kt_idem_get(reg, f->scope, f->key);
		bool there = f->turn ? s && seen && seen->turn_id[0] : s != NULL;

		if ((f->old && !f->gone) || (whole && !f->gone))
			if (!there || !seen)
				fail_msg("%s at %zu: fact %zu is lost", what, at, i);
		if (whole && f->gone && s)
			fail_msg("%s at %zu: session %zu is back", what, at, i);
		if (!f->gone && there != (seen != NULL))
			fail_msg("%s at %zu: fact %zu is there by half", what, at, i);
		if (seen && strcmp(seen->session_id, f->session) != 0)
			fail_msg("%s at %zu: key %zu is another session's", what, at, i);
	}
	/* Each turn that is known by a key has ended, and there is none besides. */
	for (const struct kt_session *s = kt_session_older(reg, NULL); s;
		s = kt_session_older(reg, s)) {
		size_t turns = 0;

		for (size_t i = 0; i < w->n_facts; i++)
			turns += w->facts[i].turn && strcmp(w->facts[i].session, s->id) == 0 &&
				kt_idem_get(reg, s->id, w->facts[i].key) != NULL;
		if (s->turns != turns)
			fail_msg("%s at %zu: %u turns and %zu keys", what, at, s->turns, turns);
	}
}

/* Start on the first n bytes of `after`, and what follows. */
static void start_on(
	struct world *w, size_t n, const char *tail, size_t tail_len, bool whole, const char *what)
{
	KT_AUTOFREE char *sessions = kt_path_join(w->torn, "sessions");
	KT_AUTOFD int fd = open(w->journal, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct kt_sessions *reg;

	assert_true(fd >= 0);
	assert_int_equal(kt_fs_write_all(fd, w->after.ptr, n, NULL), KT_OK);
	assert_int_equal(kt_fs_write_all(fd, tail, tail_len, NULL), KT_OK);
	reg = open_at(w->torn);
	check_facts(w, reg, whole, what, n - w->before.len);
	/* And what recovering wrote reads the same. */
	if (n % 50 == 0) {
		kt_sessions_free(reg);
		reg = open_at(w->torn);
		check_facts(w, reg, whole, what, n - w->before.len);
	}
	kt_sessions_free(reg);
	kt_loop_run(the_loop);
	assert_int_equal(kt_fs_remove_tree(sessions, NULL), KT_OK);
}

static void cut_everywhere(struct world *w)
{
	size_t from = w->before.len, to = w->after.len;
	KT_AUTOFREE char *zeros = kt_calloc(1, to - from + 4096);
	KT_AUTOFREE char *hole = kt_malloc(to - from);
	static const char garbage[] = "\xff\xfe{\"id\":\"\x80";

	kt_sessions_free(KT_STEAL(w->reg));
	assert_true(to > from);
	assert_memory_equal(w->before.ptr, w->after.ptr, from);
	assert_int_equal(w->after.ptr[to - 1], '\n');
	assert_int_equal(kt_fs_mkdirs(w->torn, 0700, NULL), KT_OK);
	for (size_t n = from; n <= to; n++) {
		bool whole = n == to;

		start_on(w, n, "", 0, whole, "cut");
		if (n % 4 == 0)
			start_on(w, n, zeros, to - n, whole, "zeros");
		if (n % 16 == 1)
			start_on(w, n, zeros, 4096, whole, "many zeros");
		if (n % 4 == 2)
			start_on(w, n, garbage, sizeof(garbage) - 1, whole, "garbage");
		/* Zeros where a block was not written, then the end of the write. */
		if (n + 40 < to && n % 4 == 3) {
			memcpy(hole, w->after.ptr + n, to - n);
			memset(hole, 0, to - n - 40);
			start_on(w, n, hole, to - n, false, "hole");
		}
	}
}

/* --- writes ------------------------------------------------------------------------------- */

static void begin(struct world *w)
{
	settle(w, &w->before);
	for (size_t i = 0; i < w->n_facts; i++)
		w->facts[i].old = true;
}

static void test_create(void **state)
{
	struct world *w = *state;

	(void)create(w);
	begin(w);
	(void)create(w);
	settle(w, &w->after);
	cut_everywhere(w);
}

static void test_several(void **state)
{
	struct world *w = *state;
	struct kt_session *s = create(w);

	begin(w);
	(void)create(w);
	say(w, s, KT_BUSY_ENQUEUE);
	settle(w, &w->after);
	cut_everywhere(w);
}

static void test_queued(void **state)
{
	struct world *w = *state;
	struct kt_session *s = create(w);

	say(w, s, KT_BUSY_ENQUEUE);
	begin(w);
	say(w, s, KT_BUSY_ENQUEUE);
	say(w, s, KT_BUSY_INTERRUPT);
	settle(w, &w->after);
	cut_everywhere(w);
}

static void test_delete(void **state)
{
	struct world *w = *state;
	struct kt_session *s = create(w);

	(void)create(w);
	begin(w);
	w->facts[0].gone = true;
	kt_session_delete(s);
	settle(w, &w->after);
	cut_everywhere(w);
}

/* Each byte of a journal changed: what other lines say stands, and nothing is made up. */
static void test_rot(void **state)
{
	struct world *w = *state;
	struct kt_session *s = create(w);

	say(w, s, KT_BUSY_ENQUEUE);
	(void)create(w);
	settle(w, &w->after);
	kt_sessions_free(KT_STEAL(w->reg));
	assert_int_equal(kt_fs_mkdirs(w->torn, 0700, NULL), KT_OK);
	for (size_t at = 0; at + 1 < w->after.len; at++) {
		KT_AUTOFREE char *sessions = kt_path_join(w->torn, "sessions");
		KT_AUTOFREE char *copy = kt_malloc(w->after.len);
		struct kt_sessions *reg;
		size_t n_there = 0;

		memcpy(copy, w->after.ptr, w->after.len);
		copy[at] ^= 0x04;
		assert_int_equal(
			kt_fs_write_atomic(w->journal, copy, w->after.len, 0600, false, NULL),
			KT_OK);
		reg = open_at(w->torn);
		for (const struct kt_session *it = kt_session_older(reg, NULL); it;
			it = kt_session_older(reg, it), n_there++) {
			assert_true(strcmp(it->id, w->facts[0].session) == 0 ||
				strcmp(it->id, w->facts[2].session) == 0);
			assert_string_equal(kt_session_target(it)->project, "one");
			assert_true(it->turns <= 1);
		}
		/* A LF that is none makes one line of two, both damaged. */
		assert_true(n_there >= 1 || w->after.ptr[at] == '\n');
		for (size_t i = 0; i < w->n_facts; i++) {
			const struct kt_idem *seen = kt_idem_get(
				reg, w->facts[i].scope, w->facts[i].key);

			assert_true(!seen || seen->fingerprint == 77 || seen->fingerprint == 78);
		}
		kt_sessions_free(reg);
		kt_loop_run(the_loop);
		assert_int_equal(kt_fs_remove_tree(sessions, NULL), KT_OK);
	}
}

/* A damaged line stays, also when the journal is rewritten, and so does the folder of its session.
 */
static void test_damaged_is_kept(void **state)
{
	struct world *w = *state;
	struct kt_session *s = create(w);
	KT_AUTOFREE char *journal = kt_path_join(w->data, "sessions.jsonl");
	KT_AUTOFREE char *space = kt_asprintf("%s/sessions/%s/workspace", w->data, s->id);
	KT_AUTOFREE char *nobody = kt_asprintf("%s/sessions/sess_nobody", w->data);
	char id[KT_ID_MAX];

	memcpy(id, s->id, sizeof(id));
	settle(w, &w->after);
	for (int i = 0; i < 3000; i++) {
		kt_session_delete(create(w));
		w->n_facts--;
	}
	kt_sessions_free(w->reg);
	assert_int_equal(kt_fs_mkdirs(space, 0700, NULL), KT_OK);
	assert_int_equal(kt_fs_mkdirs(nobody, 0700, NULL), KT_OK);
	kt_buf_clear(&w->before);
	assert_int_equal(kt_fs_read(journal, &w->before, NULL), KT_OK);
	w->before.ptr[w->after.len / 2] ^= 1;
	KT_AUTOFREE char *line = kt_strndup(w->before.ptr, w->after.len);
	assert_int_equal(
		kt_fs_write_atomic(journal, w->before.ptr, w->before.len, 0600, false, NULL),
		KT_OK);
	for (int i = 0; i < 2; i++) {
		w->reg = open_at(w->data);
		assert_null(kt_session_get(w->reg, id));
		run_ms(30);
		assert_true(kt_fs_is_dir(space));
		assert_true(kt_fs_is_dir(nobody));
		kt_buf_clear(&w->before);
		assert_int_equal(kt_fs_read(journal, &w->before, NULL), KT_OK);
		assert_true(w->before.len < 3000 * 100);
		assert_true(kt_str_starts(w->before.ptr, line));
		kt_sessions_free(w->reg);
	}
	/* Without one, the folder of no session goes. */
	assert_int_equal(
		kt_fs_write_atomic(journal, w->after.ptr, w->after.len, 0600, false, NULL), KT_OK);
	w->reg = open_at(w->data);
	assert_non_null(kt_session_get(w->reg, id));
	for (int i = 0; i < 1000 && kt_fs_is_dir(nobody); i++)
		run_ms(10);
	assert_false(kt_fs_is_dir(nobody));
	assert_true(kt_fs_is_dir(space));
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

static void no_log(void *arg, enum kt_log_level level, const char *source, const char *text)
{
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_create),
		CASE(test_several),
		CASE(test_queued),
		CASE(test_delete),
		CASE(test_rot),
		CASE(test_damaged_is_kept),
	};
	struct kt_err err = KT_ERR_INIT;

	kt_log_set(no_log, NULL, KT_LOG_ERROR);
	if (kt_loop_new(&the_loop, &err) != KT_OK) {
		fprintf(stderr, "%s\n", err.msg);
		return 1;
	}
	int failed = cmocka_run_group_tests_name("torn", tests, NULL, NULL);
	kt_loop_free(the_loop);
	return failed;
}
