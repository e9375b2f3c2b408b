/* SPDX-License-Identifier: MIT */
/* The table of drivers: the one place that knows which driver speaks to which harness. */
#include "harness/driver.h"

const struct kt_driver_ops *kt_driver_for(enum kt_harness_type type)
{
	switch (type) {
	case KT_HARNESS_CLAUDE:
		return &kt_driver_claude;
	case KT_HARNESS_OPENCODE:
	case KT_HARNESS_ACP:
		return &kt_driver_acp;
	case KT_HARNESS_REHEARSAL:
		return &kt_driver_rehearsal;
	}
	kt_assert(!"harness type");
	return NULL;
}
