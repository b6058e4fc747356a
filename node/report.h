/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The only log. Lines go to stderr as "ayni <role>: text", so that systemd or a person reads them.
 * Never report prompts, answers, activations, tokens of invites or secret keys. Any thread.
 */
#ifndef AYNI_NODE_REPORT_H
#define AYNI_NODE_REPORT_H

#include "protocol/base.h"

enum report_level { REPORT_ERROR, REPORT_WARNING, REPORT_INFO, REPORT_DEBUG };

/* What is left out: levels above `level`. The role is copied ("pool", "donor 3fa4"). */
void report_setup(const char *role, enum report_level level);
int report_level_parse(const char *text, enum report_level *out); /* "error" .. "debug" */
__attribute__((format(printf, 2, 3))) void report(enum report_level level, const char *fmt, ...);

#endif
