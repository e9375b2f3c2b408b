/* SPDX-License-Identifier: MIT */
/*
 * Force-included into every file (-include base/banned.h): functions that are unbounded, not
 * thread-safe, locale-dependent or start a shell become compile errors. The system headers that
 * declare them come first, so that only uses are caught.
 */
#ifndef KT_BASE_BANNED_H
#define KT_BASE_BANNED_H

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifdef __GNUC__
#undef alloca /* a macro in glibc; poisoning one is a warning */
#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf gets
#pragma GCC poison strtok strtok_r atoi atol atoll atof strtol strtoll strtoul
#pragma GCC poison gmtime localtime ctime asctime rand srand srandom
/* <uv.h> uses the word, so the name cannot be poisoned; only calls are errors. */
long int random(void) __THROW __attribute__((unavailable("banned: use base/rand.h")));
#pragma GCC poison system popen alloca tmpnam mktemp
#ifndef KT_ALLOW_GETENV
#pragma GCC poison getenv
#endif
#endif

#endif
