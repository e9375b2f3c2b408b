/* SPDX-License-Identifier: MIT */
/* The two protocols of systemd that a server speaks; both are a variable and a few bytes. */
#include "cmd/serve/systemd.h"

#include "base/env.h"
#include "base/log.h"
#include "base/str.h"

#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FIRST_FD 3

int kt_systemd_listen_fds(void)
{
	const char *pid = kt_env_get("LISTEN_PID");
	const char *fds = kt_env_get("LISTEN_FDS");
	int64_t for_pid, n;

	if (!pid || !fds || !kt_str_int64(pid, 1, INT32_MAX, &for_pid) ||
		for_pid != (int64_t)getpid() || !kt_str_int64(fds, 1, 64, &n))
		return 0;
	for (int fd = FIRST_FD; fd < FIRST_FD + (int)n; fd++)
		if (fcntl(fd, F_SETFD, FD_CLOEXEC))
			return 0;
	return (int)n;
}

void kt_systemd_notify(const char *state)
{
	const char *path = kt_env_get("NOTIFY_SOCKET");
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	socklen_t len;
	KT_AUTOFD int fd = -1;

	if (!path || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof(to.sun_path))
		return;
	memcpy(to.sun_path, path, strlen(path));
	if (path[0] == '@')
		to.sun_path[0] = '\0';
	len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 ||
		sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to, len) < 0)
		kt_log(KT_LOG_WARN, "serve", "the service manager cannot be told %s", state);
}
