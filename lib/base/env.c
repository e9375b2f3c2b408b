/* SPDX-License-Identifier: MIT */
/*
 * The environment, read from environ itself: the table below is the whole list of what has an
 * effect, and asking for a name that is not in it is a bug. Nothing is written to it.
 */
#include "base/env.h"

#include "base/str.h"

#include <string.h>
#include <unistd.h>

#define MAX_NAME_BYTES 128

static const struct kt_env_var table[] = {
	{ "KARTA_API_KEY", "key that signs in to the server" },
	{ "KARTA_SERVER", "address of the server" },
	{ "KARTA_PROJECT", "project that commands work on" },
	{ "KARTA_PROFILE", "profile of the configuration to use" },
	{ "KARTA_CONFIG_DIR", "folder of the configuration" },
	{ "KARTA_DATA", "folder of the server's data" },
	{ "KARTA_TIMEOUT", "give up waiting after this long, as 30s or 5m" },
	{ "KARTA_LOG", "lowest level that is logged: debug, info, warn or error" },
	{ "KARTA_DEBUG", "1 shows what is sent and received" },
	{ "KARTA_JSON", "1 prints JSON, as --json does" },
	{ "KARTA_NO_COLOR", "when set, karta prints no color" },
	{ "KARTA_CLAUDE", "path of the claude program, instead of a search in PATH" },
	{ "KARTA_OPENCODE", "path of the opencode program, instead of a search in PATH" },
	{ "KARTA_LISTEN", "address of karta serve, as 127.0.0.1:8000" },
	{ "KARTA_PUBLIC_URL", "address of karta serve as its users see it" },
	{ "KARTA_TRUST_PROXY", "1 believes a proxy near karta serve, a list of addresses those" },
	{ "KARTA_OFFLINE", "1 replays rehearsals instead of running harnesses in karta serve" },
	{ "KARTA_REQUIRE_KEYS", "1 asks for keys also on a local karta serve" },
	{ "KARTA_HARNESS_PROGRAM", "program of the harness in karta serve" },
	{ "KARTA_GITHUB_URL", "address of GitHub's API for karta serve" },
	{ "KARTA_PRIVATE_HOSTS", "hosts that are not public which karta serve may fetch from" },
	{ "KARTA_LOG_FORMAT", "log lines of karta serve: text, json or auto" },
	{ "KARTA_DRAIN", "time that running turns get when karta serve is stopped" },
	{ "KARTA_PREVIEW_LIFE", "time after which a preview ends" },
	{ "KARTA_RELEASE_RETENTION", "time that files of unused releases are kept" },
	{ "KARTA_LOG_RETENTION", "time that lines of a project's log are kept" },
	{ "KARTA_MAX_LOG_BYTES", "size of a project's log" },
	{ "KARTA_MAX_ARCHIVE_BYTES", "size of an upload to karta serve" },
	{ "KARTA_MAX_RELEASE_BYTES", "size of a release, unpacked" },
	{ "KARTA_MAX_RELEASE_FILES", "number of files of a release" },
	{ "KARTA_MAX_FILE_BYTES", "size of one file of a release" },
	{ "KARTA_SERVE_CONFIG", "file with the settings of karta serve" },
	{ "KARTA_UPGRADE_URL", "where karta upgrade --check asks for the newest version" },
	{ "KARTA_DEMO_ONCE", "1 ends the demo after one conversation" },
	{ "NO_COLOR", "when set, no program prints color" },
	{ "FORCE_COLOR", "when set, color is printed to pipes and files too" },
	{ "CLICOLOR_FORCE", "as FORCE_COLOR, when not 0" },
	{ "TERM", "kind of terminal; dumb means no color and no cursor movement" },
	{ "XTERM_VERSION", "set by xterm, which cuts lines off when it gets narrower" },
	{ "COLUMNS", "width of the output when it is no terminal" },
	{ "PAGER", "program that shows long output" },
	{ "VISUAL", "program that edits text, before EDITOR" },
	{ "EDITOR", "program that edits text" },
	{ "CI", "when set, nothing is asked and no progress is drawn" },
	{ "GITHUB_ACTIONS", "true in a job of GitHub Actions: karta deploy tells it of results" },
	{ "GITHUB_REF", "ref that a job of GitHub Actions runs for" },
	{ "GITHUB_HEAD_REF", "branch of the pull request that a job of GitHub Actions runs for" },
	{ "GITHUB_EVENT_PATH", "file with the event that a job of GitHub Actions runs for" },
	{ "GITHUB_OUTPUT", "file for the outputs of a step of GitHub Actions" },
	{ "GITHUB_STEP_SUMMARY", "file for the summary of a job of GitHub Actions" },
	{ "HOME", "home folder" },
	{ "PATH", "folders in which programs are searched" },
	{ "USER", "name of the user" },
	{ "LANG", "language and encoding, when LC_ALL is not set" },
	{ "LC_ALL", "language and encoding" },
	{ "TMPDIR", "folder of temporary files" },
	{ "SHELL", "shell of the user, for which completion is set up" },
	{ "XDG_CONFIG_HOME", "parent of the configuration folder" },
	{ "XDG_STATE_HOME", "parent of the folder of logs and history" },
	{ "XDG_CACHE_HOME", "parent of the cache folder" },
	{ "XDG_DATA_HOME", "parent of the data folder" },
	{ "XDG_RUNTIME_DIR", "folder of sockets" },
	{ "BROWSER", "program that opens web pages" },
	{ "DISPLAY", "X display; without one, and without WAYLAND_DISPLAY, no browser is tried" },
	{ "WAYLAND_DISPLAY", "Wayland display" },
	{ "HTTPS_PROXY", "proxy for requests to https addresses" },
	{ "NO_PROXY", "hosts that are reached without a proxy" },
	{ "SSL_CERT_FILE", "certificates of the authorities to trust" },
	{ "ANTHROPIC_API_KEY", "key of the model provider, handed to the harness" },
	{ "ANTHROPIC_AUTH_TOKEN", "token of the model provider, handed to the harness" },
	{ "ANTHROPIC_BASE_URL", "address of the model provider, handed to the harness" },
	{ "CLAUDE_CODE_OAUTH_TOKEN", "token of a Claude subscription, handed to the harness" },
	{ "CLAUDE_CONFIG_DIR", "configuration folder of Claude Code" },
	{ "OPENCODE_CONFIG_CONTENT", "configuration of OpenCode as JSON text" },
	{ "OPENAI_API_KEY", "key of the model provider, handed to the harness" },
	{ "LISTEN_FDS", "number of sockets that the service manager has opened" },
	{ "LISTEN_PID", "process that those sockets are for" },
	{ "NOTIFY_SOCKET", "socket of the service manager that is told when the server is ready" },
	{ NULL, NULL },
};

const struct kt_env_var *kt_env_table(void)
{
	return table;
}

static bool in_table(const char *name)
{
	for (const struct kt_env_var *v = table; v->name; v++) {
		if (!strcmp(v->name, name))
			return true;
	}
	return false;
}

const char *kt_env_get(const char *name)
{
	size_t n = strlen(name);

	kt_assert(in_table(name));
	for (char **e = environ; e && *e; e++) {
		if (!strncmp(*e, name, n) && (*e)[n] == '=')
			return (*e)[n + 1] ? *e + n + 1 : NULL;
	}
	return NULL;
}

bool kt_env_flag(const char *name)
{
	static const char *const yes[] = { "1", "true", "yes", "on" };
	const char *value = kt_env_get(name);

	for (size_t i = 0; value && i < KT_ARRAY_LEN(yes); i++) {
		if (kt_str_ieq(value, yes[i]))
			return true;
	}
	return false;
}

char **kt_env_all(void)
{
	static char *none[] = { NULL };

	return environ ? environ : none;
}

bool kt_env_name_ok(const char *name)
{
	size_t len = strspn(
		name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");

	if (len == 0 || name[len] || len > MAX_NAME_BYTES || (*name >= '0' && *name <= '9'))
		return false;
	/* The server's own, and those that make the dynamic loader run something else. */
	return !kt_str_starts(name, "KARTA_") && !kt_str_starts(name, "LD_");
}
