/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inputs for tests of kernels, from a fixed seed, and the comparison of two tables' results. A test
 * fails inside these functions where something is wrong.
 */
#ifndef AYNI_TESTS_SUPPORT_KERNEL_TRIAL_H
#define AYNI_TESTS_SUPPORT_KERNEL_TRIAL_H

#include "compute/kernels/kernels.h"

enum kind {
	KIND_MODERATE, /* -1 .. 1 */
	KIND_WIDE,     /* finite, any exponent */
	KIND_TINY,     /* zeros of both signs, subnormals */
	KIND_SPECIAL,  /* moderate, with infinities, NaN and the largest numbers */
	KIND_END
};

uint32_t random_u32(void);
float random_float(enum kind kind);
void fill(float *x, size_t n, enum kind kind);

/* Exactly n_bytes from the heap, so that the address sanitizer sees what goes past them. */
void *allocate(size_t n_bytes);
/* A copy whose floats do not start at a vector's alignment; *block is to be freed. */
float *unaligned_copy(const float *x, size_t n, void **block);

/* Equal bits, or both NaN (whose bits are left open). */
void assert_same(const char *what, const struct kernels *k, const float *want, const float *got,
    size_t n, size_t length);

#endif
