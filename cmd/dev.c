/* SPDX-License-Identifier: MIT */
/*
 * karta dev: serves the folder on loopback. The server is this process; the chat in the terminal
 * is another one, `karta chat`, so that both live through the same protocol as any other client.
 */
#include "cmd/browser.h"
#include "cmd/cmd.h"

#include "api/api.h"
#include "base/env.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/str.h"
#include "cmd/chat/lastsession.h"
#include "cmd/dev.h"
#include "cmd/devdir.h"
#include "cmd/devlog.h"
#include "cmd/devtrust.h"
#include "http/http.h"
#include "net/loop.h"
#include "proc/proc.h"
#include "session/session.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define PORT_DEFAULT 8000
#define PORT_TRIES 20

/* Embedded by scripts/embed. */
extern const struct kt_asset kt_pages[] __attribute__((visibility("hidden")));

static void dev_defaults(void *p)
{
	struct kt_dev_args *a = p;

	a->port = -1;
	a->warm = 1;
}

static const struct kt_opt opts[] = {
	KT_OPT_INT_('p', "port", struct kt_dev_args, port, "PORT", 0, 65535,
		"port on loopback; 0 picks one (default: 8000, or the next free one)"),
	{ KT_OPT_T_STR, 0, "dir", "DIR", offsetof(struct kt_dev_args, dir),
		"folder of the application (default: .)", KT_OPT_DIR },
	KT_OPT_CHOICE_(0, "harness", struct kt_dev_args, harness, "NAME", kt_harness_types,
		"harness to use, whatever the folder says"),
	{ KT_OPT_T_STR, 0, "harness-program", "FILE", offsetof(struct kt_dev_args, program),
		"program of the harness, instead of the one on PATH", KT_OPT_FILE },
	{ KT_OPT_T_STR, 0, "config", "FILE", offsetof(struct kt_dev_args, config),
		"settings (default: karta.jsonc)", KT_OPT_FILE },
	KT_OPT_FLAG_(0, "offline", struct kt_dev_args, offline,
		"replay rehearsals/ instead of running the harness"),
	KT_OPT_FLAG_(0, "record", struct kt_dev_args, record, "record each turn into rehearsals/"),
	KT_OPT_STR_(0, "speed", struct kt_dev_args, speed, "FACTOR",
		"speed of rehearsals: 1 as recorded, 0 at once (default: 1)"),
	KT_OPT_STR_(0, "user", struct kt_dev_args, user, "ID", "user_id of new sessions"),
	KT_OPT_FLAG_('c', "continue", struct kt_dev_args, go_on,
		"the chat goes on with the folder's last session"),
	KT_OPT_STR_('s', "session", struct kt_dev_args, session, "ID",
		"the chat goes on with this session"),
	KT_OPT_INT_(0, "warm", struct kt_dev_args, warm, "N", 0, 8,
		"harnesses started ahead (default: 1)"),
	KT_OPT_FLAG_(0, "no-chat", struct kt_dev_args, no_chat, "serve only, without a chat here"),
	KT_OPT_FLAG_(0, "open", struct kt_dev_args, open, "open the page in a browser"),
	KT_OPT_FLAG_(0, "trust", struct kt_dev_args, trust,
		"let the folder's own settings allow things without asking"),
	KT_OPT_END,
};

struct dev {
	const struct kt_ctx *ctx;
	struct kt_spawner *spawner;
	struct kt_budget *budget;
	size_t max_fds;
	struct kt_loop *loop;
	struct kt_sessions *sessions;
	struct kt_api *api;
	struct kt_http_server *http;
	struct kt_http_sockets sockets; /* taken, not served yet */
	struct kt_signal *signals[4];
	char *data_dir;
	const char *trust_dir; /* where it is remembered what the folder may do */
	const struct kt_vec *once; /* words of the one command that is served, or NULL */
	char *address; /* of its socket */
	char url[64];
	pid_t chat; /* 0 = none */
	pid_t browser; /* 0 = none; reaped, else of no interest */
	int chat_status;
	bool stopping;
	int stops; /* signals that asked to stop */
};

static void dev_http_drained(void *arg)
{
	struct dev *d = arg;

	kt_loop_stop(d->loop);
}

static void dev_turns_drained(void *arg)
{
	struct dev *d = arg;

	kt_http_drain(d->http, dev_http_drained, d);
}

static void dev_stop(struct dev *d)
{
	if (d->stopping)
		return;
	d->stopping = true;
	kt_api_set_draining(d->api);
	kt_sessions_drain(d->sessions, d->chat ? 0 : KT_HTTP_DRAIN_MS, dev_turns_drained, d);
}

static void on_stop_signal(void *arg, int signum)
{
	struct dev *d = arg;

	/* Ctrl-C belongs to the chat while there is one; it ends, and we with it. */
	if (d->chat && signum == SIGINT)
		return;
	if (d->stops++) {
		kt_loop_stop(d->loop);
		return;
	}
	if (d->chat)
		(void)kill(d->chat, SIGTERM);
	else
		kt_say(d->ctx, "stopping; running turns may end, again stops at once");
	dev_stop(d);
}

static void on_child(void *arg, int signum)
{
	struct dev *d = arg;
	int status;

	if (d->browser && waitpid(d->browser, &status, WNOHANG) == d->browser)
		d->browser = 0;
	if (!d->chat || waitpid(d->chat, &status, WNOHANG) != d->chat)
		return;
	d->chat = 0;
	d->chat_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	kt_loop_stop(d->loop);
}

static enum kt_code start_dev_signals(struct dev *d, struct kt_err *err)
{
	static const int stops[] = { SIGINT, SIGTERM, SIGHUP };
	enum kt_code rc;

	for (size_t i = 0; i < KT_ARRAY_LEN(stops); i++) {
		rc = kt_signal_new(d->loop, stops[i], on_stop_signal, d, &d->signals[i], err);
		if (rc != KT_OK)
			return rc;
	}
	return kt_signal_new(d->loop, SIGCHLD, on_child, d, &d->signals[3], err);
}

/*
 * The asked port, or the first free one from 8000 on. Before anything is made in the data folder;
 * connections wait until they are served.
 */
static enum kt_code take_port(struct dev *d, int64_t port, struct kt_err *err)
{
	int first = port < 0 ? PORT_DEFAULT : (int)port;
	int tries = port < 0 ? PORT_TRIES : 1;
	enum kt_code rc = KT_ECONFLICT;

	for (int i = 0; i < tries && rc == KT_ECONFLICT; i++)
		rc = kt_http_bind("localhost", first + i, &d->sockets, err);
	if (rc == KT_OK && first && d->sockets.port != first)
		kt_say(d->ctx, "port %d is taken; this is at %d", first, d->sockets.port);
	if (rc == KT_ECONFLICT) {
		KT_AUTOFREE char *url = kt_dev_live_url(d->data_dir);

		if (url)
			return kt_hint(
				err, "%s serves this folder: karta chat --server %s", url, url);
	}
	if (rc == KT_ECONFLICT || rc == KT_EDENIED)
		return kt_hint(err, "choose another with --port, or --port 0 for any free one");
	return rc;
}

static enum kt_code open_sessions(
	struct dev *d, const struct kt_dev_args *a, const char *dir, struct kt_err *err)
{
	struct kt_sessions_config sc = {
		.loop = d->loop,
		.spawner = d->spawner,
		.dir = dir,
		.data_dir = d->data_dir,
		.app = { .harness = a->offline ? "rehearsal" : a->harness, .config = a->config },
		.record = a->record,
		.warm = (size_t)a->warm,
		.user = a->user,
		.rehearsal_speed = 1,
	};
	KT_AUTOFREE char *program = NULL;
	enum kt_code rc;

	/* The harness starts in the application's folder, where a relative path would be another.
	 */
	if (a->program) {
		rc = kt_path_real(a->program, &program, err);
		if (rc == KT_OK && !kt_fs_is_file(program))
			rc = kt_fail(err, KT_ENOTFOUND, 0, "no such file: '%s'", a->program);
		if (rc != KT_OK)
			return kt_wrap(err, "--harness-program");
		sc.harness_program = program;
	}
	if (a->speed && (!kt_str_double(a->speed, &sc.rehearsal_speed) || sc.rehearsal_speed < 0))
		return kt_fail(err, KT_EINVAL, 0, "--speed: '%s' is not a factor", a->speed);
	rc = kt_sessions_open(&sc, &d->sessions, err);
	if (rc == KT_ECONFLICT) {
		KT_AUTOFREE char *url = kt_dev_live_url(d->data_dir);

		if (url)
			return kt_hint(err, "stop it, or talk to it: karta chat --server %s", url);
	}
	if (rc == KT_EIO && !kt_fs_is_dir(d->data_dir))
		return kt_hint(err, "KARTA_DATA names another folder for karta's data");
	return rc;
}

static enum kt_code trust_folder(struct dev *d, const struct kt_dev_args *a, struct kt_err *err)
{
	KT_AUTOFREE char *settings = NULL;
	enum kt_code rc = kt_dev_trust(
		d->ctx, d->trust_dir, kt_sessions_app(d->sessions), a->trust, &settings, err);

	if (settings)
		kt_sessions_set_settings(d->sessions, settings);
	return rc;
}

/* A socket in the state folder, which nobody else can open. */
static enum kt_code serve_private(struct dev *d, struct kt_err *err)
{
	KT_AUTOFREE char *path = kt_path_join(d->data_dir, "http");
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	KT_AUTOFD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (!kt_str_copy(addr.sun_path, sizeof(addr.sun_path), path)) {
		(void)kt_fail(err, KT_EINVAL, 0, "the path of '%s' is too long", path);
		return kt_hint(err, "KARTA_DATA names another folder for karta's data");
	}
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0 ||
		listen(fd, SOMAXCONN) != 0)
		return kt_fail(err, KT_EIO, errno, "cannot make the socket '%s'", path);
	d->address = kt_asprintf("unix:%s", path);
	return kt_http_serve_fd(d->http, KT_STEAL_FD(fd), 0, err);
}

static enum kt_code start_server(struct dev *d, const struct kt_dev_args *a, struct kt_err *err)
{
	struct kt_budget_config bc;
	struct kt_http_config hc;
	struct kt_api_config ac = {
		.pages = kt_pages, .version = KT_VERSION, .sessions = d->sessions
	};
	enum kt_code rc;

	kt_budget_config_init(&bc);
	ac.budget = d->budget = kt_budget_new(&bc);
	ac.by_socket = d->once != NULL;
	d->api = kt_api_new(&ac);
	kt_http_config_init(&hc);
	kt_http_config_files(&hc, d->max_fds);
	hc.budget = d->budget;
	hc.spool = kt_api_spool;
	hc.spool_arg = d->api;
	rc = kt_http_server_new(d->loop, &hc, kt_api_handle, d->api, &d->http, err);
	if (rc == KT_OK && d->once)
		return serve_private(d, err);
	if (rc == KT_OK)
		rc = kt_http_serve(d->http, &d->sockets, 0, err);
	if (rc == KT_OK)
		snprintf(d->url, sizeof(d->url), "http://localhost:%d", d->sockets.port);
	return rc;
}

static void tell_findings(const struct kt_ctx *ctx, const struct kt_app *app)
{
	for (const struct kt_finding *f = app->findings; f; f = f->next) {
		KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(4096);

		if (f->severity == KT_NOTE)
			continue;
		kt_finding_add(&b, f);
		kt_say_built(ctx, &b);
		if (f->fix)
			kt_say(ctx, "  fix: %s", f->fix);
	}
}

static void tell_dev_start(struct dev *d, const struct kt_dev_args *a)
{
	const struct kt_app *app = kt_sessions_app(d->sessions);
	const char *problem = kt_sessions_problem(d->sessions);

	tell_findings(d->ctx, app);
	/* The chat opens with these lines itself. */
	if (!d->chat) {
		kt_say(d->ctx, "%s (%s%s) at %s", app->name, app->harness_name,
			app->harness == KT_HARNESS_REHEARSAL ? ", offline" : "", d->url);
		if (problem[0]) {
			kt_warn(d->ctx, "%s", problem);
			kt_say(d->ctx,
				"'karta dev --offline' works without: it replays rehearsals/");
		}
	}
	if (app->setup)
		kt_say(d->ctx, "setup: %s runs in this folder before the first message, once",
			app->setup);
	kt_say(d->ctx, "log: %s", kt_devlog_path());
	if (a->record)
		kt_say(d->ctx, "recording turns into rehearsals/");
	if (d->ctx->json)
		kt_outf("{\"schema_version\":1,\"url\":\"%s\",\"pid\":%d}\n", d->url,
			(int)getpid());
	else if (!d->chat)
		kt_outf("%s\n", d->url);
}

/* Start a program of the user's without waiting for it. */
static enum kt_code launch_program(
	const char *path, char *const *argv, pid_t *out, struct kt_err *err)
{
	int e = posix_spawn(out, path, NULL, NULL, argv, kt_env_all());

	if (e)
		return kt_fail(err, KT_EIO, e, "cannot start '%s'", argv[0]);
	return KT_OK;
}

static void open_page(struct dev *d)
{
	struct kt_err err = KT_ERR_INIT;

	if (kt_browser_open(d->url, &d->browser, &err) != KT_OK)
		kt_warn(d->ctx, "%s", err.msg);
}

static enum kt_code start_chat(struct dev *d, const struct kt_dev_args *a, struct kt_err *err)
{
	char self[] = "/proc/self/exe", name[] = "karta", sub[] = "chat", opt[] = "--server";
	char dev[] = "--dev", always[] = "--color=always", never[] = "--color=never";
	char quiet[] = "--quiet", go_on[] = "--continue";
	KT_AUTOFREE char *session = a->session ? kt_asprintf("--session=%s", a->session) : NULL;
	char *argv[9] = { name, sub, opt, d->url, dev, d->ctx->out.color ? always : never };
	size_t n = 6;

	if (d->ctx->quiet)
		argv[n++] = quiet;
	if (session || a->go_on)
		argv[n++] = session ? session : go_on;
	return launch_program(self, argv, &d->chat, err);
}

static enum kt_code start_once(struct dev *d, struct kt_err *err)
{
	char self[] = "/proc/self/exe", opt[] = "--server";
	size_t n = d->once->len;
	KT_AUTOFREE char **argv = kt_calloc(n + 3, sizeof(*argv));

	/* Options first: what is behind a "--" is the message. */
	argv[0] = d->once->items[0];
	argv[1] = d->once->items[1];
	argv[2] = opt;
	argv[3] = d->address;
	for (size_t i = 2; i < n; i++)
		argv[i + 2] = d->once->items[i];
	return launch_program(self, argv, &d->chat, err);
}

static void dev_finish(struct dev *d)
{
	struct kt_err err = KT_ERR_INIT;

	if (d->url[0] && kt_dev_announce(d->data_dir, NULL, NULL, NULL, &err) != KT_OK)
		kt_warn(d->ctx, "%s", err.msg);
	kt_http_unbind(&d->sockets);
	kt_http_server_free(d->http);
	kt_api_free(d->api);
	kt_sessions_free(d->sessions);
	kt_budget_free(d->budget);
	for (size_t i = 0; i < KT_ARRAY_LEN(d->signals); i++)
		kt_signal_free(d->signals[i]);
	kt_spawner_free(d->spawner);
	kt_loop_free(d->loop);
	kt_devlog_close();
	free(d->address);
	free(d->data_dir);
}

static enum kt_code dev_serve(
	struct dev *d, const struct kt_dev_args *a, const char *dir, bool chat, struct kt_err *err)
{
	enum kt_log_level lowest = d->ctx->verbose || d->ctx->debug ? KT_LOG_DEBUG : KT_LOG_INFO;
	enum kt_code rc = kt_loop_new(&d->loop, err);

	if (rc == KT_OK)
		rc = kt_spawner_attach(d->spawner, d->loop, err);
	if (rc == KT_OK && !d->once)
		rc = take_port(d, a->port, err);
	if (rc == KT_OK)
		rc = open_sessions(d, a, dir, err);
	/* Before the signals are ours: Ctrl-C at the question ends it all. */
	if (rc == KT_OK)
		rc = trust_folder(d, a, err);
	if (rc == KT_OK)
		rc = start_dev_signals(d, err);
	/* Only now: the state folder is ours, and with it the log. */
	if (rc == KT_OK)
		rc = kt_devlog_open(
			d->data_dir, chat || d->ctx->quiet ? NULL : &d->ctx->errt, lowest, err);
	if (rc == KT_OK)
		rc = start_server(d, a, err);
	if (rc == KT_OK && d->once) {
		rc = start_once(d, err);
		if (rc == KT_OK)
			kt_loop_run(d->loop);
		return rc;
	}
	if (rc == KT_OK)
		rc = kt_dev_announce(
			d->data_dir, d->url, kt_sessions_app(d->sessions)->name, dir, err);
	if (rc == KT_OK && chat)
		rc = start_chat(d, a, err);
	if (rc != KT_OK)
		return rc;
	tell_dev_start(d, a);
	if (a->open)
		open_page(d);
	kt_loop_run(d->loop);
	return KT_OK;
}

/* The spawner, the limits, the loop; and all of it away again. */
static enum kt_code serve_folder(
	struct dev *d, const struct kt_dev_args *a, const char *dir, bool chat, struct kt_err *err)
{
	enum kt_code rc;

	/* Large pieces go back to the system at once: an idle server stays small. */
	(void)mallopt(M_MMAP_THRESHOLD, 128 * 1024);
	(void)mallopt(M_TRIM_THRESHOLD, 128 * 1024);
	rc = kt_spawner_start(&d->spawner, err);
	/* After it, so that harnesses have the limit that they would have by hand. */
	d->max_fds = kt_fd_raise_limit();
	if (rc == KT_OK)
		rc = dev_serve(d, a, dir, chat, err);
	dev_finish(d);
	return rc;
}

/* What is for the chat needs one. */
static enum kt_code check_chat(const struct kt_dev_args *a, bool chat, struct kt_err *err)
{
	enum kt_code rc = kt_last_check(a->go_on, a->session, err);

	if (rc != KT_OK || chat || (!a->go_on && !a->session))
		return rc;
	(void)kt_fail(err, KT_EINVAL, 0, "--%s is for the chat, and there is none here",
		a->go_on ? "continue" : "session");
	return kt_hint(err, "start karta dev in a terminal, without --no-chat");
}

static enum kt_code dev_run(struct kt_ctx *ctx, const void *args, struct kt_err *err)
{
	const struct kt_dev_args *a = args;
	struct dev d = { .ctx = ctx };
	KT_AUTOFREE char *dir = NULL;
	bool chat = !a->no_chat && !ctx->no_input && ctx->out.is_tty && !ctx->json;
	enum kt_code rc = check_chat(a, chat, err);

	if (rc == KT_OK)
		rc = kt_path_real(a->dir ? a->dir : ".", &dir, err);
	if (rc == KT_OK)
		rc = kt_dev_data_dir(dir, &d.data_dir, err);
	if (rc != KT_OK)
		return rc;
	d.trust_dir = d.data_dir;
	rc = serve_folder(&d, a, dir, chat, err);
	if (rc == KT_OK && d.chat_status)
		return kt_fail(err, d.chat_status == 130 ? KT_ECANCEL : KT_EIO, 0,
			"the chat ended with status %d", d.chat_status);
	return rc;
}

enum kt_code kt_dev_once(const struct kt_ctx *ctx, const struct kt_dev_args *a,
	const struct kt_vec *argv, int *out_status, struct kt_err *err)
{
	struct dev d = { .ctx = ctx, .once = argv };
	KT_AUTOFREE char *dir = NULL;
	KT_AUTOFREE char *lasting = NULL;
	KT_AUTOFREE char *state = NULL;
	enum kt_code rc = kt_path_real(a->dir ? a->dir : ".", &dir, err);

	if (rc == KT_OK)
		rc = kt_dev_data_dir(dir, &lasting, err);
	if (rc == KT_OK)
		rc = kt_dev_once_dir(lasting, &d.data_dir, err);
	if (rc != KT_OK)
		return rc;
	state = kt_strdup(d.data_dir);
	d.trust_dir = lasting;
	rc = serve_folder(&d, a, dir, true, err);
	*out_status = d.chat_status;
	(void)!kt_fs_remove_tree(state, NULL);
	return rc;
}

const struct kt_cmd kt_cmd_dev = {
	.name = "dev",
	.summary = "serve the application of a folder here, with a chat",
	.group = KT_GROUP_START,
	.opts = opts,
	.args_size = sizeof(struct kt_dev_args),
	.defaults = dev_defaults,
	.run = dev_run,
	.examples = "karta dev                      chat with the application in this folder\n"
		    "karta dev --continue           go on with the last session of this folder\n"
		    "karta dev --offline            without network, key or tokens\n"
		    "karta dev --no-chat --port 0   serve only, on any free port\n",
};
