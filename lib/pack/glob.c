/* SPDX-License-Identifier: MIT */
/*
 * Patterns of gitignore(5). One difference to git: a pattern that needs more than MAX_STEPS steps
 * matches nothing (hostile ones are exponential).
 */
#include "pack/pack.h"

#include "base/base.h"

#include <ctype.h>
#include <string.h>

#define MAX_STEPS 20000

static bool in_class(const char *name, size_t len, unsigned char c)
{
	static const struct {
		const char *name;
		int (*is)(int);
	} classes[] = {
		{ "alnum", isalnum },
		{ "alpha", isalpha },
		{ "blank", isblank },
		{ "cntrl", iscntrl },
		{ "digit", isdigit },
		{ "graph", isgraph },
		{ "lower", islower },
		{ "print", isprint },
		{ "punct", ispunct },
		{ "space", isspace },
		{ "upper", isupper },
		{ "xdigit", isxdigit },
	};
	for (size_t i = 0; i < KT_ARRAY_LEN(classes); i++)
		if (strlen(classes[i].name) == len && memcmp(classes[i].name, name, len) == 0)
			return classes[i].is(c) != 0;
	return false;
}

/*
 * Match c against the bracket expression at p ("[...]"); *end is behind it, NULL if it has no end.
 */
static bool match_bracket(const char *p, unsigned char c, const char **end)
{
	bool negate = p[1] == '!' || p[1] == '^';
	bool found = false;
	const char *first = p + 1 + negate;
	*end = NULL;
	for (p = first; *p != '\0' && (*p != ']' || p == first); p++) {
		const char *close = p[0] == '[' && p[1] == ':' ? strstr(p + 2, ":]") : NULL;
		if (close != NULL) {
			found = found || in_class(p + 2, (size_t)(close - p - 2), c);
			p = close + 1;
			continue;
		}
		if (*p == '\\' && *++p == '\0')
			return false;
		unsigned char low = (unsigned char)*p;
		unsigned char high = low;
		if (p[1] == '-' && p[2] != ']' && p[2] != '\0') {
			p += 2;
			if (*p == '\\' && *++p == '\0')
				return false;
			high = (unsigned char)*p;
		}
		found = found || (c >= low && c <= high);
	}
	if (*p == '\0')
		return false;
	*end = p + 1;
	return found != negate && c != '/';
}

/* Stars at p, the whole pattern beginning at start: how many, and may they match slashes. */
static bool crosses_folders(const char *start, const char *p, const char *after)
{
	return after - p == 2 && (p == start || p[-1] == '/') && (*after == '/' || *after == '\0');
}

static bool match_glob(const char *start, const char *p, const char *s, unsigned *steps)
{
	for (; *p != '\0'; p++, s++) {
		const char *end;
		if (++*steps > MAX_STEPS)
			return false;
		switch (*p) {
		case '*':
			end = p + strspn(p, "*");
			bool cross = crosses_folders(start, p, end);
			/* Also no folder at all lies between the slashes of "a", "**", "b". */
			if (cross && *end == '/' && match_glob(start, end + 1, s, steps))
				return true;
			if (cross && *end == '\0')
				return *s != '\0';
			for (;; s++) {
				if (match_glob(start, end, s, steps))
					return true;
				if (*s == '\0' || (*s == '/' && !cross) || *steps > MAX_STEPS)
					return false;
			}
		case '?':
			if (*s == '\0' || *s == '/')
				return false;
			break;
		case '[':
			if (*s == '\0' || !match_bracket(p, (unsigned char)*s, &end))
				return false;
			p = end - 1;
			break;
		case '\\':
			p += p[1] != '\0';
			if (*p != *s)
				return false;
			break;
		default:
			if (*p != *s)
				return false;
			break;
		}
	}
	return *s == '\0';
}

bool kt_pack_glob(const char *pattern, const char *path)
{
	unsigned steps = 0;
	return match_glob(pattern, pattern, path, &steps) && steps <= MAX_STEPS;
}
