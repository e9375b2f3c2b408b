/* SPDX-License-Identifier: MIT */
/* karta sessions: list, show, tail, export and delete the sessions of a server. What they may do
 * without asking is in approvals.c. */
#include "cmd/cmd.h"

#include "base/str.h"
#include "cmd/chat/render.h"
#include "cmd/chat/toolview.h"
#include "cmd/remote.h"
#include "event/assembly.h"
#include "text/clean.h"

#include <string.h>
#include <unistd.h>

#define LIST_DEFAULT 20
#define PAGE 200 /* the server's maximum of a page of sessions */
#define EVENTS_PAGE 1000
#define OUT_MAX_BYTES ((size_t)64 * 1024 * 1024)

extern const struct kt_cmd kt_cmd_sessions, kt_cmd_sessions_approvals, kt_cmd_sessions_rename;

struct list_args {
	int64_t limit;
};
struct one_args {
	const char *id;
	int64_t after;
	bool follow;
	const char *format;
};
struct many_args {
	struct kt_vec ids;
};

/* --- list -------------------------------------------------------------------------------- */

static void list_defaults(void *p)
{
	((struct list_args *)p)->limit = LIST_DEFAULT;
}

static const struct kt_opt list_opts[] = {
	{ KT_OPT_T_INT, 'n', "num", "N", offsetof(struct list_args, limit), "as --limit",
		KT_OPT_HIDDEN, 1, 100000 },
	{ KT_OPT_T_INT, 'L', NULL, "N", offsetof(struct list_args, limit), "as --limit",
		KT_OPT_HIDDEN, 1, 100000 },
	KT_OPT_INT_(0, "limit", struct list_args, limit, "N", 1, 100000,
		"at most so many, newest first"),
	KT_OPT_END,
};

static const char *state_of(const cJSON *s)
{
	const char *state = kt_json_str(kt_json_obj(s, "turn"), "state");

	return kt_json_obj(s, "pending_input") ? "waiting" : (state ? state : "idle");
}

static void add_session_row(struct kt_table *tb, const cJSON *s)
{
	char updated[64], turns[24];
	const char *cells[] = { kt_json_str_or(s, "id", "?"), updated, turns, state_of(s),
		kt_json_str_or(s, "title", "") };

	kt_remote_ago(s, "updated_at", updated, sizeof(updated));
	snprintf(turns, sizeof(turns), "%lld", (long long)kt_json_int(s, "turns", 0));
	kt_table_row(tb, cells);
}

/* Append pages to all->data until limit. */
static enum kt_code fetch_list(
	struct kt_client *c, int64_t limit, cJSON *list, bool *out_more, struct kt_err *err)
{
	KT_AUTOFREE char *after = NULL;
	bool more = true;

	while (more && limit > 0) {
		KT_AUTO_JSON cJSON *page = NULL;
		enum kt_code rc = kt_client_list(c, KT_MIN(limit, PAGE), after, &page, err);
		cJSON *data;

		if (rc != KT_OK)
			return rc;
		data = cJSON_GetObjectItemCaseSensitive(page, "data");
		more = kt_json_bool(page, "has_more", false) && cJSON_GetArraySize(data) > 0;
		while (cJSON_GetArraySize(data) > 0) {
			cJSON *s = cJSON_DetachItemFromArray(data, 0);

			free(after);
			after = kt_strdup(kt_json_str_or(s, "id", ""));
			cJSON_AddItemToArray(list, s);
			limit--;
		}
	}
	*out_more = more;
	return KT_OK;
}

static void print_list(const struct kt_ctx *ctx, const cJSON *list, bool more)
{
	static const char *const head[] = { "ID", "UPDATED", "TURNS", "STATE", "TITLE" };
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(OUT_MAX_BYTES);
	struct kt_table *tb = kt_table_new(KT_ARRAY_LEN(head));
	const cJSON *s;

	kt_table_row(tb, head);
	cJSON_ArrayForEach (s, list)
		add_session_row(tb, s);
	kt_table_render(&b, &ctx->out, tb);
	kt_table_free(tb);
	if (!list->child)
		kt_say(ctx, "no sessions yet; 'karta send \"...\"' starts one");
	else
		kt_out(b.ptr, b.len);
	if (more)
		kt_say(ctx, "there are more: --limit N shows them");
}

static enum kt_code run_sessions_list(struct kt_ctx *ctx, const void *args, struct kt_err *err)
{
	const struct list_args *a = args;
	KT_AUTO_JSON cJSON *doc = cJSON_CreateObject();
	cJSON *list = cJSON_AddArrayToObject(doc, "data");
	struct kt_client *c;
	bool more = false;
	enum kt_code rc = kt_remote_open(ctx, &c, err);

	if (rc != KT_OK)
		return rc;
	rc = fetch_list(c, a->limit, list, &more, err);
	kt_client_free(c);
	if (rc != KT_OK)
		return rc;
	cJSON_AddBoolToObject(doc, "has_more", more);
	if (ctx->json)
		kt_remote_json(ctx, doc);
	else
		print_list(ctx, list, more);
	return KT_OK;
}

static const struct kt_cmd list_cmd = {
	.name = "list",
	.summary = "list sessions, newest first",
	.group = KT_GROUP_TALK,
	.opts = list_opts,
	.args_size = sizeof(struct list_args),
	.defaults = list_defaults,
	.run = run_sessions_list,
	.aliases = "ls",
};

/* --- show -------------------------------------------------------------------------------- */

static const struct kt_opt show_opts[] = {
	KT_OPT_ARG_("id", struct one_args, id, KT_OPT_REQUIRED | KT_OPT_SESSION, "the session"),
	KT_OPT_END,
};

static void print_session(const struct kt_ctx *ctx, const cJSON *s)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(OUT_MAX_BYTES);
	KT_AUTO_BUF struct kt_buf meta = KT_BUF_INIT(OUT_MAX_BYTES);
	KT_AUTO_BUF struct kt_buf people = KT_BUF_INIT(OUT_MAX_BYTES);
	const cJSON *p;
	char turns[24];

	snprintf(turns, sizeof(turns), "%lld", (long long)kt_json_int(s, "turns", 0));
	cJSON_ArrayForEach (p, kt_json_arr(s, "participants"))
		kt_clean_addf(&people, "%s%s (%s)", people.len ? ", " : "",
			kt_json_str_or(p, "name", "?"), kt_json_str_or(p, "type", "?"));
	kt_remote_field(&b, ctx, "id", kt_json_str(s, "id"));
	kt_remote_field(&b, ctx, "title", kt_json_str(s, "title"));
	kt_remote_field(&b, ctx, "state", state_of(s));
	kt_remote_field(
		&b, ctx, "waits for", kt_json_str(kt_json_obj(s, "pending_input"), "message"));
	kt_remote_field(&b, ctx, "project", kt_json_str(kt_json_obj(s, "project"), "ref"));
	kt_remote_field(&b, ctx, "release", kt_json_str(s, "release"));
	kt_remote_field(&b, ctx, "agent", kt_json_str(s, "current_agent"));
	kt_remote_field(&b, ctx, "turns", turns);
	kt_remote_when(&b, ctx, "created", s, "created_at");
	kt_remote_when(&b, ctx, "updated", s, "updated_at");
	kt_remote_field(&b, ctx, "participants", people.ptr);
	kt_remote_field(&b, ctx, "parent", kt_json_str(s, "parent_id"));
	kt_remote_field(&b, ctx, "permissions", kt_json_str(s, "permission_mode"));
	if (kt_json_obj(s, "metadata") && kt_json_obj(s, "metadata")->child) {
		kt_json_add(&meta, kt_json_obj(s, "metadata"));
		kt_remote_field(&b, ctx, "metadata", meta.ptr);
	}
	kt_out(b.ptr, b.len);
}

static enum kt_code run_sessions_show(struct kt_ctx *ctx, const void *args, struct kt_err *err)
{
	const struct one_args *a = args;
	KT_AUTO_JSON cJSON *doc = NULL;
	struct kt_client *c;
	enum kt_code rc = kt_remote_open(ctx, &c, err);

	if (rc != KT_OK)
		return rc;
	rc = kt_client_get(c, a->id, &doc, err);
	kt_client_free(c);
	if (rc != KT_OK)
		return rc;
	if (ctx->json)
		kt_remote_json(ctx, doc);
	else
		print_session(ctx, doc);
	return KT_OK;
}

static const struct kt_cmd show_cmd = {
	.name = "show",
	.summary = "show one session",
	.group = KT_GROUP_TALK,
	.opts = show_opts,
	.args_size = sizeof(struct one_args),
	.run = run_sessions_show,
};

/* --- events, page by page ---------------------------------------------------------------- */

typedef void (*event_fn)(void *arg, const struct kt_client_event *ev);

static void give_session_event(event_fn fn, void *arg, const cJSON *doc)
{
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(OUT_MAX_BYTES);
	struct kt_client_event ev = { .seq = (uint64_t)kt_json_int(doc, "seq", 0),
		.type = kt_json_str_or(doc, "type", ""),
		.turn_id = kt_json_str(doc, "turn_id"),
		.parent = kt_json_str(doc, "parent_tool_use_id"),
		.time_ms = kt_json_int(doc, "timestamp", 0),
		.data = kt_json_obj(doc, "data") };

	kt_json_add(&text, doc);
	ev.json = text.ptr;
	ev.json_len = text.len;
	fn(arg, &ev);
}

/* Call fn for every event after *after that is there now; *after moves on. */
static enum kt_code each_event(struct kt_client *c, const char *id, uint64_t *after, event_fn fn,
	void *arg, struct kt_err *err)
{
	bool more = true;

	while (more) {
		KT_AUTO_JSON cJSON *page = NULL;
		enum kt_code rc = kt_client_events(c, id, *after, EVENTS_PAGE, &page, err);
		const cJSON *it;
		uint64_t last;

		if (rc != KT_OK)
			return rc;
		cJSON_ArrayForEach (it, kt_json_arr(page, "data"))
			give_session_event(fn, arg, it);
		last = (uint64_t)kt_json_int(page, "last_seq", 0);
		more = kt_json_bool(page, "has_more", false) && last > *after;
		*after = KT_MAX(*after, last);
	}
	return KT_OK;
}

/* --- tail -------------------------------------------------------------------------------- */

static const struct kt_opt tail_opts[] = {
	KT_OPT_INT_(0, "after", struct one_args, after, "N", 0, INT64_MAX,
		"only events after this number"),
	KT_OPT_FLAG_('f', "follow", struct one_args, follow, "go on with what comes, until Ctrl-C"),
	KT_OPT_ARG_("id", struct one_args, id, KT_OPT_REQUIRED | KT_OPT_SESSION, "the session"),
	KT_OPT_END,
};

struct tail {
	const struct kt_ctx *ctx;
	struct kt_render *render;
	struct kt_buf out;
};

static void tail_event(void *arg, const struct kt_client_event *ev)
{
	struct tail *t = arg;

	if (t->ctx->json) {
		kt_remote_json_line(ev->json, ev->json_len);
		return;
	}
	kt_render_event(t->render, ev);
	kt_out(t->out.ptr, t->out.len);
	kt_buf_clear(&t->out);
}

static bool tail_followed(void *arg, const struct kt_client_event *ev)
{
	tail_event(arg, ev);
	return true;
}

static bool tail_poll(void *arg)
{
	return kt_remote_ints() == 0;
}

static void tail_state(void *arg, enum kt_client_state state)
{
	const struct tail *t = arg;

	if (state == KT_CLIENT_LOST)
		kt_say(t->ctx, "connection lost, reconnecting...");
}

static enum kt_code tail_follow(
	struct tail *t, struct kt_client *c, const char *id, uint64_t after, struct kt_err *err)
{
	struct kt_client_follow f = { .session_id = id,
		.cursor = after,
		.event = tail_followed,
		.poll = tail_poll,
		.state = tail_state,
		.arg = t };

	enum kt_code rc;

	kt_remote_catch_int();
	rc = kt_client_follow(c, &f, err);
	/* Ctrl-C is how following ends: no error to tell. */
	if (rc == KT_ECANCEL)
		kt_remote_die_by_int();
	return rc;
}

static enum kt_code run_tail(struct kt_ctx *ctx, const void *args, struct kt_err *err)
{
	const struct one_args *a = args;
	struct tail t = { .ctx = ctx };
	const struct kt_render_config cfg = { .text_term = &ctx->out,
		.side_term = &ctx->out,
		.text = &t.out,
		.side = &t.out,
		.show_text = true,
		.reasoning = true,
		.users = true,
		.inputs = true };
	uint64_t after = (uint64_t)a->after;
	struct kt_client *c;
	enum kt_code rc = kt_remote_open(ctx, &c, err);

	if (rc != KT_OK)
		return rc;
	kt_buf_init(&t.out, KT_RENDER_MAX_BYTES);
	t.render = kt_render_new(&cfg);
	rc = a->follow ? tail_follow(&t, c, a->id, after, err)
		       : each_event(c, a->id, &after, tail_event, &t, err);
	kt_render_close(t.render);
	kt_out(t.out.ptr, t.out.len);
	kt_render_free(t.render);
	kt_buf_release(&t.out);
	kt_client_free(c);
	return rc;
}

static const struct kt_cmd tail_cmd = {
	.name = "tail",
	.summary = "print the events of a session",
	.group = KT_GROUP_TALK,
	.opts = tail_opts,
	.args_size = sizeof(struct one_args),
	.run = run_tail,
};

/* --- export ------------------------------------------------------------------------------ */

static const char *const formats[] = { "jsonl", "markdown", NULL };

static const struct kt_opt export_opts[] = {
	KT_OPT_CHOICE_(0, "format", struct one_args, format, "FORMAT", formats,
		"jsonl: every event; markdown: what was said"),
	KT_OPT_ARG_("id", struct one_args, id, KT_OPT_REQUIRED | KT_OPT_SESSION, "the session"),
	KT_OPT_END,
};

static void export_defaults(void *p)
{
	((struct one_args *)p)->format = "jsonl";
}

static void export_line(void *arg, const struct kt_client_event *ev)
{
	kt_remote_json_line(ev->json, ev->json_len);
}

static void add_tool(struct kt_buf *b, const cJSON *data)
{
	if (!kt_str_eq(kt_json_str(data, "state"), "running"))
		return;
	kt_clean_addf(b, "- `%s` ", kt_json_str_or(data, "tool_name", "tool"));
	kt_tool_gist(b, kt_json_get(data, "tool_input"), 200);
	kt_buf_addc(b, '\n');
}

struct markdown {
	const struct kt_ctx *ctx;
	struct kt_assembly reply; /* of the turn that runs */
};

static void add_reply(struct kt_buf *b, const struct markdown *md, const cJSON *data)
{
	const cJSON *m = kt_json_obj(data, "message");
	const char *text = kt_json_str_or(m, "text", "");

	if (!*text)
		return;
	kt_clean_addf(b, "\n## %s\n\n", kt_json_str_or(data, "agent", "assistant"));
	if (!kt_json_bool(m, "truncated", false))
		kt_buf_adds(b, text);
	else
		kt_assembly_join(&md->reply, b);
	if (kt_json_bool(m, "truncated", false) && !kt_assembly_whole(&md->reply))
		kt_buf_addf(b, "\n\n[... %zu bytes in all: --format jsonl has them]",
			kt_assembly_bytes(&md->reply));
	kt_buf_adds(b, "\n\n");
}

/* Users' messages and whole answers; tools as list items between them. */
static void export_markdown(void *arg, const struct kt_client_event *ev)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(2 * OUT_MAX_BYTES);
	struct markdown *md = arg;
	const cJSON *m = kt_json_obj(ev->data, "message");
	const char *state = kt_json_str(ev->data, "state"), *text = kt_json_str(m, "text");

	if (kt_str_eq(ev->type, "status") && kt_str_eq(state, "turn_started") && text) {
		kt_assembly_release(&md->reply);
		kt_buf_addf(
			&b, "## %s\n\n%s\n\n", kt_json_str_or(m, "participant_name", "User"), text);
	} else if (kt_str_eq(ev->type, "text") && !ev->parent) {
		kt_assembly_add(&md->reply, ev->data);
	} else if (kt_str_eq(ev->type, "tool_use")) {
		add_tool(&b, ev->data);
	} else if (kt_str_eq(ev->type, "error")) {
		kt_clean_addf(&b, "\n**Error:** %s (%s)\n\n",
			kt_json_str_or(ev->data, "message", ""),
			kt_json_str_or(ev->data, "code", "error"));
	} else if (kt_str_eq(ev->type, "done")) {
		add_reply(&b, md, ev->data);
	}
	kt_remote_text(b.ptr, b.len);
}

static void export_head(const struct kt_ctx *ctx, const cJSON *doc, const char *id)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(OUT_MAX_BYTES);

	kt_clean_addf(&b, "# %s\n\nSession `%s`, %s\n\n", kt_json_str_or(doc, "title", id), id,
		kt_json_str_or(doc, "created_at", ""));
	kt_remote_text(b.ptr, b.len);
}

static enum kt_code run_export(struct kt_ctx *ctx, const void *args, struct kt_err *err)
{
	const struct one_args *a = args;
	bool markdown = kt_str_eq(a->format, "markdown");
	struct markdown md = { .ctx = ctx };
	KT_AUTO_JSON cJSON *doc = NULL;
	struct kt_client *c;
	uint64_t after = 0;
	enum kt_code rc;

	if (markdown && ctx->json)
		return kt_fail(err, KT_EINVAL, 0, "--format markdown has no JSON; use jsonl");
	rc = kt_remote_open(ctx, &c, err);
	if (rc != KT_OK)
		return rc;
	rc = kt_client_get(c, a->id, &doc, err);
	if (rc != KT_OK) {
		kt_client_free(c);
		return rc;
	}
	kt_assembly_init(&md.reply, OUT_MAX_BYTES);
	if (markdown)
		export_head(ctx, doc, a->id);
	if (markdown)
		rc = each_event(c, a->id, &after, export_markdown, &md, err);
	else
		rc = each_event(c, a->id, &after, export_line, ctx, err);
	kt_assembly_release(&md.reply);
	kt_client_free(c);
	return rc;
}

static const struct kt_cmd export_cmd = {
	.name = "export",
	.summary = "print a whole session for keeping",
	.group = KT_GROUP_TALK,
	.opts = export_opts,
	.args_size = sizeof(struct one_args),
	.defaults = export_defaults,
	.run = run_export,
};

/* --- delete ------------------------------------------------------------------------------ */

static const struct kt_opt delete_opts[] = {
	KT_OPT_ARGS_("id", struct many_args, ids, KT_OPT_REQUIRED | KT_OPT_SESSION, "the sessions"),
	KT_OPT_END,
};

static enum kt_code confirm_sessions_delete(
	const struct kt_ctx *ctx, const struct kt_vec *ids, bool *out, struct kt_err *err)
{
	KT_AUTOFREE char *question = ids->len == 1
		? kt_asprintf("delete session %s with its events?", (const char *)ids->items[0])
		: kt_asprintf("delete %zu sessions with their events?", ids->len);

	*out = true;
	if (ctx->yes)
		return KT_OK;
	if (ctx->no_input) {
		(void)kt_fail(err, KT_ECONFIRM, 0, "a confirmation is needed: %s", question);
		return kt_hint(err, "there is no terminal to ask on; say --yes to confirm");
	}
	return kt_prompt_confirm(STDIN_FILENO, STDERR_FILENO, question, "--yes", out, err);
}

static void print_deleted(const struct kt_ctx *ctx, const struct kt_vec *done)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(OUT_MAX_BYTES);
	struct kt_jw w;

	for (size_t i = 0; i < done->len && !ctx->json; i++)
		kt_outf("%s\n", (const char *)done->items[i]);
	if (!ctx->json)
		return;
	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_jw_int(&w, "schema_version", 1);
	kt_jw_arr(&w, "deleted");
	for (size_t i = 0; i < done->len; i++)
		kt_jw_str(&w, NULL, done->items[i]);
	kt_jw_arr_end(&w);
	kt_jw_obj_end(&w);
	kt_outf("%s\n", b.ptr);
}

static enum kt_code run_sessions_delete(struct kt_ctx *ctx, const void *args, struct kt_err *err)
{
	const struct many_args *a = args;
	struct kt_vec done = KT_VEC_INIT;
	struct kt_client *c;
	bool go;
	enum kt_code rc = confirm_sessions_delete(ctx, &a->ids, &go, err), last = KT_OK;

	if (rc != KT_OK)
		return rc;
	if (!go)
		return kt_fail(err, KT_ECANCEL, 0, "nothing was deleted");
	rc = kt_remote_open(ctx, &c, err);
	if (rc != KT_OK)
		return rc;
	/* All are tried; the last failure is the command's. */
	for (size_t i = 0; i < a->ids.len; i++) {
		rc = kt_client_delete(c, a->ids.items[i], err);
		if (rc == KT_OK)
			kt_vec_push(&done, a->ids.items[i]);
		else
			last = rc;
		if (rc == KT_EUNAVAIL)
			break;
	}
	kt_client_free(c);
	if (last == KT_OK || !ctx->json)
		print_deleted(ctx, &done);
	kt_vec_release(&done);
	return last;
}

static const struct kt_cmd delete_cmd = {
	.name = "delete",
	.summary = "delete sessions with their events",
	.group = KT_GROUP_TALK,
	.opts = delete_opts,
	.args_size = sizeof(struct many_args),
	.run = run_sessions_delete,
	.aliases = "rm",
};

static const struct kt_cmd *const subs[] = { &list_cmd, &show_cmd, &tail_cmd, &export_cmd,
	&kt_cmd_sessions_approvals, &kt_cmd_sessions_rename, &delete_cmd, NULL };

const struct kt_cmd kt_cmd_sessions = {
	.name = "sessions",
	.summary = "list, show, follow, export, rename and delete sessions",
	.group = KT_GROUP_TALK,
	.opts = list_opts,
	.args_size = sizeof(struct list_args),
	.defaults = list_defaults,
	.run = run_sessions_list,
	.subs = subs,
	.examples = "karta sessions\n"
		    "karta sessions tail --follow sess_4fQ\n"
		    "karta sessions export --format markdown sess_4fQ >talk.md\n",
};
