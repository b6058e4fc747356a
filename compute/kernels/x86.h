/* SPDX-License-Identifier: Apache-2.0 */
/* What the files for x86-64 share. */
#ifndef AYNI_COMPUTE_KERNELS_X86_H
#define AYNI_COMPUTE_KERNELS_X86_H

#include <immintrin.h>

#include "compute/kernels/kernels.h"
#include "compute/kernels/vector.h"

void avx2_quantise(
    const float *x, size_t n, size_t stride, int8_t *quants, struct quant_terms *terms);

/* Products with quantised weights in panels. */
void avx2_matmul_panels(const struct matrix *w, uint32_t row_first, uint32_t row_end,
    const struct activations *x, float *out, size_t out_stride);
void avxvnni_matmul_panels(const struct matrix *w, uint32_t row_first, uint32_t row_end,
    const struct activations *x, float *out, size_t out_stride);
void avx512_matmul_panels(const struct matrix *w, uint32_t row_first, uint32_t row_end,
    const struct activations *x, float *out, size_t out_stride);

#endif
