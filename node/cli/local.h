/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole model on this machine, without a network: what `ayni run` and `ayni model eval` compute
 * with. The same layers, sampler and arithmetic as in a pool, so the tokens are the same too, but
 * for the kernels "fast".
 */
#ifndef AYNI_NODE_CLI_LOCAL_H
#define AYNI_NODE_CLI_LOCAL_H

#include <argp.h>

#include "compute/layers.h"
#include "compute/sampler.h"
#include "compute/tokenizer.h"

struct local;

struct local_options {
	unsigned threads;    /* 0: one a processor */
	const char *kernels; /* "auto", "scalar", "avx2", ..., "fast" */
	enum kv_type kv;     /* how keys and values are kept */
	enum wire_type wire; /* what activations go through between layers */
	bool pinned;         /* each thread to a processor of its own */
};

/* Options of commands that compute here, as an argp child: the parent's parser hands its struct
 * local_options down in ARGP_KEY_INIT. */
extern const struct argp local_argp;

/* The parts of it alone. NULL stands for "auto". */
int local_find_kernels(const char *name, const struct kernels **out, struct error *err);
int local_make_team(const struct local_options *o, struct team **out, struct error *err);

/* `name`: a path, or a model of the folder of models. */
int local_open(
    const char *name, const struct local_options *o, struct local **out, struct error *err);
void local_free(struct local *l);

const struct gguf *local_gguf(const struct local *l);
const struct model_sizes *local_sizes(const struct local *l);
unsigned local_threads(const struct local *l);
const char *local_kernels(const struct local *l);

/*
 * Feed n more tokens. `rows` takes the logits of the last n_rows of them, n_rows x vocabulary
 * (NULL with n_rows 0).
 */
int local_feed(struct local *l, const uint32_t *tokens, uint32_t n, float *rows, uint32_t n_rows,
    struct error *err);
/* The `top` largest of a row; scratch memory is the local's. */
void local_top(struct local *l, const float *row, uint32_t top, struct logit *out, float *lse);
/* The token that these settings draw after `history`, from a row. */
uint32_t local_draw(struct local *l, const struct sampler_settings *s, const float *row,
    const uint32_t *history, size_t n_history);
uint32_t local_fed(const struct local *l);
/* Forget all that was fed. */
void local_rewind(struct local *l);

#endif
