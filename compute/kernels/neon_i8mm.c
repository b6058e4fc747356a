/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernels for aarch64 with the matrix multiplication of bytes that Armv8.6 has, equal to scalar.c
 * bit for bit: neon_dotprod.c's but for the products with quantised weights.
 */
#include "compute/kernels/neon_lanes.h"

#if defined(__aarch64__) && defined(__ARM_FEATURE_MATMUL_INT8)

#include <sys/auxv.h>

static bool vector_supported(void)
{
	return (getauxval(AT_HWCAP2) & HWCAP2_I8MM) != 0 && kernels_neon_dotprod.supported();
}

#define VECTOR_TABLE    kernels_neon_i8mm
#define VECTOR_NAME     "neon_i8mm"
#define VECTOR_QUANTISE neon_quantise
#define VECTOR_PANELS   neon_i8mm_matmul_panels
#include "compute/kernels/vector_table.inc"

#else

typedef int neon_i8mm_not_compiled_here; /* ISO C wants a declaration in every file */

#endif
