/* SPDX-License-Identifier: MIT */
/*
 * The log: formats, escapes and hands one line to the sink. The sink is set before threads start
 * and read without a lock from then on.
 */
#include "base/log.h"

#include "base/str.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MAX_LINE_BYTES 4096

static const char *const level_names[] = { "debug", "info", "warn", "error" };

static struct {
	kt_log_fn fn;
	void *arg;
	enum kt_log_level lowest;
} sink;

void kt_log_set(kt_log_fn fn, void *arg, enum kt_log_level lowest)
{
	sink.fn = fn;
	sink.arg = arg;
	sink.lowest = lowest;
}

/*
 * Copy text so that it is one line and cannot drive a terminal: control characters, those that
 * reorder or hide text, and bytes that are not UTF-8 come out as \n, \r, \t or \xNN.
 */
static void escape_log_text(char *out, size_t size, const char *text, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len;) {
		uint32_t cp = 0;
		size_t used = kt_utf8_decode(text + i, len - i, &cp);
		unsigned char c = (unsigned char)text[i];
		char code[8];

		if (used && cp >= 0x20 && cp != 0x7f && !kt_utf8_is_unsafe(cp)) {
			if (n + used >= size)
				break;
			memcpy(out + n, text + i, used);
			n += used;
			i += used;
			continue;
		}
		if (c == '\n' || c == '\r' || c == '\t')
			snprintf(code, sizeof(code), "\\%c",
				c == '\n'           ? 'n'
					: c == '\r' ? 'r'
						    : 't');
		else
			snprintf(code, sizeof(code), "\\x%02x", c);
		if (n + strlen(code) >= size)
			break;
		memcpy(out + n, code, strlen(code));
		n += strlen(code);
		i++;
	}
	out[n] = '\0';
}

void kt_log(enum kt_log_level level, const char *source, const char *fmt, ...)
{
	char raw[MAX_LINE_BYTES], cut[MAX_LINE_BYTES - 4], line[MAX_LINE_BYTES];
	int saved = errno;
	va_list ap;
	int n;

	if (!sink.fn || level < sink.lowest)
		return;
	va_start(ap, fmt);
	n = vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	if (n < 0)
		raw[0] = '\0';
	/* A cut must not leave half a character, which would come out as bytes. */
	kt_str_copy(cut, sizeof(cut), raw);
	escape_log_text(line, sizeof(line), cut, strlen(cut));
	sink.fn(sink.arg, level, source, line);
	errno = saved;
}

const char *kt_log_level_name(enum kt_log_level level)
{
	return (unsigned)level < KT_ARRAY_LEN(level_names) ? level_names[level] : "error";
}

bool kt_log_level_parse(const char *s, enum kt_log_level *out)
{
	for (size_t i = 0; i < KT_ARRAY_LEN(level_names); i++) {
		if (!strcmp(s, level_names[i])) {
			*out = (enum kt_log_level)i;
			return true;
		}
	}
	return false;
}
