/* SPDX-License-Identifier: MIT */
/*
 * A check at the end of what is kept as lines of text: the CRC-32C of all before it, as eight
 * hexadecimal digits. Of a JSON object it is the last member:
 *
 *	{"id":"sess_1", ... ,"sum":"0a1b2c3d"}
 *
 * Lines without one were written before there was one, and are read as ever.
 */
#ifndef KT_TEXT_LINESUM_H
#define KT_TEXT_LINESUM_H

#include "base/buf.h"

enum kt_linesum { KT_LINESUM_NONE, KT_LINESUM_OK, KT_LINESUM_BAD };

/* Give the JSON object that is b's bytes from `from` to its end its check. */
void kt_linesum_add(struct kt_buf *b, size_t from);
/* Look at the check of a line (without its LF). */
enum kt_linesum kt_linesum_check(const char *line, size_t len);
/* Write the check of these bytes: eight digits and NUL. */
void kt_linesum_text(const void *data, size_t len, char out[9]);

#endif
