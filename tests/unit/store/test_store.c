/* SPDX-License-Identifier: MIT */
/*
 * The store at work: threads, groups of writes, full disks, processes that are killed, several
 * processes, copies.
 */
#include "store_test.h"

#include "base/limits.h"
#include "base/time.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

static struct kt_loop *loop;

static int setup_loop(void **state)
{
	return kt_loop_new(&loop, NULL) == KT_OK ? setup(state) : -1;
}

static int teardown_loop(void **state)
{
	kt_loop_free(loop);
	loop = NULL;
	return teardown(state);
}

/* --- jobs -------------------------------------------------------------------------------------- */

struct job {
	int number;
	bool fail; /* after its row was written */
	size_t bytes; /* of filling */
	enum kt_code code;
	char msg[400];
	int order; /* the when-th to be done; 0 = not yet */
};

static int n_done;

static enum kt_code add_org(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	const struct job *j = arg;
	char id[32];
	KT_AUTOFREE char *name = kt_calloc(1, j->bytes + 1);
	struct kt_org_row row = { .id = id, .slug = id, .name = name, .created_us = j->number };
	enum kt_code code;

	memset(name, 'x', j->bytes);
	(void)snprintf(id, sizeof(id), "org_%d", j->number);
	code = kt_tx_org_add(tx, &row, err);
	if (code == KT_OK && j->fail)
		code = kt_fail(err, KT_EDENIED, 0, "not this one");
	return code;
}

static void on_done(void *arg, enum kt_code rc, const struct kt_err *err)
{
	struct job *j = arg;

	assert_int_equal(j->order, 0);
	assert_int_equal(err->code, rc);
	j->code = rc;
	j->order = ++n_done;
	(void)kt_str_copy(j->msg, sizeof(j->msg), err->msg);
}

static enum kt_code count_orgs(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	struct kt_arena *mine = kt_arena_new();
	struct kt_org_row *rows = NULL;
	enum kt_code code = kt_tx_orgs(tx, mine, &rows, arg, err);

	kt_arena_free(mine);
	return code;
}

static size_t orgs_in(struct kt_store *st)
{
	struct kt_err err = KT_ERR_INIT;
	size_t n = 0;

	assert_ok(kt_store_do(st, false, count_orgs, &n, &err), err);
	return n;
}

#define N_WRITES 1000

/* A thousand writes from the loop: all there, in order, in far fewer transactions. */
static void groups(void **state)
{
	struct kt_store *st = open_store(loop);
	struct job *jobs = kt_calloc(N_WRITES, sizeof(*jobs));
	int64_t began;

	(void)state;
	n_done = 0;
	began = kt_mono_us();
	/* The writer waits for us: however slowly they come, they are there before the second group. */
	assert_int_equal(pthread_mutex_lock(&st->write_mutex), 0);
	for (int i = 0; i < N_WRITES; i++) {
		jobs[i].number = i;
		kt_store_write(st, add_org, on_done, &jobs[i]);
	}
	assert_int_equal(n_done, 0); /* never before the function returned */
	assert_int_equal(pthread_mutex_unlock(&st->write_mutex), 0);
	kt_loop_run(loop); /* ends by itself when nothing is to come */
	print_message("# %d writes in %d ms, %d commits\n", N_WRITES,
		(int)((kt_mono_us() - began) / 1000), (int)st->n_commits);
	assert_int_equal(n_done, N_WRITES);
	for (int i = 0; i < N_WRITES; i++) {
		assert_int_equal(jobs[i].code, KT_OK);
		assert_int_equal(jobs[i].order, i + 1);
	}
	assert_in_range(st->n_commits, 1, 5);
	assert_int_equal(orgs_in(st), N_WRITES);
	kt_store_close(st);
	free(jobs);
}

/* One that fails undoes itself only. */
static void failing_among_others(void **state)
{
	struct kt_store *st = open_store(loop);
	struct job jobs[30] = { 0 };

	(void)state;
	n_done = 0;
	for (int i = 0; i < 30; i++) {
		jobs[i].number = i % 10 == 9 ? 0 : i; /* 9, 19, 29 meet a row that is there */
		jobs[i].fail = i % 7 == 3;
		kt_store_write(st, add_org, on_done, &jobs[i]);
	}
	kt_loop_run(loop);
	assert_int_equal(n_done, 30);
	size_t good = 0;
	for (int i = 0; i < 30; i++) {
		enum kt_code want = i % 10 == 9 ? KT_ECONFLICT : i % 7 == 3 ? KT_EDENIED : KT_OK;

		assert_int_equal(jobs[i].code, want);
		assert_true((jobs[i].msg[0] != '\0') == (want != KT_OK));
		good += want == KT_OK;
	}
	assert_int_equal(orgs_in(st), good);
	kt_store_close(st);
}

static enum kt_code fail_silently(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	(void)tx;
	(void)arg;
	(void)err;
	return KT_ELIMIT;
}

static void message_of_a_silent_failure(void **state)
{
	struct kt_store *st = open_store(loop);
	struct job j = { 0 };

	(void)state;
	n_done = 0;
	kt_store_write(st, fail_silently, on_done, &j);
	kt_store_write(st, fail_silently, NULL, NULL);
	kt_loop_run(loop);
	assert_int_equal(j.code, KT_ELIMIT);
	assert_non_null(strstr(j.msg, "limit"));
	kt_store_close(st);
}

/* Until the writer has what is queued (and waits for us, who hold write_mutex). */
static void wait_until_taken(struct kt_store *st)
{
	for (size_t n = 1; n > 0;) {
		(void)usleep(100);
		assert_int_equal(pthread_mutex_lock(&st->mutex), 0);
		n = st->writes.n;
		assert_int_equal(pthread_mutex_unlock(&st->mutex), 0);
	}
}

/* The commit itself fails: nobody of the group may believe that he is on disk. */
static enum kt_code break_commit(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	(void)arg;
	return tx->db->engine->exec(tx->db,
		"CREATE TABLE IF NOT EXISTS later (a TEXT REFERENCES orgs (id) "
		"DEFERRABLE INITIALLY DEFERRED); INSERT INTO later VALUES ('org_none')",
		err);
}

static void failing_commit(void **state)
{
	struct kt_store *st = open_store(loop);
	struct job jobs[5] = { 0 };

	(void)state;
	n_done = 0;
	/* The writer waits for us, so that all five are one group. */
	assert_int_equal(pthread_mutex_lock(&st->write_mutex), 0);
	for (int i = 0; i < 5; i++) {
		jobs[i].number = i;
		kt_store_write(st, i == 2 ? break_commit : add_org, on_done, &jobs[i]);
		if (i == 0)
			wait_until_taken(st);
	}
	assert_int_equal(pthread_mutex_unlock(&st->write_mutex), 0);
	kt_loop_run(loop);
	assert_int_equal(n_done, 5);
	assert_int_equal(jobs[0].code, KT_OK); /* its own group */
	for (int i = 1; i < 5; i++) {
		assert_int_equal(jobs[i].code, KT_ENOTFOUND);
		assert_non_null(strstr(jobs[i].msg, "FOREIGN KEY"));
	}
	assert_int_equal(orgs_in(st), 1);
	/* And the next is fine. */
	struct job next = { .number = 7 };
	kt_store_write(st, add_org, on_done, &next);
	kt_loop_run(loop);
	assert_int_equal(next.code, KT_OK);
	kt_store_close(st);
}

static int64_t read_at; /* result of the last read */

static enum kt_code read_count(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	size_t n = 0;
	enum kt_code code = count_orgs(tx, &n, err);
	struct job *j = arg;

	/* A reader cannot write, even if it tries. */
	if (code == KT_OK && kt_tx_org_add(tx, &org1, NULL) == KT_OK)
		code = KT_EINTERNAL;
	j->number = (int)n;
	return code;
}

static void on_read(void *arg, enum kt_code rc, const struct kt_err *err)
{
	struct job *j = arg;

	on_done(j, rc, err);
	read_at = j->number;
}

struct round {
	struct kt_store *st;
	struct job write, read;
};

static void on_round_read(void *arg, enum kt_code rc, const struct kt_err *err)
{
	struct round *r = arg;

	on_read(&r->read, rc, err);
	/* What was acknowledged is seen by a read that begins afterwards. */
	assert_int_equal(rc, KT_OK);
	assert_int_equal(r->read.number, r->write.number + 1);
}

static enum kt_code round_write(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	return add_org(tx, &((struct round *)arg)->write, err);
}

static enum kt_code round_read(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	return read_count(tx, &((struct round *)arg)->read, err);
}

static void on_written(void *arg, enum kt_code rc, const struct kt_err *err)
{
	struct round *r = arg;

	on_done(&r->write, rc, err);
	assert_int_equal(rc, KT_OK);
	r->read = (struct job){ 0 };
	kt_store_read(r->st, round_read, on_round_read, r);
}

static void read_your_writes(void **state)
{
	struct round r = { .st = open_store(loop) };

	(void)state;
	for (int i = 0; i < 20; i++) {
		r.write = (struct job){ .number = i };
		kt_store_write(r.st, round_write, on_written, &r);
		kt_loop_run(loop);
	}
	assert_int_equal(read_at, 20);
	kt_store_close(r.st);
}

#define N_TOLD 400

struct telling {
	struct kt_store *st;
	struct job writes[N_TOLD];
	int begun, ahead; /* reads that saw more than was told */
};

struct told_read {
	struct telling *t;
	struct job count;
};

static enum kt_code told_count(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	return read_count(tx, &((struct told_read *)arg)->count, err);
}

static void told_write(void *arg, enum kt_code rc, const struct kt_err *err);

static void tell_next(struct telling *t)
{
	t->writes[t->begun].number = t->begun;
	kt_store_write(t->st, add_org, t->begun + 1 < N_TOLD ? told_write : on_done,
		&t->writes[t->begun]);
	t->begun++;
}

static struct telling *telling;

static void told_write(void *arg, enum kt_code rc, const struct kt_err *err)
{
	on_done(arg, rc, err);
	tell_next(telling);
}

static void on_told_read(void *arg, enum kt_code rc, const struct kt_err *err)
{
	struct told_read *r = arg;

	(void)err;
	assert_int_equal(rc, KT_OK);
	if (r->count.number > n_done)
		r->t->ahead++;
	r->count = (struct job){ 0 };
	if (n_done < N_TOLD)
		kt_store_read(r->t->st, told_count, on_told_read, r);
}

/* What the loop keeps in memory follows a write's done: no read may be told before it what it saw. */
static void never_ahead(void **state)
{
	struct telling *t = telling = kt_calloc(1, sizeof(*t));
	struct told_read reads[2] = { { .t = t }, { .t = t } };

	(void)state;
	t->st = open_store(loop);
	n_done = 0;
	tell_next(t);
	for (int i = 0; i < 2; i++)
		kt_store_read(t->st, told_count, on_told_read, &reads[i]);
	kt_loop_run(loop);
	assert_int_equal(n_done, N_TOLD);
	assert_int_equal(t->ahead, 0);
	kt_store_close(t->st);
	free(t);
}

static void late(void *arg, enum kt_code rc, const struct kt_err *err)
{
	struct round *r = arg;

	on_done(&r->write, rc, err);
	/* Queued while closing: refused, and told so. */
	kt_store_write(r->st, add_org, on_done, &r->read);
}

/* Closing finishes what waits, and calls every done. */
static void close_finishes(void **state)
{
	struct round r = { .st = open_store(loop) };
	struct job jobs[50] = { 0 };

	(void)state;
	n_done = 0;
	for (int i = 0; i < 50; i++) {
		jobs[i].number = i;
		kt_store_write(r.st, add_org, on_done, &jobs[i]);
	}
	r.write.number = 99;
	kt_store_write(r.st, round_write, late, &r);
	kt_store_close(r.st);
	assert_int_equal(n_done, 52);
	assert_int_equal(r.write.code, KT_OK);
	assert_int_equal(r.read.code, KT_EUNAVAIL);
	assert_int_equal(raw_number("SELECT count(*) FROM orgs"), 51);
	/* The log was moved into the file. */
	KT_AUTOFREE char *wal = kt_asprintf("%s-wal", path);
	assert_int_not_equal(access(wal, F_OK), 0);
}

/* A queue that is full says so. */
static void queue_limit(void **state)
{
	struct kt_store *st = open_store(loop);
	struct job first = { .number = 1 }, over = { .number = 2 };

	(void)state;
	n_done = 0;
	assert_int_equal(pthread_mutex_lock(&st->write_mutex), 0);
	kt_store_write(st, add_org, on_done, &first);
	wait_until_taken(st);
	for (int i = 0; i < KT_MAX_STORE_QUEUE; i++)
		kt_store_write(st, fail_silently, NULL, NULL);
	kt_store_write(st, add_org, on_done, &over);
	assert_int_equal(n_done, 0);
	assert_int_equal(pthread_mutex_unlock(&st->write_mutex), 0);
	kt_loop_run(loop);
	assert_int_equal(first.code, KT_OK);
	assert_int_equal(over.code, KT_EUNAVAIL);
	kt_store_close(st);
}

/* --- several at once --------------------------------------------------------------------------- */

struct worker {
	struct kt_store *st;
	int first;
};

static void *work(void *arg)
{
	struct worker *w = arg;

	for (int i = 0; i < 25; i++) {
		struct job j = { .number = w->first + i };
		struct kt_err err = KT_ERR_INIT;
		size_t n = 0;

		assert_ok(kt_store_do(w->st, true, add_org, &j, &err), err);
		assert_ok(kt_store_do(w->st, false, count_orgs, &n, &err), err);
		assert_true(n > (size_t)i);
	}
	return NULL;
}

/* Workers with kt_store_do() beside the loop's writer. */
static void threads(void **state)
{
	struct kt_store *st = open_store(loop);
	struct worker w[3] = { { st, 1000 }, { st, 2000 }, { st, 3000 } };
	struct job jobs[100] = { 0 };
	pthread_t t[3];

	(void)state;
	n_done = 0;
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&t[i], NULL, work, &w[i]), 0);
	for (int i = 0; i < 100; i++) {
		jobs[i].number = i;
		kt_store_write(st, add_org, on_done, &jobs[i]);
		if (i % 10 == 0)
			kt_loop_run(loop);
	}
	kt_loop_run(loop);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_join(t[i], NULL), 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(jobs[i].code, KT_OK);
	assert_int_equal(orgs_in(st), 175);
	kt_store_close(st);
}

/* The child's part: writes rows from `first` on, and tells each number once it is acknowledged. */
static void write_and_tell(int fd, int first, int n)
{
	struct kt_store_config cfg = { .path = path, .create = true };
	struct kt_store *st = NULL;

	if (kt_store_open(&cfg, &st, NULL) != KT_OK)
		_exit(2);
	for (int i = first; i < first + n; i++) {
		struct job j = { .number = i, .bytes = 200 };

		if (kt_store_do(st, true, add_org, &j, NULL) != KT_OK)
			_exit(3);
		if (write(fd, &i, sizeof(i)) != sizeof(i))
			_exit(4);
	}
	kt_store_close(st);
	_exit(0);
}

static pid_t spawn_writer(int *out_fd, int first, int n)
{
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		write_and_tell(fds[1], first, n);
	(void)close(fds[1]);
	*out_fd = fds[0];
	return pid;
}

/* Killed at any moment: what was acknowledged is there, and the file is whole. */
static void killed(void **state)
{
	int next = 0;

	(void)state;
	for (int round = 0; round < 8; round++) {
		int fd, acked = next - 1, got, status;
		pid_t pid = spawn_writer(&fd, next, 100000);

		for (int i = 0; i < 5 + 17 * round; i++) {
			assert_int_equal(read(fd, &got, sizeof(got)), sizeof(got));
			acked = got;
		}
		(void)usleep((useconds_t)(round * 137));
		assert_int_equal(kill(pid, SIGKILL), 0);
		while (read(fd, &got, sizeof(got)) == sizeof(got))
			acked = got;
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		(void)close(fd);

		struct kt_store *st = open_store(NULL);
		KT_AUTO_BUF struct kt_buf findings = KT_BUF_INIT(65536);
		assert_int_equal(kt_store_check(st, &findings, NULL), KT_OK);
		assert_string_equal(findings.ptr, "");
		/* At most one more than was told: committed, killed before telling. */
		size_t n = orgs_in(st);
		assert_in_range(n, acked + 1, acked + 2);
		next = (int)n;
		kt_store_close(st);
	}
}

/* Several make a new database at once: each finds it good. */
static void opened_at_once(void **state)
{
	(void)state;
	for (int round = 0; round < 20; round++) {
		pid_t pid[4];
		int fd[4], got, status;

		for (int i = 0; i < 4; i++)
			pid[i] = spawn_writer(&fd[i], i * 100, 2);
		for (int i = 0; i < 4; i++) {
			while (read(fd[i], &got, sizeof(got)) == sizeof(got))
				continue;
			(void)close(fd[i]);
			assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
			assert_int_equal(status, 0);
		}
		assert_int_equal(raw_number("SELECT count(*) FROM orgs"), 8);
		assert_int_equal(unlink(path), 0);
	}
}

static void two_processes(void **state)
{
	struct kt_store *st = open_store(NULL);
	int fd[2], got, status, told = 0;
	pid_t pid[2] = { spawn_writer(&fd[0], 1000, 60), spawn_writer(&fd[1], 2000, 60) };

	(void)state;
	for (int i = 0; i < 60; i++) {
		struct job j = { .number = i };
		struct kt_err err = KT_ERR_INIT;

		assert_ok(kt_store_do(st, true, add_org, &j, &err), err);
	}
	for (int i = 0; i < 2; i++) {
		while (read(fd[i], &got, sizeof(got)) == sizeof(got))
			told++;
		assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
		(void)close(fd[i]);
	}
	assert_int_equal(told, 120);
	assert_int_equal(orgs_in(st), 180);
	kt_store_close(st);
}

/* --- a disk that is full ----------------------------------------------------------------------- */

static void no_room(void **state)
{
	struct kt_store *st = open_store(loop);
	struct job jobs[6] = { 0 };
	struct rlimit old, small;
	KT_AUTOFREE char *wal = kt_asprintf("%s-wal", path);
	struct stat s;

	(void)state;
	n_done = 0;
	for (int i = 0; i < 6; i++)
		jobs[i].number = i;
	kt_store_write(st, add_org, on_done, &jobs[0]);
	kt_loop_run(loop);
	assert_int_equal(stat(wal, &s), 0);
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = (rlim_t)s.st_size + 20000;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(kt_store_health(st, NULL), KT_OK);
	jobs[1].bytes = 200000;
	kt_store_write(st, add_org, on_done, &jobs[1]);
	while (!jobs[1].code)
		(void)uv_run(kt_loop_uv(loop), UV_RUN_ONCE);
	struct kt_err why = KT_ERR_INIT;
	assert_int_equal(kt_store_health(st, &why), KT_EIO);
	assert_true(kt_errno_disk(why.sys));
	print_message("# %s\n", why.msg);
	/* What it tries by itself fits: nobody has to write for it to be found well. */
	while (kt_store_health(st, NULL) != KT_OK)
		(void)uv_run(kt_loop_uv(loop), UV_RUN_ONCE);
	jobs[2].bytes = 200000;
	enum kt_code direct = kt_store_do(st, true, add_org, &jobs[2], NULL);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(jobs[1].code, KT_EIO);
	assert_non_null(strstr(jobs[1].msg, "database"));
	print_message("# %s\n", jobs[1].msg);
	assert_int_equal(direct, KT_EIO);
	/* There is room again: the store goes on. */
	jobs[3].bytes = 200000;
	kt_store_write(st, add_org, on_done, &jobs[3]);
	kt_loop_run(loop);
	assert_int_equal(jobs[3].code, KT_OK);
	assert_int_equal(orgs_in(st), 2);
	kt_store_close(st);
	st = open_store(NULL);
	assert_int_equal(orgs_in(st), 2);
	kt_store_close(st);
}

/* --- settings ----------------------------------------------------------------------------------- */

static void settings(void **state)
{
	struct kt_store *st = open_store(loop);
	static const struct {
		const char *sql;
		int64_t want;
	} cases[] = { { "PRAGMA synchronous", 2 }, { "PRAGMA foreign_keys", 1 },
		{ "PRAGMA trusted_schema", 0 }, { "PRAGMA cell_size_check", 1 },
		{ "PRAGMA busy_timeout", 30000 }, { "PRAGMA journal_size_limit", 16777216 } };
	struct kt_db *all[] = { st->direct, st->writer, st->readers[0], st->readers[1] };
	int64_t n;

	(void)state;
	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		for (size_t k = 0; k < KT_ARRAY_LEN(all); k++) {
			n = -1;
			assert_int_equal(kt_db_number(all[k], cases[i].sql, &n, NULL), KT_OK);
			assert_int_equal(n, cases[i].want);
		}
	}
	assert_int_equal(raw_number("SELECT count(*) FROM pragma_journal_mode WHERE "
				    "journal_mode = 'wal'"),
		1);
	/* Every table is strict, and has the organization that its rows belong to. */
	assert_int_equal(raw_number("SELECT count(*) FROM pragma_table_list WHERE type = 'table' AND "
				    "schema = 'main' AND name NOT LIKE 'sqlite_%' AND strict = 0"),
		0);
	assert_int_equal(
		raw_number("SELECT count(*) FROM pragma_table_list t WHERE type = 'table' AND "
			   "schema = 'main' AND name NOT LIKE 'sqlite_%' AND name NOT IN ('orgs', "
			   "'audit_head') AND NOT EXISTS (SELECT 1 FROM pragma_table_info(t.name) "
			   "WHERE name = 'org_id')"),
		0);
	kt_store_close(st);
}

static enum kt_code one_org(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	(void)arg;
	return kt_tx_org_add(tx, &org1, err);
}

static void read_only(void **state)
{
	struct kt_store *st = open_store(NULL);
	struct kt_store_config cfg = { .path = path, .read_only = true, .loop = loop };
	struct kt_err err = KT_ERR_INIT;
	struct job j = { 0 };

	(void)state;
	run(st, true, one_org);
	kt_store_close(st);
	assert_ok(kt_store_open(&cfg, &st, &err), err);
	assert_int_equal(orgs_in(st), 1);
	assert_int_equal(kt_store_do(st, true, one_org, NULL, NULL), KT_EDENIED);
	/* Also not by a read that writes. */
	assert_int_equal(kt_store_do(st, false, add_org, &j, NULL), KT_EIO);
	n_done = 0;
	kt_store_write(st, add_org, on_done, &j);
	kt_loop_run(loop);
	assert_int_equal(j.code, KT_EDENIED);
	kt_store_close(st);
}

/* --- copies ------------------------------------------------------------------------------------ */

/* Taken while two threads and another process write: whole, and a point in time. */
static void backup(void **state)
{
	struct kt_err err = KT_ERR_INIT;
	int fd, got, status;
	pid_t pid = spawn_writer(&fd, 5000, 300); /* before this process has threads */
	struct kt_store *st = open_store(loop);

	(void)state;
	for (int i = 0; i < 5; i++) {
		KT_AUTOFREE char *copy = kt_asprintf("%s/copy-%d", dir, i);
		struct job jobs[20] = { 0 };
		struct stat s;
		struct kt_db *db = NULL;
		int64_t n = 0, top = 0;

		n_done = 0;
		for (int k = 0; k < 20; k++) {
			jobs[k].number = i * 20 + k;
			kt_store_write(st, add_org, on_done, &jobs[k]);
		}
		assert_int_equal(read(fd, &got, sizeof(got)), sizeof(got));
		assert_ok(kt_store_backup(st, copy, &err), err);
		kt_loop_run(loop);
		assert_int_equal(n_done, 20);
		assert_int_equal(stat(copy, &s), 0);
		assert_int_equal(s.st_mode & 0777, 0600);
		assert_ok(kt_db_open(copy, true, &db, &err), err);
		assert_ok(kt_db_number(db, "PRAGMA user_version", &n, &err), err);
		assert_int_equal(n, (int64_t)kt_sqlite_engine.n_migrations);
		/* The other process's rows are there without a gap: one point in time. */
		assert_ok(kt_db_number(db, "SELECT count(*) FROM orgs WHERE created_us >= 5000", &n,
				  &err),
			err);
		assert_ok(kt_db_number(db, "SELECT max(created_us) FROM orgs", &top, &err), err);
		assert_int_equal(top, 5000 + n - 1);
		assert_true(top >= got);
		kt_db_close(db);
		assert_int_equal(kt_store_backup(st, copy, &err), KT_ECONFLICT);
	}
	while (read(fd, &got, sizeof(got)) == sizeof(got))
		continue;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	(void)close(fd);
	kt_store_close(st);
	/* Nothing but the copies is left. */
	char **names = NULL;
	size_t n = 0;
	assert_int_equal(kt_fs_list(dir, &names, &n, NULL), KT_OK);
	assert_int_equal(n, 6);
	kt_fs_names_free(names, n);
}

#define LOOP_TEST(f) cmocka_unit_test_setup_teardown(f, setup_loop, teardown_loop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* First those that fork: this process has no threads yet. */
		cmocka_unit_test_setup_teardown(killed, setup, teardown),
		cmocka_unit_test_setup_teardown(opened_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(two_processes, setup, teardown),
		LOOP_TEST(groups),
		LOOP_TEST(failing_among_others),
		LOOP_TEST(message_of_a_silent_failure),
		LOOP_TEST(failing_commit),
		LOOP_TEST(read_your_writes),
		LOOP_TEST(never_ahead),
		LOOP_TEST(close_finishes),
		LOOP_TEST(queue_limit),
		LOOP_TEST(threads),
		LOOP_TEST(no_room),
		LOOP_TEST(settings),
		LOOP_TEST(read_only),
		LOOP_TEST(backup),
	};
	return cmocka_run_group_tests_name("store/store", tests, NULL, NULL);
}
