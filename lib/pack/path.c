/* SPDX-License-Identifier: MIT */
/* Which paths may be in a release: those that are one and the same name on every disk. */
#include "pack/pack.h"

#include "base/str.h"
#include "text/unicode.h"

#include <string.h>

#define MAX_NAME_BYTES 255 /* NAME_MAX on Linux */
#define SHOWN_BYTES 160 /* of a path in a message */

/* A path as it may be shown: cut, and what cannot be shown replaced. */
static char *shown_path(const char *path, size_t len)
{
	struct kt_buf b = KT_BUF_INIT(SHOWN_BYTES * 4 + 8);
	size_t at = 0;
	while (at < len && at < SHOWN_BYTES) {
		uint32_t cp = 0;
		size_t used = kt_utf8_decode(path + at, len - at, &cp);
		if (used == 0)
			kt_buf_addf(&b, "\\x%02x", (unsigned char)path[at]);
		else if (kt_unicode_hidden(cp) && cp < 0x80)
			kt_buf_addf(&b, "\\x%02x", cp);
		else if (kt_unicode_hidden(cp))
			kt_buf_addf(&b, "\\u{%x}", cp);
		else
			kt_buf_add(&b, path + at, used);
		at += used == 0 ? 1 : used;
	}
	if (at < len)
		kt_buf_adds(&b, "...");
	return kt_buf_take(&b);
}

static enum kt_code refuse_path(const char *path, size_t len, const char *why, struct kt_err *err)
{
	KT_AUTOFREE char *text = shown_path(path, len);
	return kt_fail(err, KT_EINVAL, 0, "path '%s' %s", text, why);
}

static enum kt_code path_too_much(const char *path, size_t len, const char *limit, int64_t max,
	const char *unit, struct kt_err *err)
{
	KT_AUTOFREE char *text = shown_path(path, len);
	return kt_fail(err, KT_ELIMIT, 0, "path '%s' is over the limit %s of %lld %s", text, limit,
		(long long)max, unit);
}

/* Why a component must not be, or NULL. */
static const char *bad_name(const char *s, size_t len, bool root)
{
	if (len == 0)
		return "has an empty component";
	if (len == 1 && s[0] == '.')
		return "has the component '.'";
	if (len == 2 && s[0] == '.' && s[1] == '.')
		return "has the component '..'";
	if (len == 4 && strncasecmp(s, ".git", 4) == 0)
		return "has the component '.git'";
	if (root && s[0] == '-')
		return "begins with '-'";
	if (s[len - 1] == '.' || s[len - 1] == ' ')
		return "has a component that ends with a dot or blank";
	if (len > MAX_NAME_BYTES)
		return "has a component longer than 255 bytes";
	return NULL;
}

static const char *bad_text(const char *path, size_t len)
{
	for (size_t at = 0; at < len;) {
		uint32_t cp = 0;
		size_t used = kt_utf8_decode(path + at, len - at, &cp);
		if (used == 0)
			return "is not UTF-8";
		if (cp == '\\')
			return "has a backslash";
		if (cp < 0x20 || cp == 0x7f)
			return "has a control character";
		if (kt_unicode_hidden(cp))
			return "has a character that cannot be seen";
		at += used;
	}
	if (!kt_unicode_is_nfc(path, len))
		return "is not in Unicode normal form C";
	return NULL;
}

enum kt_code kt_pack_path_check(
	const char *path, size_t len, const struct kt_pack_limits *l, struct kt_err *err)
{
	int64_t depth = 0;
	const char *why;
	if (len == 0)
		return kt_fail(err, KT_EINVAL, 0, "a path is empty");
	if ((int64_t)len > l->max_path_bytes)
		return path_too_much(path, len, "max_path_bytes", l->max_path_bytes, "bytes", err);
	if (path[0] == '/')
		return refuse_path(path, len, "is absolute", err);
	for (size_t at = 0; at <= len; depth++) {
		const char *end = memchr(path + at, '/', len - at);
		size_t n = end != NULL ? (size_t)(end - (path + at)) : len - at;
		why = bad_name(path + at, n, at == 0);
		if (why != NULL)
			return refuse_path(path, len, why, err);
		at += n + 1;
	}
	if (depth > l->max_depth)
		return path_too_much(path, len, "max_depth", l->max_depth, "folders", err);
	why = bad_text(path, len);
	return why != NULL ? refuse_path(path, len, why, err) : KT_OK;
}
