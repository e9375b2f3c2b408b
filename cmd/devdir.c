/* SPDX-License-Identifier: MIT */
/* State folders of `karta dev`, and the server.json through which its server is found. */
#include "cmd/devdir.h"

#include "base/fs.h"
#include "base/str.h"
#include "base/time.h"
#include "store/datadir.h"
#include "text/json.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define SERVER_FILE "server.json"
#define ONCE_OLD_S 3600

/* FNV-1a: short and stable names for folders, not a secret. */
static uint32_t hash_path(const char *s)
{
	uint32_t h = 2166136261u;

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 16777619u;
	return h;
}

enum kt_code kt_dev_data_dir(const char *dir, char **out, struct kt_err *err)
{
	KT_AUTOFREE char *real = NULL;
	KT_AUTOFREE char *base = NULL;
	KT_AUTOFREE char *slug = NULL;
	KT_AUTOFREE char *data = kt_dir_data();
	enum kt_code rc = kt_path_real(dir, &real, err);

	if (rc != KT_OK)
		return rc;
	base = kt_path_base(real);
	slug = kt_str_slugify(base);
	*out = kt_asprintf("%s/dev/%s-%08x", data, slug, hash_path(real));
	return KT_OK;
}

char *kt_dev_live_url(const char *data_dir)
{
	KT_AUTOFREE char *path = kt_path_join(data_dir, SERVER_FILE);
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(16384);
	KT_AUTO_JSON cJSON *doc = NULL;
	const char *url;
	pid_t pid;

	if (kt_fs_read(path, &b, NULL) != KT_OK ||
		kt_json_parse(b.ptr, b.len, KT_JSON_STRICT, &doc, NULL) != KT_OK)
		return NULL;
	url = kt_json_str(doc, "url");
	pid = (pid_t)kt_json_int(doc, "pid", 0);
	if (!url || pid <= 0 || (kill(pid, 0) && errno != EPERM))
		return NULL;
	return kt_strdup(url);
}

char *kt_dev_server_url(void)
{
	char *dir = NULL;

	if (kt_path_real(".", &dir, NULL) != KT_OK)
		return NULL;
	for (;;) {
		KT_AUTOFREE char *data = NULL;
		char *url = NULL, *up;

		if (kt_dev_data_dir(dir, &data, NULL) == KT_OK)
			url = kt_dev_live_url(data);
		if (url || kt_str_eq(dir, "/")) {
			free(dir);
			return url;
		}
		up = kt_path_dir(dir);
		free(dir);
		dir = up;
	}
}

char *kt_local_server_url(void)
{
	KT_AUTOFREE char *data = kt_dir_data();

	return kt_dev_live_url(data);
}

enum kt_code kt_dev_announce(const char *data_dir, const char *url, const char *project,
	const char *dir, struct kt_err *err)
{
	KT_AUTOFREE char *path = kt_path_join(data_dir, SERVER_FILE);
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(16384);
	struct kt_jw w;

	if (!url) {
		if (unlink(path) && errno != ENOENT)
			return kt_fail(err, KT_EIO, errno, "cannot remove '%s'", path);
		return KT_OK;
	}
	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_jw_str(&w, "url", url);
	kt_jw_int(&w, "pid", getpid());
	kt_jw_str(&w, "project", project);
	kt_jw_str(&w, "dir", dir);
	kt_jw_obj_end(&w);
	kt_buf_addc(&b, '\n');
	return kt_fs_write_atomic(path, b.ptr, b.len, 0600, false, err);
}

/* What a killed one has left: nobody holds its lock, and it is too old to be about to. */
static void sweep_once(const char *base)
{
	char **names;
	size_t n;

	if (kt_fs_list(base, &names, &n, NULL) != KT_OK)
		return;
	for (size_t i = 0; i < n; i++) {
		KT_AUTOFREE char *path = kt_path_join(base, names[i]);
		KT_AUTOFREE char *lock = kt_data_path(path, KT_DATA_LOCK);
		KT_AUTOFD int fd = open(lock, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
		struct stat st;

		if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode) &&
			st.st_mtime + ONCE_OLD_S < kt_time_us() / 1000000 &&
			(fd < 0 || flock(fd, LOCK_EX | LOCK_NB) == 0))
			(void)!kt_fs_remove_tree(path, NULL);
	}
	kt_fs_names_free(names, n);
}

enum kt_code kt_dev_once_dir(const char *lasting, char **out, struct kt_err *err)
{
	KT_AUTOFREE char *data = kt_dir_data();
	KT_AUTOFREE char *base = kt_path_join(data, "run");
	KT_AUTOFREE char *dir = kt_path_join(base, "XXXXXX");
	KT_AUTOFREE char *setup = kt_data_path(lasting, KT_DATA_SETUP);
	KT_AUTOFREE char *link = NULL;
	enum kt_code rc = kt_fs_mkdirs(base, 0700, err);

	if (rc == KT_OK)
		rc = kt_fs_mkdirs(setup, 0700, err);
	if (rc != KT_OK)
		return rc;
	sweep_once(base);
	if (!mkdtemp(dir))
		return kt_fail(err, KT_EIO, errno, "cannot make a folder in '%s'", base);
	link = kt_data_path(dir, KT_DATA_SETUP);
	if (symlink(setup, link) != 0)
		return kt_fail(err, KT_EIO, errno, "cannot make '%s'", link);
	*out = KT_STEAL(dir);
	return KT_OK;
}
