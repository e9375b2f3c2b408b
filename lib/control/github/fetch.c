/* SPDX-License-Identifier: MIT */
/*
 * Fetching the tarball of a commit from the bound repository (net/fetch.h) into a file of tmp/, and
 * publishing it. All of it is on the loop.
 *
 *	waits -> runs -> here -> publishes -> ends
 *
 * Few run at once, and fewer of one organization, so that its slow servers delay nobody else: the
 * next is of whoever has the fewest running, and of these of whoever began one longest ago. What
 * was fetched is published in the order of the deliveries: the archive of an older push that comes
 * late must not replace that of a newer one.
 */
#include "control/github/github_private.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/str.h"
#include "net/fetch.h"
#include "store/datadir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MAX_REDIRECTS 3
#define FETCH_MS (5 * 60000)

/* --- download ---------------------------------------------------------------------------- */

/* https, or this machine: of a redirect only when it came from there. */
static enum kt_code fetch_may(
	void *arg, const struct kt_url *to, const struct kt_url *from, struct kt_err *err)
{
	bool ok = to->loopback ? !from || from->loopback : to->https;

	return ok ? KT_OK : kt_fail(err, KT_EDENIED, 0, "the archive may be fetched by https only");
}

static enum kt_code fetch_head(void *arg, int status, struct kt_err *err)
{
	struct kt_fetch *f = arg;

	if (status != 200)
		return kt_fail(err, status == 404 ? KT_ENOTFOUND : KT_EPROTO, 0, "%s answered %d%s",
			kt_http_fetch_url(f->http)->host, status,
			status == 404 || status == 401 ? ": is a token needed?" : "");
	f->fd = open(f->path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	return f->fd >= 0 ? KT_OK : kt_fail(err, KT_EIO, errno, "cannot make '%s'", f->path);
}

static enum kt_code fetch_data(void *arg, const char *data, size_t len, struct kt_err *err)
{
	struct kt_fetch *f = arg;
	int64_t max_bytes = f->ctl->limits.max_archive_bytes;

	f->bytes += (int64_t)len;
	if (f->bytes > max_bytes)
		return kt_fail(err, KT_ELIMIT, 0,
			"the archive is larger than %lld bytes (the server's max_archive_bytes)",
			(long long)max_bytes);
	return kt_fs_write_all(f->fd, data, len, err);
}

static void fetch_ended(void *arg, enum kt_code rc, const struct kt_err *err);

static const struct kt_http_fetch_ops fetch_ops = { fetch_may, fetch_head, fetch_data,
	fetch_ended };

static void fetch_ask(struct kt_fetch *f)
{
	struct kt_control *ctl = f->ctl;
	KT_AUTOFREE char *bearer = kt_asprintf("Authorization: Bearer %s", f->token);
	const char *const headers[] = { "Accept: application/vnd.github+json",
		"X-GitHub-Api-Version: 2022-11-28", NULL };
	/* The token must not go to another host. */
	const char *const own[] = { f->token[0] ? bearer : NULL, NULL };
	const struct kt_http_fetch_spec spec = {
		.method = "GET",
		.url = f->url,
		.headers = headers,
		.own_headers = own,
		.max_redirects = MAX_REDIRECTS,
		.connect_ms = 10000,
		.first_ms = KT_FETCH_STALL_MS,
		.stall_ms = KT_FETCH_STALL_MS,
		.total_ms = FETCH_MS,
	};

	if (!ctl->fetcher)
		ctl->fetcher = kt_http_fetcher_new(ctl->loop, ctl->reach);
	f->http = kt_http_fetch_start(ctl->fetcher, &spec, &fetch_ops, f);
	kt_secret_wipe(bearer, strlen(bearer));
}

/* It does not run any more. */
static void fetch_settle(struct kt_fetch *f)
{
	f->http = NULL;
	f->state = KT_FETCH_HERE;
	f->ctl->fetches_run--;
	f->org->fetches_run--;
}

/* --- what becomes of it ------------------------------------------------------------------ */

static void fetch_run_next(struct kt_control *ctl);

static void fetch_say(struct kt_fetch *f, const char *level, const char *text)
{
	struct kt_log_line line = {
		.project_id = f->project_id,
		.level = level,
		.source = "build",
		.request_id = f->request_id[0] ? f->request_id : NULL,
		.text = text,
	};

	kt_control_log(f->ctl, &line);
}

static void fetch_free(struct kt_fetch *f)
{
	struct kt_control *ctl = f->ctl;

	(void)kt_vec_remove_ptr(&ctl->fetches, f);
	f->org->fetches--;
	if (ctl->fetches.len == 0)
		kt_vec_release(&ctl->fetches);
	if (f->fd >= 0)
		(void)close(f->fd);
	if (f->path)
		(void)unlink(f->path);
	if (f->token)
		kt_secret_wipe(f->token, strlen(f->token));
	kt_arena_free(f->arena);
	free(f);
	fetch_run_next(ctl);
}

static enum kt_code end_delivery(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	const struct kt_fetch *f = arg;

	/* One that failed may be delivered again. */
	return kt_delivery_end(tx, f->digest, &f->heard, f->published, err);
}

static void delivery_ended(void *arg, enum kt_code rc, const struct kt_err *err)
{
	struct kt_fetch *f = arg;

	if (rc != KT_OK)
		kt_log(KT_LOG_WARN, "github", "delivery of %s: %s", f->heard.commit_sha, err->msg);
	fetch_free(f);
}

static void fetch_end(struct kt_fetch *f)
{
	f->state = KT_FETCH_ENDS;
	if (!f->digest || !f->ctl->store || f->ctl->closing)
		fetch_free(f);
	else
		kt_store_write(f->ctl->store, end_delivery, delivery_ended, f);
}

/* Tell who waits, once. */
static void fetch_tell(struct kt_fetch *f, const struct kt_result *r)
{
	kt_result_fn done = f->done;

	f->done = NULL;
	if (done)
		done(f->done_arg, r);
}

static void fetch_failed(struct kt_fetch *f, enum kt_code rc, const char *why)
{
	/* A GitHub that cannot be reached is not this server going away. */
	bool absent = rc == KT_ENOTFOUND, ours = rc == KT_EUNAVAIL && f->ctl->draining;
	const struct kt_result r = {
		.rc = rc,
		.status = absent ? 422
			: ours   ? 503
				 : 502,
		.code = absent ? "commit_not_found"
			: ours ? "shutting_down"
			       : "fetch_failed",
		.message = why,
	};

	KT_AUTOFREE char *text = kt_asprintf(
		"GitHub: %s was not deployed: %s", f->meta.commit_sha, why);

	fetch_say(f, "error", text);
	fetch_tell(f, &r);
	fetch_end(f);
}

static void on_published(void *arg, const struct kt_result *r)
{
	struct kt_fetch *f = arg;

	struct kt_project_mem *p = kt_map_get(&f->ctl->projects, f->project_id);

	fetch_tell(f, r);
	if (r->rc != KT_OK) {
		fetch_failed(f, r->rc, r->message);
		return;
	}
	/* Its pull request was closed while it was on its way; now there is a build to end. */
	if (f->closed && p) {
		char label[64];

		kt_preview_label(p->label, NULL, f->meta.pr, label);
		kt_preview_close(f->ctl, p, label);
	}
	f->published = true;
	fetch_end(f);
}

static void fetch_ended(void *arg, enum kt_code rc, const struct kt_err *err)
{
	struct kt_fetch *f = arg;
	struct kt_control *ctl = f->ctl;
	struct kt_err own = *err;

	fetch_settle(f);
	if (f->fd >= 0 && close(KT_STEAL_FD(f->fd)) != 0 && rc == KT_OK)
		rc = kt_fail(&own, KT_EIO, errno, "cannot write '%s'", f->path);
	ctl->on.failed(ctl, &own);
	if (rc != KT_OK)
		fetch_failed(f, rc, own.msg);
	fetch_run_next(ctl);
}

static void fetch_publish(struct kt_fetch *f)
{
	struct kt_actor actor = {
		.who = &f->who,
		.request_id = f->request_id[0] ? f->request_id : NULL,
		.remote_ip = f->remote_ip[0] ? f->remote_ip : NULL,
		.base_url = f->base_url,
	};

	f->state = KT_FETCH_PUBLISHES;
	kt_publish_archive(f->ctl, &actor, f->project_id, f->path, &f->meta,
		f->pre.idem_key || f->pre.if_match ? &f->pre : NULL, on_published, f);
}

/* --- whose turn it is -------------------------------------------------------------------- */

static bool same_target(const struct kt_fetch *a, const struct kt_fetch *b)
{
	return strcmp(a->project_id, b->project_id) == 0 && a->meta.pr == b->meta.pr &&
		(a->meta.pr > 0 || kt_str_eq(a->meta.ref, b->meta.ref));
}

/* None that came earlier is still on its way to the same place. */
static bool is_first(const struct kt_fetch *f)
{
	const struct kt_vec *all = &f->ctl->fetches;

	for (size_t i = 0; i < all->len && all->items[i] != f; i++) {
		if (same_target(all->items[i], f))
			return false;
	}
	return true;
}

/* a, which waits, comes before b, which came earlier. */
static bool goes_before(const struct kt_fetch *a, const struct kt_fetch *b)
{
	if (a->org->fetches_run != b->org->fetches_run)
		return a->org->fetches_run < b->org->fetches_run;
	return a->org->fetch_turn < b->org->fetch_turn;
}

/* One that can go on; NULL when there is none. */
static struct kt_fetch *fetch_next(const struct kt_control *ctl)
{
	struct kt_fetch *next = NULL;

	for (size_t i = 0; i < ctl->fetches.len; i++) {
		struct kt_fetch *f = ctl->fetches.items[i];

		if (f->state == KT_FETCH_HERE && is_first(f))
			return f;
		if (f->state == KT_FETCH_WAITS && ctl->fetches_run < KT_MAX_FETCHES &&
			f->org->fetches_run < KT_MAX_FETCHES_ORG && (!next || goes_before(f, next)))
			next = f;
	}
	return next;
}

static void fetch_run_next(struct kt_control *ctl)
{
	struct kt_fetch *f;

	while (!ctl->closing && (f = fetch_next(ctl))) {
		if (f->state == KT_FETCH_HERE) {
			fetch_publish(f);
			continue;
		}
		f->state = KT_FETCH_RUNS;
		ctl->fetches_run++;
		f->org->fetches_run++;
		f->org->fetch_turn = ++ctl->fetch_turns;
		fetch_ask(f);
	}
}

void kt_fetch_start(struct kt_fetch *f)
{
	char id[KT_ID_MAX];
	KT_AUTOFREE char *path = NULL;
	KT_AUTOFREE char *text = kt_asprintf("GitHub: fetching %s", f->meta.commit_sha);

	kt_rand_id("fetch_", id);
	path = kt_data_tmp(f->ctl->data_dir, id);
	f->path = kt_arena_strdup(f->arena, path);
	f->fd = -1;
	f->org = kt_map_get(&f->ctl->orgs, f->who.org_id);
	kt_assert(f->org);
	f->state = KT_FETCH_WAITS;
	f->org->fetches++;
	kt_vec_push(&f->ctl->fetches, f);
	fetch_say(f, "info", text);
	fetch_run_next(f->ctl);
}

bool kt_fetches_full(const struct kt_control *ctl, const char *org_id)
{
	const struct kt_org_mem *org = kt_map_get(&ctl->orgs, org_id);

	return ctl->fetches.len >= KT_MAX_FETCHES_QUEUED ||
		(org && org->fetches >= KT_MAX_FETCHES_QUEUED_ORG);
}

static void fetch_give_up(struct kt_fetch *f, enum kt_code rc, const char *why)
{
	if (f->state == KT_FETCH_RUNS) {
		kt_http_fetch_cancel(f->http);
		fetch_settle(f);
	}
	if (f->state == KT_FETCH_WAITS || f->state == KT_FETCH_HERE)
		fetch_failed(f, rc, why);
}

bool kt_fetches_close(struct kt_control *ctl, const char *project_id, int64_t pr)
{
	struct kt_vec *all = &ctl->fetches;
	bool any = false;

	for (size_t i = all->len; i > 0; i--) {
		struct kt_fetch *f = all->items[i - 1];

		if (f->meta.pr != pr || strcmp(f->project_id, project_id) != 0 || f->closed ||
			f->state > KT_FETCH_PUBLISHES)
			continue;
		f->closed = any = true;
		fetch_give_up(f, KT_ECANCEL, "the pull request was closed");
	}
	return any;
}

void kt_fetches_stop(struct kt_control *ctl)
{
	/* Those that end at once leave the list; from its end that moves none still to come. */
	for (size_t i = ctl->fetches.len; i > 0; i--)
		fetch_give_up(
			ctl->fetches.items[i - 1], KT_EUNAVAIL, "the server is shutting down");
	kt_http_fetcher_free(KT_STEAL(ctl->fetcher));
}
