/* SPDX-License-Identifier: MIT */
/*
 * Is a path that a call names inside of the session's folder, as it is now? Asked of the kernel
 * component by component, no link is followed. Hidden names count as outside: settings, hooks and
 * secrets of programs are hidden.
 */
#include "session/talk/approvals_private.h"

#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 64

/* The part of path behind dir, NULL when it is not there or below. */
static const char *behind(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	if (n == 1)
		return path;
	if (strncmp(path, dir, n) != 0 || (path[n] && path[n] != '/'))
		return NULL;
	return path + n;
}

/* Files by which an agent or a program is told what to do, or git what a repository is. */
static bool is_settings(const char *name)
{
	static const char *const names[] = { "CLAUDE.md", "CLAUDE.local.md", "AGENTS.md",
		"GEMINI.md", "opencode.json", "opencode.jsonc", "karta.toml", "karta.jsonc",
		"HEAD" };

	for (size_t i = 0; i < KT_ARRAY_LEN(names); i++) {
		if (kt_str_ieq(name, names[i]))
			return true;
	}
	return false;
}

/* Behind slashes and components that are ".". */
static const char *skip_nothing(const char *p)
{
	p += strspn(p, "/");
	while (p[0] == '.' && (!p[1] || p[1] == '/')) {
		p++;
		p += strspn(p, "/");
	}
	return p;
}

/* One component into name; false when it may lead elsewhere, or is none that a person can read. */
static bool take_component(const char **p, char name[NAME_MAX + 1])
{
	size_t n = strcspn(*p, "/");

	if (n > NAME_MAX || (*p)[0] == '.')
		return false;
	for (size_t i = 0; i < n; i++) {
		if ((unsigned char)(*p)[i] < ' ' || (*p)[i] == 0x7f)
			return false;
	}
	memcpy(name, *p, n);
	name[n] = '\0';
	*p += n;
	return true;
}

/* The thing at the end of the path is plain, and not also somewhere else (a hard link). */
static bool is_plain(int dir, const char *name, bool write)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return write && errno == ENOENT;
	if (S_ISDIR(st.st_mode))
		return !write;
	return S_ISREG(st.st_mode) && st.st_nlink == 1;
}

bool kt_inside(const struct kt_inside *in, const char *path, bool write, struct kt_buf *out_rel)
{
	KT_AUTOFREE char *whole = path[0] == '/' ? kt_strdup(path)
						 : kt_asprintf("%s/%s", in->cwd, path);
	const char *p = behind(whole, in->root);
	KT_AUTOFD int dir = -1;
	size_t from = out_rel->len;

	if (!p)
		p = behind(whole, in->named);
	if (!p || !path[0])
		return false;
	dir = open(in->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (int depth = 0; dir >= 0 && depth < DEPTH_MAX; depth++) {
		char name[NAME_MAX + 1];
		int next;

		p = skip_nothing(p);
		if (!*p)
			return !write && kt_buf_ok(out_rel);
		if (!take_component(&p, name))
			return false;
		if (out_rel->len > from)
			kt_buf_addc(out_rel, '/');
		kt_buf_adds(out_rel, name);
		if (!p[strspn(p, "/")])
			return is_plain(dir, name, write) &&
				!(write && (*p || is_settings(name))) && kt_buf_ok(out_rel);
		next = openat(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		close(dir);
		dir = next;
	}
	return false;
}
