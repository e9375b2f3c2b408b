/* SPDX-License-Identifier: MIT */
/*
 * Inside of lib/app only: what the readers of the harnesses' files share while agents, skills and
 * commands are looked for. Paths are absolute here; what is shown is relative to the folder where
 * the file is in it.
 */
#ifndef KT_APP_DISCOVER_PRIVATE_H
#define KT_APP_DISCOVER_PRIVATE_H

#include "app/app_private.h"

#include "base/buf.h"
#include "base/map.h"
#include "base/vec.h"
#include "text/frontmatter.h"

struct kt_discovery {
	struct kt_load *ld;
	size_t agents_cap, skills_cap, commands_cap;
	size_t visits;
	bool full; /* a maximum was passed and noted */
	const char *default_agent; /* configured, or NULL */
	const char *default_file; /* where */
	struct kt_map seen; /* files and folders that links reach twice, by device and inode */
};

/* --- found.c ----------------------------------------------------------------------------- */

/* The path relative to the folder when it is in there, else as it is. The caller's. */
KT_MUST_CHECK char *kt_discover_shown(const struct kt_discovery *d, const char *path);
/* A warning about a file (absolute path), with the place of why when that is not NULL. */
void kt_discover_warn(struct kt_discovery *d, const char *path, const struct kt_err *why,
	const char *fix, const char *fmt, ...) KT_PRINTF(5, 6);
/*
 * The agent of this name, made when there is none: an agent of a later file replaces it. NULL when
 * there are too many.
 */
struct kt_agent *kt_discover_agent(struct kt_discovery *d, const char *name, const char *path);
/* As kt_discover_agent() for skills and commands, of which the first counts: NULL for others. */
struct kt_skill *kt_discover_skill(struct kt_discovery *d, const char *name, const char *path);
struct kt_command *kt_discover_command(struct kt_discovery *d, const char *name, const char *path);
/* A text of the front matter in the arena; NULL when it is none or empty. */
const char *kt_discover_text(struct kt_discovery *d, const cJSON *obj, const char *key);

/* --- walk.c ------------------------------------------------------------------------------ */

/* One Markdown file; below is its path under the folder that is walked. */
typedef void (*kt_markdown_fn)(void *arg, const char *path, const char *below);

/* How a folder is walked. */
struct kt_walk {
	bool once; /* leave out folders that were seen before; else links are followed to the end */
	bool no_hidden; /* leave out what begins with a dot */
	const char *only; /* name of the files, NULL for all of Markdown */
	kt_markdown_fn fn;
	void *arg;
};
/*
 * Call fn for every file below dir, in the order in which the file system lists them: the harnesses
 * do not sort either.
 */
void kt_walk_markdown(struct kt_discovery *d, const char *dir, const struct kt_walk *how);
/* Names in a folder, sorted; false when it cannot be listed. End with kt_fs_names_free(). */
bool kt_walk_list(struct kt_discovery *d, const char *dir, char ***out, size_t *n);
/* True when the file or folder was not seen yet, through whatever link; marks it as seen. */
bool kt_walk_first(struct kt_discovery *d, const char *path);
/*
 * Read the front matter of a file of at most max_bytes (0: any size, as far as it is looked at).
 * False with a finding when it cannot be read.
 */
bool kt_walk_front(struct kt_discovery *d, const char *path, size_t max_bytes,
	enum kt_yaml_reader reader, struct kt_frontmatter *out);
/* Folders from dir up to the root of its repository, nearest first; arena strings. */
void kt_walk_up(struct kt_discovery *d, bool stop_at_home, struct kt_vec *out);
/* Read a file of the harness as a JSON object; NULL when it is missing or none. The caller's. */
KT_MUST_CHECK cJSON *kt_walk_json(const struct kt_discovery *d, const char *path);
/*
 * False when a hosted folder's file or folder is outside of it, by whatever link: a push must not
 * show what is on the server.
 */
bool kt_walk_inside(const struct kt_discovery *d, const char *path);

/* --- one file a harness ------------------------------------------------------------------ */

void kt_discover_claude(struct kt_discovery *d);
void kt_discover_opencode(struct kt_discovery *d);

/* --- claude_plugin.c --------------------------------------------------------------------- */

/* A plugin: a folder with agents, skills and commands that are called by its name. */
struct kt_plugin {
	const char *name, *dir;
};
/* The plugins that Claude Code loads for the folder; structures in the arena. */
void kt_claude_plugins(struct kt_discovery *d, struct kt_vec *out);
/* Claude Code's own folder of the user; NULL when hosted or unknown. The caller's. */
KT_MUST_CHECK char *kt_claude_home(const struct kt_discovery *d);
/* Settings of the project, the strongest first; objects, the caller's to delete. */
void kt_claude_settings(const struct kt_discovery *d, struct kt_vec *out);

/* --- opencode_check.c -------------------------------------------------------------------- */

/*
 * Whether OpenCode takes the object as an agent (or as a command): an error, with the place, when
 * it does not, since then it does not start.
 */
bool kt_opencode_check_agent(struct kt_discovery *d, const char *path, const cJSON *agent);
bool kt_opencode_check_command(struct kt_discovery *d, const char *path, const cJSON *command);
/* Whether it is a mode: one that is wrong is left out by OpenCode, which is a warning. */
bool kt_opencode_check_mode(struct kt_discovery *d, const char *path, const cJSON *mode);
/* The same for a whole configuration, as far as its settings are known here. */
bool kt_opencode_check_config(struct kt_discovery *d, const char *path, const cJSON *config);

#endif
