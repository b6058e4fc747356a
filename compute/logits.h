/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The short form of a row of logits: the K largest with the log of the sum of all exponentials, so
 * that whoever samples knows every candidate's probability exactly (DESIGN.md section 2).
 * Pure functions, any thread.
 */
#ifndef AYNI_COMPUTE_LOGITS_H
#define AYNI_COMPUTE_LOGITS_H

#include "compute/kernels/kernels.h"

struct logit {
	uint32_t id;
	float value;
};

/*
 * The k largest of n logits, larger first, equal ones by smaller id; k <= n. *lse is log(sum(exp)).
 * `scratch` holds n floats.
 */
void logits_top(const struct kernels *kern, const float *logits, uint32_t n, uint32_t k,
    float *scratch, struct logit *out, float *lse);

#endif
