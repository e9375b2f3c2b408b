/* SPDX-License-Identifier: MIT */
/*
 * Names under which people keep secrets: private keys, logins of tools, variables of a machine. One
 * table, for a folder that is packed (refused) and for what was committed or sent (a warning).
 */
#include "pack/pack.h"

#include "base/str.h"

#include <string.h>

/* Without a slash: the name of a file. With one: the end of its path. Lower case. */
static const char *const secrets[] = {
	/* variables */
	".env*",
	"*.env",
	"settings.local.json",
	"secrets.json",
	"secrets.toml",
	"secrets.yaml",
	"secrets.yml",
	"*.tfstate",
	/* private keys */
	"id_rsa*",
	"id_dsa*",
	"id_ecdsa*",
	"id_ed25519*",
	"*.pem",
	"*.key",
	"*.p12",
	"*.pfx",
	"*.ppk",
	"*.p8",
	"*.jks",
	"*.keystore",
	"*.kdbx",
	"**/.ssh/*",
	"**/.gnupg/**",
	/* logins */
	".npmrc",
	".yarnrc.yml",
	".pypirc",
	".netrc",
	"_netrc",
	".git-credentials",
	".pgpass",
	".my.cnf",
	".htpasswd",
	".dockercfg",
	".vault-token",
	".credentials.json",
	"credentials.json",
	"client_secret*.json",
	"service-account*.json",
	"service_account*.json",
	"*-adminsdk-*.json",
	"kubeconfig",
	"**/.aws/credentials",
	"**/.codex/auth.json",
	"**/opencode/auth.json",
	"**/.docker/config.json",
	"**/.kube/config",
	"**/.config/gh/hosts.yml",
};

/* What stands for a secret and holds none. */
static const char *const harmless[] = {
	"*.example",
	"*.sample",
	"*.template",
	"*.tmpl",
	"*.dist",
	"*.pub",
	".env.example.*",
	"example.env",
	"sample.env",
	"template.env",
	".env.schema",
	"**/.ssh/known_hosts",
};

static bool list_names_path(const char *const *list, size_t n, const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;

	for (size_t i = 0; i < n; i++) {
		if (kt_pack_glob(list[i], strchr(list[i], '/') ? path : name))
			return true;
	}
	return false;
}

bool kt_pack_secret(const char *path)
{
	KT_AUTOFREE char *low = kt_strdup(path);

	for (char *p = low; *p; p++) {
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p + 'a' - 'A');
	}
	return list_names_path(secrets, KT_ARRAY_LEN(secrets), low) &&
		!list_names_path(harmless, KT_ARRAY_LEN(harmless), low);
}
