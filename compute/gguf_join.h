/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Joins the parts of a split GGUF file (keys split.no, split.count, split.tensors.count) into the
 * whole: metadata of the first part, tensors of all.
 */
#ifndef AYNI_COMPUTE_GGUF_JOIN_H
#define AYNI_COMPUTE_GGUF_JOIN_H

#include "compute/gguf.h"

/* Called after each tensor; bytes of tensors. */
typedef void gguf_join_progress_fn(void *context, uint64_t done, uint64_t all);

/*
 * `parts` are opened from whole files, in order, and borrowed. AYNI_ERR_FORMAT if they are not the
 * parts of one file, AYNI_ERR_UNSUPPORTED for a tensor of a type that is not known, AYNI_ERR_IO,
 * AYNI_ERR_MEMORY; after an error `out` holds nothing of use.
 */
int gguf_join(const struct gguf *const parts[], size_t n, FILE *out,
    gguf_join_progress_fn *progress, void *context, struct error *err);

#endif
