/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chooses the table of kernels. A table is trusted only after it gave the definition's bits on this
 * very processor: a wrong compiler, emulator or microcode is then found before any work is signed.
 */
#include "compute/kernels/kernels.h"

#include <float.h>
#include <pthread.h>
#include <stdlib.h>

/* Fastest first; the definition itself is last and always there. */
static const struct kernels *const tables[] = {
#if defined(__x86_64__)
    &kernels_avx2,
#endif
    &kernels_scalar,
};

enum {
	N_TABLES = sizeof tables / sizeof tables[0],
	TRIAL_ROWS = 11,  /* not a multiple of any tile */
	TRIAL_COLS = 512, /* whole blocks of every type */
	TRIAL_VECTORS = 5,
	TRIAL_ODD = 147, /* with a tail in every vector width */
	TRIAL_BYTES = TRIAL_COLS * sizeof(float)
};

/* One set of inputs, and room for the outputs of two tables. */
struct trial {
	float x[TRIAL_VECTORS * TRIAL_COLS];
	float y[TRIAL_VECTORS * TRIAL_COLS];
	uint8_t weights[TRIAL_ROWS * TRIAL_BYTES];
	struct trial_output {
		float values[TRIAL_VECTORS * TRIAL_COLS];
		float products[TRIAL_VECTORS * TRIAL_ROWS];
		int8_t quants[TRIAL_VECTORS * TRIAL_COLS];
		float scales[TRIAL_VECTORS * TRIAL_COLS / QUANT_BLOCK];
		int16_t sums[TRIAL_VECTORS * TRIAL_COLS / QUANT_HALF];
	} want, got;
};

/* A fixed sequence (xorshift64), so that every start tries the same inputs. */
static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Numbers of mixed sign, from 2^-16 to 2^7. */
static float random_float(uint64_t *state)
{
	uint64_t r = next_random(state);
	float fraction = (float)((int32_t)(r >> 32)) * 0x1p-31f;

	return fraction * (float)(1U << (r & 7U));
}

static void trial_fill(struct trial *t)
{
	uint64_t state = 0x9e3779b97f4a7c15U;

	for (size_t i = 0; i < TRIAL_VECTORS * TRIAL_COLS; i++) {
		t->x[i] = random_float(&state);
		t->y[i] = random_float(&state);
	}
}

/* Weights of any type from random bytes; scales and floats are kept to sane exponents. */
static void trial_fill_weights(struct trial *t, enum tensor_type type, size_t row_bytes)
{
	const struct tensor_type_info *info = tensor_type_info(type);
	uint64_t state = 0x2545f4914f6cdd1dU + (uint64_t)type;

	for (size_t i = 0; i < TRIAL_ROWS * row_bytes; i++)
		t->weights[i] = (uint8_t)(next_random(&state) >> 24);
	for (size_t i = 0; i < TRIAL_ROWS * row_bytes; i += info->block_bytes)
		quant_moderate(type, t->weights + i);
}

static bool same_bits(const void *a, const void *b, size_t n_bytes)
{
	return memcmp(a, b, n_bytes) == 0;
}

static void trial_matmul(const struct kernels *k, const struct trial *t, enum tensor_type type,
    size_t row_bytes, struct trial_output *out)
{
	struct matrix w = {type, TRIAL_ROWS, TRIAL_COLS, row_bytes, t->weights};
	struct activations x = {
	    TRIAL_COLS, TRIAL_VECTORS, t->x, out->quants, out->scales, out->sums};

	k->quantise(t->x, TRIAL_VECTORS * TRIAL_COLS, out->quants, out->scales, out->sums);
	k->matmul(&w, 0, TRIAL_ROWS, &x, out->products, TRIAL_ROWS);
}

static bool equal_products(const struct kernels *k, struct trial *t)
{
	for (uint32_t raw = 0; raw < TENSOR_TYPE_END; raw++) {
		uint64_t row_bytes;

		if (tensor_type_info(raw) == NULL)
			continue;
		int rc = tensor_row_bytes(raw, TRIAL_COLS, &row_bytes);

		assert(rc == AYNI_OK);
		enum tensor_type type = (enum tensor_type)raw;

		memset(&t->want, 0, sizeof t->want);
		memset(&t->got, 0, sizeof t->got);
		trial_fill_weights(t, type, (size_t)row_bytes);
		trial_matmul(&kernels_scalar, t, type, (size_t)row_bytes, &t->want);
		trial_matmul(k, t, type, (size_t)row_bytes, &t->got);
		if (!same_bits(&t->want, &t->got, sizeof t->want))
			return false;
	}
	return true;
}

/* Every function but the products, one after another over the same values. */
static void trial_elementwise(
    const struct kernels *k, const struct trial *t, struct trial_output *out)
{
	float *v = out->values;
	float *s = out->scales;

	memcpy(v, t->x, sizeof out->values);
	k->rope_pairs(v, t->y, t->y + TRIAL_ODD, TRIAL_ODD);
	k->add(v, t->y, TRIAL_ODD);
	k->accumulate(v, 0.37f, t->y + 1, TRIAL_ODD);
	k->rope_halves(v, t->y + 5, t->y + TRIAL_ODD, TRIAL_ODD / 2);
	k->silu_mul(v, t->y + 3, TRIAL_ODD);
	k->gelu_mul(v, t->y + 2, TRIAL_ODD);
	k->clamped_mul(v, t->y + 7, TRIAL_ODD);
	k->soft_cap(v, 30.0f, TRIAL_ODD);
	k->scale(v + 1, 1.0f / 3.0f, TRIAL_ODD);
	k->rms_norm(v, t->y, 1e-5f, TRIAL_ODD, out->values + TRIAL_COLS * 2);
	s[0] = k->dot(v, t->y, TRIAL_ODD);
	s[1] = k->max(v, TRIAL_ODD);
	s[2] = k->exp_sum(v, s[1], TRIAL_ODD);
	s[3] = k->all_finite(v, TRIAL_ODD) ? 1.0f : 0.0f;
	v[TRIAL_ODD - 1] = 1.0f / 0.0f;
	s[4] = k->all_finite(v, TRIAL_ODD) ? 1.0f : 0.0f;
}

bool kernels_equal_definition(const struct kernels *k)
{
	struct trial *t = calloc(1, sizeof *t);
	bool equal = false;

	if (t == NULL)
		return k == &kernels_scalar;
	trial_fill(t);
	if (equal_products(k, t)) {
		memset(&t->want, 0, sizeof t->want);
		memset(&t->got, 0, sizeof t->got);
		trial_elementwise(&kernels_scalar, t, &t->want);
		trial_elementwise(k, t, &t->got);
		equal = same_bits(&t->want, &t->got, sizeof t->want);
	}
	free(t);
	return equal;
}

static const struct kernels *best = &kernels_scalar; /* written once, under best_once */
static pthread_once_t best_once = PTHREAD_ONCE_INIT;

/* Round to nearest even, subnormals kept: a library built with -ffast-math can switch that off for
 * the whole process by being loaded. */
static bool arithmetic_is_ieee(void)
{
	volatile float least = FLT_MIN;
	volatile float one = 1.0f;

	return least * 0.5f > 0.0f && one + 0x1p-24f == 1.0f && one + 0x1.8p-24f > 1.0f;
}

static void choose_best(void)
{
	assert(arithmetic_is_ieee());
	for (size_t i = 0; i < N_TABLES; i++) {
		if (tables[i]->supported() && kernels_equal_definition(tables[i])) {
			best = tables[i];
			return;
		}
	}
}

const struct kernels *kernels_best(void)
{
	pthread_once(&best_once, choose_best);
	return best;
}

const struct kernels *kernels_by_name(const char *name)
{
	for (size_t i = 0; i < N_TABLES; i++)
		if (strcmp(tables[i]->name, name) == 0)
			return tables[i]->supported() ? tables[i] : NULL;
	return NULL;
}
