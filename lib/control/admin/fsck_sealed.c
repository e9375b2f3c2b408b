/* SPDX-License-Identifier: MIT */
/* fsck: sealed values open with the master key, so none of their bytes was changed. */
#include "control/admin/fsck_private.h"
#include "control/core/seal_private.h"

#include "base/limits.h"
#include "crypto/crypto.h"

#include <string.h>

struct sealed {
	struct kt_fsck *f;
	const struct kt_master *master;
};

/* One value; `of` says which, for a finding of `object`. */
static void check_sealed(struct sealed *s, const char *object, const char *of, const char *context,
	const void *value, size_t len)
{
	KT_AUTO_BUF struct kt_buf plain = KT_BUF_INIT(KT_MAX_CONFIG_VALUE_BYTES + 4096);

	if (len > 0 && kt_unseal(s->master, context, value, len, &plain, NULL) != KT_OK)
		kt_fsck_say(s->f, "I9", object,
			"%s cannot be opened: its bytes, or master.key, are not what they were",
			of);
	if (plain.len)
		kt_secret_wipe(plain.ptr, plain.len);
}

/* The variables of a version; of all of them unless it is to be quick. */
static enum kt_code check_config(struct sealed *s, struct kt_tx *tx, const struct kt_project_row *p,
	const char *object, struct kt_err *err)
{
	struct kt_arena *a = s->f->arena;
	int64_t first = s->f->deep ? 1 : KT_MAX(p->config_version, 1);
	int64_t next = 0;
	enum kt_code rc = kt_tx_config_next(tx, p->id, &next, err);

	for (int64_t v = first; rc == KT_OK && v < next; v++) {
		struct kt_config_row *rows = NULL;
		size_t n = 0;

		rc = kt_tx_config(tx, a, p->id, v, &rows, &n, err);
		for (size_t i = 0; rc == KT_OK && i < n; i++)
			check_sealed(s, object,
				kt_arena_printf(
					a, "%s of configuration %lld", rows[i].name, (long long)v),
				kt_config_context(a, p->org_id, p->id, rows[i].name), rows[i].value,
				rows[i].value_len);
	}
	return rc;
}

static void ignore_value(void *arg, const char *name, const char *value)
{
	(void)arg;
	(void)name;
	(void)value;
}

static enum kt_code check_rows(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	struct sealed *s = arg;
	struct kt_fsck *f = s->f;
	enum kt_code rc = KT_OK;

	for (size_t i = 0; rc == KT_OK && i < f->n_projects; i++) {
		const struct kt_project_row *p = &f->projects[i];
		const char *object = kt_arena_printf(f->arena, "project/%s", p->slug);

		rc = check_config(s, tx, p, object, err);
		check_sealed(s, object, "the token of its repository",
			kt_project_context(f->arena, "repo_token", p->org_id, p->id), p->repo_token,
			p->repo_token_len);
		check_sealed(s, object, "the secret of its webhook",
			kt_project_context(f->arena, "webhook_secret", p->org_id, p->id),
			p->webhook_secret, p->webhook_secret_len);
	}
	for (size_t i = 0; rc == KT_OK && i < f->n_releases; i++) {
		const struct kt_release_row *r = &f->releases[i];
		const char *object = kt_arena_printf(f->arena, "release/%s", r->id);

		if (r->env &&
			kt_env_unseal(s->master, r->org_id, r->env, ignore_value, NULL, NULL) !=
				KT_OK)
			kt_fsck_say(f, "I9", object, "v%lld: its variables cannot be opened",
				(long long)r->version);
	}
	return rc;
}

enum kt_code kt_fsck_sealed(struct kt_fsck *f, const struct kt_master *m, struct kt_err *err)
{
	struct sealed s = { .f = f, .master = m };

	return f->store ? kt_store_do(f->store, false, check_rows, &s, err) : KT_OK;
}
