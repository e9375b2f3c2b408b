/* SPDX-License-Identifier: MIT */
/*
 * A data folder that is in order, made by hand, and what damages it. Only for test_fsck.c and
 * test_backup.c.
 */
#ifndef TEST_CONTROL_FSCK_TEST_H
#define TEST_CONTROL_FSCK_TEST_H

#include "control/control.h"

#include "base/arena.h"
#include "base/fs.h"
#include "base/str.h"
#include "base/time.h"
#include "crypto/crypto.h"
#include "event/event.h"
#include "pack/pack.h"
#include "store/blob.h"
#include "store/db_private.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char top[64], dir[96], backup_file[96];
static struct kt_buf out;
static size_t n_findings;
static char manifest_digest[2][KT_DIGEST_MAX], file_digest[3][KT_DIGEST_MAX];

static const char *const contents[3] = { "name = \"bot\"\n", "#!/bin/sh\necho hi\n", "karta.toml" };

#define assert_ok(call, err)                                                                       \
	do {                                                                                       \
		enum kt_code code_ = (call);                                                       \
		if (code_ != KT_OK)                                                                \
			print_error("%s\n", (err).msg);                                            \
		assert_int_equal(code_, KT_OK);                                                    \
	} while (0)

KT_UNUSED static char *in_dir(const char *rel)
{
	return kt_path_join(dir, rel);
}

KT_UNUSED static void write_file(const char *rel, const char *text)
{
	KT_AUTOFREE char *path = in_dir(rel);
	KT_AUTOFREE char *parent = kt_path_dir(path);
	struct kt_err err = KT_ERR_INIT;

	assert_ok(kt_fs_mkdirs(parent, 0700, &err), err);
	assert_ok(kt_fs_write_atomic(path, text, strlen(text), 0600, false, &err), err);
}

KT_UNUSED static char *read_text(const char *path)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);
	struct kt_err err = KT_ERR_INIT;

	assert_ok(kt_fs_read(path, &b, &err), err);
	return kt_buf_take(&b);
}

/* --- a data folder in order -------------------------------------------------------------------- */

/* Two manifests: all three files (one executable, one a link), and the first alone. */
KT_UNUSED static void make_blobs(void)
{
	KT_AUTOFREE char *path = in_dir("blobs");
	struct kt_blobs *b = NULL;
	struct kt_err err = KT_ERR_INIT;
	struct kt_pack_limits limits;
	struct kt_file files[3] = { { .path = "karta.toml", .mode = KT_MODE_FILE },
		{ .path = "bin/run", .mode = KT_MODE_EXEC }, { .path = "link", .mode = KT_MODE_LINK } };

	kt_pack_limits_init(&limits);
	assert_ok(kt_blobs_open(path, &b, &err), err);
	for (size_t i = 0; i < 3; i++) {
		files[i].size = (int64_t)strlen(contents[i]);
		assert_ok(kt_blobs_put(b, "org_1", contents[i], strlen(contents[i]),
				  file_digest[i], &err),
			err);
		memcpy(files[i].digest, file_digest[i], KT_DIGEST_MAX);
	}
	for (size_t i = 0; i < 2; i++) {
		KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(4096);
		struct kt_manifest *m = NULL;

		assert_ok(kt_manifest_make(files, i == 0 ? 3 : 1, &limits, &m, &err), err);
		kt_manifest_render(m, &text);
		assert_ok(kt_blobs_put(b, "org_1", text.ptr, text.len, manifest_digest[i], &err),
			err);
		assert_string_equal(manifest_digest[i], m->digest);
		kt_manifest_free(m);
	}
	/* The tree of the first, as a server lays it out. */
	KT_AUTOFREE char *tree = kt_asprintf("%s/releases/org_1/%s", dir, manifest_digest[0]);
	KT_AUTOFREE char *bin = kt_path_join(tree, "bin");
	KT_AUTOFREE char *marker = kt_asprintf("%s.ok", tree);
	assert_ok(kt_fs_mkdirs(bin, 0755, &err), err);
	KT_AUTOFD int fd = open(tree, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_ok(kt_blobs_link(b, "org_1", file_digest[0], false, fd, "karta.toml", &err), err);
	assert_ok(kt_blobs_link(b, "org_1", file_digest[1], true, fd, "bin/run", &err), err);
	assert_int_equal(symlinkat(contents[2], fd, "link"), 0);
	assert_ok(kt_fs_write_new(marker, "", 0, 0600, &err), err);
	kt_blobs_close(b);
}

KT_UNUSED static enum kt_code add_release(struct kt_tx *tx, int64_t version, enum kt_release_state state,
	const char *digest, struct kt_err *err)
{
	char id[32];
	struct kt_release_row r = { .id = id, .org_id = "org_1", .project_id = "proj_1",
		.version = version, .state = state, .digest = digest, .kind = "file_copy",
		.source = "git", .created_by = "ci", .created_us = version };

	(void)snprintf(id, sizeof(id), "rel_%d", (int)version);
	return kt_tx_release_add(tx, &r, err);
}

KT_UNUSED static enum kt_code fill(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	struct kt_org_row org = { "org_1", "default", "Default", 1 };
	struct kt_project_row p = { .id = "proj_1", .org_id = "org_1", .slug = "bot",
		.label = "bot", .production_ref = "refs/heads/main", .next_version = 1 };
	struct kt_audit_row a = { .at_us = 1, .org_id = "org_1", .actor = "system",
		.actor_name = "system", .action = "release.activate", .object = "project/bot" };
	static const char none[] =
		"0000000000000000000000000000000000000000000000000000000000000000";
	enum kt_code rc = kt_tx_org_add(tx, &org, err);

	(void)arg;
	if (rc == KT_OK)
		rc = kt_tx_project_add(tx, &p, err);
	if (rc == KT_OK)
		rc = add_release(tx, 1, KT_REL_SUPERSEDED, manifest_digest[1], err);
	/* Failed and expired ones explain numbers, and need no files. */
	if (rc == KT_OK)
		rc = add_release(tx, 2, KT_REL_FAILED, none, err);
	if (rc == KT_OK)
		rc = add_release(tx, 3, KT_REL_EXPIRED, none, err);
	if (rc == KT_OK)
		rc = add_release(tx, 4, KT_REL_ACTIVE, manifest_digest[0], err);
	p.next_version = 5;
	p.current_release_id = "rel_4";
	if (rc == KT_OK)
		rc = kt_tx_project_put(tx, &p, err);
	for (int i = 0; rc == KT_OK && i < 5; i++)
		rc = kt_tx_audit_add(tx, &a, err);
	return rc;
}

static const char log_head[] = ": karta-log base_seq=2\n\n";

#define FRAME(seq, type, turn)                                                                     \
	"id: " #seq "\nevent: " type "\ndata: {\"type\":\"" type                                   \
	"\",\"source\":\"karta\",\"session_id\":\"sess_1\",\"seq\":" #seq                          \
	",\"turn_id\":\"" turn "\",\"data\":{\"turn_id\":\"no\"},\"raw\":null}\n\n"

KT_UNUSED static void make_logs(const char *events)
{
	KT_AUTOFREE char *text = kt_asprintf("%s%s", log_head, events);

	write_file("sessions/sess_1/events.log", text);
}

#define GOOD_EVENTS                                                                                \
	FRAME(3, "status", "turn_1")                                                               \
	FRAME(4, "done", "turn_1") FRAME(5, "text", "turn_2") FRAME(6, "status", "turn_3")         \
	FRAME(7, "done", "turn_2")

KT_UNUSED static int setup(void **state)
{
	KT_AUTOFREE char *db = NULL, *key = NULL;
	struct kt_master *m = NULL;
	struct kt_store *st = NULL;
	struct kt_err err = KT_ERR_INIT;

	(void)state;
	(void)snprintf(top, sizeof(top), "/tmp/kt-fsck-XXXXXX");
	if (!mkdtemp(top))
		return -1;
	(void)snprintf(dir, sizeof(dir), "%s/data", top);
	(void)snprintf(backup_file, sizeof(backup_file), "%s/backup.tar", top);
	kt_buf_init(&out, 1 << 20);
	if (mkdir(dir, 0700) != 0 || kt_crypto_init(&err) != KT_OK)
		return -1;
	db = in_dir("karta.db");
	key = in_dir("master.key");
	make_blobs();
	assert_ok(kt_master_open(key, true, &m, &err), err);
	kt_master_free(m);
	struct kt_store_config cfg = { .path = db, .create = true };
	assert_ok(kt_store_open(&cfg, &st, &err), err);
	assert_ok(kt_store_do(st, true, fill, NULL, &err), err);
	kt_store_close(st);
	make_logs(GOOD_EVENTS);
	write_file("builds/rel_4.log", ": karta-log base_seq=0\n\n");
	write_file("logs/proj_1.log", "");
	write_file("lock", "");
	write_file("sessions.jsonl", "{\"id\":\"sess_1\"}\n");
	KT_AUTOFREE char *tmp = in_dir("tmp");
	return mkdir(tmp, 0700);
}

KT_UNUSED static int teardown(void **state)
{
	struct kt_err err = KT_ERR_INIT;

	(void)state;
	kt_buf_release(&out);
	return kt_fs_remove_tree(top, &err) == KT_OK ? 0 : -1;
}

KT_UNUSED static void fsck_of(const char *folder, bool deep)
{
	struct kt_err err = KT_ERR_INIT;
	size_t lines = 0;

	kt_buf_clear(&out);
	assert_ok(kt_control_fsck(folder, deep, &out, &n_findings, &err), err);
	for (const char *p = out.ptr; (p = strchr(p, '\n')) != NULL; p++)
		lines++;
	for (const char *p = out.ptr; (p = strstr(p, "\"left_over\":true")) != NULL; p++)
		lines--;
	assert_int_equal(lines, n_findings);
}

/* Exactly these findings, by the beginning of their lines, and a word. */
KT_UNUSED static void expect(bool deep, size_t n, const char *invariant, const char *word)
{
	KT_AUTOFREE char *begin = kt_asprintf("{\"invariant\":\"%s\"", invariant);

	fsck_of(dir, deep);
	if (n_findings != n || (n && (!strstr(out.ptr, begin) || !strstr(out.ptr, word))))
		print_error("expected %zu of %s with '%s', got:\n%s", n, invariant, word, out.ptr);
	assert_int_equal(n_findings, n);
	if (n > 0) {
		assert_non_null(strstr(out.ptr, begin));
		assert_non_null(strstr(out.ptr, word));
	}
}

KT_UNUSED static void raw(const char *sql)
{
	KT_AUTOFREE char *path = in_dir("karta.db");
	struct kt_db *db = NULL;
	struct kt_err err = KT_ERR_INIT;

	assert_ok(kt_db_open(path, false, &db, &err), err);
	assert_ok(db->engine->exec(db, "PRAGMA foreign_keys = OFF", &err), err);
	assert_ok(db->engine->exec(db, sql, &err), err);
	kt_db_close(db);
}

KT_UNUSED static void overwrite(const char *path, off_t at, const char *bytes)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(chmod(path, 0600), 0);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, strlen(bytes), at), strlen(bytes));
	(void)close(fd);
	assert_int_equal(chmod(path, st.st_mode & 0777), 0);
}

KT_UNUSED static char *blob(const char *digest, const char *suffix)
{
	return kt_asprintf("%s/blobs/org_1/%.2s/%s%s", dir, digest, digest, suffix);
}

#endif
