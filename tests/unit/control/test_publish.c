/* SPDX-License-Identifier: MIT */
/*
 * Publishing: the three kinds of manifest, what is missing, archives through the real unpacker,
 * refusals that change nothing, idempotency.
 */
#include "work.h"

#include "git/git.h"
#include "tests/unit/children.h"

#include <fcntl.h>
#include <signal.h>

static struct kt_spawner *spawner;

/* The rig with the unpacker: this program itself, see main(). */
static int setup(void **state)
{
	struct rig *r;
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n < 0 || rig_setup(state) != 0)
		return -1;
	self[n] = '\0';
	r = *state;
	free(r->ctl->self);
	r->ctl->self = kt_strdup(self);
	if (kt_spawner_start(&spawner, NULL) != KT_OK ||
		kt_spawner_attach(spawner, r->loop, NULL) != KT_OK)
		return -1;
	r->ctl->cfg.spawner = spawner;
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;

	kt_control_free(r->ctl);
	r->ctl = NULL;
	kt_spawner_free(spawner);
	return rig_teardown(state);
}

static void send_doc(struct rig *r, struct answer *a, const char *slug, const char *doc)
{
	RUN(r, a, kt_control_publish(r->ctl, &r->actor, slug, doc, strlen(doc), NULL, NULL,
			  on_answer, a));
}

static size_t n_staged(struct rig *r)
{
	KT_AUTOFREE char *tmp = kt_path_join(r->dir, "tmp");
	char **names;
	size_t n;

	assert_int_equal(kt_fs_list(tmp, &names, &n, NULL), KT_OK);
	kt_fs_names_free(names, n);
	return n;
}

static void test_missing_is_named(void **state)
{
	struct rig *r = *state;
	const struct file f[] = { CLAUDE_MD, { "a.txt", "same", 0 }, { "b.txt", "same", 0 } };
	KT_AUTOFREE char *doc = doc_of(f, 3, "");
	struct answer a = { 0 };
	KT_AUTO_JSON cJSON *extra = NULL;

	put_blobs(r, f, 1);
	send_doc(r, &a, "beans", doc);
	ASSERT_STATUS(&a, 409);
	assert_string_equal(a.code, "files_missing");
	assert_int_equal(kt_json_parse(a.extra, strlen(a.extra), 0, &extra, NULL), KT_OK);
	assert_int_equal(cJSON_GetArraySize(kt_json_arr(extra, "missing")), 1);
	assert_int_equal(kt_json_int(extra, "missing_total", 0), 1);
	/* Nothing was written. */
	assert_null(project_mem(r, "beans"));
	put_blobs(r, f, 3);
	send_doc(r, &a, "beans", doc);
	ASSERT_STATUS(&a, 202);
	assert_text(&a, "version", "v1");
	assert_text(&a, "state", "building");
	assert_int_equal(kt_json_int(a.doc, "files", 0), 3);
	answer_clear(&a);
}

static void test_delta_and_digest(void **state)
{
	struct rig *r = *state;
	const struct file f[] = { CLAUDE_MD, { "a.txt", "one", 0 }, { "b.txt", "two", 0 } };
	const struct file g[] = { CLAUDE_MD, { "a.txt", "other", 0 }, { "c.txt", "three", 0 } };
	struct kt_manifest *m = manifest_of(f, 3), *n = manifest_of(g, 3);
	KT_AUTO_BUF struct kt_buf delta = KT_BUF_INIT(4096);
	KT_AUTO_BUF struct kt_buf doc = KT_BUF_INIT(8192);
	struct answer a = { 0 };

	deploy(r, &a, "beans", f, 3, "");
	ASSERT_STATUS(&a, 201);
	assert_text(&a, "digest", m->digest);
	kt_manifest_delta(m, n, &delta);
	kt_buf_addf(&doc, "{\"base\":\"%s\",\"digest\":\"%s\",\"delta\":", m->digest, n->digest);
	kt_json_add_str(&doc, delta.ptr, delta.len);
	kt_buf_adds(&doc, "}");
	send_doc(r, &a, "beans", doc.ptr);
	assert_string_equal(a.code, "files_missing");
	put_blobs(r, g, 3);
	send_doc(r, &a, "beans", doc.ptr);
	ASSERT_STATUS(&a, 202);
	assert_text(&a, "digest", n->digest);
	/* By its digest alone. */
	kt_buf_clear(&doc);
	kt_buf_addf(&doc, "{\"digest\":\"%s\"}", m->digest);
	send_doc(r, &a, "beans", doc.ptr);
	ASSERT_STATUS(&a, 202);
	/* Somebody else's blobs are nobody's. */
	RUN(r, &a, kt_control_publish(r->ctl, &r->stranger, "beans", doc.ptr, doc.len, NULL, NULL,
			   on_answer, &a));
	ASSERT_STATUS(&a, 409);
	assert_string_equal(a.code, "base_unknown");
	/* A digest that the files do not give. */
	kt_buf_clear(&doc);
	kt_buf_addf(&doc, "{\"base\":\"%s\",\"digest\":\"%s\",\"delta\":\"\"}", m->digest,
		n->digest);
	send_doc(r, &a, "beans", doc.ptr);
	ASSERT_STATUS(&a, 422);
	assert_string_equal(a.code, "invalid_manifest");
	kt_manifest_free(m);
	kt_manifest_free(n);
	answer_clear(&a);
}

static void test_refusals(void **state)
{
	struct rig *r = *state;
	static const char size[] =
		"{\"manifest\":\"100644 3 "
		"2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881 a\\n\"}";
	static const char out_of_tree[] =
		"{\"manifest\":\"120000 1 "
		"2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881 a\\n\"}";
	static const struct {
		const char *slug, *doc, *code;
		int status;
	} cases[] = {
		{ "beans", "{", "bad_json", 400 },
		{ "beans", "[]", "validation_failed", 422 },
		{ "beans", "{}", "validation_failed", 422 },
		{ "beans", "{\"manifest\":\"\"}", "invalid_manifest", 422 },
		{ "beans", "{\"manifest\":\"nonsense\\n\"}", "invalid_manifest", 422 },
		{ "beans", size, "invalid_manifest", 422 },
		{ "beans", "{\"manifest\":\"\",\"commit_sha\":\"HEAD\"}", "validation_failed", 422 },
		{ "beans", "{\"manifest\":\"\",\"ref\":\"a..b\"}", "invalid_name", 422 },
		{ "beans", "{\"manifest\":\"\",\"pr\":-1}", "validation_failed", 422 },
		{ "beans", "{\"manifest\":\"\",\"env\":{\"A B\":\"x\"}}", "validation_failed", 422 },
		{ "beans", "{\"manifest\":\"\",\"env\":{\"A\":1}}", "validation_failed", 422 },
		{ "Not A Slug", "{}", "invalid_name", 422 },
		{ "beans", "{\"digest\":\"../../etc\"}", "base_unknown", 409 },
	};
	struct answer a = { 0 };
	const struct file up[] = { { "x", "..", 0 } };
	KT_AUTOFREE char *link = doc_of((const struct file[]){ { "x", "..", KT_MODE_LINK } }, 1, "");

	(void)out_of_tree;
	put_blobs(r, (const struct file[]){ { "x", "x", 0 } }, 1);
	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		send_doc(r, &a, cases[i].slug, cases[i].doc);
		if (a.status != cases[i].status || strcmp(a.code, cases[i].code) != 0)
			fail_msg("%s: %d %s (%s)", cases[i].doc, a.status, a.code, a.message);
	}
	put_blobs(r, up, 1);
	send_doc(r, &a, "beans", link);
	ASSERT_STATUS(&a, 422);
	assert_string_equal(a.code, "invalid_manifest");
	assert_null(project_mem(r, "beans"));
	answer_clear(&a);
}

/* --- archives ------------------------------------------------------------------------------ */

static struct kt_tree *tree_of(struct rig *r, const struct file *files, size_t n)
{
	KT_AUTOFREE char *dir = kt_asprintf("%s/src", r->dir);
	struct kt_tree_options opts = { 0 };
	struct kt_tree *t = NULL;
	struct kt_err err = KT_ERR_INIT;

	kt_pack_limits_init(&opts.limits);
	assert_int_equal(kt_fs_remove_tree(dir, NULL), KT_OK);
	for (size_t i = 0; i < n; i++) {
		KT_AUTOFREE char *path = kt_path_join(dir, files[i].path);
		KT_AUTOFREE char *parent = kt_path_dir(path);

		assert_int_equal(kt_fs_mkdirs(parent, 0700, NULL), KT_OK);
		assert_int_equal(kt_fs_write_atomic(path, files[i].content,
					 strlen(files[i].content), 0600, false, NULL),
			KT_OK);
	}
	if (kt_tree_folder(dir, &opts, &t, &err) != KT_OK)
		fail_msg("%s", err.msg);
	return t;
}

static enum kt_code read_file(
	void *arg, const struct kt_file *f, struct kt_buf *out, struct kt_err *err)
{
	return kt_tree_read(arg, f, out, err);
}

static void send_file(
	struct rig *r, struct answer *a, const char *slug, const char *doc, const char *path)
{
	RUN(r, a, kt_control_publish(r->ctl, &r->actor, slug, doc, doc ? strlen(doc) : 0, path,
			  NULL, on_answer, a));
}

static const struct file some[] = { CLAUDE_MD, { "a.txt", "one", 0 }, { "d/b.txt", "two", 0 } };

static void test_bundle(void **state)
{
	struct rig *r = *state;
	struct kt_tree *t = tree_of(r, some, 3);
	KT_AUTOFREE char *doc = doc_of(some, 3, "\"message\":\"by bundle\"");
	KT_AUTOFREE char *path = kt_asprintf("%s/bundle", r->dir);
	const struct kt_manifest *m = kt_tree_manifest(t);
	const char *digests[] = { m->files[0].digest, m->files[1].digest };
	struct kt_err err = KT_ERR_INIT;
	struct answer a = { 0 };
	int64_t bytes;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	if (kt_tree_bundle(t, doc, digests, 2, fd, &bytes, &err) != KT_OK)
		fail_msg("%s", err.msg);
	(void)close(fd);
	/* One is not in it: the others are kept. */
	send_file(r, &a, "beans", NULL, path);
	ASSERT_STATUS(&a, 409);
	assert_string_equal(a.code, "files_missing");
	assert_non_null(strstr(a.extra, m->files[2].digest));
	assert_null(strstr(a.extra, m->files[0].digest));
	assert_int_equal(n_staged(r), 0);
	fd = open(path, O_RDWR | O_TRUNC | O_CLOEXEC);
	digests[0] = m->files[2].digest;
	assert_int_equal(kt_tree_bundle(t, doc, digests, 1, fd, &bytes, &err), KT_OK);
	(void)close(fd);
	send_file(r, &a, "beans", NULL, path);
	ASSERT_STATUS(&a, 202);
	assert_text(&a, "message", "by bundle");
	assert_text(&a, "digest", m->digest);
	assert_int_equal(n_staged(r), 0);
	RUN(r, &a, kt_control_release_wait(r->ctl, &r->actor, "beans", "v1", on_answer, &a));
	ASSERT_STATUS(&a, 201);
	kt_tree_free(t);
	answer_clear(&a);
}

static void send_doc_file(struct rig *r, struct answer *a, const char *doc, size_t len)
{
	KT_AUTOFREE char *path = kt_asprintf("%s/doc", r->dir);

	assert_int_equal(kt_fs_write_atomic(path, doc, len, 0600, false, NULL), KT_OK);
	RUN(r, a, kt_control_publish_file(r->ctl, &r->actor, "beans", path, NULL, on_answer, a));
	assert_int_equal(unlink(path), 0);
}

/* A large one comes in a file, and is read on a thread; only its small members become a tree. */
static void test_document_in_a_file(void **state)
{
	struct rig *r = *state;
	KT_AUTOFREE char *doc = doc_of(some, 3, "\"message\":\"by file\"");
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(64 << 20);
	struct answer a = { 0 };

	put_blobs(r, some, 3);
	send_doc_file(r, &a, doc, strlen(doc));
	ASSERT_STATUS(&a, 202);
	assert_text(&a, "message", "by file");
	/* Not JSON; no object; too many values; too much beside the files; too large. */
	send_doc_file(r, &a, "{\"manifest\":", 12);
	ASSERT_STATUS(&a, 400);
	assert_string_equal(a.code, "bad_json");
	send_doc_file(r, &a, "[]", 2);
	ASSERT_STATUS(&a, 422);
	kt_buf_adds(&b, "{\"manifest\":\"\",\"x\":[");
	for (int i = 0; i < KT_MAX_BODY_NODES; i++)
		kt_buf_adds(&b, "[],");
	kt_buf_adds(&b, "1]}");
	send_doc_file(r, &a, b.ptr, b.len);
	ASSERT_STATUS(&a, 413);
	assert_string_equal(a.code, "too_large");
	assert_non_null(strstr(a.message, "over 20000 values"));
	kt_buf_clear(&b);
	kt_buf_adds(&b, "{\"message\":\"");
	memset(kt_buf_reserve(&b, 50 << 20), 'm', 50 << 20);
	kt_buf_commit(&b, 9 << 20);
	kt_buf_adds(&b, "\"}");
	send_doc_file(r, &a, b.ptr, b.len);
	ASSERT_STATUS(&a, 413);
	assert_non_null(strstr(a.message, "beside its files"));
	memset(kt_buf_reserve(&b, 41 << 20), ' ', 41 << 20);
	kt_buf_commit(&b, 41 << 20);
	send_doc_file(r, &a, b.ptr, b.len);
	ASSERT_STATUS(&a, 413);
	assert_string_equal(a.code, "archive_too_large");
	answer_clear(&a);
}

/* Send a bundle of one file; its outcome is asserted. */
static void send_bundle(struct rig *r, struct answer *a, const char *content)
{
	const struct file files[] = { CLAUDE_MD, { "a.txt", content, 0 } };
	struct kt_tree *t = tree_of(r, files, 2);
	KT_AUTOFREE char *doc = doc_of(files, 2, "");
	KT_AUTOFREE char *path = kt_asprintf("%s/bundle", r->dir);
	const struct kt_manifest *m = kt_tree_manifest(t);
	const char *digests[] = { m->files[0].digest, m->files[1].digest };
	int64_t bytes;
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(kt_tree_bundle(t, doc, digests, 2, fd, &bytes, NULL), KT_OK);
	(void)close(fd);
	send_file(r, a, "beans", NULL, path);
	ASSERT_STATUS(a, 202);
	kt_tree_free(t);
}

/* The one child of the spawner; 0 when there is none. */
static pid_t child_of_spawner(void)
{
	return first_child_of(spawner_pid());
}

static void wait_for_child(struct rig *r, bool there)
{
	RIG_WHILE(r, (child_of_spawner() != 0) != there);
}

static size_t children_of_spawner(void)
{
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(4096);
	size_t n = 0;

	children_of(spawner_pid(), &text);
	for (size_t k = 0; k < text.len; k++)
		n += text.ptr[k] == ' ';
	return n;
}

struct unpacking {
	char staging[4096];
	enum kt_code rc;
	bool done;
};

static void on_one_unpacked(
	void *arg, enum kt_code rc, const struct kt_unpacked *u, const struct kt_err *err)
{
	struct unpacking *one = arg;

	(void)u;
	(void)err;
	one->rc = rc;
	one->done = true;
}

static void start_one(struct rig *r, struct unpacking *one, const char *org, const char *archive)
{
	(void)snprintf(one->staging, sizeof(one->staging), "%s/tmp/one-XXXXXX", r->dir);
	assert_non_null(mkdtemp(one->staging));
	one->done = false;
	kt_unpack_start(r->ctl, org, archive, one->staging, on_one_unpacked, one);
}

/* What one organization sends takes two processes, however much it is; another's finds one. */
static void test_unpackers_take_turns(void **state)
{
	struct rig *r = *state;
	KT_AUTOFREE char *fifo = kt_asprintf("%s/held", r->dir);
	KT_AUTOFREE char *file = kt_asprintf("%s/file", r->dir);
	static struct unpacking many[KT_MAX_UNPACKS_WAITING + 1], other[2];
	int held;

	assert_int_equal(mkfifo(fifo, 0600), 0);
	held = open(fifo, O_RDWR | O_CLOEXEC);
	assert_true(held >= 0);
	assert_int_equal(kt_fs_write_atomic(file, "no archive", 10, 0600, false, NULL), KT_OK);
	for (size_t k = 0; k < KT_ARRAY_LEN(many); k++)
		start_one(r, &many[k], "org_one", fifo);
	/* One more than may wait. */
	RIG_WHILE(r, !many[KT_MAX_UNPACKS_WAITING].done);
	assert_int_equal(many[KT_MAX_UNPACKS_WAITING].rc, KT_EUNAVAIL);
	for (size_t k = 0; k < 2; k++) {
		start_one(r, &other[k], "org_two", file);
		RIG_WHILE(r, !other[k].done);
		assert_int_equal(other[k].rc, KT_EPROTO);
	}
	RIG_WHILE(r, children_of_spawner() != KT_MAX_UNPACKERS_EACH);
	for (size_t k = 0; k < KT_MAX_UNPACKS_WAITING; k++)
		assert_false(many[k].done);
	/* The end answers them all. */
	kt_control_free(r->ctl);
	r->ctl = NULL;
	for (size_t k = 0; k < KT_MAX_UNPACKS_WAITING; k++)
		assert_int_equal(many[k].rc, KT_ECANCEL);
	(void)close(held);
}

/* Who asks for refs and may push gets an unpacker that is started ahead, and used once. */
static void test_unpacker_ahead(void **state)
{
	struct rig *r = *state;
	struct kt_works *w = kt_works_get(r->ctl);
	struct kt_principal reader = r->admin;
	const struct kt_actor may_read = { .who = &reader, .request_id = "req_r" };
	struct answer a = { 0 };

	reader.scopes = KT_SCOPE_READ;
	send_bundle(r, &a, "one");
	RUN(r, &a, kt_control_refs(r->ctl, &may_read, "beans", on_answer, &a));
	ASSERT_STATUS(&a, 200);
	assert_null(w->ahead);
	for (int i = 0; i < 2; i++) {
		RUN(r, &a, kt_control_refs(r->ctl, &r->actor, "beans", on_answer, &a));
		ASSERT_STATUS(&a, 200);
		assert_non_null(w->ahead);
	}
	wait_for_child(r, true);
	send_bundle(r, &a, "two");
	assert_null(w->ahead);
	wait_for_child(r, false);
	/* One that ended meanwhile is replaced, whether that is known already or not. */
	RUN(r, &a, kt_control_refs(r->ctl, &r->actor, "beans", on_answer, &a));
	wait_for_child(r, true);
	assert_int_equal(kill(child_of_spawner(), SIGKILL), 0);
	send_bundle(r, &a, "three");
	RUN(r, &a, kt_control_refs(r->ctl, &r->actor, "beans", on_answer, &a));
	wait_for_child(r, true);
	assert_int_equal(kill(child_of_spawner(), SIGKILL), 0);
	wait_for_child(r, false);
	RIG_WHILE(r, w->ahead);
	send_bundle(r, &a, "four");
	/* The end of the control takes one with it that never got a job. */
	RUN(r, &a, kt_control_refs(r->ctl, &r->actor, "beans", on_answer, &a));
	assert_non_null(w->ahead);
	answer_clear(&a);
}

static void test_whole_archive(void **state)
{
	struct rig *r = *state;
	struct kt_tree *t = tree_of(r, some, 3);
	KT_AUTOFREE char *path = kt_asprintf("%s/app.tar.gz", r->dir);
	const struct kt_manifest *m = kt_tree_manifest(t);
	const char *doc = "{\"message\":\"by hand\",\"ref\":\"main\"}";
	struct kt_err err = KT_ERR_INIT;
	struct answer a = { 0 };
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	if (kt_archive_write(m, "tar.gz", read_file, t, fd, &err) != KT_OK)
		fail_msg("%s", err.msg);
	(void)close(fd);
	send_file(r, &a, "beans", doc, path);
	ASSERT_STATUS(&a, 202);
	assert_text(&a, "digest", m->digest);
	assert_text(&a, "source", "archive");
	assert_text(&a, "message", "by hand");
	/* And out again, the same. */
	RUN(r, &a, kt_control_release_wait(r->ctl, &r->actor, "beans", "v1", on_answer, &a));
	ASSERT_STATUS(&a, 201);
	kt_tree_free(t);
	answer_clear(&a);
}

static void test_bad_archive(void **state)
{
	struct rig *r = *state;
	KT_AUTOFREE char *path = kt_asprintf("%s/bad", r->dir);
	struct answer a = { 0 };

	assert_int_equal(kt_fs_write_new(path, "no archive", 10, 0600, NULL), KT_OK);
	send_file(r, &a, "beans", NULL, path);
	ASSERT_STATUS(&a, 422);
	assert_string_equal(a.code, "archive_refused");
	assert_int_equal(n_staged(r), 0);
	assert_null(project_mem(r, "beans"));
	/* No unpacker to be had. */
	free(r->ctl->self);
	r->ctl->self = kt_strdup("/nonexistent/karta");
	send_file(r, &a, "beans", NULL, path);
	assert_true(a.status >= 500);
	assert_int_equal(n_staged(r), 0);
	answer_clear(&a);
}

static void drop_path(void *arg, const struct kt_result *res)
{
	struct answer *a = arg;

	a->n++;
	a->status = res->status;
	if (res->rc == KT_OK)
		a->json = kt_strndup(res->json, res->json_len);
}

static void test_download(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };
	char digest[KT_DIGEST_MAX];

	deploy(r, &a, "beans", some, 3, "");
	(void)kt_str_copy(digest, sizeof(digest), text_of(&a, "digest"));
	RUN(r, &a, kt_control_release_archive(
			   r->ctl, &r->actor, "beans", "v1", "tar.zst", drop_path, &a));
	ASSERT_STATUS(&a, 200);
	KT_AUTOFREE char *path = kt_strdup(a.json);
	send_file(r, &a, "other", NULL, path);
	ASSERT_STATUS(&a, 202);
	assert_text(&a, "digest", digest);
	assert_int_equal(unlink(path), 0);
	RUN(r, &a, kt_control_release_archive(
			   r->ctl, &r->actor, "beans", "v1", "rar", drop_path, &a));
	ASSERT_STATUS(&a, 422);
	answer_clear(&a);
}

/* --- the same request again ------------------------------------------------------------------ */

#define PARALLEL 100

static void test_idempotent(void **state)
{
	struct rig *r = *state;
	const struct file f[] = { CLAUDE_MD };
	KT_AUTOFREE char *doc = doc_of(f, 1, "");
	struct kt_precond pre = {
		.idem_key = "k1", .idem_scope = "POST releases", .fingerprint = "one"
	};
	struct answer *all = kt_calloc(PARALLEL, sizeof(*all)), a = { 0 };
	char id[KT_ID_MAX];

	put_blobs(r, f, 1);
	for (int i = 0; i < PARALLEL; i++)
		kt_control_publish(r->ctl, &r->actor, "beans", doc, strlen(doc), NULL, &pre,
			on_answer, &all[i]);
	for (int i = 0; i < PARALLEL; i++) {
		rig_wait(r, &all[i], 1);
		ASSERT_STATUS(&all[i], 202);
		if (i == 0)
			(void)kt_str_copy(id, sizeof(id), text_of(&all[0], "id"));
		assert_text(&all[i], "id", id);
		answer_clear(&all[i]);
	}
	free(all);
	RUN(r, &a, kt_control_releases(r->ctl, &r->actor, "beans", 0, 10, on_answer, &a));
	assert_int_equal(cJSON_GetArraySize(kt_json_arr(a.doc, "data")), 1);
	/* After a restart, too. */
	rig_restart(r);
	RUN(r, &a, kt_control_publish(r->ctl, &r->actor, "beans", doc, strlen(doc), NULL, &pre,
			   on_answer, &a));
	assert_text(&a, "id", id);
	RUN(r, &a, kt_control_release_wait(r->ctl, &r->actor, "beans", id, on_answer, &a));
	ASSERT_STATUS(&a, 201);
	/* Another request under the same key. */
	pre.fingerprint = "two";
	RUN(r, &a, kt_control_publish(r->ctl, &r->actor, "beans", doc, strlen(doc), NULL, &pre,
			   on_answer, &a));
	ASSERT_STATUS(&a, 422);
	assert_string_equal(a.code, "idempotency_mismatch");
	answer_clear(&a);
}

/* Many first pushes of one name, from two organizations. */
static void test_first_push_race(void **state)
{
	struct rig *r = *state;
	const struct file f[] = { CLAUDE_MD };
	KT_AUTOFREE char *doc = doc_of(f, 1, "");
	struct answer all[50] = { 0 }, a = { 0 };
	char digest[KT_DIGEST_MAX];

	put_blobs(r, f, 1);
	assert_int_equal(kt_blobs_put(r->ctl->blobs, r->other.org_id, f[0].content,
				 strlen(f[0].content), digest, NULL),
		KT_OK);
	for (int i = 0; i < 50; i++)
		kt_control_publish(r->ctl, i & 1 ? &r->stranger : &r->actor, "beans", doc,
			strlen(doc), NULL, NULL, on_answer, &all[i]);
	for (int i = 0; i < 50; i++) {
		rig_wait(r, &all[i], 1);
		ASSERT_STATUS(&all[i], 202);
		answer_clear(&all[i]);
	}
	for (int i = 0; i < 2; i++) {
		const struct kt_actor *who = i ? &r->stranger : &r->actor;

		RUN(r, &a, kt_control_release_wait(r->ctl, who, "beans", "v25", on_answer, &a));
		ASSERT_STATUS(&a, 201);
		RUN(r, &a, kt_control_releases(r->ctl, who, "beans", 0, 100, on_answer, &a));
		assert_int_equal(cJSON_GetArraySize(kt_json_arr(a.doc, "data")), 25);
		RUN(r, &a, kt_control_projects(r->ctl, who, on_answer, &a));
		assert_int_equal(cJSON_GetArraySize(kt_json_arr(a.doc, "data")), 1);
	}
	answer_clear(&a);
}

/* A page of releases has a bound in bytes, whatever stands in them; the next one goes on behind it. */
static void test_long_pages(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };
	KT_AUTOFREE char *ref = kt_malloc(20001);
	struct live l = { .ref = ref };
	int64_t before = 0;
	int seen = 0, pages = 0;

	memset(ref, 'r', 20000);
	ref[20000] = '\0';
	make_project(r, &r->actor, "long");
	l.project_id = project_mem(r, "long")->id;
	for (l.version = 1; l.version <= 120; l.version++)
		make_live(r, &l);
	for (bool more = true; more; pages++) {
		RUN(r, &a, kt_control_releases(r->ctl, &r->actor, "long", before, 200, on_answer, &a));
		ASSERT_STATUS(&a, 200);
		const cJSON *e;

		cJSON_ArrayForEach(e, kt_json_arr(a.doc, "data"))
		{
			assert_true(kt_str_int64(kt_json_str(e, "version") + 1, 1, 1000, &before));
			assert_int_equal(before, 120 - seen);
			seen++;
		}
		more = kt_json_bool(a.doc, "has_more", false);
	}
	assert_int_equal(seen, 120);
	assert_int_equal(pages, 3);
	answer_clear(&a);
}

int main(int argc, char **argv)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_missing_is_named),
		T(test_delta_and_digest),
		T(test_refusals),
		T(test_bundle),
		T(test_document_in_a_file),
		T(test_unpackers_take_turns),
		T(test_unpacker_ahead),
		T(test_whole_archive),
		T(test_bad_archive),
		T(test_download),
		T(test_idempotent),
		T(test_first_push_race),
		T(test_long_pages),
	};

	if (!strcmp(argv[0], "karta-unpack"))
		return kt_unpack_worker(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
