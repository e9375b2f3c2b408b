/* SPDX-License-Identifier: MIT */
/* The files of a commit, from its trees: nothing is checked out, and no content is read. */
#include "git/git_private.h"

#include "base/limits.h"
#include "git/ignore_private.h"

#include <string.h>
#include <sys/stat.h>

#define MAX_RULES_BYTES (1024 * 1024) /* a .kartaignore or .gitattributes */
#define MAX_TREE_DEPTH 256 /* of folders that are only looked through */

struct walk {
	git_repository *repo;
	git_odb *odb;
	const char *sub; /* "" = all */
	size_t sub_len;
	const struct kt_pack_limits *l;
	bool *elsewhere; /* or NULL */
	struct kt_ignore *ignore;
	struct kt_files *files;
	git_oid *oids;
	size_t oids_cap;
	size_t looked; /* entries so far */
	struct kt_buf path; /* of the folder that is being walked, with '/' at its end, or "" */
};

static bool is_tree(const git_tree_entry *e)
{
	return kt_git->tree_entry_filemode_raw(e) == GIT_FILEMODE_TREE;
}

/* Feed a file of rules, if tree has it as a regular file, to push(). */
static enum kt_code push_git_rules(struct walk *w, git_tree *tree, const char *base,
	const char *name, void (*push)(struct kt_ignore *, const char *, const char *, size_t),
	struct kt_err *err)
{
	git_odb_object *blob = NULL;
	const git_tree_entry *e = kt_git->tree_entry_byname(tree, name);
	if (e == NULL || (kt_git->tree_entry_filemode_raw(e) & S_IFMT) != S_IFREG)
		return KT_OK;
	enum kt_code rc = kt_git_blob(w->odb, kt_git->tree_entry_id(e), name, &blob, err);
	if (rc != KT_OK)
		return rc;
	size_t len = kt_git->odb_object_size(blob);
	if (len > MAX_RULES_BYTES)
		rc = kt_fail(err, KT_ELIMIT, 0, "'%s%s%s' is over the fixed limit of %d bytes",
			base, base[0] != '\0' ? "/" : "", name, MAX_RULES_BYTES);
	else
		push(w->ignore, base, kt_git->odb_object_data(blob), len);
	kt_git->odb_object_free(blob);
	return rc;
}

/* The rules of the folder that w->path names. */
static enum kt_code enter_git_tree(struct walk *w, git_tree *tree, struct kt_err *err)
{
	KT_AUTOFREE char *base = kt_strndup(w->path.ptr, w->path.len > 0 ? w->path.len - 1 : 0);
	enum kt_code rc = push_git_rules(
		w, tree, base, ".gitattributes", kt_ignore_push_attributes, err);
	if (rc == KT_OK)
		rc = push_git_rules(w, tree, base, ".kartaignore", kt_ignore_push, err);
	return rc;
}

static enum kt_code add_git_file(
	struct walk *w, const git_tree_entry *e, const char *shown, struct kt_err *err)
{
	unsigned raw = kt_git->tree_entry_filemode_raw(e);
	size_t skip = w->sub_len > 0 ? w->sub_len + 1 : 0;
	if (raw == GIT_FILEMODE_COMMIT) {
		if (w->elsewhere != NULL)
			*w->elsewhere = true;
		(void)kt_fail(err, KT_EINVAL, 0,
			"'%s' is a submodule: its files are in another repository", shown);
		return kt_hint(err, "run: git submodule update --init && karta deploy");
	}
	/* Old git wrote other rights than 644 and 755. */
	enum kt_file_mode mode = raw == GIT_FILEMODE_LINK ? KT_MODE_LINK
		: (raw & S_IXUSR) != 0                    ? KT_MODE_EXEC
							  : KT_MODE_FILE;
	if ((int64_t)w->files->len >= w->l->max_files)
		return kt_fail(err, KT_ELIMIT, 0,
			"there are more files than the limit max_release_files of %lld",
			(long long)w->l->max_files);
	enum kt_code rc = kt_pack_path_check(shown + skip, w->path.len - skip, w->l, err);
	if (rc != KT_OK)
		return rc;
	kt_grow((void **)&w->oids, &w->oids_cap, w->files->len + 1, sizeof(*w->oids));
	w->oids[w->files->len] = *kt_git->tree_entry_id(e);
	(void)kt_files_add(w->files, shown + skip, w->path.len - skip, mode, 0);
	return KT_OK;
}

/* How path, of a folder or not, lies to sub: in it, on the way to it, or elsewhere. */
static bool concerns_sub(const struct walk *w, const char *path, size_t len, bool dir)
{
	size_t n = w->sub_len;
	if (n == 0 || (len > n && memcmp(path, w->sub, n) == 0 && path[n] == '/'))
		return true;
	return dir && len <= n && memcmp(path, w->sub, len) == 0 &&
		(w->sub[len] == '/' || w->sub[len] == '\0');
}

/* A few repeated folders make a tree of any size: what is left out counts as well. */
static enum kt_code count_entries(size_t *looked, const git_tree *tree, struct kt_err *err)
{
	*looked += kt_git->tree_entrycount(tree) + 1;
	if (*looked <= KT_MAX_TREE_ENTRIES)
		return KT_OK;
	(void)kt_fail(err, KT_ELIMIT, 0,
		"the commit has more than %d files and folders (fixed), also counting what is left "
		"out",
		KT_MAX_TREE_ENTRIES);
	return kt_hint(err, "deploy a folder of it: karta deploy DIR");
}

static enum kt_code walk_tree(struct walk *w, const git_oid *oid, size_t depth, struct kt_err *err);

static enum kt_code walk_entry(
	struct walk *w, const git_tree_entry *e, size_t depth, struct kt_err *err)
{
	size_t before = w->path.len;
	bool dir = is_tree(e);
	enum kt_code rc = KT_OK;
	kt_buf_adds(&w->path, kt_git->tree_entry_name(e));
	if (!kt_buf_ok(&w->path))
		return kt_fail(
			err, KT_ELIMIT, 0, "a path is longer than %zu bytes (fixed)", w->path.max);
	/* The folder that is asked for is not left out, nor are those on the way to it. */
	bool wanted = dir && w->path.len <= w->sub_len;
	if (concerns_sub(w, w->path.ptr, w->path.len, dir) &&
		(wanted || !kt_ignore_match(w->ignore, w->path.ptr, dir))) {
		if (dir) {
			kt_buf_addc(&w->path, '/');
			rc = walk_tree(w, kt_git->tree_entry_id(e), depth + 1, err);
		} else {
			rc = add_git_file(w, e, w->path.ptr, err);
		}
	}
	kt_buf_truncate(&w->path, before);
	return rc;
}

static enum kt_code walk_tree(struct walk *w, const git_oid *oid, size_t depth, struct kt_err *err)
{
	git_tree *tree = NULL;
	size_t mark = kt_ignore_mark(w->ignore);
	if (depth > MAX_TREE_DEPTH)
		return kt_fail(err, KT_ELIMIT, 0, "folders nest deeper than %d (fixed): '%.200s'",
			MAX_TREE_DEPTH, w->path.ptr);
	int status = kt_git->tree_lookup(&tree, w->repo, oid);
	if (status < 0)
		return kt_git_fail(err, status == GIT_ENOTFOUND ? KT_ENOTFOUND : KT_EIO,
			"cannot read the folder '%s' of the commit", w->path.ptr);
	enum kt_code rc = count_entries(&w->looked, tree, err);
	if (rc == KT_OK)
		rc = enter_git_tree(w, tree, err);
	size_t n = kt_git->tree_entrycount(tree);
	for (size_t i = 0; i < n && rc == KT_OK; i++)
		rc = walk_entry(w, kt_git->tree_entry_byindex(tree, i), depth, err);
	kt_ignore_pop(w->ignore, mark);
	kt_git->tree_free(tree);
	return rc;
}

/* Is there a folder sub in the commit's tree? */
static enum kt_code check_sub(
	git_repository *repo, git_tree *root, const char *sub, struct kt_err *err)
{
	git_tree *tree = root;
	enum kt_code rc = KT_OK;
	for (const char *p = sub; *p != '\0' && rc == KT_OK;) {
		size_t len = strcspn(p, "/");
		KT_AUTOFREE char *name = kt_strndup(p, len);
		const git_tree_entry *e = kt_git->tree_entry_byname(tree, name);
		git_tree *next = NULL;
		if (e == NULL || !is_tree(e) ||
			kt_git->tree_lookup(&next, repo, kt_git->tree_entry_id(e)) < 0)
			rc = kt_fail(err, KT_ENOTFOUND, 0, "the commit has no folder '%s'", sub);
		if (tree != root)
			kt_git->tree_free(tree);
		tree = next;
		p += len;
		p += *p == '/';
	}
	if (tree != root && tree != NULL)
		kt_git->tree_free(tree);
	return rc;
}

enum kt_code kt_git_walk(git_repository *repo, git_commit *commit, const char *sub,
	const struct kt_tree_options *opts, struct kt_files *files, git_oid **out_oids,
	struct kt_err *err)
{
	struct walk w = { .repo = repo,
		.sub = sub,
		.sub_len = strlen(sub),
		.l = &opts->limits,
		.elsewhere = opts->elsewhere,
		.files = files,
		.path = KT_BUF_INIT(64 * 1024) };
	git_tree *root = NULL;
	if (kt_git->repository_odb(&w.odb, repo) < 0)
		return kt_git_fail(err, KT_EIO, "cannot read the repository's objects");
	w.ignore = kt_ignore_new();
	enum kt_code rc = KT_OK;
	if (kt_git->commit_tree(&root, commit) < 0)
		rc = kt_git_fail(err, KT_EIO, "cannot read the commit's tree");
	if (rc == KT_OK)
		rc = check_sub(repo, root, sub, err);
	if (rc == KT_OK)
		rc = walk_tree(&w, kt_git->object_id((git_object *)root), 0, err);
	if (root != NULL)
		kt_git->tree_free(root);
	kt_git->odb_free(w.odb);
	kt_ignore_free(w.ignore);
	kt_buf_release(&w.path);
	if (rc == KT_OK)
		*out_oids = w.oids;
	else
		free(w.oids);
	return rc;
}

/* --- applications ------------------------------------------------------------------------ */

struct apps {
	git_repository *repo;
	struct kt_buf *path;
	struct kt_files *files;
	size_t looked;
};

static enum kt_code walk_apps(struct apps *a, const git_oid *oid, size_t depth, struct kt_err *err)
{
	struct kt_buf *path = a->path;
	git_tree *tree = NULL;
	if (depth > MAX_TREE_DEPTH)
		return KT_OK; /* deeper than any release may be */
	if (kt_git->tree_lookup(&tree, a->repo, oid) < 0)
		return kt_git_fail(
			err, KT_EIO, "cannot read the folder '%s' of the commit", path->ptr);
	enum kt_code rc = count_entries(&a->looked, tree, err);
	size_t before = path->len;
	const git_tree_entry *toml = kt_git->tree_entry_byname(tree, "karta.toml");
	if (toml != NULL && (kt_git->tree_entry_filemode_raw(toml) & S_IFMT) == S_IFREG)
		(void)kt_files_add(a->files, path->ptr, before, KT_MODE_FILE, 0);
	size_t n = kt_git->tree_entrycount(tree);
	for (size_t i = 0; i < n && rc == KT_OK; i++) {
		const git_tree_entry *e = kt_git->tree_entry_byindex(tree, i);
		if (!is_tree(e))
			continue;
		if (before > 0)
			kt_buf_addc(path, '/');
		kt_buf_adds(path, kt_git->tree_entry_name(e));
		if (kt_buf_ok(path))
			rc = walk_apps(a, kt_git->tree_entry_id(e), depth + 1, err);
		path->overflow = false;
		kt_buf_truncate(path, before);
	}
	kt_git->tree_free(tree);
	return rc;
}

enum kt_code kt_git_walk_apps(
	git_repository *repo, git_commit *commit, struct kt_files *files, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf path = KT_BUF_INIT(64 * 1024);
	git_tree *root = NULL;
	if (kt_git->commit_tree(&root, commit) < 0)
		return kt_git_fail(err, KT_EIO, "cannot read the commit's tree");
	struct apps a = { .repo = repo, .path = &path, .files = files };
	enum kt_code rc = walk_apps(&a, kt_git->object_id((git_object *)root), 0, err);
	kt_git->tree_free(root);
	return rc;
}
