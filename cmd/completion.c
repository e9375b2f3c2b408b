/* SPDX-License-Identifier: MIT */
/* `karta completion SHELL`: the completion script of a shell, made from the command table. */
#include "cmd/cmd.h"

#include "base/buf.h"
#include "cli/help.h"

#define SCRIPT_MAX_BYTES ((size_t)1024 * 1024)

extern const struct kt_cmd kt_cmd_completion;

struct completion_args {
	const char *shell;
};

static const char *const shells[] = { "bash", "zsh", "fish", NULL };

static const struct kt_opt completion_opts[] = {
	{ KT_OPT_T_ARG, 0, "shell", "shell", offsetof(struct completion_args, shell), "the shell",
		KT_OPT_REQUIRED, 0, 0, shells },
	KT_OPT_END,
};

static enum kt_code cmd_completion(struct kt_ctx *ctx, const void *arg, struct kt_err *err)
{
	const struct completion_args *args = arg;
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(SCRIPT_MAX_BYTES);
	enum kt_code rc = kt_help_completion(
		&b, args->shell, ctx->prog, kt_commands, kt_global_opts, err);

	if (rc == KT_OK)
		kt_out_text(ctx, b.ptr);
	return rc;
}

const struct kt_cmd kt_cmd_completion = {
	.name = "completion",
	.summary = "print the completion script of a shell",
	.group = KT_GROUP_OTHER,
	.opts = completion_opts,
	.args_size = sizeof(struct completion_args),
	.run = cmd_completion,
	.examples = "source <(karta completion bash)\n"
		    "karta completion zsh > ~/.zfunc/_karta\n"
		    "karta completion fish > ~/.config/fish/completions/karta.fish\n",
};
