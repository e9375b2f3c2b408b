/* SPDX-License-Identifier: MIT */
/*
 * What is known of the disk: whether the database takes commits (the store knows), and whether the
 * data folder takes files. A file that failed is abandoned by who wrote it, and its request
 * answered with that; here it is remembered, until a file of the same kind can be written again.
 */
#include "control/core/task_private.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define FIRST_MS 250
#define PROBE_BYTES ((size_t)256 * 1024)

/* On a worker's thread: a file without a name, which no crash leaves behind. */
static enum kt_code disk_probe_work(void *arg, struct kt_err *err)
{
	KT_AUTOFREE char *bytes = kt_calloc(1, PROBE_BYTES);
	struct kt_control *ctl = arg;
	KT_AUTOFD int fd = open(ctl->data_dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
	enum kt_code rc;

	/* Not every file system has them: then the next request tells. */
	if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR))
		return KT_OK;
	if (fd < 0)
		return kt_fail(err, KT_EIO, errno, "cannot make a file");
	rc = kt_fs_write_all(fd, bytes, PROBE_BYTES, err);
	if (rc == KT_OK && fsync(fd) != 0)
		rc = kt_fail(err, KT_EIO, errno, "cannot sync a file");
	return rc;
}

static void probe_done(void *arg, enum kt_code rc, const struct kt_err *err)
{
	struct kt_control *ctl = arg;

	ctl->disk.probing = false;
	if (rc == KT_ECANCEL)
		return;
	if (rc != KT_OK) {
		ctl->disk.ms = KT_MIN(ctl->disk.ms * 2, (int64_t)KT_MEND_MS);
		kt_timer_start(ctl->disk.timer, ctl->disk.ms, 0);
		return;
	}
	ctl->disk.trouble = (struct kt_err)KT_ERR_INIT;
	kt_log(KT_LOG_INFO, "control", "files are written again");
}

static void on_disk_timer(void *arg)
{
	struct kt_control *ctl = arg;

	ctl->disk.probing = true;
	kt_task_run(ctl, &(struct kt_task_for){ "", KT_WORK_DISK, 0, true }, disk_probe_work,
		probe_done, ctl);
}

void kt_disk_note(struct kt_control *ctl, const struct kt_err *err)
{
	/* Of the database the store knows more. */
	if (err->code != KT_EIO || !kt_errno_disk(err->sys) || ctl->closing ||
		kt_store_health(ctl->store, NULL) != KT_OK)
		return;
	if (ctl->disk.trouble.code == KT_OK)
		kt_log(KT_LOG_ERROR, "control", "the disk fails: %s", err->msg);
	ctl->disk.trouble = *err;
	if (!ctl->disk.timer)
		ctl->disk.timer = kt_timer_new(ctl->loop, on_disk_timer, ctl);
	if (ctl->disk.probing || kt_timer_active(ctl->disk.timer))
		return;
	ctl->disk.ms = FIRST_MS;
	kt_timer_start(ctl->disk.timer, FIRST_MS, 0);
}

enum kt_code kt_control_health(struct kt_control *ctl, struct kt_err *err)
{
	enum kt_code rc = ctl->store ? kt_store_health(ctl->store, err) : KT_OK;

	if (rc == KT_OK && ctl->disk.trouble.code != KT_OK) {
		if (err)
			*err = ctl->disk.trouble;
		rc = KT_EIO;
	}
	return rc;
}
