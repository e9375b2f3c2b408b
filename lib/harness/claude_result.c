/* SPDX-License-Identifier: MIT */
/*
 * What Claude Code's `result` line means: how the turn ended, which of karta's error codes stands
 * for it, and what it cost. Pure functions over the driver's state.
 */
#include "harness/claude_private.h"

#include "base/str.h"

#include <string.h>

void kt_claude_take_usage(struct kt_claude *c, const cJSON *line, struct kt_usage *u)
{
	const cJSON *models = kt_json_obj(line, "modelUsage");
	struct claude_totals now = { 0 };
	const struct claude_totals *old = &c->totals;
	const cJSON *m;

	if (!models)
		return;
	cJSON_ArrayForEach (m, models) {
		now.input += kt_json_int(m, "inputTokens", 0);
		now.output += kt_json_int(m, "outputTokens", 0);
		now.cache_read += kt_json_int(m, "cacheReadInputTokens", 0);
		now.cache_write += kt_json_int(m, "cacheCreationInputTokens", 0);
		/* A model whose price is not known makes the sum unknown, not smaller. */
		if (kt_json_num(m, "costUSD", -1) < 0)
			now.cost_unknown = true;
		now.cost_usd += KT_MAX(kt_json_num(m, "costUSD", 0), 0);
	}
	u->input_tokens = KT_MAX(now.input - old->input, 0);
	u->output_tokens = KT_MAX(now.output - old->output, 0);
	u->cache_read_tokens = KT_MAX(now.cache_read - old->cache_read, 0);
	u->cache_write_tokens = KT_MAX(now.cache_write - old->cache_write, 0);
	u->total_tokens = u->input_tokens + u->output_tokens + u->cache_read_tokens +
		u->cache_write_tokens;
	if (!now.cost_unknown && !old->cost_unknown)
		u->cost_microusd = (int64_t)(KT_MAX(now.cost_usd - old->cost_usd, 0) * 1e6 + 0.5);
	/* Tokens are never free: 0 is what a harness says that does not know the price. */
	if (u->cost_microusd == 0 && u->total_tokens > 0)
		u->cost_microusd = -1;
	c->totals = now;
}

/* What an error of the model's API is called here. */
struct error_name {
	const char *kind; /* `error` of the synthetic line, or NULL */
	int status_from, status_to; /* api_error_status, 0 = any */
	const char *words; /* in the text, or NULL */
	const char *code;
	bool retryable;
};

/* First match counts. Texts come before kinds, because the kind is often "unknown". */
static const struct error_name error_names[] = {
	{ NULL, 0, 0, "Prompt is too long", "prompt_too_long", false },
	{ NULL, 0, 0, "Unable to connect to API", "connection_failed", true },
	{ NULL, 0, 0, "Connection to the API was lost", "connection_failed", true },
	{ NULL, 0, 0, "Connection error", "connection_failed", true },
	{ NULL, 0, 0, "Connection closed", "connection_failed", true },
	{ NULL, 0, 0, "Request timed out", "connection_failed", true },
	{ NULL, 0, 0, "ECONN", "connection_failed", true },
	{ "authentication_failed", 0, 0, NULL, "auth_failed", false },
	{ "oauth_org_not_allowed", 0, 0, NULL, "auth_failed", false },
	{ "billing_error", 0, 0, NULL, "budget_exceeded", false },
	{ "rate_limit", 0, 0, NULL, "rate_limited", true },
	{ "overloaded", 0, 0, NULL, "overloaded", true },
	{ "model_not_found", 0, 0, NULL, "model_not_found", false },
	{ "server_error", 500, 528, NULL, "server_error", true },
	{ NULL, 401, 401, NULL, "auth_failed", false },
	{ NULL, 403, 403, NULL, "auth_failed", false },
	{ NULL, 402, 402, NULL, "budget_exceeded", false },
	{ NULL, 404, 404, NULL, "model_not_found", false },
	{ NULL, 429, 429, NULL, "rate_limited", true },
	{ NULL, 529, 529, NULL, "overloaded", true },
	{ NULL, 400, 499, NULL, "invalid_request", false },
	{ NULL, 500, 599, NULL, "server_error", true },
	{ NULL, 0, 0, "verloaded", "overloaded", true },
	{ "invalid_request", 0, 0, NULL, "invalid_request", false },
	{ "server_error", 0, 0, NULL, "server_error", true },
	{ NULL, 0, 0, "API Error", "server_error", true },
	{ NULL, 0, 0, NULL, "internal_error", false },
};

void kt_claude_name_error(
	struct kt_turn_result *r, const char *kind, int64_t status, const char *text)
{
	for (size_t i = 0; i < KT_ARRAY_LEN(error_names); i++) {
		const struct error_name *e = &error_names[i];

		if (e->kind && !kt_str_eq(e->kind, kind))
			continue;
		if (e->status_from && (status < e->status_from || status > e->status_to))
			continue;
		if (e->words && !strstr(text, e->words))
			continue;
		r->stop_reason = "error";
		r->error_code = e->code;
		r->retryable = e->retryable;
		return;
	}
}

const char *kt_claude_first_error(const cJSON *line)
{
	const cJSON *errors = kt_json_arr(line, "errors");

	return errors && cJSON_IsString(errors->child) ? errors->child->valuestring : NULL;
}

void kt_claude_name_result(struct kt_claude *c, const cJSON *line, struct kt_turn_result *r)
{
	const char *subtype = kt_json_str_or(line, "subtype", "");
	const char *text = kt_json_str(line, "result");
	const char *terminal = kt_json_str_or(line, "terminal_reason", "");
	const char *stop = kt_json_str(line, "stop_reason");
	const char *error = kt_claude_first_error(line);

	r->stop_reason = stop ? stop : "end_turn";
	if (c->auth_failure) {
		r->stop_reason = "error";
		r->error_code = "auth_failed";
		r->error_message = c->auth_failure;
	} else if (c->interrupted || kt_str_starts(terminal, "aborted_")) {
		r->stop_reason = "interrupted";
	} else if (kt_claude_was_refused(c, line)) {
		r->stop_reason = "refused";
		r->error_code = "refused";
		r->error_message = c->prevented;
	} else if (!kt_json_bool(line, "is_error", false)) {
		return;
	} else if (!strcmp(subtype, "error_max_turns")) {
		r->stop_reason = r->error_code = "max_turns";
		r->error_message = error ? error : "the limit of model calls per turn was reached";
	} else if (!strcmp(subtype, "error_max_budget_usd")) {
		r->stop_reason = r->error_code = "budget_exceeded";
		r->error_message = error ? error : "the budget is used up";
	} else if (kt_str_eq(stop, "refusal")) {
		r->stop_reason = "refusal";
		r->error_code = "refused";
		r->error_message = text ? text : "the model refused";
	} else {
		if (!text)
			text = error ? error : c->error_text ? c->error_text : "the harness failed";
		kt_claude_name_error(
			r, c->error_kind, kt_json_int(line, "api_error_status", 0), text);
		r->error_message = text;
	}
}
