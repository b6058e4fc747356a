/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this machine can spare, measured: cores, memory, disk, and how fast exact arithmetic runs
 * with weights of each type, for one token and for a batch, with all cores that it gives.
 */
#ifndef AYNI_NODE_DONOR_SPARE_H
#define AYNI_NODE_DONOR_SPARE_H

#include "compute/kernels/kernels.h"
#include "node/config.h"
#include "protocol/message_types.h"

/* By the name in the settings: "auto" is the best; NULL if this machine does not have it, or its
 * results are not exact: a donor's are hashed and signed. */
const struct kernels *spare_kernels(const char *name);

/* Takes about a quarter of a second. AYNI_ERR_ARGUMENT names a setting that cannot be met. */
int spare_measure(const struct donor_config *c, struct msg_offer *out, struct error *err);

#endif
