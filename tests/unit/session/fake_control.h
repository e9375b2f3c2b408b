/* SPDX-License-Identifier: MIT */
/*
 * The control plane as lib/session sees it, for its tests: releases are folders, answers come at
 * once or when the test says so. Included once a test program; the module's tests are linked
 * without the real one.
 */
#ifndef FAKE_CONTROL_H
#define FAKE_CONTROL_H

#include "base/buf.h"
#include "base/map.h"
#include "base/str.h"
#include "base/vec.h"
#include "control/control.h"

#include <string.h>

struct fake_open {
	struct kt_target target;
	kt_opened_fn fn;
	void *arg;
};

static struct fake_control {
	const char *root; /* release "rel_1" is the folder ROOT/rel_1; a folder project ROOT/PROJECT */
	char **env;
	bool later; /* answers wait for fake_answer() */
	bool gone; /* no release can be opened any more */
	bool deleted; /* there is no project */
	struct kt_vec waiting; /* struct fake_open */
	struct kt_map counts; /* release -> sessions + 1000 */
	int opens, holds;
	struct kt_buf log;
} fake;

static void fake_answer_one(const struct fake_open *o)
{
	KT_AUTOFREE char *dir = kt_asprintf("%s/%s", fake.root,
		o->target.folder ? o->target.project_id : o->target.release_id);
	const struct kt_opened opened = { .dir = dir, .folder = o->target.folder,
		.env = fake.env, .hold = 7 };
	struct kt_err err = KT_ERR_INIT;

	if (fake.gone) {
		(void)kt_fail(&err, KT_ENOTFOUND, 0, "the files of release v%lld are gone",
			(long long)o->target.version);
		o->fn(o->arg, KT_ENOTFOUND, NULL, &err);
		return;
	}
	fake.holds++;
	o->fn(o->arg, KT_OK, &opened, &err);
}

static inline void fake_answer(void)
{
	while (fake.waiting.len) {
		KT_AUTOFREE struct fake_open *o = kt_vec_remove(&fake.waiting, 0);

		fake_answer_one(o);
	}
}

enum kt_code kt_control_target(struct kt_control *ctl, const char *org_id, const char *ref,
	struct kt_target *out, struct kt_err *err)
{
	return fake.deleted ? KT_ENOTFOUND : KT_OK;
}

void kt_control_release_open(
	struct kt_control *ctl, const struct kt_target *t, kt_opened_fn fn, void *arg)
{
	const struct fake_open o = { *t, fn, arg };

	fake.opens++;
	if (fake.later) {
		struct fake_open *copy = kt_malloc(sizeof(*copy));
		*copy = o;
		kt_vec_push(&fake.waiting, copy);
		return;
	}
	fake_answer_one(&o);
}

void kt_control_release_close(struct kt_control *ctl, uint64_t hold)
{
	kt_assert(hold == 7);
	fake.holds--;
}

void kt_control_session_count(struct kt_control *ctl, const char *release_id, int delta)
{
	uintptr_t n = (uintptr_t)kt_map_get(&fake.counts, release_id);

	n = (n ? n : 1000) + (uintptr_t)delta;
	(void)kt_map_set(&fake.counts, release_id, (void *)n);
}

static inline int fake_count(const char *release_id)
{
	uintptr_t n = (uintptr_t)kt_map_get(&fake.counts, release_id);

	return n ? (int)n - 1000 : 0;
}

void kt_control_audit_decision(struct kt_control *ctl, const struct kt_actor *a, const char *action,
	const char *object, const char *detail)
{
	(void)ctl;
	(void)a;
	(void)action;
	(void)object;
	(void)detail;
}

void kt_control_log(struct kt_control *ctl, const struct kt_log_line *line)
{
	if (fake.log.max)
		kt_buf_addf(&fake.log, "%s %s %s v%lld %s\n", line->project_id, line->level,
			line->source, (long long)line->version, line->text);
}

static inline void fake_release(void)
{
	for (size_t i = 0; i < fake.waiting.len; i++)
		free(fake.waiting.items[i]);
	kt_vec_release(&fake.waiting);
	kt_map_release(&fake.counts);
	if (fake.log.max)
		kt_buf_release(&fake.log);
	memset(&fake, 0, sizeof(fake));
}

#endif
