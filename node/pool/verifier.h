/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is a donor's result acceptable for the unit it answers? Signature and payload hash were checked
 * when the message was opened; here: does it have the unit's shape, are the numbers finite and in
 * order, is the claimed cost the published one? Whether the numbers are *right* is found by
 * recomputation. Pure functions.
 */
#ifndef AYNI_NODE_POOL_VERIFIER_H
#define AYNI_NODE_POOL_VERIFIER_H

#include "compute/model.h"
#include "protocol/message_types.h"

/* REFUSAL_NONE if acceptable; *why says what is wrong. */
enum refusal verifier_check(const struct model_sizes *m, const struct msg_work_unit *u,
    const struct msg_result *r, struct span payload, struct error *why);

#endif
