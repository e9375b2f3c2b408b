/* SPDX-License-Identifier: MIT */
/* The list of members of a backup: its lines, and whether a folder is what they say. */
#include "base/base.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/str.h"
#include "base/vec.h"
#include "crypto/crypto.h"
#include "pack/pack.h"
#include "pack/tarball_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE_BYTES (3 * KT_MAX_PATH_BYTES + 256) /* of the list */

/* --- lines -------------------------------------------------------------------------------- */

void kt_tarball_line(
	struct kt_buf *b, const char *name, mode_t mode, off_t size, const char *digest)
{
	kt_buf_addf(b, "%c %04o %lld %s ",
		S_ISDIR(mode)           ? 'd'
			: S_ISLNK(mode) ? 'l'
					: 'f',
		(unsigned)mode & 0777, (long long)size, digest);
	for (const unsigned char *p = (const unsigned char *)name; *p; p++) {
		if (*p <= 0x20 || *p == 0x7f || *p == '%')
			kt_buf_addf(b, "%%%02x", *p);
		else
			kt_buf_addc(b, (char)*p);
	}
	kt_buf_addc(b, '\n');
}

struct member {
	char type; /* 'f', 'd', 'l' */
	mode_t mode;
	int64_t size;
	char digest[KT_DIGEST_MAX];
	char name[KT_MAX_PATH_BYTES + 1];
};

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_listed_name(const char *p, char out[KT_MAX_PATH_BYTES + 1])
{
	size_t n = 0;

	for (; *p; p++) {
		int c = (unsigned char)*p;

		if (n == KT_MAX_PATH_BYTES)
			return false;
		if (c == '%') {
			if (hex_digit(p[1]) < 0 || hex_digit(p[2]) < 0)
				return false;
			c = hex_digit(p[1]) << 4 | hex_digit(p[2]);
			p += 2;
		}
		if (c == 0)
			return false;
		out[n++] = (char)c;
	}
	out[n] = '\0';
	return kt_tarball_is_inside(out);
}

static bool parse_listed_line(const char *line, struct member *m)
{
	int at = 0;
	unsigned mode;
	long long size;

	if (sscanf(line, "%c %4o %19lld %64s %n", &m->type, &mode, &size, m->digest, &at) != 4 ||
		at == 0 || mode > 0777 || size < 0 || !kt_digest_ok(m->digest) ||
		!strchr("fdl", m->type))
		return false;
	m->mode = (mode_t)mode;
	m->size = size;
	return parse_listed_name(line + at, m->name);
}

/* --- a folder ----------------------------------------------------------------------------- */

struct check {
	int root;
	const struct kt_tarball_check *how;
	int parent; /* folder of the member before, or -1 */
	char *parent_name;
	size_t n_good; /* files and links that are right */
	bool remove; /* those that are not */
	struct kt_err *err;
};

static void say_member(const struct check *c, const char *name, const char *what)
{
	c->how->found(c->how->arg, name, what);
}

/* The folder of this name ("" = the root), through no link; -1 when there is none. BORROWS. */
static int enter_listed_folder(struct check *c, const char *path)
{
	int fd;

	if (c->parent >= 0 && strcmp(c->parent_name, path) == 0)
		return c->parent;
	fd = openat(c->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (const char *p = path; fd >= 0 && *p;) {
		size_t n = strcspn(p, "/");
		KT_AUTOFREE char *part = kt_strndup(p, n);
		int next = openat(fd, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		(void)close(fd);
		fd = next;
		p += n + (p[n] == '/');
	}
	if (c->parent >= 0)
		(void)close(c->parent);
	free(c->parent_name);
	c->parent = fd;
	c->parent_name = kt_strdup(path);
	return fd;
}

/* The digest of a file; false when it cannot be read. */
static bool digest_of(int dir, const char *base, char out[KT_DIGEST_MAX])
{
	KT_AUTOFD int fd = openat(dir, base, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	return fd >= 0 && kt_sha256_fd(fd, out);
}

static bool same_link(int dir, const char *base, const struct member *m)
{
	char target[KT_MAX_PATH_BYTES + 1], digest[KT_DIGEST_MAX];
	ssize_t n = readlinkat(dir, base, target, sizeof(target));

	if (n < 0 || n != m->size)
		return false;
	kt_sha256_of(target, (size_t)n, digest);
	return strcmp(digest, m->digest) == 0;
}

/* What is wrong with a member, or NULL. */
static const char *member_problem(int dir, const char *base, const struct member *m)
{
	char digest[KT_DIGEST_MAX];
	struct stat st;

	if (dir < 0 || fstatat(dir, base, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return "is missing";
	if (m->type == 'd')
		/* Unpacked, a folder is one that we may write to. */
		return S_ISDIR(st.st_mode) && (st.st_mode & 0777) == (m->mode | 0700)
			? NULL
			: "is not the folder that was copied";
	if (m->type == 'l')
		return S_ISLNK(st.st_mode) && same_link(dir, base, m)
			? NULL
			: "leads elsewhere than what was copied";
	if (!S_ISREG(st.st_mode))
		return "is not the file that was copied";
	if (st.st_size != m->size || !digest_of(dir, base, digest) ||
		strcmp(digest, m->digest) != 0)
		return "has other bytes than what was copied";
	return (st.st_mode & 0777) == m->mode ? NULL : "has another mode than what was copied";
}

static void check_listed_member(struct check *c, const struct member *m)
{
	const char *slash = strrchr(m->name, '/');
	const char *base = slash ? slash + 1 : m->name;
	KT_AUTOFREE char *folder = slash ? kt_strndup(m->name, (size_t)(slash - m->name))
					 : kt_strdup("");
	int dir = enter_listed_folder(c, folder);
	const char *why = member_problem(dir, base, m);

	if (!why) {
		c->n_good += m->type != 'd';
		return;
	}
	if (c->remove && m->type != 'd' && !c->how->keep(m->name) && dir >= 0)
		(void)unlinkat(dir, base, 0);
	else if (dir >= 0 && m->type != 'd')
		c->n_good += faccessat(dir, base, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	say_member(c, m->name, why);
}

/* --- what is on no list -------------------------------------------------------------------- */

/* Call fn for every file and link below the folder, with its name and where it is. */
static enum kt_code each_file(struct check *c,
	void (*fn)(struct check *c, const char *name, int dir, const char *base, void *arg),
	void *arg)
{
	struct kt_vec todo = KT_VEC_INIT;
	enum kt_code rc = KT_OK;

	kt_vec_push(&todo, kt_strdup(""));
	while (todo.len > 0) {
		KT_AUTOFREE char *folder = kt_vec_remove(&todo, todo.len - 1);
		KT_AUTOFREE char *path = kt_path_join(c->how->dir, folder);
		char **names = NULL;
		size_t n = 0;

		if (rc == KT_OK)
			rc = kt_fs_list(path, &names, &n, c->err);
		for (size_t i = 0; i < n; i++) {
			KT_AUTOFREE char *name = folder[0] ? kt_asprintf("%s/%s", folder, names[i])
							   : kt_strdup(names[i]);
			int dir = enter_listed_folder(c, folder);
			struct stat st;

			if (fstatat(dir, names[i], &st, AT_SYMLINK_NOFOLLOW) == 0 &&
				S_ISDIR(st.st_mode))
				kt_vec_push(&todo, KT_STEAL(name));
			else
				fn(c, name, dir, names[i], arg);
		}
		if (names)
			kt_fs_names_free(names, n);
	}
	kt_vec_release(&todo);
	return rc;
}

static void tell_extra(struct check *c, const char *name, int dir, const char *base, void *known)
{
	if (kt_map_get(known, name))
		return;
	say_member(c, name, "is on no list of what was copied");
	if (c->remove)
		(void)unlinkat(dir, base, 0);
}

static void count_file(struct check *c, const char *name, int dir, const char *base, void *count)
{
	++*(size_t *)count;
}

/* --- the list ----------------------------------------------------------------------------- */

struct list {
	FILE *file;
	struct kt_sha256 *sum;
	size_t n;
	char line[LINE_BYTES];
};

/* The next line without its LF; false at the end, which *out_whole says is the real one. */
static bool next_listed_line(struct list *l, bool *out_whole)
{
	size_t len;
	char before[KT_DIGEST_MAX], digest[KT_DIGEST_MAX];
	size_t n = 0;

	if (!fgets(l->line, sizeof(l->line), l->file))
		return false;
	len = strlen(l->line);
	if (kt_str_starts(l->line, KT_TARBALL_LIST_END)) {
		kt_sha256_hex(l->sum, digest);
		*out_whole = sscanf(l->line, KT_TARBALL_LIST_END "%zu %64s", &n, before) == 2 &&
			n == l->n && strcmp(before, digest) == 0 && l->line[len - 1] == '\n' &&
			fgetc(l->file) == EOF;
		return false;
	}
	kt_sha256_update(l->sum, l->line, len);
	l->n++;
	if (len > 0 && l->line[len - 1] == '\n')
		l->line[len - 1] = '\0';
	return true;
}

enum reading {
	READ_WHOLE, /* is it what was written? */
	READ_MEMBERS, /* look at each */
	READ_NAMES /* into known */
};

static enum kt_code read_list(
	struct check *c, struct list *l, enum reading how, struct kt_map *known)
{
	bool whole = false;
	struct member m;

	while (next_listed_line(l, &whole)) {
		if (how == READ_WHOLE || !parse_listed_line(l->line, &m))
			continue;
		if (how == READ_NAMES)
			(void)kt_map_set(known, m.name, c);
		else
			check_listed_member(c, &m);
	}
	if (ferror(l->file))
		return kt_fail(c->err, KT_EIO, errno, "cannot read '%s'", c->how->list);
	if (!whole && how == READ_WHOLE) {
		say_member(c, c->how->list, "has other bytes than what was written");
		c->remove = false; /* it may be right, and the list wrong */
	}
	return KT_OK;
}

static enum kt_code with_list(struct check *c, enum reading how, struct kt_map *known)
{
	KT_AUTOFREE char *path = kt_path_join(c->how->dir, c->how->list);
	struct list *l = kt_calloc(1, sizeof(*l));
	enum kt_code rc;

	l->file = fopen(path, "re");
	l->sum = kt_sha256_new();
	rc = l->file ? read_list(c, l, how, known)
		     : kt_fail(c->err, KT_EIO, errno, "cannot open '%s'", path);
	if (l->file)
		(void)fclose(l->file);
	kt_sha256_free(l->sum);
	free(l);
	return rc;
}

enum kt_code kt_tarball_check(const struct kt_tarball_check *how, struct kt_err *err)
{
	KT_AUTOFD int root = open(how->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct check c = {
		.root = root, .how = how, .parent = -1, .remove = how->remove, .err = err
	};
	struct kt_map known = { 0 };
	size_t n_files = 0;
	enum kt_code rc;

	if (root < 0)
		return kt_fail(err, KT_EIO, errno, "cannot open '%s'", how->dir);
	rc = with_list(&c, READ_WHOLE, NULL);
	if (rc == KT_OK)
		rc = with_list(&c, READ_MEMBERS, NULL);
	if (rc == KT_OK)
		rc = each_file(&c, count_file, &n_files);
	/* But for the list itself. */
	if (rc == KT_OK && n_files != c.n_good + 1) {
		(void)kt_map_set(&known, how->list, &c);
		rc = with_list(&c, READ_NAMES, &known);
		if (rc == KT_OK)
			rc = each_file(&c, tell_extra, &known);
		kt_map_release(&known);
	}
	if (c.parent >= 0)
		(void)close(c.parent);
	free(c.parent_name);
	return rc;
}
