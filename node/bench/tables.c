/* SPDX-License-Identifier: Apache-2.0 */
/* The results of a run as tables for people. */
#include "node/bench/bench.h"

#include "compute/kv.h"

static void print_machine(const struct bench *b, FILE *f)
{
	(void)fprintf(f,
	    "%s, %u processors, %.1f GiB, %s\n"
	    "kernels %s, %u threads\n"
	    "at best: %.1f GB/s read from memory, %.1f G integer multiply-adds/s",
	    b->machine.processor, b->machine.processors,
	    b->machine.memory_bytes / (double)(1 << 30), b->machine.system, b->kernels, b->threads,
	    b->limits.read_bytes_s * 1e-9, b->limits.multiply_adds_s * 1e-9);
	if (b->blas_flop_s > 0.0)
		(void)fprintf(f, "; OpenBLAS on one thread %.1f GFLOP/s", b->blas_flop_s * 1e-9);
	(void)fprintf(f, "\n");
}

/* GB/s, multiply-adds/s, the limit and how near it is: what every row ends with. */
static void print_speed(
    FILE *f, const struct demand *d, const struct limits *limits, double seconds)
{
	bool by_memory = limits_bound(limits, d).by_memory;

	(void)fprintf(f, " %5.1f | %7.1f | %6.1f %-4s | %7.1f |\n",
	    (d->weight_bytes + d->kv_bytes) / seconds * 1e-9, d->multiply_adds / seconds * 1e-9,
	    (by_memory ? limits->read_bytes_s : limits->multiply_adds_s) * 1e-9,
	    by_memory ? "GB/s" : "Gm/s", limits_percent(limits, d, seconds));
}

static void print_rows(const struct bench *b, FILE *f)
{
	if (b->n_rows == 0)
		return;
	(void)fprintf(f,
	    "\n| model            | type   | kernels | phase   | cache | sessions x tokens |"
	    " tokens/s | median  |  GB/s |    Gm/s |       limit | %% of it |\n"
	    "| ---------------- | ------ | ------- | ------- | ----- | ----------------: |"
	    " -------: | ------: | ----: | ------: | ----------: | ------: |\n");
	for (size_t i = 0; i < b->n_rows; i++) {
		const struct bench_row *r = &b->rows[i];

		(void)fprintf(f,
		    "| %-16s | %-6s | %-7s | %-7s | %-5s | %8u x %6u | %8.2f | %7.2f |",
		    r->model->name, tensor_type_info(r->model->type)->name, r->model->kernels,
		    phase_name(r->measured->phase), kv_type_name(r->measured->kv),
		    r->measured->sessions, r->measured->tokens, r->m.tokens / r->m.seconds,
		    r->m.tokens / r->m.median_seconds);
		print_speed(f, &r->m.demand, &r->limits, r->m.seconds);
	}
}

static bool is_single_decode(const struct bench_row *r)
{
	return r->measured->phase == PHASE_DECODE && r->measured->sessions == 1;
}

/* The first such row of the same model. */
static const struct bench_row *reference(const struct bench *b, const struct bench_row *r)
{
	const struct bench_row *first = b->rows;

	while (first->model != r->model || !is_single_decode(first))
		first++;
	return first;
}

/* What a token costs: bytes of weights and of the cache, how many of them are passed over, and as
 * many as could have been read in that time. */
static void print_bytes(const struct bench *b, FILE *f)
{
	bool any = false;

	for (size_t i = 0; i < b->n_rows; i++) {
		const struct bench_row *r = &b->rows[i];
		const struct demand *d = &r->m.demand;

		if (!is_single_decode(r))
			continue;
		if (!any)
			(void)fprintf(f,
			    "\n| one token of     | type   | context | cache | weights, MB | KV, "
			    "MB "
			    "| touched, MB | of both | time x bandwidth, MB | of both "
			    "| speed of short |\n"
			    "| ---------------- | ------ | ------: | ----- | ----------: | -----: "
			    "| ----------: | ------: | -------------------: | ------: "
			    "| -------------: |\n");
		any = true;
		(void)fprintf(f,
		    "| %-16s | %-6s | %7u | %-5s | %11.1f | %6.1f | %11.1f | %7.2f | %20.1f | "
		    "%7.2f | %14.2f |\n",
		    r->model->name, tensor_type_info(r->model->type)->name, r->measured->tokens,
		    kv_type_name(r->measured->kv), d->weight_bytes * 1e-6, d->kv_bytes * 1e-6,
		    r->m.touched_bytes * 1e-6, r->m.touched_bytes / (d->weight_bytes + d->kv_bytes),
		    r->limits.read_bytes_s * r->m.seconds * 1e-6,
		    r->limits.read_bytes_s * r->m.seconds / (d->weight_bytes + d->kv_bytes),
		    reference(b, r)->m.seconds / r->m.seconds);
	}
}

static void print_loads(const struct bench *b, FILE *f)
{
	if (b->n_models == 0)
		return;
	(void)fprintf(f, "\n| loading          | type   | kernels | file, MB | to the first token, "
	                 "s | new memory alone, s | resident, of the file |\n"
	                 "| ---------------- | ------ | ------- | -------: | "
	                 "--------------------: | ------------------: | --------------------: |\n");
	for (size_t i = 0; i < b->n_models; i++) {
		const struct bench_model *m = &b->models[i];

		(void)fprintf(f, "| %-16s | %-6s | %-7s | %8.1f | %21.2f | %19.2f | %21.3f |\n",
		    m->name, tensor_type_info(m->type)->name, m->kernels,
		    (double)m->loading.file_bytes * 1e-6, m->loading.seconds, m->loading.new_memory,
		    (double)m->loading.resident_bytes / (double)m->loading.file_bytes);
	}
}

static void print_products(const struct bench *b, FILE *f)
{
	if (b->n_products == 0)
		return;
	(void)fprintf(f, "\n| kernel | vectors |  GB/s |    Gm/s |       limit | %% of it |\n"
	                 "| ------ | ------: | ----: | ------: | ----------: | ------: |\n");
	for (size_t i = 0; i < b->n_products; i++) {
		const struct bench_product *p = &b->products[i];

		(void)fprintf(f, "| %-6s | %7u |", tensor_type_info(p->type)->name, p->n_vectors);
		print_speed(f, &p->demand, &p->limits, p->seconds);
	}
}

void bench_tables(const struct bench *b, FILE *f)
{
	print_machine(b, f);
	print_rows(b, f);
	print_bytes(b, f);
	print_loads(b, f);
	print_products(b, f);
	if (b->n_rows + b->n_products > 0)
		(void)fprintf(f, "\nGm/s: 10^9 multiply-adds a second\n");
	if (b->n_left_out > 0)
		(void)fprintf(
		    f, "%u cases were left out: there was no time for them\n", b->n_left_out);
}
