/* SPDX-License-Identifier: MIT */
/* Of the ACP driver: what a turn used, in tokens, money and room in the context. */
#include "harness/acp_private.h"

#include "base/str.h"

#include <stdio.h>

void kt_acp_context_event(struct acp *a)
{
	char data[160];

	if (!a->context_changed)
		return;
	a->context_changed = false;
	int n = snprintf(data, sizeof(data),
		"{\"subtype\":\"context\",\"used\":%lld,\"size\":%lld}", (long long)a->context_used,
		(long long)a->context_size);

	kt_emit(&a->d, KT_EV_SYSTEM, data, (size_t)n, NULL);
}

void kt_acp_take_cost(struct acp *a, struct kt_usage *u)
{
	if (a->cost_now >= 0) {
		if (a->cost_before >= 0 && a->cost_now >= a->cost_before &&
			!(a->interrupted && a->cost_now == a->cost_before))
			u->cost_microusd = a->cost_now - a->cost_before;
		/* The model was called: 0 is what an agent says that does not know the price. */
		if (u->cost_microusd == 0 && (a->steps > 0 || u->total_tokens > 0))
			u->cost_microusd = -1;
		a->cost_before = a->cost_now;
	}
}

void kt_acp_read_usage(const struct acp *a, const cJSON *result, struct kt_usage *u)
{
	const cJSON *usage = kt_json_obj(result, "usage");
	const cJSON *meta = kt_json_path(result, "_meta.quota.token_count");

	*u = (struct kt_usage)KT_USAGE_INIT;
	if (usage) {
		u->input_tokens = kt_json_int(usage, "inputTokens", -1);
		u->output_tokens = kt_json_int(usage, "outputTokens", -1);
		u->cache_read_tokens = kt_json_int(usage, "cachedReadTokens", -1);
		u->cache_write_tokens = kt_json_int(usage, "cachedWriteTokens", -1);
		u->total_tokens = kt_json_int(usage, "totalTokens", -1);
	} else if ((a->quirks & ACP_USAGE_IN_META) && meta) {
		u->input_tokens = kt_json_int(meta, "input_tokens", -1);
		u->output_tokens = kt_json_int(meta, "output_tokens", -1);
	}
}

void kt_acp_usage_update(struct acp *a, const cJSON *update)
{
	const cJSON *cost = kt_json_obj(update, "cost");
	double amount = kt_json_num(cost, "amount", -1);

	a->context_used = kt_json_int(update, "used", a->context_used);
	a->context_size = kt_json_int(update, "size", a->context_size);
	a->context_changed = true;
	/* codex tells its usage after each model call, and that is all that ends one. */
	if (a->step_spoke && !a->message_id)
		a->step_over = true;
	if (amount < 0 || amount > 1e9 ||
		!kt_str_ieq(kt_json_str_or(cost, "currency", "USD"), "USD"))
		return;
	a->cost_now = (int64_t)(amount * 1e6 + 0.5);
	/* Between turns the sum is that of the turns before (a resumed session tells it so). */
	if (!a->prompted)
		a->cost_before = a->cost_now;
}
