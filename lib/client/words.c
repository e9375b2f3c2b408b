/* SPDX-License-Identifier: MIT */
/*
 * What an answer that is no success means to a person at a terminal: which key, project, release or
 * session of which server it is about, and the command to type next. Problem documents speak to who
 * writes requests; this is the one place that turns them, and what was tried, into words.
 */
#include "client/client_private.h"

#include "base/str.h"

#include <string.h>

#define OWN "/v1/projects/"
#define WORD_MAX_BYTES 100 /* of a name, so that server and reason fit behind it */

/* What the failed request was about; empty where it was about none. */
struct tried {
	char project[WORD_MAX_BYTES];
	char release[WORD_MAX_BYTES];
	char session[WORD_MAX_BYTES];
	char approval[WORD_MAX_BYTES];
	char key[WORD_MAX_BYTES];
	bool managed; /* it is a call that only a server with projects takes */
};

static int hex_of(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *p = c ? strchr(digits, c | 0x20) : NULL;

	return p ? (int)(p - digits) : -1;
}

/* One segment at s up to '/', '?' or the end, its escapes undone. */
static void take_segment(const char *s, char *out, size_t size)
{
	size_t n = 0;

	for (; *s && *s != '/' && *s != '?' && n + 1 < size; s++) {
		int high = *s == '%' ? hex_of(s[1]) : -1;
		int low = high >= 0 ? hex_of(s[2]) : -1;

		out[n++] = low >= 0 ? (char)(high * 16 + low) : *s;
		s += low >= 0 ? 2 : 0;
	}
	out[n] = '\0';
}

/* The segment behind `prefix` in path; false when path does not begin with it. */
static bool segment_after(const char *path, const char *prefix, char *out, size_t size)
{
	if (!kt_str_starts(path, prefix))
		return false;
	take_segment(path + strlen(prefix), out, size);
	return *out;
}

void kt_client_set_server(struct kt_client *c)
{
	const char *at = NULL, *next = c->base;
	char name[WORD_MAX_BYTES];

	while ((next = strstr(next, OWN)) != NULL)
		at = next++;
	if (!at || strchr(at + strlen(OWN), '/')) {
		c->server = kt_strdup(c->base);
		return;
	}
	take_segment(at + strlen(OWN), name, sizeof(name));
	c->server = kt_strndup(c->base, (size_t)(at - c->base));
	c->project = kt_strdup(name);
}

/* "shop on https://karta.example" for people, or the server alone. The caller's. */
static char *client_where(const struct kt_client *c)
{
	return c->project ? kt_asprintf("%s on %s", c->project, c->server) : kt_strdup(c->server);
}

static void read_tried(const struct kt_client *c, struct tried *t)
{
	static const char *const managed[] = { "/agent_projects", "/v1/keys", "/v1/audit",
		"/v1/whoami", "/v1/device" };
	const char *path = c->tried ? c->tried : "", *below;

	*t = (struct tried){ .managed = false };
	for (size_t i = 0; i < KT_ARRAY_LEN(managed); i++)
		t->managed = t->managed || kt_str_starts(path, managed[i]);
	(void)kt_str_copy(t->project, sizeof(t->project), c->project ? c->project : "");
	if (segment_after(path, "/agent_projects/", t->project, sizeof(t->project))) {
		below = path + strlen("/agent_projects/");
		(void)segment_after(
			below + strcspn(below, "/"), "/releases/", t->release, sizeof(t->release));
	}
	if (segment_after(path, "/v1/sessions/", t->session, sizeof(t->session))) {
		below = path + strlen("/v1/sessions/");
		(void)segment_after(below + strcspn(below, "/"), "/approvals/", t->approval,
			sizeof(t->approval));
	}
	(void)segment_after(path, "/v1/keys/", t->key, sizeof(t->key));
}

char *kt_client_tried_project(const struct kt_client *c)
{
	struct tried t;

	read_tried(c, &t);
	return t.project[0] ? kt_strdup(t.project) : NULL;
}

/* --- keys -------------------------------------------------------------------------------- */

static enum kt_code hint_sign_in(
	const struct kt_client *c, const char *options, const char *scope, struct kt_err *err)
{
	if (c->key_from)
		return kt_hint(err,
			"set %s to a key %s, or unset it and: karta login %s--server %s",
			c->key_from, scope, options, c->server);
	return kt_hint(err, "karta login %s--server %s, or set KARTA_API_KEY to a key %s", options,
		c->server, scope);
}

static enum kt_code say_unauthorized(const struct kt_client *c, struct kt_err *err)
{
	if (!c->auth)
		(void)kt_fail(err, KT_EAUTH, 0, "not signed in to %s", c->server);
	else if (!kt_str_starts(c->auth, BEARER "kt_"))
		(void)kt_fail(err, KT_EAUTH, 0,
			"%s%s is no key of %s: those begin with kt_live_ or kt_test_",
			c->key_from ? "the value of " : "what was given",
			c->key_from ? c->key_from : "", c->server);
	else
		(void)kt_fail(err, KT_EAUTH, 0,
			"%s does not take the key that ends in %s: it was revoked, has expired, or "
			"is of another server",
			c->server, c->last4);
	return hint_sign_in(c, "", "of it", err);
}

enum kt_code kt_client_hint_admin(const struct kt_client *c, struct kt_err *err)
{
	return hint_sign_in(c, "--admin ", "with the scope admin", err);
}

static enum kt_code say_denied(const struct kt_client *c, const char *text, struct kt_err *err)
{
	const char *scope = kt_json_str(c->problem, "scope");
	const char *with = scope ? "with that scope" : "that may do this";
	bool admin = kt_str_eq(scope, "admin");

	if (scope)
		(void)kt_fail(err, KT_EDENIED, 0,
			"the key that ends in %s lacks the scope '%s' on %s", c->last4, scope,
			c->server);
	else if (c->auth)
		(void)kt_fail(err, KT_EDENIED, 0, "%s (the key that ends in %s, on %s)", text,
			c->last4, c->server);
	else
		(void)kt_fail(err, KT_EDENIED, 0, "%s (on %s)", text, c->server);
	return hint_sign_in(c, admin ? "--admin " : "", with, err);
}

/* --- what is not there ------------------------------------------------------------------- */

static enum kt_code say_no_project(
	const struct kt_client *c, const struct tried *t, struct kt_err *err)
{
	(void)kt_fail(
		err, KT_ENOTFOUND, 0, "there is no project '%s' on %s", t->project, c->server);
	return kt_hint(err,
		"'karta projects%s' lists them; 'git push karta main' or 'karta projects create "
		"%s%s' makes it",
		c->at, t->project, c->at);
}

static enum kt_code say_no_session(
	const struct kt_client *c, const struct tried *t, struct kt_err *err)
{
	KT_AUTOFREE char *where = client_where(c);

	(void)kt_fail(err, KT_ENOTFOUND, 0, "there is no session '%s' of %s", t->session, where);
	return kt_hint(err, "'karta sessions%s%s%s' lists them", t->project[0] ? " -p " : "",
		t->project, c->at);
}

/* A project in which nothing was put yet. */
static enum kt_code say_no_live(const struct kt_client *c, enum kt_code rc, struct kt_err *err)
{
	struct tried t;

	read_tried(c, &t);
	(void)kt_fail(err, rc, 0, "%s on %s has no live release yet",
		t.project[0] ? t.project : "the project", c->server);
	return kt_hint(
		err, "in its folder: git push karta main, or karta deploy %s%s", t.project, c->at);
}

/* What is in the folder is live: there is nothing to roll back, to hold or to show. */
static enum kt_code say_folder(const struct kt_client *c, enum kt_code rc, struct kt_err *err)
{
	struct tried t;

	read_tried(c, &t);
	(void)kt_fail(err, rc, 0,
		"%s on %s is served from a folder: what is in it is live, there are no releases",
		t.project[0] ? t.project : "the project", c->server);
	return kt_hint(err,
		"change the files there, or make releases of it as another project: karta deploy "
		"-p NAME%s",
		c->at);
}

static enum kt_code say_no_release(
	const struct kt_client *c, const struct tried *t, const char *text, struct kt_err *err)
{
	if (kt_str_eq(kt_json_str(c->problem, "kind"), "folder"))
		return say_folder(c, KT_ENOTFOUND, err);
	if (kt_str_eq(t->release, "current"))
		return say_no_live(c, KT_ENOTFOUND, err);
	if (t->release[0])
		(void)kt_fail(err, KT_ENOTFOUND, 0, "there is no release '%s' of %s on %s",
			t->release, t->project, c->server);
	else
		(void)kt_fail(err, KT_ENOTFOUND, 0, "%s on %s", text, c->server);
	return kt_hint(err, "'karta releases %s%s' lists them", t->project, c->at);
}

/* A server that does not know the call at all. */
static enum kt_code say_no_host(const struct kt_client *c, struct kt_err *err)
{
	if (kt_json_str(c->problem, "code"))
		(void)kt_fail(err, KT_ENOTFOUND, 0, "%s hosts no projects, as 'karta dev' does not",
			c->server);
	else
		(void)kt_fail(err, KT_ENOTFOUND, 0, "%s is no karta server", c->server);
	return kt_hint(
		err, "'karta login --server URL' signs in to one that hosts; 'karta serve' is one");
}

static enum kt_code say_absent(const struct kt_client *c, const char *text, struct kt_err *err)
{
	const char *code = kt_json_str_or(c->problem, "code", "");
	struct tried t;

	read_tried(c, &t);
	if (kt_str_eq(code, "project_not_found") && t.project[0])
		return say_no_project(c, &t, err);
	if (kt_str_eq(code, "release_not_found") && t.project[0])
		return say_no_release(c, &t, text, err);
	if (kt_str_eq(code, "session_not_found") && t.session[0])
		return say_no_session(c, &t, err);
	if (t.key[0] && kt_str_eq(code, "not_found")) {
		(void)kt_fail(err, KT_ENOTFOUND, 0, "there is no key '%s' on %s", t.key, c->server);
		return kt_hint(err, "'karta keys --all%s' lists them", c->at);
	}
	if (t.approval[0]) {
		(void)kt_fail(err, KT_ENOTFOUND, 0, "there is no approval '%s' in session %s",
			t.approval, t.session);
		return kt_hint(err, "'karta sessions approvals %s%s' lists them", t.session, c->at);
	}
	if (t.managed && (!*code || kt_str_eq(code, "not_found")))
		return say_no_host(c, err);
	if (!*code)
		return say_no_host(c, err);
	(void)kt_fail(err, KT_ENOTFOUND, 0, "%s (on %s)", text, c->server);
	if (t.session[0])
		return kt_hint(
			err, "'karta sessions show %s%s' shows what is there", t.session, c->at);
	return kt_hint(err, "'karta projects%s' lists what is there", c->at);
}

/* Perhaps another server was meant. */
static enum kt_code say_taken(const struct kt_client *c, const char *text, struct kt_err *err)
{
	(void)kt_fail(err, KT_ECONFLICT, 0, "%s on %s", text, c->server);
	return kt_hint(
		err, "'karta projects%s' lists them; --server URL means another server", c->at);
}

bool kt_client_words(const struct kt_client *c, int status, const char *text, struct kt_err *err)
{
	const char *code = kt_json_str_or(c->problem, "code", "");

	/* What is refused for another reason than the key says so. */
	bool of_key = !text || kt_str_eq(code, "unauthorized");

	if (!text)
		text = "the server refused it";
	if (status == 401 && of_key)
		(void)say_unauthorized(c, err);
	else if (status == 403)
		(void)say_denied(c, text, err);
	else if (status == 404)
		(void)say_absent(c, text, err);
	else if (status == 409 && kt_str_eq(code, "no_release"))
		(void)say_no_live(c, KT_ECONFLICT, err);
	else if (status == 409 && kt_str_eq(code, "project_exists"))
		(void)say_taken(c, text, err);
	else if (status == 409 && kt_str_eq(code, "folder_project"))
		(void)say_folder(c, KT_ECONFLICT, err);
	else
		return false;
	return true;
}
