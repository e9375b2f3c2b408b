/* SPDX-License-Identifier: MIT */
/*
 * GitHub's webhooks. Nothing of a delivery is looked at before its signature was checked: its
 * HMAC-SHA256 is compared under the secret of every bound project, and only those that match are
 * considered at all. Then: a push to the production branch and a pull request are fetched and
 * published (fetch.c), a closed pull request ends its preview.
 *
 * Source: docs.github.com, "Webhook events and payloads", "Validating webhook deliveries".
 */
#include "control/github/github_private.h"

#include "base/str.h"
#include "base/time.h"
#include "net/url.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* Of a delivery to the address that names no project: these, and that much of hashing (0.2 s). */
#define MAX_SCANNED 256
#define MAX_HASH_BYTES ((size_t)64 * 1024 * 1024)
#define MAX_MATCHES 32
#define NO_COMMIT "0000000000000000000000000000000000000000"

/* A project whose secret signed the delivery. */
struct match {
	const char *org_id, *project_id, *slug, *repo_url, *production_ref;
	char *token;
	struct kt_heard_row heard; /* what the delivery tells */
	bool wanted; /* its repository is the one */
	enum kt_verdict verdict;
	const char **labels; /* previews to end; NULL-terminated */
	char building[64]; /* label of the one that may be on its way */
};

struct candidate {
	char org_id[KT_ID_MAX], id[KT_ID_MAX];
};

struct hook {
	const char *event, *signature;
	const char *body;
	size_t len;
	struct candidate *candidates;
	struct kt_project_row *rows; /* of those, as they were found */
	size_t n_candidates, n_rows;
	const char *turn; /* whose turn it has to be for a thread */
	cJSON *doc; /* what a signed one says, NULL when that is no JSON */
	char digest[KT_DIGEST_MAX]; /* of the body: X-GitHub-Delivery is not signed */
	struct match matches[MAX_MATCHES];
	size_t n;
	bool gave_up;
	/* From the body. */
	bool fetch, end_preview, end_branch;
	const char *target, *commit, *before; /* see kt_heard_row; before may be NULL */
	int64_t at_us;
	struct kt_publish_meta meta;
	const char *ignored; /* why nothing is done */
};

/* --- signature --------------------------------------------------------------------------- */

static enum kt_code add_match(
	struct kt_op *op, struct hook *h, const struct kt_project_row *p, struct kt_err *err)
{
	struct match *m = &h->matches[h->n];

	*m = (struct match){
		.org_id = p->org_id,
		.project_id = p->id,
		.slug = p->slug,
		.repo_url = p->repo_url,
		.production_ref = p->production_ref,
	};
	h->n++;
	return kt_project_unseal(
		op, p, "repo_token", p->repo_token, p->repo_token_len, &m->token, err);
}

/* On a reader's thread: the candidates' secrets, sealed. */
static enum kt_code hook_find_work(struct kt_tx *tx, struct kt_op *op, struct kt_err *err)
{
	struct hook *h = op->data;

	for (size_t i = 0; i < h->n_candidates; i++) {
		struct kt_project_row *row = &h->rows[h->n_rows];
		enum kt_code rc = kt_tx_project(
			tx, op->arena, h->candidates[i].org_id, h->candidates[i].id, row, err);

		if (rc != KT_OK && rc != KT_ENOTFOUND)
			return rc;
		if (rc == KT_OK && row->repo_url && row->webhook_secret_len > 0)
			h->n_rows++;
	}
	return KT_OK;
}

/* On a thread: whose secret has signed it, and what it says. */
static enum kt_code hook_check_work(struct kt_tx *tx, struct kt_op *op, struct kt_err *err)
{
	struct hook *h = op->data;
	size_t hashed = 0;
	enum kt_code rc = KT_OK;

	kt_sha256_of(h->body, h->len, h->digest);
	for (size_t i = 0; rc == KT_OK && i < h->n_rows && h->n < MAX_MATCHES; i++) {
		const struct kt_project_row *row = &h->rows[i];
		char mac[KT_DIGEST_MAX];
		char *secret = NULL;

		hashed += h->len + 128;
		if (hashed > MAX_HASH_BYTES) {
			h->gave_up = true;
			break;
		}
		/* One that cannot be opened does not stand in the way of the others. */
		if (kt_project_unseal(op, row, "webhook_secret", row->webhook_secret,
			    row->webhook_secret_len, &secret, NULL) != KT_OK)
			continue;
		kt_hmac_sha256_hex(secret, strlen(secret), h->body, h->len, mac);
		kt_secret_wipe(secret, strlen(secret));
		if (kt_secret_eq(mac, h->signature))
			rc = add_match(op, h, row, err);
	}
	/* What is wrong with it is said by hook_checked(). */
	if (rc == KT_OK && h->n > 0 &&
		kt_json_parse(h->body, h->len, KT_JSON_STRICT, &h->doc, NULL) != KT_OK)
		h->doc = NULL;
	return rc;
}

static bool no_room(const struct kt_op *op, const struct hook *h)
{
	for (size_t i = 0; i < h->n; i++)
		if (kt_fetches_full(op->ctl, h->matches[i].org_id))
			return true;
	return false;
}

static void hook_checked(struct kt_op *op, enum kt_code rc, const struct kt_err *err);

static void hook_found(struct kt_op *op, enum kt_code rc, const struct kt_err *err)
{
	struct hook *h = op->data;

	if (rc != KT_OK)
		kt_op_end(op, rc, err);
	else
		kt_op_step(op,
			KT_STEP_POOL(.org_id = h->turn, .kind = KT_WORK_STRANGER, .bytes = h->len),
			hook_check_work, hook_checked);
}

static void add_candidate(struct hook *h, const struct kt_project_mem *p)
{
	struct candidate *c = &h->candidates[h->n_candidates++];

	(void)kt_str_copy(c->org_id, sizeof(c->org_id), p->org->id);
	(void)kt_str_copy(c->id, sizeof(c->id), p->id);
}

/*
 * The projects that may have been meant: the one that the address names, or every bound one, up to
 * a number. *turn: who waits for whom.
 */
static void find_candidates(struct kt_op *op, struct hook *h, const char *project)
{
	const struct kt_project_mem *p = project ? kt_map_get(&op->ctl->projects, project) : NULL;
	size_t pos = 0, most = project ? 1 : MAX_SCANNED;
	const char *key;
	void *value;

	h->candidates = kt_arena_alloc(op->arena, most * sizeof(*h->candidates));
	h->rows = kt_arena_alloc(op->arena, most * sizeof(*h->rows));
	h->turn = project ? kt_arena_printf(op->arena, "hook/%.50s", project) : "hooks";
	if (p && p->repo_url && p->has_webhook_secret)
		add_candidate(h, p);
	while (!project && kt_map_next(&op->ctl->projects, &pos, &key, &value)) {
		p = value;
		if (!p->repo_url || !p->has_webhook_secret)
			continue;
		if (h->n_candidates == most) {
			h->gave_up = true;
			break;
		}
		add_candidate(h, p);
	}
}

/* --- what the body says ------------------------------------------------------------------ */

/* "github.com/acme/bot" of "https://GitHub.com/acme/bot.git/"; NULL when it is no address. In
 * arena. */
static const char *plain_repo(struct kt_arena *arena, const char *url)
{
	struct kt_url u;
	size_t len;
	char *out;

	if (!url || kt_url_parse(url, &u, NULL) != KT_OK)
		return NULL;
	len = strcspn(u.path, "?#");
	while (len > 0 && u.path[len - 1] == '/')
		len--;
	if (len > 4 && strncmp(u.path + len - 4, ".git", 4) == 0)
		len -= 4;
	out = kt_arena_printf(arena, "%s:%d%.*s", u.host, u.port, (int)len, u.path);
	for (char *c = out; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	kt_url_release(&u);
	return out;
}

/* "acme/bot" of a repository's address, NULL when it is something else. In arena. */
static const char *full_name(struct kt_arena *arena, const char *repo_url)
{
	const char *plain = plain_repo(arena, repo_url);
	const char *name = plain ? strchr(plain, '/') : NULL;
	const char *slash = name ? strchr(name + 1, '/') : NULL;

	if (!slash || strchr(slash + 1, '/') || slash == name + 1 || !slash[1] ||
		strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_./") != strlen(name) ||
		strstr(name, "/."))
		return NULL;
	return name + 1;
}

static bool same_repo(struct kt_op *op, const cJSON *repo, const char *repo_url)
{
	const char *bound = plain_repo(op->arena, repo_url);
	const char *clone = plain_repo(op->arena, kt_json_str(repo, "clone_url"));
	const char *html = plain_repo(op->arena, kt_json_str(repo, "html_url"));
	const char *name = kt_json_str(repo, "full_name");
	const char *bound_name = full_name(op->arena, repo_url);

	if (bound && ((clone && strcmp(clone, bound) == 0) || (html && strcmp(html, bound) == 0)))
		return true;
	return bound_name && name && kt_str_ieq(bound_name, name);
}

static bool sha_ok(const char *s)
{
	size_t len = s ? strlen(s) : 0;

	return (len == 40 || len == 64) && strspn(s, "0123456789abcdef") == len &&
		strspn(s, "0") != len;
}

static char *first_line(struct kt_arena *arena, const char *s)
{
	char line[201];

	if (!s)
		return NULL;
	(void)kt_str_copy(line, sizeof(line), s);
	line[strcspn(line, "\r\n")] = '\0';
	return kt_arena_strdup(arena, line);
}

/* Seconds since 1970, as a push has it, or a date. 0 = not told. */
static int64_t time_of(const cJSON *obj, const char *key)
{
	int64_t us = 0, s = kt_json_int(obj, key, 0);

	if (s > 0 && s < INT64_MAX / 1000000)
		return s * 1000000;
	return kt_time_parse(kt_json_str_or(obj, key, ""), &us) ? us : 0;
}

static void read_push(struct kt_op *op, struct hook *h, const cJSON *doc)
{
	const char *ref = kt_json_str(doc, "ref");
	const char *sha = kt_json_str(doc, "after");
	bool deleted = kt_json_bool(doc, "deleted", false);
	size_t production = 0;

	if (!ref || (!deleted && !sha_ok(sha))) {
		h->ignored = "nothing was pushed";
		return;
	}
	for (size_t i = 0; i < h->n; i++) {
		struct match *m = &h->matches[i];

		m->wanted = m->wanted && strcmp(m->production_ref, ref) == 0;
		production += m->wanted;
	}
	if (production == 0) {
		h->ignored = "not the production branch";
		return;
	}
	h->target = kt_arena_strdup(op->arena, ref);
	h->before = kt_arena_strdup(op->arena, kt_json_str_or(doc, "before", ""));
	h->at_us = time_of(kt_json_obj(doc, "repository"), "pushed_at");
	/* Nothing is to be done, but what was pushed before is old from now on. */
	if (deleted) {
		h->end_branch = true;
		h->commit = NO_COMMIT;
		return;
	}
	h->fetch = true;
	h->meta.commit_sha = kt_arena_strdup(op->arena, sha);
	h->commit = h->meta.commit_sha;
	h->meta.ref = h->target;
	h->meta.message = first_line(
		op->arena, kt_json_str(kt_json_obj(doc, "head_commit"), "message"));
}

static void read_pull_request(struct kt_op *op, struct hook *h, const cJSON *doc)
{
	const cJSON *pr = kt_json_obj(doc, "pull_request");
	const char *action = kt_json_str_or(doc, "action", "");
	const char *sha = kt_json_str(kt_json_obj(pr, "head"), "sha");
	const char *head = kt_json_str(kt_json_path(pr, "head.repo"), "full_name");
	const char *base = kt_json_str(kt_json_path(pr, "base.repo"), "full_name");
	int64_t number = kt_json_int(doc, "number", 0);

	if (number < 1 || number > INT32_MAX) {
		h->ignored = "no number";
		return;
	}
	h->meta.pr = number;
	h->target = kt_arena_printf(op->arena, "pull/%lld", (long long)number);
	h->before = kt_arena_strdup(op->arena, kt_json_str_or(doc, "before", ""));
	h->at_us = time_of(pr, "updated_at");
	h->commit = kt_arena_strdup(op->arena, sha_ok(sha) ? sha : NO_COMMIT);
	if (strcmp(action, "closed") == 0) {
		h->end_preview = true;
		return;
	}
	if (strcmp(action, "opened") != 0 && strcmp(action, "synchronize") != 0 &&
		strcmp(action, "reopened") != 0) {
		h->ignored = "nothing changed in the code";
		return;
	}
	if (kt_str_eq(kt_json_str(pr, "state"), "closed")) {
		h->ignored = "the pull request was closed";
		return;
	}
	if (!sha_ok(sha)) {
		h->ignored = "no commit";
		return;
	}
	h->fetch = true;
	h->meta.commit_sha = h->commit;
	h->meta.ref = kt_arena_printf(op->arena, "refs/pull/%lld/head", (long long)number);
	h->meta.message = first_line(op->arena, kt_json_str(pr, "title"));
	/* Also when the fork is gone by now: what is not surely our own gets no secrets. */
	h->meta.fork = !head || !base || !kt_str_ieq(head, base);
}

static void read_body(struct kt_op *op, struct hook *h, const cJSON *doc)
{
	const cJSON *repo = kt_json_obj(doc, "repository");
	bool push = strcmp(h->event, "push") == 0;
	size_t n = 0;

	if (!push && strcmp(h->event, "pull_request") != 0) {
		h->ignored = "not a push or pull request";
		return;
	}
	for (size_t i = 0; i < h->n; i++) {
		h->matches[i].wanted = same_repo(op, repo, h->matches[i].repo_url);
		n += h->matches[i].wanted;
	}
	if (n == 0) {
		h->ignored = "not the bound repository";
		return;
	}
	h->meta.source = "webhook";
	if (push)
		read_push(op, h, doc);
	else
		read_pull_request(op, h, doc);
}

/* --- doing it ---------------------------------------------------------------------------- */

static void webhook_principal(struct kt_control *ctl, const char *org_id, struct kt_principal *out)
{
	const struct kt_org_mem *org = kt_map_get(&ctl->orgs, org_id);

	memset(out, 0, sizeof(*out));
	(void)kt_str_copy(out->org_id, sizeof(out->org_id), org_id);
	(void)kt_str_copy(out->org_slug, sizeof(out->org_slug), org ? org->slug : "");
	(void)kt_str_copy(out->key_id, sizeof(out->key_id), "webhook");
	(void)kt_str_copy(out->key_name, sizeof(out->key_name), "github");
	out->scopes = KT_SCOPE_READ | KT_SCOPE_WRITE;
}

static enum kt_code begin_delivery(
	struct kt_tx *tx, struct kt_op *op, struct match *m, struct kt_err *err)
{
	const struct hook *h = op->data;
	enum kt_code rc;

	m->heard = (struct kt_heard_row){
		.org_id = m->org_id,
		.project_id = m->project_id,
		.target = h->target,
		.commit_sha = h->commit,
		.at_us = h->at_us,
		.closed = h->end_preview,
	};
	rc = kt_delivery_begin(tx, op->arena, h->digest, &m->heard, h->before, &m->verdict, err);
	/* Of what is not fetched this transaction is all. */
	if (rc == KT_OK && m->verdict == KT_DELIVERY_NEW && !h->fetch)
		rc = kt_delivery_end(tx, h->digest, &m->heard, true, err);
	return rc;
}

static enum kt_code end_previews(
	struct kt_tx *tx, struct kt_op *op, struct match *m, struct kt_err *err)
{
	enum kt_code rc = KT_OK;

	/* The previews are the project's, and so are the audit rows. */
	(void)kt_str_copy(op->who.org_id, sizeof(op->who.org_id), m->org_id);
	for (const char **l = m->labels; *l && rc == KT_OK; l++)
		rc = kt_preview_end(tx, op, m->project_id, *l, true, err);
	if (rc == KT_OK)
		rc = kt_preview_end(tx, op, m->project_id, m->building, true, err);
	/* Gone meanwhile. */
	return rc == KT_ENOTFOUND ? KT_OK : rc;
}

static enum kt_code act_work(struct kt_tx *tx, struct kt_op *op, struct kt_err *err)
{
	struct hook *h = op->data;
	enum kt_code rc = KT_OK;

	for (size_t i = 0; i < h->n && rc == KT_OK; i++) {
		struct match *m = &h->matches[i];

		if (!m->wanted)
			continue;
		rc = begin_delivery(tx, op, m, err);
		if (rc == KT_OK && h->end_preview && m->verdict == KT_DELIVERY_NEW)
			rc = end_previews(tx, op, m, err);
	}
	return rc;
}

/* {base}/repos/{owner}/{name}/tarball/{sha}; NULL when the bound address has no such form. */
static const char *tarball_url(
	struct kt_arena *arena, const struct kt_control *ctl, const char *repo_url, const char *sha)
{
	KT_AUTO_BUF struct kt_buf base = KT_BUF_INIT(2048);
	const char *name = full_name(arena, repo_url);
	struct kt_url u;

	if (!name || kt_url_parse(repo_url, &u, NULL) != KT_OK)
		return NULL;
	if (ctl->github_url) {
		kt_buf_adds(&base, ctl->github_url);
		while (base.len > 0 && base.ptr[base.len - 1] == '/')
			kt_buf_truncate(&base, base.len - 1);
	} else if (strcmp(u.host, "github.com") == 0) {
		kt_buf_adds(&base, "https://api.github.com");
	} else {
		kt_url_add_origin(&base, &u);
		kt_buf_adds(&base, "/api/v3");
	}
	kt_url_release(&u);
	return kt_arena_printf(arena, "%s/repos/%s/tarball/%s", base.ptr, name, sha);
}

bool kt_github_fetch(struct kt_op *op, const struct kt_fetch_from *from)
{
	const struct kt_publish_meta *meta = from->meta;
	struct kt_arena *arena = kt_arena_new();
	const char *url = tarball_url(arena, op->ctl, from->repo_url, meta->commit_sha);
	struct kt_fetch *f;

	if (!url) {
		kt_arena_free(arena);
		return false;
	}
	f = kt_calloc(1, sizeof(*f));
	f->ctl = op->ctl;
	f->arena = arena;
	if (from->who)
		f->who = *from->who;
	else
		webhook_principal(op->ctl, from->org_id, &f->who);
	(void)kt_str_copy(
		f->request_id, sizeof(f->request_id), op->by.request_id ? op->by.request_id : "");
	(void)kt_str_copy(
		f->remote_ip, sizeof(f->remote_ip), op->by.remote_ip ? op->by.remote_ip : "");
	f->base_url = kt_arena_strdup(arena, op->by.base_url);
	f->project_id = kt_arena_strdup(arena, from->project_id);
	f->url = url;
	f->token = kt_arena_strdup(arena, from->token);
	if (from->digest) {
		f->digest = kt_arena_strdup(arena, from->digest);
		f->heard = *from->heard;
		f->heard.org_id = kt_arena_strdup(arena, f->heard.org_id);
		f->heard.project_id = f->project_id;
		f->heard.target = kt_arena_strdup(arena, f->heard.target);
		f->heard.commit_sha = kt_arena_strdup(arena, f->heard.commit_sha);
	}
	f->meta = *meta;
	f->meta.commit_sha = kt_arena_strdup(arena, meta->commit_sha);
	f->meta.ref = kt_arena_strdup_opt(arena, meta->ref);
	f->meta.message = kt_arena_strdup_opt(arena, meta->message);
	f->meta.source = kt_arena_strdup(arena, meta->source);
	if (from->pre)
		kt_precond_copy(arena, &f->pre, from->pre);
	f->done = from->done;
	f->done_arg = from->done_arg;
	kt_fetch_start(f);
	return true;
}

static bool hook_start_fetch(struct kt_op *op, const struct hook *h, const struct match *m)
{
	const struct kt_fetch_from from = {
		.org_id = m->org_id,
		.project_id = m->project_id,
		.repo_url = m->repo_url,
		.token = m->token,
		.digest = h->digest,
		.heard = &m->heard,
		.meta = &h->meta,
	};

	return kt_github_fetch(op, &from);
}

static void hook_answer(
	struct kt_op *op, const struct hook *h, const struct match *accepted, const char *ignored)
{
	const struct kt_project_mem *p = accepted
		? kt_map_get(&op->ctl->projects, accepted->project_id)
		: NULL;
	struct kt_pinned pin;
	struct kt_jw w;

	kt_jw_init(&w, &op->json);
	kt_jw_obj(&w, NULL);
	if (accepted) {
		op->answer.status = 202;
		kt_jw_bool(&w, "accepted", true);
		kt_jw_str(&w, "project", accepted->slug);
		if (h->meta.commit_sha)
			kt_jw_str(&w, "commit_sha", h->meta.commit_sha);
		kt_pinned_of(h->fetch && !h->meta.pr ? p : NULL, op->arena, &pin);
		/* It is stored. GitHub's page of the delivery shows this answer. */
		if (pin.reason)
			kt_jw_str(&w, "held", kt_pinned_text(op->arena, &pin));
	} else {
		op->answer.status = 200;
		kt_jw_str(&w, "ignored", ignored);
	}
	kt_jw_obj_end(&w);
	kt_op_end(op, KT_OK, NULL);
}

static void wipe_tokens(struct hook *h)
{
	for (size_t i = 0; i < h->n; i++)
		kt_secret_wipe(h->matches[i].token, strlen(h->matches[i].token));
}

/* Who waits for it must be able to find out why it does not come. */
static void tell_ignored(struct kt_op *op, const struct hook *h, const struct match *m)
{
	KT_AUTOFREE char *text = kt_asprintf("GitHub: %.80s of %.100s was not deployed: %s",
		h->commit, h->target, kt_verdict_text(m->verdict));
	const struct kt_log_line line = {
		.project_id = m->project_id,
		.level = "warn",
		.source = "build",
		.request_id = op->by.request_id,
		.text = text,
	};

	if (m->verdict != KT_DELIVERY_SEEN && !h->end_preview && !h->end_branch)
		kt_control_log(op->ctl, &line);
}

static void act_done(struct kt_op *op, enum kt_code rc, const struct kt_err *err)
{
	struct hook *h = op->data;
	const struct match *accepted = NULL;
	const char *ignored = h->end_preview ? "there is no preview" : "nothing was pushed";

	for (size_t i = 0; rc == KT_OK && i < h->n; i++) {
		const struct match *m = &h->matches[i];
		struct kt_project_mem *p = kt_map_get(&op->ctl->projects, m->project_id);

		if (!m->wanted || !p)
			continue;
		if (m->verdict != KT_DELIVERY_NEW) {
			ignored = kt_verdict_text(m->verdict);
			tell_ignored(op, h, m);
			continue;
		}
		if (h->end_branch)
			continue;
		if (h->end_preview) {
			bool fetching = kt_fetches_close(op->ctl, m->project_id, h->meta.pr);

			bool building = kt_preview_building(p, m->building);

			for (const char **l = m->labels; *l; l++)
				kt_index_preview_drop(op->ctl, p, *l);
			kt_index_preview_drop(op->ctl, p, m->building);
			if (m->labels[0] || fetching || building)
				accepted = m;
		} else if (hook_start_fetch(op, h, m)) {
			accepted = m;
		} else {
			ignored = "the bound repository is not owner/name of a GitHub server";
		}
	}
	wipe_tokens(h);
	if (rc != KT_OK)
		kt_op_end(op, rc, err);
	else
		hook_answer(op, h, accepted, ignored);
}

static void take_labels(struct kt_op *op, struct hook *h)
{
	for (size_t i = 0; i < h->n; i++) {
		struct match *m = &h->matches[i];
		struct kt_project_mem *p = kt_map_get(&op->ctl->projects, m->project_id);
		size_t n = 0;

		m->labels = kt_arena_alloc(
			op->arena, ((p ? p->previews.len : 0) + 1) * sizeof(*m->labels));
		for (size_t k = 0; p && k < p->previews.len; k++) {
			const struct kt_release_mem *r = p->previews.items[k];

			if (r->pr == h->meta.pr)
				m->labels[n++] = kt_arena_strdup(op->arena, r->label);
		}
		if (p)
			kt_preview_coming(p, NULL, h->meta.pr, m->building);
	}
}

static void hook_checked(struct kt_op *op, enum kt_code rc, const struct kt_err *err)
{
	struct hook *h = op->data;
	KT_AUTO_JSON cJSON *doc = KT_STEAL(h->doc);

	if (rc != KT_OK) {
		kt_op_end(op, rc, err);
		return;
	}
	if (h->n == 0) {
		if (h->gave_up)
			kt_op_fail(op, KT_EUNAVAIL, 503, "unavailable", NULL,
				"too many projects are bound to try each of them (fixed): use the "
				"address that names the project, as `karta projects bind` says");
		else
			kt_op_fail(op, KT_EAUTH, 401, "bad_signature", NULL,
				"the signature is no bound project's");
		return;
	}
	if (!cJSON_IsObject(doc)) {
		wipe_tokens(h);
		kt_op_fail(op, KT_EINVAL, 400, "bad_json", NULL,
			"the delivery is no JSON object (set its content type to "
			"application/json)");
		return;
	}
	read_body(op, h, doc);
	if (h->ignored) {
		wipe_tokens(h);
		hook_answer(op, h, NULL, h->ignored);
		return;
	}
	if (h->fetch && no_room(op, h)) {
		wipe_tokens(h);
		kt_op_fail(op, KT_EUNAVAIL, 503, "too_many_builds", NULL,
			"too many deliveries of this organization or server wait already (fixed)");
		return;
	}
	if (h->end_preview)
		take_labels(op, h);
	kt_op_step(op, KT_STEP_WRITE, act_work, act_done);
}

void kt_control_github(struct kt_control *ctl, const struct kt_actor *a,
	const struct kt_github_delivery *d, kt_result_fn fn, void *arg)
{
	struct kt_op *op = kt_op_new(ctl, a, NULL, fn, arg);
	struct hook *h = kt_arena_alloc(op->arena, sizeof(*h));

	op->data = h;
	if (ctl->draining) {
		kt_op_fail(
			op, KT_EUNAVAIL, 503, "shutting_down", NULL, "the server is shutting down");
		return;
	}
	if (!d->signature || !kt_str_starts(d->signature, "sha256=") ||
		strlen(d->signature) != 7 + 64 || !d->event) {
		kt_op_fail(op, KT_EAUTH, 401, "bad_signature", NULL, "the delivery is not signed");
		return;
	}
	webhook_principal(ctl, "", &op->who);
	h->event = kt_arena_strdup(op->arena, d->event);
	h->signature = kt_arena_strdup(op->arena, d->signature + 7);
	h->body = kt_arena_strndup(op->arena, d->body, d->len);
	h->len = d->len;
	find_candidates(op, h, d->project);
	kt_op_step(op, KT_STEP_READ, hook_find_work, hook_found);
}
