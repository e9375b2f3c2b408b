/* SPDX-License-Identifier: MIT */
/* karta audit: who changed what, and whether the record of it is whole. */
#include "cmd/cmd.h"

#include "base/str.h"
#include "cmd/remote.h"

#include <string.h>

#define LIST_DEFAULT 50
#define OUT_MAX_BYTES ((size_t)64 * 1024 * 1024)

struct list_args {
	int64_t limit;
	int64_t before;
};
struct verify_args {
	const char *head;
};

static void defaults(void *args)
{
	((struct list_args *)args)->limit = LIST_DEFAULT;
}

static const struct kt_opt list_opts[] = {
	KT_OPT_INT_(
		0, "limit", struct list_args, limit, "N", 1, 1000, "at most so many, newest first"),
	KT_OPT_INT_(0, "before", struct list_args, before, "SEQ", 1, INT64_MAX,
		"only entries before this number"),
	KT_OPT_END,
};

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
		const cJSON *d = kt_json_obj(e, "detail");
		char seq[24];
		const char *cells[] = { seq, kt_json_str_or(e, "at", ""),
			kt_json_str_or(e, "actor_name", "?"), kt_json_str_or(e, "remote_ip", "-"),
			kt_json_str_or(e, "action", "?"), kt_json_str_or(e, "object", ""), NULL };

		snprintf(seq, sizeof(seq), "%lld", (long long)kt_json_int(e, "seq", 0));
		if (d && d->child)
			kt_json_add(&detail, d);
		cells[6] = detail.ptr;
		kt_table_row(tb, cells);
	}
	kt_table_render(&b, &ctx->out, tb);
	kt_table_free(tb);
	kt_out(b.ptr, b.len);
	if (kt_json_bool(doc, "has_more", false))
		kt_say(ctx, "there are more: --limit N, --before SEQ");
}

static enum kt_code run_list(struct kt_ctx *ctx, const void *args, struct kt_err *err)
{
	const struct list_args *a = args;
	KT_AUTO_BUF struct kt_buf path = KT_BUF_INIT(256);
	KT_AUTO_JSON cJSON *doc = NULL;
	struct kt_client *c;
	enum kt_code rc = kt_remote_open_host(ctx, &c, err);

	if (rc != KT_OK)
		return rc;
	kt_buf_addf(&path, "/v1/audit?limit=%lld", (long long)a->limit);
	if (a->before)
		kt_buf_addf(&path, "&before=%lld", (long long)a->before);
	rc = kt_client_call(c, "GET", path.ptr, NULL, &doc, err);
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

static enum kt_code run_verify(struct kt_ctx *ctx, const void *args, struct kt_err *err)
{
	const struct verify_args *a = args;
	KT_AUTO_BUF struct kt_buf path = KT_BUF_INIT(4096);
	KT_AUTO_JSON cJSON *doc = NULL;
	struct kt_client *c;
	enum kt_code rc = kt_remote_open_host(ctx, &c, err);

	if (rc != KT_OK)
		return rc;
	kt_buf_adds(&path, "/v1/audit/verify");
	if (a->head) {
		kt_buf_adds(&path, "?head=");
		kt_url_segment(&path, a->head);
	}
	rc = kt_client_call(c, "GET", path.ptr, NULL, &doc, err);
	kt_client_free(c);
	if (rc != KT_OK)
		return rc;
	if (ctx->json)
		kt_remote_json(ctx, doc);
	if (!kt_json_bool(doc, "ok", false)) {
		kt_fail(err, KT_EIO, 0, "the audit log was changed: entry %lld does not fit",
			(long long)kt_json_int(doc, "first_bad", 0));
		return kt_hint(err, "compare it with a backup");
	}
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
	.defaults = defaults,
	.run = run_list,
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
	.defaults = defaults,
	.run = run_list,
	.subs = subs,
};
