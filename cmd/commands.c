/* SPDX-License-Identifier: MIT */
/* The table of commands, in the order of `karta help`. See cmd.h for how to add one. */
#include "cmd/cmd.h"

extern const struct kt_cmd kt_cmd_agents;
extern const struct kt_cmd kt_cmd_audit;
extern const struct kt_cmd kt_cmd_chat;
extern const struct kt_cmd kt_cmd_completion;
extern const struct kt_cmd kt_cmd_config;
extern const struct kt_cmd kt_cmd_deploy;
extern const struct kt_cmd kt_cmd_dev;
extern const struct kt_cmd kt_cmd_doctor;
extern const struct kt_cmd kt_cmd_fsck;
extern const struct kt_cmd kt_cmd_help;
extern const struct kt_cmd kt_cmd_init;
extern const struct kt_cmd kt_cmd_keys;
extern const struct kt_cmd kt_cmd_login;
extern const struct kt_cmd kt_cmd_logout;
extern const struct kt_cmd kt_cmd_logs;
extern const struct kt_cmd kt_cmd_open;
extern const struct kt_cmd kt_cmd_projects;
extern const struct kt_cmd kt_cmd_releases;
extern const struct kt_cmd kt_cmd_rollback;
extern const struct kt_cmd kt_cmd_run;
extern const struct kt_cmd kt_cmd_send;
extern const struct kt_cmd kt_cmd_serve;
extern const struct kt_cmd kt_cmd_sessions;
extern const struct kt_cmd kt_cmd_upgrade;
extern const struct kt_cmd kt_cmd_version;
extern const struct kt_cmd kt_cmd_whoami;

const struct kt_cmd *const kt_commands[] = {
	/* KT_GROUP_START */
	&kt_cmd_init,
	&kt_cmd_dev,
	&kt_cmd_run,
	&kt_cmd_agents,
	&kt_cmd_doctor,

	/* KT_GROUP_SHIP */
	&kt_cmd_deploy,
	&kt_cmd_releases,
	&kt_cmd_rollback,
	&kt_cmd_config,
	&kt_cmd_logs,
	&kt_cmd_projects,
	&kt_cmd_open,

	/* KT_GROUP_TALK */
	&kt_cmd_chat,
	&kt_cmd_send,
	&kt_cmd_sessions,

	/* KT_GROUP_ACCOUNT */
	&kt_cmd_login,
	&kt_cmd_logout,
	&kt_cmd_whoami,
	&kt_cmd_keys,
	&kt_cmd_audit,

	/* KT_GROUP_SERVE */
	&kt_cmd_serve,
	&kt_cmd_fsck,

	/* KT_GROUP_OTHER */
	&kt_cmd_help,
	&kt_cmd_version,
	&kt_cmd_upgrade,
	&kt_cmd_completion,
	NULL,
};
