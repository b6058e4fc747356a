/* SPDX-License-Identifier: Apache-2.0 */
/* Inputs for tests of products with weights: a matrix, vectors, and the forms that tables want. */
#ifndef AYNI_TESTS_SUPPORT_PRODUCT_TRIAL_H
#define AYNI_TESTS_SUPPORT_PRODUCT_TRIAL_H

#include "compute/kernels/panels.h"
#include "tests/support/kernel_trial.h"

static const float UNTOUCHED = 12345.0f; /* what lies where no result belongs */

struct product_options {
	enum tensor_type type;
	uint32_t rows, cols;
	size_t n_vectors;
	size_t offset;  /* of the weights in their memory: floats and blocks need no alignment */
	enum kind kind; /* of the vectors' numbers */
	bool raw;       /* weights hold NaN and infinities; else their exponents are moderate */
};

struct product {
	struct matrix w; /* as in the file */
	struct activations x;
	uint8_t *weights; /* w's, after the offset */
	uint8_t *panels;  /* room for them */
	float *f32;
	int8_t *quants;
	struct quant_terms *terms;
};

/* Random bytes are weights of any type. */
struct product product_new(const struct product_options *o);
void product_free(struct product *p);
/* The weights as they are now, in panels if they are quantised. */
struct matrix product_in_panels(const struct product *p);

#endif
