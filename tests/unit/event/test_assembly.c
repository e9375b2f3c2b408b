/* SPDX-License-Identifier: MIT */
/* A reply put together from its text events. */
#include "event/assembly.h"

#include "text/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void add(struct kt_assembly *a, const char *part, const char *text, bool replace)
{
	cJSON *data = cJSON_CreateObject();
	cJSON *p = cJSON_AddObjectToObject(data, "part");

	cJSON_AddStringToObject(p, "text", text);
	if (part)
		cJSON_AddStringToObject(data, "part_id", part);
	if (replace)
		cJSON_AddBoolToObject(data, "replace", true);
	kt_assembly_add(a, data);
	cJSON_Delete(data);
}

static void is_reply(const struct kt_assembly *a, const char *want, size_t bytes, bool whole)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);

	kt_assembly_join(a, &b);
	assert_string_equal(b.ptr, want);
	assert_int_equal(kt_assembly_bytes(a), bytes);
	assert_int_equal(kt_assembly_whole(a), whole);
}

static void parts_in_the_order_they_began(void **state)
{
	struct kt_assembly a;

	(void)state;
	kt_assembly_init(&a, 1000);
	is_reply(&a, "", 0, true);
	add(&a, "1", "one", false);
	add(&a, "2", "two", false);
	add(&a, "1", " more", false);
	add(&a, NULL, "three", false);
	is_reply(&a, "one more\n\ntwo\n\nthree", 20, true);
	/* An emptied part keeps its place and takes no room. */
	add(&a, "2", "", true);
	is_reply(&a, "one more\n\nthree", 15, true);
	add(&a, "2", "again", false);
	add(&a, "1", "1", true);
	is_reply(&a, "1\n\nagain\n\nthree", 15, true);
	kt_assembly_release(&a);
	is_reply(&a, "", 0, true);
	add(&a, "x", "new", false);
	is_reply(&a, "new", 3, true);
	kt_assembly_release(&a);
}

static void what_does_not_fit_is_counted(void **state)
{
	struct kt_assembly a;

	(void)state;
	kt_assembly_init(&a, 6);
	add(&a, "1", "four", false);
	add(&a, "2", "t\xc3\xa4il", false); /* two bytes are left: the umlaut is not cut in half */
	is_reply(&a, "four\n\nt", 11, false);
	add(&a, "2", "!", false); /* would fit, but not behind what is missing */
	is_reply(&a, "four\n\nt", 12, false);
	add(&a, "3", "x", false);
	is_reply(&a, "four\n\nt", 15, false);
	/* A replacement gives room back. */
	add(&a, "1", "", true);
	add(&a, "2", "tail", true);
	is_reply(&a, "tail\n\nx", 7, true);
	kt_assembly_release(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parts_in_the_order_they_began),
		cmocka_unit_test(what_does_not_fit_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
