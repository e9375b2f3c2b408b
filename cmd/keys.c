/* SPDX-License-Identifier: MIT */
/* karta keys: API keys of the organization. */
#include "cmd/cmd.h"

#include "base/str.h"
#include "base/time.h"
#include "cmd/keys.h"
#include "cmd/remote.h"
#include "text/clean.h"

#include <string.h>

#define OUT_MAX_BYTES ((size_t)4 * 1024 * 1024)

struct list_args {
	bool all;
};
struct revoke_args {
	const char *id;
};

static const struct kt_opt list_opts[] = {
	KT_OPT_FLAG_(0, "all", struct list_args, all, "revoked and expired ones too"),
	KT_OPT_END,
};

static void scopes_text(const cJSON *key, struct kt_buf *b)
{
	const cJSON *it;

	cJSON_ArrayForEach (it, kt_json_arr(key, "scopes"))
		kt_clean_addf(
			b, "%s%s", b->len ? "," : "", cJSON_IsString(it) ? it->valuestring : "?");
}

/* Why a key is no longer taken; NULL when it is. */
static const char *dead_for(const cJSON *key)
{
	int64_t us;

	if (kt_json_str(key, "revoked_at"))
		return "revoked";
	if (kt_time_parse(kt_json_str_or(key, "expires_at", ""), &us) && us <= kt_time_us())
		return "expired";
	return NULL;
}

static void print_keys(const struct kt_ctx *ctx, const cJSON *doc, bool all)
{
	static const char *const head[] = { "ID", "NAME", "ENDS", "SCOPES", "USED", "EXPIRES" };
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(OUT_MAX_BYTES);
	struct kt_table *tb = kt_table_new(KT_ARRAY_LEN(head));
	const cJSON *k;

	kt_table_row(tb, head);
	cJSON_ArrayForEach (k, kt_json_arr(doc, "data")) {
		KT_AUTO_BUF struct kt_buf scopes = KT_BUF_INIT(4096);
		const char *dead = dead_for(k);
		char used[64], expires[64];
		const char *cells[] = { kt_json_str_or(k, "id", "?"), kt_json_str_or(k, "name", ""),
			kt_json_str_or(k, "last4", ""), NULL, used, dead ? dead : expires };

		if (dead && !all)
			continue;
		scopes_text(k, &scopes);
		cells[3] = scopes.ptr;
		kt_remote_ago(k, "last_used_at", used, sizeof(used));
		if (kt_json_str(k, "expires_at"))
			kt_remote_ago(k, "expires_at", expires, sizeof(expires));
		else
			kt_str_copy(expires, sizeof(expires), "never");
		kt_table_row(tb, cells);
	}
	kt_table_render(&b, &ctx->out, tb);
	kt_table_free(tb);
	kt_out(b.ptr, b.len);
	/* Who may list them has one, or needs none. */
	if (!kt_json_arr(doc, "data")->child)
		kt_say(ctx, "no keys: a local server asks for none");
}

static enum kt_code run_keys_list(struct kt_ctx *ctx, const void *args, struct kt_err *err)
{
	const struct list_args *a = args;
	KT_AUTO_JSON cJSON *doc = NULL;
	struct kt_client *c;
	enum kt_code rc = kt_remote_open_host(ctx, &c, err);

	if (rc != KT_OK)
		return rc;
	rc = kt_client_call(c, "GET", "/v1/keys", NULL, &doc, err);
	kt_client_free(c);
	if (rc != KT_OK)
		return rc;
	if (ctx->json)
		kt_remote_json(ctx, doc);
	else
		print_keys(ctx, doc, a->all);
	return KT_OK;
}

static const struct kt_opt create_opts[] = {
	KT_OPT_ARG_("name", struct kt_keys_wish, name, KT_OPT_REQUIRED, "what the key is for"),
	KT_OPT_STR_(0, "scopes", struct kt_keys_wish, scopes, "LIST",
		"read, write, admin, with commas between (default: read,write)"),
	KT_OPT_FLAG_(0, "test", struct kt_keys_wish, test, "a key that begins with kt_test_"),
	KT_OPT_DURATION_(
		0, "expires", struct kt_keys_wish, expires_ms, "valid for so long, as 30d"),
	KT_OPT_END,
};

/* The next word of a list with commas or blanks between; NULL at its end. */
static const char *next_scope(const char **at, size_t *len)
{
	const char *word = *at + strspn(*at, ", ");

	*len = strcspn(word, ", ");
	*at = word + *len;
	return *len ? word : NULL;
}

static enum kt_code check_scopes(const char *list, struct kt_err *err)
{
	static const char *const known[] = { "read", "write", "admin" };
	const char *word;
	size_t len, n = 0;

	while (list && (word = next_scope(&list, &len)) != NULL) {
		bool ok = false;

		for (size_t i = 0; i < KT_ARRAY_LEN(known); i++)
			ok = ok || (strlen(known[i]) == len && !strncmp(known[i], word, len));
		if (!ok)
			return kt_fail(err, KT_EINVAL, 0, "'%.*s' is no scope: read, write, admin",
				(int)KT_MIN(len, 100), word);
		n++;
	}
	return !list || n ? KT_OK : kt_fail(err, KT_EINVAL, 0, "--scopes names no scope");
}

enum kt_code kt_keys_body(const struct kt_keys_wish *a, struct kt_buf *body, struct kt_err *err)
{
	const char *list = a->scopes, *word;
	struct kt_jw w;
	size_t len;
	enum kt_code rc = check_scopes(list, err);

	if (rc != KT_OK)
		return rc;
	kt_jw_init(&w, body);
	kt_jw_obj(&w, NULL);
	kt_jw_str(&w, "name", a->name);
	kt_jw_arr(&w, "scopes");
	while ((word = next_scope(&list, &len)) != NULL)
		kt_jw_strn(&w, NULL, word, len);
	kt_jw_arr_end(&w);
	kt_jw_bool(&w, "test", a->test);
	if (a->expires_ms)
		kt_jw_int(&w, "expires_in_s", a->expires_ms / 1000);
	kt_jw_obj_end(&w);
	return KT_OK;
}

static void create_defaults(void *args)
{
	((struct kt_keys_wish *)args)->scopes = "read,write";
}

static enum kt_code run_keys_create(struct kt_ctx *ctx, const void *args, struct kt_err *err)
{
	const struct kt_keys_wish *a = args;
	KT_AUTO_BUF struct kt_buf body = KT_BUF_INIT(65536);
	KT_AUTO_JSON cJSON *doc = NULL;
	struct kt_client *c;
	enum kt_code rc = kt_keys_body(a, &body, err);

	if (rc == KT_OK)
		rc = kt_remote_open_host(ctx, &c, err);
	if (rc != KT_OK)
		return rc;
	rc = kt_client_call(c, "POST", "/v1/keys", body.ptr, &doc, err);
	kt_client_free(c);
	if (rc != KT_OK)
		return rc;
	if (!kt_json_str(doc, "key")) {
		kt_fail(err, KT_EUNAVAIL, 0, "the key was lost with the connection");
		return kt_hint(err, "revoke it and make another: karta keys revoke %s",
			kt_json_str_or(doc, "id", ""));
	}
	if (ctx->json) {
		kt_remote_json(ctx, doc);
	} else {
		char ends[64];

		kt_remote_ago(doc, "expires_at", ends, sizeof(ends));
		kt_say(ctx, "This is the only time that the key is shown%s%s:",
			kt_json_str(doc, "expires_at") ? "; it expires " : "",
			kt_json_str(doc, "expires_at") ? ends : "");
		kt_outf("%s\n", kt_json_str_or(doc, "key", ""));
	}
	return KT_OK;
}

static const struct kt_opt revoke_opts[] = {
	KT_OPT_ARG_(
		"key", struct revoke_args, id, KT_OPT_REQUIRED, "name, id or beginning of the key"),
	KT_OPT_END,
};

/* The valid key of a name; *out is its id and the caller's. */
static enum kt_code find_named(
	struct kt_client *c, const char *name, char **out, struct kt_err *err)
{
	KT_AUTO_JSON cJSON *doc = NULL;
	const cJSON *k, *found = NULL;
	size_t n = 0;
	enum kt_code rc = kt_client_call(c, "GET", "/v1/keys", NULL, &doc, err);

	if (rc != KT_OK)
		return rc;
	cJSON_ArrayForEach (k, kt_json_arr(doc, "data")) {
		if (dead_for(k) || !kt_str_eq(kt_json_str(k, "name"), name))
			continue;
		found = k;
		n++;
	}
	if (!n) {
		(void)kt_fail(
			err, KT_ENOTFOUND, 0, "there is no key '%s' on %s", name, kt_client_url(c));
		return kt_hint(err, "'karta keys' lists them");
	}
	if (n > 1) {
		(void)kt_fail(err, KT_EINVAL, 0, "%zu keys on %s have the name '%s'", n,
			kt_client_url(c), name);
		return kt_hint(err, "name one by its id: 'karta keys' lists them");
	}
	*out = kt_strdup(kt_json_str_or(found, "id", ""));
	return KT_OK;
}

static enum kt_code run_revoke(struct kt_ctx *ctx, const void *args, struct kt_err *err)
{
	static const char *const ids[] = { "key_", "kt_live_", "kt_test_" };
	const struct revoke_args *a = args;
	KT_AUTO_BUF struct kt_buf path = KT_BUF_INIT(4096);
	KT_AUTO_JSON cJSON *doc = NULL;
	KT_AUTO_CLIENT struct kt_client *c = NULL;
	KT_AUTOFREE char *id = NULL;
	enum kt_code rc = kt_remote_open_host(ctx, &c, err);

	if (rc != KT_OK)
		return rc;
	for (size_t i = 0; i < KT_ARRAY_LEN(ids) && !id; i++)
		id = kt_str_starts(a->id, ids[i]) ? kt_strdup(a->id) : NULL;
	if (!id)
		rc = find_named(c, a->id, &id, err);
	if (rc != KT_OK)
		return rc;
	kt_buf_adds(&path, "/v1/keys/");
	kt_url_segment(&path, id);
	rc = kt_client_call(c, "DELETE", path.ptr, NULL, &doc, err);
	if (rc != KT_OK)
		return rc;
	if (ctx->json)
		kt_remote_json(ctx, doc);
	if (kt_str_eq(id, a->id))
		kt_say(ctx, "Revoked %s.", id);
	else
		kt_say(ctx, "Revoked %s (%s).", id, a->id);
	return KT_OK;
}

static const struct kt_cmd list_cmd = {
	.name = "list",
	.summary = "list the keys",
	.opts = list_opts,
	.args_size = sizeof(struct list_args),
	.run = run_keys_list,
	.aliases = "ls",
};
static const struct kt_cmd create_cmd = {
	.name = "create",
	.summary = "make a key and print it, this once",
	.opts = create_opts,
	.args_size = sizeof(struct kt_keys_wish),
	.defaults = create_defaults,
	.run = run_keys_create,
	.aliases = "add, new",
};
static const struct kt_cmd revoke_cmd = {
	.name = "revoke",
	.summary = "make a key invalid, at once and for ever",
	.opts = revoke_opts,
	.args_size = sizeof(struct revoke_args),
	.run = run_revoke,
	.aliases = "rm, delete",
};
static const struct kt_cmd *const subs[] = { &list_cmd, &create_cmd, &revoke_cmd, NULL };

const struct kt_cmd kt_cmd_keys = {
	.name = "keys",
	.summary = "API keys of the organization",
	.group = KT_GROUP_ACCOUNT,
	.opts = list_opts,
	.args_size = sizeof(struct list_args),
	.run = run_keys_list,
	.subs = subs,
	.examples = "karta keys create ci --scopes read,write\n",
};
