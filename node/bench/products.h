/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Speed of a kernel table's products with one matrix, larger than caches are: with one vector, as
 * when making text, and with many, as when reading a prompt.
 */
#ifndef AYNI_NODE_BENCH_PRODUCTS_H
#define AYNI_NODE_BENCH_PRODUCTS_H

#include "node/bench/limits.h"

enum { PRODUCTS_VECTORS = 64 };

struct products; /* the matrix, and room */

int products_new(struct products **out, struct error *err);
void products_free(struct products *p);

/* The best of rounds within about `seconds`: what a round needs, and how long it took. n_vectors is
 * 1 to PRODUCTS_VECTORS. */
void products_measure(struct products *p, const struct kernels *k, struct team *team,
    enum tensor_type type, uint32_t n_vectors, double seconds, struct demand *demand, double *took);

#endif
