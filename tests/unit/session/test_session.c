/* SPDX-License-Identifier: MIT */
/*
 * Sessions with the rehearsal driver, so without a process: turns, the journal over restarts, torn
 * lines, idempotency, limits, drain.
 */
#include "session/session.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/str.h"
#include "base/time.h"
#include "fake_control.h"
#include "local.h"
#include "text/json.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char rehearsal[] = "{\"karta_rehearsal\":1,\"match\":{\"text\":\"*\"}}\n"
				"{\"t\":1,\"type\":\"text\",\"parent\":null,\"data\":{\"part\":{"
				"\"type\":\"text\",\"text\":\"hi\"},"
				"\"part_id\":\"p\"}}\n"
				"{\"t\":2,\"end\":{\"stop_reason\":\"end_turn\",\"text\":\"hi\","
				"\"usage\":{\"total_tokens\":3}}}\n";

static int set_up(void **state)
{
	struct world *w = world_new();

	if (!w)
		return -1;
	put(w->app, "rehearsals/any.jsonl", rehearsal);
	open_registry(w);
	*state = w;
	return 0;
}

static void note(void *arg, enum kt_note what, const char *turn_id)
{
	struct world *w = arg;

	if (what == KT_NOTE_TURN_END)
		w->ended++;
	else if (what == KT_NOTE_GONE)
		kt_watch_remove(&w->watch);
	kt_loop_stop(w->loop);
}

static struct kt_session *create(struct world *w)
{
	const struct kt_session_new n = { .metadata = "{\"a\":1}" };
	struct kt_session *s = NULL;

	assert_int_equal(kt_session_create(w->reg, &n, &s, NULL), KT_OK);
	return s;
}

static enum kt_code send_text(struct kt_session *s, const char *text, struct kt_sent *out)
{
	const struct kt_message m = { .text = text };

	return kt_session_send(s, &m, out, NULL);
}

/* Run until n turns of s have ended. */
static void run_turns(struct world *w, struct kt_session *s, int n)
{
	w->watch.note = note;
	w->watch.arg = w;
	w->ended = 0;
	kt_watch_add(s, &w->watch);
	while (w->ended < n)
		kt_loop_run(w->loop);
	kt_watch_remove(&w->watch);
}

static void test_turn_and_restart(void **state)
{
	struct world *w = *state;
	struct kt_session *s = create(w), *again;
	struct kt_sent sent;
	char id[KT_ID_MAX];
	uint64_t last;

	assert_int_equal(send_text(s, "hello", &sent), KT_OK);
	assert_int_equal(sent.queued, 0);
	run_turns(w, s, 1);
	assert_int_equal(s->turns, 1);
	assert_string_equal(s->title, "hello");
	assert_int_equal(kt_session_rename(s, " \t\x7f", NULL), KT_EINVAL);
	assert_int_equal(kt_session_rename(s, " a\nname\t", NULL), KT_OK);
	last = kt_session_last_seq(s);
	assert_true(last >= 3);
	memcpy(id, s->id, sizeof(id));
	close_registry(w);
	open_registry(w);
	again = kt_session_get(w->reg, id);
	assert_non_null(again);
	assert_int_equal(kt_session_last_seq(again), last);
	assert_int_equal(again->turns, 1);
	assert_string_equal(again->title, "a name");
	assert_string_equal(again->metadata, "{\"a\":1}");
}

static void test_queue_is_bounded_and_in_order(void **state)
{
	struct world *w = *state;
	struct kt_session *s = create(w);
	struct kt_sent sent;

	assert_int_equal(send_text(s, "running", &sent), KT_OK);
	for (size_t i = 1; i <= KT_MAX_TURN_QUEUE; i++) {
		assert_int_equal(send_text(s, "waiting", &sent), KT_OK);
		assert_int_equal(sent.queued, i);
	}
	assert_int_equal(send_text(s, "one too many", &sent), KT_ELIMIT);
	run_turns(w, s, 1 + KT_MAX_TURN_QUEUE);
	assert_int_equal(s->turns, 1 + KT_MAX_TURN_QUEUE);
	assert_null(s->turn);
}

static void test_text_limits(void **state)
{
	struct world *w = *state;
	struct kt_session *s = create(w);
	KT_AUTOFREE char *text = kt_malloc(KT_MAX_TEXT_BYTES + 2);
	struct kt_sent sent;

	memset(text, 'x', KT_MAX_TEXT_BYTES + 1);
	text[KT_MAX_TEXT_BYTES + 1] = '\0';
	assert_int_equal(send_text(s, text, &sent), KT_EINVAL);
	assert_int_equal(send_text(s, "", &sent), KT_EINVAL);
	text[KT_MAX_TEXT_BYTES] = '\0';
	assert_int_equal(send_text(s, text, &sent), KT_OK);
	run_turns(w, s, 1);
}

/* A crash in mid-write leaves half a line: what stood before it counts. */
static void test_torn_journal(void **state)
{
	struct world *w = *state;
	KT_AUTOFREE char *path = kt_path_join(w->data, "sessions.jsonl");
	struct kt_session *s = create(w);
	char id[KT_ID_MAX];
	int fd;

	memcpy(id, s->id, sizeof(id));
	close_registry(w);
	fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "garbage\n{\"id\":\"sess_half", 24), 24);
	close(fd);
	open_registry(w);
	assert_int_equal(kt_sessions_count(w->reg), 1);
	assert_non_null(kt_session_get(w->reg, id));
	create(w);
	close_registry(w);
	open_registry(w);
	assert_int_equal(kt_sessions_count(w->reg), 2);
}

static void test_deleted_stays_deleted(void **state)
{
	struct world *w = *state;
	struct kt_session *a = create(w), *b = create(w), *c = create(w);
	char kept[KT_ID_MAX];

	(void)c;
	memcpy(kept, b->id, sizeof(kept));
	kt_session_delete(a);
	close_registry(w);
	open_registry(w);
	assert_int_equal(kt_sessions_count(w->reg), 2);
	assert_string_equal(kt_session_older(w->reg, kt_session_older(w->reg, NULL))->id, kept);
}

static void test_idempotency_is_kept(void **state)
{
	struct world *w = *state;
	const struct kt_session_new new = { .key = { "create", "new", UINT64_MAX } };
	/* As it was written before a key was part of its session's line. */
	KT_AUTOFREE char *old = kt_asprintf(
		"{\"idempotency_key\":\"old\",\"scope\":\"create\",\"session\":\"sess_x\","
		"\"after_seq\":7,\"fingerprint\":\"12\",\"at_us\":%lld}\n"
		"{\"idempotency_key\":\"over\",\"scope\":\"create\",\"session\":\"sess_x\","
		"\"at_us\":%lld}\n",
		(long long)kt_time_us() - 1000,
		(long long)kt_time_us() - (int64_t)KT_IDEMPOTENCY_MS * 1000 - 1);
	KT_AUTOFREE char *path = kt_path_join(w->data, "sessions.jsonl");
	const struct kt_idem *got;
	struct kt_session *s = NULL;
	char id[KT_ID_MAX];

	assert_int_equal(kt_session_create(w->reg, &new, &s, NULL), KT_OK);
	memcpy(id, s->id, sizeof(id));
	const struct kt_message m = { .text = "hi", .key = { s->id, "said", 5 } };
	struct kt_sent sent;
	assert_int_equal(kt_session_send(s, &m, &sent, NULL), KT_OK);
	close_registry(w);
	int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_int_equal(kt_fs_write_all(fd, old, strlen(old), NULL), KT_OK);
	(void)close(fd);
	for (int i = 0; i < 2; i++) {
		open_registry(w);
		got = kt_idem_get(w->reg, "create", "new");
		assert_non_null(got);
		assert_string_equal(got->session_id, id);
		assert_string_equal(got->turn_id, "");
		assert_true(got->fingerprint == UINT64_MAX);
		got = kt_idem_get(w->reg, id, "said");
		assert_non_null(got);
		assert_string_equal(got->session_id, id);
		assert_string_equal(got->turn_id, sent.turn_id);
		assert_int_equal(got->after_seq, sent.after_seq);
		assert_int_equal(got->fingerprint, 5);
		got = kt_idem_get(w->reg, "create", "old");
		assert_non_null(got);
		assert_int_equal(got->after_seq, 7);
		assert_int_equal(got->fingerprint, 12);
		assert_null(kt_idem_get(w->reg, "create", "over"));
		assert_null(kt_idem_get(w->reg, "sess_x", "new"));
		close_registry(w);
	}
	open_registry(w);
}

/* Twenty thousand changes of one session do not stay in the journal. */
static void test_journal_is_compacted_while_serving(void **state)
{
	struct world *w = *state;
	KT_AUTOFREE char *path = kt_path_join(w->data, "sessions.jsonl");
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(64 << 20);

	for (int i = 0; i < 12000; i++)
		kt_session_delete(create(w));
	assert_int_equal(kt_fs_read(path, &b, NULL), KT_OK);
	assert_true(b.len < 8000 * 300);
}

static void on_drained(void *arg)
{
	struct world *w = arg;

	w->drained = true;
	kt_loop_stop(w->loop);
}

static void test_drain(void **state)
{
	struct world *w = *state;
	struct kt_session *s = create(w);
	const struct kt_session_new n = { 0 };
	struct kt_sent sent;

	assert_int_equal(send_text(s, "last", &sent), KT_OK);
	kt_sessions_drain(w->reg, 10000, on_drained, w);
	assert_int_equal(send_text(s, "too late", &sent), KT_EUNAVAIL);
	assert_int_equal(kt_session_create(w->reg, &n, &s, NULL), KT_EUNAVAIL);
	while (!w->drained)
		kt_loop_run(w->loop);
	assert_int_equal(kt_session_older(w->reg, NULL)->turns, 1);
}

static void test_second_server_refuses(void **state)
{
	struct world *w = *state;
	struct kt_sessions_config cfg = { .loop = w->loop, .dir = w->app, .data_dir = w->data };
	struct kt_sessions *other = NULL;

	assert_int_equal(kt_sessions_open(&cfg, &other, NULL), KT_ECONFLICT);
	assert_null(other);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_turn_and_restart),
		CASE(test_queue_is_bounded_and_in_order),
		CASE(test_text_limits),
		CASE(test_torn_journal),
		CASE(test_deleted_stays_deleted),
		CASE(test_idempotency_is_kept),
		CASE(test_journal_is_compacted_while_serving),
		CASE(test_drain),
		CASE(test_second_server_refuses),
	};

	return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}
