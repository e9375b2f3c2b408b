/* SPDX-License-Identifier: MIT */
/*
 * A harness application on disk: which harness it is for, its agents and skills, its karta.toml
 * and karta.jsonc. Reading only, but for kt_app_init(). Everything of a loaded application lives
 * in its arena.
 */
#ifndef KT_APP_APP_H
#define KT_APP_APP_H

#include "base/arena.h"
#include "base/err.h"
#include "base/limits.h"

#include <cjson/cJSON.h>

enum kt_harness_type {
	KT_HARNESS_CLAUDE, /* "claude-code" */
	KT_HARNESS_OPENCODE, /* "opencode": ACP with its quirks */
	KT_HARNESS_ACP, /* "acp": any agent given by [harness] command */
	KT_HARNESS_REHEARSAL, /* "rehearsal" */
};
/* "claude-code", "opencode", "acp", "rehearsal". */
const char *kt_harness_name(enum kt_harness_type type);
/* Parse a name; also "claude". False when unknown. */
KT_MUST_CHECK bool kt_harness_parse(const char *name, enum kt_harness_type *out);

/* All types that [harness] type of karta.toml takes, NULL-terminated. */
extern const char *const kt_harness_types[];
/*
 * One of kt_harness_types, or an alias of one, by name: the type itself and what runs it, acp for
 * those without a driver of their own. NULL when unknown.
 */
KT_MUST_CHECK const char *kt_harness_type_find(const char *name, enum kt_harness_type *out);

/* A harness that is run as an agent of the Agent Client Protocol, by a program that is known. */
struct kt_known_harness {
	const char *type; /* as [harness] type has it */
	const char *command[3]; /* NULL-terminated */
	const char *install; /* the line that installs the program */
};
/* The i-th of them, NULL behind the last. */
const struct kt_known_harness *kt_known_harness(size_t i);
/* By its type; NULL when it is none of them. */
const struct kt_known_harness *kt_known_harness_find(const char *type);

struct kt_agent {
	const char *name; /* routing key */
	const char *description; /* or NULL */
	const char *model; /* or NULL */
	const char *file; /* relative to the folder; absolute when it is not in there */
	bool primary; /* type primary / mode primary; auxiliary and sub-agents are not */
	bool answers; /* the harness lets a message be for it; else only other agents call it */
	bool is_default;
};

struct kt_skill {
	const char *name;
	const char *description; /* or NULL */
	const char *file;
};

/* A command that a message can begin with: "/name". Skills are no part of these. */
struct kt_command {
	const char *name;
	const char *description; /* or NULL */
	const char *file;
};

struct kt_env_decl {
	const char *name;
	bool required;
	const char *description; /* or NULL */
	const char *value; /* from .env in the folder, NULL when unbound there */
};

enum kt_severity { KT_NOTE, KT_WARNING, KT_ERROR };
/* One finding with its place; printed as "karta.toml:12:5: warning: unknown key 'naem'". */
struct kt_finding {
	enum kt_severity severity;
	const char *file; /* relative, or NULL */
	int line, col; /* 0 = no place */
	const char *text; /* what */
	const char *fix; /* what to do, or NULL */
	struct kt_finding *next;
};

enum kt_input_policy {
	KT_INPUT_PROMPT,
	KT_INPUT_DENY,
	KT_INPUT_APPROVE_ONCE,
	KT_INPUT_APPROVE_SESSION,
	KT_INPUT_ERROR,
};

struct kt_app {
	struct kt_arena *arena;
	const char *dir; /* absolute */
	const char *name; /* karta.toml name, else a slug of the folder's name */
	enum kt_harness_type harness;
	bool harness_declared; /* [harness] type was given */
	const char *harness_name; /* as declared ("codex-cli"), else kt_harness_name() */
	/* whose program runs it: no command was given; or NULL */
	const struct kt_known_harness *known;
	const char *harness_version; /* [harness] version, or NULL */
	char **harness_command; /* argv of an ACP agent: [harness] command, or that of `known` */
	const char *instructions; /* "CLAUDE.md" / "AGENTS.md", or NULL when there is none */
	struct kt_agent *agents;
	size_t n_agents;
	const char *default_agent; /* "default" when the harness has no named one */
	struct kt_skill *skills;
	size_t n_skills;
	struct kt_command *commands;
	size_t n_commands;
	struct kt_env_decl *env;
	size_t n_env;
	bool deploy; /* deploy = true */
	bool no_deploy; /* deploy = false was written: it stays home */
	struct kt_finding *findings; /* in order of file and line */
	size_t n_errors, n_warnings;
	/* karta.jsonc */
	const char **hidden_event_types; /* NULL-terminated, or NULL */
	/* cli.input_required_policy, or runtime.permission_mode */
	enum kt_input_policy input_policy;
	enum kt_input_policy input_hidden_policy;
	int64_t idle_timeout_ms; /* harness.claude.idle_timeout_seconds; default 600 s */
	int64_t approval_timeout_ms; /* runtime.approval_timeout_seconds; default KT_APPROVAL_MS */
	/* runtime.approval_default: DENY (default) or APPROVE_ONCE */
	enum kt_input_policy approval_default;
	int64_t thinking_budget_tokens; /* 0 = not set */
	const char *permission_mode; /* "interactive", "autonomous" or NULL */
	const char *profile_name, *profile_display_name; /* or NULL */
	/* runtime.event_retention_hours; default 24 h; 0 = running turn only */
	int64_t event_retention_ms;
	const char *model; /* [harness] model, or NULL */
	const char *buildpack; /* "python", or NULL */
	const char *starters[KT_MAX_STARTERS + 1]; /* NULL-terminated: messages to begin with */
	const char *setup; /* script that runs once in a workspace, from the folder on; or NULL */
};

struct kt_app_options {
	const char *harness; /* overrides detection, or NULL */
	const char *config; /* path of karta.jsonc, NULL = ./karta.jsonc */
	/*
	 * Its variables are bound by who hosts it: this process's own environment does not count,
	 * and one without a value is no finding.
	 */
	bool hosted;
};

/*
 * Load the application in dir. Findings (unknown keys, wrong types, bad front matter) are
 * collected, errors too: look at n_errors. *out is the caller's, kt_app_free(). Returns KT_OK,
 * KT_ENOTFOUND (no such folder, or no such opts->config), KT_EINVAL (opts->harness is no harness)
 * or KT_EIO.
 */
KT_MUST_CHECK enum kt_code kt_app_load(const char *dir, const struct kt_app_options *opts,
	struct kt_app **out, struct kt_err *err);
void kt_app_free(struct kt_app *app);
/* Agent by name, NULL when there is none. */
const struct kt_agent *kt_app_agent(const struct kt_app *app, const char *name);
/*
 * Fingerprint of the files that a harness reads at start (names, sizes, times of the instructions,
 * .claude/, .opencode/, karta.toml, karta.jsonc, .mcp.json, .env): changes when one is edited.
 */
uint64_t kt_app_fingerprint(const char *dir);
/* Append a finding as one line without LF: "karta.toml:12:5: warning: text". */
struct kt_buf;
void kt_finding_add(struct kt_buf *b, const struct kt_finding *f);
/* Append all findings of app, a line each, the fix indented on a line of its own. */
void kt_app_findings_add(struct kt_buf *b, const struct kt_app *app);
/* Write the findings of app as an array: severity, file, line, col, text, fix. */
struct kt_jw;
void kt_app_findings_json(struct kt_jw *w, const char *key, const struct kt_app *app);

/* What kt_app_init() did, for the command to tell. Strings in arena. */
struct kt_init_result {
	const char *name;
	const char **written; /* NULL-terminated: files made or changed, relative */
	const char **kept; /* NULL-terminated: files that were there already */
	const char **below; /* NULL-terminated: sub-folders that are applications; see below */
	bool starter; /* the support-bot starter was laid out */
};
/*
 * Make dir ready (creating it when missing): karta.toml with a name, .gitignore entries, and in an
 * empty folder the starter. Never overwrites; running twice changes nothing.
 * harness is a name or NULL (detected; claude-code for the starter). Without one, a folder that is
 * no application while some below it are gets no karta.toml: it would be one more of them.
 */
KT_MUST_CHECK enum kt_code kt_app_init(struct kt_arena *arena, const char *dir, const char *name,
	const char *harness, struct kt_init_result *out, struct kt_err *err);

/*
 * Files of the starter, embedded at build time from docs/examples/support-bot: path, bytes.
 * Defined by the embedded assets; ends with a NULL path.
 */
struct kt_asset {
	const char *path;
	const char *type; /* content type, or NULL */
	const unsigned char *data;
	size_t len;
	size_t unpacked; /* data is gzip, of so many bytes; 0: it is as it is */
};
/* Set once, unpacked, before kt_app_init() (lib/ does not know the binary's assets). */
void kt_app_set_starter(const struct kt_asset *files);

/* A harness program on this machine. */
struct kt_program {
	char path[4096]; /* "" when not found */
	char version[64]; /* "" when it did not say */
};
/*
 * Find the program of a harness: KARTA_CLAUDE / KARTA_OPENCODE, then PATH, then node_modules/.bin
 * of the folder. For KT_HARNESS_ACP the first word of its command. Does not run it, so
 * version stays "". KT_HARNESS_REHEARSAL needs no program: KT_OK with an empty path.
 * Returns KT_OK or KT_ENOTFOUND with a hint how to install it.
 */
KT_MUST_CHECK enum kt_code kt_app_program(
	const struct kt_app *app, struct kt_program *out, struct kt_err *err);

/*
 * The harness that the folder dir is for now, as kt_app_load() names it, without a look at the rest
 * of it (a few stats, and karta.toml); NULL: for none. OWNS the result.
 */
char *kt_app_harness_of(const char *dir);

/*
 * The variable with the model's credential that an application in dir needs, when none of names,
 * nor its own files, gives one; NULL: nothing is known to be missing. Reads small files.
 */
struct kt_map;
const char *kt_app_credential_missing(
	const char *harness, const char *dir, const struct kt_map *names);

#endif
