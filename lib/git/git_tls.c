/* SPDX-License-Identifier: MIT */
/*
 * Where libgit2 uses mbed TLS, as Debian's does, it parses every certificate of the system when it
 * starts: 7 ms of each push, for connections that karta never has it make. It finds these two
 * functions before the library's own, because the program exports them (Makefile), and while it
 * starts they have nothing to parse. A connection of libgit2's would then trust nobody. In the program
 * that has libgit2 linked in (scripts/dist), mbed TLS' own come first, and the linker's --wrap leads here.
 */
#include "git/git_dl_private.h"

#include <dlfcn.h>
#include <stdatomic.h>

#define FILE_IO_ERROR (-0x2900) /* MBEDTLS_ERR_X509_FILE_IO_ERROR, mbedtls/x509.h */

int mbedtls_x509_crt_parse_file(void *chain, const char *path);
int mbedtls_x509_crt_parse_path(void *chain, const char *path);
int __wrap_mbedtls_x509_crt_parse_file(void *chain, const char *path);
int __wrap_mbedtls_x509_crt_parse_path(void *chain, const char *path);

static atomic_bool git_starts;

void kt_git_no_certificates(bool on)
{
	atomic_store(&git_starts, on);
}

static int parse_certificates(const char *name, void *chain, const char *path)
{
	int (*next)(void *, const char *) = NULL;

	if (atomic_load(&git_starts))
		return 0;
	*(void **)&next = dlsym(RTLD_NEXT, name);
	return next != NULL ? next(chain, path) : FILE_IO_ERROR;
}

#define EXPORTED __attribute__((visibility("default"), weak))

EXPORTED int mbedtls_x509_crt_parse_file(void *chain, const char *path)
{
	return parse_certificates(__func__, chain, path);
}

EXPORTED int mbedtls_x509_crt_parse_path(void *chain, const char *path)
{
	return parse_certificates(__func__, chain, path);
}

int __wrap_mbedtls_x509_crt_parse_file(void *chain, const char *path)
{
	return parse_certificates("mbedtls_x509_crt_parse_file", chain, path);
}

int __wrap_mbedtls_x509_crt_parse_path(void *chain, const char *path)
{
	return parse_certificates("mbedtls_x509_crt_parse_path", chain, path);
}
