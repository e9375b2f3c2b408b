/* SPDX-License-Identifier: MIT */
/*
 * A stub agent that speaks the Agent Client Protocol on stdin and stdout and costs nothing: what is
 * measured with it is the server in front of it. A prompt "WAIT=100 N=20 GAP=5" gives, after 100
 * ms, 20 text chunks "@@<wall clock, ns>:<index>@@", 5 ms apart; GAP=0 writes them as fast as it
 * can. With LOG=1 the same are lines on stderr.
 */
#include "bench.h"

#include "base/str.h"

#include <stdio.h>
#include <string.h>

#define MAX_EVENTS 1000000
#define MAX_MS 60000

/* The number after key in line, or fallback. */
static int64_t number_of(const char *line, const char *key, int64_t max, int64_t fallback)
{
	const char *p = strstr(line, key);
	int64_t n = fallback;

	if (p == NULL)
		return fallback;
	p += strlen(key);
	if (!kt_str_int64n(p, strspn(p, "0123456789"), 0, max, &n))
		return fallback;
	return n;
}

/* The text of a JSON value after `"key":`, quotes included; keys of the callers come unspaced. */
static void value_of(const char *line, const char *key, char *out, size_t size)
{
	const char *p = strstr(line, key);
	size_t len = 0;
	bool quoted = false;

	snprintf(out, size, "null");
	if (p == NULL)
		return;
	p += strlen(key);
	while (p[len] != '\0' && (quoted || (p[len] != ',' && p[len] != '}'))) {
		if (p[len] == '"')
			quoted = !quoted;
		len++;
	}
	snprintf(out, size, "%.*s", (int)KT_MIN(len, size - 1), p);
}

static void sleep_ms(int64_t ms)
{
	const struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	if (ms > 0)
		nanosleep(&t, NULL);
}

static void prompt(const char *line, const char *id)
{
	int64_t n = number_of(line, "N=", MAX_EVENTS, 1);
	int64_t gap_ms = number_of(line, "GAP=", MAX_MS, 0);
	char session[160];

	bool log = number_of(line, "LOG=", 1, 0) == 1;

	value_of(line, "\"sessionId\":", session, sizeof(session));
	sleep_ms(number_of(line, "WAIT=", MAX_MS, 0));
	for (int64_t i = 0; i < n; i++) {
		if (log) {
			fprintf(stderr, "@@%lld:%lld@@\n", (long long)bench_wall_ns(),
				(long long)i);
			sleep_ms(gap_ms);
			continue;
		}
		printf("{\"jsonrpc\":\"2.0\",\"method\":\"session/"
		       "update\",\"params\":{\"sessionId\":%s,"
		       "\"update\":{\"sessionUpdate\":\"agent_message_chunk\",\"content\":"
		       "{\"type\":\"text\",\"text\":\" @@%lld:%lld@@\"}}}}\n",
			session, (long long)bench_wall_ns(), (long long)i);
		sleep_ms(gap_ms);
	}
	printf("{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{\"stopReason\":\"end_turn\"}}\n", id);
}

int main(void)
{
	KT_AUTOFREE char *line = NULL;
	size_t cap = 0;
	int sessions = 0;
	char id[160];

	/* One write for each message, as agents do. */
	setvbuf(stdout, NULL, _IOLBF, 1 << 16);
	while (getline(&line, &cap, stdin) > 0) {
		if (strstr(line, "\"method\":") == NULL)
			continue;
		value_of(line, "\"id\":", id, sizeof(id));
		if (strstr(line, "\"session/prompt\"") != NULL)
			prompt(line, id);
		else if (strstr(line, "\"initialize\"") != NULL)
			printf("{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{\"protocolVersion\":1,"
			       "\"agentCapabilities\":{\"loadSession\":false},\"authMethods\":[]}}"
			       "\n",
				id);
		else if (strstr(line, "\"session/new\"") != NULL)
			printf("{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{\"sessionId\":\"s%d\"}}"
			       "\n",
				id, ++sessions);
		else if (strstr(line, "\"id\":") != NULL)
			printf("{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{}}\n", id);
	}
	return 0;
}
