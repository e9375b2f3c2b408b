/* SPDX-License-Identifier: MIT */
/*
 * Repositories: opening one, what is known of it, commits and remotes. Walking a commit's files is
 * in git_walk.c.
 */
#include "git/git_private.h"

#include "base/env.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/str.h"

#include <string.h>
#include <sys/stat.h>

void kt_git_repo_cleanup(git_repository **repo)
{
	if (*repo != NULL)
		kt_git->repository_free(*repo);
}

/* What libgit2 said last in this thread, "" when nothing. */
static const char *last_words(void)
{
	const git_error *e = kt_git->error_last();
	return e != NULL && e->message != NULL ? e->message : "";
}

static enum kt_code fail_open(int rc, const char *dir, struct kt_err *err)
{
	const char *words = last_words();
	/* libgit2 1.5 says this of another's repository when safe.directory is nowhere set. */
	if (rc == GIT_ENOTFOUND && strstr(words, "safe.directory") != NULL)
		rc = GIT_EOWNER;
	if (rc == GIT_ENOTFOUND) {
		(void)kt_fail(err, KT_ENOTFOUND, 0, "'%s' is in no git repository", dir);
		return kt_hint(err,
			"'git init -b main' makes one; 'karta deploy --dir .' takes the files as "
			"they are");
	}
	if (rc == GIT_EOWNER) {
		KT_AUTOFREE char *real = NULL;
		if (kt_path_real(dir, &real, NULL) != KT_OK)
			real = kt_strdup(dir);
		(void)kt_fail(err, KT_EDENIED, 0,
			"detected dubious ownership in repository at '%s': it belongs to another "
			"user",
			real);
		return kt_hint(err, "git config --global --add safe.directory '%s'", real);
	}
	if (strstr(words, "objectformat") != NULL) {
		(void)kt_fail(err, KT_EINVAL, 0,
			"the repository of '%s' names objects by SHA-256, which libgit2 %s cannot "
			"read",
			dir, LIBGIT2_VERSION);
		return kt_hint(err, "'karta deploy --dir .' takes the files as they are");
	}
	if (strstr(words, "refstorage") != NULL || strstr(words, "extension") != NULL) {
		(void)kt_git_fail(err, KT_EINVAL, "cannot read the repository of '%s'", dir);
		return kt_hint(err, "'karta deploy --dir .' takes the files as they are");
	}
	return kt_git_fail(err, KT_EIO, "cannot open the repository of '%s'", dir);
}

/* GIT_DIR, which git sets for its helpers: git's variable, not one of karta's. NULL when unset. */
static const char *env_git_dir(void)
{
	for (char **var = kt_env_all(); *var != NULL; var++)
		if (kt_str_starts(*var, "GIT_DIR=") && (*var)[strlen("GIT_DIR=")] != '\0')
			return *var + strlen("GIT_DIR=");
	return NULL;
}

enum kt_code kt_git_open(const char *dir, bool env, git_repository **out, struct kt_err *err)
{
	enum kt_code rc = kt_git_load(err);
	if (rc != KT_OK)
		return rc;
	git_repository *repo = NULL;
	const char *git_dir = env ? env_git_dir() : NULL;
	/* Not GIT_REPOSITORY_OPEN_FROM_ENV: it fails where GIT_WORK_TREE is set. */
	int status = git_dir != NULL
		? kt_git->repository_open_ext(&repo, git_dir,
			  GIT_REPOSITORY_OPEN_NO_SEARCH | GIT_REPOSITORY_OPEN_NO_DOTGIT, NULL)
		: kt_git->repository_open_ext(&repo, dir, 0, NULL);
	if (status < 0)
		return fail_open(status, dir, err);
	*out = repo;
	return KT_OK;
}

enum kt_code kt_git_commit(
	git_repository *repo, const char *rev, git_commit **out, struct kt_err *err)
{
	git_object *object = NULL;
	git_object *commit = NULL;
	int rc = kt_git->revparse_single(&object, repo, rev);
	if (rc == GIT_ENOTFOUND || rc == GIT_EUNBORNBRANCH) {
		(void)kt_fail(
			err, KT_ENOTFOUND, 0, "there is no commit '%s' in the repository", rev);
		if (strcmp(rev, "HEAD") == 0)
			(void)kt_hint(err, "commit something first: git add -A && git commit");
		return KT_ENOTFOUND;
	}
	if (rc < 0)
		return kt_git_fail(err, KT_EINVAL, "cannot read the revision '%s'", rev);
	rc = kt_git->object_peel(&commit, object, GIT_OBJECT_COMMIT);
	kt_git->object_free(object);
	if (rc < 0)
		return kt_git_fail(err, rc == GIT_ENOTFOUND ? KT_ENOTFOUND : KT_EINVAL,
			"'%s' is no commit", rev);
	*out = (git_commit *)commit;
	return KT_OK;
}

/* An id as text, by value. */
struct oid_hex {
	char text[80];
};

static struct oid_hex hex_of_oid(const git_oid *oid)
{
	struct oid_hex hex;

	(void)kt_git->oid_tostr(hex.text, sizeof(hex.text), oid);
	return hex;
}

enum kt_code kt_git_blob(git_odb *odb, const git_oid *oid, const char *path, git_odb_object **out,
	struct kt_err *err)
{
	int rc = kt_git->odb_read(out, odb, oid);
	if (rc == GIT_ENOTFOUND) {
		(void)kt_fail(err, KT_ENOTFOUND, 0,
			"the content of '%s' is not in the repository: it is a partial clone, or "
			"damaged",
			path);
		return kt_hint(err, "fetch it: git cat-file blob %s >/dev/null, or clone in full",
			hex_of_oid(oid).text);
	}
	if (rc < 0)
		return kt_git_fail(err, KT_EIO, "cannot read '%s' from the repository", path);
	if (kt_git->odb_object_type(*out) == GIT_OBJECT_BLOB)
		return KT_OK;
	kt_git->odb_object_free(*out);
	return kt_fail(err, KT_EPROTO, 0,
		"the content of '%s' is no file: the repository is damaged", path);
}

enum kt_code kt_git_resolve(const char *dir, const char *rev, char *out, struct kt_err *err)
{
	KT_AUTO_REPO git_repository *repo = NULL;
	git_commit *commit = NULL;
	enum kt_code rc = kt_git_open(dir, true, &repo, err);
	if (rc == KT_OK)
		rc = kt_git_commit(repo, rev, &commit, err);
	if (rc != KT_OK)
		return rc;
	struct oid_hex hex = hex_of_oid(kt_git->object_id((git_object *)commit));
	memcpy(out, hex.text, sizeof(hex.text));
	kt_git->object_free((git_object *)commit);
	return KT_OK;
}

enum kt_code kt_git_descends(
	const char *dir, const char *commit, const char *ancestor, bool *out, struct kt_err *err)
{
	KT_AUTO_REPO git_repository *repo = NULL;
	git_commit *young = NULL, *old = NULL;
	enum kt_code rc = kt_git_open(dir, true, &repo, err);
	int status = 0;

	if (rc == KT_OK)
		rc = kt_git_commit(repo, commit, &young, err);
	if (rc == KT_OK)
		rc = kt_git_commit(repo, ancestor, &old, err);
	if (rc == KT_OK) {
		status = kt_git->graph_descendant_of(repo, kt_git->object_id((git_object *)young),
			kt_git->object_id((git_object *)old));
		if (status < 0)
			rc = kt_git_fail(
				err, KT_EIO, "cannot compare %.12s and %.12s", commit, ancestor);
	}
	if (rc == KT_OK)
		*out = status == 1;
	kt_git->object_free((git_object *)young);
	kt_git->object_free((git_object *)old);
	return rc;
}

/* --- info -------------------------------------------------------------------------------- */

static int on_git_status(const char *path, unsigned flags, void *arg)
{
	struct kt_git_info *info = arg;
	info->dirty = flags != GIT_STATUS_CURRENT && (flags & GIT_STATUS_IGNORED) == 0;
	if (info->dirty)
		(void)snprintf(info->dirty_path, sizeof(info->dirty_path), "%s", path);
	return info->dirty; /* the first is enough */
}

static enum kt_code read_status(git_repository *repo, struct kt_git_info *info, struct kt_err *err)
{
	git_status_options opts = GIT_STATUS_OPTIONS_INIT;
	opts.show = GIT_STATUS_SHOW_INDEX_AND_WORKDIR;
	opts.flags = GIT_STATUS_OPT_INCLUDE_UNTRACKED;
	int rc = kt_git->status_foreach_ext(repo, &opts, on_git_status, info);
	/* What the callback returned to stop the walk comes back. */
	if (rc < 0)
		return kt_git_fail(err, KT_EIO, "cannot compare the work tree with the index");
	return KT_OK;
}

static void read_git_head(git_repository *repo, struct kt_git_info *info)
{
	git_reference *ref = NULL;
	const char *target;
	if (kt_git->repository_head(&ref, repo) == 0) {
		struct oid_hex hex = hex_of_oid(kt_git->reference_target(ref));
		(void)kt_str_copy(info->head_sha, sizeof(info->head_sha), hex.text);
		if (kt_git->repository_head_detached(repo) == 0)
			(void)kt_str_copy(info->branch, sizeof(info->branch),
				kt_git->reference_shorthand(ref));
		kt_git->reference_free(ref);
		return;
	}
	/* No commit yet: HEAD names a branch that is to come. */
	if (kt_git->reference_lookup(&ref, repo, "HEAD") != 0)
		return;
	target = kt_git->reference_symbolic_target(ref);
	if (target != NULL && kt_str_starts(target, "refs/heads/"))
		(void)kt_str_copy(
			info->branch, sizeof(info->branch), target + strlen("refs/heads/"));
	kt_git->reference_free(ref);
}

enum kt_code kt_git_info(
	const char *dir, bool with_status, struct kt_git_info *out, struct kt_err *err)
{
	KT_AUTO_REPO git_repository *repo = NULL;
	enum kt_code rc = kt_git_open(dir, true, &repo, err);
	if (rc != KT_OK)
		return rc;
	KT_AUTOFREE struct kt_git_info *info = kt_calloc(1, sizeof(*info));
	const char *work_dir = kt_git->repository_workdir(repo);
	if (!kt_str_copy(info->git_dir, sizeof(info->git_dir), kt_git->repository_path(repo)) ||
		!kt_str_copy(
			info->work_dir, sizeof(info->work_dir), work_dir != NULL ? work_dir : ""))
		return kt_fail(err, KT_ELIMIT, 0, "the path of the repository is too long");
	read_git_head(repo, info);
	info->shallow = kt_git->repository_is_shallow(repo) == 1;
	(void)kt_str_copy(info->object_format, sizeof(info->object_format), "sha1");
	if (with_status && work_dir != NULL)
		rc = read_status(repo, info, err);
	if (rc == KT_OK)
		*out = *info;
	return rc;
}

/* --- remotes ----------------------------------------------------------------------------- */

/*
 * By the configuration and not by git_remote_lookup(): the URL as it is written, without what
 * url.*.insteadOf makes of it; and libgit2 1.5 leaks 20 KiB for each setting it looks at there.
 * *out is the caller's, NULL when there is no such remote.
 */
static enum kt_code read_url(git_config *config, const char *name, char **out, struct kt_err *err)
{
	git_buf value = GIT_BUF_INIT;
	int valid = 0;
	if (kt_git->remote_name_is_valid(&valid, name) < 0 || !valid)
		return kt_fail(err, KT_EINVAL, 0, "'%s' is no name for a remote", name);
	KT_AUTOFREE char *key = kt_asprintf("remote.%s.url", name);
	int rc = kt_git->config_get_string_buf(&value, config, key);
	if (rc < 0 && rc != GIT_ENOTFOUND)
		return kt_git_fail(err, KT_EIO, "cannot read the remote '%s'", name);
	*out = rc == 0 ? kt_strdup(value.ptr) : NULL;
	kt_git->buf_dispose(&value);
	return KT_OK;
}

static enum kt_code open_config(const char *dir, git_config **out, struct kt_err *err)
{
	KT_AUTO_REPO git_repository *repo = NULL;
	enum kt_code rc = kt_git_open(dir, true, &repo, err);
	if (rc == KT_OK && kt_git->repository_config(out, repo) < 0)
		rc = kt_git_fail(err, KT_EIO, "cannot read the repository's configuration");
	return rc;
}

enum kt_code kt_git_remote_url(const char *dir, const char *name, char **out, struct kt_err *err)
{
	git_config *config = NULL;
	char *url = NULL;
	enum kt_code rc = open_config(dir, &config, err);
	if (rc != KT_OK)
		return rc;
	rc = read_url(config, name, &url, err);
	kt_git->config_free(config);
	if (rc == KT_OK && url == NULL)
		rc = kt_fail(err, KT_ENOTFOUND, 0, "the repository has no remote '%s'", name);
	if (rc == KT_OK)
		*out = url;
	return rc;
}

/*
 * The file that is written must be the repository's own: an archive can bring a .git whose config
 * is a link, which libgit2 would follow.
 */
static enum kt_code check_config_file(const char *dir, struct kt_err *err)
{
	KT_AUTO_REPO git_repository *repo = NULL;
	struct stat st;
	enum kt_code rc = kt_git_open(dir, true, &repo, err);
	if (rc != KT_OK)
		return rc;
	KT_AUTOFREE char *path = kt_path_join(kt_git->repository_commondir(repo), "config");
	if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode)) {
		(void)kt_fail(err, KT_EDENIED, 0, "'%s' is a link, which is not followed", path);
		return kt_hint(err, "put a file of its own there");
	}
	return KT_OK;
}

static enum kt_code write_remote(
	git_config *config, const char *name, const char *url, bool is_new, struct kt_err *err)
{
	KT_AUTOFREE char *url_key = kt_asprintf("remote.%s.url", name);
	KT_AUTOFREE char *fetch_key = kt_asprintf("remote.%s.fetch", name);
	KT_AUTOFREE char *fetch = kt_asprintf("+refs/heads/*:refs/remotes/%s/*", name);
	int rc = kt_git->config_set_string(config, url_key, url);
	/* As `git remote add`: a push then moves refs/remotes/NAME/BRANCH along. */
	if (rc == 0 && is_new)
		rc = kt_git->config_set_string(config, fetch_key, fetch);
	if (rc < 0)
		return kt_git_fail(err, KT_EIO, "cannot set the remote '%s'", name);
	return KT_OK;
}

enum kt_code kt_git_remote_set(
	const char *dir, const char *name, const char *url, char **out_old, struct kt_err *err)
{
	git_config *config = NULL;
	KT_AUTOFREE char *old = NULL;
	enum kt_code rc = check_config_file(dir, err);
	if (rc == KT_OK)
		rc = open_config(dir, &config, err);
	if (rc != KT_OK)
		return rc;
	rc = read_url(config, name, &old, err);
	if (rc == KT_OK)
		rc = write_remote(config, name, url, old == NULL, err);
	kt_git->config_free(config);
	if (rc == KT_OK && out_old != NULL)
		*out_old = KT_STEAL(old);
	return rc;
}

enum kt_code kt_git_lfs_push_here(
	const char *dir, const char *name, bool *out_set, struct kt_err *err)
{
	static const char own[] = "file://";
	KT_AUTO_REPO git_repository *repo = NULL;
	KT_AUTO_BUF struct kt_buf url = KT_BUF_INIT(3 * KT_MAX_PATH_BYTES);
	KT_AUTOFREE char *key = kt_asprintf("remote.%s.lfspushurl", name);
	git_buf value = GIT_BUF_INIT;
	git_config *config = NULL;
	enum kt_code rc = check_config_file(dir, err);
	if (rc == KT_OK)
		rc = kt_git_open(dir, true, &repo, err);
	if (rc == KT_OK)
		rc = open_config(dir, &config, err);
	if (rc != KT_OK)
		return rc;
	kt_buf_adds(&url, own);
	for (const char *p = kt_git->repository_commondir(repo); *p != '\0'; p++) {
		bool plain = (*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') ||
			(*p >= 'A' && *p <= 'Z') || strchr("/-._~", *p) != NULL;
		kt_buf_addf(&url, plain ? "%c" : "%%%02X", (unsigned char)*p);
	}
	*out_set = false;
	int status = kt_git->config_get_string_buf(&value, config, key);
	/* What somebody else has set is meant; ours follows the repository when it is moved. */
	if (status == GIT_ENOTFOUND ||
		(status == 0 && kt_str_starts(value.ptr, own) && !kt_str_eq(value.ptr, url.ptr))) {
		*out_set = status == GIT_ENOTFOUND;
		status = kt_git->config_set_string(config, key, url.ptr);
	}
	if (status < 0)
		rc = kt_git_fail(err, KT_EIO, "cannot set '%s'", key);
	kt_git->buf_dispose(&value);
	kt_git->config_free(config);
	return rc;
}
