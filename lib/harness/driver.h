/* SPDX-License-Identifier: MIT */
/*
 * A driver: a small state machine between a harness's native protocol and karta's events. Lines of
 * the harness in, events and native lines out. It starts no process, reads no clock and knows no
 * session store, so that a recorded transcript can be replayed through it byte by byte.
 *
 *   STARTING --ready()--> READY --prompt--> TURN <--answer-- WAITING (asks open)
 *   TURN --turn_end()--> READY            any --gone--> DEAD (an open turn ends with an error)
 *
 * To add a driver:
 *  1. lib/harness/NAME.c with a `const struct kt_driver_ops`;
 *  2. its line in kt_driver_for() and in enum kt_harness_type (lib/app/app.h)
 *     (tests/unit/harness/test_drivers.c walks the table and fails for a driver without replays);
 *  3. transcripts in tests/captures/NAME-*.jsonl;
 *  4. a section in docs/design/harness.md and docs/harnesses.md (tests/cli/docs.sh).
 */
#ifndef KT_HARNESS_DRIVER_H
#define KT_HARNESS_DRIVER_H

#include "app/app.h"
#include "base/err.h"
#include "base/shared.h"
#include "base/vec.h"
#include "crypto/crypto.h"
#include "event/event.h"

/*
 * Why and how a harness is started. For a driver all of it is BORROWED for its life. A new string
 * needs its line in kt_driver_config_copy() and in tests/api/start-options.test.mjs.
 */
struct kt_driver_config {
	const struct kt_app *app;
	const char *program; /* path of the harness program; NULL for rehearsal */
	const char *cwd; /* where it runs */
	/* the harness's own session id to resume, or NULL for a new session */
	const char *resume_id;
	const char *new_id; /* UUID to use for a new session where the harness lets us choose */
	/* the conversation so far, told when it cannot be resumed; or NULL */
	const char *transcript;
	const char *permission_mode; /* the harness's own word, or NULL */
	const char *model; /* or NULL */
	int64_t thinking_budget_tokens; /* 0 = not set */
	double speed; /* rehearsal: 1 = recorded timing, 0 = as fast as possible */
	uint32_t turns_before; /* rehearsal: turns the session had already */
	char *const *extra_env; /* "NAME=value" of its own, NULL-terminated, or NULL */
	/*
	 * On a hosting server: of our own environment only what a program needs to run is passed
	 * on. With `home` that folder is its home; else ours is, for the log-ins in there.
	 */
	bool sealed;
	const char *home;
	/* Who may push decides what runs: what the settings in cwd allow is allowed. Needs home. */
	bool trusted;
	const char *settings; /* those that somebody agreed to (ops->grants), as JSON; or NULL */
};

/* A question of the harness to a person: an approval, a choice, a plan. */
struct kt_ask {
	const char *id; /* the driver's id; BORROWED during the call */
	const char *kind; /* "tool_use", "question", "plan" */
	const char *tool; /* "Bash", "edit" */
	const char *tool_use_id; /* or NULL */
	const char *parent_tool_use_id; /* of the sub-agent that asks; or NULL */
	const char *sub_agent; /* its name, when the harness tells; or NULL */
	const char *message; /* one sentence: "Allow Bash: touch out/b.txt?" */
	const char *input; /* exact tool input as JSON text */
	size_t input_len;
	struct kt_shared *shared; /* the same, for who keeps it; NULL: to be copied */
	const char *part; /* of an input too large for an event: JSON of what to show; or NULL */
	char sha256[KT_DIGEST_MAX]; /* of the input, with part */
	bool partial; /* the input is not all that tells what would run */
	const char *cwd; /* folder it would run in, absolute; NULL = the harness does not tell */
	const char *command; /* of a shell, when the rest of the input changes nothing; or NULL */
	const char *path; /* the one file it would write, and nothing else; or NULL */
	/*
	 * kind question: [{question, header, options:[{label,description}], multi}] JSON, or NULL
	 */
	const char *questions;
};

enum kt_decision {
	KT_APPROVE_ONCE,
	KT_APPROVE_SESSION, /* this exact call, from now on */
	KT_APPROVE_COMMAND, /* this command with whatever only reads inside of the folder */
	KT_APPROVE_FILE, /* every edit of this file */
	KT_APPROVE_FOLDER, /* every edit of a file that is directly in this folder */
	KT_DENY,
	KT_ANSWER,
};
/* "approve_once", "approve_session", "approve_command", ..., "deny", "answer". */
const char *kt_decision_name(enum kt_decision d);
/* Parse, also the aliases "allow" and "once" / "session". False when unknown. */
KT_MUST_CHECK bool kt_decision_parse(const char *s, enum kt_decision *out);

/* Tokens and money of one turn; -1 = the harness does not say. */
struct kt_usage {
	int64_t input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, total_tokens;
	int64_t cost_microusd; /* millionths of a US dollar */
};
#define KT_USAGE_INIT                                                                              \
	{                                                                                          \
		-1, -1, -1, -1, -1, -1                                                             \
	}

struct kt_turn_result {
	/* "end_turn", "interrupted", "error", "max_turns", "refusal", ... */
	const char *stop_reason;
	/*
	 * NULL = no error; else stable: auth_failed, rate_limited, overloaded, model_not_found,
	 * invalid_request, connection_failed, harness_crashed, harness_start_failed,
	 * budget_exceeded, refused, unresponsive, internal_error, no_rehearsal ... (docs/errors.md)
	 */
	const char *error_code;
	const char *error_message;
	bool retryable;
	const char *text; /* the assistant's text of the turn, all steps joined by blank lines */
	struct kt_usage usage;
};

/* Upwards: what a driver may cause. All are called from within the ops below. */
struct kt_driver_sink {
	void *arg;
	/* Send one native line (with its LF) to the harness. */
	void (*send)(void *arg, const char *line, size_t len);
	/*
	 * The harness is ready for a prompt. harness_session = its own id (resume_id later), or
	 * NULL.
	 */
	void (*ready)(void *arg, const char *harness_session);
	/* The harness told its session id, or changed it. */
	void (*session_id)(void *arg, const char *harness_session);
	/* An event of the running turn (or outside of one). turn_id is filled in above. */
	void (*event)(void *arg, const struct kt_event_draft *ev);
	/* A turn began that nobody asked for (background work of the harness). */
	void (*unsolicited)(void *arg);
	void (*ask)(void *arg, const struct kt_ask *ask);
	/* The harness no longer waits for this answer. */
	void (*ask_withdrawn)(void *arg, const char *ask_id);
	/* The turn is over. Open tools were closed by tool_result events before. */
	void (*turn_end)(void *arg, const struct kt_turn_result *result);
	/* One timer per driver: call ops->timer after delay_ms; < 0 stops it. */
	void (*set_timer)(void *arg, int64_t delay_ms);
	/*
	 * The conversation cannot be resumed any more. A driver that does not renew is started
	 * afresh with a new harness session.
	 */
	void (*resume_failed)(void *arg, const char *why);
	/*
	 * A line was left unread, as it holds more than may be taken apart. What it said is
	 * missing, maybe a question or the end of the turn: the process is stopped.
	 */
	void (*line_refused)(void *arg, const char *why);
};

/* One message to the harness. */
struct kt_prompt {
	const char *text;
	const char *agent; /* agent for this turn, or NULL for the default one */
	bool thinking; /* reason, and surface it */
	bool no_thinking; /* do not reason; neither: as the harness does by itself, not surfaced */
	const char *participant_name; /* attribution, or NULL */
	uint32_t position; /* turn number in the session, from 1 */
};

/* Copy with all strings; kt_prompt_clear() frees them (a zeroed one is fine). */
void kt_prompt_copy(const struct kt_prompt *from, struct kt_prompt *to);
void kt_prompt_clear(struct kt_prompt *p);

struct kt_driver; /* each driver's own state begins with this */

struct kt_driver_ops {
	const char *name;
	bool has_process; /* false: rehearsal */
	bool prompt_reads; /* prompt() reads files: it is called on a thread (aside.h) */
	bool resumes; /* a new process can take the conversation up again */
	bool renews; /* after resume_failed it begins a new conversation in the same process */
	/*
	 * The permission modes that the harness of app knows, NULL-terminated; NULL: any, or they
	 * are known only when it runs, and then the driver refuses the turn.
	 */
	const char *const *(*permission_modes)(const struct kt_app *app);
	/*
	 * What the settings in dir allow without asking, which this harness heeds only when the
	 * folder is trusted: settings for its command line as JSON, the caller's; NULL when there
	 * is nothing. out_words (or NULL): the same for a person. NULL: it trusts every folder.
	 */
	char *(*grants)(const char *dir, struct kt_buf *out_words);
	/* Does the user's own configuration of the harness trust dir already? With grants. */
	bool (*trusts)(const char *dir);
	/* Make ready what the harness reads outside of cwd; NULL when there is nothing. */
	enum kt_code (*prepare)(const struct kt_driver_config *cfg, struct kt_err *err);
	/*
	 * Append argv (NULL not included) and env ("NAME=value", beside PATH, HOME, TERM... that
	 * the runner passes) to the vectors; strings in arena.
	 */
	void (*command)(const struct kt_driver_config *cfg, struct kt_arena *arena,
		struct kt_vec *argv, struct kt_vec *env);
	/*
	 * The file that the harness makes when it starts for the first time with this environment
	 * ("NAME=value", NULL-terminated), and that two of them must not make at once. The
	 * caller's; NULL, or no such function: there is none.
	 */
	char *(*first_start_file)(char *const *env);
	/* Did it die at its start, with these last lines, of something that passes? Or NULL. */
	bool (*passing_failure)(const char *stderr_tail);
	/* New state; sends nothing yet. */
	struct kt_driver *(*open)(
		const struct kt_driver_config *cfg, const struct kt_driver_sink *sink);
	/* The process runs: say hello. */
	void (*start)(struct kt_driver *d);
	/* One line of stdout without LF; may be changed in place. */
	void (*line)(struct kt_driver *d, char *line, size_t len);
	/*
	 * One line of stderr; or NULL. True: it was meant for the driver, and is no word for
	 * people. What was written to stderr before a line of stdout comes before it, but for a
	 * moment in which both wait.
	 */
	bool (*err_line)(struct kt_driver *d, const char *line);
	/* Only when ready and no turn runs. */
	void (*prompt)(struct kt_driver *d, const struct kt_prompt *p);
	/*
	 * Answer an ask. Of approvals only ONCE is passed on: what is remembered is karta's.
	 * answers: JSON object question -> answer for KT_ANSWER, else NULL. note: why, for deny.
	 */
	void (*answer)(struct kt_driver *d, const char *ask_id, enum kt_decision decision,
		const char *answers, const char *note);
	/* Stop the running turn; turn_end comes later. */
	void (*interrupt)(struct kt_driver *d);
	/*
	 * The process is gone. stderr_tail is its last lines (or ""). Ends an open turn with
	 * harness_crashed (or what the stderr says).
	 */
	void (*gone)(struct kt_driver *d, int exit_code, int term_signal, const char *stderr_tail);
	void (*timer)(struct kt_driver *d);
	/* True when closing stdin makes it exit by itself; false: SIGTERM. */
	bool (*exits_on_eof)(const struct kt_driver *d);
	void (*close)(struct kt_driver *d);
};

struct kt_driver {
	const struct kt_driver_ops *ops;
	struct kt_driver_sink sink;
	size_t kept; /* bytes of the turn's text, and of the inputs of open tools, that it has */
	struct kt_vec held; /* emit.c: beginnings of characters at the ends of text parts */
};

extern const struct kt_driver_ops kt_driver_claude;
extern const struct kt_driver_ops kt_driver_acp;
extern const struct kt_driver_ops kt_driver_rehearsal;

/* The driver for a harness type. */
const struct kt_driver_ops *kt_driver_for(enum kt_harness_type type);

/* Copy from to *to with all strings in arena; app and extra_env stay BORROWED. */
void kt_driver_config_copy(
	struct kt_arena *arena, const struct kt_driver_config *from, struct kt_driver_config *to);

/*
 * Is mode (or NULL) a permission mode of app's harness? Returns KT_EINVAL with the known ones when
 * it is not; KT_OK when it is, or when only the running harness can tell.
 */
KT_MUST_CHECK enum kt_code kt_driver_check_mode(
	const struct kt_app *app, const char *mode, struct kt_err *err);

/*
 * Set ask->command or ask->path when tool is one of the shells or editors of the harnesses and
 * input has members that are known only. BORROWS from input.
 */
void kt_ask_shape(struct kt_ask *ask, const char *tool, const cJSON *input);

/*
 * Set the input of ask: its text (BORROWED), and when that may be too large for an event, what to
 * show of it and its digest. part is empty and the caller's, to be released after the ask was told.
 */
void kt_ask_input(
	struct kt_ask *ask, struct kt_shared *text, const cJSON *input, struct kt_buf *part);

/* Free what emit.c keeps for d; each driver's close() calls it. */
void kt_emit_release(struct kt_driver *d);
/*
 * Helpers that all drivers share (emit.c): render data and hand it to the sink. Text may be cut
 * anywhere, inside a character too: its beginning waits for the rest, which comes with the same
 * part_id. When the part is over (another of its kind begins, a tool is used, the step ends) it
 * becomes U+FFFD.
 */
void kt_emit_text(struct kt_driver *d, bool reasoning, const char *part_id, const char *text,
	size_t len, bool replace, const char *parent);
void kt_emit_tool_use(struct kt_driver *d, const char *id, const char *name, const cJSON *input,
	const char *state, const char *parent);
void kt_emit_tool_result(struct kt_driver *d, const char *id, const cJSON *output, bool is_error,
	const char *status, const char *parent);
/*
 * The result of a call that went well and changed a file. patch: the changed lines with their
 * places, an array of {old_start, new_start, lines}; left out of an event that is too large.
 */
void kt_emit_tool_edit(struct kt_driver *d, const char *id, const cJSON *output, const cJSON *patch,
	const char *parent);
void kt_emit_step_start(struct kt_driver *d, int step, const char *description, const char *parent);
void kt_emit_step_finish(
	struct kt_driver *d, int step, const struct kt_usage *usage, const char *parent);
/* The end of the turn: text that waits in a part is shown, and the result's is made valid UTF-8. */
void kt_emit_turn_end(struct kt_driver *d, const struct kt_turn_result *result);
/* data is one JSON object as text. */
void kt_emit(struct kt_driver *d, enum kt_event_type type, const char *data, size_t len,
	const char *parent);
/* A system event of data (an object with its subtype), which is cut as tool results are. */
void kt_emit_system(struct kt_driver *d, const cJSON *data, const char *parent);
/* Tell of a line of len bytes that could not be read: a system event, malformed_line. */
void kt_emit_malformed(struct kt_driver *d, size_t len);
/*
 * Parse a line of a harness. NULL when it is none: it is no JSON object (tell of it by
 * kt_emit_malformed()), or *out_refused, and then the sink was told.
 */
KT_MUST_CHECK cJSON *kt_parse_line(
	struct kt_driver *d, const char *line, size_t len, bool *out_refused);
struct kt_jw;
/*
 * Write v with each string cut after max_string_bytes and marked as cut, at most 1,000 members a
 * level and 16 levels.
 */
void kt_emit_cut_json(struct kt_jw *w, const char *key, const cJSON *v, size_t max_string_bytes);
/* {"input_tokens":..} with the known fields; cost as cost_usd. */
void kt_usage_write(struct kt_jw *w, const char *key, const struct kt_usage *u);

#endif
