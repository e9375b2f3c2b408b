/* SPDX-License-Identifier: MIT */
/* The log of `karta dev`. One per process, as kt_log() has one sink. */
#include "cmd/devlog.h"

#include "base/fs.h"
#include "base/time.h"
#include "text/clean.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define KEEP_BYTES (8 * 1024 * 1024)

static struct {
	int fd;
	char *path;
	bool on_console;
	struct kt_term console;
} devlog = { .fd = -1 };

static enum kt_style devlog_level_style(enum kt_log_level level)
{
	switch (level) {
	case KT_LOG_WARN:
		return KT_STYLE_YELLOW;
	case KT_LOG_ERROR:
		return KT_STYLE_RED;
	case KT_LOG_DEBUG:
	case KT_LOG_INFO:
		break;
	}
	return KT_STYLE_DIM;
}

static void clock_text(char *out, size_t size)
{
	int64_t us = kt_time_us();
	time_t s = (time_t)(us / 1000000);
	struct tm tm;

	if (!localtime_r(&s, &tm)) {
		snprintf(out, size, "--:--:--");
		return;
	}
	snprintf(out, size, "%02d:%02d:%02d.%03d", tm.tm_hour, tm.tm_min, tm.tm_sec,
		(int)(us / 1000 % 1000));
}

/* A log that cannot be written must not stop the server: errors are dropped. */
static void write_devlog_line(int fd, const struct kt_buf *b)
{
	if (fd >= 0 && kt_fs_write_all(fd, b->ptr, b->len, NULL) != KT_OK)
		return;
}

static void devlog_sink(void *arg, enum kt_log_level level, const char *source, const char *text)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(16384);
	char at[16];

	clock_text(at, sizeof(at));
	kt_clean_addf(&b, "%s %-5s %-8s %s\n", at, kt_log_level_name(level), source, text);
	write_devlog_line(devlog.fd, &b);
	if (!devlog.on_console)
		return;
	kt_buf_clear(&b);
	kt_term_add(&b, &devlog.console, KT_STYLE_DIM, at);
	kt_buf_addc(&b, ' ');
	kt_term_add(&b, &devlog.console, devlog_level_style(level), source);
	kt_clean_addf(&b, " %s\n", text);
	write_devlog_line(STDERR_FILENO, &b);
}

enum kt_code kt_devlog_open(const char *data_dir, const struct kt_term *console,
	enum kt_log_level lowest, struct kt_err *err)
{
	KT_AUTOFREE char *path = kt_path_join(data_dir, "dev.log");
	KT_AUTOFREE char *old = kt_path_join(data_dir, "dev.log.1");
	struct stat st;
	enum kt_code rc = kt_fs_mkdirs(data_dir, 0700, err);

	if (rc != KT_OK)
		return rc;
	if (!stat(path, &st) && st.st_size > KEEP_BYTES && rename(path, old))
		return kt_fail(err, KT_EIO, errno, "cannot rename '%s'", path);
	devlog.fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (devlog.fd < 0)
		return kt_fail(err, KT_EIO, errno, "cannot open '%s'", path);
	devlog.path = KT_STEAL(path);
	devlog.on_console = console != NULL;
	if (console)
		devlog.console = *console;
	kt_log_set(devlog_sink, NULL, lowest);
	return KT_OK;
}

const char *kt_devlog_path(void)
{
	return devlog.path;
}

void kt_devlog_close(void)
{
	kt_log_set(NULL, NULL, KT_LOG_ERROR);
	if (devlog.fd >= 0)
		close(devlog.fd);
	devlog.fd = -1;
	free(KT_STEAL(devlog.path));
}
