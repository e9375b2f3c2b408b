/* SPDX-License-Identifier: MIT */
/*
 * `karta upgrade`: how this copy was installed, and the command that upgrades it. It is the only
 * command that knows of newer versions, and asks for them only with --check where --from or
 * KARTA_UPGRADE_URL says. What installed a copy left a word about it in ../lib/karta
 * (scripts/dist).
 */
#include "cmd/cmd.h"

#include "base/buf.h"
#include "base/env.h"
#include "base/fs.h"
#include "base/str.h"
#include "net/curl.h"
#include "net/url.h"
#include "text/json.h"

#include <string.h>
#include <unistd.h>

#define NOTE_BYTES 4096 /* of a file in ../lib/karta */
#define VERSION_BYTES 64 /* of what a server says */
#define ASK_MS 15000

extern const struct kt_cmd kt_cmd_upgrade;

struct upgrade_args {
	bool check;
	const char *from;
};

static const struct kt_opt upgrade_opts[] = {
	KT_OPT_FLAG_(0, "check", struct upgrade_args, check,
		"ask for the newest version where --from or KARTA_UPGRADE_URL says"),
	KT_OPT_STR_(0, "from", struct upgrade_args, from, "URL",
		"ask there: the address that install.sh came from"),
	KT_OPT_END,
};

/* How a copy can have been installed. */
static const struct channel {
	const char *name;
	const char *text;
	const char *command; /* NULL: upgrade_command() makes it */
} channels[] = {
	{ "deb", "Debian package", "sudo apt install ./karta_VERSION_ARCH.deb" },
	{ "npm", "npm package", "npm install -g @karta/cli@latest" },
	{ "image", "container image", "pull the newer image, and start it with the same volume" },
	{ "tarball", "tarball", NULL },
	{ "built", "built from source", "git pull && make && sudo make install" },
};

/* What is known of this copy. */
struct copy {
	const struct channel *channel;
	char *prefix; /* absolute */
	char *source; /* where install.sh found it, or NULL */
};

static void copy_release(struct copy *c)
{
	free(c->prefix);
	free(c->source);
}

/* First line of a file in ../lib/karta; NULL when it is not there. The caller's, free. */
static char *note_of(const char *prefix, const char *name)
{
	KT_AUTOFREE char *dir = kt_path_join(prefix, "lib/karta");
	KT_AUTOFREE char *path = kt_path_join(dir, name);
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(NOTE_BYTES);

	if (!kt_fs_is_file(path) || kt_fs_read(path, &b, NULL) != KT_OK || !b.len)
		return NULL;
	return kt_strndup(b.ptr, strcspn(b.ptr, "\n"));
}

static void look_at_self(struct copy *c)
{
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	KT_AUTOFREE char *bin = NULL;
	KT_AUTOFREE char *name = NULL;

	c->channel = &channels[KT_ARRAY_LEN(channels) - 1];
	if (n <= 0)
		return;
	self[n] = '\0';
	bin = kt_path_dir(self);
	c->prefix = kt_path_dir(bin);
	name = note_of(c->prefix, "channel");
	for (size_t i = 0; name && i < KT_ARRAY_LEN(channels); i++)
		if (kt_str_eq(channels[i].name, name))
			c->channel = &channels[i];
	if (kt_str_eq(c->channel->name, "tarball"))
		c->source = note_of(c->prefix, "source");
}

/* The command that upgrades it. The caller's, free. */
static char *upgrade_command(const struct copy *c)
{
	if (c->channel->command)
		return kt_strdup(c->channel->command);
	if (!c->source)
		return kt_asprintf("unpack the newer tarball over %s", c->prefix);
	if (strstr(c->source, "://"))
		return kt_asprintf("curl -fsSL %s/install.sh | sh -s -- --from %s --prefix '%s'",
			c->source, c->source, c->prefix);
	return kt_asprintf(
		"sh '%s/install.sh' --from '%s' --prefix '%s'", c->source, c->source, c->prefix);
}

/* As in 0.10.2: by its numbers; what follows a number that differs does not count. */
static int compare_versions(const char *a, const char *b)
{
	while (*a || *b) {
		size_t len_a = strspn(a, "0123456789");
		size_t len_b = strspn(b, "0123456789");
		size_t zeros_a = KT_MIN(strspn(a, "0"), len_a);
		size_t zeros_b = KT_MIN(strspn(b, "0"), len_b);
		size_t digits_a = len_a - zeros_a;
		size_t digits_b = len_b - zeros_b;
		int order = digits_a != digits_b ? (digits_a > digits_b ? 1 : -1)
						 : strncmp(a + zeros_a, b + zeros_b, digits_a);

		if (order != 0)
			return order;
		a += len_a;
		b += len_b;
		/* 1.0 comes before 1.0.1, and after 1.0-rc1. */
		if (*a != *b) {
			if (!*a || !*b)
				return (*a ? *a : *b) == (*a ? '.' : '-') ? 1 : -1;
			return *a < *b ? -1 : 1;
		}
		if (*a) {
			a++;
			b++;
		}
	}
	return 0;
}

/* Ask FROM/VERSION for the newest version; *out is the caller's, free. */
static enum kt_code ask_newest_version(
	const char *from, int64_t timeout_ms, char **out, struct kt_err *err)
{
	KT_AUTOFREE char *base = kt_strndup(from, strlen(from) - kt_str_ends(from, "/"));
	KT_AUTOFREE char *url = kt_asprintf("%s/VERSION", base);
	struct kt_http_call call = { .method = "GET",
		.url = url,
		.total_ms = timeout_ms > 0 ? timeout_ms : ASK_MS,
		.max_body_bytes = NOTE_BYTES };
	struct kt_http_reply reply;
	struct kt_url parsed;
	enum kt_code rc = kt_url_parse(url, &parsed, err);
	bool safe = rc == KT_OK && (parsed.https || parsed.loopback);
	size_t len;

	if (rc != KT_OK)
		return kt_wrap(err, "--from");
	kt_url_release(&parsed);
	if (!safe)
		return kt_fail(err, KT_EDENIED, 0, "'%s' is not https", from);
	rc = kt_http_do(&call, &reply, err);
	if (rc != KT_OK)
		return rc;
	len = strcspn(reply.body.ptr ? reply.body.ptr : "", "\r\n");
	if (reply.status != 200) {
		rc = kt_fail(err, reply.status == 404 ? KT_ENOTFOUND : KT_EPROTO, 0,
			"'%s' answers %d", url, reply.status);
		(void)kt_hint(err, "is it the address that install.sh came from");
	} else if (!len || len > VERSION_BYTES ||
		strspn(reply.body.ptr, "0123456789.+~-abcdefghijklmnopqrstuvwxyz") != len ||
		reply.body.ptr[0] < '0' || reply.body.ptr[0] > '9') {
		rc = kt_fail(err, KT_EPROTO, 0, "'%s' holds no version", url);
	} else {
		*out = kt_strndup(reply.body.ptr, len);
	}
	kt_http_reply_release(&reply);
	return rc;
}

static void print_upgrade_json(const struct copy *c, const char *command, const char *newest)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(32768);
	struct kt_jw w;

	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_jw_int(&w, "schema_version", 1);
	kt_jw_str(&w, "version", KT_VERSION);
	kt_jw_str(&w, "installed", c->channel->name);
	kt_jw_str(&w, "prefix", c->prefix);
	kt_jw_str(&w, "command", command);
	kt_jw_str(&w, "newest", newest);
	if (newest)
		kt_jw_bool(&w, "newer", compare_versions(newest, KT_VERSION) > 0);
	else
		kt_jw_null(&w, "newer");
	kt_jw_obj_end(&w);
	kt_buf_addc(&b, '\n');
	kt_out(b.ptr, b.len);
}

static enum kt_code cmd_upgrade(struct kt_ctx *ctx, const void *arg, struct kt_err *err)
{
	const struct upgrade_args *args = arg;
	const char *from = args->from ? args->from : kt_env_get("KARTA_UPGRADE_URL");
	struct copy c = { 0 };
	KT_AUTOFREE char *command = NULL;
	KT_AUTOFREE char *newest = NULL;
	enum kt_code rc = KT_OK;

	if (from && (args->check || args->from))
		rc = ask_newest_version(from, ctx->timeout_ms, &newest, err);
	if (rc != KT_OK)
		return rc;
	look_at_self(&c);
	command = upgrade_command(&c);
	if (ctx->json) {
		print_upgrade_json(&c, command, newest);
	} else {
		kt_outf("version    %s\ninstalled  %s%s%s\n", KT_VERSION, c.channel->text,
			c.prefix ? ", in " : "", c.prefix ? c.prefix : "");
		if (newest)
			kt_outf("newest     %s\n", newest);
		if (!newest || compare_versions(newest, KT_VERSION) > 0)
			kt_outf("upgrade    %s\n", command);
		if (!newest)
			kt_say(ctx,
				"Nobody was asked for a newer version: karta upgrade --check "
				"--from URL asks there.");
	}
	copy_release(&c);
	return KT_OK;
}

const struct kt_cmd kt_cmd_upgrade = {
	.name = "upgrade",
	.summary = "say how this copy is upgraded",
	.group = KT_GROUP_OTHER,
	.opts = upgrade_opts,
	.args_size = sizeof(struct upgrade_args),
	.run = cmd_upgrade,
};
