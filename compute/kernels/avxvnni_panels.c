/* SPDX-License-Identifier: Apache-2.0 */
/* Products with quantised weights, for x86-64 with AVX2 and AVX-VNNI; elsewhere this file is empty.
 */
#include "compute/kernels/avx2_lanes.h"

#if defined(__AVX2__) && defined(__AVXVNNI__)

#include "compute/kernels/vector_panels.inc"

void avxvnni_matmul_panels(const struct matrix *w, uint32_t row_first, uint32_t row_end,
    const struct activations *x, float *out, size_t out_stride)
{
	products[w->type](w, row_first, row_end, x, out, out_stride);
}

#else

typedef int avxvnni_panels_not_compiled_here; /* ISO C wants a declaration in every file */

#endif
