/* SPDX-License-Identifier: MIT */
/* The only file that knows libgit2's soname, its symbols and its settings. */
#include "git/git_dl_private.h"

#include "base/buf.h"
#include "base/dl.h"

#include <pthread.h>
#include <stdarg.h>

static struct kt_git_dl table; /* written once, guarded by load_once */
const struct kt_git_dl *const kt_git = &table;

static pthread_once_t load_once = PTHREAD_ONCE_INIT;
static struct kt_err load_error; /* of the one attempt; guarded by load_once */

#define SYM(name)                                                                                  \
	{                                                                                          \
		(void **)&table.name, "git_" #name                                                 \
	}

/* Errors of these are no errors: an older or newer libgit2 then keeps its own setting. */
static void set_git_options(void)
{
	/*
	 * What a repository may say of itself without being another format. Refused stay
	 * objectformat=sha256 and refstorage=reftable, which libgit2 cannot read.
	 */
	static const char *const extensions[] = { "noop", "partialclone", "preciousobjects",
		"worktreeconfig", "relativeworktrees" };
	(void)table.libgit2_opts(GIT_OPT_SET_EXTENSIONS, extensions, KT_ARRAY_LEN(extensions));
	/*
	 * As git: packs are checked when they come, not at each reading (SHA-1 is the slow part).
	 */
	(void)table.libgit2_opts(GIT_OPT_ENABLE_STRICT_HASH_VERIFICATION, 0);
}

static void load_libgit2(void)
{
	static const char *const sonames[] = { KT_SO_GIT2, NULL };
	static const struct kt_dl_symbol symbols[] = {
		SYM(libgit2_init),
		SYM(libgit2_opts),
		SYM(error_last),
		SYM(repository_open_ext),
		SYM(repository_free),
		SYM(repository_path),
		SYM(repository_commondir),
		SYM(repository_workdir),
		SYM(repository_head),
		SYM(repository_head_detached),
		SYM(repository_is_shallow),
		SYM(repository_odb),
		SYM(repository_index),
		SYM(reference_lookup),
		SYM(reference_free),
		SYM(reference_target),
		SYM(reference_symbolic_target),
		SYM(reference_shorthand),
		SYM(revparse_single),
		SYM(object_peel),
		SYM(object_free),
		SYM(object_id),
		SYM(graph_descendant_of),
		SYM(commit_tree),
		SYM(commit_summary),
		SYM(tree_lookup),
		SYM(tree_free),
		SYM(tree_entrycount),
		SYM(tree_entry_byindex),
		SYM(tree_entry_byname),
		SYM(tree_entry_name),
		SYM(tree_entry_id),
		SYM(tree_entry_bypath),
		SYM(tree_entry_free),
		SYM(tree_entry_filemode_raw),
		SYM(odb_open),
		SYM(odb_free),
		SYM(odb_read),
		SYM(odb_read_header),
		SYM(odb_object_data),
		SYM(odb_object_size),
		SYM(odb_object_type),
		SYM(odb_object_dup),
		SYM(odb_object_free),
		SYM(oid_tostr),
		SYM(ignore_path_is_ignored),
		SYM(index_free),
		SYM(index_get_bypath),
		SYM(index_find_prefix),
		SYM(status_foreach_ext),
		SYM(remote_name_is_valid),
		SYM(repository_config),
		SYM(config_free),
		SYM(config_get_string_buf),
		SYM(config_set_string),
		SYM(buf_dispose),
	};
	if (kt_dl_load(sonames, symbols, KT_ARRAY_LEN(symbols), "libgit2", &load_error) != KT_OK)
		return;
	if (table.libgit2_init() < 0) {
		(void)kt_git_fail(&load_error, KT_EIO, "cannot start libgit2");
		return;
	}
	set_git_options();
}

enum kt_code kt_git_load(struct kt_err *err)
{
	(void)pthread_once(&load_once, load_libgit2);
	if (load_error.code != KT_OK && err != NULL)
		*err = load_error;
	return load_error.code;
}

enum kt_code kt_git_fail(struct kt_err *err, enum kt_code rc, const char *fmt, ...)
{
	const git_error *last = table.error_last();
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(1024);
	va_list ap;
	va_start(ap, fmt);
	kt_buf_vaddf(&text, fmt, ap);
	va_end(ap);
	if (last == NULL || last->message == NULL)
		return kt_fail(err, rc, 0, "%s", text.ptr);
	return kt_fail(err, rc, 0, "%s: %s", text.ptr, last->message);
}
