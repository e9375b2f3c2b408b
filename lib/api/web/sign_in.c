/* SPDX-License-Identifier: MIT */
/*
 * Browsers that sign in (docs/design/web.md; their cookie: core/cookie.c).
 *
 * Every name of the server has a cookie of its own, for that name only. A project's page sends its
 * browser to the server's name, where one signs in, and gets it back with a code that is good once.
 */
#include "api/web/web_private.h"

#include "base/str.h"
#include "text/json.h"

#include <string.h>

#define STATE_MIN 20 /* characters of what a page made up */
#define STATE_MAX 64

static bool refuse_strangers(struct kt_call *c)
{
	if (kt_api_is_own_page(c))
		return true;
	kt_api_fail(c, 403, "origin_refused", "this is for the server's own pages", NULL);
	return false;
}

static void web_began(void *arg, const struct kt_result *r)
{
	struct kt_later *l = arg;

	if (l->c.ex && r->rc == KT_OK && r->token)
		kt_api_set_cookie(&l->c, r->token, r->max_age_s);
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
	kt_api_set_cookie(c, token, age_s);
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
		kt_api_set_cookie(c, "", 0);
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
		kt_api_is_https(c) ? "https" : "http", host, port, c->api->prefix, code);
	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_jw_str(&w, "url", url);
	kt_jw_obj_end(&w);
	kt_exchange_header(c->ex, "Cache-Control", "no-store");
	kt_respond_json(c->ex, 200, &b);
	kt_secret_wipe(code, sizeof(code));
	kt_secret_wipe(url, sizeof(url));
}
