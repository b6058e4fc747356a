/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Models of known shapes with random weights, to measure with: a model file that lives in memory
 * alone. The numbers are such that activations stay moderate, whatever the depth. The vocabulary is
 * made up (tokens.h), so that a pool can serve a copy of the file.
 */
#ifndef AYNI_NODE_BENCH_GEOMETRY_H
#define AYNI_NODE_BENCH_GEOMETRY_H

#include "compute/gguf.h"

struct geometry;

/* By name (geometry_names); NULL if unknown. */
const struct geometry *geometry_find(const char *name);
/* "llama-3.2-1b, ...": for messages. */
const char *geometry_names(void);

/*
 * Make its file with matrices of `type` (norms and routers are F32): a descriptor, for the caller
 * to close. AYNI_ERR_ARGUMENT if the type cannot be made, AYNI_ERR_FORMAT if its blocks do not fit
 * the rows; AYNI_ERR_MEMORY, AYNI_ERR_IO.
 */
int geometry_file(const struct geometry *g, enum tensor_type type, int *out, struct error *err);
/* The same, opened. */
int geometry_make(
    const struct geometry *g, enum tensor_type type, struct gguf **out, struct error *err);

#endif
