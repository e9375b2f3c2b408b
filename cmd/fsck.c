/* SPDX-License-Identifier: MIT */
/* karta fsck: checks a data folder; says what is wrong and changes nothing. */
#include "cmd/cmd.h"

#include "base/fs.h"
#include "cmd/serve/serveconf.h"
#include "control/control.h"
#include "text/clean.h"
#include "text/json.h"

#include <stdlib.h>
#include <string.h>

#define FINDINGS_BYTES ((size_t)16 * 1024 * 1024)

struct fsck_args {
	const char *data;
	bool quick;
};

static const struct kt_opt opts[] = {
	{ KT_OPT_T_STR, 0, "data", "DIR", offsetof(struct fsck_args, data), "folder of all state",
		KT_OPT_DIR },
	KT_OPT_FLAG_(0, "quick", struct fsck_args, quick, "do not read the bytes of every file"),
	KT_OPT_END,
};

/* A line about what the next start removes, and no finding. */
static bool is_left(const char *line, size_t len)
{
	KT_AUTO_JSON cJSON *doc = NULL;

	return kt_json_parse(line, len, KT_JSON_LENIENT, &doc, NULL) == KT_OK &&
		kt_json_bool(doc, "left_over", false);
}

/* Findings as lines for a person. */
static void print_fsck_text(const struct kt_buf *b)
{
	for (const char *at = b->ptr, *lf; (lf = strchr(at, '\n')) != NULL; at = lf + 1) {
		KT_AUTO_JSON cJSON *doc = NULL;

		if (kt_json_parse(at, (size_t)(lf - at), KT_JSON_LENIENT, &doc, NULL) != KT_OK)
			continue;
		kt_outf("%s %s: %s\n", kt_json_str_or(doc, "invariant", "?"),
			kt_json_str_or(doc, "object", "?"), kt_json_str_or(doc, "message", ""));
	}
}

/* The lines that are left over, or those that are not, as members of an array. */
static void add_fsck_lines(struct kt_buf *out, const struct kt_buf *b, bool left)
{
	bool first = true;

	for (const char *at = b->ptr, *lf; (lf = strchr(at, '\n')) != NULL; at = lf + 1) {
		if (is_left(at, (size_t)(lf - at)) != left)
			continue;
		if (!first)
			kt_buf_addc(out, ',');
		kt_buf_add(out, at, (size_t)(lf - at));
		first = false;
	}
}

static void print_fsck_json(const struct kt_buf *b, size_t n)
{
	KT_AUTO_BUF struct kt_buf out = KT_BUF_INIT(2 * FINDINGS_BYTES);

	kt_clean_addf(&out, "{\"schema_version\":1,\"ok\":%s,\"findings\":[", n ? "false" : "true");
	add_fsck_lines(&out, b, false);
	kt_buf_adds(&out, "],\"left_over\":[");
	add_fsck_lines(&out, b, true);
	kt_buf_adds(&out, "]}\n");
	kt_out(out.ptr, out.len);
}

static enum kt_code fsck_run(struct kt_ctx *ctx, const void *args, struct kt_err *err)
{
	const struct fsck_args *a = args;
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(FINDINGS_BYTES);
	KT_AUTOFREE char *data = NULL;
	size_t n = 0;
	enum kt_code rc = kt_serve_data_dir(a->data, &data, err);

	if (rc == KT_OK)
		rc = kt_control_fsck(data, !a->quick, &b, &n, err);
	if (rc != KT_OK)
		return rc;
	if (ctx->json)
		print_fsck_json(&b, n);
	else
		print_fsck_text(&b);
	if (!n) {
		kt_say(ctx, "%s is in order", data);
		return KT_OK;
	}
	/* The object that was printed holds the findings; main() would print a second one. */
	if (ctx->json) {
		kt_buf_release(&b);
		free(KT_STEAL(data));
		exit(1);
	}
	kt_fail(err, KT_EIO, 0, "%zu finding%s in %s", n, n == 1 ? "" : "s", data);
	return kt_hint(err, "restore a backup, or push the project again");
}

const struct kt_cmd kt_cmd_fsck = {
	.name = "fsck",
	.summary = "check the data folder of karta serve",
	.group = KT_GROUP_SERVE,
	.opts = opts,
	.args_size = sizeof(struct fsck_args),
	.run = fsck_run,
	.examples = "karta fsck              every database row, file and log\n"
		    "karta fsck --quick      without reading every file\n",
};
