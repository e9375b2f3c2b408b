/* SPDX-License-Identifier: MIT */
/*
 * Inside of lib/app only: the state of one load, and what its steps offer each other. Each step
 * reads files and fills the application; what is wrong becomes a finding, never a failure.
 */
#ifndef KT_APP_APP_PRIVATE_H
#define KT_APP_APP_PRIVATE_H

#include "app/app.h"
#include "text/toml.h"

#define KT_APP_MAX_FINDINGS 200 /* more are no help to a reader */
#define KT_APP_MAX_ITEMS 1000 /* agents, skills or variables: ten times the largest seen */
#define KT_APP_MAX_DEPTH 48 /* folders below .claude/agents; links in a loop end at 40 */
#define KT_APP_MAX_VISITS 10000 /* entries looked at below .claude or .opencode */

enum kt_settings_file { KT_SETTINGS_TOML, KT_SETTINGS_JSONC };

/* One load. Borrows the application it fills. */
struct kt_load {
	struct kt_app *app;
	const struct kt_toml *toml; /* karta.toml, an empty table when missing or broken */
	const struct kt_toml *jsonc; /* karta.jsonc in the same shape */
	bool hosted; /* as in struct kt_app_options */
	bool have_layout; /* layout is known */
	enum kt_harness_type layout; /* whose files are read; the rehearsal has none of its own */
	size_t n_findings;
};

/* Add a finding in its place in the list (file, line, column); fix may be NULL. */
void kt_load_note(struct kt_load *ld, enum kt_severity severity, const char *file, int line,
	int col, const char *fix, const char *fmt, ...) KT_PRINTF(7, 8);
/* As kt_load_note() for a message of a reader, "line:column: what"; the place is taken from it. */
void kt_load_note_err(struct kt_load *ld, enum kt_severity severity, const char *file,
	const char *fix, const struct kt_err *err);

/* --- the table of settings (settings.c) -------------------------------------------------- */

enum kt_setting_type {
	KT_SET_STRING,
	KT_SET_SLUG, /* string in the grammar of names */
	KT_SET_SHA256, /* string of 64 hexadecimal digits */
	KT_SET_BOOL,
	KT_SET_INT,
	KT_SET_CHOICE, /* string, one of choices */
	KT_SET_STRINGS, /* array of strings */
	KT_SET_CHOICES, /* array of strings, each one of choices */
	KT_SET_COMMAND, /* array of strings that is not empty, or one string */
};
/*
 * One key. In path, "*" stands for any name and "x[]" for each table of the array x. Tables need no
 * entry of their own: they are the beginnings of paths. What a key is for says its manual page.
 */
struct kt_setting {
	enum kt_settings_file file;
	const char *path;
	enum kt_setting_type type;
	const char *unit; /* of integers, as the manual says it; or NULL */
	const char *dflt; /* text as one writes it, or NULL */
	int64_t min, max; /* of KT_SET_INT; INT64_MAX = none */
	const char *const *choices; /* up to NULL; or NULL */
};
extern const struct kt_setting kt_settings[];
extern const size_t kt_n_settings;

/*
 * Check a whole file against the settings table: unknown keys are warnings, wrong types and values
 * errors. text is the file as JSONC, for places; NULL for TOML, whose nodes know theirs.
 */
void kt_settings_check(struct kt_load *ld, enum kt_settings_file which, const char *file,
	const struct kt_toml *root, const char *text, size_t len);
/* Value of a key of the table, NULL when it is absent or was reported as wrong. */
const struct kt_toml *kt_settings_get(
	enum kt_settings_file which, const struct kt_toml *root, const char *path);
/* As kt_settings_get() for strings. */
const char *kt_settings_str(
	enum kt_settings_file which, const struct kt_toml *root, const char *path);
/* As kt_settings_get() for integers; the table's default when absent. */
int64_t kt_settings_int(enum kt_settings_file which, const struct kt_toml *root, const char *path);

/*
 * Read karta.toml and karta.jsonc (config or NULL) into the load and the application.
 * Returns KT_OK or KT_ENOTFOUND (config is not there).
 */
KT_MUST_CHECK enum kt_code kt_load_settings(
	struct kt_load *ld, const char *config, struct kt_err *err);
/* Decide the harness: override and its type (valid, or both NULL), declaration, files. */
void kt_load_detect(
	struct kt_load *ld, const char *override_type, const enum kt_harness_type *override);
/* KT_EINVAL with the types that there are. */
enum kt_code kt_app_no_harness(const char *name, struct kt_err *err);
/* Read the declarations of [env] and the values of .env. */
void kt_load_env(struct kt_load *ld);
/* Find instructions, agents and skills, and decide the default agent. */
void kt_load_discover(struct kt_load *ld);
/* Guess the harness from the files of a folder; false when there are none. */
KT_MUST_CHECK bool kt_app_guess(const char *dir, enum kt_harness_type *out);

/* True when dir/name is a regular file / a folder. */
bool kt_app_has_file(const char *dir, const char *name);
bool kt_app_has_dir(const char *dir, const char *name);

#endif
