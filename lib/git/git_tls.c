/* SPDX-License-Identifier: MIT */
/*
 * Where libgit2 uses mbed TLS, as Debian's does, it parses every certificate of the system when it
 * starts: 7 ms of each push, for connections that karta never has it make. It finds these two
 * functions before the library's own, because the program exports them (Makefile), and has nothing
 * to parse: a connection of libgit2's would trust nobody. In the program that has libgit2 linked in
 * (scripts/dist), mbed TLS' own come first, and the linker's --wrap leads here.
 */
#define NO_CERTIFICATES(name)                                                                      \
	__attribute__((visibility("default"), weak)) int name(void *chain, const char *path);      \
	int name(void *chain, const char *path)                                                    \
	{                                                                                          \
		return 0;                                                                          \
	}                                                                                          \
	int __wrap_##name(void *chain, const char *path);                                          \
	int __wrap_##name(void *chain, const char *path)                                           \
	{                                                                                          \
		return 0;                                                                          \
	}

NO_CERTIFICATES(mbedtls_x509_crt_parse_file)
NO_CERTIFICATES(mbedtls_x509_crt_parse_path)
