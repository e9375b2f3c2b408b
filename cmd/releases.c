/* SPDX-License-Identifier: MIT */
/* karta releases, rollback, activate: what was shipped, and which of it is live. */
#include "cmd/releases.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/rand.h"
#include "base/str.h"
#include "cmd/git/ship.h"
#include "cmd/remote.h"
#include "pack/pack.h"
#include "text/clean.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LIST_DEFAULT 15
#define PAGE 100
#define OUT_MAX_BYTES ((size_t)64 * 1024 * 1024)

struct one_args {
	const char *version;
	bool files;
};
struct diff_args {
	const char *from, *to;
};
struct download_args {
	const char *version;
	const char *output;
	const char *format;
};
struct rollback_args {
	struct kt_vec words;
	const char *to;
	const char *reason;
};
struct project_args {
	const char *name;
};

/* --- list
 * ------------------------------------------------------------------------------------------------
 */

void kt_releases_defaults(void *args)
{
	((struct kt_releases_args *)args)->limit = LIST_DEFAULT;
}

const struct kt_opt kt_releases_opts[] = {
	KT_OPT_ARG_("name", struct kt_releases_args, project, 0,
		"the project (default: this folder's)"),
	{ KT_OPT_T_INT, 'n', "num", "N", offsetof(struct kt_releases_args, limit), "as --limit",
		KT_OPT_HIDDEN, 1, 100000 },
	{ KT_OPT_T_INT, 'L', NULL, "N", offsetof(struct kt_releases_args, limit), "as --limit",
		KT_OPT_HIDDEN, 1, 100000 },
	KT_OPT_INT_(0, "limit", struct kt_releases_args, limit, "N", 1, 100000,
		"at most so many, newest first"),
	KT_OPT_END,
};

static void add_release_row(struct kt_table *tb, const cJSON *r)
{
	KT_AUTOFREE char *pin = kt_json_bool(r, "active", false) ? kt_remote_pin(r) : NULL;
	char created[64], commit[16];
	const char *message = kt_json_str(r, "message");
	const char *preview = kt_json_str(r, "preview");
	const char *error = kt_json_str(kt_json_obj(r, "error"), "message");
	const char *cells[] = { kt_json_str_or(r, "version", "?"), kt_json_str_or(r, "state", "?"),
		commit, created, kt_json_str_or(r, "created_by", ""),
		error             ? error
			: preview ? preview
			: message ? message
				  : kt_json_str_or(r, "source", ""),
		pin ? pin : "" };

	kt_str_copy(commit, sizeof(commit), "-");
	if (kt_json_str(r, "commit_sha"))
		snprintf(commit, sizeof(commit), "%.7s", kt_json_str(r, "commit_sha"));
	kt_remote_ago(r, "created_at", created, sizeof(created));
	kt_table_row(tb, cells);
}

/* All pages up to limit into list. */
static enum kt_code fetch_release_pages(
	struct kt_client *c, const char *project, int64_t limit, cJSON *list, struct kt_err *err)
{
	KT_AUTOFREE char *before = NULL; /* version of the oldest that is there */
	bool more = true;

	while (more && limit > 0) {
		KT_AUTOFREE char *rest = kt_asprintf("/releases?limit=%lld%s%s",
			(long long)KT_MIN(limit, PAGE), before ? "&before=" : "",
			before ? before : "");
		KT_AUTOFREE char *path = kt_remote_path(project, rest);
		KT_AUTO_JSON cJSON *page = NULL;
		enum kt_code rc = kt_client_call(c, "GET", path, NULL, &page, err);
		cJSON *data;

		if (rc != KT_OK)
			return rc;
		data = cJSON_GetObjectItemCaseSensitive(page, "data");
		more = kt_json_bool(page, "has_more", false) && cJSON_GetArraySize(data) > 0;
		while (cJSON_GetArraySize(data) > 0) {
			cJSON *r = cJSON_DetachItemFromArray(data, 0);

			free(before);
			before = kt_strdup(kt_json_str_or(r, "version", ""));
			cJSON_AddItemToArray(list, r);
			limit--;
		}
	}
	return KT_OK;
}

/* The folder that the project is served from; NULL when it has releases, or that is not known. */
static char *folder_of(struct kt_client *c, const char *project)
{
	KT_AUTOFREE char *path = kt_remote_path(project, "");
	KT_AUTO_JSON cJSON *doc = NULL;

	if (kt_client_call(c, "GET", path, NULL, &doc, NULL) != KT_OK)
		return NULL;
	return kt_strdup_opt(kt_json_str(doc, "dir"));
}

enum kt_code kt_releases_run(struct kt_ctx *ctx, const void *args, struct kt_err *err)
{
	static const char *const head[] = { "RELEASE", "STATE", "COMMIT", "CREATED", "BY",
		"DESCRIPTION", "PINNED" };
	const struct kt_releases_args *a = args;
	KT_AUTO_JSON cJSON *doc = cJSON_CreateObject();
	cJSON *list = cJSON_AddArrayToObject(doc, "data");
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(OUT_MAX_BYTES);
	KT_AUTOFREE char *project = NULL;
	KT_AUTOFREE char *folder = NULL;
	size_t cols = KT_ARRAY_LEN(head) - 1;
	struct kt_table *tb;
	struct kt_client *c;
	const cJSON *r;
	enum kt_code rc = kt_remote_start(ctx, a->project, &c, &project, err);

	if (rc != KT_OK)
		return rc;
	rc = fetch_release_pages(c, project, a->limit, list, err);
	if (rc == KT_OK && !list->child)
		folder = folder_of(c, project);
	kt_client_free(c);
	if (rc != KT_OK)
		return rc;
	if (ctx->json) {
		kt_remote_json(ctx, doc);
		return KT_OK;
	}
	/* The column is there when there is something in it. */
	cJSON_ArrayForEach (r, list) {
		if (kt_json_bool(r, "pinned", false) && kt_json_bool(r, "active", false))
			cols = KT_ARRAY_LEN(head);
	}
	tb = kt_table_new(cols);
	kt_table_row(tb, head);
	cJSON_ArrayForEach (r, list)
		add_release_row(tb, r);
	kt_table_render(&b, &ctx->out, tb);
	kt_table_free(tb);
	if (list->child)
		kt_out(b.ptr, b.len);
	/* The live one may be older than what is listed. */
	if (list->child && kt_json_bool(list->child, "pinned", false)) {
		KT_AUTOFREE char *pin = kt_remote_pin(list->child);

		kt_say(ctx, "%s is pinned, %s; karta releases unpin ends that", project, pin);
	}
	if (!list->child && folder)
		kt_say(ctx, "no releases: %s is served from %s, and what is in it is live", project,
			folder);
	else if (!list->child)
		kt_say(ctx, "no releases yet; 'git push karta main' makes one");
	return KT_OK;
}

/* --- show
 * -------------------------------------------------------------------------------------------------
 */

/* Path of a release, or of something below it. The caller's. */
static char *release_path(const char *project, const char *version, const char *below)
{
	KT_AUTO_BUF struct kt_buf rest = KT_BUF_INIT(4096);

	kt_buf_adds(&rest, "/releases/");
	kt_url_segment(&rest, version);
	kt_buf_adds(&rest, below);
	return kt_remote_path(project, rest.ptr);
}

/* Text of a release's manifest, through a temporary file. */
static enum kt_code fetch_manifest(struct kt_client *c, const char *project, const char *version,
	struct kt_manifest **out, struct kt_err *err)
{
	KT_AUTOFREE char *path = release_path(project, version, "/manifest");
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_MAX_MANIFEST_BYTES);
	KT_AUTOFD int fd = memfd_create("manifest", MFD_CLOEXEC);
	struct kt_pack_limits limits;
	char name[64];
	enum kt_code rc;

	if (fd < 0)
		return kt_fail(err, KT_EIO, errno, "cannot make a temporary file");
	rc = kt_client_download(c, path, fd, err);
	/* What is not there, the server names: it may be the project. */
	if (rc == KT_ENOTFOUND || rc == KT_EAUTH || rc == KT_EDENIED)
		return rc;
	if (rc != KT_OK)
		return kt_wrap(err, "%s", version);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	rc = kt_fs_read(name, &b, err);
	if (rc != KT_OK)
		return rc;
	/* The server's limits are the server's; this only has to be a manifest. */
	kt_pack_limits_init(&limits);
	limits.max_files = limits.max_bytes = limits.max_file_bytes = INT64_MAX / 2;
	return kt_manifest_parse(b.ptr, b.len, &limits, out, err);
}

static const struct kt_opt show_opts[] = {
	KT_OPT_ARG_("version", struct one_args, version, 0, "as v7 (default: the live one)"),
	KT_OPT_FLAG_(0, "files", struct one_args, files, "list its files"),
	KT_OPT_END,
};

/* Of a release that another one is pinned before. */
static void pinned_elsewhere(struct kt_buf *b, const struct kt_ctx *ctx, const cJSON *r)
{
	KT_AUTOFREE char *pin = kt_remote_pin(r);
	KT_AUTOFREE char *text = pin ? kt_asprintf("another release, %s", pin) : NULL;

	kt_remote_field(b, ctx, "pinned", text);
}

static void print_release(const struct kt_ctx *ctx, const cJSON *r)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(OUT_MAX_BYTES);
	char files[64], size[16];

	kt_ship_size(kt_json_int(r, "bytes", 0), size);
	snprintf(files, sizeof(files), "%lld, %s", (long long)kt_json_int(r, "files", 0), size);
	kt_remote_field(&b, ctx, "release", kt_json_str(r, "version"));
	kt_remote_field(&b, ctx, "project", kt_json_str(r, "project"));
	kt_remote_field(&b, ctx, "state", kt_json_str(r, "state"));
	if (kt_json_bool(r, "active", false))
		kt_remote_pin_fields(&b, ctx, r);
	else
		pinned_elsewhere(&b, ctx, r);
	kt_remote_field(&b, ctx, "error", kt_json_str(kt_json_obj(r, "error"), "message"));
	kt_remote_field(&b, ctx, "url", kt_json_str(r, "url"));
	kt_remote_field(&b, ctx, "commit", kt_json_str(r, "commit_sha"));
	kt_remote_field(&b, ctx, "ref", kt_json_str(r, "ref"));
	kt_remote_field(&b, ctx, "message", kt_json_str(r, "message"));
	kt_remote_field(&b, ctx, "source", kt_json_str(r, "source"));
	kt_remote_field(&b, ctx, "harness", kt_json_str(r, "harness"));
	kt_remote_field(&b, ctx, "kind", kt_json_str(r, "kind"));
	kt_remote_field(&b, ctx, "image", kt_json_str(r, "image_ref"));
	kt_remote_field(&b, ctx, "digest", kt_json_str(r, "digest"));
	kt_remote_field(&b, ctx, "files", files);
	kt_remote_field(&b, ctx, "by", kt_json_str(r, "created_by"));
	kt_remote_when(&b, ctx, "created", r, "created_at");
	kt_remote_when(&b, ctx, "activated", r, "activated_at");
	kt_remote_when(&b, ctx, "expires", r, "expires_at");
	kt_out(b.ptr, b.len);
}

static enum kt_code print_files(const struct kt_ctx *ctx, struct kt_client *c, const char *project,
	const char *version, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(OUT_MAX_BYTES);
	struct kt_manifest *m;
	enum kt_code rc = fetch_manifest(c, project, version, &m, err);

	if (rc != KT_OK)
		return rc;
	kt_manifest_render(m, &b);
	kt_manifest_free(m);
	kt_remote_text(b.ptr, b.len);
	return KT_OK;
}

static enum kt_code run_releases_show(struct kt_ctx *ctx, const void *args, struct kt_err *err)
{
	const struct one_args *a = args;
	const char *version = a->version ? a->version : "current";
	KT_AUTOFREE char *project = NULL;
	KT_AUTOFREE char *path = NULL;
	KT_AUTO_JSON cJSON *doc = NULL;
	struct kt_client *c;
	enum kt_code rc = kt_remote_start(ctx, NULL, &c, &project, err);

	if (rc != KT_OK)
		return rc;
	path = release_path(project, version, "");
	if (a->files)
		rc = print_files(ctx, c, project, version, err);
	else
		rc = kt_client_call(c, "GET", path, NULL, &doc, err);
	kt_client_free(c);
	if (rc == KT_OK && doc && ctx->json)
		kt_remote_json(ctx, doc);
	else if (rc == KT_OK && doc)
		print_release(ctx, doc);
	return rc;
}

/* --- diff, download ---------------------------------------------------------------------- */

static const struct kt_opt diff_opts[] = {
	KT_OPT_ARG_("from", struct diff_args, from, KT_OPT_REQUIRED, "as v6"),
	KT_OPT_ARG_("to", struct diff_args, to, KT_OPT_REQUIRED, "as v7"),
	KT_OPT_END,
};

/* One changed file as a line or an entry. */
static void add_release_change(struct kt_buf *b, struct kt_jw *w, const struct kt_ctx *ctx,
	char how, const char *path, enum kt_style style)
{
	char mark[3] = { how, ' ', '\0' };

	if (w) {
		kt_jw_obj(w, NULL);
		kt_jw_str(w, "change", how == '+' ? "added" : how == '-' ? "removed" : "modified");
		kt_jw_str(w, "path", path);
		kt_jw_obj_end(w);
		return;
	}
	kt_term_add(b, &ctx->out, style, mark);
	kt_clean_add(b, path, strlen(path), true);
	kt_buf_addc(b, '\n');
}

/* Walk both sorted lists at once. */
static void compare_releases(const struct kt_ctx *ctx, const struct kt_manifest *x,
	const struct kt_manifest *y, struct kt_buf *b, struct kt_jw *w)
{
	size_t i = 0, k = 0;

	while (i < x->n_files || k < y->n_files) {
		int order = i == x->n_files ? 1
			: k == y->n_files   ? -1
					    : strcmp(x->files[i].path, y->files[k].path);

		if (order < 0) {
			add_release_change(b, w, ctx, '-', x->files[i++].path, KT_STYLE_RED);
		} else if (order > 0) {
			add_release_change(b, w, ctx, '+', y->files[k++].path, KT_STYLE_GREEN);
		} else {
			if (!kt_str_eq(x->files[i].digest, y->files[k].digest) ||
				x->files[i].mode != y->files[k].mode)
				add_release_change(
					b, w, ctx, 'M', x->files[i].path, KT_STYLE_YELLOW);
			i++;
			k++;
		}
	}
}

static enum kt_code run_diff(struct kt_ctx *ctx, const void *args, struct kt_err *err)
{
	const struct diff_args *a = args;
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(OUT_MAX_BYTES);
	KT_AUTOFREE char *project = NULL;
	struct kt_manifest *from = NULL, *to = NULL;
	struct kt_client *c;
	struct kt_jw w;
	enum kt_code rc = kt_remote_start(ctx, NULL, &c, &project, err);

	if (rc != KT_OK)
		return rc;
	rc = fetch_manifest(c, project, a->from, &from, err);
	if (rc == KT_OK)
		rc = fetch_manifest(c, project, a->to, &to, err);
	kt_client_free(c);
	if (rc == KT_OK && ctx->json) {
		kt_jw_init(&w, &b);
		kt_jw_obj(&w, NULL);
		kt_jw_int(&w, "schema_version", 1);
		kt_jw_arr(&w, "changes");
		compare_releases(ctx, from, to, &b, &w);
		kt_jw_arr_end(&w);
		kt_jw_obj_end(&w);
		kt_buf_addc(&b, '\n');
	} else if (rc == KT_OK) {
		compare_releases(ctx, from, to, &b, NULL);
	}
	if (rc == KT_OK)
		kt_out(b.ptr, b.len);
	kt_manifest_free(from);
	kt_manifest_free(to);
	return rc;
}

static const char *const archive_formats[] = { "tar.gz", "tar.zst", NULL };

static const struct kt_opt download_opts[] = {
	KT_OPT_ARG_("version", struct download_args, version, 0, "as v7 (default: the live one)"),
	{ KT_OPT_T_STR, 'o', "output", "FILE", offsetof(struct download_args, output),
		"file to write; - is standard output", KT_OPT_FILE },
	KT_OPT_CHOICE_(0, "format", struct download_args, format, "FORMAT", archive_formats,
		"kind of archive (default: tar.gz)"),
	KT_OPT_END,
};

/* Into a temporary name beside the file first: nothing half-done stays. */
static enum kt_code download_to(
	struct kt_client *c, const char *path, const char *file, struct kt_err *err)
{
	char id[KT_ID_MAX];
	KT_AUTOFREE char *tmp = NULL;
	KT_AUTOFD int fd = -1;
	enum kt_code rc;

	/* A name that nobody foresees, in folders that others can write to. */
	kt_rand_id(".part-", id);
	tmp = kt_asprintf("%s%s", file, id);
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);

	if (fd < 0)
		return kt_fail(err, KT_EIO, errno, "cannot create '%s'", tmp);
	rc = kt_client_download(c, path, fd, err);
	if (rc == KT_OK && rename(tmp, file))
		rc = kt_fail(err, KT_EIO, errno, "cannot rename '%s'", tmp);
	if (rc != KT_OK)
		(void)unlink(tmp);
	return rc;
}

static void print_file(const struct kt_ctx *ctx, const char *file)
{
	KT_AUTO_JSON cJSON *doc = cJSON_CreateObject();

	cJSON_AddStringToObject(doc, "file", file);
	kt_remote_json(ctx, doc);
}

static enum kt_code run_download(struct kt_ctx *ctx, const void *args, struct kt_err *err)
{
	const struct download_args *a = args;
	const char *format = a->format ? a->format : "tar.gz";
	const char *version = a->version ? a->version : "current";
	KT_AUTOFREE char *below = kt_asprintf("/archive?format=%s", format);
	KT_AUTOFREE char *project = NULL;
	KT_AUTOFREE char *path = NULL;
	KT_AUTOFREE char *file = NULL;
	struct kt_client *c;
	enum kt_code rc;

	if (kt_str_eq(a->output, "-") && (ctx->json || ctx->out.is_tty)) {
		(void)kt_fail(err, KT_EINVAL, 0, "an archive is no %s",
			ctx->json ? "JSON" : "text for a terminal");
		return kt_hint(err, "--output FILE writes it to a file");
	}
	rc = kt_remote_start(ctx, NULL, &c, &project, err);
	if (rc != KT_OK)
		return rc;
	path = release_path(project, version, below);
	file = a->output ? kt_strdup(a->output) : kt_asprintf("%s-%s.%s", project, version, format);
	if (kt_str_eq(file, "-"))
		rc = kt_client_download(c, path, STDOUT_FILENO, err);
	else
		rc = download_to(c, path, file, err);
	kt_client_free(c);
	if (rc == KT_OK && ctx->json)
		print_file(ctx, file);
	else if (rc == KT_OK && !kt_str_eq(file, "-"))
		kt_outf("%s\n", file);
	return rc;
}

/* --- rollback, activate, unpin ----------------------------------------------------------- */

/* Post a body with up to two members; *out is the answer. */
static enum kt_code post_release_act(const struct kt_ctx *ctx, const char *given,
	const char *method, const char *rest, const char *version, const char *reason, cJSON **out,
	struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf body = KT_BUF_INIT(65536);
	KT_AUTOFREE char *project = NULL;
	KT_AUTOFREE char *path = NULL;
	struct kt_client *c;
	struct kt_jw w;
	enum kt_code rc = kt_remote_start(ctx, given, &c, &project, err);

	if (rc != KT_OK)
		return rc;
	kt_jw_init(&w, &body);
	kt_jw_obj(&w, NULL);
	if (version)
		kt_jw_str(&w, "version", version);
	if (reason)
		kt_jw_str(&w, "reason", reason);
	kt_jw_obj_end(&w);
	path = kt_remote_path(project, rest);
	rc = kt_client_call(
		c, method, path, kt_str_eq(method, "DELETE") ? NULL : body.ptr, out, err);
	if (rc == KT_ECONFLICT && version &&
		kt_str_eq(kt_json_str(kt_client_problem(c), "code"), "pinned"))
		(void)kt_hint(err,
			"'karta releases unpin' lets go; 'karta rollback --to %s' holds that one "
			"instead",
			version);
	kt_client_free(c);
	return rc;
}

static const struct kt_opt rollback_opts[] = {
	KT_OPT_ARGS_("version", struct rollback_args, words, 0,
		"as v3 (default: the one that was live before); a project may be named too"),
	KT_OPT_STR_(0, "to", struct rollback_args, to, "VERSION",
		"the version, where it is not the argument"),
	{ KT_OPT_T_STR, 0, "to-revision", "VERSION", offsetof(struct rollback_args, to), "as --to",
		KT_OPT_HIDDEN },
	KT_OPT_STR_(0, "reason", struct rollback_args, reason, "TEXT",
		"why; shown wherever the project is"),
	KT_OPT_END,
};

/* "v3", or "3" as others write it. */
static bool is_version(const char *s)
{
	s += *s == 'v';
	return *s && !s[strspn(s, "0123456789")];
}

/* The version and the project, in any order: Heroku has the one, helm both. */
static enum kt_code rollback_words(
	const struct rollback_args *a, const char **out_name, char **out_to, struct kt_err *err)
{
	const char *to = a->to;

	*out_name = NULL;
	for (size_t i = 0; i < a->words.len; i++) {
		const char *word = a->words.items[i];

		if (!to && is_version(word))
			to = word;
		else if (!*out_name)
			*out_name = word;
		else
			return kt_fail(err, KT_EINVAL, 0, "unexpected argument '%s'", word);
	}
	if (to)
		*out_to = kt_asprintf("%s%s", is_version(to) && *to != 'v' ? "v" : "", to);
	return KT_OK;
}

static enum kt_code run_rollback(struct kt_ctx *ctx, const void *args, struct kt_err *err)
{
	const struct rollback_args *a = args;
	KT_AUTO_JSON cJSON *doc = NULL;
	KT_AUTOFREE char *to = NULL;
	const char *name;
	enum kt_code rc = rollback_words(a, &name, &to, err);

	if (rc == KT_OK)
		rc = post_release_act(ctx, name, "POST", "/rollback", to, a->reason, &doc, err);
	if (rc != KT_OK)
		return rc;
	if (ctx->json) {
		kt_remote_json(ctx, doc);
		return KT_OK;
	}
	kt_say(ctx, "%s is live again on %s. Deploys are refused until: karta releases unpin",
		kt_json_str_or(doc, "version", "?"), kt_json_str_or(doc, "project", "?"));
	kt_outf("%s\n", kt_json_str_or(doc, "url", ""));
	return KT_OK;
}

const struct kt_cmd kt_cmd_rollback = {
	.name = "rollback",
	.summary = "make an older release live again, with its configuration",
	.group = KT_GROUP_SHIP,
	.opts = rollback_opts,
	.args_size = sizeof(struct rollback_args),
	.run = run_rollback,
	.examples = "karta rollback                     to the one before\n"
		    "karta rollback v3 --reason \"v4 answers in French\"\n",
};

static const struct kt_opt activate_opts[] = {
	KT_OPT_ARG_("version", struct one_args, version, KT_OPT_REQUIRED, "as v7"),
	KT_OPT_END,
};

static enum kt_code run_activate(struct kt_ctx *ctx, const void *args, struct kt_err *err)
{
	const struct one_args *a = args;
	KT_AUTO_JSON cJSON *doc = NULL;
	enum kt_code rc = post_release_act(
		ctx, NULL, "POST", "/activate", a->version, NULL, &doc, err);

	if (rc != KT_OK)
		return rc;
	if (ctx->json) {
		kt_remote_json(ctx, doc);
		return KT_OK;
	}
	kt_say(ctx, "%s is live.", kt_json_str_or(doc, "version", "?"));
	kt_outf("%s\n", kt_json_str_or(doc, "url", ""));
	return KT_OK;
}

struct pin_args {
	const char *name;
	const char *reason;
};

static const struct kt_opt pin_opts[] = {
	KT_OPT_ARG_("name", struct pin_args, name, 0, "the project (default: this folder's)"),
	KT_OPT_STR_(
		0, "reason", struct pin_args, reason, "TEXT", "why; shown wherever the project is"),
	KT_OPT_END,
};

static enum kt_code run_pin(struct kt_ctx *ctx, const void *args, struct kt_err *err)
{
	const struct pin_args *a = args;
	KT_AUTO_JSON cJSON *doc = NULL;
	enum kt_code rc = post_release_act(ctx, a->name, "PUT", "/pin", NULL, a->reason, &doc, err);

	if (rc != KT_OK)
		return rc;
	if (ctx->json)
		kt_remote_json(ctx, doc);
	kt_say(ctx, "%s stays at %s until: karta releases unpin",
		kt_json_str_or(doc, "slug", "the project"),
		kt_json_str_or(kt_json_obj(doc, "current"), "version", "its release"));
	return KT_OK;
}

static const struct kt_opt unpin_opts[] = {
	KT_OPT_ARG_("name", struct project_args, name, 0, "the project (default: this folder's)"),
	KT_OPT_END,
};

static enum kt_code run_unpin(struct kt_ctx *ctx, const void *args, struct kt_err *err)
{
	const struct project_args *a = args;
	KT_AUTO_JSON cJSON *doc = NULL;
	enum kt_code rc = post_release_act(ctx, a->name, "DELETE", "/pin", NULL, NULL, &doc, err);

	if (rc != KT_OK)
		return rc;
	if (ctx->json)
		kt_remote_json(ctx, doc);
	if (kt_str_eq(kt_json_str(doc, "kind"), "folder"))
		kt_say(ctx, "%s is served from a folder: nothing holds it.",
			kt_json_str_or(doc, "slug", "the project"));
	else
		kt_say(ctx,
			"The next deploy goes live again. To have a stored one now: karta releases "
			"activate VERSION");
	return KT_OK;
}

static const struct kt_cmd list_cmd = {
	.name = "list",
	.summary = "list releases, newest first",
	.opts = kt_releases_opts,
	.args_size = sizeof(struct kt_releases_args),
	.defaults = kt_releases_defaults,
	.run = kt_releases_run,
	.aliases = "ls",
};
static const struct kt_cmd show_cmd = {
	.name = "show",
	.summary = "show one release",
	.opts = show_opts,
	.args_size = sizeof(struct one_args),
	.run = run_releases_show,
	.aliases = "info",
};
static const struct kt_cmd diff_cmd = {
	.name = "diff",
	.summary = "list the files that differ between two releases",
	.opts = diff_opts,
	.args_size = sizeof(struct diff_args),
	.run = run_diff,
};
static const struct kt_cmd download_cmd = {
	.name = "download",
	.summary = "fetch a release's files as an archive",
	.opts = download_opts,
	.args_size = sizeof(struct download_args),
	.run = run_download,
};
static const struct kt_cmd activate_cmd = {
	.name = "activate",
	.summary = "make a stored release live",
	.opts = activate_opts,
	.args_size = sizeof(struct one_args),
	.run = run_activate,
};
static const struct kt_cmd pin_cmd = {
	.name = "pin",
	.summary = "keep the live release live, whatever is deployed",
	.opts = pin_opts,
	.args_size = sizeof(struct pin_args),
	.run = run_pin,
};
static const struct kt_cmd unpin_cmd = {
	.name = "unpin",
	.summary = "let deploys go live again after a rollback or pin",
	.opts = unpin_opts,
	.args_size = sizeof(struct project_args),
	.run = run_unpin,
};
static const struct kt_cmd *const subs[] = { &list_cmd, &show_cmd, &diff_cmd, &download_cmd,
	&activate_cmd, &pin_cmd, &unpin_cmd, NULL };

const struct kt_cmd kt_cmd_releases = {
	.name = "releases",
	.summary = "what was shipped: list, show, compare, download",
	.group = KT_GROUP_SHIP,
	.opts = kt_releases_opts,
	.args_size = sizeof(struct kt_releases_args),
	.defaults = kt_releases_defaults,
	.run = kt_releases_run,
	.subs = subs,
	.examples = "karta releases                list them\n"
		    "karta releases diff v6 v7     what changed\n"
		    "karta releases download v6    its files\n",
};
