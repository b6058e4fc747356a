/* SPDX-License-Identifier: Apache-2.0 */
#include "node/bench/touched.h"

#include <stdatomic.h>

/* Kernels have no context, so that what they pass on to stands here. */
static const struct kernels *real;
static struct kernels counting;
static atomic_uint_fast64_t n_bytes;

static void count(size_t bytes)
{
	atomic_fetch_add_explicit(&n_bytes, bytes, memory_order_relaxed);
}

static void count_rows(const struct kv_rows *rows)
{
	const size_t n = rows->n_rows * rows->n;

	count(n * kv_element_bytes(rows->type));
	if (rows->type == KV_INT8)
		count(n / KV_PART * sizeof(float)); /* the caller reads their scales */
}

static void count_matmul(const struct matrix *w, uint32_t row_first, uint32_t row_end,
    const struct activations *x, float *out, size_t out_stride)
{
	count((size_t)(row_end - row_first) * w->row_bytes);
	real->matmul(w, row_first, row_end, x, out, out_stride);
}

static void count_add_rows(
    const struct kv_rows *rows, const float *const weights[], float *const out[], size_t n_queries)
{
	count_rows(rows);
	real->add_rows(rows, weights, out, n_queries);
}

static void count_add_columns(
    const struct kv_rows *rows, const float weights[][MAX_QUERIES], float out[][MAX_QUERIES])
{
	count_rows(rows);
	real->add_columns(rows, weights, out);
}

const struct kernels *touched_kernels(const struct kernels *k)
{
	real = k;
	counting = *k;
	counting.matmul = count_matmul;
	counting.add_rows = count_add_rows;
	counting.add_columns = count_add_columns;
	atomic_store(&n_bytes, 0);
	return &counting;
}

uint64_t touched_bytes(void)
{
	return atomic_load(&n_bytes);
}
