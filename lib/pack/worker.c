/* SPDX-License-Identifier: MIT */
/*
 * The one-shot unpacker. libarchive and its decompressors read bytes of strangers in C; so they do
 * it in a process that can do nothing else: no network, no programs, no files but its staging
 * folder. Everything that has to be loaded or opened is, before the walls go up.
 */
#include "pack/pack.h"

#include "base/fs.h"
#include "pack/archive_dl_private.h"
#include "proc/walls.h"
#include "text/json.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define MAX_LINE_BYTES 4096
#define MAX_LIMITS_BYTES ((size_t)16384) /* with two paths */
/* Program, libraries, a zstd window, names of all members: about 150 MiB at the worst. */
#define MAX_ADDRESS_BYTES ((int64_t)1024 * 1024 * 1024)
#define MAX_WORKER_FILES 64
#define SPARE_FILE_BYTES                                                                           \
	(64 * 1024 * 1024) /* publish.json and manifest may be larger than a file */
#define SPARE_CPU_S 5

/* Take the members of text that are there; the names are those of struct kt_pack_limits. */
static enum kt_code take_limits(const cJSON *doc, struct kt_pack_limits *l, struct kt_err *err)
{
	const struct {
		const char *name;
		int64_t *to;
	} fields[] = {
		{ "max_files", &l->max_files },
		{ "max_bytes", &l->max_bytes },
		{ "max_file_bytes", &l->max_file_bytes },
		{ "max_archive_bytes", &l->max_archive_bytes },
		{ "max_ratio", &l->max_ratio },
		{ "max_path_bytes", &l->max_path_bytes },
		{ "max_depth", &l->max_depth },
		{ "max_ms", &l->max_ms },
	};

	kt_pack_limits_init(l);
	if (!cJSON_IsObject(doc))
		return kt_fail(err, KT_EINVAL, 0, "limits: this is no object");
	for (size_t i = 0; i < KT_ARRAY_LEN(fields); i++) {
		if (!kt_json_get(doc, fields[i].name))
			continue;
		*fields[i].to = kt_json_int(doc, fields[i].name, 0);
		/* Room for sums of them. */
		if (*fields[i].to < 1 || *fields[i].to > INT64_C(1) << 40)
			return kt_fail(
				err, KT_EINVAL, 0, "limits: %s is out of range", fields[i].name);
	}
	return KT_OK;
}

static enum kt_code parse_worker_doc(const char *text, size_t len, cJSON **out, struct kt_err *err)
{
	if (len > MAX_LIMITS_BYTES)
		return kt_fail(err, KT_EINVAL, 0, "the job is too long");
	return kt_json_parse(text, len, KT_JSON_STRICT, out, err);
}

/* The job that comes on stdin, which ends after it. Nothing comes when it is not needed. */
static enum kt_code wait_for_job(cJSON **out, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(2 * MAX_LIMITS_BYTES);

	for (;;) {
		char *at = kt_buf_reserve(&text, 1024);
		ssize_t n = at ? read(STDIN_FILENO, at, 1024) : 0;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return kt_fail(err, KT_EIO, errno, "cannot read the job");
		if (n == 0)
			break;
		kt_buf_commit(&text, (size_t)n);
	}
	if (!text.len)
		return kt_fail(err, KT_ECANCEL, 0, "there is no job");
	return parse_worker_doc(text.ptr, text.len, out, err);
}

static enum kt_code work_on_archive(const char *archive, const char *staging, const cJSON *doc,
	struct kt_unpacked *out, struct kt_err *err)
{
	struct kt_pack_limits limits;
	struct kt_walls walls;
	KT_AUTOFD int fd = -1;
	KT_AUTOFD int folder = -1;
	enum kt_code rc = take_limits(doc, &limits, err);

	if (rc != KT_OK)
		return rc;
	fd = open(archive, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return kt_fail(err, KT_EIO, errno, "cannot open '%s'", archive);
	folder = open(staging, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (folder < 0)
		return kt_fail(err, KT_EIO, errno, "cannot open the staging folder");
	walls = (struct kt_walls){ .folder_fd = folder,
		.max_address_bytes = MAX_ADDRESS_BYTES,
		.max_file_bytes = limits.max_file_bytes + SPARE_FILE_BYTES,
		.max_cpu_s = limits.max_ms / 1000 + SPARE_CPU_S,
		.max_open_files = MAX_WORKER_FILES };
	rc = kt_walls_raise(&walls, err);
	return rc == KT_OK ? kt_unpack(fd, staging, &limits, out, err) : rc;
}

static enum kt_code run_worker(int argc, char **argv, struct kt_unpacked *out, struct kt_err *err)
{
	KT_AUTO_JSON cJSON *doc = NULL;
	enum kt_code rc = kt_crypto_init(err);

	if (rc == KT_OK)
		rc = kt_archive_load(err);
	if (rc != KT_OK)
		return rc;
	if (argc == 4) {
		rc = parse_worker_doc(argv[3], strnlen(argv[3], MAX_LIMITS_BYTES + 1), &doc, err);
		if (rc != KT_OK)
			return kt_wrap(err, "limits");
		return work_on_archive(argv[1], argv[2], doc, out, err);
	}
	rc = wait_for_job(&doc, err);
	if (rc != KT_OK)
		return rc;
	return work_on_archive(kt_json_str_or(doc, "archive", ""),
		kt_json_str_or(doc, "staging", ""), kt_json_obj(doc, "limits"), out, err);
}

int kt_unpack_worker(int argc, char **argv)
{
	KT_AUTO_BUF struct kt_buf line = KT_BUF_INIT(MAX_LINE_BYTES);
	struct kt_err err = KT_ERR_INIT;
	struct kt_unpacked out = { 0 };
	struct kt_jw w;
	enum kt_code rc;

	if (argc == 4 || (argc == 2 && !strcmp(argv[1], "-")))
		rc = run_worker(argc, argv, &out, &err);
	else
		rc = kt_fail(&err, KT_EINVAL, 0,
			"usage: karta-unpack ARCHIVE STAGING LIMITS-JSON, or -");
	kt_jw_init(&w, &line);
	kt_jw_obj(&w, NULL);
	kt_jw_bool(&w, "ok", rc == KT_OK);
	if (rc == KT_OK) {
		kt_jw_bool(&w, "bundle", out.bundle);
		kt_jw_int(&w, "files", out.n_files);
		kt_jw_int(&w, "bytes", out.n_bytes);
	} else {
		kt_jw_str(&w, "code", kt_code_name(rc));
		kt_jw_str(&w, "message", err.msg);
	}
	kt_jw_obj_end(&w);
	kt_buf_addc(&line, '\n');
	if (kt_fs_write_all(STDOUT_FILENO, line.ptr, line.len, NULL) != KT_OK)
		return 1;
	return rc == KT_OK ? 0 : 1;
}
