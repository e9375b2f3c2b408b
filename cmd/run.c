/* SPDX-License-Identifier: MIT */
/*
 * karta run: the agent of a folder once, from the shell. The engine of `karta dev` serves the
 * folder on a private socket while `karta send` talks to it: what send prints, asks and exits with
 * is what this does.
 */
#include "cmd/cmd.h"

#include "base/env.h"
#include "base/str.h"
#include "cmd/dev.h"
#include "session/session.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern const struct kt_cmd kt_cmd_run;

struct run_args {
	const char *text;
	const char *agent;
	const char *mode;
	const char *approve;
	bool thinking;
	bool stream;
	struct kt_dev_args dev;
};

static const char *const approve_words[] = { "once", "session", "deny", NULL };

static const struct kt_opt opts[] = {
	KT_OPT_STR_('a', "agent", struct run_args, agent, "NAME", "agent to answer"),
	KT_OPT_CHOICE_(0, "approve", struct run_args, approve, "ANSWER", approve_words,
		"answer to every approval"),
	KT_OPT_STR_(
		0, "permission-mode", struct run_args, mode, "MODE", "what the harness asks for"),
	KT_OPT_FLAG_(0, "thinking", struct run_args, thinking, "ask for the reasoning and show it"),
	KT_OPT_FLAG_(0, "stream", struct run_args, stream, "print the events, one JSON line each"),
	{ KT_OPT_T_STR, 0, "dir", "DIR", offsetof(struct run_args, dev.dir),
		"folder of the application (default: .)", KT_OPT_DIR },
	KT_OPT_CHOICE_(0, "harness", struct run_args, dev.harness, "NAME", kt_harness_types,
		"harness to use, whatever the folder says"),
	{ KT_OPT_T_STR, 0, "harness-program", "FILE", offsetof(struct run_args, dev.program),
		"program of the harness, instead of the one on PATH", KT_OPT_FILE },
	{ KT_OPT_T_STR, 0, "config", "FILE", offsetof(struct run_args, dev.config),
		"settings (default: karta.jsonc)", KT_OPT_FILE },
	KT_OPT_FLAG_(0, "offline", struct run_args, dev.offline,
		"replay rehearsals/ instead of running the harness"),
	KT_OPT_STR_(0, "speed", struct run_args, dev.speed, "FACTOR",
		"speed of rehearsals: 1 as recorded, 0 at once (default: 1)"),
	KT_OPT_STR_(0, "user", struct run_args, dev.user, "ID", "user_id of the session"),
	KT_OPT_FLAG_(0, "trust", struct run_args, dev.trust,
		"let the folder's own settings allow things without asking"),
	KT_OPT_ARG_("text", struct run_args, text, 0, "the message; - reads standard input"),
	KT_OPT_END,
};

static void push_run_word(struct kt_vec *v, const char *word)
{
	kt_vec_push(v, (void *)(uintptr_t)word);
}

static void push_option(struct kt_vec *v, const char *name, const char *value)
{
	if (!value)
		return;
	push_run_word(v, name);
	push_run_word(v, value);
}

static void push_flag(struct kt_vec *v, const char *name, bool on)
{
	if (on)
		push_run_word(v, name);
}

/* The words of `karta send` that these are. timeout is in the units that options take. */
static void send_words(
	const struct kt_ctx *ctx, const struct run_args *a, const char *timeout, struct kt_vec *v)
{
	push_run_word(v, "karta");
	push_run_word(v, "send");
	push_run_word(v, "--once");
	if (ctx->out.color != ctx->out.is_tty)
		push_option(v, "--color", ctx->out.color ? "always" : "never");
	push_flag(v, "--json", ctx->json);
	push_flag(v, "--quiet", ctx->quiet);
	push_flag(v, "--no-input", ctx->no_input);
	push_flag(v, "--debug", ctx->debug);
	push_option(v, "--timeout", timeout);
	push_option(v, "--agent", a->agent);
	push_option(v, "--approve", a->approve);
	push_option(v, "--permission-mode", a->mode);
	push_flag(v, "--thinking", a->thinking);
	push_flag(v, "--stream", a->stream);
	push_run_word(v, "--");
	if (a->text)
		push_run_word(v, a->text);
}

/* A project on a server is not what runs here. */
static enum kt_code refuse_elsewhere(const struct kt_ctx *ctx, struct kt_err *err)
{
	bool project = ctx->project && ctx->project != kt_env_get("KARTA_PROJECT");
	bool server = ctx->server && ctx->server != kt_env_get("KARTA_SERVER");

	if (!project && !server)
		return KT_OK;
	(void)kt_fail(
		err, KT_EINVAL, 0, "karta run runs the folder it is in, no project of a server");
	return kt_hint(err, "karta send%s%s \"...\" talks to that", project ? " -p " : "",
		project ? ctx->project : "");
}

/* The environment names a server or project, which other commands would talk to. */
static void tell_run_place(const struct kt_ctx *ctx)
{
	if (ctx->errt.is_tty && !ctx->json && (ctx->server || ctx->project))
		kt_say(ctx, "this folder, here (%s is not used)",
			ctx->server ? "KARTA_SERVER" : "KARTA_PROJECT");
}

static enum kt_code run_run(struct kt_ctx *ctx, const void *args, struct kt_err *err)
{
	const struct run_args *a = args;
	struct kt_vec words = KT_VEC_INIT;
	char timeout[32];
	int status = 0;
	enum kt_code rc = refuse_elsewhere(ctx, err);

	if (rc != KT_OK)
		return rc;
	if (!a->text && isatty(STDIN_FILENO)) {
		(void)kt_fail(err, KT_EINVAL, 0, "no message for the agent");
		return kt_hint(err, "karta run \"...\", or karta run - to read standard input");
	}
	tell_run_place(ctx);
	snprintf(timeout, sizeof(timeout), "%lldms", (long long)ctx->timeout_ms);
	send_words(ctx, a, ctx->timeout_ms ? timeout : NULL, &words);
	rc = kt_dev_once(ctx, &a->dev, &words, &status, err);
	kt_vec_release(&words);
	/* It has said what there is to say. */
	if (rc == KT_OK && status)
		exit(status);
	return rc;
}

const struct kt_cmd kt_cmd_run = {
	.name = "run",
	.summary = "run the agent of this folder once: a message, its answer",
	.group = KT_GROUP_START,
	.opts = opts,
	.args_size = sizeof(struct run_args),
	.run = run_run,
	.examples = "karta run \"Which files are here?\"\n"
		    "git diff | karta run - --agent reviewer --approve deny\n"
		    "karta run --json \"Summarize today's orders\" | jq -r .text\n",
};
