/* SPDX-License-Identifier: MIT */
/* Loading a library through a table of symbols. */
#include "base/dl.h"

#include <dlfcn.h>

enum kt_code kt_dl_load(const char *const *sonames, const struct kt_dl_symbol *symbols, size_t n,
	const char *package, struct kt_err *err)
{
	void *lib = NULL;

	for (size_t i = 0; sonames[i] && !lib; i++)
		lib = dlopen(sonames[i], RTLD_NOW | RTLD_LOCAL);
	if (!lib) {
		kt_fail(err, KT_EIO, 0, "cannot load the library %s", sonames[0]);
		return kt_hint(err, "install it: apt install %s", package);
	}
	for (size_t i = 0; i < n; i++) {
		*symbols[i].slot = dlsym(lib, symbols[i].name);
		if (!*symbols[i].slot) {
			kt_fail(err, KT_EIO, 0, "the library %s has no %s", sonames[0],
				symbols[i].name);
			return kt_hint(
				err, "install the version that karta was built for: %s", package);
		}
	}
	return KT_OK;
}
