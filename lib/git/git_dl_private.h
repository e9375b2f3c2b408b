/* SPDX-License-Identifier: MIT */
/*
 * libgit2's functions, loaded on first use (base/dl.h): of this module only. A function is called
 * as `kt_git->tree_lookup()`: its name without "git_". libgit2 1.5 to 1.9.
 */
#ifndef KT_GIT_GIT_DL_PRIVATE_H
#define KT_GIT_GIT_DL_PRIVATE_H

#include "base/err.h"

#include <git2/buffer.h>
#include <git2/commit.h>
#include <git2/common.h>
#include <git2/config.h>
#include <git2/errors.h>
#include <git2/global.h>
#include <git2/graph.h>
#include <git2/ignore.h>
#include <git2/object.h>
#include <git2/odb.h>
#include <git2/oid.h>
#include <git2/refs.h>
#include <git2/remote.h>
#include <git2/repository.h>
#include <git2/revparse.h>
#include <git2/status.h>
#include <git2/tree.h>
#include <git2/version.h>

#define KT_OID_BYTES 20

struct kt_git_dl {
	__typeof__(git_libgit2_init) *libgit2_init;
	__typeof__(git_libgit2_opts) *libgit2_opts;
	__typeof__(git_error_last) *error_last;
	__typeof__(git_repository_open_ext) *repository_open_ext;
	__typeof__(git_repository_free) *repository_free;
	__typeof__(git_repository_path) *repository_path;
	__typeof__(git_repository_commondir) *repository_commondir;
	__typeof__(git_repository_workdir) *repository_workdir;
	__typeof__(git_repository_head) *repository_head;
	__typeof__(git_repository_head_detached) *repository_head_detached;
	__typeof__(git_repository_is_shallow) *repository_is_shallow;
	__typeof__(git_repository_odb) *repository_odb;
	__typeof__(git_repository_index) *repository_index;
	__typeof__(git_reference_lookup) *reference_lookup;
	__typeof__(git_reference_free) *reference_free;
	__typeof__(git_reference_target) *reference_target;
	__typeof__(git_reference_symbolic_target) *reference_symbolic_target;
	__typeof__(git_reference_shorthand) *reference_shorthand;
	__typeof__(git_revparse_single) *revparse_single;
	__typeof__(git_object_peel) *object_peel;
	__typeof__(git_object_free) *object_free;
	__typeof__(git_object_id) *object_id;
	__typeof__(git_graph_descendant_of) *graph_descendant_of;
	__typeof__(git_commit_tree) *commit_tree;
	__typeof__(git_commit_summary) *commit_summary;
	__typeof__(git_tree_lookup) *tree_lookup;
	__typeof__(git_tree_free) *tree_free;
	__typeof__(git_tree_entrycount) *tree_entrycount;
	__typeof__(git_tree_entry_byindex) *tree_entry_byindex;
	__typeof__(git_tree_entry_byname) *tree_entry_byname;
	__typeof__(git_tree_entry_name) *tree_entry_name;
	__typeof__(git_tree_entry_id) *tree_entry_id;
	__typeof__(git_tree_entry_bypath) *tree_entry_bypath;
	__typeof__(git_tree_entry_free) *tree_entry_free;
	__typeof__(git_tree_entry_filemode_raw) *tree_entry_filemode_raw;
	__typeof__(git_odb_open) *odb_open;
	__typeof__(git_odb_free) *odb_free;
	__typeof__(git_odb_read) *odb_read;
	__typeof__(git_odb_read_header) *odb_read_header;
	__typeof__(git_odb_object_data) *odb_object_data;
	__typeof__(git_odb_object_size) *odb_object_size;
	__typeof__(git_odb_object_type) *odb_object_type;
	__typeof__(git_odb_object_dup) *odb_object_dup;
	__typeof__(git_odb_object_free) *odb_object_free;
	__typeof__(git_oid_tostr) *oid_tostr;
	__typeof__(git_ignore_path_is_ignored) *ignore_path_is_ignored;
	/* Not by <git2/index.h>: a member there has the name of a function that is banned here. */
	void (*index_free)(git_index *index);
	const void *(*index_get_bypath)(git_index *index, const char *path, int stage);
	int (*index_find_prefix)(size_t *at, git_index *index, const char *prefix);
	__typeof__(git_status_foreach_ext) *status_foreach_ext;
	__typeof__(git_remote_name_is_valid) *remote_name_is_valid;
	__typeof__(git_repository_config) *repository_config;
	__typeof__(git_config_free) *config_free;
	__typeof__(git_config_get_string_buf) *config_get_string_buf;
	__typeof__(git_config_set_string) *config_set_string;
	__typeof__(git_buf_dispose) *buf_dispose;
};

/* The table; its slots are filled when kt_git_load() has returned KT_OK. */
extern const struct kt_git_dl *const kt_git;

/* Load and start libgit2. Thread-safe, cheap after the first call. Returns KT_OK or KT_EIO. */
KT_MUST_CHECK enum kt_code kt_git_load(struct kt_err *err);

/* Fill err with `fmt` and what libgit2 says of its last error in this thread; returns rc. */
enum kt_code kt_git_fail(struct kt_err *err, enum kt_code rc, const char *fmt, ...) KT_PRINTF(3, 4);

#endif
