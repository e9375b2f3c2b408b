/* SPDX-License-Identifier: MIT */
/* The only file that knows libarchive's soname and its symbols. */
#include "pack/archive_dl_private.h"

#include "base/dl.h"
#include "pack/pack.h"

#include <pthread.h>

static struct kt_archive_dl table; /* written once, guarded by load_once */
const struct kt_archive_dl *const kt_archive = &table;

static pthread_once_t load_once = PTHREAD_ONCE_INIT;
static struct kt_err load_error; /* of the one attempt; guarded by load_once */

#define SYM(name)                                                                                  \
	{                                                                                          \
		(void **)&table.name, "archive_" #name                                             \
	}

static void load_libarchive(void)
{
	static const char *const sonames[] = { KT_SO_ARCHIVE, NULL };
	static const struct kt_dl_symbol symbols[] = {
		SYM(read_new),
		SYM(read_append_filter),
		SYM(read_support_format_tar),
		SYM(read_support_format_raw),
		SYM(read_support_filter_none),
		SYM(read_support_filter_gzip),
		SYM(read_support_filter_zstd),
		SYM(read_set_options),
		SYM(read_open),
		SYM(read_open2),
		SYM(read_open_fd),
		SYM(read_open_memory),
		SYM(read_next_header),
		SYM(read_next_header2),
		SYM(read_data),
		SYM(read_data_block),
		SYM(read_data_skip),
		SYM(read_close),
		SYM(read_free),
		SYM(write_new),
		SYM(write_set_format_gnutar),
		SYM(write_set_format_pax),
		SYM(write_set_format_pax_restricted),
		SYM(write_set_format_ustar),
		SYM(write_add_filter_none),
		SYM(write_add_filter_gzip),
		SYM(write_add_filter_zstd),
		SYM(write_set_options),
		SYM(write_set_filter_option),
		SYM(write_set_format_option),
		SYM(write_set_bytes_per_block),
		SYM(write_set_bytes_in_last_block),
		SYM(write_open),
		SYM(write_open2),
		SYM(write_open_fd),
		SYM(write_open_memory),
		SYM(write_header),
		SYM(write_data),
		SYM(write_finish_entry),
		SYM(write_close),
		SYM(write_free),
		{ (void **)&table.error_code, "archive_errno" },
		SYM(error_string),
		SYM(clear_error),
		SYM(set_error),
		SYM(format),
		SYM(filter_bytes),
		SYM(filter_code),
		SYM(filter_count),
		SYM(version_number),
		SYM(entry_new),
		SYM(entry_clear),
		SYM(entry_free),
		SYM(entry_filetype),
		SYM(entry_hardlink),
		SYM(entry_hardlink_utf8),
		SYM(entry_mode),
		SYM(entry_perm),
		SYM(entry_pathname),
		SYM(entry_pathname_utf8),
		SYM(entry_size),
		SYM(entry_size_is_set),
		SYM(entry_sparse_count),
		SYM(entry_symlink),
		SYM(entry_symlink_utf8),
		SYM(entry_set_filetype),
		SYM(entry_set_mode),
		SYM(entry_set_mtime),
		SYM(entry_set_pathname),
		SYM(entry_set_pathname_utf8),
		SYM(entry_copy_pathname),
		SYM(entry_set_perm),
		SYM(entry_set_size),
		SYM(entry_set_symlink),
		SYM(entry_set_symlink_utf8),
		SYM(entry_copy_symlink),
		SYM(entry_set_uid),
		SYM(entry_set_gid),
		SYM(entry_set_uname),
		SYM(entry_set_gname),
	};

	if (kt_dl_load(sonames, symbols, KT_ARRAY_LEN(symbols), "libarchive13", &load_error))
		kt_assert(load_error.code != KT_OK);
}

static void *warm_thread(void *arg)
{
	/* Whoever needs it calls kt_archive_load() and gets the error. */
	(void)pthread_once(&load_once, load_libarchive);
	return NULL;
}

void kt_archive_warm(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, warm_thread, NULL) == 0)
		(void)pthread_detach(thread);
}

enum kt_code kt_archive_load(struct kt_err *err)
{
	(void)pthread_once(&load_once, load_libarchive);
	if (load_error.code != KT_OK && err)
		*err = load_error;
	return load_error.code;
}
