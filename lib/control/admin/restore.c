/* SPDX-License-Identifier: MIT */
/*
 * Restoring a backup: unpacked beside the data folder, compared member by member with the backup's
 * list of digests, its database brought up to date, checked as a data folder is, and only then put
 * in place.
 */
#include "control/admin/backup_private.h"
#include "control/control.h"

#include "base/fs.h"
#include "base/log.h"
#include "base/rand.h"
#include "base/str.h"
#include "pack/pack.h"
#include "store/datadir.h"
#include "store/store.h"
#include "text/json.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define MAX_FINDINGS_BYTES (1024 * 1024)

struct restore {
	const struct kt_restore *how;
	char *temp; /* what was unpacked */
	size_t n_damaged; /* members */
	size_t n_findings;
	char *first; /* what is wrong with the first one */
	bool essential; /* one is damaged without which there is nothing */
	bool unlisted; /* the list itself is */
	struct kt_err *err;
};

/* --- what is damaged ---------------------------------------------------------------------- */

/* A line of what the caller gets told, who may want none of it. */
static void restore_tell(struct restore *r, const char *kind, const char *name, const char *message)
{
	KT_AUTO_BUF struct kt_buf line = KT_BUF_INIT(65536);
	struct kt_buf *out = r->how->out;
	struct kt_jw w;

	kt_jw_init(&w, &line);
	kt_jw_obj(&w, NULL);
	kt_jw_str(&w, kind, name);
	kt_jw_str(&w, "message", message);
	kt_jw_obj_end(&w);
	kt_buf_addc(&line, '\n');
	if (out && kt_buf_ok(&line) && line.len <= out->max - out->len)
		kt_buf_add(out, line.ptr, line.len);
}

static bool is_essential(const char *name)
{
	return strcmp(name, KT_DATA_DATABASE) == 0 || strcmp(name, KT_DATA_MASTER_KEY) == 0;
}

/* The journal of sessions has a check in each line: the lines that are whole count. */
static bool is_kept(const char *name)
{
	return strcmp(name, KT_DATA_JOURNAL) == 0;
}

static void on_damaged(void *arg, const char *name, const char *what)
{
	struct restore *r = arg;

	bool essential = is_essential(name) && !r->unlisted;

	r->n_damaged++;
	r->essential = r->essential || essential;
	r->unlisted = r->unlisted || strcmp(name, KT_BACKUP_LIST) == 0;
	/* Of several, the one that matters most. */
	if (!r->first || essential) {
		free(r->first);
		r->first = kt_asprintf("'%.250s' %s", name, what);
	}
	restore_tell(r, "member", name, what);
}

static enum kt_code restore_refuse(const struct restore *r)
{
	kt_fail(r->err, KT_EPROTO, 0, "the backup is damaged: %s%s", r->first,
		r->n_damaged > 1 ? ", and more" : "");
	if (r->essential)
		return kt_hint(r->err, "without it nothing can be restored: take another backup");
	return kt_hint(r->err, "--skip-damaged restores the rest and lists what is missing");
}

/* --- what it is --------------------------------------------------------------------------- */

/* The format of the backup; 0 when there is no mark that says so. Takes the mark away. */
static enum kt_code take_mark(struct restore *r, int64_t *out_format)
{
	KT_AUTOFREE char *path = kt_path_join(r->temp, KT_BACKUP_MARK);
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(KT_BACKUP_MARK_BYTES);
	KT_AUTO_JSON cJSON *doc = NULL;
	int64_t format;

	*out_format = 0;
	if (kt_fs_read(path, &text, NULL) != KT_OK)
		return KT_OK;
	if (unlink(path) != 0)
		return kt_fail(r->err, KT_EIO, errno, "cannot remove '%s'", path);
	if (kt_json_parse(text.ptr, text.len, KT_JSON_STRICT, &doc, NULL) != KT_OK)
		return KT_OK;
	format = kt_json_int(doc, "format", 0);
	if (format > KT_BACKUP_FORMAT) {
		kt_fail(r->err, KT_EPROTO, 0,
			"the backup has format %lld, this program knows %d and those before",
			(long long)format, KT_BACKUP_FORMAT);
		return kt_hint(r->err, "use the version of karta that made it: %s",
			kt_json_str_or(doc, "version", "unknown"));
	}
	*out_format = format;
	return KT_OK;
}

/* Compare what was unpacked with the list, if the backup has one. */
static enum kt_code restore_check_members(struct restore *r)
{
	KT_AUTOFREE char *list = kt_path_join(r->temp, KT_BACKUP_LIST);
	const struct kt_tarball_check how = { .dir = r->temp,
		.list = KT_BACKUP_LIST,
		.found = on_damaged,
		.arg = r,
		.remove = r->how->skip_damaged,
		.keep = is_kept };
	bool listed = kt_fs_is_file(list);
	int64_t format = 0;
	enum kt_code rc = listed ? kt_tarball_check(&how, r->err) : KT_OK;

	if (rc == KT_OK)
		rc = take_mark(r, &format);
	if (rc == KT_OK && !listed && format == 1)
		kt_log(KT_LOG_WARN, "backup",
			"an older version made this backup: it has no digests, so only files of "
			"releases and the database are checked");
	else if (rc == KT_OK && !listed && format == 0)
		rc = kt_fail(r->err, KT_EPROTO, 0, "the archive is no backup of karta");
	else if (rc == KT_OK && !listed)
		on_damaged(r, KT_BACKUP_LIST, "is missing, as in a file that was cut off");
	if (rc == KT_OK && listed && unlink(list) != 0)
		rc = kt_fail(r->err, KT_EIO, errno, "cannot remove '%s'", list);
	if (rc == KT_OK && r->n_damaged && (r->essential || !r->how->skip_damaged))
		rc = restore_refuse(r);
	return rc;
}

/* A finding of fsck. */
static void on_finding(struct restore *r, const char *line, size_t len)
{
	KT_AUTO_JSON cJSON *doc = NULL;
	const char *invariant, *object;

	if (kt_json_parse(line, len, KT_JSON_LENIENT, &doc, NULL) != KT_OK ||
		kt_json_bool(doc, "left_over", false))
		return;
	invariant = kt_json_str_or(doc, "invariant", "?");
	object = kt_json_str_or(doc, "object", "?");
	r->essential = r->essential || is_essential(object);
	if (!r->first || is_essential(object)) {
		free(r->first);
		r->first = kt_asprintf(
			"%s %.150s: %s", invariant, object, kt_json_str_or(doc, "message", "?"));
	}
	restore_tell(r, "object", object, kt_json_str_or(doc, "message", "?"));
}

/*
 * The database of an older version is brought up to date, as a server that starts would, since a
 * check reads that of its own version only. What else is wrong with it is what the check finds.
 */
static enum kt_code restore_migrate(const struct restore *r)
{
	KT_AUTOFREE char *path = kt_data_path(r->temp, KT_DATA_DATABASE);
	struct kt_store_config cfg = { .path = path, .read_only = true };
	struct kt_store *st = NULL;
	enum kt_code rc = kt_store_open(&cfg, &st, r->err);

	if (rc == KT_EPROTO) {
		cfg.read_only = false;
		rc = kt_store_open(&cfg, &st, r->err);
	}
	kt_store_close(st);
	return rc == KT_EPROTO || rc == KT_ENOTFOUND ? KT_OK : rc;
}

static enum kt_code restore_check_folder(struct restore *r)
{
	KT_AUTO_BUF struct kt_buf out = KT_BUF_INIT(MAX_FINDINGS_BYTES);
	enum kt_code rc = restore_migrate(r);

	if (rc == KT_OK)
		rc = kt_control_fsck(r->temp, true, &out, &r->n_findings, r->err);
	if (rc != KT_OK || r->n_findings == 0)
		return rc;
	for (const char *at = out.ptr, *lf; (lf = strchr(at, '\n')) != NULL; at = lf + 1)
		on_finding(r, at, (size_t)(lf - at));
	if (!r->first)
		return kt_fail(r->err, KT_EPROTO, 0, "the backup is damaged");
	return r->essential || !r->how->skip_damaged ? restore_refuse(r) : KT_OK;
}

/* --- the place ---------------------------------------------------------------------------- */

/*
 * May data_dir be replaced: it is missing, empty, or (force) not used by a server. *out_lock keeps
 * a server from starting in it meanwhile.
 */
static enum kt_code check_place(
	const char *data_dir, bool force, bool *out_full, int *out_lock, struct kt_err *err)
{
	KT_AUTOFREE char *lock = kt_data_path(data_dir, KT_DATA_LOCK);
	KT_AUTOFD int fd = -1;
	char **names = NULL;
	size_t n = 0;
	enum kt_code rc = kt_fs_list(data_dir, &names, &n, err);

	if (rc == KT_OK)
		kt_fs_names_free(names, n);
	if (rc == KT_ENOTFOUND)
		return kt_fs_is_file(data_dir) ? rc : KT_OK;
	if (rc != KT_OK)
		return rc;
	*out_full = n > 0;
	if (n > 0 && !force) {
		kt_fail(err, KT_ECONFLICT, 0, "'%s' is not empty", data_dir);
		return kt_hint(err, "restore to another folder, or replace it with --force");
	}
	if (n > 0) {
		fd = open(lock, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd < 0)
			return kt_fail(err, KT_EIO, errno, "cannot open '%s'", lock);
		if (flock(fd, LOCK_EX | LOCK_NB) != 0)
			return kt_fail(err, KT_ECONFLICT, 0, "a server uses '%s': stop it first",
				data_dir);
		*out_lock = KT_STEAL_FD(fd);
	}
	return KT_OK;
}

/* The old folder, if it was not empty, stays beside the new one. */
static enum kt_code restore_put_in_place(
	const char *temp, const char *data_dir, bool full, struct kt_err *err)
{
	char id[KT_ID_MAX];
	KT_AUTOFREE char *old = NULL;

	if (full) {
		kt_rand_id(".replaced-", id);
		old = kt_asprintf("%s%.18s", data_dir, id);
		if (rename(data_dir, old) != 0)
			return kt_fail(err, KT_EIO, errno, "cannot rename '%s'", data_dir);
	}
	/* Over an empty folder, too. */
	if (rename(temp, data_dir) != 0) {
		enum kt_code rc = kt_fail(err, KT_EIO, errno, "cannot rename '%s'", temp);

		if (old && rename(old, data_dir) != 0)
			kt_hint(err, "the old folder is '%s'", old);
		return rc;
	}
	if (old)
		kt_log(KT_LOG_INFO, "backup", "the old folder is kept as '%s'", old);
	return kt_backup_sync_parent(data_dir, err);
}

/* The folder itself when data_dir is a link; without a slash at the end, or the rest would go
 * inside.
 */
static char *find_place(const char *data_dir)
{
	KT_AUTOFREE char *parent = kt_path_dir(data_dir);
	KT_AUTOFREE char *base = kt_path_base(data_dir);
	char *real = NULL;

	if (kt_path_real(data_dir, &real, NULL) == KT_OK)
		return real;
	return kt_path_join(parent, base);
}

static enum kt_code restore_unpack(struct restore *r, int fd)
{
	KT_AUTOFREE char *mark = kt_path_join(r->temp, KT_BACKUP_MARK);
	enum kt_code rc = kt_tarball_unpack(fd, r->temp, r->how->skip_damaged, r->err);

	/* The mark is the first member: without it there is hardly anything to be had. */
	if (rc == KT_EPROTO && !kt_fs_is_file(mark))
		kt_wrap(r->err, "the file is no backup of karta");
	else if (rc == KT_EPROTO && !r->how->skip_damaged)
		kt_hint(r->err,
			"--skip-damaged restores what can be read and lists what is missing");
	if (rc == KT_OK)
		rc = restore_check_members(r);
	return rc == KT_OK ? restore_check_folder(r) : rc;
}

enum kt_code kt_control_restore(const char *data_dir, const char *file,
	const struct kt_restore *how, size_t *out_lost, struct kt_err *err)
{
	KT_AUTOFREE char *place = find_place(data_dir);
	KT_AUTOFREE char *parent = kt_path_dir(place);
	KT_AUTOFREE char *temp = kt_asprintf("%s.restore-XXXXXX", place);
	KT_AUTOFD int lock = -1;
	KT_AUTOFD int fd = open(file, O_RDONLY | O_CLOEXEC);
	struct restore r = { .how = how, .temp = temp, .err = err };
	bool full = false;
	enum kt_code rc;

	if (fd < 0)
		return kt_fail(err, errno == ENOENT ? KT_ENOTFOUND : KT_EIO, errno,
			"cannot open '%s'", file);
	rc = check_place(place, how->force, &full, &lock, err);
	if (rc == KT_OK)
		rc = kt_fs_mkdirs(parent, 0700, err);
	if (rc != KT_OK)
		return rc;
	if (!mkdtemp(temp))
		return kt_fail(err, KT_EIO, errno, "cannot make a folder beside '%s'", place);
	rc = restore_unpack(&r, fd);
	if (rc == KT_OK)
		rc = restore_put_in_place(temp, place, full, err);
	if (rc != KT_OK && kt_fs_remove_tree(temp, NULL) != KT_OK)
		kt_log(KT_LOG_WARN, "backup", "cannot remove '%s'", temp);
	free(r.first);
	if (rc == KT_OK)
		*out_lost = r.n_damaged ? r.n_damaged : r.n_findings;
	return rc;
}
