/* SPDX-License-Identifier: MIT */
/*
 * Every maximum of the program with its reason. docs/limits.md is checked against this file by
 * scripts/check-docs.
 */
#ifndef KT_BASE_LIMITS_H
#define KT_BASE_LIMITS_H

#define KT_MAX_PATH_BYTES 4096 /* PATH_MAX on Linux */
#define KT_MAX_HTTP_HEAD_BYTES 16384 /* 4 x the largest head the official SDKs send */
#define KT_MAX_HTTP_TARGET_BYTES 8192 /* cursors and ids are far smaller */
#define KT_MAX_HTTP_HEADERS 64 /* browsers send about 20 */
#define KT_MAX_HTTP_BODY_BYTES (1024 * 1024) /* a long prompt with pasted files */
#define KT_MAX_HTTP_CONNS 10000 /* per server; half of a usual hard limit of 20,000 open files */
#define KT_MAX_HTTP_CONNS_PER_IP 2048 /* one browser or test client, not a flood */
#define KT_HTTP_HEAD_MS 10000 /* whole head, from its first byte (slow loris) */
#define KT_HTTP_BODY_MS 60000 /* whole body */
#define KT_HTTP_IDLE_MS 60000 /* keep-alive between requests */
#define KT_HTTP_STALL_MS 30000 /* a reader that takes nothing is closed; it can resume */
#define KT_HTTP_DRAIN_MS 30000 /* running requests after SIGTERM */
#define KT_SSE_HEARTBEAT_MS 15000 /* below the usual 60 s idle limit of proxies */
#define KT_SSE_RETRY_MS 1000 /* reconnect delay told to EventSource */
#define KT_SSE_INFLIGHT_BYTES (256 * 1024) /* bytes handed to one reader at a time */
#define KT_MAX_JSON_DEPTH 64 /* request bodies nest a handful */
#define KT_MAX_TOML_BYTES (256 * 1024) /* a configuration file */
#define KT_MAX_CONFIG_BYTES (256 * 1024) /* karta.jsonc */
#define KT_MAX_AGENT_FILE_BYTES (1024 * 1024) /* an agent's or skill's Markdown */
#define KT_MAX_LINE_BYTES (64 * 1024 * 1024) /* a written file comes thrice in one line */
#define KT_MAX_EVENT_BYTES (1024 * 1024) /* one event; longer strings in it are cut and marked */
#define KT_MAX_LOG_MEMORY_BYTES (4 * 1024 * 1024) /* events of one session held in memory */
#define KT_MAX_CHILD_QUEUE_BYTES (8 * 1024 * 1024) /* unwritten input of one harness */
#define KT_MAX_STDERR_LINES 50 /* kept for crash reports */
#define KT_MAX_TURN_QUEUE 8 /* messages waiting behind a running turn */
#define KT_MAX_METADATA_KEYS 50 /* session API */
#define KT_MAX_METADATA_BYTES 16384 /* names, ids, a few sentences */
#define KT_MAX_TEXT_BYTES (512 * 1024) /* one message; fits a body after JSON escaping */
#define KT_MAX_IDLE_HARNESSES 8 /* kept warm between turns; each takes 250 to 600 MiB */
#define KT_MAX_SESSIONS 100000 /* per data directory */
#define KT_MAX_PARTICIPANTS 100 /* per session */
#define KT_MAX_NAME_BYTES 200 /* a participant's or agent's name */
#define KT_MAX_REMEMBERED 1000 /* approvals remembered in one session */
#define KT_MAX_REMEMBERED_BYTES 4096 /* a longer tool input is asked for each time */
#define KT_MAX_IDEMPOTENCY_KEY_BYTES 255 /* as other APIs */
#define KT_IDEMPOTENCY_MS (24 * 3600 * 1000) /* a client's retries end well before */
#define KT_MAX_IDEMPOTENCY_KEYS 10000 /* per server */
#define KT_TURN_START_MS 60000 /* harness process until ready */
#define KT_TURN_FIRST_EVENT_MS 120000 /* prompt until the first event */
#define KT_TURN_SILENCE_MS 600000 /* between events, but not while an approval or tool is open */
#define KT_TURN_CANCEL_MS 5000 /* interrupt until the turn's end, then the process is killed */
#define KT_APPROVAL_MS 3600000 /* an unanswered approval */

#endif
