/* SPDX-License-Identifier: MIT */
/* What a server says of itself, its pages, and browsers that sign in. */
#ifndef KT_API_WEB_PRIVATE_H
#define KT_API_WEB_PRIVATE_H

#include "api/core/caller_private.h"

/* pages.c */
/*
 * An embedded page; false when there is none at this path. place is NULL on a local server.
 */
bool kt_api_page(struct kt_call *c, const struct kt_place *place);

/* meta.c: handlers */
void kt_api_agents(struct kt_call *c, const struct kt_params *p);
void kt_api_dev(struct kt_call *c, const struct kt_params *p);
void kt_api_healthz(struct kt_call *c, const struct kt_params *p);
void kt_api_readyz(struct kt_call *c, const struct kt_params *p);
void kt_api_harnesses(struct kt_call *c, const struct kt_params *p);

/* pages.c: handlers */
void kt_api_openapi(struct kt_call *c, const struct kt_params *p);

/* sign_in.c: handlers */
void kt_api_web_sign_in(struct kt_call *c, const struct kt_params *p);
void kt_api_web_sign_out(struct kt_call *c, const struct kt_params *p);
void kt_api_web_hand_over(struct kt_call *c, const struct kt_params *p);

#endif
