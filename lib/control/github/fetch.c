/* SPDX-License-Identifier: MIT */
/*
 * Fetching the tarball of a commit from the bound repository, and publishing it. The download runs
 * on the thread pool into a file of tmp/; everything else is on the loop. Redirects are followed
 * here, at most three, because the token must not go to another host.
 *
 *	waits -> runs -> here -> publishes -> ends
 *
 * Few run at once, and fewer of one organization, so that its slow servers delay nobody else: the
 * next is of whoever has the fewest running, and of these of whoever began one longest ago. What
 *was fetched is published in the order of the deliveries: the archive of an older push that comes
 *late must not replace that of a newer one.
 */
#include "control/github/github_private.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "net/curl.h"
#include "net/url.h"
#include "store/datadir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MAX_REDIRECTS 3
#define FETCH_MS (5 * 60000)

/* --- download (on a worker's thread) ----------------------------------------------------- */

struct download {
	struct kt_fetch *f;
	int fd;
	int64_t bytes;
	int64_t last_us; /* when something came */
	bool too_large, stalled;
	struct kt_err err;
};

static bool on_fetch_data(void *arg, const char *data, size_t len)
{
	struct download *d = arg;

	d->last_us = kt_mono_us();
	d->bytes += (int64_t)len;
	d->too_large = d->bytes > d->f->max_bytes;
	return !d->too_large && kt_fs_write_all(d->fd, data, len, &d->err) == KT_OK;
}

static bool on_fetch_poll(void *arg)
{
	struct download *d = arg;

	d->stalled = kt_mono_us() - d->last_us > (int64_t)KT_FETCH_STALL_MS * 1000;
	return !d->stalled && !__atomic_load_n(&d->f->stop, __ATOMIC_ACQUIRE);
}

/* Where a redirect leads: absolute, or below the origin of the URL that was asked. *out is the
 * caller's. */
static enum kt_code fetch_resolve(
	const struct kt_url *from, const char *location, char **out, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(4096);

	if (location[0] == '/' && location[1] != '/')
		kt_url_add_origin(&b, from);
	else if (!kt_str_starts(location, "https://") && !kt_str_starts(location, "http://"))
		return kt_fail(err, KT_EPROTO, 0, "%s redirects to no usable address", from->host);
	kt_buf_adds(&b, location);
	*out = kt_buf_take(&b);
	return KT_OK;
}

/* https, or this machine: of a redirect only when it came from there. */
static bool may_ask(const struct kt_url *to, const struct kt_url *from)
{
	if (to->loopback)
		return !from || from->loopback;
	return to->https;
}

static enum kt_code fetch_ask(struct download *d, const char *url, bool with_token,
	struct kt_http_reply *reply, struct kt_err *err)
{
	KT_AUTOFREE char *bearer = kt_asprintf("Authorization: Bearer %s", d->f->token);
	const char *headers[] = { "Accept: application/vnd.github+json",
		"User-Agent: karta/" KT_VERSION, "X-GitHub-Api-Version: 2022-11-28", NULL, NULL };
	struct kt_http_call call = {
		.method = "GET",
		.url = url,
		.headers = headers,
		.connect_ms = 10000,
		.total_ms = FETCH_MS,
		.max_body_bytes = 65536,
		.on_data = on_fetch_data,
		.on_poll = on_fetch_poll,
		.arg = d,
	};
	enum kt_code rc;

	if (with_token && d->f->token[0])
		headers[3] = bearer;
	d->last_us = kt_mono_us();
	rc = kt_http_do_for_client(&call, d->f->ctl->reach, reply, err);
	kt_secret_wipe(bearer, strlen(bearer));
	if (d->too_large)
		return kt_fail(err, KT_ELIMIT, 0,
			"the archive is larger than %lld bytes (the server's max_archive_bytes)",
			(long long)d->f->max_bytes);
	if (d->stalled)
		return kt_fail(err, KT_ETIMEOUT, 0, "nothing came for %d seconds",
			KT_FETCH_STALL_MS / 1000);
	if (d->err.code != KT_OK) {
		if (err)
			*err = d->err;
		return d->err.code;
	}
	return rc;
}

/* One request; *next is the caller's: where a redirect leads, NULL when the file is there. */
static enum kt_code fetch_step(struct download *d, const char *url, const struct kt_url *first,
	const struct kt_url *from, char **next, struct kt_err *err)
{
	struct kt_http_reply reply = { .body = KT_BUF_INIT(0) };
	struct kt_url u;
	enum kt_code rc = kt_url_parse(url, &u, err);

	if (rc != KT_OK)
		return rc;
	if (!may_ask(&u, from)) {
		kt_url_release(&u);
		return kt_fail(err, KT_EDENIED, 0, "the archive may be fetched by https only");
	}
	rc = fetch_ask(d, url, !first || kt_url_same_origin(&u, first), &reply, err);
	if (rc == KT_OK && reply.status / 100 == 3 && reply.location[0])
		rc = fetch_resolve(&u, reply.location, next, err);
	else if (rc == KT_OK && reply.status != 200)
		rc = kt_fail(err, reply.status == 404 ? KT_ENOTFOUND : KT_EPROTO, 0,
			"%s answered %d%s", u.host, reply.status,
			reply.status == 404 || reply.status == 401 ? ": is a token needed?" : "");
	kt_http_reply_release(&reply);
	kt_url_release(&u);
	return rc;
}

static enum kt_code fetch_to(struct download *d, struct kt_err *err)
{
	KT_AUTOFREE char *url = kt_strdup(d->f->url);
	struct kt_url first, from;
	enum kt_code rc = kt_url_parse(url, &first, err);

	if (rc != KT_OK)
		return rc;
	for (int i = 0;; i++) {
		char *next = NULL;

		if (i > 0)
			rc = kt_url_parse(d->f->last_url, &from, err);
		if (rc == KT_OK) {
			rc = fetch_step(
				d, url, i > 0 ? &first : NULL, i > 0 ? &from : NULL, &next, err);
			if (i > 0)
				kt_url_release(&from);
		}
		if (rc != KT_OK || !next)
			break;
		free(d->f->last_url);
		d->f->last_url = url;
		url = next;
		if (i == MAX_REDIRECTS) {
			rc = kt_fail(err, KT_EPROTO, 0, "%s redirects too often", first.host);
			break;
		}
	}
	kt_url_release(&first);
	return rc;
}

static enum kt_code fetch_work(void *arg, struct kt_err *err)
{
	struct kt_fetch *f = arg;
	struct download d = { .f = f, .err = KT_ERR_INIT };
	enum kt_code rc;

	d.fd = open(f->path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (d.fd < 0)
		return kt_fail(err, KT_EIO, errno, "cannot make '%s'", f->path);
	rc = fetch_to(&d, err);
	if (close(d.fd) != 0 && rc == KT_OK)
		rc = kt_fail(err, KT_EIO, errno, "cannot write '%s'", f->path);
	return rc;
}

/* --- on the loop ------------------------------------------------------------------------- */

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
	if (f->path)
		(void)unlink(f->path);
	if (f->token)
		kt_secret_wipe(f->token, strlen(f->token));
	free(f->last_url);
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

static void fetch_done(void *arg, enum kt_code rc, const struct kt_err *err)
{
	struct kt_fetch *f = arg;
	struct kt_control *ctl = f->ctl;

	f->state = KT_FETCH_HERE;
	ctl->fetches_run--;
	f->org->fetches_run--;
	if (f->closed)
		fetch_failed(f, KT_ECANCEL, "the pull request was closed");
	else if (ctl->closing || rc == KT_ECANCEL)
		fetch_failed(f, KT_EUNAVAIL, "the server is shutting down");
	else if (rc != KT_OK)
		fetch_failed(f, rc, err->msg);
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
		kt_task_run(ctl, &(struct kt_task_for){ f->org->id, KT_WORK_WAIT, 0, true },
			fetch_work, fetch_done, f);
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
	f->max_bytes = f->ctl->limits.max_archive_bytes;
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

/* Of one that runs the worker has to see it first. */
static void fetch_give_up(struct kt_fetch *f, enum kt_code rc, const char *why)
{
	if (f->state == KT_FETCH_RUNS)
		__atomic_store_n(&f->stop, true, __ATOMIC_RELEASE);
	else if (f->state == KT_FETCH_WAITS || f->state == KT_FETCH_HERE)
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
}
