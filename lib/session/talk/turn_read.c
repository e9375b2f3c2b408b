/* SPDX-License-Identifier: MIT */
/* A turn read back from the log of its session, which is the only memory of it. */
#include "session/session.h"

#include "base/str.h"
#include "text/json.h"

#include <string.h>

struct reading {
	const char *turn_id;
	struct kt_turn_said *said;
};

static cJSON *take_said_member(cJSON *obj, const char *key)
{
	return cJSON_DetachItemFromObjectCaseSensitive(obj, key);
}

static void replace_said(cJSON **slot, cJSON *v)
{
	cJSON_Delete(*slot);
	*slot = v;
}

static void set_said_str(char **slot, const cJSON *data, const char *key)
{
	const char *s = kt_json_str(data, key);

	if (s)
		kt_str_set(slot, s);
}

static void read_turn_event(const struct reading *x, const struct kt_evframe *f)
{
	struct kt_turn_said *said = x->said;
	KT_AUTO_JSON cJSON *ev = NULL;
	const char *state;
	cJSON *data;

	if (f->type != KT_EV_STATUS && f->type != KT_EV_DONE && f->type != KT_EV_ERROR &&
		f->type != KT_EV_TEXT)
		return;
	if (kt_json_parse(f->json, f->json_len, KT_JSON_LENIENT, &ev, NULL) != KT_OK ||
		!kt_str_eq(kt_json_str(ev, "turn_id"), x->turn_id))
		return;
	data = cJSON_GetObjectItemCaseSensitive(ev, "data");
	if (f->type == KT_EV_TEXT) {
		if (!kt_json_str(ev, "parent_tool_use_id"))
			kt_assembly_add(&said->reply, data);
	} else if (f->type == KT_EV_STATUS) {
		state = kt_json_str(data, "state");
		if (kt_str_eq(state, "turn_started") || kt_str_eq(state, "queued")) {
			set_said_str(&said->agent, data, "agent");
			replace_said(&said->user, take_said_member(data, "message"));
		}
	} else if (f->type == KT_EV_ERROR) {
		replace_said(&said->error, take_said_member(ev, "data"));
	} else {
		set_said_str(&said->agent, data, "agent");
		set_said_str(&said->stop_reason, data, "stop_reason");
		replace_said(&said->assistant, take_said_member(data, "message"));
		replace_said(&said->usage, take_said_member(data, "usage"));
	}
}

static bool read_turn_frame(void *arg, const struct kt_evframe *f)
{
	const struct reading *x = arg;

	read_turn_event(x, f);
	return !x->said->assistant;
}

enum kt_code kt_turn_read(struct kt_evscan *log, const char *turn_id, size_t max_bytes,
	const atomic_bool *canceled, struct kt_turn_said *out, struct kt_err *err)
{
	struct reading x = { turn_id, out };

	memset(out, 0, sizeof(*out));
	kt_assembly_init(&out->reply, max_bytes);
	return kt_evscan_run(log, canceled, read_turn_frame, &x, err);
}

bool kt_turn_text(const struct kt_turn_said *said, struct kt_buf *out)
{
	const char *text = kt_json_str(said->assistant, "text");

	if (text && !kt_json_bool(said->assistant, "truncated", false)) {
		kt_buf_adds(out, text);
		return true;
	}
	kt_assembly_join(&said->reply, out);
	return kt_assembly_whole(&said->reply);
}

void kt_turn_said_release(struct kt_turn_said *said)
{
	cJSON_Delete(said->user);
	cJSON_Delete(said->assistant);
	cJSON_Delete(said->usage);
	cJSON_Delete(said->error);
	free(said->stop_reason);
	free(said->agent);
	kt_assembly_release(&said->reply);
	memset(said, 0, sizeof(*said));
}

struct turn_end {
	const char *turn_id;
	uint64_t seq;
};

/* Only what may be the end is parsed: a turn may have 128 MiB, and the server starts. */
static bool look_for_end(void *arg, const struct kt_evframe *f)
{
	struct turn_end *e = arg;
	KT_AUTO_JSON cJSON *ev = NULL;

	if (f->type == KT_EV_DONE && memmem(f->json, f->json_len, e->turn_id, strlen(e->turn_id)) &&
		kt_json_parse(f->json, f->json_len, KT_JSON_LENIENT, &ev, NULL) == KT_OK &&
		kt_str_eq(kt_json_str(ev, "turn_id"), e->turn_id))
		e->seq = f->seq;
	return !e->seq;
}

uint64_t kt_turn_end(
	struct kt_evlog *log, const char *turn_id, uint64_t after_seq, size_t max_bytes)
{
	struct turn_end e = { .turn_id = turn_id };
	struct kt_err err = KT_ERR_INIT;

	/* In a log that is damaged before it, it is not to be had. */
	return kt_evlog_each(log, after_seq, max_bytes, look_for_end, &e, &err) == KT_OK ? e.seq
											 : 0;
}
