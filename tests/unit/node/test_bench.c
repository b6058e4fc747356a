/* SPDX-License-Identifier: Apache-2.0 */
/* The bench's arithmetic, and the shape of what it prints; never how fast anything is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "compute/cost.h"
#include "node/bench/bench.h"
#include "node/bench/geometry.h"
#include "node/bench/roofline.h"
#include "node/bench/touched.h"
#include "tests/support/tiny_model.h"

static const struct limits limits = {.read_bytes_s = 10e9, .multiply_adds_s = 100e9};

/* Near enough for what is computed in binary64. */
static void assert_near(double a, double b)
{
	assert_true(a > b * 0.999999 && a < b * 1.000001);
}

/* ---- limits --------------------------------------------------------------------------------- */

static void the_longer_of_reading_and_computing_bounds_the_time(void **state)
{
	const struct demand streaming = {4e9, 1e9, 1e9}, computing = {1e9, 0, 200e9};

	(void)state;
	assert_true(limits_bound(&limits, &streaming).by_memory);
	assert_near(limits_bound(&limits, &streaming).seconds, 0.5);
	assert_false(limits_bound(&limits, &computing).by_memory);
	assert_near(limits_bound(&limits, &computing).seconds, 2.0);
	assert_near(limits_percent(&limits, &computing, 4.0), 50.0);
}

static void limits_only_ever_rise(void **state)
{
	struct limits l = {1.0, 5.0};

	(void)state;
	limits_improve(&l, &(struct limits){2.0, 4.0});
	assert_near(l.read_bytes_s, 2.0);
	assert_near(l.multiply_adds_s, 5.0);
}

/* What a yardstick counts must be what was done: twice the rounds, twice the multiply-adds. */
static void every_table_counts_its_peak_by_rounds(void **state)
{
	static const char *const names[] = {"scalar", "avx2", "avx512"};

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		const struct kernels *k = kernels_by_name(names[i]);

		if (k == NULL)
			continue;
		assert_true(k->peak(1) > 0);
		assert_int_equal(k->peak(6), 6 * k->peak(1));
	}
}

/* ---- cases ---------------------------------------------------------------------------------- */

static void filters_leave_what_was_asked_for(void **state)
{
	const struct bench_case c = {
	    "llama-3.2-1b", TENSOR_Q4_0, PHASE_DECODE, 1, 128, KV_F16, false, false};
	struct bench_filter f = {.type = TENSOR_TYPE_END, .phases = PHASE_ALL};

	(void)state;
	assert_true(bench_wants(&f, &c));
	f.phases = PHASE_PREFILL | PHASE_PRODUCTS;
	assert_false(bench_wants(&f, &c));
	assert_false(bench_wants_model(&f, &c));
	f.phases = PHASE_LOAD;
	assert_false(bench_wants(&f, &c));
	assert_true(bench_wants_model(&f, &c));
	f.phases = PHASE_ALL;
	f.type = TENSOR_Q8_0;
	assert_false(bench_wants(&f, &c));
	f.type = TENSOR_Q4_0;
	f.geometry = "deepseek-v2-lite";
	assert_false(bench_wants(&f, &c));
	f.geometry = "llama-3.2-1b";
	assert_true(bench_wants(&f, &c));
	f.quick = true;
	assert_false(bench_wants(&f, &c));
}

static void prompts_are_also_measured_in_the_class_fast_where_there_is_time(void **state)
{
	struct bench_filter f = {.type = TENSOR_TYPE_END, .phases = PHASE_ALL};
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < bench_n_cases; i++) {
		n += bench_wants_fast(&f, &bench_cases[i]);
		assert_true(!bench_cases[i].fast || bench_cases[i].phase == PHASE_PREFILL);
	}
	assert_true(n > 0);
	f.quick = true;
	for (size_t i = 0; i < bench_n_cases; i++)
		assert_false(bench_wants_fast(&f, &bench_cases[i]));
}

static void every_case_has_a_known_geometry_and_stands_beside_its_model(void **state)
{
	(void)state;
	for (size_t i = 0; i < bench_n_cases; i++) {
		const struct bench_case *c = &bench_cases[i];
		bool left = false;

		assert_non_null(geometry_find(c->geometry));
		assert_non_null(strstr(geometry_names(), c->geometry));
		for (size_t k = i; k < bench_n_cases; k++) {
			bool same = strcmp(bench_cases[k].geometry, c->geometry) == 0 &&
			            bench_cases[k].type == c->type;

			assert_false(left && same);
			left = left || !same;
		}
	}
}

static void names_of_types_and_phases_are_found(void **state)
{
	(void)state;
	assert_int_equal(tensor_type_find("q4_k"), TENSOR_Q4_K);
	assert_int_equal(tensor_type_find("Q9"), TENSOR_TYPE_END);
	assert_int_equal(phase_find("load"), PHASE_LOAD);
	assert_int_equal(phase_find("all"), 0);
	assert_string_equal(phase_name(PHASE_PREFILL), "prefill");
}

/* ---- demand --------------------------------------------------------------------------------- */

static void a_token_needs_all_weights_but_the_embeddings_other_rows(void **state)
{
	size_t len;
	uint8_t *bytes = tiny_model_bytes(&(struct tiny_model_options){.type = TENSOR_Q8_0}, &len);
	const struct gguf_tensor *embedding;
	struct model_sizes s;
	struct demand d = {0};
	struct flop flop;
	struct gguf *g;
	double want = 0.0;

	(void)state;
	assert_int_equal(gguf_parse(bytes, len, len, &g, NULL), AYNI_OK);
	assert_int_equal(model_sizes_read(g, &s, NULL), AYNI_OK);
	embedding = gguf_tensor_find(g, "token_embd.weight");
	assert_non_null(embedding);
	for (size_t i = 0; i < gguf_n_tensors(g); i++)
		want += (double)gguf_tensor_at(g, i)->size_bytes;
	want -= (double)embedding->size_bytes * (1.0 - 1.0 / s.n_vocabulary);
	demand_add(g, &s, &(struct demand_batch){KV_F16, 1, 100, 1, 1}, &d);
	assert_near(d.weight_bytes, want);
	/* two heads' keys and values of 16 binary16 numbers, in three layers, at 101 positions */
	assert_near(d.kv_bytes, 101.0 * 3 * 2 * 2 * 16 * 2);
	assert_int_equal(cost_span(&s, 0, s.n_layers, 100, 1, 1, &flop), AYNI_OK);
	assert_near(d.multiply_adds, (double)flop_count(flop) / 2.0);

	/* four sessions share the weights, and have each their own cache */
	want += (double)embedding->size_bytes * 3.0 / s.n_vocabulary;
	demand_add(g, &s, &(struct demand_batch){KV_F16, 4, 100, 1, 1}, &d);
	assert_near(d.kv_bytes, 5 * 101.0 * 3 * 2 * 2 * 16 * 2);
	assert_near(d.multiply_adds, 5 * (double)flop_count(flop) / 2.0);
	gguf_free(g);
	free(bytes);
}

static void counting_kernels_count_and_compute(void **state)
{
	const struct kernels *k = touched_kernels(&kernels_scalar);
	const float weights[4] = {1.0f, 2.0f, 3.0f, 4.0f}, vector[4] = {1.0f, 1.0f, 1.0f, 1.0f};
	const int8_t quants[64] = {1, 2, 3};
	const float *const query[1] = {weights};
	float out[32] = {0.0f}, *const sums[1] = {out};
	const struct matrix m = {.type = TENSOR_F32,
	    .n_rows = 1,
	    .n_cols = 4,
	    .row_bytes = sizeof weights,
	    .data = (const uint8_t *)weights};
	const struct activations x = {.n = 4, .n_vectors = 1, .f32 = vector};

	(void)state;
	assert_int_equal(touched_bytes(), 0);
	k->matmul(&m, 0, 1, &x, out, 1);
	assert_near(out[0], 10.0);
	assert_int_equal(touched_bytes(), sizeof weights);
	k->add_rows(&(struct kv_rows){KV_INT8, quants, 32, 2, 32, NULL}, query, sums, 1);
	assert_near(out[0], 11.0);
	/* two rows of a part each: their bytes and scales */
	assert_int_equal(touched_bytes(), sizeof weights + 2 * (32 + sizeof(float)));
	(void)touched_kernels(&kernels_scalar);
	assert_int_equal(touched_bytes(), 0);
}

/* ---- results -------------------------------------------------------------------------------- */

static const struct bench_case two_sessions = {
    "x", TENSOR_Q8_0, PHASE_DECODE, 2, 64, KV_F16, true, false};
static const struct bench_case one_session = {
    "x", TENSOR_Q8_0, PHASE_DECODE, 1, 64, KV_F16, true, false};

/* A run with one of each, of figures that are easy to compute with. */
static struct bench *example(void)
{
	struct bench *b = calloc(1, sizeof *b);

	assert_non_null(b);
	b->machine = (struct machine){"A <processor> & more", "Linux", 2, 8e9};
	b->kernels = "scalar";
	b->threads = 2;
	b->limits = limits;
	b->models[b->n_models++] = (struct bench_model){
	    "some-model", TENSOR_Q8_0, "scalar", "exact", {0.5, 0.25, 1000, 1010}};
	b->rows[b->n_rows++] = (struct bench_row){
	    &b->models[0], &two_sessions, {5, 2.0, 0.25, 0.5, {0.9e9, 0.1e9, 2e9}, 1.1e9}, limits};
	b->rows[b->n_rows++] = (struct bench_row){
	    &b->models[0], &one_session, {5, 1.0, 0.25, 0.5, {0.9e9, 0.1e9, 1e9}, 1.1e9}, limits};
	b->products[b->n_products++] =
	    (struct bench_product){TENSOR_Q4_K, 64, {1e9, 0, 100e9}, 2.0, limits};
	return b;
}

static double number(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	assert_true(json_is_number(value));
	return json_number_value(value);
}

static const char *text(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	assert_non_null(value);
	return value;
}

static void json_has_the_limits_and_each_case(void **state)
{
	struct bench *b = example();
	json_t *root = bench_json(b), *row;

	(void)state;
	assert_non_null(root);
	assert_near(number(root, "read_gbps"), 10.0);
	assert_near(number(root, "peak_giga_multiply_adds_s"), 100.0);
	assert_int_equal(json_array_size(json_object_get(root, "cases")), 2);
	row = json_array_get(json_object_get(root, "cases"), 0);
	assert_string_equal(text(row, "geometry"), "some-model");
	assert_string_equal(text(row, "type"), "Q8_0");
	assert_string_equal(text(row, "kernels"), "scalar");
	assert_string_equal(text(row, "class"), "exact");
	assert_string_equal(text(row, "phase"), "decode");
	assert_string_equal(text(row, "limit"), "memory");
	assert_near(number(row, "batch"), 2);
	assert_near(number(row, "context"), 64);
	assert_near(number(row, "tokens_per_s"), 8.0);
	assert_near(number(row, "median_tokens_per_s"), 4.0);
	assert_near(number(row, "percent_of_limit"), 40.0);
	assert_string_equal(text(row, "cache"), "f16");
	assert_near(number(row, "touched_bytes"), 1.1e9);
	row = json_array_get(json_object_get(root, "products"), 0);
	assert_string_equal(text(row, "limit"), "processor");
	assert_near(number(row, "percent_of_limit"), 50.0);
	row = json_array_get(json_object_get(root, "loads"), 0);
	assert_near(number(row, "resident_bytes"), 1010);
	assert_near(number(row, "new_memory_seconds"), 0.25);
	json_decref(root);
	free(b);
}

/* What a writer wrote; to be freed. */
static char *written(void (*write)(const struct bench *b, FILE *f), const struct bench *b)
{
	char *out = NULL;
	size_t len;
	FILE *f = open_memstream(&out, &len);

	assert_non_null(f);
	write(b, f);
	assert_int_equal(fclose(f), 0);
	return out;
}

static void tables_have_as_many_columns_in_every_row(void **state)
{
	struct bench *b = example();
	char *out = written(bench_tables, b), *rest = out;
	size_t columns = 0, n_tables = 0;

	(void)state;
	for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
		size_t n = 0;

		for (const char *c = line; *c != '\0'; c++)
			n += *c == '|';
		n_tables += columns == 0 && n > 0;
		assert_true(n == 0 || columns == 0 || n == columns);
		columns = n;
	}
	assert_int_equal(n_tables, 4);
	free(out);
	free(b);
}

/* Elements are closed in the order in which they were opened, and no "<" or "&" is left bare. */
static void the_picture_is_well_formed(void **state)
{
	struct bench *b = example();
	char *out = written(roofline_write, b);
	const char *open[16];
	size_t depth = 0;

	(void)state;
	assert_non_null(strstr(out, "A &lt;processor> &amp; more"));
	assert_null(strstr(out, "nan"));
	assert_null(strstr(out, "inf"));
	for (const char *at = strchr(out, '<'); at != NULL; at = strchr(at, '<')) {
		const char *end = strchr(at, '>');
		size_t n = strcspn(++at, " />");

		assert_non_null(end);
		if (*at == '/') {
			assert_true(depth > 0);
			n = strcspn(at + 1, ">");
			assert_memory_equal(open[--depth], at + 1, n);
		} else if (end[-1] != '/') {
			assert_true(n > 0 && depth < 16);
			open[depth++] = at;
		}
		at = end;
	}
	assert_int_equal(depth, 0);
	free(out);
	free(b);
}

/* ---- a run ---------------------------------------------------------------------------------- */

static void a_run_ends_when_it_is_told_to(void **state)
{
	static const volatile bool stop = true;
	char *model = tiny_model_temporary(NULL);
	struct bench *b = calloc(1, sizeof *b);
	const struct bench_options o = {.file = model,
	    .filter = {.type = TENSOR_TYPE_END, .phases = PHASE_DECODE, .quick = true},
	    .threads = 1,
	    .stop = &stop};
	struct error err = {0};

	(void)state;
	assert_non_null(b);
	assert_int_equal(bench_run(&o, b, &err), AYNI_ERR_STATE);
	assert_int_equal(b->n_rows, 0);
	free(b);
	tiny_model_remove(model);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_longer_of_reading_and_computing_bounds_the_time),
	    cmocka_unit_test(limits_only_ever_rise),
	    cmocka_unit_test(every_table_counts_its_peak_by_rounds),
	    cmocka_unit_test(filters_leave_what_was_asked_for),
	    cmocka_unit_test(prompts_are_also_measured_in_the_class_fast_where_there_is_time),
	    cmocka_unit_test(every_case_has_a_known_geometry_and_stands_beside_its_model),
	    cmocka_unit_test(names_of_types_and_phases_are_found),
	    cmocka_unit_test(a_token_needs_all_weights_but_the_embeddings_other_rows),
	    cmocka_unit_test(counting_kernels_count_and_compute),
	    cmocka_unit_test(json_has_the_limits_and_each_case),
	    cmocka_unit_test(tables_have_as_many_columns_in_every_row),
	    cmocka_unit_test(the_picture_is_well_formed),
	    cmocka_unit_test(a_run_ends_when_it_is_told_to),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
