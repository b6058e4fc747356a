/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes a smaller model file of a larger one: matrices are encoded in another tensor type, all else
 * (vectors, norms, routers, metadata) is taken over as it is.
 */
#ifndef AYNI_COMPUTE_QUANTIZE_H
#define AYNI_COMPUTE_QUANTIZE_H

#include "compute/gguf.h"
#include "compute/team.h"

/* What "Q8_0" or "Q4_K_M" means for each tensor. */
struct quantize_recipe {
	const char *name;
	enum tensor_type type;   /* of matrices */
	enum tensor_type richer; /* of those where loss hurts most: output, and some v and down */
	uint32_t file_type;      /* general.file_type, as other programs number recipes */
};

/* By name, in any case; NULL if there is none. */
const struct quantize_recipe *quantize_recipe_find(const char *name);
/* "Q8_0, Q4_0, ...": for messages. */
const char *quantize_recipes(void);

/* Called after each piece of a tensor; all bytes are those of the input's tensors. */
typedef void quantize_progress_fn(
    void *context, const char *tensor, uint64_t done_bytes, uint64_t all_bytes);

struct quantize_job {
	const struct gguf *in; /* borrowed, opened from a whole file */
	const struct quantize_recipe *recipe;
	struct team *team;              /* borrowed */
	quantize_progress_fn *progress; /* may be NULL */
	void *context;
	const volatile bool *stop; /* may be NULL; once it is true the work ends early */
	/* Out: tensors that did not fit the recipe's type and took another, if not NULL. */
	uint32_t *n_replaced;
};

/*
 * Write the new file to `out`, from its beginning on. AYNI_ERR_FORMAT for weights that are not
 * finite or too large, AYNI_ERR_UNSUPPORTED for a tensor of an unknown type, AYNI_ERR_STATE when
 * stopped, AYNI_ERR_IO, AYNI_ERR_MEMORY. After an error `out` holds nothing of use.
 */
int quantize(const struct quantize_job *job, FILE *out, struct error *err);

#endif
