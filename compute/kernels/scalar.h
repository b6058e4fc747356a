/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pieces that scalar.c and scalar_matmul.c, the definition of canonical arithmetic, share.
 */
#ifndef AYNI_COMPUTE_KERNELS_SCALAR_H
#define AYNI_COMPUTE_KERNELS_SCALAR_H

#include "compute/kernels/kernels.h"

enum { SCALAR_LANES = 16 };

/* The sum of the lanes, in the definition's order; the lanes are used up. */
float scalar_sum16(float lanes[SCALAR_LANES]);
/* dot() of a row of a float type and a vector; whole rows of F32 make it plain dot(). */
float scalar_dot_row(enum tensor_type type, const uint8_t *row, const float *x, size_t n);

void scalar_quantise(
    const float *x, size_t n, size_t stride, int8_t *quants, struct quant_terms *terms);
void scalar_matmul(const struct matrix *w, uint32_t row_first, uint32_t row_end,
    const struct activations *x, float *out, size_t out_stride);

#endif
