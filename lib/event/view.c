/* SPDX-License-Identifier: MIT */
/* The bytes of a log wherever they are: in memory, or in the file. */
#include "event/log_private.h"

#include "base/base.h"

#include <string.h>

size_t kt_evlog_view(struct kt_evlog *log, uint64_t off, const char **out)
{
	if (off >= log->end)
		return 0;
	if (off < kt_evlog_mem_off(log))
		return log->can_read && off >= log->file_start && off < log->saved_off
			? kt_evfile_view(log, off, out)
			: 0;
	/* Most readers are in the newest segment. */
	struct kt_evseg *seg = log->tail->off <= off ? log->tail : log->head;
	while (off >= seg->off + seg->len)
		seg = seg->next;
	*out = seg->data + (off - seg->off);
	return seg->len - (size_t)(off - seg->off);
}

static bool find_in_memory(const struct kt_evlog *log, uint64_t seq, uint64_t *out)
{
	const struct kt_evseg *seg = log->head;
	while (seg != NULL && seg->next != NULL && seg->next->first_seq <= seq)
		seg = seg->next;
	if (seg == NULL || seq < seg->first_seq)
		return false;
	const char *p = seg->data;
	const char *end = p + seg->len;
	for (uint64_t at = seg->first_seq; at < seq; at++) {
		p = memmem(p, (size_t)(end - p), "\n\n", 2);
		kt_assert(p != NULL);
		p += 2;
	}
	*out = seg->off + (uint64_t)(p - seg->data);
	return true;
}

bool kt_evlog_find(struct kt_evlog *log, uint64_t seq, uint64_t *out)
{
	if (find_in_memory(log, seq, out))
		return true;
	return log->can_read && seq <= log->saved_seq && kt_evfile_find(log, seq, out);
}

size_t kt_evlog_copy(struct kt_evlog *log, uint64_t off, char *out, size_t size)
{
	size_t n = 0;
	while (n < size) {
		const char *p = NULL;
		size_t len = kt_evlog_view(log, off + n, &p);
		if (len == 0)
			break;
		len = KT_MIN(len, size - n);
		memcpy(out + n, p, len);
		n += len;
	}
	return n;
}
