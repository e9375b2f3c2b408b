/* SPDX-License-Identifier: MIT */
/* Handlers of a hosting server. */
#ifndef KT_API_HOSTING_PRIVATE_H
#define KT_API_HOSTING_PRIVATE_H

#include "api/core/log_private.h"

/* releases.c */
/* The build's log as a stream; answers the call. release is an id or "v7". */
void kt_api_build_stream(struct kt_call *c, const char *ref, const char *release);
/* The same as lines of text; the first one is "VERSION RELEASE". */
void kt_api_build_lines(struct kt_call *c, const char *ref, const char *release);

/* projects.c: handlers */
void kt_api_projects_list(struct kt_call *c, const struct kt_params *p);
void kt_api_projects_create(struct kt_call *c, const struct kt_params *p);
void kt_api_projects_get(struct kt_call *c, const struct kt_params *p);
void kt_api_projects_change(struct kt_call *c, const struct kt_params *p);
void kt_api_projects_delete(struct kt_call *c, const struct kt_params *p);
void kt_api_refs_list(struct kt_call *c, const struct kt_params *p);
void kt_api_refs_delete(struct kt_call *c, const struct kt_params *p);
void kt_api_releases_activate(struct kt_call *c, const struct kt_params *p);
void kt_api_projects_activate(struct kt_call *c, const struct kt_params *p);
void kt_api_projects_rollback(struct kt_call *c, const struct kt_params *p);
void kt_api_projects_pin(struct kt_call *c, const struct kt_params *p);
void kt_api_projects_unpin(struct kt_call *c, const struct kt_params *p);

/* publish.c: handlers */
void kt_api_releases_publish(struct kt_call *c, const struct kt_params *p);

/* releases.c: handlers */
void kt_api_releases_list(struct kt_call *c, const struct kt_params *p);
void kt_api_releases_get(struct kt_call *c, const struct kt_params *p);
void kt_api_releases_manifest(struct kt_call *c, const struct kt_params *p);
void kt_api_releases_archive(struct kt_call *c, const struct kt_params *p);
void kt_api_releases_log(struct kt_call *c, const struct kt_params *p);

/* deploys.c: handlers */
void kt_api_deploys_create(struct kt_call *c, const struct kt_params *p);
void kt_api_deploys_get(struct kt_call *c, const struct kt_params *p);

/* config.c: handlers */
void kt_api_config_get(struct kt_call *c, const struct kt_params *p);
void kt_api_config_change(struct kt_call *c, const struct kt_params *p);

/* logs.c: handlers */
void kt_api_logs(struct kt_call *c, const struct kt_params *p);

/* keys.c: handlers */
void kt_api_whoami(struct kt_call *c, const struct kt_params *p);
void kt_api_keys_list(struct kt_call *c, const struct kt_params *p);
void kt_api_keys_create(struct kt_call *c, const struct kt_params *p);
void kt_api_keys_revoke(struct kt_call *c, const struct kt_params *p);

/* audit.c: handlers */
void kt_api_audit_list(struct kt_call *c, const struct kt_params *p);
void kt_api_audit_verify(struct kt_call *c, const struct kt_params *p);

/* device.c: handlers */
void kt_api_device_code(struct kt_call *c, const struct kt_params *p);
void kt_api_device_token(struct kt_call *c, const struct kt_params *p);
void kt_api_device_get(struct kt_call *c, const struct kt_params *p);
void kt_api_device_decide(struct kt_call *c, const struct kt_params *p);

/* usage.c: handlers */
void kt_api_usage(struct kt_call *c, const struct kt_params *p);

/* webhooks.c: handlers */
void kt_api_github(struct kt_call *c, const struct kt_params *p);

#endif
