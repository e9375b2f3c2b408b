/* SPDX-License-Identifier: MIT */
/*
 * A data folder with a control plane on a loop of its own, two organizations, and calls that wait
 * for their answer. Only for the tests of this folder.
 */
#ifndef TEST_CONTROL_RIG_H
#define TEST_CONTROL_RIG_H

#include "control/access/access_private.h"
#include "control/project/project_private.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/str.h"
#include "base/time.h"
#include "event/event.h"
#include "tests/unit/patience.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct rig {
	char dir[64];
	struct kt_loop *loop;
	struct kt_bus *bus;
	struct kt_control *ctl;
	char admin_key[KT_API_KEY_LEN + 1];
	struct kt_principal admin; /* of the organization "default" */
	struct kt_principal other; /* all scopes, of the organization "other" */
	struct kt_actor actor, stranger;
};

/* The answer of the last call. */
struct answer {
	int n; /* times it came */
	enum kt_code rc;
	int status;
	char code[64], message[400], etag[64];
	char *json, *extra;
	cJSON *doc;
};

static void answer_clear(struct answer *a)
{
	free(a->json);
	free(a->extra);
	cJSON_Delete(a->doc);
	memset(a, 0, sizeof(*a));
}

KT_UNUSED static void on_answer(void *arg, const struct kt_result *r)
{
	struct answer *a = arg;

	a->n++;
	a->rc = r->rc;
	a->status = r->status;
	(void)kt_str_copy(a->code, sizeof(a->code), r->code ? r->code : "");
	(void)kt_str_copy(a->message, sizeof(a->message), r->message ? r->message : "");
	(void)kt_str_copy(a->etag, sizeof(a->etag), r->etag ? r->etag : "");
	if (r->extra)
		a->extra = kt_strdup(r->extra);
	if (r->json && r->json_len) {
		a->json = kt_strndup(r->json, r->json_len);
		if (kt_json_parse(r->json, r->json_len, KT_JSON_STRICT, &a->doc, NULL) != KT_OK)
			fail_msg("no JSON: %.200s", r->json);
	}
}

static void on_tick(void *arg)
{
	kt_loop_stop(arg);
}

/* Let the loop go round for at most ms. */
KT_UNUSED static void rig_turn(struct rig *r, int64_t ms)
{
	struct kt_timer *t = kt_timer_new(r->loop, on_tick, r->loop);

	kt_timer_start(t, ms, 0);
	kt_loop_run(r->loop);
	kt_timer_free(t);
}

/* Let it go round until the condition holds no more. */
#define RIG_WHILE(r, cond)                                                                         \
	do {                                                                                       \
		int64_t until_us_ = kt_mono_us() + slowed_ms(PATIENCE_MS) * 1000;                  \
		while (cond) {                                                                     \
			if (kt_mono_us() > until_us_)                                              \
				fail_msg("for ever: %s", #cond);                                   \
			rig_turn(r, 1);                                                            \
		}                                                                                  \
	} while (0)

KT_UNUSED static void rig_wait(struct rig *r, const struct answer *a, int n)
{
	RIG_WHILE(r, a->n < n);
}

/* Call: RUN(r, &a, kt_control_keys(r->ctl, &r->actor, on_answer, &a)) */
#define RUN(r, a, call)                                                                            \
	do {                                                                                       \
		answer_clear(a);                                                                   \
		call;                                                                              \
		assert_int_equal((a)->n, 0); /* never before it returned */                        \
		rig_wait(r, a, 1);                                                                 \
	} while (0)

#define ASSERT_STATUS(a, want)                                                                     \
	do {                                                                                       \
		if ((a)->status != (want))                                                         \
			print_error("%s: %s\n", (a)->code, (a)->message);                          \
		assert_int_equal((a)->status, (want));                                             \
	} while (0)


static enum kt_code rig_add_other(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	struct rig *r = arg;
	static const unsigned char hash[KT_KEY_HASH_BYTES] = { 1, 2, 3 };
	struct kt_org_row org = {
		.id = "org_other", .slug = "other", .name = "Other", .created_us = 5
	};
	struct kt_key_row key = { .id = "key_other", .org_id = "org_other", .name = "theirs",
		.prefix = "kt_live_zzzzzz", .last4 = "zzzz", .hash = hash, .scopes = 7,
		.created_us = 5, .created_by = "setup" };
	enum kt_code rc = kt_tx_org_add(tx, &org, err);

	if (rc == KT_OK)
		rc = kt_tx_key_add(tx, &key, err);
	if (rc == KT_OK) {
		kt_index_org_put(r->ctl, &org);
		kt_index_key_put(r->ctl, &key);
	}
	return rc;
}

static enum kt_code rig_try_open(struct rig *r, struct kt_err *err)
{
	struct kt_control_config cfg = {
		.loop = r->loop,
		.bus = r->bus,
		.data_dir = r->dir,
		.public_url = "http://localhost:8000",
		.self = "/nonexistent/karta",
		.offline = true,
	};

	return kt_control_open(&cfg, &r->ctl, err);
}

static void rig_principals(struct rig *r)
{
	struct kt_err err = KT_ERR_INIT;

	assert_int_equal(
		kt_control_principal(r->ctl, r->admin_key, &r->admin, &err), KT_OK);
	r->actor = (struct kt_actor){ .who = &r->admin, .request_id = "req_test",
		.remote_ip = "127.0.0.1" };
	r->other = kt_index_key(r->ctl, "key_other")->who;
	r->stranger = (struct kt_actor){ .who = &r->other, .request_id = "req_other" };
}

KT_UNUSED static int rig_setup(void **state)
{
	struct rig *r = kt_calloc(1, sizeof(*r));
	struct kt_err err = KT_ERR_INIT;

	*state = r;
	(void)snprintf(r->dir, sizeof(r->dir), "/tmp/kt-control-XXXXXX");
	r->bus = kt_bus_new();
	if (!mkdtemp(r->dir) || kt_loop_new(&r->loop, &err) != KT_OK)
		return -1;
	if (rig_try_open(r, &err) != KT_OK ||
		kt_control_bootstrap(r->ctl, r->admin_key, &err) != KT_OK ||
		kt_store_do(r->ctl->store, true, rig_add_other, r, &err) != KT_OK) {
		print_error("%s\n", err.msg);
		return -1;
	}
	rig_principals(r);
	return 0;
}

/* Close and open again, as after a restart. */
KT_UNUSED static void rig_restart(struct rig *r)
{
	struct kt_err err = KT_ERR_INIT;

	kt_control_free(r->ctl);
	r->ctl = NULL;
	rig_turn(r, 1);
	if (rig_try_open(r, &err) != KT_OK)
		fail_msg("%s", err.msg);
	rig_principals(r);
}

KT_UNUSED static int rig_teardown(void **state)
{
	struct rig *r = *state;
	struct kt_err err = KT_ERR_INIT;

	kt_control_free(r->ctl);
	kt_bus_free(r->bus);
	kt_loop_free(r->loop);
	if (kt_fs_remove_tree(r->dir, &err) != KT_OK)
		return -1;
	free(r);
	return 0;
}

/* --- short forms ------------------------------------------------------------------------------------------- */

KT_UNUSED static const char *text_of(const struct answer *a, const char *path)
{
	const cJSON *v = kt_json_path(a->doc, path);

	return cJSON_IsString(v) ? v->valuestring : NULL;
}

KT_UNUSED static void make_project(struct rig *r, const struct kt_actor *who, const char *slug)
{
	struct kt_project_new p = { .slug = slug };
	struct answer a = { 0 };

	RUN(r, &a, kt_control_project_create(r->ctl, who, &p, NULL, on_answer, &a));
	ASSERT_STATUS(&a, 201);
	answer_clear(&a);
}

struct live {
	struct rig *r;
	const char *project_id;
	int64_t version;
	const char *preview, *ref;
	int64_t pr, expires_us, config_version;
	char id[KT_ID_MAX];
};

static enum kt_code live_work(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	struct live *l = arg;
	struct kt_project_mem *p = kt_map_get(&l->r->ctl->projects, l->project_id);
	KT_AUTO_ARENA struct kt_arena *arena = kt_arena_new();
	struct kt_project_row row;
	struct kt_release_row rel = {
		.id = l->id,
		.org_id = p->org->id,
		.project_id = p->id,
		.version = l->version,
		.state = l->preview ? KT_REL_PREVIEW : KT_REL_ACTIVE,
		.digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		.kind = "file_copy",
		.commit_sha = "1111111111111111111111111111111111111111",
		.ref = l->ref ? l->ref : "refs/heads/main",
		.source = "git",
		.preview = l->preview,
		.pr = l->pr,
		.expires_us = l->expires_us,
		.config_version = l->config_version,
		.created_by = "admin",
		.created_us = 7,
		.built_us = 8,
		.activated_us = l->preview ? 0 : 9,
	};
	struct kt_ref_row ref = { .project_id = p->id, .name = rel.ref,
		.commit_sha = rel.commit_sha, .release_id = rel.id };
	enum kt_code rc = kt_tx_release_add(tx, &rel, err);

	if (rc == KT_OK)
		rc = kt_tx_ref_set(tx, &ref, NULL, err);
	if (rc == KT_OK)
		rc = kt_tx_project(tx, arena, p->org->id, p->id, &row, err);
	if (rc != KT_OK)
		return rc;
	row.next_version = l->version + 1;
	if (!l->preview)
		row.current_release_id = l->id;
	rc = kt_tx_project_put(tx, &row, err);
	if (rc != KT_OK)
		return rc;
	if (l->preview)
		kt_index_preview_put(l->r->ctl, p, &rel);
	else
		kt_index_current(l->r->ctl, p, &rel);
	return KT_OK;
}

/* Give a project a release as a build would have; id is a copy. */
KT_UNUSED static void make_live(struct rig *r, struct live *l)
{
	struct kt_err err = KT_ERR_INIT;

	l->r = r;
	kt_rand_id("rel_", l->id);
	if (kt_store_do(r->ctl->store, true, live_work, l, &err) != KT_OK)
		fail_msg("%s", err.msg);
}

KT_UNUSED static struct kt_project_mem *project_mem(struct rig *r, const char *slug)
{
	return kt_index_project(r->ctl, r->admin.org_id, slug);
}

/* The newest audit entry's action; entries of the organization in *n. */
KT_UNUSED static const char *last_audit(struct rig *r, struct answer *a, int *n)
{
	RUN(r, a, kt_control_audit(r->ctl, &r->actor, 0, 500, on_answer, a));
	ASSERT_STATUS(a, 200);
	const cJSON *data = kt_json_arr(a->doc, "data");

	*n = cJSON_GetArraySize(data);
	return kt_json_str(cJSON_GetArrayItem(data, 0), "action");
}

/* A word stands in a file of the data folder (database and its log too). */
KT_UNUSED static bool on_disk(struct rig *r, const char *word)
{
	static const char *const files[] = { "karta.db", "karta.db-wal" };

	for (size_t i = 0; i < KT_ARRAY_LEN(files); i++) {
		KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(64 * 1024 * 1024);
		KT_AUTOFREE char *path = kt_path_join(r->dir, files[i]);

		if (kt_fs_read(path, &b, NULL) == KT_OK && memmem(b.ptr, b.len, word, strlen(word)))
			return true;
	}
	return false;
}

#endif
