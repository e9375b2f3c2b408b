/* SPDX-License-Identifier: MIT */
/*
 * What a request asks for: routes by pattern, query parameters, header lookup. Pure functions over
 * tables of the caller.
 */
#include "http/head_private.h"

#include "base/str.h"

#include <string.h>

const char *kt_request_header(const struct kt_request *rq, const char *name)
{
	for (size_t i = 0; i < rq->n_headers; i++)
		if (strcmp(rq->headers[i].name, name) == 0)
			return rq->headers[i].value;
	return NULL;
}

bool kt_request_query(const struct kt_request *rq, const char *name, char *out, size_t size)
{
	size_t len = strlen(name);

	for (const char *p = rq->query; *p;) {
		size_t n = strcspn(p, "&");
		if (n >= len && memcmp(p, name, len) == 0 && (n == len || p[len] == '=')) {
			size_t skip = n == len ? n : len + 1;
			return kt_percent_decode(p + skip, n - skip, true, out, size);
		}
		p += n;
		if (*p == '&')
			p++;
	}
	return false;
}

/* Both stand behind a slash, or at the end. */
struct walk {
	const char *pattern, *path;
	size_t pattern_len, path_len;
};

static size_t segment_len(const char *p)
{
	size_t n = 0;

	while (p[n] != '\0' && p[n] != '/')
		n++;
	return n;
}

/* Cut the next segment of each; false when both have ended or only one has (*out_match tells). */
static bool next_segment(struct walk *w, bool *out_match)
{
	if (*w->pattern != '/' || *w->path != '/') {
		*out_match = *w->pattern == '\0' && *w->path == '\0';
		return false;
	}
	w->pattern++;
	w->path++;
	w->pattern_len = segment_len(w->pattern);
	w->path_len = segment_len(w->path);
	return true;
}

static bool is_param(const struct walk *w)
{
	return w->pattern_len > 2 && w->pattern[0] == '{' && w->pattern[w->pattern_len - 1] == '}';
}

/*
 * Match a path. *out_rank orders matches: for each segment a bit, set when it was literal, the
 * first segment highest, so that literals win from the left.
 */
static bool match_path(const char *pattern, const char *path, uint64_t *out_rank)
{
	struct walk w = { .pattern = pattern, .path = path };
	uint64_t rank = 0, bit = (uint64_t)1 << 63;
	bool matches;

	/* Most patterns differ in their literal beginning: no need to cut those into segments. */
	for (size_t i = 0; pattern[i] != '\0' && pattern[i] != '{'; i++)
		if (pattern[i] != path[i])
			return false;
	while (next_segment(&w, &matches)) {
		if (is_param(&w)) {
			if (w.path_len == 0)
				return false;
		} else if (w.pattern_len == w.path_len &&
			memcmp(w.pattern, w.path, w.path_len) == 0) {
			rank |= bit;
		} else {
			return false;
		}
		bit >>= 1;
		w.pattern += w.pattern_len;
		w.path += w.path_len;
	}
	*out_rank = rank;
	return matches;
}

/* Copy the parameters of a match; false when they do not fit. */
static bool copy_params(
	const char *pattern, const char *path, struct kt_params *params, char *scratch, size_t size)
{
	struct walk w = { .pattern = pattern, .path = path };
	bool matches;

	params->n = 0;
	while (next_segment(&w, &matches)) {
		if (is_param(&w)) {
			if (params->n == KT_ARRAY_LEN(params->value) || w.path_len >= size)
				return false;
			memcpy(scratch, w.path, w.path_len);
			scratch[w.path_len] = '\0';
			params->value[params->n++] = scratch;
			scratch += w.path_len + 1;
			size -= w.path_len + 1;
		}
		w.pattern += w.pattern_len;
		w.path += w.path_len;
	}
	return true;
}

const struct kt_route *kt_route_find(const struct kt_route *routes, size_t n,
	const struct kt_request *rq, struct kt_params *params, char *scratch, size_t size,
	unsigned *out_allow)
{
	const struct kt_route *best = NULL;
	uint64_t best_rank = 0, rank;
	unsigned allow = 0;

	for (size_t i = 0; i < n; i++) {
		unsigned methods = routes[i].methods;
		/* An escaped slash was refused, so the decoded path has the right segments. */
		if (!match_path(routes[i].pattern, rq->path, &rank))
			continue;
		if (methods & KT_GET)
			methods |= KT_HEAD;
		allow |= methods;
		if ((methods & rq->method) && (!best || rank > best_rank)) {
			best = &routes[i];
			best_rank = rank;
		}
	}
	*out_allow = allow;
	if (best && !copy_params(best->pattern, rq->path, params, scratch, size)) {
		*out_allow = 0;
		return NULL;
	}
	return best;
}

void kt_method_names(unsigned methods, char *out, size_t size)
{
	static const struct {
		enum kt_method method;
		const char *name;
	} names[] = { { KT_GET, "GET" }, { KT_HEAD, "HEAD" }, { KT_POST, "POST" },
		{ KT_PUT, "PUT" }, { KT_DELETE, "DELETE" }, { KT_PATCH, "PATCH" },
		{ KT_OPTIONS, "OPTIONS" } };
	size_t at = 0;

	if (methods & KT_GET)
		methods |= KT_HEAD;
	if (size > 0)
		out[0] = '\0';
	for (size_t i = 0; i < KT_ARRAY_LEN(names); i++) {
		size_t len = strlen(names[i].name) + (at > 0 ? 2 : 0);
		if (!(methods & names[i].method) || at + len >= size)
			continue;
		(void)snprintf(out + at, size - at, "%s%s", at > 0 ? ", " : "", names[i].name);
		at += len;
	}
}
