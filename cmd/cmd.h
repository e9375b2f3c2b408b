/* SPDX-License-Identifier: MIT */
/*
 * The commands. main() in karta.c dispatches by the table in commands.c.
 *
 * To add a command:
 *  1. cmd/NAME.c with an option table, an argument struct and one function;
 *  2. its line in cmd/commands.c (kt_commands);
 *  3. man/karta-NAME.1 and a line in man/karta.1      (tests/cli/docs.sh fails without);
 *  4. `make generated` for completions/                (tests/cli/docs.sh fails without);
 *  5. a test tests/cli/NAME.sh                         (tests/cli/docs.sh fails without);
 *  6. a mention in README.md's command list            (tests/cli/docs.sh fails without).
 */
#ifndef KT_CMD_CMD_H
#define KT_CMD_CMD_H

#include "base/buf.h"
#include "base/err.h"
#include "cli/opt.h"
#include "cli/term.h"

/* The turn that a command followed and that has no answer, for the JSON of the error. */
struct kt_turn_error {
	char code[64]; /* of the turn's error event, "" when the turn itself has none */
	char session_id[128];
	char turn_id[128]; /* "": no turn was begun, and nothing here counts */
};

/* What every command gets: global options, terminals. BORROWED for the run. */
struct kt_ctx {
	const char *prog; /* "karta" */
	struct kt_term out; /* stdout */
	struct kt_term errt; /* stderr */
	bool json; /* --json */
	bool quiet;
	int verbose;
	bool debug;
	bool no_input; /* --no-input, or stdin is no terminal */
	bool yes;
	const char *server; /* --server or KARTA_SERVER, or NULL */
	const char *profile; /* --profile or KARTA_PROFILE, or NULL */
	const char *project; /* --project or KARTA_PROJECT, or NULL */
	int64_t timeout_ms; /* --timeout; 0 = the command's default */
	struct kt_turn_error turn; /* written by the command before it fails */
};

/* All commands, NULL-terminated, in the order of `karta help`. */
extern const struct kt_cmd *const kt_commands[];
/* Options every command takes. */
extern const struct kt_opt kt_global_opts[];

/* Append `karta help`: all commands, the options of every command, and where the rest is told. */
void kt_help_all(struct kt_buf *b, const struct kt_term *t, const char *prog);

/*
 * Path of the program karta-NAME on PATH that serves as command NAME; the caller's, free; NULL
 * when there is none.
 */
KT_MUST_CHECK char *kt_plugin_find(const char *name);
/* Replace this process by `karta-NAME argv...`; comes back only when that failed. */
enum kt_code kt_plugin_exec(
	const char *name, const char *path, int argc, char *const *argv, struct kt_err *err);

/*
 * Write len bytes of rendered text or JSON to stdout, all of them, through kt_term_pass(): whatever
 * is in it, a terminal only gets text and styles. A broken pipe ends the program quietly; another
 * error ends it with a message and status 1.
 */
void kt_out(const char *data, size_t len);
/*
 * As kt_out() with the bytes as they are: for what is no text, or moves the cursor. Each caller is
 * listed with its reason in scripts/check-output.
 */
void kt_out_raw(const char *data, size_t len);
/* Write text to standard error as kt_out() does; what cannot be written is dropped. */
void kt_side(const char *data, size_t len);
/* Whether styles may pass to stdout and stderr. Call before anything is written. */
void kt_out_styles(bool out, bool err);
/* End as a broken pipe does when nobody reads stdout any more: for who waits for what to print. */
void kt_out_check(void);
/* Write text; with --json as {"schema_version":1,"text":...}. */
void kt_out_text(const struct kt_ctx *ctx, const char *text);
/* As kt_out() with a format; what %s names is cleaned as one line (kt_clean_addf()). */
void kt_outf(const char *fmt, ...) KT_PRINTF(1, 2);
/*
 * Talk (progress, warnings) on stderr, a line end is added; silent with --quiet. What %s names is
 * cleaned as one line.
 */
void kt_say(const struct kt_ctx *ctx, const char *fmt, ...) KT_PRINTF(2, 3);
/* As kt_say() with text that was rendered: lines and styles stay. */
void kt_say_built(const struct kt_ctx *ctx, const struct kt_buf *b);
void kt_warn(const struct kt_ctx *ctx, const char *fmt, ...) KT_PRINTF(2, 3);

#endif
