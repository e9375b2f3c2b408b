/* SPDX-License-Identifier: MIT */
/*
 * karta serve keys: keys made in the data folder itself, by root or by who runs the server. For who
 * has lost the last one: no server has to be asked, and none has to be stopped.
 */
#include "cmd/serve/servekeys.h"

#include "base/fs.h"
#include "base/str.h"
#include "cmd/keys.h"
#include "cmd/remote.h"
#include "cmd/serve/serveconf.h"
#include "control/control.h"

#include <errno.h>
#include <grp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_JSON_BYTES ((size_t)65536)

struct create_args {
	struct kt_keys_wish wish;
	const char *data;
	const char *org;
};

static void servekeys_defaults(void *args)
{
	((struct create_args *)args)->wish.scopes = "read,write,admin";
}

static const struct kt_opt create_opts[] = {
	KT_OPT_ARG_("name", struct create_args, wish.name, KT_OPT_REQUIRED, "what the key is for"),
	KT_OPT_STR_(0, "scopes", struct create_args, wish.scopes, "LIST",
		"read, write, admin, with commas between (default: all)"),
	KT_OPT_FLAG_(0, "test", struct create_args, wish.test, "a key that begins with kt_test_"),
	KT_OPT_DURATION_(
		0, "expires", struct create_args, wish.expires_ms, "valid for so long, as 30d"),
	{ KT_OPT_T_STR, 0, "data", "DIR", offsetof(struct create_args, data), "folder of all state",
		KT_OPT_DIR },
	KT_OPT_STR_(
		0, "org", struct create_args, org, "NAME", "organization, when there are several"),
	KT_OPT_END,
};

/*
 * Root becomes the owner of the folder: what the database makes beside itself must not be root's
 * when the server needs it. For good: nothing is left to do as root.
 */
static enum kt_code become_owner(const char *data, struct kt_err *err)
{
	struct stat st;

	if (stat(data, &st) != 0) {
		(void)kt_fail(err, errno == ENOENT ? KT_ENOTFOUND : KT_EIO, errno,
			"no data folder '%s'", data);
		return kt_hint(err, "--data DIR names that of the server");
	}
	if (st.st_uid == geteuid())
		return KT_OK;
	if (geteuid() != 0) {
		(void)kt_fail(err, KT_EDENIED, 0, "'%s' belongs to another user", data);
		return kt_hint(err, "this is for root and for who runs the server");
	}
	if (setgroups(0, NULL) != 0 || setgid(st.st_gid) != 0 || setuid(st.st_uid) != 0)
		return kt_fail(err, KT_EIO, errno, "cannot act as the owner of '%s'", data);
	return KT_OK;
}

static enum kt_code run_servekeys_create(struct kt_ctx *ctx, const void *args, struct kt_err *err)
{
	const struct create_args *a = args;
	KT_AUTO_BUF struct kt_buf body = KT_BUF_INIT(KEY_JSON_BYTES);
	KT_AUTO_BUF struct kt_buf made = KT_BUF_INIT(KEY_JSON_BYTES);
	KT_AUTOFREE char *data = NULL;
	KT_AUTO_JSON cJSON *doc = NULL;
	bool served = false;
	enum kt_code rc = kt_keys_body(&a->wish, &body, err), parsed;

	if (rc == KT_OK)
		rc = kt_serve_data_dir(a->data, &data, err);
	if (rc == KT_OK)
		rc = become_owner(data, err);
	if (rc == KT_OK)
		rc = kt_control_key_make(data, a->org, body.ptr, body.len, &made, &served, err);
	if (!made.len)
		return rc;
	/* It is made, also when the server could not be told: the only time to show it. */
	parsed = kt_json_parse(made.ptr, made.len, KT_JSON_STRICT, &doc, NULL);
	explicit_bzero(made.ptr, made.len);
	if (parsed != KT_OK)
		return kt_fail(err, KT_EINTERNAL, 0, "the key cannot be read");
	if (rc == KT_OK && !served)
		kt_say(ctx, "No server uses the folder now; the key is valid when one does.");
	if (ctx->json) {
		kt_remote_json(ctx, doc);
	} else {
		kt_say(ctx, "This is the only time that the key is shown:");
		kt_outf("%s\n", kt_json_str_or(doc, "key", ""));
	}
	return rc;
}

static const struct kt_cmd create_cmd = {
	.name = "create",
	.summary = "make a key and print it, this once, also while serving",
	.opts = create_opts,
	.args_size = sizeof(struct create_args),
	.defaults = servekeys_defaults,
	.run = run_servekeys_create,
	.aliases = "add, new",
	.examples = "sudo karta serve keys create admin --data /var/lib/karta\n"
		    "karta serve keys create rescue --expires 1h | karta login --with-key\n",
};
static const struct kt_cmd *const subs[] = { &create_cmd, NULL };

const struct kt_cmd kt_cmd_serve_keys = {
	.name = "keys",
	.summary = "keys made on this machine, when the last one is lost",
	.subs = subs,
};
