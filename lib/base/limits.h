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
#define KT_MAX_HTTP_DOCUMENT_BYTES 16384 /* a body of a few names and sentences */
#define KT_MAX_HTTP_SMALL_BODY_BYTES 4096 /* a body of two words, or of a route that needs none */
#define KT_MAX_HTTP_CONNS 10000 /* per server; half of a usual hard limit of 20,000 open files */
#define KT_MAX_HTTP_CONNS_PER_IP 2048 /* one browser or test client, not a flood */
#define KT_MAX_INFLIGHT_BYTES (192 * 1024 * 1024) /* all that waits for clients, in sum */
#define KT_MAX_INFLIGHT_ORG_BYTES (96 * 1024 * 1024) /* of it for one organization: half */
#define KT_MAX_INFLIGHT_KEY_BYTES (64 * 1024 * 1024) /* for one key: two large documents */
#define KT_MAX_INFLIGHT_ADDRESS_BYTES (96 * 1024 * 1024) /* for one address or IPv6 /64 */
#define KT_MAX_KEPT_BYTES (384 * 1024 * 1024) /* what sessions keep of their harnesses, in sum */
#define KT_MAX_KEPT_ORG_BYTES (256 * 1024 * 1024) /* of one organization: one largest line */
#define KT_MAX_STRANGERS_BYTES (16 * 1024 * 1024) /* without a key, in sum: 4,000 logins */
#define KT_MAX_STRANGERS_ADDRESS_BYTES (4 * 1024 * 1024) /* of it from one address or IPv6 /64 */
#define KT_HTTP_HEAD_MS 10000 /* whole head, from its first byte (slow loris) */
#define KT_HTTP_BODY_MS 60000 /* whole body */
#define KT_HTTP_IDLE_MS 60000 /* keep-alive between requests */
#define KT_HTTP_STALL_MS 30000 /* a reader that takes nothing is closed; it can resume */
#define KT_HTTP_PROBE_MS 5000 /* a client that shut its side and waits is asked if it is there */
#define KT_HTTP_DRAIN_MS 30000 /* running requests after SIGTERM */
#define KT_SSE_HEARTBEAT_MS 15000 /* below the usual 60 s idle limit of proxies */
#define KT_SSE_RETRY_MS 1000 /* reconnect delay told to EventSource */
#define KT_SSE_INFLIGHT_BYTES (256 * 1024) /* bytes handed to one reader at a time */
#define KT_MAX_JSON_DEPTH 64 /* request bodies nest a handful */
#define KT_MAX_LOOP_BYTES (64 * 1024) /* of a text that is parsed on the loop: half a ms */
#define KT_MAX_JSON_NODES 100000 /* values of one text that becomes a tree: 64 bytes each */
#define KT_MAX_BODY_NODES 20000 /* the same of a request: 3 MiB with its strings' overhead */
#define KT_MAX_TOML_BYTES (256 * 1024) /* a configuration file */
#define KT_MAX_CONFIG_BYTES (256 * 1024) /* karta.jsonc */
#define KT_MAX_HARNESS_CONFIG_BYTES (4 * 1024 * 1024) /* Claude Code's .claude.json */
#define KT_MAX_GRANTS_BYTES 98304 /* of settings as an argument, which has 128 KiB */
#define KT_MAX_AGENT_FILE_BYTES (1024 * 1024) /* an agent's or skill's Markdown */
#define KT_MAX_LINE_BYTES (64 * 1024 * 1024) /* a written file comes thrice in one line */
#define KT_MAX_LINE_VALUES 500000 /* of a line that is taken apart: 32 MiB and its strings */
#define KT_MAX_TICK_LINE_BYTES 65536 /* longer lines of a harness are read on a thread */
#define KT_MAX_EVENT_BYTES (1024 * 1024) /* one event; longer strings in it are cut and marked */
#define KT_GATHER_MS 4 /* pieces of text that come closer together are one event */
#define KT_MAX_TURN_EVENTS 200000 /* of one turn: an hour of text as fast as a model writes it */
#define KT_MAX_TURN_BYTES (128 * 1024 * 1024) /* of its events; the largest seen have some MiB */
#define KT_MAX_SESSION_BYTES (512 * 1024 * 1024) /* events of one session that are kept */
#define KT_MAX_PAGE_BYTES (1024 * 1024) /* events, sessions, releases, audit entries an answer */
#define KT_MAX_REPLY_BYTES (16 * 1024 * 1024) /* text of a unary answer; counted in flight */
#define KT_MAX_LOG_MEMORY_BYTES (4 * 1024 * 1024) /* events of one session held in memory */
#define KT_MAX_MEMORY_LOGS_BYTES (64 * 1024 * 1024) /* of all such without a file */
#define KT_MAX_MEMORY_LOGS 4096 /* sessions that have such; the oldest give theirs up */
#define KT_MAX_CHILD_QUEUE_BYTES (8 * 1024 * 1024) /* unread input of a harness; kept, as above */
#define KT_MAX_STDERR_LINES 50 /* for crash reports; 50 KiB of each harness, and one line */
#define KT_MAX_TURN_QUEUE 8 /* messages waiting behind a running turn */
#define KT_MAX_TITLE_BYTES 200 /* of a session: a line of a list; the first message gives 80 */
#define KT_MAX_STARTERS 8 /* of an application: what fits a page that is empty otherwise */
#define KT_MAX_STARTER_BYTES 500 /* a starter is a message, and a button */
#define KT_MAX_METADATA_KEYS 50 /* session API */
#define KT_MAX_METADATA_BYTES 16384 /* names, ids, a few sentences */
#define KT_MAX_TEXT_BYTES (512 * 1024) /* one message; fits a body after JSON escaping */
#define KT_MAX_IDLE_HARNESSES 8 /* kept warm between turns; each takes 250 to 600 MiB */
#define KT_MAX_SESSIONS 1000000 /* per data directory; 0.6 KiB each in memory */
#define KT_MAX_PARTICIPANTS 100 /* per session */
#define KT_MAX_NAME_BYTES 200 /* a participant's or agent's name */
#define KT_MAX_REMEMBERED 256 /* approvals remembered in one session; 1 KiB each */
#define KT_MAX_REMEMBERED_BYTES 65536 /* a longer tool input is asked for each time */
#define KT_MAX_AUDITED_DECISIONS 500 /* of an organization and hour in full, then their number */
#define KT_MAX_IDEMPOTENCY_KEY_BYTES 255 /* as other APIs */
#define KT_IDEMPOTENCY_MS (24 * 3600 * 1000) /* a client's retries end well before */
#define KT_MAX_IDEMPOTENCY_BYTES (32 * 1024 * 1024) /* of one organization: 80,000 keys a day */
#define KT_MAX_IDEMPOTENCY_ROWS 10000 /* of one organization's changes, with their answers */
#define KT_MAX_IDEMPOTENCY_ANSWER_BYTES (32 * 1024 * 1024) /* those answers, and one more */
#define KT_TURN_START_MS 60000 /* harness process until ready */
#define KT_TURN_FIRST_EVENT_MS 120000 /* prompt until the first event */
#define KT_TURN_SILENCE_MS 600000 /* between events, but not while an approval or tool is open */
#define KT_TURN_CANCEL_MS 5000 /* interrupt until the turn's end, then the process is killed */
#define KT_MAX_REFS 10000 /* branches of a project; their list has some MB */
#define KT_MAX_DELIVERIES 1000 /* of webhooks whose digest is remembered, per project */
#define KT_MAX_HEARD 1000 /* pull requests whose newest event is remembered, per project */
#define KT_MEND_MS 5000 /* a disk that failed or was full is tried again after that at most */
#define KT_REWRITE_PAUSE_MS 60000 /* after a rewrite of the session journal that failed */
#define KT_SETUP_MS 600000 /* a setup script, which may install packages */
#define KT_MAX_NOISE_LINES 1000 /* of the stderr of a harness in one turn that go to the log */
#define KT_MAX_SETUP_LINES 1000 /* of a setup script's output that go to the log */
#define KT_APPROVAL_MS 3600000 /* an unanswered approval */

#define KT_MAX_TREE_ENTRIES 1000000 /* of a commit that are looked at; under a second */
#define KT_MAX_PACK_FILES 20000 /* of one release; a large repository has some thousand */
#define KT_MAX_PACK_BYTES (512 * 1024 * 1024) /* of one release, unpacked */
#define KT_MAX_PACK_FILE_BYTES (256 * 1024 * 1024) /* one file of a release */
#define KT_MAX_ARCHIVE_BYTES (100 * 1024 * 1024) /* one upload, as sent */
#define KT_MAX_PACK_RATIO 200 /* unpacked to sent after the first 8 MiB; text reaches 20 */
#define KT_MAX_PACK_PATH_BYTES 1024 /* path of a file in a release */
#define KT_MAX_PACK_DEPTH 32 /* folders in folders */
#define KT_UNPACK_MS 60000 /* unpacking one archive */
#define KT_MAX_MANIFEST_BYTES (32 * 1024 * 1024) /* 20,000 files with the longest paths */
#define KT_MAX_WORK_JOBS 4096 /* that wait for a thread or have one, per server */
#define KT_MAX_WORK_JOBS_EACH 512 /* of those, of one organization */
#define KT_MAX_WORK_BYTES (96 * 1024 * 1024) /* memory that these hold, per server */
#define KT_MAX_WORK_BYTES_EACH (40 * 1024 * 1024) /* and of one organization: one document */
#define KT_MAX_SEARCHES 64 /* through logs of sessions, that wait or run, per server */
#define KT_MAX_SEARCHES_EACH 8 /* of those, of one organization */
#define KT_MAX_SESSION_SEARCHES 2 /* and of one session; each holds its log open */
#define KT_MAX_STORE_QUEUE 65536 /* writes that wait for the database */
#define KT_MAX_UNPACKERS 3 /* processes that read archives at once, per server */
#define KT_MAX_UNPACKERS_EACH 2 /* of those, for one organization: another finds one */
#define KT_MAX_UNPACKS_WAITING 100 /* uploads of one organization, as files */
#define KT_MAX_ARCHIVES 2 /* archives being made for one organization, of three at once */
#define KT_MAX_BUILDS_QUEUED 100 /* publishes that wait, per project */
#define KT_MAX_FETCHES 6 /* archives fetched from GitHub at once */
#define KT_MAX_FETCHES_ORG 2 /* of them for one organization; they take turns */
#define KT_MAX_FETCHES_QUEUED 500 /* archives that wait for it or run, per server; 4 KiB each */
#define KT_MAX_FETCHES_QUEUED_ORG 100 /* and of one organization */
#define KT_FETCH_STALL_MS 30000 /* nothing came: it is given up */
#define KT_BUILD_LOG_MS 60000 /* a finished build's log stays open for late readers */
#define KT_PREVIEW_MS (72 * 3600 * 1000) /* life of a preview without pushes */
#define KT_RELEASE_RETENTION_MS (7 * 24 * 3600 * 1000) /* files of releases that nothing uses */
#define KT_PROJECT_LOG_MS (7 * 24 * 3600 * 1000) /* age of lines in a project's log */
#define KT_MAX_PROJECT_LOG_BYTES (64 * 1024 * 1024) /* a project's log */
#define KT_MAX_CONFIG_VARS 200 /* per project */
#define KT_MAX_CONFIG_VALUE_BYTES 32768 /* one value; certificates fit */
#define KT_MAX_PROJECTS 10000 /* per organization */
#define KT_MAX_KEYS 1000 /* per organization */
#define KT_DEVICE_CODE_MS 600000 /* a login waits for its approval */
#define KT_MAX_DEVICE_CODES 1000 /* logins that wait; then the oldest of the fullest goes */
#define KT_MAX_DEVICE_CODES_PER_IP 20 /* of one address or IPv6 /64; then its oldest one goes */
#define KT_LOGIN_KEY_S (90 * 24 * 3600) /* a key that a login made; then another login */
#define KT_WEB_SESSION_S (14 * 24 * 3600) /* a browser stays signed in */
#define KT_MAX_WEB_SESSIONS 20 /* signed in with one key; then the oldest is signed out */
#define KT_MAX_WEB_SIGN_INS 100 /* with one key in an hour: each is kept in the audit log */
#define KT_WEB_CODE_MS 60000 /* a sign-in on its way from the server's name to a project's */
#define KT_MAX_WEB_CODES 8 /* of them of one browser; then the oldest is void */
#define KT_DEVICE_POLL_MS 2000 /* between two polls of a login */
#define KT_HTTP_UPLOAD_GRACE_MS 5000 /* then an upload has to be faster than the next line */
#define KT_MIN_UPLOAD_BYTES_PER_S 1024 /* slower uploads are closed */

#endif
