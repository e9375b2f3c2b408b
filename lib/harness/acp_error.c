/* SPDX-License-Identifier: MIT */
/*
 * JSON-RPC errors of ACP agents as the stable codes of docs/errors.md. Agents hardly agree: some
 * give a kind in data.errorKind, some an HTTP status as the code, most only a sentence that holds
 * the status. So: the kind first, then a status from wherever it stands, then words.
 */
#include "harness/acp_private.h"

#include "base/limits.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

enum { ACP_AUTH_REQUIRED = -32000 }; /* ACP: "Authentication required" */

struct word_code {
	const char *word;
	const char *code;
	bool retryable;
};

/* data.errorKind (claude-agent-acp) and data.errorName (OpenCode). */
static const struct word_code kinds[] = {
	{ "authentication_failed", "auth_failed", false },
	{ "oauth_org_not_allowed", "auth_failed", false },
	{ "ProviderAuthError", "auth_failed", false },
	{ "billing_error", "budget_exceeded", false },
	{ "rate_limit", "rate_limited", true },
	{ "overloaded", "overloaded", true },
	{ "server_error", "internal_error", true },
	{ "model_not_found", "model_not_found", false },
	{ "ProviderModelNotFoundError", "model_not_found", false },
	{ "invalid_request", "invalid_request", false },
	{ "ContextOverflowError", "invalid_request", false },
};

/* Words in the message, lower case; the first that is found decides. */
static const struct word_code words[] = {
	{ "econnrefused", "connection_failed", true },
	{ "econnreset", "connection_failed", true },
	{ "enotfound", "connection_failed", true },
	{ "etimedout", "connection_failed", true },
	{ "unable to connect", "connection_failed", true },
	{ "connection refused", "connection_failed", true },
	{ "connection error", "connection_failed", true },
	{ "fetch failed", "connection_failed", true },
	{ "stream disconnected", "connection_failed", true },
	{ "error sending request", "connection_failed", true },
	{ "socket connection", "connection_failed", true },
	{ "unauthorized", "auth_failed", false },
	{ "authenticat", "auth_failed", false },
	{ "api key", "auth_failed", false },
	{ "not logged in", "auth_failed", false },
	{ "permission_denied", "auth_failed", false },
	{ "rate limit", "rate_limited", true },
	{ "too many requests", "rate_limited", true },
	{ "resource_exhausted", "rate_limited", true },
	{ "quota", "rate_limited", true },
	{ "overloaded", "overloaded", true },
	{ "model not found", "model_not_found", false },
	{ "no such model", "model_not_found", false },
	{ "unknown model", "model_not_found", false },
	{ "bad request", "invalid_request", false },
};

/* The words before a status in messages that agents write around it. */
static const char *const before_status[] = { "status ", "error ", "error: ", "http ", "code ",
	"status code: " };

/* A three-digit status 400..599 that stands after one of those words, else 0. */
static int status_in(const char *text)
{
	for (const char *p = text; *p; p++) {
		if (p == text || p[0] < '4' || p[0] > '5' || !isdigit((unsigned char)p[1]) ||
			!isdigit((unsigned char)p[2]) || isalnum((unsigned char)p[3]))
			continue;
		for (size_t i = 0; i < KT_ARRAY_LEN(before_status); i++) {
			size_t n = strlen(before_status[i]);

			if ((size_t)(p - text) >= n && !strncasecmp(p - n, before_status[i], n))
				return (p[0] - '0') * 100 + (p[1] - '0') * 10 + (p[2] - '0');
		}
	}
	return 0;
}

static bool by_status(int status, struct acp_error *out)
{
	static const struct {
		int status;
		const char *code;
		bool retryable;
	} table[] = {
		{ 400, "invalid_request", false },
		{ 401, "auth_failed", false },
		{ 402, "budget_exceeded", false },
		{ 403, "auth_failed", false },
		{ 404, "model_not_found", false },
		{ 408, "connection_failed", true },
		{ 413, "invalid_request", false },
		{ 422, "invalid_request", false },
		{ 429, "rate_limited", true },
		{ 503, "overloaded", true },
		{ 529, "overloaded", true },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(table); i++) {
		if (table[i].status == status) {
			out->code = table[i].code;
			out->retryable = table[i].retryable;
			return true;
		}
	}
	if (status >= 500 && status <= 599) {
		out->code = "internal_error";
		out->retryable = true;
		return true;
	}
	return false;
}

static bool by_kind(const char *kind, struct acp_error *out)
{
	for (size_t i = 0; kind && i < KT_ARRAY_LEN(kinds); i++) {
		if (!strcmp(kinds[i].word, kind)) {
			out->code = kinds[i].code;
			out->retryable = kinds[i].retryable;
			return true;
		}
	}
	return false;
}

static bool by_words(const char *text, struct acp_error *out)
{
	for (size_t i = 0; i < KT_ARRAY_LEN(words); i++) {
		if (strcasestr(text, words[i].word)) {
			out->code = words[i].code;
			out->retryable = words[i].retryable;
			return true;
		}
	}
	return false;
}

/* The message inside of a JSON document, for agents that hand the provider's on; NULL if none. */
static char *inner_message(const char *text)
{
	KT_AUTO_JSON cJSON *doc = NULL;

	if (text[0] != '{' ||
		kt_json_parse(text, strlen(text), KT_JSON_LENIENT, &doc, NULL) != KT_OK)
		return NULL;
	const char *inner = kt_json_str(kt_json_get(doc, "error"), "message");

	if (!inner)
		inner = kt_json_str(doc, "message");
	return kt_strdup_opt(inner);
}

/* The sentence for people: gemini puts a JSON document into the message, codex a vague one. */
static char *error_sentence(const cJSON *error)
{
	static const char prefix[] = "Internal error: ";
	const cJSON *data = kt_json_get(error, "data");
	const char *message = kt_json_str_or(error, "message", "the agent gave no reason");
	const char *detail = kt_json_str(data, "message");
	char *inner;

	if (!detail)
		detail = kt_json_str(data, "details");
	if (!detail && cJSON_IsString(data))
		detail = data->valuestring;
	if (!strncmp(message, prefix, sizeof(prefix) - 1) && message[sizeof(prefix) - 1])
		message += sizeof(prefix) - 1;
	inner = inner_message(message);
	if (inner)
		return inner;
	if (!detail || strstr(message, detail))
		return kt_strdup(message);
	if (!strcmp(message, "Internal error"))
		return kt_strdup(detail);
	return kt_asprintf("%s: %s", message, detail);
}

void kt_acp_error(const cJSON *error, struct acp_error *out)
{
	const cJSON *data = kt_json_get(error, "data");
	int64_t code = kt_json_int(error, "code", 0);

	*out = (struct acp_error){ .code = "internal_error", .message = error_sentence(error) };
	if (by_kind(kt_json_str(data, "errorKind"), out) ||
		by_kind(kt_json_str(data, "errorName"), out))
		return;
	if (code >= 400 && code <= 599 && by_status((int)code, out))
		return;
	if (by_status(status_in(out->message), out))
		return;
	if (code == ACP_AUTH_REQUIRED) {
		out->code = "auth_failed";
		return;
	}
	(void)by_words(out->message, out);
}
