/* SPDX-License-Identifier: MIT */
/* Publishing from a test: files as an array, the document made of them. Beside rig.h. */
#ifndef TEST_CONTROL_WORK_H
#define TEST_CONTROL_WORK_H

#include "rig.h"

#include "control/release/release_private.h"

struct file {
	const char *path, *content;
	enum kt_file_mode mode; /* 0 = plain */
};

#define CLAUDE_MD { "CLAUDE.md", "You are Beans.\n", 0 }
#define SHA_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define SHA_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define SHA_C "cccccccccccccccccccccccccccccccccccccccc"

/* The newest audit entry is this action, or becomes it. */
static void KT_UNUSED assert_audit(struct rig *r, const char *action)
{
	struct answer a = { 0 };
	int n;

	assert_non_null(project_mem(r, "beans"));
	RIG_WHILE(r, strcmp(last_audit(r, &a, &n), action) != 0);
	answer_clear(&a);
}

static struct kt_manifest *manifest_of(const struct file *files, size_t n)
{
	struct kt_file list[64];
	struct kt_pack_limits limits;
	struct kt_manifest *m = NULL;
	struct kt_err err = KT_ERR_INIT;

	assert_true(n <= KT_ARRAY_LEN(list));
	for (size_t i = 0; i < n; i++) {
		list[i] = (struct kt_file){
			.path = files[i].path,
			.mode = files[i].mode ? files[i].mode : KT_MODE_FILE,
			.size = (int64_t)strlen(files[i].content),
		};
		kt_sha256_of(files[i].content, strlen(files[i].content), list[i].digest);
	}
	kt_pack_limits_init(&limits);
	if (kt_manifest_make(list, n, &limits, &m, &err) != KT_OK)
		fail_msg("%s", err.msg);
	return m;
}

/* {"manifest":"...", MORE}; the caller's. more is members as text, or "". */
static char *KT_UNUSED doc_of(const struct file *files, size_t n, const char *more)
{
	struct kt_manifest *m = manifest_of(files, n);
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(1 << 20);
	struct kt_buf doc = KT_BUF_INIT(1 << 20);

	kt_manifest_render(m, &text);
	kt_buf_adds(&doc, "{\"manifest\":");
	kt_json_add_str(&doc, text.ptr, text.len);
	kt_buf_addf(&doc, "%s%s}", *more ? "," : "", more);
	kt_manifest_free(m);
	return kt_buf_take(&doc);
}

static void KT_UNUSED put_blobs(struct rig *r, const struct file *files, size_t n)
{
	char digest[KT_DIGEST_MAX];

	for (size_t i = 0; i < n; i++)
		assert_int_equal(kt_blobs_put(r->ctl->blobs, r->admin.org_id, files[i].content,
					 strlen(files[i].content), digest, NULL),
			KT_OK);
}

/* Publish and wait for the row. */
static void KT_UNUSED publish(struct rig *r, struct answer *a, const char *slug,
	const struct file *files, size_t n, const char *more)
{
	KT_AUTOFREE char *doc = doc_of(files, n, more);

	put_blobs(r, files, n);
	RUN(r, a, kt_control_publish(r->ctl, &r->actor, slug, doc, strlen(doc), NULL, NULL,
			  on_answer, a));
}

/* Publish and wait for the end of the build. */
static void KT_UNUSED deploy(struct rig *r, struct answer *a, const char *slug,
	const struct file *files, size_t n, const char *more)
{
	char id[KT_ID_MAX];

	publish(r, a, slug, files, n, more);
	ASSERT_STATUS(a, 202);
	(void)kt_str_copy(id, sizeof(id), text_of(a, "id"));
	RUN(r, a, kt_control_release_wait(r->ctl, &r->actor, slug, id, on_answer, a));
}

/* A release of one file whose content is text: as many different ones as wanted. */
static void KT_UNUSED deploy_text(
	struct rig *r, struct answer *a, const char *slug, const char *text, const char *more)
{
	const struct file files[] = { { "CLAUDE.md", text, 0 } };

	deploy(r, a, slug, files, 1, more);
}

static void KT_UNUSED show(struct rig *r, struct answer *a, const char *slug, const char *word)
{
	RUN(r, a, kt_control_release(r->ctl, &r->actor, slug, word, false, on_answer, a));
}

static void KT_UNUSED assert_text(const struct answer *a, const char *path, const char *want)
{
	const char *s = text_of(a, path);

	if (!s || strcmp(s, want) != 0)
		fail_msg("%s is '%s', not '%s'", path, s ? s : "(none)", want);
}

/* The text of all log lines of a build, a line each; the caller's. */
static KT_UNUSED char *log_text(struct rig *r, const char *slug, const char *release)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);
	KT_AUTO_BUF struct kt_buf array = KT_BUF_INIT(1 << 20);
	KT_AUTO_JSON cJSON *doc = NULL;
	struct kt_buf out = KT_BUF_INIT(1 << 20);
	struct kt_build_log log;
	struct kt_err err = KT_ERR_INIT;
	const cJSON *v;
	uint64_t last;
	size_t n;

	struct answer found = { 0 };

	RUN(r, &found, kt_control_build_find(r->ctl, &r->actor, slug, release, on_answer, &found));
	answer_clear(&found);
	if (kt_control_build_log(r->ctl, &r->actor, slug, release, &log, &err) != KT_OK)
		fail_msg("%s", err.msg);
	rig_turn(r, 1);
	assert_int_equal(kt_evlog_read(log.log, 0, 1000, 1 << 20, &b, &n, &last, &err), KT_OK);
	kt_buf_addf(&array, "[%s]", b.ptr);
	assert_int_equal(kt_json_parse(array.ptr, array.len, 0, &doc, NULL), KT_OK);
	cJSON_ArrayForEach(v, doc)
	{
		const cJSON *data = kt_json_get(v, "data") ? kt_json_get(v, "data") : v;

		if (kt_json_str(data, "text"))
			kt_buf_addf(&out, "%s\n", kt_json_str(data, "text"));
		else if (kt_json_get(data, "activated"))
			kt_buf_addf(&out, "RELEASE %s\n",
				kt_json_bool(data, "activated", false) ? "activated" : "not activated");
	}
	return kt_buf_take(&out);
}

#endif
