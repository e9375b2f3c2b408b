/* SPDX-License-Identifier: MIT */
/*
 * A harness that misbehaves on demand, for test_harness.c: speaks just enough of Claude Code's
 * stream-json. What it does is chosen by FAKE=... in its environment.
 */
#ifndef FAKE_HARNESS_H
#define FAKE_HARNESS_H

#include "base/env.h"
#include "base/fs.h"
#include "tests/unit/patience.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *env_of(const char *name)
{
	size_t n = strlen(name);

	for (char **e = kt_env_all(); *e; e++) {
		if (!strncmp(*e, name, n) && (*e)[n] == '=')
			return *e + n + 1;
	}
	return "";
}

static void say(const char *line)
{
	printf("%s\n", line);
	fflush(stdout);
}

/* Value of the first "request_id" of line. */
static void request_id(const char *line, char *out, size_t size)
{
	const char *p = strstr(line, "\"request_id\":\"");
	size_t n = 0;

	if (p) {
		p += strlen("\"request_id\":\"");
		n = KT_MIN(strcspn(p, "\""), size - 1);
		memcpy(out, p, n);
	}
	out[n] = '\0';
}

/* A file beside the other one: "ready" when it is, "ended" when it ends by itself. */
static void leave_word(const char *what)
{
	KT_AUTOFREE char *path = kt_asprintf("%s.%s", env_of("FAKE_FILE"), what);
	FILE *f = fopen(path, "w");

	if (f)
		fclose(f);
}

static void say_text(const char *text)
{
	say("{\"type\":\"system\",\"subtype\":\"status\",\"status\":\"requesting\"}");
	printf("{\"type\":\"assistant\",\"parent_tool_use_id\":null,\"message\":{\"id\":\"m1\","
	       "\"content\":[{\"type\":\"text\",\"text\":\"%s\"}]}}\n",
		text);
	fflush(stdout);
}

static void say_result(void)
{
	say("{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false,"
	    "\"stop_reason\":\"end_turn\",\"modelUsage\":{\"m\":{\"inputTokens\":3,"
	    "\"outputTokens\":4,\"costUSD\":0.5}}}");
}

static void say_tool(const char *id)
{
	printf("{\"type\":\"assistant\",\"parent_tool_use_id\":null,\"message\":{\"id\":\"m1\","
	       "\"content\":[{\"type\":\"tool_use\",\"id\":\"%s\",\"name\":\"Bash\","
	       "\"input\":{\"command\":\"sleep 60\"}}]}}\n",
		id);
	fflush(stdout);
}

/* A tool command as harnesses start it: in a session of its own. Its pid goes to a file. */
static void start_tool_process(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		setsid();
		FILE *f = fopen(env_of("FAKE_FILE"), "w");

		if (f) {
			fprintf(f, "%d\n", (int)getpid());
			fclose(f);
		}
		sleep(60);
		_exit(0);
	}
	while (!kt_fs_is_file(env_of("FAKE_FILE")))
		usleep(1000);
}

/* The whole environment and the folder, to a file. */
static void dump_environment(void)
{
	char cwd[4096];
	FILE *f = fopen(env_of("FAKE_FILE"), "w");

	if (!f || !getcwd(cwd, sizeof(cwd)))
		_exit(9);
	fprintf(f, "cwd=%s\n", cwd);
	for (char **e = kt_env_all(); *e; e++)
		fprintf(f, "%s\n", *e);
	fclose(f);
}

static void fake_user(const char *mode)
{
	if (!strcmp(mode, "crash")) {
		say_text("half a");
		fprintf(stderr, "panic: out of cheese\n");
		_exit(7);
	} else if (!strcmp(mode, "silent") || !strcmp(mode, "deaf")) {
		return;
	} else if (!strcmp(mode, "pause")) {
		say_text("one");
	} else if (!strcmp(mode, "tool")) {
		say_tool("t1");
		start_tool_process();
	} else if (!strcmp(mode, "slowtool")) {
		say_tool("t1");
		usleep((useconds_t)slowed_ms(1500) * 1000);
		say_result();
	} else if (!strcmp(mode, "ask")) {
		say("{\"type\":\"control_request\",\"request_id\":\"a1\",\"request\":{\"subtype\":"
		    "\"can_use_tool\",\"tool_name\":\"Bash\",\"input\":{\"command\":\"rm x\"},"
		    "\"tool_use_id\":\"t1\"}}");
	} else if (!strcmp(mode, "env")) {
		KT_AUTOFREE char *text = kt_asprintf("%s|%s|%s|%s|%s", env_of("KARTA_PROJECT"),
			env_of("KARTA_SESSION_ID"), env_of("KARTA_API_KEY"), env_of("CLAUDECODE"),
			env_of("DISABLE_TELEMETRY"));

		say_text(text);
		say_result();
	} else if (!strcmp(mode, "dump")) {
		dump_environment();
		say_result();
	} else if (!strcmp(mode, "endless")) {
		for (int i = 0; i < 1024; i++)
			printf("%01024d", 0);
		fflush(stdout);
	} else if (!strcmp(mode, "wordy")) {
		for (int i = 0; i < 64; i++)
			printf("{\"type\":\"assistant\",\"parent_tool_use_id\":null,\"message\":{"
			       "\"id\":\"m%d\",\"content\":[{\"type\":\"text\",\"text\":\"%020000d\"}]}}\n",
				i, i);
		say_result();
	} else if (!strcmp(mode, "large")) {
		KT_AUTOFREE char *text = kt_asprintf("%0200000d", 0);

		say_text(text);
		say_result();
	} else if (!strcmp(mode, "garbage")) {
		say("this is not json");
		say("{\"type\":");
		say_text("fine");
		say_result();
	} else {
		say_text("hello");
		say_result();
	}
}

static void fake_line(const char *mode, const char *line)
{
	char id[64];

	request_id(line, id, sizeof(id));
	if (strstr(line, "\"initialize\"")) {
		if (!strcmp(mode, "neverready"))
			return;
		printf("{\"type\":\"control_response\",\"response\":{\"subtype\":\"success\","
		       "\"request_id\":\"%s\",\"response\":{\"commands\":[]}}}\n",
			id);
		fflush(stdout);
		leave_word("ready");
	} else if (strstr(line, "\"interrupt\"")) {
		if (!strcmp(mode, "deaf") || !strcmp(mode, "tool"))
			return;
		say("{\"type\":\"result\",\"subtype\":\"error_during_execution\",\"is_error\":true,"
		    "\"terminal_reason\":\"aborted_streaming\"}");
	} else if (strstr(line, "\"control_response\"")) {
		say_result();
	} else if (strstr(line, "\"type\":\"user\"")) {
		fake_user(mode);
	}
}

static int fake_main(int argc, char **argv)
{
	const char *mode = env_of("FAKE");
	char *line = NULL;
	size_t cap = 0;

	if (!strcmp(mode, "exit")) {
		fprintf(stderr, "no license for \x1b[31msk-ant-api03-%s\n", "abcdefghijklmnopqrst");
		leave_word("ended");
		_exit(3);
	}
	for (int i = 1; !strcmp(mode, "noresume") && i < argc; i++) {
		if (strcmp(argv[i], "--resume") != 0)
			continue;
		fprintf(stderr, "No conversation found with session ID: x\n");
		say("{\"type\":\"result\",\"subtype\":\"error_during_execution\",\"is_error\":true,"
		    "\"errors\":[\"No conversation found with session ID: x\"]}");
		_exit(1);
	}
	if (!strcmp(mode, "stubborn"))
		signal(SIGTERM, SIG_IGN);
	while (getline(&line, &cap, stdin) > 0)
		fake_line(mode, line);
	while (!strcmp(mode, "stubborn"))
		pause();
	leave_word("ended");
	_exit(0);
}

/* Leave the word of another one that came too early, and die of it. */
static void die_of_the_database(void)
{
	leave_word("clash");
	fprintf(stderr, "Error: Unexpected error\n\ndatabase is locked\n");
	_exit(1);
}

/*
 * OpenCode as far as its start goes: it makes a database, and fails where another is just making it.
 * FAKE=locked: so it is the first time.
 */
KT_UNUSED static int fake_opencode(void)
{
	KT_AUTOFREE char *folder = kt_asprintf("%s/opencode", env_of("XDG_DATA_HOME"));
	KT_AUTOFREE char *db = kt_asprintf("%s/opencode.db", folder);
	KT_AUTOFREE char *making = kt_asprintf("%s/making", folder);
	KT_AUTOFREE char *clash = kt_asprintf("%s.clash", env_of("FAKE_FILE"));
	char *line = NULL;
	size_t cap = 0;

	if (!strcmp(env_of("FAKE"), "locked") && !kt_fs_is_file(clash))
		die_of_the_database();
	if (kt_fs_mkdirs(folder, 0700, NULL) != KT_OK)
		_exit(2);
	if (!kt_fs_is_file(db)) {
		FILE *f = fopen(making, "wx");

		if (!f)
			die_of_the_database();
		fclose(f);
		usleep((useconds_t)slowed_ms(200) * 1000);
		f = fopen(db, "w");
		if (f)
			fclose(f);
		usleep((useconds_t)slowed_ms(100) * 1000);
		(void)unlink(making);
	} else if (kt_fs_is_file(making)) {
		die_of_the_database();
	}
	while (getline(&line, &cap, stdin) > 0) {
		if (strstr(line, "\"initialize\""))
			say("{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"protocolVersion\":1}}");
		else if (strstr(line, "\"session/new\""))
			say("{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{\"sessionId\":\"s1\"}}");
	}
	_exit(0);
}

#endif
