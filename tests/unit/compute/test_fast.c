/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The numeric class `fast`: how near its products are to those in binary64, where it is exact all
 * the same, and that nobody gets it who did not ask for it.
 */
#include "compute/kernels/fast.h"
#include "compute/layers.h"
#include "tests/support/product_trial.h"
#include "tests/support/tiny_model.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

/* ---- products ------------------------------------------------------------------------------- */

/* n blocks, or n elements of a float, a row. */
static struct product random_product(
    enum tensor_type type, uint32_t rows, uint32_t n, size_t vectors, size_t offset)
{
	const uint32_t cols = n * tensor_type_info(type)->block_elements;

	return product_new(
	    &(struct product_options){type, rows, cols, vectors, offset, KIND_MODERATE, false});
}

/* As near as binary32 sums are in any order: an error of half a step for each operation. */
static void check_row(const struct product *p, uint32_t row, const float *got, size_t stride)
{
	const size_t n = p->w.n_cols;
	float *weights = allocate(n * sizeof *weights);

	matrix_decode_row(&p->w, row, weights);
	for (size_t v = 0; v < p->x.n_vectors; v++) {
		double want = 0.0, magnitude = 0.0, error;

		for (size_t i = 0; i < n; i++) {
			double term = (double)weights[i] * (double)p->f32[v * n + i];

			want += term;
			magnitude += fabs(term);
		}
		error = fabs((double)got[v * stride] - want);
		if (!(error <= magnitude * (double)(n + 1) * 0x1p-24))
			fail_msg("%s of %u x %u, vector %zu, row %u: off by %g",
			    tensor_type_info(p->w.type)->name, p->w.n_rows, p->w.n_cols, v, row,
			    error);
	}
	free(weights);
}

/* Rows [first, end) of w, which is p's matrix from row `skipped` on; no other may be written. */
static void check_rows(
    const struct product *p, const struct matrix *w, uint32_t skipped, uint32_t first, uint32_t end)
{
	const size_t stride = w->n_rows + 3;
	float *got = allocate(p->x.n_vectors * stride * sizeof *got);

	for (size_t i = 0; i < p->x.n_vectors * stride; i++)
		got[i] = UNTOUCHED;
	kernels_fast()->matmul(w, first, end, &p->x, got, stride);
	for (uint32_t r = first; r < end; r++)
		check_row(p, skipped + r, got + r, stride);
	for (size_t i = 0; i < p->x.n_vectors * stride; i++)
		if (i % stride < first || i % stride >= end)
			assert_true(got[i] == UNTOUCHED);
	free(got);
}

static void check_product(
    enum tensor_type type, uint32_t rows, uint32_t n, size_t vectors, size_t offset)
{
	struct product p = random_product(type, rows, n, vectors, offset);
	const struct matrix packed = product_in_panels(&p);
	const struct matrix *const layouts[] = {&p.w, &packed};

	for (size_t i = 0; i < 2; i++) {
		const uint32_t skipped = rows / 3;
		const struct matrix last = matrix_rows(layouts[i], skipped, rows - skipped);

		check_rows(&p, layouts[i], 0, 0, rows);
		check_rows(&p, layouts[i], 0, rows / 4, rows - rows / 4);
		check_rows(&p, &last, skipped, 0, last.n_rows);
	}
	product_free(&p);
}

static void products_of_many_vectors_are_near_the_true_ones_for_every_type(void **state)
{
	(void)state;
	for (uint32_t type = 0; type < TENSOR_TYPE_END; type++) {
		const struct tensor_type_info *info = tensor_type_info(type);

		if (info == NULL)
			continue;
		check_product((enum tensor_type)type, 1, 1, FAST_MIN_VECTORS, 1);
		check_product((enum tensor_type)type, 19, 3, FAST_MIN_VECTORS + 1, 1);
		check_product((enum tensor_type)type, 37, info->quantised ? 5 : 147,
		    2 * FAST_MIN_VECTORS + 3, 1);
	}
}

/* Past a tile in both directions, and just as much as one. */
static void tiles_join_to_whole_products(void **state)
{
	static const enum tensor_type types[] = {TENSOR_F32, TENSOR_F16, TENSOR_Q4_0, TENSOR_Q6_K};
	static const uint32_t rows[] = {FAST_TILE_ROWS, FAST_TILE_ROWS + 1};

	(void)state;
	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
		const uint32_t tile = FAST_TILE_COLS / tensor_type_info(types[i])->block_elements;

		for (size_t r = 0; r < 2; r++) {
			check_product(types[i], rows[r], tile, FAST_MIN_VECTORS, 1);
			check_product(types[i], rows[r], tile + 1, FAST_MIN_VECTORS, 1);
		}
		check_product(types[i], 5, 3 * tile, FAST_MIN_VECTORS, 1);
	}
}

static void float_weights_may_lie_anywhere(void **state)
{
	(void)state;
	for (size_t offset = 0; offset < 2 * sizeof(float); offset++)
		check_product(TENSOR_F32, 21, 67, FAST_MIN_VECTORS, offset);
}

static void few_vectors_give_the_bits_of_the_class_exact(void **state)
{
	enum { ROWS = 37 };
	static const size_t vectors[] = {1, 2, FAST_MIN_VECTORS - 1};

	(void)state;
	for (uint32_t type = 0; type < TENSOR_TYPE_END; type++)
		for (size_t i = 0; tensor_type_info(type) != NULL && i < 3; i++) {
			struct product p =
			    random_product((enum tensor_type)type, ROWS, 2, vectors[i], 1);
			const struct matrix packed = product_in_panels(&p);
			float want[ROWS * FAST_MIN_VECTORS], got[ROWS * FAST_MIN_VECTORS];

			kernels_scalar.matmul(&p.w, 0, ROWS, &p.x, want, ROWS);
			kernels_fast()->matmul(&packed, 0, ROWS, &p.x, got, ROWS);
			assert_same(tensor_type_info(type)->name, kernels_fast(), want, got,
			    ROWS * vectors[i], p.w.n_cols);
			product_free(&p);
		}
}

/* A unit with such a number fails; it must not be hidden. */
static void numbers_that_are_not_finite_stay_so(void **state)
{
	enum { ROWS = 5 };
	static const float wrong[] = {INFINITY, -INFINITY, NAN};

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		struct product p = random_product(TENSOR_Q8_0, ROWS, 2, FAST_MIN_VECTORS, 0);
		const struct matrix packed = product_in_panels(&p);
		float got[ROWS * FAST_MIN_VECTORS];

		p.f32[3 * p.x.n + 7] = wrong[i];
		kernels_fast()->matmul(&packed, 0, ROWS, &p.x, got, ROWS);
		assert_true(!isfinite(got[3 * ROWS]));
		assert_true(isfinite(got[4 * ROWS]));
		product_free(&p);
	}
}

/* ---- the table ------------------------------------------------------------------------------ */

static void it_is_found_by_its_name_and_is_not_among_the_exact_tables(void **state)
{
	const struct kernels *k;

	(void)state;
	assert_ptr_equal(kernels_by_name("fast"), kernels_fast());
	assert_string_equal(kernels_fast()->name, "fast");
	assert_string_equal(kernels_class(kernels_fast()), "fast");
	assert_ptr_not_equal(kernels_best(), kernels_fast());
	for (size_t i = 0; (k = kernels_at(i)) != NULL; i++) {
		assert_ptr_not_equal(k, kernels_fast());
		assert_string_equal(kernels_class(k), "exact");
	}
}

/* ---- a whole model -------------------------------------------------------------------------- */

enum { N_TOKENS = 2 * FAST_MIN_VECTORS + 5, V = TINY_MODEL_VOCABULARY, WIDTH = 64 };

/* The last token's logits of a prompt that is read in one piece, and then of a token alone. */
static void run_model(const struct gguf *g, const struct kernels *k, float out[2][V])
{
	static float residual[N_TOKENS * WIDTH];
	uint32_t tokens[N_TOKENS + 1];
	struct error err = {0};
	struct model_sizes sizes;
	struct layers *l = NULL;
	struct model *m = NULL;
	struct team *team = NULL;
	struct kv *kv = NULL;
	int rc;

	for (uint32_t i = 0; i <= N_TOKENS; i++)
		tokens[i] = (i * 37 + 11) % V;
	if ((rc = model_sizes_read(g, &sizes, &err)) == AYNI_OK &&
	    (rc = team_new(2, &team, &err)) == AYNI_OK &&
	    (rc = model_load_for(g, 0, sizes.n_layers, k, team, &m, &err)) == AYNI_OK &&
	    (rc = kv_new(m, N_TOKENS + 1, KV_F16, &kv, &err)) == AYNI_OK)
		rc = layers_new(m, k, team, N_TOKENS, &l, &err);
	assert_true(rc != AYNI_OK || sizes.d_model == WIDTH);
	if (rc == AYNI_OK)
		rc = layers_run(l, &(struct layers_span){kv, 0, N_TOKENS, 1}, 1, tokens, residual,
		    out[0], &err);
	if (rc == AYNI_OK)
		rc = layers_run(l, &(struct layers_span){kv, N_TOKENS, 1, 1}, 1, tokens + N_TOKENS,
		    residual, out[1], &err);
	if (rc != AYNI_OK)
		fail_msg("%s", err.text);
	layers_free(l);
	kv_free(kv);
	team_free(team);
	model_free(m);
}

/* max |a - b| / max |b| */
static double distance(const float *a, const float *b)
{
	double difference = 0.0, size = 0.0;

	for (size_t i = 0; i < V; i++) {
		difference = fmax(difference, fabs((double)a[i] - (double)b[i]));
		size = fmax(size, fabs((double)b[i]));
	}
	return difference / size;
}

/* Floats differ by rounding, and by keys and values that fall to another binary16 number; with
 * quantised weights the class exact also rounds each activation to 8 bits. */
static void a_models_logits_are_near_those_of_the_class_exact(void **state)
{
	static const struct {
		enum tensor_type type;
		double tolerance;
	} cases[] = {{TENSOR_F32, 5e-4}, {TENSOR_F16, 5e-4}, {TENSOR_BF16, 5e-4},
	    {TENSOR_Q8_0, 5e-2}, {TENSOR_Q4_0, 5e-2}};
	static float want[2][V], got[2][V];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const struct tiny_model_options o = {.type = cases[i].type, .seed = 3};
		struct gguf *g;
		size_t len;
		uint8_t *bytes = tiny_model_bytes(&o, &len);

		assert_int_equal(gguf_parse(bytes, len, len, &g, NULL), AYNI_OK);
		run_model(g, kernels_best(), want);
		run_model(g, kernels_fast(), got);
		for (size_t row = 0; row < 2; row++)
			if (!(distance(got[row], want[row]) <= cases[i].tolerance))
				fail_msg("%s: logits differ by %g", tensor_type_info(o.type)->name,
				    distance(got[row], want[row]));
		if (tensor_type_info(o.type)->quantised) /* it was not the class exact */
			assert_memory_not_equal(got[0], want[0], sizeof got[0]);
		gguf_free(g);
		free(bytes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(products_of_many_vectors_are_near_the_true_ones_for_every_type),
	    cmocka_unit_test(tiles_join_to_whole_products),
	    cmocka_unit_test(float_weights_may_lie_anywhere),
	    cmocka_unit_test(few_vectors_give_the_bits_of_the_class_exact),
	    cmocka_unit_test(numbers_that_are_not_finite_stay_so),
	    cmocka_unit_test(it_is_found_by_its_name_and_is_not_among_the_exact_tables),
	    cmocka_unit_test(a_models_logits_are_near_those_of_the_class_exact),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
