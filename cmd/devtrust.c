/* SPDX-License-Identifier: MIT */
/*
 * Trust in a folder. A harness that knows the notion leaves out what an untrusted folder's own
 * settings allow; whoever runs `karta dev` in a folder got from elsewhere must not find out later
 * what it could do unasked.
 */
#include "cmd/devtrust.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/str.h"
#include "harness/driver.h"
#include "text/clean.h"
#include "text/json.h"

#include <unistd.h>

#define TRUST_FILE "trust.json"
#define WORDS_MAX_BYTES 1000 /* of the rules, on a terminal */

/* What was said about these very settings: 1 yes, 0 no, -1 nothing. */
static int trust_remembered(const char *path, const char *settings)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(4 * KT_MAX_GRANTS_BYTES);
	KT_AUTO_JSON cJSON *doc = NULL;

	if (kt_fs_read(path, &b, NULL) != KT_OK ||
		kt_json_parse(b.ptr, b.len, KT_JSON_STRICT, &doc, NULL) != KT_OK ||
		!kt_str_eq(kt_json_str(doc, "settings"), settings))
		return -1;
	return kt_json_bool(doc, "trusted", false);
}

static enum kt_code remember_trust(
	const char *path, const char *settings, bool trusted, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(4 * KT_MAX_GRANTS_BYTES);
	struct kt_jw w;

	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_jw_bool(&w, "trusted", trusted);
	kt_jw_str(&w, "settings", settings);
	kt_jw_obj_end(&w);
	kt_buf_addc(&b, '\n');
	return kt_fs_write_atomic(path, b.ptr, b.len, 0600, false, err);
}

/* The rules as one line that fits a question. */
static void shorten_rules(const struct kt_buf *words, struct kt_buf *out)
{
	size_t n = KT_MIN(words->len, (size_t)WORDS_MAX_BYTES);

	kt_clean_add(out, words->ptr, n, true);
	if (n < words->len)
		kt_buf_adds(out, " ...");
}

enum kt_code kt_dev_trust(const struct kt_ctx *ctx, const char *data_dir, const struct kt_app *app,
	bool trust, char **out_settings, struct kt_err *err)
{
	const struct kt_driver_ops *ops = kt_driver_for(app->harness);
	KT_AUTO_BUF struct kt_buf words = KT_BUF_INIT(2 * KT_MAX_GRANTS_BYTES);
	KT_AUTO_BUF struct kt_buf shown = KT_BUF_INIT(8 * WORDS_MAX_BYTES);
	KT_AUTOFREE char *settings = ops->grants ? ops->grants(app->dir, &words) : NULL;
	KT_AUTOFREE char *path = kt_path_join(data_dir, TRUST_FILE);
	enum kt_code rc = KT_OK;
	bool yes = trust;

	/* The harness's own word counts as it is. */
	if (!settings || ops->trusts(app->dir))
		return KT_OK;
	shorten_rules(&words, &shown);
	int said = trust_remembered(path, settings);

	if (!trust && said >= 0) {
		yes = said == 1;
	} else if (!trust && !ctx->no_input) {
		KT_AUTOFREE char *question = kt_asprintf(
			"This folder's settings allow %s without asking. Trust it?", shown.ptr);

		rc = kt_prompt_confirm(STDIN_FILENO, STDERR_FILENO, question, "--trust", &yes, err);
	}
	if (rc == KT_OK && said != (int)yes && (trust || !ctx->no_input))
		rc = remember_trust(path, settings, yes, err);
	if (rc != KT_OK)
		return rc;
	if (yes)
		*out_settings = KT_STEAL(settings);
	else
		kt_say(ctx,
			"this folder's settings allow %s without asking: not here, until you say "
			"karta dev --trust",
			shown.ptr);
	return KT_OK;
}
