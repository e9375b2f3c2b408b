/* SPDX-License-Identifier: MIT */
/* What goes and what stays: laid-out trees and blobs, while releases are held and published. */
#include "work.h"

#include <fcntl.h>

static void age_rows(struct rig *r)
{
	/* Retention of 1 ms: everything is old at once. */
	r->ctl->cfg.retention_ms = 1;
	rig_turn(r, 5);
}

/* The sweep, of which only this is due. */
static void begin_collecting(struct rig *r, bool blobs)
{
	struct kt_works *w = kt_works_get(r->ctl);

	w->trees_due_ms = blobs ? INT64_MAX : 1;
	w->blobs_due_ms = 1;
	kt_releases_sweep(r->ctl);
}

static void collect(struct rig *r, bool blobs)
{
	begin_collecting(r, blobs);
	RIG_WHILE(r, kt_works_get(r->ctl)->sweeping);
}

static void deploy_n(struct rig *r, struct answer *a, int i, char digest[KT_DIGEST_MAX],
	const char *more)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "text %d", i);
	deploy_text(r, a, "beans", text, more);
	ASSERT_STATUS(a, 201);
	(void)kt_str_copy(digest, KT_DIGEST_MAX, text_of(a, "digest"));
}

static bool laid_out(struct rig *r, const char *digest)
{
	KT_AUTOFREE char *dir = kt_layout_path(r->ctl, r->admin.org_id, digest);
	bool ready = kt_layout_ready(r->ctl, r->admin.org_id, digest);

	assert_true(ready == kt_fs_is_dir(dir));
	return ready;
}

static void test_trees(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };
	char digest[9][KT_DIGEST_MAX];
	KT_AUTOFREE char *orgs = kt_asprintf("%s/releases/%s", r->dir, r->admin.org_id);
	char **names, id[KT_ID_MAX];
	size_t n;

	for (int i = 0; i < 9; i++) {
		deploy_n(r, &a, i, digest[i], "");
		if (i == 1)
			(void)kt_str_copy(id, sizeof(id), text_of(&a, "id"));
	}
	/* Young ones stay. */
	collect(r, false);
	assert_true(laid_out(r, digest[0]));
	/* Lingering logs count as use; they are over after a minute. */
	kt_control_session_count(r->ctl, id, 1);
	rig_restart(r);
	kt_control_session_count(r->ctl, id, 1);
	age_rows(r);
	collect(r, false);
	assert_false(laid_out(r, digest[0]));
	assert_true(laid_out(r, digest[1])); /* a session */
	assert_false(laid_out(r, digest[2]));
	assert_false(laid_out(r, digest[3]));
	for (int i = 4; i < 9; i++) /* the last five */
		assert_true(laid_out(r, digest[i]));
	kt_control_session_count(r->ctl, id, -1);
	collect(r, false);
	assert_false(laid_out(r, digest[1]));
	/* Nothing half is left. */
	assert_int_equal(kt_fs_list(orgs, &names, &n, NULL), KT_OK);
	assert_int_equal(n, 10);
	kt_fs_names_free(names, n);
	/* And back to the first. */
	RUN(r, &a, kt_control_rollback(
			   r->ctl, &r->actor, "beans", "v1", NULL, NULL, on_answer, &a));
	ASSERT_STATUS(&a, 200);
	assert_true(laid_out(r, digest[0]));
	answer_clear(&a);
}

static void on_opened(
	void *arg, enum kt_code rc, const struct kt_opened *opened, const struct kt_err *err)
{
	uint64_t *hold = arg;

	(void)err;
	assert_int_equal(rc, KT_OK);
	*hold = opened->hold;
}

static void test_held_tree_stays(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };
	char digest[8][KT_DIGEST_MAX];
	struct kt_target t;
	uint64_t hold = 0;

	deploy_n(r, &a, 0, digest[0], "");
	assert_int_equal(kt_control_target(r->ctl, r->admin.org_id, "beans", &t, NULL), KT_OK);
	for (int i = 1; i < 8; i++)
		deploy_n(r, &a, i, digest[i], "");
	rig_restart(r);
	kt_control_release_open(r->ctl, &t, on_opened, &hold);
	RIG_WHILE(r, !hold);
	age_rows(r);
	collect(r, false);
	assert_true(laid_out(r, digest[0]));
	assert_false(laid_out(r, digest[1]));
	kt_control_release_close(r->ctl, hold);
	collect(r, false);
	assert_false(laid_out(r, digest[0]));
	/* Opened again, it is laid out again. */
	hold = 0;
	kt_control_release_open(r->ctl, &t, on_opened, &hold);
	RIG_WHILE(r, !hold);
	assert_true(laid_out(r, digest[0]));
	answer_clear(&a);
}

/* Logs of builds go with their project, not at once. */
static void test_logs(void **state)
{
	struct rig *r = *state;
	const struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
	KT_AUTOFREE char *gone = kt_asprintf("%s/builds/rel_gone.log", r->dir);
	KT_AUTOFREE char *young = kt_asprintf("%s/builds/rel_young.log", r->dir);
	KT_AUTOFREE char *own = NULL;
	struct answer a = { 0 };

	deploy_text(r, &a, "beans", "one", "");
	own = kt_asprintf("%s/builds/%s.log", r->dir, text_of(&a, "id"));
	assert_int_equal(kt_fs_write_new(gone, "x", 1, 0600, NULL), KT_OK);
	assert_int_equal(kt_fs_write_new(young, "x", 1, 0600, NULL), KT_OK);
	assert_int_equal(utimensat(AT_FDCWD, gone, old, 0), 0);
	assert_int_equal(utimensat(AT_FDCWD, own, old, 0), 0);
	collect(r, false);
	assert_false(kt_fs_is_file(gone));
	assert_true(kt_fs_is_file(young));
	assert_true(kt_fs_is_file(own));
	answer_clear(&a);
}

/* --- blobs --------------------------------------------------------------------------------- */

static char *blob_path(struct rig *r, const char *digest)
{
	return kt_asprintf("%s/blobs/%s/%.2s/%s", r->dir, r->admin.org_id, digest, digest);
}

/* As if nobody had asked for it for two days. */
static void make_old(struct rig *r, const char *text, char digest[KT_DIGEST_MAX])
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
		{ .tv_sec = (time_t)(kt_time_us() / 1000000 - 2 * 24 * 3600) } };
	KT_AUTOFREE char *path = NULL;

	kt_sha256_of(text, strlen(text), digest);
	path = blob_path(r, digest);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static bool has_blob(struct rig *r, const char *digest)
{
	KT_AUTOFREE char *path = blob_path(r, digest);

	return kt_fs_is_file(path);
}

static void test_blobs(void **state)
{
	struct rig *r = *state;
	const struct file left[] = { { "x", "left over", 0 }, { "y", "left, young", 0 } };
	const struct file broken[] = { { "karta.toml", "name = \n", 0 } };
	struct answer a = { 0 };
	char first[KT_DIGEST_MAX], old[KT_DIGEST_MAX], failed[KT_DIGEST_MAX];
	char young[KT_DIGEST_MAX];

	deploy_text(r, &a, "beans", "one", "");
	deploy_text(r, &a, "beans", "two", "");
	deploy(r, &a, "beans", broken, 1, "");
	ASSERT_STATUS(&a, 422);
	put_blobs(r, left, 2);
	make_old(r, "one", first);
	make_old(r, "left over", old);
	make_old(r, "name = \n", failed);
	kt_sha256_of(left[1].content, strlen(left[1].content), young);
	/* A failed release is kept for a while, what is in no release is not. */
	collect(r, true);
	assert_true(has_blob(r, first));
	assert_false(has_blob(r, old));
	assert_true(has_blob(r, young));
	assert_true(has_blob(r, failed));
	rig_restart(r);
	age_rows(r);
	collect(r, true);
	assert_false(has_blob(r, failed));
	/* Superseded: still there, for any rollback. */
	assert_true(has_blob(r, first));
	RUN(r, &a, kt_control_rollback(
			   r->ctl, &r->actor, "beans", "v1", NULL, NULL, on_answer, &a));
	ASSERT_STATUS(&a, 200);
	answer_clear(&a);
}

/* A manifest that cannot be read names unknown files: nothing is deleted. */
static void test_damage_stops_deletion(void **state)
{
	struct rig *r = *state;
	const struct file left[] = { { "x", "left over", 0 } };
	struct answer a = { 0 };
	char digest[KT_DIGEST_MAX], old[KT_DIGEST_MAX];
	KT_AUTOFREE char *path = NULL;

	deploy_n(r, &a, 0, digest, "");
	put_blobs(r, left, 1);
	make_old(r, "left over", old);
	path = blob_path(r, digest);
	assert_int_equal(unlink(path), 0);
	collect(r, true);
	assert_true(has_blob(r, old));
	answer_clear(&a);
}

/* Publishes that count on old blobs while these are being swept: complete or told what is missing. */
static void test_publish_against_sweep(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };
	char digest[KT_DIGEST_MAX], text[32];

	deploy_text(r, &a, "beans", "base", "");
	for (int i = 0; i < 30; i++) {
		(void)snprintf(text, sizeof(text), "text %d", i);
		const struct file f[] = { { "CLAUDE.md", text, 0 } };
		KT_AUTOFREE char *doc = doc_of(f, 1, "");

		put_blobs(r, f, 1);
		make_old(r, text, digest);
		answer_clear(&a);
		if (i & 1)
			begin_collecting(r, true);
		kt_control_publish(r->ctl, &r->actor, "beans", doc, strlen(doc), NULL, NULL,
			on_answer, &a);
		if (!(i & 1))
			begin_collecting(r, true);
		rig_wait(r, &a, 1);
		assert_true(a.status == 202 || !strcmp(a.code, "files_missing"));
		if (a.status == 202) {
			KT_AUTOFREE char *id = kt_strdup(text_of(&a, "id"));

			RUN(r, &a, kt_control_release_wait(
					   r->ctl, &r->actor, "beans", id, on_answer, &a));
			ASSERT_STATUS(&a, 201);
			assert_true(has_blob(r, digest));
		}
		while (kt_works_get(r->ctl)->sweeping)
			rig_turn(r, 1);
	}
	answer_clear(&a);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		T(test_trees),
		T(test_held_tree_stays),
		T(test_logs),
		T(test_blobs),
		T(test_damage_stops_deletion),
		T(test_publish_against_sweep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
