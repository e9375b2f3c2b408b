/* SPDX-License-Identifier: MIT */
/*
 * What a name leads to: which project, and which release of it. Answered from memory; what is not
 * found and what is not the caller's is the same answer.
 */
#include "control/project/project_private.h"

#include "base/str.h"
#include "base/time.h"

#include <ctype.h>
#include <string.h>

static void fill_target(
	const struct kt_project_mem *p, const struct kt_release_mem *preview, struct kt_target *out)
{
	const struct kt_release_mem *r = preview ? preview : p->current;

	memset(out, 0, sizeof(*out));
	(void)kt_str_copy(out->org_id, sizeof(out->org_id), p->org->id);
	(void)kt_str_copy(out->org_slug, sizeof(out->org_slug), p->org->slug);
	(void)kt_str_copy(out->project_id, sizeof(out->project_id), p->id);
	(void)kt_str_copy(out->project, sizeof(out->project), p->slug);
	out->preview = preview != NULL;
	out->folder = p->dir != NULL && !preview;
	if (r && !out->folder) {
		(void)kt_str_copy(out->release_id, sizeof(out->release_id), r->id);
		out->version = r->version;
	}
}

static enum kt_code target_of(struct kt_project_mem *p, const struct kt_release_mem *preview,
	struct kt_target *out, struct kt_err *err)
{
	fill_target(p, preview, out);
	if (!preview && !p->dir && !p->current)
		return kt_fail(err, KT_ECONFLICT, 0, "project '%s' has no active release", p->slug);
	return KT_OK;
}

static enum kt_code no_project(struct kt_err *err)
{
	return kt_fail(err, KT_ENOTFOUND, 0, "there is no such project");
}

/* A preview has expired when its time is over, not only when the sweep has come by. */
static bool label_open(const struct kt_label_mem *l)
{
	return !l->preview || l->preview->expires_us <= 0 || l->preview->expires_us > kt_time_us();
}

enum kt_code kt_control_target(struct kt_control *ctl, const char *org_id, const char *ref,
	struct kt_target *out, struct kt_err *err)
{
	struct kt_project_mem *p = kt_index_project(ctl, org_id, ref);
	struct kt_label_mem *l;

	if (p)
		return target_of(p, NULL, out, err);
	/* A preview's label too, where names below the host do not reach the server. */
	l = ref && strlen(ref) < 64 ? kt_map_get(&ctl->labels, ref) : NULL;
	if (!l || !org_id || strcmp(l->project->org->id, org_id) != 0 || !label_open(l))
		return no_project(err);
	return target_of(l->project, l->preview, out, err);
}

static int targets_by_slug(const void *a, const void *b)
{
	const struct kt_project_mem *const *pa = a;
	const struct kt_project_mem *const *pb = b;

	return strcmp((*pa)->slug, (*pb)->slug);
}

enum kt_code kt_control_target_flat(struct kt_control *ctl, const char *org_id,
	struct kt_target *out, struct kt_buf *choices, struct kt_err *err)
{
	const struct kt_org_mem *org = org_id ? kt_map_get(&ctl->orgs, org_id) : NULL;
	struct kt_project_mem *found[KT_FLAT_CHOICES];
	struct kt_project_mem *p = org ? kt_index_project(ctl, org_id, org->default_project) : NULL;
	size_t n = 0, pos = 0;
	const char *key;
	void *value;
	struct kt_jw w;

	if (p)
		return target_of(p, NULL, out, err);
	while (n < KT_FLAT_CHOICES && kt_map_next(&ctl->projects, &pos, &key, &value)) {
		p = value;
		if (org && p->org == org)
			found[n++] = p;
	}
	if (n == 0)
		return kt_fail(err, KT_ENOTFOUND, 0, "there is no project yet");
	if (n == 1)
		return target_of(found[0], NULL, out, err);
	qsort(found, n, sizeof(found[0]), targets_by_slug);
	kt_jw_init(&w, choices);
	for (size_t i = 0; i < n; i++)
		kt_jw_str(&w, NULL, found[i]->slug);
	return kt_fail(err, KT_EINVAL, 0, "there are several projects");
}

enum kt_code kt_control_target_path(struct kt_control *ctl, const char *org_slug, const char *slug,
	struct kt_target *out, struct kt_err *err)
{
	struct kt_org_mem *org = org_slug ? kt_map_get(&ctl->orgs_by_slug, org_slug) : NULL;

	if (!org)
		return no_project(err);
	return kt_control_target(ctl, org->id, slug, out, err);
}

enum kt_code kt_control_target_host(
	struct kt_control *ctl, const char *label, struct kt_target *out, struct kt_err *err)
{
	char low[64];
	size_t n = label ? strlen(label) : 0;
	struct kt_label_mem *l;

	if (n == 0 || n >= sizeof(low))
		return no_project(err);
	for (size_t i = 0; i <= n; i++)
		low[i] = (char)tolower((unsigned char)label[i]);
	l = kt_map_get(&ctl->labels, low);
	if (!l || !label_open(l))
		return no_project(err);
	return target_of(l->project, l->preview, out, err);
}
