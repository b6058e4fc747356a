/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a pool that runs with log=debug says of each work unit: for benches, which tell computing
 * from everything else.
 */
#ifndef AYNI_TESTS_SUPPORT_UNIT_LOG_H
#define AYNI_TESTS_SUPPORT_UNIT_LOG_H

#include "tests/support/network.h"

#include <stdint.h>

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
