/* SPDX-License-Identifier: MIT */
/*
 * What an approval covers beyond the call that it answers. For lib/session only.
 *
 * To add a kind: its value in enum kt_decision (harness/driver.h), its offer in approvals.c, its
 * words, and pairs in tests/unit/session/test_approvals.c.
 */
#ifndef KT_SESSION_APPROVALS_PRIVATE_H
#define KT_SESSION_APPROVALS_PRIVATE_H

#include "base/buf.h"
#include "session/session.h"

/* Where a call is, to look at the paths that it names. */
struct kt_inside {
	const char *named; /* the session's folder, as it is called */
	const char *root; /* without links */
	const char *cwd; /* where the call runs, without links; in root */
};

/* inside.c */
/*
 * Is path (absolute, or from cwd) in root, with no link and nothing hidden on its way? It has to
 * exist, as a folder or a file without other names; with write it is a file or is not there yet,
 * and no settings. Its way from root is appended to out_rel ("" = root itself), which may be half
 * done when it is not.
 */
KT_MUST_CHECK bool kt_inside(
	const struct kt_inside *in, const char *path, bool write, struct kt_buf *out_rel);

/* readonly.c */
/*
 * Does command read only what is inside? Then its name ("ls", "git status") is written to out. It
 * can write, send or run nothing, whatever its arguments are.
 */
KT_MUST_CHECK bool kt_readonly(const struct kt_inside *in, const char *command, struct kt_buf *out);

/* approvals.c */
/* What an answer to ask would cover besides: struct kt_approval *, without ids; the caller's. */
void kt_approvals_offer(const struct kt_session *s, const struct kt_ask *ask, struct kt_vec *out);
/* The one of list with this decision; NULL. */
struct kt_approval *kt_approvals_find(const struct kt_vec *list, enum kt_decision decision);
/* The approval of s that covers one of the offers; NULL: somebody has to be asked. */
const struct kt_approval *kt_approvals_match(
	const struct kt_session *s, const struct kt_vec *offers);
/*
 * Remember one of the offers, which is TAKEN off their list, unless there is one that covers the
 * same. The one that is kept is returned; BORROWED.
 */
const struct kt_approval *kt_approvals_add(
	struct kt_session *s, struct kt_vec *offers, struct kt_approval *offer);

#endif
