/* SPDX-License-Identifier: MIT */
/* Where the program of a harness is on this machine. Nothing is run. */
#include "app/app_private.h"

#include "base/env.h"
#include "base/fs.h"
#include "base/str.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#if defined(__aarch64__)
#define NPM_ARCH "arm64"
#else
#define NPM_ARCH "x64"
#endif

struct known {
	const char *name; /* on PATH */
	const char *env;
	const char *native; /* program itself in the package, which needs no Node.js to start */
	const char *hint;
};

static const struct known known_claude = {
	"claude",
	"KARTA_CLAUDE",
	"node_modules/@anthropic-ai/claude-code-linux-" NPM_ARCH "/claude",
	"install it with 'npm install -g @anthropic-ai/claude-code'",
};

static const struct known known_opencode = {
	"opencode",
	"KARTA_OPENCODE",
	"node_modules/opencode-linux-" NPM_ARCH "/bin/opencode",
	"install it with 'npm install -g opencode-ai'",
};

/* Absolute, since the harness is started in the application's folder. */
static enum kt_code take_program(const char *path, struct kt_program *out, struct kt_err *err)
{
	KT_AUTOFREE char *real = NULL;
	struct kt_program p = { 0 };

	if (path[0] && path[0] != '/' && kt_path_real(path, &real, NULL) == KT_OK)
		path = real;
	if (!kt_str_copy(p.path, sizeof(p.path), path))
		return kt_fail(err, KT_ENOTFOUND, 0, "the path of a program is too long");
	*out = p;
	return KT_OK;
}

static enum kt_code find_known(
	const struct kt_app *app, const struct known *k, struct kt_program *out, struct kt_err *err)
{
	const char *set = kt_env_get(k->env);
	KT_AUTOFREE char *found = NULL;
	KT_AUTOFREE char *native = kt_path_join(app->dir, k->native);
	KT_AUTOFREE char *bin = kt_asprintf("%s/node_modules/.bin/%s", app->dir, k->name);

	if (set) {
		found = kt_fs_which(set);
		if (found)
			return take_program(found, out, err);
		(void)kt_fail(
			err, KT_ENOTFOUND, 0, "%s names '%s', which is no program", k->env, set);
		(void)kt_hint(err, "correct or unset %s", k->env);
		return KT_ENOTFOUND;
	}
	found = kt_fs_which(k->name);
	if (found)
		return take_program(found, out, err);
	if (kt_fs_is_program(native))
		return take_program(native, out, err);
	if (kt_fs_is_program(bin))
		return take_program(bin, out, err);
	(void)kt_fail(err, KT_ENOTFOUND, 0, "cannot find the program '%s'", k->name);
	(void)kt_hint(err, "%s", k->hint);
	return KT_ENOTFOUND;
}

static enum kt_code find_program_command(
	const struct kt_app *app, struct kt_program *out, struct kt_err *err)
{
	const char *word = app->harness_command ? app->harness_command[0] : NULL;
	KT_AUTOFREE char *found = NULL;
	KT_AUTOFREE char *bin = NULL;

	if (!word) {
		(void)kt_fail(err, KT_ENOTFOUND, 0, "no program is given for the harness 'acp'");
		(void)kt_hint(err, "add command = [\"program\"] to [harness] in karta.toml");
		return KT_ENOTFOUND;
	}
	if (strchr(word, '/')) {
		/*
		 * As written in the folder's own file, so from the folder, not from where we stand.
		 */
		bin = kt_path_join(app->dir, word);
	} else {
		found = kt_fs_which(word);
		if (found)
			return take_program(found, out, err);
		bin = kt_asprintf("%s/node_modules/.bin/%s", app->dir, word);
	}
	if (kt_fs_is_program(bin))
		return take_program(bin, out, err);
	(void)kt_fail(err, KT_ENOTFOUND, 0, "cannot find the program '%s'", word);
	if (app->known)
		(void)kt_hint(err, "install it: %s", app->known->install);
	else
		(void)kt_hint(err, "install it, or correct [harness] command in karta.toml");
	return KT_ENOTFOUND;
}

enum kt_code kt_app_program(const struct kt_app *app, struct kt_program *out, struct kt_err *err)
{
	switch (app->harness) {
	case KT_HARNESS_CLAUDE:
		return find_known(app, &known_claude, out, err);
	case KT_HARNESS_OPENCODE:
		return find_known(app, &known_opencode, out, err);
	case KT_HARNESS_ACP:
		return find_program_command(app, out, err);
	case KT_HARNESS_REHEARSAL:
		break;
	}
	return take_program("", out, err);
}
