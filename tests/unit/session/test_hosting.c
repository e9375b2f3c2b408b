/* SPDX-License-Identifier: MIT */
/*
 * Sessions of a hosting server: pinned to their release, with a journal that is on disk before
 * anybody is told, and a private copy of the release for each harness. The control plane is a fake;
 * harnesses are rehearsals or this program itself.
 */
#include "hosting.h"

#include <sys/resource.h>

/* --- pins ----------------------------------------------------------------------------------------
 */

static void test_pinned_over_restart(void **state)
{
	struct world *w = *state;
	struct kt_target t1 = target("shop", "rel_1", 1), t2 = target("shop", "rel_2", 2);
	const struct kt_session_new unprepared = { .target = &t1 };
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);
	struct kt_session *s = NULL;
	char old[KT_ID_MAX], new[KT_ID_MAX];

	assert_null(kt_sessions_app_of(w->reg, &t1));
	assert_int_equal(kt_session_create(w->reg, &unprepared, &s, NULL), KT_EUNAVAIL);
	s = create(w, &t1);
	memcpy(old, s->id, sizeof(old));
	assert_string_equal(kt_sessions_problem_of(w->reg, &t1), "");
	assert_non_null(kt_sessions_app_of(w->reg, &t1));
	talk(w, s, "hello");
	memcpy(new, create(w, &t2)->id, sizeof(new));
	assert_int_equal(fake_count("rel_1"), 1);
	assert_int_equal(fake_count("rel_2"), 1);

	restart(w);
	assert_int_equal(fake_count("rel_1"), 1);
	assert_int_equal(fake_count("rel_2"), 1);
	/* Nothing is prepared: the turns wait for their releases. */
	s = kt_session_get(w->reg, old);
	assert_non_null(s);
	assert_string_equal(kt_session_target(s)->release_id, "rel_1");
	assert_string_equal(kt_session_target(s)->project, "shop");
	assert_string_equal(kt_session_target(s)->org_id, "org_1");
	assert_int_equal(kt_session_target(s)->version, 1);
	assert_int_equal(s->turns, 1);
	talk(w, s, "again");
	events(s, &b);
	assert_non_null(strstr(b.ptr, "\"one\""));
	assert_null(strstr(b.ptr, "\"two\""));
	s = kt_session_get(w->reg, new);
	talk(w, s, "and you");
	events(s, &b);
	assert_non_null(strstr(b.ptr, "\"two\""));
	assert_null(strstr(b.ptr, "\"one\""));

	kt_session_delete(s);
	assert_int_equal(fake_count("rel_2"), 0);
	restart(w);
	assert_null(kt_session_get(w->reg, new));
	assert_int_equal(fake_count("rel_1"), 1);
	assert_int_equal(fake_count("rel_2"), 0);
	assert_non_null(strstr(fake.log.ptr, "prj_shop info session v1 session created\n"));
	assert_non_null(strstr(fake.log.ptr, "prj_shop info session v2 session deleted\n"));
	assert_non_null(strstr(fake.log.ptr, " started, agent default\n"));
	assert_non_null(strstr(fake.log.ptr, " ms, 3 tokens)\n"));
}

static void test_release_is_gone(void **state)
{
	struct world *w = *state;
	struct kt_target t = target("shop", "rel_1", 1), other = target("shop", "rel_2", 2);
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);
	struct kt_session *s = create(w, &t);
	char id[KT_ID_MAX];

	memcpy(id, s->id, sizeof(id));
	restart(w);
	(void)create(w, &other);
	fake.gone = true;
	s = kt_session_get(w->reg, id);
	talk(w, s, "hello");
	events(s, &b);
	assert_non_null(strstr(b.ptr, "\"code\":\"release_unavailable\""));
	assert_non_null(strstr(b.ptr, "the files of release v1 are gone"));
	assert_non_null(strstr(b.ptr, "\"type\":\"done\""));
	assert_null(strstr(b.ptr, "two"));
	assert_int_equal(prepare(w, &t), -KT_ENOTFOUND);
	assert_non_null(strstr(fake.log.ptr, "prj_shop error turn v1"));
	/* And when it is there again, the session goes on. */
	fake.gone = false;
	talk(w, s, "hello");
	events(s, &b);
	assert_non_null(strstr(b.ptr, "\"one\""));
}

static void test_opening_is_shared(void **state)
{
	struct world *w = *state;
	struct kt_target t = target("shop", "rel_1", 1), p = t;
	const struct kt_message m = { .text = "hi" };
	int done[4] = { 0 };
	struct kt_session *a, *b;
	struct kt_sent sent;
	char id[KT_ID_MAX];

	a = create(w, &t);
	b = create(w, &t);
	memcpy(id, a->id, sizeof(id));
	KT_AUTOFREE char *other = kt_strdup(b->id);
	restart(w);
	a = kt_session_get(w->reg, id);
	b = kt_session_get(w->reg, other);
	fake.later = true;
	fake.opens = 0;
	for (size_t i = 0; i < 3; i++)
		kt_sessions_prepare(w->reg, &t, prepared, &done[i]);
	assert_int_equal(kt_session_send(a, &m, &sent, NULL), KT_OK);
	assert_int_equal(kt_session_send(b, &m, &sent, NULL), KT_OK);
	assert_int_equal(fake.opens, 1);
	/* Interrupted while it waits: the turn ends, and the next one waits in its place. */
	watch(w, a);
	assert_true(kt_session_interrupt(a));
	assert_int_equal(w->ended, 1);
	assert_int_equal(kt_session_send(a, &m, &sent, NULL), KT_OK);
	/* Deleted while it waits. */
	kt_session_delete(b);
	run_ms(5);
	assert_int_equal(w->ended, 1);
	fake_answer();
	while (done[0] + done[1] + done[2] < 3)
		run_ms(1);
	while (w->ended < 2)
		kt_loop_run(the_loop);
	kt_watch_remove(&w->watch);
	assert_int_equal(a->turns, 2);
	/* A preview of the same release is another: its harness is told so. */
	p.preview = true;
	kt_sessions_prepare(w->reg, &p, prepared, &done[3]);
	assert_int_equal(done[3], 0);
	fake_answer();
	assert_int_equal(prepare(w, &p), 1);
	assert_int_equal(done[3], 1);
	/* One more is on its way when the server ends. */
	t = target("shop", "rel_2", 2);
	kt_sessions_prepare(w->reg, &t, prepared, &done[0]);
	kt_sessions_free(w->reg);
	fake_answer();
	assert_int_equal(fake.holds, 0);
	open_registry(w);
	/* And one is being read by a thread. */
	fake.later = false;
	kt_sessions_prepare(w->reg, &t, prepared, &done[0]);
	assert_int_equal(fake.holds, 1);
	kt_sessions_free(w->reg);
	assert_int_equal(fake.holds, 0);
	open_registry(w);
}

static void test_projects_are_apart(void **state)
{
	struct world *w = *state;
	struct kt_target t1 = target("shop", "rel_1", 1), t2 = target("bank", "rel_2", 1);
	struct kt_session *a = create(w, &t1), *b = create(w, &t2), *c = create(w, &t1);
	struct kt_session_new n = { .target = &t2, .parent_id = a->id };
	struct kt_session *s = NULL;

	assert_int_equal(kt_session_create(w->reg, &n, &s, NULL), KT_ENOTFOUND);
	n.target = &t1;
	assert_int_equal(kt_session_create(w->reg, &n, &s, NULL), KT_OK);
	assert_int_equal(kt_sessions_count_of(w->reg, "prj_shop"), 3);
	assert_int_equal(kt_sessions_count_of(w->reg, "prj_bank"), 1);
	assert_int_equal(kt_sessions_count_of(w->reg, "prj_none"), 0);
	assert_ptr_equal(kt_session_older_of(w->reg, "prj_shop", NULL), s);
	assert_ptr_equal(kt_session_older_of(w->reg, "prj_shop", s), c);
	assert_ptr_equal(kt_session_older_of(w->reg, "prj_shop", c), a);
	assert_null(kt_session_older_of(w->reg, "prj_shop", a));
	assert_null(kt_session_older_of(w->reg, "prj_shop", b));
	kt_session_delete(c);
	assert_ptr_equal(kt_session_older_of(w->reg, "prj_shop", s), a);
	kt_session_delete(b);
	assert_int_equal(kt_sessions_count_of(w->reg, "prj_bank"), 0);
}

/* They go with their project, whether the server lived to do it or not. */
static void test_project_is_deleted(void **state)
{
	struct world *w = *state;
	struct kt_target t1 = target("shop", "rel_1", 1), t2 = target("bank", "rel_2", 1);
	struct kt_session *b, *s = NULL;
	const struct kt_session_new n = { .target = &t2 };

	(void)create(w, &t1);
	b = create(w, &t2);
	(void)create(w, &t1);
	kt_sessions_delete_of(w->reg, t1.project_id);
	assert_int_equal(kt_sessions_count(w->reg), 1);
	assert_ptr_equal(kt_session_older(w->reg, NULL), b);
	kt_sessions_delete_of(w->reg, t1.project_id);
	restart(w);
	assert_int_equal(kt_sessions_count(w->reg), 1);
	fake.deleted = true;
	assert_int_equal(kt_session_create(w->reg, &n, &s, NULL), KT_ENOTFOUND);
	restart(w);
	fake.deleted = false;
	assert_int_equal(kt_sessions_count(w->reg), 0);
	restart(w);
	assert_int_equal(kt_sessions_count(w->reg), 0);
}

static void test_unknown_agent(void **state)
{
	struct world *w = *state;
	struct kt_target t = target("shop", "rel_1", 1);
	const struct kt_message m = { .text = "hi", .agent = "nobody" };
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);
	struct kt_session *s = create(w, &t);
	struct kt_sent sent;
	char id[KT_ID_MAX];

	assert_int_equal(kt_session_send(s, &m, &sent, NULL), KT_EINVAL);
	memcpy(id, s->id, sizeof(id));
	restart(w);
	/* Not known before the release is open. */
	s = kt_session_get(w->reg, id);
	watch(w, s);
	assert_int_equal(kt_session_send(s, &m, &sent, NULL), KT_OK);
	while (!w->ended)
		kt_loop_run(the_loop);
	kt_watch_remove(&w->watch);
	events(s, &b);
	assert_non_null(strstr(b.ptr, "\"code\":\"agent_not_found\""));
	assert_string_equal(s->current_agent, "default");
}

/* --- folder projects
 * ------------------------------------------------------------------------------ */

static void test_folder_is_read_again(void **state)
{
	struct world *w = *state;
	struct kt_target t = target("local", "", 0);
	KT_AUTOFREE char *agents = kt_path_join(w->root, "prj_local/.claude/agents");
	struct kt_session *s;

	t.folder = true;
	put_release(w, "prj_local", "folder");
	s = create(w, &t);
	assert_int_equal(fake.counts.len, 0);
	assert_null(kt_app_agent(kt_sessions_app_of(w->reg, &t), "helper"));
	put(agents, "helper.md", "---\nname: helper\ndescription: helps\n---\nHelp.\n");
	run_ms(150);
	assert_int_equal(prepare(w, &t), 1);
	assert_non_null(kt_app_agent(kt_sessions_app_of(w->reg, &t), "helper"));
	/* An unchanged one is kept, and what was opened for the look given back. */
	run_ms(150);
	assert_int_equal(prepare(w, &t), 1);
	assert_int_equal(fake.holds, 1);
	talk(w, s, "hello");
	restart(w);
	s = kt_session_older(w->reg, NULL);
	assert_true(kt_session_target(s)->folder);
	talk(w, s, "hello");
}

/* --- a harness with a process -------------------------------------------------------------------
 */

static void read_text(const char *path, struct kt_buf *b)
{
	kt_buf_clear(b);
	kt_buf_adds(b, "\n");
	assert_int_equal(kt_fs_read(path, b, NULL), KT_OK);
}

static void assert_line(const struct kt_buf *b, const char *name, const char *value)
{
	KT_AUTOFREE char *line = kt_asprintf("\n%s=%s\n", name, value);

	if (!strstr(b->ptr, line))
		fail_msg("no %s in%s", line, b->ptr);
}

static void test_workspace(void **state)
{
	struct world *w = *state;
	struct kt_target t = target("shop", "rel_1", 7);
	KT_AUTOFREE char *rel = kt_path_join(w->root, "rel_1");
	KT_AUTOFREE char *script = kt_path_join(rel, "bin/run.sh");
	KT_AUTOFREE char *link = kt_path_join(rel, "link");
	KT_AUTOFREE char *file = kt_path_join(w->dir, "seen");
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);
	KT_AUTO_BUF struct kt_buf c = KT_BUF_INIT(8 << 20);
	struct kt_session *s;
	struct stat st, st2;

	kt_sessions_free(w->reg);
	w->process = true;
	w->env[0] = kt_strdup("FAKE=dump");
	w->env[1] = kt_asprintf("FAKE_FILE=%s", file);
	w->env[2] = kt_strdup("SECRET_OF_PROJECT=s3");
	put(rel, "bin/run.sh", "#!/bin/sh\n");
	assert_int_equal(chmod(script, 0555), 0);
	assert_int_equal(symlink("bin/run.sh", link), 0);
	KT_AUTOFREE char *bytes = kt_malloc(3000001);
	memset(bytes, 'x', 3000000);
	bytes[3000000] = '\0';
	put(rel, "big", bytes);
	assert_int_equal(setenv("KARTA_MASTER_KEY", "of the server", 1), 0);
	open_registry(w);

	s = create(w, &t);
	KT_AUTOFREE char *space = kt_asprintf("%s/sessions/%s/workspace", w->data, s->id);
	KT_AUTOFREE char *home = kt_asprintf("%s/sessions/%s/home", w->data, s->id);
	KT_AUTOFREE char *claude = kt_path_join(home, ".claude");
	KT_AUTOFREE char *here = kt_path_join(space, "bin/run.sh");
	KT_AUTOFREE char *here_link = kt_path_join(space, "link");
	KT_AUTOFREE char *here_big = kt_path_join(space, "big");
	KT_AUTOFREE char *dir = kt_asprintf("%s/sessions/%s", w->data, s->id);
	char text[64];
	talk(w, s, "hello");
	read_text(file, &b);
	assert_line(&b, "cwd", space);
	assert_line(&b, "HOME", home);
	assert_line(&b, "CLAUDE_CONFIG_DIR", claude);
	assert_line(&b, "KARTA_PROJECT", "shop");
	assert_line(&b, "KARTA_RELEASE", "v7");
	assert_line(&b, "KARTA_ENVIRONMENT", "production");
	assert_line(&b, "KARTA_SESSION_ID", s->id);
	assert_line(&b, "SECRET_OF_PROJECT", "s3");
	assert_null(strstr(b.ptr, "of the server"));
	assert_true(kt_fs_is_dir(claude));
	/* Copies: executable as before and writable, links as links, nothing shared. */
	assert_int_equal(stat(here, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0755);
	assert_int_equal(st.st_nlink, 1);
	assert_int_equal(stat(script, &st2), 0);
	assert_true(st.st_ino != st2.st_ino);
	ssize_t n = readlink(here_link, text, sizeof(text) - 1);
	assert_true(n > 0);
	text[n] = '\0';
	assert_string_equal(text, "bin/run.sh");
	assert_int_equal(kt_fs_read(here_big, &c, NULL), KT_OK);
	assert_int_equal(c.len, 3000000);
	assert_int_equal(stat(dir, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);

	/* What it wrote is there for the next turn, and nowhere else. */
	put(space, "notes.txt", "mine\n");
	put(space, "bin/run.sh", "changed\n");
	kt_buf_clear(&b);
	assert_int_equal(kt_fs_read(script, &b, NULL), KT_OK);
	assert_string_equal(b.ptr, "#!/bin/sh\n");
	char id[KT_ID_MAX];
	memcpy(id, s->id, sizeof(id));
	restart(w);
	s = kt_session_get(w->reg, id);
	talk(w, s, "again");
	kt_buf_clear(&b);
	assert_int_equal(kt_fs_read(here, &b, NULL), KT_OK);
	assert_string_equal(b.ptr, "changed\n");

	/* Its folder goes when its deletion is on the disk, and not before. */
	kt_session_delete(s);
	assert_true(kt_fs_is_dir(dir));
	assert_int_equal(sync_now(w), 1);
	assert_false(kt_fs_is_dir(dir));
	KT_AUTOFREE char *trash = kt_asprintf("%s/trash/%s", w->data, id);
	for (int i = 0; i < 500 && kt_fs_is_dir(trash); i++)
		run_ms(10);
	assert_false(kt_fs_is_dir(trash));
}

/* A copy that was cut off is made anew; one that cannot be made fails the turn. */
static void test_workspace_fails(void **state)
{
	struct world *w = *state;
	struct kt_target t = target("shop", "rel_1", 7);
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);
	KT_AUTOFREE char *file = kt_path_join(w->dir, "seen");
	struct kt_session *s;

	kt_sessions_free(w->reg);
	w->process = true;
	w->env[0] = kt_strdup("FAKE=dump");
	w->env[1] = kt_asprintf("FAKE_FILE=%s", file);
	open_registry(w);
	s = create(w, &t);
	KT_AUTOFREE char *part = kt_asprintf("%s/sessions/%s/workspace.part", w->data, s->id);
	KT_AUTOFREE char *home = kt_asprintf("%s/sessions/%s/home", w->data, s->id);
	put(part, "CLAUDE.md", "half");
	put(home, ".claude", "in the way");
	talk(w, s, "hello");
	events(s, &b);
	assert_non_null(strstr(b.ptr, "\"code\":\"harness_start_failed\""));
	KT_AUTOFREE char *in_the_way = kt_path_join(home, ".claude");
	assert_int_equal(unlink(in_the_way), 0);
	talk(w, s, "hello");
	read_text(file, &b);
	assert_non_null(strstr(b.ptr, "/workspace\n"));
	assert_false(kt_fs_is_dir(part));
	/* The server ends while a copy is made. */
	const struct kt_message m = { .text = "x" };
	struct kt_sent sent;
	s = create(w, &t);
	assert_int_equal(kt_session_send(s, &m, &sent, NULL), KT_OK);
	restart(w);
}

/* --- the journal --------------------------------------------------------------------------------
 */

static void test_sync(void **state)
{
	struct world *w = *state;
	struct kt_target t = target("shop", "rel_1", 1);
	int done[300] = { 0 };

	assert_int_equal(sync_now(w), 1);
	/* Lines of one tick are one write, and nobody is told before they are on disk. */
	for (size_t i = 0; i < 300; i++) {
		(void)create(w, &t);
		kt_sessions_sync(w->reg, on_synced, &done[i]);
		assert_int_equal(done[i], 0);
	}
	assert_int_equal(journal_bytes(w), 0);
	while (!done[299])
		kt_loop_run(the_loop);
	for (size_t i = 0; i < 300; i++)
		assert_int_equal(done[i], 1);
	size_t bytes = journal_bytes(w);
	assert_true(bytes > 300 * 200);
	/* Waiting while one is under way. */
	(void)create(w, &t);
	kt_sessions_sync(w->reg, on_synced, &done[0]);
	done[0] = done[1] = 0;
	run_ms(0);
	(void)create(w, &t);
	kt_sessions_sync(w->reg, on_synced, &done[1]);
	while (!done[0] || !done[1])
		kt_loop_run(the_loop);
	assert_true(journal_bytes(w) > bytes);
	/* Nothing new: at once. */
	done[2] = 0;
	kt_sessions_sync(w->reg, on_synced, &done[2]);
	assert_int_equal(done[2], 1);
	restart(w);
	assert_int_equal(kt_sessions_count(w->reg), 302);
}

/* The journal is rewritten while sessions come, change and go. */
static void test_rewritten_while_serving(void **state)
{
	enum { N = 3000 };
	struct world *w = *state;
	struct kt_target t = target("shop", "rel_1", 1);
	const struct kt_session_new same = { .target = &t, .key = { "create:org_1", "same", 1 } };
	static char ids[N * 3][KT_ID_MAX];
	size_t n = 0;

	for (size_t i = 0; i < N; i++)
		memcpy(ids[n++], create(w, &t)->id, KT_ID_MAX);
	assert_int_equal(sync_now(w), 1);
	size_t small = journal_bytes(w);
	for (int i = 0; i < 20000; i++) {
		struct kt_session *s = NULL;

		assert_int_equal(kt_session_create(w->reg, &same, &s, NULL), KT_OK);
		kt_session_delete(s);
	}
	assert_int_equal(sync_now(w), 1);
	size_t large = journal_bytes(w);
	assert_true(large > small + 40000 * 100);
	/* In each step of the rewrite: a new one, one that goes, one that changes. */
	KT_AUTOFREE char *beside = kt_asprintf("%s/sessions.jsonl.new", w->data);
	bool seen = false;
	for (int i = 0; i < 2000 && (!seen || kt_fs_is_file(beside)); i++) {
		seen = seen || kt_fs_is_file(beside);
		struct kt_session *s = create(w, &t);
		memcpy(ids[n++], s->id, KT_ID_MAX);
		struct kt_session *old = kt_session_get(w->reg, ids[(size_t)i * 7 % n]);
		if (old && i % 3 == 0)
			kt_session_delete(old);
		else if (old && i % 10 == 1)
			talk(w, old, "hi");
		int done = 0;
		kt_sessions_sync(w->reg, on_synced, &done);
		run_ms(0);
		while (!done)
			kt_loop_run(the_loop);
		assert_int_equal(done, 1);
	}
	assert_true(seen);
	assert_false(kt_fs_is_file(beside));
	assert_true(journal_bytes(w) < large / 2);

	size_t count = kt_sessions_count(w->reg), at = 0;
	struct kt_vec before = KT_VEC_INIT;
	for (struct kt_session *s = kt_session_older(w->reg, NULL); s;
		s = kt_session_older(w->reg, s)) {
		kt_vec_push(&before,
			kt_asprintf("%s %u %s", s->id, s->turns, s->title ? s->title : ""));
		kt_vec_push(&before, NULL);
	}
	restart(w);
	assert_int_equal(kt_sessions_count(w->reg), count);
	for (struct kt_session *s = kt_session_older(w->reg, NULL); s;
		s = kt_session_older(w->reg, s), at += 2) {
		KT_AUTOFREE char *now = kt_asprintf(
			"%s %u %s", s->id, s->turns, s->title ? s->title : "");
		assert_string_equal(now, before.items[at]);
	}
	assert_int_equal(at, before.len);
	for (size_t i = 0; i < before.len; i++)
		free(before.items[i]);
	kt_vec_release(&before);
	assert_non_null(kt_idem_get(w->reg, "create:org_1", "same"));
	assert_int_equal(fake_count("rel_1"), (int)count);
}

/* As a backup has them: the journal of one moment, the log of a later one, many turns after. */
static void test_journal_older_than_log(void **state)
{
	struct world *w = *state;
	struct kt_target t = target("shop", "rel_1", 1);
	const struct kt_message m = { .text = "first" };
	KT_AUTOFREE char *path = kt_path_join(w->data, "sessions.jsonl");
	KT_AUTO_BUF struct kt_buf journal = KT_BUF_INIT(1 << 20);
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);
	struct kt_session *s = create(w, &t);
	struct kt_sent sent;
	char id[KT_ID_MAX];

	memcpy(id, s->id, sizeof(id));
	watch(w, s);
	assert_int_equal(kt_session_send(s, &m, &sent, NULL), KT_OK);
	assert_int_equal(sync_now(w), 1);
	assert_int_equal(kt_fs_read(path, &journal, NULL), KT_OK);
	assert_non_null(strstr(journal.ptr, sent.turn_id));
	while (!w->ended)
		kt_loop_run(the_loop);
	kt_watch_remove(&w->watch);
	for (int i = 0; i < 12; i++)
		talk(w, s, "and");
	kt_sessions_free(w->reg);
	kt_map_release(&fake.counts);
	assert_int_equal(
		kt_fs_write_atomic(path, journal.ptr, journal.len, 0600, false, NULL), KT_OK);
	open_registry(w);
	s = kt_session_get(w->reg, id);
	events(s, &b);
	size_t n = 0, of_it = 0;
	for (const char *p = b.ptr; (p = strstr(p, "{\"type\":\"done\"")) != NULL; p++, n++)
		of_it += (size_t)(strstr(p, sent.turn_id) - p) < 300;
	assert_int_equal(n, 13);
	assert_int_equal(of_it, 1);
	assert_null(strstr(b.ptr, "interrupted"));
}

/* Deleting is not slower the more there are: oldest first was quadratic once. */
static void test_many(void **state)
{
	enum { N = 60000 };
	struct world *w = *state;
	struct kt_target t = target("shop", "rel_1", 1);
	static char ids[N][KT_ID_MAX];

	fake.log.max = 0;
	for (size_t i = 0; i < N; i++)
		memcpy(ids[i], create(w, &t)->id, KT_ID_MAX);
	int64_t since = cpu_us();
	for (size_t i = 0; i < N; i++)
		kt_session_delete(kt_session_get(w->reg, ids[i]));
	assert_true(cpu_us() - since < 20 * 1000000);
	assert_int_equal(kt_sessions_count(w->reg), 0);
	restart(w);
	assert_int_equal(kt_sessions_count(w->reg), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CASE(test_pinned_over_restart),
		CASE(test_release_is_gone),
		CASE(test_opening_is_shared),
		CASE(test_projects_are_apart),
		CASE(test_project_is_deleted),
		CASE(test_unknown_agent),
		CASE(test_folder_is_read_again),
		CASE(test_workspace),
		CASE(test_workspace_fails),
		CASE(test_sync),
		CASE(test_rewritten_while_serving),
		CASE(test_journal_older_than_log),
		CASE(test_many),
	};
	return hosting_main(argc, argv, "hosting", tests, KT_ARRAY_LEN(tests));
}
