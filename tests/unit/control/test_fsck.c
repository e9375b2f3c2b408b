/* SPDX-License-Identifier: MIT */
/* fsck finds every kind of damage, and nothing in a folder that is in order. */
#include "fsck_test.h"

static void in_order(void **state)
{
	KT_AUTOFREE char *name = blob(file_digest[0], "");
	struct stat a, b;
	struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };

	(void)state;
	assert_int_equal(utimensat(AT_FDCWD, name, old, 0), 0);
	assert_int_equal(stat(name, &a), 0);
	expect(false, 0, "", "");
	expect(true, 0, "", "");
	/* Looking is no use of a blob. */
	assert_int_equal(stat(name, &b), 0);
	assert_int_equal(a.st_mtime, b.st_mtime);
	/* The second time too: looking left nothing behind. */
	expect(true, 0, "", "");
}

static void not_a_folder(void **state)
{
	struct kt_err err = KT_ERR_INIT;
	KT_AUTOFREE char *db = in_dir("karta.db");

	(void)state;
	assert_int_equal(
		kt_control_fsck("/tmp/kt-none", true, &out, &n_findings, &err), KT_ENOTFOUND);
	assert_int_equal(unlink(db), 0);
	assert_int_equal(kt_control_fsck(dir, true, &out, &n_findings, &err), KT_ENOTFOUND);
}

static void pointers(void **state)
{
	(void)state;
	raw("UPDATE releases SET state = 'superseded' WHERE version = 4");
	expect(false, 1, "I1", "v4, which is superseded");
	raw("UPDATE releases SET state = 'active' WHERE version IN (1, 4)");
	expect(false, 1, "I1", "v1 is active, but");
	raw("UPDATE releases SET state = 'superseded' WHERE version = 1;"
	    "UPDATE projects SET current_release_id = 'rel_none'");
	fsck_of(dir, false);
	assert_int_equal(n_findings, 3); /* leads nowhere, v4 is left over, broken reference */
	assert_non_null(strstr(out.ptr, "'rel_none'"));
	assert_non_null(strstr(out.ptr, "\"I9\""));
	assert_non_null(strstr(out.ptr, "project/bot"));
}

static void versions(void **state)
{
	(void)state;
	raw("DELETE FROM releases WHERE version = 2");
	expect(false, 1, "I2", "v2 is missing");
	raw("DELETE FROM releases WHERE version = 3");
	expect(false, 1, "I2", "v2 is missing, and more");
	raw("UPDATE projects SET next_version = 4");
	expect(false, 2, "I2", "would be v4");
	raw("UPDATE projects SET next_version = 9");
	expect(false, 2, "I2", "v5 is missing");
}

static void blobs_missing(void **state)
{
	KT_AUTOFREE char *one = blob(file_digest[0], "");
	KT_AUTOFREE char *manifest = blob(manifest_digest[1], "");

	(void)state;
	/* Both releases have it. */
	assert_int_equal(unlink(one), 0);
	expect(false, 2, "I3", "v4: the blobs of 1 of its 3 files are missing");
	assert_non_null(strstr(out.ptr, "v1: the blobs of 1 of its 1"));
	assert_int_equal(unlink(manifest), 0);
	expect(false, 2, "I3", "v1: there is no blob");
	/* All of them, and there is no folder any more. */
	KT_AUTOFREE char *all = in_dir("blobs");
	assert_int_equal(kt_fs_remove_tree(all, NULL), KT_OK);
	expect(true, 2, "I3", "there are no blobs");
}

static void blobs_damaged(void **state)
{
	KT_AUTOFREE char *one = blob(file_digest[1], "");
	KT_AUTOFREE char *twin = blob(file_digest[1], ".x");
	KT_AUTOFREE char *manifest = blob(manifest_digest[0], "");

	(void)state;
	overwrite(one, 3, "B");
	expect(false, 0, "", ""); /* the size is right; only reading tells */
	expect(true, 1, "I3", file_digest[1]);
	overwrite(one, 3, "b");
	expect(true, 0, "", "");
	/* The executable twin, which is in the tree too. */
	overwrite(twin, 3, "B");
	fsck_of(dir, true);
	assert_int_equal(n_findings, 2);
	assert_non_null(strstr(out.ptr, "\"I1\""));
	assert_non_null(strstr(out.ptr, "bin/run"));
	overwrite(twin, 3, "b");
	assert_int_equal(truncate(one, 2), 0);
	expect(false, 1, "I3", "has 2 bytes");
	assert_int_equal(unlink(one), 0);
	overwrite(manifest, 0, "9");
	fsck_of(dir, false);
	assert_non_null(strstr(out.ptr, "v4: its manifest is damaged"));
}

static void trees(void **state)
{
	KT_AUTOFREE char *tree = kt_asprintf("%s/releases/org_1/%s", dir, manifest_digest[0]);
	KT_AUTOFREE char *marker = kt_asprintf("%s.ok", tree);
	KT_AUTOFREE char *toml = kt_path_join(tree, "karta.toml");
	KT_AUTOFREE char *more = kt_path_join(tree, "bin/more");
	KT_AUTOFREE char *link = kt_path_join(tree, "link");
	struct kt_err err = KT_ERR_INIT;

	(void)state;
	assert_ok(kt_fs_write_new(more, "x", 1, 0644, &err), err);
	expect(false, 1, "I1", "'bin/more' is not in the manifest");
	assert_int_equal(unlink(more), 0);
	assert_int_equal(unlink(toml), 0);
	expect(false, 1, "I1", "1 of its 3 files are missing");
	assert_ok(kt_fs_write_new(toml, "name = \"bxt\"\n", 13, 0444, &err), err);
	expect(false, 0, "", "");
	expect(true, 1, "I1", "'karta.toml' was changed");
	assert_int_equal(chmod(toml, 0555), 0);
	expect(false, 1, "I1", "another mode");
	assert_int_equal(unlink(toml), 0);
	assert_int_equal(symlink("/etc/passwd", toml), 0);
	assert_int_equal(unlink(link), 0);
	assert_int_equal(symlink("/etc/passwd", link), 0);
	expect(false, 2, "I1", "'link' was changed");
	assert_non_null(strstr(out.ptr, "no file any more"));
	/* Without a marker it is nobody's tree, and without a tree nothing is missing: it is made anew. */
	assert_int_equal(unlink(marker), 0);
	expect(true, 0, "", "");
	assert_ok(kt_fs_remove_tree(tree, &err), err);
	expect(true, 0, "", "");
}

static void staging(void **state)
{
	KT_AUTOFREE char *lock = in_dir("lock");
	KT_AUTOFD int fd = -1;

	(void)state;
	write_file("tmp/up-1/blobs/x", "y");
	expect(false, 1, "I4", "tmp/up-1");
	/* A server has it: it may be in use. */
	fd = open(lock, O_RDWR | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	expect(false, 0, "", "");
}

static void audit(void **state)
{
	(void)state;
	raw("DROP TRIGGER audit_no_update; UPDATE audit SET actor = 'x' WHERE seq = 3");
	expect(false, 1, "I7", "entry 3 of 3");
	raw("DROP TRIGGER audit_no_delete; DELETE FROM audit");
	expect(false, 1, "I7", "entry 1 of 0");
}

static void database(void **state)
{
	KT_AUTOFREE char *db = in_dir("karta.db");
	KT_AUTOFREE char *key = in_dir("master.key");

	(void)state;
	assert_int_equal(chmod(key, 0644), 0);
	expect(false, 1, "I9", "master.key");
	assert_int_equal(unlink(key), 0);
	expect(false, 1, "I9", "master.key");
	overwrite(db, 5 * 4096, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
	fsck_of(dir, false);
	assert_true(n_findings >= 2);
	assert_non_null(strstr(out.ptr, "{\"invariant\":\"I9\",\"object\":\"karta.db\""));
	overwrite(db, 0, "no database");
	expect(false, 2, "I9", "karta.db");
}

static void event_logs(void **state)
{
	static const struct {
		const char *events;
		size_t n;
		const char *word;
	} cases[] = {
		{ GOOD_EVENTS, 0, "" },
		{ "", 0, "" },
		{ GOOD_EVENTS "id: 8\nevent: te", 0, "" }, /* torn: cut off when it is opened */
		{ FRAME(4, "text", "t"), 1, "event 4 follows event 2" },
		{ FRAME(3, "text", "t") FRAME(3, "text", "t"), 1, "event 3 follows event 3" },
		{ FRAME(3, "text", "t") FRAME(5, "text", "t") FRAME(6, "text", "t"), 1,
			"event 5 follows event 3" },
		{ FRAME(3, "done", "t") FRAME(4, "done", "t"), 1, "turn t, which is done" },
		{ FRAME(3, "done", "t") FRAME(4, "text", "t"), 1, "event 4 belongs to turn t" },
		{ FRAME(3, "text", "t") "junk\n\n" FRAME(4, "text", "t"), 1, "follows event 3" },
		{ FRAME(3, "text", "t") "\n\n", 1, "is no event" },
	};

	(void)state;
	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		make_logs(cases[i].events);
		expect(false, cases[i].n, "I12", cases[i].word);
	}
	write_file("sessions/sess_1/events.log", "something else that is long enough to be a head, "
						 "which it is not");
	expect(false, 1, "I12", "does not begin");
	make_logs("");
	write_file("builds/rel_4.log", ": karta-log base_seq=0\n\n" FRAME(2, "log", "t"));
	expect(false, 1, "I12", "builds/rel_4.log");
	/* A session's folder is not ours alone. */
	KT_AUTOFREE char *link = in_dir("sessions/sess_2");
	assert_int_equal(symlink("/nowhere", link), 0);
	KT_AUTOFREE char *pipe_dir = in_dir("sessions/sess_3");
	KT_AUTOFREE char *fifo = in_dir("sessions/sess_3/events.log");
	assert_int_equal(mkdir(pipe_dir, 0700), 0);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	expect(false, 2, "I12", "sess_3/events.log");
}

/* A log of several pieces, with a frame that crosses their border. */
static void long_log(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 24);
	KT_AUTOFREE char *path = in_dir("logs/proj_1.log");
	struct kt_err err = KT_ERR_INIT;

	(void)state;
	kt_buf_adds(&b, ": karta-log base_seq=0\n\n");
	for (int i = 1; i <= 300; i++) {
		kt_buf_addf(&b, "id: %d\nevent: log\ndata: {\"type\":\"log\",\"data\":{\"text\":\"", i);
		for (int k = 0; k < (i == 7 ? 600000 : 5000); k++)
			kt_buf_addc(&b, 'x');
		kt_buf_adds(&b, "\"}}\n\n");
	}
	assert_true(kt_buf_ok(&b));
	assert_ok(kt_fs_write_atomic(path, b.ptr, b.len, 0600, false, &err), err);
	expect(false, 0, "", "");
	kt_buf_adds(&b, "id: 302\nevent: log\ndata: {}\n\n");
	assert_ok(kt_fs_write_atomic(path, b.ptr, b.len, 0600, false, &err), err);
	expect(false, 1, "I12", "event 302 follows event 300");
}

/* A buffer that is full loses lines, never the count, and never half a line. */
static void many_findings(void **state)
{
	struct kt_err err = KT_ERR_INIT;
	size_t n = 0;

	(void)state;
	for (int i = 0; i < 50; i++) {
		char rel[64];

		(void)snprintf(rel, sizeof(rel), "tmp/left-%d", i);
		write_file(rel, "x");
	}
	kt_buf_release(&out);
	kt_buf_init(&out, 1000);
	assert_ok(kt_control_fsck(dir, false, &out, &n, &err), err);
	assert_int_equal(n, 50);
	assert_true(kt_buf_ok(&out));
	assert_in_range(out.len, 500, 1000);
	assert_int_equal(out.ptr[out.len - 1], '\n');
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(in_order),
		T(not_a_folder),
		T(pointers),
		T(versions),
		T(blobs_missing),
		T(blobs_damaged),
		T(trees),
		T(staging),
		T(audit),
		T(database),
		T(event_logs),
		T(long_log),
		T(many_findings),
	};
	return cmocka_run_group_tests_name("control/fsck", tests, NULL, NULL);
}
