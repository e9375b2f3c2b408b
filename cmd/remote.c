/* SPDX-License-Identifier: MIT */
/* Finding the server, and Ctrl-C as a counter that polling loops look at. */
#include "cmd/remote.h"

#include "base/env.h"
#include "cmd/devdir.h"
#include "text/clean.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#define TEXT_MAX_BYTES ((size_t)64 * 1024 * 1024)
#define DEFAULT_URL "http://127.0.0.1:8000"

static volatile sig_atomic_t ints;

enum kt_code kt_remote_open(const struct kt_ctx *ctx, struct kt_client **out, struct kt_err *err)
{
	KT_AUTOFREE char *found = ctx->server ? NULL : kt_dev_server_url();
	const struct kt_client_config cfg = {
		.url = ctx->server ? ctx->server : (found ? found : DEFAULT_URL),
		.api_key = kt_env_get("KARTA_API_KEY"),
		.timeout_ms = ctx->timeout_ms,
	};
	enum kt_code rc;

	rc = kt_client_new(&cfg, out, err);
	if (rc != KT_EINVAL || strstr(cfg.url, "://"))
		return rc;
	(void)kt_fail(err, KT_EINVAL, 0, "'%s' is not the address of a server", cfg.url);
	return kt_hint(err, "it begins with http:// or https://, as %s", DEFAULT_URL);
}

static void print(const struct kt_ctx *ctx, const char *text, size_t len, bool one_line)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(8 * TEXT_MAX_BYTES);

	if (!ctx->out.is_tty) {
		kt_out(text, len);
		return;
	}
	kt_clean_add(&b, text, len, one_line);
	kt_out(b.ptr, b.len);
}

void kt_remote_text(const struct kt_ctx *ctx, const char *text, size_t len)
{
	print(ctx, text, len, false);
}

void kt_remote_line(const struct kt_ctx *ctx, const char *text, size_t len)
{
	print(ctx, text, len, true);
	kt_out("\n", 1);
}

static void on_int(int signum)
{
	ints = ints + 1;
}

void kt_remote_catch_int(void)
{
	struct sigaction sa = { .sa_handler = on_int };

	ints = 0;
	(void)sigaction(SIGINT, &sa, NULL);
}

void kt_remote_die_by_int(void)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };

	(void)sigaction(SIGINT, &dfl, NULL);
	(void)raise(SIGINT);
	_exit(128 + SIGINT);
}

int kt_remote_ints(void)
{
	return ints;
}
