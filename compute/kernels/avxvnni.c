/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernels for x86-64 with AVX2 and AVX-VNNI (processors that have its dot product but no AVX-512),
 * equal to scalar.c bit for bit. The files avxvnni*.c alone are compiled for those extensions;
 * elsewhere they are empty.
 */
#include "compute/kernels/avx2_lanes.h"

#if defined(__AVX2__) && defined(__AVXVNNI__)

#include <cpuid.h>

static bool vector_supported(void)
{
	const unsigned bit_avx_vnni = 1U << 4; /* of EAX, leaf 7, subleaf 1 */
	unsigned a = 0, b, c, d;

	return kernels_avx2.supported() && __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 &&
	       (a & bit_avx_vnni) != 0;
}

#define VECTOR_TABLE    kernels_avxvnni
#define VECTOR_NAME     "avxvnni"
#define VECTOR_QUANTISE avx2_quantise
#define VECTOR_PANELS   avxvnni_matmul_panels
#include "compute/kernels/vector_table.inc"

#else

typedef int avxvnni_not_compiled_here; /* ISO C wants a declaration in every file */

#endif
