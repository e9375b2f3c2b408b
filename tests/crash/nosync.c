/* SPDX-License-Identifier: MIT */
/*
 * A machine that lies: preloaded, everything that should wait for the disk succeeds at once. It is
 * the negative control of power.py: a server that runs with it must be caught losing data.
 */
#include <sys/types.h>
#include <unistd.h>

int fsync(int fd)
{
	return fd < 0 ? -1 : 0;
}

int fdatasync(int fd)
{
	return fd < 0 ? -1 : 0;
}

int syncfs(int fd)
{
	return fd < 0 ? -1 : 0;
}
