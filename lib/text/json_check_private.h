/* SPDX-License-Identifier: MIT */
/* Inside of lib/text only: what the JSON files share with each other. */
#ifndef KT_TEXT_JSON_CHECK_PRIVATE_H
#define KT_TEXT_JSON_CHECK_PRIVATE_H

#include "base/err.h"

/* What cJSON would misread in a text, so that it must be parsed from a copy by kt_json_fix(). */
struct kt_json_faults {
	bool any; /* escaped NUL, half a surrogate pair, a number of over 63 characters, or: */
	size_t controls; /* control characters in strings; each may grow by two bytes */
};

/*
 * As kt_json_check(), of a text with max_nodes values at most (else KT_ELIMIT, before anything was
 * allocated for more); *out_faults is written on success.
 */
KT_MUST_CHECK enum kt_code kt_json_check_faults(const char *s, size_t len, int flags,
	size_t max_nodes, struct kt_json_faults *out_faults, struct kt_err *err);
/*
 * Decode a checked string at its opening quote in place; a NUL follows it. Returns where it begins.
 */
char *kt_json_unquote(char *s, size_t len, size_t *out_len);
/*
 * Write a checked text to out so that cJSON reads it right; out has room for len + 2 * controls
 * and a NUL. Returns its length.
 */
size_t kt_json_fix(char *out, const char *s, size_t len, int flags);
/* Line and column (characters) of byte off, both from 1. */
void kt_text_line_col(const char *s, size_t off, int *out_line, int *out_col);

#endif
