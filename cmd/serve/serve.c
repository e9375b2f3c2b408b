/* SPDX-License-Identifier: MIT */
/*
 * karta serve: hosts projects. One process, one data folder. Everything moves on one loop; this
 * file only puts the parts together, and takes them apart in the other order.
 */
#include "cmd/cmd.h"

#include "api/api.h"
#include "base/env.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/str.h"
#include "cmd/devdir.h"
#include "cmd/serve/serveconf.h"
#include "cmd/serve/servekeys.h"
#include "cmd/serve/servelog.h"
#include "cmd/serve/systemd.h"
#include "control/control.h"
#include "crypto/crypto.h"
#include "http/http.h"
#include "net/trust.h"
#include "net/url.h"
#include "pack/pack.h"
#include "session/session.h"
#include "store/datadir.h"
#include "text/clean.h"
#include "text/json.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define SELF_MAX 4096
#define FEW_CONNS 1024 /* fewer are worth a word at the start */

/* Embedded by scripts/embed. */
extern const struct kt_asset kt_pages[] __attribute__((visibility("hidden")));

struct serve_args {
	const char *listen;
	int64_t port; /* -1: not given */
	const char *data;
	const char *public_url;
	const char *config;
	const char *harness_program;
	const char *trust_proxy; /* "" = given without addresses */
	bool offline;
	bool require_keys;
	const char *log_format;
	bool init_only;
	const char *key_file;
	bool show_config;
};

static void serve_defaults(void *args)
{
	((struct serve_args *)args)->port = -1;
}

static const char *const formats[] = { "auto", "text", "json", NULL };

static const struct kt_opt opts[] = {
	KT_OPT_STR_(0, "listen", struct serve_args, listen, "ADDRESS",
		"address and port (default: 127.0.0.1:8000); port 0 picks one"),
	KT_OPT_INT_('p', "port", struct serve_args, port, "PORT", 0, 65535,
		"port on loopback; 0 picks one: as --listen 127.0.0.1:PORT"),
	{ KT_OPT_T_STR, 0, "data", "DIR", offsetof(struct serve_args, data), "folder of all state",
		KT_OPT_DIR },
	KT_OPT_STR_(0, "public-url", struct serve_args, public_url, "URL",
		"address as users see it, behind a proxy or not"),
	{ KT_OPT_T_STR, 0, "config", "FILE", offsetof(struct serve_args, config),
		"file with settings (TOML)", KT_OPT_FILE },
	{ KT_OPT_T_STR, 0, "harness-program", "FILE", offsetof(struct serve_args, harness_program),
		"program of the harness, instead of the one on PATH", KT_OPT_FILE },
	{ KT_OPT_T_STR, 0, "trust-proxy", "ADDRESSES", offsetof(struct serve_args, trust_proxy),
		"believe the X-Forwarded headers of a proxy on this machine or in a private "
		"network; with =ADDRESS[/BITS],... of these",
		KT_OPT_BARE },
	KT_OPT_FLAG_(0, "offline", struct serve_args, offline,
		"replay each release's rehearsals/ instead of running harnesses"),
	KT_OPT_FLAG_(0, "require-keys", struct serve_args, require_keys,
		"ask for a key also on a server that only this machine reaches"),
	KT_OPT_CHOICE_(0, "log-format", struct serve_args, log_format, "FORMAT", formats,
		"log lines as text or JSON (default: text on a terminal)"),
	KT_OPT_FLAG_(0, "init-only", struct serve_args, init_only,
		"make the data folder and its admin key, then end"),
	{ KT_OPT_T_STR, 0, "key-file", "FILE", offsetof(struct serve_args, key_file),
		"write the first admin key here instead of printing it", KT_OPT_FILE },
	KT_OPT_FLAG_(0, "show-config", struct serve_args, show_config,
		"print every setting with its origin, then end"),
	KT_OPT_END,
};

struct server {
	const struct kt_ctx *ctx;
	const struct serve_args *args;
	struct kt_serve_settings *settings;
	const struct kt_serve_conf *conf;
	struct kt_spawner *spawner;
	struct kt_budget *budget;
	struct kt_trust *trust; /* or NULL */
	size_t max_fds, max_conns;
	struct kt_loop *loop;
	struct kt_bus *bus;
	struct kt_control *control;
	struct kt_sessions *sessions;
	struct kt_api *api;
	struct kt_http_server *http;
	struct kt_http_sockets sockets; /* taken, not served yet */
	struct kt_signal *signals[3];
	struct kt_pack_limits limits;
	char *upload_dir;
	char prefix[256];
	char self[SELF_MAX];
	char url[300];
	const char *hosting; /* why keys are needed; NULL = none are */
	bool stopping;
	int stops;
};

/* --- settings ------------------------------------------------------------------------------------
 */

static enum kt_code load_settings(
	const struct serve_args *a, struct kt_serve_settings **out, struct kt_err *err)
{
	char listen[32];
	const struct kt_serve_flag flags[] = {
		{ "listen", a->port < 0 ? a->listen : listen },
		{ "data", a->data },
		{ "public_url", a->public_url },
		{ "harness_program", a->harness_program },
		{ "trust_proxy", a->trust_proxy && !*a->trust_proxy ? "true" : a->trust_proxy },
		{ "offline", a->offline ? "true" : NULL },
		{ "require_keys", a->require_keys ? "true" : NULL },
		{ "log_format", a->log_format },
		{ NULL, NULL },
	};

	if (a->port >= 0 && a->listen)
		return kt_fail(
			err, KT_EINVAL, 0, "--listen has the port already: leave out --port");
	snprintf(listen, sizeof(listen), "127.0.0.1:%d", (int)a->port);
	return kt_serve_settings_load(flags, a->config, out, err);
}

static enum kt_log_level log_level(const struct kt_serve_conf *conf)
{
	enum kt_log_level level = KT_LOG_INFO;

	/* Checked when it was read. */
	if (!kt_log_level_parse(conf->log_level, &level))
		return KT_LOG_INFO;
	return level;
}

static void open_serve_log(const struct server *s)
{
	bool json = kt_str_eq(s->conf->log_format, "json") ||
		(kt_str_eq(s->conf->log_format, "auto") && !s->ctx->errt.is_tty);
	enum kt_log_level lowest = log_level(s->conf);

	if (s->ctx->verbose || s->ctx->debug)
		lowest = KT_LOG_DEBUG;
	else if (s->ctx->quiet)
		lowest = KT_LOG_ERROR;
	kt_servelog_open(json, lowest);
}

/* Hand out the first key: into the file that was named, or on stdout, this once. */
static enum kt_code give_key(void *arg, const char *key, struct kt_err *err)
{
	const struct server *s = arg;
	const char *file = s->args->key_file;
	char line[KT_API_KEY_LEN + 2];
	enum kt_code rc;

	if (!file) {
		if (s->ctx->json)
			kt_outf("{\"schema_version\":1,\"admin_key\":\"%s\"}\n", key);
		else
			kt_outf("admin key (shown this once): %s\n", key);
		return KT_OK;
	}
	snprintf(line, sizeof(line), "%s\n", key);
	rc = kt_fs_write_atomic(file, line, strlen(line), 0600, true, err);
	kt_secret_wipe(line, sizeof(line));
	if (rc == KT_OK)
		kt_say(s->ctx, "admin key written to %s", file);
	return rc;
}

static struct kt_control_config control_config(struct server *s)
{
	kt_pack_limits_init(&s->limits);
	s->limits.max_archive_bytes = s->conf->max_archive_bytes;
	s->limits.max_bytes = s->conf->max_release_bytes;
	s->limits.max_files = s->conf->max_release_files;
	s->limits.max_file_bytes = s->conf->max_file_bytes;
	return (struct kt_control_config){
		.loop = s->loop,
		.bus = s->bus,
		.spawner = s->spawner,
		.data_dir = s->conf->data,
		.public_url = s->conf->public_url,
		.own_url = s->url[0] ? s->url : NULL,
		.self = s->self,
		.limits = &s->limits,
		.preview_ms = s->conf->preview_ms,
		/* "0s" is as short as can be; 0 would be the default. */
		.retention_ms = KT_MAX(s->conf->release_retention_ms, 1),
		.max_log_bytes = s->conf->max_log_bytes,
		.max_log_ms = s->conf->log_retention_ms,
		.github_url = s->conf->github_url,
		.private_hosts = s->conf->private_hosts,
		.harness_program = s->conf->harness_program,
		.offline = s->conf->offline,
		.first_key = give_key,
		.first_key_arg = s,
	};
}

/* --- signals ----------------------------------------------------------------------------- */

static void serve_http_drained(void *arg)
{
	struct server *s = arg;

	kt_loop_stop(s->loop);
}

static void builds_drained(void *arg)
{
	struct server *s = arg;

	kt_http_drain(s->http, serve_http_drained, s);
}

static void serve_turns_drained(void *arg)
{
	struct server *s = arg;

	kt_control_drain(s->control, s->conf->drain_ms, builds_drained, s);
}

static void on_stop(void *arg, int signum)
{
	struct server *s = arg;

	if (s->stops++) {
		kt_loop_stop(s->loop);
		return;
	}
	kt_log(KT_LOG_INFO, "serve", "stopping: running turns and builds may end");
	kt_systemd_notify("STOPPING=1");
	kt_api_set_draining(s->api);
	kt_sessions_drain(s->sessions, s->conf->drain_ms, serve_turns_drained, s);
}

/* Read the settings again; what cannot change while serving stays, and is named. */
static void on_reload(void *arg, int signum)
{
	struct server *s = arg;
	struct kt_serve_settings *fresh;
	struct kt_err err = KT_ERR_INIT;
	const struct kt_serve_conf *old = s->conf;
	KT_AUTOFREE char *data = NULL;
	struct kt_control_config cc;

	kt_systemd_notify("RELOADING=1");
	if (load_settings(s->args, &fresh, &err) != KT_OK) {
		kt_log(KT_LOG_ERROR, "serve", "the settings stay as they are: %s", err.msg);
		kt_systemd_notify("READY=1");
		return;
	}
	if (!kt_str_eq(old->listen, fresh->conf.listen) ||
		kt_path_real(fresh->conf.data, &data, NULL) != KT_OK ||
		!kt_str_eq(old->data, data) ||
		!kt_str_eq(old->public_url, fresh->conf.public_url) ||
		!kt_str_eq(old->trust_proxy, fresh->conf.trust_proxy) ||
		old->offline != fresh->conf.offline ||
		old->require_keys != fresh->conf.require_keys)
		kt_log(KT_LOG_WARN, "serve",
			"listen, data, public_url, trust_proxy, offline and require_keys change "
			"with a restart");
	/* The parts that run borrow the strings of the settings they were started with. */
	s->settings->conf.log_level = kt_arena_strdup(s->settings->arena, fresh->conf.log_level);
	s->settings->conf.log_format = kt_arena_strdup(s->settings->arena, fresh->conf.log_format);
	s->settings->conf.drain_ms = fresh->conf.drain_ms;
	s->settings->conf.preview_ms = fresh->conf.preview_ms;
	s->settings->conf.release_retention_ms = fresh->conf.release_retention_ms;
	s->settings->conf.log_retention_ms = fresh->conf.log_retention_ms;
	s->settings->conf.max_log_bytes = fresh->conf.max_log_bytes;
	s->settings->conf.max_release_bytes = fresh->conf.max_release_bytes;
	s->settings->conf.max_release_files = fresh->conf.max_release_files;
	s->settings->conf.max_file_bytes = fresh->conf.max_file_bytes;
	kt_serve_settings_free(fresh);
	cc = control_config(s);
	kt_control_tune(s->control, &cc);
	open_serve_log(s);
	kt_log(KT_LOG_INFO, "serve", "settings read again");
	kt_systemd_notify("READY=1");
}

static enum kt_code start_serve_signals(struct server *s, struct kt_err *err)
{
	enum kt_code rc = kt_signal_new(s->loop, SIGINT, on_stop, s, &s->signals[0], err);

	if (rc == KT_OK)
		rc = kt_signal_new(s->loop, SIGTERM, on_stop, s, &s->signals[1], err);
	if (rc == KT_OK)
		rc = kt_signal_new(s->loop, SIGHUP, on_reload, s, &s->signals[2], err);
	return rc;
}

/* --- start ---------------------------------------------------------------------------------------
 */

/* "127.0.0.1:8000", "[::1]:8000", ":8000" (everywhere) or "8000". host holds 256 bytes. */
static enum kt_code parse_listen(const char *text, char *host, int *out_port, struct kt_err *err)
{
	const char *colon = strrchr(text, ':');
	const char *digits = colon ? colon + 1 : text;
	size_t len = colon ? (size_t)(colon - text) : 0;
	int64_t port;

	if (!kt_str_int64(digits, 0, 65535, &port) || len >= 256) {
		kt_fail(err, KT_EINVAL, 0, "'%s' is no address to listen on", text);
		return kt_hint(err, "give HOST:PORT, as 127.0.0.1:8000");
	}
	if (len > 2 && text[0] == '[' && text[len - 1] == ']') {
		text++;
		len -= 2;
	}
	memcpy(host, text, len);
	host[len] = '\0';
	if (!colon)
		kt_str_copy(host, 256, "127.0.0.1");
	else if (!len)
		kt_str_copy(host, 256, "0.0.0.0");
	*out_port = (int)port;
	return KT_OK;
}

/* Port of a socket that was passed in; 0 of one that has none. */
static int port_of(int fd)
{
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} a = { .sa.sa_family = AF_UNSPEC };
	socklen_t len = sizeof(a);

	if (getsockname(fd, &a.sa, &len) != 0)
		return 0;
	if (a.sa.sa_family == AF_INET)
		return ntohs(a.in.sin_port);
	return a.sa.sa_family == AF_INET6 ? ntohs(a.in6.sin6_port) : 0;
}

/*
 * Before anything is made in the data folder, and before a key is shown: a server that cannot
 * listen leaves nothing behind. Connections wait until it serves.
 */
static enum kt_code take_serve_address(struct server *s, struct kt_err *err)
{
	int n = kt_systemd_listen_fds(), port = 0;
	char host[256];
	enum kt_code rc = parse_listen(s->conf->listen, host, &port, err);

	if (rc == KT_OK && n)
		port = port_of(3);
	else if (rc == KT_OK)
		rc = kt_http_bind(host, port, &s->sockets, err);
	if (rc == KT_ECONFLICT && kt_control_is_open(s->conf->data))
		return kt_hint(err,
			"a server of this data folder runs already: 'karta projects' talks to it");
	if (rc == KT_ECONFLICT || rc == KT_EDENIED)
		return kt_hint(
			err, "choose another with --port, as --port 8001, or 0 for any free one");
	if (rc != KT_OK)
		return rc;
	if (!n)
		port = s->sockets.port;
	if (s->conf->public_url)
		kt_str_copy(s->url, sizeof(s->url), s->conf->public_url);
	else if (n && (!port || port == 80))
		snprintf(s->url, sizeof(s->url), "http://localhost");
	else if (n || kt_str_eq(host, "127.0.0.1") || kt_str_eq(host, "0.0.0.0") ||
		kt_str_eq(host, "localhost") || kt_str_eq(host, "::1") || kt_str_eq(host, "::"))
		snprintf(s->url, sizeof(s->url), "http://localhost:%d", port);
	else
		snprintf(s->url, sizeof(s->url),
			strchr(host, ':') ? "http://[%s]:%d" : "http://%s:%d", host, port);
	return KT_OK;
}

static enum kt_code listen_on(struct server *s, struct kt_err *err)
{
	int n = kt_systemd_listen_fds();
	enum kt_code rc = kt_http_serve(s->http, &s->sockets, 0, err);

	for (int fd = 3; rc == KT_OK && fd < 3 + n; fd++)
		rc = kt_http_serve_fd(s->http, fd, 0, err);
	return rc;
}

/* The path of public_url, without its last slash. */
static const char *path_prefix(struct server *s)
{
	const char *at = s->conf->public_url ? strstr(s->conf->public_url, "://") : NULL;
	size_t len;

	at = at ? strchr(at + 3, '/') : NULL;
	len = at ? strlen(at) : 0;
	while (len && at[len - 1] == '/')
		len--;
	if (!len || len >= sizeof(s->prefix))
		return NULL;
	memcpy(s->prefix, at, len);
	s->prefix[len] = '\0';
	return s->prefix;
}

static enum kt_code start_api(struct server *s, struct kt_err *err)
{
	struct kt_http_config hc;
	struct kt_api_config ac = {
		.budget = s->budget,
		.sessions = s->sessions,
		.pages = kt_pages,
		.version = KT_VERSION,
		.control = s->control,
		.bus = s->bus,
		.public_url = s->conf->public_url,
		.path_prefix = path_prefix(s),
		.trust = s->trust,
		.upload_dir = s->upload_dir,
		.max_archive_bytes = s->conf->max_archive_bytes,
		.harness_program = s->conf->harness_program,
		.offline = s->conf->offline,
		.keyless = !s->hosting,
	};

	s->api = kt_api_new(&ac);
	kt_http_config_init(&hc);
	kt_http_config_files(&hc, s->max_fds);
	s->max_conns = hc.max_conns;
	hc.budget = s->budget;
	hc.trust = s->trust;
	hc.spool = kt_api_spool;
	hc.spool_arg = s->api;
	hc.drain_ms = s->conf->drain_ms;
	return kt_http_server_new(s->loop, &hc, kt_api_handle, s->api, &s->http, err);
}

static enum kt_code start_sessions(struct server *s, struct kt_err *err)
{
	struct kt_sessions_config sc = {
		.loop = s->loop,
		.spawner = s->spawner,
		.control = s->control,
		.data_dir = s->conf->data,
		.harness_program = s->conf->harness_program,
		.offline = s->conf->offline,
		.own_env = !s->hosting,
		.rehearsal_speed = 1,
	};

	return kt_sessions_open(&sc, &s->sessions, err);
}

/* A key that nobody can be told of must not be made: try whether the file can be written. */
static enum kt_code check_key_file(const char *file, struct kt_err *err)
{
	KT_AUTOFREE char *probe = file ? kt_asprintf("%s.%d", file, (int)getpid()) : NULL;
	KT_AUTOFD int fd = -1;

	if (!file)
		return KT_OK;
	if (kt_fs_is_dir(file))
		return kt_fail(err, KT_EINVAL, 0, "'%s' is a folder", file);
	fd = open(probe, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return kt_fail(err, KT_EIO, errno, "cannot write '%s'", file);
	(void)unlink(probe);
	return KT_OK;
}

/* Why this server needs keys, or NULL: it is for its own user. Everything that says so is here. */
static const char *hosting_sign(const struct server *s)
{
	char host[256] = "";
	int port;
	/* It was read before. */
	bool known = parse_listen(s->conf->listen, host, &port, NULL) == KT_OK;
	const struct kt_api_signs signs = {
		.listen = known ? host : "",
		.had_keys = kt_control_has_keys(s->control),
		/* Nothing else is the purpose of --init-only. */
		.require_keys = s->conf->require_keys || s->args->init_only,
		.key_file = s->args->key_file,
		.public_url = s->conf->public_url,
		.trust_proxy = s->conf->trust_proxy,
		.settings_file = s->settings->file,
		.passed_socket = kt_systemd_listen_fds() > 0,
	};

	return kt_api_hosting_sign(&signs);
}

static enum kt_code open_control(struct server *s, struct kt_err *err)
{
	struct kt_control_config cc = control_config(s);
	char key[KT_API_KEY_LEN + 1] = "";
	KT_AUTOFREE char *db = kt_data_path(s->conf->data, KT_DATA_DATABASE);
	bool used = kt_fs_is_file(db);
	enum kt_code rc;

	rc = kt_control_open(&cc, &s->control, err);
	if (rc == KT_OK)
		s->hosting = hosting_sign(s);
	if (rc == KT_OK && s->hosting && used && !kt_control_has_keys(s->control))
		kt_say(s->ctx,
			"%s was served without keys; from now on every request needs one, however "
			"the server is started",
			s->conf->data);
	if (rc == KT_OK)
		rc = s->hosting ? kt_control_bootstrap(s->control, key, err)
				: kt_control_bootstrap_local(s->control, err);
	if (rc == KT_OK && !key[0] && s->args->init_only)
		kt_say(s->ctx, "%s is initialized already", s->conf->data);
	kt_secret_wipe(key, sizeof(key));
	return rc;
}

/* The folder by its absolute path: workers and harnesses run in others. */
static enum kt_code real_data(struct server *s, struct kt_err *err)
{
	KT_AUTOFREE char *real = NULL;
	enum kt_code rc = kt_fs_mkdirs(s->conf->data, 0700, err);

	if (rc == KT_OK)
		rc = kt_path_real(s->conf->data, &real, err);
	if (rc == KT_OK)
		s->settings->conf.data = kt_arena_strdup(s->settings->arena, real);
	return rc;
}

static enum kt_code find_self(struct server *s, struct kt_err *err)
{
	ssize_t n = readlink("/proc/self/exe", s->self, sizeof(s->self) - 1);

	if (n <= 0)
		return kt_fail(err, KT_EIO, errno, "cannot find this program");
	s->self[n] = '\0';
	return KT_OK;
}

static void tell_serve_start(const struct server *s)
{
	kt_log(KT_LOG_INFO, "serve", "karta %s serves %s at %s", KT_VERSION, s->conf->data, s->url);
	if (s->hosting)
		kt_log(KT_LOG_INFO, "serve", "keys are needed: %s", s->hosting);
	else
		kt_log(KT_LOG_INFO, "serve",
			"local: for whoever is at this machine, without keys (--require-keys asks "
			"for them)");
	if (geteuid() == 0 && !s->conf->offline)
		kt_log(KT_LOG_WARN, "serve",
			"running as root: harnesses run as root too; use a user of its own");
	if (s->max_conns < FEW_CONNS)
		kt_log(KT_LOG_WARN, "serve",
			"no more than %zu connections: of files %zu may be open (LimitNOFILE, "
			"'ulimit "
			"-n')",
			s->max_conns, s->max_fds);
	if (s->ctx->json)
		kt_outf("{\"schema_version\":1,\"url\":\"%s\",\"pid\":%d}\n", s->url,
			(int)getpid());
	else
		kt_outf("%s\n", s->url);
	kt_systemd_notify("READY=1");
}

/* Commands without a server of their own find a local one; nobody finds what one left behind. */
static enum kt_code announce_server(struct server *s, struct kt_err *err)
{
	return kt_dev_announce(s->conf->data, s->hosting ? NULL : s->url, NULL, NULL, err);
}

static enum kt_code serve_start(struct server *s, struct kt_err *err)
{
	struct kt_budget_config bc;
	enum kt_code rc = find_self(s, err);

	if (rc == KT_OK && !s->args->init_only)
		rc = take_serve_address(s, err);
	/* The file may be in the folder. */
	if (rc == KT_OK)
		rc = real_data(s, err);
	if (rc == KT_OK)
		rc = check_key_file(s->args->key_file, err);
	if (rc == KT_OK)
		rc = kt_loop_new(&s->loop, err);
	s->bus = kt_bus_new();
	if (rc == KT_OK)
		rc = kt_spawner_attach(s->spawner, s->loop, err);
	if (rc == KT_OK)
		rc = open_control(s, err);
	if (rc != KT_OK || s->args->init_only)
		return rc;
	s->upload_dir = kt_data_path(s->conf->data, KT_DATA_TMP);
	kt_budget_config_init(&bc);
	s->budget = kt_budget_new(&bc);
	if (s->conf->trust_proxy)
		rc = kt_trust_new(s->conf->trust_proxy, &s->trust, err);
	if (rc == KT_OK)
		rc = start_serve_signals(s, err);
	if (rc == KT_OK)
		rc = start_sessions(s, err);
	if (rc == KT_OK)
		rc = start_api(s, err);
	if (rc == KT_OK)
		rc = listen_on(s, err);
	return rc == KT_OK ? announce_server(s, err) : rc;
}

static void serve_finish(struct server *s)
{
	struct kt_err err = KT_ERR_INIT;

	/* One that is killed leaves it, with a process that is not there. */
	if (s->api && !s->hosting &&
		kt_dev_announce(s->conf->data, NULL, NULL, NULL, &err) != KT_OK)
		kt_log(KT_LOG_WARN, "serve", "%s", err.msg);
	kt_http_unbind(&s->sockets);
	kt_http_server_free(s->http);
	kt_sessions_free(s->sessions);
	kt_control_free(s->control);
	/* Answers that never came are let go of when nobody can give them any more. */
	kt_api_free(s->api);
	kt_bus_free(s->bus);
	kt_budget_free(s->budget);
	kt_trust_free(s->trust);
	for (size_t i = 0; i < KT_ARRAY_LEN(s->signals); i++)
		kt_signal_free(s->signals[i]);
	kt_spawner_free(s->spawner);
	kt_loop_free(s->loop);
	kt_serve_settings_free(s->settings);
	free(s->upload_dir);
}

/* What is damaged is on this machine, and no server that talks nonsense. */
static enum kt_code damaged_here(enum kt_code rc, struct kt_err *err)
{
	if (rc == KT_EPROTO)
		rc = err->code = KT_EIO;
	return rc;
}

static enum kt_code serve_run(struct kt_ctx *ctx, const void *args, struct kt_err *err)
{
	struct server s = { .ctx = ctx, .args = args };
	enum kt_code rc = load_settings(s.args, &s.settings, err);
	char host[256];
	int port;

	if (rc != KT_OK)
		return rc;
	if (s.args->show_config) {
		kt_serve_settings_print(s.settings, ctx->json);
		kt_serve_settings_free(s.settings);
		return KT_OK;
	}
	s.conf = &s.settings->conf;
	/* Before anything is made in the data folder. */
	rc = parse_listen(s.conf->listen, host, &port, err);
	if (rc != KT_OK) {
		kt_serve_settings_free(s.settings);
		return rc;
	}
	open_serve_log(&s);
	(void)mallopt(M_MMAP_THRESHOLD, 128 * 1024);
	(void)mallopt(M_TRIM_THRESHOLD, 128 * 1024);
	/* The end of a heap is never given back but for the first one: so there are few. */
	(void)mallopt(M_ARENA_MAX, 3);
	/* Keys and configuration are in memory: no core dump, no debugger of another user. */
	(void)prctl(PR_SET_DUMPABLE, 0);
	rc = kt_spawner_start(&s.spawner, err);
	/* After it, so that harnesses have the limit that they would have by hand. */
	s.max_fds = kt_fd_raise_limit();
	if (rc == KT_OK)
		rc = damaged_here(serve_start(&s, err), err);
	if (rc == KT_OK && !s.args->init_only) {
		tell_serve_start(&s);
		kt_loop_run(s.loop);
	}
	serve_finish(&s);
	return rc;
}

/* --- backup, restore --------------------------------------------------------------------- */

#define LOST_BYTES ((size_t)4 * 1024 * 1024)
#define MAX_DAMAGED_SAID 100

struct file_args {
	const char *file;
	const char *data;
	bool force;
	bool skip_damaged;
};

static const struct kt_opt backup_opts[] = {
	KT_OPT_ARG_("file", struct file_args, file, KT_OPT_REQUIRED | KT_OPT_FILE, "file to write"),
	{ KT_OPT_T_STR, 0, "data", "DIR", offsetof(struct file_args, data), "folder of all state",
		KT_OPT_DIR },
	KT_OPT_END,
};

static const struct kt_opt restore_opts[] = {
	KT_OPT_ARG_("file", struct file_args, file, KT_OPT_REQUIRED | KT_OPT_FILE, "file to read"),
	{ KT_OPT_T_STR, 0, "data", "DIR", offsetof(struct file_args, data), "folder of all state",
		KT_OPT_DIR },
	KT_OPT_FLAG_('f', "force", struct file_args, force, "replace what is in the data folder"),
	KT_OPT_FLAG_(0, "skip-damaged", struct file_args, skip_damaged,
		"restore what is whole, list the rest"),
	KT_OPT_END,
};

/* lost: lines of what a restore left out, or NULL. */
static void file_json(const struct file_args *a, const char *data, const struct kt_buf *lost)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(LOST_BYTES + 65536);
	struct kt_jw w;

	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_jw_int(&w, "schema_version", 1);
	kt_jw_str(&w, "file", a->file);
	kt_jw_str(&w, "data", data);
	if (lost) {
		kt_jw_arr(&w, "lost");
		for (const char *at = lost->ptr, *lf; (lf = strchr(at, '\n')) != NULL; at = lf + 1)
			kt_jw_raw(&w, NULL, at, (size_t)(lf - at));
		kt_jw_arr_end(&w);
	}
	kt_jw_obj_end(&w);
	kt_buf_addc(&b, '\n');
	kt_out(b.ptr, b.len);
}

/* One line of what is damaged: "sessions/x/events.log: has other bytes than what was copied". */
static bool damage_text(const char *line, size_t len, bool *out_member, struct kt_buf *out)
{
	KT_AUTO_JSON cJSON *doc = NULL;
	const char *name;

	if (kt_json_parse(line, len, KT_JSON_LENIENT, &doc, NULL) != KT_OK)
		return false;
	name = kt_json_str(doc, "member");
	*out_member = name != NULL;
	if (!name)
		name = kt_json_str_or(doc, "object", "?");
	/* Names in workspaces are whatever a harness made of them. */
	kt_clean_add(out, name, strlen(name), true);
	kt_clean_addf(out, ": %s", kt_json_str_or(doc, "message", ""));
	return true;
}

static void lost_text(const struct kt_buf *lost)
{
	for (const char *at = lost->ptr, *lf; (lf = strchr(at, '\n')) != NULL; at = lf + 1) {
		KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(65536);
		bool member;

		if (damage_text(at, (size_t)(lf - at), &member, &text))
			kt_outf("%s %s\n", member ? "lost" : "therefore", text.ptr);
	}
}

/* Nothing was restored: everything that is wrong with the file is named, not the first of it. */
static void say_damaged(const struct kt_ctx *ctx, const struct kt_buf *lost)
{
	size_t n = 0;

	for (const char *at = lost->ptr, *lf; (lf = strchr(at, '\n')) != NULL; at = lf + 1) {
		KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(65536);
		bool member;

		if (n++ < MAX_DAMAGED_SAID && damage_text(at, (size_t)(lf - at), &member, &text))
			kt_say(ctx, "damaged: %s", text.ptr);
	}
	if (n > MAX_DAMAGED_SAID)
		kt_say(ctx, "and %zu more", n - MAX_DAMAGED_SAID);
}

static enum kt_code run_backup(struct kt_ctx *ctx, const void *args, struct kt_err *err)
{
	const struct file_args *a = args;
	KT_AUTOFREE char *data = NULL;
	enum kt_code rc = kt_serve_data_dir(a->data, &data, err);

	if (rc == KT_OK)
		rc = damaged_here(kt_control_backup(data, a->file, err), err);
	if (rc != KT_OK)
		return rc;
	if (ctx->json)
		file_json(a, data, NULL);
	kt_say(ctx, "%s holds all of %s; keep it as safe as the keys in it", a->file, data);
	return KT_OK;
}

static enum kt_code run_restore(struct kt_ctx *ctx, const void *args, struct kt_err *err)
{
	const struct file_args *a = args;
	KT_AUTO_BUF struct kt_buf lost = KT_BUF_INIT(LOST_BYTES);
	const struct kt_restore how = {
		.force = a->force, .skip_damaged = a->skip_damaged, .out = &lost
	};
	KT_AUTOFREE char *data = NULL;
	size_t n = 0;
	enum kt_code rc = kt_serve_data_dir(a->data, &data, err);

	if (rc == KT_OK)
		rc = damaged_here(kt_control_restore(data, a->file, &how, &n, err), err);
	if (rc != KT_OK) {
		say_damaged(ctx, &lost);
		return rc;
	}
	if (ctx->json)
		file_json(a, data, &lost);
	else
		lost_text(&lost);
	if (n)
		kt_say(ctx, "restored %s from %s, but for %zu thing%s that %s damaged", data,
			a->file, n, n == 1 ? "" : "s", n == 1 ? "is" : "are");
	else
		kt_say(ctx, "restored %s from %s", data, a->file);
	return KT_OK;
}

static const struct kt_cmd cmd_backup = {
	.name = "backup",
	.summary = "copy all state into one file, while serving or not",
	.opts = backup_opts,
	.args_size = sizeof(struct file_args),
	.run = run_backup,
};
static const struct kt_cmd cmd_restore = {
	.name = "restore",
	.summary = "check a backup, then put it in place of the data folder",
	.opts = restore_opts,
	.args_size = sizeof(struct file_args),
	.run = run_restore,
};
static const struct kt_cmd *const subs[] = { &cmd_backup, &cmd_restore, &kt_cmd_serve_keys, NULL };

const struct kt_cmd kt_cmd_serve = {
	.name = "serve",
	.summary = "host projects: releases, sessions, logs",
	.group = KT_GROUP_SERVE,
	.opts = opts,
	.args_size = sizeof(struct serve_args),
	.defaults = serve_defaults,
	.run = serve_run,
	.subs = subs,
	.examples = "karta serve                             at http://localhost:8000\n"
		    "karta serve --port 8080                 at http://localhost:8080\n"
		    "karta serve --listen :80 --public-url https://karta.example\n"
		    "karta serve --init-only --key-file key  make the data folder and its key\n"
		    "karta serve backup karta.tar            copy all state, also while serving\n"
		    "karta serve keys create admin           a key, when the last one is lost\n",
};
