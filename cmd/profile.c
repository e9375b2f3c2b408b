/* SPDX-License-Identifier: MIT */
/* Profiles: the credentials file, and the program that keeps keys in a Secret Service. */
#include "cmd/profile.h"

#include "base/buf.h"
#include "base/env.h"
#include "base/fs.h"
#include "base/str.h"
#include "base/time.h"
#include "text/json.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FILE_MAX_BYTES ((size_t)1024 * 1024)
#define HELPER "karta-credential-secretservice"
#define HELPER_MS 3000 /* a locked keyring may ask the user, who may not be there */
#define HELPER_OUT_BYTES 8192

void kt_profile_release(struct kt_profile *p)
{
	if (p->key)
		explicit_bzero(p->key, strlen(p->key));
	free(p->name);
	free(p->server);
	free(p->key);
	free(p->org);
	free(p->key_id);
	*p = (struct kt_profile){ 0 };
}

char *kt_profile_path(void)
{
	KT_AUTOFREE char *dir = kt_dir_config();

	return kt_path_join(dir, "credentials");
}

char *kt_profile_name_of(const char *server)
{
	const char *at = strstr(server, "://");

	at = at ? at + 3 : server;
	return kt_strndup(at, strcspn(at, ":/"));
}

/* --- the helper program ------------------------------------------------------------------ */

/* Beside this program, in its libexec, or on PATH; NULL when it is not installed. */
static char *find_helper(void)
{
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	KT_AUTOFREE char *dir = NULL;
	KT_AUTOFREE char *beside = NULL;
	KT_AUTOFREE char *libexec = NULL;

	if (n > 0) {
		self[n] = '\0';
		dir = kt_path_dir(self);
		beside = kt_path_join(dir, HELPER);
		libexec = kt_path_join(dir, "../libexec/karta/" HELPER);
		if (kt_fs_is_file(beside))
			return KT_STEAL(beside);
		if (kt_fs_is_file(libexec))
			return KT_STEAL(libexec);
	}
	return kt_fs_which(HELPER);
}

/* Read from fd until its end or the deadline; false when that passed. */
static bool read_keyring_until(int fd, struct kt_buf *out, int64_t deadline_us)
{
	for (;;) {
		int64_t left_ms = (deadline_us - kt_mono_us()) / 1000;
		struct pollfd p = { fd, POLLIN, 0 };
		char piece[1024];
		ssize_t n;

		if (left_ms <= 0 || poll(&p, 1, (int)left_ms) <= 0)
			return false;
		n = read(fd, piece, sizeof(piece));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n == 0;
		kt_buf_add(out, piece, (size_t)n);
		explicit_bzero(piece, sizeof(piece));
	}
}

/* Wait for pid up to the deadline, then kill it. True when it ended with status 0. */
static bool reap_keyring(pid_t pid, int64_t deadline_us)
{
	int status = 0;

	while (waitpid(pid, &status, WNOHANG) == 0) {
		struct timespec pause = { 0, 2 * 1000 * 1000 };

		if (kt_mono_us() > deadline_us)
			(void)kill(pid, SIGKILL);
		(void)nanosleep(&pause, NULL);
	}
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Run the helper: op is "get", "store" or "erase". False when it is not there or did not do it. */
static bool run_helper(const char *op, const struct kt_profile *p, struct kt_buf *out)
{
	KT_AUTOFREE char *path = find_helper();
	KT_AUTO_BUF struct kt_buf in = KT_BUF_INIT(HELPER_OUT_BYTES);
	KT_AUTOFREE char *word = kt_strdup(op);
	char *argv[] = { path, word, NULL };
	int to[2] = { -1, -1 }, from[2] = { -1, -1 };
	int64_t deadline = kt_mono_us() + HELPER_MS * 1000;
	posix_spawn_file_actions_t acts;
	bool ok = false;
	pid_t pid;

	/* A socket: one can write to it without a signal when the helper has ended already. */
	if (!path || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, to) ||
		pipe2(from, O_CLOEXEC))
		goto end;
	kt_buf_addf(&in, "protocol=karta\nhost=%s\nusername=%s\n", p->server, p->name);
	if (p->key)
		kt_buf_addf(&in, "password=%s\n", p->key);
	kt_buf_addc(&in, '\n');
	if (posix_spawn_file_actions_init(&acts))
		goto end;
	ok = !posix_spawn_file_actions_adddup2(&acts, to[0], STDIN_FILENO) &&
		!posix_spawn_file_actions_adddup2(&acts, from[1], STDOUT_FILENO) &&
		!posix_spawn_file_actions_addopen(&acts, STDERR_FILENO, "/dev/null", O_WRONLY, 0) &&
		!posix_spawn(&pid, path, &acts, NULL, argv, kt_env_all());
	(void)posix_spawn_file_actions_destroy(&acts);
	if (!ok)
		goto end;
	(void)close(KT_STEAL_FD(to[0]));
	(void)close(KT_STEAL_FD(from[1]));
	ok = send(to[1], in.ptr, in.len, MSG_NOSIGNAL) == (ssize_t)in.len;
	(void)close(KT_STEAL_FD(to[1]));
	ok = ok && read_keyring_until(from[0], out, deadline);
	ok = reap_keyring(pid, ok ? deadline : 0) && ok;
end:
	explicit_bzero(in.ptr, in.len);
	for (int i = 0; i < 2; i++) {
		if (to[i] >= 0)
			(void)close(to[i]);
		if (from[i] >= 0)
			(void)close(from[i]);
	}
	return ok;
}

/* The key that the helper has for p; NULL when none. */
static char *key_from_helper(const struct kt_profile *p)
{
	KT_AUTO_BUF struct kt_buf out = KT_BUF_INIT(HELPER_OUT_BYTES);
	char *key = NULL;

	if (run_helper("get", p, &out)) {
		const char *at = kt_str_starts(out.ptr, "password=")
			? out.ptr
			: strstr(out.ptr, "\npassword=");

		if (at) {
			at = strchr(at, '=') + 1;
			key = kt_strndup(at, strcspn(at, "\n"));
		}
	}
	explicit_bzero(out.ptr, out.len);
	return key;
}

/* --- the file ---------------------------------------------------------------------------- */

/* *out is an object, empty when there is no file yet. */
static enum kt_code load_profiles(cJSON **out, struct kt_err *err)
{
	KT_AUTOFREE char *path = kt_profile_path();
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(FILE_MAX_BYTES);
	struct stat st;
	enum kt_code rc;

	if (stat(path, &st)) {
		if (errno != ENOENT)
			return kt_fail(err, KT_EIO, errno, "cannot read '%s'", path);
		*out = cJSON_CreateObject();
		return KT_OK;
	}
	if (st.st_mode & 077) {
		kt_fail(err, KT_EDENIED, 0, "'%s' can be read by other users", path);
		return kt_hint(err, "chmod 600 %s", path);
	}
	rc = kt_fs_read(path, &b, err);
	if (rc != KT_OK)
		return rc;
	if (kt_json_parse(b.ptr, b.len, KT_JSON_STRICT, out, NULL) != KT_OK) {
		kt_fail(err, KT_EIO, 0, "'%s' is damaged", path);
		return kt_hint(err, "sign in again after: rm %s", path);
	}
	explicit_bzero(b.ptr, b.len);
	return KT_OK;
}

static enum kt_code save_profiles(const cJSON *doc, struct kt_err *err)
{
	KT_AUTOFREE char *path = kt_profile_path();
	KT_AUTOFREE char *dir = kt_dir_config();
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(FILE_MAX_BYTES);
	enum kt_code rc = kt_fs_mkdirs(dir, 0700, err);

	kt_json_add(&b, doc);
	kt_buf_addc(&b, '\n');
	if (rc == KT_OK)
		rc = kt_fs_write_atomic(path, b.ptr, b.len, 0600, true, err);
	explicit_bzero(b.ptr, b.len);
	return rc;
}

static char *dup_member(const cJSON *entry, const char *key)
{
	const char *s = kt_json_str(entry, key);

	return kt_strdup_opt(s);
}

/* The entry that is meant. */
static const cJSON *find_profile(const cJSON *doc, const char *name, const char *server)
{
	const cJSON *all = kt_json_obj(doc, "profiles");
	const cJSON *it;

	if (!name && !server)
		name = kt_json_str(doc, "default");
	if (name)
		return kt_json_obj(all, name);
	cJSON_ArrayForEach (it, all)
		if (kt_str_eq(kt_json_str(it, "server"), server))
			return it;
	return NULL;
}

enum kt_code kt_profile_find(
	const char *name, const char *server, struct kt_profile *out, struct kt_err *err)
{
	KT_AUTO_JSON cJSON *doc = NULL;
	enum kt_code rc = load_profiles(&doc, err);
	const cJSON *entry;

	if (rc != KT_OK)
		return rc;
	entry = find_profile(doc, name, server);
	if (!entry || !kt_json_str(entry, "server")) {
		kt_fail(err, KT_ENOTFOUND, 0, name ? "there is no profile '%s'" : "not signed in%s",
			name ? name : "");
		return kt_hint(err, "karta login --server URL");
	}
	*out = (struct kt_profile){
		.name = kt_strdup(entry->string),
		.server = dup_member(entry, "server"),
		.key = dup_member(entry, "key"),
		.org = dup_member(entry, "org"),
		.key_id = dup_member(entry, "key_id"),
		.minted = kt_json_bool(entry, "minted", false),
		.secret_service = kt_str_eq(kt_json_str(entry, "store"), "secret-service"),
	};
	if (!kt_time_parse(kt_json_str_or(entry, "expires_at", ""), &out->expires_us))
		out->expires_us = 0;
	if (out->secret_service && !out->key)
		out->key = key_from_helper(out);
	return KT_OK;
}

size_t kt_profile_count(void)
{
	KT_AUTO_JSON cJSON *doc = NULL;

	if (load_profiles(&doc, NULL) != KT_OK)
		return 0;
	return (size_t)cJSON_GetArraySize(kt_json_obj(doc, "profiles"));
}

static void set_member(cJSON *obj, const char *key, const char *value)
{
	cJSON_DeleteItemFromObjectCaseSensitive(obj, key);
	if (value)
		kt_assert(cJSON_AddStringToObject(obj, key, value));
}

enum kt_code kt_profile_save(struct kt_profile *p, struct kt_err *err)
{
	KT_AUTO_JSON cJSON *doc = NULL;
	KT_AUTO_BUF struct kt_buf out = KT_BUF_INIT(HELPER_OUT_BYTES);
	enum kt_code rc = load_profiles(&doc, err);
	cJSON *all, *entry;
	char expires[64];

	if (rc != KT_OK)
		return rc;
	all = cJSON_GetObjectItemCaseSensitive(doc, "profiles");
	if (!all)
		all = cJSON_AddObjectToObject(doc, "profiles");
	cJSON_DeleteItemFromObjectCaseSensitive(all, p->name);
	entry = cJSON_AddObjectToObject(all, p->name);
	kt_assert(entry);
	p->secret_service = run_helper("store", p, &out);
	set_member(entry, "server", p->server);
	set_member(entry, "org", p->org);
	set_member(entry, "key_id", p->key_id);
	if (p->expires_us)
		kt_time_iso(p->expires_us, false, expires, sizeof(expires));
	set_member(entry, "expires_at", p->expires_us ? expires : NULL);
	if (p->minted)
		kt_assert(cJSON_AddTrueToObject(entry, "minted"));
	set_member(entry, "store", p->secret_service ? "secret-service" : "file");
	if (!p->secret_service)
		set_member(entry, "key", p->key);
	set_member(doc, "default", p->name);
	return save_profiles(doc, err);
}

enum kt_code kt_profile_forget(const struct kt_profile *p, struct kt_err *err)
{
	KT_AUTO_JSON cJSON *doc = NULL;
	KT_AUTO_BUF struct kt_buf out = KT_BUF_INIT(HELPER_OUT_BYTES);
	enum kt_code rc = load_profiles(&doc, err);
	cJSON *all;

	if (rc != KT_OK)
		return rc;
	if (p->secret_service && !run_helper("erase", p, &out)) {
		kt_fail(err, KT_EUNAVAIL, 0, "the Secret Service does not answer");
		return kt_hint(err, "unlock the keyring and try again");
	}
	all = cJSON_GetObjectItemCaseSensitive(doc, "profiles");
	cJSON_DeleteItemFromObjectCaseSensitive(all, p->name);
	if (kt_str_eq(kt_json_str(doc, "default"), p->name))
		set_member(doc, "default", all && all->child ? all->child->string : NULL);
	return save_profiles(doc, err);
}
