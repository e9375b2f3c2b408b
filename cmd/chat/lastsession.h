/* SPDX-License-Identifier: MIT */
/* Which session "go on" means. */
#ifndef KT_CMD_CHAT_LASTSESSION_H
#define KT_CMD_CHAT_LASTSESSION_H

#include "client/client.h"

/*
 * The session that was talked to last, of those that had a turn: new memory, the caller's, or NULL
 * in *out when there is none. Looks at the newest 200.
 */
KT_MUST_CHECK enum kt_code kt_last_session(struct kt_client *c, char **out, struct kt_err *err);
/* --continue and --session name one session each. */
KT_MUST_CHECK enum kt_code kt_last_check(bool continued, const char *session, struct kt_err *err);

#endif
