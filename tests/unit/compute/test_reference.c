/* SPDX-License-Identifier: Apache-2.0 */
/*
 * That layers give the logits of tests/tools/reference.py, the model from its definition, and the
 * same bits of them as on every other machine.
 */
#include "compute/layers.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "tests/support/tiny_model.h"

enum { N = 70, CHUNK = 16, MAX_D = 64, V = TINY_MODEL_VOCABULARY };

/* Nothing is as wide as something else, so that no two widths can be confused. */
static const struct tiny_model_options uneven = {.n_layers = 3,
    .d_model = 64,
    .d_ff = 96,
    .n_heads = 8,
    .n_kv_heads = 2,
    .d_head = 24,
    .d_value = 20,
    .d_rope = 16,
    .rope_factors = true,
    .seed = 11};

static float logits[N][V];

static uint32_t token_at(uint32_t position)
{
	return (position * 37 + 11) % V;
}

/* All logits of N tokens, the prompt cut into chunks. */
static void run_model(const struct gguf *g)
{
	static float residual[CHUNK][MAX_D];
	struct error err = {0};
	struct layers *l = NULL;
	struct model *m = NULL;
	struct team *team = NULL;
	struct kv *kv = NULL;
	struct model_sizes sizes;

	if (model_sizes_read(g, &sizes, &err) != AYNI_OK || team_new(1, &team, &err) != AYNI_OK ||
	    model_load_for(g, 0, sizes.n_layers, kernels_best(), team, &m, &err) != AYNI_OK ||
	    kv_new(m, N, KV_F16, &kv, &err) != AYNI_OK ||
	    layers_new(m, kernels_best(), team, CHUNK, &l, &err) != AYNI_OK)
		fail_msg("%s", err.text);
	assert_true(sizes.d_model <= MAX_D);
	for (uint32_t p = 0; p < N; p += CHUNK) {
		uint32_t n = N - p < CHUNK ? N - p : CHUNK;
		struct layers_span span = {kv, p, n, n};
		uint32_t tokens[CHUNK];

		for (uint32_t i = 0; i < n; i++)
			tokens[i] = token_at(p + i);
		if (layers_run(l, &span, 1, tokens, residual[0], logits[p], &err) != AYNI_OK)
			fail_msg("%s", err.text);
	}
	layers_free(l);
	kv_free(kv);
	team_free(team);
	model_free(m);
}

/* Read the reference's logits for the session's tokens; false if it cannot run here (no numpy). */
static bool read_reference(const char *path, double (*out)[V])
{
	char command[4096];
	int at =
	    snprintf(command, sizeof command, "/usr/bin/python3 tests/tools/reference.py %s", path);
	FILE *pipe;
	int status, n = 1;

	for (uint32_t p = 0; p < N; p++)
		at += snprintf(command + at, sizeof command - (size_t)at, " %u", token_at(p));
	pipe = popen(command, "r"); /* allowed: a test's own command, of numbers and its own path */
	assert_non_null(pipe);
	for (size_t i = 0; n == 1 && i < (size_t)N * V; i++)
		n = fscanf(pipe, "%lf", &out[i / V][i % V]);
	status = pclose(pipe);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		return false;
	assert_int_equal(status, 0);
	assert_int_equal(n, 1);
	return true;
}

/* The largest over the first n rows of max |a - b| / max |b|, a being ours and b the reference's.
 */
static double distance(double (*b)[V], size_t n)
{
	double worst = 0.0;

	for (size_t p = 0; p < n; p++) {
		double difference = 0.0, size = 0.0;

		for (size_t i = 0; i < V; i++) {
			difference = fmax(difference, fabs((double)logits[p][i] - b[p][i]));
			size = fmax(size, fabs(b[p][i]));
		}
		worst = fmax(worst, difference / size);
	}
	return worst;
}

/*
 * The numbers are the same, binary32 here and binary64 there, and differ by up to 1e-6 for rounding
 * alone. But now and then a key or value lies so near the edge of two binary16 numbers that it
 * falls to the other side, which every later token of the session then feels; where weights are
 * quantised an activation may fall between two 8-bit values likewise, and weighs more.
 */
static const double tolerance = 5e-4;
static const double edge_tolerance = 5e-2;

enum { BEFORE_AN_EDGE = 4 /* tokens of the sessions tested that no 8-bit edge has touched */ };

static void assert_agrees(const struct tiny_model_options *options, enum tensor_type type)
{
	static double expected[N][V];
	bool quantised = tensor_type_info(type)->quantised;
	struct tiny_model_options o = *options;
	double whole_distance, strict_distance;
	struct gguf *g;
	char *path;
	bool ran;

	o.type = type;
	path = tiny_model_temporary(&o);
	assert_non_null(path);
	assert_int_equal(gguf_open(path, &g, NULL), AYNI_OK);
	run_model(g);
	gguf_free(g);
	ran = read_reference(path, expected);
	tiny_model_remove(path);
	if (!ran)
		skip();
	whole_distance = distance(expected, N);
	strict_distance = distance(expected, quantised ? BEFORE_AN_EDGE : N);
	if (!(strict_distance <= tolerance && whole_distance <= edge_tolerance))
		fail_msg("type %u differs from the reference by %g, and %g where edges count",
		    (unsigned)type, strict_distance, whole_distance);
}

static void all_types_of_weights_agree_with_the_reference(void **state)
{
	const enum tensor_type types[] = {
	    TENSOR_F32, TENSOR_F16, TENSOR_BF16, TENSOR_Q8_0, TENSOR_Q4_0};

	(void)state;
	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
		assert_agrees(&uneven, types[i]);
}

static void the_kinds_of_model_agree_with_the_reference(void **state)
{
	const struct tiny_model_options kinds[] = {
	    {.seed = 1},                                /* nothing named that has a default */
	    {.tied = true, .seed = 2},                  /* the embedding is the head */
	    {.rope_factors = true, .seed = 3},          /* stretched positions */
	    {.n_heads = 8, .n_kv_heads = 8, .seed = 4}, /* no groups */
	    {.n_heads = 8, .n_kv_heads = 1, .seed = 5}, /* one key head for all */
	    {.d_head = 48, .d_value = 8, .seed = 6},    /* wide keys, narrow values */
	    {.d_rope = 2, .seed = 8},                   /* one pair rotates */
	    {.d_model = 32, .d_ff = 224, .n_heads = 1, .n_kv_heads = 1, .seed = 9},
	};

	(void)state;
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		assert_agrees(&kinds[i], TENSOR_F32);
		assert_agrees(&kinds[i], TENSOR_Q8_0);
	}
}

/* FNV-1a of the logits' bytes, 64 bits. */
static uint64_t digest_of_logits(void)
{
	const uint8_t *bytes = (const uint8_t *)logits;
	uint64_t digest = 0xcbf29ce484222325U;

	for (size_t i = 0; i < sizeof logits; i++)
		digest = (digest ^ bytes[i]) * 0x100000001b3U;
	return digest;
}

/*
 * What all machines must agree on: if one of these changes, the arithmetic has changed, and donors
 * of the old one and of the new one no longer verify each other. (Or the models of tests/support
 * have: then they change all at once, and the other tests of sameness still hold.)
 */
static void the_bits_are_those_of_every_machine(void **state)
{
	const struct {
		enum tensor_type type;
		uint64_t digest;
	} expected[] = {
	    {TENSOR_F32, 0x8ea0191a82d00a1fU},
	    {TENSOR_F16, 0x7fa4cc50d171fbf5U},
	    {TENSOR_BF16, 0xa080081b73a710b1U},
	    {TENSOR_Q8_0, 0x4e0b0c0dc996b264U},
	    {TENSOR_Q4_0, 0xbd65f8ff11c86816U},
	};

	(void)state;
	for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
		struct tiny_model_options o = uneven;
		struct gguf *g;
		uint8_t *data;
		size_t len;

		o.type = expected[i].type;
		data = tiny_model_bytes(&o, &len);
		assert_int_equal(gguf_parse(data, len, len, &g, NULL), AYNI_OK);
		run_model(g);
		gguf_free(g);
		free(data);
		if (digest_of_logits() != expected[i].digest)
			fail_msg("type %u: 0x%016llx", (unsigned)o.type,
			    (unsigned long long)digest_of_logits());
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_bits_are_those_of_every_machine),
	    cmocka_unit_test(all_types_of_weights_agree_with_the_reference),
	    cmocka_unit_test(the_kinds_of_model_agree_with_the_reference),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
