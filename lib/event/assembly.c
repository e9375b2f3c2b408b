/* SPDX-License-Identifier: MIT */
/* Text parts are few and the newest is the one that grows, so they are looked up from the end. */
#include "event/assembly.h"

#include "base/str.h"
#include "text/json.h"

#include <string.h>

static const char separator[] = "\n\n";

struct part {
	char *id;
	struct kt_buf text;
	size_t lost; /* bytes after text that were not held */
};

void kt_assembly_init(struct kt_assembly *a, size_t max_bytes)
{
	*a = (struct kt_assembly){ .max_bytes = max_bytes };
}

void kt_assembly_release(struct kt_assembly *a)
{
	for (size_t i = 0; i < a->parts.len; i++) {
		struct part *p = a->parts.items[i];

		kt_buf_release(&p->text);
		free(p->id);
		free(p);
	}
	kt_vec_release(&a->parts);
	a->kept = 0;
}

static struct part *assembly_find(const struct kt_assembly *a, const char *id)
{
	for (size_t i = a->parts.len; i > 0; i--) {
		struct part *p = a->parts.items[i - 1];

		if (kt_str_eq(p->id, id))
			return p;
	}
	return NULL;
}

bool kt_assembly_has(const struct kt_assembly *a, const char *part_id)
{
	return assembly_find(a, part_id) != NULL;
}

static struct part *assembly_part(struct kt_assembly *a, const char *id)
{
	struct part *p = assembly_find(a, id);

	if (p)
		return p;
	p = kt_calloc(1, sizeof(*p));
	p->id = kt_strdup(id);
	kt_buf_init(&p->text, a->max_bytes);
	kt_vec_push(&a->parts, p);
	return p;
}

void kt_assembly_add(struct kt_assembly *a, const cJSON *data)
{
	struct part *p = assembly_part(a, kt_json_str_or(data, "part_id", ""));
	const char *text = kt_json_str_or(kt_json_obj(data, "part"), "text", "");
	size_t len = strlen(text), keep;

	if (kt_json_bool(data, "replace", false)) {
		a->kept -= p->text.len;
		kt_buf_clear(&p->text);
		p->lost = 0;
	}
	keep = p->lost ? 0 : kt_utf8_cut(text, len, a->max_bytes - a->kept);
	kt_buf_add(&p->text, text, keep);
	a->kept += keep;
	p->lost += len - keep;
}

void kt_assembly_join(const struct kt_assembly *a, struct kt_buf *out)
{
	bool any = false;

	for (size_t i = 0; i < a->parts.len; i++) {
		const struct part *p = a->parts.items[i];

		if (p->text.len && any)
			kt_buf_adds(out, separator);
		any = any || p->text.len;
		kt_buf_add(out, p->text.ptr, p->text.len);
		if (p->lost)
			return;
	}
}

size_t kt_assembly_bytes(const struct kt_assembly *a)
{
	size_t bytes = 0;

	for (size_t i = 0; i < a->parts.len; i++) {
		const struct part *p = a->parts.items[i];
		size_t len = p->text.len + p->lost;

		bytes += len + (len && bytes ? sizeof(separator) - 1 : 0);
	}
	return bytes;
}

bool kt_assembly_whole(const struct kt_assembly *a)
{
	for (size_t i = 0; i < a->parts.len; i++) {
		const struct part *p = a->parts.items[i];

		if (p->lost)
			return false;
	}
	return true;
}
