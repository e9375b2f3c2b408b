/* SPDX-License-Identifier: MIT */
/* A backup gives all of a data folder back, or is refused; also while a server writes. */
#include "fsck_test.h"

static enum kt_code restore_to(const char *to, const char *file, bool force, struct kt_err *err)
{
	const struct kt_restore how = { .force = force };
	size_t n = 1;
	enum kt_code rc = kt_control_restore(to, file, &how, &n, err);

	assert_true(rc != KT_OK || n == 0);
	return rc;
}

static void make_workspace(void)
{
	KT_AUTOFREE char *work = in_dir("sessions/sess_1/workspace");
	KT_AUTOFREE char *deep = kt_path_join(work, "a/b/c/empty");
	KT_AUTOFREE char *run = kt_path_join(work, "run.sh");
	KT_AUTOFREE char *closed = kt_path_join(work, "read-only");
	KT_AUTOFREE char *inner = kt_path_join(closed, "inner");
	KT_AUTOFREE char *odd = kt_path_join(work, "\xff\xfe odd \xe2\x82\xac\n");
	KT_AUTOFREE char *euro = kt_path_join(work, "\xe2\x82\xac");
	KT_AUTOFREE char *out_link = kt_path_join(work, "out");
	KT_AUTOFREE char *loop = kt_path_join(work, "a/loop");
	KT_AUTOFREE char *fifo = kt_path_join(work, "fifo");
	KT_AUTOFREE char *long_name = kt_asprintf("%s/%0200d", work, 7);
	struct kt_err err = KT_ERR_INIT;

	assert_ok(kt_fs_mkdirs(deep, 0700, &err), err);
	assert_ok(kt_fs_mkdirs(closed, 0700, &err), err);
	assert_ok(kt_fs_write_new(run, "#!/bin/sh\n", 10, 0755, &err), err);
	assert_ok(kt_fs_write_new(inner, "i", 1, 0400, &err), err);
	assert_ok(kt_fs_write_new(odd, "odd", 3, 0644, &err), err);
	assert_ok(kt_fs_write_new(euro, "euro", 4, 0644, &err), err);
	assert_ok(kt_fs_write_new(long_name, "", 0, 0644, &err), err);
	assert_int_equal(chmod(closed, 0500), 0);
	assert_int_equal(symlink("/etc", out_link), 0);
	assert_int_equal(symlink("..", loop), 0);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	KT_AUTOFREE char *far = kt_path_join(work, "far");
	assert_int_equal(symlink("nowhere/\xe2\x82\xac\xff", far), 0);
}

static void round_trip(void **state)
{
	char other[96];
	struct kt_err err = KT_ERR_INIT;
	struct stat st;

	(void)state;
	make_workspace();
	write_file("tmp/left", "x");
	write_file("karta.db.before-002", "old");
	(void)umask(0);
	assert_ok(kt_control_backup(dir, backup_file, &err), err);
	(void)umask(022);
	assert_int_equal(stat(backup_file, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600); /* the master key is in it */
	assert_int_equal(kt_control_backup(dir, backup_file, &err), KT_ECONFLICT);

	(void)snprintf(other, sizeof(other), "%s/deep/er/copy", top);
	assert_ok(restore_to(other, backup_file, false, &err), err);
	fsck_of(other, true);
	assert_string_equal(out.ptr, "");
	assert_int_equal(stat(other, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	KT_AUTOFREE char *key = kt_path_join(other, "master.key");
	KT_AUTOFREE char *key_before = in_dir("master.key");
	assert_int_equal(stat(key, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	KT_AUTOFREE char *key_text = read_text(key);
	KT_AUTOFREE char *key_text_before = read_text(key_before);
	assert_string_equal(key_text, key_text_before);

	/* What a harness left, as it was. */
	KT_AUTOFREE char *work = kt_path_join(other, "sessions/sess_1/workspace");
	static const struct {
		const char *name;
		mode_t mode;
	} want[] = { { "a/b/c/empty", S_IFDIR | 0700 }, { "run.sh", S_IFREG | 0755 },
		{ "read-only/inner", S_IFREG | 0400 },
		{ "\xff\xfe odd \xe2\x82\xac\n", S_IFREG | 0644 },
		{ "\xe2\x82\xac", S_IFREG | 0644 }, { "out", S_IFLNK | 0777 },
		{ "a/loop", S_IFLNK | 0777 } };
	for (size_t i = 0; i < KT_ARRAY_LEN(want); i++) {
		KT_AUTOFREE char *path = kt_path_join(work, want[i].name);

		if (lstat(path, &st) != 0)
			print_error("%s is missing\n", path);
		assert_int_equal(lstat(path, &st), 0);
		assert_int_equal(st.st_mode, want[i].mode);
	}
	KT_AUTOFREE char *long_name = kt_asprintf("%s/%0200d", work, 7);
	assert_int_equal(lstat(long_name, &st), 0);
	KT_AUTOFREE char *far = kt_path_join(work, "far");
	char target[64] = "";
	assert_int_equal(readlink(far, target, sizeof(target) - 1), 12);
	assert_string_equal(target, "nowhere/\xe2\x82\xac\xff");
	/* What can be made again, and what is of the moment, is not in it. */
	static const char *const not[] = { "releases", "tmp", "lock", "karta.db.before-002",
		"karta-backup.json", "sessions/sess_1/workspace/fifo", "karta.db-wal" };
	for (size_t i = 0; i < KT_ARRAY_LEN(not); i++) {
		KT_AUTOFREE char *path = kt_path_join(other, not[i]);

		assert_int_equal(lstat(path, &st), -1);
	}
	KT_AUTOFREE char *jsonl = kt_path_join(other, "sessions.jsonl");
	KT_AUTOFREE char *text = read_text(jsonl);
	assert_string_equal(text, "{\"id\":\"sess_1\"}\n");
	/* Nothing half is beside it. */
	char **names = NULL;
	size_t n = 0;
	assert_int_equal(kt_fs_list(top, &names, &n, NULL), KT_OK);
	assert_int_equal(n, 3); /* data, backup.tar, deep */
	kt_fs_names_free(names, n);
}

static void restore_place(void **state)
{
	struct kt_err err = KT_ERR_INIT;
	KT_AUTOFREE char *empty = kt_path_join(top, "empty");
	KT_AUTOFREE char *slash = kt_asprintf("%s/", empty);
	KT_AUTOFREE char *link = kt_path_join(top, "link");
	KT_AUTOFREE char *lock = in_dir("lock");
	KT_AUTOFREE char *mark = in_dir("mine");
	struct stat st;

	(void)state;
	assert_ok(kt_control_backup(dir, backup_file, &err), err);
	assert_int_equal(mkdir(empty, 0755), 0);
	assert_ok(restore_to(slash, backup_file, false, &err), err);
	fsck_of(empty, true);
	assert_int_equal(n_findings, 0);
	assert_int_equal(stat(empty, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);

	write_file("mine", "x");
	assert_int_equal(restore_to(dir, backup_file, false, &err), KT_ECONFLICT);
	int fd = open(lock, O_RDWR | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_int_equal(restore_to(dir, backup_file, true, &err), KT_ECONFLICT);
	assert_non_null(strstr(err.msg, "server"));
	(void)close(fd);
	/* Through a link: the folder is replaced, and the old one kept. */
	assert_int_equal(symlink(dir, link), 0);
	assert_ok(restore_to(link, backup_file, true, &err), err);
	assert_int_equal(lstat(link, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	fsck_of(dir, true);
	assert_int_equal(n_findings, 0);
	assert_int_equal(stat(mark, &st), -1);
	char **names = NULL;
	size_t n = 0, kept = 0;
	assert_int_equal(kt_fs_list(top, &names, &n, NULL), KT_OK);
	for (size_t i = 0; i < n; i++)
		kept += kt_str_starts(names[i], "data.replaced-");
	assert_int_equal(kept, 1);
	kt_fs_names_free(names, n);
}

/* A backup that is not whole replaces nothing. */
static void restore_refuses(void **state)
{
	struct kt_err err = KT_ERR_INIT;
	KT_AUTOFREE char *to = kt_path_join(top, "to");
	struct stat st;

	(void)state;
	assert_int_equal(restore_to(to, "/tmp/kt-none", false, &err), KT_ENOTFOUND);
	assert_ok(kt_fs_write_new(backup_file, "no archive", 10, 0600, &err), err);
	assert_int_equal(restore_to(to, backup_file, false, &err), KT_EPROTO);
	assert_int_equal(unlink(backup_file), 0);

	assert_ok(kt_control_backup(dir, backup_file, &err), err);
	assert_int_equal(stat(backup_file, &st), 0);
	/* Cut at many places: refused at each. */
	for (int i = 1; i < 40; i++) {
		KT_AUTOFREE char *cut = kt_path_join(top, "cut.tar");
		KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 24);

		assert_ok(kt_fs_read(backup_file, &b, &err), err);
		assert_ok(kt_fs_write_atomic(cut, b.ptr, b.len * (size_t)i / 41, 0600, false, &err),
			err);
		if (restore_to(to, cut, false, &err) == KT_OK)
			print_error("cut at %d of 41\n", i);
		assert_int_equal(stat(to, &st), -1);
	}
	/* A changed byte in a blob. */
	KT_AUTO_BUF struct kt_buf all = KT_BUF_INIT(1 << 24);
	assert_ok(kt_fs_read(backup_file, &all, &err), err);
	char *at = memmem(all.ptr, all.len, contents[1], strlen(contents[1]));
	assert_non_null(at);
	overwrite(backup_file, at - all.ptr + 3, "B");
	assert_int_equal(restore_to(to, backup_file, false, &err), KT_EPROTO);
	assert_non_null(strstr(err.msg, file_digest[1]));
	assert_int_equal(stat(to, &st), -1);
	char **names = NULL;
	size_t n = 0;
	assert_int_equal(kt_fs_list(top, &names, &n, NULL), KT_OK);
	assert_int_equal(n, 3); /* data, backup.tar, cut.tar */
	kt_fs_names_free(names, n);
}

static void add_member(struct kt_tarball *t, const char *from, const char *name)
{
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(1 << 24);
	struct kt_err err = KT_ERR_INIT;

	assert_ok(kt_fs_read(from, &text, &err), err);
	assert_ok(kt_tarball_bytes(t, name, 0600, text.ptr, text.len, &err), err);
}

/* A backup whose database an older version made: it is brought up to date, and then checked. */
static void older_schema(void **state)
{
	static const char mark[] = "{\"format\":1}";
	struct kt_err err = KT_ERR_INIT;
	KT_AUTOFREE char *to = kt_path_join(top, "to");
	KT_AUTOFREE char *db = in_dir("karta.db");
	KT_AUTOFREE char *key = in_dir("master.key");
	KT_AUTOFREE char *note = kt_path_join(to, "builds/rel_1.json");
	KT_AUTOFREE char *restored = kt_path_join(to, "karta.db");
	struct kt_tarball *t = NULL;
	struct kt_db *old = NULL;
	int64_t n = 0;

	(void)state;
	assert_int_equal(unlink(db), 0);
	assert_ok(kt_fs_write_new(db, "", 0, 0600, &err), err);
	assert_ok(kt_db_open(db, false, &old, &err), err);
	assert_ok(kt_db_migrate(old, db, kt_sqlite_engine.migrations, 6, &err), err);
	kt_db_close(old);
	raw("INSERT INTO orgs (id, slug, name, created_us) VALUES ('org_1', 'a', 'A', 1);"
	    "INSERT INTO projects (id, org_id, slug, label, production_ref, next_version, "
	    "config_version, created_us) VALUES ('proj_1', 'org_1', 'bot', 'bot', 'r', 2, 0, 1);"
	    "INSERT INTO releases (id, org_id, project_id, version, state, digest, kind, source, "
	    "created_by, created_us) VALUES ('rel_1', 'org_1', 'proj_1', 1, 'failed', 'd', "
	    "'file_copy', 'cli', 'x', 1)");
	int fd = open(backup_file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_ok(kt_tarball_new(fd, &t, &err), err);
	assert_ok(kt_tarball_bytes(t, "karta-backup.json", 0600, mark, strlen(mark), &err), err);
	add_member(t, key, "master.key");
	assert_ok(kt_tarball_bytes(t, "builds/rel_1.json", 0600, "{}", 2, &err), err);
	add_member(t, db, "karta.db");
	assert_ok(kt_tarball_end(t, KT_OK, &err), err);
	(void)close(fd);

	assert_ok(restore_to(to, backup_file, false, &err), err);
	assert_ok(kt_db_open(restored, true, &old, &err), err);
	assert_ok(kt_db_number(old, "PRAGMA user_version", &n, &err), err);
	assert_int_equal(n, kt_sqlite_engine.n_migrations);
	assert_ok(kt_db_number(old, "SELECT count(*) FROM releases WHERE aim = 'live'", &n, &err), err);
	assert_int_equal(n, 1);
	kt_db_close(old);
	/* The next start takes it over. */
	assert_true(kt_fs_is_file(note));
}

static void backup_refuses(void **state)
{
	struct kt_err err = KT_ERR_INIT;
	KT_AUTOFREE char *one = blob(file_digest[1], "");
	struct stat st;

	(void)state;
	assert_int_equal(kt_control_backup("/tmp/kt-none", backup_file, &err), KT_ENOTFOUND);
	overwrite(one, 3, "B");
	assert_int_equal(kt_control_backup(dir, backup_file, &err), KT_EPROTO);
	assert_non_null(strstr(err.msg, "rel_4"));
	assert_int_equal(unlink(one), 0);
	assert_int_equal(kt_control_backup(dir, backup_file, &err), KT_EPROTO);
	assert_non_null(strstr(err.hint, "fsck"));
	assert_int_equal(stat(backup_file, &st), -1);
	assert_int_equal(kt_control_backup(dir, "/tmp/kt-none/x/y", &err), KT_EIO);
}

/* Archives that want out, or in over a link. */
static void hostile_archives(void **state)
{
	struct kt_err err = KT_ERR_INIT;
	static const char *const names[] = { "../x", "/tmp/kt-fsck-out", "a/../../x", "a//b", "./../x",
		"" };
	KT_AUTOFREE char *to = kt_path_join(top, "to");
	KT_AUTOFREE char *tree = kt_path_join(top, "tree");
	KT_AUTOFREE char *link = kt_path_join(tree, "sub/link");
	KT_AUTOFREE char *sub = kt_path_join(tree, "sub");
	struct stat st;

	(void)state;
	assert_ok(kt_fs_mkdirs(sub, 0700, &err), err);
	assert_int_equal(symlink(top, link), 0);
	for (size_t i = 0; i <= KT_ARRAY_LEN(names); i++) {
		struct kt_tarball *t = NULL;
		int fd = open(backup_file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

		assert_ok(kt_tarball_new(fd, &t, &err), err);
		if (i < KT_ARRAY_LEN(names)) {
			assert_ok(kt_tarball_bytes(t, names[i], 0644, "x", 1, &err), err);
		} else {
			/* A link, and then a file through it. */
			assert_ok(kt_tarball_folder(t, sub, "s", &err), err);
			assert_ok(kt_tarball_bytes(t, "s/link/x", 0644, "x", 1, &err), err);
		}
		assert_ok(kt_tarball_end(t, KT_OK, &err), err);
		(void)close(fd);
		assert_int_equal(mkdir(to, 0700), 0);
		fd = open(backup_file, O_RDONLY | O_CLOEXEC);
		assert_int_equal(kt_tarball_unpack(fd, to, false, &err), KT_EPROTO);
		(void)close(fd);
		KT_AUTOFREE char *escaped = kt_path_join(top, "x");
		assert_int_equal(lstat(escaped, &st), -1);
		assert_ok(kt_fs_remove_tree(to, &err), err);
	}
	assert_int_equal(lstat("/tmp/kt-fsck-out", &st), -1);
}

/* --- while a server writes --------------------------------------------------------------------- */

struct load {
	struct kt_store *st;
	struct kt_blobs *blobs;
	int64_t version;
	bool stop; /* atomic */
	char digest[KT_DIGEST_MAX];
};

/* A publish: blobs first, then the row, the pointer and the audit entry in one transaction. */
static enum kt_code publish(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	struct load *l = arg;
	KT_AUTO_ARENA struct kt_arena *arena = kt_arena_new();
	struct kt_project_row p;
	struct kt_release_row old;
	struct kt_audit_row a = { .at_us = 1, .org_id = "org_1", .actor = "system",
		.actor_name = "system", .action = "release.activate", .object = "project/bot" };
	char id[32];
	enum kt_code rc = kt_tx_project(tx, arena, "org_1", "bot", &p, err);

	if (rc == KT_OK)
		rc = kt_tx_release(tx, arena, "org_1", p.current_release_id, &old, err);
	if (rc == KT_OK) {
		old.state = KT_REL_SUPERSEDED;
		rc = kt_tx_release_put(tx, &old, err);
	}
	if (rc == KT_OK)
		rc = add_release(tx, l->version, KT_REL_ACTIVE, l->digest, err);
	(void)snprintf(id, sizeof(id), "rel_%d", (int)l->version);
	p.current_release_id = id;
	p.next_version = l->version + 1;
	if (rc == KT_OK)
		rc = kt_tx_project_put(tx, &p, err);
	return rc == KT_OK ? kt_tx_audit_add(tx, &a, err) : rc;
}

static void *load_thread(void *arg)
{
	struct load *l = arg;
	struct kt_err err = KT_ERR_INIT;
	struct kt_pack_limits limits;

	kt_pack_limits_init(&limits);
	for (l->version = 5; !__atomic_load_n(&l->stop, __ATOMIC_RELAXED); l->version++) {
		KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(4096);
		struct kt_file f = { .path = "karta.toml", .mode = KT_MODE_FILE };
		struct kt_manifest *m = NULL;
		char body[64];

		f.size = snprintf(body, sizeof(body), "version = %d\n", (int)l->version);
		assert_ok(kt_blobs_put(l->blobs, "org_1", body, (size_t)f.size, f.digest, &err), err);
		assert_ok(kt_manifest_make(&f, 1, &limits, &m, &err), err);
		kt_manifest_render(m, &text);
		assert_ok(kt_blobs_put(l->blobs, "org_1", text.ptr, text.len, l->digest, &err), err);
		kt_manifest_free(m);
		assert_ok(kt_store_do(l->st, true, publish, l, &err), err);
	}
	return NULL;
}

static void under_load(void **state)
{
	KT_AUTOFREE char *db = in_dir("karta.db");
	KT_AUTOFREE char *blobs = in_dir("blobs");
	KT_AUTOFREE char *lock = in_dir("lock");
	struct load l = { 0 };
	struct kt_store_config cfg = { .path = db };
	struct kt_err err = KT_ERR_INIT;
	pthread_t t;

	(void)state;
	assert_ok(kt_store_open(&cfg, &l.st, &err), err);
	assert_ok(kt_blobs_open(blobs, &l.blobs, &err), err);
	KT_AUTOFD int fd = open(lock, O_RDWR | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_int_equal(pthread_create(&t, NULL, load_thread, &l), 0);
	for (int i = 0; i < 5; i++) {
		KT_AUTOFREE char *to = kt_asprintf("%s/copy-%d", top, i);
		KT_AUTOFREE char *file = kt_asprintf("%s/copy-%d.tar", top, i);

		fsck_of(dir, true);
		if (n_findings > 0)
			print_error("%s", out.ptr);
		assert_int_equal(n_findings, 0);
		assert_ok(kt_control_backup(dir, file, &err), err);
		assert_ok(restore_to(to, file, false, &err), err);
	}
	__atomic_store_n(&l.stop, true, __ATOMIC_RELAXED);
	assert_int_equal(pthread_join(t, NULL), 0);
	print_message("# %d versions meanwhile\n", (int)l.version - 5);
	assert_true(l.version > 6);
	kt_blobs_close(l.blobs);
	kt_store_close(l.st);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(round_trip),
		T(restore_place),
		T(restore_refuses),
		T(older_schema),
		T(backup_refuses),
		T(hostile_archives),
		T(under_load),
	};
	return cmocka_run_group_tests_name("control/backup", tests, NULL, NULL);
}
