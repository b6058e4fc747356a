/* SPDX-License-Identifier: Apache-2.0 */
/* The results of a run as JSON. */
#include "node/bench/bench.h"

#include "compute/kv.h"

/* How fast something went, beside the limits of its moment. */
static json_t *speed(const struct demand *d, const struct limits *limits, double seconds)
{
	double bytes = d->weight_bytes + d->kv_bytes;

	return json_pack("{sfsfsfsfsfsfsfsssf}", "weight_bytes", d->weight_bytes, "kv_bytes",
	    d->kv_bytes, "multiply_adds", d->multiply_adds, "gbps", bytes / seconds * 1e-9,
	    "giga_multiply_adds_s", d->multiply_adds / seconds * 1e-9, "read_gbps",
	    limits->read_bytes_s * 1e-9, "peak_giga_multiply_adds_s",
	    limits->multiply_adds_s * 1e-9, "limit",
	    limits_bound(limits, d).by_memory ? "memory" : "processor", "percent_of_limit",
	    limits_percent(limits, d, seconds));
}

/* `more` is added to `object`; both are given up. */
static json_t *join(json_t *object, json_t *more)
{
	if (object != NULL && more != NULL)
		(void)json_object_update(object, more);
	json_decref(more);
	return object;
}

static json_t *rows(const struct bench *b)
{
	json_t *array = json_array();

	for (size_t i = 0; i < b->n_rows; i++) {
		const struct bench_row *r = &b->rows[i];
		bool decode = r->measured->phase == PHASE_DECODE;
		json_t *row = json_pack("{sssssssssssssisisfsfsisf}", "geometry", r->model->name,
		    "type", tensor_type_info(r->model->type)->name, "kernels", r->model->kernels,
		    "class", r->model->numeric_class, "phase", phase_name(r->measured->phase),
		    "cache", kv_type_name(r->measured->kv), "batch", (int)r->measured->sessions,
		    decode ? "context" : "tokens", (int)r->measured->tokens, "tokens_per_s",
		    r->m.tokens / r->m.seconds, "median_tokens_per_s",
		    r->m.tokens / r->m.median_seconds, "rounds", (int)r->m.n_rounds,
		    "touched_bytes", r->m.touched_bytes);

		json_array_append_new(
		    array, join(row, speed(&r->m.demand, &r->limits, r->m.seconds)));
	}
	return array;
}

static json_t *loads(const struct bench *b)
{
	json_t *array = json_array();

	for (size_t i = 0; i < b->n_models; i++) {
		const struct bench_model *m = &b->models[i];

		json_array_append_new(array,
		    json_pack("{sssssssssfsfsIsI}", "geometry", m->name, "type",
		        tensor_type_info(m->type)->name, "kernels", m->kernels, "class",
		        m->numeric_class, "seconds", m->loading.seconds, "new_memory_seconds",
		        m->loading.new_memory, "file_bytes", (json_int_t)m->loading.file_bytes,
		        "resident_bytes", (json_int_t)m->loading.resident_bytes));
	}
	return array;
}

static json_t *products(const struct bench *b)
{
	json_t *array = json_array();

	for (size_t i = 0; i < b->n_products; i++) {
		const struct bench_product *p = &b->products[i];
		json_t *row = json_pack("{sssi}", "type", tensor_type_info(p->type)->name,
		    "vectors", (int)p->n_vectors);

		json_array_append_new(array, join(row, speed(&p->demand, &p->limits, p->seconds)));
	}
	return array;
}

json_t *bench_json(const struct bench *b)
{
	return json_pack("{sfsfsfsssssisssisososo}", "read_gbps", b->limits.read_bytes_s * 1e-9,
	    "peak_giga_multiply_adds_s", b->limits.multiply_adds_s * 1e-9, "openblas_gflops",
	    b->blas_flop_s * 1e-9, "processor", b->machine.processor, "system", b->machine.system,
	    "threads", (int)b->threads, "kernels", b->kernels, "left_out", (int)b->n_left_out,
	    "cases", rows(b), "loads", loads(b), "products", products(b));
}
