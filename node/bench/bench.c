/* SPDX-License-Identifier: Apache-2.0 */
#include "node/bench/bench.h"

#include <stdlib.h>
#include <unistd.h>

#include "compute/kernels/blas.h"
#include "node/bench/geometry.h"
#include "node/loop.h"
#include "node/models.h"

/* Seconds of a whole run, and of its parts. */
struct budget {
	double all, blas, rounds, products;
};

static const struct budget full_budget = {285.0, 0.4, 4.0, 0.25};
static const struct budget quick_budget = {34.0, 0.2, 1.5, 0.08};

/* A model is begun only while so much of all time is left. */
static const double LEAST_LEFT = 0.2;

/* So many times what the class `exact` takes is allowed for a case in the class `fast`. */
static const double FAST_TIMES = 8.0;

enum {
	FIRST_MEASURES = 6, /* of the limits, before all else */
	MATRIX_BYTES = 128 << 20,
	MANY_BYTES = 4 << 20 /* of it, that many vectors meet in a round */
};

struct run {
	const struct bench_options *o;
	const struct budget *budget;
	const struct kernels *kernels;
	struct team *team;
	struct yardstick *yardstick;
	struct bench *out;
	uint64_t began_us;
	char doing[128];
};

static void tell(const struct run *r)
{
	if (r->o->progress != NULL)
		r->o->progress(r->o->context, r->doing);
}

static int check_stop(const struct run *r, struct error *err)
{
	return *r->o->stop ? error_set(err, AYNI_ERR_STATE, "stopped") : AYNI_OK;
}

static double seconds_left(const struct run *r)
{
	return r->budget->all - (double)(loop_now_us() - r->began_us) * 1e-6;
}

static void measure_limits(const struct run *r, struct limits *limits)
{
	yardstick_measure(r->yardstick, limits);
	limits_improve(&r->out->limits, limits);
}

/* ---- models --------------------------------------------------------------------------------- */

static int open_file(void *context, struct gguf **out, struct error *err)
{
	return models_open(context, out, err);
}

static int open_descriptor(void *context, struct gguf **out, struct error *err)
{
	return gguf_open_fd(*(const int *)context, "the bench's model", out, err);
}

/* The type of most of a file's bytes. */
static enum tensor_type main_type(const struct gguf *g)
{
	uint64_t bytes[TENSOR_TYPE_END] = {0};
	uint32_t most = 0;

	for (size_t i = 0; i < gguf_n_tensors(g); i++) {
		const struct gguf_tensor *t = gguf_tensor_at(g, i);

		if (t->raw_type < TENSOR_TYPE_END)
			bytes[t->raw_type] += t->size_bytes;
	}
	for (uint32_t i = 1; i < TENSOR_TYPE_END; i++)
		most = bytes[i] > bytes[most] ? i : most;
	return (enum tensor_type)most;
}

/* The file's name without folders and ending. */
static void name_of(const char *path, char *out, size_t out_bytes)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash != NULL ? slash + 1 : path;
	const char *end = strstr(name, ".gguf");
	size_t n = end != NULL ? (size_t)(end - name) : strlen(name);

	(void)snprintf(out, out_bytes, "%.*s", (int)(n < out_bytes ? n : out_bytes - 1), name);
}

struct round_work {
	const struct run *run;
	struct limits *limits;
};

static void between_rounds(void *context)
{
	const struct round_work *work = context;

	measure_limits(work->run, work->limits);
	tell(work->run);
}

/* `add_seconds`: what a multiply-add took in the model's best case so far, and 0 before. */
static int measure_case(struct run *r, struct subject *s, const struct bench_model *model,
    const struct bench_case *c, double *add_seconds, struct error *err)
{
	struct bench_row row = {.model = model, .measured = c};
	struct round_work work = {r, &row.limits};
	const struct pace pace = {r->budget->rounds, r->o->stop, between_rounds, &work};
	double each, estimate;
	int rc;

	(void)snprintf(r->doing, sizeof r->doing, "%s %s, %s, %u x %u", model->name,
	    tensor_type_info(model->type)->name, phase_name(c->phase), c->sessions, c->tokens);
	tell(r);
	if (c->tokens >= subject_sizes(s)->context_tokens)
		return AYNI_OK; /* not a case of this model */
	estimate = subject_demand(s, c).multiply_adds * *add_seconds * case_rounds(c);
	if (estimate > seconds_left(r)) {
		r->out->n_left_out++;
		return AYNI_OK;
	}
	rc = subject_measure(s, c, &pace, &row.m, err);
	if (rc != AYNI_OK)
		return rc;
	each = row.m.seconds / row.m.demand.multiply_adds;
	*add_seconds = *add_seconds == 0.0 || each < *add_seconds ? each : *add_seconds;
	assert(r->out->n_rows < BENCH_MAX_ROWS);
	r->out->rows[r->out->n_rows++] = row;
	return AYNI_OK;
}

/* Cases of one model. */
struct group {
	const char *name;
	const struct bench_case *cases;
	size_t n;
	subject_open_fn *open;
	void *context;
};

typedef bool wants_fn(const struct bench_filter *f, const struct bench_case *c);

static int measure_cases(struct run *r, const struct group *g, const struct kernels *k,
    wants_fn *wants, double *add_seconds, struct error *err)
{
	struct bench_model *model = &r->out->models[r->out->n_models];
	struct subject *s = NULL;
	int rc;

	assert(r->out->n_models < BENCH_MAX_MODELS);
	(void)snprintf(r->doing, sizeof r->doing, "loading %s", g->name);
	tell(r);
	rc = subject_new(g->open, g->context, k, r->team, &s, &model->loading, err);
	if (rc != AYNI_OK)
		return rc;
	name_of(g->name, model->name, sizeof model->name);
	model->type = main_type(subject_gguf(s));
	model->kernels = k->name;
	model->numeric_class = kernels_class(k);
	r->out->n_models++;
	for (size_t i = 0; rc == AYNI_OK && i < g->n; i++)
		if (wants(&r->o->filter, &g->cases[i]))
			rc = measure_case(r, s, model, &g->cases[i], add_seconds, err);
	subject_free(s);
	return rc;
}

/* Who names kernels wants those alone. */
static bool wants_fast(const struct run *r, const struct group *g)
{
	bool any = false;

	for (size_t i = 0; i < g->n; i++)
		any |= bench_wants_fast(&r->o->filter, &g->cases[i]);
	return any && r->o->kernels == NULL;
}

static int measure_group(struct run *r, const struct group *g, struct error *err)
{
	double add_seconds = 0.0;
	int rc = measure_cases(r, g, r->kernels, bench_wants, &add_seconds, err);

	if (rc != AYNI_OK || !wants_fast(r, g))
		return rc;
	add_seconds *= FAST_TIMES;
	return measure_cases(r, g, kernels_by_name("fast"), bench_wants_fast, &add_seconds, err);
}

/* ---- the run -------------------------------------------------------------------------------- */

static int run_file(struct run *r, struct error *err)
{
	const struct group g = {
	    r->o->file, bench_file_cases, bench_n_file_cases, open_file, (void *)r->o->file};

	return measure_group(r, &g, err);
}

static int run_geometry(struct run *r, const struct group *g, struct error *err)
{
	enum tensor_type type = g->cases[0].type;
	int fd, rc;

	(void)snprintf(
	    r->doing, sizeof r->doing, "making %s of %s", g->name, tensor_type_info(type)->name);
	tell(r);
	rc = geometry_file(geometry_find(g->name), type, &fd, err);
	if (rc != AYNI_OK)
		return rc;

	struct group made = *g;

	made.open = open_descriptor;
	made.context = &fd;
	rc = measure_group(r, &made, err);
	(void)close(fd);
	return rc;
}

/* The cases from `first` on that are of one model, as far as they are wanted. */
static unsigned find_group(const struct run *r, size_t first, struct group *out)
{
	const struct bench_case *c = &bench_cases[first];
	unsigned n_wanted = 0;

	*out = (struct group){.name = c->geometry, .cases = c};
	for (size_t i = first; i < bench_n_cases && bench_cases[i].type == c->type &&
	                       strcmp(bench_cases[i].geometry, c->geometry) == 0;
	     i++, out->n++)
		n_wanted += bench_wants_model(&r->o->filter, &bench_cases[i]);
	return n_wanted;
}

static int run_geometries(struct run *r, struct error *err)
{
	struct group g;
	int rc = AYNI_OK;

	for (size_t i = 0; rc == AYNI_OK && i < bench_n_cases; i += g.n) {
		unsigned n = find_group(r, i, &g);

		if (n > 0 && seconds_left(r) < r->budget->all * LEAST_LEFT)
			r->out->n_left_out += n;
		else if (n > 0)
			rc = run_geometry(r, &g, err);
		if (rc == AYNI_OK)
			rc = check_stop(r, err);
	}
	return rc;
}

static bool wants_product(const struct run *r, enum tensor_type type)
{
	const struct bench_filter *f = &r->o->filter;

	if (tensor_type_info(type) == NULL)
		return false;
	if (r->o->file != NULL && r->out->n_models > 0)
		return type == r->out->models[0].type;
	if (f->type != TENSOR_TYPE_END)
		return type == f->type;
	return !f->quick || type == TENSOR_Q8_0 || type == TENSOR_Q4_0 || type == TENSOR_Q4_K ||
	       type == TENSOR_Q6_K;
}

/* The best of its rounds. */
static void measure_product(struct run *r, struct products *p, struct bench_product *product)
{
	const struct product what = {.kernels = r->kernels,
	    .team = r->team,
	    .type = product->type,
	    .n_vectors = product->n_vectors,
	    .round_bytes = product->n_vectors > 1 ? MANY_BYTES : MATRIX_BYTES};
	struct product_speed speed;

	products_measure(p, &what, r->budget->products, &speed);
	product->demand =
	    (struct demand){.weight_bytes = speed.bytes, .multiply_adds = speed.multiply_adds};
	product->seconds = speed.best_s;
}

static int run_products(struct run *r, struct error *err)
{
	static const uint32_t vectors[] = {1, PRODUCTS_VECTORS};
	struct products *p;
	int rc = products_new(MATRIX_BYTES, &p, err);

	for (uint32_t type = 0; rc == AYNI_OK && type < TENSOR_TYPE_END; type++)
		for (size_t v = 0; wants_product(r, (enum tensor_type)type) && v < 2; v++) {
			struct bench_product *product = &r->out->products[r->out->n_products];

			if ((rc = check_stop(r, err)) != AYNI_OK || seconds_left(r) < 0.0)
				break;
			product->type = (enum tensor_type)type;
			product->n_vectors = vectors[v];
			(void)snprintf(r->doing, sizeof r->doing, "products with %s",
			    tensor_type_info(type)->name);
			tell(r);
			measure_limits(r, &product->limits);
			measure_product(r, p, product);
			measure_limits(r, &product->limits);
			r->out->n_products++;
		}
	products_free(p);
	return rc;
}

static int run_all(struct run *r, struct error *err)
{
	const struct bench_filter *f = &r->o->filter;
	double gflops;
	int rc = AYNI_OK;

	(void)snprintf(r->doing, sizeof r->doing, "the machine's limits");
	tell(r);
	for (int i = 0; i < FIRST_MEASURES; i++)
		measure_limits(r, &r->out->limits);
	if (blas_peak_gflops(r->budget->blas, &gflops, NULL) == AYNI_OK)
		r->out->blas_flop_s = gflops * 1e9;
	if ((f->phases & ~(unsigned)PHASE_PRODUCTS) != 0)
		rc = r->o->file != NULL ? run_file(r, err) : run_geometries(r, err);
	if (rc == AYNI_OK && (f->phases & PHASE_PRODUCTS) != 0)
		rc = run_products(r, err);
	if (rc == AYNI_OK && r->out->n_models + r->out->n_products + r->out->n_left_out == 0)
		rc = error_set(err, AYNI_ERR_ARGUMENT, "there is no such case to measure");
	return rc;
}

int bench_run(const struct bench_options *o, struct bench *out, struct error *err)
{
	struct run r = {.o = o,
	    .budget = o->filter.quick ? &quick_budget : &full_budget,
	    .kernels = o->kernels != NULL ? kernels_by_name(o->kernels) : kernels_best(),
	    .out = out,
	    .began_us = loop_now_us()};
	int rc;

	memset(out, 0, sizeof *out);
	machine_describe(&out->machine);
	out->threads = o->threads > 0 ? o->threads : out->machine.processors;
	if (out->threads > TEAM_MAX_THREADS)
		out->threads = TEAM_MAX_THREADS;
	if (r.kernels == NULL)
		return error_set(err, AYNI_ERR_ARGUMENT,
		    "no kernels \"%.20s\" on this machine: auto, " KERNELS_NAMES ", fast are known",
		    o->kernels);
	out->kernels = r.kernels->name;
	rc = team_new(out->threads, &r.team, err);
	if (rc == AYNI_OK)
		rc = yardstick_new(r.kernels, r.team, &r.yardstick, err);
	if (rc == AYNI_OK)
		rc = run_all(&r, err);
	yardstick_free(r.yardstick);
	team_free(r.team);
	return rc;
}
