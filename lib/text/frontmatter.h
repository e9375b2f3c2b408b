/* SPDX-License-Identifier: MIT */
/*
 * Front matter of Markdown files: a block of YAML between two lines of three dashes at the top, as
 * each harness reads it. Neither is strict: a block that is no YAML is tried again with the values
 * quoted (Claude Code) or made blocks (OpenCode), and is none when that fails.
 */
#ifndef KT_TEXT_FRONTMATTER_H
#define KT_TEXT_FRONTMATTER_H

#include "base/err.h"
#include "text/yaml.h"

#include <cjson/cJSON.h>

enum kt_front_state {
	KT_FRONT_NONE, /* the file has none */
	KT_FRONT_READ,
	KT_FRONT_MENDED, /* read at the second try */
	KT_FRONT_UNREAD, /* no YAML: the harness acts as if there were none */
	KT_FRONT_SKIPPED, /* no YAML at the second try either: OpenCode leaves the file out */
};

struct kt_frontmatter {
	enum kt_front_state state;
	cJSON *data; /* an object, also when there is nothing in it */
	/* of MENDED, UNREAD and SKIPPED: "line:column: what", lines of the file */
	struct kt_err why;
};
#define KT_AUTO_FRONT __attribute__((cleanup(kt_frontmatter_release)))

/*
 * Read the front matter of len bytes of a file, in whatever encoding: a byte that is no UTF-8
 * becomes U+FFFD. End it with kt_frontmatter_release().
 */
void kt_frontmatter_read(
	const char *s, size_t len, enum kt_yaml_reader reader, struct kt_frontmatter *out);
/* Free what was read. */
void kt_frontmatter_release(struct kt_frontmatter *f);

#endif
