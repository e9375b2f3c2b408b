/* SPDX-License-Identifier: MIT */
/*
 * The names of harnesses. Those without a driver of their own: what in each of them speaks the
 * Agent Client Protocol, and the line that installs it. `[harness] command` in karta.toml comes
 * before it.
 */
#include "app/app_private.h"

#include "base/buf.h"
#include "base/str.h"

static const char *const harness_names[] = {
	[KT_HARNESS_CLAUDE] = "claude-code",
	[KT_HARNESS_OPENCODE] = "opencode",
	[KT_HARNESS_ACP] = "acp",
	[KT_HARNESS_REHEARSAL] = "rehearsal",
};

const char *kt_harness_name(enum kt_harness_type type)
{
	return harness_names[type];
}

bool kt_harness_parse(const char *name, enum kt_harness_type *out)
{
	if (kt_str_eq(name, "claude")) {
		*out = KT_HARNESS_CLAUDE;
		return true;
	}
	for (size_t i = 0; i < KT_ARRAY_LEN(harness_names); i++) {
		if (kt_str_eq(name, harness_names[i])) {
			*out = (enum kt_harness_type)i;
			return true;
		}
	}
	return false;
}

const char *const kt_harness_types[] = { "claude-code", "opencode", "acp", "rehearsal", "codex-cli",
	"deepagents", "goose", NULL };

/* To add one: a line here, its type above, a row in docs/harnesses.md. */
static const struct kt_known_harness known[] = {
	{ "codex-cli", { "codex-acp" }, "npm install -g @zed-industries/codex-acp" },
	{ "deepagents", { "deepagents-acp" }, "npm install -g deepagents-acp" },
	{ "goose", { "goose", "acp" },
		"curl -fsSL "
		"https://github.com/block/goose/releases/download/stable/download_cli.sh | bash" },
};

const struct kt_known_harness *kt_known_harness(size_t i)
{
	return i < KT_ARRAY_LEN(known) ? &known[i] : NULL;
}

const struct kt_known_harness *kt_known_harness_find(const char *type)
{
	for (size_t i = 0; i < KT_ARRAY_LEN(known); i++) {
		if (kt_str_eq(known[i].type, type))
			return &known[i];
	}
	return NULL;
}

const char *kt_harness_type_find(const char *name, enum kt_harness_type *out)
{
	const struct kt_known_harness *k = kt_known_harness_find(name);

	if (!k)
		return kt_harness_parse(name, out) ? kt_harness_name(*out) : NULL;
	*out = KT_HARNESS_ACP;
	return k->type;
}

enum kt_code kt_app_no_harness(const char *name, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf list = KT_BUF_INIT(300);

	for (size_t i = 0; kt_harness_types[i]; i++)
		kt_buf_addf(&list, "%s%s", i ? ", " : "", kt_harness_types[i]);
	(void)kt_fail(err, KT_EINVAL, 0, "no such harness: '%s'", name);
	return kt_hint(err, "use one of %s", list.ptr);
}
