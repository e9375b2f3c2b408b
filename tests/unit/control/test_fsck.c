/* SPDX-License-Identifier: MIT */
/* fsck finds every kind of damage, and nothing in a folder that is in order. */
#include "fsck_test.h"

#include "text/linesum.h"

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
	/* Without a marker it is nobody's tree, and without a tree nothing is missing: it is made
	 * anew. */
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
	expect(false, 0, "", "");
	assert_non_null(strstr(out.ptr, "{\"invariant\":\"I4\",\"object\":\"tmp/up-1\",\"message\":\"left over, "
		"cleaned at the next start\",\"left_over\":true}\n"));
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
	write_file("sessions/sess_1/events.log",
		"something else that is long enough to be a head, "
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

/* Every byte of a log and of a journal, but for what may as well be a write that was cut off. */
static void rotten_lines(void **state)
{
	KT_AUTO_BUF struct kt_buf log = KT_BUF_INIT(65536);
	KT_AUTO_BUF struct kt_buf journal = KT_BUF_INIT(65536);
	struct kt_err err = KT_ERR_INIT;
	KT_AUTOFREE char *log_path = in_dir("sessions/sess_1/events.log");
	KT_AUTOFREE char *journal_path = in_dir("sessions.jsonl");
	size_t body;

	(void)state;
	kt_buf_adds(&log, log_head);
	body = log.len;
	for (int i = 3; i < 6; i++) {
		size_t from = log.len;
		char sum[9];

		kt_buf_addf(&log,
			"id: %d\nevent: text\ndata: "
			"{\"type\":\"text\",\"seq\":%d,\"turn_id\":\"t\","
			"\"data\":{\"part\":{\"text\":\"h\xc3\xbc\"}}}",
			i, i);
		kt_linesum_text(log.ptr + from, log.len - from, sum);
		kt_buf_addf(&log, "\n: %s\n\n", sum);
		from = journal.len;
		kt_buf_addf(&journal, "{\"id\":\"sess_%d\",\"turns\":1}", i);
		kt_linesum_add(&journal, from);
		kt_buf_addc(&journal, '\n');
	}
	assert_ok(kt_fs_write_atomic(log_path, log.ptr, log.len, 0600, false, &err), err);
	assert_ok(
		kt_fs_write_atomic(journal_path, journal.ptr, journal.len, 0600, false, &err), err);
	expect(false, 0, "", "");
	for (size_t at = 0; at + 2 < log.len; at++) {
		char byte[2] = { (char)(log.ptr[at] ^ 0x01), 0 };

		overwrite(log_path, (off_t)at, byte);
		fsck_of(dir, false);
		if (n_findings == 0)
			fail_msg("byte %zu of the log (frames from %zu)", at, body);
		assert_non_null(strstr(out.ptr, "sess_1/events.log"));
		byte[0] = log.ptr[at];
		overwrite(log_path, (off_t)at, byte);
	}
	for (size_t at = 0; at + 1 < journal.len; at++) {
		char byte[2] = { (char)(journal.ptr[at] ^ 0x01), 0 };

		/* A name of the check, in the first line: it is one of before there were any. */
		if (at >= strcspn(journal.ptr, "\n") - 18 && at < strcspn(journal.ptr, "\n"))
			continue;
		overwrite(journal_path, (off_t)at, byte);
		fsck_of(dir, false);
		if (n_findings == 0)
			fail_msg("byte %zu of the journal", at);
		assert_non_null(strstr(out.ptr, "sessions.jsonl"));
		assert_non_null(strstr(out.ptr, "line "));
		byte[0] = journal.ptr[at];
		overwrite(journal_path, (off_t)at, byte);
	}
	/* What a loss of power leaves is no finding. */
	kt_buf_add(&journal, "\0\0\0\0\n{\"id\":\"se", 15);
	assert_ok(
		kt_fs_write_atomic(journal_path, journal.ptr, journal.len, 0600, false, &err), err);
	expect(false, 0, "", "");
}

static enum kt_code add_secrets(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	const struct kt_master *m = arg;
	KT_AUTO_ARENA struct kt_arena *arena = kt_arena_new();
	KT_AUTO_BUF struct kt_buf value = KT_BUF_INIT(4096);
	KT_AUTO_BUF struct kt_buf token = KT_BUF_INIT(4096);
	struct kt_project_row p;
	enum kt_code rc;

	kt_seal(m, "config/org_1/proj_1/KEY", "secret", 6, &value);
	kt_seal(m, "repo_token/org_1/proj_1", "token", 5, &token);
	struct kt_config_row row = { "KEY", value.ptr, value.len };
	rc = kt_tx_config_add(tx, "proj_1", 1, &row, 1, err);
	if (rc == KT_OK)
		rc = kt_tx_config_add(tx, "proj_1", 2, &row, 1, err);
	if (rc == KT_OK)
		rc = kt_tx_project(tx, arena, "org_1", "bot", &p, err);
	p.config_version = 2;
	p.repo_token = token.ptr;
	p.repo_token_len = token.len;
	return rc == KT_OK ? kt_tx_project_put(tx, &p, err) : rc;
}

/* Values that do not open any more: of rows, or because the key is another. */
static void sealed_values(void **state)
{
	KT_AUTOFREE char *key = in_dir("master.key");
	KT_AUTOFREE char *db = in_dir("karta.db");
	struct kt_store_config cfg = { .path = db };
	struct kt_store *st = NULL;
	struct kt_master *m = NULL;
	struct kt_err err = KT_ERR_INIT;

	(void)state;
	assert_ok(kt_master_open(key, false, &m, &err), err);
	assert_ok(kt_store_open(&cfg, &st, &err), err);
	assert_ok(kt_store_do(st, true, add_secrets, m, &err), err);
	kt_store_close(st);
	kt_master_free(m);
	expect(true, 0, "", "");
	raw("UPDATE config_vars SET value = zeroblob(length(value)) WHERE version = 1");
	expect(true, 1, "I9", "KEY of configuration 1 cannot be opened");
	expect(false, 0, "", "");
	raw("UPDATE projects SET repo_token = zeroblob(length(repo_token))");
	expect(true, 2, "I9", "token of its repository");
	KT_AUTOFREE char *text = read_text(key);
	text[5] = text[5] == 'a' ? 'b' : 'a';
	overwrite(key, 0, text);
	expect(false, 2, "I9", "KEY of configuration 2 cannot be opened");
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
		kt_buf_addf(
			&b, "id: %d\nevent: log\ndata: {\"type\":\"log\",\"data\":{\"text\":\"", i);
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

		(void)snprintf(rel, sizeof(rel), "logs/bad-%d.log", i);
		write_file(rel, "no log\n\n");
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
		T(rotten_lines),
		T(sealed_values),
		T(long_log),
		T(many_findings),
	};
	return cmocka_run_group_tests_name("control/fsck", tests, NULL, NULL);
}
