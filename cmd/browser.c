/* SPDX-License-Identifier: MIT */
/* The one place that hands an address to another program; see browser.h. */
#include "cmd/browser.h"

#include "base/env.h"
#include "base/fs.h"
#include "base/str.h"
#include "cmd/remote.h"

#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <unistd.h>

#define URL_MAX_BYTES 8192

bool kt_browser_may_open(const char *url)
{
	const char *host = strstr(url, "://");
	size_t len, n = strlen(url);

	if (!kt_str_starts(url, "https://") && !kt_str_starts(url, "http://"))
		return false;
	if (n > URL_MAX_BYTES || kt_remote_is_plain(url))
		return false;
	for (const char *p = url; *p; p++) {
		/* Browsers read a backslash as a slash, shells and desktops read the others. */
		if (*p <= ' ' || *p >= 0x7f || strchr("\\\"'`<>|^{}", *p))
			return false;
	}
	host += strlen("://");
	len = strcspn(host, "/?#");
	return len && host[0] != '-' && host[0] != ':' && !memchr(host, '@', len);
}

enum kt_code kt_browser_open(const char *url, pid_t *out_pid, struct kt_err *err)
{
	const char *browser = kt_env_get("BROWSER");
	KT_AUTOFREE char *program = kt_fs_which(browser ? browser : "xdg-open");
	KT_AUTOFREE char *copy = kt_strdup(url);
	char *argv[] = { program, copy, NULL };
	posix_spawn_file_actions_t quiet;
	pid_t pid;
	int e;

	if (!kt_browser_may_open(url))
		return kt_fail(err, KT_EPROTO, 0, "'%s' is no web address that is opened", url);
	/* Without a desktop xdg-open tries browsers of the terminal, which is somebody else's. */
	if (!program || (!browser && !kt_env_get("DISPLAY") && !kt_env_get("WAYLAND_DISPLAY")))
		return kt_fail(err, KT_ENOTFOUND, 0, "no browser found; open the address yourself");
	e = posix_spawn_file_actions_init(&quiet);
	if (e)
		return kt_fail(err, KT_EIO, e, "cannot start '%s'", program);
	/* What it says later would stand in the middle of what the terminal shows then. */
	for (int fd = STDIN_FILENO; !e && fd <= STDERR_FILENO; fd++)
		e = posix_spawn_file_actions_addopen(&quiet, fd, "/dev/null", O_RDWR, 0);
	if (!e)
		e = posix_spawn(&pid, program, &quiet, NULL, argv, kt_env_all());
	(void)posix_spawn_file_actions_destroy(&quiet);
	if (e)
		return kt_fail(err, KT_EIO, e, "cannot start '%s'", program);
	if (out_pid)
		*out_pid = pid;
	return KT_OK;
}
