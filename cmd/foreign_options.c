/* SPDX-License-Identifier: MIT */
/*
 * The options that people know from elsewhere. An option that karta's command has itself is never
 * looked up here. In `say` commands stand in single quotes: a test types each of them with --help.
 */
#include "cmd/foreign.h"

#include "base/str.h"

#include <string.h>

/* It is what karta does anyway. */
#define DROP(from, command, options)                                                               \
	{                                                                                          \
		from, command, options, false, "", NULL                                            \
	}
/* karta has it, by this name; with a value that stays behind it. */
#define IS(from, command, options, value, to)                                                      \
	{                                                                                          \
		from, command, options, value, to, NULL                                            \
	}
/* karta does not have it, but this. */
#define NONE(from, command, options, value, say)                                                   \
	{                                                                                          \
		from, command, options, value, NULL, say                                           \
	}

#define NO_SHELL                                                                                   \
	"'karta run' sends a message to the agent, there is no shell; 'karta chat' talks to it"
#define NO_MACHINES "there are no machines: 'karta logs --session ID' is about one session"
#define ON_ITS_SERVER "a project runs where its server does; 'karta whoami' names it"
#define ONE_ORG "a server has one organization; 'karta whoami' names it"
#define OWN_VARIABLES "the variables are of one project: 'karta config list -p NAME'"

const struct kt_foreign_option kt_foreign_options[] = {
	DROP("vercel netlify", "deploy", "--prod --production"),
	DROP("fly docker", "deploy", "--build --now --remote-only"),
	IS("fly railway docker", "deploy", "-d --detach", false, "--no-wait"),
	NONE("fly vercel", "deploy", "--local-only --prebuilt", false,
		"the server builds what it gets; 'karta deploy --dry-run' shows what that is"),
	NONE("vercel", "deploy", "--target --environment", true,
		"a branch is a preview: 'karta deploy --ref BRANCH', or 'git push karta BRANCH'"),
	NONE("fly", "deploy", "--strategy", true,
		"a release goes live at once for new sessions; 'karta rollback' takes it back"),
	NONE("fly heroku", "deploy", "-i --image", true,
		"there are no images: 'karta deploy' ships a folder or a commit"),
	NONE("docker fly", "deploy", "--build-arg --secret", true,
		"'karta config set NAME=VALUE' gives variables, 'karta deploy --env K=V' one "
		"release"),
	NONE("docker", "deploy", "-t --tag", true,
		"releases are numbered by themselves; 'karta deploy --message TEXT' says what one "
		"is"),
	NONE("fly", "deploy", "-c --config", true,
		"the settings are karta.toml in the folder: 'karta deploy --dir FOLDER'"),
	NONE("kubectl", "deploy", "-k", true, "'karta deploy --dir FOLDER' ships a folder"),
	NONE("git", "deploy", "-u --set-upstream", false,
		"'git push karta main' is git's, 'karta deploy' ships the branch you are on"),

	NONE("heroku", "logs", "-d --dyno --dyno-name --ps --process-type", true,
		"there are no dynos: 'karta logs --session ID' is about one session"),
	NONE("fly", "logs", "-i --instance --machine", true, NO_MACHINES),
	NONE("kubectl", "logs", "-c --container -l --selector", true, NO_MACHINES),
	IS("kubectl", "logs", "--since-time", true, "--since"),
	IS("heroku", "logs", "--force-colors", false, "--color=always"),
	DROP("docker kubectl", "logs", "--timestamps --details --all-containers --prefix"),
	NONE("vercel wrangler", "logs", "--format", true,
		"'karta logs --json' gives one object a line"),

	NONE("docker heroku", "run", "-it -ti -i -t --tty --interactive", false, NO_SHELL),
	NONE("docker heroku", "run", "--rm -x --exit-code --no-tty --no-notify", false, NO_SHELL),
	NONE("heroku", "run", "-s --size --type", true, NO_SHELL),
	NONE("docker heroku", "run", "-d --detach", false,
		"'karta send' goes on in its session when you leave; 'karta sessions tail ID' "
		"shows it"),
	NONE("docker heroku", "run", "-e --env", true,
		"'karta run' has the environment of your shell: write A=1 before it"),

	NONE("heroku fly", "projects create", "--stack -b --buildpack", true,
		"karta sees by the files which harness it is: 'karta agents'"),
	NONE("heroku", "projects create", "--addons", true,
		"give the agent an address and a credential: 'karta config set NAME=VALUE'"),
	DROP("heroku gh", "projects create", "-n --no-remote --private"),
	NONE("gh", "projects create", "--public", false,
		"whoever has a key may talk to a project: 'karta keys create NAME' makes one"),
	DROP("vercel docker gh", "projects list", "-a -A -l --all --long --no-trunc"),
	DROP("docker kubectl", "sessions list", "-a -A -l --all --no-trunc --all-namespaces"),
	DROP("docker helm", "releases list", "-a --all --no-trunc"),
	NONE("docker kubectl", "projects delete", "-f --force", false,
		"'karta projects delete NAME --confirm NAME' asks nothing"),
	NONE("heroku", "projects show", "-s --shell", false,
		"'karta projects show --json' prints one object for scripts"),
	NONE("gh", "config set", "-b --body", true,
		"the value comes with the name: 'karta config set NAME=VALUE', or on standard "
		"input with NAME=-"),
	NONE("gh docker", "config set", "-f --env-file", true,
		"'karta config import FILE' takes variables from a file"),
	NONE("fly", "config set", "--stage", false,
		"a change is live as soon as it is made; 'karta releases list' has its release"),
	NONE("fly", "config import", "--stage", false,
		"a change is live as soon as it is made; 'karta releases list' has its release"),
	IS("fly", "config set", "--detach", false, "--no-wait"),
	DROP("vercel", "config set", "--sensitive --secret"),
	NONE("gh railway netlify", "config set", "-e --env --environment --context -u --user", true,
		OWN_VARIABLES),
	NONE("gh railway netlify", "config list", "-e --env --environment --context -u --user",
		true, OWN_VARIABLES),
	DROP("heroku", "config get", "-s --shell"),

	IS("kubectl", "rollback", "--to-revision", true, "--to"),
	DROP("heroku gh", "login", "-i --interactive --web -w --sso"),
	IS("gh", "login", "--with-token", false, "--with-key"),
	IS("gh", "login", "--hostname", true, "--server"),
	NONE("docker", "login", "-u --username --password --password-stdin", false,
		"there are keys, no passwords: 'karta login --with-key <FILE' takes one"),
	NONE("gh", "login", "-s --scopes", true,
		"'karta login --admin' asks for a key that may administer, --read-only for less"),
	NONE("gh fly", "whoami", "-t --show-token", false,
		"keys are shown once, when they are made: 'karta keys create NAME'"),
	IS("fly", "keys create", "-x --expiry --expiration", true, "--expires"),
	IS("fly", "keys create", "-n --name", true, "="),
	NONE("vercel npm", "dev", "-l --listen --host --hostname", true,
		"'karta dev' is for this machine; 'karta serve --listen ADDRESS' is for others"),
	NONE("heroku", "dev", "-f --procfile", true,
		"there is no Procfile; [harness] in karta.toml says what 'karta dev' starts"),
	IS("npm heroku", "upgrade", "--dry-run", false, "--check"),
	DROP("kubectl docker", "version", "--client --short"),

	NONE("vercel railway fly", "*", "-t --token --access-token", true,
		"KARTA_API_KEY is the key of a command; 'karta login' keeps one"),
	NONE("heroku fly vercel", "*", "--team --org --organization --scope --space", true,
		ONE_ORG),
	NONE("heroku fly", "*", "--region --regions", true, ON_ITS_SERVER),
	NONE("kubectl", "*", "-n --namespace", true, ONE_ORG),
	NONE("gh", "*", "-R --repo", true, "'karta projects show -p NAME' names a project so"),
	NONE("kubectl docker", "*", "--context --kubeconfig --cluster -H --host", true,
		"'karta whoami --server URL' names a server so, --profile NAME one signed in to"),
	NONE("kubectl gh docker", "*", "-o --output --format --jq", true,
		"--json prints one object, as 'karta releases list --json'"),
	NONE("gh", "*", "-w --web", false, "'karta open' opens the page"),
	NONE("fly kubectl", "*", "--watch", false, "'karta logs --follow' shows what happens"),
	IS("kubectl", "*", "-V", false, "--version"),
	{ NULL, NULL, NULL, false, NULL, NULL },
};

/* Is the word, up to its '=', one of a list with blanks between? */
static bool list_names_option(const char *list, const char *word)
{
	size_t len = strcspn(word, "=");

	for (const char *at = list; *at; at += strspn(at, " ")) {
		size_t n = strcspn(at, " ");

		if (n == len && !strncmp(at, word, n))
			return true;
		at += n;
	}
	return false;
}

const struct kt_foreign_option *kt_foreign_option_find(
	const char *command, const char *word, bool own)
{
	for (const struct kt_foreign_option *o = kt_foreign_options; o->from; o++) {
		bool here = (!own && kt_str_eq(o->command, "*")) || kt_str_eq(o->command, command);

		if (here && list_names_option(o->options, word))
			return o;
	}
	return NULL;
}
