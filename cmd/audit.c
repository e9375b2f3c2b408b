/* SPDX-License-Identifier: MIT */
/* karta audit: who changed what, and whether the record of it is whole. */
#include "cmd/cmd.h"

#include "base/str.h"
#include "cmd/remote.h"
#include "text/clean.h"

#include <string.h>

#define LIST_DEFAULT 50
#define PAGE 500 /* the most that the server gives at once */
#define DIGEST 64 /* digits of a SHA-256 */
#define DIGEST_SHOWN 12
#define OUT_MAX_BYTES ((size_t)64 * 1024 * 1024)

struct list_args {
	int64_t limit;
	int64_t before;
};
struct verify_args {
	const char *head;
};

static void audit_defaults(void *args)
{
	((struct list_args *)args)->limit = LIST_DEFAULT;
}

static const struct kt_opt list_opts[] = {
	{ KT_OPT_T_INT, 'n', "num", "N", offsetof(struct list_args, limit), "as --limit",
		KT_OPT_HIDDEN, 1, 1000 },
	{ KT_OPT_T_INT, 'L', NULL, "N", offsetof(struct list_args, limit), "as --limit",
		KT_OPT_HIDDEN, 1, 1000 },
	KT_OPT_INT_(
		0, "limit", struct list_args, limit, "N", 1, 1000, "at most so many, newest first"),
	KT_OPT_INT_(0, "before", struct list_args, before, "SEQ", 1, INT64_MAX,
		"only entries before this number"),
	KT_OPT_END,
};

static void add_audit_value(struct kt_buf *b, const cJSON *v)
{
	const char *text = cJSON_IsString(v) ? v->valuestring : NULL;

	/* Of a digest the beginning tells it from others. */
	if (text && strlen(text) == DIGEST && !text[strspn(text, "0123456789abcdef")])
		kt_clean_addf(b, "%.*s", DIGEST_SHOWN, text);
	else if (text)
		kt_clean_add(b, text, strlen(text), true);
	else
		kt_json_add(b, v);
}

/* "set A B, version 3": the members in words on one line. What is empty or false is not said. */
static void add_detail(struct kt_buf *b, const cJSON *detail)
{
	const cJSON *m, *v;

	cJSON_ArrayForEach (m, detail) {
		/* The object has it. */
		if (kt_str_eq(m->string, "id") || cJSON_IsNull(m) || cJSON_IsFalse(m) ||
			((cJSON_IsArray(m) || cJSON_IsObject(m)) && !m->child) ||
			(cJSON_IsString(m) && !*m->valuestring))
			continue;
		kt_clean_addf(b, "%s%s", b->len ? ", " : "", m->string);
		if (cJSON_IsTrue(m))
			continue;
		if (!cJSON_IsArray(m)) {
			kt_buf_addc(b, ' ');
			add_audit_value(b, m);
			continue;
		}
		cJSON_ArrayForEach (v, m) {
			kt_buf_addc(b, ' ');
			add_audit_value(b, v);
		}
	}
}

static void print_entries(const struct kt_ctx *ctx, const cJSON *doc)
{
	static const char *const head[] = { "SEQ", "WHEN", "WHO", "FROM", "ACTION", "OBJECT",
		"DETAIL" };
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(OUT_MAX_BYTES);
	struct kt_table *tb = kt_table_new(KT_ARRAY_LEN(head));
	const cJSON *e;

	kt_table_row(tb, head);
	cJSON_ArrayForEach (e, kt_json_arr(doc, "data")) {
		KT_AUTO_BUF struct kt_buf detail = KT_BUF_INIT(OUT_MAX_BYTES);
		char seq[24], at[64];
		const char *cells[] = { seq, at, kt_json_str_or(e, "actor_name", "?"),
			kt_json_str_or(e, "remote_ip", "-"), kt_json_str_or(e, "action", "?"),
			kt_json_str_or(e, "object", ""), NULL };

		snprintf(seq, sizeof(seq), "%lld", (long long)kt_json_int(e, "seq", 0));
		kt_remote_ago(e, "at", at, sizeof(at));
		add_detail(&detail, kt_json_obj(e, "detail"));
		cells[6] = detail.ptr;
		kt_table_row(tb, cells);
	}
	kt_table_render(&b, &ctx->out, tb);
	kt_table_free(tb);
	kt_out(b.ptr, b.len);
	if (kt_json_bool(doc, "has_more", false))
		kt_say(ctx, "there are more: --limit N, --before SEQ");
}

/* One page of entries before this number (0 = the newest). */
static enum kt_code fetch_page(
	struct kt_client *c, int64_t before, int64_t limit, cJSON **out, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf path = KT_BUF_INIT(256);

	kt_buf_addf(&path, "/v1/audit?limit=%lld", (long long)KT_MIN(limit, PAGE));
	if (before)
		kt_buf_addf(&path, "&before=%lld", (long long)before);
	return kt_client_call(c, "GET", path.ptr, NULL, out, err);
}

/* Number of the last entry of a page; 0 when it has none. */
static int64_t last_seq(const cJSON *page)
{
	const cJSON *data = kt_json_arr(page, "data");
	const cJSON *last = data && data->child ? data->child->prev : NULL;

	return last ? kt_json_int(last, "seq", 0) : 0;
}

/* All pages up to limit as one answer. */
static enum kt_code fetch_audit(
	struct kt_client *c, int64_t before, int64_t limit, cJSON **out, struct kt_err *err)
{
	KT_AUTO_JSON cJSON *doc = NULL;
	enum kt_code rc = fetch_page(c, before, limit, &doc, err);
	cJSON *list = rc == KT_OK ? cJSON_GetObjectItemCaseSensitive(doc, "data") : NULL;
	bool more = rc == KT_OK && kt_json_bool(doc, "has_more", false);

	while (more && list && list->child && cJSON_GetArraySize(list) < limit) {
		KT_AUTO_JSON cJSON *page = NULL;
		cJSON *data, *e;

		rc = fetch_page(c, last_seq(doc), limit - cJSON_GetArraySize(list), &page, err);
		if (rc != KT_OK)
			return rc;
		data = cJSON_GetObjectItemCaseSensitive(page, "data");
		if (!data || !data->child)
			break;
		while ((e = cJSON_DetachItemFromArray(data, 0)) != NULL)
			cJSON_AddItemToArray(list, e);
		more = kt_json_bool(page, "has_more", false);
	}
	if (rc == KT_OK && !more)
		cJSON_ReplaceItemInObjectCaseSensitive(doc, "has_more", cJSON_CreateFalse());
	if (rc == KT_OK)
		*out = KT_STEAL(doc);
	return rc;
}

static enum kt_code run_audit_list(struct kt_ctx *ctx, const void *args, struct kt_err *err)
{
	const struct list_args *a = args;
	KT_AUTO_JSON cJSON *doc = NULL;
	struct kt_client *c;
	enum kt_code rc = kt_remote_open_host(ctx, &c, err);

	if (rc != KT_OK)
		return rc;
	rc = fetch_audit(c, a->before, a->limit, &doc, err);
	kt_client_free(c);
	if (rc != KT_OK)
		return rc;
	if (ctx->json)
		kt_remote_json(ctx, doc);
	else
		print_entries(ctx, doc);
	return KT_OK;
}

static const struct kt_opt verify_opts[] = {
	KT_OPT_STR_(0, "head", struct verify_args, head, "HASH",
		"hash noted earlier, which must still be in the chain"),
	KT_OPT_END,
};

/*
 * Is the entry with this hash still there? A chain that somebody made anew from its beginning is
 * unbroken too, but has other hashes.
 */
static enum kt_code find_head(
	struct kt_client *c, const char *want, const char *head, bool *found, struct kt_err *err)
{
	int64_t before = 0;
	bool more = !kt_str_eq(want, head);

	*found = !more;
	while (more && !*found) {
		KT_AUTO_JSON cJSON *page = NULL;
		enum kt_code rc = fetch_page(c, before, PAGE, &page, err);
		const cJSON *e;

		if (rc != KT_OK)
			return rc;
		cJSON_ArrayForEach (e, kt_json_arr(page, "data"))
			*found = *found || kt_str_eq(kt_json_str(e, "hash"), want);
		before = last_seq(page);
		more = kt_json_bool(page, "has_more", false) && before > 0;
	}
	return KT_OK;
}

static enum kt_code judge_audit_doc(const cJSON *doc, bool found, struct kt_err *err)
{
	if (!kt_json_bool(doc, "ok", false))
		kt_fail(err, KT_EIO, 0, "the audit log was changed: entry %lld does not fit",
			(long long)kt_json_int(doc, "first_bad", 0));
	else if (!found)
		kt_fail(err, KT_EIO, 0, "the audit log was replaced: it lacks the entry noted");
	else
		return KT_OK;
	return kt_hint(err, "compare it with a backup");
}

static enum kt_code run_verify(struct kt_ctx *ctx, const void *args, struct kt_err *err)
{
	const struct verify_args *a = args;
	KT_AUTO_JSON cJSON *doc = NULL;
	struct kt_client *c;
	bool found = true;
	enum kt_code rc;

	if (a->head && (strlen(a->head) != 64 || a->head[strspn(a->head, "0123456789abcdef")]))
		return kt_fail(err, KT_EINVAL, 0, "--head takes the 64 digits that were noted");
	rc = kt_remote_open_host(ctx, &c, err);
	if (rc != KT_OK)
		return rc;
	rc = kt_client_call(c, "GET", "/v1/audit/verify", NULL, &doc, err);
	if (rc == KT_OK && a->head)
		rc = find_head(c, a->head, kt_json_str(doc, "head"), &found, err);
	kt_client_free(c);
	if (rc == KT_OK)
		rc = judge_audit_doc(doc, found, err);
	if (rc != KT_OK)
		return rc;
	if (ctx->json)
		kt_remote_json(ctx, doc);
	kt_say(ctx, "%lld entries, unbroken. Note the head to show later that none was cut off:",
		(long long)kt_json_int(doc, "entries", 0));
	if (!ctx->json)
		kt_outf("%s\n", kt_json_str_or(doc, "head", ""));
	return KT_OK;
}

static const struct kt_cmd list_cmd = {
	.name = "list",
	.summary = "list changes, newest first",
	.opts = list_opts,
	.args_size = sizeof(struct list_args),
	.defaults = audit_defaults,
	.run = run_audit_list,
	.aliases = "ls",
};
static const struct kt_cmd verify_cmd = {
	.name = "verify",
	.summary = "check that no entry was changed or removed",
	.opts = verify_opts,
	.args_size = sizeof(struct verify_args),
	.run = run_verify,
};
static const struct kt_cmd *const subs[] = { &list_cmd, &verify_cmd, NULL };

const struct kt_cmd kt_cmd_audit = {
	.name = "audit",
	.summary = "who changed what",
	.group = KT_GROUP_ACCOUNT,
	.opts = list_opts,
	.args_size = sizeof(struct list_args),
	.defaults = audit_defaults,
	.run = run_audit_list,
	.subs = subs,
};
