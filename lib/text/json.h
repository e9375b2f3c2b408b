/* SPDX-License-Identifier: MIT */
/*
 * Strict JSON (RFC 8259) over cJSON: a validator of our own stands in front, because cJSON takes
 * duplicate keys, trailing bytes, leading zeros and invalid UTF-8 and cuts strings at \u0000.
 * Getters are case-sensitive and typed. The writer appends straight to a buffer: events are
 * written once a line and must not cost a tree.
 */
#ifndef KT_TEXT_JSON_H
#define KT_TEXT_JSON_H

#include "base/buf.h"
#include "base/err.h"

#include <cjson/cJSON.h>

enum {
	KT_JSON_STRICT = 0, /* RFC 8259, unique keys, no NUL in strings, depth 64 */
	KT_JSON_DUP_KEYS = 1, /* duplicate keys are fine (the last wins); harness output */
	KT_JSON_NUL_ESCAPE = 2, /* \u0000 and half surrogate pairs become U+FFFD; harness output */
	KT_JSON_DEEP = 4, /* depth 512 instead of 64; harness output */
	/*
	 * One bad byte costs one character: invalid UTF-8 stays as it is and a half of a surrogate
	 * pair becomes its three bytes, for text/seam.h to join over chunks and for the writer to
	 * make U+FFFD of the rest; a control character in a string is U+FFFD (a tab stays one) and
	 * a blank between values; a byte order mark is stepped over.
	 */
	KT_JSON_BAD_BYTES = 8,
};
#define KT_JSON_LENIENT (KT_JSON_DUP_KEYS | KT_JSON_NUL_ESCAPE | KT_JSON_DEEP)
/* A line of a harness: strings may hold bytes that are not UTF-8. */
#define KT_JSON_HARNESS (KT_JSON_LENIENT | KT_JSON_BAD_BYTES)

/*
 * Check that len bytes are one JSON value with nothing but blanks around it.
 * Returns KT_OK or KT_EINVAL with "line:column: what" as the message.
 */
KT_MUST_CHECK enum kt_code kt_json_check(const char *s, size_t len, int flags, struct kt_err *err);

/*
 * As kt_json_check(), then parse; a text of more than KT_MAX_JSON_NODES values is refused with
 * KT_ELIMIT before there is a tree (a value is 64 bytes and its strings). *out is the caller's,
 * cJSON_Delete(). A number that a double does not hold keeps its text (as valuestring), so that
 * kt_json_add() writes what was read.
 */
KT_MUST_CHECK enum kt_code kt_json_parse(
	const char *s, size_t len, int flags, cJSON **out, struct kt_err *err);
/* The same with another bound, where the memory of a site asks for one. */
KT_MUST_CHECK enum kt_code kt_json_parse_max(
	const char *s, size_t len, int flags, size_t max_nodes, cJSON **out, struct kt_err *err);

/*
 * Large documents, without a tree. Check a text (a NUL follows it) strictly, with max_nodes values
 * at most, which has to be an object, then call fn with each of its members. The key is decoded,
 * the value raw; fn may write to it, as kt_json_member_str() does. Returns as kt_json_parse(),
 * KT_EPROTO for anything but an object, or what fn returned.
 */
struct kt_json_member {
	const char *key; /* NUL-terminated, in the text */
	char *value;
	size_t len;
};
typedef enum kt_code (*kt_json_member_fn)(
	void *arg, const struct kt_json_member *m, struct kt_err *err);
KT_MUST_CHECK enum kt_code kt_json_members(
	char *s, size_t len, size_t max_nodes, kt_json_member_fn fn, void *arg, struct kt_err *err);
/*
 * Decode a string value of such a member in place; a NUL follows it. Returns its beginning; NULL
 * when the value is no string.
 */
char *kt_json_member_str(const struct kt_json_member *m, size_t *out_len);

/* Cleanup for locals: KT_AUTO_JSON cJSON *doc = NULL; */
void kt_json_cleanup(cJSON **p);
#define KT_AUTO_JSON __attribute__((cleanup(kt_json_cleanup)))

/* Member of an object (case-sensitive), NULL when obj is NULL, no object, or lacks it. */
const cJSON *kt_json_get(const cJSON *obj, const char *key);
/* Member by path "a.b.c". */
const cJSON *kt_json_path(const cJSON *obj, const char *path);
/* About how many bytes of memory a tree takes: its values, names and strings. NULL: 0. */
size_t kt_json_memory(const cJSON *doc);
/* String member or NULL. BORROWS until the document is deleted. */
const char *kt_json_str(const cJSON *obj, const char *key);
/* String member or dflt. */
const char *kt_json_str_or(const cJSON *obj, const char *key, const char *dflt);
/* Integer member (a number without fraction within +-2^53) or dflt. */
int64_t kt_json_int(const cJSON *obj, const char *key, int64_t dflt);
double kt_json_num(const cJSON *obj, const char *key, double dflt);
/* Boolean member or dflt. */
bool kt_json_bool(const cJSON *obj, const char *key, bool dflt);
/* Array or object member, NULL when absent or of another type. */
const cJSON *kt_json_arr(const cJSON *obj, const char *key);
const cJSON *kt_json_obj(const cJSON *obj, const char *key);
/* Append the compact text of any value ("null" for NULL). */
void kt_json_add(struct kt_buf *b, const cJSON *v);

/*
 * Writer. Commas and colons are put by the writer; nesting is the caller's. `key` is NULL inside
 * arrays and for the outermost value. Strings: NULL writes null; two halves of a surrogate pair
 * (see KT_JSON_BAD_BYTES) are written as their character, other invalid UTF-8 as U+FFFD, so that
 * output is always valid.
 */
struct kt_jw {
	struct kt_buf *b;
	bool comma; /* the next value needs a comma first */
};

/* Begin writing to b, which stays the caller's. */
void kt_jw_init(struct kt_jw *w, struct kt_buf *b);
/* Open and close objects and arrays. */
void kt_jw_obj(struct kt_jw *w, const char *key);
void kt_jw_obj_end(struct kt_jw *w);
void kt_jw_arr(struct kt_jw *w, const char *key);
void kt_jw_arr_end(struct kt_jw *w);
/* One value each. */
void kt_jw_str(struct kt_jw *w, const char *key, const char *s);
void kt_jw_strn(struct kt_jw *w, const char *key, const char *s, size_t len);
void kt_jw_int(struct kt_jw *w, const char *key, int64_t v);
void kt_jw_num(struct kt_jw *w, const char *key, double v);
void kt_jw_bool(struct kt_jw *w, const char *key, bool v);
void kt_jw_null(struct kt_jw *w, const char *key);
/* Text that already is one JSON value. */
void kt_jw_raw(struct kt_jw *w, const char *key, const char *json, size_t len);
/* A cJSON value (NULL writes null). */
void kt_jw_json(struct kt_jw *w, const char *key, const cJSON *v);
/* Append s as a JSON string with quotes, outside any writer. */
void kt_json_add_str(struct kt_buf *b, const char *s, size_t len);

/*
 * JSONC: blank comments and trailing commas in place (bytes become spaces, so that positions
 * stay), then parse strictly. Errors say "line:column: what".
 */
KT_MUST_CHECK enum kt_code kt_jsonc_parse(char *s, size_t len, cJSON **out, struct kt_err *err);
/* As kt_jsonc_parse() for files of others: of two keys the last counts, \u0000 becomes U+FFFD. */
KT_MUST_CHECK enum kt_code kt_jsonc_parse_lenient(
	char *s, size_t len, cJSON **out, struct kt_err *err);
/*
 * Line and column (from 1) of the key that `path` ("cli.input_required_policy") names in JSONC or
 * JSON text; false when not found.
 */
KT_MUST_CHECK bool kt_jsonc_locate(
	const char *s, size_t len, const char *path, int *out_line, int *out_col);

#endif
