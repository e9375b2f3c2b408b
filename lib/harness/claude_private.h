/* SPDX-License-Identifier: MIT */
/*
 * Inside of the Claude Code driver, shared by claude.c (commands, control protocol, beginning and
 * end of turns) and claude_stream.c (messages to events). For these two files only.
 *
 *   NEW --start()--> STARTING --answer to initialize--> READY
 *   READY --prompt(), perhaps after an agent switch--> TURN --result--> READY
 *   READY --status "requesting" that we did not cause--> TURN (unsolicited)
 *   any --gone()--> DEAD
 */
#ifndef KT_HARNESS_CLAUDE_PRIVATE_H
#define KT_HARNESS_CLAUDE_PRIVATE_H

#include "harness/driver.h"

#include "base/map.h"
#include "base/vec.h"
#include "text/json.h"

enum claude_state { CLAUDE_NEW, CLAUDE_STARTING, CLAUDE_READY, CLAUDE_TURN, CLAUDE_DEAD };

enum claude_part_kind { CLAUDE_PART_TEXT, CLAUDE_PART_REASONING, CLAUDE_PART_TOOL };

/*
 * One content block of a main-loop message of the running turn. Blank text at its beginning is
 * held back until there is more: a block that is nothing but blank was never said.
 */
struct claude_part {
	enum claude_part_kind kind;
	char *id; /* "<message id>.<number in the turn>"; of tools the tool_use id */
	char *message_id;
	char *line_uuid; /* of the `assistant` line that settled it, or NULL */
	int64_t index; /* in its message while it streams; -1: not, or no more */
	struct kt_buf text; /* what came so far */
	size_t shown; /* bytes of it that clients have */
	bool told; /* there was an event of it */
	bool final; /* the whole block was seen */
	bool whole; /* a line made it, no block of the stream yet */
};

/* A tool call whose result has not come. */
struct claude_tool {
	char *id;
	char *parent; /* or NULL */
	char *name;
	bool running; /* announced with its whole input */
	bool denied; /* a person said no */
};

enum claude_ask_kind { CLAUDE_ASK_TOOL, CLAUDE_ASK_QUESTION, CLAUDE_ASK_ELICITATION };

/* A can_use_tool or elicitation request that waits for its answer. */
struct claude_ask {
	char *id;
	char *tool_use_id; /* or NULL */
	struct kt_shared *input; /* JSON text: of the tool, or an elicitation's whole request */
	enum claude_ask_kind kind;
};

/* Sums of modelUsage; it counts from the start of the process. */
struct claude_totals {
	int64_t input, output, cache_read, cache_write;
	double cost_usd;
	bool cost_unknown; /* of a model at least */
};

/* A sub-agent. */
struct claude_task {
	char *tool_use_id; /* of the call that began it */
	char *agent; /* its name; or NULL */
};

struct kt_claude {
	struct kt_driver d;
	const struct kt_driver_config *cfg;
	enum claude_state state;
	char *session;
	uint64_t next_request;
	uint64_t malformed; /* lines that were no JSON object */

	/* Control requests of ours that are open; "" when none. */
	char initialize_id[24], agent_id[24];
	struct kt_map commands; /* slash commands and skills of the initialize answer */
	size_t commands_bytes; /* of these */
	char *agent; /* agent in force, NULL = the harness's default */
	char *wanted_agent; /* agent of the open switch */
	char *held_line; /* user line that waits for the switch */
	int64_t thinking_sent; /* last set_max_thinking_tokens; THINKING_DEFAULT at first */
	bool resume_failed_told;
	bool past_told; /* the conversation so far was sent as text */

	/* The turn. */
	bool unsolicited, interrupted, thinking;
	bool foreign_result; /* a background turn ended inside ours; ours may still come */
	char *auth_failure; /* text of the first 401/403, turn ends with auth_failed */
	struct kt_vec denials; /* of claude_hooks.c: refused calls whose result has not come */
	char *hook_stop; /* reason of the last hook that stopped the turn or refused its message */
	char *prevented; /* why the turn does not go on, as the program says it; or NULL */
	char error_kind[48]; /* `error` of a synthetic assistant line */
	char *error_text;
	struct kt_vec parts; /* claude_part, of all messages of the turn */
	struct kt_vec told; /* those of them that clients know, as they got to know them */
	size_t message_first; /* index in parts where the open message begins */
	char *message_id; /* the message that is streaming, or was last */
	bool message_open; /* no message_stop yet */
	struct kt_map seen; /* uuids of lines that were read or that are told again; no values */
	size_t seen_bytes; /* of these */
	struct kt_usage step_usage;
	int step; /* number of the last step begun, 0 = none */
	bool step_open;
	uint32_t sub_parts; /* numbers the text parts of sub-agents */

	struct kt_vec tools; /* claude_tool */
	struct kt_vec asks; /* claude_ask */
	struct kt_vec places; /* of claude_place.c: where calls are about to run */
	struct kt_map tasks; /* task id -> struct claude_task */
	struct claude_totals totals;
};

#define CLAUDE_THINKING_DEFAULT (-1)

/* claude_stream.c */

/* A `stream_event` line. */
void kt_claude_stream_event(struct kt_claude *c, const cJSON *line);
/* An `assistant` line. */
void kt_claude_assistant(struct kt_claude *c, const cJSON *line);
/* A `user` line (tool results). */
void kt_claude_user(struct kt_claude *c, const cJSON *line);
/* A model call begins. */
void kt_claude_step_begin(struct kt_claude *c);
/* The open step ends, if there is one. */
void kt_claude_step_end(struct kt_claude *c);
/* The message in the middle of streaming is void: take back what was shown of it. */
void kt_claude_drop_message(struct kt_claude *c);
/* What the `assistant` line of this uuid said is void. */
void kt_claude_retract_line(struct kt_claude *c, const char *uuid);
/* The line of this uuid will be told again: then it says nothing new. */
void kt_claude_mark_seen(struct kt_claude *c, const char *uuid);
/* Close all open tools with status ("rejected" for those that a person denied). */
void kt_claude_close_tools(struct kt_claude *c, const char *status);
/* Free the open tools without a word. */
void kt_claude_forget_tools(struct kt_claude *c);
void kt_claude_forget_tasks(struct kt_claude *c);
/* Forget the turn's parts. */
void kt_claude_turn_clear(struct kt_claude *c);
/* The turn's text: parts of the main loop joined by blank lines. */
void kt_claude_turn_text(const struct kt_claude *c, struct kt_buf *out);
/* Output of a command of the harness itself, which is its answer. */
void kt_claude_local_output(struct kt_claude *c, const cJSON *line);
/* The text of a `result` line, if no other line had it. */
void kt_claude_result_text(struct kt_claude *c, const cJSON *line);
/* An open tool by id, NULL when there is none. BORROWS until it is closed. */
struct claude_tool *kt_claude_tool(const struct kt_claude *c, const char *id);
/* Announce a tool call with its whole input, once. */
void kt_claude_tool_running(struct kt_claude *c, const char *id, const char *name,
	const cJSON *input, const char *parent);

/* claude_ask.c */

/* An open ask by id, NULL when there is none. BORROWS until it is removed. */
struct claude_ask *kt_claude_ask(const struct kt_claude *c, const char *id);
/* Remember a request that waits; input is copied as JSON text. BORROWS as kt_claude_ask(). */
struct claude_ask *kt_claude_ask_add(struct kt_claude *c, const char *id, const char *tool_use_id,
	enum claude_ask_kind kind, const cJSON *input);
/* Forget an ask and free it. */
void kt_claude_ask_remove(struct kt_claude *c, struct claude_ask *a);
/* A `can_use_tool` request with this request id. */
void kt_claude_can_use_tool(struct kt_claude *c, const char *id, const cJSON *request);
/* Answer an ask; an unknown id is ignored. */
void kt_claude_answer(struct kt_claude *c, const char *ask_id, enum kt_decision decision,
	const char *answers, const char *note);
/*
 * No ask outlives its turn: withdraw all. A background task that still waits is told no, when the
 * harness is alive.
 */
void kt_claude_withdraw_asks(struct kt_claude *c, bool alive);

/* claude_elicit.c */

/* An `elicitation` request with this request id. */
void kt_claude_elicitation(struct kt_claude *c, const char *id, const cJSON *request);
/* The answer to one. */
void kt_claude_elicited(struct kt_claude *c, const struct claude_ask *a, enum kt_decision decision,
	const char *answers);
/* Its turn is over. */
void kt_claude_elicitation_void(struct kt_claude *c, const struct claude_ask *a);

/* claude_hooks.c */

/* A `hook_response` line. */
void kt_claude_hook(struct kt_claude *c, const cJSON *line);
/* A `permission_denied` line. */
void kt_claude_denied(struct kt_claude *c, const cJSON *line);
/* An `informational` line. */
void kt_claude_informed(struct kt_claude *c, const cJSON *line);
/* Was the call with this error a refusal of a hook or a rule? Told once for each. */
bool kt_claude_was_denied(
	struct kt_claude *c, const char *tool_use_id, const char *tool, const cJSON *content);
/* Does this result end a turn that a hook refused? Then c->prevented is why. */
bool kt_claude_was_refused(struct kt_claude *c, const cJSON *line);
/* Forget what hooks said in the turn. */
void kt_claude_hooks_clear(struct kt_claude *c);

/* claude_place.c */

/* Write the member of `initialize` by which the harness tells where a call will run. */
void kt_claude_place_hooks(struct kt_jw *w);
/* A `hook_callback` request with this request id: takes it and answers. */
void kt_claude_place(struct kt_claude *c, const char *id, const cJSON *request);
/*
 * The folder that a call will run in, NULL when the harness did not tell. BORROWS until the next
 * line.
 */
const char *kt_claude_cwd(const struct kt_claude *c, const char *tool, const char *tool_use_id);
void kt_claude_places_clear(struct kt_claude *c);

/* claude_trust.c */

/* The op `grants` of driver.h. */
char *kt_claude_grants(const char *dir, struct kt_buf *out_words);
/* The op `trusts`. */
bool kt_claude_trusts(const char *dir);
/* The op `prepare`. */
enum kt_code kt_claude_prepare(const struct kt_driver_config *cfg, struct kt_err *err);

/* claude_system.c */

/* A `system` line. */
void kt_claude_system(struct kt_claude *c, const cJSON *line);
/* A system event with the named members of from (NULL at the end) that are there. */
void kt_claude_tell(
	struct kt_claude *c, const char *subtype, const cJSON *from, const char *const *names);

/* claude_result.c */

/* What this turn used: the difference to the last result. Leaves u alone when it is not said. */
void kt_claude_take_usage(struct kt_claude *c, const cJSON *line, struct kt_usage *u);
/* First of the result's `errors`, or NULL. BORROWS. */
const char *kt_claude_first_error(const cJSON *line);
/* Set stop_reason, error_code and retryable for an error of the API. kind may be NULL or "". */
void kt_claude_name_error(
	struct kt_turn_result *r, const char *kind, int64_t status, const char *text);
/* Set stop_reason and the error of a `result` line. Strings are BORROWED from line and c. */
void kt_claude_name_result(struct kt_claude *c, const cJSON *line, struct kt_turn_result *r);

/* claude.c */

/*
 * Begin the answer to the harness's request `id` in b: what is written to w until
 * kt_claude_reply_end(), which sends it, are its members.
 */
void kt_claude_reply_begin(struct kt_jw *w, struct kt_buf *b, const char *id);
void kt_claude_reply_end(struct kt_claude *c, struct kt_jw *w);
/* Ask the harness to stop the turn, again after a while. */
void kt_claude_send_interrupt(struct kt_claude *c);
/* Take over the slash commands that it knows now. */
void kt_claude_take_commands(struct kt_claude *c, const cJSON *commands);
/* Something of a turn was seen: a turn that nobody asked for begins, if none runs. */
void kt_claude_turn_seen(struct kt_claude *c);

#endif
