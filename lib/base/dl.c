/* SPDX-License-Identifier: MIT */
/* Loading a library through a table of symbols. */
#include "base/dl.h"

#include "base/str.h"

#include <dlfcn.h>
#include <string.h>

bool kt_dl_linked_in(void)
{
	return kt_dl_builtins != NULL;
}

static kt_dl_function find_builtin(const char *name)
{
	for (const struct kt_dl_builtin *b = kt_dl_builtins; b->name != NULL; b++)
		if (kt_str_eq(b->name, name))
			return b->function;
	return NULL;
}

static enum kt_code take_builtins(const struct kt_dl_symbol *symbols, size_t n, struct kt_err *err)
{
	for (size_t i = 0; i < n; i++) {
		kt_dl_function f = find_builtin(symbols[i].name);
		if (f == NULL)
			return kt_fail(err, KT_EINTERNAL, 0, "this program was built without %s",
				symbols[i].name);
		memcpy(symbols[i].slot, &f, sizeof(f));
	}
	return KT_OK;
}

enum kt_code kt_dl_load(const char *const *sonames, const struct kt_dl_symbol *symbols, size_t n,
	const char *package, struct kt_err *err)
{
	void *lib = NULL;

	if (kt_dl_linked_in())
		return take_builtins(symbols, n, err);
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
