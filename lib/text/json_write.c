/* SPDX-License-Identifier: MIT */
/*
 * Writing JSON straight into a buffer. Strings are the hot path: every event of every session
 * passes here, so runs of plain bytes are found with a table and copied whole.
 */
#include "text/json.h"

#include "base/str.h"
#include "text/seam.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* 0 copied as it is; 1 above ASCII (checked); otherwise the character of the escape. */
static const unsigned char esc[256] = {
	[0 ... 7] = 'u',
	['\b'] = 'b',
	['\t'] = 't',
	['\n'] = 'n',
	[11] = 'u',
	['\f'] = 'f',
	['\r'] = 'r',
	[14 ... 31] = 'u',
	['"'] = '"',
	['\\'] = '\\',
	[128 ... 255] = 1,
};

static void add_json_escape(struct kt_buf *b, unsigned char ch)
{
	static const char hex[] = "0123456789abcdef";
	char out[6] = { '\\', (char)esc[ch], '0', '0', hex[ch >> 4], hex[ch & 15] };

	kt_buf_add(b, out, esc[ch] == 'u' ? 6 : 2);
}

void kt_json_add_str(struct kt_buf *b, const char *s, size_t len)
{
	const unsigned char *p = (const unsigned char *)s;
	const unsigned char *end = p + len;
	const unsigned char *run = p;

	kt_buf_addc(b, '"');
	while (p < end) {
		uint32_t cp;
		size_t n;

		while (p < end && !esc[*p])
			p++;
		if (p >= end)
			break;
		if (esc[*p] == 1) {
			n = kt_utf8_decode((const char *)p, (size_t)(end - p), &cp);
			if (n > 0) {
				p += n;
				continue;
			}
		}
		kt_buf_add(b, run, (size_t)(p - run));
		if (esc[*p] == 1) {
			p += kt_seam_mend(b, (const char *)p, (size_t)(end - p));
		} else {
			add_json_escape(b, *p);
			p++;
		}
		run = p;
	}
	if (p > run)
		kt_buf_add(b, run, (size_t)(p - run));
	kt_buf_addc(b, '"');
}

static void add_int(struct kt_buf *b, int64_t v)
{
	uint64_t u = v < 0 ? -(uint64_t)v : (uint64_t)v;
	char text[24];
	char *p = text + sizeof(text);

	do {
		*--p = (char)('0' + u % 10);
		u /= 10;
	} while (u > 0);
	if (v < 0)
		*--p = '-';
	kt_buf_add(b, p, (size_t)(text + sizeof(text) - p));
}

/* Shortest of 15 to 17 digits that reads back the same; JSON has no infinity: null. */
static void add_num(struct kt_buf *b, double v)
{
	char text[40];

	if (!isfinite(v)) {
		kt_buf_add(b, "null", 4);
		return;
	}
	if (trunc(v) == v && fabs(v) <= 9007199254740992.0) {
		add_int(b, (int64_t)v);
		return;
	}
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, v);
		if (strtod(text, NULL) == v)
			break;
	}
	kt_buf_adds(b, text);
}

/* Recursion is as deep as the tree, which the validator has bounded. */
static void add_json_value(struct kt_buf *b, const cJSON *v)
{
	if (cJSON_IsString(v)) {
		kt_json_add_str(b, v->valuestring, strlen(v->valuestring));
	} else if (cJSON_IsNumber(v) && v->valuestring) {
		kt_buf_adds(b, v->valuestring); /* as it came: see kt_json_parse() */
	} else if (cJSON_IsNumber(v)) {
		add_num(b, v->valuedouble);
	} else if (cJSON_IsBool(v)) {
		kt_buf_adds(b, cJSON_IsTrue(v) ? "true" : "false");
	} else if (cJSON_IsObject(v) || cJSON_IsArray(v)) {
		bool obj = cJSON_IsObject(v);

		kt_buf_addc(b, obj ? '{' : '[');
		for (const cJSON *m = v->child; m; m = m->next) {
			if (m != v->child)
				kt_buf_addc(b, ',');
			if (obj) {
				kt_json_add_str(b, m->string, strlen(m->string));
				kt_buf_addc(b, ':');
			}
			add_json_value(b, m);
		}
		kt_buf_addc(b, obj ? '}' : ']');
	} else if (cJSON_IsRaw(v) && v->valuestring) {
		kt_buf_adds(b, v->valuestring);
	} else {
		kt_buf_add(b, "null", 4);
	}
}

void kt_json_add(struct kt_buf *b, const cJSON *v)
{
	add_json_value(b, v);
}

/* Comma and key in front of a value. */
static void begin_json_value(struct kt_jw *w, const char *key)
{
	if (w->comma)
		kt_buf_addc(w->b, ',');
	w->comma = true;
	if (key) {
		kt_json_add_str(w->b, key, strlen(key));
		kt_buf_addc(w->b, ':');
	}
}

void kt_jw_init(struct kt_jw *w, struct kt_buf *b)
{
	w->b = b;
	w->comma = false;
}

static void open_with(struct kt_jw *w, const char *key, char c)
{
	begin_json_value(w, key);
	kt_buf_addc(w->b, c);
	w->comma = false;
}

static void close_with(struct kt_jw *w, char c)
{
	kt_buf_addc(w->b, c);
	w->comma = true;
}

void kt_jw_obj(struct kt_jw *w, const char *key)
{
	open_with(w, key, '{');
}

void kt_jw_obj_end(struct kt_jw *w)
{
	close_with(w, '}');
}

void kt_jw_arr(struct kt_jw *w, const char *key)
{
	open_with(w, key, '[');
}

void kt_jw_arr_end(struct kt_jw *w)
{
	close_with(w, ']');
}

void kt_jw_str(struct kt_jw *w, const char *key, const char *s)
{
	kt_jw_strn(w, key, s, s ? strlen(s) : 0);
}

void kt_jw_strn(struct kt_jw *w, const char *key, const char *s, size_t len)
{
	begin_json_value(w, key);
	if (s)
		kt_json_add_str(w->b, s, len);
	else
		kt_buf_add(w->b, "null", 4);
}

void kt_jw_int(struct kt_jw *w, const char *key, int64_t v)
{
	begin_json_value(w, key);
	add_int(w->b, v);
}

void kt_jw_num(struct kt_jw *w, const char *key, double v)
{
	begin_json_value(w, key);
	add_num(w->b, v);
}

void kt_jw_bool(struct kt_jw *w, const char *key, bool v)
{
	begin_json_value(w, key);
	kt_buf_adds(w->b, v ? "true" : "false");
}

void kt_jw_null(struct kt_jw *w, const char *key)
{
	begin_json_value(w, key);
	kt_buf_add(w->b, "null", 4);
}

void kt_jw_raw(struct kt_jw *w, const char *key, const char *json, size_t len)
{
	begin_json_value(w, key);
	kt_buf_add(w->b, json, len);
}

void kt_jw_json(struct kt_jw *w, const char *key, const cJSON *v)
{
	begin_json_value(w, key);
	kt_json_add(w->b, v);
}
