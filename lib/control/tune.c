/* SPDX-License-Identifier: MIT */
/* Settings that may change while serving. */
#include "control/control_private.h"

#include "base/limits.h"

void kt_control_tune(struct kt_control *ctl, const struct kt_control_config *cfg)
{
	if (cfg->limits)
		ctl->limits = *cfg->limits;
	ctl->cfg.preview_ms = cfg->preview_ms ? cfg->preview_ms : KT_PREVIEW_MS;
	ctl->cfg.retention_ms = cfg->retention_ms ? cfg->retention_ms : KT_RELEASE_RETENTION_MS;
	ctl->cfg.max_log_bytes = cfg->max_log_bytes ? cfg->max_log_bytes
						    : (int64_t)KT_MAX_PROJECT_LOG_BYTES;
	ctl->cfg.max_log_ms = cfg->max_log_ms ? cfg->max_log_ms : KT_PROJECT_LOG_MS;
	kt_sweep_start(ctl);
}
