/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Speed of a kernel table's products with matrices that come from memory: with one vector, as when
 * making text, and with many, as when reading a prompt. What `ayni bench` shows and donors offer.
 */
#ifndef AYNI_NODE_PRODUCTS_H
#define AYNI_NODE_PRODUCTS_H

#include "compute/kernels/kernels.h"
#include "compute/team.h"

enum { PRODUCTS_VECTORS = 64 };

struct products; /* memory for a matrix, and room */

/* The matrix should be larger than caches are. Rounds of any type go on in it where the last ended,
 * so that what they read was not read lately. */
int products_new(size_t matrix_bytes, struct products **out, struct error *err);
void products_free(struct products *p);

/* What a round is. */
struct product {
	const struct kernels *kernels; /* borrowed, like the team */
	struct team *team;
	enum tensor_type type;
	uint32_t n_vectors; /* 1 to PRODUCTS_VECTORS */
	size_t round_bytes; /* of weights, about; the whole matrix at most */
};

struct product_speed {
	double bytes, multiply_adds; /* of a round */
	double best_s, median_s;     /* of the rounds */
};

/* Rounds for about so many seconds; one at least. */
void products_measure(
    struct products *p, const struct product *what, double seconds, struct product_speed *out);

#endif
