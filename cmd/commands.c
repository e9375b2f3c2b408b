/* SPDX-License-Identifier: MIT */
/* The table of commands, in the order of `karta help`. See cmd.h for how to add one. */
#include "cmd/cmd.h"

extern const struct kt_cmd kt_cmd_agents;
extern const struct kt_cmd kt_cmd_chat;
extern const struct kt_cmd kt_cmd_completion;
extern const struct kt_cmd kt_cmd_dev;
extern const struct kt_cmd kt_cmd_doctor;
extern const struct kt_cmd kt_cmd_help;
extern const struct kt_cmd kt_cmd_init;
extern const struct kt_cmd kt_cmd_send;
extern const struct kt_cmd kt_cmd_sessions;
extern const struct kt_cmd kt_cmd_version;

const struct kt_cmd *const kt_commands[] = {
	/* KT_GROUP_START */
	&kt_cmd_init,
	&kt_cmd_dev,
	&kt_cmd_agents,
	&kt_cmd_doctor,

	/* KT_GROUP_TALK */
	&kt_cmd_chat,
	&kt_cmd_send,
	&kt_cmd_sessions,

	/* KT_GROUP_OTHER */
	&kt_cmd_help,
	&kt_cmd_version,
	&kt_cmd_completion,
	NULL,
};
