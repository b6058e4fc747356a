/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a pool says of itself as JSON, for programs: `ayni status --json`, and the gateway's page.
 * Names are those of `ayni.proto`; times and speeds have their units in their names. Pure
 * functions.
 */
#ifndef AYNI_NODE_STATUS_JSON_H
#define AYNI_NODE_STATUS_JSON_H

#include <jansson.h>

#include "protocol/messages.h"

/* A new object; NULL if memory is out. */
json_t *status_json(const struct msg_status *s);

/* What a new session would write over the model's path; 0: there is none. */
double status_tokens_per_s(const struct status_model *m);

#endif
