/* SPDX-License-Identifier: MIT */
/* A project's log: what is in it, what never is, how long it is kept. */
#include "rig.h"

#include <fcntl.h>

static void say(struct rig *r, const char *text)
{
	struct kt_log_line line = {
		.project_id = project_mem(r, "bot")->id,
		.level = "info",
		.source = "harness",
		.version = 7,
		.session_id = "sess_x",
		.text = text,
	};

	kt_control_log(r->ctl, &line);
}

/* The events after a number as a JSON array; *out_n of them. */
static cJSON *read_after(struct rig *r, uint64_t after)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 24);
	KT_AUTO_BUF struct kt_buf array = KT_BUF_INIT(1 << 24);
	struct kt_err err = KT_ERR_INIT;
	struct kt_evlog *log;
	cJSON *doc;
	uint64_t last;
	size_t n;

	do
		rig_turn(r, 1);
	while (project_mem(r, "bot")->secrets_loading);
	assert_int_equal(kt_control_project_log(r->ctl, &r->actor, "bot", &log, &err), KT_OK);
	assert_int_equal(kt_evlog_read(log, after, 100000, 1 << 24, &b, &n, &last, &err), KT_OK);
	kt_buf_addf(&array, "[%s]", b.ptr);
	assert_int_equal(kt_json_parse(array.ptr, array.len, 0, &doc, NULL), KT_OK);
	return doc;
}

static const char *member(const cJSON *event, const char *name)
{
	const cJSON *data = kt_json_obj(event, "data");

	return kt_json_str(data ? data : event, name);
}

/* Write a line and give back what stands in the log; the caller's. */
static char *written(struct rig *r, const char *text)
{
	KT_AUTO_JSON cJSON *doc = NULL;

	say(r, text);
	doc = read_after(r, 0);
	return kt_strdup(
		member(cJSON_GetArrayItem(doc, cJSON_GetArraySize(doc) - 1), "text"));
}

static void test_line(void **state)
{
	struct rig *r = *state;
	KT_AUTO_JSON cJSON *doc = NULL;
	struct kt_log_line unknown = { .project_id = "proj_none", .text = "x" };
	struct kt_evlog *log;

	make_project(r, &r->actor, "bot");
	kt_control_log(r->ctl, &unknown);
	say(r, "hello\n");
	doc = read_after(r, 0);
	assert_int_equal(cJSON_GetArraySize(doc), 1);
	const cJSON *e = cJSON_GetArrayItem(doc, 0);

	assert_string_equal(kt_json_str(e, "project"), project_mem(r, "bot")->id);
	assert_string_equal(member(e, "level"), "info");
	assert_string_equal(member(e, "source"), "harness");
	assert_string_equal(member(e, "release"), "v7");
	assert_string_equal(member(e, "session_id"), "sess_x");
	assert_string_equal(member(e, "text"), "hello");
	assert_int_equal(
		kt_control_project_log(r->ctl, &r->stranger, "bot", &log, NULL), KT_ENOTFOUND);
	assert_int_equal(
		kt_control_project_log(r->ctl, &r->actor, "none", &log, NULL), KT_ENOTFOUND);
}

static void expect(struct rig *r, const char *text, const char *want)
{
	KT_AUTOFREE char *got = written(r, text);

	assert_string_equal(got, want);
}

static void test_redaction(void **state)
{
	static const char var[] = "{\"set\":{\"A\":\"hunter2hunter2\",\"SHORT\":\"seven77\","
				  "\"PEM\":\"-----BEGIN KEY-----\\nMIIBVgIBADANBgkq\\nabc\\n\"}}";
	struct rig *r = *state;
	struct answer a = { 0 };

	make_project(r, &r->actor, "bot");
	/* Set while the log is not open, then found in the database; then while it is. */
	RUN(r, &a, kt_control_config_change(
			   r->ctl, &r->actor, "bot", var, strlen(var), NULL, on_answer, &a));
	ASSERT_STATUS(&a, 200);
	for (int again = 0; again < 2; again++) {
		expect(r, "pw=hunter2hunter2.", "pw=***.");
		expect(r, "hunter2hunter2hunter2hunter2", "******");
		expect(r, "seven77 is a word", "seven77 is a word");
		expect(r, "line MIIBVgIBADANBgkq of it", "line *** of it");
		expect(r, "Authorization: Bearer abcdefghijklmnop", "Authorization: Bearer ***mnop");
		rig_restart(r);
	}
	KT_AUTOFREE char *key = kt_asprintf("key %s end", r->admin_key);
	KT_AUTOFREE char *got = written(r, key);

	assert_null(strstr(got, r->admin_key + 8));
	/* The old value stays secret: releases that have it still run. */
	RUN(r, &a, kt_control_config_change(r->ctl, &r->actor, "bot",
			   "{\"set\":{\"A\":\"another-secret\"}}",
			   strlen("{\"set\":{\"A\":\"another-secret\"}}"), NULL, on_answer, &a));
	expect(r, "hunter2hunter2 another-secret", "*** ***");
	rig_restart(r);
	expect(r, "hunter2hunter2 another-secret", "*** ***");
	answer_clear(&a);
}

/* What is secret is read on a thread: until it is known nothing is written, then all in order. */
static void test_lines_wait_for_secrets(void **state)
{
	static const char var[] = "{\"set\":{\"A\":\"hunter2hunter2\"}}";
	struct rig *r = *state;
	struct answer a = { 0 };
	struct kt_evlog *log;
	uint64_t after;

	make_project(r, &r->actor, "bot");
	RUN(r, &a, kt_control_config_change(
			   r->ctl, &r->actor, "bot", var, strlen(var), NULL, on_answer, &a));
	answer_clear(&a);
	for (int again = 0; again < 2; again++) {
		KT_AUTO_JSON cJSON *doc = NULL;
		char *large = kt_calloc(1, 200001);

		rig_restart(r);
		/* Readers need not know them. */
		assert_int_equal(
			kt_control_project_log(r->ctl, &r->actor, "bot", &log, NULL), KT_OK);
		after = kt_evlog_last_seq(log);
		say(r, "hunter2hunter2 one");
		assert_true(project_mem(r, "bot")->secrets_loading);
		assert_int_equal(kt_evlog_last_seq(log), after);
		say(r, "two hunter2hunter2");
		memset(large, 'x', 200000);
		for (int i = 0; i < 50; i++)
			say(r, large);
		free(large);
		assert_true(project_mem(r, "bot")->log_waiting_bytes <= 1 << 20);
		/* The second time the server ends at once. */
		if (again) {
			rig_restart(r);
			while (project_mem(r, "bot")->secrets_loading)
				rig_turn(r, 1);
		}
		doc = read_after(r, after);
		assert_string_equal(member(cJSON_GetArrayItem(doc, 0), "text"), "*** one");
		assert_string_equal(member(cJSON_GetArrayItem(doc, 1), "text"), "two ***");
		const cJSON *last = cJSON_GetArrayItem(doc, cJSON_GetArraySize(doc) - 1);

		assert_int_equal(cJSON_GetArraySize(doc), 8);
		assert_string_equal(
			member(last, "text"), "45 lines came too fast and are missing");
	}
}

/* Wherever a line is cut, no part of a secret is left at the cut. */
static void test_cut(void **state)
{
	struct rig *r = *state;
	char secret[65];

	make_project(r, &r->actor, "bot");
	memset(secret, 'S', 64);
	secret[64] = '\0';
	kt_log_secret(project_mem(r, "bot"), secret);
	for (size_t at = 8100; at < 8300; at += 7) {
		KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);

		for (size_t i = 0; i < at; i++)
			kt_buf_addc(&b, 'x');
		kt_buf_adds(&b, secret);
		for (size_t i = 0; i < 70000; i++)
			kt_buf_addc(&b, 'y');
		kt_buf_adds(&b, secret);
		KT_AUTOFREE char *got = written(r, b.ptr);

		assert_int_equal(strlen(got), 8192);
		assert_null(strchr(got, 'S'));
		assert_true(kt_str_ends(got, "..."));
	}
}

static void test_bytes_that_are_no_text(void **state)
{
	struct rig *r = *state;
	char bytes[256];

	make_project(r, &r->actor, "bot");
	for (int i = 0; i < 255; i++)
		bytes[i] = (char)(i + 1);
	bytes[255] = '\0';
	KT_AUTOFREE char *got = written(r, bytes);

	assert_true(kt_utf8_valid(got, strlen(got)));
	expect(r, "a\x1b[2K\tb\xe2\x80\xae", "a\\x1b[2K\tb\\u202e");
}

/* Closed when idle, opened again: numbers go on, also after a restart. */
static void test_idle(void **state)
{
	struct rig *r = *state;
	KT_AUTO_JSON cJSON *doc = NULL;
	struct kt_project_mem *p;

	make_project(r, &r->actor, "bot");
	p = project_mem(r, "bot");
	say(r, "one");
	rig_turn(r, 1);
	kt_logs_sweep(r->ctl);
	assert_non_null(p->log);
	p->log_used_ms -= 120000;
	kt_logs_sweep(r->ctl);
	assert_null(p->log);
	say(r, "two");
	rig_restart(r);
	say(r, "three");
	/* One with a reader stays. */
	p = project_mem(r, "bot");
	struct kt_evreader *reader = kt_evreader_new(p->log, 0, NULL, NULL);

	p->log_used_ms -= 120000;
	kt_logs_sweep(r->ctl);
	assert_non_null(p->log);
	kt_evreader_free(reader);
	doc = read_after(r, 1);
	assert_int_equal(cJSON_GetArraySize(doc), 2);
	assert_string_equal(member(cJSON_GetArrayItem(doc, 0), "text"), "two");
	assert_string_equal(member(cJSON_GetArrayItem(doc, 1), "text"), "three");
}

/* A sweep, with what it began. */
static void sweep(struct rig *r)
{
	struct kt_project_mem *p = project_mem(r, "bot");

	kt_logs_sweep(r->ctl);
	while (p->trim || r->ctl->logs.walking || r->ctl->logs.listing || r->ctl->logs.files)
		rig_turn(r, 1);
}

static void test_retention_by_size(void **state)
{
	struct rig *r = *state;
	struct kt_project_mem *p;
	uint64_t last;

	make_project(r, &r->actor, "bot");
	p = project_mem(r, "bot");
	r->ctl->cfg.max_log_bytes = 20000;
	for (int i = 0; i < 500; i++)
		say(r, "a line of about a hundred characters, as a program may write them to tell "
		       "what it does now");
	rig_turn(r, 1);
	last = kt_evlog_last_seq(p->log);
	/* What is kept is copied on a thread; lines go on meanwhile. */
	kt_logs_sweep(r->ctl);
	assert_non_null(p->trim);
	assert_int_equal(kt_evlog_first_seq(p->log), 1);
	say(r, "meanwhile");
	last++;
	sweep(r);
	assert_true(kt_evlog_bytes(p->log) <= 20500);
	assert_true(kt_evlog_first_seq(p->log) > 1);
	assert_int_equal(kt_evlog_last_seq(p->log), last);
	/* Not again before a quarter more has come. */
	uint64_t first = kt_evlog_first_seq(p->log);

	say(r, "one more");
	rig_turn(r, 1);
	sweep(r);
	assert_int_equal(kt_evlog_first_seq(p->log), first);
}

static void test_retention_by_age(void **state)
{
	struct rig *r = *state;
	struct kt_project_mem *p;

	make_project(r, &r->actor, "bot");
	p = project_mem(r, "bot");
	say(r, "old");
	rig_turn(r, slowed_ms(1200));
	sweep(r);
	assert_int_equal(kt_evlog_first_seq(p->log), 1);
	r->ctl->cfg.max_log_ms = slowed_ms(1000);
	say(r, "new");
	rig_turn(r, 1);
	sweep(r);
	assert_int_equal(kt_evlog_first_seq(p->log), 2);
	assert_int_equal(kt_evlog_last_seq(p->log), 2);
}

/* The project, or the server, goes while its log is trimmed. */
static void test_gone_while_trimmed(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };

	make_project(r, &r->actor, "bot");
	r->ctl->cfg.max_log_bytes = 20000;
	for (int again = 0; again < 2; again++) {
		struct kt_project_mem *p = project_mem(r, "bot");
		KT_AUTOFREE char *beside = kt_asprintf("%s/logs/%s.log.new", r->dir, p->id);

		for (int i = 0; i < 500; i++)
			say(r, "a line of about a hundred characters, as a program may write them");
		rig_turn(r, 1);
		kt_logs_sweep(r->ctl);
		assert_non_null(p->trim);
		if (!again) {
			rig_restart(r);
			r->ctl->cfg.max_log_bytes = 20000;
		} else {
			RUN(r, &a, kt_control_project_delete(
					   r->ctl, &r->actor, "bot", on_answer, &a));
			ASSERT_STATUS(&a, 204);
			for (int i = 0; i < 3000 && kt_fs_is_file(beside); i++)
				rig_turn(r, 10);
		}
		assert_false(kt_fs_is_file(beside));
	}
	answer_clear(&a);
}

/* As many projects as one slice does not have. */
static void test_sweep_in_slices(void **state)
{
	struct rig *r = *state;
	char slug[16];

	make_project(r, &r->actor, "bot");
	for (int i = 0; i < 70; i++) {
		(void)snprintf(slug, sizeof(slug), "bot%d", i);
		make_project(r, &r->actor, slug);
		kt_control_log(r->ctl, &(struct kt_log_line){
				.project_id = project_mem(r, slug)->id, .text = "x" });
	}
	rig_turn(r, 1);
	kt_logs_sweep(r->ctl);
	assert_true(r->ctl->logs.walking);
	sweep(r);
	for (int i = 0; i < 70; i++) {
		(void)snprintf(slug, sizeof(slug), "bot%d", i);
		project_mem(r, slug)->log_used_ms -= 120000;
	}
	sweep(r);
	for (int i = 0; i < 70; i++) {
		(void)snprintf(slug, sizeof(slug), "bot%d", i);
		assert_null(project_mem(r, slug)->log);
	}
}

/* Files: of projects that are gone, and of those where nothing happens any more. */
static void test_files(void **state)
{
	struct rig *r = *state;
	KT_AUTOFREE char *orphan = kt_path_join(r->dir, "logs/proj_gone.log");
	KT_AUTO_JSON cJSON *doc = NULL;
	struct kt_err err = KT_ERR_INIT;
	struct kt_project_mem *p;

	make_project(r, &r->actor, "bot");
	for (int i = 0; i < 10; i++)
		say(r, "something that nobody needs any more after some time");
	assert_int_equal(kt_fs_write_new(orphan, "x", 1, 0600, &err), KT_OK);
	rig_restart(r);
	KT_AUTOFREE char *path = kt_asprintf("%s/logs/%s.log", r->dir, project_mem(r, "bot")->id);
	struct timespec old[2] = { { .tv_sec = 1000000 }, { .tv_sec = 1000000 } };

	assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
	sweep(r);
	assert_false(kt_fs_is_file(orphan));
	p = project_mem(r, "bot");
	assert_non_null(p->log);
	assert_int_equal(kt_evlog_last_seq(p->log), 10);
	assert_int_equal(kt_evlog_first_seq(p->log), 11);
	say(r, "goes on");
	doc = read_after(r, 10);
	assert_string_equal(member(cJSON_GetArrayItem(doc, 0), "text"), "goes on");
}

static void test_damaged_file(void **state)
{
	struct rig *r = *state;
	KT_AUTOFREE char *got = NULL;
	struct kt_err err = KT_ERR_INIT;

	make_project(r, &r->actor, "bot");
	KT_AUTOFREE char *path = kt_asprintf("%s/logs/%s.log", r->dir, project_mem(r, "bot")->id);
	KT_AUTOFREE char *aside = kt_asprintf("%s.damaged", path);

	assert_int_equal(kt_fs_write_new(path, "not a log\n\n", 11, 0600, &err), KT_OK);
	got = written(r, "here");
	assert_string_equal(got, "here");
	assert_true(kt_fs_is_file(aside));
}

#define T(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_line),
		T(test_redaction),
		T(test_lines_wait_for_secrets),
		T(test_cut),
		T(test_bytes_that_are_no_text),
		T(test_idle),
		T(test_retention_by_size),
		T(test_retention_by_age),
		T(test_gone_while_trimmed),
		T(test_sweep_in_slices),
		T(test_files),
		T(test_damaged_file),
	};

	return cmocka_run_group_tests_name("control/log", tests, NULL, NULL);
}
