/* SPDX-License-Identifier: Apache-2.0 */
/* Products with quantised weights, for x86-64 with AVX-512 and VNNI; elsewhere this file is empty.
 */
#include "compute/kernels/avx512_lanes.h"

#if defined(__AVX512F__) && defined(__AVX512VNNI__)

#include "compute/kernels/vector_panels.inc"

void avx512_matmul_panels(const struct matrix *w, uint32_t row_first, uint32_t row_end,
    const struct activations *x, float *out, size_t out_stride)
{
	products[w->type](w, row_first, row_end, x, out, out_stride);
}

#else

typedef int avx512_panels_not_compiled_here; /* ISO C wants a declaration in every file */

#endif
