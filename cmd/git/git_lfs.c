/* SPDX-License-Identifier: MIT */
/*
 * git-lfs and a push: its hook runs after git has asked this helper for the server's refs, and
 * would look for a store of LFS files behind the remote's URL. There is none, nor need for one:
 * karta packs the files from where git-lfs keeps them. So the hook is told that they are to be
 * "uploaded" to the repository itself, where they are.
 */
#include "cmd/git/git_remote.h"

#include "base/fs.h"
#include "base/str.h"

#include <string.h>

#define HOOK_MAX_BYTES ((size_t)64 * 1024)
#define CONFIG_MAX_BYTES ((size_t)1024 * 1024)

/* The folder that all work trees of the repository share. */
static char *common_dir(void)
{
	const char *dir = kt_helper_git_dir();
	KT_AUTOFREE char *file = dir ? kt_path_join(dir, "commondir") : NULL;
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(4096);

	if (!dir)
		return NULL;
	if (kt_fs_read(file, &text, NULL) != KT_OK || !text.len)
		return kt_strdup(dir);
	text.ptr[strcspn(text.ptr, "\n")] = '\0';
	return text.ptr[0] == '/' ? kt_strdup(text.ptr) : kt_path_join(dir, text.ptr);
}

/* Does git-lfs look at pushes here? By its hook, or by what it keeps, when the hook is elsewhere.
 */
static bool has_lfs(const char *common)
{
	KT_AUTOFREE char *hook = kt_path_join(common, "hooks/pre-push");
	KT_AUTOFREE char *store = kt_path_join(common, "lfs");
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(HOOK_MAX_BYTES);

	if (kt_fs_is_dir(store))
		return true;
	return kt_fs_read(hook, &text, NULL) == KT_OK &&
		(strstr(text.ptr, "git lfs") || strstr(text.ptr, "git-lfs"));
}

/* A look at the text: most pushes need not load git's library for this. */
static bool is_told(const char *common)
{
	KT_AUTOFREE char *path = kt_path_join(common, "config");
	KT_AUTOFREE char *line = kt_asprintf("lfspushurl = file://%s", common);
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(CONFIG_MAX_BYTES);

	return common[0] == '/' && kt_fs_read(path, &text, NULL) == KT_OK &&
		strstr(text.ptr, line) != NULL;
}

/* Without its "karta::", which git leaves out for some and not for others. */
static const char *bare_lfs_url(const char *url)
{
	return kt_str_starts(url, "karta::") ? url + strlen("karta::") : url;
}

/* The remote that is pushed to: git-lfs takes the URL of one for it. NULL: there is none. */
static const char *remote_name(const struct helper *h)
{
	KT_AUTOFREE char *url = NULL;

	if (!strchr(h->remote, ':') && !strchr(h->remote, '/'))
		return h->remote;
	if (kt_git_remote_url(".", "karta", &url, NULL) != KT_OK || !url)
		return NULL;
	return kt_str_eq(bare_lfs_url(url), bare_lfs_url(h->remote)) ? "karta" : NULL;
}

void kt_helper_lfs(struct helper *h)
{
	KT_AUTOFREE char *common = common_dir();
	const char *name = remote_name(h);
	struct kt_err err = KT_ERR_INIT;
	bool is_new = false;

	if (!common || !has_lfs(common) || (name && is_told(common)))
		return;
	/* There is no place to tell it. */
	if (!name)
		kt_talk_say(&h->talk,
			"git-lfs: its hook stops new files of a push to a URL; git push "
			"--no-verify URL goes "
			"without it, and all files are sent. Better: git remote add karta URL");
	else if (kt_git_lfs_push_here(".", name, &is_new, &err) != KT_OK)
		kt_talk_say(&h->talk, "git-lfs: %s", err.msg);
	else if (is_new)
		kt_talk_say(&h->talk,
			"git-lfs: its files are packed from this repository (remote.%s.lfspushurl)",
			name);
}
