/* SPDX-License-Identifier: MIT */
/*
 * Unpacking: every archive of tests/lib/make-archives.py gets the verdict it must have, twice: by
 * kt_unpack() and, behind all its walls, by the worker. Each runs in a process of its own, whose
 * memory is measured; nothing outside its staging folder may change, and a refused archive leaves
 * nothing in it.
 */
#include "pack/pack.h"

#include "base/env.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/str.h"
#include "base/time.h"
#include "tests/unit/patience.h"
#include "text/json.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define MAX_RSS_KB (64 * 1024) /* above what the test itself has */
#define MAX_CPU_US 20000000

/* Freed memory goes back, or the measured memory would be that of the sanitizer. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "quarantine_size_mb=1:allocator_release_to_os_interval_ms=0";
}

static char root[] = "/tmp/karta-test-unpack-XXXXXX";

struct hostile {
	char set[16], name[64], file[96], verdict[32], text[4096];
};
static struct hostile *hostiles;
static size_t n_hostiles;

static char *at(const char *name)
{
	return kt_path_join(root, name);
}

static void run_script(const char *out)
{
	KT_AUTOFREE char *script = NULL;
	pid_t pid;
	int status;

	for (char **e = kt_env_all(); *e; e++) {
		if (kt_str_starts(*e, "KARTA_TEST_ROOT="))
			script = kt_path_join(strchr(*e, '=') + 1, "tests/lib/make-archives.py");
	}
	assert_non_null(script);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY);

		(void)dup2(null, STDOUT_FILENO);
		(void)execlp("python3", "python3", script, out, (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void field(char **line, char *out, size_t size)
{
	char *end = strchrnul(*line, '\t');

	assert_true((size_t)(end - *line) < size);
	memcpy(out, *line, (size_t)(end - *line));
	out[end - *line] = '\0';
	*line = *end ? end + 1 : end;
}

static void read_cases(const char *dir)
{
	KT_AUTOFREE char *path = kt_path_join(dir, "cases.txt");
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1000000);
	char *line, *end;

	assert_int_equal(kt_fs_read(path, &b, NULL), KT_OK);
	for (line = b.ptr; (end = strchr(line, '\n')); line = end + 1) {
		struct hostile *h;

		*end = '\0';
		hostiles = kt_realloc(hostiles, n_hostiles + 1, sizeof(*hostiles));
		h = &hostiles[n_hostiles++];
		field(&line, h->set, sizeof(h->set));
		field(&line, h->name, sizeof(h->name));
		field(&line, h->file, sizeof(h->file));
		field(&line, h->verdict, sizeof(h->verdict));
		field(&line, h->text, sizeof(h->text));
	}
}

/* What one process said, and what it cost. */
struct outcome {
	char code[32]; /* "ok" or kt_code_name() */
	char message[512];
	bool bundle;
	long rss_kb;
	int64_t us;
};

static long own_rss_kb(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	long pages = 0, all = 0;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%ld %ld", &all, &pages), 2);
	(void)fclose(f);
	return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* As the worker prints it, so that both ways are read alike. */
static int unpack_here(char **argv)
{
	struct kt_pack_limits limits;
	struct kt_unpacked out = { 0 };
	struct kt_err err = KT_ERR_INIT;
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(4096);
	int fd = open(argv[1], O_RDONLY);
	enum kt_code code;
	struct kt_jw w;

	kt_pack_limits_init(&limits);
	code = kt_unpack(fd, argv[2], &limits, &out, &err);
	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_jw_bool(&w, "ok", code == KT_OK);
	kt_jw_bool(&w, "bundle", out.bundle);
	kt_jw_str(&w, "code", kt_code_name(code));
	kt_jw_str(&w, "message", err.msg);
	kt_jw_obj_end(&w);
	(void)!write(STDOUT_FILENO, b.ptr, b.len);
	return code == KT_OK ? 0 : 1;
}

/* All of a set are tried before it fails. */
static int n_complaints;

static void complain(const char *fmt, ...) KT_PRINTF(1, 2);
static void complain(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputc('\n', stderr);
	n_complaints++;
}

static void unpack_in_child(
	const char *archive, const char *staging, bool worker, struct outcome *out)
{
	char limits[] = "{\"max_ratio\":200,\"max_ms\":600000}";
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(8192);
	KT_AUTO_JSON cJSON *doc = NULL;
	long before = own_rss_kb();
	struct rusage usage;
	int fds[2], status;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		KT_AUTOFREE char *a = kt_strdup(archive), *s = kt_strdup(staging);
		char name[] = "karta-unpack";
		char *argv[] = { name, a, s, limits, NULL };

		(void)dup2(fds[1], STDOUT_FILENO);
		_exit(worker ? kt_unpack_worker(4, argv) : unpack_here(argv));
	}
	close(fds[1]);
	while ((n = read(fds[0], kt_buf_reserve(&text, 1024), 1024)) > 0)
		kt_buf_commit(&text, (size_t)n);
	close(fds[0]);
	assert_int_equal(wait4(pid, &status, 0, &usage), pid);
	(void)kt_str_copy(out->code, sizeof(out->code), "none");
	if (!WIFEXITED(status)) {
		complain("%s: ended by signal %d", archive, WTERMSIG(status));
		return;
	}
	if (kt_json_parse(text.ptr, text.len, KT_JSON_STRICT, &doc, NULL) != KT_OK) {
		complain("%s: no JSON: '%s'", archive, text.ptr);
		return;
	}
	assert_int_equal(WEXITSTATUS(status), kt_json_bool(doc, "ok", false) ? 0 : 1);
	(void)kt_str_copy(out->code, sizeof(out->code),
		kt_json_bool(doc, "ok", false) ? "ok" : kt_json_str(doc, "code"));
	(void)kt_str_copy(out->message, sizeof(out->message), kt_json_str_or(doc, "message", ""));
	out->bundle = kt_json_bool(doc, "bundle", false);
	out->rss_kb = usage.ru_maxrss - before;
	out->us = ((int64_t)usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
		usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

/* The words of verdicts are short; kt_code_name() has the words of the interface. */
static bool verdict_has(const char *verdict, const char *code)
{
	static const char *const words[][2] = { { "ok", "ok" }, { "invalid", NULL },
		{ "limit", NULL }, { "proto", NULL } };
	const char *names[] = { "ok", kt_code_name(KT_EINVAL), kt_code_name(KT_ELIMIT),
		kt_code_name(KT_EPROTO) };

	for (size_t i = 0; i < KT_ARRAY_LEN(words); i++) {
		if (strcmp(names[i], code) == 0)
			return strstr(verdict, words[i][0]) != NULL;
	}
	return false;
}

/* Every blob has its digest's content and mode 0600; nothing else is there. */
static void check_blobs(const char *staging)
{
	KT_AUTOFREE char *blobs = kt_path_join(staging, "blobs");
	char **names;
	size_t n;

	assert_int_equal(kt_fs_list(blobs, &names, &n, NULL), KT_OK);
	for (size_t i = 0; i < n; i++) {
		KT_AUTOFREE char *path = kt_path_join(blobs, names[i]);
		KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(10000000);
		char digest[KT_DIGEST_MAX];
		struct stat st;

		assert_int_equal(lstat(path, &st), 0);
		assert_true(S_ISREG(st.st_mode));
		assert_int_equal(st.st_mode & 07777, 0600);
		assert_int_equal(kt_fs_read(path, &b, NULL), KT_OK);
		kt_sha256_of(b.ptr, b.len, digest);
		assert_string_equal(digest, names[i]);
	}
	kt_fs_names_free(names, n);
}

static struct kt_map groups; /* group to its manifest */

static void check_manifest(const struct hostile *h, const char *staging)
{
	KT_AUTOFREE char *path = kt_path_join(staging, "manifest");
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1000000);
	struct kt_pack_limits limits;
	struct kt_manifest *m = NULL;
	char *text = kt_strdup(h->text), *rest = text, *one;

	kt_pack_limits_init(&limits);
	assert_int_equal(kt_fs_read(path, &b, NULL), KT_OK);
	assert_int_equal(kt_manifest_parse(b.ptr, b.len, &limits, &m, NULL), KT_OK);
	for (size_t i = 0; i < m->n_files; i++) {
		KT_AUTOFREE char *blob = kt_asprintf("%s/blobs/%s", staging, m->files[i].digest);
		struct stat st;

		assert_int_equal(lstat(blob, &st), 0);
		assert_int_equal(st.st_size, m->files[i].size);
	}
	kt_manifest_free(m);
	if (*text == '=') {
		bool same = true;
		char *other = kt_map_get(&groups, text);

		if (other)
			same = strcmp(other, b.ptr) == 0;
		else
			(void)kt_map_set(&groups, text, kt_strdup(b.ptr));
		if (!same)
			complain("%s-%s: another manifest: %s", h->set, h->name, b.ptr);
	} else if (*text != '-' && strcmp(h->verdict, "ok") == 0) {
		while ((one = strsep(&rest, ","))) {
			KT_AUTOFREE char *mode = kt_asprintf("%.7s", one);
			KT_AUTOFREE char *tail = kt_asprintf("%s\n", one + 7);
			const char *line = strstr(b.ptr, mode);

			if (!line || !strstr(b.ptr, tail))
				complain("%s-%s: no '%s' in %s", h->set, h->name, one, b.ptr);
		}
	}
	free(text);
}

static void check_ok(const struct hostile *h, const char *staging, const struct outcome *o)
{
	KT_AUTOFREE char *publish = kt_path_join(staging, "publish.json");
	KT_AUTOFREE char *manifest = kt_path_join(staging, "manifest");
	bool bundle = strcmp(h->text, "bundle") == 0;

	check_blobs(staging);
	assert_int_equal(o->bundle, bundle);
	assert_int_equal(kt_fs_is_file(publish), bundle);
	assert_int_equal(kt_fs_is_file(manifest), !bundle);
	if (!bundle)
		check_manifest(h, staging);
}

static void check_refused(const struct hostile *h, const char *staging, const struct outcome *o)
{
	char **names;
	size_t n;

	assert_int_equal(kt_fs_list(staging, &names, &n, NULL), KT_OK);
	assert_int_equal(n, 0);
	kt_fs_names_free(names, n);
	if (strcmp(h->text, "-") != 0 && !strstr(h->verdict, "ok") && !strstr(o->message, h->text))
		complain("%s-%s: '%s' is not in: %s", h->set, h->name, h->text, o->message);
	assert_true(strlen(o->message) > 10);
	for (const char *p = o->message; *p; p++)
		assert_true((unsigned char)*p >= 0x20 && *p != 0x7f);
}

static void check_one(const struct hostile *h, bool worker)
{
	KT_AUTOFREE char *staging = at("staging"), *archives = at("archives");
	KT_AUTOFREE char *archive = kt_path_join(archives, h->file);
	struct outcome o = { 0 };

	assert_int_equal(kt_fs_mkdirs(staging, 0700, NULL), KT_OK);
	unpack_in_child(archive, staging, worker, &o);
	if (!verdict_has(h->verdict, o.code))
		complain("%s-%s: %s, not %s: %s", h->set, h->name, o.code, h->verdict, o.message);
	if (strcmp(o.code, "ok") == 0)
		check_ok(h, staging, &o);
	else
		check_refused(h, staging, &o);
	if (o.rss_kb > MAX_RSS_KB)
		complain("%s-%s: took %ld KiB", h->set, h->name, o.rss_kb);
	if (o.us > MAX_CPU_US)
		complain("%s-%s: took %lld us", h->set, h->name, (long long)o.us);
	assert_int_equal(kt_fs_remove_tree(staging, NULL), KT_OK);
}

/* Names, sizes and times of what an archive could have reached. */
static void snapshot(struct kt_buf *out)
{
	static const char *const places[] = { "", "victim", "victim/deep", "archives", "tmp" };

	for (size_t i = 0; i < KT_ARRAY_LEN(places); i++) {
		KT_AUTOFREE char *dir = at(places[i]);
		char **names;
		size_t n;

		assert_int_equal(kt_fs_list(dir, &names, &n, NULL), KT_OK);
		for (size_t k = 0; k < n; k++) {
			KT_AUTOFREE char *path = kt_path_join(dir, names[k]);
			struct stat st;

			assert_int_equal(lstat(path, &st), 0);
			kt_buf_addf(out, "%s %o %u %lld %lld\n", path, st.st_mode,
				(unsigned)st.st_nlink, (long long)st.st_size,
				S_ISDIR(st.st_mode) ? 0LL : (long long)st.st_mtim.tv_nsec);
		}
		kt_fs_names_free(names, n);
	}
}

static void run_set(const char *set)
{
	KT_AUTO_BUF struct kt_buf before = KT_BUF_INIT(1000000);
	KT_AUTO_BUF struct kt_buf after = KT_BUF_INIT(1000000);
	size_t n = 0;

	n_complaints = 0;
	snapshot(&before);
	for (size_t i = 0; i < n_hostiles; i++) {
		if (strcmp(hostiles[i].set, set) != 0)
			continue;
		check_one(&hostiles[i], false);
		check_one(&hostiles[i], true);
		n++;
	}
	snapshot(&after);
	assert_string_equal(before.ptr, after.ptr);
	assert_true(n > 10);
	assert_int_equal(n_complaints, 0);
}

static void test_bombs(void **state)
{
	run_set("bombs");
}

static void test_names(void **state)
{
	run_set("names");
}

static void test_links(void **state)
{
	run_set("links");
}

static void test_kinds(void **state)
{
	run_set("kinds");
}

static void test_good(void **state)
{
	run_set("good");
}

static void test_bundles(void **state)
{
	run_set("bundles");
}

/* --- limits, one past each -----------------------------------------------------------------------
 */

static enum kt_code unpack_with(
	const char *file, const struct kt_pack_limits *l, struct kt_err *err)
{
	KT_AUTOFREE char *staging = at("staging"), *archives = at("archives");
	KT_AUTOFREE char *archive = kt_path_join(archives, file);
	KT_AUTOFD int fd = open(archive, O_RDONLY);
	struct kt_unpacked out = { 0 };
	enum kt_code code;

	assert_true(fd >= 0);
	assert_int_equal(kt_fs_mkdirs(staging, 0700, NULL), KT_OK);
	code = kt_unpack(fd, staging, l, &out, err);
	assert_int_equal(kt_fs_remove_tree(staging, NULL), KT_OK);
	return code;
}

static void test_limits(void **state)
{
	struct kt_pack_limits l;
	/* good-pax: 7 files, the largest 512,000 bytes, 512,042 together; longest path 160. */
	const struct {
		int64_t *limit;
		int64_t fits;
		const char *name;
	} limits[] = {
		{ &l.max_files, 7, "max_release_files" },
		{ &l.max_file_bytes, 512000, "max_file_bytes" },
		{ &l.max_bytes, 512042, "max_release_bytes" },
		{ &l.max_path_bytes, 160, "max_path_bytes" },
		{ &l.max_depth, 3, "max_depth" },
	};

	kt_pack_limits_init(&l);
	assert_int_equal(l.max_files, KT_MAX_PACK_FILES);
	assert_int_equal(unpack_with("good-pax", &l, NULL), KT_OK);
	for (size_t i = 0; i < KT_ARRAY_LEN(limits); i++) {
		struct kt_err err = KT_ERR_INIT;
		enum kt_code code;

		kt_pack_limits_init(&l);
		*limits[i].limit = limits[i].fits;
		code = unpack_with("good-pax", &l, &err);
		if (code != KT_OK)
			fail_msg("%s at its limit: %s", limits[i].name, err.msg);
		*limits[i].limit = limits[i].fits - 1;
		assert_int_equal(unpack_with("good-pax", &l, &err), KT_ELIMIT);
		assert_non_null(strstr(err.msg, limits[i].name));
	}
}

static void test_archive_bytes(void **state)
{
	KT_AUTOFREE char *path = at("archives/good-gzip");
	struct kt_err err = KT_ERR_INIT;
	struct kt_pack_limits l;
	struct stat st;

	kt_pack_limits_init(&l);
	assert_int_equal(stat(path, &st), 0);
	l.max_archive_bytes = st.st_size;
	assert_int_equal(unpack_with("good-gzip", &l, &err), KT_OK);
	l.max_archive_bytes--;
	assert_int_equal(unpack_with("good-gzip", &l, &err), KT_ELIMIT);
	assert_non_null(strstr(err.msg, "max_archive_bytes"));
}

/* --- pipes: bytes one by one, and none -----------------------------------------------------------
 */

static pid_t feed(const char *path, size_t step, int *out_fd)
{
	int fds[2];
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int fd = path ? open(path, O_RDONLY) : -1;
		char buf[4096];
		ssize_t n;

		close(fds[0]);
		while (fd >= 0 && (n = read(fd, buf, step)) > 0)
			(void)!write(fds[1], buf, (size_t)n);
		if (!path) {
			(void)!write(fds[1], "\x1f", 1);
			(void)sleep(300);
		}
		_exit(0);
	}
	close(fds[1]);
	*out_fd = fds[0];
	return pid;
}

static void test_pipe(void **state)
{
	static const char *const files[] = { "good-forge", "names-nfc", "bombs-zstd-frames",
		"bundles-good" };

	for (size_t i = 0; i < KT_ARRAY_LEN(files); i++) {
		KT_AUTOFREE char *staging = at("staging"), *archives = at("archives");
		KT_AUTOFREE char *path = kt_path_join(archives, files[i]);
		struct kt_unpacked out = { 0 };
		struct kt_err err = KT_ERR_INIT;
		struct kt_pack_limits l;
		KT_AUTOFD int fd = -1;
		pid_t pid = feed(path, 1, &fd);

		kt_pack_limits_init(&l);
		assert_int_equal(kt_fs_mkdirs(staging, 0700, NULL), KT_OK);
		if (kt_unpack(fd, staging, &l, &out, &err) != KT_OK)
			fail_msg("%s: %s", files[i], err.msg);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		assert_int_equal(kt_fs_remove_tree(staging, NULL), KT_OK);
	}
}

static void test_drip(void **state)
{
	KT_AUTOFREE char *staging = at("staging");
	struct kt_unpacked out = { 0 };
	struct kt_err err = KT_ERR_INIT;
	struct kt_pack_limits l;
	int64_t start = kt_mono_us();
	int fd = -1;
	pid_t pid = feed(NULL, 1, &fd);

	kt_pack_limits_init(&l);
	l.max_ms = 200;
	assert_int_equal(kt_fs_mkdirs(staging, 0700, NULL), KT_OK);
	assert_int_equal(kt_unpack(fd, staging, &l, &out, &err), KT_ETIMEOUT);
	assert_non_null(strstr(err.msg, "the fixed limit"));
	assert_true(kt_mono_us() - start >= 200000);
	close(fd);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(kt_fs_remove_tree(staging, NULL), KT_OK);
}

/* --- staging -------------------------------------------------------------------------------------
 */

static void test_staging(void **state)
{
	KT_AUTOFREE char *full = at("tmp/full"), *file = at("tmp/full/x"), *link = at("tmp/link");
	KT_AUTOFREE char *missing = at("tmp/missing"), *archive = at("archives/good-pax");
	KT_AUTOFREE char *empty = at("tmp/empty");
	KT_AUTOFD int fd = open(archive, O_RDONLY);
	struct kt_unpacked out = { 0 };
	struct kt_pack_limits l;

	kt_pack_limits_init(&l);
	assert_int_equal(kt_fs_mkdirs(full, 0700, NULL), KT_OK);
	assert_int_equal(kt_fs_mkdirs(empty, 0700, NULL), KT_OK);
	assert_int_equal(kt_fs_write_new(file, "keep", 4, 0600, NULL), KT_OK);
	assert_int_equal(kt_unpack(fd, full, &l, &out, NULL), KT_ECONFLICT);
	assert_true(kt_fs_is_file(file));
	assert_int_equal(symlink(empty, link), 0);
	assert_int_equal(kt_unpack(fd, link, &l, &out, NULL), KT_EIO);
	assert_int_equal(kt_unpack(fd, missing, &l, &out, NULL), KT_ENOTFOUND);
	assert_int_equal(out.n_files, 0);
	/* None of them read from the archive. */
	assert_int_equal(kt_unpack(fd, empty, &l, &out, NULL), KT_OK);
	assert_int_equal(out.n_files, 7);
	assert_int_equal(out.n_bytes, 512042);
}

static int set_up(void **state)
{
	KT_AUTOFREE char *archives = NULL, *victim = NULL, *deep = NULL, *tmp = NULL;

	if (!mkdtemp(root))
		return -1;
	archives = at("archives");
	victim = at("victim/x");
	deep = at("victim/deep");
	tmp = at("tmp");
	assert_int_equal(kt_fs_mkdirs(deep, 0700, NULL), KT_OK);
	assert_int_equal(kt_fs_mkdirs(tmp, 0700, NULL), KT_OK);
	assert_int_equal(kt_fs_write_new(victim, "victim", 6, 0600, NULL), KT_OK);
	run_script(archives);
	read_cases(archives);
	/* So that what is loaded once does not count as an archive's memory. */
	return kt_crypto_init(NULL) == KT_OK ? 0 : -1;
}

static int tear_down(void **state)
{
	const char *key;
	void *value;

	for (size_t pos = 0; kt_map_next(&groups, &pos, &key, &value);)
		free(value);
	kt_map_release(&groups);
	free(hostiles);
	return kt_fs_remove_tree(root, NULL) == KT_OK ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bundles),
		cmocka_unit_test(test_bombs),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_links),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_archive_bytes),
		cmocka_unit_test(test_pipe),
		cmocka_unit_test(test_drip),
		cmocka_unit_test(test_staging),
	};
	return cmocka_run_group_tests_name("pack/unpack", tests, set_up, tear_down);
}
