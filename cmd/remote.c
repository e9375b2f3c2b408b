/* SPDX-License-Identifier: MIT */
/* What commands print of a server's answers; confirmations; Ctrl-C as a counter. */
#include "cmd/remote.h"

#include "base/str.h"
#include "base/time.h"
#include "text/clean.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TEXT_MAX_BYTES ((size_t)64 * 1024 * 1024)

static volatile sig_atomic_t ints;

char *kt_remote_path(const char *project, const char *rest)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(65536);

	kt_buf_adds(&b, "/agent_projects/");
	kt_url_segment(&b, project);
	kt_buf_adds(&b, rest);
	return kt_buf_take(&b);
}

/* --- printing ---------------------------------------------------------------------------- */

void kt_remote_json(const struct kt_ctx *ctx, const cJSON *doc)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(TEXT_MAX_BYTES);
	struct kt_jw w;

	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_jw_int(&w, "schema_version", 1);
	for (const cJSON *m = doc ? doc->child : NULL; m; m = m->next)
		kt_jw_json(&w, m->string, m);
	kt_jw_obj_end(&w);
	kt_remote_json_line(b.ptr, b.len);
}

void kt_remote_field(
	struct kt_buf *b, const struct kt_ctx *ctx, const char *name, const char *value)
{
	char label[24];

	if (!value || !*value)
		return;
	snprintf(label, sizeof(label), "%-12s", name);
	kt_term_add(b, &ctx->out, KT_STYLE_DIM, label);
	kt_clean_add(b, value, strlen(value), true);
	kt_buf_addc(b, '\n');
}

void kt_remote_when(struct kt_buf *b, const struct kt_ctx *ctx, const char *name, const cJSON *obj,
	const char *key)
{
	char at[64], ago[64], text[160];
	int64_t us;

	if (!kt_time_parse(kt_json_str_or(obj, key, ""), &us))
		return;
	kt_time_local(us, at, sizeof(at));
	kt_time_ago(us, kt_time_us(), ago, sizeof(ago));
	snprintf(text, sizeof(text), "%s (%s)", at, ago);
	kt_remote_field(b, ctx, name, text);
}

void kt_remote_ago(const cJSON *obj, const char *key, char *out, size_t size)
{
	int64_t us;

	if (kt_time_parse(kt_json_str_or(obj, key, ""), &us))
		kt_time_human(us, kt_time_us(), out, size);
	else
		kt_str_copy(out, size, "-");
}

char *kt_remote_pin(const cJSON *obj)
{
	const char *by = kt_json_str(obj, "pinned_by");
	char ago[64];

	if (!kt_json_bool(obj, "pinned", false))
		return NULL;
	kt_remote_ago(obj, "pinned_at", ago, sizeof(ago));
	return kt_asprintf("%s%s%s: %s", ago, by ? " by " : "", by ? by : "",
		kt_json_str_or(obj, "pin_reason", "no reason given"));
}

void kt_remote_pin_fields(struct kt_buf *b, const struct kt_ctx *ctx, const cJSON *obj)
{
	const char *by = kt_json_str(obj, "pinned_by");

	if (!kt_json_bool(obj, "pinned", false))
		return;
	kt_remote_field(b, ctx, "pinned", kt_json_str_or(obj, "pin_reason", "yes"));
	kt_remote_field(b, ctx, "pinned by", by);
	kt_remote_when(b, ctx, "since", obj, "pinned_at");
}

enum kt_code kt_remote_check_mode(
	bool last, const char *session, const char *mode, struct kt_err *err)
{
	if ((!last && !session) || !mode)
		return KT_OK;
	(void)kt_fail(err, KT_EINVAL, 0, "--permission-mode is for a new session, not with %s",
		last ? "--continue" : "--session");
	if (last)
		return kt_hint(err,
			"'karta sessions list' has the last one's id, 'karta sessions "
			"show ID' its mode");
	return kt_hint(err, "'karta sessions show %s' says which mode it has", session);
}

enum kt_code kt_remote_confirm(const struct kt_ctx *ctx, const char *what, const char *name,
	const char *given, struct kt_err *err)
{
	char typed[256];
	size_t n = 0;

	if (given && !kt_str_eq(given, name))
		return kt_fail(
			err, KT_EINVAL, 0, "--confirm says '%s', the name is '%s'", given, name);
	if (given || ctx->yes)
		return KT_OK;
	if (ctx->no_input) {
		kt_fail(err, KT_ECONFIRM, 0, "a confirmation is needed to %s", what);
		return kt_hint(err, "add --confirm=%s", name);
	}
	kt_say(ctx, "To %s, type its name, %s:", what, name);
	while (n + 1 < sizeof(typed) && read(STDIN_FILENO, typed + n, 1) == 1 && typed[n] != '\n')
		n++;
	typed[n] = '\0';
	if (!kt_str_eq(typed, name))
		return kt_fail(err, KT_ECANCEL, 0, "not confirmed; nothing was done");
	return KT_OK;
}

void kt_remote_text(const char *text, size_t len)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(8 * TEXT_MAX_BYTES);

	kt_clean_add(&b, text, len, false);
	kt_out(b.ptr, b.len);
}

void kt_remote_exact(const struct kt_ctx *ctx, const char *text, size_t len)
{
	if (ctx->out.is_tty)
		kt_remote_text(text, len);
	else
		kt_out_raw(text, len);
}

void kt_remote_json_line(const char *json, size_t len)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(8 * TEXT_MAX_BYTES);

	kt_buf_add(&b, json, len);
	/* Inside a string it would be an escape: what is between values stays on the line. */
	for (size_t i = 0; i < b.len; i++) {
		if (b.ptr[i] == '\n' || b.ptr[i] == '\r' || b.ptr[i] == '\t')
			b.ptr[i] = ' ';
	}
	kt_buf_addc(&b, '\n');
	kt_out(b.ptr, b.len);
}

static struct sigaction before_int = { .sa_handler = SIG_DFL };

static void on_int(int signum)
{
	ints = ints + 1;
}

void kt_remote_catch_int(void)
{
	struct sigaction sa = { .sa_handler = on_int }, was;

	ints = 0;
	if (sigaction(SIGINT, &sa, &was) == 0 && was.sa_handler != on_int)
		before_int = was;
}

void kt_remote_let_int(void)
{
	(void)sigaction(SIGINT, &before_int, NULL);
}

void kt_remote_die_by_int(void)
{
	/* Whoever has something to take away has a handler of his own, which ends the program. */
	kt_remote_let_int();
	(void)raise(SIGINT);
	_exit(128 + SIGINT);
}

int kt_remote_ints(void)
{
	return ints;
}
