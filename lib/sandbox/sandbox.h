/* SPDX-License-Identifier: MIT */
/*
 * Where the programs of sessions are started: harnesses, and the setup scripts of applications. A
 * kind of sandbox decides what such a program may reach; whoever starts one says which folders it
 * is about and knows nothing of how. There is one kind today, that has no walls: a program runs as
 * the server does. docs/security.md says what that means.
 */
#ifndef KT_SANDBOX_SANDBOX_H
#define KT_SANDBOX_SANDBOX_H

#include "proc/proc.h"

struct kt_sandbox;

/* What a start is about. Strings are BORROWED for the call. */
struct kt_sandbox_start {
	const char
		*session_id; /* NULL: it is started ahead of any, or for a folder that is served */
	const char *workspace; /* it works there */
	const char *home; /* its own, or NULL: that of the server's user */
};

/* A kind. */
struct kt_sandbox_ops {
	const char *name;
	/* As kt_sandbox_spawn(). */
	enum kt_code (*spawn)(struct kt_sandbox *sb, const struct kt_sandbox_start *start,
		const struct kt_child_spec *spec, const struct kt_child_ops *ops, void *arg,
		struct kt_child **out, struct kt_err *err);
	void (*free)(struct kt_sandbox *sb);
};
/* The first member of a kind's own. */
struct kt_sandbox {
	const struct kt_sandbox_ops *ops;
};

/* The kind without walls (none.c). The spawner is BORROWED; the caller's, kt_sandbox_free(). */
KT_MUST_CHECK struct kt_sandbox *kt_sandbox_none(struct kt_spawner *spawner);
/* Ends no program. NULL is fine. */
void kt_sandbox_free(struct kt_sandbox *sb);
/* Start a program: as kt_child_spawn(), and KT_EDENIED where the kind refuses what it is about. */
KT_MUST_CHECK enum kt_code kt_sandbox_spawn(struct kt_sandbox *sb,
	const struct kt_sandbox_start *start, const struct kt_child_spec *spec,
	const struct kt_child_ops *ops, void *arg, struct kt_child **out, struct kt_err *err);

#endif
