/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernels for aarch64 with the dot product of Armv8.2, equal to scalar.c bit for bit. The files
 * neon*.c alone are compiled for that extension; elsewhere they are empty.
 */
#include "compute/kernels/neon_lanes.h"

#if defined(__aarch64__) && defined(__ARM_FEATURE_DOTPROD)

#include <sys/auxv.h>

static bool vector_supported(void)
{
	return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
}

#define VECTOR_TABLE    kernels_neon_dotprod
#define VECTOR_NAME     "neon_dotprod"
#define VECTOR_QUANTISE neon_quantise
#define VECTOR_PANELS   neon_dotprod_matmul_panels
#include "compute/kernels/vector_table.inc"

#else

typedef int neon_dotprod_not_compiled_here; /* ISO C wants a declaration in every file */

#endif
