/* SPDX-License-Identifier: MIT */
/*
 * Folders that Claude Code trusts. Of a folder that is not trusted it runs hooks and servers, but
 * leaves out what the folder's own settings allow. Its word for trust is in its configuration, by
 * the root of the repository that the folder is in, else by the folder (2.1.197).
 */
#include "harness/claude_private.h"

#include "base/env.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONFIG_FILE ".claude.json"
#define CONFIG_PART ".claude.json.karta"
#define ACCEPTED "hasTrustDialogAccepted"

/* --- places ------------------------------------------------------------------------------ */

static void add_trust_place(struct kt_vec *out, char *path)
{
	kt_vec_push(out, path);
}

/* A linked worktree counts as the repository that it is of. */
static void add_main_worktree(const char *git_file, struct kt_vec *out)
{
	static const char head[] = "gitdir: ", tail[] = "/.git/worktrees/";
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(PATH_MAX);
	const char *end;

	if (kt_fs_read(git_file, &text, NULL) != KT_OK || !kt_str_starts(text.ptr, head))
		return;
	end = strstr(text.ptr, tail);
	if (end)
		add_trust_place(out,
			kt_strndup(text.ptr + sizeof(head) - 1,
				(size_t)(end - text.ptr) - (sizeof(head) - 1)));
}

/* Where Claude Code may look for its word about dir: char * each, for the caller to free. */
static void places_of(const char *dir, struct kt_vec *out)
{
	char *at = NULL;

	if (kt_path_real(dir, &at, NULL) != KT_OK)
		return;
	add_trust_place(out, kt_strdup(at));
	for (;;) {
		KT_AUTOFREE char *git = kt_path_join(at, ".git");
		char *up;

		if (kt_fs_is_dir(git) || kt_fs_is_file(git)) {
			add_trust_place(out, kt_strdup(at));
			if (kt_fs_is_file(git))
				add_main_worktree(git, out);
			break;
		}
		if (kt_str_eq(at, "/"))
			break;
		up = kt_path_dir(at);
		free(at);
		at = up;
	}
	free(at);
}

static void places_free(struct kt_vec *places)
{
	for (size_t i = 0; i < places->len; i++)
		free(places->items[i]);
	kt_vec_release(places);
}

/* --- its configuration ------------------------------------------------------------------- */

static bool is_accepted(const cJSON *config, const char *place)
{
	const cJSON *project = kt_json_obj(kt_json_obj(config, "projects"), place);

	return kt_json_bool(project, ACCEPTED, false);
}

bool kt_claude_trusts(const char *dir)
{
	const char *own = kt_env_get("CLAUDE_CONFIG_DIR"), *home = kt_env_get("HOME");
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(KT_MAX_HARNESS_CONFIG_BYTES);
	struct kt_vec places = KT_VEC_INIT;
	KT_AUTO_JSON cJSON *config = NULL;
	KT_AUTOFREE char *path = NULL;
	size_t n;

	if (!own && !home)
		return false;
	path = kt_path_join(own ? own : home, CONFIG_FILE);
	if (kt_fs_read(path, &text, NULL) != KT_OK ||
		kt_json_parse(text.ptr, text.len, KT_JSON_LENIENT, &config, NULL) != KT_OK)
		return false;
	places_of(dir, &places);
	/* The last place is the one that it asks about. */
	n = places.len;
	bool yes = n && is_accepted(config, places.items[n - 1]);

	places_free(&places);
	return yes;
}

/* The object under key, made when there is none. */
static cJSON *object_in(cJSON *parent, const char *key)
{
	cJSON *v = cJSON_GetObjectItemCaseSensitive(parent, key);

	if (cJSON_IsObject(v))
		return v;
	cJSON_DeleteItemFromObjectCaseSensitive(parent, key);
	v = cJSON_AddObjectToObject(parent, key);
	kt_assert(v);
	return v;
}

/* The session's configuration as it is, an empty one when it cannot be read. Never NULL. */
static cJSON *config_read(int dir_fd)
{
	KT_AUTOFD int fd = openat(dir_fd, CONFIG_FILE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(KT_MAX_HARNESS_CONFIG_BYTES);
	cJSON *config = NULL;
	ssize_t n = 1;

	while (fd >= 0 && n > 0) {
		char *room = kt_buf_reserve(&text, 16 * 1024);

		n = room ? read(fd, room, 16 * 1024) : -1;
		if (n > 0)
			kt_buf_commit(&text, (size_t)n);
	}
	if (fd < 0 || n < 0 || !kt_buf_ok(&text) ||
		kt_json_parse(text.ptr, text.len, KT_JSON_LENIENT, &config, NULL) != KT_OK ||
		!cJSON_IsObject(config)) {
		cJSON_Delete(config);
		config = cJSON_CreateObject();
		kt_assert(config);
	}
	return config;
}

static enum kt_code config_write(int dir_fd, const cJSON *config, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(2 * KT_MAX_HARNESS_CONFIG_BYTES);

	(void)unlinkat(dir_fd, CONFIG_PART, 0);
	KT_AUTOFD int fd = openat(
		dir_fd, CONFIG_PART, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	kt_json_add(&text, config);
	if (fd < 0 || !kt_buf_ok(&text) || kt_fs_write_all(fd, text.ptr, text.len, NULL) != KT_OK ||
		renameat(dir_fd, CONFIG_PART, dir_fd, CONFIG_FILE) != 0)
		return kt_fail(err, KT_EIO, errno, "cannot write the harness's configuration");
	return KT_OK;
}

/*
 * The folder is the session's own, but what runs in it may have put links there: none is followed.
 */
enum kt_code kt_claude_prepare(const struct kt_driver_config *cfg, struct kt_err *err)
{
	struct kt_vec places = KT_VEC_INIT;
	KT_AUTO_JSON cJSON *config = NULL;
	enum kt_code rc = KT_OK;
	bool changed = false;

	if (!cfg->trusted || !cfg->home)
		return KT_OK;
	KT_AUTOFD int home = open(cfg->home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (home >= 0)
		(void)mkdirat(home, ".claude", 0700);
	KT_AUTOFD int dir = home < 0
		? -1
		: openat(home, ".claude", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (dir < 0)
		return kt_fail(err, KT_EIO, errno, "cannot open the home of the session");
	config = config_read(dir);
	places_of(cfg->cwd, &places);
	for (size_t i = 0; i < places.len; i++) {
		cJSON *project;

		if (is_accepted(config, places.items[i]))
			continue;
		project = object_in(object_in(config, "projects"), places.items[i]);
		cJSON_DeleteItemFromObjectCaseSensitive(project, ACCEPTED);
		kt_assert(cJSON_AddTrueToObject(project, ACCEPTED));
		changed = true;
	}
	places_free(&places);
	if (changed)
		rc = config_write(dir, config, err);
	return rc;
}

/* --- what a folder's settings allow ------------------------------------------------------ */

/*
 * "/x" in a rule for files is below the folder of its settings file: on a command line it is not.
 */
static char *rule_anywhere(const char *rule, const char *dir)
{
	static const char *const files[] = { "Read(/", "Edit(/", "Write(/", "MultiEdit(/",
		"NotebookEdit(/", "Glob(/", "Grep(/", "LS(/", NULL };

	for (size_t i = 0; files[i]; i++) {
		size_t n = strlen(files[i]);

		if (kt_str_starts(rule, files[i]) && rule[n] != '/')
			return kt_asprintf("%.*s/%s/%s", (int)n - 1, rule, dir, rule + n);
	}
	return kt_strdup(rule);
}

struct grants {
	const char *dir; /* without links */
	cJSON *allow, *directories;
	struct kt_buf *words; /* or NULL */
};

static void take_list(struct grants *g, cJSON *to, const cJSON *list, bool rules)
{
	const cJSON *v;

	cJSON_ArrayForEach (v, list) {
		KT_AUTOFREE char *word = NULL;
		cJSON *s;

		if (!cJSON_IsString(v))
			continue;
		word = rules ? rule_anywhere(v->valuestring, g->dir) : kt_strdup(v->valuestring);
		s = cJSON_CreateString(word);
		kt_assert(s && cJSON_AddItemToArray(to, s));
		if (!g->words)
			continue;
		kt_buf_addf(g->words, "%s%s%s", g->words->len ? ", " : "",
			rules ? "" : "access to ", v->valuestring);
	}
}

static void take_file(struct grants *g, const char *name)
{
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(KT_MAX_CONFIG_BYTES);
	KT_AUTOFREE char *path = kt_path_join(g->dir, name);
	KT_AUTO_JSON cJSON *doc = NULL;
	const cJSON *permissions;

	if (kt_fs_read(path, &text, NULL) != KT_OK ||
		kt_json_parse(text.ptr, text.len, KT_JSON_LENIENT, &doc, NULL) != KT_OK)
		return;
	permissions = kt_json_obj(doc, "permissions");
	take_list(g, g->allow, kt_json_arr(permissions, "allow"), true);
	take_list(g, g->directories, kt_json_arr(permissions, "additionalDirectories"), false);
}

char *kt_claude_grants(const char *dir, struct kt_buf *out_words)
{
	KT_AUTO_BUF struct kt_buf out = KT_BUF_INIT(KT_MAX_GRANTS_BYTES);
	KT_AUTO_JSON cJSON *allow = cJSON_CreateArray();
	KT_AUTO_JSON cJSON *directories = cJSON_CreateArray();
	KT_AUTOFREE char *real = NULL;
	struct kt_jw w;

	kt_assert(allow && directories);
	if (kt_path_real(dir, &real, NULL) != KT_OK)
		return NULL;
	struct grants g = { real, allow, directories, out_words };

	take_file(&g, ".claude/settings.json");
	take_file(&g, ".claude/settings.local.json");
	if (!allow->child && !directories->child)
		return NULL;
	kt_jw_init(&w, &out);
	kt_jw_obj(&w, NULL);
	kt_jw_obj(&w, "permissions");
	kt_jw_json(&w, "allow", allow);
	kt_jw_json(&w, "additionalDirectories", directories);
	kt_jw_obj_end(&w);
	kt_jw_obj_end(&w);
	return kt_buf_ok(&out) ? kt_buf_take(&out) : NULL;
}
