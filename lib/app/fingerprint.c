/* SPDX-License-Identifier: MIT */
/*
 * Fingerprint of the files that a harness reads at its start. Contents are not read: name, size,
 * time and inode of a file change with every edit, also with one that keeps size and second. The
 * hashes of files are added up, so that the order in which a folder lists them does not matter.
 */
#include "app/app_private.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FNV_OFFSET UINT64_C(0xcbf29ce484222325)
#define FNV_PRIME UINT64_C(0x100000001b3)

struct walk {
	uint64_t sum;
	size_t visits;
};

static uint64_t hash_str(uint64_t h, const char *s)
{
	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * FNV_PRIME;
	return h;
}

static uint64_t mix_hash(uint64_t h, uint64_t v)
{
	h = (h ^ v) * UINT64_C(0x9e3779b97f4a7c15);
	return h ^ (h >> 29);
}

static void add_stat(struct walk *w, uint64_t path_hash, const struct stat *st)
{
	uint64_t h = mix_hash(path_hash, (uint64_t)st->st_size);

	h = mix_hash(h, (uint64_t)st->st_mtim.tv_sec);
	h = mix_hash(h, (uint64_t)st->st_mtim.tv_nsec);
	h = mix_hash(h, (uint64_t)st->st_ino);
	w->sum += mix_hash(h, 1);
}

/* Installed packages are large and none of the author's; a harness may fill them at its start. */
static bool is_skipped_folder(const char *name)
{
	static const char *const names[] = { ".", "..", "node_modules", ".git" };

	for (size_t i = 0; i < KT_ARRAY_LEN(names); i++) {
		if (!strcmp(name, names[i]))
			return true;
	}
	return false;
}

static void add_fingerprint_dir(
	struct walk *w, int parent, const char *name, uint64_t path_hash, int depth)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;

	if (!d) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while (w->visits < KT_APP_MAX_VISITS && (e = readdir(d))) {
		uint64_t h = hash_str(hash_str(path_hash, "/"), e->d_name);
		struct stat st;

		if (is_skipped_folder(e->d_name))
			continue;
		w->visits++;
		if (fstatat(dirfd(d), e->d_name, &st, 0) != 0)
			continue;
		if (S_ISDIR(st.st_mode)) {
			w->sum += mix_hash(h, 2);
			if (depth < KT_APP_MAX_DEPTH)
				add_fingerprint_dir(w, dirfd(d), e->d_name, h, depth + 1);
		} else {
			add_stat(w, h, &st);
		}
	}
	closedir(d);
}

uint64_t kt_app_fingerprint(const char *dir)
{
	static const char *const files[] = { "CLAUDE.md", "CLAUDE.local.md", "AGENTS.md",
		"karta.toml", "karta.jsonc", ".mcp.json", ".env", "opencode.json",
		"opencode.jsonc" };
	static const char *const dirs[] = { ".claude", ".opencode", ".codex", ".deepagents",
		".goose" };
	struct walk w = { FNV_OFFSET, 0 };
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return 0;
	for (size_t i = 0; i < KT_ARRAY_LEN(files); i++) {
		if (fstatat(fd, files[i], &st, 0) == 0)
			add_stat(&w, hash_str(FNV_OFFSET, files[i]), &st);
	}
	for (size_t i = 0; i < KT_ARRAY_LEN(dirs); i++)
		add_fingerprint_dir(&w, fd, dirs[i], hash_str(FNV_OFFSET, dirs[i]), 0);
	close(fd);
	return w.sum;
}
