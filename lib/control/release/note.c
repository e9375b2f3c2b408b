/* SPDX-License-Identifier: MIT */
/*
 * Notes: what a build is to come to was in builds/REL_ID.json until it had columns in the row of its
 * release. Builds that such a version did not end begin anew with what their notes say.
 */
#include "control/release/release_private.h"

#include "base/fs.h"
#include "base/str.h"
#include "store/datadir.h"

#include <string.h>
#include <unistd.h>

#define SUFFIX ".json"

struct adoption {
	struct kt_release_row **rows; /* in the arena */
	size_t n;
};

static enum kt_code put_noted(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	const struct adoption *a = arg;
	enum kt_code rc = KT_OK;

	for (size_t i = 0; rc == KT_OK && i < a->n; i++)
		rc = kt_tx_release_put(tx, a->rows[i], err);
	return rc;
}

/* The row of which this is the note, or NULL: it was never committed, or its build has ended. */
static struct kt_release_row *noted_row(struct kt_release_row *rows, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(rows[i].id);

		if (!strncmp(name, rows[i].id, len) && !strcmp(name + len, SUFFIX))
			return &rows[i];
	}
	return NULL;
}

static bool read_note(struct kt_arena *arena, const char *path, struct kt_release_row *row)
{
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(4096);
	KT_AUTO_JSON cJSON *doc = NULL;
	const char *expected;

	if (kt_fs_read(path, &text, NULL) != KT_OK ||
		kt_json_parse(text.ptr, text.len, KT_JSON_STRICT, &doc, NULL) != KT_OK)
		return false;
	row->aim = kt_release_aim(
		kt_json_bool(doc, "activate", true), kt_json_bool(doc, "unpin", false));
	expected = kt_json_str(doc, "expected");
	row->expected_commit = expected ? kt_arena_strdup(arena, expected) : NULL;
	return true;
}

/* A note, or one that was being written. */
static bool is_note(const char *name)
{
	return kt_str_ends(name, SUFFIX) || kt_str_starts(name, ".karta-tmp-");
}

enum kt_code kt_notes_adopt(struct kt_control *ctl, struct kt_arena *arena,
	struct kt_release_row *rows, size_t n, struct kt_err *err)
{
	KT_AUTOFREE char *dir = kt_data_path(ctl->data_dir, KT_DATA_BUILDS);
	struct adoption a = { .rows = kt_arena_alloc(arena, (n + 1) * sizeof(*a.rows)) };
	enum kt_code rc = KT_OK;
	char **names;
	size_t n_names;

	if (kt_fs_list(dir, &names, &n_names, NULL) != KT_OK)
		return KT_OK;
	for (size_t i = 0; i < n_names; i++) {
		KT_AUTOFREE char *path = kt_path_join(dir, names[i]);
		struct kt_release_row *row = noted_row(rows, n, names[i]);

		if (row && read_note(arena, path, row))
			a.rows[a.n++] = row;
	}
	if (a.n > 0)
		rc = kt_store_do(ctl->store, true, put_noted, &a, err);
	for (size_t i = 0; rc == KT_OK && i < n_names; i++) {
		KT_AUTOFREE char *path = kt_path_join(dir, names[i]);

		if (is_note(names[i]))
			(void)unlink(path);
	}
	kt_fs_names_free(names, n_names);
	return rc;
}
