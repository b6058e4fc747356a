/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/kernels/blas.h"

#include <cblas.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

/* Three matrices of this side fit most last-level caches, and one product takes milliseconds. */
enum { PEAK_SIDE = 512 };

static pthread_once_t configured = PTHREAD_ONCE_INIT;

static void configure(void)
{
	openblas_set_num_threads(1);
}

int blas_matmul_f32(
    const struct matrix *w, const struct activations *x, float *out, size_t out_stride)
{
	const int n = (int)w->n_cols;

	if (w->type != TENSOR_F32 || w->row_bytes != w->n_cols * sizeof(float) ||
	    (uintptr_t)w->data % _Alignof(float) != 0)
		return AYNI_ERR_UNSUPPORTED;
	if (w->n_rows > INT_MAX || w->n_cols > INT_MAX || x->n_vectors > INT_MAX ||
	    out_stride > INT_MAX)
		return AYNI_ERR_LIMIT;
	assert(x->n == w->n_cols && out_stride >= w->n_rows);
	pthread_once(&configured, configure);
	cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)x->n_vectors, (int)w->n_rows, n,
	    1.0f, x->f32, n, (const float *)(const void *)w->data, n, 0.0f, out, (int)out_stride);
	return AYNI_OK;
}

static double seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int blas_peak_gflops(double seconds, double *gflops, struct error *err)
{
	const size_t n = PEAK_SIDE;
	const double flop = 2.0 * (double)(n * n * n);
	float *m = malloc(3 * n * n * sizeof *m);
	double start, best = 0.0;

	if (m == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "blas: out of memory");
	pthread_once(&configured, configure);
	for (size_t i = 0; i < 3 * n * n; i++)
		m[i] = (float)(i % 7) - 3.0f;
	start = seconds_now();
	do {
		double before = seconds_now();

		cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, PEAK_SIDE, PEAK_SIDE,
		    PEAK_SIDE, 1.0f, m, PEAK_SIDE, m + n * n, PEAK_SIDE, 0.0f, m + 2 * n * n,
		    PEAK_SIDE);

		double took = seconds_now() - before;

		if (took > 0.0 && flop / took * 1e-9 > best)
			best = flop / took * 1e-9;
	} while (seconds_now() - start < seconds);
	free(m);
	*gflops = best;
	return AYNI_OK;
}
