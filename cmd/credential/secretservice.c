/* SPDX-License-Identifier: MIT */
/*
 * karta-credential-secretservice get|store|erase: keeps keys with the desktop's Secret Service by
 * libsecret. Lines NAME=VALUE up to an empty one on standard input, as git-credential(1) has them:
 * host (the server), username (the profile), password (the key). `get` prints password=KEY. A
 * program of its own so that karta itself loads neither GLib nor D-Bus. Exit status 0 when done, 1
 * when no service answers or it has no such key, 2 for wrong usage.
 */
#include <libsecret/secret.h>

#include <stdio.h>
#include <string.h>

#define LINE_MAX_BYTES 4096

struct credential {
	char host[LINE_MAX_BYTES];
	char username[LINE_MAX_BYTES];
	char password[LINE_MAX_BYTES];
};

static const SecretSchema schema = { "sh.karta.Key", SECRET_SCHEMA_NONE,
	{ { "host", SECRET_SCHEMA_ATTRIBUTE_STRING }, { "profile", SECRET_SCHEMA_ATTRIBUTE_STRING },
		{ NULL, 0 } },
	0, 0, 0, 0, 0, 0, 0, 0 };

/* Take "name=value" into out when it is that name. */
static void take_attribute(const char *line, const char *name, char *out)
{
	size_t n = strlen(name);

	if (strncmp(line, name, n) == 0 && line[n] == '=')
		(void)snprintf(out, LINE_MAX_BYTES, "%s", line + n + 1);
}

static int read_credential(struct credential *c)
{
	char line[LINE_MAX_BYTES];

	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		if (!line[0])
			break;
		take_attribute(line, "host", c->host);
		take_attribute(line, "username", c->username);
		take_attribute(line, "password", c->password);
	}
	explicit_bzero(line, sizeof(line));
	return c->host[0] && c->username[0];
}

static int get_secret(const struct credential *c)
{
	GError *error = NULL;
	char *key = secret_password_lookup_sync(
		&schema, NULL, &error, "host", c->host, "profile", c->username, NULL);
	int ok = !error && key;

	if (ok)
		ok = printf("password=%s\n", key) > 0 && fflush(stdout) == 0;
	secret_password_free(key);
	g_clear_error(&error);
	return ok ? 0 : 1;
}

static int store_secret(const struct credential *c)
{
	char label[LINE_MAX_BYTES];
	GError *error = NULL;
	gboolean ok;

	(void)snprintf(label, sizeof(label), "karta key for %.200s", c->host);
	ok = c->password[0] &&
		secret_password_store_sync(&schema, SECRET_COLLECTION_DEFAULT, label, c->password,
			NULL, &error, "host", c->host, "profile", c->username, NULL);
	g_clear_error(&error);
	return ok ? 0 : 1;
}

static int erase_secret(const struct credential *c)
{
	GError *error = NULL;

	/* Nothing to erase is fine; no service is not. */
	(void)secret_password_clear_sync(
		&schema, NULL, &error, "host", c->host, "profile", c->username, NULL);
	if (!error)
		return 0;
	g_clear_error(&error);
	return 1;
}

int main(int argc, char **argv)
{
	static struct credential c;
	int status = 2;

	if (argc == 2 && read_credential(&c)) {
		if (strcmp(argv[1], "get") == 0)
			status = get_secret(&c);
		else if (strcmp(argv[1], "store") == 0)
			status = store_secret(&c);
		else if (strcmp(argv[1], "erase") == 0)
			status = erase_secret(&c);
	}
	if (status == 2)
		(void)fprintf(stderr, "usage: karta-credential-secretservice get|store|erase\n");
	explicit_bzero(&c, sizeof(c));
	return status;
}
