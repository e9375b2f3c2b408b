/* SPDX-License-Identifier: MIT */
/* Inside of lib/text only: what the JSON files share with each other. */
#ifndef KT_TEXT_JSON_CHECK_H
#define KT_TEXT_JSON_CHECK_H

#include "base/err.h"

/*
 * As kt_json_check(). *out_fix says that cJSON would misread the text (escaped NUL, half a
 * surrogate pair, a number of over 63 characters), so that a copy must go through kt_json_fix().
 */
KT_MUST_CHECK enum kt_code kt_json_check_fix(
	const char *s, size_t len, int flags, bool *out_fix, struct kt_err *err);
/* Rewrite a checked text in place, same length, so that cJSON reads it right; s[len] is NUL. */
void kt_json_fix(char *s, size_t len);
/* Line and column (characters) of byte off, both from 1. */
void kt_text_line_col(const char *s, size_t off, int *out_line, int *out_col);

#endif
