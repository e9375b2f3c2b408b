/* SPDX-License-Identifier: MIT */
/* The unpack worker's command line. That it unpacks is in test_unpack.c. */
#include "pack/pack.h"

#include "base/fs.h"
#include "base/str.h"
#include "text/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char root[] = "/tmp/karta-test-worker-XXXXXX";

static char *at(const char *name)
{
	return kt_path_join(root, name);
}

/* --- the command line ---------------------------------------------------------------------------- */

static int run_worker(int argc, char **argv, struct kt_buf *out)
{
	int fds[2], status;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)dup2(fds[1], STDOUT_FILENO);
		_exit(kt_unpack_worker(argc, argv));
	}
	close(fds[1]);
	while ((n = read(fds[0], kt_buf_reserve(out, 4096), 4096)) > 0)
		kt_buf_commit(out, (size_t)n);
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void check_refused(const char *archive, const char *staging, const char *limits,
	enum kt_code code, const char *says)
{
	KT_AUTOFREE char *a = kt_strdup(archive), *s = kt_strdup(staging), *l = kt_strdup(limits);
	KT_AUTO_BUF struct kt_buf out = KT_BUF_INIT(10000);
	KT_AUTO_JSON cJSON *doc = NULL;
	char name[] = "karta-unpack";
	char *argv[] = { name, a, s, l, NULL };

	assert_int_equal(run_worker(4, argv, &out), 1);
	assert_int_equal(kt_json_parse(out.ptr, out.len, KT_JSON_STRICT, &doc, NULL), KT_OK);
	assert_int_equal(out.ptr[out.len - 1], '\n');
	assert_false(kt_json_bool(doc, "ok", true));
	assert_string_equal(kt_json_str(doc, "code"), kt_code_name(code));
	if (!strstr(kt_json_str(doc, "message"), says))
		fail_msg("'%s' is not in: %s", says, out.ptr);
}

static void test_arguments(void **state)
{
	KT_AUTOFREE char *archive = at("archive"), *staging = at("s"), *missing = at("missing");
	KT_AUTO_BUF struct kt_buf out = KT_BUF_INIT(10000);
	char name[] = "karta-unpack";
	char *argv[] = { name, NULL };
	static const char *const bad[] = { "", "x", "[]", "{\"max_files\":0}",
		"{\"max_ratio\":-1}", "{\"max_bytes\":1e300}", "{\"max_ms\":\"1\"}", "{} {}" };

	assert_int_equal(kt_fs_mkdirs(staging, 0700, NULL), KT_OK);
	assert_int_equal(kt_fs_write_new(archive, "no tar", 6, 0600, NULL), KT_OK);
	assert_int_equal(run_worker(1, argv, &out), 1);
	assert_non_null(strstr(out.ptr, "usage"));
	for (size_t i = 0; i < KT_ARRAY_LEN(bad); i++)
		check_refused(archive, staging, bad[i], KT_EINVAL, "limits");
	check_refused(missing, staging, "{}", KT_EIO, "missing");
	check_refused(archive, missing, "{}", KT_EIO, "staging");
	check_refused(archive, staging, "{}", KT_EPROTO, "no tar archive");
	check_refused(archive, staging, "{\"max_archive_bytes\":5}", KT_ELIMIT, "is 5");
}

/* A worker that was started ahead: its job comes on stdin. Gives its exit status. */
static int run_with_job(const char *job, struct kt_buf *out)
{
	char name[] = "karta-unpack", dash[] = "-";
	char *argv[] = { name, dash, NULL };
	int fds[2], before = dup(STDIN_FILENO), status;

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], job, strlen(job)), (ssize_t)strlen(job));
	close(fds[1]);
	assert_true(dup2(fds[0], STDIN_FILENO) >= 0);
	close(fds[0]);
	status = run_worker(2, argv, out);
	(void)dup2(before, STDIN_FILENO);
	close(before);
	return status;
}

static void test_job_on_stdin(void **state)
{
	KT_AUTOFREE char *archive = at("archive"), *staging = at("s");
	static const struct {
		const char *limits, *says;
	} cases[] = {
		{ "{}", "no tar archive" },
		{ "{\"max_archive_bytes\":5}", "is 5" },
		{ "[]", "no object" },
		{ "{\"max_files\":0}", "max_files" },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		KT_AUTO_BUF struct kt_buf out = KT_BUF_INIT(10000);
		KT_AUTOFREE char *job = kt_asprintf(
			"{\"archive\":\"%s\",\"staging\":\"%s\",\"limits\":%s}", archive, staging,
			cases[i].limits);

		assert_int_equal(run_with_job(job, &out), 1);
		if (!strstr(out.ptr, cases[i].says))
			fail_msg("'%s' is not in: %s", cases[i].says, out.ptr);
	}
	KT_AUTO_BUF struct kt_buf none = KT_BUF_INIT(10000), half = KT_BUF_INIT(10000);

	assert_int_equal(run_with_job("", &none), 1);
	assert_non_null(strstr(none.ptr, "no job"));
	assert_int_equal(run_with_job("{\"archive\":\"", &half), 1);
	assert_non_null(strstr(half.ptr, "\"ok\":false"));
}

static int set_up(void **state)
{
	return mkdtemp(root) ? 0 : -1;
}

static int tear_down(void **state)
{
	return kt_fs_remove_tree(root, NULL) == KT_OK ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_job_on_stdin),
	};
	return cmocka_run_group_tests_name("pack/worker", tests, set_up, tear_down);
}
