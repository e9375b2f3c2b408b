/* SPDX-License-Identifier: MIT */
/*
 * The note beside the row of a release, builds/REL_ID.json: what its build is to come to, for one
 * that a crash interrupts.
 */
#include "control/release/release_private.h"

#include "base/fs.h"
#include "base/str.h"

#include <string.h>
#include <unistd.h>

static char *note_path(const struct kt_control *ctl, const char *release_id)
{
	return kt_asprintf("%s/builds/%s.json", ctl->data_dir, release_id);
}

enum kt_code kt_build_note(struct kt_control *ctl, const char *release_id,
	const struct kt_build_aim *aim, struct kt_err *err)
{
	KT_AUTOFREE char *path = note_path(ctl, release_id);
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1024);
	struct kt_jw w;

	if (aim->activate && !aim->unpin && !aim->expected)
		return KT_OK;
	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_jw_bool(&w, "activate", aim->activate);
	kt_jw_bool(&w, "unpin", aim->unpin);
	if (aim->expected)
		kt_jw_str(&w, "expected", aim->expected);
	kt_jw_obj_end(&w);
	return kt_fs_write_atomic(path, b.ptr, b.len, 0600, true, err);
}

void kt_build_unnote(struct kt_control *ctl, const char *release_id)
{
	KT_AUTOFREE char *path = note_path(ctl, release_id);

	(void)unlink(path);
}

void kt_build_read_note(struct kt_control *ctl, struct kt_arena *arena, const char *release_id,
	struct kt_build_aim *out)
{
	KT_AUTOFREE char *path = note_path(ctl, release_id);
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(4096);
	KT_AUTO_JSON cJSON *doc = NULL;
	const char *expected;

	*out = (struct kt_build_aim){ .activate = true };
	if (kt_fs_read(path, &text, NULL) != KT_OK ||
		kt_json_parse(text.ptr, text.len, KT_JSON_STRICT, &doc, NULL) != KT_OK)
		return;
	out->activate = kt_json_bool(doc, "activate", true);
	out->unpin = kt_json_bool(doc, "unpin", false);
	expected = kt_json_str(doc, "expected");
	out->expected = expected ? kt_arena_strdup(arena, expected) : NULL;
}

void kt_build_drop_notes(struct kt_control *ctl)
{
	KT_AUTOFREE char *dir = kt_path_join(ctl->data_dir, "builds");
	char **names;
	size_t n;

	if (kt_fs_list(dir, &names, &n, NULL) != KT_OK)
		return;
	for (size_t i = 0; i < n; i++) {
		KT_AUTOFREE char *path = kt_path_join(dir, names[i]);
		char id[KT_ID_MAX];
		size_t len = strlen(names[i]);

		/* One that was being written. */
		if (kt_str_starts(names[i], ".karta-tmp-"))
			(void)unlink(path);
		if (!kt_str_ends(names[i], ".json") || len - 5 >= sizeof(id))
			continue;
		memcpy(id, names[i], len - 5);
		id[len - 5] = '\0';
		if (!kt_map_get(&ctl->builds, id))
			(void)unlink(path);
	}
	kt_fs_names_free(names, n);
}
