/* SPDX-License-Identifier: MIT */
/* GitHub Actions. Failures here are warnings: what was deployed is deployed. */
#include "cmd/git/ci.h"

#include "base/buf.h"
#include "base/env.h"
#include "base/fs.h"
#include "base/rand.h"
#include "base/str.h"
#include "cmd/cmd.h"
#include "text/clean.h"
#include "text/json.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define EVENT_MAX_BYTES ((size_t)25 * 1024 * 1024) /* GitHub's own limit of a payload */
#define TEXT_MAX_BYTES ((size_t)1024 * 1024) /* of a step summary */

bool kt_ci_on(void)
{
	return kt_str_eq(kt_env_get("GITHUB_ACTIONS"), "true");
}

/* --- what it runs for -------------------------------------------------------------------- */

static void read_event(struct kt_ci_run *run)
{
	const char *path = kt_env_get("GITHUB_EVENT_PATH");
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(EVENT_MAX_BYTES);
	KT_AUTO_JSON cJSON *doc = NULL;
	const cJSON *pr;
	const char *head, *base;

	if (!path || kt_fs_read(path, &b, NULL) != KT_OK ||
		kt_json_parse(b.ptr, b.len, KT_JSON_LENIENT, &doc, NULL) != KT_OK)
		return;
	pr = kt_json_obj(doc, "pull_request");
	if (!pr)
		return;
	run->pr = kt_json_int(pr, "number", kt_json_int(doc, "number", run->pr));
	head = cJSON_GetStringValue(kt_json_path(pr, "head.repo.full_name"));
	base = cJSON_GetStringValue(kt_json_path(pr, "base.repo.full_name"));
	/* A head without a repository is a fork that was deleted. */
	run->fork = !head || !kt_str_ieq(head, base);
}

void kt_ci_read(struct kt_ci_run *out)
{
	const char *ref = kt_env_get("GITHUB_REF"), *head = kt_env_get("GITHUB_HEAD_REF");
	struct kt_ci_run run = { .ref = "" };
	KT_AUTOFREE char *full = NULL;

	if (kt_ci_on()) {
		/* refs/pull/7/merge */
		if (ref && kt_str_starts(ref, "refs/pull/")) {
			const char *n = ref + strlen("refs/pull/");

			if (!kt_str_int64n(n, strcspn(n, "/"), 1, INT32_MAX, &run.pr))
				run.pr = 0;
		}
		if (head)
			full = kt_asprintf("refs/heads/%s", head);
		else if (ref && !run.pr)
			full = kt_strdup(ref);
		if (full && !kt_str_copy(run.ref, sizeof(run.ref), full))
			run.ref[0] = '\0';
		read_event(&run);
	}
	*out = run;
}

/* --- telling ----------------------------------------------------------------------------- */

/* Workflow commands are lines: what would end one, or a property, is percent-encoded. */
static void add_ci_escaped(struct kt_buf *b, const char *s, size_t len, bool property)
{
	for (size_t i = 0; i < len; i++) {
		char c = s[i];

		if (c == '%' || c == '\r' || c == '\n' || (property && (c == ':' || c == ',')))
			kt_buf_addf(b, "%%%02X", (unsigned char)c);
		else
			kt_buf_addc(b, c);
	}
}

/* "karta.toml:12:5: " at the start of text; lengths of the parts, 0 when it is not there. */
static size_t place_in_text(const char *text, size_t *file, const char **line, const char **col)
{
	const char *p = text + strcspn(text, ":");
	size_t n;

	*file = (size_t)(p - text);
	if (*p != ':' || !*file || memchr(text, ' ', *file))
		return 0;
	*line = ++p;
	n = strspn(p, "0123456789");
	if (!n || p[n] != ':')
		return 0;
	p += n + 1;
	*col = p;
	n = strspn(p, "0123456789");
	if (n && p[n] == ':') {
		p += n + 1;
	} else {
		*col = NULL;
	}
	p += *p == ' ';
	return (size_t)(p - text);
}

void kt_ci_annotate(const char *level, const char *title, const char *sub, const char *text)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(TEXT_MAX_BYTES);
	const char *line = NULL, *col = NULL, *rest;
	size_t file, skip;
	struct kt_ctx loud = { 0 };

	if (!kt_ci_on())
		return;
	text += strspn(text, " !-");
	skip = place_in_text(text, &file, &line, &col);
	/* "error: " is what it is shown as. */
	rest = text + skip;
	if (kt_str_starts(rest, level) && kt_str_starts(rest + strlen(level), ": "))
		rest += strlen(level) + 2;
	kt_clean_addf(&b, "::%s title=", level);
	add_ci_escaped(&b, title, strlen(title), true);
	if (skip) {
		kt_buf_adds(&b, ",file=");
		if (sub && *sub) {
			add_ci_escaped(&b, sub, strlen(sub), true);
			kt_buf_addc(&b, '/');
		}
		add_ci_escaped(&b, text, file, true);
		kt_clean_addf(&b, ",line=%.*s", (int)strspn(line, "0123456789"), line);
		if (col)
			kt_clean_addf(&b, ",col=%.*s", (int)strspn(col, "0123456789"), col);
	}
	kt_buf_adds(&b, "::");
	add_ci_escaped(&b, rest, strlen(rest), false);
	kt_say_built(&loud, &b);
}

void kt_ci_defuse(char *line)
{
	char *p;

	if (!kt_ci_on())
		return;
	/* "::name::" counts at the start, after blanks; the older "##[name]" anywhere. */
	p = line + strspn(line, " \t\r\n\v\f");
	if (p[0] == ':' && p[1] == ':')
		p[0] = p[1] = '.';
	for (p = line; (p = strstr(p, "##[")) != NULL; p++)
		p[2] = '(';
}

/* Append to the file that the variable names. */
static void append_to_ci_file(const char *variable, const struct kt_buf *b)
{
	const char *path = kt_env_get(variable);
	struct kt_ctx loud = { 0 };
	struct kt_err err = KT_ERR_INIT;
	KT_AUTOFD int fd = -1;

	if (!kt_ci_on() || !path)
		return;
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0)
		(void)kt_fail(&err, KT_EIO, errno, "cannot write '%s'", path);
	if (fd < 0 || kt_fs_write_all(fd, b->ptr, b->len, &err) != KT_OK)
		kt_warn(&loud, "%s: %s", variable, err.msg);
}

void kt_ci_output(const char *name, const char *value)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(TEXT_MAX_BYTES);
	char mark[KT_ID_MAX];

	/* The mark cannot be guessed, so that a value cannot end itself and begin another output.
	 */
	kt_rand_id("karta_", mark);
	if (value[strcspn(value, "\r\n")])
		kt_buf_addf(&b, "%s<<%s\n%s\n%s\n", name, mark, value, mark);
	else
		kt_buf_addf(&b, "%s=%s\n", name, value);
	append_to_ci_file("GITHUB_OUTPUT", &b);
}

void kt_ci_summary(const char *markdown)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(TEXT_MAX_BYTES);

	kt_buf_adds(&b, markdown);
	append_to_ci_file("GITHUB_STEP_SUMMARY", &b);
}
