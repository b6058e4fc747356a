/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tensors of a model file as weights: borrowed from the gguf, after their shape and type were found
 * to be right. Pure reading, any thread.
 */
#ifndef AYNI_COMPUTE_WEIGHTS_H
#define AYNI_COMPUTE_WEIGHTS_H

#include "compute/gguf.h"
#include "compute/kernels/kernels.h"

/*
 * dims as the file orders them, the row length first, 1 where unused. A vector is binary32; a
 * matrix has dims[1] * dims[2] rows. AYNI_ERR_FORMAT, AYNI_ERR_LIMIT or AYNI_ERR_UNSUPPORTED with
 * one line that names the tensor.
 */
int weights_read_vector(const struct gguf *g, const char *name, const uint64_t dims[3],
    const float **out, struct error *err);
int weights_read_matrix(const struct gguf *g, const char *name, const uint64_t dims[3],
    struct matrix *out, struct error *err);

#endif
