/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/pool_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/bench/geometry.h"

void pool_bench_model(const char *path)
{
	struct gguf *g;
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_int_equal(
	    geometry_make(geometry_find("llama-3.2-1b"), TENSOR_Q4_0, &g, NULL), AYNI_OK);
	assert_int_equal(
	    fwrite(gguf_data(g), 1, (size_t)gguf_file_bytes(g), f), gguf_file_bytes(g));
	assert_int_equal(fclose(f), 0);
	gguf_free(g);
}

static void add(struct unit_log *l, const struct unit_record *r)
{
	if ((l->n & (l->n - 1)) == 0) { /* doubled at each power of two */
		l->records = reallocarray(l->records, l->n > 0 ? 2 * l->n : 1, sizeof *r);
		assert_non_null(l->records);
	}
	l->records[l->n++] = *r;
}

void unit_log_read(const struct network *n, struct unit_log *out)
{
	char *log = network_read(n, "pool.err"), *rest = NULL;

	*out = (struct unit_log){0};
	for (char *line = strtok_r(log, "\n", &rest); line != NULL;
	     line = strtok_r(NULL, "\n", &rest)) {
		unsigned long long first, tokens, away, computed;

		if (sscanf(line,
		        "ayni pool: unit %*u: donor %*[^,], layers %llu to %*u, %llu tokens, "
		        "away %llu us, computed %llu us",
		        &first, &tokens, &away, &computed) == 4)
			add(out, &(struct unit_record){(uint32_t)first, (uint32_t)tokens,
			             (double)away, (double)computed});
	}
	free(log);
}

void unit_log_free(struct unit_log *l)
{
	free(l->records);
	*l = (struct unit_log){0};
}

static int by_value(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double quantile(double *values, size_t n, double q)
{
	assert_true(n > 0);
	qsort(values, n, sizeof *values, by_value);
	return values[(size_t)(q * (double)(n - 1))];
}

double median(double *values, size_t n)
{
	return quantile(values, n, 0.5);
}
