/* SPDX-License-Identifier: MIT */
/* What the tests of lib/app share: a folder of their own, files in it, and a load of it. */
#ifndef KT_TESTS_UNIT_APP_APP_TEST_H
#define KT_TESTS_UNIT_APP_APP_TEST_H

#include "app/app.h"
#include "base/buf.h"
#include "base/fs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* A new folder; the caller's, end with drop_dir(). */
static inline char *make_dir(void)
{
	char *dir = kt_strdup("/tmp/karta-app-XXXXXX");

	assert_non_null(mkdtemp(dir));
	return dir;
}

static inline void drop_dir(char *dir)
{
	assert_int_equal(kt_fs_remove_tree(dir, NULL), KT_OK);
	free(dir);
}

/* Write text to dir/file, making folders. A file that ends with "/" is a folder. */
static inline void put_file(const char *dir, const char *file, const char *text)
{
	KT_AUTOFREE char *path = kt_path_join(dir, file);
	KT_AUTOFREE char *parent = kt_path_dir(path);

	if (file[strlen(file) - 1] == '/') {
		assert_int_equal(kt_fs_mkdirs(path, 0755, NULL), KT_OK);
		return;
	}
	assert_int_equal(kt_fs_mkdirs(parent, 0755, NULL), KT_OK);
	assert_int_equal(kt_fs_write_atomic(path, text, strlen(text), 0644, false, NULL), KT_OK);
}

/* Content of dir/file; the caller's. */
static inline char *get_file(const char *dir, const char *file)
{
	KT_AUTOFREE char *path = kt_path_join(dir, file);
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);

	assert_int_equal(kt_fs_read(path, &b, NULL), KT_OK);
	return kt_buf_take(&b);
}

static inline struct kt_app *load_dir(const char *dir, const char *harness)
{
	struct kt_app_options opts = { .harness = harness };
	struct kt_err err = KT_ERR_INIT;
	struct kt_app *app = NULL;
	enum kt_code code = kt_app_load(dir, &opts, &app, &err);

	if (code != KT_OK)
		fail_msg("load: %s", err.msg);
	return app;
}

/* All findings, one a line; the caller's. */
static inline char *findings(const struct kt_app *app)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);

	for (const struct kt_finding *f = app->findings; f; f = f->next) {
		kt_finding_add(&b, f);
		kt_buf_addc(&b, '\n');
	}
	return kt_buf_take(&b);
}

static inline void expect_findings(const struct kt_app *app, const char *want)
{
	KT_AUTOFREE char *got = findings(app);

	assert_string_equal(got, want);
}

#endif
