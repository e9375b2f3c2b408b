/* SPDX-License-Identifier: MIT */
/*
 * What git gets when it fetches from a project: where its refs are, and no objects, as it keeps
 * releases and no history. A ref at a commit that is not here would have git ask for the commit, so
 * it is left out, with a word about it: fetching from all remotes does not fail for this one.
 */
#include "cmd/git/git_remote.h"

#include "base/str.h"

#include <string.h>

#define LEFT_OUT_SAID 5 /* refs that are named */

static const char *branch_of(const char *ref)
{
	static const char heads[] = "refs/heads/";

	return kt_str_starts(ref, heads) ? ref + strlen(heads) : ref;
}

enum kt_code kt_helper_no_history(const struct helper *h, struct kt_err *err)
{
	(void)kt_fail(err, KT_EINVAL, 0,
		"nothing can be fetched from a project: it keeps releases, no history");
	return kt_hint(err,
		"clone where it was pushed from; 'karta releases download -p %s' gets the files "
		"of the live release",
		h->project);
}

/* git has just made this repository, of this very remote. */
static bool is_clone(const struct helper *h)
{
	return kt_str_eq(h->remote, "origin") && !kt_helper_has_commit("HEAD");
}

static void say_left_out(struct helper *h, const struct kt_vec *refs)
{
	const cJSON *all = kt_json_obj(h->refs, "refs");

	for (size_t i = 0; i < refs->len && i < LEFT_OUT_SAID; i++)
		kt_talk_say(&h->talk, "%s is at %.7s, which is not in this repository",
			branch_of(refs->items[i]), kt_json_str_or(all, refs->items[i], ""));
	if (refs->len > LEFT_OUT_SAID)
		kt_talk_say(&h->talk, "and %zu more", refs->len - LEFT_OUT_SAID);
	if (refs->len)
		kt_talk_say(&h->talk,
			"A project keeps releases, no history: fetch that from where it was pushed "
			"from");
}

enum kt_code kt_helper_list(struct helper *h, struct kt_buf *out, struct kt_err *err)
{
	const char *production = kt_json_str_or(h->refs, "production_ref", "refs/heads/main");
	struct kt_vec left_out = KT_VEC_INIT;
	bool here = kt_helper_git_dir() != NULL;
	bool has_production = false, any = false;
	const cJSON *ref;

	if (!h->refs)
		kt_talk_say(&h->talk, "There is no project %s yet: git push karta main makes it",
			h->project);
	cJSON_ArrayForEach (ref, kt_json_obj(h->refs, "refs")) {
		if (!kt_helper_ref_listed(ref))
			continue;
		any = true;
		if (here && !kt_helper_has_commit(ref->valuestring)) {
			kt_vec_push(&left_out, ref->string);
			continue;
		}
		has_production = has_production || kt_str_eq(ref->string, production);
		kt_buf_addf(out, "%s %s\n", ref->valuestring, ref->string);
	}
	if (has_production)
		kt_buf_addf(out, "@%s HEAD\n", production);
	if (any && here && is_clone(h)) {
		kt_vec_release(&left_out);
		return kt_helper_no_history(h, err);
	}
	say_left_out(h, &left_out);
	kt_vec_release(&left_out);
	return KT_OK;
}

enum kt_code kt_helper_fetch(struct helper *h, const char *line, struct kt_err *err)
{
	const char *sha = line + strlen("fetch ");
	KT_AUTOFREE char *commit = kt_strndup(sha, strcspn(sha, " "));

	/* What is here need not be brought, also when git asks for it anew. */
	if (*commit && *commit != '-' && kt_helper_has_commit(commit))
		return KT_OK;
	return kt_helper_no_history(h, err);
}
