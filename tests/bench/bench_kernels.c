/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Speed of each table of kernels on one thread in all but products (`ayni bench` measures those):
 * 10^6 elements a second.
 */
#include "compute/kernels/kernels.h"

#include <stdlib.h>
#include <time.h>

enum { ELEMENTS = 4096 };

static const double SECONDS_EACH = 0.04;

static double seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

struct buffers {
	float *x;
	float *y;
	int8_t *quants;
	struct quant_terms *terms;
	float *out;
};

static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525U + 1013904223U;
	return *state >> 8;
}

static bool buffers_new(struct buffers *b)
{
	uint32_t state = 1;

	b->x = malloc(ELEMENTS * sizeof *b->x);
	b->y = malloc(ELEMENTS * sizeof *b->y);
	b->quants = malloc(ELEMENTS);
	b->terms = malloc(ELEMENTS / QUANT_BLOCK * sizeof *b->terms);
	b->out = malloc((ELEMENTS + 1) * sizeof *b->out);
	if (!b->x || !b->y || !b->quants || !b->terms || !b->out)
		return false;
	for (size_t i = 0; i < ELEMENTS; i++)
		b->x[i] = b->y[i] = (float)next_random(&state) * 0x1p-23f - 1.0f;
	return true;
}

static void buffers_free(struct buffers *b)
{
	free(b->x);
	free(b->y);
	free(b->quants);
	free(b->terms);
	free(b->out);
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
		k->quantise(b->x, ELEMENTS, 1, b->quants, b->terms);
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
		} while (took < SECONDS_EACH);
		printf(
		    "%-7s %-10s %9.1f M/s\n", k->name, operation_names[op], elements / took * 1e-6);
	}
}

int main(void)
{
	const struct kernels *k;
	struct buffers b;

	if (!buffers_new(&b)) {
		fprintf(stderr, "bench_kernels: out of memory\n");
		return 1;
	}
	for (size_t i = 0; (k = kernels_at(i)) != NULL; i++)
		bench_elementwise(k, &b);
	buffers_free(&b);
	return 0;
}
