/* SPDX-License-Identifier: MIT */
/* Pieces of text that come together are one event; nothing is lost, doubled or moved. */
#include "harness/gather_private.h"

#include "base/limits.h"
#include "base/str.h"
#include "harness/driver.h"
#include "text/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* A driver's way of emitting, and what arrives behind the gatherer. */
struct world {
	struct kt_driver d;
	struct kt_gather g;
	int64_t now_ms;
	size_t n;
	struct kt_buf seen; /* "part:text|" of each event */
};

static void arrived(struct world *w, const struct kt_event_draft *ev)
{
	KT_AUTO_JSON cJSON *data = NULL;

	assert_int_equal(kt_json_parse(ev->data, ev->data_len, KT_JSON_STRICT, &data, NULL), KT_OK);
	w->n++;
	kt_buf_addf(&w->seen, "%s%s%s:%s|", ev->parent_tool_use_id ? ev->parent_tool_use_id : "",
		kt_json_bool(data, "replace", false) ? "=" : "",
		kt_json_str_or(data, "part_id", kt_event_name(ev->type)),
		kt_json_str_or(kt_json_obj(data, "part"), "text", ""));
}

static void flush(struct world *w)
{
	struct kt_event_draft ev;
	struct kt_gather held;

	if (!kt_gather_waits(&w->g))
		return;
	w->g.sent_ms = w->now_ms;
	kt_gather_out(&w->g, &held, &ev);
	arrived(w, &ev);
	kt_gather_release(&held);
}

static void on_event(void *arg, const struct kt_event_draft *ev)
{
	struct world *w = arg;

	if (kt_gather_take(&w->g, ev, w->now_ms))
		return;
	flush(w);
	arrived(w, ev);
}

static void begin(struct world *w)
{
	memset(w, 0, sizeof(*w));
	w->d.sink.arg = w;
	w->d.sink.event = on_event;
	w->now_ms = 1000;
	kt_gather_init(&w->g);
	kt_buf_init(&w->seen, 1 << 20);
}

static void end(struct world *w, const char *want)
{
	flush(w);
	assert_string_equal(w->seen.ptr, want);
	kt_gather_release(&w->g);
	kt_emit_release(&w->d);
	kt_buf_release(&w->seen);
}

static void say(
	struct world *w, const char *part, const char *text, bool replace, const char *parent)
{
	kt_emit_text(&w->d, false, part, text, strlen(text), replace, parent);
}

static void first_at_once_rest_together(void **state)
{
	struct world w;

	(void)state;
	begin(&w);
	say(&w, "p", "a", false, NULL);
	assert_int_equal(w.n, 1);
	say(&w, "p", "\"b\\", false, NULL);
	say(&w, "p", "\n", false, NULL);
	say(&w, "p", "\"},\"part_id\":\"q\"}", false, NULL);
	assert_int_equal(w.n, 1);
	end(&w, "p:a|p:\"b\\\n\"},\"part_id\":\"q\"}|");
}

static void slow_pieces_do_not_wait(void **state)
{
	struct world w;

	(void)state;
	begin(&w);
	for (int i = 0; i < 3; i++) {
		say(&w, "p", "x", false, NULL);
		assert_int_equal(w.n, (size_t)i + 1);
		w.now_ms += KT_GATHER_MS;
	}
	end(&w, "p:x|p:x|p:x|");
}

static void others_stay_apart(void **state)
{
	struct world w;

	(void)state;
	begin(&w);
	say(&w, "p", "1", false, NULL);
	say(&w, "p", "2", false, NULL);
	say(&w, "q", "3", false, NULL);
	say(&w, "q", "4", false, "tool");
	say(&w, "q", "5", true, "tool");
	say(&w, "q", "6", false, "tool");
	kt_emit_text(&w.d, true, "q", "7", 1, false, NULL);
	kt_emit_step_start(&w.d, 1, "x", NULL);
	say(&w, "p", "8", false, NULL);
	end(&w, "p:1|p:2|q:3|toolq:4|tool=q:5|toolq:6|q:7|step_start:|p:8|");
}

static void much_is_several(void **state)
{
	KT_AUTO_BUF struct kt_buf all = KT_BUF_INIT(1 << 20), got = KT_BUF_INIT(1 << 20);
	struct world w;
	const char *p;

	(void)state;
	begin(&w);
	for (int i = 0; i < 50000; i++) {
		char c[2] = { (char)('a' + i % 26), '\0' };

		say(&w, "p", c, false, NULL);
		kt_buf_adds(&all, c);
	}
	flush(&w);
	assert_in_range(w.n, 3, 8);
	for (p = w.seen.ptr; *p; p = strchr(p, '|') + 1)
		kt_buf_add(&got, p + 2, (size_t)(strchr(p, '|') - p) - 2);
	assert_string_equal(got.ptr, all.ptr);
	end(&w, w.seen.ptr);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_at_once_rest_together),
		cmocka_unit_test(slow_pieces_do_not_wait),
		cmocka_unit_test(others_stay_apart),
		cmocka_unit_test(much_is_several),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
