/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernels for x86-64 with AVX2, FMA and F16C, equal to scalar.c bit for bit. The files avx2*.c
 * alone are compiled for those extensions; elsewhere they are empty.
 */
#include "compute/kernels/avx2_lanes.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

#include <cpuid.h>

static bool vector_supported(void)
{
	unsigned a, b, c = 0, d;

	/* The builtin also asks whether the system saves the registers; F16C lives in the same. */
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
	       __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}

#define VECTOR_TABLE    kernels_avx2
#define VECTOR_NAME     "avx2"
#define VECTOR_QUANTISE avx2_quantise
#define VECTOR_PANELS   avx2_matmul_panels
#include "compute/kernels/vector_table.inc"

#else

typedef int avx2_not_compiled_here; /* ISO C wants a declaration in every file */

#endif
