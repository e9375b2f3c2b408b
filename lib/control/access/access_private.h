/* SPDX-License-Identifier: MIT */
/* Keys, and who stands for one. */
#ifndef KT_CONTROL_ACCESS_PRIVATE_H
#define KT_CONTROL_ACCESS_PRIVATE_H

#include "control/core/op_private.h"
#include "control/core/task_private.h"

/* --- keys (keys.c) ----------------------------------------------------------------------- */

struct kt_new_key {
	struct kt_key_row row;
	char id[KT_ID_MAX];
	char text[KT_API_KEY_LEN + 1]; /* wiped when it was shown */
	char prefix[KT_API_KEY_PREFIX_LEN + 1];
	unsigned char hash[KT_KEY_HASH_BYTES];
};
/* What is wanted of a new key. */
struct kt_key_wish {
	const char *name; /* BORROWS */
	unsigned scopes;
	bool test;
	int64_t expires_us; /* 0 = never */
};
/* From the JSON of a request; KT_EINVAL with what is wrong. BORROWS the document. */
KT_MUST_CHECK enum kt_code kt_key_wish_take(
	const cJSON *doc, struct kt_key_wish *out, struct kt_err *err);
/* A new key of an organization, all of it in arena; nothing is written yet. */
struct kt_new_key *kt_key_new(struct kt_arena *arena, const struct kt_master *master,
	const char *org_id, const struct kt_key_wish *wish, const char *created_by);
/* KT_ELIMIT when the organization has as many valid keys as it may. */
KT_MUST_CHECK enum kt_code kt_key_room(
	struct kt_tx *tx, struct kt_arena *arena, const char *org_id, struct kt_err *err);
/* "read,write" */
const char *kt_scope_words(unsigned scopes);
/* Append it as an object, its text too when that is wanted. */
void kt_key_render(struct kt_buf *b, const struct kt_new_key *k, bool with_text);
/* Add it with its audit row, in op's transaction; then kt_index_key_put(). */
KT_MUST_CHECK enum kt_code kt_key_add(
	struct kt_tx *tx, struct kt_op *op, const struct kt_new_key *k, struct kt_err *err);
/* ["read", "write"] to bits; false when it is not a list of scopes with one at least. */
KT_MUST_CHECK bool kt_scopes_parse(const cJSON *list, unsigned *out);
/* 1 to 100 bytes of UTF-8 without control characters. */
bool kt_key_name_ok(const char *name);
/* Tell the listener of keys whose time is over. */
void kt_keys_sweep(struct kt_control *ctl);
/* The key is used now: written once a minute at most. (principal.c) */
void kt_key_note_use(struct kt_control *ctl, struct kt_key_mem *k, int64_t now_us);

/* --- keys that are made in the data folder (keymake.c, bell.c) -------------------------------- */

#define KT_BELL_NAME "bell" /* in the data folder */
/* The bell for keys that were made in the data folder by another process. */
KT_MUST_CHECK enum kt_code kt_bell_start(struct kt_control *ctl, struct kt_err *err);
void kt_bell_stop(struct kt_control *ctl);

/* --- browsers (web.c), device logins (device.c) ----------------------------------------------- */

/* Forget sessions that are over, here and in the database. */
void kt_webs_sweep(struct kt_control *ctl);
void kt_devices_free(struct kt_control *ctl);
/* Forget logins whose time is over. */
void kt_devices_sweep(struct kt_control *ctl);

#endif
