/* SPDX-License-Identifier: MIT */
/*
 * Publishing (docs/api.md "Publish"). What the other side has is asked for once: when the manifest
 * of the live release is known here, its difference and the new files go out in one request;
 * otherwise the manifest goes first, and the answer names the files that are missing.
 *
 *   send --409 files_missing--> send with these --...--> accepted, build log --> release
 *     |\--409 base_unknown----> send the whole manifest                    |
 *     \---connection lost-----> send again                                  \--lost--> its log
 *
 * A request that was taken whole is repeated with its key, so the server gives what it has made of
 * it; after one that was cut the manifest is sent alone, and only what has not arrived is sent.
 */
#include "client/client_private.h"

#include "base/limits.h"
#include "base/rand.h"
#include "base/str.h"
#include "base/time.h"
#include "git/git.h"
#include "net/url.h"

#include <string.h>

#define HOPE_MAX_BYTES ((int64_t)8 * 1024 * 1024) /* sent without being asked for */
#define SEND_MAX_BYTES ((int64_t)96 * 1024 * 1024) /* of files in one bundle */
#define TRIES 12 /* lost connections in a row: 15 s, a restart takes less */
#define NO_PROGRESS 3 /* answers that name as many missing files as before */
#define PATIENCE_US ((int64_t)180 * 1000000) /* an upload is unpacked before the answer begins */
#define GIVE_UP_MS 60000 /* a build whose log cannot be reached */
#define ASK_MS 500
#define REPLACED_MAX 20 /* releases that take one another's place */

#define VERSION_MAX 24
#define BEFORE_MAX_BYTES ((size_t)64 * 1024)

enum outcome { DONE, MISSING, BASE_UNKNOWN, LOST, FAILED };
enum how { BY_DIGEST, BY_DELTA, WHOLE };

struct publish {
	struct kt_client *c;
	const struct kt_client_publish *p;
	const struct kt_manifest *m;
	struct kt_manifest *base; /* of the live release, or NULL */
	char *live; /* its digest, or "" */
	const struct kt_file **by_digest; /* of m, sorted, each digest once */
	size_t n_digests;
	const char **want; /* digests to send */
	size_t n_want;
	int64_t want_bytes;
	char *patches; /* what they are told by instead, or NULL */
	char *path; /* of the releases */
	char key[KT_ID_MAX];
	struct kt_http_sent sent;
	int64_t total; /* bytes of the body, 0 = not known */
	bool sending;
	/* What the build log said. */
	uint64_t cursor;
	bool taken; /* the server has accepted it */
	bool over;
	char id[KT_CLIENT_ID_MAX]; /* of the release, or "" */
	char version[VERSION_MAX]; /* when the log came as lines */
	uint64_t line; /* of the log, of this connection */
	struct kt_buf before; /* lines that belong to the next one */
	cJSON *release;
};

/* --- digests ----------------------------------------------------------------------------- */

static int compare_files(const void *a, const void *b)
{
	const struct kt_file *const *x = a, *const *y = b;

	return strcmp((*x)->digest, (*y)->digest);
}

static int compare_key(const void *key, const void *item)
{
	const struct kt_file *const *f = item;

	return strcmp(key, (*f)->digest);
}

/* The files of m by digest, each digest once; new memory. */
static const struct kt_file **index_files(const struct kt_manifest *m, size_t *out_n)
{
	const struct kt_file **list = kt_calloc(m->n_files + 1, sizeof(*list));
	size_t n = 0;

	for (size_t i = 0; i < m->n_files; i++)
		list[i] = &m->files[i];
	qsort(list, m->n_files, sizeof(*list), compare_files);
	for (size_t i = 0; i < m->n_files; i++) {
		if (!n || strcmp(list[n - 1]->digest, list[i]->digest) != 0)
			list[n++] = list[i];
	}
	*out_n = n;
	return list;
}

static const struct kt_file *find_wanted_file(
	const struct kt_file *const *list, size_t n, const char *digest)
{
	const struct kt_file *const *f = bsearch(digest, list, n, sizeof(*list), compare_key);

	return f ? *f : NULL;
}

static void want_none(struct publish *pb)
{
	pb->n_want = 0;
	pb->want_bytes = 0;
}

/* Ask for one more file in the next bundle; false when it is full. */
static bool want_file(struct publish *pb, const struct kt_file *f)
{
	if (pb->n_want && pb->want_bytes + f->size > SEND_MAX_BYTES)
		return false;
	pb->want[pb->n_want++] = f->digest;
	pb->want_bytes += f->size;
	return true;
}

/* What the live release has not, when that is little enough to send it unasked. */
static void want_new(struct publish *pb)
{
	size_t n_old;
	KT_AUTOFREE const struct kt_file **old = index_files(pb->base, &n_old);
	int64_t bytes = 0;

	for (size_t i = 0; i < pb->n_digests; i++) {
		if (!find_wanted_file(old, n_old, pb->by_digest[i]->digest))
			bytes += pb->by_digest[i]->size;
	}
	if (bytes > HOPE_MAX_BYTES)
		return;
	for (size_t i = 0; i < pb->n_digests; i++) {
		if (!find_wanted_file(old, n_old, pb->by_digest[i]->digest))
			(void)want_file(pb, pb->by_digest[i]);
	}
}

/* Small changes need no bundle. A server that knows none names what it lacks. */
static void make_patches(struct publish *pb)
{
	const struct client_patches of = { .tree = pb->p->tree,
		.m = pb->m,
		.base = pb->base,
		.commit = pb->p->live_commit,
		.digests = pb->want,
		.n_digests = pb->n_want };

	pb->patches = kt_client_patches(&of);
	if (pb->patches)
		want_none(pb);
}

/* What the server has named. */
static enum kt_code want_missing(struct publish *pb, struct kt_err *err)
{
	const cJSON *item, *list = kt_json_arr(kt_client_problem(pb->c), "missing");

	want_none(pb);
	cJSON_ArrayForEach (item, list) {
		const struct kt_file *f = cJSON_IsString(item)
			? find_wanted_file(pb->by_digest, pb->n_digests, item->valuestring)
			: NULL;

		if (!f)
			return kt_fail(err, KT_EPROTO, 0,
				"the server asks for a file that is not in the release");
		if (pb->n_want == pb->n_digests || !want_file(pb, f))
			break;
	}
	if (!pb->n_want)
		return kt_fail(err, KT_EPROTO, 0, "the server lacks files and names none");
	return KT_OK;
}

/* --- the document ------------------------------------------------------------------------ */

static void add_text(struct kt_jw *w, const char *key, const char *s)
{
	if (s && *s)
		kt_jw_str(w, key, s);
}

static void add_env(struct kt_jw *w, const char *const *env)
{
	if (!env || !*env)
		return;
	kt_jw_obj(w, "env");
	for (; *env; env++) {
		const char *eq = strchr(*env, '=');
		KT_AUTOFREE char *name = NULL;

		if (!eq)
			continue;
		name = kt_strndup(*env, (size_t)(eq - *env));
		kt_jw_str(w, name, eq + 1);
	}
	kt_jw_obj_end(w);
}

static void add_tree(struct kt_jw *w, const struct publish *pb, enum how how)
{
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(2 * (size_t)KT_MAX_MANIFEST_BYTES);

	if (how == WHOLE) {
		kt_manifest_render(pb->m, &text);
		kt_jw_strn(w, "manifest", text.ptr, text.len);
	} else if (how == BY_DELTA) {
		kt_manifest_delta(pb->base, pb->m, &text);
		kt_jw_str(w, "base", pb->live);
		kt_jw_strn(w, "delta", text.ptr, text.len);
		if (pb->patches)
			kt_jw_raw(w, "files", pb->patches, strlen(pb->patches));
	}
	kt_jw_str(w, "digest", pb->m->digest);
}

/* The publish document; new memory. Members that have their default are left out. */
static char *publish_document(const struct publish *pb, enum how how)
{
	const struct kt_client_publish *p = pb->p;
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(3 * (size_t)KT_MAX_MANIFEST_BYTES);
	struct kt_jw w;

	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	add_tree(&w, pb, how);
	add_text(&w, "commit_sha", p->commit_sha);
	add_text(&w, "ref", p->ref);
	add_text(&w, "message", p->message);
	add_text(&w, "source", p->source);
	add_env(&w, p->env);
	if (p->pr)
		kt_jw_int(&w, "pr", p->pr);
	if (p->fork)
		kt_jw_bool(&w, "fork", true);
	if (p->preview)
		kt_jw_bool(&w, "preview", true);
	if (p->no_activate)
		kt_jw_bool(&w, "activate", false);
	if (p->unpin)
		kt_jw_bool(&w, "unpin", true);
	if (p->force)
		kt_jw_bool(&w, "force", true);
	if (p->expected)
		kt_jw_str(&w, "expected_commit", p->expected);
	kt_jw_obj_end(&w);
	return kt_buf_take(&b);
}

/* --- the build's log --------------------------------------------------------------------- */

static void copy_member(cJSON *to, const cJSON *from, const char *key)
{
	const cJSON *v = kt_json_get(from, key);

	if (!v || cJSON_IsNull(v))
		return;
	cJSON_DeleteItemFromObjectCaseSensitive(to, key);
	(void)cJSON_AddItemToObject(to, key, cJSON_Duplicate(v, true));
}

/* The release object of an answer, with what stands beside it. */
static void take_release(struct publish *pb, const cJSON *data)
{
	static const char *const beside[] = { "error", "activated", "pinned", "replaced_by",
		"took_ms" };
	const cJSON *inner = kt_json_obj(data, "release");

	if (!inner)
		inner = kt_json_obj(data, "deploy");
	cJSON_Delete(pb->release);
	pb->release = cJSON_Duplicate(inner ? inner : data, true);
	for (size_t i = 0; inner && i < KT_ARRAY_LEN(beside); i++)
		copy_member(pb->release, data, beside[i]);
	(void)kt_str_copy(pb->id, sizeof(pb->id), kt_json_str_or(pb->release, "id", ""));
	pb->taken = true;
}

static bool on_publish_event(void *arg, const struct kt_client_event *ev)
{
	static const char *const names[] = { "release_id", "release" };
	struct publish *pb = arg;
	const cJSON *data = ev->data ? ev->data : ev->doc;

	pb->taken = true;
	for (size_t i = 0; i < KT_ARRAY_LEN(names) && !pb->id[0]; i++) {
		const char *id = kt_json_str(ev->doc, names[i]);

		(void)kt_str_copy(
			pb->id, sizeof(pb->id), id ? id : kt_json_str_or(data, names[i], ""));
	}
	if (kt_str_eq(ev->type, "log")) {
		const char *text = kt_json_str(data, "text");

		if (text && pb->p->log)
			pb->p->log(pb->p->arg, kt_json_str_or(data, "level", "info"), text);
		return true;
	}
	if (!kt_str_eq(ev->type, "release"))
		return true;
	take_release(pb, data);
	pb->over = true;
	return false;
}

/* The last line: what became of the release. */
static bool take_outcome(struct publish *pb, const char *text)
{
	KT_AUTO_JSON cJSON *doc = NULL;

	/* When it is none the release itself is asked for. */
	if (kt_json_parse(text, strlen(text), KT_JSON_LENIENT, &doc, NULL) != KT_OK ||
		!cJSON_IsObject(doc))
		return true;
	(void)cJSON_AddStringToObject(doc, "id", pb->id);
	(void)cJSON_AddStringToObject(doc, "version", pb->version);
	take_release(pb, doc);
	pb->over = true;
	return false;
}

/*
 * The log as lines: "VERSION RELEASE", then "LEVEL TEXT" for each of its events, the lines before
 * the last of a longer text behind tabs, and the outcome as a JSON object.
 */
static bool on_publish_line(void *arg, const char *text)
{
	struct publish *pb = arg;
	const char *space = strchr(text, ' ');
	KT_AUTOFREE char *word = space ? kt_strndup(text, (size_t)(space - text)) : NULL;

	if (*text == '{')
		return take_outcome(pb, text);
	if (*text == '\t') {
		kt_buf_addf(&pb->before, "%s\n", text + 1);
		return true;
	}
	if (!word)
		return true;
	pb->taken = true;
	if (!pb->line++) {
		(void)kt_str_copy(pb->version, sizeof(pb->version), word);
		(void)kt_str_copy(pb->id, sizeof(pb->id), space + 1);
		return true;
	}
	/* The first is no event. What came with an earlier connection was told. */
	if (pb->line - 1 > pb->cursor) {
		pb->cursor = pb->line - 1;
		kt_buf_adds(&pb->before, space + 1);
		if (pb->p->log && kt_buf_ok(&pb->before))
			pb->p->log(pb->p->arg, word, pb->before.ptr);
	}
	kt_buf_clear(&pb->before);
	return true;
}

static bool on_publish_poll(void *arg)
{
	struct publish *pb = arg;

	if (pb->sending && pb->p->progress)
		pb->p->progress(pb->p->arg,
			pb->total ? KT_MIN(pb->sent.bytes, pb->total) : pb->sent.bytes, pb->total);
	return !pb->p->poll || pb->p->poll(pb->p->arg);
}

static bool is_building(const cJSON *release)
{
	const char *state = kt_json_str_or(release, "state", "");

	return kt_str_eq(state, "queued") || kt_str_eq(state, "building");
}

/* The log is no longer there: ask for the release itself until it is built. */
static enum kt_code ask_until_built(struct publish *pb, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf path = KT_BUF_INIT(KT_MAX_HTTP_TARGET_BYTES);

	kt_buf_addf(&path, "%s/", pb->path);
	kt_url_add_segment(&path, pb->id);
	for (;;) {
		KT_AUTO_JSON cJSON *doc = NULL;
		enum kt_code rc = kt_client_call(pb->c, "GET", path.ptr, NULL, &doc, err);

		if (rc != KT_OK)
			return rc;
		if (!is_building(doc)) {
			take_release(pb, doc);
			pb->over = true;
			return KT_OK;
		}
		if (!kt_client_pause(ASK_MS, on_publish_poll, pb, 0))
			return kt_fail(err, KT_ECANCEL, 0, "interrupted");
	}
}

/* Follow the log of a build that the server has taken. */
static enum kt_code follow_build(struct publish *pb, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf path = KT_BUF_INIT(KT_MAX_HTTP_TARGET_BYTES);
	struct kt_client_tail t = { .cursor = pb->cursor,
		.from_start_given = true,
		.give_up_ms = GIVE_UP_MS,
		.event = on_publish_event,
		.poll = on_publish_poll,
		.arg = pb };
	enum kt_code rc;

	kt_buf_addf(&path, "%s/", pb->path);
	kt_url_add_segment(&path, pb->id);
	kt_buf_adds(&path, "/log");
	t.path = path.ptr;
	rc = kt_client_tail(pb->c, &t, err);
	if (!pb->over && (rc == KT_OK || rc == KT_ENOTFOUND))
		rc = ask_until_built(pb, err);
	return rc;
}

/* --- sending ----------------------------------------------------------------------------- */

/* What the answer of a request means that did not end in a release. */
static enum outcome judge_publish(struct publish *pb, const struct client_stream *st,
	enum kt_code *rc, const struct kt_http_reply *r, struct kt_err *err)
{
	const char *code;

	if (st->stopped) {
		*rc = kt_fail(err, KT_ECANCEL, 0, "interrupted");
		return FAILED;
	}
	if (st->broken != KT_OK) {
		*rc = st->broken;
		*err = st->err;
		return FAILED;
	}
	if (*rc != KT_OK && !st->dead) {
		bool again = *rc == KT_EUNAVAIL || *rc == KT_ETIMEOUT;

		return again && pb->c->seen ? LOST : FAILED;
	}
	if (*rc != KT_OK || (r->status >= 200 && r->status <= 299)) {
		*rc = kt_fail(err, KT_EUNAVAIL, 0, "the connection to %s was lost", pb->c->base);
		return LOST;
	}
	*rc = kt_client_take_problem(pb->c, r, err);
	code = kt_json_str_or(kt_client_problem(pb->c), "code", "");
	if (r->status == 409 && kt_str_eq(code, "files_missing"))
		return MISSING;
	if (r->status == 409 && kt_str_eq(code, "base_unknown"))
		return BASE_UNKNOWN;
	if (kt_json_obj(kt_client_problem(pb->c), "release"))
		take_release(pb, kt_client_problem(pb->c));
	return kt_client_may_retry(pb->c, *rc, r->status) ? LOST : FAILED;
}

/* An answer that is one document: what was asked for with Prefer, or a server without a log. */
static enum kt_code take_document(struct publish *pb, const struct kt_buf *text, struct kt_err *err)
{
	KT_AUTO_JSON cJSON *doc = NULL;
	enum kt_code rc = kt_json_parse(text->ptr, text->len, KT_JSON_LENIENT, &doc, NULL);

	if (rc != KT_OK || !cJSON_IsObject(doc))
		return kt_fail(err, KT_EPROTO, 0, "the server's answer is not JSON");
	take_release(pb, doc);
	pb->over = pb->p->no_wait || !is_building(pb->release);
	return KT_OK;
}

static enum outcome send_once(
	struct publish *pb, struct client_upload *u, enum kt_code *rc, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(CLIENT_BODY_BYTES);
	/* A server that knows no lines takes the second. */
	const char *form = pb->p->brief ? "text/plain, text/event-stream" : "text/event-stream";
	struct client_request rq = { .method = "POST",
		.path = pb->path,
		.key = pb->key,
		.accept = pb->p->no_wait ? NULL : form,
		.prefer = pb->p->no_wait ? "respond-async" : NULL,
		.sent = &pb->sent,
		.total_ms = -1 };
	struct client_stream st = { .cursor = &pb->cursor,
		.patience_us = PATIENCE_US,
		.event = on_publish_event,
		.poll = on_publish_poll,
		.json = &text,
		.line = pb->p->brief ? on_publish_line : NULL,
		.arg = pb };
	struct kt_http_reply r = { .status = 0 };
	struct kt_err packer = KT_ERR_INIT;
	enum outcome outcome = DONE;
	enum kt_code packed;

	kt_client_forget_problem(pb->c);
	kt_buf_init(&pb->before, BEFORE_MAX_BYTES);
	pb->line = 0;
	pb->sent = (struct kt_http_sent){ .bytes = 0 };
	*rc = kt_client_upload_begin(u, &rq, err);
	if (*rc != KT_OK)
		return FAILED;
	pb->total = (int64_t)rq.body_len;
	pb->sending = true;
	*rc = kt_client_stream_run(pb->c, &rq, &st, &r, err);
	pb->sending = false;
	packed = kt_client_upload_end(u, pb->sent.all, &packer);
	if (rq.body)
		pb->sent.all = true; /* libcurl repeats it by itself as long as it can */
	if (packed != KT_OK) {
		*rc = packed;
		*err = packer;
		outcome = FAILED;
	} else if (pb->over) {
		*rc = KT_OK;
	} else if (*rc == KT_OK && st.is_json && r.status / 100 == 2) {
		*rc = take_document(pb, &text, err);
		outcome = *rc == KT_OK ? DONE : FAILED;
	} else {
		outcome = judge_publish(pb, &st, rc, &r, err);
	}
	kt_http_reply_release(&r);
	kt_buf_release(&pb->before);
	return outcome;
}

static void new_key(struct publish *pb)
{
	kt_rand_id("pub_", pb->key);
}

/* Send until the server has taken it, and see its build to the end if this connection does. */
static enum kt_code send_publish(struct publish *pb, enum how how, struct kt_err *err)
{
	int64_t fewest = INT64_MAX;
	int lost = 0, stuck = 0;

	for (;;) {
		KT_AUTOFREE char *doc = publish_document(pb, how);
		struct client_upload u;
		enum outcome outcome;
		enum kt_code rc;

		kt_client_upload_init(&u);
		u.tree = pb->p->tree;
		u.doc = doc;
		u.digests = pb->want;
		u.n_digests = pb->n_want;
		u.n_bytes = pb->want_bytes;
		outcome = send_once(pb, &u, &rc, err);
		kt_client_upload_release(&u);

		if (outcome == DONE || outcome == FAILED)
			return rc;
		if (outcome == LOST) {
			if (pb->taken && pb->id[0])
				return KT_OK;
			if (++lost >= TRIES)
				return rc;
			if (!pb->sent.all && pb->n_want) {
				want_none(pb);
				new_key(pb);
			}
			if (!kt_client_pause(kt_client_backoff_ms(lost), on_publish_poll, pb, 0))
				return kt_fail(err, KT_ECANCEL, 0, "interrupted");
			continue;
		}
		lost = 0;
		new_key(pb);
		if (outcome == BASE_UNKNOWN) {
			if (how == WHOLE)
				return rc;
			how = WHOLE;
			continue;
		}
		int64_t missing = kt_json_int(kt_client_problem(pb->c), "missing_total", 0);

		stuck = missing < fewest ? 0 : stuck + 1;
		fewest = KT_MIN(fewest, missing);
		if (stuck >= NO_PROGRESS)
			return kt_fail(
				err, KT_EPROTO, 0, "the server does not keep what it is sent");
		free(pb->patches);
		pb->patches = NULL;
		rc = want_missing(pb, err);
		if (rc != KT_OK)
			return rc;
	}
}

/* --- the whole --------------------------------------------------------------------------- */

enum kt_code kt_client_publish_held(
	const struct kt_client_publish *p, const cJSON *refs, struct kt_err *err)
{
	const char *version = kt_json_str_or(kt_json_obj(refs, "live"), "version", "its release");
	const char *by = kt_json_str(refs, "pinned_by");
	char since[64] = "";
	int64_t us;

	if (!kt_json_bool(refs, "pinned", false) || p->no_activate || p->unpin || p->pr ||
		p->preview || (p->ref && !kt_str_eq(p->ref, kt_json_str(refs, "production_ref"))))
		return KT_OK;
	if (kt_time_parse(kt_json_str_or(refs, "pinned_at", ""), &us))
		kt_time_local(us, since, sizeof(since));
	return kt_fail(err, KT_ECONFLICT, 0, "held at %s%s%s%s%s (%s)", version,
		since[0] ? " since " : "", since, by ? " by " : "", by ? by : "",
		kt_json_str_or(refs, "pin_reason", "pinned"));
}

/* Learn the digest of the live release; "" when there is no project yet. */
static enum kt_code find_live(struct publish *pb, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf path = KT_BUF_INIT(KT_MAX_HTTP_TARGET_BYTES);
	KT_AUTO_JSON cJSON *doc = NULL;
	enum kt_code rc;

	if (pb->p->live_digest) {
		pb->live = kt_strdup(pb->p->live_digest);
		return KT_OK;
	}
	kt_buf_adds(&path, "/agent_projects/");
	kt_url_add_segment(&path, pb->p->project);
	kt_buf_adds(&path, "/refs");
	/* The first publication makes the project. */
	pb->c->absent_is_fine = true;
	rc = kt_client_call(pb->c, "GET", path.ptr, NULL, &doc, err);
	pb->c->absent_is_fine = false;
	if (rc != KT_OK && rc != KT_ENOTFOUND)
		return rc;
	pb->live = kt_strdup(kt_json_str_or(kt_json_obj(doc, "live"), "digest", ""));
	return kt_client_publish_held(pb->p, doc, err);
}

static enum kt_code publish_tree(struct publish *pb, struct kt_err *err)
{
	const struct kt_client_publish *p = pb->p;
	enum how how = WHOLE;
	enum kt_code rc = find_live(pb, err);

	if (rc != KT_OK)
		return rc;
	pb->m = kt_tree_manifest(p->tree);
	pb->by_digest = index_files(pb->m, &pb->n_digests);
	pb->want = kt_calloc(pb->n_digests + 1, sizeof(*pb->want));
	if (kt_str_eq(pb->live, pb->m->digest)) {
		how = BY_DIGEST;
	} else if (pb->live[0] && p->git_dir &&
		kt_manifest_cache_get(p->git_dir, pb->live, &pb->base, NULL) == KT_OK) {
		how = BY_DELTA;
		want_new(pb);
		make_patches(pb);
	}
	rc = send_publish(pb, how, err);
	if (pb->taken && p->git_dir)
		kt_manifest_cache_put(p->git_dir, pb->m);
	return rc;
}

/* A release of a commit that the server has. */
static enum kt_code redeploy_release(struct publish *pb, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf path = KT_BUF_INIT(KT_MAX_HTTP_TARGET_BYTES);
	KT_AUTO_BUF struct kt_buf doc = KT_BUF_INIT(CLIENT_BODY_BYTES);
	KT_AUTO_JSON cJSON *reply = NULL;
	struct kt_jw w;
	enum kt_code rc;

	kt_jw_init(&w, &doc);
	kt_jw_obj(&w, NULL);
	add_text(&w, "commit_sha", pb->p->commit_sha);
	add_text(&w, "message", pb->p->message);
	if (pb->p->no_activate)
		kt_jw_bool(&w, "activate", false);
	if (pb->p->unpin)
		kt_jw_bool(&w, "unpin", true);
	kt_jw_obj_end(&w);
	kt_buf_adds(&path, "/agent_projects/");
	kt_url_add_segment(&path, pb->p->project);
	kt_buf_adds(&path, "/deploys");
	rc = kt_client_call(pb->c, "POST", path.ptr, doc.ptr, &reply, err);
	if (rc != KT_OK)
		return rc;
	take_release(pb, reply);
	pb->over = pb->p->no_wait;
	return KT_OK;
}

/* What the release that came out means. */
static enum kt_code publish_result(const struct publish *pb, struct kt_err *err)
{
	const cJSON *r = pb->release, *e = kt_json_obj(r, "error");
	const char *version = kt_json_str_or(r, "version", "the release");

	if (e || kt_str_eq(kt_json_str(r, "state"), "failed"))
		return kt_fail(err, KT_EIO, 0, "%s failed: %s", version,
			kt_json_str_or(e, "message", "the build failed"));
	if (kt_str_eq(kt_json_str(r, "state"), "expired") && !pb->p->no_wait)
		return kt_fail(err, KT_ECONFLICT, 0,
			"%s is not live: its preview is over, because the pull request was closed "
			"or the ref deleted",
			version);
	/* One that went live and was followed by another did what it was to do. */
	if (pb->p->no_wait || pb->p->no_activate || kt_json_bool(r, "activated", false) ||
		kt_json_bool(r, "active", false) || kt_json_str(r, "activated_at") ||
		kt_str_eq(kt_json_str(r, "state"), "active") || kt_json_str(r, "preview"))
		return KT_OK;
	if (!kt_json_bool(r, "pinned", false))
		return kt_fail(err, KT_ECONFLICT, 0, "%s is stored but not live: it is %s", version,
			kt_json_str_or(r, "state", "not active"));
	(void)kt_fail(err, KT_ECONFLICT, 0,
		"%s is stored but not live: the project is pinned to an earlier release (%s)",
		version, kt_json_str_or(r, "pin_reason", "a rollback"));
	return kt_hint(err, "'karta releases unpin %s' ends that", pb->p->project);
}

static void release_publish(struct publish *pb)
{
	kt_manifest_free(pb->base);
	free(pb->live);
	free(pb->by_digest);
	free(pb->want);
	free(pb->patches);
}

enum kt_code kt_client_follow_release(struct kt_client *c, const struct kt_client_publish *p,
	const char *release_id, cJSON **out, struct kt_err *err)
{
	struct publish pb = { .c = c, .p = p, .taken = true };
	KT_AUTO_BUF struct kt_buf path = KT_BUF_INIT(KT_MAX_HTTP_TARGET_BYTES);
	enum kt_code rc;

	kt_buf_adds(&path, "/agent_projects/");
	kt_url_add_segment(&path, p->project);
	kt_buf_adds(&path, "/releases");
	pb.path = path.ptr;
	(void)kt_str_copy(pb.id, sizeof(pb.id), release_id);
	for (int n = 0;; n++) {
		const char *next;

		pb.over = false;
		pb.cursor = 0;
		rc = follow_build(&pb, err);
		next = kt_json_str(pb.release, "replaced_by");
		if (rc != KT_OK || !next || n == REPLACED_MAX)
			break;
		(void)kt_str_copy(pb.id, sizeof(pb.id), next);
	}
	if (rc == KT_OK)
		rc = publish_result(&pb, err);
	*out = pb.release;
	release_publish(&pb);
	return rc;
}

enum kt_code kt_client_publish(
	struct kt_client *c, const struct kt_client_publish *p, cJSON **out, struct kt_err *err)
{
	struct publish pb = { .c = c, .p = p };
	KT_AUTO_BUF struct kt_buf path = KT_BUF_INIT(KT_MAX_HTTP_TARGET_BYTES);
	struct kt_err own = KT_ERR_INIT;
	enum kt_code rc;

	if (!err)
		err = &own;
	kt_buf_adds(&path, "/agent_projects/");
	kt_url_add_segment(&path, p->project);
	kt_buf_adds(&path, "/releases");
	pb.path = path.ptr;
	new_key(&pb);
	rc = p->tree ? publish_tree(&pb, err) : redeploy_release(&pb, err);
	if (rc == KT_OK && !pb.over)
		rc = follow_build(&pb, err);
	if (rc == KT_OK)
		rc = publish_result(&pb, err);
	else if (rc == KT_ECANCEL && !pb.release && pb.id[0]) {
		pb.release = cJSON_CreateObject();
		(void)cJSON_AddStringToObject(pb.release, "id", pb.id);
	}
	*out = pb.release;
	release_publish(&pb);
	return rc;
}
