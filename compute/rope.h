/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rotary positions (Su et al., "RoFormer") and the scalings that stretch them past the context a
 * model was first trained for: linear; factors in the file (Llama 3's, and LongRoPE's short and
 * long ones); and YaRN (Peng et al., "YaRN: Efficient Context Window Extension").
 *
 * All tables are made with the binary64 operations of compute/kernels/canon.h, so that every
 * machine has the same. README.md of the room states them. Immutable after rope_make.
 */
#ifndef AYNI_COMPUTE_ROPE_H
#define AYNI_COMPUTE_ROPE_H

#include "compute/gguf.h"
#include "protocol/base.h"

enum rope_scaling { ROPE_UNSCALED, ROPE_LINEAR, ROPE_YARN, ROPE_LONG };

struct rope_sizes {
	double base; /* of layers that see all positions */
	double
	    base_local; /* of windowed layers, which are never scaled; 0: they are as the others */
	bool halves;    /* element i is paired with i + d_rope/2; else with its neighbour */
	enum rope_scaling scaling;
	double factor;           /* by which positions are stretched, at least 1 */
	double original;         /* positions before stretching */
	double attention_factor; /* multiplies cosines and sines, beside what YaRN computes */
	double extrapolation;    /* YaRN: share of unscaled frequencies, 1 as published */
	double beta_fast, beta_slow;
	double log_multiplier;       /* YaRN's mscale_all_dim; 0: not given */
	bool log_multiplier_is_both; /* mscale equals mscale_all_dim (DeepSeek) */
};

enum { ROPE_ALL, ROPE_LOCAL, ROPE_TABLES };

struct rope {
	uint32_t n_pairs;
	struct rope_table {
		double *frequencies; /* n_pairs, radians a position */
		double magnitude;    /* of cosines and sines */
	} tables[ROPE_TABLES];
};

/*
 * Tables for heads of which d_rope elements rotate. `context` decides between LongRoPE's short and
 * long factors: the long ones where it is longer than `original`. Factors are read from the file's
 * rope_freqs.weight, rope_factors_short.weight and rope_factors_long.weight.
 */
int rope_make(const struct gguf *g, const struct rope_sizes *s, uint32_t d_rope, uint32_t context,
    struct rope *out, struct error *err);
void rope_clear(struct rope *r);

/* The tensor of factors that rope_make would read, or NULL. */
const char *rope_factors_name(const struct gguf *g, const struct rope_sizes *s, uint32_t context);

/* 1 + 0.1 * multiplier * ln(factor): YaRN's correction of the attention's temperature. */
double rope_yarn_magnitude(double factor, double multiplier);

#endif
