/* SPDX-License-Identifier: MIT */
/*
 * Damaged backups: a byte changed anywhere is refused and named, or changes nothing; with
 * skip_damaged the rest is restored and what is missing is listed. Members that are missing,
 * doubled or in another order, a file that was cut off, and one of an older format.
 */
#include "fsck_test.h"

#include "base/vec.h"
#include "text/json.h"

#include <ftw.h>

#define TAR_BYTES ((size_t)16 << 20)
#define BLOCK 512

static char place[64]; /* where is restored to: in memory, where there is that */
static char *to;
static struct kt_buf tar; /* the backup */
static struct kt_buf lost;

struct part {
	char name[512]; /* of the member that has these bytes */
	size_t header, data, size; /* offsets, and bytes of data */
};
static struct part parts[64];
static size_t n_parts;

/* --- a backup ----------------------------------------------------------------------------- */

static size_t octal(const char *p, size_t n)
{
	size_t v = 0;

	for (; n && *p >= '0' && *p <= '7'; p++, n--)
		v = v * 8 + (size_t)(*p - '0');
	return v;
}

/* The headers of a tar file, those of extended headers with the member that they belong to. */
static void find_parts(void)
{
	size_t at = 0, header = 0;
	bool extended = false;

	n_parts = 0;
	while (at + BLOCK <= tar.len && tar.ptr[at] != '\0') {
		size_t size = octal(tar.ptr + at + 124, 11);
		char type = tar.ptr[at + 156];

		if (!extended)
			header = at;
		extended = type == 'x';
		if (!extended) {
			struct part *p = &parts[n_parts++];

			assert_true(n_parts < KT_ARRAY_LEN(parts));
			(void)snprintf(p->name, sizeof(p->name), "%.100s", tar.ptr + at);
			p->header = header;
			p->data = at + BLOCK;
			p->size = size;
		}
		at += BLOCK + (size + BLOCK - 1) / BLOCK * BLOCK;
	}
	assert_true(n_parts > 10);
	assert_string_equal(parts[0].name, "karta-backup.json");
	assert_string_equal(parts[n_parts - 1].name, "karta-backup.list");
}

static const struct part *part_of(size_t at)
{
	const struct part *found = &parts[0];

	for (size_t i = 0; i < n_parts; i++)
		if (parts[i].header <= at)
			found = &parts[i];
	return found;
}

static const struct part *part(const char *name)
{
	for (size_t i = 0; i < n_parts; i++)
		if (strcmp(parts[i].name, name) == 0)
			return &parts[i];
	fail_msg("there is no '%s'", name);
	return NULL;
}

static int set_up_backup(void **state)
{
	KT_AUTOFREE char *work = NULL;
	struct kt_err err = KT_ERR_INIT;
	int rc = setup(state);

	if (rc != 0)
		return rc;
	(void)snprintf(place, sizeof(place), "%s/kt-rot-XXXXXX",
		kt_fs_is_dir("/dev/shm") ? "/dev/shm" : "/tmp");
	if (!mkdtemp(place))
		return -1;
	to = kt_path_join(place, "to");
	work = in_dir("sessions/sess_1/workspace");
	write_file("sessions/sess_1/workspace/notes.txt", "remember the milk\n");
	write_file("sessions/sess_1/workspace/empty", "");
	write_file("sessions/sess_1/home/.claude/projects/-x/1.jsonl",
		"{\"type\":\"user\",\"message\":\"hello\"}\n");
	KT_AUTOFREE char *link = kt_path_join(work, "link");
	KT_AUTOFREE char *long_name = kt_asprintf("%s/%0200d %%\n", work, 7);
	assert_int_equal(symlink("notes.txt", link), 0);
	assert_ok(kt_fs_write_new(long_name, "long", 4, 0644, &err), err);
	kt_buf_init(&tar, TAR_BYTES);
	kt_buf_init(&lost, 1 << 20);
	assert_ok(kt_control_backup(dir, backup_file, &err), err);
	assert_ok(kt_fs_read(backup_file, &tar, &err), err);
	find_parts();
	return 0;
}

static int tear_down_backup(void **state)
{
	free(to);
	kt_buf_release(&tar);
	kt_buf_release(&lost);
	return kt_fs_remove_tree(place, NULL) == KT_OK ? teardown(state) : -1;
}

/* Restore these bytes. */
static enum kt_code restore(const void *bytes, size_t len, bool skip, size_t *n, struct kt_err *err)
{
	const struct kt_restore how = { .skip_damaged = skip, .out = &lost };
	KT_AUTOFREE char *file = kt_path_join(place, "file.tar");
	KT_AUTOFD int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_ok(kt_fs_write_all(fd, bytes, len, err), *err);
	kt_buf_clear(&lost);
	*n = 0;
	*err = (struct kt_err)KT_ERR_INIT;
	return kt_control_restore(to, file, &how, n, err);
}

static void remove_restored(void)
{
	assert_int_equal(kt_fs_remove_tree(to, NULL), KT_OK);
}

/* --- what was restored -------------------------------------------------------------------- */

static struct kt_vec entries; /* char *: a line for each */
static const char *left_out; /* path below the folder that is not looked at, or NULL */

static int add_entry(const char *path, const struct stat *st, int type, struct FTW *f)
{
	const char *rel = path + strlen(to);
	char digest[KT_DIGEST_MAX] = "", target[256];

	(void)type;
	(void)f;
	if (left_out && strcmp(rel, left_out) == 0)
		return 0;
	/* Those of blobs are made with what is in them. */
	if (S_ISDIR(st->st_mode) && kt_str_starts(rel, "/blobs"))
		return 0;
	if (S_ISREG(st->st_mode)) {
		KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(TAR_BYTES);

		assert_int_equal(kt_fs_read(path, &b, NULL), KT_OK);
		kt_sha256_of(b.ptr, b.len, digest);
	} else if (S_ISLNK(st->st_mode)) {
		ssize_t n = readlink(path, target, sizeof(target));

		kt_sha256_of(target, (size_t)n, digest);
	}
	kt_vec_push(&entries, kt_asprintf("%o %s %s", st->st_mode, digest, rel));
	return 0;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Names, modes and bytes of all below `to`. */
static void digest_of_tree(const char *without, char out_digest[KT_DIGEST_MAX])
{
	struct kt_sha256 *sum = kt_sha256_new();

	left_out = without;
	assert_int_equal(nftw(to, add_entry, 20, FTW_PHYS), 0);
	qsort(entries.items, entries.len, sizeof(*entries.items), by_text);
	for (size_t i = 0; i < entries.len; i++) {
		kt_sha256_update(sum, entries.items[i], strlen(entries.items[i]) + 1);
		free(entries.items[i]);
	}
	kt_vec_release(&entries);
	kt_sha256_hex(sum, out_digest);
	kt_sha256_free(sum);
}

/* --- every byte --------------------------------------------------------------------------- */

/* A flip at `at`: refused and named, or harmless. */
static void flip_at(size_t at, const char *whole)
{
	const struct part *p = part_of(at);
	struct kt_err err = KT_ERR_INIT;
	char digest[KT_DIGEST_MAX];
	bool in_data = at >= p->data && at < p->data + p->size;
	size_t n;
	enum kt_code rc;

	tar.ptr[at] ^= 0x21;
	rc = restore(tar.ptr, tar.len, false, &n, &err);
	tar.ptr[at] ^= 0x21;
	if (rc == KT_OK) {
		digest_of_tree(NULL, digest);
		remove_restored();
		if (in_data || strcmp(digest, whole) != 0)
			fail_msg("byte %zu of %s (data %zu+%zu): not refused", at, p->name, p->data,
				p->size);
		return;
	}
	assert_int_equal(rc, KT_EPROTO);
	assert_int_equal(access(to, F_OK), -1);
	if (in_data && !strstr(err.msg, p->name))
		fail_msg("byte %zu of %s: '%s' does not name it", at, p->name, err.msg);
}

static void every_member(void **state)
{
	struct kt_err err = KT_ERR_INIT;
	char whole[KT_DIGEST_MAX];
	size_t n;

	(void)state;
	assert_ok(restore(tar.ptr, tar.len, false, &n, &err), err);
	digest_of_tree(NULL, whole);
	remove_restored();
	for (size_t i = 0; i < n_parts; i++) {
		const struct part *p = &parts[i];
		size_t end = p->data + p->size;
		size_t padding = (end + BLOCK - 1) / BLOCK * BLOCK - end;

		/* Name, mode, size, sum, kind, magic of each header that it has. */
		for (size_t at = p->header; at < p->data; at += BLOCK) {
			static const size_t fields[] = { 0, 105, 130, 150, 156, 258, 345 };

			for (size_t k = i % 2; k < KT_ARRAY_LEN(fields); k += 2)
				flip_at(at + fields[k], whole);
		}
		for (size_t k = 0; k < 4 && p->size > 0; k++)
			flip_at(p->data + (p->size - 1) * k / 3, whole);
		if (padding)
			flip_at(end + padding / 2, whole);
	}
	/* The end, and all over it. */
	flip_at(tar.len - 1, whole);
	flip_at(tar.len - 1000, whole);
	for (size_t at = 7; at < tar.len; at += tar.len / 151)
		flip_at(at, whole);
}

/* --- the rest of it ----------------------------------------------------------------------- */

static bool is_lost(const char *name)
{
	for (const char *at = lost.ptr, *lf; (lf = strchr(at, '\n')) != NULL; at = lf + 1) {
		KT_AUTO_JSON cJSON *doc = NULL;

		assert_int_equal(
			kt_json_parse(at, (size_t)(lf - at), KT_JSON_STRICT, &doc, NULL), KT_OK);
		assert_non_null(kt_json_str(doc, "message"));
		if (kt_str_eq(kt_json_str(doc, "member"), name))
			return true;
	}
	return false;
}

/* Each member is damaged in turn, in its bytes or its header: all others are restored. */
static void skip_damaged(void **state)
{
	struct kt_err err = KT_ERR_INIT;

	(void)state;
	for (size_t i = 0; i < 2 * n_parts; i++) {
		const struct part *p = &parts[i / 2];
		bool essential = kt_str_eq(p->name, "karta.db") || kt_str_eq(p->name, "master.key");
		bool folder = kt_str_ends(p->name, "/");
		bool own = kt_str_starts(p->name, "karta-backup");
		KT_AUTOFREE char *rel = kt_asprintf("/%s", p->name);
		char want[KT_DIGEST_MAX], got[KT_DIGEST_MAX];
		size_t n, at = i % 2 ? p->data - BLOCK + 150 : p->data + p->size / 2;
		enum kt_code rc;

		if (i % 2 == 0 && p->size == 0)
			continue;
		if (p->name[0] == '0')
			continue; /* shown short in its header */
		assert_ok(restore(tar.ptr, tar.len, false, &n, &err), err);
		digest_of_tree(folder || own ? NULL : rel, want);
		remove_restored();
		tar.ptr[at] ^= 0x08;
		rc = restore(tar.ptr, tar.len, true, &n, &err);
		tar.ptr[at] ^= 0x08;
		if (essential) {
			assert_int_equal(rc, KT_EPROTO);
			assert_non_null(strstr(err.msg, p->name));
			assert_non_null(strstr(err.hint, "another backup"));
			assert_int_equal(access(to, F_OK), -1);
			continue;
		}
		if (rc != KT_OK)
			fail_msg("%s %zu: %s", p->name, i % 2, err.msg);
		/* Of a folder only the mode is lost, if it is not what it would be anyway. */
		if (!folder && (n == 0 || !is_lost(p->name)))
			fail_msg("%s %zu: not listed: %s", p->name, i % 2, lost.ptr);
		digest_of_tree(folder || own ? NULL : rel, got);
		remove_restored();
		if (strcmp(want, got) != 0)
			fail_msg("%s %zu: other members are not what they were: %s", p->name, i % 2,
				lost.ptr);
	}
}

/* The bytes of the archive without, or with twice, what part p is. */
static void add_bytes(struct kt_buf *b, const struct part *p)
{
	const struct part *next = p + 1;
	size_t end = next < parts + n_parts ? next->header
					    : (p->data + p->size + BLOCK - 1) / BLOCK * BLOCK;

	kt_buf_add(b, tar.ptr + p->header, end - p->header);
}

static void add_end(struct kt_buf *b)
{
	char zeros[2 * BLOCK] = { 0 };

	kt_buf_add(b, zeros, sizeof(zeros));
	assert_true(kt_buf_ok(b));
}

static void members(void **state)
{
	struct kt_err err = KT_ERR_INIT;
	char want[KT_DIGEST_MAX], got[KT_DIGEST_MAX];
	size_t n;

	(void)state;
	assert_ok(restore(tar.ptr, tar.len, false, &n, &err), err);
	digest_of_tree(NULL, want);
	remove_restored();
	for (size_t i = 0; i < n_parts; i++) {
		KT_AUTO_BUF struct kt_buf without = KT_BUF_INIT(TAR_BYTES);
		KT_AUTO_BUF struct kt_buf twice = KT_BUF_INIT(TAR_BYTES);
		KT_AUTO_BUF struct kt_buf cut = KT_BUF_INIT(TAR_BYTES);

		for (size_t k = 0; k < n_parts; k++) {
			if (k != i)
				add_bytes(&without, &parts[k]);
			if (k < i)
				add_bytes(&cut, &parts[k]);
			add_bytes(&twice, &parts[k]);
		}
		add_bytes(&twice, &parts[i]);
		add_end(&without);
		add_end(&twice);
		if (kt_str_ends(parts[i].name, "/"))
			continue; /* made for what is in it */
		assert_int_equal(restore(without.ptr, without.len, false, &n, &err), KT_EPROTO);
		assert_non_null(strstr(err.msg, parts[i].name));
		assert_non_null(strstr(err.msg, "missing"));
		assert_int_equal(restore(twice.ptr, twice.len, false, &n, &err), KT_EPROTO);
		assert_non_null(strstr(err.msg, parts[i].name));
		assert_non_null(strstr(err.msg, "twice"));
		/* Cut between two members, where a tar file may end. */
		if (i == 0)
			continue;
		assert_int_equal(restore(cut.ptr, cut.len, false, &n, &err), KT_EPROTO);
		assert_non_null(strstr(err.msg, "karta-backup.list"));
		assert_non_null(strstr(err.msg, "cut off"));
		assert_int_equal(access(to, F_OK), -1);
	}
	/* In another order all is there. */
	KT_AUTO_BUF struct kt_buf other = KT_BUF_INIT(TAR_BYTES);
	for (size_t k = n_parts; k > 0; k--)
		add_bytes(&other, &parts[k - 1]);
	add_end(&other);
	assert_ok(restore(other.ptr, other.len, false, &n, &err), err);
	digest_of_tree(NULL, got);
	assert_string_equal(got, want);
	remove_restored();
	/* One more than was copied. */
	KT_AUTO_BUF struct kt_buf more = KT_BUF_INIT(TAR_BYTES);
	for (size_t k = 0; k < n_parts; k++)
		add_bytes(&more, &parts[k]);
	size_t at = more.len;
	const struct part *p = part("sessions/sess_1/workspace/notes.txt");
	add_bytes(&more, p);
	char *header = more.ptr + at + (p->data - BLOCK - p->header);
	memcpy(header + strlen("sessions/sess_1/workspace/"), "money", 5);
	unsigned sum = 0;
	memset(header + 148, ' ', 8);
	for (size_t i = 0; i < BLOCK; i++)
		sum += (unsigned char)header[i];
	(void)snprintf(header + 148, 8, "%06o", sum);
	add_end(&more);
	assert_int_equal(restore(more.ptr, more.len, false, &n, &err), KT_EPROTO);
	assert_non_null(strstr(err.msg, "workspace/money.txt' is on no list"));
	assert_ok(restore(more.ptr, more.len, true, &n, &err), err);
	assert_int_equal(n, 1);
	digest_of_tree(NULL, got);
	assert_string_equal(got, want);
	remove_restored();
}

/* One of format 1: no list, and a mark that says so. */
static void older_format(void **state)
{
	struct kt_err err = KT_ERR_INIT;
	KT_AUTO_BUF struct kt_buf old = KT_BUF_INIT(TAR_BYTES);
	KT_AUTOFREE char *notes = kt_path_join(to, "sessions/sess_1/workspace/notes.txt");
	char *format;
	size_t n;

	(void)state;
	for (size_t k = 0; k + 1 < n_parts; k++)
		add_bytes(&old, &parts[k]);
	add_end(&old);
	format = memmem(old.ptr, old.len, "\"format\":2", 10);
	assert_non_null(format);
	format[9] = '1';
	assert_ok(restore(old.ptr, old.len, false, &n, &err), err);
	assert_int_equal(n, 0);
	assert_true(kt_fs_is_file(notes));
	remove_restored();
	/* What has a digest of its own is checked as ever. */
	char *at = memmem(old.ptr, old.len, contents[1], strlen(contents[1]));
	at[2] ^= 1;
	assert_int_equal(restore(old.ptr, old.len, false, &n, &err), KT_EPROTO);
	assert_non_null(strstr(err.msg, file_digest[1]));
	assert_ok(restore(old.ptr, old.len, true, &n, &err), err);
	assert_true(n > 0);
	remove_restored();
	format[9] = '9';
	assert_int_equal(restore(old.ptr, old.len, false, &n, &err), KT_EPROTO);
	assert_non_null(strstr(err.msg, "format 9"));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up_backup, tear_down_backup)
	const struct CMUnitTest tests[] = {
		T(every_member),
		T(skip_damaged),
		T(members),
		T(older_format),
	};
	return cmocka_run_group_tests_name("control/backup_rot", tests, NULL, NULL);
}
