/* SPDX-License-Identifier: MIT */
/*
 * Publishing: a document, a bundle or a whole archive becomes a release. The answer is the build's
 * log as it comes (events, or lines of text), the outcome, or (respond-async) that it was accepted.
 * A client that leaves does not stop anything.
 */
#include "api/hosting/hosting_private.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/str.h"
#include "text/json.h"

#include <string.h>
#include <strings.h>
#include <unistd.h>

enum body { BODY_DOCUMENT, BODY_BUNDLE, BODY_ARCHIVE, BODY_UNKNOWN };

struct publish {
	char ref[64];
	char release[KT_ID_MAX];
	char *path; /* of the received archive or document, ours to remove; or NULL */
	bool stream, lines, async;
};

static void publish_free(void *arg)
{
	struct publish *pb = arg;

	if (pb->path)
		(void)unlink(pb->path);
	free(pb->path);
	free(pb);
}

static enum body body_kind(const struct kt_request *rq)
{
	static const struct {
		const char *type;
		enum body kind;
	} map[] = {
		{ "application/json", BODY_DOCUMENT },
		{ "application/vnd.karta.bundle", BODY_BUNDLE },
		{ "application/gzip", BODY_ARCHIVE },
		{ "application/x-gzip", BODY_ARCHIVE },
		{ "application/zstd", BODY_ARCHIVE },
		{ "application/x-tar", BODY_ARCHIVE },
		{ "application/octet-stream", BODY_ARCHIVE },
		/* What curl says of --data-binary when it is told nothing. */
		{ "application/x-www-form-urlencoded", BODY_ARCHIVE },
	};
	const char *type = kt_request_header(rq, "content-type");
	size_t len;

	if (!type || !*type)
		return BODY_ARCHIVE;
	len = strcspn(type, "; \t");
	for (size_t i = 0; i < KT_ARRAY_LEN(map); i++) {
		if (strlen(map[i].type) == len && strncasecmp(type, map[i].type, len) == 0)
			return map[i].kind;
	}
	return BODY_UNKNOWN;
}

/* What comes beside a whole archive is in the query. */
static bool query_document(struct kt_call *c, struct kt_buf *out)
{
	static const char *const texts[] = { "commit_sha", "ref", "message" };
	static const char *const flags[] = { "fork", "activate", "force", "preview", "unpin" };
	char text[2048], flag[8];
	int64_t pr = 0;
	struct kt_jw w;

	kt_jw_init(&w, out);
	kt_jw_obj(&w, NULL);
	for (size_t i = 0; i < KT_ARRAY_LEN(texts); i++) {
		if (!kt_api_query(c, texts[i], text, sizeof(text)))
			return false;
		if (text[0])
			kt_jw_str(&w, texts[i], text);
	}
	for (size_t i = 0; i < KT_ARRAY_LEN(flags); i++) {
		if (!kt_api_query(c, flags[i], flag, sizeof(flag)))
			return false;
		if (!flag[0])
			continue;
		if (!kt_str_eq(flag, "true") && !kt_str_eq(flag, "false") &&
			!kt_str_eq(flag, "1") && !kt_str_eq(flag, "0")) {
			kt_api_fail(c, 400, "bad_query",
				"'fork', 'activate', 'force', 'preview' and 'unpin' are true or "
				"false",
				NULL);
			return false;
		}
		kt_jw_bool(&w, flags[i], kt_str_eq(flag, "true") || kt_str_eq(flag, "1"));
	}
	if (!kt_api_query_int(c, "pr", 1, INT32_MAX, &pr))
		return false;
	if (pr)
		kt_jw_int(&w, "pr", pr);
	kt_jw_obj_end(&w);
	return true;
}

/* --- answers ----------------------------------------------------------------------------- */

/* Where the release is: "<base>/agent_projects/x/releases/rel_...". */
static void add_location(struct kt_later *l)
{
	const struct publish *pb = l->data;
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(2048);

	kt_buf_addf(
		&b, "%s/agent_projects/%s/releases/%s", l->caller.base_url, pb->ref, pb->release);
	if (kt_buf_ok(&b))
		kt_exchange_header(l->c.ex, "Location", b.ptr);
}

static void on_release_built(void *arg, const struct kt_result *r)
{
	struct kt_later *l = arg;

	if (!l->c.ex || r->rc != KT_OK || !r->json) {
		kt_api_answered(arg, r);
		return;
	}
	add_location(l);
	kt_respond(l->c.ex, 201, "application/json", r->json, r->json_len);
	kt_api_later_free(l);
}

static void send_build_accepted(struct kt_later *l, const struct kt_result *r)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1024 * 1024);
	struct kt_jw w;

	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_jw_bool(&w, "accepted", true);
	kt_jw_raw(&w, "release", r->json, r->json_len);
	kt_jw_obj_end(&w);
	kt_exchange_header(l->c.ex, "Preference-Applied", "respond-async");
	add_location(l);
	kt_respond_json(l->c.ex, 202, &b);
}

/* The release has its row, or was refused. */
static void on_release_taken(void *arg, const struct kt_result *r)
{
	struct kt_later *l = arg;
	struct publish *pb = l->data;

	if (pb->path) {
		(void)unlink(pb->path);
		free(KT_STEAL(pb->path));
	}
	if (!l->c.ex || r->rc != KT_OK || !r->release) {
		kt_api_answered(arg, r);
		return;
	}
	(void)kt_str_copy(pb->release, sizeof(pb->release), r->release);
	if (!pb->async && !pb->stream && !pb->lines) {
		kt_control_release_wait(l->c.api->cfg.control, &l->actor, pb->ref, pb->release,
			on_release_built, l);
		return;
	}
	if (pb->async) {
		send_build_accepted(l, r);
	} else if (pb->lines) {
		kt_api_build_lines(&l->c, pb->ref, pb->release);
	} else {
		add_location(l);
		kt_api_build_stream(&l->c, pb->ref, pb->release);
	}
	kt_api_later_free(l);
}

void kt_api_releases_publish(struct kt_call *c, const struct kt_params *p)
{
	KT_AUTO_BUF struct kt_buf doc = KT_BUF_INIT(KT_MAX_HTTP_BODY_BYTES);
	enum body kind = body_kind(c->rq);
	struct publish *pb;
	struct kt_pre pre;
	struct kt_later *l;

	if (kind == BODY_UNKNOWN) {
		kt_api_fail(c, 415, "unsupported_media_type",
			"send application/json, application/vnd.karta.bundle, or a tar archive "
			"(application/gzip, application/zstd, application/x-tar)",
			NULL);
		return;
	}
	if (kind != BODY_DOCUMENT && !c->rq->body_path) {
		kt_api_fail(c, 422, "validation_failed", "the body is empty", NULL);
		return;
	}
	if (kind == BODY_DOCUMENT && !c->rq->body_path)
		kt_buf_add(&doc, c->rq->body, c->rq->body_len);
	if ((kind == BODY_ARCHIVE && !query_document(c, &doc)) ||
		!kt_api_pre(c, "publish", p->value[0], &pre))
		return;
	pb = kt_calloc(1, sizeof(*pb));
	kt_str_copy(pb->ref, sizeof(pb->ref), p->value[0]);
	pb->async = kt_api_async(c->rq);
	pb->lines = kt_api_wants_lines(c->rq);
	pb->stream = !pb->lines && kt_api_wants_stream(c->rq);
	/* The client may leave before it was read. */
	pb->path = kt_exchange_take_body(c->ex);
	l = kt_api_later(c, pb, publish_free);
	if (kind == BODY_DOCUMENT && pb->path)
		kt_control_publish_file(c->api->cfg.control, &l->actor, p->value[0], pb->path,
			&pre.pre, on_release_taken, l);
	else
		kt_control_publish(c->api->cfg.control, &l->actor, p->value[0],
			kind == BODY_BUNDLE ? NULL : doc.ptr, kind == BODY_BUNDLE ? 0 : doc.len,
			pb->path, &pre.pre, on_release_taken, l);
}
