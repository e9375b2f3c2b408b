/* SPDX-License-Identifier: MIT */
/*
 * Browsers that are signed in (docs/design/web.md). The cookie is only ever the page's: it counts
 * when a header says that a page of ours asks, which no other origin's page can send without a
 * leave that this server gives nobody, and when nothing that the browser says of the page speaks
 * against it. A bearer key beside it wins.
 *
 * Every name of the server has a cookie of its own, for that name only. A project's page sends its
 * browser to the server's name, where one signs in, and gets it back with a code that is good once.
 */
#include "api/api_private.h"

#include "base/limits.h"
#include "base/str.h"
#include "text/json.h"

#include <string.h>

#define STATE_MIN 20 /* characters of what a page made up */
#define STATE_MAX 64

/* A page of ours asks: other origins cannot send this header without being allowed to. */
bool kt_api_from_page(const struct kt_request *rq)
{
	const char *value = kt_request_header(rq, "karta-page");

	return value && *value;
}

static bool is_https(const struct kt_call *c)
{
	return c->by->https ||
		(kt_str_starts(c->by->base_url, "https:") && !kt_api_is_loopback_name(c->by->host));
}

/* The server's own paths begin here, for a browser. */
static const char *cookie_path(const struct kt_call *c)
{
	return c->by->label[0] || !c->api->prefix[0] ? "/" : c->api->prefix;
}

/* Browsers do not tell ports of one name apart: two servers must not take each other's. */
static void cookie_name(const struct kt_call *c, char *out, size_t size)
{
	const char *kind = !is_https(c)          ? ""
		: kt_str_eq(cookie_path(c), "/") ? "__Host-"
						 : "__Secure-";

	if (c->by->port > 0)
		(void)snprintf(out, size, "%skarta-%d", kind, c->by->port);
	else
		(void)snprintf(out, size, "%skarta", kind);
}

static void set_cookie(struct kt_call *c, const char *token, int64_t age_s)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(2048);
	char name[40];

	cookie_name(c, name, sizeof(name));
	kt_buf_addf(&b, "%s=%s; Path=%s; Max-Age=%lld; HttpOnly; SameSite=Strict%s", name, token,
		cookie_path(c), (long long)age_s, is_https(c) ? "; Secure" : "");
	kt_exchange_header(c->ex, "Set-Cookie", b.ptr);
	kt_exchange_header(c->ex, "Cache-Control", "no-store");
}

/* The value of the only cookie of our name; false when there is none, or more than one. */
static bool find_cookie(const struct kt_call *c, char out[KT_WEB_TOKEN_MAX])
{
	char name[40];
	size_t len, found = 0;

	cookie_name(c, name, sizeof(name));
	len = strlen(name);
	for (size_t i = 0; i < c->rq->n_headers; i++) {
		const char *p = c->rq->headers[i].value;

		if (!kt_str_eq(c->rq->headers[i].name, "cookie"))
			continue;
		while (*p) {
			size_t n;

			p += strspn(p, " \t;");
			n = strcspn(p, ";");
			if (n > len && p[len] == '=' && memcmp(p, name, len) == 0) {
				if (n - len - 1 >= KT_WEB_TOKEN_MAX || found++ > 0)
					return false;
				memcpy(out, p + len + 1, n - len - 1);
				out[n - len - 1] = '\0';
			}
			p += n;
		}
	}
	return found == 1;
}

/* All that the browser says of the page that asks: it is this very origin's. */
static bool is_own_page(const struct kt_call *c)
{
	const struct kt_request *rq = c->rq;
	bool told = false;

	for (size_t i = 0; i < rq->n_headers; i++) {
		const struct kt_header *h = &rq->headers[i];

		if (kt_str_eq(h->name, "sec-fetch-site")) {
			if (!kt_str_eq(h->value, "same-origin"))
				return false;
			told = true;
		} else if (kt_str_eq(h->name, "origin")) {
			if (!kt_api_same_origin(h->value, c->by->host, c->by->port))
				return false;
			told = true;
		}
	}
	/* Browsers leave both out where a GET goes over plain http to another machine. */
	return kt_api_from_page(rq) && (told || (rq->method & (KT_GET | KT_HEAD)));
}

bool kt_api_web_token(const struct kt_call *c, char out[KT_WEB_TOKEN_MAX])
{
	return !kt_request_header(c->rq, "authorization") && is_own_page(c) && find_cookie(c, out);
}

void kt_api_web_server(const struct kt_call *c, char *out, size_t size)
{
	const struct kt_caller *by = c->by;
	char port[16] = "";

	if (by->port > 0)
		(void)snprintf(port, sizeof(port), ":%d", by->port);
	/* "support-bot.localhost" has its server at "localhost", whatever the public address is. */
	if (by->label[0] && kt_str_eq(by->host + strlen(by->label) + 1, "localhost"))
		(void)snprintf(out, size, "http://localhost%s%s", port, c->api->prefix);
	else
		(void)kt_str_copy(out, size, by->base_url);
}

void kt_api_web_where(struct kt_call *c, char *out, size_t size)
{
	char server[sizeof(c->by->base_url)];

	kt_api_web_server(c, server, sizeof(server));
	if (c->by->label[0])
		(void)snprintf(out, size, "\"sign_in\":\"%s/sign-in#to=%s\"", server, c->by->host);
	else
		(void)snprintf(out, size, "\"sign_in\":\"%s/sign-in\"", c->api->prefix);
}

/* --- routes ------------------------------------------------------------------------------- */

static bool refuse_strangers(struct kt_call *c)
{
	if (is_own_page(c))
		return true;
	kt_api_fail(c, 403, "origin_refused", "this is for the server's own pages", NULL);
	return false;
}

static void web_began(void *arg, const struct kt_result *r)
{
	struct kt_later *l = arg;

	if (l->c.ex && r->rc == KT_OK && r->token)
		set_cookie(&l->c, r->token, r->max_age_s);
	kt_api_answered(l, r);
}

static void send_web_refused(struct kt_call *c, enum kt_code rc, const char *detail)
{
	if (rc == KT_EAUTH) {
		kt_api_fail(c, 401, "unauthorized", detail, NULL);
		return;
	}
	kt_exchange_header(c->ex, "Retry-After", "5");
	kt_api_fail(c, 503, "unavailable", "keys cannot be checked now", NULL);
}

static void sign_in_with_key(struct kt_call *c, const char *key)
{
	struct kt_control *ctl = c->api->cfg.control;
	struct kt_err err = KT_ERR_INIT;
	struct kt_principal old;
	char token[KT_WEB_TOKEN_MAX];
	struct kt_later *l;
	enum kt_code rc = kt_control_principal(ctl, key, &c->by->who, &err);

	if (rc != KT_OK) {
		send_web_refused(c, rc, "the server does not take this key");
		return;
	}
	if (!kt_api_count(c, c->by->who.org_id, c->by->who.key_id))
		return;
	if (kt_api_web_token(c, token) &&
		kt_control_web_principal(ctl, token, c->by->host, &old, &err) == KT_OK)
		(void)kt_str_copy(c->by->who.web, sizeof(c->by->who.web), old.web);
	kt_secret_wipe(token, sizeof(token));
	l = kt_api_later(c, NULL, NULL);
	kt_control_web_begin(ctl, &l->actor, l->caller.host, web_began, l);
}

static void sign_in_with_code(struct kt_call *c, const char *code, const char *state)
{
	struct kt_err err = KT_ERR_INIT;
	char token[KT_WEB_TOKEN_MAX];
	int64_t age_s = 0;
	enum kt_code rc = kt_control_web_redeem(
		c->api->cfg.control, code, c->by->host, state, token, &age_s, &err);

	if (rc != KT_OK) {
		send_web_refused(c, rc, "this sign-in is over: begin again");
		return;
	}
	set_cookie(c, token, age_s);
	kt_secret_wipe(token, sizeof(token));
	kt_respond(c->ex, 204, NULL, NULL, 0);
}

static bool is_state(const char *s)
{
	size_t n = s ? strlen(s) : 0;

	return n >= STATE_MIN && n <= STATE_MAX &&
		strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == n;
}

/* {"key"} at the server's own name, {"code","state"} at a project's. */
void kt_api_web_sign_in(struct kt_call *c, const struct kt_params *p)
{
	static const char *const members[] = { "key", "code", "state", NULL };
	KT_AUTO_JSON cJSON *body = NULL;
	const char *key, *code, *state;

	(void)p;
	if (!kt_api_change(c, members, &body) || !kt_api_opt_str(c, body, "key", &key) ||
		!kt_api_opt_str(c, body, "code", &code) ||
		!kt_api_opt_str(c, body, "state", &state))
		return;
	if (c->by->label[0] ? !code || !is_state(state) || key : !key || code || state) {
		kt_api_fail(c, 422, "validation_failed",
			c->by->label[0] ? "send 'code' and 'state'" : "send 'key'", NULL);
		return;
	}
	if (!refuse_strangers(c))
		return;
	if (key)
		sign_in_with_key(c, key);
	else
		sign_in_with_code(c, code, state);
}

void kt_api_web_sign_out(struct kt_call *c, const struct kt_params *p)
{
	struct kt_later *l;

	(void)p;
	if (c->by->who.web[0])
		set_cookie(c, "", 0);
	l = kt_api_later(c, NULL, NULL);
	kt_control_web_end(c->api->cfg.control, &l->actor, kt_api_answered, l);
}

/* {"host","state"}: the address at which the page of that host takes the session over. */
void kt_api_web_hand_over(struct kt_call *c, const struct kt_params *p)
{
	static const char *const members[] = { "host", "state", NULL };
	struct kt_place place = { .kind = KT_PLACE_LABEL };
	KT_AUTO_JSON cJSON *body = NULL;
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(4096);
	const char *host, *state;
	char token[KT_WEB_TOKEN_MAX], code[KT_WEB_TOKEN_MAX], port[16] = "", url[1024];
	struct kt_err err = KT_ERR_INIT;
	struct kt_jw w;

	(void)p;
	if (!kt_api_change(c, members, &body) || !kt_api_opt_str(c, body, "host", &host) ||
		!kt_api_opt_str(c, body, "state", &state))
		return;
	if (!host || !is_state(state)) {
		kt_api_fail(c, 422, "validation_failed", "send 'host' and 'state'", NULL);
		return;
	}
	/* This machine's names and the public ones are not each other's. */
	if (!kt_api_label_of(c->api, host, place.name, sizeof(place.name)) ||
		kt_api_is_loopback_name(host) != kt_api_is_loopback_name(c->by->host)) {
		(void)kt_api_no_project(c);
		return;
	}
	if (!kt_api_resolve(c, &place))
		return;
	if (!kt_api_web_token(c, token) ||
		kt_control_web_code(c->api->cfg.control, token, c->by->host, host, state, code,
			&err) != KT_OK) {
		kt_api_fail(
			c, 409, "conflict", "only a browser that is signed in is taken over", NULL);
		return;
	}
	kt_secret_wipe(token, sizeof(token));
	if (c->by->port > 0)
		(void)snprintf(port, sizeof(port), ":%d", c->by->port);
	/* Behind '#': it goes to no server and into no log. */
	(void)snprintf(url, sizeof(url), "%s://%s%s%s/sign-in#code=%s",
		is_https(c) ? "https" : "http", host, port, c->api->prefix, code);
	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_jw_str(&w, "url", url);
	kt_jw_obj_end(&w);
	kt_exchange_header(c->ex, "Cache-Control", "no-store");
	kt_respond_json(c->ex, 200, &b);
	kt_secret_wipe(code, sizeof(code));
	kt_secret_wipe(url, sizeof(url));
}
