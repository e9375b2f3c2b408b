/* SPDX-License-Identifier: MIT */
/*
 * Front matter of Markdown files: a block of YAML between two lines of three dashes at the top.
 * Scalars, lists and maps; anchors, aliases and tags are refused. The result is JSON, so that
 * callers use the getters of json.h; scalars are typed as YAML 1.2 core does (quoted = string).
 */
#ifndef KT_TEXT_FRONTMATTER_H
#define KT_TEXT_FRONTMATTER_H

#include "base/err.h"

#include <cjson/cJSON.h>

/*
 * Split len bytes of a file. *out is an object (empty when there is no front matter), the
 * caller's; *out_body_off is where the body begins.
 * Returns KT_OK or KT_EINVAL with "line:column: what".
 */
KT_MUST_CHECK enum kt_code kt_frontmatter_parse(
	const char *s, size_t len, cJSON **out, size_t *out_body_off, struct kt_err *err);

#endif
