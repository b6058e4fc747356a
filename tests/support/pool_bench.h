/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What benches of pools share: a model of a size that is in use, what a pool that runs with
 * log=debug says of each work unit, and medians. Whatever goes wrong fails the bench.
 */
#ifndef AYNI_TESTS_SUPPORT_POOL_BENCH_H
#define AYNI_TESTS_SUPPORT_POOL_BENCH_H

#include "tests/support/network.h"

#include <stdint.h>

/* Write the file of a model of Llama-3.2-1B's geometry in Q4_0, with random weights. */
void pool_bench_model(const char *path);

struct unit_record {
	uint32_t layer_first, tokens;
	double away_us, compute_us; /* from sending to the result; of that, as the donor says */
};

struct unit_log {
	size_t n;
	struct unit_record *records; /* in order of their results */
};

void unit_log_read(const struct network *n, struct unit_log *out);
void unit_log_free(struct unit_log *l);

/* The value below which a share q of them lies. Sorts the values. */
double quantile(double *values, size_t n, double q);
double median(double *values, size_t n);

#endif
