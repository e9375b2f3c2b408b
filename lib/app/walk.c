/* SPDX-License-Identifier: MIT */
/* Walking the folders that a harness reads, within bounds, and reading the files there. */
#include "app/discover_private.h"

#include "base/env.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/str.h"
#include "text/json.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_UP 64 /* folders above the application that are looked into */

static bool walk_is_full(struct kt_discovery *d, const char *dir)
{
	KT_AUTOFREE char *shown = NULL;

	if (d->visits++ < KT_APP_MAX_VISITS)
		return false;
	if (!d->full) {
		shown = kt_discover_shown(d, dir);
		kt_load_note(d->ld, KT_WARNING, shown, 0, 0, NULL,
			"more than %d files and folders to look at: the rest is not read",
			KT_APP_MAX_VISITS);
	}
	d->full = true;
	return true;
}

bool kt_walk_first(struct kt_discovery *d, const char *path)
{
	struct stat st;
	char key[64];

	if (stat(path, &st) != 0)
		return true;
	snprintf(key, sizeof(key), "%llu:%llu", (unsigned long long)st.st_dev,
		(unsigned long long)st.st_ino);
	return !kt_map_set(&d->seen, key, d);
}

bool kt_walk_inside(const struct kt_discovery *d, const char *path)
{
	const char *dir = d->ld->app->dir;
	KT_AUTOFREE char *real = NULL;
	size_t n = strlen(dir);

	if (!d->ld->hosted)
		return true;
	return kt_path_real(path, &real, NULL) == KT_OK && !strncmp(real, dir, n) &&
		(real[n] == '/' || !real[n]);
}

bool kt_walk_list(struct kt_discovery *d, const char *dir, char ***out, size_t *n)
{
	return !walk_is_full(d, dir) && kt_walk_inside(d, dir) &&
		kt_fs_list(dir, out, n, NULL) == KT_OK;
}

static bool is_wanted_name(const struct kt_walk *how, const char *name)
{
	return how->only ? kt_str_eq(name, how->only) : kt_str_ends(name, ".md");
}

static void walk_discovered(struct kt_discovery *d, const struct kt_walk *how, const char *dir,
	const char *base, int depth)
{
	DIR *list = kt_walk_inside(d, dir) ? opendir(dir) : NULL;
	struct dirent *e;

	if (!list)
		return;
	while ((e = readdir(list)) && !walk_is_full(d, dir)) {
		KT_AUTOFREE char *path = kt_path_join(dir, e->d_name);
		KT_AUTOFREE char *below = base[0] ? kt_path_join(base, e->d_name)
						  : kt_strdup(e->d_name);

		if (kt_str_eq(e->d_name, ".") || kt_str_eq(e->d_name, "..") ||
			(how->no_hidden && e->d_name[0] == '.'))
			continue;
		if (kt_fs_is_dir(path)) {
			if (depth < KT_APP_MAX_DEPTH && (!how->once || kt_walk_first(d, path)))
				walk_discovered(d, how, path, below, depth + 1);
		} else if (is_wanted_name(how, e->d_name) && kt_fs_is_file(path)) {
			how->fn(how->arg, path, below);
		}
	}
	closedir(list);
}

void kt_walk_markdown(struct kt_discovery *d, const char *dir, const struct kt_walk *how)
{
	if (!how->once || kt_walk_first(d, dir))
		walk_discovered(d, how, dir, "", 0);
}

/* Up to max bytes from the beginning of a file; *out_size is its whole size. */
static enum kt_code read_file_head(
	const char *path, size_t max, struct kt_buf *b, size_t *out_size, struct kt_err *err)
{
	KT_AUTOFD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) != 0)
		return kt_fail(err, KT_EIO, errno, "cannot open it");
	if (!S_ISREG(st.st_mode))
		return kt_fail(err, KT_EINVAL, 0, "it is no file");
	*out_size = (size_t)st.st_size;
	while (b->len < max) {
		char *at = kt_buf_reserve(b, KT_MIN(max - b->len, (size_t)65536));
		ssize_t n = at ? read(fd, at, KT_MIN(max - b->len, (size_t)65536)) : 0;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return kt_fail(err, KT_EIO, errno, "cannot read it");
		if (n == 0)
			break;
		kt_buf_commit(b, (size_t)n);
	}
	return KT_OK;
}

bool kt_walk_front(struct kt_discovery *d, const char *path, size_t max_bytes,
	enum kt_yaml_reader reader, struct kt_frontmatter *out)
{
	size_t most = max_bytes ? max_bytes : KT_MAX_AGENT_FILE_BYTES, size = 0;
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(KT_MAX_AGENT_FILE_BYTES);
	struct kt_err err = KT_ERR_INIT;

	if (!kt_walk_inside(d, path)) {
		kt_discover_warn(d, path, NULL, "put the file into the folder",
			"the link leads out of the folder: there is nothing where this runs");
		return false;
	}
	if (read_file_head(path, most, &text, &size, &err) != KT_OK) {
		kt_discover_warn(d, path, NULL, NULL, "%s, so the harness cannot either", err.msg);
		return false;
	}
	if (max_bytes && size > max_bytes) {
		kt_discover_warn(d, path, NULL, "make the file shorter",
			"the file is over %zu bytes, so it is not read", max_bytes);
		return false;
	}
	kt_frontmatter_read(text.ptr, text.len, reader, out);
	return true;
}

void kt_walk_up(struct kt_discovery *d, bool stop_at_home, struct kt_vec *out)
{
	struct kt_arena *arena = d->ld->app->arena;
	const char *home = kt_env_get("HOME");
	char *at = kt_strdup(d->ld->app->dir);

	for (int i = 0; i < MAX_UP; i++) {
		char *up;
		bool root;

		if (stop_at_home && i > 0 && kt_str_eq(at, home))
			break;
		kt_vec_push(out, kt_arena_strdup(arena, at));
		KT_AUTOFREE char *git = kt_path_join(at, ".git");

		root = kt_fs_is_dir(git) || kt_fs_is_file(git) || kt_str_eq(at, "/");
		/* Where it is hosted there is nothing of the author's above the folder. */
		if (root || d->ld->hosted)
			break;
		up = kt_path_dir(at);
		free(at);
		at = up;
	}
	free(at);
}

cJSON *kt_walk_json(const struct kt_discovery *d, const char *path)
{
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(KT_MAX_AGENT_FILE_BYTES);
	cJSON *doc = NULL;

	if (!kt_walk_inside(d, path) || kt_fs_read(path, &text, NULL) != KT_OK ||
		kt_jsonc_parse_lenient(text.ptr, text.len, &doc, NULL) != KT_OK)
		return NULL;
	if (cJSON_IsObject(doc))
		return doc;
	cJSON_Delete(doc);
	return NULL;
}
