/* SPDX-License-Identifier: MIT */
/*
 * karta login, logout, whoami: a key for this machine, approved in a browser (in the shape of RFC
 * 8628) or read from standard input, and kept as a profile.
 */
#include "cmd/cmd.h"

#include "base/env.h"
#include "base/fs.h"
#include "base/str.h"
#include "base/time.h"
#include "cmd/browser.h"
#include "cmd/profile.h"
#include "cmd/remote.h"
#include "text/clean.h"

#include <errno.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define KEY_LINE_MAX 256
#define POLL_S_DEFAULT 2
#define NAME_MAX_BYTES 100 /* of a key */

struct login_args {
	const char *server;
	bool with_key;
	bool read_only;
	bool admin;
	bool no_browser;
	const char *name;
};

static const struct kt_opt login_opts[] = {
	KT_OPT_ARG_("server", struct login_args, server, 0, "address of the server, as --server"),
	KT_OPT_FLAG_(
		0, "with-key", struct login_args, with_key, "read the key from standard input"),
	KT_OPT_FLAG_(
		0, "read-only", struct login_args, read_only, "ask for a key that may read only"),
	KT_OPT_FLAG_(0, "admin", struct login_args, admin,
		"ask for a key that may administer too: keys, the audit log, deleting"),
	KT_OPT_FLAG_(0, "no-browser", struct login_args, no_browser, "only print the address"),
	KT_OPT_STR_(0, "name", struct login_args, name, "NAME",
		"name of the profile (default: the server's host)"),
	KT_OPT_END,
};

/* One line of standard input, blanks after it taken off. A person types it unseen. */
static enum kt_code read_key(char *out, size_t size, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf line = KT_BUF_INIT(size - 1);
	enum kt_code rc = KT_OK;
	ssize_t got = 1;
	char c;

	if (isatty(STDIN_FILENO))
		rc = kt_prompt_unseen(STDIN_FILENO, STDERR_FILENO, "Key: ", &line, err);
	else
		while (kt_buf_ok(&line) && (got = read(STDIN_FILENO, &c, 1)) == 1 && c != '\n')
			kt_buf_addc(&line, c);
	if (got < 0)
		rc = kt_fail(err, KT_EIO, errno, "cannot read the key from standard input");
	if (rc != KT_OK)
		return rc;
	while (line.len && (unsigned char)line.ptr[line.len - 1] <= ' ')
		kt_buf_truncate(&line, line.len - 1);
	(void)snprintf(out, size, "%s", line.len ? line.ptr : "");
	explicit_bzero(line.ptr, line.len);
	if (*out)
		return KT_OK;
	kt_fail(err, KT_EINVAL, 0, "there is no key on standard input");
	return kt_hint(err, "karta login --with-key <keyfile");
}

/* Who a key is; checks that the server takes it. */
static enum kt_code ask_key_owner(
	const char *server, const char *key, int64_t timeout_ms, cJSON **out, struct kt_err *err)
{
	const struct kt_client_config cfg = {
		.url = server, .api_key = key, .timeout_ms = timeout_ms
	};
	struct kt_client *c;
	enum kt_code rc = kt_client_new(&cfg, &c, err);

	if (rc != KT_OK)
		return rc;
	rc = kt_client_call(c, "GET", "/v1/whoami", NULL, out, err);
	kt_client_free(c);
	return rc;
}

static enum kt_code not_approved(struct kt_err *err)
{
	kt_fail(err, KT_ETIMEOUT, 0, "nobody approved the login in time");
	return kt_hint(err, "start again: karta login");
}

/* Poll until the login is decided, or until_us (0: never). *out is the answer with the key. */
static enum kt_code wait_for_approval(
	struct kt_client *c, const cJSON *code, int64_t until_us, cJSON **out, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf body = KT_BUF_INIT(4096);
	int64_t interval = kt_json_int(code, "interval", POLL_S_DEFAULT);
	struct kt_jw w;

	kt_jw_init(&w, &body);
	kt_jw_obj(&w, NULL);
	kt_jw_str(&w, "device_code", kt_json_str(code, "device_code"));
	kt_jw_obj_end(&w);
	kt_remote_catch_int();
	for (;;) {
		int64_t pause_ms = KT_MIN(interval, 60) * 1000;
		enum kt_code rc;
		const char *why;

		if (until_us)
			pause_ms = KT_MIN(pause_ms, KT_MAX(until_us - kt_mono_us(), 0) / 1000 + 1);
		/* A signal ends the pause early. */
		(void)poll(NULL, 0, (int)pause_ms);
		if (kt_remote_ints())
			kt_remote_die_by_int();
		rc = kt_client_call(c, "POST", "/v1/device/token", body.ptr, out, err);
		if (rc == KT_OK)
			return KT_OK;
		why = kt_json_str(kt_client_problem(c), "code");
		if (kt_str_eq(why, "slow_down"))
			interval += 5;
		else if (kt_str_eq(why, "access_denied"))
			return kt_fail(err, KT_EDENIED, 0, "the login was refused");
		else if (kt_str_eq(why, "expired_token"))
			return not_approved(err);
		else if (!kt_str_eq(why, "authorization_pending") && rc != KT_EUNAVAIL)
			return rc;
		if (until_us && kt_mono_us() >= until_us)
			return not_approved(err);
	}
}

/* The name of this machine as a key may have it: nothing unseen, no blanks at its ends. */
static void machine_name(char *out, size_t size)
{
	char host[256] = "";
	size_t n = 0;

	if (gethostname(host, sizeof(host)))
		host[0] = '\0';
	host[sizeof(host) - 1] = '\0';
	for (const char *p = host; *p && n + 1 < size; p++)
		out[n++] = *p > ' ' && *p < 0x7f ? *p : '-';
	out[n] = '\0';
	if (!n)
		kt_str_copy(out, size, "this machine");
}

static enum kt_code ask_login_key(
	const struct login_args *a, struct kt_client *c, cJSON **out, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf body = KT_BUF_INIT(4096);
	char host[NAME_MAX_BYTES + 1];
	struct kt_jw w;

	machine_name(host, sizeof(host));
	kt_jw_init(&w, &body);
	kt_jw_obj(&w, NULL);
	kt_jw_str(&w, "client_name", host);
	kt_jw_arr(&w, "scopes");
	kt_jw_str(&w, NULL, "read");
	if (!a->read_only)
		kt_jw_str(&w, NULL, "write");
	if (a->admin)
		kt_jw_str(&w, NULL, "admin");
	kt_jw_arr_end(&w);
	kt_jw_obj_end(&w);
	return kt_client_call(c, "POST", "/v1/device/code", body.ptr, out, err);
}

/* The page shows the same: who compares it approves no login of somebody else. */
static void show_asked(const struct kt_ctx *ctx, const struct login_args *a, const cJSON *code)
{
	const char *address = kt_json_str(code, "address");
	char at[64] = "";
	int64_t us;

	if (kt_time_parse(kt_json_str_or(code, "created_at", ""), &us))
		kt_time_local(us, at, sizeof(at));
	kt_say(ctx, "Open %s", kt_json_str_or(code, "verification_uri_complete", ""));
	kt_say(ctx, "and approve the code %s.", kt_json_str_or(code, "user_code", "?"));
	if (address && at[0])
		kt_say(ctx, "The page names this login: %s, from %s, asked at %s, to %s.",
			kt_json_str_or(code, "client_name", "?"), address, at,
			a->admin               ? "read, write and administer"
				: a->read_only ? "read"
					       : "read and write");
}

static enum kt_code by_browser(const struct kt_ctx *ctx, const struct login_args *a,
	const char *server, cJSON **out, struct kt_err *err)
{
	const struct kt_client_config cfg = { .url = server, .timeout_ms = ctx->timeout_ms };
	KT_AUTO_JSON cJSON *code = NULL;
	struct kt_client *c;
	int64_t until_us = ctx->timeout_ms ? kt_mono_us() + ctx->timeout_ms * 1000 : 0;
	enum kt_code rc = kt_client_new(&cfg, &c, err);

	if (rc != KT_OK)
		return rc;
	rc = ask_login_key(a, c, &code, err);
	if (rc == KT_OK) {
		const char *url = kt_json_str_or(code, "verification_uri_complete", "");
		struct kt_err none = KT_ERR_INIT;

		show_asked(ctx, a, code);
		/* Without a browser the printed address does. */
		if (!a->no_browser && ctx->errt.is_tty &&
			kt_browser_open(url, NULL, &none) == KT_EPROTO)
			kt_warn(ctx, "%s", none.msg);
		rc = wait_for_approval(c, code, until_us, out, err);
	}
	kt_client_free(c);
	return rc;
}

/* The server that is signed in to. */
static enum kt_code login_server(const struct kt_ctx *ctx, char **out, struct kt_err *err)
{
	enum kt_code rc = kt_remote_server(ctx, out, err);

	if (rc != KT_OK || !kt_remote_is_plain(*out))
		return rc;
	kt_fail(err, KT_EDENIED, 0, "a key is not sent over plain http to '%s'", *out);
	return kt_hint(err, "use an https address");
}

/*
 * Name of the profile: that of the server when it has one, else its host, else (another server is
 * called so) its address. Fails when the profiles cannot be read, before a key is made that then
 * cannot be kept.
 */
static enum kt_code choose_profile_name(
	const char *given, const char *server, char **out, struct kt_err *err)
{
	KT_AUTO_PROFILE struct kt_profile same = { 0 };
	KT_AUTO_PROFILE struct kt_profile other = { 0 };
	KT_AUTOFREE char *name = NULL;
	enum kt_code rc = kt_profile_find(NULL, server, &same, err);

	if (rc != KT_OK && rc != KT_ENOTFOUND)
		return rc;
	name = given          ? kt_strdup(given)
		: rc == KT_OK ? kt_strdup(same.name)
			      : kt_profile_name_of(server);
	if (!given && rc == KT_ENOTFOUND && kt_profile_find(name, NULL, &other, NULL) == KT_OK) {
		free(name);
		name = kt_strdup(strstr(server, "://") + 3);
	}
	*out = KT_STEAL(name);
	return KT_OK;
}

static void tell_login(const struct kt_ctx *ctx, const struct kt_profile *p, const cJSON *me)
{
	KT_AUTOFREE char *path = kt_profile_path();
	const cJSON *key = kt_json_obj(me, "key");

	if (ctx->json)
		kt_remote_json(ctx, me);
	kt_say(ctx, "Signed in to %s as '%s' of %s.", p->server, kt_json_str_or(key, "name", "?"),
		p->org ? p->org : "?");
	if (p->expires_us) {
		char at[64];

		kt_time_human(p->expires_us, kt_time_us(), at, sizeof(at));
		kt_say(ctx, "The key ends %s; karta login makes a new one.", at);
	}
	if (p->secret_service)
		kt_say(ctx, "The key is kept by the Secret Service.");
	else
		kt_say(ctx, "The key is kept in %s (mode 0600; no Secret Service answered).", path);
	if (kt_env_get("KARTA_API_KEY"))
		kt_warn(ctx, "KARTA_API_KEY is set and goes before this key");
}

/* Revoke a key that login made, with itself. */
static void revoke_key(const struct kt_ctx *ctx, const struct kt_profile *p)
{
	const struct kt_client_config cfg = {
		.url = p->server, .api_key = p->key, .timeout_ms = 5000
	};
	KT_AUTOFREE char *path = kt_asprintf("/v1/keys/%s", p->key_id ? p->key_id : "");
	KT_AUTO_JSON cJSON *none = NULL;
	struct kt_err err = KT_ERR_INIT;
	struct kt_client *c;

	enum kt_code rc;

	if (!p->minted || !p->key || !p->key_id || kt_client_new(&cfg, &c, &err) != KT_OK)
		return;
	rc = kt_client_call(c, "DELETE", path, NULL, &none, &err);
	/* One that is not taken any more need not be revoked. */
	if (rc != KT_OK && rc != KT_EAUTH)
		kt_warn(ctx, "the key is still valid on %s: %s", p->server, err.msg);
	kt_client_free(c);
}

/* A local server lets everybody in who reaches it; says so, and that is all there is to do. */
static bool needs_no_key(const struct kt_ctx *ctx)
{
	KT_AUTOFREE char *server = NULL;
	KT_AUTO_JSON cJSON *me = NULL;

	if (login_server(ctx, &server, NULL) != KT_OK ||
		ask_key_owner(server, NULL, ctx->timeout_ms, &me, NULL) != KT_OK ||
		!kt_json_bool(me, "local", false))
		return false;
	if (ctx->json)
		kt_remote_json(ctx, me);
	kt_say(ctx, "%s is a local server: it asks for no key, and nothing was stored.", server);
	return true;
}

static enum kt_code run_login(struct kt_ctx *ctx, const void *args, struct kt_err *err)
{
	const struct login_args *a = args;
	KT_AUTO_PROFILE struct kt_profile p = { 0 };
	KT_AUTO_PROFILE struct kt_profile old = { 0 };
	KT_AUTO_JSON cJSON *granted = NULL;
	KT_AUTO_JSON cJSON *me = NULL;
	char line[KEY_LINE_MAX] = "";
	const char *key = line;
	enum kt_code rc;

	if (a->server && a->with_key && !strstr(a->server, "://")) {
		kt_fail(err, KT_EINVAL, 0, "the key is read from standard input, not from '%s'",
			a->server);
		return kt_hint(err, "karta login --with-key <%s", a->server);
	}
	if (a->server)
		ctx->server = a->server;
	if (needs_no_key(ctx))
		return KT_OK;
	/* Who asks for the address alone shows it to a person in another way. */
	if (!a->with_key && !a->no_browser && ctx->no_input && !ctx->errt.is_tty) {
		kt_fail(err, KT_ECONFIRM, 0, "signing in needs a person, and there is no terminal");
		return kt_hint(err, "karta login --with-key <keyfile, or set KARTA_API_KEY");
	}
	if (a->admin && a->read_only)
		return kt_fail(err, KT_EINVAL, 0, "--admin and --read-only exclude each other");
	rc = login_server(ctx, &p.server, err);
	if (rc == KT_OK)
		rc = choose_profile_name(a->name ? a->name : ctx->profile, p.server, &p.name, err);
	if (rc == KT_OK && a->with_key)
		rc = read_key(line, sizeof(line), err);
	else if (rc == KT_OK)
		rc = by_browser(ctx, a, p.server, &granted, err);
	if (rc == KT_OK && !a->with_key)
		key = kt_json_str_or(granted, "key", "");
	if (rc == KT_OK)
		rc = ask_key_owner(p.server, key, ctx->timeout_ms, &me, err);
	if (rc == KT_OK) {
		const char *org = kt_json_str(kt_json_obj(me, "org"), "slug");
		const char *id = kt_json_str(kt_json_obj(me, "key"), "id");

		p.key = kt_strdup(key);
		p.minted = !a->with_key;
		p.org = kt_strdup_opt(org);
		p.key_id = kt_strdup_opt(id);
		if (!kt_time_parse(kt_json_str_or(kt_json_obj(me, "key"), "expires_at", ""),
			    &p.expires_us))
			p.expires_us = 0;
		if (kt_profile_find(p.name, NULL, &old, NULL) != KT_OK)
			old.minted = false;
		rc = kt_profile_save(&p, err);
	}
	explicit_bzero(line, sizeof(line));
	/* The key that this one replaces is nobody's any more. */
	if (rc == KT_OK && old.minted && kt_str_eq(old.server, p.server) &&
		!kt_str_eq(old.key_id, p.key_id))
		revoke_key(ctx, &old);
	if (rc == KT_OK)
		tell_login(ctx, &p, me);
	return rc;
}

const struct kt_cmd kt_cmd_login = {
	.name = "login",
	.summary = "sign in to a server",
	.group = KT_GROUP_ACCOUNT,
	.opts = login_opts,
	.args_size = sizeof(struct login_args),
	.run = run_login,
	.examples = "karta login --server https://karta.example\n"
		    "karta login --with-key <keyfile      where nobody can open a browser\n",
};

/* --- logout ------------------------------------------------------------------------------ */

struct logout_args {
	bool keep;
};

static const struct kt_opt logout_opts[] = {
	KT_OPT_FLAG_(0, "keep-key", struct logout_args, keep,
		"do not revoke the key that login made for this machine"),
	KT_OPT_END,
};

static enum kt_code run_logout(struct kt_ctx *ctx, const void *args, struct kt_err *err)
{
	const struct logout_args *a = args;
	KT_AUTO_PROFILE struct kt_profile p = { 0 };
	KT_AUTOFREE char *server = NULL;
	enum kt_code rc;

	server = kt_remote_given(ctx);
	rc = kt_profile_find(server ? NULL : ctx->profile, server, &p, err);
	if (rc == KT_ENOTFOUND && !ctx->profile && !ctx->server) {
		if (ctx->json)
			kt_remote_json(ctx, NULL);
		if (server)
			kt_say(ctx, "Not signed in to %s.", server);
		else
			kt_say(ctx, "Not signed in.");
		return KT_OK;
	}
	if (rc == KT_OK && !a->keep)
		revoke_key(ctx, &p);
	if (rc == KT_OK)
		rc = kt_profile_forget(&p, err);
	if (rc != KT_OK)
		return rc;
	if (ctx->json) {
		KT_AUTO_JSON cJSON *doc = cJSON_CreateObject();

		cJSON_AddStringToObject(doc, "profile", p.name);
		cJSON_AddStringToObject(doc, "server", p.server);
		kt_remote_json(ctx, doc);
	}
	kt_say(ctx, "Signed out of %s.", p.server);
	return KT_OK;
}

const struct kt_cmd kt_cmd_logout = {
	.name = "logout",
	.summary = "forget the key of a server",
	.group = KT_GROUP_ACCOUNT,
	.opts = logout_opts,
	.args_size = sizeof(struct logout_args),
	.run = run_logout,
};

/* --- whoami ------------------------------------------------------------------------------ */

struct whoami_args {
	bool unused;
};

static const struct kt_opt whoami_opts[] = { KT_OPT_END };

static enum kt_code run_whoami(struct kt_ctx *ctx, const void *args, struct kt_err *err)
{
	KT_AUTO_JSON cJSON *me = NULL;
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(65536);
	KT_AUTO_BUF struct kt_buf scopes = KT_BUF_INIT(4096);
	const cJSON *key, *it;
	struct kt_client *c;
	enum kt_code rc = kt_remote_open_host(ctx, &c, err);

	if (rc != KT_OK)
		return rc;
	rc = kt_client_call(c, "GET", "/v1/whoami", NULL, &me, err);
	if (rc == KT_EAUTH && !err->hint[0])
		kt_hint(err, "karta login --server %s", kt_client_url(c));
	if (rc == KT_OK && ctx->json) {
		cJSON_AddStringToObject(me, "url", kt_client_url(c));
		kt_remote_json(ctx, me);
	} else if (rc == KT_OK) {
		key = kt_json_obj(me, "key");
		cJSON_ArrayForEach (it, kt_json_arr(key, "scopes"))
			kt_clean_addf(&scopes, "%s%s", scopes.len ? ", " : "",
				cJSON_IsString(it) ? it->valuestring : "?");
		kt_remote_field(&b, ctx, "server", kt_client_url(c));
		kt_remote_field(&b, ctx, "org", kt_json_str(kt_json_obj(me, "org"), "slug"));
		kt_remote_field(&b, ctx, "key", kt_json_str(key, "name"));
		kt_remote_field(&b, ctx, "ends with", kt_json_str(key, "last4"));
		kt_remote_field(&b, ctx, "may", scopes.ptr);
		kt_remote_when(&b, ctx, "ends", key, "expires_at");
		kt_remote_field(&b, ctx, "from",
			kt_json_bool(me, "local", false) ? "nowhere: a local server asks for no key"
				: kt_env_get("KARTA_API_KEY") ? "KARTA_API_KEY"
							      : "the profile");
		kt_out(b.ptr, b.len);
	}
	kt_client_free(c);
	return rc;
}

const struct kt_cmd kt_cmd_whoami = {
	.name = "whoami",
	.summary = "show server, organization and key in use",
	.group = KT_GROUP_ACCOUNT,
	.opts = whoami_opts,
	.args_size = sizeof(struct whoami_args),
	.run = run_whoami,
};
