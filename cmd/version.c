/* SPDX-License-Identifier: MIT */
/* `karta version` and `karta --version`: one stable line; --build for bug reports. */
#include "cmd/cmd.h"

#include "base/buf.h"
#include "text/json.h"

#include <uv.h>

#if defined(__linux__) && defined(__GLIBC__)
#include <gnu/libc-version.h>
#define LIBC_NAME "glibc"
#define LIBC_VERSION gnu_get_libc_version()
#else
#define LIBC_NAME "libc"
#define LIBC_VERSION "unknown"
#endif

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZER "address, undefined"
#elif defined(__SANITIZE_THREAD__)
#define SANITIZER "thread"
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZER "address, undefined"
#elif __has_feature(thread_sanitizer)
#define SANITIZER "thread"
#endif
#endif
#ifndef SANITIZER
#define SANITIZER "none"
#endif

#ifdef __OPTIMIZE__
#define OPTIMIZED "yes"
#else
#define OPTIMIZED "no"
#endif

#ifdef __clang__
#define COMPILER __VERSION__
#else
#define COMPILER "gcc " __VERSION__
#endif

extern const struct kt_cmd kt_cmd_version;

struct version_args {
	bool build;
};

static const struct kt_opt version_opts[] = {
	KT_OPT_FLAG_(0, "build", struct version_args, build,
		"also say how it was built and with which libraries"),
	KT_OPT_END,
};

static void print_version_json(bool build)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(8192);
	struct kt_jw w;

	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_jw_int(&w, "schema_version", 1);
	kt_jw_str(&w, "version", KT_VERSION);
	if (build) {
		kt_jw_obj(&w, "build");
		kt_jw_str(&w, "compiler", COMPILER);
		kt_jw_str(&w, "optimized", OPTIMIZED);
		kt_jw_str(&w, "sanitizer", SANITIZER);
		kt_jw_str(&w, LIBC_NAME, LIBC_VERSION);
		kt_jw_str(&w, "libuv", uv_version_string());
		kt_jw_str(&w, "cjson", cJSON_Version());
		kt_jw_obj_end(&w);
	}
	kt_jw_obj_end(&w);
	kt_buf_addc(&b, '\n');
	kt_out(b.ptr, b.len);
}

static enum kt_code cmd_version(struct kt_ctx *ctx, const void *arg, struct kt_err *err)
{
	const struct version_args *args = arg;

	if (ctx->json) {
		print_version_json(args->build);
		return KT_OK;
	}
	kt_outf("karta %s\n", KT_VERSION);
	if (args->build)
		kt_outf("compiler: %s\noptimized: %s\nsanitizer: %s\n%s: %s\nlibuv: %s\n"
			"cjson: %s\n",
			COMPILER, OPTIMIZED, SANITIZER, LIBC_NAME, LIBC_VERSION,
			uv_version_string(), cJSON_Version());
	return KT_OK;
}

const struct kt_cmd kt_cmd_version = {
	.name = "version",
	.summary = "print the version",
	.group = KT_GROUP_OTHER,
	.opts = version_opts,
	.args_size = sizeof(struct version_args),
	.run = cmd_version,
};
