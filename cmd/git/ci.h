/* SPDX-License-Identifier: MIT */
/*
 * GitHub Actions: what the runner says about the run, and its ways to be told of results
 * (docs.github.com "Workflow commands", "Variables reference"). Everything here does nothing when
 * GITHUB_ACTIONS is not "true".
 */
#ifndef KT_CMD_GIT_CI_H
#define KT_CMD_GIT_CI_H

#include "base/err.h"

/* This runs in a job of GitHub Actions. */
bool kt_ci_on(void);

struct kt_ci_run {
	char ref[512]; /* "refs/heads/x": of the branch, also in a pull request; "" = not known */
	int64_t pr; /* number of the pull request, 0 = none */
	bool fork; /* its branch is in another repository */
};
/* What the run is for; all empty outside of GitHub Actions. */
void kt_ci_read(struct kt_ci_run *out);

/*
 * Annotate, on stderr: level is "error", "warning" or "notice"; a text that begins with
 * "file:line:col: " is shown at that place, below `sub` of the repository.
 */
void kt_ci_annotate(const char *level, const char *title, const char *sub, const char *text);
/* Make text that others wrote no workflow command, in place: one line of the log. */
void kt_ci_defuse(char *line);
/* An output of the step; value may have lines. */
void kt_ci_output(const char *name, const char *value);
/* Append Markdown to the job's summary. */
void kt_ci_summary(const char *markdown);

#endif
