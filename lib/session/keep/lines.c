/* SPDX-License-Identifier: MIT */
/* The lines of the journal, as they are written: of a session, of keys, of what was damaged. */
#include "session/keep/keep_private.h"

#include "base/fs.h"
#include "store/datadir.h"
#include "text/json.h"
#include "text/linesum.h"

#include <stdio.h>
#include <string.h>

#define IDEMS_AT_ONCE 500 /* in one tick */

char *kt_journal_path(const struct kt_sessions *reg)
{
	return kt_data_path(reg->data_dir, KT_DATA_JOURNAL);
}

static void write_idem(
	struct kt_jw *w, const char *scope, const char *key, const struct kt_idem *what)
{
	char fingerprint[24];

	/* As text: JSON numbers are exact to 2^53 only. */
	(void)snprintf(
		fingerprint, sizeof(fingerprint), "%llu", (unsigned long long)what->fingerprint);
	kt_jw_str(w, "idempotency_key", key);
	kt_jw_str(w, "scope", scope);
	kt_jw_str(w, "session", what->session_id);
	kt_jw_str(w, "turn", what->turn_id);
	kt_jw_int(w, "after_seq", (int64_t)what->after_seq);
	kt_jw_str(w, "fingerprint", fingerprint);
	kt_jw_int(w, "at_us", what->at_us);
}

void kt_journal_write_session(
	struct kt_buf *b, const struct kt_session *s, const struct kt_used *used)
{
	size_t from = b->len;
	struct kt_jw w;

	kt_jw_init(&w, b);
	kt_jw_obj(&w, NULL);
	kt_jw_str(&w, "id", s->id);
	if (s->pin)
		kt_jw_raw(&w, "target", s->pin->json, s->pin->json_len);
	kt_jw_raw(&w, "metadata", s->metadata, strlen(s->metadata));
	kt_jw_str(&w, "title", s->title);
	kt_jw_str(&w, "current_agent", s->current_agent);
	kt_jw_str(&w, "parent_id", s->parent_id);
	kt_jw_str(&w, "permission_mode", s->permission_mode);
	kt_jw_str(&w, "harness_session", s->harness_session);
	kt_jw_bool(&w, "prompted", s->prompted);
	kt_jw_int(&w, "created_us", s->created_us);
	kt_jw_int(&w, "updated_us", s->updated_us);
	kt_jw_int(&w, "turns", s->turns);
	if (s->spent.input_tokens || s->spent.output_tokens || s->spent.cost_microusd) {
		kt_jw_int(&w, "spent_in", s->spent.input_tokens);
		kt_jw_int(&w, "spent_out", s->spent.output_tokens);
		kt_jw_int(&w, "spent_microusd", s->spent.cost_microusd);
	}
	kt_jw_int(&w, "last_seq", (int64_t)kt_session_last_seq(s));
	kt_jw_arr(&w, "open_turns");
	if (s->turn)
		kt_jw_str(&w, NULL, s->turn->id);
	for (size_t i = 0; i < s->queue.len; i++)
		kt_jw_str(&w, NULL, ((const struct kt_turn *)s->queue.items[i])->id);
	for (size_t i = 0; i < s->interrupted.len; i++)
		kt_jw_str(&w, NULL, s->interrupted.items[i]);
	kt_jw_arr_end(&w);
	kt_jw_arr(&w, "participants");
	for (size_t i = 0; i < s->participants.len; i++) {
		const struct kt_participant *p = s->participants.items[i];

		kt_jw_obj(&w, NULL);
		kt_jw_str(&w, "name", p->name);
		kt_jw_str(&w, "type", p->type);
		kt_jw_obj_end(&w);
	}
	kt_jw_arr_end(&w);
	kt_approvals_save(&w, s);
	if (used) {
		kt_jw_obj(&w, "used");
		write_idem(&w, used->key->scope, used->key->key, &used->what);
		kt_jw_obj_end(&w);
	}
	kt_jw_obj_end(&w);
	kt_linesum_add(b, from);
}

size_t kt_journal_write_idems(struct kt_buf *b, struct kt_idem_entry **at)
{
	size_t n = 0;

	for (; *at && n < IDEMS_AT_ONCE; *at = (*at)->next, n++) {
		const char *lf = strchr((*at)->name, '\n');
		KT_AUTOFREE char *scope = kt_strndup((*at)->name, (size_t)(lf - (*at)->name));
		size_t from = b->len;
		struct kt_jw w;

		kt_jw_init(&w, b);
		kt_jw_obj(&w, NULL);
		write_idem(&w, scope, lf + 1, &(*at)->what);
		kt_jw_obj_end(&w);
		kt_linesum_add(b, from);
		kt_buf_addc(b, '\n');
	}
	return n;
}

void kt_journal_write_damaged(struct kt_buf *b, const struct kt_sessions *reg)
{
	kt_buf_add(b, reg->damaged.ptr, reg->damaged.len);
}
