/* SPDX-License-Identifier: MIT */
/*
 * Telling a person where a conversation is: server, project and release. What is obvious is not
 * told: the live release of the folder's own project on the folder's own server. A session that
 * stayed on an older release, a preview, a pinned project and everything that was named elsewhere
 * than in the folder are not obvious.
 */
#ifndef KT_CMD_PLACE_H
#define KT_CMD_PLACE_H

#include "cmd/dest.h"

/*
 * Why a conversation is on the release where it is, when that is not simply the live one: dev is
 * GET /v1/dev, session the session or NULL (a new one). NULL: it is, or there are no releases. The
 * caller's.
 */
KT_MUST_CHECK char *kt_place_reason(const cJSON *dev, const cJSON *session);
/*
 * Tell on stderr, when that is a terminal, in one line where a conversation goes, unless it is
 * obvious. Asks the server what is live. session: the one that is gone on with or was made, or NULL
 * when it could not be had.
 */
void kt_place_say(const struct kt_ctx *ctx, struct kt_client *c, const struct kt_dest *d,
	const cJSON *session);

#endif
