/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far two results for the same input lie apart, and whether rounding explains it: what takes
 * the place of equal hashes in the numeric class `fast` (kernels/README.md), where a result is not
 * defined to the bit. Nothing here is used for the class `exact`.
 *
 * Two results are compared a layer at a time: whoever checks feeds each layer with what is
 * *claimed* to have gone into it, so that differences do not pile up over layers and what is left
 * is one layer's rounding, however deep the model is. And it is the layer's change (what comes out
 * less what went in) that is compared, not the residual stream: the stream's few large elements,
 * which a layer hands on as they are, would hide all that it did.
 *
 * The bounds, where they come from and what a liar can hide within them: kernels/README.md,
 * "Agreement". Pure functions, any thread.
 */
#ifndef AYNI_COMPUTE_AGREEMENT_H
#define AYNI_COMPUTE_AGREEMENT_H

#include "compute/kv.h"
#include "compute/logits.h"
#include "compute/model.h"

/* Of rows compared so far. Zero at first. */
struct agreement {
	uint64_t n_rows;
	double loss_sum; /* of 1 - cosine of each row */
	double loss_max;
	double error_max; /* of an element, in root mean squares of its row */
};

/* How much of it is rounding. */
struct agreement_bounds {
	double mean_loss; /* of many rows */
	double row_loss;  /* of each row */
	double row_error; /* of each element */
};

/* Of layers whose matrices and caches are floats, and of those where any is quantised. */
extern const struct agreement_bounds agreement_of_floats, agreement_of_quants;

/*
 * The bounds of a layer, its sessions' caches being of this type; with `output`, of logits that
 * follow it; else that is NULL. NULL if the layer has experts: there the least rounding takes a
 * token to another expert where two are nearly as good, after which its row says nothing.
 */
const struct agreement_bounds *agreement_bounds(
    const struct layer_weights *w, const struct matrix *output, enum kv_type kv);

/*
 * Count one row of n elements: `in` went into the layer, `claimed` is said to have come out, `own`
 * really came out. `in` is NULL where only tokens went in: then the whole rows are compared. A
 * number that is not finite is infinitely far.
 */
void agreement_row(
    struct agreement *a, const float *in, const float *claimed, const float *own, size_t n);

/*
 * Count one row of logits: `top` are said to be the k largest, and `lse` the log of the sum of all
 * exponentials; `own` are all n_vocabulary. The mean square of an element is here the variance of
 * own logits, and in place of 1 - cosine stands half the mean square difference, which for vectors
 * of the same length is the same. An entry that is missing, named twice or out of order counts too.
 */
void agreement_logits(struct agreement *a, const struct logit *top, uint32_t k, float lse,
    const float *own, uint32_t n_vocabulary);

/* Whether all rows so far agree; no rows do not. The sum of losses may be what so many rows of the
 * mean have, and one row more, so that few rows may be judged too. */
bool agreement_holds(const struct agreement *a, const struct agreement_bounds *b);

#endif
