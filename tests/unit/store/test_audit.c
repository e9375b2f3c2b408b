/* SPDX-License-Identifier: MIT */
/*
 * The audit log against somebody who can write the database file: every kind of tampering shows,
 * by the chain alone or by comparing with a head that was written down before.
 */
#include "store_test.h"

#include "crypto/crypto.h"

#define N_ROWS 10

static const char drop_triggers[] = "DROP TRIGGER audit_no_update; DROP TRIGGER audit_no_delete;"
				    "DROP TRIGGER audit_no_replace; DROP TRIGGER audit_head_forward;"
				    "DROP TRIGGER audit_head_stays;";

static struct kt_audit_row row_of(int64_t i)
{
	static char details[N_ROWS + 64][32];

	(void)snprintf(details[i], sizeof(details[i]), "{\"n\":%d}", (int)i);
	return (struct kt_audit_row){ .at_us = 1000 + i,
		.org_id = i % 3 ? "org_1" : "org_2",
		.actor = "key_1",
		.actor_name = "ci",
		.action = "release.activate",
		.object = "project/bot",
		.detail = i % 2 ? details[i] : NULL,
		.request_id = i % 4 ? "req_1" : NULL,
		.remote_ip = "127.0.0.1" };
}

/* Rows first..last; arg "x" makes them differ from the true ones. */
struct span {
	int64_t first, last;
	const char *action;
};

static enum kt_code append(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	const struct span *s = arg;

	for (int64_t i = s->first; i <= s->last; i++) {
		struct kt_audit_row row = row_of(i);
		enum kt_code code;

		if (s->action)
			row.action = s->action;
		code = kt_tx_audit_add(tx, &row, err);
		if (code != KT_OK)
			return code;
	}
	return KT_OK;
}

static void add(int64_t first, int64_t last, const char *action)
{
	struct kt_store *st = open_store(NULL);
	struct span s = { first, last, action };
	struct kt_err err = KT_ERR_INIT;

	assert_ok(kt_store_do(st, true, append, &s, &err), err);
	kt_store_close(st);
}

struct verdict {
	int64_t n, bad;
	char head[KT_DIGEST_MAX];
};

static enum kt_code verify_work(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	struct verdict *v = arg;

	return kt_tx_audit_verify(tx, &v->n, &v->bad, v->head, err);
}

static struct verdict verify(void)
{
	struct kt_store *st = open_store(NULL);
	struct verdict v = { 0 };
	struct kt_err err = KT_ERR_INIT;

	assert_ok(kt_store_do(st, false, verify_work, &v, &err), err);
	kt_store_close(st);
	return v;
}

static enum kt_code passes_work(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	const struct verdict *old = arg;
	struct kt_audit_row *rows = NULL;
	size_t n = 0;

	for (const char *org = "org_1"; org; org = strcmp(org, "org_1") == 0 ? "org_2" : NULL) {
		enum kt_code code = kt_tx_audit(tx, arena, org, old->n + 1, 1, &rows, &n, err);

		if (code != KT_OK)
			return code;
		if (n == 1 && rows[0].seq == old->n)
			return strcmp(rows[0].hash, old->head) == 0 ? KT_OK : KT_ECONFLICT;
	}
	return KT_ENOTFOUND;
}

/* Does the chain of now pass through the head of then? KT_OK, KT_ECONFLICT or KT_ENOTFOUND. */
static enum kt_code passes(const struct verdict *old)
{
	struct kt_store *st = open_store(NULL);
	struct verdict copy = *old;
	enum kt_code code = kt_store_do(st, false, passes_work, &copy, NULL);

	kt_store_close(st);
	return code;
}

static void copy_file(const char *to)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 24);
	struct kt_err err = KT_ERR_INIT;

	assert_ok(kt_fs_read(path, &b, &err), err);
	assert_ok(kt_fs_write_atomic(to, b.ptr, b.len, 0600, false, &err), err);
}

static void chain(void **state)
{
	struct verdict v = verify();

	(void)state;
	assert_int_equal(v.n, 0);
	assert_int_equal(v.bad, 0);
	assert_string_equal(v.head, "");
	add(1, 1, NULL);
	struct verdict first = verify();
	assert_int_equal(first.n, 1);
	assert_true(kt_digest_ok(first.head));
	add(2, N_ROWS, NULL);
	v = verify();
	assert_int_equal(v.n, N_ROWS);
	assert_int_equal(v.bad, 0);
	assert_int_equal(passes(&first), KT_OK);
	assert_int_equal(passes(&v), KT_OK);
}

static enum kt_code list_work(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	struct kt_audit_row *rows = NULL;
	size_t n = 0;

	(void)arg;
	assert_int_equal(kt_tx_audit(tx, arena, "org_1", 0, 3, &rows, &n, err), KT_OK);
	assert_int_equal(n, 3);
	assert_int_equal(rows[0].seq, 10);
	assert_int_equal(rows[1].seq, 8);
	assert_int_equal(rows[2].seq, 7);
	assert_null(rows[0].detail);
	assert_string_equal(rows[2].detail, "{\"n\":7}");
	assert_null(rows[1].request_id);
	assert_string_equal(rows[2].request_id, "req_1");
	assert_int_equal(rows[2].at_us, 1007);
	assert_string_equal(rows[2].action, "release.activate");
	assert_string_equal(rows[2].object, "project/bot");
	assert_string_equal(rows[1].prev_hash, rows[2].hash);
	assert_int_equal(kt_tx_audit(tx, arena, "org_1", 4, 100, &rows, &n, err), KT_OK);
	assert_int_equal(n, 2);
	assert_int_equal(rows[0].seq, 2);
	assert_int_equal(kt_tx_audit(tx, arena, "org_3", 0, 100, &rows, &n, err), KT_OK);
	assert_int_equal(n, 0);
	return KT_OK;
}

static void list(void **state)
{
	(void)state;
	add(1, N_ROWS, NULL);
	struct kt_store *st = open_store(NULL);
	run(st, false, list_work);
	kt_store_close(st);
}

/* Without dropping triggers, SQL cannot even do it. */
static void only_grows(void **state)
{
	static const char *const attempts[] = { "UPDATE audit SET action = 'x' WHERE seq = 3",
		"DELETE FROM audit WHERE seq = 3", "DELETE FROM audit",
		"INSERT OR REPLACE INTO audit SELECT * FROM audit WHERE seq = 3",
		"INSERT INTO audit SELECT * FROM audit WHERE seq = 3",
		"UPDATE OR REPLACE audit SET seq = 4 WHERE seq = 3",
		"UPDATE audit_head SET seq = 1", "UPDATE audit_head SET hash = ''",
		"DELETE FROM audit_head" };
	struct kt_err err = KT_ERR_INIT;
	struct kt_db *db = NULL;

	(void)state;
	add(1, N_ROWS, NULL);
	assert_ok(kt_db_open(path, false, &db, &err), err);
	for (size_t i = 0; i < KT_ARRAY_LEN(attempts); i++) {
		assert_int_equal(db->engine->exec(db, attempts[i], &err), KT_EINVAL);
		assert_non_null(strstr(err.msg, "only grows"));
	}
	kt_db_close(db);
	assert_int_equal(verify().bad, 0);
}

static void tampering_in_the_chain(void **state)
{
	static const struct {
		const char *name, *sql;
		int64_t bad;
	} cases[] = {
		{ "edit a field", "UPDATE audit SET actor = 'key_2' WHERE seq = 4", 4 },
		{ "edit text to absent", "UPDATE audit SET detail = NULL WHERE seq = 5", 5 },
		{ "absent to empty", "UPDATE audit SET detail = '' WHERE seq = 6", 6 },
		{ "move a byte between fields",
			"UPDATE audit SET actor = 'key_', actor_name = '1ci' WHERE seq = 4", 4 },
		{ "edit the time", "UPDATE audit SET at_us = 1 WHERE seq = 1", 1 },
		{ "edit a hash", "UPDATE audit SET hash = prev_hash WHERE seq = 9", 9 },
		{ "delete in the middle", "DELETE FROM audit WHERE seq = 5", 5 },
		{ "delete and renumber",
			"DELETE FROM audit WHERE seq = 5; UPDATE audit SET seq = seq - 1 WHERE seq = 6;"
			"UPDATE audit SET seq = seq - 1 WHERE seq = 7;",
			5 },
		{ "delete the first", "DELETE FROM audit WHERE seq = 1", 1 },
		{ "delete the end", "DELETE FROM audit WHERE seq > 8", 9 },
		{ "delete all", "DELETE FROM audit", 1 },
		{ "delete all and the head", "DELETE FROM audit; DELETE FROM audit_head", 1 },
		{ "swap two",
			"UPDATE audit SET seq = 99 WHERE seq = 3; UPDATE audit SET seq = 3 WHERE "
			"seq = 4; UPDATE audit SET seq = 4 WHERE seq = 99",
			3 },
		{ "insert at the end",
			"INSERT INTO audit SELECT 11, at_us, org_id, actor, actor_name, action, object, "
			"detail, request_id, remote_ip, hash, hash FROM audit WHERE seq = 10",
			11 },
		{ "insert at the start",
			"INSERT INTO audit SELECT 0, at_us, org_id, actor, actor_name, action, object, "
			"detail, request_id, remote_ip, '', hash FROM audit WHERE seq = 10",
			1 },
		{ "duplicate",
			"INSERT INTO audit SELECT 11, at_us, org_id, actor, actor_name, action, object, "
			"detail, request_id, remote_ip, prev_hash, hash FROM audit WHERE seq = 10;"
			"UPDATE audit_head SET seq = 11",
			11 },
		{ "another encoding",
			"UPDATE audit SET hash = lower(hex(zeroblob(32))) WHERE seq = 10;"
			"UPDATE audit_head SET hash = lower(hex(zeroblob(32)))",
			10 },
		{ "a head of another length",
			"UPDATE audit_head SET hash = lower(hex(zeroblob(64)))", 11 },
	};

	(void)state;
	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		struct kt_err err = KT_ERR_INIT;

		add(1, N_ROWS, NULL);
		struct verdict before = verify();
		raw(drop_triggers);
		raw(cases[i].sql);
		struct verdict v = verify();
		if (v.bad != cases[i].bad)
			print_error("%s: %d\n", cases[i].name, (int)v.bad);
		assert_int_equal(v.bad, cases[i].bad);
		assert_int_equal(before.bad, 0);
		assert_ok(kt_fs_remove_tree(path, &err), err);
	}
}

/* A chain that was forged as a whole is right in itself; an older head tells. */
static void tampering_against_a_head(void **state)
{
	KT_AUTOFREE char *old_file = kt_path_join(dir, "old.db");

	(void)state;
	add(1, 6, NULL);
	struct verdict v6 = verify();
	copy_file(old_file);
	add(7, N_ROWS, NULL);
	struct verdict v10 = verify();
	assert_int_equal(passes(&v6), KT_OK);
	/* An old head is still true; that it is old shows by its number. */
	assert_true(v6.n < v10.n);

	/* Hashed anew from the fifth on. */
	raw(drop_triggers);
	raw("CREATE TABLE keep AS SELECT * FROM audit WHERE seq = 4; DELETE FROM audit WHERE seq > 4;"
	    "UPDATE audit_head SET seq = 4, hash = (SELECT hash FROM keep)");
	add(5, N_ROWS, "forged");
	struct verdict forged = verify();
	assert_int_equal(forged.bad, 0);
	assert_int_equal(forged.n, N_ROWS);
	assert_int_equal(passes(&v6), KT_ECONFLICT);
	assert_int_equal(passes(&v10), KT_ECONFLICT);

	/* Hashed anew from the first on. */
	raw("DELETE FROM audit; UPDATE audit_head SET seq = 0, hash = ''");
	add(1, N_ROWS, "forged");
	assert_int_equal(verify().bad, 0);
	assert_int_equal(passes(&v6), KT_ECONFLICT);

	/* The file as it was some time ago. */
	assert_int_equal(rename(old_file, path), 0);
	assert_int_equal(verify().bad, 0);
	assert_int_equal(passes(&v6), KT_OK);
	assert_int_equal(passes(&v10), KT_ENOTFOUND);

	/* And gone on differently: two heads. */
	add(7, N_ROWS, "fork");
	assert_int_equal(verify().bad, 0);
	assert_int_equal(passes(&v6), KT_OK);
	assert_int_equal(passes(&v10), KT_ECONFLICT);
}

static enum kt_code add_and_fail(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	struct span s = { 1, 3, NULL };
	enum kt_code code = append(tx, &s, err);

	(void)arg;
	return code == KT_OK ? kt_fail(err, KT_EDENIED, 0, "no") : code;
}

/* An entry stands or falls with its transaction, and the chain has no hole from it. */
static void undone_with_its_change(void **state)
{
	struct kt_store *st = open_store(NULL);

	(void)state;
	assert_int_equal(kt_store_do(st, true, add_and_fail, NULL, NULL), KT_EDENIED);
	kt_store_close(st);
	assert_int_equal(verify().n, 0);
	add(1, 2, NULL);
	assert_int_equal(verify().n, 2);
	assert_int_equal(verify().bad, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(chain, setup, teardown),
		cmocka_unit_test_setup_teardown(list, setup, teardown),
		cmocka_unit_test_setup_teardown(only_grows, setup, teardown),
		cmocka_unit_test_setup_teardown(tampering_in_the_chain, setup, teardown),
		cmocka_unit_test_setup_teardown(tampering_against_a_head, setup, teardown),
		cmocka_unit_test_setup_teardown(undone_with_its_change, setup, teardown),
	};
	return cmocka_run_group_tests_name("store/audit", tests, NULL, NULL);
}
