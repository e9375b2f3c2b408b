/* SPDX-License-Identifier: MIT */
/*
 * Strings, strict numbers, slugs, hexadecimal and base64. Classification is ASCII by hand: the
 * <ctype.h> functions depend on the locale and take an int that a char may not fit.
 */
#include "base/str.h"

#include <math.h>
#include <string.h>

#define MAX_DISTANCE_CHARS 100
#define MAX_SLUG_CHARS 63 /* a DNS label, RFC 1035 2.3.4 */

static char to_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_slug_char(char c)
{
	return kt_is_digit(c) || (c >= 'a' && c <= 'z');
}

bool kt_str_starts(const char *s, const char *prefix)
{
	return !strncmp(s, prefix, strlen(prefix));
}

bool kt_str_ends(const char *s, const char *suffix)
{
	size_t n = strlen(s), k = strlen(suffix);

	return n >= k && !memcmp(s + n - k, suffix, k);
}

bool kt_str_eq(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

bool kt_str_ieq(const char *a, const char *b)
{
	if (!a || !b)
		return a == b;
	for (; *a && to_lower(*a) == to_lower(*b); a++)
		b++;
	return !*a && !*b;
}

bool kt_str_copy(char *dst, size_t size, const char *src)
{
	size_t n = strlen(src), cut;

	if (!size)
		return false;
	if (n < size) {
		memcpy(dst, src, n + 1);
		return true;
	}
	cut = size - 1;
	/* A sequence has at most three continuation bytes; more than that is not UTF-8 anyway. */
	for (int i = 0; i < 3 && cut && ((unsigned char)src[cut] & 0xc0) == 0x80; i++)
		cut--;
	memcpy(dst, src, cut);
	dst[cut] = '\0';
	return false;
}

bool kt_str_int64n(const char *s, size_t len, int64_t min, int64_t max, int64_t *out)
{
	bool negative = len && s[0] == '-';
	int64_t v = 0;

	if (len == (size_t)negative)
		return false;
	for (size_t i = negative; i < len; i++) {
		int digit = s[i] - '0';

		/* Towards the sign, as INT64_MIN has no positive counterpart. */
		if (!kt_is_digit(s[i]) || __builtin_mul_overflow(v, 10, &v) ||
			__builtin_add_overflow(v, negative ? -digit : digit, &v))
			return false;
	}
	if (v < min || v > max)
		return false;
	*out = v;
	return true;
}

bool kt_str_int64(const char *s, int64_t min, int64_t max, int64_t *out)
{
	return kt_str_int64n(s, strlen(s), min, max, out);
}

/* Skip digits, at least one; NULL when there is none. */
static const char *skip_str_digits(const char *s)
{
	if (!kt_is_digit(*s))
		return NULL;
	while (kt_is_digit(*s))
		s++;
	return s;
}

bool kt_str_double(const char *s, double *out)
{
	const char *p = skip_str_digits(*s == '-' ? s + 1 : s);
	double v;

	if (p && *p == '.')
		p = skip_str_digits(p + 1);
	if (p && (*p == 'e' || *p == 'E')) {
		p++;
		p = skip_str_digits(*p == '-' || *p == '+' ? p + 1 : p);
	}
	if (!p || *p)
		return false;
	/* The point is right for strtod() in the C locale, and setlocale() is never called. */
	v = strtod(s, NULL);
	if (!isfinite(v))
		return false;
	*out = v;
	return true;
}

bool kt_str_duration_ms(const char *s, int64_t *out_ms)
{
	static const struct {
		const char *suffix;
		int64_t ms;
	} units[] = {
		{ "", 1000 },
		{ "ms", 1 },
		{ "s", 1000 },
		{ "m", 60 * 1000 },
		{ "h", 3600 * 1000 },
		{ "d", 24 * 3600 * 1000 },
	};
	const char *end = skip_str_digits(s);
	int64_t v;

	if (!end)
		return false;
	for (size_t i = 0; i < KT_ARRAY_LEN(units); i++) {
		if (strcmp(end, units[i].suffix) != 0)
			continue;
		if (!kt_str_int64n(s, (size_t)(end - s), 0, INT64_MAX / units[i].ms, &v))
			return false;
		*out_ms = v * units[i].ms;
		return true;
	}
	return false;
}

bool kt_str_size(const char *s, int64_t *out_bytes)
{
	static const char units[] = "KMGT";
	const char *end = skip_str_digits(s), *unit;
	int shift = 0;
	int64_t v;

	if (!end)
		return false;
	unit = *end ? strchr(units, *end & ~0x20) : NULL;
	if (unit)
		shift = 10 * (int)(unit - units + 1);
	if (!kt_str_int64n(s, (size_t)(end - s), 0, INT64_MAX >> shift, &v))
		return false;
	end += unit != NULL;
	if (unit && kt_str_ieq(end, "ib"))
		end += 2;
	else if (kt_str_ieq(end, "b"))
		end++;
	if (*end)
		return false;
	*out_bytes = v << shift;
	return true;
}

size_t kt_str_distance(const char *a, const char *b)
{
	size_t rows[3][MAX_DISTANCE_CHARS + 1];
	size_t *before = rows[0], *last = rows[1], *now = rows[2];
	size_t n = strlen(a), k = strlen(b);

	if (n > MAX_DISTANCE_CHARS || k > MAX_DISTANCE_CHARS)
		return strcmp(a, b) != 0 ? KT_MAX(n, k) : 0;
	for (size_t j = 0; j <= k; j++)
		last[j] = j;
	for (size_t i = 1; i <= n; i++) {
		size_t *spare = before;

		now[0] = i;
		for (size_t j = 1; j <= k; j++) {
			size_t d = last[j - 1] + (a[i - 1] != b[j - 1]);

			d = KT_MIN(d, KT_MIN(last[j], now[j - 1]) + 1);
			/* Two letters swapped are one mistake of the hand. */
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				d = KT_MIN(d, before[j - 2] + 1);
			now[j] = d;
		}
		before = last;
		last = now;
		now = spare;
	}
	return last[k];
}

const char *kt_str_nearest(const char *word, const char *const *candidates)
{
	size_t len = strlen(word);
	/* One slip for each three letters; more and the suggestion would be a guess. */
	size_t least = KT_MIN(KT_MAX(len / 3, (size_t)1), (size_t)3) + 1;
	const char *best = NULL;

	for (size_t i = 0; candidates[i]; i++) {
		size_t d = kt_str_distance(word, candidates[i]);

		if (d < least && d < strlen(candidates[i]) && d < len) {
			least = d;
			best = candidates[i];
		}
	}
	/* A word given up half-way ("sess") is far by distance but clear. */
	for (size_t i = 0; !best && len >= 3 && candidates[i]; i++) {
		if (kt_str_starts(candidates[i], word))
			best = candidates[i];
	}
	return best;
}

bool kt_str_is_slug(const char *s)
{
	size_t n = strlen(s);

	if (!n || n > MAX_SLUG_CHARS || s[0] == '-' || s[n - 1] == '-')
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!is_slug_char(s[i]) && s[i] != '-')
			return false;
	}
	return true;
}

char *kt_str_slugify(const char *s)
{
	char out[MAX_SLUG_CHARS + 1];
	size_t n = 0;
	bool gap = false;

	for (; *s && n < MAX_SLUG_CHARS; s++) {
		char c = to_lower(*s);

		if (!is_slug_char(c)) {
			gap = n > 0;
			continue;
		}
		if (gap)
			out[n++] = '-';
		gap = false;
		if (n < MAX_SLUG_CHARS)
			out[n++] = c;
	}
	while (n && out[n - 1] == '-')
		n--;
	return n ? kt_strndup(out, n) : kt_strdup("app");
}

void kt_hex_add(struct kt_buf *b, const void *data, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *p = data;
	char *at;

	at = kt_buf_reserve(b, len > SIZE_MAX / 2 ? SIZE_MAX : len * 2);
	if (!at)
		return;
	for (size_t i = 0; i < len; i++) {
		at[2 * i] = digits[p[i] >> 4];
		at[2 * i + 1] = digits[p[i] & 15];
	}
	kt_buf_commit(b, len * 2);
}
