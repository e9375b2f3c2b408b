/* SPDX-License-Identifier: MIT */
/* fsck: what was found, a line each. */
#include "control/admin/fsck_private.h"

#include "text/json.h"

static void fsck_add_line(struct kt_fsck *f, const char *invariant, const char *object,
	const char *message, bool left_over)
{
	KT_AUTO_BUF struct kt_buf line = KT_BUF_INIT(16384);
	struct kt_jw w;

	kt_jw_init(&w, &line);
	kt_jw_obj(&w, NULL);
	kt_jw_str(&w, "invariant", invariant);
	kt_jw_str(&w, "object", object);
	kt_jw_str(&w, "message", message);
	if (left_over)
		kt_jw_bool(&w, "left_over", true);
	kt_jw_obj_end(&w);
	kt_buf_addc(&line, '\n');
	if (kt_buf_ok(&line) && line.len <= f->out->max - f->out->len)
		kt_buf_add(f->out, line.ptr, line.len);
}

void kt_fsck_say(struct kt_fsck *f, const char *invariant, const char *object, const char *fmt, ...)
{
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(1024);
	va_list ap;

	va_start(ap, fmt);
	kt_buf_vaddf(&text, fmt, ap);
	va_end(ap);
	f->findings++;
	fsck_add_line(f, invariant, object, text.ptr, false);
}

void kt_fsck_left(struct kt_fsck *f, const char *object)
{
	fsck_add_line(f, "I4", object, "left over, cleaned at the next start", true);
}
