/* SPDX-License-Identifier: MIT */
/*
 * Inside of the ACP driver (acp.c, acp_text.c, acp_update.c, acp_output.c, acp_usage.c,
 * acp_config.c, acp_error.c); nobody else includes it. One agent process, one ACP session, at most
 * one request of ours on the way at a time.
 */
#ifndef KT_HARNESS_ACP_PRIVATE_H
#define KT_HARNESS_ACP_PRIVATE_H

#include "base/buf.h"
#include "base/vec.h"
#include "harness/driver.h"
#include "text/json.h"

/* What an agent does differently; found by its agentInfo.name or its program (acp_config.c). */
enum {
	ACP_NO_EXIT_ON_EOF = 1, /* stays alive when stdin closes */
	ACP_PREFIX_NOISE = 2, /* warnings come as message chunks before the reply */
	ACP_USAGE_IN_META = 4, /* tokens only in _meta.quota.token_count */
	ACP_LOGS_CALLS = 8, /* stderr has a log that tells each try at a model call */
	ACP_USAGE_LAST_CALL = 16, /* tokens of the prompt answer are those of its last model call */
	ACP_TITLE_IS_NAME = 32, /* the first title of a tool call is the tool's name */
	ACP_MODES_ARE_PERMISSIONS = 64, /* session modes say what is asked, they are no agents */
	ACP_SWALLOWS_SLASH = 256, /* words that begin with '/' and name no command are lost */
	ACP_ERROR_AS_TEXT = 128, /* the text of an API error also comes as a message chunk */
	ACP_ASKS_EARLY = 512, /* a request may overtake the report with the whole input */
};

/* The request of ours that is on its way. */
enum acp_call {
	ACP_CALL_NONE,
	ACP_CALL_INITIALIZE,
	ACP_CALL_NEW,
	ACP_CALL_RESUME,
	ACP_CALL_LOAD, /* updates before the answer are the replay: swallowed */
	ACP_CALL_SET_MODEL,
	ACP_CALL_SET_PERMISSION,
	ACP_CALL_SET_AGENT,
	ACP_CALL_PROMPT,
};

struct acp_tool {
	char *id;
	char *name;
	char *kind; /* "execute", "edit", ... or NULL */
	char *title; /* or NULL */
	char *parent; /* tool_use_id of the sub-agent call, or NULL */
	char *path; /* the one file it touches, or NULL (none, or several) */
	cJSON *input; /* or NULL */
	cJSON *content; /* last content seen, or NULL */
	size_t input_bytes, content_bytes; /* of these */
	bool running; /* tool_use was sent with state running */
	bool denied;
	bool open; /* no tool_result yet */
};

struct acp_part {
	char *id; /* part_id of its events */
	char *message_id; /* or NULL */
	bool reasoning;
	int step;
	struct kt_buf text; /* as shown */
};

struct acp_ask {
	char *id; /* ours */
	char *raw_id; /* the agent's request id as JSON text */
	char *tool_use_id;
	char *allow; /* optionId, or NULL when there is none of that kind */
	char *reject;
	/* the request's call, while the report with its input is waited for; or NULL */
	cJSON *held;
};

struct acp {
	struct kt_driver d; /* first: a struct kt_driver * is cast to this */
	struct kt_driver_config cfg;
	unsigned quirks;
	char nonce[40]; /* makes ask ids unique over processes */
	uint32_t asks_made;

	/* The connection. */
	int64_t next_id;
	int64_t call_id;
	enum acp_call call;
	bool initialized, can_resume, can_load, gone;
	char *session; /* the agent's session id, NULL before */
	bool session_is_new; /* by session/new: knows nothing of the transcript yet */
	bool resume_given_up;
	bool told_ready;
	unsigned malformed; /* lines that were no JSON */
	cJSON *config; /* configOptions, or NULL */
	cJSON *modes; /* or NULL */
	cJSON *models; /* or NULL */
	cJSON *commands; /* availableCommands, or NULL: not told yet */
	size_t session_bytes; /* of these four */
	bool commands_awaited; /* and that was in vain */
	char *default_agent; /* value of the agent option at the start, or NULL */
	bool model_set, permission_set;

	/* The turn. */
	bool turn;
	bool prompted; /* session/prompt was sent */
	bool interrupted, denied, thinking;
	char *text; /* of the prompt */
	char *from; /* name of who sent it, or NULL */
	char *agent; /* or NULL */
	char *picking; /* agent value that is being set */
	uint32_t position;
	struct kt_vec tools; /* struct acp_tool */
	struct kt_vec asks; /* struct acp_ask */
	int steps; /* steps begun; they count from 1 */
	bool step_over; /* a tool finished: what comes next belongs to the next model call */
	bool step_spoke; /* there was message text in this step */
	char *message_id; /* of this step's text, or NULL */
	char *thought_id;
	bool got_chunk; /* any message chunk in this turn */

	/* Text. */
	struct kt_vec parts; /* struct acp_part, of the turn */
	struct acp_part *part; /* the one being written, or NULL: the next chunk begins one */
	struct kt_buf blank; /* blank words that no other words followed yet */
	char *blank_id; /* their messageId, or NULL */
	bool blank_reasoning;
	char *call_message; /* messageId of the model call that OpenCode's log told last, or NULL */
	unsigned call_tries;

	/* Money: cumulative for the session, -1 = unknown. */
	int64_t cost_before, cost_now;
	int64_t context_used, context_size;
	bool context_changed;
};

/* acp_config.c: starting the agent, and what it lets us choose. */
void kt_acp_command(const struct kt_driver_config *cfg, struct kt_arena *arena, struct kt_vec *argv,
	struct kt_vec *env);
const char *const *kt_acp_known_modes(const struct kt_app *app);
char *kt_acp_first_start_file(char *const *env);
bool kt_acp_passing_failure(const char *stderr_tail);
/* Quirks of the agent called name (agentInfo.name or a path); 0 when unknown. */
unsigned kt_acp_quirks(const char *name);
/*
 * *slot, one of the four that the session has for good, becomes a copy of value, unless that is
 * null.
 */
void kt_acp_keep(struct acp *a, cJSON **slot, const cJSON *value);
/* Take configOptions, modes and models out of a session's answer. */
void kt_acp_take_options(struct acp *a, const cJSON *result);

/* How an agent or mode is chosen. */
struct acp_choice {
	const char *config_id; /* session/set_config_option, or NULL: session/set_mode */
	const char *current; /* current value, or NULL */
};
/* How to choose agent `value`; false when the harness has none of that name. */
bool kt_acp_agent_choice(const struct acp *a, const char *value, struct acp_choice *out);
/* The agent in use now, or NULL when the harness has no agents to choose. */
const char *kt_acp_current_agent(const struct acp *a);
/* Is a mode of the session an agent (as in OpenCode), and not what is asked and what not? */
bool kt_acp_modes_are_agents(const struct acp *a);
/* The names of the modes, for people. */
void kt_acp_list_modes(const struct acp *a, struct kt_buf *out);
/* How to choose permission mode `value`. */
bool kt_acp_permission_choice(const struct acp *a, const char *value, struct acp_choice *out);
/* What a message that begins with '/' is. */
enum acp_slash {
	ACP_SLASH_NONE, /* it does not */
	ACP_SLASH_COMMAND, /* or nobody can say */
	ACP_SLASH_WORDS, /* names no command of the agent */
};
enum acp_slash kt_acp_slash(const struct acp *a, const char *text);
/* The command that text stands for though the agent tells none of that name, or NULL. */
const char *kt_acp_alias(const struct acp *a, const char *text);
/*
 * How a model is chosen; false when the agent advertises no choice. Any name is tried: providers
 * know more models than agents list. config_id NULL means session/set_model here.
 */
bool kt_acp_model_choice(const struct acp *a, struct acp_choice *out);

/* acp_error.c: a JSON-RPC error as one of our stable codes. */
struct acp_error {
	const char *code; /* static */
	bool retryable;
	char *message; /* the caller's to free */
};
void kt_acp_error(const cJSON *error, struct acp_error *out);

/* acp_text.c: the model's words. */
/* An agent_message_chunk, or agent_thought_chunk. */
void kt_acp_chunk(struct acp *a, const cJSON *update, bool reasoning);
/* Agents that stream nothing may give their words with the answer to session/prompt. */
void kt_acp_answer_words(struct acp *a, const cJSON *result);
/* Begin the first or next step. */
void kt_acp_step(struct acp *a);
/* What comes next begins a part of its own. */
void kt_acp_end_part(struct acp *a);
/* The last part's text turned out to be an error message: take it back. */
void kt_acp_retract_error_text(struct acp *a, const char *message);
/* The reply: all text parts of the turn, joined by blank lines. */
void kt_acp_turn_text(const struct acp *a, struct kt_buf *out);
void kt_acp_forget_parts(struct acp *a);
/* A line of stderr; true when it was one of the agent's log, and no word for people. */
bool kt_acp_log_line(struct acp *a, const char *line);

/* acp_output.c: content. */
/* The text that a content block is for a reader of text; the caller's, NULL when it is none. */
char *kt_acp_block_text(const cJSON *block);
bool kt_acp_has_diff(const cJSON *content);
/*
 * What a tool gave: rawOutput and content of its last update (or NULL), and the content shown
 * before. A string or an array of blocks, the caller's.
 */
cJSON *kt_acp_output(const cJSON *update, const cJSON *before, bool failed);

/* acp_usage.c: what a turn used. */
/* Tokens of a prompt's answer, as far as the agent tells. */
void kt_acp_read_usage(const struct acp *a, const cJSON *result, struct kt_usage *u);
/* What the turn cost: the agents' sums are those of the whole session. */
void kt_acp_take_cost(struct acp *a, struct kt_usage *u);
/* Tell how full the context is, if that changed. */
void kt_acp_context_event(struct acp *a);
void kt_acp_usage_update(struct acp *a, const cJSON *update);

/* acp_update.c: session/update and session/request_permission. */
void kt_acp_update(struct acp *a, const cJSON *update);
/* The report that requests of tool_id waited for is there; NULL: of all, and it does not come. */
void kt_acp_raise_held(struct acp *a, const char *tool_id);
void kt_acp_permission(struct acp *a, const cJSON *id, const cJSON *params);
/* Close tools without a result; status "cancelled" (denied ones are "rejected"). */
void kt_acp_close_tools(struct acp *a);
void kt_acp_forget_tools(struct acp *a);
/* Close what was denied and of which the agent says nothing more. */
void kt_acp_close_denied(struct acp *a);
void kt_acp_ask_free(struct acp_ask *ask);

/* acp.c: sending. */
/* Answer request raw_id with {"outcome":...}: option NULL = cancelled. */
void kt_acp_answer_permission(struct acp *a, const char *raw_id, const char *option);
/* The agent told its commands. */
void kt_acp_take_commands(struct acp *a, const cJSON *list);
/* A system event {"subtype":subtype, key:value}. */
void kt_acp_system(struct acp *a, const char *subtype, const char *key, const cJSON *value);

#endif
