/* SPDX-License-Identifier: MIT */
/* The journal on a disk that is full or fails, and when it is well again. */
#include "hosting.h"

#include <sys/resource.h>
#include <sys/syscall.h>

/* These calls of this program fail while `on`. */
struct fault {
	bool on;
	int error;
	unsigned failed;
};
static struct fault fault_sync = { .error = EIO }, fault_cut = { .error = EIO },
		    fault_rename = { .error = EIO };

static bool faulty(struct fault *f)
{
	if (f->on) {
		f->failed++;
		errno = f->error;
	}
	return f->on;
}

/* They stand before the C library's. */
__attribute__((visibility("default"))) int fdatasync(int fd)
{
	return faulty(&fault_sync) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

__attribute__((visibility("default"))) int ftruncate(int fd, off_t len)
{
	return faulty(&fault_cut) ? -1 : (int)syscall(SYS_ftruncate, fd, len);
}

__attribute__((visibility("default"))) int rename(const char *from, const char *to)
{
	return faulty(&fault_rename) ? -1 : (int)syscall(SYS_rename, from, to);
}

/* A full disk: who waits is told, nothing is lost, half a line is in nobody's way. */
static void test_full_disk(void **state)
{
	struct world *w = *state;
	struct kt_target t = target("shop", "rel_1", 1);
	struct rlimit old, low;

	(void)create(w, &t);
	assert_int_equal(sync_now(w), 1);
	assert_int_equal(sigaction(SIGXFSZ, &(struct sigaction){ .sa_handler = SIG_IGN }, NULL), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	low = old;
	low.rlim_cur = journal_bytes(w) + 100;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
	(void)create(w, &t);
	int rc = sync_now(w);
	size_t bytes = journal_bytes(w);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(rc, -KT_EIO);
	assert_int_equal(bytes, low.rlim_cur - 100);
	assert_int_equal(kt_sessions_health(w->reg, NULL), KT_EIO);
	/* The waiting line is written by itself when there is room. */
	until_well(w);
	assert_true(journal_bytes(w) > bytes);
	(void)create(w, &t);
	assert_int_equal(sync_now(w), 1);
	restart(w);
	assert_int_equal(kt_sessions_count(w->reg), 3);
}

/* Refused up front, with a reason, and nothing half-done. */
static void refused(struct world *w, struct kt_session *s, const struct kt_target *t)
{
	const struct kt_session_new n = { .target = t };
	const struct kt_message m = { .text = "x" };
	struct kt_err err = KT_ERR_INIT;
	struct kt_session *more = NULL;
	struct kt_sent sent;
	uint64_t seq = kt_session_last_seq(s);

	assert_int_equal(kt_session_create(w->reg, &n, &more, &err), KT_EIO);
	assert_int_equal(err.sys, EIO);
	assert_non_null(strstr(err.msg, "cannot sync the session journal"));
	assert_int_equal(kt_session_send(s, &m, &sent, NULL), KT_EIO);
	assert_int_equal(kt_session_last_seq(s), seq);
	assert_null(s->turn);
}

/*
 * A failed fdatasync: everybody is told, a new file is written from memory, again and again while
 * that fails too, and nothing that was acknowledged is lost, whichever of the two files a restart
 * finds.
 */
static void test_failed_sync(void **state)
{
	struct world *w = *state;
	struct kt_target t = target("shop", "rel_1", 1);
	struct kt_session *s = create(w, &t);
	char id[KT_ID_MAX];

	memcpy(id, s->id, sizeof(id));
	assert_int_equal(sync_now(w), 1);
	assert_int_equal(kt_sessions_health(w->reg, NULL), KT_OK);
	fault_sync.on = true;
	(void)create(w, &t); /* not acknowledged */
	assert_int_equal(sync_now(w), -KT_EIO);
	refused(w, s, &t);
	/* It is tried again, and fails again. */
	unsigned before = fault_sync.failed;
	while (fault_sync.failed < before + 2)
		run_ms(5);
	refused(w, s, &t);
	/* Now it can be synced, but not put in place. */
	fault_rename.on = true;
	fault_sync.on = false;
	before = fault_rename.failed;
	while (fault_rename.failed == before)
		run_ms(5);
	fault_rename.on = false;
	until_well(w);
	talk(w, s, "hi");
	(void)create(w, &t);
	assert_int_equal(sync_now(w), 1);
	restart(w);
	assert_int_equal(kt_sessions_count(w->reg), 3);
	s = kt_session_get(w->reg, id);
	assert_non_null(s);
	assert_int_equal(s->turns, 1);
}

/* What is acknowledged before is there when the server is stopped before the disk is well again. */
static void test_stopped_while_failing(void **state)
{
	struct world *w = *state;
	struct kt_target t = target("shop", "rel_1", 1);

	for (int i = 0; i < 5; i++)
		(void)create(w, &t);
	assert_int_equal(sync_now(w), 1);
	fault_sync.on = true;
	(void)create(w, &t);
	assert_int_equal(sync_now(w), -KT_EIO);
	fault_sync.on = false;
	restart(w);
	assert_int_equal(kt_sessions_count(w->reg), 6);
	assert_int_equal(kt_sessions_health(w->reg, NULL), KT_OK);
}

/* Half a line that cannot be cut off is in nobody's way: the file is replaced. */
static void test_torn_and_not_cut(void **state)
{
	struct world *w = *state;
	struct kt_target t = target("shop", "rel_1", 1);
	struct rlimit old, low;

	(void)create(w, &t);
	assert_int_equal(sync_now(w), 1);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	low = old;
	low.rlim_cur = journal_bytes(w) + 100;
	fault_cut.on = true;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
	(void)create(w, &t);
	int rc = sync_now(w);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	fault_cut.on = false;
	assert_int_equal(rc, -KT_EIO);
	assert_int_equal(journal_bytes(w), low.rlim_cur);
	until_well(w);
	(void)create(w, &t);
	assert_int_equal(sync_now(w), 1);
	restart(w);
	assert_int_equal(kt_sessions_count(w->reg), 3);
}

/* A local server goes on in memory, and writes all of it when there is room again. */
static void test_local(void **state)
{
	struct world *w = *state;
	KT_AUTOFREE char *dir = kt_path_join(w->root, "rel_1");
	KT_AUTOFREE char *data = kt_path_join(w->dir, "local");
	struct kt_sessions_config cfg = { .loop = the_loop,
		.spawner = spawner,
		.dir = dir,
		.data_dir = data,
		.app = { .harness = "rehearsal" } };
	const struct kt_session_new n = { .metadata = "{}" };
	struct kt_err err = KT_ERR_INIT;
	struct kt_sessions *reg = NULL;
	struct kt_session *s;
	struct rlimit old, low;

	if (kt_sessions_open(&cfg, &reg, &err) != KT_OK)
		fail_msg("%s", err.msg);
	assert_int_equal(kt_session_create(reg, &n, &s, NULL), KT_OK);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	low = old;
	low.rlim_cur = 10;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(kt_session_create(reg, &n, &s, NULL), KT_OK);
	assert_int_equal(kt_sessions_health(reg, &err), KT_EIO);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	while (kt_sessions_health(reg, NULL) != KT_OK)
		run_ms(5);
	assert_int_equal(kt_session_create(reg, &n, &s, NULL), KT_OK);
	kt_sessions_free(reg);
	assert_int_equal(kt_sessions_open(&cfg, &reg, &err), KT_OK);
	assert_int_equal(kt_sessions_count(reg), 5);
	kt_sessions_free(reg);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CASE(test_full_disk),
		CASE(test_failed_sync),
		CASE(test_stopped_while_failing),
		CASE(test_torn_and_not_cut),
		CASE(test_local),
	};

	return hosting_main(argc, argv, "disk", tests, KT_ARRAY_LEN(tests));
}
