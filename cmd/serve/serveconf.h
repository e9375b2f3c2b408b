/* SPDX-License-Identifier: MIT */
/*
 * Settings of `karta serve`: one table of names, types, defaults and limits, filled from the
 * command line, the environment (KARTA_NAME), a TOML file and the defaults, in this order of
 * precedence.
 */
#ifndef KT_CMD_SERVE_SERVECONF_H
#define KT_CMD_SERVE_SERVECONF_H

#include "base/arena.h"
#include "base/err.h"
#include "cli/term.h"

struct kt_serve_conf {
	const char *listen; /* "127.0.0.1:8000" */
	const char *data; /* folder */
	const char *public_url; /* or NULL */
	const char *trust_proxy; /* for kt_trust_new(); NULL = no proxy is trusted */
	bool offline;
	bool require_keys;
	const char *harness_program; /* or NULL */
	const char *github_url; /* or NULL */
	const char *private_hosts; /* or NULL */
	const char *log_level;
	const char *log_format; /* "text", "json" or "auto" */
	int64_t drain_ms;
	int64_t preview_ms;
	int64_t release_retention_ms;
	int64_t log_retention_ms;
	int64_t max_log_bytes;
	int64_t max_archive_bytes;
	int64_t max_release_bytes;
	int64_t max_release_files;
	int64_t max_file_bytes;
};

/* Where a value came from: "flag", "KARTA_LISTEN", "/etc/karta/serve.toml:3" or "default". */
struct kt_serve_origin {
	const char *text;
};

/* A value given on the command line. */
struct kt_serve_flag {
	const char *name; /* of the setting */
	const char *value; /* NULL: not given */
};

struct kt_serve_settings {
	struct kt_arena *arena;
	struct kt_serve_conf conf;
	const char *file; /* that was read, or NULL */
	struct kt_serve_origin *origins; /* one for each setting, in the table's order */
};

/*
 * Read all sources. file: NULL for KARTA_SERVE_CONFIG, else serve.toml of the configuration folder,
 * else /etc/karta/serve.toml, each only when it is there. flags ends with a NULL name.
 * Returns KT_OK, KT_EINVAL (names the place), KT_ENOTFOUND (a file that was named) or KT_EIO.
 */
KT_MUST_CHECK enum kt_code kt_serve_settings_load(const struct kt_serve_flag *flags,
	const char *file, struct kt_serve_settings **out, struct kt_err *err);
void kt_serve_settings_free(struct kt_serve_settings *s); /* NULL is fine */
/*
 * The data folder that `karta serve` would use: the given one (or NULL), else that of the settings.
 * *out is the caller's. Returns as kt_serve_settings_load().
 */
KT_MUST_CHECK enum kt_code kt_serve_data_dir(const char *given, char **out, struct kt_err *err);
/* Print every setting with its value and origin. */
void kt_serve_settings_print(const struct kt_serve_settings *s, bool json);

#endif
