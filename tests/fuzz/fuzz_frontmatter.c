/* SPDX-License-Identifier: MIT */
/*
 * Front matter for either harness: no crash; what is read is an object that is strict JSON, and
 * there is a reason of one line exactly when it was not read at once.
 */
#include "base/buf.h"
#include "base/str.h"
#include "text/frontmatter.h"
#include "text/json.h"
#include "text/json_check_private.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const char *s, size_t len, enum kt_yaml_reader reader)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(64 * 1024 * 1024);
	KT_AUTO_FRONT struct kt_frontmatter f = { 0 };

	kt_frontmatter_read(s, len, reader, &f);
	kt_json_add(&b, f.data);
	if (!cJSON_IsObject(f.data) || !kt_utf8_valid(b.ptr, b.len) ||
		kt_json_check(b.ptr, b.len, KT_JSON_STRICT | KT_JSON_DEEP, NULL) != KT_OK)
		abort();
	if ((f.why.msg[0] != '\0') != (f.state >= KT_FRONT_MENDED) || strchr(f.why.msg, '\n'))
		abort();
}

/* The bytes as a whole file, and as YAML inside two lines of dashes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(64 * 1024 * 1024);

	kt_buf_adds(&b, "---\n");
	kt_buf_add(&b, data, size);
	kt_buf_adds(&b, "\n---\n");
	for (int i = 0; i < 2; i++) {
		enum kt_yaml_reader reader = i ? KT_YAML_OPENCODE : KT_YAML_CLAUDE;

		check(size ? (const char *)data : "", size, reader);
		check(b.ptr, b.len, reader);
	}
	return 0;
}
