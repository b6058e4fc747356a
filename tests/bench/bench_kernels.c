/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Speed of each table of kernels on one thread. Products: GB/s of weights read and GFLOP/s, for one
 * vector (making text) and for eight (a batch or a prompt); the matrix is larger than the caches of
 * most machines. Elementwise: 10^6 elements a second.
 */
#include "compute/kernels/blas.h"
#include "compute/kernels/kernels.h"

#include <stdlib.h>
#include <time.h>

enum { COLS = 2048, ROWS = 8192, MAX_VECTORS = 8, ELEMENTS = 4096 };

static const double SECONDS_EACH = 0.15;

static double seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

struct buffers {
	uint8_t *weights;
	float *x;
	float *y;
	int8_t *quants;
	float *scales;
	int16_t *sums;
	float *out;
};

static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525U + 1013904223U;
	return *state >> 8;
}

static bool buffers_new(struct buffers *b)
{
	size_t n = (size_t)COLS * MAX_VECTORS;
	uint32_t state = 1;

	b->weights = malloc((size_t)ROWS * COLS * sizeof(float));
	b->x = malloc(n * sizeof *b->x);
	b->y = malloc(n * sizeof *b->y);
	b->quants = malloc(n);
	b->scales = malloc(n / QUANT_BLOCK * sizeof *b->scales);
	b->sums = malloc(n / QUANT_HALF * sizeof *b->sums);
	b->out = malloc((size_t)ROWS * MAX_VECTORS * sizeof *b->out);
	if (!b->weights || !b->x || !b->y || !b->quants || !b->scales || !b->sums || !b->out)
		return false;
	for (size_t i = 0; i < n; i++)
		b->x[i] = b->y[i] = (float)next_random(&state) * 0x1p-23f - 1.0f;
	/* A pattern that is a moderate number in every type. */
	memset(b->weights, 0x29, (size_t)ROWS * COLS * sizeof(float));
	return true;
}

static void buffers_free(struct buffers *b)
{
	free(b->weights);
	free(b->x);
	free(b->y);
	free(b->quants);
	free(b->scales);
	free(b->sums);
	free(b->out);
}

static void bench_matmul(
    const struct kernels *k, const struct buffers *b, enum tensor_type type, size_t n_vectors)
{
	const struct tensor_type_info *info = tensor_type_info(type);
	size_t row_bytes = COLS / info->block_elements * info->block_bytes;
	struct matrix w = {type, ROWS, COLS, row_bytes, b->weights};
	struct activations x = {COLS, n_vectors, b->x, b->quants, b->scales, b->sums};
	uint32_t step = 512;
	double rows = 0.0;
	double start, took;

	k->quantise(b->x, COLS * n_vectors, b->quants, b->scales, b->sums);
	start = seconds_now();
	for (uint32_t r = 0;; r = (r + step) % ROWS) {
		k->matmul(&w, r, r + step, &x, b->out, ROWS);
		rows += step;
		took = seconds_now() - start;
		if (took > SECONDS_EACH)
			break;
	}
	printf("%-7s %-5s x%zu  %7.2f GB/s  %8.2f GFLOP/s\n", k->name, info->name, n_vectors,
	    rows * (double)row_bytes / took * 1e-9,
	    rows * 2.0 * COLS * (double)n_vectors / took * 1e-9);
}

enum operation {
	OP_QUANTISE,
	OP_DOT,
	OP_ACCUMULATE,
	OP_EXP_SUM,
	OP_RMS_NORM,
	OP_SILU_MUL,
	OP_ROPE,
	OP_END
};

static const char *const operation_names[OP_END] = {
    "quantise", "dot", "accumulate", "exp_sum", "rms_norm", "silu_mul", "rope_pairs"};

static void run_operation(const struct kernels *k, const struct buffers *b, enum operation op)
{
	switch (op) {
	case OP_QUANTISE:
		k->quantise(b->x, ELEMENTS, b->quants, b->scales, b->sums);
		break;
	case OP_DOT:
		b->out[0] = k->dot(b->x, b->y, ELEMENTS);
		break;
	case OP_ACCUMULATE:
		k->accumulate(b->out, 0.5f, b->x, ELEMENTS);
		break;
	case OP_EXP_SUM:
		memcpy(b->out + 1, b->x, ELEMENTS * sizeof(float));
		b->out[0] = k->exp_sum(b->out + 1, 1.0f, ELEMENTS);
		break;
	case OP_RMS_NORM:
		k->rms_norm(b->x, b->y, 1e-5f, ELEMENTS, b->out);
		break;
	case OP_SILU_MUL:
		memcpy(b->out, b->x, ELEMENTS * sizeof(float));
		k->silu_mul(b->out, b->y, ELEMENTS);
		break;
	case OP_ROPE:
		memcpy(b->out, b->x, ELEMENTS * sizeof(float));
		k->rope_pairs(b->out, b->x, b->y, ELEMENTS / 2);
		break;
	case OP_END:
		break;
	}
}

static void bench_elementwise(const struct kernels *k, const struct buffers *b)
{
	for (enum operation op = 0; op < OP_END; op++) {
		double elements = 0.0;
		double start = seconds_now();
		double took;

		do {
			run_operation(k, b, op);
			elements += ELEMENTS;
			took = seconds_now() - start;
		} while (took < SECONDS_EACH / 4);
		printf(
		    "%-7s %-10s %9.1f M/s\n", k->name, operation_names[op], elements / took * 1e-6);
	}
}

int main(void)
{
	static const char *const names[] = {"scalar", "avx2"};
	struct buffers b;
	double peak;

	if (!buffers_new(&b)) {
		fprintf(stderr, "bench_kernels: out of memory\n");
		return 1;
	}
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		const struct kernels *k = kernels_by_name(names[i]);

		if (k == NULL)
			continue;
		for (uint32_t type = 0; type < TENSOR_TYPE_END; type++) {
			if (tensor_type_info(type) == NULL)
				continue;
			bench_matmul(k, &b, (enum tensor_type)type, 1);
			bench_matmul(k, &b, (enum tensor_type)type, MAX_VECTORS);
		}
		bench_elementwise(k, &b);
	}
	if (blas_peak_gflops(0.3, &peak, NULL) == AYNI_OK)
		printf("openblas sgemm, one thread: %.1f GFLOP/s\n", peak);
	buffers_free(&b);
	return 0;
}
