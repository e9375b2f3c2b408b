/* SPDX-License-Identifier: MIT */
/*
 * What idempotency keys were used for: for a day, over restarts. All live equally long, so one list
 * has them in the order in which they go. An organization's keys are bounded in bytes: when it has
 * that many, new ones are refused (by the API), because what was promised for a day is kept.
 */
#include "session/keep/keep_private.h"

#include "base/limits.h"
#include "base/str.h"
#include "base/time.h"

#include <string.h>

/* Of an entry, beside its name, with its place in the map. */
#define ENTRY_BYTES (sizeof(struct kt_idem_entry) + 64)

static const char no_org[] = "";

/* Whose key it is: of the session, or of the organization that "create:ORG" names. */
static const char *idem_org(const struct kt_sessions *reg, const char *scope)
{
	static const char create[] = "create:";
	const struct kt_session *s;

	if (kt_str_starts(scope, create))
		return scope + sizeof(create) - 1;
	s = kt_session_get(reg, scope);
	return s && s->pin ? s->pin->target.org_id : no_org;
}

static int64_t oldest_us(void)
{
	return kt_time_us() - (int64_t)KT_IDEMPOTENCY_MS * 1000;
}

const struct kt_idem *kt_idem_get(const struct kt_sessions *reg, const char *scope, const char *key)
{
	KT_AUTOFREE char *full = kt_asprintf("%s\n%s", scope, key);
	const struct kt_idem_entry *e = kt_map_get(&reg->idem, full);

	return e && e->what.at_us >= oldest_us() ? &e->what : NULL;
}

void kt_idem_expire(struct kt_sessions *reg)
{
	int64_t oldest = oldest_us();

	while (reg->idem_first && reg->idem_first->what.at_us < oldest) {
		struct kt_idem_entry *e = reg->idem_first;

		reg->idem_first = e->next;
		if (!e->next)
			reg->idem_last = NULL;
		if (reg->copy && reg->copy->idem_at == e)
			reg->copy->idem_at = e->next;
		e->org->bytes -= e->bytes;
		(void)kt_map_del(&reg->idem, e->name);
		free(e);
	}
}

bool kt_idem_is_full(struct kt_sessions *reg, const char *scope)
{
	const struct kt_idem_org *org;

	kt_idem_expire(reg);
	org = kt_map_get(&reg->idem_orgs, idem_org(reg, scope));
	return org && org->bytes >= KT_MAX_IDEMPOTENCY_BYTES;
}

static struct kt_idem_org *idem_org_of(struct kt_sessions *reg, const char *name)
{
	struct kt_idem_org *org = kt_map_get(&reg->idem_orgs, name);

	if (!org) {
		org = kt_calloc(1, sizeof(*org));
		kt_map_set(&reg->idem_orgs, name, org);
	}
	return org;
}

void kt_idem_put(
	struct kt_sessions *reg, const char *scope, const char *key, const struct kt_idem *what)
{
	KT_AUTOFREE char *full = kt_asprintf("%s\n%s", scope, key);
	size_t len = strlen(full);
	struct kt_idem_entry *e;

	kt_idem_expire(reg);
	e = kt_map_get(&reg->idem, full);
	if (e) {
		e->what = *what;
		return;
	}
	e = kt_calloc(1, sizeof(*e) + len + 1);
	memcpy(e->name, full, len);
	e->what = *what;
	e->bytes = ENTRY_BYTES + 2 * len;
	e->org = idem_org_of(reg, idem_org(reg, scope));
	e->org->bytes += e->bytes;
	kt_map_set(&reg->idem, e->name, e);
	if (reg->idem_last)
		reg->idem_last->next = e;
	else
		reg->idem_first = e;
	reg->idem_last = e;
}

void kt_idem_release(struct kt_sessions *reg)
{
	size_t pos = 0;
	const char *key;
	void *value;

	while (reg->idem_first) {
		struct kt_idem_entry *e = reg->idem_first;

		reg->idem_first = e->next;
		free(e);
	}
	while (kt_map_next(&reg->idem_orgs, &pos, &key, &value))
		free(value);
	kt_map_release(&reg->idem_orgs);
	kt_map_release(&reg->idem);
}
