/* SPDX-License-Identifier: MIT */
/*
 * The files of a folder on disk. In a work tree of git the rules of the folders above count too, as
 * they do in a commit, and what git ignores is left out, but for files that git has all the same;
 * outside of one the folder's own .gitignore files are read here. Installed packages stay behind as
 * well, and a file that looks like a secret stops the walk's caller. What is named (`include`) is
 * taken all the same.
 */
#include "git/tree_private.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/str.h"
#include "base/vec.h"
#include "git/ignore_private.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_RULES_BYTES (1024 * 1024) /* a .kartaignore or .gitattributes */
#define MAX_FOLDER_DEPTH 256

struct walk {
	const char *top; /* absolute: the work tree, or the folder itself outside git */
	git_repository *repo; /* NULL outside git, or when git ignores the whole folder */
	git_index *index;
	bool outside; /* of any repository */
	struct kt_ignore *ignore;
	struct kt_ignore *git_rules; /* of .gitignore files, outside git */
	const struct kt_folder_options *o;
	bool named_only; /* in a folder that is left out but for what is named below it */
	size_t skip; /* bytes of a path from top that lead to the release's root */
	struct kt_files *files;
	struct kt_left_out *left;
	struct kt_vec secrets; /* paths, each to free */
	struct kt_buf path; /* from top on, without '/' at its end */
};

enum named { NOT_NAMED, ON_THE_WAY, NAMED };

/* How the present path lies to those that are named: it or a folder above it is one, or a folder on
 * the way to one. */
static enum named named_path(const struct walk *w)
{
	const char *path = w->path.ptr + w->skip;
	enum named found = NOT_NAMED;

	for (const char *const *in = w->o->include; in && *in; in++) {
		size_t n = strlen(*in), len = strlen(path);

		if (strncmp(path, *in, n) == 0 && (path[n] == '\0' || path[n] == '/'))
			return NAMED;
		if (n > len && strncmp(path, *in, len) == 0 && (*in)[len] == '/')
			found = ON_THE_WAY;
	}
	return found;
}

/* Feed a file of rules to push(), if the folder has it as a regular file. */
static enum kt_code push_folder_rules(struct walk *w, struct kt_ignore *to, const char *name,
	void (*push)(struct kt_ignore *, const char *, const char *, size_t), struct kt_err *err)
{
	struct stat st;
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(MAX_RULES_BYTES);
	KT_AUTOFREE char *folder = kt_path_join(w->top, w->path.ptr);
	KT_AUTOFREE char *path = kt_path_join(folder, name);
	if (lstat(path, &st) != 0 || !S_ISREG(st.st_mode))
		return KT_OK;
	enum kt_code rc = kt_fs_read(path, &text, err);
	if (rc == KT_OK)
		push(to, w->path.ptr, text.ptr, text.len);
	return rc;
}

static enum kt_code enter_folder(struct walk *w, struct kt_err *err)
{
	enum kt_code rc = push_folder_rules(
		w, w->ignore, ".gitattributes", kt_ignore_push_attributes, err);

	if (rc == KT_OK && w->outside)
		rc = push_folder_rules(w, w->git_rules, ".gitignore", kt_ignore_push, err);
	return rc == KT_OK ? push_folder_rules(w, w->ignore, ".kartaignore", kt_ignore_push, err)
			   : rc;
}

/* git has it: a file, or something below a folder. */
static bool git_has(const struct walk *w, bool dir)
{
	size_t at = 0;

	if (w->index == NULL)
		return false;
	KT_AUTOFREE char *path = kt_asprintf("%s%s", w->path.ptr, dir ? "/" : "");
	return dir ? kt_git->index_find_prefix(&at, w->index, path) >= 0
		   : kt_git->index_get_bypath(w->index, path, 0) != NULL;
}

static bool git_ignores(struct walk *w, bool dir)
{
	int ignored = 0;

	if (w->repo == NULL)
		return kt_ignore_match(w->git_rules, w->path.ptr, dir);
	KT_AUTOFREE char *path = kt_asprintf("%s%s", w->path.ptr, dir ? "/" : "");
	/* git ignores only what it does not have already. */
	return kt_git->ignore_path_is_ignored(&ignored, w->repo, path) >= 0 && ignored &&
		!git_has(w, dir);
}

static bool is_left_out(struct walk *w, const char *name, bool dir)
{
	if (git_ignores(w, dir)) {
		/* What karta itself keeps there is nothing that anybody would miss. */
		w->left->n_ignored += strcmp(name, ".karta") != 0;
		return true;
	}
	if (kt_ignore_match(w->ignore, w->path.ptr, dir))
		return true;
	if (dir && strcmp(name, "node_modules") == 0 && !git_has(w, true)) {
		w->left->n_modules++;
		return true;
	}
	return false;
}

/* It is refused later, with all others of its kind. */
static void note_secret(struct walk *w)
{
	if (!w->o->loose && kt_pack_secret(w->path.ptr + w->skip))
		kt_vec_push(&w->secrets, kt_strdup(w->path.ptr + w->skip));
}

static enum kt_code add_folder_link(
	struct walk *w, const char *full, const char *path, struct kt_err *err)
{
	char target[KT_MAX_PACK_PATH_BYTES + 1];
	ssize_t n = readlink(full, target, sizeof(target));
	if (n < 0)
		return kt_fail(err, KT_EIO, errno, "cannot read the link '%s'", path);
	if ((size_t)n == sizeof(target))
		return kt_fail(err, KT_ELIMIT, 0,
			"link '%s': its target is over the fixed limit of %d bytes", path,
			KT_MAX_PACK_PATH_BYTES);
	struct kt_file *f = kt_files_add(w->files, path, strlen(path), KT_MODE_LINK, n);
	return w->o->loose ? KT_OK : kt_manifest_check_link(f, target, (size_t)n, err);
}

static enum kt_code add_folder_file(
	struct walk *w, const char *full, const struct stat *st, struct kt_err *err)
{
	const char *path = w->path.ptr + w->skip;
	if (!w->o->loose && (int64_t)w->files->len >= w->o->limits->max_files)
		return kt_fail(err, KT_ELIMIT, 0,
			"there are more files than the limit max_release_files of %lld",
			(long long)w->o->limits->max_files);
	enum kt_code rc = w->o->loose ? KT_OK
				      : kt_pack_path_check(path, strlen(path), w->o->limits, err);
	if (rc != KT_OK)
		return rc;
	if (S_ISLNK(st->st_mode))
		return add_folder_link(w, full, path, err);
	if (S_ISREG(st->st_mode)) {
		(void)kt_files_add(w->files, path, strlen(path),
			(st->st_mode & S_IXUSR) != 0 ? KT_MODE_EXEC : KT_MODE_FILE, st->st_size);
		return KT_OK;
	}
	if (w->o->loose)
		return KT_OK;
	return kt_fail(err, KT_EINVAL, 0, "'%s' is neither a file nor a folder nor a link", path);
}

static enum kt_code walk_folder(struct walk *w, size_t depth, struct kt_err *err);

/* A submodule of which nothing is here: git has an entry where the folder is. */
static enum kt_code check_submodule(struct walk *w, const char *full, struct kt_err *err)
{
	struct stat st;
	KT_AUTOFREE char *git = kt_path_join(full, ".git");

	if (w->o->loose || w->index == NULL || w->path.len == 0 ||
		kt_git->index_get_bypath(w->index, w->path.ptr, 0) == NULL || lstat(git, &st) == 0)
		return KT_OK;
	(void)kt_fail(err, KT_EINVAL, 0, "submodule '%s' is not checked out", w->path.ptr);
	return kt_hint(err, "run: git submodule update --init --recursive");
}

/* Whether the present path is walked; it sets what holds below it. */
static bool is_taken(struct walk *w, const char *name, bool dir)
{
	enum named named;

	if (strcasecmp(name, ".git") == 0)
		return false;
	named = named_path(w);
	if (named == NAMED) {
		w->named_only = false;
		return true;
	}
	if (!w->named_only && !is_left_out(w, name, dir)) {
		if (!dir)
			note_secret(w);
		return true;
	}
	w->named_only = true;
	return dir && named == ON_THE_WAY;
}

static enum kt_code walk_name(struct walk *w, const char *name, size_t depth, struct kt_err *err)
{
	struct stat st;
	size_t before = w->path.len;
	bool named_only = w->named_only;
	enum kt_code rc = KT_OK;
	if (before > 0)
		kt_buf_addc(&w->path, '/');
	kt_buf_adds(&w->path, name);
	if (!kt_buf_ok(&w->path))
		return kt_fail(
			err, KT_ELIMIT, 0, "a path is longer than %zu bytes (fixed)", w->path.max);
	KT_AUTOFREE char *full = kt_path_join(w->top, w->path.ptr);
	if (lstat(full, &st) != 0)
		rc = kt_fail(err, KT_EIO, errno, "cannot look at '%s'", full);
	else if (!is_taken(w, name, S_ISDIR(st.st_mode)))
		rc = KT_OK;
	else if (S_ISDIR(st.st_mode))
		rc = walk_folder(w, depth + 1, err);
	else
		rc = add_folder_file(w, full, &st, err);
	kt_buf_truncate(&w->path, before);
	w->named_only = named_only;
	return rc;
}

static enum kt_code walk_folder(struct walk *w, size_t depth, struct kt_err *err)
{
	char **names = NULL;
	size_t n = 0;
	size_t mark = kt_ignore_mark(w->ignore);
	size_t git_mark = kt_ignore_mark(w->git_rules);
	if (depth > MAX_FOLDER_DEPTH)
		return kt_fail(err, KT_ELIMIT, 0, "folders nest deeper than %d (fixed): '%.200s'",
			MAX_FOLDER_DEPTH, w->path.ptr);
	KT_AUTOFREE char *full = kt_path_join(w->top, w->path.ptr);
	enum kt_code rc = check_submodule(w, full, err);
	if (rc == KT_OK)
		rc = kt_fs_list(full, &names, &n, err);
	if (rc != KT_OK)
		return rc;
	rc = enter_folder(w, err);
	for (size_t i = 0; i < n && rc == KT_OK; i++)
		rc = walk_name(w, names[i], depth, err);
	kt_fs_names_free(names, n);
	kt_ignore_pop(w->ignore, mark);
	kt_ignore_pop(w->git_rules, git_mark);
	return rc;
}

/* Rules of the folders above the one that is walked. */
static enum kt_code enter_above(struct walk *w, const char *prefix, struct kt_err *err)
{
	enum kt_code rc = KT_OK;
	const char *p = prefix;
	while (*p != '\0' && rc == KT_OK) {
		rc = enter_folder(w, err);
		size_t n = strcspn(p, "/");
		if (w->path.len > 0)
			kt_buf_addc(&w->path, '/');
		kt_buf_add(&w->path, p, n);
		p += n;
		p += *p == '/';
	}
	return rc;
}

/* Is there a ".git" in dir or above it? Asked before libgit2 is loaded. */
static bool is_in_git(const char *dir)
{
	KT_AUTOFREE char *at = kt_strdup(dir);
	for (;;) {
		struct stat st;
		KT_AUTOFREE char *git = kt_path_join(at, ".git");
		if (lstat(git, &st) == 0)
			return true;
		char *slash = strrchr(at, '/');
		if (slash == NULL || at[1] == '\0')
			return false;
		slash[slash == at] = '\0';
	}
}

/*
 * Find the work tree root is in: w->top and the way from there to root. Without one, w->top is
 * root.
 */
static enum kt_code find_git(
	struct walk *w, const char *root, char **out_top, char **out_prefix, struct kt_err *err)
{
	KT_AUTOFREE char *top = NULL;
	int ignored = 0;
	const char *work_dir = NULL;
	if (is_in_git(root)) {
		enum kt_code rc = kt_git_open(root, false, &w->repo, err);
		if (rc != KT_OK && rc != KT_ENOTFOUND)
			return rc;
	}
	if (w->repo != NULL)
		work_dir = kt_git->repository_workdir(w->repo);
	if (work_dir == NULL || kt_path_real(work_dir, &top, NULL) != KT_OK ||
		!kt_str_starts(root, top) ||
		(root[strlen(top)] != '/' && root[strlen(top)] != '\0')) {
		if (w->repo != NULL)
			kt_git->repository_free(w->repo);
		w->repo = NULL;
		w->outside = true;
		*out_top = kt_strdup(root);
		*out_prefix = kt_strdup("");
		return KT_OK;
	}
	const char *rest = root + strlen(top);
	rest += *rest == '/';
	*out_prefix = kt_strdup(rest);
	*out_top = KT_STEAL(top);
	/*
	 * A folder that git ignores as a whole (a build's result) is asked for by name: all of it.
	 */
	KT_AUTOFREE char *folder = kt_asprintf("%s/", rest);
	if (rest[0] != '\0' && kt_git->ignore_path_is_ignored(&ignored, w->repo, folder) == 0 &&
		ignored) {
		kt_git->repository_free(w->repo);
		w->repo = NULL;
	} else if (kt_git->repository_index(&w->index, w->repo) < 0) {
		w->index = NULL;
	}
	return KT_OK;
}

/* Every path that is named has to be there: a slip would leave out what was meant. */
static enum kt_code check_named(
	const char *root, const struct kt_folder_options *o, struct kt_err *err)
{
	for (const char *const *in = o->include; in && *in; in++) {
		struct stat st;
		KT_AUTOFREE char *path = kt_path_join(root, *in);

		if (lstat(path, &st) != 0)
			return kt_fail(err, KT_EINVAL, errno, "cannot include '%s'", *in);
	}
	return KT_OK;
}

#define SHOWN_SECRETS 5

static enum kt_code refuse_secrets(const struct kt_vec *list, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1024);
	const char *first = list->len > 0 ? list->items[0] : NULL;

	if (first == NULL)
		return KT_OK;
	for (size_t i = 0; i < list->len && i < SHOWN_SECRETS; i++)
		kt_buf_addf(&b, "%s'%s'", i > 0 ? ", " : "", (const char *)list->items[i]);
	if (list->len > SHOWN_SECRETS)
		kt_buf_addf(&b, " and %zu more", list->len - SHOWN_SECRETS);
	(void)kt_fail(err, KT_EINVAL, 0, "%s like secrets: %s",
		list->len == 1 ? "this file looks" : "these files look", b.ptr);
	return kt_hint(err,
		"keep such files out with .gitignore or .kartaignore; to send one all the same: "
		"--include %.80s",
		first);
}

static void walk_release(struct walk *w)
{
	for (size_t i = 0; i < w->secrets.len; i++)
		free(w->secrets.items[i]);
	kt_vec_release(&w->secrets);
	kt_ignore_free(w->ignore);
	kt_ignore_free(w->git_rules);
	if (w->index != NULL)
		kt_git->index_free(w->index);
	kt_git_repo_cleanup(&w->repo);
	kt_buf_release(&w->path);
}

enum kt_code kt_folder_walk(const char *dir, const char *sub, const struct kt_folder_options *o,
	struct kt_files *files, struct kt_left_out *left, char **out_root, struct kt_err *err)
{
	KT_AUTOFREE char *joined = kt_path_join(dir, sub);
	KT_AUTOFREE char *root = NULL;
	KT_AUTOFREE char *top = NULL;
	KT_AUTOFREE char *prefix = NULL;
	enum kt_code rc = kt_path_real(joined, &root, err);
	if (rc == KT_OK && !kt_fs_is_dir(root))
		rc = kt_fail(err, KT_EINVAL, 0, "'%s' is no folder", joined);
	if (rc == KT_OK)
		rc = check_named(root, o, err);
	if (rc != KT_OK)
		return rc;
	struct walk w = { .o = o,
		.files = files,
		.left = left,
		.secrets = KT_VEC_INIT,
		.path = KT_BUF_INIT(64 * 1024) };
	w.ignore = kt_ignore_new();
	w.git_rules = kt_ignore_new();
	rc = find_git(&w, root, &top, &prefix, err);
	if (rc == KT_OK) {
		w.top = top;
		w.skip = prefix[0] != '\0' ? strlen(prefix) + 1 : 0;
		rc = enter_above(&w, prefix, err);
	}
	if (rc == KT_OK)
		rc = walk_folder(&w, 0, err);
	if (rc == KT_OK)
		rc = refuse_secrets(&w.secrets, err);
	walk_release(&w);
	if (rc == KT_OK)
		*out_root = KT_STEAL(root);
	return rc;
}
