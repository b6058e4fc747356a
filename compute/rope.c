/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/rope.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "compute/kernels/canon.h"
#include "compute/weights.h"

/* Faster rotations than this would leave the range of canon_sincos64 at the longest context. */
#define MAX_FREQUENCY 1000.0

#define TWO_PI 0x1.921fb54442d18p+2

double rope_yarn_magnitude(double factor, double multiplier)
{
	return factor <= 1.0 ? 1.0 : 0.1 * multiplier * canon_log64(factor) + 1.0;
}

const char *rope_factors_name(const struct gguf *g, const struct rope_sizes *s, uint32_t context)
{
	const char *name = "rope_freqs.weight";

	if (s->scaling == ROPE_LONG)
		name = (double)context > s->original ? "rope_factors_long.weight"
		                                     : "rope_factors_short.weight";
	return gguf_tensor_find(g, name) != NULL ? name : NULL;
}

/* The pair whose wave turns `beta` times over the original context, as a fraction. */
static double pair_of_turns(const struct rope_sizes *s, uint32_t d_rope, double beta)
{
	double turns = s->original / (beta * TWO_PI);

	return (double)d_rope * canon_log64(turns) / (2.0 * canon_log64(s->base));
}

/* YaRN's mixture: 1 keeps the frequency, 0 divides it by the factor. */
static double kept_share(const struct rope_sizes *s, uint32_t d_rope, uint32_t pair)
{
	double low = floor(pair_of_turns(s, d_rope, s->beta_fast));
	double high = ceil(pair_of_turns(s, d_rope, s->beta_slow));
	double last = (double)(d_rope - 1);
	double ramp;

	low = low > 0.0 ? low : 0.0;
	high = high < last ? high : last;
	ramp = ((double)pair - low) / (high - low > 0.001 ? high - low : 0.001);
	ramp = ramp < 0.0 ? 0.0 : ramp;
	ramp = ramp > 1.0 ? 1.0 : ramp;
	return (1.0 - ramp) * s->extrapolation;
}

static double scaled(const struct rope_sizes *s, uint32_t d_rope, uint32_t pair, double frequency)
{
	double stretched = frequency / s->factor;
	double share;

	switch (s->scaling) {
	case ROPE_UNSCALED:
	case ROPE_LONG:
		return frequency;
	case ROPE_LINEAR:
		return stretched;
	case ROPE_YARN:
		if (s->extrapolation == 0.0)
			return stretched;
		share = kept_share(s, d_rope, pair);
		return stretched * (1.0 - share) + frequency * share;
	}
	assert(false);
	return frequency;
}

static double magnitude(const struct rope_sizes *s)
{
	double m = 1.0;

	if (s->scaling == ROPE_YARN && s->extrapolation != 0.0) {
		m = rope_yarn_magnitude(s->factor, 1.0);
		if (s->log_multiplier != 0.0)
			m = s->log_multiplier_is_both
			        ? 1.0
			        : m / rope_yarn_magnitude(s->factor, s->log_multiplier);
	}
	return m * s->attention_factor;
}

static int fill(struct rope_table *t, const struct rope_sizes *s, double base, uint32_t d_rope,
    const float *factors, struct error *err)
{
	double log_base = canon_log64(base);

	for (uint32_t i = 0; i < d_rope / 2; i++) {
		double exponent = -((double)(2 * i) / (double)d_rope);
		double factor = factors != NULL ? (double)factors[i] : 1.0;
		double frequency = canon_exp64(exponent * log_base) / factor;

		if (s != NULL)
			frequency = scaled(s, d_rope, i, frequency);
		/* Written so that a NaN is refused too. */
		if (!(factor > 0.0 && factor <= FLT_MAX && frequency >= 0.0 &&
		        frequency <= MAX_FREQUENCY))
			return error_set(err, AYNI_ERR_FORMAT,
			    "model: element %u of the rotary factors is %g, not a divisor that "
			    "keeps "
			    "the frequency under %g",
			    i, factor, MAX_FREQUENCY);
		t->frequencies[i] = frequency;
	}
	return AYNI_OK;
}

static int check_yarn(const struct rope_sizes *s, struct error *err)
{
	/* The logarithm of the base divides. */
	if (s->scaling == ROPE_YARN && !(s->base > 1.0 && s->original >= 1.0))
		return error_set(err, AYNI_ERR_FORMAT,
		    "model: YaRN cannot stretch a rotary base of %g from %g positions", s->base,
		    s->original);
	return AYNI_OK;
}

int rope_make(const struct gguf *g, const struct rope_sizes *s, uint32_t d_rope, uint32_t context,
    struct rope *out, struct error *err)
{
	const char *name = rope_factors_name(g, s, context);
	struct rope r = {.n_pairs = d_rope / 2};
	const float *factors = NULL;
	int rc = check_yarn(s, err);

	if (rc == AYNI_OK && name != NULL)
		rc = weights_read_vector(
		    g, name, (const uint64_t[3]){r.n_pairs, 1, 1}, &factors, err);
	if (rc != AYNI_OK)
		return rc;
	for (int i = 0; i < ROPE_TABLES; i++) {
		r.tables[i].frequencies = calloc(r.n_pairs, sizeof *r.tables[i].frequencies);
		r.tables[i].magnitude = 1.0;
		if (r.tables[i].frequencies == NULL)
			rc = error_set(
			    err, AYNI_ERR_MEMORY, "model: no memory for %u frequencies", r.n_pairs);
	}
	if (rc == AYNI_OK)
		rc = fill(&r.tables[ROPE_ALL], s, s->base, d_rope, factors, err);
	r.tables[ROPE_ALL].magnitude = magnitude(s);
	if (rc == AYNI_OK && s->base_local > 0.0)
		rc = fill(&r.tables[ROPE_LOCAL], NULL, s->base_local, d_rope, NULL, err);
	if (rc != AYNI_OK)
		rope_clear(&r);
	else
		*out = r;
	return rc;
}

void rope_clear(struct rope *r)
{
	for (int i = 0; i < ROPE_TABLES; i++) {
		free(r->tables[i].frequencies);
		r->tables[i].frequencies = NULL;
	}
}
