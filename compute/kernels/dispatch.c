/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chooses the table of kernels. A table is trusted only after it gave the definition's bits on this
 * very processor: a wrong compiler, emulator or microcode is then found before any work is signed.
 */
#include "compute/kernels/fast.h"
#include "compute/kernels/panels.h"

#include <float.h>
#include <pthread.h>
#include <stdlib.h>

/* Fastest first; the definition itself is last and always there. */
static const struct kernels *const tables[] = {
#if defined(__x86_64__)
    &kernels_avx512,
    &kernels_avxvnni,
    &kernels_avx2,
#elif defined(__aarch64__)
    &kernels_neon_i8mm,
    &kernels_neon_dotprod,
#endif
    &kernels_scalar,
};

enum {
	N_TABLES = sizeof tables / sizeof tables[0],
	TRIAL_ROWS = 19,    /* not a multiple of any tile */
	TRIAL_COLS = 512,   /* whole blocks of every type */
	TRIAL_VECTORS = 11, /* a group, and what is left of one */
	TRIAL_HALVES = 64,  /* a stride of rows */
	TRIAL_ODD = 147,    /* with a tail in every vector width */
	TRIAL_BYTES = TRIAL_COLS * sizeof(float)
};

/* One set of inputs, and room for the outputs of two tables. */
struct trial {
	float x[TRIAL_VECTORS * TRIAL_COLS];
	float y[TRIAL_VECTORS * TRIAL_COLS];
	uint8_t weights[TRIAL_ROWS * TRIAL_BYTES];
	uint8_t panels[2 * PANEL_ROWS * TRIAL_BYTES];
	struct trial_output {
		float values[TRIAL_VECTORS * TRIAL_COLS];
		float products[TRIAL_VECTORS * TRIAL_ROWS];
		float alone[TRIAL_ROWS]; /* products with one vector: a path of its own */
		int8_t quants[TRIAL_VECTORS * TRIAL_COLS];
		struct quant_terms terms[TRIAL_VECTORS * TRIAL_COLS / QUANT_BLOCK];
		float scalars[5];
		uint16_t halves[TRIAL_COLS];
		float columns[6][MAX_QUERIES];
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

static void trial_vectors(const struct kernels *k, const struct trial *t, const struct matrix *w,
    size_t n, struct trial_output *out, float *products)
{
	const struct activations x = {TRIAL_COLS, n, t->x, out->quants, out->terms};

	kernels_quantise(k, t->x, TRIAL_COLS, n, out->quants, out->terms);
	k->matmul(w, 0, TRIAL_ROWS, &x, products, TRIAL_ROWS);
}

static void trial_matmul(
    const struct kernels *k, struct trial *t, struct matrix w, struct trial_output *out)
{
	if (k->panels && tensor_type_info(w.type)->quantised) {
		for (uint32_t i = 0; i < panels_of(TRIAL_ROWS); i++)
			panel_pack(&w, i, t->panels + i * PANEL_ROWS * w.row_bytes);
		w = matrix_in_panels(&w, t->panels);
	}
	trial_vectors(k, t, &w, 1, out, out->alone);
	trial_vectors(k, t, &w, TRIAL_VECTORS, out, out->products);
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
		struct matrix w = {type, TRIAL_ROWS, TRIAL_COLS, row_bytes, t->weights, false, 0};

		trial_matmul(&kernels_scalar, t, w, &t->want);
		trial_matmul(k, t, w, &t->got);
		if (!same_bits(&t->want, &t->got, sizeof t->want))
			return false;
	}
	return true;
}

/* Sums over keys and values of either type, as attention makes them. */
static void trial_attention(
    const struct kernels *k, const struct trial *t, struct trial_output *out)
{
	const float *const weights[] = {t->y, t->y + 1, t->y + 2, t->y + 3, t->y + 4};
	float *const sums[] = {
	    out->values, out->values + 70, out->values + 140, out->values + 210, out->values + 280};
	float side_by_side[TRIAL_HALVES][MAX_QUERIES];

	memcpy(side_by_side, t->y, sizeof side_by_side);
	k->to_halves(t->x, TRIAL_COLS, out->halves);
	for (int type = 0; type < KV_TYPE_END; type++) {
		struct kv_rows rows = {
		    (enum kv_type)type, out->halves, TRIAL_HALVES + 6, 5, 67, NULL};
		struct kv_rows columns = {
		    (enum kv_type)type, out->halves, TRIAL_HALVES, 6, TRIAL_HALVES - 1, NULL};

		k->add_rows(&rows, weights, sums, 5);
		k->add_columns(&columns, (const float(*)[MAX_QUERIES])side_by_side, out->columns);
	}
}

/* Every function but the products, one after another over the same values. */
static void trial_elementwise(
    const struct kernels *k, const struct trial *t, struct trial_output *out)
{
	float *v = out->values;
	float *s = out->scalars;

	for (size_t i = 0; i < TRIAL_VECTORS * TRIAL_COLS; i++) /* on top of attention's sums */
		v[i] += t->x[i];
	k->rope_pairs(v, t->y, t->y + TRIAL_ODD, TRIAL_ODD);
	k->add(v, t->y, TRIAL_ODD);
	k->multiply(v + TRIAL_ODD, t->y + 2, TRIAL_ODD, v + TRIAL_COLS * 3);
	k->add_product(v, t->x + 1, t->y, TRIAL_ODD);
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
		trial_attention(&kernels_scalar, t, &t->want);
		trial_attention(k, t, &t->got);
		trial_elementwise(&kernels_scalar, t, &t->want);
		trial_elementwise(k, t, &t->got);
		equal = same_bits(&t->want, &t->got, sizeof t->want);
	}
	free(t);
	return equal;
}

void kernels_quantise(const struct kernels *k, const float *x, size_t n, size_t n_vectors,
    int8_t *quants, struct quant_terms *terms)
{
	for (size_t v = 0; v < n_vectors; v++) {
		struct activation_place at = activation_place(n, n_vectors, v);

		k->quantise(
		    x + v * n, n, at.stride, quants + at.first * QUANT_BLOCK, terms + at.first);
	}
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
	for (size_t i = 0; (best = kernels_at(i)) != &kernels_scalar; i++)
		if (kernels_equal_definition(best))
			return;
}

const struct kernels *kernels_best(void)
{
	pthread_once(&best_once, choose_best);
	return best;
}

const struct kernels *kernels_at(size_t i)
{
	for (size_t t = 0; t < N_TABLES; t++)
		if (tables[t]->supported() && i-- == 0)
			return tables[t];
	return NULL;
}

const struct kernels *kernels_by_name(const char *name)
{
	const struct kernels *k;

	for (size_t i = 0; (k = kernels_at(i)) != NULL; i++)
		if (strcmp(k->name, name) == 0)
			return k;
	return strcmp(name, "fast") == 0 ? kernels_fast() : NULL;
}
