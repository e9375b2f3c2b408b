/* SPDX-License-Identifier: MIT */
/* The audit log as its organization sees it: page by page, and whether the chain holds. */
#include "control/access/access_private.h"

#include "base/limits.h"
#include "base/log.h"
#include "base/time.h"

#include <string.h>

#define MAX_PAGE 500
#define DEFAULT_PAGE 50

struct page {
	int64_t before;
	size_t limit;
};

static enum kt_code audit_list_work(struct kt_tx *tx, struct kt_op *op, struct kt_err *err)
{
	struct page *p = op->data;
	struct kt_audit_row *rows;
	struct kt_jw w;
	size_t n, i;
	/* One more than asked for tells whether there are more. */
	enum kt_code rc = kt_tx_audit(
		tx, op->arena, op->who.org_id, p->before, p->limit + 1, &rows, &n, err);

	if (rc != KT_OK)
		return rc;
	kt_jw_init(&w, &op->json);
	kt_jw_obj(&w, NULL);
	kt_jw_arr(&w, "data");
	for (i = 0; i < n && i < p->limit && op->json.len < KT_MAX_PAGE_BYTES; i++) {
		kt_jw_obj(&w, NULL);
		kt_write_audit(&w, &rows[i]);
		kt_jw_obj_end(&w);
	}
	kt_jw_arr_end(&w);
	kt_jw_bool(&w, "has_more", n > i);
	kt_jw_obj_end(&w);
	return KT_OK;
}

void kt_control_audit(struct kt_control *ctl, const struct kt_actor *a, int64_t before,
	size_t limit, kt_result_fn fn, void *arg)
{
	struct kt_op *op = kt_op_new(ctl, a, NULL, fn, arg);
	struct page *p = kt_arena_alloc(op->arena, sizeof(*p));

	p->before = before;
	p->limit = limit == 0 ? DEFAULT_PAGE : KT_MIN(limit, MAX_PAGE);
	op->data = p;
	kt_op_last(op, KT_STEP_READ, audit_list_work, NULL);
}

static enum kt_code verify_work(struct kt_tx *tx, struct kt_op *op, struct kt_err *err)
{
	char head[65] = "";
	int64_t n, bad;
	struct kt_jw w;
	enum kt_code rc = kt_tx_audit_verify(tx, &n, &bad, head, err);

	if (rc != KT_OK)
		return rc;
	kt_jw_init(&w, &op->json);
	kt_jw_obj(&w, NULL);
	kt_jw_bool(&w, "ok", bad == 0);
	kt_jw_int(&w, "entries", n);
	if (bad != 0)
		kt_jw_int(&w, "first_bad", bad);
	kt_jw_str(&w, "head", head);
	kt_jw_obj_end(&w);
	return KT_OK;
}

void kt_control_audit_verify(
	struct kt_control *ctl, const struct kt_actor *a, kt_result_fn fn, void *arg)
{
	kt_op_last(kt_op_new(ctl, a, NULL, fn, arg), KT_STEP_READ, verify_work, NULL);
}

struct decision {
	const char *action, *object, *detail;
};

static enum kt_code decision_work(struct kt_tx *tx, struct kt_op *op, struct kt_err *err)
{
	const struct decision *d = op->data;

	return kt_op_audit(tx, op, d->action, d->object, d->detail, err);
}

static void decision_written(void *arg, const struct kt_result *r)
{
	(void)arg;
	if (r->rc != KT_OK)
		kt_log(KT_LOG_ERROR, "audit", "a decision is not in the audit log: %s", r->message);
}

/*
 * How many are left out already, when that is told; 0: this one is told itself; -1: nothing is. So
 * an hour has some twenty entries more at most, and says within half of it how many it left out.
 */
static int64_t audit_left_out(struct kt_org_mem *org)
{
	int64_t hour = kt_time_us() / (3600 * (int64_t)1000000);

	if (hour != org->decided_hour) {
		org->decided_hour = hour;
		org->decided = org->decided_more = 0;
	}
	if (org->decided < KT_MAX_AUDITED_DECISIONS) {
		org->decided++;
		return 0;
	}
	org->decided_more++;
	return org->decided_more & (org->decided_more - 1) ? -1 : (int64_t)org->decided_more;
}

void kt_control_audit_decision(struct kt_control *ctl, const struct kt_actor *a, const char *action,
	const char *object, const char *detail)
{
	struct kt_org_mem *org = a->who ? kt_map_get(&ctl->orgs, a->who->org_id) : NULL;
	int64_t more = org ? audit_left_out(org) : -1;
	struct kt_op *op;
	struct decision *d;

	if (more < 0)
		return;
	op = kt_op_new(ctl, a, NULL, decision_written, NULL);
	d = kt_arena_alloc(op->arena, sizeof(*d));
	d->action = kt_arena_strdup(op->arena, more ? "approval.more" : action);
	d->object = kt_arena_strdup(op->arena, more ? "hour" : object);
	d->detail = more ? kt_arena_printf(op->arena, "{\"left_out\":%lld}", (long long)more)
			 : kt_arena_strdup(op->arena, detail);
	op->data = d;
	kt_op_last(op, KT_STEP_WRITE, decision_work, NULL);
}
