/* SPDX-License-Identifier: MIT */
/*
 * libarchive's functions, loaded on first use (base/dl.h): of this module only. A function is
 * called as `kt_archive->read_new()`: its name without "archive_".
 */
#ifndef KT_PACK_ARCHIVE_DL_PRIVATE_H
#define KT_PACK_ARCHIVE_DL_PRIVATE_H

#include "base/err.h"

#include <archive.h>
#include <archive_entry.h>

struct kt_archive_dl {
	__typeof__(archive_read_new) *read_new;
	__typeof__(archive_read_append_filter) *read_append_filter;
	__typeof__(archive_read_support_format_tar) *read_support_format_tar;
	__typeof__(archive_read_support_format_raw) *read_support_format_raw;
	__typeof__(archive_read_support_filter_none) *read_support_filter_none;
	__typeof__(archive_read_support_filter_gzip) *read_support_filter_gzip;
	__typeof__(archive_read_support_filter_zstd) *read_support_filter_zstd;
	__typeof__(archive_read_set_options) *read_set_options;
	__typeof__(archive_read_open) *read_open;
	__typeof__(archive_read_open2) *read_open2;
	__typeof__(archive_read_open_fd) *read_open_fd;
	__typeof__(archive_read_open_memory) *read_open_memory;
	__typeof__(archive_read_next_header) *read_next_header;
	__typeof__(archive_read_next_header2) *read_next_header2;
	__typeof__(archive_read_data) *read_data;
	__typeof__(archive_read_data_block) *read_data_block;
	__typeof__(archive_read_data_skip) *read_data_skip;
	__typeof__(archive_read_close) *read_close;
	__typeof__(archive_read_free) *read_free;
	__typeof__(archive_write_new) *write_new;
	__typeof__(archive_write_set_format_gnutar) *write_set_format_gnutar;
	__typeof__(archive_write_set_format_pax) *write_set_format_pax;
	__typeof__(archive_write_set_format_pax_restricted) *write_set_format_pax_restricted;
	__typeof__(archive_write_set_format_ustar) *write_set_format_ustar;
	__typeof__(archive_write_add_filter_none) *write_add_filter_none;
	__typeof__(archive_write_add_filter_gzip) *write_add_filter_gzip;
	__typeof__(archive_write_add_filter_zstd) *write_add_filter_zstd;
	__typeof__(archive_write_set_options) *write_set_options;
	__typeof__(archive_write_set_filter_option) *write_set_filter_option;
	__typeof__(archive_write_set_format_option) *write_set_format_option;
	__typeof__(archive_write_set_bytes_per_block) *write_set_bytes_per_block;
	__typeof__(archive_write_set_bytes_in_last_block) *write_set_bytes_in_last_block;
	__typeof__(archive_write_open) *write_open;
	__typeof__(archive_write_open2) *write_open2;
	__typeof__(archive_write_open_fd) *write_open_fd;
	__typeof__(archive_write_open_memory) *write_open_memory;
	__typeof__(archive_write_header) *write_header;
	__typeof__(archive_write_data) *write_data;
	__typeof__(archive_write_finish_entry) *write_finish_entry;
	__typeof__(archive_write_close) *write_close;
	__typeof__(archive_write_free) *write_free;
	__typeof__(archive_errno) *error_code;
	__typeof__(archive_error_string) *error_string;
	__typeof__(archive_clear_error) *clear_error;
	__typeof__(archive_set_error) *set_error;
	__typeof__(archive_format) *format;
	__typeof__(archive_filter_bytes) *filter_bytes;
	__typeof__(archive_filter_code) *filter_code;
	__typeof__(archive_filter_count) *filter_count;
	__typeof__(archive_version_number) *version_number;
	__typeof__(archive_entry_new) *entry_new;
	__typeof__(archive_entry_clear) *entry_clear;
	__typeof__(archive_entry_free) *entry_free;
	__typeof__(archive_entry_filetype) *entry_filetype;
	__typeof__(archive_entry_hardlink) *entry_hardlink;
	__typeof__(archive_entry_hardlink_utf8) *entry_hardlink_utf8;
	__typeof__(archive_entry_mode) *entry_mode;
	__typeof__(archive_entry_perm) *entry_perm;
	__typeof__(archive_entry_pathname) *entry_pathname;
	__typeof__(archive_entry_pathname_utf8) *entry_pathname_utf8;
	__typeof__(archive_entry_size) *entry_size;
	__typeof__(archive_entry_size_is_set) *entry_size_is_set;
	__typeof__(archive_entry_sparse_count) *entry_sparse_count;
	__typeof__(archive_entry_symlink) *entry_symlink;
	__typeof__(archive_entry_symlink_utf8) *entry_symlink_utf8;
	__typeof__(archive_entry_set_filetype) *entry_set_filetype;
	__typeof__(archive_entry_set_mode) *entry_set_mode;
	__typeof__(archive_entry_set_mtime) *entry_set_mtime;
	__typeof__(archive_entry_set_pathname) *entry_set_pathname;
	__typeof__(archive_entry_set_pathname_utf8) *entry_set_pathname_utf8;
	__typeof__(archive_entry_copy_pathname) *entry_copy_pathname;
	__typeof__(archive_entry_set_perm) *entry_set_perm;
	__typeof__(archive_entry_set_size) *entry_set_size;
	__typeof__(archive_entry_set_symlink) *entry_set_symlink;
	__typeof__(archive_entry_set_symlink_utf8) *entry_set_symlink_utf8;
	__typeof__(archive_entry_copy_symlink) *entry_copy_symlink;
	__typeof__(archive_entry_set_uid) *entry_set_uid;
	__typeof__(archive_entry_set_gid) *entry_set_gid;
	__typeof__(archive_entry_set_uname) *entry_set_uname;
	__typeof__(archive_entry_set_gname) *entry_set_gname;
};

/* The table; its slots are filled when kt_archive_load() has returned KT_OK. */
extern const struct kt_archive_dl *const kt_archive;

/* Load libarchive. Thread-safe, cheap after the first call. Returns KT_OK or KT_EIO. */
KT_MUST_CHECK enum kt_code kt_archive_load(struct kt_err *err);

#endif
