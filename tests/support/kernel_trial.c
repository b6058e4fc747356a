/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/kernel_trial.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

static uint64_t seed = 0x853c49e6748fea9bU;

uint32_t random_u32(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 32);
}

static float float_of(uint32_t bits)
{
	float x;

	memcpy(&x, &bits, sizeof x);
	return x;
}

float random_float(enum kind kind)
{
	const float specials[] = {INFINITY, -INFINITY, NAN, FLT_MAX, -FLT_MAX, -0.0f};
	uint32_t r = random_u32();

	switch (kind) {
	case KIND_MODERATE:
		break;
	case KIND_WIDE:
		return float_of((r & 0x7f800000U) == 0x7f800000U ? r ^ 0x40000000U : r);
	case KIND_TINY:
		return float_of(r % 3 == 0 ? r & 0x80000000U : r & 0x80000fffU);
	case KIND_SPECIAL:
		if (r % 16 < 6)
			return specials[r % 16];
		break;
	case KIND_END:
		break;
	}
	return (float)(int32_t)random_u32() * 0x1p-31f;
}

void fill(float *x, size_t n, enum kind kind)
{
	for (size_t i = 0; i < n; i++)
		x[i] = random_float(kind);
}

void *allocate(size_t n_bytes)
{
	void *p = malloc(n_bytes > 0 ? n_bytes : 1);

	assert_non_null(p);
	return p;
}

float *unaligned_copy(const float *x, size_t n, void **block)
{
	float *p = allocate((n + 1) * sizeof *p);

	memcpy(p + 1, x, n * sizeof *p);
	*block = p;
	return p + 1;
}

static bool same_float(float a, float b)
{
	uint32_t a_bits, b_bits;

	memcpy(&a_bits, &a, sizeof a);
	memcpy(&b_bits, &b, sizeof b);
	return (isnan(a) && isnan(b)) || a_bits == b_bits;
}

void assert_same(const char *what, const struct kernels *k, const float *want, const float *got,
    size_t n, size_t length)
{
	for (size_t i = 0; i < n; i++)
		if (!same_float(want[i], got[i]))
			fail_msg("%s %s, length %zu, element %zu: %a is not %a", k->name, what,
			    length, i, (double)got[i], (double)want[i]);
}
