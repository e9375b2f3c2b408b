/* SPDX-License-Identifier: MIT */
/* A program with its libraries linked in: functions come from its own table. */
#include "base/dl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static int answer(void)
{
	return 42;
}

const struct kt_dl_builtin kt_dl_builtins[] = {
	{ "an_answer", (kt_dl_function)answer },
	{ NULL, NULL },
};

static const char *const sonames[] = { "libnowhere.so.9", NULL };

static void test_found(void **state)
{
	int (*f)(void) = NULL;
	const struct kt_dl_symbol symbols[] = { { (void **)&f, "an_answer" } };

	assert_true(kt_dl_linked_in());
	assert_int_equal(kt_dl_load(sonames, symbols, 1, "nowhere", NULL), KT_OK);
	assert_int_equal(f(), 42);
}

static void test_missing(void **state)
{
	int (*f)(void) = NULL;
	const struct kt_dl_symbol symbols[] = { { (void **)&f, "a_question" } };
	struct kt_err err = KT_ERR_INIT;

	assert_int_equal(kt_dl_load(sonames, symbols, 1, "nowhere", &err), KT_EINTERNAL);
	assert_string_equal(err.msg, "this program was built without a_question");
	assert_null(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found),
		cmocka_unit_test(test_missing),
	};

	return cmocka_run_group_tests_name("dl", tests, NULL, NULL);
}
