/* SPDX-License-Identifier: MIT */
/*
 * The push of git-remote-karta: each ref is checked, packed and published; the production branch
 * comes last, so that what goes live goes live when the rest is there.
 */
#include "cmd/git/git_remote.h"

#include "base/env.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/str.h"
#include "base/time.h"
#include "cmd/remote.h"

#include <string.h>
#include <unistd.h>

/* --- preparations ------------------------------------------------------------------------ */

#define BLINK_MS 3
#define REF_MAX_BYTES ((size_t)1024) /* of a file with a ref */

static void load_git(struct helper *h)
{
	h->loaded = true;
	h->info_rc = kt_git_info(".", false, &h->info, &h->info_err);
	if (h->info_rc == KT_OK)
		h->info_rc = kt_crypto_init(&h->info_err);
}

static void *warm_git(void *arg)
{
	struct helper *h = arg;
	struct timespec until;
	bool needed;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += BLINK_MS * 1000000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000L;
	}
	kt_assert(pthread_mutex_lock(&h->lock) == 0);
	while (!h->is_told &&
		pthread_cond_clockwait(&h->told, &h->lock, CLOCK_MONOTONIC, &until) == 0)
		continue;
	needed = !h->is_told || h->is_needed;
	kt_assert(pthread_mutex_unlock(&h->lock) == 0);
	if (needed)
		load_git(h);
	return NULL;
}

void kt_helper_warm(struct helper *h)
{
	if (h->warming)
		return;
	kt_assert(pthread_mutex_init(&h->lock, NULL) == 0);
	kt_assert(pthread_cond_init(&h->told, NULL) == 0);
	h->warming = pthread_create(&h->warm, NULL, warm_git, h) == 0;
}

static enum kt_code find_repository(struct helper *h, struct kt_err *err)
{
	if (h->warming)
		(void)pthread_join(h->warm, NULL);
	if (!h->loaded)
		load_git(h);
	h->warming = false;
	if (h->info_rc != KT_OK)
		*err = h->info_err;
	return h->info_rc;
}

bool kt_helper_ref_ok(const char *ref)
{
	const char *part = ref;

	if (!kt_str_starts(ref, "refs/") || strlen(ref) > 512 || strstr(ref, "..") ||
		strstr(ref, "//") || strstr(ref, "@{") || kt_str_ends(ref, "/") ||
		kt_str_ends(ref, ".") || kt_str_ends(ref, ".lock"))
		return false;
	if (!kt_utf8_valid(ref, strlen(ref)))
		return false;
	for (const char *p = ref; *p; p++) {
		if ((unsigned char)*p <= ' ' || strchr("~^:?*[\\\x7f", *p))
			return false;
		if (p == part && (*p == '.' || *p == '-'))
			return false;
		if (*p == '/')
			part = p + 1;
	}
	return strchr(ref + strlen("refs/"), '/') != NULL;
}

enum kt_code kt_helper_push_option(struct helper *h, const char *text, struct kt_err *err)
{
	const char *eq = strchr(text, '='), *value = eq ? eq + 1 : NULL;
	KT_AUTOFREE char *name = kt_strndup(text, eq ? (size_t)(eq - text) : strlen(text));

	if (kt_str_eq(name, "no-activate") && !value) {
		h->no_activate = true;
	} else if (kt_str_eq(name, "unpin") && !value) {
		h->unpin = true;
	} else if (kt_str_eq(name, "no-wait") && !value) {
		h->no_wait = true;
	} else if (kt_str_eq(name, "message") && value) {
		free(h->message);
		h->message = kt_strdup(value);
	} else if (kt_str_eq(name, "env") && value && strchr(value, '=') && *value != '=') {
		kt_vec_push(&h->env, kt_strdup(value));
	} else if (!kt_str_eq(name, "pr") || !value || !kt_str_int64(value, 1, INT32_MAX, &h->pr)) {
		(void)kt_fail(err, KT_EINVAL, 0, "no push option of karta: '%s'", text);
		return kt_hint(err,
			"there are no-activate, unpin, no-wait, message=TEXT, env=NAME=VALUE and "
			"pr=N");
	}
	return KT_OK;
}

/* The first reason is the one that is told. */
static void refuse_push(struct push *p, const char *why)
{
	if (!p->why)
		p->why = kt_strdup(why);
	p->done = true;
}

static void refuse_err(struct push *p, const struct kt_err *err)
{
	KT_AUTOFREE char *why = kt_asprintf(
		"%s%s%s%s", err->msg, err->hint[0] ? " (" : "", err->hint, err->hint[0] ? ")" : "");

	refuse_push(p, why);
}

static const char *production_ref(const struct helper *h)
{
	return kt_json_str_or(h->refs, "production_ref", "refs/heads/main");
}

/* Commit that the server has under a ref, "" when it has none. */
static const char *known_commit(const struct helper *h, const char *ref)
{
	const char *pushed = kt_json_str(h->refs, "pushed");

	if (pushed && kt_str_eq(ref, production_ref(h)))
		return pushed;
	return kt_json_str_or(kt_json_obj(h->refs, "refs"), ref, "");
}

/* Commit of the release that is live, NULL when it has none. */
static const char *live_commit(const struct helper *h)
{
	return kt_json_str(kt_json_obj(h->refs, "live"), "commit_sha");
}

/* Some ref of the server is at this commit: there is a release of it. */
static bool has_commit(const struct helper *h, const char *sha)
{
	const cJSON *ref;

	cJSON_ArrayForEach (ref, kt_json_obj(h->refs, "refs")) {
		if (cJSON_IsString(ref) && kt_str_eq(ref->valuestring, sha))
			return true;
	}
	return false;
}

/* git's variable, not one of karta's. */
const char *kt_helper_git_dir(void)
{
	for (char **var = kt_env_all(); *var; var++) {
		if (kt_str_starts(*var, "GIT_DIR="))
			return *var + strlen("GIT_DIR=");
	}
	return NULL;
}

/* One line of a file of the repository; "" when it cannot be read. */
static void read_word(const char *dir, const char *name, struct kt_buf *out)
{
	KT_AUTOFREE char *path = kt_path_join(dir, name);

	kt_buf_clear(out);
	if (kt_fs_read(path, out, NULL) != KT_OK)
		kt_buf_clear(out);
	if (out->len && out->ptr[out->len - 1] == '\n')
		kt_buf_truncate(out, out->len - 1);
}

/*
 * The server has the commit that is checked out, so git will most likely find that there is nothing
 * to push. A guess without git's library: what is not a plain branch counts as unknown.
 */
static bool is_pushed(const struct helper *h)
{
	KT_AUTO_BUF struct kt_buf head = KT_BUF_INIT(REF_MAX_BYTES);
	KT_AUTO_BUF struct kt_buf sha = KT_BUF_INIT(REF_MAX_BYTES);
	const char *dir = kt_helper_git_dir();

	if (!dir)
		return false;
	read_word(dir, "HEAD", &head);
	if (!head.len || !kt_str_starts(head.ptr, "ref: ") ||
		!kt_helper_ref_ok(head.ptr + strlen("ref: ")))
		return false;
	read_word(dir, head.ptr + strlen("ref: "), &sha);
	return sha.len && has_commit(h, sha.ptr);
}

void kt_helper_told(struct helper *h)
{
	bool pushed = is_pushed(h);

	if (!h->warming)
		return;
	kt_assert(pthread_mutex_lock(&h->lock) == 0);
	h->is_told = true;
	h->is_needed = !pushed;
	(void)pthread_cond_signal(&h->told);
	kt_assert(pthread_mutex_unlock(&h->lock) == 0);
}

static bool is_tag(const struct push *p)
{
	return kt_str_starts(p->dst, "refs/tags/");
}

bool kt_helper_has_commit(const char *sha)
{
	char found[80];

	return kt_git_resolve(".", sha, found, NULL) == KT_OK;
}

/* "" is known: the ref is new. */
static bool is_known_here(const char *commit)
{
	return !*commit || kt_helper_has_commit(commit);
}

/* The live commit was listed in place of what was pushed last: so git has not compared with it. */
static bool is_step_back(const struct helper *h, const struct push *p)
{
	const char *pushed = kt_json_str(h->refs, "pushed");
	bool newer = false;

	return pushed && kt_str_eq(p->dst, production_ref(h)) && !kt_str_eq(p->sha, pushed) &&
		(kt_git_descends(".", p->sha, pushed, &newer, NULL) != KT_OK || !newer);
}

static void refuse_held(struct push *p, const char *project, const struct kt_err *err)
{
	const char *branch = p->dst;
	KT_AUTOFREE char *why = NULL;

	if (kt_str_starts(branch, "refs/heads/"))
		branch += strlen("refs/heads/");
	why = kt_asprintf("%s%s%s: karta releases unpin%s%s, or git push -o unpin karta %s",
		project ? project : "", project ? ": " : "", err->msg, project ? " " : "",
		project ? project : "", branch);
	refuse_push(p, why);
}

/* The remote's own project is pinned; those of other applications are asked for theirs. */
static bool is_held(const struct helper *h, struct push *p)
{
	const struct kt_client_publish pub = {
		.ref = p->dst, .pr = h->pr, .no_activate = h->no_activate, .unpin = h->unpin
	};
	struct kt_err err = KT_ERR_INIT;

	if (!h->own_refs || kt_client_publish_held(&pub, h->refs, &err) == KT_OK)
		return false;
	refuse_held(p, NULL, &err);
	return true;
}

/* Everything that can be found wrong without sending something. */
static void prepare_push(struct helper *h, struct push *p)
{
	struct kt_ship_options opts = { .dir = ".", .rev = p->sha, .progress = h->talk.progress };
	struct kt_err err = KT_ERR_INIT;

	if (p->done || p->ships.n)
		return;
	if (!kt_helper_ref_ok(p->dst)) {
		refuse_push(p, "karta takes no ref of this name");
		return;
	}
	if (!p->src[0]) {
		if (kt_str_eq(p->dst, production_ref(h)))
			refuse_push(p, "the production branch cannot be deleted");
		return;
	}
	/* git refuses what it can compare; what it cannot it leaves to the helper. */
	if (!p->force && !is_known_here(known_commit(h, p->dst))) {
		refuse_push(p, "fetch first");
		return;
	}
	if (p->src[0] == '-' || kt_git_resolve(".", p->src, p->sha, &err) != KT_OK) {
		refuse_err(p, &err);
		return;
	}
	if (!p->force && is_step_back(h, p)) {
		refuse_push(p, "non-fast forward");
		return;
	}
	if (is_held(h, p))
		return;
	if (kt_ship_find(&opts, &p->ships, &err) != KT_OK)
		refuse_err(p, &err);
}

/* --- one ref ----------------------------------------------------------------------------- */

/* What the server refused because the ref has moved: in the words for which git has advice. */
static void refuse_moved(struct helper *h, struct push *p)
{
	const char *now = kt_json_str_or(kt_client_problem(h->client), "commit_sha", "");
	KT_AUTOFREE char *why = NULL;

	if (!now[0] || !is_known_here(now)) {
		refuse_push(p, "fetch first");
		return;
	}
	why = kt_asprintf("somebody else has pushed %.7s meanwhile: look at it, push again", now);
	refuse_push(p, why);
}

static void say_outcome(
	struct helper *h, const char *project, const cJSON *release, int64_t began_us)
{
	const char *url = kt_json_str(release, "url");

	kt_talk_released(&h->talk, project, release, began_us);
	if (url)
		kt_talk_say(&h->talk, "%s", url);
}

/* Ctrl-C: what was begun goes on without us. */
KT_NORETURN static void let_go(struct helper *h, const char *project, const cJSON *release)
{
	const char *id = kt_json_str(release, "id");

	h->talk.quiet = false;
	if (id) {
		kt_talk_say(&h->talk, "The build goes on without this terminal: release %s", id);
		kt_talk_say(&h->talk, "Follow it: karta logs -p %s -f; see: karta releases -p %s",
			project, project);
	} else {
		kt_talk_say(
			&h->talk, "Nothing was released. What was sent is kept for the next push.");
	}
	kt_remote_die_by_int();
}

static void publish_ship(struct helper *h, struct push *p, size_t i)
{
	const struct kt_ship *ship = &p->ships.items[i];
	KT_AUTOFREE char *project = kt_ship_project(&p->ships, i, h->project);
	bool own = kt_str_eq(project, h->project);
	bool production = kt_str_eq(p->dst, production_ref(h)) && !h->pr;
	struct kt_client_publish pub = { .project = project,
		.tree = ship->tree,
		.git_dir = h->info.git_dir,
		.commit_sha = p->sha,
		.ref = p->dst,
		.message = h->message ? h->message : kt_tree_subject(ship->tree),
		.source = "git",
		.live_digest = own ? h->live : NULL,
		.live_commit = own ? live_commit(h) : NULL,
		.expected = own ? known_commit(h, p->dst) : NULL,
		.env = h->env.len ? (const char *const *)h->env.items : NULL,
		.pr = h->pr,
		.no_activate = h->no_activate || is_tag(p),
		.unpin = h->unpin && production,
		.no_wait = h->no_wait,
		.brief = true,
		.log = kt_talk_log,
		.progress = kt_talk_progress,
		.poll = kt_talk_poll,
		.arg = &h->talk };
	int64_t began_us = kt_mono_us();
	KT_AUTO_JSON cJSON *release = NULL;
	struct kt_err err = KT_ERR_INIT;
	enum kt_code rc;

	if (!project) {
		KT_AUTOFREE char *why = kt_asprintf("%s/karta.toml has no name", ship->sub);

		refuse_push(p, why);
		return;
	}
	if (p->ships.n > 1)
		kt_talk_say(&h->talk, "-----> %s (%s)", project, ship->sub[0] ? ship->sub : ".");
	kt_remote_catch_int();
	rc = kt_client_publish(h->client, &pub, &release, &err);
	kt_remote_let_int();
	if (h->talk.progress)
		kt_progress_clear(h->talk.progress);
	if (rc == KT_ECANCEL && !h->talk.timed_out)
		let_go(h, project, release);
	if (rc == KT_OK) {
		say_outcome(h, project, release, began_us);
		if (own && production && kt_json_bool(release, "activated", false)) {
			free(h->live);
			h->live = kt_strdup(kt_tree_manifest(ship->tree)->digest);
		}
		return;
	}
	if (kt_str_eq(kt_json_str(kt_client_problem(h->client), "code"), "ref_moved")) {
		refuse_moved(h, p);
		return;
	}
	if (rc == KT_ECONFLICT && !release && kt_str_starts(err.msg, "held at ")) {
		refuse_held(p, p->ships.n > 1 ? project : NULL, &err);
		return;
	}
	if (p->ships.n > 1)
		(void)kt_wrap(&err, "%s", project);
	refuse_err(p, &err);
}

static void delete_ref(struct helper *h, struct push *p)
{
	KT_AUTO_BUF struct kt_buf path = KT_BUF_INIT(KT_MAX_HTTP_TARGET_BYTES);
	KT_AUTOFREE char *refs = kt_remote_path(h->project, "/refs?name=");
	struct kt_err err = KT_ERR_INIT;

	/* It is not there: git says so itself, unless it did not ask. */
	kt_buf_adds(&path, refs);
	kt_url_segment(&path, p->dst);
	if (kt_client_call(h->client, "DELETE", path.ptr, NULL, NULL, &err) != KT_OK)
		refuse_err(p, &err);
	else
		kt_talk_say(&h->talk, "Deleted %s, its preview is over", p->dst);
	p->done = true;
}

static void push_one(struct helper *h, struct push *p)
{
	prepare_push(h, p);
	if (p->done)
		return;
	if (h->dry_run) {
		p->done = true;
		return;
	}
	if (!p->src[0]) {
		delete_ref(h, p);
		return;
	}
	if (is_tag(p) && has_commit(h, p->sha)) {
		kt_talk_say(&h->talk, "%s: %.7s is released already", p->dst, p->sha);
		p->done = true;
		return;
	}
	/* Each application is tried; what went wrong with one of them is the ref's outcome. */
	for (size_t i = 0; i < p->ships.n; i++)
		publish_ship(h, p, i);
	p->done = true;
	kt_ships_release(&p->ships);
}

/* --- the batch --------------------------------------------------------------------------- */

static bool any_refused(const struct push *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (list[i].why)
			return true;
	}
	return false;
}

static void refuse_rest(struct push *list, size_t n, const char *why)
{
	for (size_t i = 0; i < n; i++) {
		if (!list[i].done)
			refuse_push(&list[i], why);
	}
}

/* All are checked before the first is sent. What the server refuses later cannot be undone. */
static bool prepare_all(struct helper *h, struct push *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		prepare_push(h, &list[i]);
	if (!any_refused(list, n))
		return true;
	refuse_rest(list, n, "atomic push failed: another ref was refused");
	return false;
}

void kt_helper_push(struct helper *h, struct push *list, size_t n)
{
	struct kt_err err = KT_ERR_INIT;
	enum kt_code rc = find_repository(h, &err);

	/* What is live can mostly be patched. The library is needed after the packing. */
	if (!h->live || !h->live[0])
		kt_archive_warm();
	if (h->ctx.timeout_ms)
		h->talk.until_us = kt_mono_us() + h->ctx.timeout_ms * 1000;
	if (h->progress && !h->talk.quiet && isatty(STDERR_FILENO) == 1)
		h->talk.progress = kt_progress_new(STDERR_FILENO, &h->ctx.errt);
	kt_vec_push(&h->env, NULL);
	h->env.len--;
	for (size_t i = 0; rc != KT_OK && i < n; i++)
		refuse_err(&list[i], &err);
	if (rc == KT_OK && (!h->atomic || prepare_all(h, list, n))) {
		for (int last = 0; last < 2; last++) {
			for (size_t i = 0; i < n; i++) {
				bool production = kt_str_eq(list[i].dst, production_ref(h));

				if (production != (last == 1) || list[i].done)
					continue;
				push_one(h, &list[i]);
				if (h->atomic && list[i].why)
					refuse_rest(list, n,
						"atomic push failed: another ref was refused");
			}
		}
	}
	kt_progress_free(h->talk.progress);
	h->talk.progress = NULL;
}
