/* SPDX-License-Identifier: MIT */
/*
 * git-remote-karta: git starts it for URLs of karta (`git push karta main`) and speaks the protocol
 * of gitremote-helpers(7) with it: a command a line on stdin, answers on stdout, talk on stderr.
 * Lines come from git, but what is in them comes from whoever named the refs.
 */
#include "cmd/git/git_remote.h"

#include "base/env.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/str.h"
#include "cmd/remote.h"
#include "net/curl.h"
#include "net/url.h"
#include "text/clean.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES ((size_t)8192)
#define PUSHES_MAX 10000
#define TEXT_MAX_BYTES ((size_t)16 * 1024 * 1024)
#define URL_MAX_BYTES 2048

/* --- words ------------------------------------------------------------------------------- */

static void complain_to_git(const struct kt_err *err)
{
	struct kt_ctx loud = { 0 };
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(4096);

	kt_buf_adds(&b, "karta: ");
	kt_clean_add(&b, err->msg, strlen(err->msg), true);
	if (err->hint[0]) {
		kt_buf_adds(&b, "\nhint: ");
		kt_clean_add(&b, err->hint, strlen(err->hint), true);
	}
	kt_say_built(&loud, &b);
}

/* One line from stdin without its end. False at the end of input; a line that is none fails. */
static bool read_git_line(struct kt_buf *line, struct kt_err *err)
{
	/* A byte at a time would be slow, and no byte after the line may be lost. */
	static char buf[65536];
	static size_t at, len;

	kt_buf_clear(line);
	for (;;) {
		if (at == len) {
			ssize_t n = read(STDIN_FILENO, buf, sizeof(buf));

			if (n < 0 && errno == EINTR)
				continue;
			if (n <= 0)
				return false;
			at = 0;
			len = (size_t)n;
		}
		char c = buf[at++];

		if (c == '\n')
			return true;
		kt_buf_addc(line, c);
		if ((unsigned char)c < ' ' || c == 0x7f) {
			(void)kt_fail(err, KT_EPROTO, 0, "git sent a control character");
			return false;
		}
		if (!kt_buf_ok(line)) {
			(void)kt_fail(err, KT_EPROTO, 0, "git sent a line of more than %zu bytes",
				LINE_MAX_BYTES);
			return false;
		}
	}
}

/* --- the address ------------------------------------------------------------------------- */

static bool is_project(const char *s)
{
	size_t len = strlen(s);

	return len && len <= 64 && s[0] != '-' &&
		len ==
		strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
}

static enum kt_code check_git_word(const char *what, const char *s, struct kt_err *err)
{
	if (!*s || *s == '-' || strlen(s) > URL_MAX_BYTES)
		return kt_fail(err, KT_EINVAL, 0, "%s is no name", what);
	for (; *s; s++) {
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			return kt_fail(err, KT_EINVAL, 0, "%s has a control character", what);
	}
	return KT_OK;
}

static enum kt_code take_remote_address(struct helper *h, int argc, char **argv, struct kt_err *err)
{
	struct kt_url url;
	enum kt_code rc = KT_OK;

	if (argc < 2 || argc > 3) {
		(void)kt_fail(err, KT_EINVAL, 0, "git starts this program; it is not for the hand");
		return kt_hint(err, "git remote add karta karta::https://HOST/PROJECT");
	}
	for (int i = 1; rc == KT_OK && i < argc; i++)
		rc = check_git_word(i == 1 ? "the remote" : "the remote's URL", argv[i], err);
	if (rc == KT_OK)
		rc = kt_remote_parse(argv[argc - 1], &h->server, &h->project, err);
	if (rc == KT_OK)
		rc = kt_url_parse(h->server, &url, err);
	if (rc != KT_OK)
		return rc;
	h->remote = argv[1];
	kt_url_release(&url);
	if (!is_project(h->project))
		return kt_fail(err, KT_EINVAL, 0, "the remote's URL names no project");
	return KT_OK;
}

/* --- list -------------------------------------------------------------------------------- */

/* A commit id as git takes it. */
static bool is_sha(const char *s)
{
	size_t len = strlen(s);

	return (len == 40 || len == 64) && strspn(s, "0123456789abcdef") == len;
}

/*
 * What is pushed last and what is live part: after a rollback, a push with -o no-activate, a folder
 * that was deployed as it is. git would say "Everything up-to-date" of a commit that is not live.
 * So the production ref is listed where the live code is, or not at all.
 */
static void list_what_is_live(cJSON *doc)
{
	const char *name = kt_json_str_or(doc, "production_ref", "");
	const char *live = kt_json_str(kt_json_obj(doc, "live"), "commit_sha");
	cJSON *refs = cJSON_GetObjectItemCaseSensitive(doc, "refs");
	const char *pushed = kt_json_str(refs, name);

	if (!pushed || kt_str_eq(pushed, live))
		return;
	cJSON_DeleteItemFromObjectCaseSensitive(doc, "pushed");
	(void)cJSON_AddStringToObject(doc, "pushed", pushed);
	cJSON_DeleteItemFromObjectCaseSensitive(refs, name);
	if (live && is_sha(live) && kt_helper_has_commit(live))
		(void)cJSON_AddStringToObject(refs, name, live);
}

/* What the server says of a project; *out stays NULL when there is none of that name yet. */
static enum kt_code refs_of(struct helper *h, const char *project, cJSON **out, struct kt_err *err)
{
	KT_AUTOFREE char *path = kt_remote_path(project, "/refs");
	enum kt_code rc = kt_client_call(h->client, "GET", path, NULL, out, err);

	if (rc == KT_ENOTFOUND &&
		kt_str_eq(kt_json_str(kt_client_problem(h->client), "code"), "project_not_found")) {
		rc = KT_OK;
		*err = (struct kt_err)KT_ERR_INIT;
	}
	list_what_is_live(*out);
	return rc;
}

/* Keep in mine what is the same in theirs. */
static void keep_common(cJSON *mine, const cJSON *theirs)
{
	cJSON *ref = mine ? mine->child : NULL;

	while (ref) {
		cJSON *next = ref->next;

		if (!cJSON_IsString(ref) ||
			!kt_str_eq(kt_json_str(theirs, ref->string), ref->valuestring))
			cJSON_Delete(cJSON_DetachItemViaPointer(mine, ref));
		ref = next;
	}
}

/*
 * A repository of several applications, none of which has the name of the remote: a ref is where
 * all their projects have it, so that git pushes what one of them lacks.
 */
static enum kt_code refs_of_apps(struct helper *h, struct kt_err *err)
{
	const struct kt_ship_options opts = { .dir = ".", .rev = "HEAD" };
	KT_AUTO_SHIPS struct kt_ships ships = { 0 };
	struct kt_err none = KT_ERR_INIT;
	enum kt_code rc = KT_OK;
	char **folders;
	size_t n;

	if (kt_git_apps(".", "HEAD", &folders, &n, &none) != KT_OK)
		return KT_OK;
	kt_fs_names_free(folders, n);
	/* What cannot be packed is told when it is pushed. */
	if (n < 2 || kt_ship_find(&opts, &ships, &none) != KT_OK)
		return KT_OK;
	for (size_t i = 0; i < ships.n && rc == KT_OK; i++) {
		KT_AUTOFREE char *project = kt_ship_project(&ships, i, h->project);
		KT_AUTO_JSON cJSON *theirs = NULL;

		if (project && !kt_str_eq(project, h->project))
			rc = refs_of(h, project, &theirs, err);
		if (!theirs) {
			cJSON_Delete(h->refs);
			h->refs = NULL;
			return rc;
		}
		if (i == 0)
			h->refs = KT_STEAL(theirs);
		else
			keep_common(cJSON_GetObjectItemCaseSensitive(h->refs, "refs"),
				kt_json_obj(theirs, "refs"));
	}
	return rc;
}

static enum kt_code ask_for_remote_refs(struct helper *h, struct kt_err *err)
{
	enum kt_code rc;

	cJSON_Delete(h->refs);
	h->refs = NULL;
	free(h->live);
	h->live = NULL;
	rc = refs_of(h, h->project, &h->refs, err);
	h->own_refs = h->refs != NULL;
	/* The first push makes the project. */
	if (rc == KT_OK && !h->refs)
		rc = refs_of_apps(h, err);
	if (rc == KT_OK)
		h->live = kt_strdup(kt_json_str_or(kt_json_obj(h->refs, "live"), "digest", ""));
	return rc;
}

/* Also when git finds that there is nothing to push. */
static void say_pin(struct helper *h)
{
	const struct kt_client_publish any = { .ref = NULL };
	struct kt_err held = KT_ERR_INIT;

	if (kt_client_publish_held(&any, h->refs, &held) != KT_OK)
		kt_talk_say(&h->talk, "%s is %s", h->project, held.msg);
}

bool kt_helper_ref_listed(const cJSON *ref)
{
	/*
	 * No tags: what is listed is a commit, and git would see an annotated tag as one that was
	 * moved.
	 */
	return cJSON_IsString(ref) && is_sha(ref->valuestring) && kt_helper_ref_ok(ref->string) &&
		!kt_str_starts(ref->string, "refs/tags/");
}

/* A list without its end is one that git waits for. */
static enum kt_code end_list(struct kt_buf *b, struct kt_err *err)
{
	kt_buf_addc(b, '\n');
	if (!kt_buf_ok(b))
		return kt_fail(err, KT_ELIMIT, 0,
			"the server lists more branches than fit into %zu bytes (fixed)",
			TEXT_MAX_BYTES);
	kt_out_raw(b->ptr, b->len);
	return KT_OK;
}

static enum kt_code list_to_fetch(struct helper *h, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(TEXT_MAX_BYTES);
	enum kt_code rc = ask_for_remote_refs(h, err);

	if (rc == KT_OK)
		rc = kt_helper_list(h, &b, err);
	return rc == KT_OK ? end_list(&b, err) : rc;
}

/* The lines "fetch ..." from this one to the blank one. */
static enum kt_code fetch_batch(struct helper *h, struct kt_buf *line, struct kt_err *err)
{
	enum kt_code rc;

	do {
		if (!kt_str_starts(line->ptr, "fetch "))
			return kt_fail(err, KT_EPROTO, 0, "git sent a fetch that cannot be read");
		rc = kt_helper_fetch(h, line->ptr, err);
		if (rc != KT_OK)
			return rc;
	} while (read_git_line(line, err) && line->len);
	if (err->code == KT_OK)
		kt_out_raw("\n", 1);
	return err->code;
}

static enum kt_code list_for_push(struct helper *h, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(TEXT_MAX_BYTES);
	const cJSON *ref;
	enum kt_code rc;

	/* git's library is loaded while the server answers, and after libcurl, which is needed now.
	 */
	kt_http_load(h->server);
	kt_helper_warm(h);
	rc = ask_for_remote_refs(h, err);
	if (rc != KT_OK)
		return rc;
	kt_helper_told(h);
	kt_helper_lfs(h);
	if (h->own_refs)
		say_pin(h);
	cJSON_ArrayForEach (ref, kt_json_obj(h->refs, "refs")) {
		if (kt_helper_ref_listed(ref))
			kt_buf_addf(&b, "%s %s\n", ref->valuestring, ref->string);
	}
	return end_list(&b, err);
}

/* --- options ----------------------------------------------------------------------------- */

static void set_option(struct helper *h, const char *text)
{
	const char *space = strchr(text, ' '), *value = space ? space + 1 : "";
	KT_AUTOFREE char *name = kt_strndup(text, space ? (size_t)(space - text) : strlen(text));
	bool on = kt_str_eq(value, "true");
	struct kt_err err = KT_ERR_INIT;
	const char *answer = "ok\n";

	if (kt_str_eq(name, "verbosity")) {
		if (!kt_str_int64(value, -100, 100, &h->verbosity))
			answer = "error not a number\n";
		h->talk.quiet = h->verbosity < 1;
		h->ctx.verbose = h->verbosity > 1;
	} else if (kt_str_eq(name, "progress")) {
		h->progress = on;
	} else if (kt_str_eq(name, "dry-run")) {
		h->dry_run = on;
	} else if (kt_str_eq(name, "atomic")) {
		h->atomic = on;
	} else if (kt_str_eq(name, "push-option")) {
		if (kt_helper_push_option(h, value, &err) != KT_OK) {
			complain_to_git(&err);
			answer = "error bad push option\n";
		}
	} else if (!kt_str_eq(name, "force") && !kt_str_eq(name, "cas") &&
		!kt_str_eq(name, "force-if-includes")) {
		/* Those three git has checked itself against the refs it was told of; the server
		 * checks again that they are still there. */
		answer = "unsupported\n";
	}
	kt_out_raw(answer, strlen(answer));
}

/* --- push -------------------------------------------------------------------------------- */

static enum kt_code parse_push(const char *text, struct push *out, struct kt_err *err)
{
	const char *colon;

	out->force = *text == '+';
	text += out->force;
	/* Neither side can contain a colon. */
	colon = strchr(text, ':');
	if (!colon || !colon[1])
		return kt_fail(err, KT_EPROTO, 0, "git sent a push without a ref");
	out->src = kt_strndup(text, (size_t)(colon - text));
	out->dst = kt_strdup(colon + 1);
	return KT_OK;
}

static void free_pushes(struct push *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(list[i].src);
		free(list[i].dst);
		free(list[i].why);
		kt_ships_release(&list[i].ships);
	}
	free(list);
}

static enum kt_code answer_pushes(const struct push *list, size_t n, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(TEXT_MAX_BYTES);

	for (size_t i = 0; i < n; i++) {
		kt_buf_addf(&b, "%s %s", list[i].why ? "error" : "ok", list[i].dst);
		if (list[i].why) {
			kt_buf_addc(&b, ' ');
			kt_clean_add(&b, list[i].why, strlen(list[i].why), true);
		}
		kt_buf_addc(&b, '\n');
	}
	kt_buf_addc(&b, '\n');
	if (!kt_buf_ok(&b))
		return kt_fail(err, KT_ELIMIT, 0, "the answers for %zu branches are too long", n);
	kt_out_raw(b.ptr, b.len);
	return KT_OK;
}

/* The batch that begins with this line, up to the blank one. */
static enum kt_code push_batch(struct helper *h, struct kt_buf *line, struct kt_err *err)
{
	struct push *list = NULL;
	size_t n = 0, cap = 0;
	enum kt_code rc = KT_OK;

	do {
		if (n == PUSHES_MAX) {
			rc = kt_fail(err, KT_ELIMIT, 0,
				"more than %d branches in one push (fixed): push some of them",
				PUSHES_MAX);
			break;
		}
		if (!kt_str_starts(line->ptr, "push ")) {
			rc = kt_fail(err, KT_EPROTO, 0, "git sent a push that cannot be read");
			break;
		}
		kt_grow((void **)&list, &cap, n + 1, sizeof(*list));
		list[n] = (struct push){ .force = false };
		rc = parse_push(line->ptr + strlen("push "), &list[n], err);
		n++;
		if (rc != KT_OK)
			break;
		if (!read_git_line(line, err)) {
			rc = err->code != KT_OK
				? err->code
				: kt_fail(err, KT_EPROTO, 0, "git left in mid-push");
			break;
		}
	} while (line->len);
	if (rc == KT_OK) {
		kt_helper_push(h, list, n);
		rc = answer_pushes(list, n, err);
	}
	free_pushes(list, n);
	return rc;
}

/* --- main -------------------------------------------------------------------------------- */

static enum kt_code serve_git(struct helper *h, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf line = KT_BUF_INIT(LINE_MAX_BYTES);
	enum kt_code rc = KT_OK;

	while (rc == KT_OK && read_git_line(&line, err)) {
		if (!line.len)
			break;
		if (kt_str_eq(line.ptr, "capabilities")) {
			static const char list[] = "option\nfetch\npush\n\n";

			kt_out_raw(list, sizeof(list) - 1);
		} else if (kt_str_starts(line.ptr, "option ")) {
			set_option(h, line.ptr + strlen("option "));
		} else if (kt_str_eq(line.ptr, "list for-push")) {
			rc = list_for_push(h, err);
		} else if (kt_str_starts(line.ptr, "push ")) {
			rc = push_batch(h, &line, err);
		} else if (kt_str_eq(line.ptr, "list")) {
			rc = list_to_fetch(h, err);
		} else if (kt_str_starts(line.ptr, "fetch ")) {
			rc = fetch_batch(h, &line, err);
		} else if (kt_str_starts(line.ptr, "import ")) {
			rc = kt_helper_no_history(h, err);
		} else {
			rc = kt_fail(err, KT_EPROTO, 0, "git sent a command that was not offered");
		}
	}
	return rc == KT_OK ? err->code : rc;
}

static void init_ctx(struct helper *h)
{
	struct kt_ctx *c = &h->ctx;
	const char *timeout = kt_env_get("KARTA_TIMEOUT");

	c->prog = "git-remote-karta";
	c->no_input = true;
	c->server = h->server;
	kt_term_init(&c->out, STDOUT_FILENO, KT_COLOR_NEVER);
	kt_term_init(&c->errt, STDERR_FILENO, KT_COLOR_AUTO);
	kt_out_styles(c->out.color, c->errt.color);
	if (timeout && !kt_str_duration_ms(timeout, &c->timeout_ms))
		c->timeout_ms = 0;
	h->verbosity = 1;
	h->talk.ctx = c;
	h->talk.prefix = "remote: ";
}

int kt_git_remote_main(int argc, char **argv)
{
	static struct helper h;
	struct kt_err err = KT_ERR_INIT;
	enum kt_code rc = take_remote_address(&h, argc, argv, &err);

	if (rc == KT_OK) {
		init_ctx(&h);
		rc = kt_remote_open_host(&h.ctx, &h.client, &err);
	}
	if (rc == KT_OK)
		rc = serve_git(&h, &err);
	if (rc != KT_OK)
		complain_to_git(&err);
	/* Not through exit(): the thread that loads git's library may still be at it. */
	_exit(rc == KT_OK ? 0 : kt_code_exit(rc));
}
