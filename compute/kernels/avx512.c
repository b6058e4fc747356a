/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernels for x86-64 with AVX-512 (F, BW, VL) and VNNI, equal to scalar.c bit for bit. The files
 * avx512*.c alone are compiled for those extensions; elsewhere they are empty.
 */
#include "compute/kernels/avx512_lanes.h"

#if defined(__AVX512F__) && defined(__AVX512VNNI__)

static bool vector_supported(void)
{
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
	       __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni") &&
	       kernels_avx2.supported();
}

#define VECTOR_TABLE    kernels_avx512
#define VECTOR_NAME     "avx512"
#define VECTOR_QUANTISE avx2_quantise
#define VECTOR_PANELS   avx512_matmul_panels
#include "compute/kernels/vector_table.inc"

#else

typedef int avx512_not_compiled_here; /* ISO C wants a declaration in every file */

#endif
