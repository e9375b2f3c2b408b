/* SPDX-License-Identifier: MIT */
/* A driver of ACP that is ready, and the lines of a made-up agent. */
#ifndef KT_TEST_ACP_READY_H
#define KT_TEST_ACP_READY_H

#include "acp_world.h"

#define INIT_ANSWER(caps)                                                                          \
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"protocolVersion\":1,\"agentCapabilities\":{" caps \
	"},\"agentInfo\":{\"name\":\"OpenCode\",\"version\":\"1\"}}}"
#define OPTIONS                                                                                    \
	"\"configOptions\":[{\"id\":\"model\",\"category\":\"model\",\"currentValue\":\"m1\","        \
	"\"options\":[{\"value\":\"m1\"},{\"value\":\"m2\"}]},{\"id\":\"mode\",\"category\":\"mode\"," \
	"\"currentValue\":\"build\",\"options\":[{\"value\":\"build\"},{\"value\":\"reviewer\"}]}]"
#define UPDATE(inside)                                                                             \
	"{\"jsonrpc\":\"2.0\",\"method\":\"session/update\",\"params\":{\"sessionId\":\"s1\","        \
	"\"update\":{" inside "}}}"
#define CHUNK(id, text)                                                                            \
	UPDATE("\"sessionUpdate\":\"agent_message_chunk\",\"messageId\":\"" id "\","                  \
	       "\"content\":{\"type\":\"text\",\"text\":\"" text "\"}")

static inline void answer_last(struct world *w, const char *member)
{
	const cJSON *last = w->sent.items[w->sent.len - 1];
	KT_AUTOFREE char *text = kt_asprintf("{\"jsonrpc\":\"2.0\",\"id\":%lld,%s}",
		(long long)kt_json_int(last, "id", 0), member);

	line(w, text);
}

static inline void expect_method(struct world *w, const char *method)
{
	assert_string_equal(kt_json_str(sent(w), "method"), method);
}

/* A driver with session s1, nothing sent that was not looked at. */
static inline void world_ready(struct world *w, const char *model)
{
	const struct kt_driver_config cfg = { .program = "/opt/agent", .cwd = "/app", .model = model };

	world_open(w, &cfg);
	w->d->ops->start(w->d);
	expect_method(w, "initialize");
	line(w, INIT_ANSWER("\"loadSession\":true"));
	expect_method(w, "session/new");
	answer_last(w, "\"result\":{\"sessionId\":\"s1\"," OPTIONS "}");
	assert_int_equal(w->readies, 1);
	assert_string_equal(w->session, "s1");
	sent_nothing(w);
}

#endif
