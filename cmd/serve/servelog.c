/* SPDX-License-Identifier: MIT */
/* The log of `karta serve`. */
#include "cmd/serve/servelog.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/time.h"
#include "text/clean.h"
#include "text/json.h"

#include <unistd.h>

#define LINE_BYTES 65536

/* A log that cannot be written must not stop the server: errors are dropped. */
static void put_servelog(const struct kt_buf *b)
{
	if (kt_fs_write_all(STDERR_FILENO, b->ptr, b->len, NULL) != KT_OK)
		return;
}

static void sink_json(void *arg, enum kt_log_level level, const char *source, const char *text)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(LINE_BYTES);
	struct kt_jw w;
	char at[64];

	kt_time_iso(kt_time_us(), true, at, sizeof(at));
	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_jw_str(&w, "time", at);
	kt_jw_str(&w, "level", kt_log_level_name(level));
	kt_jw_str(&w, "source", source);
	kt_jw_str(&w, "message", text);
	kt_jw_obj_end(&w);
	kt_buf_addc(&b, '\n');
	put_servelog(&b);
}

static void sink_text(void *arg, enum kt_log_level level, const char *source, const char *text)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(LINE_BYTES);
	char at[64];

	if (isatty(STDERR_FILENO))
		kt_time_log(kt_time_us(), at, sizeof(at));
	else
		kt_time_iso(kt_time_us(), true, at, sizeof(at));
	kt_clean_addf(&b, "%s %-5s %-8s %s\n", at, kt_log_level_name(level), source, text);
	put_servelog(&b);
}

void kt_servelog_open(bool json, enum kt_log_level lowest)
{
	kt_log_set(json ? sink_json : sink_text, NULL, lowest);
}
