/* SPDX-License-Identifier: MIT */
/*
 * Git LFS: a commit has a pointer of some lines, and the file itself lies in the repository's own
 * store under its SHA-256, when it was added or fetched here. That is enough to pack it; the
 * program git-lfs is not needed.
 */
#include "git/lfs_private.h"

#include "base/fs.h"
#include "base/str.h"

#include <string.h>
#include <sys/stat.h>

#define LFS_MAGIC "version https://git-lfs.github.com/spec/v1\n"
#define MAX_LFS_BYTES 1024 /* a pointer is smaller: Git LFS specification */
#define HEX_BYTES 64

bool kt_lfs_is_pointer(const void *data, size_t len)
{
	return len <= MAX_LFS_BYTES && len >= sizeof(LFS_MAGIC) - 1 &&
		memcmp(data, LFS_MAGIC, sizeof(LFS_MAGIC) - 1) == 0;
}

/* Value of the line "KEY value", NUL-terminated in out; false when there is none or it is long. */
static bool line_of(const char *text, const char *key, char *out, size_t size)
{
	size_t key_len = strlen(key);
	for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
		line += *line == '\n';
		size_t len = strcspn(line, "\n");
		if (len <= key_len || strncmp(line, key, key_len) != 0 || line[key_len] != ' ')
			continue;
		len -= key_len + 1;
		if (len >= size)
			return false;
		memcpy(out, line + key_len + 1, len);
		out[len] = '\0';
		return true;
	}
	return false;
}

bool kt_lfs_parse(const char *data, size_t len, struct kt_lfs *out)
{
	static const char prefix[] = "sha256:";
	char text[MAX_LFS_BYTES + 1], oid[128], size[32];
	if (!kt_lfs_is_pointer(data, len))
		return false;
	memcpy(text, data, len);
	text[len] = '\0';
	if (!line_of(text, "oid", oid, sizeof(oid)) || !line_of(text, "size", size, sizeof(size)) ||
		!kt_str_starts(oid, prefix))
		return false;
	const char *hex = oid + sizeof(prefix) - 1;
	return strlen(hex) == HEX_BYTES && strspn(hex, "0123456789abcdef") == HEX_BYTES &&
		kt_str_int64(size, 0, INT64_MAX, &out->size) &&
		kt_str_copy(out->digest, sizeof(out->digest), hex);
}

/* lfs.storage of the configuration, else `lfs`: in the repository unless it is absolute. */
char *kt_lfs_store(git_repository *repo)
{
	const char *common = kt_git->repository_commondir(repo);
	git_config *config = NULL;
	git_buf value = GIT_BUF_INIT;
	char *path = NULL;
	if (kt_git->repository_config(&config, repo) == 0 &&
		kt_git->config_get_string_buf(&value, config, "lfs.storage") == 0 &&
		value.ptr != NULL && *value.ptr != '\0')
		path = value.ptr[0] == '/' ? kt_strdup(value.ptr) : kt_path_join(common, value.ptr);
	kt_git->buf_dispose(&value);
	if (config != NULL)
		kt_git->config_free(config);
	return path != NULL ? path : kt_path_join(common, "lfs");
}

char *kt_lfs_path(const char *store, const struct kt_lfs *lfs)
{
	KT_AUTOFREE char *path = kt_asprintf(
		"%s/objects/%.2s/%.2s/%s", store, lfs->digest, lfs->digest + 2, lfs->digest);
	struct stat st;
	if (lstat(path, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size != lfs->size)
		return NULL;
	return KT_STEAL(path);
}
