/* SPDX-License-Identifier: MIT */
/*
 * Columns, normal form C and simple case folding by tables that scripts/embed-unicode makes when
 * the program is built:
 *   widths          terminal columns,
 *   classes         canonical combining classes, NEVER_NFC for what is never in normal form C,
 *   pairs           primary composites with their two parts, sorted by composite; the first
 *                   N_PAIRS_LOW of them are below U+10000, of the others that is taken away,
 *   pairs_by_parts  indices of pairs, sorted by parts,
 *   folds           simple case folding: index of fold_adds, and whether only every second code
 *                   point is folded.
 * widths, classes and folds have items FIRST << 8 | VALUE. Hangul is computed (Unicode 3.12).
 * Letters that are newer than the tables are taken as they are.
 */
#include "text/unicode.h"

#include "base/str.h"
#include "text/unicode_tables.h"

#include <string.h>

#define MAX_MARKS 30
#define LAST_CODE_POINT 0x10ffff

struct nfc_range {
	uint32_t first, last;
};

/* The item of a table that cp, a code point, belongs to; the first item is that of 0. */
static uint32_t item_of(const uint32_t *table, size_t n, uint32_t cp)
{
	uint32_t key = cp << 8 | 0xff;
	while (n > 1) {
		size_t half = n / 2;
		table += table[half] <= key ? half : 0;
		n -= half;
	}
	return *table;
}

int kt_unicode_width(uint32_t cp)
{
	if (cp < 0x300)
		return cp < 0x20 || (cp >= 0x7f && cp < 0xa0) ? 0 : 1;
	if (cp > LAST_CODE_POINT)
		return 1;
	return (int)(item_of(widths, KT_ARRAY_LEN(widths), cp) & 0xff);
}

static unsigned class_of(uint32_t cp)
{
	return cp < 0x300 ? 0 : item_of(classes, KT_ARRAY_LEN(classes), cp) & 0xff;
}

/* The pairs that may have to do with cp: those of its plane. */
static void pairs_of_plane(uint32_t cp, size_t *out_lo, size_t *out_hi)
{
	*out_lo = cp < 0x10000 ? 0 : N_PAIRS_LOW;
	*out_hi = cp < 0x10000 ? N_PAIRS_LOW : cp < 0x20000 ? KT_ARRAY_LEN(pairs) : N_PAIRS_LOW;
}

/* The parts of a primary composite, or NULL; they are on its plane. */
static const struct pair *parts_of(uint32_t cp)
{
	size_t lo, hi;
	pairs_of_plane(cp, &lo, &hi);
	if (cp < pairs[0].whole)
		return NULL;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		if ((cp & 0xffff) > pairs[mid].whole)
			lo = mid + 1;
		else if ((cp & 0xffff) < pairs[mid].whole)
			hi = mid;
		else
			return &pairs[mid];
	}
	return NULL;
}

/* What a and b compose to, 0 when they do not. */
static uint32_t compose_pair(uint32_t a, uint32_t b)
{
	uint32_t plane = a & ~(uint32_t)0xffff;
	uint32_t key = a << 16 | (b & 0xffff);
	size_t lo, hi;
	if (a >= 0x1100 && a <= 0x1112 && b >= 0x1161 && b <= 0x1175)
		return 0xac00 + ((a - 0x1100) * 21 + (b - 0x1161)) * 28;
	if (a >= 0xac00 && a <= 0xd7a3 && (a - 0xac00) % 28 == 0 && b > 0x11a7 && b <= 0x11c2)
		return a + (b - 0x11a7);
	if (plane != (b & ~(uint32_t)0xffff))
		return 0;
	pairs_of_plane(a, &lo, &hi);
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		const struct pair *p = &pairs[pairs_by_parts[mid]];
		uint32_t parts = (uint32_t)p->a << 16 | p->b;
		if (key > parts)
			lo = mid + 1;
		else if (key < parts)
			hi = mid;
		else
			return plane | p->whole;
	}
	return 0;
}

/* Append the canonical decomposition of cp (four code points at most), marks put in order. */
static size_t add_decomposed(uint32_t *out, size_t n, uint32_t cp)
{
	uint32_t parts[8];
	size_t n_parts = 0;
	const struct pair *p;
	while ((p = parts_of(cp)) != NULL && n_parts < KT_ARRAY_LEN(parts)) {
		uint32_t plane = cp & ~(uint32_t)0xffff;
		parts[n_parts++] = plane | p->b;
		cp = plane | p->a;
	}
	for (;;) {
		unsigned ccc = class_of(cp);
		size_t at = n;
		while (ccc != 0 && at > 0 && class_of(out[at - 1]) > ccc) {
			out[at] = out[at - 1];
			at--;
		}
		out[at] = cp;
		n++;
		if (n_parts == 0)
			return n;
		cp = parts[--n_parts];
	}
}

/* Compose in place; returns the new length. */
static size_t compose_all(uint32_t *cps, size_t n)
{
	size_t len = 0;
	size_t starter = SIZE_MAX;
	unsigned last = 0; /* class of the last one kept behind the starter */
	for (size_t i = 0; i < n; i++) {
		unsigned ccc = class_of(cps[i]);
		bool near = starter != SIZE_MAX &&
			(len == starter + 1 || (last != 0 && last < ccc));
		uint32_t whole = near ? compose_pair(cps[starter], cps[i]) : 0;
		if (whole != 0) {
			cps[starter] = whole;
			continue;
		}
		if (ccc == 0)
			starter = len;
		last = ccc;
		cps[len++] = cps[i];
	}
	return len;
}

bool kt_unicode_is_nfc(const char *s, size_t len)
{
	size_t plain = 0;
	/* Everything below U+0300 is in normal form C: its first bytes are below 0xCC. */
	while (plain < len && (unsigned char)s[plain] < 0xcc)
		plain++;
	if (plain == len)
		return true;
	KT_AUTOFREE uint32_t *in = kt_calloc(len, sizeof(*in));
	KT_AUTOFREE uint32_t *work = kt_calloc(len * 4 + 4, sizeof(*work));
	size_t n_in = 0;
	size_t n_work = 0;
	size_t marks = 0;
	for (size_t at = 0; at < len;) {
		uint32_t cp = 0;
		size_t used = kt_utf8_decode(s + at, len - at, &cp);
		unsigned ccc = class_of(cp);
		if (used == 0 || ccc == NEVER_NFC)
			return false;
		marks = ccc != 0 ? marks + 1 : 0;
		if (marks > MAX_MARKS)
			return false;
		in[n_in++] = cp;
		n_work = add_decomposed(work, n_work, cp);
		at += used;
	}
	n_work = compose_all(work, n_work);
	return n_work == n_in && memcmp(in, work, n_in * sizeof(*in)) == 0;
}

static uint32_t fold_one(uint32_t cp)
{
	uint32_t item = item_of(folds, KT_ARRAY_LEN(folds), cp);
	bool every_second = (item & 1) != 0;
	if (every_second && ((cp - (item >> 8)) & 1) != 0)
		return cp;
	return (uint32_t)((int32_t)cp + fold_adds[(item & 0xff) >> 1]);
}

void kt_unicode_fold(const char *s, size_t len, struct kt_buf *out)
{
	for (size_t at = 0; at < len;) {
		uint32_t cp = (unsigned char)s[at];
		size_t used = 1;
		if (cp < 0x80) {
			kt_buf_addc(out, (char)(cp >= 'A' && cp <= 'Z' ? cp + 32 : cp));
		} else {
			used = kt_utf8_decode(s + at, len - at, &cp);
			if (used == 0)
				return;
			kt_utf8_add(out, fold_one(cp));
		}
		at += used;
	}
}

bool kt_unicode_hidden(uint32_t cp)
{
	static const struct nfc_range hidden[] = {
		{ 0, 0x1f }, { 0x7f, 0x9f }, { 0xad, 0xad }, /* soft hyphen */
		{ 0x34f, 0x34f }, /* grapheme joiner */
		{ 0x61c, 0x61c }, /* Arabic letter mark */
		{ 0x115f, 0x1160 }, /* Hangul fillers */
		{ 0x17b4, 0x17b5 }, { 0x180b, 0x180e }, /* Mongolian selectors and separator */
		{ 0x200b, 0x200f }, /* zero-width space, joiners, marks of direction */
		{ 0x2028, 0x202e }, /* line separators, embeddings and overrides */
		{ 0x2060, 0x206f }, /* word joiner, isolates */
		{ 0x3164, 0x3164 }, { 0xfdd0, 0xfdef }, /* non-characters */
		{ 0xfeff, 0xfeff }, /* byte order mark */
		{ 0xffa0, 0xffa0 }, { 0xfff0, 0xfffb }, { 0xfffe, 0xffff }, { 0x1d173, 0x1d17a },
		{ 0xe0000, 0xe0fff }, /* tags, more selectors */
	};
	for (size_t i = 0; i < KT_ARRAY_LEN(hidden) && cp >= hidden[i].first; i++)
		if (cp <= hidden[i].last)
			return true;
	return (cp & 0xfffe) == 0xfffe;
}
