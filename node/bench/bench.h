/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole run of the bench: the machine's limits, each case, each kernel; and its results as plain
 * values, which bench_json, bench_tables and roofline_write show.
 *
 * One model at a time is in memory. A run ends in time: what would take too long is left out and
 * counted.
 */
#ifndef AYNI_NODE_BENCH_BENCH_H
#define AYNI_NODE_BENCH_BENCH_H

#include <jansson.h>

#include "node/bench/cases.h"
#include "node/bench/machine.h"
#include "node/bench/measure.h"
#include "node/products.h"

enum { BENCH_MAX_ROWS = 32, BENCH_MAX_MODELS = 16, BENCH_NAME_BYTES = 48 };

struct bench_options {
	const char *file; /* a model to measure; NULL: those that are made here */
	struct bench_filter filter;
	const char *kernels; /* NULL: the best that this processor has */
	unsigned threads;    /* 0: one a processor */
	const volatile bool *stop;
	/* Told often what is being measured; may be NULL. */
	void (*progress)(void *context, const char *what);
	void *context;
};

/* A model that was loaded. */
struct bench_model {
	char name[BENCH_NAME_BYTES]; /* of the geometry, or the file */
	enum tensor_type type;       /* of most of its bytes */
	const char *kernels;
	const char *numeric_class; /* "exact", "fast" */
	struct loading loading;
};

/* A case that was measured. */
struct bench_row {
	const struct bench_model *model;
	const struct bench_case *measured;
	struct measurement m;
	struct limits limits; /* measured between the case's rounds */
};

/* A kernel. */
struct bench_product {
	enum tensor_type type;
	uint32_t n_vectors;
	struct demand demand;
	double seconds;
	struct limits limits; /* before and after */
};

struct bench {
	struct machine machine;
	const char *kernels;
	unsigned threads;
	struct limits limits; /* the best of the whole run */
	double blas_flop_s;   /* OpenBLAS, one thread; 0: not measured */
	struct bench_model models[BENCH_MAX_MODELS];
	size_t n_models;
	struct bench_row rows[BENCH_MAX_ROWS];
	size_t n_rows;
	struct bench_product products[2 * TENSOR_TYPE_END];
	size_t n_products;
	unsigned n_left_out; /* cases that there was no time for */
};

/* AYNI_ERR_STATE when stopped; *out then has what was measured so far. */
int bench_run(const struct bench_options *o, struct bench *out, struct error *err);

/* {"read_gbps":...,"cases":[...],...}; NULL if there is no memory. */
json_t *bench_json(const struct bench *b);
/* Tables for people, in the form of Markdown; those without rows are left out. */
void bench_tables(const struct bench *b, FILE *f);

#endif
