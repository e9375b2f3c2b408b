/* SPDX-License-Identifier: MIT */
/*
 * YAML as the harnesses read it, which is not quite the standard: OpenCode's reader takes one more
 * pair behind a quoted value and refuses unknown tags, Claude Code's takes what control characters
 * and duplicate keys there are. What one of them would refuse is refused here, so that karta sees
 * the same agents. The result is JSON.
 */
#ifndef KT_TEXT_YAML_H
#define KT_TEXT_YAML_H

#include "base/err.h"

#include <cjson/cJSON.h>

enum kt_yaml_reader {
	KT_YAML_CLAUDE, /* the last of two keys, any tag, tabs as indentation, core schema */
	KT_YAML_OPENCODE, /* strict about these, with dates and octal numbers */
};

/*
 * Parse len bytes of valid UTF-8. *out is the document, NULL for an empty one or null; the
 * caller's. Dates become objects ({"date": text}), infinite numbers the largest; aliases are
 * copied, up to a maximum of nodes.
 * Returns KT_OK or KT_EINVAL with "line:column: what".
 */
KT_MUST_CHECK enum kt_code kt_yaml_parse(
	const char *s, size_t len, enum kt_yaml_reader reader, cJSON **out, struct kt_err *err);

#endif
