/* SPDX-License-Identifier: MIT */
/*
 * Tests of error values, their tables, and the log line.
 */
#include "base/err.h"

#include "base/log.h"
#include "base/str.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_fail(void **state)
{
	struct kt_err err = KT_ERR_INIT;

	assert_int_equal(kt_fail(NULL, KT_EIO, 0, "x"), KT_EIO);
	assert_int_equal(kt_fail(NULL, KT_ECONFLICT, 0, "x"), KT_ECONFLICT);
	assert_int_equal(kt_hint(NULL, "x"), KT_ECONFLICT);
	assert_int_equal(kt_wrap(NULL, "x"), KT_ECONFLICT);
	errno = EINTR;
	assert_int_equal(kt_fail(&err, KT_EIO, ENOENT, "cannot open '%s'", "f"), KT_EIO);
	assert_int_equal(errno, EINTR);
	assert_string_equal(err.msg, "cannot open 'f': No such file or directory");
	assert_int_equal(err.sys, ENOENT);
	assert_string_equal(err.hint, "");
	assert_int_equal(kt_hint(&err, "run '%s'", "karta init"), KT_EIO);
	assert_string_equal(err.hint, "run 'karta init'");
	assert_int_equal(kt_wrap(&err, "load %s", "project"), KT_EIO);
	assert_string_equal(err.msg, "load project: cannot open 'f': No such file or directory");
	assert_string_equal(err.hint, "run 'karta init'");
	/* A new failure takes nothing over, and may quote the old one. */
	assert_int_equal(kt_fail(&err, KT_EPROTO, 0, "again: %s", err.msg), KT_EPROTO);
	assert_true(kt_str_starts(err.msg, "again: load project: cannot"));
	assert_string_equal(err.hint, "");
	kt_hint(&err, "%s", err.msg);
	kt_wrap(&err, "%s", err.msg);
	assert_true(kt_str_starts(err.msg, "again: load project: cannot open 'f': No such"));
}

static void test_long_messages(void **state)
{
	struct kt_err err = KT_ERR_INIT;
	char text[1000];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	text[sizeof(err.msg) - 1] = '\0';
	kt_fail(&err, KT_EIO, 0, "%s", text);
	assert_string_equal(err.msg, text);
	text[sizeof(err.msg) - 1] = 'x';
	kt_fail(&err, KT_EIO, 0, "%s", text);
	assert_int_equal(strlen(err.msg), sizeof(err.msg) - 1);
	/* The reason is never what is cut. */
	kt_fail(&err, KT_EIO, ENOENT, "%s", text);
	assert_int_equal(strlen(err.msg), sizeof(err.msg) - 1);
	assert_true(kt_str_ends(err.msg, "x: No such file or directory"));
	kt_wrap(&err, "%s", text);
	assert_int_equal(strlen(err.msg), sizeof(err.msg) - 1);
	kt_hint(&err, "%s", text);
	assert_int_equal(strlen(err.hint), sizeof(err.hint) - 1);
	/* Cut at every place of a text of three-byte characters: never half of one. */
	for (size_t shift = 0; shift < 4; shift++) {
		for (size_t i = 0; i + 3 < sizeof(text); i += 3)
			memcpy(text + i, "\xe2\x82\xac", 3);
		text[999 / 3 * 3] = '\0';
		kt_fail(&err, KT_EIO, 0, "%.*s%s", (int)shift, "abc", text);
		assert_true(kt_utf8_valid(err.msg, strlen(err.msg)));
		kt_wrap(&err, "%.*s%s", (int)shift, "abc", text);
		assert_true(kt_utf8_valid(err.msg, strlen(err.msg)));
		kt_hint(&err, "%.*s%s", (int)shift, "abc", text);
		assert_true(kt_utf8_valid(err.hint, strlen(err.hint)));
	}
}

static void test_one_line(void **state)
{
	struct kt_err err = KT_ERR_INIT;

	kt_fail(&err, KT_EINVAL, 0, "bad '%s'", "a\nb\x1b[31m\x7f\xc2\x9b" "c\xc2\xa0");
	assert_string_equal(err.msg, "bad 'a b [31m   c\xc2\xa0'");
}

static void test_tables(void **state)
{
	static const struct {
		enum kt_code code;
		const char *name;
		int status, http;
	} want[] = {
		{ KT_OK, "ok", 0, 200 },
		{ KT_EINVAL, "invalid", 2, 400 },
		{ KT_ENOTFOUND, "not_found", 5, 404 },
		{ KT_EAUTH, "unauthenticated", 4, 401 },
		{ KT_EDENIED, "denied", 4, 403 },
		{ KT_ECONFLICT, "conflict", 6, 409 },
		{ KT_ELIMIT, "limit", 1, 422 },
		{ KT_ETIMEOUT, "timeout", 3, 504 },
		{ KT_EUNAVAIL, "unavailable", 3, 503 },
		{ KT_EIO, "io", 1, 500 },
		{ KT_EPROTO, "protocol", 3, 502 },
		{ KT_ENOMEM, "no_memory", 1, 503 },
		{ KT_ECANCEL, "canceled", 130, 503 },
		{ KT_EBUDGET, "budget", 7, 402 },
		{ KT_EGATE, "gate", 8, 422 },
		{ KT_ECONFIRM, "confirm", 9, 400 },
		{ KT_EINTERNAL, "internal", 1, 500 },
	};

	assert_int_equal(KT_ARRAY_LEN(want), KT_CODE_COUNT_);
	for (size_t i = 0; i < KT_ARRAY_LEN(want); i++) {
		assert_int_equal(want[i].code, i);
		assert_string_equal(kt_code_name(want[i].code), want[i].name);
		assert_int_equal(kt_code_exit(want[i].code), want[i].status);
		assert_int_equal(kt_code_http(want[i].code), want[i].http);
	}
	assert_string_equal(kt_code_name(KT_CODE_COUNT_), "internal");
}

struct sink {
	int calls;
	enum kt_log_level level;
	char source[16];
	char text[5000];
};

static void take(void *arg, enum kt_log_level level, const char *source, const char *text)
{
	struct sink *s = arg;

	s->calls++;
	s->level = level;
	kt_str_copy(s->source, sizeof(s->source), source);
	kt_str_copy(s->text, sizeof(s->text), text);
}

static void test_log(void **state)
{
	static struct sink s;
	char text[6000];

	kt_log(KT_LOG_ERROR, "test", "goes nowhere");
	kt_log_set(take, &s, KT_LOG_INFO);
	kt_log(KT_LOG_DEBUG, "test", "too low");
	assert_int_equal(s.calls, 0);
	errno = EINTR;
	kt_log(KT_LOG_INFO, "test", "a\tb\nc\r\x1b[0m\x7f\xc2\x9b\xff \xe2\x82\xac %d", 7);
	assert_int_equal(errno, EINTR);
	assert_int_equal(s.calls, 1);
	assert_int_equal(s.level, KT_LOG_INFO);
	assert_string_equal(s.source, "test");
	assert_string_equal(s.text,
		"a\\tb\\nc\\r\\x1b[0m\\x7f\\xc2\\x9b\\xff \xe2\x82\xac 7");
	for (size_t shift = 0; shift < 4; shift++) {
		for (size_t i = 0; i + 3 <= sizeof(text); i += 3)
			memcpy(text + i, "\xe2\x82\xac", 3);
		text[sizeof(text) - 3] = '\0';
		kt_log(KT_LOG_WARN, "test", "%.*s%s", (int)shift, "abc", text);
		assert_in_range(strlen(s.text), 4000, 4095);
		assert_null(strchr(s.text, '\\'));
		assert_true(kt_utf8_valid(s.text, strlen(s.text)));
	}
	memset(text, '\n', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	kt_log(KT_LOG_WARN, "test", "%s", text);
	assert_in_range(strlen(s.text), 4000, 4095);
	kt_log_set(NULL, NULL, KT_LOG_INFO);
}

static void test_log_levels(void **state)
{
	enum kt_log_level level = KT_LOG_DEBUG;

	for (int i = KT_LOG_DEBUG; i <= KT_LOG_ERROR; i++) {
		assert_true(kt_log_level_parse(kt_log_level_name((enum kt_log_level)i), &level));
		assert_int_equal(level, i);
	}
	assert_false(kt_log_level_parse("", &level));
	assert_false(kt_log_level_parse("INFO", &level));
	assert_false(kt_log_level_parse("warning", &level));
	assert_int_equal(level, KT_LOG_ERROR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fail),       cmocka_unit_test(test_long_messages),
		cmocka_unit_test(test_one_line),   cmocka_unit_test(test_tables),
		cmocka_unit_test(test_log),        cmocka_unit_test(test_log_levels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
