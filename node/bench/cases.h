/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the bench measures: a table. Cases of one model follow each other, so that it is made once.
 */
#ifndef AYNI_NODE_BENCH_CASES_H
#define AYNI_NODE_BENCH_CASES_H

#include "compute/kernels/kernels.h"

/* Bits, so that several can be chosen. */
enum phase {
	PHASE_PREFILL = 1,  /* reading a prompt */
	PHASE_DECODE = 2,   /* making text, a token of each session at a time */
	PHASE_LOAD = 4,     /* from opening a file to its first token */
	PHASE_PRODUCTS = 8, /* products with one matrix */
	PHASE_ALL = 15
};

struct bench_case {
	const char *geometry; /* NULL: a model file's, whatever it is */
	enum tensor_type type;
	enum phase phase;  /* prefill or decode */
	uint32_t sessions; /* decoded together */
	uint32_t tokens;   /* of the prompt, or positions that each session has behind it */
	enum kv_type kv;
	bool quick; /* also measured where there is little time */
	bool fast;  /* also measured in the class `fast`, if not quick */
};

/* Of the geometries, and of any model file. */
extern const struct bench_case bench_cases[];
extern const size_t bench_n_cases;
extern const struct bench_case bench_file_cases[];
extern const size_t bench_n_file_cases;

/* Which of them are wanted. */
struct bench_filter {
	const char *geometry;  /* NULL: all */
	enum tensor_type type; /* TENSOR_TYPE_END: all */
	unsigned phases;       /* of enum phase */
	bool quick;
};

bool bench_wants(const struct bench_filter *f, const struct bench_case *c);
/* Whether it is wanted in the class `fast` too. */
bool bench_wants_fast(const struct bench_filter *f, const struct bench_case *c);
/* Whether its model is wanted, if only to load it. */
bool bench_wants_model(const struct bench_filter *f, const struct bench_case *c);
/* "prefill"; 0 if there is no such phase. */
const char *phase_name(enum phase phase);
unsigned phase_find(const char *name);
/* By the name in the table of quant.c, in any case of letters; TENSOR_TYPE_END: none. */
enum tensor_type tensor_type_find(const char *name);

#endif
