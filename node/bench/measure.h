/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs one case of the bench on a model: the layers as a donor runs them, with tokens at random.
 *
 * A case runs in rounds: a prompt, or one token of each session with so many positions behind it.
 * What positions hold does not change the time, so a session's past is filled with zeros. The best
 * round counts, as the limits are the best of rounds too; the median tells how even they were.
 */
#ifndef AYNI_NODE_BENCH_MEASURE_H
#define AYNI_NODE_BENCH_MEASURE_H

#include "compute/layers.h"
#include "node/bench/cases.h"
#include "node/bench/demand.h"

/* How long measuring may take. */
struct pace {
	double seconds;            /* for each case, once it has its least rounds */
	const volatile bool *stop; /* once true, measuring ends with AYNI_ERR_STATE */
	/* Called before the first round and after each; its time does not count. May be NULL. */
	void (*between)(void *context);
	void *context;
};

/* A model that is ready to run. */
struct subject;

/* What it took. */
struct loading {
	double seconds;          /* from opening the file to the first token */
	double new_memory;       /* seconds that as much new memory alone takes, just before */
	uint64_t file_bytes;     /* of the model file */
	uint64_t resident_bytes; /* that the process has more than before */
};

/* Opens the model file: `context` is the caller's. */
typedef int subject_open_fn(void *context, struct gguf **out, struct error *err);

/* Kernels and team are borrowed. One token is run. */
int subject_new(subject_open_fn *open, void *context, const struct kernels *k, struct team *team,
    struct subject **out, struct loading *loading, struct error *err);
void subject_free(struct subject *s);
const struct gguf *subject_gguf(const struct subject *s);
const struct model_sizes *subject_sizes(const struct subject *s);

struct measurement {
	uint32_t n_rounds;
	double tokens;  /* of a round */
	double seconds; /* of the best round */
	double median_seconds;
	struct demand demand; /* of a round */
	double touched_bytes; /* of weights and caches, in a round of decode (touched.h); else 0 */
};

/* What a round of the case needs. */
struct demand subject_demand(const struct subject *s, const struct bench_case *c);
/* The least number of rounds that are run. */
uint32_t case_rounds(const struct bench_case *c);
/* AYNI_ERR_LIMIT if the model's context is too short for the case. */
int subject_measure(struct subject *s, const struct bench_case *c, const struct pace *pace,
    struct measurement *out, struct error *err);

#endif
